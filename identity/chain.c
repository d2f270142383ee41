#include "identity/chain.h"

#include "base/diag.h"
#include "base/wire.h"
#include "identity/name.h"
#include "identity/signature.h"
#include "identity/signed.h"
#include "observe/event.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* OpenSSL's level 2: 112 bits, so RSA from 2048 bits on, and no SHA-1 (RFC 8247 3). */
enum { SECURITY_LEVEL = 2 };

void chain_wipe(struct chain *c)
{
	x509_stack_free(c->path);
	*c = (struct chain){ 0 };
}

/* ---- signatures: as libcrypto does it, but P-384 by base/p384.h ---- */

/* The part of a certificate that its issuer signed, as it was encoded. */
static struct octets signed_part(const uint8_t *der, size_t len)
{
	const unsigned char *at = der;
	long n = 0;
	int tag, class;

	if (ASN1_get_object(&at, &n, &tag, &class, (long)len) & 0x80 || tag != V_ASN1_SEQUENCE)
		return (struct octets){ NULL, 0 };
	const unsigned char *inner = at, *body = at;

	if (ASN1_get_object(&body, &n, &tag, &class, n) & 0x80 || tag != V_ASN1_SEQUENCE)
		return (struct octets){ NULL, 0 };
	return (struct octets){ inner, (size_t)(body - inner) + (size_t)n };
}

/* 1, 0, or -1: not a signature by P-384. */
static int signed_by_p384(X509 *c, EVP_PKEY *issuer)
{
	const ASN1_BIT_STRING *signature;
	const X509_ALGOR *outer, *inner = X509_get0_tbs_sigalg(c);
	const ASN1_OBJECT *oid;
	unsigned char *der = NULL;
	uint8_t digest[DIGEST_MAX];
	size_t digest_len;
	int md = NID_undef, kind = NID_undef, len, r = -1;

	X509_get0_signature(&signature, &outer, c);
	X509_ALGOR_get0(&oid, NULL, NULL, outer);
	if (X509_ALGOR_cmp(outer, inner) != 0 || OBJ_find_sigid_algs(OBJ_obj2nid(oid), &md, &kind) != 1 ||
	    kind != NID_X9_62_id_ecPublicKey || md == NID_sha1 || (len = i2d_X509(c, &der)) <= 0)
		return -1;
	struct octets part = signed_part(der, (size_t)len), value = { signature->data, (size_t)signature->length };

	if (part.at && crypto_digest(OBJ_nid2sn(md), &part, 1, digest, &digest_len, NULL) == 0)
		r = signature_p384_der(issuer, digest, digest_len, &value);
	OPENSSL_free(der);
	return r;
}

static bool signed_by(X509 *c, EVP_PKEY *issuer)
{
	uint8_t digest[SIGNED_DIGEST];
	bool digested = issuer && signed_digest(c, issuer, digest);

	if (digested && signed_known(digest))
		return true;
	int r = issuer ? signed_by_p384(c, issuer) : 0;
	bool good = r >= 0 ? r == 1 : X509_verify(c, issuer) == 1;

	if (good && digested)
		signed_remember(digest);
	return good;
}

static int time_error(const X509_STORE_CTX *ctx, const X509 *c)
{
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
	time_t now = X509_VERIFY_PARAM_get_time(param);

	if (X509_VERIFY_PARAM_get_flags(param) & X509_V_FLAG_NO_CHECK_TIME)
		return X509_V_OK;
	/* -1 before or at, 1 after, 0 malformed */
	if (X509_cmp_time(X509_get0_notBefore(c), &now) >= 0)
		return X509_V_ERR_CERT_NOT_YET_VALID;
	if (X509_cmp_time(X509_get0_notAfter(c), &now) <= 0)
		return X509_V_ERR_CERT_HAS_EXPIRED;
	return X509_V_OK;
}

/* In place of libcrypto's last step, which comes when the path is found and its authorities, names and strength are
 * checked: signatures and times, from the anchor down. */
static int verify_signatures(X509_STORE_CTX *ctx)
{
	STACK_OF(X509) *path = X509_STORE_CTX_get0_chain(ctx);
	int count = sk_X509_num(path);

	for (int n = count - 1; n >= 0; n--) {
		X509 *c = sk_X509_value(path, n), *issuer = n + 1 < count ? sk_X509_value(path, n + 1) : NULL;
		int error = time_error(ctx, c);

		if (issuer && !(X509_get_key_usage(issuer) & KU_KEY_CERT_SIGN))
			error = X509_V_ERR_KEYUSAGE_NO_CERTSIGN;
		else if (issuer && !signed_by(c, X509_get0_pubkey(issuer)))
			error = X509_V_ERR_CERT_SIGNATURE_FAILURE;
		X509_STORE_CTX_set_current_cert(ctx, c);
		X509_STORE_CTX_set_error_depth(ctx, n);
		if (error != X509_V_OK)
			X509_STORE_CTX_set_error(ctx, error);
		if (!X509_STORE_CTX_get_verify_cb(ctx)(error == X509_V_OK, ctx))
			return 0;
	}
	return 1;
}

