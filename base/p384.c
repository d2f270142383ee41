#include "base/p384.h"

#include "base/scope.h"

#include <errno.h>
#include <gmp.h>
#include <nettle/bignum.h>
#include <nettle/ecc-curve.h>
#include <nettle/ecc.h>
#include <nettle/ecdsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <threads.h>

/* GMP frees its numbers as they are; ours are keys. It tells the size, so they can be cleared on the way. */
static void free_wiped(void *p, size_t n)
{
	explicit_bzero(p, n);
	free(p);
}

static void *resize_wiped(void *p, size_t old, size_t n)
{
	void *to = malloc(n);

	if (!to)
		abort();
	memcpy(to, p, old < n ? old : n);
	free_wiped(p, old);
	return to;
}

static void prepare(void)
{
	mp_set_memory_functions(NULL, resize_wiped, free_wiped);
}

static const struct ecc_curve *curve(void)
{
	static once_flag once = ONCE_FLAG_INIT;

	call_once(&once, prepare);
	return nettle_get_secp_384r1();
}

static void number_wipe(mpz_t *z)
{
	mpz_clear(*z);
}

static void scalar_wipe(struct ecc_scalar *s)
{
	ecc_scalar_clear(s);
}

static void point_wipe(struct ecc_point *p)
{
	ecc_point_clear(p);
}

static void signature_wipe(struct dsa_signature *s)
{
	dsa_signature_clear(s);
}

static bool scalar_read(struct ecc_scalar *s, const uint8_t octets[P384_OCTETS])
{
	SCOPED(number_wipe) mpz_t z;

	nettle_mpz_init_set_str_256_u(z, P384_OCTETS, octets);
	return ecc_scalar_set(s, z) == 1;
}

static bool point_read(struct ecc_point *p, const uint8_t octets[P384_POINT])
{
	SCOPED(number_wipe) mpz_t x;
	SCOPED(number_wipe) mpz_t y;

	nettle_mpz_init_set_str_256_u(x, P384_OCTETS, octets);
	nettle_mpz_init_set_str_256_u(y, P384_OCTETS, octets + P384_OCTETS);
	return ecc_point_set(p, x, y) == 1; /* refuses coordinates over the prime and points off the curve */
}

static void point_write(const struct ecc_point *p, uint8_t x_octets[P384_OCTETS], uint8_t y_octets[P384_OCTETS])
{
	SCOPED(number_wipe) mpz_t x;
	SCOPED(number_wipe) mpz_t y;

	mpz_init(x);
	mpz_init(y);
	ecc_point_get(p, x, y);
	nettle_mpz_get_str_256(P384_OCTETS, x_octets, x);
	nettle_mpz_get_str_256(P384_OCTETS, y_octets, y);
}

bool p384_public(const uint8_t private[P384_OCTETS], uint8_t ret[P384_POINT])
{
	SCOPED(scalar_wipe) struct ecc_scalar n;
	SCOPED(point_wipe) struct ecc_point p;

	ecc_scalar_init(&n, curve());
	ecc_point_init(&p, curve());
	if (!scalar_read(&n, private))
		return false;
	ecc_point_mul_g(&p, &n);
	point_write(&p, ret, ret + P384_OCTETS);
	return true;
}

bool p384_secret(const uint8_t private[P384_OCTETS], const uint8_t peer[P384_POINT], uint8_t ret[P384_OCTETS])
{
	SCOPED(scalar_wipe) struct ecc_scalar n;
	SCOPED(point_wipe) struct ecc_point p;
	uint8_t y[P384_OCTETS];

	ecc_scalar_init(&n, curve());
	ecc_point_init(&p, curve());
	if (!scalar_read(&n, private) || !point_read(&p, peer))
		return false;
	ecc_point_mul(&p, &n, &p); /* the order is prime: no point but the identity, which has no x|y, is in a
				      small subgroup */
	point_write(&p, ret, y);
	explicit_bzero(y, sizeof y);
	return true;
}

/* For ECDSA's per-signature secret. nettle cannot be told of a failure, and a guessable number would give the key
 * away; without random numbers the process ends. */
static void random_octets(void *unused, size_t n, uint8_t *to)
{
	(void)unused;
	while (n) {
		ssize_t got = getrandom(to, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			(void)fputs("cordon: the system gives no random numbers\n", stderr);
			abort();
		}
		to += got;
		n -= (size_t)got;
	}
}

bool p384_sign(const uint8_t private[P384_OCTETS], const uint8_t *digest, size_t len, uint8_t ret[P384_SIGNATURE])
{
	SCOPED(scalar_wipe) struct ecc_scalar n;
	SCOPED(signature_wipe) struct dsa_signature s;

	ecc_scalar_init(&n, curve());
	dsa_signature_init(&s);
	if (!scalar_read(&n, private))
		return false;
	ecdsa_sign(&n, NULL, random_octets, len, digest, &s);
	nettle_mpz_get_str_256(P384_OCTETS, ret, s.r);
	nettle_mpz_get_str_256(P384_OCTETS, ret + P384_OCTETS, s.s);
	return true;
}

bool p384_verify(const uint8_t public[P384_POINT], const uint8_t *digest, size_t len,
		 const uint8_t signature[P384_SIGNATURE])
{
	SCOPED(point_wipe) struct ecc_point p;
	SCOPED(signature_wipe) struct dsa_signature s;

	ecc_point_init(&p, curve());
	dsa_signature_init(&s);
	if (!point_read(&p, public))
		return false;
	nettle_mpz_set_str_256_u(s.r, P384_OCTETS, signature);
	nettle_mpz_set_str_256_u(s.s, P384_OCTETS, signature + P384_OCTETS);
	return ecdsa_verify(&p, len, digest, &s) == 1;
}
