/* keying/gspm.c - Kerberos in IKE_AUTH (docs/protocols/kerberos-ikev2.md). Three rounds:
 *
 *	IDi, GSPM(mechanism), SA, TS ->		<- IDr, GSPM(mechanism, principal)
 *	GSPM(token of context 1) ->		<- GSPM(token of context 1, token of context 2)
 *	GSPM(token of context 2), AUTH ->	<- AUTH, SA, TS
 *
 * Context 1 is begun by the initiator of the IKE SA, context 2 by its responder, for the name that proved itself in
 * context 1. So each end has shown a ticket of its own, with its groups, and has opened one of the other's. */
#include "keying/gspm.h"
#include "base/crypto.h"
#include "identity/principal.h"
#include "keying/choose.h"
#include "keying/engine.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	NO_KERBEROS_MS = 60000, /* where it failed and the set names something else */
	CONTEXTS = 2,
	PRF_INPUT_MOST = 32 + 2 * IKE_NONCE_MOST
};

static const char binding_label[] = "IKEv2 GSS-API binding ";
static const char key_label[] = "IKEv2 GSS-API key ";
static const char *const auth_labels[] = { "IKEv2 GSS-API AUTH responder", "IKEv2 GSS-API AUTH initiator" };

struct gspm_making {
	bool in_use;
	uint64_t contexts[CONTEXTS]; /* their numbers: begun by the initiator, by the responder; 0: none yet */
	uint8_t transcript[GSPM_TRANSCRIPT];
	struct key secrets[CONTEXTS];
	char principal[KEYING_GSS_TARGET]; /* initiator: the responder's, as it says */
	struct owned token;                /* waits for its turn */
	bool parting;                      /* responder: it is what Kerberos says of a ticket that it refuses */
	uint16_t notify;                   /* initiator: that the peer refused our ticket with */
	struct owned proof;                /* responder: the peer's AUTH, until it can be checked */
	uint8_t proof_method;
	struct peer *peer;      /* as the peer's own ticket has it */
	uint64_t good_until_ms; /* the end of the first of the two tickets; UINT64_MAX: none ends */
};

/* ---- IKE_SA_INIT ------------------------------------------------------------------------------------------------- */

static bool kerberos_for(const struct keying *k, const struct auth_set *set)
{
	for (size_t i = 0; i < k->config.credential_count; i++) {
		const struct keying_credential *c = &k->config.credentials[i];

		for (size_t s = 0; c->kind == AUTH_KERBEROS && s < c->satisfies_count; s++)
			if (c->satisfies[s] == set)
				return true;
	}
	return false;
}

bool gspm_offered(const struct ike_sa *sa)
{
	return sa->making->kerberos != GSPM_NEVER && sa->auth_set && kerberos_for(sa->k, sa->auth_set);
}

bool gspm_wanted(const struct keying *k, const struct addr *local, const struct addr *remote,
		 const struct ike_suite *suite)
{
	struct selector_walk w = { .plan = k->plan, .local = local, .remote = remote };
	struct candidate c;

	while (selector_next(&w, &c)) {
		const struct key_exchange_set *set = c.entry->rule->key_exchange;

		for (size_t s = 0; s < set->count; s++)
			if (ike_suite_equal(&set->suites[s], suite) && kerberos_for(k, c.entry->rule->auth))
				return true;
	}
	return false;
}

void gspm_put_methods(struct ike_writer *w)
{
	uint8_t method[2];
	struct wire_out out = wire_out(method, sizeof method);

	wire_put_u16(&out, GSPM_METHOD);
	ike_put_notify(w, N_SECURE_PASSWORD_METHODS, method, sizeof method);
}

bool gspm_named(const struct ike_msg *m, bool alone)
{
	const struct ike_notification *n = ike_find_notify(m, N_SECURE_PASSWORD_METHODS);
	struct wire_in in = n ? wire_in(n->data.at, n->data.len) : (struct wire_in){ 0 };

	if (alone)
		return wire_u16(&in) == GSPM_METHOD && wire_done(&in);
	while (in.left >= 2)
		if (wire_u16(&in) == GSPM_METHOD)
			return true;
	return false;
}

void gspm_agree(struct ike_sa *sa)
{
	gspm_free(sa);
	sa->making->gspm = mem_new(1, sizeof *sa->making->gspm);
	sa->making->gspm->good_until_ms = UINT64_MAX;
}

