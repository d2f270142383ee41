/* Loading what this host proves itself with, but for the secrets. Checking a peer's proof is in verify.c. */
#include "identity/credential.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/text.h"
#include "identity/criteria.h"
#include "identity/keyring.h"
#include "identity/lineage.h"
#include "identity/name.h"
#include "identity/kerberos/principal.h"
#include "identity/store.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FILE_MOST = 4 << 20, ANCHORS_MOST = 4096, PATH_TEXT = 4096 };

_Static_assert((int)CHAIN_MOST == (int)CREDENTIAL_CHAIN_MOST, "one bound");

/* ---- files ---- */

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

static int authority_digest(X509 *c, uint8_t ret[CREDENTIAL_HASH], struct diag *d)
{
	unsigned char *der = NULL;
	uint8_t hash[DIGEST_MAX];
	size_t hash_len;
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(c), &der), r;
	struct octets spki = { der, n > 0 ? (size_t)n : 0 };

	if (n <= 0)
		return diag_fail(d, ERR_CRYPTO, "libcrypto cannot write a key");
	r = crypto_digest("SHA1", &spki, 1, hash, &hash_len, d); /* a name for CERTREQ, not a protection */
	OPENSSL_free(der);
	if (r == 0)
		memcpy(ret, hash, CREDENTIAL_HASH);
	return r;
}

/* Those of the path, and whatever else the file leads to: a cross-signed authority has several above it. */
static int own_authorities(struct own_certificate *o, struct diag *d)
{
	const STACK_OF(X509) *const from[] = { o->chain.path, o->file };
	int r;

	for (size_t k = 0; k < ARRAY_LEN(from); k++)
		for (int i = 1; i < sk_X509_num(from[k]) && o->authority_count < ARRAY_LEN(o->authorities); i++) {
			uint8_t *to = o->authorities[o->authority_count];
			bool known = false;

			if ((r = authority_digest(sk_X509_value(from[k], i), to, d)) < 0)
				return r;
			for (size_t q = 0; q < o->authority_count; q++)
				known |= memcmp(o->authorities[q], to, CREDENTIAL_HASH) == 0;
			o->authority_count += !known;
		}
	return 0;
}

/* The number stays the same as long as the certificate does. */
static int number_of(const char *what, const void *octets, size_t len, uint32_t *ret, struct diag *d)
{
	const struct octets parts[] = { { what, strlen(what) }, { octets, len } };
	uint8_t digest[DIGEST_MAX];
	size_t digest_len;
	int r = crypto_digest("SHA256", parts, ARRAY_LEN(parts), digest, &digest_len, d);

	if (r == 0)
		*ret = (uint32_t)digest[0] << 24 | (uint32_t)digest[1] << 16 | (uint32_t)digest[2] << 8 | digest[3];
	return r;
}

static void own_wipe(struct own_certificate *o)
{
	for (size_t k = 0; k < o->der_count; k++)
		free(o->der[k]);
	free(o->der);
	free(o->der_lens);
	free(o->id);
	free(o->path);
	free(o->key_path);
	x509_stack_free(o->file);
	chain_wipe(&o->chain);
	*o = (struct own_certificate){ 0 };
}

/* From what files held; takes references. */
static int own_make(const struct credential_store *s, const struct credential_files *f, STACK_OF(X509) * file,
		    struct own_certificate *o, struct credential *c, struct diag *d)
{
	X509 *leaf = sk_X509_value(file, 0);
	EVP_PKEY *key = X509_get0_pubkey(leaf);
	bool silent;
	int r;

