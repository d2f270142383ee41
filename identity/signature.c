#include "identity/signature.h"

#include "base/diag.h"
#include "base/p384.h"
#include "base/scope.h"
#include "base/wire.h"
#include "identity/handle.h"

#include <openssl/core_names.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <string.h>

enum { RSA_BITS_LEAST = 2048, RSA_BITS_MOST = 8192, POINT_HALF_MOST = 66, SIGNATURE_MOST = RSA_BITS_MOST / 8 };

static const struct hash {
	const char *name;
	size_t octets;
	int nid;
	uint8_t number;
} hashes[] = {
	{ "SHA1", 20, NID_sha1, HASH_SHA1 },
	{ "SHA256", 32, NID_sha256, HASH_SHA256 },
	{ "SHA384", 48, NID_sha384, HASH_SHA384 },
	{ "SHA512", 64, NID_sha512, HASH_SHA512 },
};

static const struct hash *hash_of(uint8_t number)
{
	for (size_t i = 0; i < ARRAY_LEN(hashes); i++)
		if (hashes[i].number == number)
			return &hashes[i];
	return NULL;
}

static const struct hash *hash_of_nid(int nid)
{
	for (size_t i = 0; i < ARRAY_LEN(hashes); i++)
		if (hashes[i].nid == nid)
			return &hashes[i];
	return NULL;
}

/* ---- keys ---- */

static const struct curve {
	const char *group, *type;
	size_t half; /* octets of a coordinate, and of each half of a signature */
	uint8_t method, hash;
} curves[] = {
	{ "prime256v1", "ecdsa-p256", 32, AUTH_ECDSA_256, HASH_SHA256 },
	{ "secp384r1", "ecdsa-p384", 48, AUTH_ECDSA_384, HASH_SHA384 },
	{ "secp521r1", "ecdsa-p521", 66, AUTH_ECDSA_521, HASH_SHA512 },
};

static const struct curve *curve_of(const EVP_PKEY *key)
{
	char group[32];
	size_t n;
	int is_explicit = 0;

	if (!EVP_PKEY_is_a(key, "EC") || EVP_PKEY_get_group_name(key, group, sizeof group, &n) != 1)
		return NULL;
	if (EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &is_explicit) == 1 &&
	    is_explicit)
		return NULL; /* RFC 5480 2.1.1 wants a name */
	for (size_t i = 0; i < ARRAY_LEN(curves); i++)
		if (strcmp(curves[i].group, group) == 0)
			return &curves[i];
	return NULL;
}

static bool is_rsa(const EVP_PKEY *key)
{
	return EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS");
}

static bool is_eddsa(const EVP_PKEY *key)
{
	return EVP_PKEY_is_a(key, "ED25519") || EVP_PKEY_is_a(key, "ED448");
}

/* 0 and 1 make every signature right; even ones have no inverse; huge ones only cost time. */
static bool exponent_is_sound(const EVP_PKEY *key)
{
	SCOPED(number_freep) BIGNUM *e = NULL;

	return EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && BN_is_odd(e) && !BN_is_one(e) &&
	       BN_num_bits(e) <= 64;
}

int signature_key_check(EVP_PKEY *key, const char *whose, char ret_type[KEY_TYPE_TEXT], struct diag *d)
{
	const struct curve *curve;
	int bits;

	if (!key)
		return diag_fail(d, ERR_CRYPTO, "%s has a public key that cannot be read", whose);
	bits = EVP_PKEY_get_bits(key);
	if (is_rsa(key)) {
		if (bits < RSA_BITS_LEAST)
			return diag_fail(d, ERR_CRYPTO, "%s has an RSA key of %d bits; %d are the least", whose, bits,
					 RSA_BITS_LEAST);
		if (bits > RSA_BITS_MOST)
			return diag_fail(d, ERR_CRYPTO, "%s has an RSA key of %d bits; %d are the most", whose, bits,
					 RSA_BITS_MOST);
		if (!exponent_is_sound(key))
			return diag_fail(d, ERR_CRYPTO, "%s has an RSA key with an unsound exponent", whose);
		(void)snprintf(ret_type, KEY_TYPE_TEXT, "rsa-%d", bits);
		return 0;
	}
	if (is_eddsa(key)) {
		(void)snprintf(ret_type, KEY_TYPE_TEXT, "%s", EVP_PKEY_is_a(key, "ED448") ? "ed448" : "ed25519");
		return 0;
	}
	if ((curve = curve_of(key))) {
		(void)snprintf(ret_type, KEY_TYPE_TEXT, "%s", curve->type);
		return 0;
	}
	return diag_fail(d, ERR_UNSUPPORTED,
			 "%s has a key of an unknown type; known are ECDSA (P-256, P-384, P-521), RSA and Ed25519",
			 whose);
}

