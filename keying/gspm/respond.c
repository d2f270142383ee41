/* keying/gspm/respond.c - Kerberos in IKE_AUTH: the steps of the IKE SA's responder (docs/protocols/kerberos-ikev2.md
 * 5). */
#include "keying/gspm/making.h"
#include <string.h>

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
	return gspm_note(sa, m->gspm.body, d);
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
	if ((r = gspm_put(sa, &w, &g, d)) < 0)
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
	if ((r = gspm_note(sa, m->gspm.body, d)) < 0)
		return r;
	return gspm_ask_step(sa, 0, NULL, m->gspm.token_i, d);
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
	gspm_keep_told(sa, 0, r);
	owned_set(&sa->making->gspm->token, r->token.at, r->token.len);
	return gspm_ask_key(sa, 0, d);
}

/* A ticket for exactly the name that has just proven itself: nobody else can open it. */
int gspm_ask_ticket(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	int r;

	if (in->result->error)
		return refused(sa, in->result->error, in->result->why);
	if ((r = gspm_keep_key(sa, 0, in->result, d)) < 0)
		return r;
	return gspm_ask_step(sa, 1, sa->making->gspm->peer->id, (struct keying_octets){ 0 }, d);
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
	if ((e = gspm_put(sa, &w, &(struct ike_gspm){ .token_i = owned_octets(&g->token), .token_r = r->token }, d)) <
	    0)
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
	if ((r = gspm_note(sa, m->gspm.body, d)) < 0)
		return r;
	owned_set(&g->proof, m->auth.at, m->auth.len);
	g->proof_method = m->auth_method;
	auth_take_contact(sa, m);
	return gspm_ask_step(sa, 1, NULL, m->gspm.token_r, d);
}

int gspm_check_proof(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	struct gspm_making *g = sa->making->gspm;
	struct diag why = { 0 };
	int r;

	if (in->result->error)
		return refused(sa, in->result->error, in->result->why);
	if ((r = gspm_keep_key(sa, 1, in->result, d)) < 0)
		return r;
	if (gspm_check(sa, g->proof_method, owned_octets(&g->proof), &why) < 0)
		return refused(sa, why.code, why.text);
	if ((r = gspm_prove(sa, d)) < 0)
		return r;
	gspm_peer_is_proven(sa);
	auth_begin_child(sa);
	return 0;
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