void gspm_free(struct ike_sa *sa)
{
	struct gspm_making *g = sa->making->gspm;

	if (!g)
		return;
	for (size_t i = 0; i < CONTEXTS; i++) {
		struct keying_job *job = g->contexts[i] ? job_new(JOB_GSS_END) : NULL;

		if (!job)
			continue;
		job->gss = g->contexts[i];
		(void)job_ask(sa->k, OWNER_IKE, 0, job); /* nobody waits for it */
	}
	owned_wipe(&g->token);
	owned_wipe(&g->proof);
	free(g->peer);
	explicit_bzero(g, sizeof *g);
	free(g);
	sa->making->gspm = NULL;
}

void gspm_use(struct ike_sa *sa)
{
	sa->making->gspm->in_use = true;
}

bool gspm_agreed(const struct ike_sa *sa)
{
	return sa->making && sa->making->gspm;
}

bool gspm_in_use(const struct ike_sa *sa)
{
	return gspm_agreed(sa) && sa->making->gspm->in_use;
}

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

static int note(struct ike_sa *sa, struct keying_octets body, struct diag *d)
{
	return gspm_digest(sa->making->gspm->transcript, body, d);
}

static int put(struct ike_sa *sa, struct ike_writer *w, const struct ike_gspm *what, struct diag *d)
{
	struct keying_octets body = ike_put_gspm(w, what);

	return w->out.failed
		       ? diag_fail(d, ERR_UNSUPPORTED, "a Kerberos token that does not fit %d octets", IKE_MESSAGE_MOST)
		       : note(sa, body, d);
}

/* ---- jobs -------------------------------------------------------------------------------------------------------- */

/* Of the two contexts, ours is the one that we begin. */
static size_t ours(const struct ike_sa *sa)
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

static int ask_step(struct ike_sa *sa, size_t context, const char *target, struct keying_octets token, struct diag *d)
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
	job->gss_initiator = context == ours(sa);
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
static int ask_key(struct ike_sa *sa, size_t context, struct diag *d)
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

static int keep_key(struct ike_sa *sa, size_t context, const struct keying_result *r, struct diag *d)
{
	if (r->secret_len != GSPM_SECRET || !key_set(&sa->making->gspm->secrets[context], r->secret, r->secret_len))
		return diag_fail(d, ERR_CRYPTO, "a Kerberos key of %zu octets", r->secret_len);
	return 0;
}

/* What a complete context has told of the peer. Its own ticket says who it is and which groups it is in; ours for it
 * bounds how long that is believed just as well. */
