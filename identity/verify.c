/* Is the peer who it says, and does the policy want it? */
#include "base/diag.h"
#include "base/mem.h"
#include "identity/criteria.h"
#include "identity/name.h"
#include "identity/store.h"
#include "observe/event.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
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

int credential_psks_of(const struct auth_set *set, uint32_t ret[CREDENTIAL_PSKS_MOST], struct diag *d)
{
	int n = 0;

	for (size_t i = 0; i < set->count && n < CREDENTIAL_PSKS_MOST; i++)
		if (set->methods[i].kind == AUTH_PSK && set->methods[i].psk_file)
			ret[n++] = credential_psk_number(set->methods[i].psk_file);
	return n ? n
		 : diag_fail(d, failure_error(FAILURE_WRONG_METHOD), "the peer has a pre-shared key; '%s' asks for %s",
			     set->name, asked(set));
}

static const char *psk_file_of(const struct auth_set *set, size_t index)
{
	for (size_t i = 0; i < set->count; i++)
		if (set->methods[i].kind == AUTH_PSK && set->methods[i].psk_file && index-- == 0)
			return set->methods[i].psk_file;
	return "?";
}

int credential_psk_verdict(const struct credential_proof *p, int answer, size_t lacks, struct peer *ret, struct diag *d)
{
	if (answer == -ENOENT)
		return diag_fail(d, ENOENT, "this host has no pre-shared key %s", psk_file_of(p->set, lacks));
	if (answer == -EKEYREJECTED)
		return diag_fail(d, failure_error(FAILURE_WRONG_KEY),
				 "the peer has another pre-shared key than '%s' asks for", p->set->name);
	if (answer < 0)
		return answer;
	*ret = (struct peer){ .method = PEER_PSK };
	(void)name_identity_text(p->id_type, &p->id, ret->id);
	return 0;
}

/* Does the path satisfy a method of the set, whatever revocation says? *ret_first: which is the first one. Else what
 * the first one misses. */
static int path_satisfies_set(const struct chain *c, const struct auth_set *set, size_t *ret_first, struct diag *d)
{
	struct diag other;
	int r = 0;

	for (size_t i = 0; i < set->count; i++) {
		int e;

		if (set->methods[i].kind != AUTH_CERTIFICATE)
			continue;
		e = criteria_satisfied(c, &set->methods[i], CRITERIA_PEER, NULL, set->name, r < 0 ? &other : d);
		if (e == 0) {
			*ret_first = i;
			return 0;
		}
		if (r == 0)
			r = e;
	}
	return r < 0 ? r
		     : diag_fail(d, failure_error(FAILURE_WRONG_METHOD), "the peer has a certificate; '%s' asks for %s",
				 set->name, asked(set));
}

/* ---- revocation ---- */

static bool will_do(const struct auth_method *m, enum revocation_state state)
{
	return m->revocation == REVOCATION_OFF || state == REVOKED_NOT ||
	       (m->revocation == REVOCATION_CHECK && state == REVOKED_UNKNOWN);
}

static int not_known(const struct revocation_verdict *v, const struct auth_set *set, struct diag *d)
{
	return diag_fail(
		d, failure_error(v->state == REVOKED_KNOWN ? FAILURE_CERTIFICATE_REVOKED : FAILURE_REVOCATION_UNKNOWN),
		v->state == REVOKED_KNOWN ? "%s" : "%s; '%s' asks for it (revocation: require)", v->words, set->name);
}

