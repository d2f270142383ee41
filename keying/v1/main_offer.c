/* keying/v1/main_offer.c - main mode, who begins it: messages 1 and 3 (RFC 2409 5). Nothing is protected yet, so an
 * answer that makes no sense is passed over, and a refusal is a hint. */
#include "keying/v1/gss.h"
#include "keying/v1/nat.h"
#include <stdio.h>
#include <string.h>

bool mm_can(const struct rule *rule)
{
	bool main = false, quick = false;

	for (size_t i = 0; i < rule->key_exchange->count; i++)
		main |= ike_suite_ikev1(&rule->key_exchange->suites[i]);
	for (size_t i = 0; i < rule->protection->count; i++)
		quick |= child_suite_ikev1(&rule->protection->suites[i]);
	return (rule->modules & MODULE_IKEV1) && main && quick && !rule->key_exchange->ppk_required &&
	       !rule->second_auth;
}

/* ---- how we can prove ourselves ---------------------------------------------------------------------------------- */

static uint16_t method_of(const struct keying_credential *c)
{
	return c->kind == AUTH_PSK ? V1_METHOD_PSK : c->kind == AUTH_KERBEROS ? V1_METHOD_GSS : c->signs_by;
}

/* Does it satisfy the set's method number `at`? */
static bool satisfies(const struct keying_credential *c, const struct auth_set *set, size_t at)
{
	for (size_t i = 0; i < c->satisfies_count; i++)
		if (c->satisfies[i] == set)
			return c->kind == set->methods[at].kind && (!c->ranks || c->ranks[i] == at);
	return false;
}

size_t main_methods(const struct keying *k, const struct auth_set *set, uint16_t ret[V1_METHODS_MOST])
{
	size_t n = 0;

	for (size_t at = 0; at < set->count; at++)
		for (size_t i = 0; i < k->config.credential_count; i++) {
			const struct keying_credential *c = &k->config.credentials[i];
			uint16_t method = method_of(c);
			bool have = !method || !satisfies(c, set, at);
			for (size_t j = 0; j < n; j++)
				have |= ret[j] == method;
			if (!have && n < V1_METHODS_MOST)
				ret[n++] = method;
		}
	return n;
}

/* Of those that go with the method: the one that the set prefers, then the one that is valid longest. */
bool main_choose_credential(struct ike_sa *sa)
{
	const struct keying_config *config = &sa->k->config;
	const struct keying_credential *best = NULL;

	for (size_t at = 0; at < sa->auth_set->count && !best; at++)
		for (size_t i = 0; i < config->credential_count; i++) {
			const struct keying_credential *c = &config->credentials[i];
			if (method_of(c) == sa->v1->method && satisfies(c, sa->auth_set, at) &&
			    (!best || c->not_after_s > best->not_after_s))
				best = c;
		}
	if (best)
		sa->credential = best->number;
	return best;
}

/* ---- begin ------------------------------------------------------------------------------------------------------- */

static void wish_of(const struct ike_sa *sa, struct v1_main_wish *ret)
{
	*ret = (struct v1_main_wish){ .set = sa->ke_set };
	ret->method_count = main_methods(sa->k, sa->auth_set, ret->methods);
	ret->gss_name = owned_octets(&sa->v1->making->own_name);
}

struct ike_sa *mm_initiate(struct contact *c, const struct rule *rule)
{
	struct keying *k = c->k;
	uint16_t methods[V1_METHODS_MOST];
	const char *why = NULL;
	enum failure_code code = FAILURE_NO_CREDENTIAL;
	struct diag d = { 0 };
	size_t n = main_methods(k, rule->auth, methods);

