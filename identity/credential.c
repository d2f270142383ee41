/* Loading what this host proves itself with, and making the proofs. Checking a peer's is in verify.c. */
#include "identity/credential.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/text.h"
#include "identity/name.h"
#include "identity/store.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MOST = 4 << 20, ANCHORS_MOST = 4096 };

/* ---- files ---- */

/* A secret that others can read or change is none. The group may read (Debian's ssl-cert). */
static int secret_is_private(const char *path, const char *what, struct diag *d)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return diag_errno(d, errno, "%s %s", what, path);
	if (!S_ISREG(st.st_mode)) /* a pipe: whoever gave it to us answers for it */
		return 0;
	if (st.st_mode & (S_IRWXO | S_IWGRP | S_IXGRP))
		return diag_fail(d, EACCES, "%s %s is open to other users (mode %04o): chmod 600 %s", what, path,
				 st.st_mode & 07777u, path);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return diag_fail(d, EACCES, "%s %s belongs to another user (uid %u): chown root %s", what, path,
				 (unsigned)st.st_uid, path);
	return 0;
}

static BIO *bio_of(const struct text *t)
{
	return BIO_new_mem_buf(t->octets, (int)t->len);
}

/* All certificates of a PEM file, in its order; private keys and comments between them are passed over. */
static int certificates_read(const char *path, STACK_OF(X509) * *ret, struct diag *d)
{
	SCOPED(text_freep) struct text *t = NULL;
	SCOPED(bio_freep) BIO *in = NULL;
	SCOPED(x509_stack_freep) STACK_OF(X509) *all = sk_X509_new_null();
	X509 *c;
	int r;

	if ((r = text_read(path, FILE_MOST, &t, d)) < 0)
		return diag_wrap(d, r, "certificate");
	in = bio_of(t);
	while (in && all && (c = PEM_read_bio_X509(in, NULL, NULL, NULL)))
		if (sk_X509_push(all, c) <= 0)
			X509_free(c);
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		r = -ERR_SYNTAX;
	ERR_clear_error();
	if (r < 0)
		return diag_fail(d, ERR_SYNTAX, "%s: certificate %d of the file is damaged", path,
				 sk_X509_num(all) + 1);
	if (sk_X509_num(all) <= 0)
		return diag_fail(d, ERR_SYNTAX, "%s holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)",
				 path);
	*ret = TAKE(all);
	return 0;
}

static int no_passphrase(char *buf, int size, int writing, void *asked)
{
	(void)buf, (void)size, (void)writing;
	*(bool *)asked = true;
	return -1;
}

static int key_read(const char *path, EVP_PKEY **ret, struct diag *d)
{
	SCOPED(text_freep) struct text *t = NULL;
	SCOPED(bio_freep) BIO *in = NULL;
	bool asked = false;
	int r;

	if ((r = secret_is_private(path, "private key", d)) < 0)
		return r;
	if ((r = text_read(path, FILE_MOST, &t, d)) < 0)
		return diag_wrap(d, r, "private key");
	in = bio_of(t);
	*ret = in ? PEM_read_bio_PrivateKey(in, NULL, no_passphrase, &asked) : NULL;
	ERR_clear_error();
	if (!*ret && asked)
		return diag_fail(
			d, ERR_UNSUPPORTED,
			"private key %s is locked by a passphrase, and nobody is there to type it: openssl pkey "
			"-in %s -out KEY writes it without",
			path, path);
	if (!*ret)
		return diag_fail(d, ERR_SYNTAX, "%s holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)",
				 path);
	return 0;
}

/* ---- own certificates ---- */

static uint8_t *der_of(X509 *c, size_t *ret_len)
{
	unsigned char *der = NULL;
	int n = i2d_X509(c, &der);
	uint8_t *copy = mem_copy(der, n > 0 ? (size_t)n : 0);

	*ret_len = n > 0 ? (size_t)n : 0;
	OPENSSL_free(der);
	return copy;
}

/* What is sent: everything of the file but a root, which the peer has or does not trust. */
static int sent_chain(struct own_certificate *o, STACK_OF(X509) * file, const char *path, struct diag *d)
{
	int count = sk_X509_num(file);

	o->der = mem_new((size_t)count, sizeof *o->der);
	o->der_lens = mem_new((size_t)count, sizeof *o->der_lens);
	for (int i = 0; i < count; i++) {
		X509 *c = sk_X509_value(file, i);

		if (i > 0 && X509_NAME_cmp(X509_get_subject_name(c), X509_get_issuer_name(c)) == 0)
			continue;
		if (o->der_count == CHAIN_MOST)
			return diag_fail(d, ERR_UNSUPPORTED, "%s: a chain of more than %d certificates", path,
					 CHAIN_MOST);
		o->der[o->der_count] = der_of(c, &o->der_lens[o->der_count]);
		if (o->der_lens[o->der_count++] > CERTIFICATE_MOST)
			return diag_fail(d, ERR_UNSUPPORTED, "%s: a certificate of more than %d octets", path,
					 CERTIFICATE_MOST);
	}
	return 0;
}

