/* keying/keying.c - the way in: events are told to whom they concern, and what has ended meanwhile is freed. */
#include "keying/engine.h"
#include "keying/v1/module.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct keying_config keying_default = {
	.liveness_ms = 30000,
	.retransmit_first_ms = 500,
	.retransmit_tries = 12,
	.hold_ms = 5000,
	.fallback_s = 60,
	.userspace_plane = true,
	.nat_keepalive_ms = 20000, /* RFC 3948 4 */
	.half_open_cookie = 64,
	.half_open_most = 4096,
	.fragment_octets = 1280,
};

enum { HINTS_MOST = 64, NON_ESP_MARKER = 4 };

uint64_t keying_number(struct keying *k)
{
	return ++k->last_number;
}

struct ike_sa *keying_ike_by_number(struct keying *k, uint64_t number)
{
	return table_find(&k->numbers, number, NULL, NULL);
}

/* ---- configuration ----------------------------------------------------------------------------------------------- */

static const uint8_t *copy(struct arena *a, const uint8_t *at, size_t len)
{
	uint8_t *to = arena_new(a, len ? len : 1, 1);

	if (len)
		memcpy(to, at, len);
	return to;
}

static void copy_credential(struct arena *a, const struct keying_credential *from, struct keying_credential *to)
{
	const uint8_t **chain = arena_new(a, from->chain_count + 1, sizeof *chain);
	size_t *lens = arena_new(a, from->chain_count + 1, sizeof *lens);
	const struct auth_set **satisfies = arena_new(a, from->satisfies_count + 1, sizeof *satisfies);

	*to = *from;
	if (from->psk_file)
		to->psk_file = arena_string(a, from->psk_file, strlen(from->psk_file));
	if (from->subject)
		to->subject = arena_string(a, from->subject, strlen(from->subject));
	to->id = copy(a, from->id, from->id_len);
	for (size_t i = 0; i < from->chain_count; i++) {
		chain[i] = copy(a, from->chain[i], from->chain_lens[i]);
		lens[i] = from->chain_lens[i];
	}
	for (size_t i = 0; i < from->satisfies_count; i++)
		satisfies[i] = from->satisfies[i];
	to->chain = chain;
	to->chain_lens = lens;
	to->satisfies = satisfies;
	to->ranks = from->ranks ? copy(a, from->ranks, from->satisfies_count) : NULL;
	to->authorities = from->authority_count ? (const uint8_t(*)[20])(uintptr_t)copy(a, from->authorities[0],
											from->authority_count * 20)
						: NULL;
}

static const struct keying_lack *copy_lacks(struct arena *a, const struct keying_config *c)
{
	struct keying_lack *to = arena_new(a, c->lack_count + 1, sizeof *to);

	for (size_t i = 0; i < c->lack_count; i++)
		to[i] = (struct keying_lack){ c->lacks[i].set,
					      arena_string(a, c->lacks[i].why, strlen(c->lacks[i].why)) };
	return to;
}

static void set_config(struct keying *k, const struct keying_config *c)
{
	struct arena *a = mem_new(1, sizeof *a);
	struct keying_credential *credentials = arena_new(a, c->credential_count + 1, sizeof *credentials);

	for (size_t i = 0; i < c->credential_count; i++)
		copy_credential(a, &c->credentials[i], &credentials[i]);
	const char **ppks = arena_new(a, c->ppk_count + 1, sizeof *ppks);
	for (size_t i = 0; i < c->ppk_count; i++)
		ppks[i] = arena_string(a, c->ppks[i], strlen(c->ppks[i]));
	if (k->memory)
		arena_wipe(k->memory);
	free(k->memory);
	k->config = *c;
	k->config.credentials = credentials;
	k->config.ppks = ppks;
	k->config.lacks = copy_lacks(a, c);
	k->config.authorities = c->authority_count ? (const uint8_t(*)[20])(uintptr_t)copy(a, c->authorities[0],
											   c->authority_count * 20)
						   : NULL;
	k->memory = a;
}