	if (init_second_auth(c, rule))
		return NULL;
	if (!n)
		why = "this host has nothing to prove itself with";
	else if (k->initiating_count >= INITIATING_MOST)
		code = FAILURE_BUSY, why = "too many main modes are being negotiated already; this one has to wait";
	if (why) {
		contact_fault(k, &c->local, &c->remote, rule->name, EVENT_MAIN_MODE_FAILED,
			      (struct fault){ .code = code }, "%s (IKEv1, authentication '%s')", why, rule->auth->name);
		return NULL;
	}
	struct ike_sa *sa = ike_new(k, true, &c->local, IKE_PORT, &c->remote, IKE_PORT);
	sa->v1 = mem_new(1, sizeof *sa->v1);
	sa->v1->making = mem_new(1, sizeof *sa->v1->making);
	sa->state = IKE_V1_MAKING;
	sa->initiating = true;
	k->initiating_count++;
	sa->auth_set = rule->auth;
	sa->ke_set = rule->key_exchange;
	for (size_t i = 0; i < n; i++)
		if (methods[i] == V1_METHOD_GSS)
			(void)gss_own_name(k, rule->auth, &sa->v1->making->own_name, &d);
	ike_join(sa, c);
	ike_name_rule(sa, rule->name);
	(void)mm_step(sa, MEV_START, NULL, NULL, &d);
	return sa;
}

static void ask_begin(struct ike_sa *sa, const struct algorithm *group)
{
	struct keying_job *job = job_new(JOB_BEGIN);

	job->group = group;
	sa->job = job_ask(sa->k, OWNER_IKE, sa->number, job);
}

int main_begin(struct ike_sa *sa, const struct mm_input *in, struct diag *d)
{
	(void)in;
	(void)d;
	ask_begin(sa, NULL);
	return 0;
}

/* Message 1: HDR, SA, vendor IDs. */
static int send_offer(struct ike_sa *sa, struct diag *d)
{
	struct v1_main_wish wish;
	struct v1_offer offer;
	struct ike_writer w;
	int r;

	wish_of(sa, &wish);
	if ((r = v1_offer_main(&wish, &offer, d)) < 0)
		return r;
	mm_begin(sa, &w, V1_MAIN, 0);
	v1_put_sa(&w, &offer);
	if (!w.out.failed) /* behind the header of the payload: what hashes cover */
		owned_set(&sa->v1->making->sa_body, w.out.buf + IKE_HEADER + 4, w.out.len - IKE_HEADER - 4);
	mm_put_vendors(sa, &w);
	ike_write_end(&w);
	return mm_send(sa, &w, true, d);
}

int main_offer(struct ike_sa *sa, const struct mm_input *in, struct diag *d)
{
	const struct keying_result *r = in->result;

	if (!r->spi || table_find(&sa->k->spis, r->spi, NULL, NULL)) {
		ask_begin(sa, NULL);
		return MM_STAY;
	}
	sa->spi_i = r->spi;
	ike_set_spi(sa);
	owned_set(&sa->nonce_i, r->nonce, sizeof r->nonce);
	return send_offer(sa, d);
}

/* Windows under attack: the same once more, with the cookie that it names ([MS-IKEE] 3.9). */
int main_offer_again(struct ike_sa *sa, const struct mm_input *in, struct diag *d)
{
	const struct v1_notification *n = v1_find_notify(in->msg, V1_N_WINDOWS_DOS_COOKIE);
	struct wire_in data = wire_in(n->data.at, n->data.len);
	uint64_t cookie = wire_u64(&data);

	if (!wire_done(&data) || !cookie || cookie == sa->v1->making->cookie || ++sa->tries > INIT_TRIES_MOST)
		return MM_STAY;
	sa->v1->making->cookie = sa->spi_r = cookie;
	int r = send_offer(sa, d);
	sa->spi_r = 0;
	return r;
}

static void strange_answer(struct ike_sa *sa, const struct v1_msg *m)
{
	char remote[ADDR_TEXT], offered[PROPOSALS_TEXT], taken[PROPOSALS_TEXT];

	mm_hint(sa, (struct fault){ .code = FAILURE_NO_PROPOSAL },
		"%s answered main mode (IKEv1) by %s, which is none of what we offered (rule '%s': %s)",
		addr_text(&sa->remote, remote), v1_offer_text(&m->offer, taken), ike_rule_name(sa),
		proposal_set_text(sa->ke_set, offered));
}