/* The methods from `first` on: is there one that the path satisfies and that is content with what is known? */
static int revocation_suits(const struct credential_store *s, const struct credential_proof *p, const struct chain *c,
			    size_t first, struct revocation_verdict *v, struct diag *d)
{
	struct revocation_lists *const lists[] = { s->lists, p->fetched };

	if (p->set->methods[first].revocation == REVOCATION_OFF)
		return 0;
	revocation_judge(lists, ARRAY_LEN(lists), c->path, p->now_s, v);
	if (v->state == REVOKED_NOT)
		return 0;
	if (v->state == REVOKED_UNKNOWN && v->url_count && p->ret_unknown)
		return diag_fail(d, EAGAIN, "%s", v->words);
	for (size_t i = first; i < p->set->count; i++) {
		const struct auth_method *m = &p->set->methods[i];

		if (m->kind == AUTH_CERTIFICATE && will_do(m, v->state) &&
		    criteria_satisfied(c, m, CRITERIA_PEER, NULL, p->set->name, NULL) == 0)
			return 0;
	}
	return not_known(v, p->set, d);
}

static int check_revocation(const struct credential_store *s, const struct credential_proof *p, const struct chain *c,
			    size_t first, struct diag *d)
{
	struct revocation_verdict *v = p->ret_unknown ? p->ret_unknown : mem_new(1, sizeof *v);
	int r = revocation_suits(s, p, c, first, v, d);

	if (!p->ret_unknown)
		free(v);
	return r;
}

static void describe(const struct chain *c, struct peer *peer)
{
	X509 *leaf = sk_X509_value(c->path, 0);
	uint8_t digest[EVP_MAX_MD_SIZE];
	struct tm tm;
	time_t end = ASN1_TIME_to_tm(X509_get0_notAfter(leaf), &tm) == 1 ? timegm(&tm) : 0;

	peer->method = PEER_CERTIFICATE;
	(void)name_text(X509_get_subject_name(leaf), peer->subject);
	(void)name_text(X509_get_issuer_name(leaf), peer->issuer);
	peer->name_count = name_alternatives(leaf, peer->names);
	peer->not_after_s = end > 0 ? (uint64_t)end : 0;
	if (X509_digest(leaf, EVP_sha256(), digest, NULL) == 1)
		memcpy(peer->certificate, digest, PEER_DIGEST);
	(void)snprintf(peer->id, sizeof peer->id, "%s",
		       X509_NAME_entry_count(X509_get_subject_name(leaf)) == 0 && peer->name_count ? peer->names[0]
												   : peer->subject);
}

static bool speaks_from(const struct credential_proof *p)
{
	return p->id_type == (p->remote.family == 4 ? ID_IPV4 : ID_IPV6) && p->id.len == addr_octets(&p->remote) &&
	       memcmp(p->id.at, p->remote.octets, p->id.len) == 0;
}

/* The name that it gives itself must be its certificate's. Windows, strongSwan and OpenIKED send such names; Libreswan,
 * unless told otherwise, its address, which a policy may let pass. */
static int check_identity(const struct credential_proof *p, X509 *leaf, const struct auth_method *m, struct diag *d)
{
	struct diag why = { 0 };
	int r = name_is_identity(leaf, p->id_type, &p->id, &why);

	if (r == 0 || (m->address_identity && speaks_from(p)))
		return 0;
	return diag_fail(d, ERR_AUTH, "%s%s%s%s", why.text,
			 speaks_from(p) ? ". Let it send its certificate's name (Libreswan: leftid=%fromcert), or say "
					  "identity: certificate-or-address in '"
					: "",
			 speaks_from(p) ? p->set->name : "", speaks_from(p) ? "'" : "");
}

