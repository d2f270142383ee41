/* Key exchange: one row a group says how its public value and secret are made. */
#include "base/crypto.h"

#include "base/algorithm.h"
#include "base/diag.h"
#include "base/p384.h"

#include <nettle/curve25519.h>
#include <nettle/curve448.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <string.h>
#include <threads.h>

/* Both write exactly the table's octets. false: the private value is not usable (generate: draw again), or the peer's
 * value is not. */
struct method {
	uint16_t group; /* IKEv2 number */
	bool (*make)(const struct method *m, const struct algorithm *g, const uint8_t *private, uint8_t *ret);
	bool (*derive)(const struct method *m, const struct algorithm *g, const uint8_t *private, const uint8_t *peer,
		       uint8_t *ret);
	BIGNUM *(*prime)(BIGNUM *to); /* MODP with a safe prime */
	int curve;                    /* ECP: libcrypto's number of it */
};

/* ---- MODP (RFC 2409, 3526): the generator is 2 and the prime is safe ---- */

static void number_freep(BIGNUM **n)
{
	BN_clear_free(*n);
}

static void numbers_freep(BN_CTX **c)
{
	BN_CTX_free(*c);
}

static bool power(const BIGNUM *prime, const struct algorithm *g, const BIGNUM *base, const uint8_t *private,
		  uint8_t *ret)
{
	SCOPED(numbers_freep) BN_CTX *ctx = BN_CTX_secure_new();
	SCOPED(number_freep) BIGNUM *x = BN_bin2bn(private, g->key, NULL);
	SCOPED(number_freep) BIGNUM *r = BN_new();

	if (!ctx || !x || !r)
		return false;
	BN_set_flags(x, BN_FLG_CONSTTIME);
	return BN_mod_exp_mont_consttime(r, base, x, prime, ctx, NULL) == 1 &&
	       BN_bn2binpad(r, ret, g->public_octets) == g->public_octets;
}

static bool modp_make(const struct method *m, const struct algorithm *g, const uint8_t *private, uint8_t *ret)
{
	SCOPED(number_freep) BIGNUM *prime = m->prime(NULL);
	SCOPED(number_freep) BIGNUM *two = BN_new();

	return prime && two && BN_set_word(two, 2) == 1 && power(prime, g, two, private, ret);
}

static bool modp_derive(const struct method *m, const struct algorithm *g, const uint8_t *private, const uint8_t *peer,
			uint8_t *ret)
{
	SCOPED(number_freep) BIGNUM *prime = m->prime(NULL);
	SCOPED(number_freep) BIGNUM *y = BN_bin2bn(peer, g->public_octets, NULL);
	SCOPED(number_freep) BIGNUM *most = prime ? BN_dup(prime) : NULL;

	/* 1 < y < p - 1 (RFC 6989 2.1): with a safe prime that leaves no small subgroup. */
	if (!prime || !y || !most || BN_sub_word(most, 1) != 1 || BN_is_zero(y) || BN_is_one(y) || BN_cmp(y, most) >= 0)
		return false;
	return power(prime, g, y, private, ret);
}

/* ---- MODP with a subgroup of prime order (RFC 5114 2.1 to 2.3) ---- */

struct subgroup {
	BIGNUM *prime, *generator, *order;
};

static void subgroup_wipe(struct subgroup *s)
{
	BN_free(s->prime);
	BN_free(s->generator);
	BN_free(s->order);
}

static void parameters_freep(EVP_PKEY **p)
{
	EVP_PKEY_free(*p);
}

static void parameters_ctx_freep(EVP_PKEY_CTX **c)
{
	EVP_PKEY_CTX_free(*c);
}

