#include "identity/pki.h"

#include "base/diag.h"
#include "base/scope.h"
#include "base/str.h"
#include "base/text.h"
#include "identity/issue.h"
#include "identity/name.h"
#include "identity/signature.h"
#include "identity/usage.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FILE_MOST = 1 << 20, DAY_S = 86400, CLOCKS_APART_S = 3600, DAYS_MOST = 36500, NAME_MOST = 200 };

/* ---- files ---- */

static int path_make(char to[PKI_PATH], const char *dir, const char *name, const char *suffix, struct diag *d)
{
	if (snprintf(to, PKI_PATH, "%s/%s%s", dir, name, suffix) >= PKI_PATH)
		return diag_fail(d, ENAMETOOLONG, "%.80s/%.80s%s", dir, name, suffix);
	return 0;
}

static int folder_make(const char *dir, mode_t mode, struct diag *d)
{
	if (mkdir(dir, mode) < 0 && errno != EEXIST)
		return diag_errno(d, errno, "make the folder %s", dir);
	return 0;
}

static int key_write(const char *path, EVP_PKEY *key, struct diag *d)
{
	SCOPED(bio_freep) BIO *out = BIO_new(BIO_s_secmem());
	char *at = NULL;
	long len;

	if (!out || PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL) != 1 ||
	    (len = BIO_get_mem_data(out, &at)) <= 0)
		return diag_fail(d, ERR_CRYPTO, "libcrypto cannot write the key %s", path);
	return text_replace(path, at, (size_t)len, 0600, d);
}

static int certificate_write(const char *path, X509 *c, struct diag *d)
{
	SCOPED(bio_freep) BIO *out = BIO_new(BIO_s_mem());
	char *at = NULL;
	long len;

	if (!out || PEM_write_bio_X509(out, c) != 1 || (len = BIO_get_mem_data(out, &at)) <= 0)
		return diag_fail(d, ERR_CRYPTO, "libcrypto cannot write the certificate %s", path);
	return text_replace(path, at, (size_t)len, 0644, d);
}

/* ---- init ---- */

static int days_are_sane(unsigned days, struct diag *d)
{
	if (days == 0 || days > DAYS_MOST)
		return diag_fail(d, EINVAL, "%u days: give 1 to %d", days, DAYS_MOST);
	return 0;
}

int pki_init(const char *dir, const char *name, enum pki_key key, unsigned days, struct diag *d)
{
	SCOPED(x509_name_freep) X509_NAME *subject = NULL;
	SCOPED(pkey_freep) EVP_PKEY *pkey = NULL;
	SCOPED(x509_freep) X509 *c = NULL;
	char key_path[PKI_PATH], path[PKI_PATH];
	int64_t now = time(NULL);
	int r;

	if ((r = days_are_sane(days, d)) < 0 || (r = name_parse(name, &subject, d)) < 0 ||
	    (r = path_make(key_path, dir, "ca", ".key", d)) < 0 || (r = path_make(path, dir, "ca", ".pem", d)) < 0 ||
	    (r = folder_make(dir, 0700, d)) < 0)
		return r;
	if (access(key_path, F_OK) == 0 || access(path, F_OK) == 0)
		return diag_fail(d, EEXIST, "%s holds an authority already; name another folder, or remove it first",
				 dir);
	if ((r = issue_key(key, &pkey, d)) < 0)
		return r;
	struct issue what = { .subject = subject,
			      .issuer_key = pkey,
			      .key = pkey,
			      .authority = true,
			      .path_length = -1,
			      .not_before_s = now - CLOCKS_APART_S,
			      .not_after_s = now + (int64_t)days * DAY_S };

	if ((r = issue_certificate(&what, &c, d)) < 0 || (r = key_write(key_path, pkey, d)) < 0)
		return r;
	if ((r = certificate_write(path, c, d)) < 0)
		(void)unlink(key_path); /* a key alone would block the next try */
	return r;
}

/* ---- issue ---- */