int keying_new(const struct keying_config *c, struct plan *plan, struct keying **ret, struct diag *d)
{
	if (!c->retransmit_first_ms || !c->retransmit_tries || c->retransmit_tries > 16)
		return diag_fail(d, ERR_UNSUPPORTED, "%u repetitions from %u ms on", c->retransmit_tries,
				 c->retransmit_first_ms);
	struct keying *k = mem_new(1, sizeof *k);
	TAILQ_INIT(&k->todos);
	TAILQ_INIT(&k->ikes);
	TAILQ_INIT(&k->dead_ikes);
	TAILQ_INIT(&k->busy);
	TAILQ_INIT(&k->idle);
	TAILQ_INIT(&k->half_opens);
	fragment_pools_init(k);
	k->plan = plan_ref(plan);
	set_config(k, c);
	*ret = k;
	return 0;
}

static void free_waiting(struct table *t)
{
	uint64_t key;
	void *w;

	while ((w = table_any(t, &key))) {
		table_remove(t, key, w);
		free(w);
	}
	table_wipe(t);
}

void keying_free(struct keying *k)
{
	struct ike_sa *sa;
	struct contact *c;
	struct want *w, *next;
	struct todo_item *t;

	if (!k)
		return;
	k->closing = true;
	while ((sa = TAILQ_FIRST(&k->ikes)))
		ike_drop(sa);
	while ((c = TAILQ_FIRST(&k->busy))) {
		free(c->failure);
		c->failure = NULL;
		for (w = LIST_FIRST(&c->wants); w; w = next) { /* the contact goes with its last */
			next = LIST_NEXT(w, entry);
			want_free(w);
		}
	}
	while ((c = TAILQ_FIRST(&k->idle)))
		contact_free(c);
	life_forget_fading(k);
	module_forget(k);
	keying_settle(k);
	while ((t = TAILQ_FIRST(&k->todos))) {
		TAILQ_REMOVE(&k->todos, t, entry);
		todo_free(t);
	}
	todo_free(k->taken);
	directory_names_free(k->names);
	free_waiting(&k->jobs);
	free_waiting(&k->requests);
	table_wipe(&k->children);
	table_wipe(&k->numbers);
	table_wipe(&k->spis);
	table_wipe(&k->half_open);
	table_wipe(&k->contacts);
	free(k->timers.heap);
	if (k->sealed)
		explicit_bzero(k->sealed, FRAGMENTS_SEALED_MOST);
	free(k->sealed);
	arena_wipe(k->memory);
	free(k->memory);
	plan_free(k->plan);
	explicit_bzero(k, sizeof *k);
	free(k);
}