static void keep_told(struct ike_sa *sa, size_t context, const struct keying_result *r)
{
	struct gspm_making *g = sa->making->gspm;
	uint64_t until = r->good_ms ? sa->k->now_ms + r->good_ms : UINT64_MAX;

	if (until < g->good_until_ms)
		g->good_until_ms = until;
	if (context == ours(sa))
		return;
	free(g->peer);
	g->peer = mem_copy(&r->peer, sizeof r->peer);
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

static int prove(struct ike_sa *sa, struct diag *d)
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

static int check(struct ike_sa *sa, uint8_t method, struct keying_octets auth, struct diag *d)
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

static void peer_is_proven(struct ike_sa *sa)
{
	auth_keep_peer(sa, sa->making->gspm->peer);
	reauth_proven(sa, good_ms(sa));
}

int gspm_verify(struct ike_sa *sa, const struct ike_msg *m, struct diag *d)
{
	int r = check(sa, m->auth_method, m->auth, d);

	if (r == 0)
		peer_is_proven(sa);
	return r;
}

/* ---- initiator --------------------------------------------------------------------------------------------------- */

/* Our step failed, or the peer's proof did: both ends hear of it. */
static int give_up(struct ike_sa *sa, int error, const char *why)
{
	struct fault f = { .code = failure_of(error), .exchange = IKE_AUTH };
	const struct gspm_making *g = sa->making->gspm;

	if (g->peer)
		f.peer = g->peer->id;
	else if (g->principal[0])
		f.peer = g->principal;
	if (sa->state != IKE_I_GSS_TICKET) {
		auth_not_proven(sa, f, why);
		return STEP_STAY;
	}
	char remote[ADDR_TEXT];
	contact_fault(sa->k, &sa->local, &sa->remote, ike_rule_name(sa), EVENT_MAIN_MODE_FAILED, f,
		      "we have no Kerberos ticket to show to %s (%.160s): %s (rule '%s')",
		      addr_text(&sa->remote, remote), g->principal, why, ike_rule_name(sa));
	auth_part(sa);
	return STEP_STAY;
}

void gspm_put_hello(struct ike_sa *sa, struct ike_writer *w)
{
	struct diag d = { 0 };

	auth_put_own_id(sa, w);
	if (put(sa, w, &(struct ike_gspm){ .kerberos = true }, &d) < 0)
		w->out.failed = true;
	ppk_put(sa, w);
}

/* Whoever answers has named it: tickets are asked for hosts of the policy's realms only, never for users or for another
 * kind of service, in whose place somebody might use what we send. */
static bool may_ask_for(const struct ike_sa *sa, const char *principal)
{
	const char *realm = principal_realm(principal);

	if (!principal_is_host(principal) && !principal_is_machine(principal))
		return false;
	for (size_t i = 0; i < sa->auth_set->count; i++) {
		const struct auth_method *m = &sa->auth_set->methods[i];

		if (m->kind == AUTH_KERBEROS && *realm && (!m->realm || principal_realm_equal(m->realm, realm)))
			return true;
	}
	return false;
}

int gspm_take_name(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	struct gspm_making *g = sa->making->gspm;
	const struct ike_msg *m = in->msg;
	struct diag why = { 0 };

	exchange_done(sa);
	if (!m->gspm.kerberos || !m->gspm.principal.len || !m->has_id_r)
		return give_up(sa, -ERR_SYNTAX, "it does not say by which principal tickets for it are asked");
	if (ppk_answered(sa, m, &why) < 0)
		return give_up(sa, why.code, why.text);
	memcpy(g->principal, m->gspm.principal.at, m->gspm.principal.len); /* shorter, as decoded */
	g->principal[m->gspm.principal.len] = '\0';
	if (!may_ask_for(sa, g->principal)) {
		(void)diag_fail(&why, ERR_AUTH,
				"it calls itself %.200s, which is no host of a realm that authentication '%s' names",
				g->principal, sa->auth_set->name);
		return give_up(sa, -failure_error(FAILURE_IDENTITY), why.text);
	}
	owned_set(&sa->peer_id_body, m->id_r.body.at, m->id_r.body.len);
	int r = note(sa, m->gspm.body, d);
	return r < 0 ? r : ask_step(sa, 0, g->principal, (struct keying_octets){ 0 }, d);
}

int gspm_send_ticket(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	const struct keying_result *r = in->result;
	struct ike_writer w;
	size_t sk;
	int e;

	if (r->error)
		return give_up(sa, r->error, r->why);
	if (!r->token.len || r->complete)
		return diag_fail(d, ERR_CRYPTO, "Kerberos does not ask the peer to prove itself");
	exchange_begin_message(sa, &w, IKE_AUTH, false, &sk);
	if ((e = put(sa, &w, &(struct ike_gspm){ .token_i = r->token }, d)) < 0 ||
	    (e = exchange_end_message(sa, &w, sk, d)) < 0)
		return e;
	exchange_send_request(sa, &w, NULL);
	return 0;
}

int gspm_refused(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	const struct ike_msg *m = in->msg;

	if (!m->gspm.token_i.len)
		return auth_refused(sa, in, d);
	exchange_done(sa);
	sa->making->gspm->notify = ike_find_error(m)->type;
	return ask_step(sa, 0, NULL, m->gspm.token_i, d);
}

int gspm_explained(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	(void)d;
	auth_refused_as(sa, sa->making->gspm->notify, in->result->error ? in->result->why : NULL);
	return STEP_STAY;
}

int gspm_take_tokens(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	const struct ike_msg *m = in->msg;
	int r;

	exchange_done(sa);
	if (!m->gspm.token_i.len || !m->gspm.token_r.len)
		return give_up(sa, -ERR_SYNTAX, "its Kerberos answer lacks a token");
	if ((r = note(sa, m->gspm.body, d)) < 0)
		return r;
	owned_set(&sa->making->gspm->token, m->gspm.token_r.at, m->gspm.token_r.len);
	return ask_step(sa, 0, NULL, m->gspm.token_i, d);
}

/* The context that we have begun is whole. */
int gspm_ours_up(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	const struct keying_result *r = in->result;
	const char *why = r->error ? r->why : "it wants more tokens than Kerberos has";

	if (r->error || !r->complete || r->token.len) {
		if (sa->initiator)
			return give_up(sa, r->error ? r->error : -ERR_SYNTAX, why);
		auth_refuse(sa, (struct fault){ .code = failure_of(r->error ? r->error : -ERR_SYNTAX) }, why);
		return STEP_STAY;
	}
	keep_told(sa, ours(sa), r);
	return ask_key(sa, ours(sa), d);
}

int gspm_accept_peer(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	struct gspm_making *g = sa->making->gspm;
	int r;

	if (in->result->error)
		return give_up(sa, in->result->error, in->result->why);
	if ((r = keep_key(sa, 0, in->result, d)) < 0)
		return r;
	r = ask_step(sa, 1, NULL, owned_octets(&g->token), d);
	owned_wipe(&g->token);
	return r;
}

int gspm_peer_up(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	const struct keying_result *r = in->result;

	if (r->error)
		return give_up(sa, r->error, r->why);
	if (!r->complete || !r->token.len)
		return give_up(sa, -ERR_SYNTAX, "it wants another Kerberos exchange than that with a proof both ways");
	keep_told(sa, 1, r);
	owned_set(&sa->making->gspm->token, r->token.at, r->token.len);
	return ask_key(sa, 1, d);
}

int gspm_send_proof(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	struct gspm_making *g = sa->making->gspm;
	struct ike_writer w;
	size_t sk;
	int r;

	if (in->result->error)
		return give_up(sa, in->result->error, in->result->why);
	if ((r = keep_key(sa, 1, in->result, d)) < 0)
		return r;
	exchange_begin_message(sa, &w, IKE_AUTH, false, &sk);
	if ((r = put(sa, &w, &(struct ike_gspm){ .token_r = owned_octets(&g->token) }, d)) < 0 ||
	    (r = prove(sa, d)) < 0)
		return r;
	auth_put_proof_alone(sa, &w);
	if ((r = exchange_end_message(sa, &w, sk, d)) < 0)
		return r;
	exchange_send_request(sa, &w, NULL);
	return 0;
}

/* ---- responder --------------------------------------------------------------------------------------------------- */

static int refused(struct ike_sa *sa, int error, const char *why)
{
	const struct gspm_making *g = sa->making->gspm;

	auth_refuse(sa, (struct fault){ .code = failure_of(error), .peer = g && g->peer ? g->peer->id : NULL }, why);
	return STEP_STAY;
}

int gspm_asked(struct ike_sa *sa, const struct ike_msg *m, struct diag *d)
{
	if (!gspm_agreed(sa) || !m->gspm.kerberos || m->has_auth)
		return diag_fail(d, failure_error(FAILURE_WRONG_METHOD),
				 "it wants to prove itself by something else than what was agreed upon in IKE_SA_INIT");
	gspm_use(sa);
	owned_set(&sa->peer_id_body, m->id_i.body.at, m->id_i.body.len);
	return note(sa, m->gspm.body, d);
}

void gspm_put_parting(const struct ike_sa *sa, struct ike_writer *w)
{
	const struct gspm_making *g = sa->making->gspm;

	if (g && g->parting && g->token.len)
		(void)ike_put_gspm(w, &(struct ike_gspm){ .token_i = owned_octets(&g->token) });
}

int gspm_tell_name(struct ike_sa *sa, struct diag *d)
{
	const struct keying_credential *c = ike_credential(sa);
	struct ike_writer w;
	size_t sk;
	int r;

	if (!c || !c->subject)
		return diag_fail(d, failure_error(FAILURE_NO_CREDENTIAL),
				 "this host has no Kerberos principal any more");
	exchange_begin_message(sa, &w, IKE_AUTH, true, &sk);
	auth_put_own_id(sa, &w);
	const struct ike_gspm g = { .kerberos = true,
				    .principal = { (const uint8_t *)c->subject, strlen(c->subject) } };
	if ((r = put(sa, &w, &g, d)) < 0)
		return r;
	ppk_put(sa, &w);
	exchange_reply(sa, &w, sk);
	return 0;
}

int gspm_take_ticket(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	const struct ike_msg *m = in->msg;
	int r;

	if (!m->gspm.token_i.len || m->has_auth)
		return refused(sa, -ERR_SYNTAX, "it sent no Kerberos token");
	if ((r = note(sa, m->gspm.body, d)) < 0)
		return r;
	return ask_step(sa, 0, NULL, m->gspm.token_i, d);
}

int gspm_peer_shown(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	const struct keying_result *r = in->result;

	if (r->error) {
		owned_set(&sa->making->gspm->token, r->token.at, r->token.len);
		sa->making->gspm->parting = true;
		return refused(sa, r->error, r->why);
	}
	if (!r->complete || !r->token.len)
		return refused(sa, -ERR_SYNTAX, "it wants another Kerberos exchange than that with a proof both ways");
	keep_told(sa, 0, r);
	owned_set(&sa->making->gspm->token, r->token.at, r->token.len);
	return ask_key(sa, 0, d);
}

/* A ticket for exactly the name that has just proven itself: nobody else can open it. */
int gspm_ask_ticket(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	int r;

	if (in->result->error)
		return refused(sa, in->result->error, in->result->why);
	if ((r = keep_key(sa, 0, in->result, d)) < 0)
		return r;
	return ask_step(sa, 1, sa->making->gspm->peer->id, (struct keying_octets){ 0 }, d);
}

int gspm_send_tokens(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	struct gspm_making *g = sa->making->gspm;
	const struct keying_result *r = in->result;
	struct ike_writer w;
	size_t sk;
	int e;

	if (r->error)
		return refused(sa, r->error, r->why);
	if (!r->token.len || r->complete)
		return diag_fail(d, ERR_CRYPTO, "Kerberos does not ask the peer to prove itself");
	exchange_begin_message(sa, &w, IKE_AUTH, true, &sk);
	if ((e = put(sa, &w, &(struct ike_gspm){ .token_i = owned_octets(&g->token), .token_r = r->token }, d)) < 0)
		return e;
	exchange_reply(sa, &w, sk);
	owned_wipe(&g->token);
	return 0;
}

int gspm_take_proof(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	struct gspm_making *g = sa->making->gspm;
	const struct ike_msg *m = in->msg;
	int r;

	if (!m->gspm.token_r.len || !m->has_auth)
		return refused(sa, -ERR_SYNTAX, "it sent no Kerberos token, or no proof with it");
	if ((r = note(sa, m->gspm.body, d)) < 0)
		return r;
	owned_set(&g->proof, m->auth.at, m->auth.len);
	g->proof_method = m->auth_method;
	auth_take_contact(sa, m);
	return ask_step(sa, 1, NULL, m->gspm.token_r, d);
}

int gspm_check_proof(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	struct gspm_making *g = sa->making->gspm;
	struct diag why = { 0 };
	int r;

	if (in->result->error)
		return refused(sa, in->result->error, in->result->why);
	if ((r = keep_key(sa, 1, in->result, d)) < 0)
		return r;
	if (check(sa, g->proof_method, owned_octets(&g->proof), &why) < 0)
		return refused(sa, why.code, why.text);
	if ((r = prove(sa, d)) < 0)
		return r;
	peer_is_proven(sa);
	auth_begin_child(sa);
	return 0;
}

bool gspm_falls_back(struct ike_sa *sa)
{
	const struct choose_peer other = { .kerberos = GSPM_NEVER };

	if (!gspm_in_use(sa) || !sa->contact || sa->k->closing ||
	    !choose_credential(sa->k, sa->auth_set, &other, NULL, NULL))
		return false;
	sa->contact->no_kerberos_ms = sa->k->now_ms + NO_KERBEROS_MS;
	return true;
}

bool gspm_waits(const struct ike_sa *sa)
{
	return sa->state == IKE_R_GSS_NAMED || sa->state == IKE_R_GSS_SHOWN;
}

void gspm_parted(struct ike_sa *sa, const struct ike_msg *m)
{
	const struct gspm_making *g = sa->making->gspm;
	const char *who = g && g->peer ? g->peer->id : NULL;
	char remote[ADDR_TEXT];
	bool refuses = ike_find_notify(m, N_AUTHENTICATION_FAILED);

	contact_fault_stranger(sa->k, &sa->local, &sa->remote, ike_rule_name(sa),
			       (struct fault){ .code = refuses ? FAILURE_NOT_ACCEPTED : FAILURE_REFUSED,
					       .by = SIDE_PEER,
					       .exchange = IKE_AUTH,
					       .notify = refuses ? N_AUTHENTICATION_FAILED : 0,
					       .peer = who },
			       "%s gave up Kerberos in IKE_AUTH: it %s. Why stands in its own log",
			       addr_text(&sa->remote, remote),
			       sa->state == IKE_R_GSS_NAMED ? "got no ticket for this host"
							    : "did not accept our answer, or our ticket");
	ike_drop(sa);
}