/* The subject; a certificate without one is named by its first alternative name (RFC 4945 5.1.2). */
static int own_identity(X509 *leaf, struct own_certificate *o, struct credential *c, const char *path, struct diag *d)
{
	X509_NAME *subject = X509_get_subject_name(leaf);
	SCOPED(general_names_freep)
	GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	unsigned char *der = NULL;
	int n;

	if (X509_NAME_entry_count(subject) > 0 && (n = i2d_X509_NAME(subject, &der)) > 0) {
		o->id = mem_copy(der, (size_t)n);
		OPENSSL_free(der);
		c->id_type = ID_DER_DN;
		c->id_len = (size_t)n;
		return 0;
	}
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
		const ASN1_STRING *s = g->type == GEN_DNS     ? g->d.dNSName
				       : g->type == GEN_EMAIL ? g->d.rfc822Name
				       : g->type == GEN_IPADD ? g->d.iPAddress
							      : NULL;

		if (!s || s->length <= 0)
			continue;
		o->id = mem_copy(s->data, (size_t)s->length);
		c->id_len = (size_t)s->length;
		c->id_type = g->type == GEN_DNS     ? ID_FQDN
			     : g->type == GEN_EMAIL ? ID_RFC822
			     : s->length == 4       ? ID_IPV4
						    : ID_IPV6;
		return 0;
	}
	return diag_fail(d, ERR_UNSUPPORTED, "%s: the certificate has no subject and no alternative name", path);
}

static uint64_t seconds_of(const ASN1_TIME *t)
{
	struct tm tm;
	time_t s;

	return ASN1_TIME_to_tm(t, &tm) == 1 && (s = timegm(&tm)) > 0 ? (uint64_t)s : 0;
}

static int own_load(const struct credential_store *s, const struct credential_files *f, struct own_certificate *o,
		    struct credential *c, struct diag *d)
{
	SCOPED(x509_stack_freep) STACK_OF(X509) *file = NULL;
	SCOPED(pkey_freep) EVP_PKEY *key = NULL;
	X509 *leaf;
	int r;

	if ((r = certificates_read(f->certificate, &file, d)) < 0 || (r = key_read(f->key, &key, d)) < 0)
		return r;
	leaf = sk_X509_value(file, 0);
	for (int i = 0; i < sk_X509_num(file); i++) {
		if (X509_check_private_key(sk_X509_value(file, i), key) == 1) {
			if (i == 0)
				break;
			return diag_fail(d, ERR_SYNTAX,
					 "%s: the certificate of %s is number %d; put it first, its issuers behind it",
					 f->certificate, f->key, i + 1);
		}
		if (i + 1 == sk_X509_num(file)) {
			ERR_clear_error();
			return diag_fail(d, ERR_CRYPTO, "the private key %s does not belong to the certificate in %s",
					 f->key, f->certificate);
		}
	}
	ERR_clear_error();
	(void)name_text(X509_get_subject_name(leaf), o->chain.subject);
	if ((r = signature_key_check(key, f->certificate, o->key_type, d)) < 0 ||
	    (r = signing_key_init(&o->key, key, d)) < 0 || (r = sent_chain(o, file, f->certificate, d)) < 0 ||
	    (r = own_identity(leaf, o, c, f->certificate, d)) < 0)
		return r;
	/* A host may prove itself to authorities that it does not trust itself: then the file's certificates will do.
	 */
	if (chain_build(s->anchors, file, 0, &o->chain, NULL) < 0)
		o->chain.path = TAKE(file);
	ERR_clear_error();
	c->kind = AUTH_CERTIFICATE;
	c->id = o->id;
	c->chain = (const uint8_t *const *)o->der;
	c->chain_lens = o->der_lens;
	c->chain_count = o->der_count;
	c->subject = o->chain.subject;
	c->not_after_s = seconds_of(X509_get0_notAfter(leaf));
	c->key_type = o->key_type;
	return 0;
}

/* ---- anchors ---- */