static bool subgroup_get(const struct algorithm *g, struct subgroup *ret)
{
	SCOPED(parameters_ctx_freep) EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, "DHX", NULL);
	SCOPED(parameters_freep) EVP_PKEY *p = NULL;
	OSSL_PARAM name[] = { OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)(uintptr_t)g->openssl, 0),
			      OSSL_PARAM_END };

	name[0].data_size = strlen(g->openssl);
	return c && EVP_PKEY_fromdata_init(c) == 1 && EVP_PKEY_fromdata(c, &p, EVP_PKEY_KEY_PARAMETERS, name) == 1 &&
	       EVP_PKEY_get_bn_param(p, OSSL_PKEY_PARAM_FFC_P, &ret->prime) == 1 &&
	       EVP_PKEY_get_bn_param(p, OSSL_PKEY_PARAM_FFC_G, &ret->generator) == 1 &&
	       EVP_PKEY_get_bn_param(p, OSSL_PKEY_PARAM_FFC_Q, &ret->order) == 1;
}

static bool subgroup_make(const struct method *m, const struct algorithm *g, const uint8_t *private, uint8_t *ret)
{
	SCOPED(subgroup_wipe) struct subgroup s = { 0 };

	(void)m;
	return subgroup_get(g, &s) && power(s.prime, g, s.generator, private, ret);
}

/* Only a value of the subgroup is safe to use (RFC 6989 2.2): its order's power is one. */
static bool subgroup_derive(const struct method *m, const struct algorithm *g, const uint8_t *private,
			    const uint8_t *peer, uint8_t *ret)
{
	SCOPED(subgroup_wipe) struct subgroup s = { 0 };
	SCOPED(number_freep) BIGNUM *y = BN_bin2bn(peer, g->public_octets, NULL);
	SCOPED(number_freep) BIGNUM *one = BN_new();
	SCOPED(numbers_freep) BN_CTX *ctx = BN_CTX_new();

	(void)m;
	if (!y || !one || !ctx || !subgroup_get(g, &s) || BN_is_zero(y) || BN_is_one(y) || BN_cmp(y, s.prime) >= 0 ||
	    BN_mod_exp(one, y, s.order, s.prime, ctx) != 1 || !BN_is_one(one))
		return false;
	return power(s.prime, g, y, private, ret);
}

/* ---- ECP and Brainpool (RFC 5903, 6954): x|y out, x is the secret ---- */

enum { GROUP_FIRST = 19, GROUP_COUNT = 12 }; /* 19 to 30 are curves */

/* Made once: parameters cost as much as a multiplication. Threads only read them. NULL: this libcrypto has it not. */
static EC_GROUP *groups[GROUP_COUNT];
static void groups_make(void);

static const EC_GROUP *group_of(const struct method *m)
{
	static once_flag once = ONCE_FLAG_INIT;

	call_once(&once, groups_make);
	return groups[m->group - GROUP_FIRST];
}

static void point_freep(EC_POINT **p)
{
	EC_POINT_clear_free(*p);
}

/* The point's coordinates, or x alone, each of full width. */
static bool point_write(const EC_GROUP *group, const EC_POINT *p, BN_CTX *ctx, size_t width, bool x_alone, uint8_t *ret)
{
	SCOPED(number_freep) BIGNUM *x = BN_new();
	SCOPED(number_freep) BIGNUM *y = BN_new();
	int n = (int)width;

	return x && y && EC_POINT_get_affine_coordinates(group, p, x, y, ctx) == 1 && BN_bn2binpad(x, ret, n) == n &&
	       (x_alone || BN_bn2binpad(y, ret + width, n) == n);
}

