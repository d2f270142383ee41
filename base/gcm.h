/* base/gcm.h - AES-GCM by intel-ipsec-mb, where it was built in, the CPU has what it takes, and it gave the known
 * answers. For seal.c, which takes libcrypto where this gives NULL. A struct gcm belongs to one thread at a time. */
#ifndef BASE_GCM_H
#define BASE_GCM_H
#include "base/crypto.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GCM_NONCE = 12, GCM_ICV = 16 };

/* An expanded key: about 1.2 kB. */
struct gcm;
struct gcm *gcm_new(const uint8_t *key, size_t len); /* NULL: libcrypto has to do it */
void gcm_free(struct gcm *g);                        /* wipes */
/* from: the clear text, which may stand in place. icv_len: 8, 12 or 16. */
void gcm_close(struct gcm *g, const uint8_t nonce[GCM_NONCE], const struct octets *aad, const uint8_t *from,
	       uint8_t *text, size_t len, uint8_t *icv, size_t icv_len);
/* False: a wrong check value; the text is wiped. */
bool gcm_open(struct gcm *g, const uint8_t nonce[GCM_NONCE], const struct octets *aad, uint8_t *text, size_t len,
	      const uint8_t *icv, size_t icv_len);

/* For tests and benches: false: as if there were no such CPU; true: as it is found. Not while others make seals. */
void gcm_allow(bool allowed);

#endif
