/* keying/auth.c - IKE_AUTH (RFC 7296 1.2, 2.15): both prove who they are, and make the first CHILD SA. The proofs are
 * made and checked by jobs; the CHILD SA may be refused while the IKE SA stays. */
#include "keying/choose.h"
#include "keying/engine.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROOF_TEXT = 320, WHO_TEXT = 192, WHY_TEXT = 512, SHARED_KEY = 2 };

/* ---- our own proof ----------------------------------------------------------------------------------------------- */

/* A pre-shared key has no name of its own, and Kerberos shows none here: the address that we speak from. */
static void own_id(const struct ike_sa *sa, const struct keying_credential *c, uint8_t *ret_type,
		   struct keying_octets *ret)
{
	*ret_type = c->id_type;
	*ret = (struct keying_octets){ c->id, c->id_len };
	if (c->id_len && c->kind != AUTH_KERBEROS) /* whose tickets say who we are, and to no stranger */
		return;
	*ret_type = sa->local.family == 4 ? ID_IPV4_ADDR : ID_IPV6_ADDR;
	*ret = (struct keying_octets){ sa->local.octets, addr_octets(&sa->local) };
}

void auth_put_own_id(const struct ike_sa *sa, struct ike_writer *w)
{
	const struct keying_credential *c = ike_credential(sa);
	struct keying_octets id;
	uint8_t type;

	if (!c) {
		w->out.failed = true;
		return;
	}
	own_id(sa, c, &type, &id);
	ike_put_id(w, sa->initiator ? PL_IDI : PL_IDR, type, id.at, id.len);
}

struct keying_octets auth_own_id_body(const struct ike_sa *sa, uint8_t *buf, size_t cap)
{
	const struct keying_credential *c = ike_credential(sa);
	struct wire_out out = wire_out(buf, cap);
	struct keying_octets id = { 0 };
	uint8_t type = 0;

	if (c)
		own_id(sa, c, &type, &id);
	wire_put_u32(&out, (uint32_t)type << 24);
	wire_put(&out, id.at, id.len);
	return (struct keying_octets){ buf, out.failed ? 0 : out.len };
}

static int no_credential(const struct ike_sa *sa, struct diag *d)
{
	return diag_fail(d, failure_error(FAILURE_NO_CREDENTIAL),
			 "this host has nothing to prove itself with for authentication '%s'",
			 sa->auth_set ? sa->auth_set->name : "");
}

/* sk_p: SK_pi or SK_pr, as it goes with our role. */
static int ask_sign_with(struct ike_sa *sa, const struct key *sk_p, struct diag *d)
{
	const struct keying_credential *c = ike_credential(sa);
	uint8_t body[4 + 2048];
	struct keying_octets id_body;
	uint8_t *octets;
	size_t len;
	int r;

	if (!c)
		return no_credential(sa, d);
	id_body = auth_own_id_body(sa, body, sizeof body);
	if (!id_body.len)
		return diag_fail(d, ERR_UNSUPPORTED, "an identity of %zu octets", c->id_len);
	r = keymat_signed_octets(sa->suite.prf, sk_p, owned_octets(sa->initiator ? &sa->init_request : &sa->init_reply),
				 owned_octets(sa->initiator ? &sa->nonce_r : &sa->nonce_i), id_body, &octets, &len, d);
	if (r < 0)
		return r;
	struct keying_job *job = job_new(JOB_SIGN);
	job->credential = sa->credential;
	job->prf = sa->suite.prf;
	job->octets = (struct keying_octets){ octets, len };
	job->peer_hashes = sa->peer_hashes;
	sa->job = job_ask(sa->k, OWNER_IKE, sa->number, job);
	return 0;
}

static int ask_sign(struct ike_sa *sa, struct diag *d)
{
	return ask_sign_with(sa, sa->initiator ? &sa->making->keys.pi : &sa->making->keys.pr, d);
}

