#include "identity/revocation.h"

#include "base/diag.h"
#include "base/mem.h"
#include "identity/handle.h"
#include "identity/name.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { SOURCE_MOST = 4096 };

HANDLE(CRL_DIST_POINTS, points, CRL_DIST_POINTS_free)

struct list {
	char *source;
	X509_CRL *crl;
	uint64_t from_s, next_s;
	bool strange;              /* of a kind that we do not take */
	ISSUING_DIST_POINT *scope; /* NULL: everything that the authority issues */
	EVP_PKEY *signer;          /* the key that it was last tried with, and whether it had signed it */
	bool signed_by;
};

struct revocation_lists {
	pthread_mutex_t lock;
	struct list *lists;
	size_t count, cap;
};

struct revocation_lists *revocation_lists_new(void)
{
	struct revocation_lists *l = mem_new(1, sizeof *l);

	(void)pthread_mutex_init(&l->lock, NULL);
	return l;
}

static void list_wipe(struct list *one)
{
	free(one->source);
	X509_CRL_free(one->crl);
	ISSUING_DIST_POINT_free(one->scope);
	EVP_PKEY_free(one->signer);
}

void revocation_lists_free(struct revocation_lists *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->count; i++)
		list_wipe(&l->lists[i]);
	free(l->lists);
	(void)pthread_mutex_destroy(&l->lock);
	free(l);
}

static pthread_mutex_t *lock_of(const struct revocation_lists *l)
{
	return (pthread_mutex_t *)(uintptr_t)&l->lock;
}

/* ---- reading ---- */

static uint64_t seconds_of(const ASN1_TIME *t)
{
	struct tm tm;
	time_t s;

	return t && ASN1_TIME_to_tm(t, &tm) == 1 && (s = timegm(&tm)) > 0 ? (uint64_t)s : 0;
}

/* An extension that is critical and unknown may mean anything (RFC 5280 5.2). */
static bool has_strange_extension(const X509_CRL *crl)
{
	for (int i = 0; i < X509_CRL_get_ext_count(crl); i++) {
		X509_EXTENSION *e = X509_CRL_get_ext(crl, i);
		int nid = OBJ_obj2nid(X509_EXTENSION_get_object(e));

		if (X509_EXTENSION_get_critical(e) && nid != NID_issuing_distribution_point &&
		    nid != NID_authority_key_identifier && nid != NID_crl_number)
			return true;
	}
	return X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) >= 0;
}

/* Whoever can make collisions could sign a list in the authority's name (RFC 8247 3). */
static bool has_weak_signature(const X509_CRL *crl)
{
	int md = NID_undef, key = NID_undef;

	return OBJ_find_sigid_algs(X509_CRL_get_signature_nid(crl), &md, &key) != 1 || md == NID_sha1 || md == NID_md5;
}

static void describe(struct list *one)
{
	int critical = 0;

	one->from_s = seconds_of(X509_CRL_get0_lastUpdate(one->crl));
	one->next_s = seconds_of(X509_CRL_get0_nextUpdate(one->crl));
	one->scope = X509_CRL_get_ext_d2i(one->crl, NID_issuing_distribution_point, &critical, NULL);
	one->strange = has_strange_extension(one->crl) || has_weak_signature(one->crl) ||
		       (!one->scope && critical >= 0) ||
		       (one->scope &&
			(one->scope->indirectCRL > 0 || one->scope->onlysomereasons || one->scope->onlyattr > 0));
}

static void add(struct revocation_lists *l, const char *source, X509_CRL *crl)
{
	struct list *one;

	l->lists = mem_grow(l->lists, l->count, &l->cap, sizeof *l->lists);
	one = &l->lists[l->count++];
	*one = (struct list){ .source = mem_string(source), .crl = crl };
	describe(one);
}

static bool same_scope(const X509_CRL *a, const X509_CRL *b)
{
	int of_a = X509_CRL_get_ext_by_NID(a, NID_issuing_distribution_point, -1);
	int of_b = X509_CRL_get_ext_by_NID(b, NID_issuing_distribution_point, -1);

	if (of_a < 0 || of_b < 0)
		return of_a < 0 && of_b < 0;
	return ASN1_OCTET_STRING_cmp(X509_EXTENSION_get_data(X509_CRL_get_ext(a, of_a)),
				     X509_EXTENSION_get_data(X509_CRL_get_ext(b, of_b))) == 0;
}

