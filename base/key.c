#include "base/key.h"

#include <openssl/crypto.h>
#include <string.h>

void key_wipe(struct key *k)
{
	explicit_bzero(k, sizeof *k);
}

void key_move(struct key *to, struct key *from)
{
	*to = *from;
	key_wipe(from);
}

bool key_set(struct key *k, const void *octets, size_t n)
{
	key_wipe(k);
	if (n > sizeof k->octets)
		return false;
	if (n)
		memcpy(k->octets, octets, n);
	k->len = n;
	return true;
}

bool octets_equal(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}

bool key_equal(const struct key *a, const struct key *b)
{
	return a->len == b->len && octets_equal(a->octets, b->octets, a->len);
}
