/* keying/init.c - IKE_SA_INIT (RFC 7296 1.2, 2.6, 2.14): nothing in it is protected yet, so a reply that makes no sense
 * is passed over, and a refusal is a hint that is believed only when nothing better comes. */
#include "keying/choose.h"
#include "keying/engine.h"
#include "keying/v1/module.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
	SUITES_MOST = 64,
	HALF_OPEN_SHARE = 16, /* of half_open_most, one address gets so small a part once half of it is used */
};

/* Hashes that we take in signatures (RFC 7427 4): SHA2-256, SHA2-384, SHA2-512, identity (EdDSA, RFC 8420). */
static const uint8_t signature_hashes[] = { 0, 2, 0, 3, 0, 4, 0, 5 };

static uint16_t hashes_of(const struct ike_msg *m)
{
	const struct ike_notification *n = ike_find_notify(m, N_SIGNATURE_HASH_ALGORITHMS);
	struct wire_in in = n ? wire_in(n->data.at, n->data.len) : (struct wire_in){ 0 };
	uint16_t bits = 0;

	while (in.left >= 2) {
		uint16_t hash = wire_u16(&in);
		if (hash < 16)
			bits = (uint16_t)(bits | 1u << hash);
	}
	return bits;
}

/* ---- initiator --------------------------------------------------------------------------------------------------- */

bool init_second_auth(struct contact *c, const struct rule *rule)
{
	if (!rule->second_auth)
		return false;
	contact_fault(c->k, &c->local, &c->remote, rule->name, EVENT_MAIN_MODE_FAILED,
		      (struct fault){ .code = FAILURE_MULTIPLE_AUTH },
		      "rule '%s' asks for a second authentication ('%s'), and neither IKEv2 nor IKEv1 has one: "
		      "nothing is negotiated for it. Leave second-authentication out",
		      rule->name, rule->second_auth->name);
	return true;
}

struct ike_sa *init_for(struct contact *c, const struct sa_selector *selector, const struct rule *rule)
{
	struct keying *k = c->k;
	struct diag d = { 0 };

	if (init_second_auth(c, rule))
		return NULL;
	if (!choose_credential(k, rule->auth, &(struct choose_peer){ 0 }, NULL, &d)) {
		contact_fault(k, &c->local, &c->remote, rule->name, EVENT_MAIN_MODE_FAILED,
			      (struct fault){ .code = FAILURE_NO_CREDENTIAL }, "%s", d.text);
		return NULL;
	}
	if (rule->key_exchange->ppk_required && !ppk_held(k, rule->key_exchange)) {
		contact_fault(
			k, &c->local, &c->remote, rule->name, EVENT_MAIN_MODE_FAILED,
			(struct fault){ .code = FAILURE_PPK },
			"this host has none of the post-quantum pre-shared keys that key-exchange '%s' of rule '%s' "
			"requires: put '%s' into %s",
			rule->key_exchange->name, rule->name, rule->key_exchange->ppks[0].id,
			rule->key_exchange->ppks[0].file);
		return NULL;
	}
	if (k->initiating_count >= INITIATING_MOST) {
		contact_fault(k, &c->local, &c->remote, rule->name, EVENT_MAIN_MODE_FAILED,
			      (struct fault){ .code = FAILURE_BUSY },
			      "%d main modes are being negotiated already; this one has to wait", INITIATING_MOST);
		return NULL;
	}
	struct ike_sa *sa = ike_new(k, true, &c->local, c->nat_port ? IKE_NAT_PORT : IKE_PORT, &c->remote,
				    c->nat_port ? c->nat_port : IKE_PORT);
	c->nat_port = 0;
	sa->initiating = true;
	k->initiating_count++;
	sa->auth_set = rule->auth;
	sa->ke_set = rule->key_exchange;
	if (c->no_kerberos_ms > k->now_ms)
		sa->making->kerberos = GSPM_NEVER;
	if (choose_for(sa, NULL, NULL) < 0) { /* what there was besides has gone */
		sa->making->kerberos = GSPM_MAYBE;
		(void)choose_for(sa, NULL, NULL);
	}
	ike_join(sa, c);
	sa->first = child_new(sa, true, selector, rule);
	sa->first->state = CHILD_FIRST;
	sa->first->first = true;
	ike_name_rule(sa, rule->name);
	(void)ike_step(sa, EV_START, NULL, NULL, &d);
	return sa;
}

