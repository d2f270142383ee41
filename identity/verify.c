/* Is the peer who it says, and does the policy want it? */
#include "base/diag.h"
#include "identity/name.h"
#include "identity/store.h"
#include "observe/event.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

/* The words are there already; this is what they come to. */
static int failed_as(enum failure_code c, struct diag *d)
{
	if (d)
		d->code = -failure_error(c);
	return -failure_error(c);
}

/* What the set asks for, in words. */
static const char *asked(const struct auth_set *set)
{
	bool certificate = false, psk = false;

	for (size_t i = 0; i < set->count; i++) {
		certificate |= set->methods[i].kind == AUTH_CERTIFICATE;
		psk |= set->methods[i].kind == AUTH_PSK;
	}
	return certificate && psk ? "a certificate or a pre-shared key"
	       : certificate      ? "a certificate"
	       : psk              ? "a pre-shared key"
				  : "Kerberos";
}

static int verify_psk(const struct credential_store *s, const struct credential_proof *p, struct peer *peer,
		      struct diag *d)
{
	bool tried = false;
	int r;

	if (!p->psk_prf)
		return diag_fail(d, ERR_CRYPTO, "a pre-shared key needs the PRF");
	for (size_t i = 0; i < p->set->count; i++) {
		const struct auth_method *m = &p->set->methods[i];
		SCOPED(key_wipe) struct key want = { 0 };
		const struct psk *psk;

		if (m->kind != AUTH_PSK || !m->psk_file)
			continue;
		if ((r = store_psk(s, m->psk_file, &psk, d)) < 0 ||
		    (r = psk_proof(psk, p->psk_prf, &p->signed_octets, &want, d)) < 0)
			return r;
		tried = true;
		if (p->auth.len != want.len || !octets_equal(p->auth.at, want.octets, want.len))
			continue;
		peer->method = PEER_PSK;
		(void)name_identity_text(p->id_type, &p->id, peer->id);
		return 0;
	}
	return tried ? diag_fail(d, failure_error(FAILURE_WRONG_KEY),
				 "the peer has another pre-shared key than '%s' asks for", p->set->name)
		     : diag_fail(d, failure_error(FAILURE_WRONG_METHOD),
				 "the peer has a pre-shared key; '%s' asks for %s", p->set->name, asked(p->set));
}

/* The first method that the path satisfies, else what the first one misses. */
static int path_satisfies_set(const struct chain *c, const struct auth_set *set, struct diag *d)
{
	struct diag other;
	int r = 0;

	for (size_t i = 0; i < set->count; i++) {
		int e;

		if (set->methods[i].kind != AUTH_CERTIFICATE)
			continue;
		e = chain_satisfies(c, &set->methods[i], set->name, r < 0 ? &other : d);
		if (e == 0)
			return 0;
		if (r == 0)
			r = e;
	}
	return r < 0 ? r
		     : diag_fail(d, failure_error(FAILURE_WRONG_METHOD), "the peer has a certificate; '%s' asks for %s",
				 set->name, asked(set));
}

static void describe(const struct chain *c, struct peer *peer)
{
	X509 *leaf = sk_X509_value(c->path, 0);
	struct tm tm;
	time_t end = ASN1_TIME_to_tm(X509_get0_notAfter(leaf), &tm) == 1 ? timegm(&tm) : 0;

	peer->method = PEER_CERTIFICATE;
	(void)name_text(X509_get_subject_name(leaf), peer->subject);
	(void)name_text(X509_get_issuer_name(leaf), peer->issuer);
	peer->name_count = name_alternatives(leaf, peer->names);
	peer->not_after_s = end > 0 ? (uint64_t)end : 0;
	(void)snprintf(peer->id, sizeof peer->id, "%s",
		       X509_NAME_entry_count(X509_get_subject_name(leaf)) == 0 && peer->name_count ? peer->names[0]
												   : peer->subject);
}

static int verify_certificate(const struct credential_store *s, const struct credential_proof *p, struct peer *peer,
			      struct diag *d)
{
	SCOPED(x509_stack_freep) STACK_OF(X509) *sent = NULL;
	SCOPED(chain_wipe) struct chain c = { 0 };
	X509 *leaf;
	int r;

	if ((r = chain_read(p->chain, p->chain_count, &sent, d)) < 0 ||
	    (r = chain_build(s->anchors, sent, p->now_s ? p->now_s : 1, &c, d)) < 0 ||
	    (r = path_satisfies_set(&c, p->set, d)) < 0)
		return r;
	leaf = sk_X509_value(c.path, 0);
	if (name_is_identity(leaf, p->id_type, &p->id, d) < 0)
		return failed_as(FAILURE_IDENTITY, d);
	if (signature_check(X509_get0_pubkey(leaf), p->peer_hashes, p->auth_method, &p->auth, &p->signed_octets, d) < 0)
		return failed_as(FAILURE_SIGNATURE, d);
	describe(&c, peer);
	return 0;
}

int credential_verify(const struct credential_store *s, const struct credential_proof *proof, struct peer *ret,
		      struct diag *d)
{
	struct peer peer = { 0 };
	int r = proof->auth_method == AUTH_SHARED_KEY ? verify_psk(s, proof, &peer, d)
						      : verify_certificate(s, proof, &peer, d);

	ERR_clear_error(); /* this thread's; what libcrypto could not read is said in our words */
	if (r == 0)
		*ret = peer;
	return r;
}
