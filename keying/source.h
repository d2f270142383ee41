/* keying/source.h - where strangers' IKE_SA_INITs come from: how often, and how many of them are half-open. By address,
 * an IPv6 one by its network (/64), in a table of fixed size: several may fall together. Inside keying/ only.
 *
 * An address that asks too often has to show a cookie, even if nobody else does: so whoever forges a peer's address
 * does not silence the peer. One that shows cookies and still asks too often is passed over. Who proves itself begins
 * anew. */
#ifndef KEYING_SOURCE_H
#define KEYING_SOURCE_H
#include "base/addr.h"

struct keying;

enum {
	SOURCES = 1024,
	HALF_OPEN_LEAST_MS = 2000, /* so long a stranger has to prove itself even if others want its room */
	INIT_REPEATS_MOST = 16,    /* a reply to IKE_SA_INIT is repeated at most so many times */
};
enum source_kind { SOURCE_UNSEEN, SOURCE_SEEN /* it has shown a cookie */, SOURCE_KINDS };

struct source {
	uint64_t due_ms[SOURCE_KINDS]; /* when all that was asked would be due at the rate allowed */
	uint32_t half_open;
};

struct source *source_of(struct keying *k, const struct addr *remote);
/* One more request. False: too many. */
bool source_take(struct keying *k, const struct addr *remote, enum source_kind kind);
void source_proven(struct keying *k, const struct addr *remote);

#endif
