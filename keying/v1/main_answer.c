/* keying/v1/main_answer.c - main mode, who is asked for it: messages 2 and 4 (RFC 2409 5). IKEv1 has no cookies that
 * prove an address before there is work, so the work is bounded: so many that have not proven themselves, so many of
 * one address, and when all room is taken, who has waited longest for a proof gives way. */
#include "keying/v1/gss.h"
#include "keying/v1/module.h"
#include "keying/v1/nat.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SOURCE_SHARE = 16 };

struct asker {
	const struct addr *local, *remote;
	uint64_t cookie;
};

static uint64_t key_of(uint64_t cookie)
{
	return table_hash_secret(&cookie, sizeof cookie, 3);
}

static bool same_asker(const void *value, const void *what)
{
	const struct ike_sa *sa = value;
	const struct asker *a = what;

	return sa->v1 && sa->spi_i == a->cookie && addr_equal(&sa->remote, a->remote) &&
	       addr_equal(&sa->local, a->local);
}

static struct ike_sa *oldest_stranger(const struct keying *k)
{
	struct ike_sa *sa;

	TAILQ_FOREACH(sa, &k->half_opens, of_half_open)
		if (sa->v1)
			return sa;
	return NULL;
}

static bool has_room(struct keying *k, const struct addr *remote)
{
	uint32_t most = k->config.half_open_most / V1_HALF_OPEN_SHARE;

	if (k->half_open_v1 >= most / 2 && source_of(k, remote)->half_open >= most / SOURCE_SHARE)
		return false;
	if (k->half_open_v1 < most)
		return true;
	struct ike_sa *oldest = oldest_stranger(k);
	if (!oldest || k->now_ms - oldest->created_ms < HALF_OPEN_LEAST_MS)
		return false;
	ike_drop(oldest);
	return true;
}

void main_refuse(struct ike_sa *sa, uint16_t notify)
{
	const struct ike_header reply = { .spi_i = sa->spi_i, .spi_r = sa->spi_r, .exchange = V1_INFORMATIONAL };
	struct owned message = { 0 };
	struct ike_writer w;

	v1_write_begin(&w, sa->k->out, sizeof sa->k->out, &reply);
	v1_put_notify_main(&w, notify, sa->spi_i, sa->spi_r, NULL, 0);
	ike_write_end(&w);
	if (w.out.failed)
		return;
	owned_set(&message, w.out.buf, w.out.len);
	todo_send_ike(sa, &message);
	owned_wipe(&message);
}

/* The same of what we keep nothing of. */
static void refuse(struct keying *k, const struct addr *local, const struct nat_from *from, const struct ike_header *h,
		   uint16_t notify)
{
	const struct ike_header reply = { .spi_i = h->spi_i, .exchange = V1_INFORMATIONAL, .id = 0 };
	struct ike_writer w;

	v1_write_begin(&w, k->out, sizeof k->out, &reply);
	v1_put_notify_main(&w, notify, h->spi_i, 0, NULL, 0);
	ike_write_end(&w);
	if (!w.out.failed)
		todo_send(k, local, from->local_port, &from->remote, from->remote_port, w.out.buf, w.out.len);
}

/* 65001 is Kerberos for those who say so; for others it is a password beside a pre-shared key (XAUTH). */
static size_t methods_for(const struct keying *k, const struct auth_set *set, const struct v1_msg *m,
			  uint16_t ret[V1_METHODS_MOST])
{
	const uint32_t kerberos = 1u << V1_VENDOR_GSSAPI | 1u << V1_VENDOR_GSS_DRAFT | 1u << V1_VENDOR_WINDOWS;
	size_t n = main_methods(k, set, ret), kept = 0;

	for (size_t i = 0; i < n; i++)
		if (ret[i] != V1_METHOD_GSS || m->vendors & kerberos)
			ret[kept++] = ret[i];
	return kept;
}

static uint32_t key_of_set(const struct keying *k, const struct auth_set *set)
{
	for (size_t i = 0; i < k->config.credential_count; i++)
		for (size_t s = 0; s < k->config.credentials[i].satisfies_count; s++)
			if (k->config.credentials[i].kind == AUTH_PSK && k->config.credentials[i].satisfies[s] == set)
				return k->config.credentials[i].number;
	return UINT32_MAX;
}

static bool same_key(const struct keying *k, const struct auth_set *a, const struct auth_set *b)
{
	return key_of_set(k, a) == key_of_set(k, b);
}

/* The first transform that some rule between the two allows; each rule that it is good for says who the peer must be.
 */