/* Message 2. */
int main_take(struct ike_sa *sa, const struct mm_input *in, struct diag *d)
{
	const struct v1_msg *m = in->msg;
	struct v1_main_choice choice;
	struct v1_main_wish wish;

	(void)d;
	wish_of(sa, &wish);
	if (!m->h.spi_r || !m->has_sa || !v1_accept_main(&m->offer, &wish, &choice)) {
		strange_answer(sa, m);
		return MM_STAY;
	}
	uint16_t before = sa->v1->method;
	sa->v1->method = choice.method;
	if (!main_choose_credential(sa)) {
		sa->v1->method = before;
		strange_answer(sa, m);
		return MM_STAY;
	}
	sa->spi_r = m->h.spi_r;
	sa->suite = choice.suite;
	sa->v1->life_s = choice.life_s;
	sa->group = choice.suite.group;
	mm_take_vendors(sa, m);
	if (gss_used(sa))
		gss_begin(sa, choice.of->gss_name, &sa->v1->making->own_name);
	exchange_done(sa);
	sa->give_up_ms = UINT64_MAX;
	sa->making->hint[0] = '\0';
	ask_begin(sa, sa->group);
	return 0;
}

/* Message 3: HDR, KE, Ni [, token]. */
static int send_key(struct ike_sa *sa, struct diag *d)
{
	struct ike_writer w;

	mm_begin(sa, &w, V1_MAIN, 0);
	v1_put_ke(&w, owned_octets(&sa->v1->making->ke[0]));
	v1_put_nonce(&w, owned_octets(&sa->nonce_i));
	if (gss_used(sa))
		gss_put_token(sa, &w);
	else if (sa->v1->method != V1_METHOD_PSK)
		v1_put_certreq(&w, (struct keying_octets){ 0 });
	v1_nat_put(sa, &w);
	ike_write_end(&w);
	return mm_send(sa, &w, true, d);
}

int main_send_key(struct ike_sa *sa, const struct mm_input *in, struct diag *d)
{
	const struct keying_result *r = in->result;
	int e;

	sa->making->private = r->private;
	owned_set(&sa->v1->making->ke[0], r->public, r->public_len);
	if (!gss_used(sa))
		return send_key(sa, d);
	if ((e = gss_ask_step(sa, d)) < 0)
		return e;
	sa->v1->state = MM_I_TOKEN;
	return MM_STAY;
}

int main_token(struct ike_sa *sa, const struct mm_input *in, struct diag *d)
{
	int r = gss_stepped(sa, in->result, d);

	return r < 0 ? r : send_key(sa, d);
}

/* Message 4. */
int main_take_key(struct ike_sa *sa, const struct mm_input *in, struct diag *d)
{
	const struct v1_msg *m = in->msg;
	struct keying_job *job;

	(void)d;
	if (m->ke.len != sa->group->public_octets || m->nonce.len < V1_NONCE_LEAST) {
		char remote[ADDR_TEXT];
		mm_hint(sa, (struct fault){ .code = FAILURE_MALFORMED },
			"%s answered our key exchange by IKEv1 with one of another group than %s",
			addr_text(&sa->remote, remote), sa->group->name);
		return MM_STAY;
	}
	if (gss_used(sa) && !m->has_token) {
		char remote[ADDR_TEXT];
		mm_hint(sa, (struct fault){ .code = FAILURE_MALFORMED },
			"%s answered our Kerberos ticket with no token of its own (IKEv1)",
			addr_text(&sa->remote, remote));
		return MM_STAY;
	}
	mm_take_vendors(sa, m);
	struct diag why = { 0 };
	if (v1_nat_take(sa, m, &why) < 0) {
		mm_hint(sa, (struct fault){ .code = FAILURE_NAT }, "%s", why.text);
		return MM_STAY;
	}
	if (gss_used(sa))
		gss_take_token(sa, m);
	owned_set(&sa->v1->making->ke[1], m->ke.at, m->ke.len);
	owned_set(&sa->nonce_r, m->nonce.at, m->nonce.len);
	exchange_done(sa);
	sa->give_up_ms = UINT64_MAX;
	sa->making->hint[0] = '\0';
	job = job_new(JOB_DERIVE);
	job->group = sa->group;
	key_move(&job->private, &sa->making->private);
	job->peer_public = job_octets(m->ke);
	sa->job = job_ask(sa->k, OWNER_IKE, sa->number, job);
	return 0;
}

