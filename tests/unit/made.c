#include "tests/unit/made.h"

#include "base/diag.h"
#include "base/scope.h"
#include "identity/name.h"
#include "tests/unit/unit.h"

#include <openssl/rand.h>
#include <string.h>
#include <time.h>

enum { DAY_S = 86400, HOUR_S = 3600 };

EVP_PKEY *made_key(enum pki_key type)
{
	EVP_PKEY *k = NULL;

	assert_int_equal(issue_key(type, &k, NULL), 0);
	return k;
}

static X509_EXTENSION *extension(X509V3_CTX *ctx, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, ctx, nid, value);

	assert_non_null(e);
	return e;
}

static void extend(X509 *c, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	if (!value)
		return;
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer ? issuer : c, c, NULL, NULL, 0);
	e = extension(&ctx, nid, value);
	assert_int_equal(X509_add_ext(c, e, -1), 1);
	X509_EXTENSION_free(e);
}

static X509_NAME *subject_of(const struct made *m)
{
	X509_NAME *n = *m->subject ? NULL : X509_NAME_new();

	if (!n)
		assert_int_equal(name_parse(m->subject, &n, NULL), 0);
	return n;
}

X509 *made_certificate(const struct made *m)
{
	SCOPED(x509_name_freep) X509_NAME *subject = subject_of(m);
	int64_t now = time(NULL);
	bool dated = m->from_days || m->to_days;
	EVP_PKEY *signer = m->issuer ? m->issuer_key : m->key;
	struct issue what = { .subject = subject,
			      .issuer = m->issuer,
			      .issuer_key = signer,
			      .key = m->key,
			      .authority = m->authority,
			      .path_length = -1,
			      .ekus = m->ekus,
			      .not_before_s = now + (dated ? m->from_days : -1) * DAY_S,
			      .not_after_s = now + (dated ? m->to_days : 1) * DAY_S };
	X509 *c = NULL;
	struct diag d = { 0 };

	while (what.eku_count < 4 && m->ekus[what.eku_count])
		what.eku_count++;
	if (issue_certificate(&what, &c, &d) < 0)
		fail_msg("%s", d.text);
	extend(c, m->issuer, NID_subject_alt_name, m->alternatives);
	extend(c, m->issuer, NID_crl_distribution_points, m->points);
	if (m->alternatives || m->points)
		assert_true(X509_sign(c, signer, EVP_PKEY_is_a(signer, "ED25519") ? NULL : EVP_sha256()) > 0);
	return c;
}

static void list_extend(X509_CRL *crl, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, NULL, NULL, NULL, crl, 0);
	e = extension(&ctx, nid, value);
	assert_int_equal(X509_CRL_add_ext(crl, e, -1), 1);
	X509_EXTENSION_free(e);
}

unsigned char *made_list(const struct made_list *m, size_t *ret_len)
{
	SCOPED(crl_freep) X509_CRL *crl = X509_CRL_new();
	time_t now = time(NULL);
	ASN1_TIME *from = ASN1_TIME_set(NULL, now + (m->from_hours ? m->from_hours : -1) * HOUR_S);
	ASN1_TIME *to = ASN1_TIME_set(NULL, now + (m->to_hours ? m->to_hours : 24) * HOUR_S);
	unsigned char *der = NULL;
	int n;

	assert_true(X509_CRL_set_version(crl, 1) == 1 &&
		    X509_CRL_set_issuer_name(crl, X509_get_subject_name(m->issuer)) == 1 &&
		    X509_CRL_set1_lastUpdate(crl, from) == 1 && X509_CRL_set1_nextUpdate(crl, to) == 1);
	for (size_t i = 0; i < 4 && m->revoked[i]; i++) {
		X509_REVOKED *r = X509_REVOKED_new();
		ASN1_INTEGER *serial = ASN1_INTEGER_dup(X509_get0_serialNumber(m->revoked[i]));

		assert_true(X509_REVOKED_set_serialNumber(r, serial) == 1 &&
			    X509_REVOKED_set_revocationDate(r, from) == 1 && X509_CRL_add0_revoked(crl, r) == 1);
		ASN1_INTEGER_free(serial);
	}
	if (m->scope)
		list_extend(crl, NID_issuing_distribution_point, m->scope);
	if (m->delta) {
		ASN1_INTEGER *base = ASN1_INTEGER_new();

		assert_true(ASN1_INTEGER_set(base, 1) == 1 &&
			    X509_CRL_add1_ext_i2d(crl, NID_delta_crl, base, 1, 0) == 1);
		ASN1_INTEGER_free(base);
	}
	assert_true(X509_CRL_sign(crl, m->key, EVP_get_digestbyname(m->digest ? m->digest : "SHA256")) > 0);
	assert_true((n = i2d_X509_CRL(crl, &der)) > 0);
	ASN1_TIME_free(from);
	ASN1_TIME_free(to);
	*ret_len = (size_t)n;
	return der;
}