static int anchor_add(struct credential_store *s, X509 *c, const char *path, struct diag *d)
{
	char subject[PEER_TEXT], type[KEY_TYPE_TEXT];
	unsigned char *der = NULL;
	uint8_t hash[DIGEST_MAX];
	size_t hash_len;
	int n, r;

	(void)name_text(X509_get_subject_name(c), subject);
	if (X509_check_ca(c) == 0)
		return diag_fail(d, ERR_SYNTAX, "%s: %s is not an authority; `trust` takes certificates of authorities",
				 path, subject);
	if ((r = signature_key_check(X509_get0_pubkey(c), subject, type, d)) < 0)
		return diag_wrap(d, r, "%s", path);
	if (s->authority_count == ANCHORS_MOST)
		return diag_fail(d, E2BIG, "%s: more than %d trusted authorities", path, ANCHORS_MOST);
	if (X509_STORE_add_cert(s->anchors, c) != 1 || (n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(c), &der)) <= 0)
		return diag_fail(d, ERR_CRYPTO, "%s: %s cannot be trusted", path, subject);
	struct octets spki = { der, (size_t)n };

	r = crypto_digest("SHA1", &spki, 1, hash, &hash_len, d); /* a name for CERTREQ, not a protection */
	OPENSSL_free(der);
	if (r < 0)
		return r;
	s->authorities = mem_resize(s->authorities, s->authority_count + 1, sizeof *s->authorities);
	memcpy(s->authorities[s->authority_count++], hash, sizeof *s->authorities);
	return 0;
}

static int anchors_load(struct credential_store *s, const char *path, struct diag *d)
{
	SCOPED(x509_stack_freep) STACK_OF(X509) *all = NULL;
	SCOPED(text_freep) struct text *t = NULL;
	SCOPED(bio_freep) BIO *in = NULL;
	X509_CRL *crl;
	int r;

	if ((r = certificates_read(path, &all, d)) < 0)
		return r;
	for (int i = 0; i < sk_X509_num(all); i++)
		if ((r = anchor_add(s, sk_X509_value(all, i), path, d)) < 0)
			return r;
	if ((r = text_read(path, FILE_MOST, &t, d)) < 0)
		return r;
	in = bio_of(t);
	while (in && r == 0 && (crl = PEM_read_bio_X509_CRL(in, NULL, NULL, NULL))) {
		if (X509_STORE_add_crl(s->anchors, crl) != 1)
			r = diag_fail(d, ERR_CRYPTO, "%s: a revocation list cannot be used", path);
		X509_CRL_free(crl);
	}
	ERR_clear_error();
	return r;
}

/* ---- pre-shared keys ---- */

/* The file is the key, but for one line ending, which editors add. */
static int psk_load(const char *root, const char *file, struct psk *p, struct credential *c, struct diag *d)
{
	char path[4096];
	SCOPED(text_freep) struct text *t = NULL;
	size_t len;
	int r;

	if (snprintf(path, sizeof path, "%s%s", root ? root : "", file) >= (int)sizeof path)
		return diag_fail(d, ENAMETOOLONG, "pre-shared key %.80s", file);
	if ((r = secret_is_private(path, "pre-shared key", d)) < 0)
		return r;
	if ((r = text_read(path, PSK_MOST, &t, d)) < 0)
		return diag_wrap(d, r, "pre-shared key");
	len = t->len;
	if (len && t->octets[len - 1] == '\n')
		len--;
	if (len && t->octets[len - 1] == '\r')
		len--;
	if (len == 0)
		return diag_fail(d, ERR_SYNTAX, "pre-shared key %s is empty; openssl rand -base64 32 makes a good one",
				 path);
	if (len > PSK_MOST)
		return diag_fail(d, ERR_SYNTAX, "pre-shared key %s is over %d octets", path, PSK_MOST);
	if (memchr(t->octets, '\n', len))
		return diag_fail(d, ERR_SYNTAX, "pre-shared key %s has more than one line; a file holds one key", path);
	p->file = mem_string(file);
	memcpy(p->octets, t->octets, len);
	p->len = len;
	c->kind = AUTH_PSK;
	c->psk_file = p->file;
	c->subject = p->file;
	c->key_type = "pre-shared-key";
	return 0;
}

int store_psk(const struct credential_store *s, const char *file, const struct psk **ret, struct diag *d)
{
	for (size_t i = 0; i < s->psk_count; i++)
		if (strcmp(s->psks[i].file, file) == 0) {
			*ret = &s->psks[i];
			return 0;
		}
	return diag_fail(d, ENOENT, "this host has no pre-shared key %s", file);
}

int psk_proof(const struct psk *psk, const struct algorithm *prf, const struct octets *message, struct key *ret,
	      struct diag *d)
{
	struct octets pad = { "Key Pad for IKEv2", 17 };
	SCOPED(key_wipe) struct key padded = { 0 };
	int r = crypto_prf(prf, psk->octets, psk->len, &pad, 1, &padded, d);

	return r < 0 ? r : crypto_prf(prf, padded.octets, padded.len, message, 1, ret, d);
}

/* ---- the store ---- */

