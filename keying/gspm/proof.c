/* keying/gspm/proof.c - Kerberos in IKE_AUTH: the digest of what is said, the jobs of the two contexts, and AUTH, which
 * is keyed by both (docs/protocols/kerberos-ikev2.md 4). */
#include "base/crypto.h"
#include "keying/gspm/making.h"
#include <stdlib.h>
#include <string.h>

enum { PRF_INPUT_MOST = 32 + 2 * IKE_NONCE_MOST };

static const char binding_label[] = "IKEv2 GSS-API binding ";
static const char key_label[] = "IKEv2 GSS-API key ";
static const char *const auth_labels[] = { "IKEv2 GSS-API AUTH responder", "IKEv2 GSS-API AUTH initiator" };

/* ---- what both ends digest --------------------------------------------------------------------------------------- */

int gspm_digest(uint8_t transcript[GSPM_TRANSCRIPT], struct keying_octets body, struct diag *d)
{
	uint8_t digest[DIGEST_MAX];
	size_t len;
	int r = crypto_digest("SHA256", (struct octets[]){ { transcript, GSPM_TRANSCRIPT }, { body.at, body.len } }, 2,
			      digest, &len, d);

	if (r == 0)
		memcpy(transcript, digest, GSPM_TRANSCRIPT);
	return r;
}

int gspm_note(struct ike_sa *sa, struct keying_octets body, struct diag *d)
{
	return gspm_digest(sa->making->gspm->transcript, body, d);
}

int gspm_put(struct ike_sa *sa, struct ike_writer *w, const struct ike_gspm *what, struct diag *d)
{
	struct keying_octets body = ike_put_gspm(w, what);

	return w->out.failed
		       ? diag_fail(d, ERR_UNSUPPORTED, "a Kerberos token that does not fit %d octets", IKE_MESSAGE_MOST)
		       : gspm_note(sa, body, d);
}

/* ---- jobs -------------------------------------------------------------------------------------------------------- */

/* Of the two contexts, ours is the one that we begin. */
size_t gspm_ours(const struct ike_sa *sa)
{
	return sa->initiator ? 0 : 1;
}

/* Channel bindings: a token is good for the IKE SA that began with these two messages, and for no other. */
static int bind(const struct ike_sa *sa, struct keying_octets *ret, struct diag *d)
{
	uint8_t digest[DIGEST_MAX], all[sizeof binding_label + DIGEST_MAX];
	struct wire_out out = wire_out(all, sizeof all);
	size_t len;
	int r = crypto_digest("SHA256",
			      (struct octets[]){ { sa->init_request.at, sa->init_request.len },
						 { sa->init_reply.at, sa->init_reply.len } },
			      2, digest, &len, d);

	if (r < 0)
		return r;
	wire_put(&out, binding_label, sizeof binding_label - 1);
	wire_put(&out, digest, len);
	*ret = job_octets((struct keying_octets){ all, out.len });
	return 0;
}

int gspm_ask_step(struct ike_sa *sa, size_t context, const char *target, struct keying_octets token, struct diag *d)
{
	struct gspm_making *g = sa->making->gspm;
	struct keying_octets binding;
	int r = bind(sa, &binding, d);

	if (r < 0)
		return r;
	struct keying_job *job = job_new(JOB_GSS);
	job->octets = binding;

	if (!g->contexts[context])
		g->contexts[context] = keying_number(sa->k);
	job->gss = g->contexts[context];
	job->gss_initiator = context == gspm_ours(sa);
	job->gss_target = target ? mem_string(target) : NULL;
	job->token = job_octets(token);
	job->credential = sa->credential;
	job->auth_set = sa->auth_set;
	job->policy = policy_ref(plan_policy(sa->k->plan));
	job->remote = sa->remote;
	sa->job = job_ask(sa->k, OWNER_IKE, sa->number, job);
	return 0;
}

/* What gss_pseudo_random is given: which context, and of which IKE SA. */
int gspm_ask_key(struct ike_sa *sa, size_t context, struct diag *d)
{
	uint8_t input[PRF_INPUT_MOST];
	struct wire_out out = wire_out(input, sizeof input);
	struct keying_job *job;

	wire_put(&out, key_label, sizeof key_label - 1);
	wire_put_u8(&out, (uint8_t)('1' + context));
	wire_put_u64(&out, sa->spi_i);
	wire_put_u64(&out, sa->spi_r);
	wire_put(&out, sa->nonce_i.at, sa->nonce_i.len);
	wire_put(&out, sa->nonce_r.at, sa->nonce_r.len);
	if (out.failed)
		return diag_fail(d, ERR_UNSUPPORTED, "nonces of %zu and %zu octets", sa->nonce_i.len, sa->nonce_r.len);
	job = job_new(JOB_GSS_KEY);
	job->gss = sa->making->gspm->contexts[context];
	job->octets = job_octets((struct keying_octets){ input, out.len });
	job->secret_len = GSPM_SECRET;
	sa->job = job_ask(sa->k, OWNER_IKE, sa->number, job);
	return 0;
}