static void keep_proof(struct ike_sa *sa, const struct keying_result *r)
{
	sa->auth_method = r->auth_method;
	owned_set(&sa->auth, r->auth, r->auth_len);
}

/* Is this the only IKE SA that we have with the peer? Then what it still remembers of us is stale (2.4). */
static bool is_initial_contact(const struct ike_sa *sa)
{
	const struct ike_sa *other;

	LIST_FOREACH(other, &sa->contact->ikes, of_contact)
		if (other->state >= IKE_ESTABLISHED)
			return false;
	return true;
}

void auth_put_contact(struct ike_sa *sa, struct ike_writer *w)
{
	if (sa->initiator && is_initial_contact(sa))
		ike_put_notify(w, N_INITIAL_CONTACT, NULL, 0);
	crash_put(sa, w);
}

void auth_take_contact(struct ike_sa *sa, const struct ike_msg *m)
{
	sa->initial_contact = ike_find_notify(m, N_INITIAL_CONTACT);
	crash_take(sa, m);
}

void auth_put_proof_alone(struct ike_sa *sa, struct ike_writer *w)
{
	ike_put_auth(w, sa->auth_method, sa->auth.at, sa->auth.len);
	auth_put_contact(sa, w);
}

static int put_proof(struct ike_sa *sa, struct ike_writer *w, bool certreq, struct diag *d)
{
	const struct keying_credential *c = ike_credential(sa);
	const struct keying_config *config = &sa->k->config;

	if (!c)
		return no_credential(sa, d);
	auth_put_own_id(sa, w);
	for (size_t i = 0; c->kind == AUTH_CERTIFICATE && i < c->chain_count; i++)
		ike_put_cert(w, c->chain[i], c->chain_lens[i]);
	if (certreq && config->authority_count)
		ike_put_certreq(w, config->authorities, config->authority_count, CERTREQ_AUTH_MOST);
	ppk_put(sa, w);
	auth_put_proof_alone(sa, w);
	return 0;
}

/* ---- the peer's -------------------------------------------------------------------------------------------------- */

/* The peer's proof is checked; what it covers is known only now. */
static int ask_job(struct ike_sa *sa, struct keying_job *job, struct keying_octets id_body, struct diag *d)
{
	uint8_t *octets;
	size_t len;
	int r = keymat_signed_octets(sa->suite.prf, sa->initiator ? &sa->making->keys.pr : &sa->making->keys.pi,
				     owned_octets(sa->initiator ? &sa->init_reply : &sa->init_request),
				     owned_octets(sa->initiator ? &sa->nonce_i : &sa->nonce_r), id_body, &octets, &len,
				     d);

	if (r < 0) {
		keying_job_free(job);
		return r;
	}
	job->octets = (struct keying_octets){ octets, len };
	sa->job = job_ask(sa->k, OWNER_IKE, sa->number, job);
	return 0;
}

static struct keying_job *verify_job(const struct ike_sa *sa, const struct ike_msg *m, const struct ike_id *id,
				     struct keying_octets auth)
{
	struct keying_job *job = job_new(JOB_VERIFY);

	job->prf = sa->suite.prf;
	job->policy = policy_ref(plan_policy(sa->k->plan));
	job->auth_set = sa->auth_set;
	job->peer_hashes = sa->peer_hashes;
	job->auth_method = m->auth_method;
	job->auth = job_octets(auth);
	job->id_type = id->type;
	job->id = job_octets(id->data);
	for (; job->chain_count < m->cert_count; job->chain_count++)
		job->chain[job->chain_count] = job_octets(m->certs[job->chain_count]);
	job->other_encodings = m->cert_others;
	job->remote = sa->remote;
	return job;
}

/* ---- initiator --------------------------------------------------------------------------------------------------- */