int credential_store_load(const struct credential_files *certificates, size_t certificate_count,
			  const char *const *trust_files, size_t trust_count, const char *psk_root,
			  const char *const *psk_files, size_t psk_count, struct credential_store **ret, struct diag *d)
{
	SCOPED(credential_store_freep) struct credential_store *s = mem_new(1, sizeof *s);
	int r;

	s->anchors = chain_store_new();
	if (!s->anchors)
		return diag_fail(d, ERR_CRYPTO, "libcrypto gives no certificate store");
	s->certificates = mem_new(certificate_count, sizeof *s->certificates);
	s->psks = mem_new(psk_count, sizeof *s->psks);
	s->credentials = mem_new(certificate_count + psk_count, sizeof *s->credentials);
	for (size_t i = 0; i < trust_count; i++)
		if ((r = anchors_load(s, trust_files[i], d)) < 0)
			return r;
	for (; s->certificate_count < certificate_count; s->certificate_count++) {
		size_t i = s->certificate_count;

		if ((r = own_load(s, &certificates[i], &s->certificates[i], &s->credentials[i], d)) < 0) {
			s->certificate_count++; /* what was made of it is freed with the rest */
			return r;
		}
	}
	for (; s->psk_count < psk_count; s->psk_count++)
		if ((r = psk_load(psk_root, psk_files[s->psk_count], &s->psks[s->psk_count],
				  &s->credentials[certificate_count + s->psk_count], d)) < 0)
			return r;
	*ret = TAKE(s);
	return 0;
}

void credential_store_free(struct credential_store *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->certificate_count; i++) {
		struct own_certificate *o = &s->certificates[i];

		for (size_t k = 0; k < o->der_count; k++)
			free(o->der[k]);
		free(o->der);
		free(o->der_lens);
		free(o->id);
		signing_key_wipe(&o->key);
		chain_wipe(&o->chain);
	}
	for (size_t i = 0; i < s->psk_count; i++) {
		free(s->psks[i].file);
		explicit_bzero(&s->psks[i], sizeof s->psks[i]);
	}
	X509_STORE_free(s->anchors);
	free(s->authorities);
	free(s->certificates);
	free(s->psks);
	free(s->credentials);
	free(s);
}

size_t credential_count(const struct credential_store *s)
{
	return s->certificate_count + s->psk_count;
}

const struct credential *credential_get(const struct credential_store *s, size_t number)
{
	return &s->credentials[number];
}

size_t credential_authorities(const struct credential_store *s, const uint8_t (**ret)[20])
{
	*ret = (const uint8_t(*)[20])s->authorities;
	return s->authority_count;
}

bool credential_satisfies(const struct credential_store *s, size_t number, const struct auth_method *m, struct diag *d)
{
	const struct credential *c = &s->credentials[number];

	if (c->kind != m->kind) {
		(void)diag_fail(d, ERR_POLICY, "%s is no %s", c->subject,
				m->kind == AUTH_PSK           ? "pre-shared key"
				: m->kind == AUTH_CERTIFICATE ? "certificate"
							      : "Kerberos credential");
		return false;
	}
	if (m->kind == AUTH_PSK) {
		if (m->psk_file && strcmp(m->psk_file, c->psk_file) == 0)
			return true;
		(void)diag_fail(d, ERR_POLICY, "the policy asks for the pre-shared key %s", m->psk_file);
		return false;
	}
	/* Whether a certificate is revoked is for its peers to find out. */
	struct auth_method own = *m;

	own.revocation = REVOCATION_OFF;
	return chain_satisfies(&s->certificates[number].chain, &own, NULL, d) == 0;
}

int credential_sign(const struct credential_store *s, size_t number, const struct algorithm *psk_prf,
		    uint16_t peer_hashes, const void *octets, size_t len, uint8_t *ret_method, uint8_t *ret, size_t cap,
		    size_t *ret_len, struct diag *d)
{
	struct octets message = { octets, len };
	SCOPED(key_wipe) struct key proof = { 0 };
	int r;

	if (number >= credential_count(s))
		return diag_fail(d, ENOENT, "this host has no credential %zu", number);
	if (s->credentials[number].kind == AUTH_CERTIFICATE)
		return signature_make(&s->certificates[number].key, peer_hashes, &message, ret_method, ret, cap,
				      ret_len, d);
	if (!psk_prf)
		return diag_fail(d, ERR_CRYPTO, "a pre-shared key needs the PRF");
	if ((r = psk_proof(&s->psks[number - s->certificate_count], psk_prf, &message, &proof, d)) < 0)
		return r;
	if (proof.len > cap)
		return diag_fail(d, ERR_CRYPTO, "the proof needs more room than %zu octets", cap);
	memcpy(ret, proof.octets, proof.len);
	*ret_len = proof.len;
	*ret_method = AUTH_SHARED_KEY;
	return 0;
}