int signing_key_init(struct signing_key *k, EVP_PKEY *key, struct diag *d)
{
	const struct curve *curve = curve_of(key);
	SCOPED(number_freep) BIGNUM *private = NULL;

	(void)EVP_PKEY_up_ref(key);
	*k = (struct signing_key){ .key = key }; /* wiped by the caller, also when this fails */
	if (curve && curve->half == P384_OCTETS) {
		if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &private) != 1 ||
		    BN_bn2binpad(private, k->p384.octets, P384_OCTETS) != P384_OCTETS)
			return diag_fail(d, ERR_CRYPTO, "the private key cannot be read");
		k->p384.len = P384_OCTETS;
	}
	return 0;
}

void signing_key_wipe(struct signing_key *k)
{
	EVP_PKEY_free(k->key);
	explicit_bzero(k, sizeof *k);
}

/* What make_... below can do: RSA needs a hash that the peer announces or a peer that announces none; EdDSA needs the
 * identity hash; ECDSA has methods that need nothing. */
uint16_t signature_hashes(EVP_PKEY *key, bool *ret_silent)
{
	*ret_silent = true;
	if (is_rsa(key))
		return 1 << HASH_SHA256 | 1 << HASH_SHA384 | 1 << HASH_SHA512;
	if (curve_of(key))
		return UINT16_MAX;
	*ret_silent = false;
	return 1 << HASH_IDENTITY;
}

/* ---- ECDSA, r|s of full width ---- */

static bool ecdsa_split(const uint8_t *der, size_t len, size_t half, uint8_t *ret)
{
	const unsigned char *at = der;
	SCOPED(ecdsa_freep) ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &at, (long)len);

	return s && at == der + len && !BN_is_negative(ECDSA_SIG_get0_r(s)) && !BN_is_negative(ECDSA_SIG_get0_s(s)) &&
	       BN_bn2binpad(ECDSA_SIG_get0_r(s), ret, (int)half) == (int)half &&
	       BN_bn2binpad(ECDSA_SIG_get0_s(s), ret + half, (int)half) == (int)half;
}

/* Returns the length, 0 if it does not fit. */
static size_t ecdsa_join(const uint8_t *raw, size_t half, uint8_t *ret, size_t cap)
{
	SCOPED(ecdsa_freep) ECDSA_SIG *s = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(raw, (int)half, NULL), *v = BN_bin2bn(raw + half, (int)half, NULL);
	unsigned char *at = ret;
	int n;

	if (!s || !r || !v || ECDSA_SIG_set0(s, r, v) != 1) {
		BN_free(r);
		BN_free(v);
		return 0;
	}
	n = i2d_ECDSA_SIG(s, NULL);
	if (n <= 0 || (size_t)n > cap)
		return 0;
	return (size_t)i2d_ECDSA_SIG(s, &at);
}

static bool ecdsa_sign(const struct signing_key *k, const struct curve *curve, const uint8_t *digest, size_t len,
		       uint8_t *raw)
{
	SCOPED(pkey_ctx_freep) EVP_PKEY_CTX *c = NULL;
	uint8_t der[2 * POINT_HALF_MOST + 16];
	size_t der_len = sizeof der;

	if (k->p384.len)
		return p384_sign(k->p384.octets, digest, len, raw);
	c = EVP_PKEY_CTX_new_from_pkey(NULL, k->key, NULL);
	return c && EVP_PKEY_sign_init(c) == 1 && EVP_PKEY_sign(c, der, &der_len, digest, len) == 1 &&
	       ecdsa_split(der, der_len, curve->half, raw);
}