/* An SPI for the first CHILD SA, unless the peer wants IKE SAs alone (RFC 6023): then it follows by itself. */
static int ask_first(struct ike_sa *sa, struct diag *d)
{
	if (!sa->contact->childless || !sa->making->childless_possible)
		return child_step(sa->first, CEV_START, NULL, NULL, d);
	ike_name_rule(sa, ike_rule_name(sa));
	child_drop(sa->first, NULL);
	sa->making->childless = true;
	sa->state = IKE_I_SPI;
	int r = ike_step(sa, EV_CHILD_SPI, NULL, NULL, d);
	return r < 0 ? r : STEP_STAY;
}

/* Make our proof; Kerberos has it later (gspm/). */
static int prove(struct ike_sa *sa, struct diag *d)
{
	int r;

	if (!gspm_in_use(sa))
		return ask_sign(sa, d);
	sa->state = IKE_I_SPI;
	r = ask_first(sa, d);
	return r < 0 ? r : STEP_STAY;
}

int auth_sign(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	int r = ike_key(sa, (struct keying_octets){ in->result->secret, in->result->secret_len }, NULL, d);

	if (r < 0)
		return r;
	if (!sa->making->ppk)
		return prove(sa, d);
	if ((r = ppk_begin(sa, d)) < 0)
		return r;
	sa->state = IKE_I_PPK;
	return STEP_STAY;
}

int auth_mixed(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	ppk_mixed(sa, in->result);
	return prove(sa, d);
}

int auth_reserve(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	keep_proof(sa, in->result);
	if (!ppk_needs_plain_proof(sa))
		return ask_first(sa, d);
	int r = ask_sign_with(sa, ppk_plain_key(sa), d);
	if (r < 0)
		return r;
	sa->state = IKE_I_SIGN_PLAIN;
	return STEP_STAY;
}

int auth_plain(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	ppk_keep_plain_proof(sa, in->result);
	return ask_first(sa, d);
}

int auth_send(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	struct ike_writer w;
	size_t sk;
	int r;

	(void)in;
	exchange_begin_message(sa, &w, IKE_AUTH, false, &sk);
	if (gspm_in_use(sa))
		gspm_put_hello(sa, &w);
	else if ((r = put_proof(sa, &w, true, d)) < 0)
		return r;
	if (sa->first)
		child_put_offer(sa->first, &w);
	if ((r = exchange_end_message(sa, &w, sk, d)) < 0)
		return r;
	exchange_send_request(sa, &w, NULL);
	if (!gspm_in_use(sa))
		return 0;
	sa->state = IKE_I_GSS_ASKED;
	ike_arm(sa);
	return STEP_STAY;
}

/* "certificate CN=dc1", "the pre-shared key": what we showed. */
static const char *own_proof(const struct ike_sa *sa, char buf[PROOF_TEXT])
{
	const struct keying_credential *c = ike_credential(sa);
	size_t len;

	if (c && c->kind == AUTH_PSK)
		(void)snprintf(buf, PROOF_TEXT, "the pre-shared key %s (authentication '%s')", c->psk_file,
			       sa->auth_set->name);
	else if (c && c->kind == AUTH_KERBEROS)
		(void)snprintf(buf, PROOF_TEXT, "Kerberos as %s (authentication '%s')", c->subject ? c->subject : "?",
			       sa->auth_set->name);
	else
		(void)snprintf(buf, PROOF_TEXT, "certificate %s (authentication '%s')",
			       c && c->subject ? c->subject : "of host.yaml", sa->auth_set->name);
	len = strlen(buf);
	if (ppk_id(sa))
		(void)snprintf(buf + len, PROOF_TEXT - len, " with the post-quantum pre-shared key '%s'", ppk_id(sa));
	return buf;
}

/* Otherwise than this one, which comes to nothing: what waits for it waits on. */
static void begin_again(struct ike_sa *sa)
{
	struct keying *k = sa->k;
	struct addr local = sa->local, remote = sa->remote;

	ike_drop(sa);
	struct contact *c = contact_find(k, &local, &remote);
	if (c)
		want_drive_all(c);
}