static bool choose(struct keying *k, const struct ike_sa *sa, const struct v1_msg *m, struct v1_main_choice *ret,
		   const struct rule **ret_rule, bool *ret_any)
{
	struct selector_walk w = { .plan = k->plan, .local = &sa->local, .remote = &sa->remote };
	struct mm_making *making = sa->v1->making;
	struct candidate c;

	*ret_rule = NULL;
	*ret_any = false;
	while (selector_next(&w, &c)) {
		const struct rule *rule = c.entry->rule;
		struct v1_main_wish wish = { .set = rule->key_exchange };
		struct v1_main_choice choice;

		if (!module_takes_v1(k, rule, &sa->local, &sa->remote))
			continue;
		*ret_any = true;
		wish.method_count = methods_for(k, rule->auth, m, wish.methods);
		if (!v1_choose_main(&m->offer, &wish, &choice))
			continue;
		if (!*ret_rule) {
			*ret = choice;
			*ret_rule = rule;
		}
		bool have = choice.of != ret->of; /* one that another transform is for */
		for (size_t i = 0; i < making->set_count; i++)
			have |= making->sets[i] == rule->auth;
		/* a pre-shared key, a realm: only those that are the same everywhere prove another set, too */
		if (making->set_count && choice.method == V1_METHOD_GSS)
			have = true;
		if (making->set_count && choice.method == V1_METHOD_PSK)
			have |= !same_key(k, making->sets[0], rule->auth);
		if (!have && making->set_count < V1_SETS_MOST)
			making->sets[making->set_count++] = rule->auth;
	}
	return *ret_rule;
}

static void not_chosen(struct keying *k, const struct ike_sa *sa, const struct v1_msg *m, bool any)
{
	char remote[ADDR_TEXT], offered[PROPOSALS_TEXT];
	const char *there = addr_text(&sa->remote, remote);

	if (any)
		contact_fault_stranger(
			k, &sa->local, &sa->remote, NULL,
			(struct fault){ .code = FAILURE_NO_PROPOSAL, .exchange = V1_MAIN },
			"%s asked for main mode by IKEv1, and we refused: it offers %s, and no rule between "
			"us takes one of these",
			there, v1_offer_text(&m->offer, offered));
	else
		contact_fault_stranger(k, &sa->local, &sa->remote, NULL,
				       (struct fault){ .code = FAILURE_NO_RULE, .exchange = V1_MAIN },
				       "%s asked for main mode by IKEv1, and we refused: no rule of this host protects "
				       "traffic with it by IKEv1",
				       there);
}

/* Message 1. */
bool main_request(struct keying *k, const struct ike_header *h, const struct nat_from *from, const struct addr *local,
		  const uint8_t *octets, size_t len)
{
	const struct asker asker = { local, &from->remote, h->spi_i };
	struct ike_sa *sa = table_find(&k->half_open, key_of(h->spi_i), same_asker, &asker);
	struct diag d = { 0 };

	if (sa) {
		if (sa->v1->state == MM_R_SA_SENT && mm_may_repeat(sa))
			todo_send_back(sa, &sa->last_reply);
		else
			k->dropped[KEYING_DROP_REPEATED]++;
		return true;
	}
	if (!source_take(k, &from->remote, SOURCE_UNSEEN)) {
		k->dropped[KEYING_DROP_RATE]++;
		return true;
	}
	struct v1_msg *m = mem_new(1, sizeof *m);
	struct wire_in in = wire_in(octets + IKE_HEADER, len - IKE_HEADER);
	m->h = *h;
	if (v1_decode_payloads(&in, V1_MSG_MAIN_SA, m, &d) < 0 || !m->has_sa) {
		k->dropped[KEYING_DROP_MALFORMED]++;
		free(m);
		return true;
	}
	if (!has_room(k, &from->remote)) {
		k->dropped[KEYING_DROP_HALF_OPEN]++;
		free(m);
		return true;
	}
	sa = ike_new(k, false, local, from->local_port, &from->remote, from->remote_port);
	sa->v1 = mem_new(1, sizeof *sa->v1);
	sa->v1->making = mem_new(1, sizeof *sa->v1->making);
	sa->state = IKE_V1_MAKING;
	sa->spi_i = h->spi_i;
	if (mm_step(sa, MEV_SA, m, NULL, &d) < 0) {
		refuse(k, local, from, h, V1_N_NO_PROPOSAL_CHOSEN);
		ike_drop(sa);
	}
	free(m);
	return true;
}

int main_draw(struct ike_sa *sa, const struct mm_input *in, struct diag *d)
{
	struct keying *k = sa->k;
	const struct v1_msg *m = in->msg;
	struct mm_making *making = sa->v1->making;
	struct v1_main_choice choice;
	const struct rule *rule;
	bool any;

	if (!choose(k, sa, m, &choice, &rule, &any)) {
		not_chosen(k, sa, m, any);
		return diag_fail(d, ERR_NO_PROPOSAL, "none of the peer's proposals is wanted");
	}
	sa->auth_set = rule->auth;
	sa->ke_set = rule->key_exchange;
	ike_name_rule(sa, rule->name);
	sa->suite = choice.suite;
	sa->group = choice.suite.group;
	sa->v1->method = choice.method;
	sa->v1->life_s = choice.life_s;
	if (!main_choose_credential(sa))
		return diag_fail(d, failure_error(FAILURE_NO_CREDENTIAL), "this host has nothing to prove itself with");
	mm_take_vendors(sa, m);
	if (gss_used(sa)) {
		struct owned own = { 0 };
		int r = gss_own_name(k, sa->auth_set, &own, d);
		if (r < 0)
			return r;
		gss_begin(sa, choice.of->gss_name, &own);
	}
	owned_set(&making->sa_body, m->sa_body.at, m->sa_body.len);
	making->proposal = choice.proposal;
	making->chosen = *choice.of;
	owned_set(&making->chosen_raw, choice.of->raw.at, choice.of->raw.len);
	making->chosen.raw = owned_octets(&making->chosen_raw);
	making->chosen.gss_name = (struct keying_octets){ 0 };
	sa->half_open = true;
	k->half_open_count++;
	k->half_open_v1++;
	source_of(k, &sa->remote)->half_open++;
	TAILQ_INSERT_TAIL(&k->half_opens, sa, of_half_open);
	sa->init_key = key_of(sa->spi_i);
	table_add(&k->half_open, sa->init_key, sa);
	sa->give_up_ms = k->now_ms + HALF_OPEN_MS;
	sa->answering = true;
	sa->job = job_ask(k, OWNER_IKE, sa->number, job_new(JOB_BEGIN));
	return 0;
}