bool init_initiate(struct contact *c, struct want *w)
{
	if (module_first(c, w->rule) == MODULE_IKEV1)
		return mm_initiate(c, w->rule);
	struct ike_sa *sa = init_for(c, &w->selector, w->rule);
	if (sa)
		module_begun(sa, w->rule);
	return sa;
}

static void ask_begin(struct ike_sa *sa, const struct algorithm *group)
{
	struct keying_job *job = job_new(JOB_BEGIN);

	sa->group = job->group = group;
	sa->request.out = false;
	sa->job = job_ask(sa->k, OWNER_IKE, sa->number, job);
}

int init_begin(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	(void)in;
	(void)d;
	ask_begin(sa, sa->ke_set->suites[0].group);
	return 0;
}

static int send_request(struct ike_sa *sa, struct diag *d)
{
	struct ike_header h = { .spi_i = sa->spi_i, .exchange = IKE_SA_INIT, .flags = IKE_FLAG_INITIATOR };
	struct ike_offer offer;
	struct ike_writer w;

	proposal_offer_ike(sa->ke_set, 0, &offer);
	ike_write_begin(&w, sa->k->out, sizeof sa->k->out, &h);
	if (sa->making->cookie_len) /* must be the first (2.6) */
		ike_put_notify(&w, N_COOKIE, sa->making->cookie, sa->making->cookie_len);
	ike_put_sa(&w, &offer);
	ike_put_ke(&w, sa->group->ikev2, sa->public.at, sa->public.len);
	ike_put_nonce(&w, sa->nonce_i.at, sa->nonce_i.len);
	nat_put(sa, &w);
	if (sa->k->config.fragment_octets)
		ike_put_notify(&w, N_FRAGMENTATION_SUPPORTED, NULL, 0);
	ike_put_notify(&w, N_SIGNATURE_HASH_ALGORITHMS, signature_hashes, sizeof signature_hashes);
	if (ppk_held(sa->k, sa->ke_set))
		ike_put_notify(&w, N_USE_PPK, NULL, 0);
	if (gspm_offered(sa))
		gspm_put_methods(&w);
	encap_put_offer(sa, &w);
	ike_write_end(&w);
	if (w.out.failed)
		return diag_fail(d, ERR_UNSUPPORTED, "IKE_SA_INIT does not fit %d octets", IKE_MESSAGE_MOST);
	owned_set(&sa->init_request, w.out.buf, w.out.len);
	sa->send_id = 0;
	exchange_send_request(sa, &w, NULL);
	return 0;
}

/* Our own SPI must be one that no other SA has. Zero means "none". */
static bool spi_is_free(const struct keying *k, uint64_t spi)
{
	return spi && !table_find(&k->spis, spi, NULL, NULL);
}

int init_send(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	const struct keying_result *r = in->result;

	if (!sa->spi_i) { /* the first time; cookies and other groups keep SPI and nonce */
		if (!spi_is_free(sa->k, r->spi)) {
			ask_begin(sa, sa->group);
			return STEP_STAY;
		}
		sa->spi_i = r->spi;
		ike_set_spi(sa);
		owned_set(&sa->nonce_i, r->nonce, sizeof r->nonce);
	}
	sa->making->private = r->private;
	owned_set(&sa->public, r->public, r->public_len);
	return send_request(sa, d);
}

static int one_more_try(struct ike_sa *sa, struct diag *d)
{
	if (++sa->tries > INIT_TRIES_MOST)
		return diag_fail(d, ERR_UNEXPECTED, "the peer asks for one more try again and again");
	return 0;
}