	*c = (struct credential){ .kind = AUTH_CERTIFICATE };
	o->path = mem_string(f->certificate);
	o->key_path = mem_string(f->key);
	(void)name_text(X509_get_subject_name(leaf), o->chain.subject);
	(void)name_text(X509_get_issuer_name(leaf), o->issuer);
	if ((r = signature_key_check(key, f->certificate, o->key_type, d)) < 0 ||
	    (r = sent_chain(o, file, f->certificate, d)) < 0 || (r = own_identity(leaf, o, c, f->certificate, d)) < 0)
		return r;
	if (!(o->file = X509_chain_up_ref(file)))
		return diag_fail(d, ERR_CRYPTO, "libcrypto keeps no certificates");
	/* A host may prove itself to authorities that it does not trust itself: then the file's certificates will do.
	 */
	if (chain_build(s->anchors, file, 0, &o->chain, NULL) < 0)
		o->chain.path = X509_chain_up_ref(file);
	ERR_clear_error();
	if ((r = own_authorities(o, d)) < 0 ||
	    (r = number_of("certificate", o->der[0], o->der_lens[0], &c->number, d)) < 0)
		return r;
	c->id = o->id;
	c->chain = (const uint8_t *const *)o->der;
	c->chain_lens = o->der_lens;
	c->chain_count = o->der_count;
	c->subject = o->chain.subject;
	c->issuer = o->issuer;
	c->path = o->path;
	c->not_before_s = seconds_of(X509_get0_notBefore(leaf));
	c->not_after_s = seconds_of(X509_get0_notAfter(leaf));
	c->key_type = o->key_type;
	c->authorities = (const uint8_t(*)[CREDENTIAL_HASH])o->authorities;
	c->authority_count = o->authority_count;
	c->hashes = signature_hashes(key, &silent);
	c->silent = silent;
	return 0;
}

/* ---- their keys, which others hold ---- */

struct publics {
	struct octets at[KEYRING_PUBLICS_MOST];
	size_t count;
};

static void publics_wipe(struct publics *p)
{
	while (p->count)
		OPENSSL_free((void *)(uintptr_t)p->at[--p->count].at);
}

static int publics_of(STACK_OF(X509) * file, struct publics *ret, struct diag *d)
{
	for (int i = 0; i < sk_X509_num(file) && ret->count < ARRAY_LEN(ret->at); i++) {
		unsigned char *der = NULL;
		int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(sk_X509_value(file, i)), &der);

		if (n <= 0)
			return diag_fail(d, ERR_CRYPTO, "libcrypto cannot write a key");
		ret->at[ret->count++] = (struct octets){ der, (size_t)n };
	}
	return 0;
}

static int key_load(const struct credential_holder *h, const struct credential_files *f, STACK_OF(X509) * file,
		    uint32_t number, struct diag *d)
{
	SCOPED(publics_wipe) struct publics publics = { 0 };
	struct keyring_item item = { .number = number, .uses = KEYRING_SIGN, .path = f->key };
	size_t fits = 0;
	int r;

	if (!h)
		return 0;
	if ((r = publics_of(file, &publics, d)) < 0)
		return r;
	item.publics = publics.at;
	item.public_count = publics.count;
	if ((r = h->load(h->context, &item, &fits, d)) < 0)
		return r;
	if (fits >= publics.count)
		return diag_fail(d, ERR_CRYPTO, "the private key %s does not belong to the certificate in %s", f->key,
				 f->certificate);
	if (fits > 0)
		return diag_fail(d, ERR_SYNTAX,
				 "%s: the certificate of %s is number %zu; put it first, its issuers behind it",
				 f->certificate, f->key, fits + 1);
	return 0;
}

static bool key_keep(const struct credential_holder *h, uint32_t number, unsigned uses)
{
	return !h || h->keep(h->context, number, uses, NULL) == 0;
}

static int own_load(const struct credential_store *s, const struct credential_holder *h,
		    const struct credential_files *f, struct own_certificate *o, struct credential *c, struct diag *d)
{
	SCOPED(x509_stack_freep) STACK_OF(X509) *file = NULL;
	int r;

	if ((r = certificates_read(f->certificate, &file, d)) < 0 || (r = own_make(s, f, file, o, c, d)) < 0)
		return r;
	return key_load(h, f, file, c->number, d);
}

