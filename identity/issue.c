#include "identity/issue.h"

#include "base/crypto.h"
#include "base/diag.h"
#include "base/scope.h"

#include <openssl/err.h>
#include <string.h>

static const struct key_type {
	const char *name;
	const char *algorithm, *curve; /* libcrypto's; curve NULL: not elliptic */
	size_t bits;
} key_types[PKI_KEYS] = {
	[PKI_ECDSA_P384] = { "ecdsa-p384", "EC", "P-384", 0 },
	[PKI_ECDSA_P256] = { "ecdsa-p256", "EC", "P-256", 0 },
	[PKI_RSA_3072] = { "rsa-3072", "RSA", NULL, 3072 },
	[PKI_ED25519] = { "ed25519", "ED25519", NULL, 0 },
};

const char *pki_key_name(enum pki_key k)
{
	return key_types[k].name;
}

bool pki_key_by_name(const char *name, enum pki_key *ret)
{
	for (size_t i = 0; i < PKI_KEYS; i++)
		if (strcmp(key_types[i].name, name) == 0) {
			*ret = (enum pki_key)i;
			return true;
		}
	return false;
}

int issue_key(enum pki_key type, EVP_PKEY **ret, struct diag *d)
{
	const struct key_type *t = &key_types[type];
	EVP_PKEY *key = t->curve  ? EVP_PKEY_Q_keygen(NULL, NULL, t->algorithm, t->curve)
			: t->bits ? EVP_PKEY_Q_keygen(NULL, NULL, t->algorithm, t->bits)
				  : EVP_PKEY_Q_keygen(NULL, NULL, t->algorithm);

	if (!key)
		return diag_fail(d, ERR_CRYPTO, "libcrypto made no %s key", t->name);
	*ret = key;
	return 0;
}

/* 127 random bits, not zero (RFC 5280 4.1.2.2). */
static bool serial_set(X509 *c)
{
	SCOPED(number_freep) BIGNUM *n = NULL;
	uint8_t octets[16];

	if (crypto_random(octets, sizeof octets, NULL) < 0)
		return false;
	octets[0] = (uint8_t)((octets[0] & 0x7f) | 0x40);
	n = BN_bin2bn(octets, sizeof octets, NULL);
	return n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(c));
}

static bool extension_add(X509 *c, X509V3_CTX *ctx, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
	bool ok = e && X509_add_ext(c, e, -1) == 1;

	X509_EXTENSION_free(e);
	return ok;
}

static bool general_name_push(GENERAL_NAMES *names, int type, int string_type, const void *octets, size_t n)
{
	GENERAL_NAME *g = GENERAL_NAME_new();
	ASN1_STRING *s = ASN1_STRING_type_new(string_type);

	if (!g || !s || ASN1_STRING_set(s, octets, (int)n) != 1 || sk_GENERAL_NAME_push(names, g) <= 0) {
		GENERAL_NAME_free(g);
		ASN1_STRING_free(s);
		return false;
	}
	GENERAL_NAME_set0_value(g, type, s);
	return true;
}

static bool alternatives_add(X509 *c, const struct issue *what)
{
	SCOPED(general_names_freep) GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();

	if (what->dns_count + what->address_count == 0)
		return true;
	for (size_t i = 0; names && i < what->dns_count; i++)
		if (!general_name_push(names, GEN_DNS, V_ASN1_IA5STRING, what->dns[i], strlen(what->dns[i])))
			return false;
	for (size_t i = 0; names && i < what->address_count; i++)
		if (!general_name_push(names, GEN_IPADD, V_ASN1_OCTET_STRING, what->addresses[i].octets,
				       addr_octets(&what->addresses[i])))
			return false;
	return names && X509_add1_ext_i2d(c, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1;
}

static bool usages_add(X509 *c, const struct issue *what)
{
	SCOPED(usages_freep) EXTENDED_KEY_USAGE *all = sk_ASN1_OBJECT_new_null();

	if (what->eku_count == 0)
		return true;
	for (size_t i = 0; all && i < what->eku_count; i++) {
		ASN1_OBJECT *oid = OBJ_txt2obj(what->ekus[i], 1);

		if (!oid || sk_ASN1_OBJECT_push(all, oid) <= 0) {
			ASN1_OBJECT_free(oid);
			return false;
		}
	}
	return all && X509_add1_ext_i2d(c, NID_ext_key_usage, all, 0, X509V3_ADD_DEFAULT) == 1;
}

/* A hash as strong as the key; Ed25519 has its own. */
static const EVP_MD *digest_for(const struct issue *what)
{
	if (EVP_PKEY_is_a(what->issuer_key, "ED25519") || EVP_PKEY_is_a(what->issuer_key, "ED448"))
		return NULL;
	if (what->digest)
		return EVP_get_digestbyname(what->digest);
	return EVP_PKEY_get_security_bits(what->issuer_key) > 128 ? EVP_sha384() : EVP_sha256();
}

int issue_certificate(const struct issue *what, X509 **ret, struct diag *d)
{
	SCOPED(x509_freep) X509 *c = X509_new();
	const X509_NAME *issuer = what->issuer ? X509_get_subject_name(what->issuer) : what->subject;
	char basic[40] = "critical,CA:TRUE";
	X509V3_CTX ctx;
	bool ok = c && X509_set_version(c, X509_VERSION_3) == 1 && serial_set(c) &&
		  X509_set_subject_name(c, what->subject) == 1 && X509_set_issuer_name(c, issuer) == 1 &&
		  ASN1_TIME_set(X509_getm_notBefore(c), (time_t)what->not_before_s) &&
		  ASN1_TIME_set(X509_getm_notAfter(c), (time_t)what->not_after_s) && X509_set_pubkey(c, what->key) == 1;

	if (what->authority && what->path_length >= 0)
		(void)snprintf(basic, sizeof basic, "critical,CA:TRUE,pathlen:%d", what->path_length);
	if (ok) {
		X509V3_set_ctx_nodb(&ctx);
		X509V3_set_ctx(&ctx, what->issuer ? what->issuer : c, c, NULL, NULL, 0);
		ok = extension_add(c, &ctx, NID_basic_constraints, what->authority ? basic : "critical,CA:FALSE") &&
		     extension_add(c, &ctx, NID_key_usage,
				   what->authority ? "critical,keyCertSign,cRLSign" : "critical,digitalSignature") &&
		     usages_add(c, what) && alternatives_add(c, what) &&
		     extension_add(c, &ctx, NID_subject_key_identifier, "hash") &&
		     extension_add(c, &ctx, NID_authority_key_identifier, "keyid:always") &&
		     X509_sign(c, what->issuer_key, digest_for(what)) > 0;
	}
	ERR_clear_error();
	if (!ok)
		return diag_fail(d, ERR_CRYPTO, "libcrypto made no certificate");
	*ret = TAKE(c);
	return 0;
}