static bool p384_point(const EVP_PKEY *key, uint8_t ret[P384_POINT])
{
	SCOPED(number_freep) BIGNUM *x = NULL;
	SCOPED(number_freep) BIGNUM *y = NULL;

	return EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1 &&
	       EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1 &&
	       BN_bn2binpad(x, ret, P384_OCTETS) == P384_OCTETS &&
	       BN_bn2binpad(y, ret + P384_OCTETS, P384_OCTETS) == P384_OCTETS;
}

static bool ecdsa_check(EVP_PKEY *key, const struct curve *curve, const uint8_t *digest, size_t len, const uint8_t *raw)
{
	SCOPED(pkey_ctx_freep) EVP_PKEY_CTX *c = NULL;
	uint8_t der[2 * POINT_HALF_MOST + 16], point[P384_POINT];
	size_t der_len;

	if (curve->half == P384_OCTETS)
		return p384_point(key, point) && p384_verify(point, digest, len, raw);
	der_len = ecdsa_join(raw, curve->half, der, sizeof der);
	c = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	return der_len && c && EVP_PKEY_verify_init(c) == 1 && EVP_PKEY_verify(c, der, der_len, digest, len) == 1;
}

int signature_p384_der(EVP_PKEY *key, const uint8_t *digest, size_t digest_len, const struct octets *der)
{
	const struct curve *curve = curve_of(key);
	uint8_t raw[P384_SIGNATURE], point[P384_POINT];

	if (!curve || curve->half != P384_OCTETS)
		return -1;
	return ecdsa_split(der->at, der->len, P384_OCTETS, raw) && p384_point(key, point) &&
	       p384_verify(point, digest, digest_len, raw);
}

/* ---- RSA over a digest ---- */

static bool rsa_prepare(EVP_PKEY_CTX *c, const struct hash *h, bool pss, int salt)
{
	const EVP_MD *md = EVP_get_digestbyname(h->name);

	if (!md || EVP_PKEY_CTX_set_rsa_padding(c, pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING) != 1 ||
	    EVP_PKEY_CTX_set_signature_md(c, md) != 1)
		return false;
	return !pss || (EVP_PKEY_CTX_set_rsa_mgf1_md(c, md) == 1 && EVP_PKEY_CTX_set_rsa_pss_saltlen(c, salt) == 1);
}

static bool rsa_check(EVP_PKEY *key, const struct hash *h, bool pss, int salt, const uint8_t *digest,
		      const struct octets *signature)
{
	SCOPED(pkey_ctx_freep) EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);

	return c && EVP_PKEY_verify_init(c) == 1 && rsa_prepare(c, h, pss, salt) &&
	       EVP_PKEY_verify(c, signature->at, signature->len, digest, h->octets) == 1;
}

static bool rsa_sign(EVP_PKEY *key, const struct hash *h, bool pss, const uint8_t *digest, uint8_t *ret, size_t *len)
{
	SCOPED(pkey_ctx_freep) EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);

	return c && EVP_PKEY_sign_init(c) == 1 && rsa_prepare(c, h, pss, (int)h->octets) &&
	       EVP_PKEY_sign(c, ret, len, digest, h->octets) == 1;
}

/* ---- making ---- */

/* AlgorithmIdentifiers of RFC 7427 appendix A and RFC 8420 A. */
enum family { FAMILY_PSS, FAMILY_ECDSA, FAMILY_ED25519, FAMILY_ED448 };
static const struct identifier {
	enum family family;
	uint8_t hash, len, der[67];
} identifiers[] = {
/* The trailer field is left out, as DER asks for a value that is the default. RFC 7427's own example has it, and
 * Libreswan, which compares octets, knows only the form without. */
#define PSS(h, n) \
	{ \
		0x30, 0x41, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a, 0x30, 0x34, 0xa0, 0x0f, \
			0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, h, 0x05, 0x00, 0xa1, \
			0x1c, 0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, \
			0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, h, 0x05, 0x00, 0xa2, 0x03, \
			0x02, 0x01, n \
	}
	{ FAMILY_PSS, HASH_SHA256, 67, PSS(0x01, 32) },
	{ FAMILY_PSS, HASH_SHA384, 67, PSS(0x02, 48) },
	{ FAMILY_PSS, HASH_SHA512, 67, PSS(0x03, 64) },
#undef PSS
	{ FAMILY_ECDSA, HASH_SHA256, 12, { 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02 } },
	{ FAMILY_ECDSA, HASH_SHA384, 12, { 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03 } },
	{ FAMILY_ECDSA, HASH_SHA512, 12, { 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04 } },
	{ FAMILY_ED25519, HASH_IDENTITY, 7, { 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70 } },
	{ FAMILY_ED448, HASH_IDENTITY, 7, { 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x71 } },
};