/* Does the authority itself say that the fresh one is in place of the other? */
static bool succeeds(const struct list *fresh, const struct list *old)
{
	bool same = !fresh->strange && fresh->from_s >= old->from_s && same_scope(fresh->crl, old->crl) &&
		    X509_NAME_cmp(X509_CRL_get_issuer(fresh->crl), X509_CRL_get_issuer(old->crl)) == 0 &&
		    X509_CRL_verify(fresh->crl, old->signer) == 1;

	ERR_clear_error();
	return same;
}

/* A list that its authority has signed goes only when a later one of that authority is there: what came by HTTP anybody
 * on the way could have put in its place, and whom it names would be unknown again. */
static bool stays(const struct revocation_lists *l, const struct list *old, size_t fresh)
{
	if (!old->signer || !old->signed_by)
		return false;
	for (; fresh < l->count; fresh++)
		if (succeeds(&l->lists[fresh], old))
			return false;
	return true;
}

/* Lists from that source, but those from number `but` on, which have just come. */
static void forget(struct revocation_lists *l, const char *source, size_t but)
{
	size_t n = 0;

	for (size_t i = 0; i < l->count; i++) {
		if (i < but && strcmp(l->lists[i].source, source) == 0 && !stays(l, &l->lists[i], but))
			list_wipe(&l->lists[i]);
		else
			l->lists[n++] = l->lists[i];
	}
	l->count = n;
}

/* Certificates and keys between lists are passed over. */
static int read_pem(struct revocation_lists *l, const char *source, const void *octets, size_t len, struct diag *d)
{
	SCOPED(bio_freep) BIO *in = BIO_new_mem_buf(octets, (int)len);
	X509_CRL *crl;
	int n = 0;

	while (in && l->count < 2 * REVOCATION_LISTS_MOST && (crl = PEM_read_bio_X509_CRL(in, NULL, NULL, NULL))) {
		add(l, source, crl);
		n++;
	}
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) {
		ERR_clear_error();
		return diag_fail(d, ERR_SYNTAX, "%s: revocation list %d of the file is damaged", source, n + 1);
	}
	ERR_clear_error();
	return n ? 0 : diag_fail(d, ERR_SYNTAX, "%s holds no revocation list (PEM or DER)", source);
}

static int read_all(struct revocation_lists *l, const char *source, const void *octets, size_t len, struct diag *d)
{
	const unsigned char *at = octets;
	X509_CRL *crl = len && *at == 0x30 ? d2i_X509_CRL(NULL, &at, (long)len) : NULL;

	ERR_clear_error();
	if (!crl)
		return read_pem(l, source, octets, len, d);
	if (at != (const unsigned char *)octets + len) {
		X509_CRL_free(crl);
		return diag_fail(d, ERR_SYNTAX, "%s: octets follow the revocation list", source);
	}
	add(l, source, crl);
	return 0;
}

int revocation_lists_put(struct revocation_lists *l, const char *source, const void *octets, size_t len,
			 uint64_t *ret_next_s, struct diag *d)
{
	size_t before;
	int r;

	if (len > REVOCATION_OCTETS_MOST)
		return diag_fail(d, E2BIG, "%s: a revocation list of more than %d octets", source,
				 REVOCATION_OCTETS_MOST);
	(void)pthread_mutex_lock(&l->lock);
	before = l->count;
	r = read_all(l, source, octets, len, d);
	if (r == 0 && l->count > REVOCATION_LISTS_MOST)
		r = diag_fail(d, E2BIG, "%s: more than %d revocation lists", source, REVOCATION_LISTS_MOST);
	if (r < 0) {
		while (l->count > before)
			list_wipe(&l->lists[--l->count]);
	} else if (ret_next_s) {
		*ret_next_s = l->lists[before].next_s;
		for (size_t i = before; i < l->count; i++)
			if (l->lists[i].next_s < *ret_next_s)
				*ret_next_s = l->lists[i].next_s;
	}
	if (r == 0)
		forget(l, source, before);
	(void)pthread_mutex_unlock(&l->lock);
	return r;
}