int init_cookie(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	const struct ike_notification *n = ike_find_notify(in->msg, N_COOKIE);

	if (n->data.len == sa->making->cookie_len && memcmp(n->data.at, sa->making->cookie, n->data.len) == 0)
		return STEP_STAY; /* a reply to what we sent before */
	if (one_more_try(sa, d) < 0)
		return STEP_STAY;
	sa->making->cookie_len = n->data.len;
	memcpy(sa->making->cookie, n->data.at, n->data.len);
	return send_request(sa, d);
}

int init_other_group(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	const struct ike_notification *n = ike_find_notify(in->msg, N_INVALID_KE_PAYLOAD);
	struct wire_in data = wire_in(n->data.at, n->data.len);
	uint16_t group = wire_u16(&data);

	for (size_t i = 0; wire_done(&data) && i < sa->ke_set->count; i++) {
		const struct algorithm *g = sa->ke_set->suites[i].group;
		if (g->ikev2 != group || g == sa->group)
			continue;
		if (one_more_try(sa, d) < 0)
			return STEP_STAY;
		ask_begin(sa, g);
		return 0;
	}
	return STEP_STAY; /* one that we did not offer */
}

/* What the peer, or somebody in its name, says: believed if nothing better comes. */
static void hint(struct ike_sa *sa, struct fault f, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void hint(struct ike_sa *sa, struct fault f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(sa->making->hint, sizeof sa->making->hint, fmt, ap);
	va_end(ap);
	sa->making->hint_fault = f;
	sa->making->hint_fault.exchange = IKE_SA_INIT;
	if (sa->give_up_ms > sa->k->now_ms + HINT_MS)
		sa->give_up_ms = sa->k->now_ms + HINT_MS;
	ike_arm(sa);
}

int init_refused(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	const struct ike_notification *n = ike_find_error(in->msg), *redirect = ike_find_notify(in->msg, N_REDIRECT);
	char remote[ADDR_TEXT], offered[PROPOSALS_TEXT], ours[PROPOSALS_TEXT + 160], words[REFUSAL_TEXT];
	char gateway[GATEWAY_TEXT];

	(void)d;
	if (!n) {
		hint(sa, fault_of_notify(IKE_SA_INIT, N_REDIRECT), "%s wants to send us to %s in IKE_SA_INIT, %s",
		     addr_text(&sa->remote, remote), unwanted_gateway(redirect, gateway),
		     refusal_words(IKE_SA_INIT, N_REDIRECT, NULL, words));
		return 0;
	}
	unsigned behind = nat_find(sa, in->msg);
	if (!nat_allowed(plan_policy(sa->k->plan), sa->nat.began, behind)) {
		char why[NAT_WHY];
		hint(sa, (struct fault){ .code = FAILURE_NAT, .by = SIDE_PEER }, "%s",
		     nat_why_not(plan_policy(sa->k->plan), sa, behind, why));
		return 0;
	}
	(void)snprintf(ours, sizeof ours, "%s (rule '%s')", proposal_set_text(sa->ke_set, offered), ike_rule_name(sa));
	hint(sa, fault_of_notify(IKE_SA_INIT, n->type), "%s refused main mode in IKE_SA_INIT, %s",
	     addr_text(&sa->remote, remote), refusal_words(IKE_SA_INIT, n->type, ours, words));
	return 0;
}

/* An answer that we cannot take: somebody else's, or of a peer that has misread us. */
static int strange_answer(struct ike_sa *sa, const struct ike_msg *m)
{
	char remote[ADDR_TEXT], offered[PROPOSALS_TEXT], taken[PROPOSALS_TEXT];

	hint(sa, (struct fault){ .code = FAILURE_NO_PROPOSAL },
	     "%s answered IKE_SA_INIT by %s, which is none of what we offered (rule '%s': %s), or computed with "
	     "another "
	     "group",
	     addr_text(&sa->remote, remote), proposal_text(&m->offer, taken), ike_rule_name(sa),
	     proposal_set_text(sa->ke_set, offered));
	return STEP_STAY;
}

int init_reply(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	const struct ike_msg *m = in->msg;
	struct proposal_ike_choice choice;

	(void)d;
	if (!m->h.spi_r || !proposal_accept_ike(&m->offer, sa->ke_set, &choice) || choice.suite.group != sa->group ||
	    m->ke_group != sa->group->ikev2 || m->ke.len != sa->group->public_octets)
		return strange_answer(sa, m);
	unsigned behind = nat_find(sa, m);
	if (!nat_allowed(plan_policy(sa->k->plan), sa->nat.began, behind)) {
		char why[NAT_WHY];
		hint(sa, (struct fault){ .code = FAILURE_NAT }, "%s",
		     nat_why_not(plan_policy(sa->k->plan), sa, behind, why));
		return STEP_STAY;
	}
	if (sa->ke_set->ppk_required && !ike_find_notify(m, N_USE_PPK)) { /* or somebody forged it: RFC 8784 6 */
		char remote[ADDR_TEXT];
		hint(sa, (struct fault){ .code = FAILURE_PPK },
		     "%s uses no post-quantum pre-shared key, and key-exchange '%s' of rule '%s' requires one: give it "
		     "'%s'",
		     addr_text(&sa->remote, remote), sa->ke_set->name, ike_rule_name(sa), sa->ke_set->ppks[0].id);
		return STEP_STAY;
	}
	bool kerberos = gspm_offered(sa) && gspm_named(m, true);
	sa->making->kerberos = kerberos ? GSPM_MAYBE : GSPM_NEVER;
	sa->peer_hashes = hashes_of(m);
	struct diag lack = { 0 };
	if (choose_for(sa, m, &lack) < 0) { /* now that we know what the peer takes */
		hint(sa, (struct fault){ .code = failure_of(lack.code) }, "%s", lack.text);
		return STEP_STAY;
	}
	nat_enter(sa, behind);
	encap_decided(sa, m);
	int r = sa->first ? nat_check_protection(sa, sa->first->rule->protection, d) : 0;
	if (r < 0)
		return r;
	exchange_done(sa);
	sa->give_up_ms = UINT64_MAX;
	sa->making->hint[0] = '\0';
	sa->spi_r = m->h.spi_r;
	sa->suite = choice.suite;
	if (ike_find_notify(m, N_USE_PPK) && ppk_held(sa->k, sa->ke_set))
		ppk_agree(sa);
	sa->making->childless_possible = ike_find_notify(m, N_CHILDLESS_IKEV2_SUPPORTED);
	if (kerberos) {
		gspm_agree(sa);
		if (ike_credential(sa)->kind == AUTH_KERBEROS)
			gspm_use(sa);
	}
	owned_set(&sa->nonce_r, m->nonce.at, m->nonce.len);
	sa->fragments = sa->k->config.fragment_octets && ike_find_notify(m, N_FRAGMENTATION_SUPPORTED);
	owned_set(&sa->init_reply, m->raw.at, m->raw.len);

	struct keying_job *job = job_new(JOB_DERIVE);
	job->group = sa->group;
	key_move(&job->private, &sa->making->private);
	job->peer_public = job_octets(m->ke);
	sa->job = job_ask(sa->k, OWNER_IKE, sa->number, job);
	return 0;
}

/* ---- responder --------------------------------------------------------------------------------------------------- */

/* Where a message came from and went to. */
struct path {
	const struct addr *local, *remote;
	uint16_t local_port, remote_port;
};

struct half_open_key {
	const struct path *path;
	const uint8_t *digest;
};

static bool same_request(const void *value, const void *what)
{
	const struct ike_sa *sa = value;
	const struct half_open_key *key = what;

	return memcmp(sa->last_digest, key->digest, DIGEST) == 0 && sa->remote_port == key->path->remote_port &&
	       addr_equal(&sa->remote, key->path->remote) && addr_equal(&sa->local, key->path->local);
}

static void refuse(struct keying *k, const struct path *p, const struct ike_header *h, uint16_t notify,
		   const void *data, size_t len)
{
	struct ike_header reply = { .spi_i = h->spi_i, .exchange = h->exchange, .flags = IKE_FLAG_RESPONSE };
	struct ike_writer w;

	ike_write_begin(&w, k->out, sizeof k->out, &reply);
	ike_put_notify(&w, notify, data, len);
	ike_write_end(&w);
	if (!w.out.failed)
		todo_send(k, p->local, p->local_port, p->remote, p->remote_port, w.out.buf, w.out.len);
}

/* With the hashes, so that the other end can tell its people of the NAT as well. */
static void refuse_nat(struct ike_sa *sa, const struct path *p, const struct ike_header *h)
{
	struct ike_header reply = { .spi_i = h->spi_i, .exchange = h->exchange, .flags = IKE_FLAG_RESPONSE };
	struct keying *k = sa->k;
	struct ike_writer w;

	sa->spi_i = h->spi_i;
	ike_write_begin(&w, k->out, sizeof k->out, &reply);
	ike_put_notify(&w, N_NO_PROPOSAL_CHOSEN, NULL, 0);
	nat_put(sa, &w);
	ike_write_end(&w);
	if (!w.out.failed)
		todo_send(k, p->local, p->local_port, p->remote, p->remote_port, w.out.buf, w.out.len);
	sa->spi_i = 0; /* it never had one */
}

/* The main mode suites that some rule between the two hosts accepts. */
static size_t acceptable(const struct plan *plan, const struct path *p, const struct ike_suite *ret[SUITES_MOST],
			 const struct rule **ret_rule)
{
	struct selector_walk w = { .plan = plan, .local = p->local, .remote = p->remote };
	struct candidate c;
	size_t n = 0;

	*ret_rule = NULL;
	while (selector_next(&w, &c)) {
		const struct rule *rule = c.entry->rule;
		if (!(rule->modules & MODULE_IKEV2))
			continue;
		if (!*ret_rule)
			*ret_rule = rule;
		for (size_t s = 0; s < rule->key_exchange->count && n < SUITES_MOST; s++)
			ret[n++] = &rule->key_exchange->suites[s];
	}
	return n;
}

/* All that would have been accepted, each once. */
static const char *suites_text(const struct ike_suite *const *suites, size_t n, char buf[PROPOSALS_TEXT])
{
	char one[SUITE_TEXT];
	size_t len = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < n && len < PROPOSALS_TEXT; i++) {
		bool again = false;
		for (size_t j = 0; j < i && !again; j++)
			again = ike_suite_equal(suites[i], suites[j]);
		if (!again)
			len += (size_t)snprintf(buf + len, PROPOSALS_TEXT - len, "%s%s", len ? ", " : "",
						ike_suite_text(suites[i], one));
	}
	return buf;
}