X509_STORE *chain_store_new(void)
{
	SCOPED(x509_store_freep) X509_STORE *s = X509_STORE_new();
	X509_VERIFY_PARAM *param = s ? X509_STORE_get0_param(s) : NULL;

	if (!param)
		return NULL;
	X509_STORE_set_verify(s, verify_signatures);
	X509_VERIFY_PARAM_set_auth_level(param, SECURITY_LEVEL);
	X509_VERIFY_PARAM_set_depth(param, CHAIN_MOST);
	/* Each certificate of a trust file is an anchor, be it a root or not. */
	(void)X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
	return TAKE(s);
}

/* ---- reading ---- */

static int read_one(const struct octets *der, size_t number, size_t count, X509 **ret, struct diag *d)
{
	const unsigned char *at = der->at;
	char subject[PEER_TEXT], type[KEY_TYPE_TEXT];
	SCOPED(x509_freep) X509 *c = NULL;

	if (der->len > CERTIFICATE_MOST)
		return diag_fail(d, ERR_AUTH, "the peer sent a certificate of %zu octets; %d are the most", der->len,
				 CERTIFICATE_MOST);
	if (!(c = d2i_X509(NULL, &at, (long)der->len)))
		return diag_fail(d, failure_error(FAILURE_CERTIFICATE_MALFORMED),
				 "the peer's certificate %zu of %zu is malformed", number, count);
	if (at != (const unsigned char *)der->at + der->len)
		return diag_fail(d, failure_error(FAILURE_CERTIFICATE_MALFORMED),
				 "octets follow the peer's certificate %zu of %zu", number, count);
	(void)name_text(X509_get_subject_name(c), subject);
	if (signature_key_check(X509_get0_pubkey(c), subject, type, d) < 0)
		return -failure_error(FAILURE_CERTIFICATE_WEAK);
	*ret = TAKE(c);
	return 0;
}

int chain_read(const struct octets *der, size_t count, STACK_OF(X509) * *ret, struct diag *d)
{
	SCOPED(x509_stack_freep) STACK_OF(X509) *all = sk_X509_new_null();
	int r;

	if (count == 0)
		return diag_fail(d, failure_error(FAILURE_CERTIFICATE_MISSING), "the peer sent no certificate");
	if (count > CHAIN_MOST)
		return diag_fail(d, ERR_AUTH, "the peer sent %zu certificates; %d are the most", count, CHAIN_MOST);
	for (size_t i = 0; i < count; i++) {
		X509 *c = NULL;

		if ((r = read_one(&der[i], i + 1, count, &c, i ? NULL : d)) < 0 && i == 0)
			return r;
		if (c && (!all || sk_X509_push(all, c) <= 0)) {
			X509_free(c);
			return diag_fail(d, ERR_CRYPTO, "libcrypto keeps no certificates");
		}
	}
	*ret = TAKE(all);
	return 0;
}

/* ---- the path ---- */

static void day_text(const ASN1_TIME *t, char to[20])
{
	struct tm tm;

	if (ASN1_TIME_to_tm(t, &tm) != 1 || strftime(to, 20, "%Y-%m-%d %H:%M", &tm) == 0)
		(void)snprintf(to, 20, "an unreadable time");
}