void keying_settle(struct keying *k)
{
	struct ike_sa *sa;
	struct child *c;

	while ((c = LIST_FIRST(&k->dead_children))) {
		LIST_REMOVE(c, entry);
		child_free(c);
	}
	while ((sa = TAILQ_FIRST(&k->dead_ikes))) {
		TAILQ_REMOVE(&k->dead_ikes, sa, entry);
		ike_free(sa);
	}
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

void keying_tick(struct keying *k, uint64_t now_ms)
{
	if (now_ms > k->now_ms)
		k->now_ms = now_ms;
}

bool keying_may_hint(struct keying *k)
{
	if (k->now_ms - k->hints_ms >= HINT_EVERY_MS) {
		k->hints_ms = k->now_ms;
		k->hints = 0;
	}
	if (k->hints >= HINTS_MOST)
		return false;
	k->hints++;
	return true;
}

/* Somebody speaks of an SA that we do not have: a hint, not too often (RFC 7296 2.21.4). */
static void unknown_spi(struct keying *k, const struct ike_header *h, const struct addr *local, uint16_t local_port,
			const struct addr *remote, uint16_t remote_port)
{
	struct ike_header reply = *h;
	struct candidate any;
	struct ike_writer w;

	if ((h->flags & IKE_FLAG_RESPONSE) || !selector_any(k->plan, local, remote, &any))
		return;
	if (!keying_may_hint(k))
		return;
	reply.version = IKE_VERSION;
	reply.flags = (uint8_t)((h->flags ^ IKE_FLAG_INITIATOR) & IKE_FLAG_INITIATOR) | IKE_FLAG_RESPONSE;
	ike_write_begin(&w, k->out, sizeof k->out, &reply);
	ike_put_notify(&w, N_INVALID_IKE_SPI, NULL, 0);
	crash_show(k, h, remote, &w);
	ike_write_end(&w);
	todo_send(k, local, local_port, remote, remote_port, w.out.buf, w.out.len);
}

static void other_version(struct keying *k, const struct ike_header *h, const struct addr *local, uint16_t local_port,
			  const struct addr *remote, uint16_t remote_port)
{
	struct ike_header reply = *h;
	struct ike_writer w;

	if (h->version >> 4 == 1 && plan_meet(k->plan, local, remote).count) {
		char there[ADDR_TEXT];
		contact_fault_stranger(
			k, local, remote, NULL, (struct fault){ FAILURE_UNSUPPORTED, SIDE_HERE, IKE_SA_INIT, 0, NULL },
			"%s speaks IKEv1, and we speak IKEv2 only: set it to IKEv2", addr_text(remote, there));
	}
	/* To IKEv1 nothing is said in its own language. To a later version: which one we speak (2.5). */
	if (h->version >> 4 < 2 || (h->flags & IKE_FLAG_RESPONSE) ||
	    (k->hint_ms && k->now_ms - k->hint_ms < HINT_EVERY_MS))
		return;
	k->hint_ms = k->now_ms;
	reply.version = IKE_VERSION;
	reply.flags = IKE_FLAG_RESPONSE;
	ike_write_begin(&w, k->out, sizeof k->out, &reply);
	ike_put_notify(&w, N_INVALID_MAJOR_VERSION, NULL, 0);
	ike_write_end(&w);
	todo_send(k, local, local_port, remote, remote_port, w.out.buf, w.out.len);
}

/* An unprotected hint that the peer has lost this SA: ask it, protected, whether that is so. */
static bool hint(struct keying *k, struct ike_sa *sa, const struct ike_header *h, const uint8_t *octets, size_t len)
{
	struct ike_msg m = { .h = *h };
	struct wire_in in = wire_in(octets + IKE_HEADER, len - IKE_HEADER);

	if (h->next != PL_NOTIFY)
		return false;
	if (ike_decode_payloads(&in, MSG_INFORMATIONAL, h->next, &m, NULL) < 0 ||
	    !ike_find_notify(&m, N_INVALID_IKE_SPI))
		return true;
	if (sa->state == IKE_DELETING) /* as we want it; true or not, there is nothing to lose */
		ike_deleted(sa);
	else if (sa->state == IKE_ESTABLISHED && crash_shown(sa, &m))
		ike_down(sa, EVENT_MAIN_MODE_DOWN, "%s has restarted, as its token shows", peer_kept_id(sa->peer));
	else if (sa->state == IKE_ESTABLISHED && !sa->request.out && k->now_ms - sa->heard_ms >= HINT_EVERY_MS)
		exchange_queue(sa, TASK_LIVENESS, 0);
	return true;
}

static void message(struct keying *k, const struct addr *local, uint16_t local_port, const struct addr *remote,
		    uint16_t remote_port, const uint8_t *octets, size_t len)
{
	struct wire_in in = wire_in(octets, len);
	struct octets all = { octets, len };
	uint8_t digest[DIGEST_MAX];
	struct ike_header h;
	size_t digest_len;
	int r;

	if (len > IKE_MESSAGE_MOST) {
		k->dropped[KEYING_DROP_MALFORMED]++;
		return;
	}
	if ((r = ike_decode_header(&in, &h, NULL)) == -ERR_UNSUPPORTED && h.version >> 4 == 1 &&
	    v1_message(k, local, octets, len))
		return;
	if (r < 0) {
		k->dropped[r == -ERR_UNSUPPORTED ? KEYING_DROP_VERSION : KEYING_DROP_MALFORMED]++;
		if (r == -ERR_UNSUPPORTED)
			other_version(k, &h, local, local_port, remote, remote_port);
		return;
	}
	if (h.exchange == IKE_SA_INIT) {
		init_message(k, &h, local, local_port, remote, remote_port, octets, len);
		return;
	}
	struct ike_sa *sa = table_find(&k->spis, h.flags & IKE_FLAG_INITIATOR ? h.spi_r : h.spi_i, NULL, NULL);
	/* The peer is ahead: the message by which we learn its SPI is late or lost, and comes again, as this one will.
	 */
	if (sa && sa->spi_i == h.spi_i && !sa->spi_r) {
		k->dropped[KEYING_DROP_EXCHANGE]++;
		return;
	}
	if (!sa || sa->spi_i != h.spi_i || sa->spi_r != h.spi_r) {
		k->dropped[KEYING_DROP_UNKNOWN_SPI]++;
		unknown_spi(k, &h, local, local_port, remote, remote_port);
		return;
	}
	if (!nat_may_come(sa, local, remote)) {
		k->dropped[KEYING_DROP_ADDRESS]++;
		return;
	}
	if (hint(k, sa, &h, octets, len) || crypto_digest("SHA256", &all, 1, digest, &digest_len, NULL) < 0)
		return;
	exchange_message(sa, &h, octets, len, digest);
}

void keying_message(struct keying *k, const struct addr *local, uint16_t local_port, const struct addr *remote,
		    uint16_t remote_port, const uint8_t *octets, size_t len, uint64_t now_ms)
{
	keying_tick(k, now_ms);
	k->from = (struct nat_from){ *remote, local_port, remote_port };
	message(k, local, local_port, remote, remote_port, octets, len);
	keying_settle(k);
}

/* ESP came for an SA that we do not have: we have forgotten the peer (a restart), and it has not noticed. Begin anew,
 * so that it does. */
static void unknown_esp(struct keying *k, const struct addr *local, const struct addr *remote, uint16_t nat_port)
{
	struct contact *c = contact_find(k, local, remote);
	struct candidate any;

	if (c && !LIST_EMPTY(&c->ikes))
		return;
	if (k->now_ms - k->probe_ms >= 1000) {
		k->probe_ms = k->now_ms;
		k->probes = 0;
	}
	if (k->probes >= PROBES_MOST) /* addresses can be forged: we do not shout at everybody */
		return;
	if (!selector_any(k->plan, local, remote, &any))
		return;
	struct want *w = want_get(contact_get(k, local, remote), &any.whole, any.entry->rule);
	if (w && (!w->failed || k->now_ms >= w->retry_ms)) {
		k->probes++;
		w->failed = false;
		w->contact->nat_port = nat_port; /* a NAT lets us in there, and nowhere else */
		want_drive(w);
	}
}

static void acquire(struct keying *k, const struct sad_event *e)
{
	const struct plan_entry *entry = e->entry ? e->entry : plan_lookup_protecting(k->plan, &e->packet);

	if (k->closing || !entry)
		return;
	const struct plan_entry *ours = selector_find(k->plan, &e->selector, entry->rule->name);
	struct addr local = e->selector.local, remote = e->selector.remote;
	if (ours &&
	    (!ours->rule->tunnel || plan_tunnel_ends(ours, &e->selector.local, &e->selector.remote, &local, &remote))) {
		want_acquire(contact_get(k, &local, &remote), &e->selector, ours->rule, e);
		return;
	} /* else: an older plan's */
	struct keying_todo *t = todo_add(k, KEYING_RELEASE_HELD);
	t->selector = e->selector;
}

static void completed(struct keying *k, const struct sad_event *e)
{
	struct waiting w;
	struct diag d = { 0 };

	if (!request_take(k, e->request, &w))
		return;
	struct child *c = child_by_pair(k, w.object);
	if (!c) {
		if (e->kind == SAD_SPI_RESERVED)
			todo_add(k, KEYING_RELEASE_SPI)->spi = e->spi;
		return;
	}
	if (e->kind == SAD_FAILED) {
		const char *why = e->why && e->why->text[0] ? e->why->text : "it gave no reason";
		if (c->first && c->initiator && c->state < CHILD_INBOUND && c->ike->state < IKE_ESTABLISHED)
			ike_fault(c->ike, (struct fault){ .code = FAILURE_DATA_PLANE }, "the data plane failed: %s",
				  why);
		else
			child_fault(c, (struct fault){ .code = FAILURE_DATA_PLANE }, "the data plane failed: %s", why);
		return;
	}
	enum child_event ev = CEV_DONE;
	if (w.wait == WAIT_SPI) {
		c->spi_in = e->spi;
		ev = CEV_SPI;
	} else if ((w.wait == WAIT_INBOUND) != (c->state == CHILD_INBOUND || c->state == CHILD_R_INBOUND)) {
		return;
	}
	struct ike_sa *sa = c->ike;
	bool first = c->first;
	if (child_step(c, ev, NULL, NULL, &d) >= 0 || c->state == CHILD_DEAD || c->state == CHILD_DELETING)
		return;
	if (first && sa->state < IKE_ESTABLISHED)
		ike_fail(sa, "%s", d.text);
	else
		child_fail(c, "%s", d.text);
}

void keying_sad_event(struct keying *k, const struct sad_event *e, uint64_t now_ms)
{
	keying_tick(k, now_ms);
	struct child *c = e->pair ? child_by_pair(k, e->pair) : NULL;

	switch (e->kind) {
	case SAD_ACQUIRE:
		acquire(k, e);
		break;
	case SAD_SPI_RESERVED:
	case SAD_DONE:
	case SAD_FAILED:
		completed(k, e);
		break;
	case SAD_EXPIRE_SOFT:
		if (c)
			child_rekey(c);
		break;
	case SAD_EXPIRE_HARD:
		if (c)
			child_delete(c);
		break;
	case SAD_FIRST_IN:
		if (c)
			child_settled(c);
		break;
	case SAD_MOVED:
		if (c)
			nat_esp_came(c, &e->packet.remote, e->packet.remote_port);
		break;
	case SAD_UNKNOWN_SPI:
		unknown_esp(k, &e->packet.local, &e->packet.remote, e->packet.remote_port);
		break;
	case SAD_DROPPED:
		break;
	}
	keying_settle(k);
}

/* A job that failed where its step does not want to hear of it. */
static void job_failed(struct ike_sa *sa, const char *why)
{
	if (sa->state == IKE_R_ANSWER) {
		char remote[ADDR_TEXT];
		contact_fault_stranger(sa->k, &sa->local, &sa->remote, ike_rule_name(sa),
				       (struct fault){ .code = FAILURE_MALFORMED, .exchange = IKE_SA_INIT },
				       "%s asked for main mode, and we refused its key exchange: %s",
				       addr_text(&sa->remote, remote), why);
		ike_drop(sa);
	} else if (sa->replaces) {
		rekey_failed(sa);
	} else {
		ike_fail(sa, "while %s: %s", ike_state_name(sa->state), why);
	}
}

static bool wants_failure(const struct ike_sa *sa)
{
	return sa->state == IKE_I_VERIFY || sa->state == IKE_R_VERIFY || sa->state == IKE_R_PPK ||
	       sa->state == IKE_R_SIGN || (sa->state >= IKE_I_GSS_ASKED && sa->state <= IKE_I_GSS_THEIR_KEY) ||
	       (sa->state >= IKE_R_GSS_NAMED && sa->state <= IKE_R_GSS_OUR_KEY);
}

static void ike_job_done(struct keying *k, struct ike_sa *sa, const struct keying_result *r)
{
	struct diag d = { 0 };

	(void)k;
	sa->job = 0;
	if (sa->v1)
		mm_job_done(sa, r);
	else if (r->error && !wants_failure(sa))
		job_failed(sa, r->why);
	else if (ike_step(sa, EV_JOB, NULL, r, &d) < 0 && sa->state != IKE_DEAD)
		job_failed(sa, d.text);
}

static void child_job_done(struct child *c, const struct keying_result *r)
{
	struct diag d = { 0 };

	c->job = 0;
	if (r->error)
		child_fail(c, "the key exchange of quick mode failed: %s", r->why);
	else if (child_step(c, CEV_JOB, NULL, r, &d) < 0 && c->state != CHILD_DEAD)
		child_fail(c, "%s", d.text);
}

void keying_job_done(struct keying *k, const struct keying_result *r, uint64_t now_ms)
{
	struct waiting w;

	keying_tick(k, now_ms);
	if (!job_take(k, r->number, &w))
		return;
	if (w.owner == OWNER_COOKIE) {
		cookie_job_done(k, r);
	} else if (w.owner == OWNER_IKE) {
		struct ike_sa *sa = keying_ike_by_number(k, w.object);
		if (sa && sa->job == r->number)
			ike_job_done(k, sa, r);
	} else {
		struct child *c = child_by_pair(k, w.object);
		if (c && c->job == r->number)
			child_job_done(c, r);
	}
	keying_settle(k);
}

void keying_timer(struct keying *k, uint64_t now_ms)
{
	struct timer *t;

	keying_tick(k, now_ms);
	while ((t = timer_due(&k->timers, k->now_ms)))
		t->fire(t->owner);
	keying_settle(k);
}

uint64_t keying_deadline(const struct keying *k)
{
	return timer_first(&k->timers);
}

void keying_usage(struct keying *k, uint64_t pair, uint64_t last_in_ms, uint64_t last_out_ms, uint64_t now_ms)
{
	keying_tick(k, now_ms);
	struct child *c = child_by_pair(k, pair);

	if (!c || c->state < CHILD_SETTLE)
		return;
	struct ike_sa *sa = c->ike;
	if (last_in_ms && c->state == CHILD_SETTLE) /* a plane that does not tell of the first packet */
		child_settled(c);
	if (sa->heard_ms < last_in_ms)
		sa->heard_ms = last_in_ms;
	if (sa->sent_esp_ms == UINT64_MAX || sa->sent_esp_ms < last_out_ms)
		sa->sent_esp_ms = last_out_ms;
	life_idle(c, last_in_ms > last_out_ms ? last_in_ms : last_out_ms);
}

/* ---- a new plan, and the end ------------------------------------------------------------------------------------- */

static const struct auth_set *same_auth(const struct policy *p, const struct auth_set *old)
{
	const struct auth_set *sets;
	size_t n = policy_auth_sets(p, &sets);

	for (size_t i = 0; old && i < n; i++)
		if (strcmp(sets[i].name, old->name) == 0)
			return &sets[i];
	return NULL;
}

static const struct key_exchange_set *same_ke(const struct policy *p, const struct key_exchange_set *old)
{
	const struct key_exchange_set *sets;
	size_t n = policy_key_exchange_sets(p, &sets);

	for (size_t i = 0; old && i < n; i++)
		if (strcmp(sets[i].name, old->name) == 0)
			return &sets[i];
	return NULL;
}

static bool protection_takes(const struct protection_set *set, const struct child_suite *suite)
{
	for (size_t i = 0; i < set->count; i++)
		if (child_suite_equal(&set->suites[i], suite))
			return true;
	return false;
}

/* Does the new set ask for what the old one asked for? */
static bool auth_alike(const struct auth_set *a, const struct auth_set *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (!auth_method_equal(&a->methods[i], &b->methods[i]))
			return false;
	return true;
}

/* The rule that a CHILD SA is for, under the new plan; NULL: none wants it any more. */
static const struct rule *rule_under(const struct plan *plan, const struct child *c, const struct auth_set *auth)
{
	const struct plan_entry *e =
		selector_find_again(plan, &c->asked, c->rule->name, &c->ike->local, &c->ike->remote);

	if (!e || (e->rule->auth != auth && !(c->v1 && mm_proved(c->ike, e->rule->auth))) ||
	    (c->chosen && !protection_takes(e->rule->protection, &c->choice.suite)))
		return NULL;
	return e->rule;
}

static const struct auth_set *auth_under(const void *policy, const struct auth_set *old)
{
	const struct auth_set *now = same_auth(policy, old);

	return now && auth_alike(now, old) ? now : NULL;
}

/* Carry an IKE SA and its children over to the new plan, or end what no rule wants any more. */
static void review_ike(struct ike_sa *sa, struct plan *plan, const struct rule *spare)
{
	const struct policy *p = plan_policy(plan);
	const struct auth_set *auth = same_auth(p, sa->auth_set);
	const struct key_exchange_set *ke = same_ke(p, sa->ke_set);
	struct child *c, *next;
	bool keep = auth && ke && auth_alike(auth, sa->auth_set) && nat_allowed(p, sa->nat.began, sa->nat.behind) &&
		    encap_stays(sa, p) && ppk_stays(sa, ke);

	if (sa->v1)
		mm_review(sa, auth_under, p);
	for (size_t i = 0, fits = 0; keep && sa->suite.encr; i++) {
		if (i == ke->count) {
			keep = fits;
			break;
		}
		fits += ike_suite_equal(&ke->suites[i], &sa->suite);
	}
	for (c = LIST_FIRST(&sa->children); c; c = next) {
		next = LIST_NEXT(c, entry);
		const struct rule *rule = keep ? rule_under(plan, c, auth) : NULL;
		if (rule) {
			c->rule = rule;
			continue;
		}
		if (sa->state < IKE_ESTABLISHED)
			keep = false; /* what it was begun for is not wanted */
		c->rule = spare;
		c->doomed = true;
	}
	sa->auth_set = auth;
	sa->ke_set = ke;
	sa->unwanted = !keep;
}

static void end_unwanted(struct keying *k)
{
	struct ike_sa *sa, *next;
	struct child *c, *after;

	for (sa = TAILQ_FIRST(&k->ikes); sa; sa = next) {
		next = TAILQ_NEXT(sa, entry);
		if (sa->unwanted && sa->state < IKE_ESTABLISHED) {
			ike_drop(sa);
			continue;
		}
		for (c = LIST_FIRST(&sa->children); c; c = after) {
			after = LIST_NEXT(c, entry);
			if (c->doomed)
				child_delete(c);
		}
		if (sa->unwanted)
			ike_delete(sa);
	}
}

void keying_set_plan(struct keying *k, const struct keying_config *c, struct plan *plan, uint64_t now_ms)
{
	struct plan *old = k->plan;
	struct ike_sa *sa, *next;
	struct contact *contact, *after;
	struct want *w, *behind;
	static const struct protection_set no_protection = { .name = "" };
	static const struct rule no_rule = { .name = "", .mode = MODE_REQUIRE, .protection = &no_protection };

	keying_tick(k, now_ms);
	for (sa = TAILQ_FIRST(&k->ikes); sa; sa = next) { /* strangers begin anew: their rules are not chosen yet */
		next = TAILQ_NEXT(sa, entry);
		if (sa->state < IKE_ESTABLISHED && !sa->contact && !sa->replaces)
			ike_drop(sa);
	}
	k->plan = plan_ref(plan);
	set_config(k, c);
	TAILQ_FOREACH(sa, &k->ikes, entry)
		review_ike(sa, plan, &no_rule);
	for (contact = TAILQ_FIRST(&k->busy); contact; contact = after) {
		after = TAILQ_NEXT(contact, entry);
		bool more = true;
		for (w = LIST_FIRST(&contact->wants); w && more; w = behind) {
			behind = LIST_NEXT(w, entry);
			more = behind != NULL;
			const struct plan_entry *e = selector_find_again(plan, &w->selector, w->rule->name,
									 &contact->local, &contact->remote);
			if (e) {
				w->rule = e->rule;
				w->failed = false; /* what failed under the old plan may work now */
				w->failures = 0;
				continue;
			}
			struct keying_todo *t = todo_add(k, KEYING_RELEASE_HELD);
			t->selector = w->selector;
			want_free(w);
		}
	}
	plan_free(old);
	member_review(k);
	end_unwanted(k);
	for (contact = TAILQ_FIRST(&k->busy); contact; contact = after) {
		after = TAILQ_NEXT(contact, entry);
		want_drive_all(contact);
	}
	keying_settle(k);
}

void keying_set_credentials(struct keying *k, const struct keying_config *c, uint64_t now_ms)
{
	struct contact *contact, *after;
	struct want *w;

	keying_tick(k, now_ms);
	set_config(k, c);
	for (contact = TAILQ_FIRST(&k->busy); contact; contact = after) {
		after = TAILQ_NEXT(contact, entry);
		LIST_FOREACH(w, &contact->wants, entry) { /* what failed with the old ones may work now */
			w->failed = false;
			w->failures = 0;
		}
		want_drive_all(contact);
	}
	keying_settle(k);
}

void keying_set_names(struct keying *k, struct directory_names *names, uint64_t now_ms)
{
	struct contact *contact, *after;

	keying_tick(k, now_ms);
	directory_names_free(k->names);
	k->names = names;
	member_review(k);
	end_unwanted(k);
	for (contact = TAILQ_FIRST(&k->busy); contact; contact = after) {
		after = TAILQ_NEXT(contact, entry);
		want_drive_all(contact);
	}
	keying_settle(k);
}

static struct ike_sa *proven_by(const struct keying *k, const uint8_t certificate[PEER_DIGEST])
{
	struct ike_sa *sa;

	TAILQ_FOREACH(sa, &k->ikes, entry) {
		const uint8_t *theirs = peer_kept_certificate(sa->peer);

		if (sa->state == IKE_ESTABLISHED && theirs && memcmp(theirs, certificate, PEER_DIGEST) == 0)
			return sa;
	}
	return NULL;
}

size_t keying_distrust(struct keying *k, const uint8_t certificate[PEER_DIGEST], const char *why, uint64_t now_ms)
{
	struct ike_sa *sa;
	size_t n = 0;

	keying_tick(k, now_ms);
	for (; (sa = proven_by(k, certificate)); n++) {
		ike_delete(sa); /* one word to the peer; whether it answers is all one */
		ike_down(sa, EVENT_MAIN_MODE_DOWN, "its certificate is no longer accepted here: %s", why);
	}
	keying_settle(k);
	return n;
}