static bool ecp(const struct method *m, const struct algorithm *g, const uint8_t *private, const uint8_t *peer,
		uint8_t *ret)
{
	SCOPED(numbers_freep) BN_CTX *ctx = BN_CTX_secure_new();
	const EC_GROUP *group = group_of(m);
	SCOPED(number_freep) BIGNUM *n = BN_bin2bn(private, g->key, NULL);
	SCOPED(point_freep) EC_POINT *p = group ? EC_POINT_new(group) : NULL;

	if (!ctx || !group || !n || !p || BN_is_zero(n) || BN_cmp(n, EC_GROUP_get0_order(group)) >= 0)
		return false;
	BN_set_flags(n, BN_FLG_CONSTTIME);
	if (!peer)
		return EC_POINT_mul(group, p, n, NULL, NULL, ctx) == 1 &&
		       point_write(group, p, ctx, g->secret_octets, false, ret);

	SCOPED(number_freep) BIGNUM *x = BN_bin2bn(peer, g->secret_octets, NULL);
	SCOPED(number_freep) BIGNUM *y = BN_bin2bn(peer + g->secret_octets, g->secret_octets, NULL);
	SCOPED(point_freep) EC_POINT *q = EC_POINT_new(group);

	/* Setting the coordinates refuses a point that is not on the curve; the order is prime, so that is all. */
	return x && y && q && EC_POINT_set_affine_coordinates(group, q, x, y, ctx) == 1 &&
	       EC_POINT_mul(group, p, NULL, q, n, ctx) == 1 && point_write(group, p, ctx, g->secret_octets, true, ret);
}

static bool ecp_make(const struct method *m, const struct algorithm *g, const uint8_t *private, uint8_t *ret)
{
	return ecp(m, g, private, NULL, ret);
}

static bool p384_make(const struct method *m, const struct algorithm *g, const uint8_t *private, uint8_t *ret)
{
	(void)m, (void)g;
	return p384_public(private, ret);
}

static bool p384_derive(const struct method *m, const struct algorithm *g, const uint8_t *private, const uint8_t *peer,
			uint8_t *ret)
{
	(void)m, (void)g;
	return p384_secret(private, peer, ret);
}

/* ---- Curve25519 and Curve448 (RFC 8031; 7748 6: a secret of zeroes comes from a point of small order) ---- */

static bool all_zero(const uint8_t *octets, size_t n)
{
	uint8_t any = 0;

	for (size_t i = 0; i < n; i++)
		any |= octets[i];
	return any == 0;
}

/* By nettle: one call each, without the key objects that cost libcrypto more than the arithmetic. */
static bool x25519_make(const struct method *m, const struct algorithm *g, const uint8_t *private, uint8_t *ret)
{
	(void)m, (void)g;
	curve25519_mul_g(ret, private);
	return true;
}

static bool x25519_derive(const struct method *m, const struct algorithm *g, const uint8_t *private,
			  const uint8_t *peer, uint8_t *ret)
{
	(void)m;
	curve25519_mul(ret, private, peer);
	return !all_zero(ret, g->secret_octets);
}

static bool x448_make(const struct method *m, const struct algorithm *g, const uint8_t *private, uint8_t *ret)
{
	(void)m, (void)g;
	curve448_mul_g(ret, private);
	return true;
}

static bool x448_derive(const struct method *m, const struct algorithm *g, const uint8_t *private, const uint8_t *peer,
			uint8_t *ret)
{
	(void)m;
	curve448_mul(ret, private, peer);
	return !all_zero(ret, g->secret_octets);
}