bool revocation_lists_take(struct revocation_lists *l, const struct revocation_lists *from, const char *source)
{
	bool found = false;

	(void)pthread_mutex_lock(&l->lock);
	(void)pthread_mutex_lock(lock_of(from));
	for (size_t i = 0; i < from->count && l->count < REVOCATION_LISTS_MOST; i++)
		if (strcmp(from->lists[i].source, source) == 0 && X509_CRL_up_ref(from->lists[i].crl) == 1) {
			add(l, source, from->lists[i].crl);
			found = true;
		}
	(void)pthread_mutex_unlock(lock_of(from));
	(void)pthread_mutex_unlock(&l->lock);
	return found;
}

void revocation_lists_encode(struct wire_out *out, const struct revocation_lists *l)
{
	(void)pthread_mutex_lock(lock_of(l));
	wire_put_u32(out, (uint32_t)l->count);
	for (size_t i = 0; i < l->count; i++) {
		size_t source = strnlen(l->lists[i].source, SOURCE_MOST - 1);
		unsigned char *der = NULL;
		int n = i2d_X509_CRL(l->lists[i].crl, &der);

		wire_put_u16(out, (uint16_t)source);
		wire_put(out, l->lists[i].source, source);
		wire_put_u32(out, n > 0 ? (uint32_t)n : 0);
		wire_put(out, der, n > 0 ? (size_t)n : 0);
		OPENSSL_free(der);
	}
	(void)pthread_mutex_unlock(lock_of(l));
}

static int get_list(struct wire_in *in, struct revocation_lists *l, struct diag *d)
{
	size_t source_len = wire_u16(in), n;
	const uint8_t *source = source_len < SOURCE_MOST ? wire_octets(in, source_len) : NULL;
	const unsigned char *at, *end;
	char *text;
	X509_CRL *crl;

	n = wire_u32(in);
	at = n <= REVOCATION_OCTETS_MOST ? wire_octets(in, n) : NULL;
	end = at ? at + n : NULL;
	crl = source && at && !memchr(source, 0, source_len) ? d2i_X509_CRL(NULL, &at, (long)n) : NULL;
	ERR_clear_error();
	if (!crl || at != end) {
		X509_CRL_free(crl);
		return diag_fail(d, ERR_SYNTAX, "a revocation list is damaged");
	}
	text = mem_string_n((const char *)source, source_len);
	add(l, text, crl);
	free(text);
	return 0;
}

int revocation_lists_decode(struct wire_in *in, struct revocation_lists *l, struct diag *d)
{
	size_t count = wire_u32(in);
	int r = 0;

	(void)pthread_mutex_lock(&l->lock);
	if (count > REVOCATION_LISTS_MOST - l->count)
		r = diag_fail(d, ERR_SYNTAX, "more than %d revocation lists", REVOCATION_LISTS_MOST);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = get_list(in, l, d);
	(void)pthread_mutex_unlock(&l->lock);
	return r;
}

size_t revocation_lists_count(const struct revocation_lists *l)
{
	size_t n;

	(void)pthread_mutex_lock(lock_of(l));
	n = l->count;
	(void)pthread_mutex_unlock(lock_of(l));
	return n;
}

bool revocation_lists_row(const struct revocation_lists *l, size_t number, struct revocation_row *ret)
{
	bool found;

	(void)pthread_mutex_lock(lock_of(l));
	if ((found = number < l->count)) {
		const struct list *one = &l->lists[number];
		int revoked = sk_X509_REVOKED_num(X509_CRL_get_REVOKED(one->crl));

		*ret = (struct revocation_row){ .from_s = one->from_s,
						.next_s = one->next_s,
						.revoked = revoked > 0 ? (size_t)revoked : 0 };
		(void)snprintf(ret->source, sizeof ret->source, "%s", one->source);
		(void)name_text(X509_CRL_get_issuer(one->crl), ret->issuer);
	}
	(void)pthread_mutex_unlock(lock_of(l));
	return found;
}