static struct fault step(enum failure_code code)
{
	return (struct fault){ .code = code, .exchange = IKE_SA_INIT };
}

/* Which suite the request can have. Else say why not, to the peer and here. */
static bool choose(struct keying *k, const struct path *p, const struct ike_msg *m, struct proposal_ike_choice *ret,
		   const struct rule **ret_rule)
{
	const struct ike_suite *suites[SUITES_MOST];
	size_t n = acceptable(k->plan, p, suites, ret_rule);
	char remote[ADDR_TEXT], offered[PROPOSALS_TEXT], wanted[PROPOSALS_TEXT];
	const char *there = addr_text(p->remote, remote);
	uint8_t group[2];
	struct wire_out out = wire_out(group, sizeof group);

	if (n == 0) {
		contact_fault_stranger(k, p->local, p->remote, NULL, step(FAILURE_NO_RULE),
				       "%s asked for main mode, and we refused: no rule of this host protects traffic "
				       "with it",
				       there);
		refuse(k, p, &m->h, N_NO_PROPOSAL_CHOSEN, NULL, 0);
		return false;
	}
	if (!proposal_choose_ike(&m->offer, suites, n, ret)) {
		contact_fault_stranger(k, p->local, p->remote, (*ret_rule)->name, step(FAILURE_NO_PROPOSAL),
				       "%s asked for main mode, and we refused: it offers %s, rule '%s' wants %s",
				       there, proposal_text(&m->offer, offered), (*ret_rule)->name,
				       suites_text(suites, n, wanted));
		refuse(k, p, &m->h, N_NO_PROPOSAL_CHOSEN, NULL, 0);
		return false;
	}
	if (m->ke_group != ret->suite.group->ikev2 || m->ke.len != ret->suite.group->public_octets) {
		wire_put_u16(&out, ret->suite.group->ikev2);
		refuse(k, p, &m->h, N_INVALID_KE_PAYLOAD, group, sizeof group);
		return false;
	}
	return true;
}