/* The identifier of the family whose hash the peer takes: the preferred one, else the first. */
static const struct identifier *identifier_for(enum family f, uint8_t preferred, uint16_t peer_hashes)
{
	const struct identifier *first = NULL;

	for (size_t i = 0; i < ARRAY_LEN(identifiers); i++) {
		const struct identifier *id = &identifiers[i];

		if (id->family != f || !(peer_hashes >> id->hash & 1))
			continue;
		if (id->hash == preferred)
			return id;
		if (!first)
			first = id;
	}
	return first;
}

static int no_common_hash(struct diag *d, const char *what)
{
	return diag_fail(d, ERR_UNSUPPORTED, "the peer takes no signature hash that goes with our %s key", what);
}

static bool digest_of(const struct hash *h, const struct octets *message, uint8_t ret[DIGEST_MAX], struct diag *d)
{
	size_t len;

	return crypto_digest(h->name, message, 1, ret, &len, d) == 0 && len == h->octets;
}

static void digital_begin(struct wire_out *out, const struct identifier *id)
{
	wire_put_u8(out, id->len);
	wire_put(out, id->der, id->len);
}

static int make_rsa(const struct signing_key *k, uint16_t peer_hashes, const struct octets *message, uint8_t *method,
		    struct wire_out *out, struct diag *d)
{
	const struct identifier *id = identifier_for(FAMILY_PSS, HASH_SHA256, peer_hashes);
	const struct hash *h = hash_of(id ? id->hash : HASH_SHA1);
	uint8_t digest[DIGEST_MAX], signature[SIGNATURE_MOST];
	size_t len = sizeof signature;

	/* Without announced hashes the peer knows method 1 alone, and SHA-1 is what RFC 7296 3.8 lets us expect there.
	 */
	if (!id && peer_hashes)
		return no_common_hash(d, "RSA");
	if (id)
		digital_begin(out, id);
	if (!digest_of(h, message, digest, d) || !rsa_sign(k->key, h, id != NULL, digest, signature, &len))
		return diag_fail(d, ERR_CRYPTO, "signing with the RSA key failed");
	wire_put(out, signature, len);
	*method = id ? AUTH_DIGITAL : AUTH_RSA;
	return 0;
}

static int make_ecdsa(const struct signing_key *k, const struct curve *curve, uint16_t peer_hashes,
		      const struct octets *message, uint8_t *method, struct wire_out *out, struct diag *d)
{
	const struct identifier *id = identifier_for(FAMILY_ECDSA, curve->hash, peer_hashes);
	const struct hash *h = hash_of(id ? id->hash : curve->hash);
	uint8_t digest[DIGEST_MAX], raw[2 * POINT_HALF_MOST], der[2 * POINT_HALF_MOST + 16];
	size_t der_len;

	if (!digest_of(h, message, digest, d) || !ecdsa_sign(k, curve, digest, h->octets, raw))
		return diag_fail(d, ERR_CRYPTO, "signing with the ECDSA key failed");
	if (!id) { /* the older methods fix the hash by the curve, so nothing has to be announced for them */
		wire_put(out, raw, 2 * curve->half);
		*method = curve->method;
		return 0;
	}
	der_len = ecdsa_join(raw, curve->half, der, sizeof der);
	if (!der_len)
		return diag_fail(d, ERR_CRYPTO, "signing with the ECDSA key failed");
	digital_begin(out, id);
	wire_put(out, der, der_len);
	*method = AUTH_DIGITAL;
	return 0;
}

static int make_eddsa(const struct signing_key *k, uint16_t peer_hashes, const struct octets *message, uint8_t *method,
		      struct wire_out *out, struct diag *d)
{
	bool ed448 = EVP_PKEY_is_a(k->key, "ED448");
	const struct identifier *id = identifier_for(ed448 ? FAMILY_ED448 : FAMILY_ED25519, HASH_IDENTITY, peer_hashes);
	SCOPED(md_ctx_freep) EVP_MD_CTX *c = EVP_MD_CTX_new();
	uint8_t signature[SIGNATURE_MOST];
	size_t len = sizeof signature;

