/* keying/ppk.c - post-quantum pre-shared keys (RFC 8784). While both proofs may count the mixed keys are in force, and
 * the plain ones are kept; which of them stay is known when the other end has answered. */
#include "keying/ppk.h"
#include "keying/engine.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PPK_ID_FIXED = 2, PPK_ID_TEXT = 65 };

struct ppk_making {
	char id[PPK_ID_TEXT]; /* of the key in use; empty: none (yet) */
	bool mixed;
	struct keying_mix plain;
	struct owned plain_proof, id_body;
	struct keying_job *verify;
};

void ppk_free(struct ppk_making *p)
{
	if (!p)
		return;
	owned_wipe(&p->plain_proof);
	owned_wipe(&p->id_body);
	keying_job_free(p->verify);
	explicit_bzero(p, sizeof *p);
	free(p);
}

static bool holds(const struct keying *k, const struct ppk *p)
{
	for (size_t i = 0; i < k->config.ppk_count; i++)
		if (strcmp(k->config.ppks[i], p->file) == 0)
			return true;
	return false;
}

static const struct ppk *first_held(const struct keying *k, const struct key_exchange_set *set)
{
	for (size_t i = 0; i < set->ppk_count; i++)
		if (holds(k, &set->ppks[i]))
			return &set->ppks[i];
	return NULL;
}

bool ppk_held(const struct keying *k, const struct key_exchange_set *set)
{
	return first_held(k, set) != NULL;
}

bool ppk_wanted(const struct keying *k, const struct addr *local, const struct addr *remote,
		const struct ike_suite *suite)
{
	struct plan_list list = plan_meet(k->plan, local, remote);

	for (size_t i = 0; i < list.count; i++) {
		const struct key_exchange_set *set = list.entries[i].rule->key_exchange;
		if (!selector_negotiable(&list.entries[i]) || !ppk_held(k, set))
			continue;
		for (size_t s = 0; s < set->count; s++)
			if (ike_suite_equal(&set->suites[s], suite))
				return true;
	}
	return false;
}

void ppk_agree(struct ike_sa *sa)
{
	ppk_free(sa->making->ppk);
	sa->making->ppk = mem_new(1, sizeof *sa->making->ppk);
}

static void ask_mix(struct ike_sa *sa, const struct ppk *p)
{
	struct keying_job *job = job_new(JOB_PPK);

	words_copy(sa->making->ppk->id, PPK_ID_TEXT, p->id);
	job->ppk_file = mem_copy(p->file, strlen(p->file) + 1);
	job->prf = sa->suite.prf;
	job->mix = (struct keying_mix){ sa->sk_d, sa->making->keys.pi, sa->making->keys.pr };
	sa->job = job_ask(sa->k, OWNER_IKE, sa->number, job);
}

int ppk_begin(struct ike_sa *sa, struct diag *d)
{
	const struct ppk *p = first_held(sa->k, sa->ke_set);

	if (!p) /* it has gone since IKE_SA_INIT */
		return diag_fail(d, failure_error(FAILURE_PPK), "this host has no ppk of key-exchange '%s' any more",
				 sa->ke_set->name);
	ask_mix(sa, p);
	return 0;
}

/* The name in a PPK_IDENTITY, for a log; what is no name is not repeated. */
static const char *name_of(const struct ike_notification *n, char buf[PPK_ID_TEXT])
{
	size_t len = n->data.len ? n->data.len - 1 : 0;

	(void)snprintf(buf, PPK_ID_TEXT, "?");
	for (size_t i = 1; i <= len; i++)
		if (n->data.at[i] <= ' ' || n->data.at[i] >= 127)
			return buf;
	if (len && len < PPK_ID_TEXT && n->data.at[0] == PPK_ID_FIXED) {
		memcpy(buf, n->data.at + 1, len);
		buf[len] = '\0';
	}
	return buf;
}

static const struct ppk *named(const struct ike_sa *sa, const struct ike_notification *n)
{
	for (size_t i = 0; i < sa->ke_set->ppk_count; i++) {
		const struct ppk *p = &sa->ke_set->ppks[i];
		size_t len = strlen(p->id);
		if (n->data.len == len + 1 && n->data.at[0] == PPK_ID_FIXED &&
		    memcmp(n->data.at + 1, p->id, len) == 0 && holds(sa->k, p))
			return p;
	}
	return NULL;
}

/* The first of ours, for words. */
static const char *ours(const struct ike_sa *sa)
{
	return sa->ke_set->ppk_count ? sa->ke_set->ppks[0].id : "none";
}