static bool own_keep(const struct credential_store *s, const struct credential_holder *h,
		     const struct credential_files *f, const struct own_certificate *old, struct own_certificate *o,
		     struct credential *c)
{
	return own_make(s, f, old->file, o, c, NULL) == 0 && key_keep(h, c->number, KEYRING_SIGN);
}

/* What a former loading had of these files; NULL: nothing. */
static const struct own_certificate *own_before(const struct credential_store *before, const struct credential_files *f)
{
	for (size_t i = 0; before && i < before->certificate_count; i++)
		if (!before->credentials[i].retired && strcmp(before->certificates[i].path, f->certificate) == 0 &&
		    strcmp(before->certificates[i].key_path, f->key) == 0)
			return &before->certificates[i];
	return NULL;
}

/* Certificates that were replaced end what was begun with them. */
static void retire(struct credential_store *s, const struct credential_holder *h, const struct credential_store *before)
{
	for (size_t i = 0; before && i < before->certificate_count; i++) {
		const struct own_certificate *old = &before->certificates[i];
		const struct credential_files f = { old->path, old->key_path };
		size_t n = s->certificate_count, same;

		if (before->credentials[i].retired || credential_find(s, before->credentials[i].number, &same))
			continue;
		if (!own_keep(s, h, &f, old, &s->certificates[n], &s->credentials[n])) {
			own_wipe(&s->certificates[n]);
			continue;
		}
		s->credentials[n].retired = true;
		s->certificate_count++;
	}
}

/* ---- anchors ---- */

static int anchor_add(struct credential_store *s, X509 *c, const char *path, struct diag *d)
{
	char subject[PEER_TEXT], type[KEY_TYPE_TEXT];
	uint8_t hash[CREDENTIAL_HASH];
	int r;

	(void)name_text(X509_get_subject_name(c), subject);
	if (X509_check_ca(c) == 0)
		return diag_fail(d, ERR_SYNTAX, "%s: %s is not an authority; `trust` takes certificates of authorities",
				 path, subject);
	if ((r = signature_key_check(X509_get0_pubkey(c), subject, type, d)) < 0)
		return diag_wrap(d, r, "%s", path);
	if (s->authority_count == ANCHORS_MOST)
		return diag_fail(d, E2BIG, "%s: more than %d trusted authorities", path, ANCHORS_MOST);
	if ((r = authority_digest(c, hash, d)) < 0)
		return r;
	if (X509_STORE_add_cert(s->anchors, c) != 1)
		return diag_fail(d, ERR_CRYPTO, "%s: %s cannot be trusted", path, subject);
	s->authorities = mem_resize(s->authorities, s->authority_count + 1, sizeof *s->authorities);
	memcpy(s->authorities[s->authority_count++], hash, sizeof *s->authorities);
	return 0;
}

/* All of a file or none of it. */
static int anchors_check(STACK_OF(X509) * all, const char *path, struct diag *d)
{
	SCOPED(credential_store_freep) struct credential_store *alone = mem_new(1, sizeof *alone);
	int r = 0;

	if (!(alone->anchors = chain_store_new()))
		return diag_fail(d, ERR_CRYPTO, "libcrypto gives no certificate store");
	for (int i = 0; r == 0 && i < sk_X509_num(all); i++)
		r = anchor_add(alone, sk_X509_value(all, i), path, d);
	return r;
}

static int trust_add(struct credential_store *s, const char *path, STACK_OF(X509) * all, struct diag *d)
{
	struct trust_file *t = &s->trust[s->trust_count];
	int r = 0;

	if (!(t->certificates = X509_chain_up_ref(all)))
		return diag_fail(d, ERR_CRYPTO, "libcrypto keeps no certificates");
	t->path = mem_string(path);
	s->trust_count++;
	for (int i = 0; r == 0 && i < sk_X509_num(all); i++)
		r = anchor_add(s, sk_X509_value(all, i), path, d);
	return r;
}

