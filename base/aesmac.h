/* base/aesmac.h - the two MACs made of AES-128 in a chain, AES-CMAC (RFC 4493) and AES-XCBC-MAC (RFC 3566), keyed once
 * and used for many messages; for base/mac.c. Plain values, so that a packet costs no allocation. */
#ifndef BASE_AESMAC_H
#define BASE_AESMAC_H
#include <nettle/aes.h>
#include <stddef.h>
#include <stdint.h>

enum aesmac_kind { AESMAC_CMAC, AESMAC_XCBC };
enum { AESMAC_OCTETS = 16 };

struct aesmac {
	struct aes128_ctx cipher;
	uint8_t whole[AESMAC_OCTETS], padded[AESMAC_OCTETS]; /* mixed into the last block: it was full, or was not */
	uint8_t chain[AESMAC_OCTETS], block[AESMAC_OCTETS];
	size_t held; /* octets in block */
};

void aesmac_init(struct aesmac *m, enum aesmac_kind kind, const uint8_t key[AESMAC_OCTETS]);
void aesmac_add(struct aesmac *m, const void *octets, size_t n);
/* The first n octets of the value; then ready for the next message under the same key. */
void aesmac_end(struct aesmac *m, uint8_t *ret, size_t n);

#endif