	if (!id)
		return no_common_hash(d, ed448 ? "Ed448" : "Ed25519");
	if (!c || EVP_DigestSignInit_ex(c, NULL, NULL, NULL, NULL, k->key, NULL) != 1 ||
	    EVP_DigestSign(c, signature, &len, message->at, message->len) != 1)
		return diag_fail(d, ERR_CRYPTO, "signing with the Ed25519 key failed");
	digital_begin(out, id);
	wire_put(out, signature, len);
	*method = AUTH_DIGITAL;
	return 0;
}

int signature_make(const struct signing_key *k, uint16_t peer_hashes, const struct octets *message, uint8_t *ret_method,
		   uint8_t *ret, size_t cap, size_t *ret_len, struct diag *d)
{
	const struct curve *curve = curve_of(k->key);
	struct wire_out out = wire_out(ret, cap);
	uint8_t method = 0;
	int r;

	if (is_rsa(k->key))
		r = make_rsa(k, peer_hashes, message, &method, &out, d);
	else if (curve)
		r = make_ecdsa(k, curve, peer_hashes, message, &method, &out, d);
	else
		r = make_eddsa(k, peer_hashes, message, &method, &out, d);
	if (r < 0)
		return r;
	if (out.failed)
		return diag_fail(d, ERR_CRYPTO, "the signature needs more room than %zu octets", cap);
	*ret_method = method;
	*ret_len = out.len;
	return 0;
}

/* ---- checking ---- */

static int wrong(struct diag *d)
{
	return diag_fail(d, ERR_AUTH, "the peer's signature is wrong: it does not hold the key of its certificate");
}

static int check_ecdsa(EVP_PKEY *key, const struct hash *h, bool der, const struct octets *signature,
		       const struct octets *message, struct diag *d)
{
	const struct curve *curve = curve_of(key);
	uint8_t digest[DIGEST_MAX], raw[2 * POINT_HALF_MOST];

	if (!curve)
		return diag_fail(d, ERR_AUTH, "the peer signed by ECDSA, but its certificate has another kind of key");
	if (der ? !ecdsa_split(signature->at, signature->len, curve->half, raw) : signature->len != 2 * curve->half)
		return diag_fail(d, ERR_SYNTAX, "the peer's ECDSA signature is malformed");
	if (!der)
		memcpy(raw, signature->at, signature->len);
	if (!digest_of(h, message, digest, d) || !ecdsa_check(key, curve, digest, h->octets, raw))
		return wrong(d);
	return 0;
}

static int check_rsa(EVP_PKEY *key, const struct hash *h, bool pss, int salt, const struct octets *signature,
		     const struct octets *message, struct diag *d)
{
	uint8_t digest[DIGEST_MAX];

	if (!is_rsa(key))
		return diag_fail(d, ERR_AUTH, "the peer signed by RSA, but its certificate has another kind of key");
	if (!digest_of(h, message, digest, d) || !rsa_check(key, h, pss, salt, digest, signature))
		return wrong(d);
	return 0;
}

static int check_eddsa(EVP_PKEY *key, const char *kind, const struct octets *signature, const struct octets *message,
		       struct diag *d)
{
	SCOPED(md_ctx_freep) EVP_MD_CTX *c = EVP_MD_CTX_new();

	if (!EVP_PKEY_is_a(key, kind))
		return diag_fail(d, ERR_AUTH, "the peer signed by %s, but its certificate has another kind of key",
				 kind);
	if (!c || EVP_DigestVerifyInit_ex(c, NULL, NULL, NULL, NULL, key, NULL) != 1 ||
	    EVP_DigestVerify(c, signature->at, signature->len, message->at, message->len) != 1)
		return wrong(d);
	return 0;
}