void auth_refused_as(struct ike_sa *sa, uint16_t notify, const char *why)
{
	const struct fault f = fault_of_notify(IKE_AUTH, notify);
	char remote[ADDR_TEXT], ours[PROOF_TEXT], words[REFUSAL_TEXT];

	(void)addr_text(&sa->remote, remote);
	if (why)
		(void)snprintf(words, sizeof words, "%s, because %.400s", ike_notify_name(notify), why);
	else
		(void)refusal_words(IKE_AUTH, notify, own_proof(sa, ours), words);
	if (!gspm_falls_back(sa)) {
		ike_fault(sa, f, "%s refused us in IKE_AUTH, %s", remote, words);
		return;
	}
	contact_fault(sa->k, &sa->local, &sa->remote, ike_rule_name(sa), EVENT_MAIN_MODE_FAILED, f,
		      "%s refused us in IKE_AUTH, and we try what else '%s' names: %s", remote, sa->auth_set->name,
		      words);
	begin_again(sa);
}

int auth_refused(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	(void)d;
	exchange_done(sa);
	auth_refused_as(sa, ike_find_error(in->msg)->type, NULL);
	return STEP_STAY;
}

/* "10.0.0.1 (CN=dc1)": the name is what it claims, nothing more. */
static const char *who_text(const struct ike_sa *sa, const struct fault *f, char buf[WHO_TEXT])
{
	char remote[ADDR_TEXT];
	const char *there = addr_text(&sa->remote, remote);
	bool named = f->peer && *f->peer && strcmp(f->peer, there) != 0;

	(void)snprintf(buf, WHO_TEXT, "%s%s%s%s", there, named ? " (" : "", named ? f->peer : "", named ? ")" : "");
	return buf;
}

/* Tell the peer that its proof is not good enough: it thinks that all is well (2.21.2). */
void auth_not_proven(struct ike_sa *sa, struct fault f, const char *why)
{
	char who[WHO_TEXT];
	struct keying *k = sa->k;

	contact_fault(k, &sa->local, &sa->remote, ike_rule_name(sa), EVENT_MAIN_MODE_FAILED, f,
		      "we refused the proof of %s in IKE_AUTH: %s (rule '%s')", who_text(sa, &f, who), why,
		      ike_rule_name(sa));
	auth_part(sa);
}

void auth_part(struct ike_sa *sa)
{
	bool again = gspm_falls_back(sa);

	ike_name_rule(sa, ike_rule_name(sa));
	if (sa->first)
		child_drop(sa->first, NULL);
	gspm_free(sa);
	sa->state = IKE_DELETING;
	exchange_queue(sa, TASK_NOT_PROVEN, 0);
	if (again)
		want_drive_all(sa->contact);
	else
		want_fail_all(sa->k, sa);
}

/* INVALID_SYNTAX ends an IKE SA (2.21.3), even beside AUTH: so strongSwan answers a CHILD SA where it wants none. */
static int not_understood(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	if (!sa->making->childless_possible || sa->contact->childless)
		return auth_refused(sa, in, d);
	sa->contact->childless = true;
	exchange_done(sa);
	begin_again(sa);
	return STEP_STAY;
}

int auth_verify(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	const struct ike_msg *m = in->msg;
	struct diag why = { 0 };

	if (ike_find_notify(m, N_INVALID_SYNTAX))
		return not_understood(sa, in, d);

	exchange_done(sa);
	if (unwanted_in_auth(m, &why) < 0 || (!gspm_in_use(sa) && ppk_answered(sa, m, &why) < 0)) {
		auth_not_proven(sa, (struct fault){ .code = failure_of(why.code), .exchange = IKE_AUTH }, why.text);
		return STEP_STAY;
	}
	unwanted_redirect(sa, m);
	reauth_told(sa, m);
	crash_take(sa, m);
	if (sa->first && child_answered(sa->first, m, &why) < 0) { /* told when we know who refused */
		words_copy(sa->making->hint, sizeof sa->making->hint, why.text);
		sa->making->hint_fault = child_fault_of(m, &why);
		sa->making->hint_fault.exchange = IKE_AUTH;
	}
	if (!gspm_in_use(sa))
		return ask_job(sa, verify_job(sa, m, &m->id_r, m->auth), m->id_r.body, d);
	if (gspm_verify(sa, m, &why) < 0) {
		auth_not_proven(sa, (struct fault){ .code = failure_of(why.code), .exchange = IKE_AUTH }, why.text);
		return STEP_STAY;
	}
	sa->state = IKE_I_VERIFY;
	int r = ike_step(sa, EV_PROVEN, NULL, NULL, d);
	return r < 0 ? r : STEP_STAY;
}