static int authority_read(const char *dir, X509 **ret, EVP_PKEY **ret_key, struct diag *d)
{
	SCOPED(text_freep) struct text *c = NULL;
	SCOPED(text_freep) struct text *k = NULL;
	SCOPED(bio_freep) BIO *c_in = NULL;
	SCOPED(bio_freep) BIO *k_in = NULL;
	char path[PKI_PATH], key_path[PKI_PATH], no_passphrase[] = "";
	int r;

	if ((r = path_make(key_path, dir, "ca", ".key", d)) < 0 || (r = path_make(path, dir, "ca", ".pem", d)) < 0)
		return r;
	if (access(path, F_OK) < 0)
		return diag_fail(d, ENOENT, "%s holds no authority: make one with cordon pki init %s", dir, dir);
	if ((r = text_read(path, FILE_MOST, &c, d)) < 0 || (r = text_read(key_path, FILE_MOST, &k, d)) < 0)
		return r;
	c_in = BIO_new_mem_buf(c->octets, (int)c->len);
	k_in = BIO_new_mem_buf(k->octets, (int)k->len);
	*ret = c_in ? PEM_read_bio_X509(c_in, NULL, NULL, NULL) : NULL;
	*ret_key = k_in ? PEM_read_bio_PrivateKey(k_in, NULL, NULL, no_passphrase) : NULL;
	if (!*ret || !*ret_key || X509_check_private_key(*ret, *ret_key) != 1) {
		ERR_clear_error();
		return diag_fail(d, ERR_SYNTAX, "%s and %s are not an authority's certificate and its key", path,
				 key_path);
	}
	return 0;
}

/* A file name and a common name at once: letters, digits, dot, hyphen and underscore, not beginning with a dot. */
static bool name_is_plain(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > 64 || name[0] == '.' || name[0] == '-')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr(".-_", name[i]))
			return false;
	return true;
}

static bool name_is_dns(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > 253 || name[0] == '.' || name[n - 1] == '.')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) && name[i] != '-' && (name[i] != '.' || name[i - 1] == '.'))
			return false;
	return true;
}

struct lists {
	const char *dns[PKI_LIST_MOST];
	const char *ekus[PKI_LIST_MOST];
};

static int lists_fill(const struct pki_request *r, struct issue *what, struct lists *l, struct diag *d)
{
	static const char *const usual[] = { USAGE_IKE_INTERMEDIATE, USAGE_IPSEC_IKE, USAGE_SERVER_AUTH,
					     USAGE_CLIENT_AUTH };

	if (r->dns_count > PKI_LIST_MOST || r->eku_count > PKI_LIST_MOST || r->address_count > PKI_LIST_MOST)
		return diag_fail(d, E2BIG, "more than %d names", PKI_LIST_MOST);
	for (size_t i = 0; i < r->dns_count; i++) {
		if (!name_is_dns(r->dns[i]))
			return diag_fail(d, EINVAL, "'%.80s' is no DNS name", r->dns[i]);
		l->dns[what->dns_count++] = r->dns[i];
	}
	if (what->dns_count == 0 && name_is_dns(r->name))
		l->dns[what->dns_count++] = r->name;
	for (size_t i = 0; i < r->eku_count; i++)
		if (!(l->ekus[what->eku_count++] = usage_oid(r->ekus[i])))
			return diag_fail(
				d, EINVAL,
				"'%.80s' is no extended key usage; write ike-intermediate, ipsecIKE, serverAuth, "
				"clientAuth or a number such as 1.3.6.1.5.5.8.2.2",
				r->ekus[i]);
	for (size_t i = 0; r->eku_count == 0 && i < ARRAY_LEN(usual); i++)
		l->ekus[what->eku_count++] = usual[i];
	what->dns = l->dns;
	what->ekus = l->ekus;
	return 0;
}