/* What other forms a certificate came in, when there is none that we take. */
static int none_sent(const struct credential_proof *p, struct diag *d)
{
	static const struct {
		unsigned encoding;
		enum failure_code code;
		const char *words;
	} rows[] = {
		{ 1, FAILURE_CERTIFICATE_MISSING,
		  "as a PKCS#7 bundle, which is not taken: let it send X.509 certificates, one a payload" },
		{ 12, FAILURE_HASH_AND_URL,
		  "as hash and URL, and certificates are never fetched for a peer: let it send the certificate "
		  "itself" },
		{ 13, FAILURE_HASH_AND_URL,
		  "as hash and URL, and certificates are never fetched for a peer: let it send the certificate "
		  "itself" },
		{ 15, FAILURE_CERTIFICATE_MISSING,
		  "as a raw public key, which no authority vouches for: let it send an X.509 certificate" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (p->other_encodings >> rows[i].encoding & 1)
			return diag_fail(d, failure_error(rows[i].code), "the peer sent its certificate %s",
					 rows[i].words);
	if (p->other_encodings)
		return diag_fail(d, failure_error(FAILURE_CERTIFICATE_MISSING),
				 "the peer sent its certificate in a form that is not taken; X.509 is");
	return diag_fail(d, failure_error(FAILURE_CERTIFICATE_MISSING),
			 "the peer sent no certificate: has it one of an authority that we trust and ask for?");
}

/* First everything that can be known without asking anybody, the peer's signature last; only then lists. */
static int verify_certificate(const struct credential_store *s, const struct credential_proof *p, struct peer *peer,
			      struct diag *d)
{
	SCOPED(x509_stack_freep) STACK_OF(X509) *sent = NULL;
	SCOPED(chain_wipe) struct chain c = { 0 };
	size_t first = 0;
	X509 *leaf;
	int r;

	if (p->chain_count == 0)
		return none_sent(p, d);
	if ((r = chain_read(p->chain, p->chain_count, &sent, d)) < 0 ||
	    (r = chain_build(s->anchors, sent, p->now_s ? p->now_s : 1, &c, d)) < 0 ||
	    (r = path_satisfies_set(&c, p->set, &first, d)) < 0)
		return r;
	leaf = sk_X509_value(c.path, 0);
	if (check_identity(p, leaf, &p->set->methods[first], d) < 0)
		return failed_as(FAILURE_IDENTITY, d);
	r = p->ikev1 ? signature_check_v1(X509_get0_pubkey(leaf), p->auth_method, &p->auth, &p->signed_octets, d)
		     : signature_check(X509_get0_pubkey(leaf), p->peer_hashes, p->auth_method, &p->auth,
				       &p->signed_octets, d);
	if (r < 0)
		return failed_as(FAILURE_SIGNATURE, d);
	if ((r = check_revocation(s, p, &c, first, d)) < 0)
		return r;
	describe(&c, peer);
	if (p->set->methods[first].maps_account)
		(void)name_account(leaf, peer->account, &peer->account_is_upn);
	return 0;
}

int credential_review(const struct credential_store *s, const struct credential_proof *p, struct diag *d)
{
	SCOPED(x509_stack_freep) STACK_OF(X509) *sent = NULL;
	SCOPED(chain_wipe) struct chain c = { 0 };
	struct credential_proof known = *p;
	size_t first = 0;
	int r;

	known.ret_unknown = mem_new(1, sizeof *known.ret_unknown);
	if ((r = chain_read(p->chain, p->chain_count, &sent, d)) == 0 &&
	    (r = chain_build(s->anchors, sent, p->now_s ? p->now_s : 1, &c, d)) == 0 &&
	    (r = path_satisfies_set(&c, p->set, &first, d)) == 0)
		r = revocation_suits(s, &known, &c, first, known.ret_unknown, d);
	if (r < 0 && known.ret_unknown->state == REVOKED_UNKNOWN)
		r = 0;
	free(known.ret_unknown);
	ERR_clear_error();
	return r;
}

int credential_verify(const struct credential_store *s, const struct credential_proof *proof, struct peer *ret,
		      struct diag *d)
{
	struct peer peer = { 0 };
	int r = proof->auth_method == AUTH_SHARED_KEY
			? diag_fail(d, EINVAL, "a proof by pre-shared key is for the key holder")
			: verify_certificate(s, proof, &peer, d);

	ERR_clear_error(); /* this thread's; what libcrypto could not read is said in our words */
	if (r == 0)
		*ret = peer;
	return r;
}
