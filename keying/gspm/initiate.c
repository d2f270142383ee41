/* keying/gspm/initiate.c - Kerberos in IKE_AUTH: the steps of the IKE SA's initiator (docs/protocols/kerberos-ikev2.md
 * 5). */
#include "base/crypto.h"
#include "identity/kerberos/principal.h"
#include "keying/gspm/making.h"
#include <string.h>

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
	if (gspm_put(sa, w, &(struct ike_gspm){ .kerberos = true }, &d) < 0)
		w->out.failed = true;
	ppk_put(sa, w);
}

bool kerberos_may_ask(const struct auth_set *set, const char *principal)
{
	const char *realm = principal_realm(principal);

	if (!principal_is_host(principal) && !principal_is_machine(principal))
		return false;
	for (size_t i = 0; i < set->count; i++) {
		const struct auth_method *m = &set->methods[i];

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
	if (!kerberos_may_ask(sa->auth_set, g->principal)) {
		(void)diag_fail(&why, ERR_AUTH,
				"it calls itself %.200s, which is no host of a realm that authentication '%s' names",
				g->principal, sa->auth_set->name);
		return give_up(sa, -failure_error(FAILURE_IDENTITY), why.text);
	}
	owned_set(&sa->peer_id_body, m->id_r.body.at, m->id_r.body.len);
	int r = gspm_note(sa, m->gspm.body, d);
	return r < 0 ? r : gspm_ask_step(sa, 0, g->principal, (struct keying_octets){ 0 }, d);
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
	if ((e = gspm_put(sa, &w, &(struct ike_gspm){ .token_i = r->token }, d)) < 0 ||
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
	return gspm_ask_step(sa, 0, NULL, m->gspm.token_i, d);
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
	if ((r = gspm_note(sa, m->gspm.body, d)) < 0)
		return r;
	owned_set(&sa->making->gspm->token, m->gspm.token_r.at, m->gspm.token_r.len);
	return gspm_ask_step(sa, 0, NULL, m->gspm.token_i, d);
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
	gspm_keep_told(sa, gspm_ours(sa), r);
	return gspm_ask_key(sa, gspm_ours(sa), d);
}

int gspm_accept_peer(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	struct gspm_making *g = sa->making->gspm;
	int r;

	if (in->result->error)
		return give_up(sa, in->result->error, in->result->why);
	if ((r = gspm_keep_key(sa, 0, in->result, d)) < 0)
		return r;
	r = gspm_ask_step(sa, 1, NULL, owned_octets(&g->token), d);
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
	gspm_keep_told(sa, 1, r);
	owned_set(&sa->making->gspm->token, r->token.at, r->token.len);
	return gspm_ask_key(sa, 1, d);
}

int gspm_send_proof(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	struct gspm_making *g = sa->making->gspm;
	struct ike_writer w;
	size_t sk;
	int r;

	if (in->result->error)
		return give_up(sa, in->result->error, in->result->why);
	if ((r = gspm_keep_key(sa, 1, in->result, d)) < 0)
		return r;
	exchange_begin_message(sa, &w, IKE_AUTH, false, &sk);
	if ((r = gspm_put(sa, &w, &(struct ike_gspm){ .token_r = owned_octets(&g->token) }, d)) < 0 ||
	    (r = gspm_prove(sa, d)) < 0)
		return r;
	auth_put_proof_alone(sa, &w);
	if ((r = exchange_end_message(sa, &w, sk, d)) < 0)
		return r;
	exchange_send_request(sa, &w, NULL);
	return 0;
}
