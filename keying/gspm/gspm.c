/* keying/gspm/gspm.c - Kerberos in IKE_AUTH (docs/protocols/kerberos-ikev2.md). Three rounds:
 *
 *	IDi, GSPM(mechanism), SA, TS ->		<- IDr, GSPM(mechanism, principal)
 *	GSPM(token of context 1) ->		<- GSPM(token of context 1, token of context 2)
 *	GSPM(token of context 2), AUTH ->	<- AUTH, SA, TS
 *
 * Context 1 is begun by the initiator of the IKE SA, context 2 by its responder, for the name that proved itself in
 * context 1. So each end has shown a ticket of its own, with its groups, and has opened one of the other's.
 *
 * Here: whether it is used at all. proof.c: digest, jobs, AUTH. initiate.c, respond.c: the steps. */
#include "keying/gspm/gspm.h"
#include "keying/choose.h"
#include "keying/gspm/making.h"
#include <stdlib.h>
#include <string.h>

enum { NO_KERBEROS_MS = 60000 /* where it failed and the set names something else */ };

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
	for (size_t i = 0; i < GSPM_CONTEXTS; i++) {
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