/* Method 1 does not say its hash. */
static int check_rsa_by_trying(EVP_PKEY *key, uint16_t peer_hashes, const struct octets *signature,
			       const struct octets *message, struct diag *d)
{
	int r = 0;

	for (size_t i = ARRAY_LEN(hashes); i-- > 0;) {
		r = check_rsa(key, &hashes[i], false, 0, signature, message, d);
		if (r < 0)
			continue;
		if (hashes[i].number == HASH_SHA1 && peer_hashes)
			return diag_fail(d, ERR_AUTH,
					 "the peer signed with SHA-1, although it announced better hashes");
		return 0;
	}
	return r;
}

static void pss_freep(RSA_PSS_PARAMS **p)
{
	RSA_PSS_PARAMS_free(*p);
}

/* Absent parameters mean SHA-1, which is refused (RFC 8247 4.2). */
static bool pss_read(const X509_ALGOR *a, const struct hash **ret_hash, int *ret_salt)
{
	SCOPED(pss_freep) RSA_PSS_PARAMS *p = NULL;
	SCOPED(algor_freep) X509_ALGOR *mask = NULL;
	const ASN1_OBJECT *type;
	const void *value;
	int kind;
	int64_t salt = 20, trailer = 1;

	X509_ALGOR_get0(&type, &kind, &value, a);
	if (kind != V_ASN1_SEQUENCE)
		return false;
	p = ASN1_item_unpack(value, ASN1_ITEM_rptr(RSA_PSS_PARAMS));
	if (!p || !p->hashAlgorithm || !p->maskGenAlgorithm)
		return false;
	X509_ALGOR_get0(&type, &kind, &value, p->hashAlgorithm);
	*ret_hash = hash_of_nid(OBJ_obj2nid(type));
	X509_ALGOR_get0(&type, &kind, &value, p->maskGenAlgorithm);
	if (!*ret_hash || OBJ_obj2nid(type) != NID_mgf1 || kind != V_ASN1_SEQUENCE)
		return false;
	mask = ASN1_item_unpack(value, ASN1_ITEM_rptr(X509_ALGOR));
	if (!mask)
		return false;
	X509_ALGOR_get0(&type, &kind, &value, mask);
	if (hash_of_nid(OBJ_obj2nid(type)) != *ret_hash ||
	    (p->saltLength && ASN1_INTEGER_get_int64(&salt, p->saltLength) != 1) ||
	    (p->trailerField && ASN1_INTEGER_get_int64(&trailer, p->trailerField) != 1) || trailer != 1 || salt < 0 ||
	    salt > SIGNATURE_MOST)
		return false;
	*ret_salt = (int)salt;
	return true;
}

static int check_digital(EVP_PKEY *key, const struct octets *auth, const struct octets *message, struct diag *d)
{
	struct wire_in in = wire_in(auth->at, auth->len);
	struct wire_in der = wire_sub(&in, wire_u8(&in));
	const unsigned char *at = der.at;
	SCOPED(algor_freep) X509_ALGOR *a = der.failed ? NULL : d2i_X509_ALGOR(NULL, &at, (long)der.left);
	struct octets signature = { in.at, in.left };
	const struct hash *h = NULL;
	const ASN1_OBJECT *oid;
	int nid, digest = NID_undef, kind = NID_undef, salt = 0;
	char name[80];

	if (!a || at != der.at + der.left)
		return diag_fail(d, ERR_SYNTAX, "the peer's signature has a malformed algorithm identifier");
	X509_ALGOR_get0(&oid, NULL, NULL, a);
	nid = OBJ_obj2nid(oid);
	if (nid == NID_ED25519 || nid == NID_ED448)
		return check_eddsa(key, nid == NID_ED448 ? "ED448" : "ED25519", &signature, message, d);
	if (nid == NID_rsassaPss) {
		if (!pss_read(a, &h, &salt))
			return diag_fail(d, ERR_UNSUPPORTED,
					 "the peer signed by RSA-PSS with parameters that we do not take");
		kind = NID_rsaEncryption;
	} else if (OBJ_find_sigid_algs(nid, &digest, &kind) == 1) {
		h = hash_of_nid(digest);
	}
	if (h && h->number == HASH_SHA1)
		return diag_fail(d, ERR_AUTH, "the peer signed with SHA-1, which is too weak");
	if (h && kind == NID_rsaEncryption)
		return check_rsa(key, h, nid == NID_rsassaPss, salt, &signature, message, d);
	if (h && kind == NID_X9_62_id_ecPublicKey)
		return check_ecdsa(key, h, true, &signature, message, d);
	(void)OBJ_obj2txt(name, sizeof name, oid, 0);
	return diag_fail(d, ERR_UNSUPPORTED, "the peer signed by %s, which we do not take", name);
}

