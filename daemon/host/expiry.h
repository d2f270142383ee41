/* daemon/host/expiry.h - telling of certificates that end: 30, 14 and 3 days before, and when it has happened; each
 * once. Pure: the time is handed in. */
#ifndef DAEMON_HOST_EXPIRY_H
#define DAEMON_HOST_EXPIRY_H
#include "identity/credential.h"

enum { EXPIRY_KNOWN_MOST = 4096 };

struct expiry {
	struct expiry_told {
		uint8_t digest[32];
		unsigned days; /* the last that was told */
	} * told;
	size_t count, cap;
};
void expiry_wipe(struct expiry *e);

/* Is there something to tell of this one? true: in words. What was told before start is told again after it. */
enum { EXPIRY_TEXT = 700 };
bool expiry_tell(struct expiry *e, const struct credential_end *end, uint64_t now_s, char ret[EXPIRY_TEXT]);

#endif