static const struct method methods[] = {
	{ .group = 1, modp_make, modp_derive, .prime = BN_get_rfc2409_prime_768 },
	{ .group = 2, modp_make, modp_derive, .prime = BN_get_rfc2409_prime_1024 },
	{ .group = 5, modp_make, modp_derive, .prime = BN_get_rfc3526_prime_1536 },
	{ .group = 14, modp_make, modp_derive, .prime = BN_get_rfc3526_prime_2048 },
	{ .group = 15, modp_make, modp_derive, .prime = BN_get_rfc3526_prime_3072 },
	{ .group = 16, modp_make, modp_derive, .prime = BN_get_rfc3526_prime_4096 },
	{ .group = 17, modp_make, modp_derive, .prime = BN_get_rfc3526_prime_6144 },
	{ .group = 18, modp_make, modp_derive, .prime = BN_get_rfc3526_prime_8192 },
	{ .group = 19, ecp_make, ecp, .curve = NID_X9_62_prime256v1 },
	{ .group = 20, p384_make, p384_derive, .curve = 0 },
	{ .group = 21, ecp_make, ecp, .curve = NID_secp521r1 },
	{ .group = 22, subgroup_make, subgroup_derive, .curve = 0 },
	{ .group = 23, subgroup_make, subgroup_derive, .curve = 0 },
	{ .group = 24, subgroup_make, subgroup_derive, .curve = 0 },
	{ .group = 25, ecp_make, ecp, .curve = NID_X9_62_prime192v1 },
	{ .group = 26, ecp_make, ecp, .curve = NID_secp224r1 },
	{ .group = 27, ecp_make, ecp, .curve = NID_brainpoolP224r1 },
	{ .group = 28, ecp_make, ecp, .curve = NID_brainpoolP256r1 },
	{ .group = 29, ecp_make, ecp, .curve = NID_brainpoolP384r1 },
	{ .group = 30, ecp_make, ecp, .curve = NID_brainpoolP512r1 },
	{ .group = 31, x25519_make, x25519_derive, .curve = 0 },
	{ .group = 32, x448_make, x448_derive, .curve = 0 },
};

static void groups_make(void)
{
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (methods[i].curve)
			groups[methods[i].group - GROUP_FIRST] = EC_GROUP_new_by_curve_name(methods[i].curve);
}

static const struct method *method_of(const struct algorithm *group)
{
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (methods[i].group == group->ikev2)
			return &methods[i];
	return NULL;
}

/* A private value fit for the group, but that an ECP one may by chance be over the order. */
static int private_draw(const struct algorithm *group, struct key *k, struct diag *d)
{
	if (RAND_priv_bytes(k->octets, group->key) != 1)
		return diag_fail(d, ERR_CRYPTO, "the system gives no random numbers");
	k->len = group->key;
	if (group->ikev2 == 21) /* 521 bits in 66 octets */
		k->octets[0] &= 1;
	else if (group->ikev2 <= 18) /* every exponent of the same length */
		k->octets[0] |= 0x80;
	return 0;
}

int crypto_ke_generate(const struct algorithm *group, struct key *ret_private, uint8_t *ret_public, size_t cap,
		       size_t *ret_len, struct diag *d)
{
	const struct method *m = method_of(group);
	SCOPED(key_wipe) struct key k = { 0 };
	int r;

	if (!m || cap < group->public_octets || group->key > KEY_MAX)
		return diag_fail(d, ERR_UNSUPPORTED, "no key exchange by %s", group->name);
	for (int tries = 0; tries < 64; tries++) { /* each fails with a chance under 2^-31 */
		if ((r = private_draw(group, &k, d)) < 0)
			return r;
		if (!m->make(m, group, k.octets, ret_public))
			continue;
		key_move(ret_private, &k);
		*ret_len = group->public_octets;
		return 0;
	}
	return diag_fail(d, ERR_CRYPTO, "%s: libcrypto could not make a key", group->name);
}

int crypto_ke_derive(const struct algorithm *group, const struct key *private, const uint8_t *peer, size_t peer_len,
		     uint8_t *ret, size_t cap, size_t *ret_len, struct diag *d)
{
	const struct method *m = method_of(group);

	if (!m || cap < group->secret_octets || private->len != group->key)
		return diag_fail(d, ERR_UNSUPPORTED, "no key exchange by %s", group->name);
	if (peer_len != group->public_octets)
		return diag_fail(d, ERR_CRYPTO, "the peer's %s value has %zu octets instead of %u", group->name,
				 peer_len, group->public_octets);
	if (!m->derive(m, group, private->octets, peer, ret)) {
		explicit_bzero(ret, group->secret_octets);
		return diag_fail(d, ERR_CRYPTO, "the peer's %s value is not a valid one", group->name);
	}
	*ret_len = group->secret_octets;
	return 0;
}