int signature_check(EVP_PKEY *key, uint16_t peer_hashes, uint8_t method, const struct octets *auth,
		    const struct octets *message, struct diag *d)
{
	if (method == AUTH_RSA)
		return check_rsa_by_trying(key, peer_hashes, auth, message, d);
	if (method == AUTH_DIGITAL)
		return check_digital(key, auth, message, d);
	for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
		if (curves[i].method != method)
			continue;
		if (curve_of(key) != &curves[i])
			return diag_fail(
				d, ERR_AUTH,
				"the peer signed by method %u (%s), but its certificate has another kind of key",
				method, curves[i].type);
		return check_ecdsa(key, hash_of(curves[i].hash), false, auth, message, d);
	}
	return diag_fail(d, ERR_UNSUPPORTED, "the peer's authentication method %u is not one that we take", method);
}

/* ---- IKEv1 ---- */

uint8_t signature_v1_method(const char *key_type)
{
	for (size_t i = 0; i < ARRAY_LEN(curves); i++)
		if (strcmp(curves[i].type, key_type) == 0)
			return curves[i].method;
	return strncmp(key_type, "rsa-", 4) == 0 ? SIGNATURE_V1_RSA : 0;
}

bool signature_v1_takes_hashes(const struct signing_key *k)
{
	return is_rsa(k->key);
}

/* Padded, and nothing in front of it: no signature algorithm is set. */
static bool plain_rsa(EVP_PKEY_CTX *c)
{
	return EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) == 1;
}

int signature_make_v1(const struct signing_key *k, const struct octets *hash, uint8_t *ret_method, uint8_t *ret,
		      size_t cap, size_t *ret_len, struct diag *d)
{
	const struct curve *curve = curve_of(k->key);
	SCOPED(pkey_ctx_freep) EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_pkey(NULL, k->key, NULL);
	uint8_t signature[SIGNATURE_MOST];
	size_t len = sizeof signature;

	if (!curve && !is_rsa(k->key))
		return diag_fail(d, ERR_UNSUPPORTED,
				 "IKEv1 has no signatures by this kind of key: RSA and ECDSA are what it knows");
	if (curve) {
		if (hash->len != hash_of(curve->hash)->octets || !ecdsa_sign(k, curve, hash->at, hash->len, signature))
			return diag_fail(d, ERR_CRYPTO, "signing with the ECDSA key failed");
		len = 2 * curve->half;
	} else if (!c || EVP_PKEY_sign_init(c) != 1 || !plain_rsa(c) ||
		   EVP_PKEY_sign(c, signature, &len, hash->at, hash->len) != 1) {
		return diag_fail(d, ERR_CRYPTO, "signing with the RSA key failed");
	}
	if (len > cap)
		return diag_fail(d, ERR_CRYPTO, "the signature needs more room than %zu octets", cap);
	memcpy(ret, signature, len);
	*ret_len = len;
	*ret_method = curve ? curve->method : SIGNATURE_V1_RSA;
	return 0;
}

int signature_check_v1(EVP_PKEY *key, uint8_t method, const struct octets *auth, const struct octets *hash,
		       struct diag *d)
{
	const struct curve *curve = curve_of(key);
	SCOPED(pkey_ctx_freep) EVP_PKEY_CTX *c = NULL;

	if (curve && method == curve->method)
		return auth->len == 2 * curve->half && hash->len == hash_of(curve->hash)->octets &&
				       ecdsa_check(key, curve, hash->at, hash->len, auth->at)
			       ? 0
			       : wrong(d);
	if (method != SIGNATURE_V1_RSA || !is_rsa(key))
		return diag_fail(d, ERR_AUTH,
				 "the peer's certificate has another kind of key than main mode was agreed on for");
	c = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	if (!c || EVP_PKEY_verify_init(c) != 1 || !plain_rsa(c) ||
	    EVP_PKEY_verify(c, auth->at, auth->len, hash->at, hash->len) != 1)
		return wrong(d);
	return 0;
}