/* Nobody may take all the room, or nobody else could begin. When all is taken, who has waited longest for a proof gives
 * way, once it had time for it. */
static bool has_room(struct keying *k, const struct addr *remote)
{
	uint32_t most = k->config.half_open_most;
	struct ike_sa *oldest = TAILQ_FIRST(&k->half_opens);

	if (k->half_open_count >= most / 2 && source_of(k, remote)->half_open >= most / HALF_OPEN_SHARE)
		return false;
	if (k->half_open_count < most)
		return true;
	if (!oldest || (oldest->state != IKE_R_INIT_SENT && !gspm_waits(oldest)) ||
	    k->now_ms - oldest->created_ms < HALF_OPEN_LEAST_MS)
		return false;
	ike_drop(oldest);
	return true;
}

/* With many half-open SAs, or many requests from one address, only those that show that they hear us go on. */
static bool cookie_shown(struct keying *k, const struct path *p, const struct ike_msg *m, bool calm)
{
	const struct ike_notification *n = ike_find_notify(m, N_COOKIE);
	uint8_t cookie[IKE_COOKIE_MOST];
	size_t len;

	if (!calm || k->half_open_count * 2 >= k->config.half_open_cookie)
		cookie_refresh(k); /* in good time: the secret is made by a job */
	if (calm && !cookie_wanted(k))
		return true;
	if (n && cookie_good(k, p->remote, m->h.spi_i, m->nonce, n->data)) {
		if (source_take(k, p->remote, SOURCE_SEEN))
			return true;
		k->dropped[KEYING_DROP_RATE]++;
		return false;
	}
	k->dropped[KEYING_DROP_COOKIE]++;
	if (cookie_make(k, p->remote, m->h.spi_i, m->nonce, cookie, &len, NULL) == 0)
		refuse(k, p, &m->h, N_COOKIE, cookie, len);
	return false;
}