static int lists_load(struct credential_store *s, const char *path, bool needed, struct diag *d)
{
	SCOPED(text_freep) struct text *t = NULL;
	int r;

	if ((r = text_read(path, REVOCATION_OCTETS_MOST, &t, d)) < 0)
		return diag_wrap(d, r, "revocation list");
	if (!needed && !memmem(t->octets, t->len, "-----BEGIN X509 CRL-----", 24))
		return 0;
	return revocation_lists_put(s->lists, path, t->octets, t->len, NULL, d);
}

static int trust_load(struct credential_store *s, const char *path, struct diag *d)
{
	SCOPED(x509_stack_freep) STACK_OF(X509) *all = NULL;
	int r;

	if ((r = certificates_read(path, &all, d)) < 0 || (r = anchors_check(all, path, d)) < 0 ||
	    (r = lists_load(s, path, false, d)) < 0)
		return r;
	return trust_add(s, path, all, d);
}

static bool trust_keep(struct credential_store *s, const struct credential_store *before, const char *path)
{
	for (size_t i = 0; before && i < before->trust_count; i++)
		if (strcmp(before->trust[i].path, path) == 0 &&
		    trust_add(s, path, before->trust[i].certificates, NULL) == 0) {
			(void)revocation_lists_take(s->lists, before->lists, path);
			return true;
		}
	return false;
}

/* ---- pre-shared keys ---- */

static void psk_describe(const char *file, unsigned uses, struct psk *p, struct credential *c)
{
	p->file = mem_string(file);
	p->uses = uses;
	*c = (struct credential){ .kind = AUTH_PSK,
				  .number = credential_psk_number(file),
				  .psk_file = p->file,
				  .subject = p->file,
				  .path = p->file,
				  .key_type = "pre-shared-key",
				  .hashes = UINT16_MAX,
				  .silent = true };
}

uint32_t credential_psk_number(const char *file)
{
	uint32_t number = 0;

	(void)number_of("pre-shared key", file, strlen(file), &number, NULL);
	return number;
}

static int psk_load(const struct credential_holder *h, const char *root, const char *file, unsigned uses, struct psk *p,
		    struct credential *c, struct diag *d)
{
	char path[PATH_TEXT];
	size_t fits = 0;
	int r;

	if (snprintf(path, sizeof path, "%s%s", root ? root : "", file) >= (int)sizeof path)
		return diag_fail(d, ENAMETOOLONG, "pre-shared key %.80s", file);
	if (h &&
	    (r = h->load(h->context,
			 &(struct keyring_item){ .number = credential_psk_number(file), .uses = uses, .path = path },
			 &fits, d)) < 0)
		return r;
	psk_describe(file, uses, p, c);
	return 0;
}

static bool psk_keep(const struct credential_holder *h, const struct credential_store *before, const char *file,
		     unsigned uses, struct psk *p, struct credential *c)
{
	for (size_t i = 0; before && i < before->psk_count; i++)
		if (strcmp(before->psks[i].file, file) == 0 && key_keep(h, credential_psk_number(file), uses)) {
			psk_describe(file, uses, p, c);
			return true;
		}
	return false;
}

/* ---- the store ---- */

/* One loading: what is to be done with a bad file. */
struct loading {
	struct credential_store *s;
	const struct credential_store *before;
	const struct credential_holder *holder;
	credential_bad *bad;
	void *context;
	struct diag *d;
};

/* 0: go on without the file, or with what was kept of it. */
static int bad_file(const struct loading *l, const char *path, int r, bool kept)
{
	if (!l->bad)
		return r;
	l->bad(l->context, path, l->d ? l->d->text : "", kept);
	return 0;
}

static int load_trust(const struct loading *l, const struct credential_sources *from)
{
	int r;

	for (size_t i = 0; i < from->trust_count; i++) {
		const char *path = from->trust[i];

		if ((r = trust_load(l->s, path, l->d)) < 0 &&
		    (r = bad_file(l, path, r, l->bad && trust_keep(l->s, l->before, path))) < 0)
			return r;
	}
	return 0;
}

static int load_list(const struct loading *l, const char *path)
{
	int r = lists_load(l->s, path, true, l->d);

	return r == 0 ? 0
		      : bad_file(l, path, r,
				 l->bad && l->before && revocation_lists_take(l->s->lists, l->before->lists, path));
}

