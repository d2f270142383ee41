#include "base/aesmac.h"

#include <string.h>

/* Times x in GF(2^128), as CMAC writes it (RFC 4493 2.3), without a branch on the key. */
static void twice(const uint8_t *from, uint8_t *to)
{
	uint8_t carry = (uint8_t)(from[0] >> 7);

	for (size_t i = 0; i < AESMAC_OCTETS - 1; i++)
		to[i] = (uint8_t)(from[i] << 1 | from[i + 1] >> 7);
	to[AESMAC_OCTETS - 1] = (uint8_t)(from[AESMAC_OCTETS - 1] << 1 ^ (0x87 & -carry));
}

static void encrypt_constant(const struct aesmac *m, uint8_t constant, uint8_t *to)
{
	uint8_t block[AESMAC_OCTETS];

	memset(block, constant, sizeof block);
	aes128_encrypt(&m->cipher, sizeof block, to, block);
}

void aesmac_init(struct aesmac *m, enum aesmac_kind kind, const uint8_t key[AESMAC_OCTETS])
{
	uint8_t derived[AESMAC_OCTETS];

	*m = (struct aesmac){ 0 };
	aes128_set_encrypt_key(&m->cipher, key);
	if (kind == AESMAC_CMAC) { /* RFC 4493 2.3 */
		encrypt_constant(m, 0, derived);
		twice(derived, m->whole);
		twice(m->whole, m->padded);
	} else { /* RFC 3566 4 */
		encrypt_constant(m, 2, m->whole);
		encrypt_constant(m, 3, m->padded);
		encrypt_constant(m, 1, derived);
		aes128_set_encrypt_key(&m->cipher, derived);
	}
	explicit_bzero(derived, sizeof derived);
}

static void chain_block(struct aesmac *m)
{
	for (size_t i = 0; i < AESMAC_OCTETS; i++)
		m->chain[i] ^= m->block[i];
	aes128_encrypt(&m->cipher, AESMAC_OCTETS, m->chain, m->chain);
	m->held = 0;
}

/* The last block is special, so a full one waits until more comes. */
void aesmac_add(struct aesmac *m, const void *octets, size_t n)
{
	const uint8_t *at = octets;

	while (n) {
		size_t room, take;

		if (m->held == AESMAC_OCTETS)
			chain_block(m);
		room = AESMAC_OCTETS - m->held;
		take = n < room ? n : room;
		memcpy(m->block + m->held, at, take);
		m->held += take;
		at += take;
		n -= take;
	}
}

void aesmac_end(struct aesmac *m, uint8_t *ret, size_t n)
{
	const uint8_t *mix = m->held == AESMAC_OCTETS ? m->whole : m->padded;

	if (m->held < AESMAC_OCTETS) {
		memset(m->block + m->held, 0, AESMAC_OCTETS - m->held);
		m->block[m->held] = 0x80;
	}
	for (size_t i = 0; i < AESMAC_OCTETS; i++)
		m->block[i] ^= mix[i];
	chain_block(m);
	memcpy(ret, m->chain, n < AESMAC_OCTETS ? n : AESMAC_OCTETS);
	explicit_bzero(m->chain, sizeof m->chain);
	explicit_bzero(m->block, sizeof m->block);
}