/* Repeated: the same answer, once there is one; not for ever, and not in a storm. */
static void again(struct ike_sa *sa)
{
	struct keying *k = sa->k;

	if (!sa->last_reply.len || sa->repeats == INIT_REPEATS_MOST || k->now_ms - sa->repeated_ms < REPEAT_MS) {
		k->dropped[KEYING_DROP_REPEATED]++;
		return;
	}
	sa->repeats++;
	sa->repeated_ms = k->now_ms;
	todo_send_ike(sa, &sa->last_reply);
}

static void tell_malformed(struct keying *k, const struct path *p, int error, const char *why)
{
	char remote[ADDR_TEXT];

	contact_fault_stranger(k, p->local, p->remote, NULL, step(failure_of(error)),
			       "we refused an IKE_SA_INIT from %s, which makes no sense: %s",
			       addr_text(p->remote, remote), why);
}

static void request(struct keying *k, const struct path *p, const struct ike_header *h, const uint8_t *octets,
		    size_t len)
{
	struct octets all = { octets, len };
	uint8_t digest[DIGEST_MAX];
	size_t digest_len;
	struct diag d = { 0 };

	if (h->spi_r || h->id != 0 || k->closing || crypto_digest("SHA256", &all, 1, digest, &digest_len, &d) < 0) {
		k->dropped[k->closing ? KEYING_DROP_HALF_OPEN : KEYING_DROP_MALFORMED]++;
		return;
	}
	uint64_t key = table_hash(digest, 8, 1);
	struct ike_sa *sa = table_find(&k->half_open, key, same_request, &(struct half_open_key){ p, digest });
	if (sa) {
		again(sa);
		return;
	}

	struct ike_msg m = { .h = *h, .raw = { octets, len } };
	struct wire_in in = wire_in(octets + IKE_HEADER, len - IKE_HEADER);
	bool calm = source_take(k, p->remote, SOURCE_UNSEEN);
	int r = ike_decode_payloads(&in, MSG_INIT_REQUEST, h->next, &m, &d);
	if (r < 0) {
		k->dropped[KEYING_DROP_MALFORMED]++;
		if (calm && r == -ERR_CRITICAL)
			refuse(k, p, h, N_UNSUPPORTED_CRITICAL_PAYLOAD, &m.critical, 1);
		else if (calm)
			refuse(k, p, h, N_INVALID_SYNTAX, NULL, 0);
		if (calm)
			tell_malformed(k, p, r, d.text);
		return;
	}
	if (!cookie_shown(k, p, &m, calm))
		return;
	if (!has_room(k, p->remote)) {
		k->dropped[KEYING_DROP_HALF_OPEN]++;
		return;
	}

	struct proposal_ike_choice choice;
	const struct rule *rule;
	if (!choose(k, p, &m, &choice, &rule))
		return;
	sa = ike_new(k, false, p->local, p->local_port, p->remote, p->remote_port);
	unsigned behind = nat_find(sa, &m);
	if (!nat_allowed(plan_policy(k->plan), false, behind)) {
		char remote[ADDR_TEXT], why[NAT_WHY];
		contact_fault_stranger(k, p->local, p->remote, rule->name, step(FAILURE_NAT),
				       "%s asked for main mode, and we refused: %s", addr_text(p->remote, remote),
				       nat_why_not(plan_policy(k->plan), sa, behind, why));
		refuse_nat(sa, p, h);
		ike_drop(sa);
		return;
	}
	nat_enter(sa, behind);
	encap_decide(sa, &m);
	sa->half_open = true;
	k->half_open_count++;
	source_of(k, p->remote)->half_open++;
	TAILQ_INSERT_TAIL(&k->half_opens, sa, of_half_open);
	memcpy(sa->last_digest, digest, DIGEST);
	sa->init_key = key;
	table_add(&k->half_open, key, sa);
	sa->suite = choice.suite;
	sa->tries = choice.number; /* told in the answer */
	ike_name_rule(sa, rule->name);
	(void)ike_step(sa, EV_INIT_REQUEST, &m, NULL, &d);
}