/* ---- judging ---- */

static bool uri_of(const GENERAL_NAME *g, char to[REVOCATION_URL_MOST])
{
	const ASN1_IA5STRING *s = g->d.ia5;

	if (g->type != GEN_URI || s->length <= 0 || s->length >= REVOCATION_URL_MOST)
		return false;
	for (int i = 0; i < s->length; i++)
		if (s->data[i] <= ' ' || s->data[i] >= 0x7f)
			return false;
	(void)snprintf(to, REVOCATION_URL_MOST, "%.*s", s->length, (const char *)s->data);
	return true;
}

static bool is_http(const char *url)
{
	return strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0;
}

typedef bool each_url(void *context, const char *url); /* true: enough */

/* Where the certificate's list is; not points of some reasons. Of a point that names an issuer of its own (indirect)
 * the list would be somebody else's, which is not taken; but FreeIPA names one that signs nothing, and what lies there
 * is its authority's own full list. So with `named` such places are told, too: whose a list is, it says itself, signed.
 */
static bool points_each(const X509 *c, bool named, each_url *f, void *context)
{
	SCOPED(points_freep) CRL_DIST_POINTS *all = X509_get_ext_d2i(c, NID_crl_distribution_points, NULL, NULL);
	char url[REVOCATION_URL_MOST];

	for (int i = 0; i < sk_DIST_POINT_num(all); i++) {
		const DIST_POINT *p = sk_DIST_POINT_value(all, i);

		if (p->reasons || (p->CRLissuer && !named) || !p->distpoint || p->distpoint->type != 0)
			continue;
		for (int k = 0; k < sk_GENERAL_NAME_num(p->distpoint->name.fullname); k++)
			if (uri_of(sk_GENERAL_NAME_value(p->distpoint->name.fullname, k), url) && f(context, url))
				return true;
	}
	return false;
}

static bool url_is(void *context, const char *url)
{
	return strcmp(context, url) == 0;
}

/* Does the list speak of such certificates? One that names a place speaks of those that name the same. */
static bool in_scope(const struct list *one, X509 *c)
{
	char url[REVOCATION_URL_MOST];
	const ISSUING_DIST_POINT *s = one->scope;

	if (!s)
		return true;
	if (X509_check_ca(c) > 0 ? s->onlyuser > 0 : s->onlyCA > 0)
		return false;
	if (!s->distpoint)
		return true;
	if (s->distpoint->type != 0)
		return false;
	for (int i = 0; i < sk_GENERAL_NAME_num(s->distpoint->name.fullname); i++)
		if (uri_of(sk_GENERAL_NAME_value(s->distpoint->name.fullname, i), url) &&
		    points_each(c, false, url_is, url))
			return true;
	return false;
}

/* Signatures are checked once for each list and authority. */
static bool is_by(struct list *one, X509 *issuer)
{
	EVP_PKEY *key = X509_get0_pubkey(issuer);

	if (!key || X509_NAME_cmp(X509_CRL_get_issuer(one->crl), X509_get_subject_name(issuer)) != 0 ||
	    !(X509_get_key_usage(issuer) & KU_CRL_SIGN))
		return false;
	if (!one->signer || EVP_PKEY_eq(one->signer, key) != 1) {
		EVP_PKEY_free(one->signer);
		one->signer = EVP_PKEY_up_ref(key) == 1 ? key : NULL;
		one->signed_by = X509_CRL_verify(one->crl, key) == 1;
		ERR_clear_error();
	}
	return one->signed_by;
}

/* The newest list that speaks of the certificate. */
struct found {
	struct list *list;
	bool strange; /* there was one of a kind that we do not take */
};

static void find(struct revocation_lists *l, X509 *c, X509 *issuer, struct found *ret)
{
	for (size_t i = 0; i < l->count; i++) {
		struct list *one = &l->lists[i];

		if (X509_NAME_cmp(X509_CRL_get_issuer(one->crl), X509_get_issuer_name(c)) != 0)
			continue;
		if (one->strange)
			ret->strange = true;
		else if ((!ret->list || one->from_s > ret->list->from_s) && in_scope(one, c) && is_by(one, issuer))
			ret->list = one;
	}
}