static int fail_path(const X509_STORE_CTX *ctx, uint64_t now_s, struct diag *d)
{
	int error = X509_STORE_CTX_get_error(ctx), depth = X509_STORE_CTX_get_error_depth(ctx);
	X509 *c = X509_STORE_CTX_get_current_cert(ctx);
	char subject[PEER_TEXT] = "the certificate", issuer[PEER_TEXT] = "an unknown authority", day[20],
	     today[20] = "";
	time_t now = (time_t)now_s;
	struct tm tm;

	if (c) {
		(void)name_text(X509_get_subject_name(c), subject);
		(void)name_text(X509_get_issuer_name(c), issuer);
	}
	if (gmtime_r(&now, &tm))
		(void)strftime(today, sizeof today, "%Y-%m-%d %H:%M", &tm);
	switch (error) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		day_text(X509_get0_notAfter(c), day);
		return diag_fail(d, failure_error(FAILURE_CERTIFICATE_EXPIRED),
				 "%s: the certificate expired on %s; here it is %s (UTC)", subject, day, today);
	case X509_V_ERR_CERT_NOT_YET_VALID:
		day_text(X509_get0_notBefore(c), day);
		return diag_fail(d, failure_error(FAILURE_CERTIFICATE_EARLY),
				 "%s: the certificate is valid from %s on; here it is %s (UTC)", subject, day, today);
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		return diag_fail(d, failure_error(FAILURE_CERTIFICATE_UNTRUSTED),
				 "%s was issued by %s, which is not trusted here and was not sent along; add its "
				 "certificate to `trust` in host.yaml, or send the whole chain",
				 subject, issuer);
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		return diag_fail(d, failure_error(FAILURE_CERTIFICATE_UNTRUSTED),
				 "%s is self-signed and not trusted here%s", subject,
				 depth ? "; add it to `trust` in host.yaml" : "");
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
		return diag_fail(d, failure_error(FAILURE_CERTIFICATE_UNTRUSTED),
				 "%s: the certificate was not signed by the %s that we know", subject, issuer);
	case X509_V_ERR_CA_MD_TOO_WEAK:
		return diag_fail(d, failure_error(FAILURE_CERTIFICATE_WEAK),
				 "%s: the certificate is signed with a hash that is too weak (SHA-1, MD5)", subject);
	case X509_V_ERR_EE_KEY_TOO_SMALL:
	case X509_V_ERR_CA_KEY_TOO_SMALL:
		return diag_fail(d, failure_error(FAILURE_CERTIFICATE_WEAK), "%s: the key is too short", subject);
	case X509_V_ERR_INVALID_CA:
	case X509_V_ERR_KEYUSAGE_NO_CERTSIGN:
		return diag_fail(d, failure_error(FAILURE_CERTIFICATE_UNTRUSTED),
				 "%s stands as an authority, but may not issue certificates", subject);
	default:
		return diag_fail(d, failure_error(FAILURE_CERTIFICATE_UNTRUSTED), "%s: %s", subject,
				 X509_verify_cert_error_string(error));
	}
}

static bool is_dead_end(int error)
{
	return error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY || error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT ||
	       error == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN;
}

/* One try. -ERR_AUTH with *ret_dead: the path ended in that certificate, whose issuer nobody has. */
static int build_once(X509_STORE *store, STACK_OF(X509) * certificates, uint64_t now_s, struct chain *c,
		      X509 **ret_dead, struct diag *d)
{
	SCOPED(x509_ctx_freep) X509_STORE_CTX *ctx = X509_STORE_CTX_new();

	*ret_dead = NULL;
	if (!ctx || X509_STORE_CTX_init(ctx, store, sk_X509_value(certificates, 0), certificates) != 1)
		return diag_fail(d, ERR_CRYPTO, "libcrypto cannot check certificates");
	if (now_s)
		X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(ctx), (time_t)now_s);
	else
		X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_NO_CHECK_TIME);
	if (X509_verify_cert(ctx) == 1) {
		c->path = X509_STORE_CTX_get1_chain(ctx);
		return 0;
	}
	if (is_dead_end(X509_STORE_CTX_get_error(ctx)))
		*ret_dead = X509_STORE_CTX_get_current_cert(ctx);
	return fail_path(ctx, now_s, d);
}

/* Take one out of the list; not the first, which the path is for. */
static bool leave_out(STACK_OF(X509) * certificates, const X509 *c)
{
	for (int i = 1; i < sk_X509_num(certificates); i++)
		if (X509_cmp(sk_X509_value(certificates, i), c) == 0) {
			X509_free(sk_X509_delete(certificates, i));
			return true;
		}
	return false;
}

/* An authority may be certified by several others (cross-signed), and libcrypto follows the first that fits; when that
 * leads nowhere, it is left out and the path is looked for without it. Each try has one certificate less. */
int chain_build(X509_STORE *store, STACK_OF(X509) * certificates, uint64_t now_s, struct chain *ret, struct diag *d)
{
	SCOPED(x509_stack_freep) STACK_OF(X509) *left = X509_chain_up_ref(certificates);
	SCOPED(chain_wipe) struct chain c = { 0 };
	X509 *leaf = sk_X509_value(certificates, 0), *dead = NULL;
	struct diag later;
	uint32_t usage;
	int r;

	(void)name_text(X509_get_subject_name(leaf), c.subject);
	if (!left)
		return diag_fail(d, ERR_CRYPTO, "libcrypto cannot check certificates");
	r = build_once(store, left, now_s, &c, &dead, d);
	while (r < 0 && dead && leave_out(left, dead))
		r = build_once(store, left, now_s, &c, &dead, &later);
	if (r < 0)
		return r;
	usage = X509_get_key_usage(leaf); /* all bits when the extension is absent; RFC 4945 5.1.3.2 */
	if (!(usage & (KU_DIGITAL_SIGNATURE | KU_NON_REPUDIATION)))
		return diag_fail(d, failure_error(FAILURE_CERTIFICATE_USE),
				 "%s: the certificate's key usage does not allow signatures", c.subject);
	*ret = c;
	c = (struct chain){ 0 };
	return 0;
}