int init_answer(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	const struct ike_msg *m = in->msg;
	struct keying_job *job = job_new(JOB_ANSWER);

	(void)d;
	sa->spi_i = m->h.spi_i;
	sa->group = sa->suite.group;
	sa->peer_hashes = hashes_of(m);
	sa->fragments = sa->k->config.fragment_octets && ike_find_notify(m, N_FRAGMENTATION_SUPPORTED);
	if (ike_find_notify(m, N_USE_PPK) && ppk_wanted(sa->k, &sa->local, &sa->remote, &sa->suite))
		ppk_agree(sa);
	if (gspm_named(m, false) && gspm_wanted(sa->k, &sa->local, &sa->remote, &sa->suite))
		gspm_agree(sa);
	sa->receive_id = 1;
	sa->give_up_ms = sa->k->now_ms + HALF_OPEN_MS;
	owned_set(&sa->nonce_i, m->nonce.at, m->nonce.len);
	owned_set(&sa->init_request, m->raw.at, m->raw.len);
	job->group = sa->group;
	job->peer_public = job_octets(m->ke);
	sa->job = job_ask(sa->k, OWNER_IKE, sa->number, job);
	return 0;
}

int init_respond(struct ike_sa *sa, const struct step_input *in, struct diag *d)
{
	const struct keying_result *r = in->result;
	struct keying *k = sa->k;
	struct ike_header h = { .spi_i = sa->spi_i, .exchange = IKE_SA_INIT, .flags = IKE_FLAG_RESPONSE };
	struct ike_offer offer;
	struct ike_writer w;
	int e;

	if (!spi_is_free(k, r->spi))
		return diag_fail(d, ERR_UNEXPECTED, "two SAs drew one SPI"); /* once in 2^64; the peer repeats itself */
	h.spi_r = sa->spi_r = r->spi;
	ike_set_spi(sa);
	owned_set(&sa->nonce_r, r->nonce, sizeof r->nonce);
	proposal_answer_ike(&sa->suite, (uint8_t)sa->tries, 0, &offer);
	ike_write_begin(&w, k->out, sizeof k->out, &h);
	ike_put_sa(&w, &offer);
	ike_put_ke(&w, sa->group->ikev2, r->public, r->public_len);
	ike_put_nonce(&w, sa->nonce_r.at, sa->nonce_r.len);
	nat_put(sa, &w);
	if (k->config.authority_count)
		ike_put_certreq(&w, k->config.authorities, k->config.authority_count, CERTREQ_INIT_MOST);
	if (sa->fragments)
		ike_put_notify(&w, N_FRAGMENTATION_SUPPORTED, NULL, 0);
	ike_put_notify(&w, N_SIGNATURE_HASH_ALGORITHMS, signature_hashes, sizeof signature_hashes);
	ike_put_notify(&w, N_CHILDLESS_IKEV2_SUPPORTED, NULL, 0);
	if (sa->making->ppk)
		ike_put_notify(&w, N_USE_PPK, NULL, 0);
	if (gspm_agreed(sa))
		gspm_put_methods(&w);
	encap_put_answer(sa, &w);
	ike_write_end(&w);
	if (w.out.failed)
		return diag_fail(d, ERR_UNSUPPORTED, "IKE_SA_INIT does not fit %d octets", IKE_MESSAGE_MOST);
	owned_set(&sa->init_reply, w.out.buf, w.out.len);
	if ((e = ike_key(sa, (struct keying_octets){ r->secret, r->secret_len }, NULL, d)) < 0)
		return e;
	owned_set(&sa->last_reply, sa->init_reply.at, sa->init_reply.len);
	sa->request.sent_ms = k->now_ms;
	todo_send_ike(sa, &sa->last_reply);
	return 0;
}