/* Message 2. */
int main_choose(struct ike_sa *sa, const struct mm_input *in, struct diag *d)
{
	const struct keying_result *r = in->result;
	struct mm_making *making = sa->v1->making;
	const struct v1_main_choice choice = { .suite = sa->suite,
					       .method = sa->v1->method,
					       .proposal = making->proposal,
					       .transform = making->chosen.number,
					       .of = &making->chosen };
	struct v1_offer offer;
	struct ike_writer w;

	if (!r->spi || table_find(&sa->k->spis, r->spi, NULL, NULL)) {
		sa->job = job_ask(sa->k, OWNER_IKE, sa->number, job_new(JOB_BEGIN));
		return MM_STAY;
	}
	sa->spi_r = r->spi;
	ike_set_spi(sa);
	owned_set(&sa->nonce_r, r->nonce, sizeof r->nonce);
	v1_answer_main(&choice, gss_used(sa) ? gss_name(sa) : (struct keying_octets){ 0 }, &offer);
	mm_begin(sa, &w, V1_MAIN, 0);
	v1_put_sa(&w, &offer);
	mm_put_vendors(sa, &w);
	ike_write_end(&w);
	return mm_send(sa, &w, false, d);
}

/* Message 3. */
int main_answer_key(struct ike_sa *sa, const struct mm_input *in, struct diag *d)
{
	const struct v1_msg *m = in->msg;
	struct keying_job *job;

	if (m->ke.len != sa->group->public_octets || m->nonce.len < V1_NONCE_LEAST)
		return diag_fail(d, ERR_SYNTAX, "the peer's key exchange is not of the group that was chosen");
	if (gss_used(sa) && !m->has_token)
		return diag_fail(d, failure_error(FAILURE_WRONG_METHOD), "the peer sent no Kerberos token");
	if (gss_used(sa))
		gss_take_token(sa, m);
	owned_set(&sa->v1->making->ke[0], m->ke.at, m->ke.len);
	owned_set(&sa->nonce_i, m->nonce.at, m->nonce.len);
	mm_take_vendors(sa, m);
	int r = v1_nat_take(sa, m, d);
	if (r < 0)
		return r;
	sa->answering = true;
	job = job_new(JOB_ANSWER);
	job->group = sa->group;
	job->peer_public = job_octets(m->ke);
	sa->job = job_ask(sa->k, OWNER_IKE, sa->number, job);
	return 0;
}

/* Message 4: HDR, KE, Nr. */
static int send_key(struct ike_sa *sa, struct diag *d)
{
	struct mm_making *making = sa->v1->making;
	struct ike_writer w;

	mm_begin(sa, &w, V1_MAIN, 0);
	v1_put_ke(&w, owned_octets(&making->ke[1]));
	v1_put_nonce(&w, owned_octets(&sa->nonce_r));
	if (gss_used(sa))
		gss_put_token(sa, &w);
	else if (sa->v1->method != V1_METHOD_PSK)
		v1_put_certreq(&w, (struct keying_octets){ 0 });
	v1_nat_put(sa, &w);
	ike_write_end(&w);
	sa->repeats = 0;
	return mm_send(sa, &w, false, d);
}

int main_answered(struct ike_sa *sa, const struct mm_input *in, struct diag *d)
{
	const struct keying_result *r = in->result;
	struct mm_making *making = sa->v1->making;

	owned_set(&making->ke[1], r->public, r->public_len);
	owned_set(&making->secret, r->secret, r->secret_len);
	return main_secret(sa, MM_R_SKEYID, MM_R_TOKEN, send_key, d);
}

/* Its ticket says who the peer is; that it has the key that goes with it, message 5 shows. */
int main_answer_token(struct ike_sa *sa, const struct mm_input *in, struct diag *d)
{
	int r = gss_stepped(sa, in->result, d);

	return r < 0 ? r : send_key(sa, d);
}

int main_answer_keyed(struct ike_sa *sa, const struct mm_input *in, struct diag *d)
{
	int r = main_key_by(sa, in->result, d);

	return r < 0 ? r : send_key(sa, d);
}