void auth_keep_peer(struct ike_sa *sa, const struct peer *p)
{
	free(sa->peer);
	membership_free(TAKE(sa->groups));
	sa->peer = peer_keep(p);
}

/* A proof covers the mixed keys: whose post-quantum key is another fails like one with a wrong credential. */
static const char *why_of(const struct ike_sa *sa, const struct keying_result *r, char buf[WHY_TEXT])
{
	enum failure_code code = failure_of(r->error);

	(void)snprintf(buf, WHY_TEXT, "%s", r->why);
	size_t len = strlen(buf);
	if (ppk_id(sa) && (code == FAILURE_WRONG_KEY || code == FAILURE_SIGNATURE))
		(void)snprintf(buf + len, WHY_TEXT - len, ", or the post-quantum pre-shared key '%s' is another there",
			       ppk_id(sa));
	return buf;
}

static struct fault fault_of_result(const struct keying_result *r)
{
	return (struct fault){ .code = failure_of(r->error), .exchange = IKE_AUTH, .peer = r->claimed };
}

int auth_established(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	const struct keying_result *r = in->result;
	char why[WHY_TEXT];

	if (r->error) {
		auth_not_proven(sa, fault_of_result(r), why_of(sa, r, why));
		return STEP_STAY;
	}
	auth_keep_peer(sa, &r->peer);
	reauth_proven(sa, r->good_ms);
	return auth_proven(sa, in, d);
}

int auth_proven(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	struct child *first = sa->first;
	struct diag why = { 0 };

	(void)in;
	(void)d;
	sa->state = IKE_ESTABLISHED; /* for whom the CHILD SA asks */
	if (first && sa->making->hint[0])
		child_fault(first, sa->making->hint_fault, "%s", sa->making->hint);
	else if (first && !member_may(sa->k, sa->peer, &sa->remote, first->rule, &why))
		child_not_member(first, why.text);
	else if (first)
		(void)child_step(first, CEV_PROVEN, NULL, NULL, NULL);
	sa->making->hint[0] = '\0';
	return 0;
}

/* ---- responder --------------------------------------------------------------------------------------------------- */

static bool proves_by(const struct auth_set *set, enum auth_kind kind)
{
	for (size_t i = 0; i < set->count; i++)
		if (set->methods[i].kind == kind)
			return true;
	return false;
}

static enum auth_kind kind_of(uint8_t auth_method)
{
	return auth_method == SHARED_KEY ? AUTH_PSK : auth_method == GSPM_AUTH ? AUTH_KERBEROS : AUTH_CERTIFICATE;
}

/* The first rule between the two hosts that this main mode suite, and if possible this kind of proof, is good for: who
 * the peer must prove to be when there is no CHILD SA, or when it is refused anyway. */
static const struct rule *any_rule(const struct ike_sa *sa, enum auth_kind kind)
{
	struct selector_walk w = { .plan = sa->k->plan, .local = &sa->local, .remote = &sa->remote };
	const struct rule *first = NULL;
	struct candidate c;

	while (selector_next(&w, &c)) {
		const struct rule *rule = c.entry->rule;
		for (size_t s = 0; s < rule->key_exchange->count; s++)
			if (ike_suite_equal(&rule->key_exchange->suites[s], &sa->suite)) {
				if (proves_by(rule->auth, kind))
					return rule;
				if (!first)
					first = rule;
			}
	}
	return first;
}

/* The reply that ends it: AUTHENTICATION_FAILED and not a word more (but what Kerberos itself has to say), and nothing
 * stays. */