int gspm_keep_key(struct ike_sa *sa, size_t context, const struct keying_result *r, struct diag *d)
{
	if (r->secret_len != GSPM_SECRET || !key_set(&sa->making->gspm->secrets[context], r->secret, r->secret_len))
		return diag_fail(d, ERR_CRYPTO, "a Kerberos key of %zu octets", r->secret_len);
	return 0;
}

/* What a complete context has told of the peer. Its own ticket says who it is and which groups it is in; ours for it
 * bounds how long that is believed just as well. */
void gspm_keep_told(struct ike_sa *sa, size_t context, const struct keying_result *r)
{
	struct gspm_making *g = sa->making->gspm;
	uint64_t until = r->good_ms ? sa->k->now_ms + r->good_ms : UINT64_MAX;

	if (until < g->good_until_ms)
		g->good_until_ms = until;
	if (context == gspm_ours(sa))
		return;
	free(g->peer);
	g->peer = mem_copy(&r->peer, sizeof r->peer);
	words_copy(g->warning, sizeof g->warning, r->why);
}

static uint64_t good_ms(const struct ike_sa *sa)
{
	uint64_t until = sa->making->gspm->good_until_ms;

	if (until == UINT64_MAX)
		return 0;
	return until > sa->k->now_ms ? until - sa->k->now_ms : 1;
}

/* ---- AUTH -------------------------------------------------------------------------------------------------------- */

int gspm_auth(const struct algorithm *prf, const struct key secrets[2], const uint8_t transcript[GSPM_TRANSCRIPT],
	      bool initiators, struct keying_octets signed_octets, struct key *ret, struct diag *d)
{
	const char *label = auth_labels[initiators];
	SCOPED(key_wipe) struct key both = { .len = 2 * (size_t)GSPM_SECRET }, key = { 0 };
	int r;

	memcpy(both.octets, secrets[0].octets, GSPM_SECRET);
	memcpy(both.octets + GSPM_SECRET, secrets[1].octets, GSPM_SECRET);
	r = crypto_prf(prf, both.octets, both.len,
		       (struct octets[]){ { label, strlen(label) }, { transcript, GSPM_TRANSCRIPT } }, 2, &key, d);
	if (r < 0)
		return r;
	return crypto_prf(prf, key.octets, key.len, &(struct octets){ signed_octets.at, signed_octets.len }, 1, ret, d);
}

static int proof_of(struct ike_sa *sa, bool initiators, struct keying_octets id_body, struct key *ret, struct diag *d)
{
	const struct gspm_making *g = sa->making->gspm;
	const struct ike_keys *keys = &sa->making->keys;
	uint8_t *octets;
	size_t len;
	int r;

	r = keymat_signed_octets(sa->suite.prf, initiators ? &keys->pi : &keys->pr,
				 owned_octets(initiators ? &sa->init_request : &sa->init_reply),
				 owned_octets(initiators ? &sa->nonce_r : &sa->nonce_i), id_body, &octets, &len, d);
	if (r < 0)
		return r;
	r = gspm_auth(sa->suite.prf, g->secrets, g->transcript, initiators, (struct keying_octets){ octets, len }, ret,
		      d);
	free(octets);
	return r;
}

int gspm_prove(struct ike_sa *sa, struct diag *d)
{
	uint8_t body[4 + sizeof(struct addr)];
	SCOPED(key_wipe) struct key proof = { 0 };
	int r = proof_of(sa, sa->initiator, auth_own_id_body(sa, body, sizeof body), &proof, d);

	if (r < 0)
		return r;
	sa->auth_method = GSPM_AUTH;
	owned_set(&sa->auth, proof.octets, proof.len);
	return 0;
}

int gspm_check(struct ike_sa *sa, uint8_t method, struct keying_octets auth, struct diag *d)
{
	SCOPED(key_wipe) struct key proof = { 0 };
	int r = proof_of(sa, !sa->initiator, owned_octets(&sa->peer_id_body), &proof, d);

	if (r < 0)
		return r;
	if (method != GSPM_AUTH)
		return diag_fail(d, failure_error(FAILURE_WRONG_METHOD),
				 "it began with Kerberos and proves itself by authentication method %u", method);
	if (auth.len != proof.len || !octets_equal(auth.at, proof.octets, proof.len))
		return diag_fail(d, failure_error(FAILURE_SIGNATURE),
				 "its tickets are good, but its proof does not cover this negotiation: somebody stands "
				 "between us, or the two programs differ");
	return 0;
}

void gspm_peer_is_proven(struct ike_sa *sa)
{
	auth_keep_peer(sa, sa->making->gspm->peer);
	reauth_proven(sa, good_ms(sa));
	member_look_at_ticket(sa, sa->making->gspm->warning);
}

int gspm_verify(struct ike_sa *sa, const struct ike_msg *m, struct diag *d)
{
	int r = gspm_check(sa, m->auth_method, m->auth, d);

	if (r == 0)
		gspm_peer_is_proven(sa);
	return r;
}