/* ---- keys, both ends --------------------------------------------------------------------------------------------- */

/* All keys follow from SKEYID; NULL: of signatures it is made here. */
int main_key(struct ike_sa *sa, const struct key *skeyid, struct diag *d)
{
	SCOPED(key_wipe) struct key made = { 0 };
	struct v1_main m;
	int r;

	mm_describe(sa, &m);
	if (!skeyid) {
		if ((r = v1_skeyid(&m, &made, d)) < 0)
			return r;
		skeyid = &made;
	}
	if ((r = v1_keys_make(&m, skeyid, &sa->v1->keys, d)) < 0 || (r = v1_iv_main(&m, &sa->v1->iv, d)) < 0)
		return r;
	sa->v1->keyed = true;
	capture_main(sa);
	owned_wipe(&sa->v1->making->secret);
	return 0;
}

int main_key_by(struct ike_sa *sa, const struct keying_result *r, struct diag *d)
{
	SCOPED(key_wipe) struct key skeyid = { 0 };

	if (!key_set(&skeyid, r->secret, r->secret_len))
		return diag_fail(d, ERR_CRYPTO, "SKEYID is of %zu octets", r->secret_len);
	return main_key(sa, &skeyid, d);
}

/* SKEYID of a pre-shared key is made where the key is. */
int main_ask_skeyid(struct ike_sa *sa, struct diag *d)
{
	struct keying_job *job = job_new(JOB_SKEYID);
	size_t len = sa->nonce_i.len + sa->nonce_r.len;
	uint8_t *nonces = mem_new(1, len);

	(void)d;
	memcpy(nonces, sa->nonce_i.at, sa->nonce_i.len);
	memcpy(nonces + sa->nonce_i.len, sa->nonce_r.at, sa->nonce_r.len);
	job->credential = sa->credential;
	job->prf = sa->suite.prf;
	job->octets = (struct keying_octets){ nonces, len };
	sa->job = job_ask(sa->k, OWNER_IKE, sa->number, job);
	return 0;
}

int main_secret(struct ike_sa *sa, enum mm_state skeyid, enum mm_state token,
		int (*then)(struct ike_sa *sa, struct diag *d), struct diag *d)
{
	int r;

	if (sa->v1->method == V1_METHOD_PSK) {
		sa->v1->state = skeyid;
		(void)main_ask_skeyid(sa, d);
		return MM_STAY;
	}
	if ((r = main_key(sa, NULL, d)) < 0)
		return r;
	if (!gss_used(sa))
		return then(sa, d);
	if ((r = gss_ask_step(sa, d)) < 0)
		return r;
	sa->v1->state = token;
	return MM_STAY;
}

int main_derived(struct ike_sa *sa, const struct mm_input *in, struct diag *d)
{
	owned_set(&sa->v1->making->secret, in->result->secret, in->result->secret_len);
	return main_secret(sa, MM_I_SKEYID, MM_I_CONTEXT, proof_ask, d);
}

/* The peer is who its token says. */
int main_context(struct ike_sa *sa, const struct mm_input *in, struct diag *d)
{
	int r = gss_stepped(sa, in->result, d);

	return r < 0 ? r : proof_ask(sa, d);
}

int main_keyed(struct ike_sa *sa, const struct mm_input *in, struct diag *d)
{
	int r = main_key_by(sa, in->result, d);

	return r < 0 ? r : proof_ask(sa, d);
}