static int is_list(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

/* In the order of their names; what is no file is passed over. */
static int load_folder(const struct loading *l, const char *path)
{
	struct dirent **names;
	int n = scandir(path, &names, is_list, alphasort), r = 0;

	if (n < 0)
		return bad_file(l, path, diag_errno(l->d, errno, "read the folder %s", path), false);
	for (int i = 0; i < n; i++) {
		char full[PATH_TEXT];
		struct stat st;

		if (r == 0 && snprintf(full, sizeof full, "%s/%s", path, names[i]->d_name) < (int)sizeof full &&
		    stat(full, &st) == 0 && S_ISREG(st.st_mode))
			r = load_list(l, full);
		free(names[i]);
	}
	free(names);
	return r;
}

static int load_lists(const struct loading *l, const struct credential_sources *from)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < from->revocation_list_count; i++) {
		struct stat st;

		r = stat(from->revocation_lists[i], &st) == 0 && S_ISDIR(st.st_mode)
			    ? load_folder(l, from->revocation_lists[i])
			    : load_list(l, from->revocation_lists[i]);
	}
	return r;
}

static int load_certificates(const struct loading *l, const struct credential_sources *from)
{
	struct credential_store *s = l->s;
	int r;

	for (size_t i = 0; i < from->certificate_count; i++) {
		const struct credential_files *f = &from->certificates[i];
		struct own_certificate *o = &s->certificates[s->certificate_count];
		struct credential *c = &s->credentials[s->certificate_count];
		const struct own_certificate *old;
		bool kept;

		if ((r = own_load(s, l->holder, f, o, c, l->d)) == 0) {
			s->certificate_count++;
			continue;
		}
		own_wipe(o);
		old = l->bad ? own_before(l->before, f) : NULL;
		kept = old && own_keep(s, l->holder, f, old, o, c);
		if (kept)
			s->certificate_count++;
		else
			own_wipe(o);
		if ((r = bad_file(l, f->certificate, r, kept)) < 0)
			return r;
	}
	retire(s, l->holder, l->before);
	return 0;
}

static bool is_among(const char *file, const char *const *files, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(files[i], file) == 0)
			return true;
	return false;
}

static int load_psk(const struct loading *l, const struct credential_sources *from, const char *file, unsigned uses)
{
	struct credential_store *s = l->s;
	struct psk *p = &s->psks[s->psk_count];
	struct credential *c = &s->credentials[s->certificate_count + s->psk_count];
	int r = psk_load(l->holder, from->psk_root, file, uses, p, c, l->d);
	bool kept;

	if (r == 0) {
		s->psk_count++;
		return 0;
	}
	kept = l->bad && psk_keep(l->holder, l->before, file, uses, p, c);
	s->psk_count += kept;
	return bad_file(l, file, r, kept);
}

static int load_psks(const struct loading *l, const struct credential_sources *from)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < from->psk_count; i++)
		r = load_psk(l, from, from->psks[i],
			     KEYRING_PROVE | (is_among(from->psks[i], from->ppks, from->ppk_count) ? KEYRING_MIX : 0u));
	for (size_t i = 0; r == 0 && i < from->ppk_count; i++)
		if (!is_among(from->ppks[i], from->psks, from->psk_count))
			r = load_psk(l, from, from->ppks[i], KEYRING_MIX);
	return r;
}

/* ---- the keytab ---- */

static uint32_t keytab_number(const char *path)
{
	uint32_t number = 0;

	(void)number_of("keytab", path, strlen(path), &number, NULL);
	return number;
}

static void keytab_describe(const char *path, const struct keytab_told *told, struct own_keytab *o,
			    struct credential *c)
{
	o->path = mem_string(path);
	o->told = *told;
	*c = (struct credential){ .kind = AUTH_KERBEROS,
				  .number = keytab_number(path),
				  .subject = keytab_told_own(&o->told),
				  .path = o->path,
				  .key_type = "kerberos",
				  .keytab = &o->told };
}