static bool is_revoked(const struct list *one, X509 *c)
{
	X509_REVOKED *entry = NULL;

	/* 2: "removed from the list", which only delta lists have */
	return X509_CRL_get0_by_cert(one->crl, &entry, c) == 1;
}

static void day_text(uint64_t at_s, char to[20])
{
	time_t t = (time_t)at_s;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || strftime(to, 20, "%Y-%m-%d %H:%M", &tm) == 0)
		to[0] = '\0';
}

static bool url_note(void *context, const char *url)
{
	struct revocation_verdict *v = context;

	for (size_t i = 0; i < v->url_count; i++)
		if (strcmp(v->urls[i], url) == 0)
			return false;
	if (is_http(url) && v->url_count < REVOCATION_URLS_MOST)
		(void)snprintf(v->urls[v->url_count++], REVOCATION_URL_MOST, "%s", url);
	return v->url_count == REVOCATION_URLS_MOST;
}

/* The first reason stays; what is known beats what is not. */
static void say(struct revocation_verdict *v, enum revocation_state state, X509 *c, X509 *issuer, const char *why)
{
	char subject[PEER_TEXT], authority[PEER_TEXT];

	if (v->state == REVOKED_KNOWN || v->state == state)
		return;
	v->state = state;
	if (state == REVOKED_KNOWN)
		(void)snprintf(v->words, sizeof v->words,
			       "%.150s: the certificate has been revoked, says the list of %.150s",
			       name_text(X509_get_subject_name(c), subject),
			       name_text(X509_get_subject_name(issuer), authority));
	else
		(void)snprintf(v->words, sizeof v->words,
			       "%.120s: whether the certificate is revoked is not known: %.200s",
			       name_text(X509_get_subject_name(c), subject), why);
}

static void judge_one(struct revocation_lists *const *sets, size_t count, X509 *c, X509 *issuer, uint64_t now_s,
		      struct revocation_verdict *v)
{
	char authority[PEER_TEXT], why[PEER_TEXT + 120], day[20];
	struct found best = { 0 };

	for (size_t i = 0; i < count; i++)
		if (sets[i])
			find(sets[i], c, issuer, &best);
	if (best.list && is_revoked(best.list, c)) {
		say(v, REVOKED_KNOWN, c, issuer, NULL);
		return;
	}
	if (best.list && best.list->from_s <= now_s + 300 && now_s < best.list->next_s)
		return;
	(void)points_each(c, true, url_note, v);
	(void)name_text(X509_get_subject_name(issuer), authority);
	if (!best.list)
		(void)snprintf(why, sizeof why, "there is no list of %.150s%s", authority,
			       best.strange
				       ? " of a kind that is taken (no indirect or delta lists, none signed with SHA-1)"
				       : "");
	else if (best.list->next_s == 0)
		(void)snprintf(why, sizeof why, "the list of %.150s does not say until when it is good", authority);
	else if (now_s >= best.list->next_s) {
		day_text(best.list->next_s, day);
		(void)snprintf(why, sizeof why, "the list of %.150s was good until %s (UTC)", authority, day);
	} else {
		day_text(best.list->from_s, day);
		(void)snprintf(why, sizeof why, "the list of %.150s is good from %s (UTC) on", authority, day);
	}
	say(v, REVOKED_UNKNOWN, c, issuer, why);
}

void revocation_judge(struct revocation_lists *const *sets, size_t count, STACK_OF(X509) * path, uint64_t now_s,
		      struct revocation_verdict *ret)
{
	ret->state = REVOKED_NOT;
	ret->words[0] = '\0';
	ret->url_count = 0;
	for (size_t i = 0; i < count; i++)
		if (sets[i])
			(void)pthread_mutex_lock(&sets[i]->lock);
	for (int i = 0; i + 1 < sk_X509_num(path); i++)
		judge_one(sets, count, sk_X509_value(path, i), sk_X509_value(path, i + 1), now_s, ret);
	for (size_t i = 0; i < count; i++)
		if (sets[i])
			(void)pthread_mutex_unlock(&sets[i]->lock);
}