void auth_refuse(struct ike_sa *sa, struct fault f, const char *why)
{
	struct keying *k = sa->k;
	const char *rule = ike_rule_name(sa);
	char who[WHO_TEXT];
	struct ike_writer w;
	size_t sk;

	f.exchange = IKE_AUTH;
	contact_fault_stranger(k, &sa->local, &sa->remote, rule, f, "we refused %s in IKE_AUTH: %s%s%s%s",
			       who_text(sa, &f, who), why, *rule ? " (rule '" : "", rule, *rule ? "')" : "");
	exchange_begin_message(sa, &w, IKE_AUTH, true, &sk);
	ike_put_notify(&w, N_AUTHENTICATION_FAILED, NULL, 0);
	gspm_put_parting(sa, &w);
	exchange_reply(sa, &w, sk);
	/* Stays as it is for repetitions of the request, until it is given up; but it is no longer half-open work. */
	if (sa->first)
		child_drop(sa->first, NULL);
	sa->state = IKE_R_INIT_SENT;
	sa->receive_id = UINT32_MAX; /* takes no request any more */
	gspm_free(sa);
}

static int refuse(struct ike_sa *sa, enum failure_code code, const char *why)
{
	auth_refuse(sa, (struct fault){ .code = code }, why);
	return STEP_STAY;
}

/* Kerberos goes on: by which principal tickets for us are asked. */
static int name_ourselves(struct ike_sa *sa, struct diag *d)
{
	int r = gspm_tell_name(sa, d);

	sa->state = IKE_R_GSS_NAMED;
	ike_arm(sa);
	return r < 0 ? r : STEP_STAY;
}

int auth_request(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	const struct ike_msg *m = in->msg;
	const struct rule *rule;
	struct diag why = { 0 };
	struct keying_octets auth;
	int fate;

	if (unwanted_in_auth(m, &why) < 0)
		return refuse(sa, failure_of(why.code), why.text);
	sa->making->childless = !m->has_sa && !m->has_ts_i && !m->has_ts_r; /* RFC 6023 */
	sa->first = sa->making->childless ? NULL : child_asked(sa, m, NULL, &sa->refusal, &why);
	rule = sa->first ? sa->first->rule : any_rule(sa, kind_of(m->has_gspm ? GSPM_AUTH : m->auth_method));
	if (!rule)
		return refuse(sa, FAILURE_NO_RULE, "no rule between us wants this main mode any more");
	if (sa->first) {
		sa->first->first = true;
		sa->first->state = CHILD_R_FIRST;
	} else {
		words_copy(sa->making->hint, sizeof sa->making->hint, why.text);
		sa->making->hint_fault = (struct fault){ .code = failure_of(why.code), .exchange = IKE_AUTH };
	}
	ike_name_rule(sa, rule->name);
	sa->auth_set = rule->auth;
	sa->ke_set = rule->key_exchange;
	if (m->has_gspm && !proves_by(sa->auth_set, AUTH_KERBEROS)) {
		(void)diag_fail(&why, ERR_AUTH, "it proves itself by Kerberos, which authentication '%s' does not name",
				sa->auth_set->name);
		return refuse(sa, FAILURE_WRONG_METHOD, why.text);
	}
	sa->making->kerberos = m->has_gspm ? GSPM_ONLY : GSPM_NEVER;
	if (choose_for(sa, m, &why) < 0)
		return refuse(sa, FAILURE_NO_CREDENTIAL, why.text);
	if (m->has_gspm && gspm_asked(sa, m, &why) < 0)
		return refuse(sa, failure_of(why.code), why.text);
	auth = m->auth;
	fate = ppk_asked(sa, m, &auth, &why);
	if (fate < 0)
		return refuse(sa, failure_of(fate), why.text);
	if (!m->has_gspm)
		auth_take_contact(sa, m);
	if (m->has_gspm && fate != PPK_MIX)
		return name_ourselves(sa, d);
	if (m->has_gspm) {
		sa->state = IKE_R_PPK;
		return STEP_STAY;
	}
	struct keying_job *job = verify_job(sa, m, &m->id_i, auth);
	if (fate != PPK_MIX)
		return ask_job(sa, job, m->id_i.body, d);
	ppk_hold(sa, job, m->id_i.body);
	sa->state = IKE_R_PPK;
	return STEP_STAY;
}