/* One that the holder has taken unseen, because it is about to be there, is told of when it is. */
static int load_keytab(const struct loading *l, const char *path)
{
	struct credential_store *s = l->s;
	struct credential *c = &s->credentials[s->certificate_count + s->psk_count];
	const struct own_keytab *old = l->before && l->before->keytab.path ? &l->before->keytab : NULL;
	struct keytab_told told = { 0 };
	struct keyring_item item = {
		.number = keytab_number(path), .uses = KEYRING_KEYTAB, .path = path, .told = &told
	};
	size_t fits = 0;
	int r = l->holder ? l->holder->load(l->holder->context, &item, &fits, l->d) : 0;
	bool kept =
		r < 0 && l->bad && old && strcmp(old->path, path) == 0 && key_keep(l->holder, item.number, item.uses);

	if (r == 0 && told.count == 0 && old && strcmp(old->path, path) == 0)
		told = old->told;
	if (kept)
		told = old->told;
	if (told.count)
		keytab_describe(path, &told, &s->keytab, c);
	if (r < 0)
		s->keytab.failure = mem_string(l->d->text);
	return r < 0 ? bad_file(l, path, r, kept) : 0;
}

int credential_store_load(const struct credential_sources *from, const struct credential_store *before,
			  credential_bad *bad, void *context, struct credential_store **ret, struct diag *d)
{
	SCOPED(credential_store_freep) struct credential_store *s = mem_new(1, sizeof *s);
	size_t most = from->certificate_count + (before ? before->certificate_count : 0);
	struct diag own = { 0 };
	struct loading l = {
		.s = s, .before = before, .holder = from->holder, .bad = bad, .context = context, .d = d ? d : &own
	};
	int r;

	s->lineage = from->lineage;
	s->lists = revocation_lists_new();
	s->anchors = chain_store_new();
	if (!s->anchors)
		return diag_fail(d, ERR_CRYPTO, "libcrypto gives no certificate store");
	s->trust = mem_new(from->trust_count, sizeof *s->trust);
	s->certificates = mem_new(most, sizeof *s->certificates);
	s->psks = mem_new(from->psk_count + from->ppk_count, sizeof *s->psks);
	s->credentials = mem_new(most + from->psk_count + from->ppk_count + 1, sizeof *s->credentials);
	if ((r = load_trust(&l, from)) < 0 || (r = load_lists(&l, from)) < 0 || (r = load_certificates(&l, from)) < 0 ||
	    (r = load_psks(&l, from)) < 0 || (from->keytab && (r = load_keytab(&l, from->keytab)) < 0))
		return r;
	*ret = TAKE(s);
	return 0;
}

void credential_store_free(struct credential_store *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->certificate_count; i++)
		own_wipe(&s->certificates[i]);
	for (size_t i = 0; i < s->trust_count; i++) {
		free(s->trust[i].path);
		x509_stack_free(s->trust[i].certificates);
	}
	for (size_t i = 0; i < s->psk_count; i++)
		free(s->psks[i].file);
	free(s->keytab.path);
	free(s->keytab.failure);
	X509_STORE_free(s->anchors);
	revocation_lists_free(s->lists);
	free(s->authorities);
	free(s->trust);
	free(s->certificates);
	free(s->psks);
	free(s->credentials);
	free(s);
}

size_t credential_count(const struct credential_store *s)
{
	return s->certificate_count + s->psk_count + (s->keytab.path != NULL);
}

const struct credential *credential_get(const struct credential_store *s, size_t index)
{
	return &s->credentials[index];
}

bool credential_find(const struct credential_store *s, uint32_t number, size_t *ret_index)
{
	for (size_t i = 0; i < credential_count(s); i++)
		if (s->credentials[i].number == number) {
			*ret_index = i;
			return true;
		}
	return false;
}

size_t credential_authorities(const struct credential_store *s, const uint8_t (**ret)[CREDENTIAL_HASH])
{
	*ret = (const uint8_t(*)[CREDENTIAL_HASH])s->authorities;
	return s->authority_count;
}