/* RFC 8784 3, table 1. */
int ppk_asked(struct ike_sa *sa, const struct ike_msg *m, struct keying_octets *ret_auth, struct diag *d)
{
	const struct ike_notification *identity = ike_find_notify(m, N_PPK_IDENTITY);
	const struct ike_notification *plain = ike_find_notify(m, N_NO_PPK_AUTH);
	bool required = sa->ke_set->ppk_required;
	char name[PPK_ID_TEXT];

	if (!sa->making->ppk) {
		if (required)
			return diag_fail(d, failure_error(FAILURE_PPK),
					 "it uses no post-quantum pre-shared key, and key-exchange '%s' requires one "
					 "('%s')%s",
					 sa->ke_set->name, ours(sa),
					 ppk_held(sa->k, sa->ke_set) ? "" : ", which this host has not, either");
		return PPK_NONE;
	}
	if (!identity)
		return diag_fail(d, failure_error(FAILURE_PPK),
				 "it said that it uses a post-quantum pre-shared key, and does not say which");
	const struct ppk *p = named(sa, identity);
	if (p) {
		ask_mix(sa, p);
		return PPK_MIX;
	}
	(void)name_of(identity, name);
	if (required || (!plain && !m->has_gspm)) /* Kerberos proves by what we answer (gspm/gspm.h) */
		return diag_fail(d, failure_error(FAILURE_PPK),
				 "it uses the post-quantum pre-shared key '%s'%s; key-exchange '%s' has %s", name,
				 plain ? "" : " and will not do without", sa->ke_set->name, ours(sa));
	if (plain)
		*ret_auth = plain->data;
	ppk_free(sa->making->ppk);
	sa->making->ppk = NULL;
	return PPK_PLAIN;
}

static void unmix(struct ike_sa *sa)
{
	const struct keying_mix *plain = &sa->making->ppk->plain;

	sa->sk_d = plain->d;
	sa->making->keys.pi = plain->pi;
	sa->making->keys.pr = plain->pr;
	ppk_free(sa->making->ppk);
	sa->making->ppk = NULL;
}

int ppk_answered(struct ike_sa *sa, const struct ike_msg *m, struct diag *d)
{
	if (!ppk_in_force(sa) || ike_find_notify(m, N_PPK_IDENTITY)) /* its data say nothing */
		return 0;
	if (sa->ke_set->ppk_required)
		return diag_fail(
			d, failure_error(FAILURE_PPK),
			"it does not use the post-quantum pre-shared key '%s', which key-exchange '%s' requires",
			sa->making->ppk->id, sa->ke_set->name);
	unmix(sa);
	return 0;
}

void ppk_mixed(struct ike_sa *sa, const struct keying_result *r)
{
	struct ppk_making *p = sa->making->ppk;

	p->plain = (struct keying_mix){ sa->sk_d, sa->making->keys.pi, sa->making->keys.pr };
	sa->sk_d = r->mix.d;
	sa->making->keys.pi = r->mix.pi;
	sa->making->keys.pr = r->mix.pr;
	p->mixed = true;
}

bool ppk_in_force(const struct ike_sa *sa)
{
	return sa->making && sa->making->ppk && sa->making->ppk->mixed;
}

const char *ppk_id(const struct ike_sa *sa)
{
	return ppk_in_force(sa) ? sa->making->ppk->id : NULL;
}

bool ppk_needs_plain_proof(const struct ike_sa *sa)
{
	return ppk_in_force(sa) && !sa->ke_set->ppk_required && !sa->making->ppk->plain_proof.len && !gspm_in_use(sa);
}

const struct key *ppk_plain_key(const struct ike_sa *sa)
{
	return &sa->making->ppk->plain.pi;
}

void ppk_keep_plain_proof(struct ike_sa *sa, const struct keying_result *r)
{
	owned_set(&sa->making->ppk->plain_proof, r->auth, r->auth_len);
}

bool ppk_stays(const struct ike_sa *sa, const struct key_exchange_set *now)
{
	const struct key_exchange_set *before = sa->ke_set;

	if (sa->state >= IKE_ESTABLISHED)
		return sa->ppk || !now->ppk_required;
	bool same = !before || (before->ppk_required == now->ppk_required && before->ppk_count == now->ppk_count);
	for (size_t i = 0; same && before && i < now->ppk_count; i++)
		same = strcmp(before->ppks[i].id, now->ppks[i].id) == 0 &&
		       strcmp(before->ppks[i].file, now->ppks[i].file) == 0;
	return same;
}

void ppk_put(const struct ike_sa *sa, struct ike_writer *w)
{
	const struct ppk_making *p = sa->making->ppk;
	uint8_t identity[1 + PPK_ID_TEXT] = { PPK_ID_FIXED };
	size_t len;

	if (!ppk_in_force(sa))
		return;
	len = strlen(p->id);
	memcpy(identity + 1, p->id, len);
	ike_put_notify(w, N_PPK_IDENTITY, identity, sa->initiator ? len + 1 : 0);
	if (p->plain_proof.len)
		ike_put_notify(w, N_NO_PPK_AUTH, p->plain_proof.at, p->plain_proof.len);
}

void ppk_hold(struct ike_sa *sa, struct keying_job *job, struct keying_octets id_body)
{
	sa->making->ppk->verify = job;
	owned_set(&sa->making->ppk->id_body, id_body.at, id_body.len);
}

struct keying_job *ppk_take(struct ike_sa *sa, struct keying_octets *ret_id_body)
{
	struct keying_job *job = sa->making->ppk->verify;

	sa->making->ppk->verify = NULL;
	*ret_id_body = owned_octets(&sa->making->ppk->id_body);
	return job;
}