static int64_t seconds_of(const ASN1_TIME *t)
{
	struct tm tm;

	return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

int pki_issue(const char *dir, const struct pki_request *r, const char *out_dir, struct pki_issued *ret, struct diag *d)
{
	SCOPED(x509_freep) X509 *authority = NULL;
	SCOPED(x509_freep) X509 *c = NULL;
	SCOPED(pkey_freep) EVP_PKEY *authority_key = NULL;
	SCOPED(pkey_freep) EVP_PKEY *key = NULL;
	SCOPED(x509_name_freep) X509_NAME *subject = NULL;
	struct pki_issued out = { 0 };
	struct lists lists;
	char written[NAME_MOST];
	int64_t now = time(NULL);
	int e;

	if (!name_is_plain(r->name) || strcmp(r->name, "ca") == 0)
		return diag_fail(
			d, EINVAL,
			"'%.80s' is no name for a host here: letters, digits, dot, hyphen and underscore, not 'ca'",
			r->name);
	(void)snprintf(written, sizeof written, "CN=%s", r->name);
	if ((e = days_are_sane(r->days, d)) < 0 ||
	    (e = name_parse(r->subject ? r->subject : written, &subject, d)) < 0 ||
	    (e = authority_read(dir, &authority, &authority_key, d)) < 0 ||
	    (e = path_make(out.key, out_dir, r->name, ".key", d)) < 0 ||
	    (e = path_make(out.certificate, out_dir, r->name, ".pem", d)) < 0)
		return e;
	if (!r->replace && (access(out.key, F_OK) == 0 || access(out.certificate, F_OK) == 0))
		return diag_fail(d, EEXIST, "%s is there already; --force replaces it", out.certificate);
	out.not_after_s = now + (int64_t)r->days * DAY_S;
	if (out.not_after_s > seconds_of(X509_get0_notAfter(authority)))
		out.not_after_s = seconds_of(X509_get0_notAfter(authority));
	if (out.not_after_s <= now)
		return diag_fail(d, ERR_CRYPTO, "the authority in %s has expired; make a new one", dir);
	struct issue what = { .subject = subject,
			      .issuer = authority,
			      .issuer_key = authority_key,
			      .addresses = r->addresses,
			      .address_count = r->address_count,
			      .not_before_s = now - CLOCKS_APART_S,
			      .not_after_s = out.not_after_s };

	if ((e = lists_fill(r, &what, &lists, d)) < 0 || (e = issue_key(r->key, &key, d)) < 0)
		return e;
	what.key = key;
	if ((e = issue_certificate(&what, &c, d)) < 0 || (e = folder_make(out_dir, 0755, d)) < 0 ||
	    (e = key_write(out.key, key, d)) < 0)
		return e;
	if ((e = certificate_write(out.certificate, c, d)) < 0) {
		(void)unlink(out.key);
		return e;
	}
	(void)name_text(X509_get_subject_name(c), out.subject);
	(void)name_text(X509_get_issuer_name(c), out.issuer);
	*ret = out;
	return 0;
}

/* ---- revocation ---- */

int pki_revocations(const char *dir, unsigned days, struct str *out, struct diag *d)
{
	SCOPED(x509_freep) X509 *authority = NULL;
	SCOPED(pkey_freep) EVP_PKEY *key = NULL;
	SCOPED(crl_freep) X509_CRL *list = X509_CRL_new();
	SCOPED(bio_freep) BIO *pem = BIO_new(BIO_s_mem());
	ASN1_TIME *from = X509_gmtime_adj(NULL, -CLOCKS_APART_S), *to = X509_gmtime_adj(NULL, (long)days * DAY_S);
	char *at = NULL;
	long len = 0;
	int nid = NID_undef, r = authority_read(dir, &authority, &key, d);

	/* Ed25519 signs without a digest, and says so. */
	if (r == 0 && EVP_PKEY_get_default_digest_nid(key, &nid) <= 0)
		nid = NID_undef;
	if (r == 0 && (!list || !pem || !from || !to || X509_CRL_set_version(list, 1) != 1 ||
		       X509_CRL_set_issuer_name(list, X509_get_subject_name(authority)) != 1 ||
		       X509_CRL_set1_lastUpdate(list, from) != 1 || X509_CRL_set1_nextUpdate(list, to) != 1 ||
		       X509_CRL_sort(list) != 1 || X509_CRL_sign(list, key, EVP_get_digestbynid(nid)) <= 0 ||
		       PEM_write_bio_X509_CRL(pem, list) != 1 || (len = BIO_get_mem_data(pem, &at)) <= 0))
		r = diag_fail(d, ERR_CRYPTO, "libcrypto cannot make a revocation list of %s", dir);
	if (r == 0)
		str_add_n(out, at, (size_t)len);
	ASN1_TIME_free(from);
	ASN1_TIME_free(to);
	return r;
}

/* ---- show ---- */

static void day_add(struct str *out, const char *what, const ASN1_TIME *t)
{
	struct tm tm;
	char day[24] = "unreadable";

	if (ASN1_TIME_to_tm(t, &tm) == 1)
		(void)strftime(day, sizeof day, "%Y-%m-%d %H:%M", &tm);
	str_addf(out, "%s%s", what, day);
}

static void show_one(X509 *c, int64_t now_s, struct str *out)
{
	char name[PEER_TEXT], usages[USAGE_TEXT], names[PEER_NAMES][PEER_TEXT], type[KEY_TYPE_TEXT] = "weak or unknown";
	struct diag weak = { 0 };
	uint8_t print[EVP_MAX_MD_SIZE];
	unsigned print_len = 0;
	size_t count = name_alternatives(c, names);
	int64_t from = seconds_of(X509_get0_notBefore(c)), to = seconds_of(X509_get0_notAfter(c));

	str_addf(out, "%s\n", name_text(X509_get_subject_name(c), name));
	str_addf(out, "  issuer    %s%s\n", name_text(X509_get_issuer_name(c), name),
		 X509_NAME_cmp(X509_get_subject_name(c), X509_get_issuer_name(c)) == 0 ? "  (itself: a root)" : "");
	day_add(out, "  valid     ", X509_get0_notBefore(c));
	day_add(out, " to ", X509_get0_notAfter(c));
	if (now_s < from)
		str_add(out, "  NOT YET VALID\n");
	else if (now_s >= to)
		str_add(out, "  EXPIRED\n");
	else
		str_addf(out, "  (%lld days left)\n", (long long)((to - now_s) / DAY_S));
	(void)signature_key_check(X509_get0_pubkey(c), "it", type, &weak);
	str_addf(out, "  key       %s%s%s\n", type, weak.code ? ": " : "", weak.text);
	(void)usage_list(c, usages);
	if (X509_check_ca(c))
		str_addf(out, "  usage     authority%s%s\n", strcmp(usages, "none") ? ", for " : "",
			 strcmp(usages, "none") ? usages : "");
	else
		str_addf(out, "  usage     %s\n", usages);
	if (!X509_check_ca(c) && !usage_named(c, USAGE_IKE_INTERMEDIATE))
		str_add(out, "            without ike-intermediate: rules that ask for it refuse this certificate\n");
	for (size_t i = 0; i < count; i++)
		str_addf(out, "  %s%s\n", i ? "          " : "names     ", names[i]);
	if (X509_digest(c, EVP_sha256(), print, &print_len) == 1) {
		str_add(out, "  sha256    ");
		for (unsigned i = 0; i < print_len; i++)
			str_addf(out, "%02x", print[i]);
		str_add(out, "\n");
	}
}

int pki_subject(const char *path, char *ret, size_t cap, struct diag *d)
{
	SCOPED(text_freep) struct text *t = NULL;
	SCOPED(bio_freep) BIO *in = NULL;
	char subject[PEER_TEXT];
	X509 *c;
	int r;

	if ((r = text_read(path, FILE_MOST, &t, d)) < 0)
		return r;
	in = BIO_new_mem_buf(t->octets, (int)t->len);
	c = in ? PEM_read_bio_X509(in, NULL, NULL, NULL) : NULL;
	ERR_clear_error();
	if (!c)
		return diag_fail(d, ERR_SYNTAX, "%s holds no certificate in PEM form", path);
	(void)snprintf(ret, cap, "%s", name_text(X509_get_subject_name(c), subject));
	X509_free(c);
	return 0;
}

int pki_show(const char *path, int64_t now_s, struct str *out, struct diag *d)
{
	SCOPED(text_freep) struct text *t = NULL;
	SCOPED(bio_freep) BIO *in = NULL;
	int count = 0, r;
	X509 *c;

	if ((r = text_read(path, FILE_MOST, &t, d)) < 0)
		return r;
	in = BIO_new_mem_buf(t->octets, (int)t->len);
	while (in && (c = PEM_read_bio_X509(in, NULL, NULL, NULL))) {
		if (count++)
			str_add(out, "\n");
		show_one(c, now_s, out);
		X509_free(c);
	}
	r = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE ? 0 : -ERR_SYNTAX;
	ERR_clear_error();
	if (r < 0)
		return diag_fail(d, ERR_SYNTAX, "%s: certificate %d of the file is damaged", path, count + 1);
	if (count == 0)
		return diag_fail(d, ERR_SYNTAX, "%s holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)",
				 path);
	return 0;
}