struct revocation_lists *credential_lists(const struct credential_store *s)
{
	return s->lists;
}

const char *credential_keytab_failure(const struct credential_store *s)
{
	return s->keytab.failure;
}

static bool is_of_realm(const struct credential *c, const char *realm, struct diag *d)
{
	for (size_t i = 0; realm && i < c->keytab->count; i++)
		if (principal_realm_equal(principal_realm(c->keytab->all[i].name), realm))
			return true;
	if (!realm)
		return true;
	(void)diag_fail(
		d, ERR_POLICY,
		"%.200s is not of the realm %.100s that the policy asks for: the keytab %.120s should have a key "
		"of this host's account there, or the policy name another realm",
		c->subject, realm, c->path);
	return false;
}

bool credential_satisfies(const struct credential_store *s, size_t index, const struct auth_method *m, struct diag *d)
{
	const struct credential *c = &s->credentials[index];

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
	if (m->kind == AUTH_KERBEROS)
		return is_of_realm(c, m->realm, d);
	return criteria_satisfied(&s->certificates[index].chain, m, CRITERIA_OWN, s->lineage, NULL, d) == 0;
}

static int is_valid(const X509 *c, uint64_t now_s, struct diag *d)
{
	char subject[PEER_TEXT], day[24] = "";
	uint64_t from_s = seconds_of(X509_get0_notBefore(c)), to_s = seconds_of(X509_get0_notAfter(c));
	time_t at = (time_t)(now_s < from_s ? from_s : to_s);
	struct tm tm;

	if (now_s >= from_s && now_s < to_s)
		return 0;
	if (gmtime_r(&at, &tm))
		(void)strftime(day, sizeof day, "%Y-%m-%d %H:%M", &tm);
	return diag_fail(d, ERR_POLICY, now_s < from_s ? "%s is valid from %s (UTC) on" : "%s expired on %s (UTC)",
			 name_text(X509_get_subject_name(c), subject), day);
}

bool credential_is_good(const struct credential_store *s, size_t index, uint64_t now_s, struct diag *d)
{
	const struct own_certificate *o = &s->certificates[index];
	struct revocation_verdict *v;
	bool revoked;

	if (s->credentials[index].kind != AUTH_CERTIFICATE)
		return true;
	for (int i = 0; i < sk_X509_num(o->chain.path); i++)
		if (is_valid(sk_X509_value(o->chain.path, i), now_s, d) < 0)
			return false;
	v = mem_new(1, sizeof *v);
	revocation_judge(&s->lists, 1, o->chain.path, now_s, v);
	revoked = v->state == REVOKED_KNOWN;
	if (revoked)
		(void)diag_fail(d, ERR_POLICY, "%s", v->words);
	free(v);
	return !revoked;
}

bool credential_note_lineage(const struct credential_store *s, struct lineage *l)
{
	bool is_new = false;

	for (size_t i = 0; i < s->certificate_count; i++)
		is_new |= lineage_note(l, sk_X509_value(s->certificates[i].file, 0));
	return is_new;
}

size_t credential_ends(const struct credential_store *s, struct credential_end *rows, size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; i < s->certificate_count; i++) {
		const struct own_certificate *o = &s->certificates[i];

		for (int k = 0; !s->credentials[i].retired && k < sk_X509_num(o->chain.path); k++, n++) {
			const X509 *c = sk_X509_value(o->chain.path, k);
			struct credential_end *e = n < cap ? &rows[n] : NULL;

			if (!e)
				continue;
			*e = (struct credential_end){ .not_after_s = seconds_of(X509_get0_notAfter(c)),
						      .authority = k > 0 };
			(void)name_text(X509_get_subject_name(c), e->subject);
			(void)snprintf(e->of, sizeof e->of, "%s", o->chain.subject);
			(void)X509_digest(c, EVP_sha256(), e->digest, NULL);
		}
	}
	return n;
}