/* ---- what comes in ----------------------------------------------------------------------------------------------- */

static void reply(struct keying *k, const struct path *p, const struct ike_header *h, const uint8_t *octets, size_t len)
{
	struct ike_sa *sa = table_find(&k->spis, h->spi_i, NULL, NULL);
	struct ike_msg m = { .h = *h, .raw = { octets, len } };
	struct wire_in in = wire_in(octets + IKE_HEADER, len - IKE_HEADER);
	struct diag d = { 0 };

	if (!sa || !sa->initiator || exchange_season(sa->state, IKE_SA_INIT, true) != SEASON_TAKEN || h->id != 0 ||
	    !addr_equal(&sa->remote, p->remote) || !addr_equal(&sa->local, p->local) ||
	    ike_decode_payloads(&in, MSG_INIT_REPLY, h->next, &m, &d) < 0) {
		k->dropped[KEYING_DROP_INIT_REPLY]++;
		return;
	}
	enum ike_event ev = EV_INIT_REPLY;
	if (ike_find_notify(&m, N_COOKIE))
		ev = EV_COOKIE;
	else if (ike_find_notify(&m, N_INVALID_KE_PAYLOAD))
		ev = EV_OTHER_GROUP;
	else if (ike_find_error(&m) || !m.has_sa)
		ev = EV_REFUSED;
	int r = ike_step(sa, ev, &m, NULL, &d);
	if (r < 0)
		ike_fault(sa, (struct fault){ .code = failure_of(r), .exchange = IKE_SA_INIT }, "%s", d.text);
}

void init_message(struct keying *k, const struct ike_header *h, const struct addr *local, uint16_t local_port,
		  const struct addr *remote, uint16_t remote_port, const uint8_t *octets, size_t len)
{
	const struct path p = { local, remote, local_port, remote_port };

	if (h->flags & IKE_FLAG_RESPONSE)
		reply(k, &p, h, octets, len);
	else if (h->flags & IKE_FLAG_INITIATOR)
		request(k, &p, h, octets, len);
	else
		k->dropped[KEYING_DROP_DIRECTION]++;
}
