/* base/mac.h - a message authentication code by the name that the algorithm table gives it, for crypto.h's own files:
 * HMAC, AES-XCBC or AES-CMAC, keyed once and used for many messages. */
#ifndef BASE_MAC_H
#define BASE_MAC_H
#include "base/aesmac.h"
#include "base/hmac.h"

struct mac {
	bool is_aes;
	union {
		struct hmac hmac;
		struct aesmac aes;
	};
};

/* name: "SHA256", "AES-XCBC", ... ; false: no such. A key of any length: the AES ones, whose own is of 16 octets, make
 * one of another as their pseudo-random functions do (RFC 4434 2, RFC 4615 3). */
bool mac_init(struct mac *m, const char *name, const void *key, size_t key_len);
size_t mac_octets(const struct mac *m); /* of the whole value */
void mac_add(struct mac *m, const void *octets, size_t n);
/* The first n octets of the value; then ready for the next message under the same key. */
void mac_end(struct mac *m, uint8_t *ret, size_t n);
void mac_wipe(struct mac *m);

#endif