int auth_peer_mixed(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	const struct keying_result *r = in->result;
	struct keying_octets id_body;

	if (r->error)
		return refuse(sa, FAILURE_PPK, r->why);
	ppk_mixed(sa, r);
	if (gspm_in_use(sa))
		return name_ourselves(sa, d);
	struct keying_job *job = ppk_take(sa, &id_body);
	return ask_job(sa, job, id_body, d);
}

int auth_answer(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	const struct keying_result *r = in->result;
	char why[WHY_TEXT];

	if (r->error) {
		auth_refuse(sa, fault_of_result(r), why_of(sa, r, why));
		return STEP_STAY;
	}
	auth_keep_peer(sa, &r->peer);
	reauth_proven(sa, r->good_ms);
	return ask_sign(sa, d);
}

int auth_child(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	const struct keying_result *r = in->result;

	if (r->error) {
		auth_refuse(sa, fault_of_result(r), r->why);
		return STEP_STAY;
	}
	keep_proof(sa, r);
	auth_begin_child(sa);
	(void)d;
	return 0;
}

void auth_begin_child(struct ike_sa *sa)
{
	struct diag why = { 0 };

	if (sa->first && !member_may(sa->k, sa->peer, &sa->remote, sa->first->rule, &why)) {
		sa->refusal = (struct refusal){ .notify = N_TS_UNACCEPTABLE, .not_member = true };
		words_copy(sa->making->hint, sizeof sa->making->hint, why.text);
		sa->making->hint_fault = (struct fault){ .code = FAILURE_NOT_MEMBER, .exchange = IKE_AUTH };
		child_drop(sa->first, NULL);
	}
	if (sa->first && child_step(sa->first, CEV_START, NULL, NULL, &why) < 0)
		child_fail(sa->first, "%s", why.text);
}

/* Asked at the last moment: two hosts behind one NAT may come at the same time, and whose reply goes first has it. */
static void refuse_if_shared(struct ike_sa *sa)
{
	struct diag shared = { 0 };

	if (!sa->first || !nat_shared(sa, &sa->first->selector, &shared))
		return;
	child_drop(sa->first, NULL);
	sa->refusal = (struct refusal){ .notify = N_TS_UNACCEPTABLE };
	words_copy(sa->making->hint, sizeof sa->making->hint, shared.text);
	sa->making->hint_fault = (struct fault){ .code = FAILURE_NAT_SHARED, .exchange = IKE_AUTH };
}

int auth_respond(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	struct ike_writer w;
	size_t sk;
	int r;

	(void)in;
	refuse_if_shared(sa);
	exchange_begin_message(sa, &w, IKE_AUTH, true, &sk);
	if (gspm_in_use(sa))
		auth_put_proof_alone(sa, &w);
	else if ((r = put_proof(sa, &w, false, d)) < 0)
		return r;
	reauth_put(sa, &w);
	if (sa->first)
		child_put_answer(sa->first, &w);
	else if (!sa->making->childless)
		child_put_refusal(&sa->refusal, &w);
	if (!sa->contact)
		ike_join(sa, contact_get(sa->k, &sa->local, &sa->remote));
	exchange_reply(sa, &w, sk);
	if (!sa->first && sa->making->hint[0])
		contact_fault(sa->k, &sa->local, &sa->remote, sa->first_rule, EVENT_QUICK_MODE_FAILED,
			      sa->making->hint_fault, "%s asked for a quick mode, and we refused: %s",
			      peer_kept_id(sa->peer), sa->making->hint);
	sa->making->hint[0] = '\0';
	return 0;
}
