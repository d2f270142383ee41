/* keying/ike.c - an IKE SA from its first message to its end: one table of steps, and what happens to all of them. */
#include "keying/engine.h"
#include "keying/v1/module.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ike_step_row {
	enum ike_state state;
	enum ike_event event;
	ike_action *act;
	enum ike_state next;
};

static const struct ike_step_row steps[] = {
	/* in state         on               do                then                 RFC 7296 */
	{ IKE_IDLE, EV_START, init_begin, IKE_I_BEGIN },                    /* 1.2 */
	{ IKE_I_BEGIN, EV_JOB, init_send, IKE_I_INIT_SENT },                /* 1.2 */
	{ IKE_I_INIT_SENT, EV_COOKIE, init_cookie, IKE_I_INIT_SENT },       /* 2.6 */
	{ IKE_I_INIT_SENT, EV_OTHER_GROUP, init_other_group, IKE_I_BEGIN }, /* 1.2 */
	{ IKE_I_INIT_SENT, EV_REFUSED, init_refused, IKE_I_INIT_SENT },     /* 2.21.1 */
	{ IKE_I_INIT_SENT, EV_INIT_REPLY, init_reply, IKE_I_DERIVE },       /* 2.14 */
	{ IKE_I_DERIVE, EV_JOB, auth_sign, IKE_I_SIGN },                    /* 2.15 */
	{ IKE_I_PPK, EV_JOB, auth_mixed, IKE_I_SIGN },                      /* RFC 8784 3 */
	{ IKE_I_SIGN, EV_JOB, auth_reserve, IKE_I_SPI },
	{ IKE_I_SIGN_PLAIN, EV_JOB, auth_plain, IKE_I_SPI },
	{ IKE_I_SPI, EV_CHILD_SPI, auth_send, IKE_I_AUTH_SENT }, /* 1.2 */
	/* docs/protocols/kerberos-ikev2.md */
	{ IKE_I_GSS_ASKED, EV_GSPM_REPLY, gspm_take_name, IKE_I_GSS_TICKET },
	{ IKE_I_GSS_ASKED, EV_REFUSED, auth_refused, IKE_DEAD },
	{ IKE_I_GSS_TICKET, EV_JOB, gspm_send_ticket, IKE_I_GSS_SHOWN },
	{ IKE_I_GSS_SHOWN, EV_GSPM_REPLY, gspm_take_tokens, IKE_I_GSS_OURS },
	{ IKE_I_GSS_SHOWN, EV_REFUSED, gspm_refused, IKE_I_GSS_REFUSED },
	{ IKE_I_GSS_REFUSED, EV_JOB, gspm_explained, IKE_DEAD },
	{ IKE_I_GSS_OURS, EV_JOB, gspm_ours_up, IKE_I_GSS_OUR_KEY },
	{ IKE_I_GSS_OUR_KEY, EV_JOB, gspm_accept_peer, IKE_I_GSS_THEIRS },
	{ IKE_I_GSS_THEIRS, EV_JOB, gspm_peer_up, IKE_I_GSS_THEIR_KEY },
	{ IKE_I_GSS_THEIR_KEY, EV_JOB, gspm_send_proof, IKE_I_AUTH_SENT },
	{ IKE_I_AUTH_SENT, EV_REFUSED, auth_refused, IKE_DEAD },       /* 2.21.2 */
	{ IKE_I_AUTH_SENT, EV_AUTH_REPLY, auth_verify, IKE_I_VERIFY }, /* 2.15 */
	{ IKE_I_VERIFY, EV_JOB, auth_established, IKE_ESTABLISHED },
	{ IKE_I_VERIFY, EV_PROVEN, auth_proven, IKE_ESTABLISHED },

	{ IKE_IDLE, EV_INIT_REQUEST, init_answer, IKE_R_ANSWER },
	{ IKE_R_ANSWER, EV_JOB, init_respond, IKE_R_INIT_SENT },
	{ IKE_R_INIT_SENT, EV_AUTH_REQUEST, auth_request, IKE_R_VERIFY },
	{ IKE_R_PPK, EV_JOB, auth_peer_mixed, IKE_R_VERIFY },
	{ IKE_R_GSS_NAMED, EV_AUTH_REQUEST, gspm_take_ticket, IKE_R_GSS_THEIRS },
	{ IKE_R_GSS_THEIRS, EV_JOB, gspm_peer_shown, IKE_R_GSS_THEIR_KEY },
	{ IKE_R_GSS_THEIR_KEY, EV_JOB, gspm_ask_ticket, IKE_R_GSS_TICKET },
	{ IKE_R_GSS_TICKET, EV_JOB, gspm_send_tokens, IKE_R_GSS_SHOWN },
	{ IKE_R_GSS_SHOWN, EV_AUTH_REQUEST, gspm_take_proof, IKE_R_GSS_OURS },
	{ IKE_R_GSS_OURS, EV_JOB, gspm_ours_up, IKE_R_GSS_OUR_KEY },
	{ IKE_R_GSS_OUR_KEY, EV_JOB, gspm_check_proof, IKE_R_CHILD },
	{ IKE_R_VERIFY, EV_JOB, auth_answer, IKE_R_SIGN },
	{ IKE_R_SIGN, EV_JOB, auth_child, IKE_R_CHILD },
	{ IKE_R_CHILD, EV_CHILD_READY, auth_respond, IKE_ESTABLISHED },

	{ IKE_NEW_BEGIN, EV_JOB, rekey_begun, IKE_NEW_QUEUED }, /* 1.3.2, 2.18 */
	{ IKE_NEW_DERIVE, EV_JOB, rekey_derived, IKE_ESTABLISHED },
	{ IKE_NEW_ANSWER, EV_JOB, rekey_answered, IKE_ESTABLISHED },
	/* 2.8.2: IKE_NEW_KEYED is left when both new ones are keyed, or the peer speaks under one of them */
};

const size_t ike_row_count = ARRAY_LEN(steps);

static const char *const state_names[] = {
	[IKE_IDLE] = "idle",
	[IKE_I_BEGIN] = "making a key pair",
	[IKE_V1_MAKING] = "negotiating by IKEv1",
	[IKE_V1_PROVING] = "negotiating by IKEv1",
	[IKE_I_INIT_SENT] = "waiting for the reply to IKE_SA_INIT",
	[IKE_I_DERIVE] = "making the shared secret",
	[IKE_I_PPK] = "mixing in the post-quantum pre-shared key",
	[IKE_I_SIGN] = "making our proof",
	[IKE_I_SIGN_PLAIN] = "making our proof",
	[IKE_I_SPI] = "reserving an SPI",
	[IKE_I_GSS_ASKED] = "waiting for the peer's Kerberos principal",
	[IKE_I_GSS_TICKET] = "getting a Kerberos ticket for the peer",
	[IKE_I_GSS_SHOWN] = "waiting for the answer to our Kerberos ticket",
	[IKE_I_GSS_REFUSED] = "reading why our Kerberos ticket was refused",
	[IKE_I_GSS_OURS] = "reading the answer to our Kerberos ticket",
	[IKE_I_GSS_OUR_KEY] = "making a Kerberos key",
	[IKE_I_GSS_THEIRS] = "reading the peer's Kerberos ticket",
	[IKE_I_GSS_THEIR_KEY] = "making a Kerberos key",
	[IKE_I_AUTH_SENT] = "waiting for the reply to IKE_AUTH",
	[IKE_I_VERIFY] = "checking the peer's proof",
	[IKE_R_ANSWER] = "making a key pair for the reply",
	[IKE_R_INIT_SENT] = "waiting for IKE_AUTH",
	[IKE_R_PPK] = "mixing in the post-quantum pre-shared key",
	[IKE_R_GSS_NAMED] = "waiting for the peer's Kerberos ticket",
	[IKE_R_GSS_THEIRS] = "reading the peer's Kerberos ticket",
	[IKE_R_GSS_THEIR_KEY] = "making a Kerberos key",
	[IKE_R_GSS_TICKET] = "getting a Kerberos ticket for the peer",
	[IKE_R_GSS_SHOWN] = "waiting for the answer to our Kerberos ticket",
	[IKE_R_GSS_OURS] = "reading the answer to our Kerberos ticket",
	[IKE_R_GSS_OUR_KEY] = "making a Kerberos key",
	[IKE_R_VERIFY] = "checking the peer's proof",
	[IKE_R_SIGN] = "making our proof",
	[IKE_R_CHILD] = "making the first CHILD SA",
	[IKE_NEW_BEGIN] = "rekeying",
	[IKE_NEW_QUEUED] = "rekeying",
	[IKE_NEW_SENT] = "rekeying",
	[IKE_NEW_DERIVE] = "rekeying",
	[IKE_NEW_ANSWER] = "rekeying",
	[IKE_NEW_KEYED] = "rekeying",
	[IKE_ESTABLISHED] = "established",
	[IKE_DELETING] = "deleting",
	[IKE_DEAD] = "dead",
};

const char *ike_state_name(enum ike_state s)
{
	return state_names[s];
}

int ike_step(struct ike_sa *sa, enum ike_event ev, const struct ike_msg *m, const struct keying_result *r,
	     struct diag *d)
{
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		const struct ike_step_row *s = &steps[i];
		if (s->state != sa->state || s->event != ev)
			continue;
		sa->k->rows.ike |= UINT64_C(1) << i;
		int e = s->act(sa, &(struct step_input){ m, r }, d);
		if (e != 0 || sa->state == IKE_DEAD)
			return e < 0 ? e : 0;
		sa->state = s->next;
		if (sa->state == IKE_ESTABLISHED)
			ike_established(sa);
		else if (sa->state == IKE_R_CHILD && !sa->first)
			return ike_step(sa, EV_CHILD_READY, NULL, NULL, d);
		else
			ike_arm(sa);
		return 0;
	}
	return diag_fail(d, ERR_UNEXPECTED, "event %d while %s", ev, ike_state_name(sa->state));
}

uint8_t ike_exchange_of(const struct ike_sa *sa)
{
	if (sa->v1)
		return sa->state >= IKE_ESTABLISHED ? V1_INFORMATIONAL : V1_MAIN;
	if (sa->state >= IKE_ESTABLISHED)
		return INFORMATIONAL;
	if (sa->state >= IKE_NEW_BEGIN)
		return CREATE_CHILD_SA;
	return sa->state <= IKE_I_INIT_SENT || sa->state == IKE_R_ANSWER ? IKE_SA_INIT : IKE_AUTH;
}

bool ike_usable(const struct ike_sa *sa)
{
	return sa->state == IKE_ESTABLISHED && !sa->loser;
}

uint64_t ike_own_spi(const struct ike_sa *sa)
{
	return sa->initiator ? sa->spi_i : sa->spi_r;
}

void ike_set_spi(struct ike_sa *sa)
{
	table_add(&sa->k->spis, ike_own_spi(sa), sa);
}

const char *ike_rule_name(const struct ike_sa *sa)
{
	return sa->first ? sa->first->rule->name : sa->first_rule ? sa->first_rule : "";
}

void ike_name_rule(struct ike_sa *sa, const char *rule)
{
	char *name = mem_string(rule);

	free(sa->first_rule); /* which may be what was given */
	sa->first_rule = name;
}

const struct keying_credential *ike_credential(const struct ike_sa *sa)
{
	const struct keying_config *c = &sa->k->config;

	for (size_t i = 0; i < c->credential_count; i++)
		if (c->credentials[i].number == sa->credential)
			return &c->credentials[i];
	return NULL;
}

/* ---- birth ------------------------------------------------------------------------------------------------------- */

static void fire(void *owner);

struct ike_sa *ike_new(struct keying *k, bool initiator, const struct addr *local, uint16_t local_port,
		       const struct addr *remote, uint16_t remote_port)
{
	struct ike_sa *sa = mem_new(1, sizeof *sa);

	*sa = (struct ike_sa){
		.k = k,
		.number = keying_number(k),
		.making = mem_new(1, sizeof *sa->making),
		.initiator = initiator,
		.local = *local,
		.local_port = local_port,
		.remote = *remote,
		.remote_port = remote_port,
		.nat = { .began = initiator, .outer = *remote, .keepalive_ms = UINT64_MAX },
		.created_ms = k->now_ms,
		.give_up_ms = UINT64_MAX,
		.rekey_ms = UINT64_MAX,
		.expire_ms = UINT64_MAX,
		.childless_ms = UINT64_MAX,
		.twin_ms = UINT64_MAX,
		.proven_until_ms = UINT64_MAX,
		.reauth_ms = UINT64_MAX,
		.check_ms = UINT64_MAX,
		.sent_esp_ms = UINT64_MAX,
	};
	sa->timer.owner = sa;
	sa->timer.fire = fire;
	TAILQ_INIT(&sa->tasks);
	TAILQ_INSERT_TAIL(&k->ikes, sa, entry);
	table_add(&k->numbers, sa->number, sa);
	return sa;
}

void ike_join(struct ike_sa *sa, struct contact *c)
{
	sa->contact = c;
	LIST_INSERT_HEAD(&c->ikes, sa, of_contact);
	contact_review(c);
}

int ike_key(struct ike_sa *sa, struct keying_octets secret, const struct ike_sa *old, struct diag *d)
{
	const struct keymat_input in = { .secret = secret,
					 .nonce_i = owned_octets(&sa->nonce_i),
					 .nonce_r = owned_octets(&sa->nonce_r),
					 .spi_i = sa->spi_i,
					 .spi_r = sa->spi_r };
	struct ike_crypt *of_i = sa->initiator ? &sa->out : &sa->in, *of_r = sa->initiator ? &sa->in : &sa->out;
	struct ike_keys *k = &sa->making->keys;
	int r;

	if ((r = keymat_ike(&sa->suite, &in, old ? old->suite.prf : NULL, old ? &old->sk_d : NULL, k, d)) < 0 ||
	    (r = ike_crypt_new(&sa->suite, &k->ei, &k->ai, of_i, d)) < 0 ||
	    (r = ike_crypt_new(&sa->suite, &k->er, &k->ar, of_r, d)) < 0)
		return r;
	key_move(&sa->sk_d, &k->d);
	capture_ike(sa);
	key_wipe(&k->ei);
	key_wipe(&k->er);
	key_wipe(&k->ai);
	key_wipe(&k->ar);
	key_wipe(&sa->making->private);
	return 0;
}

static void close_half(struct ike_sa *sa)
{
	if (sa->initiating)
		sa->k->initiating_count--;
	sa->initiating = false;
	if (!sa->half_open)
		return;
	sa->half_open = false;
	sa->k->half_open_count--;
	sa->k->half_open_v1 -= sa->v1 != NULL;
	source_of(sa->k, &sa->remote)->half_open--;
	TAILQ_REMOVE(&sa->k->half_opens, sa, of_half_open);
}

/* What only the making needs. */
static void forget_making(struct ike_sa *sa)
{
	if (sa->v1)
		mm_forget_making(sa);
	if (sa->making) {
		free(sa->making->choice);
		ppk_free(sa->making->ppk);
		gspm_free(sa);
		explicit_bzero(sa->making, sizeof *sa->making);
	}
	free(sa->making);
	sa->making = NULL;
	owned_wipe(&sa->public);
	owned_wipe(&sa->init_request);
	owned_wipe(&sa->init_reply);
	owned_wipe(&sa->peer_id);
	owned_wipe(&sa->peer_id_body);
	owned_wipe(&sa->auth);
	if (sa->init_key)
		table_remove(&sa->k->half_open, sa->init_key, sa);
	sa->init_key = 0;
	sa->give_up_ms = UINT64_MAX;
}

/* A number below 1000, the same for the same SA: spreads rekeys without a random source. */
static unsigned spread(const struct owned *n)
{
	return (unsigned)(table_hash(n->at, n->len, 0) % 1000);
}

/* The peer starts afresh: what it had with us before this exchange is gone (RFC 7296 2.4). */
void ike_forget_older(struct ike_sa *sa)
{
	struct ike_sa *other, *next;

	for (other = LIST_FIRST(&sa->contact->ikes); other; other = next) {
		next = LIST_NEXT(other, of_contact);
		if (other == sa || other->state < IKE_ESTABLISHED || other->up_ms >= sa->created_ms)
			continue;
		if (peer_kept_method(other->peer) == peer_kept_method(sa->peer) &&
		    strcmp(peer_kept_id(other->peer), peer_kept_id(sa->peer)) == 0)
			ike_down(other, EVENT_MAIN_MODE_DOWN, "%s has started afresh", peer_kept_id(sa->peer));
		else if (other->state == IKE_ESTABLISHED && !exchange_queued(other, TASK_LIVENESS, 0))
			/* It may be the same host, which has proven itself in another way before it restarted. */
			exchange_queue(other, TASK_LIVENESS, 0);
	}
}

/* Which of two goes first: a main mode of the same peer's, before that of another host behind its NAT; then one that
 * carries nothing; then the older one. */
static bool goes_before(const struct ike_sa *a, const struct ike_sa *b, const struct ike_sa *newest)
{
	bool own_a = nat_same_peer(a, newest), own_b = nat_same_peer(b, newest);
	bool empty_a = LIST_EMPTY(&a->children), empty_b = LIST_EMPTY(&b->children);

	if (own_a != own_b)
		return own_a;
	if (empty_a != empty_b)
		return empty_a;
	return a->up_ms <= b->up_ms;
}

/* A peer that begins or renews one after the other and deletes none does not fill our memory. Many may be up since the
 * same millisecond: the one that has just come up is never the oldest. */
static void forget_oldest(const struct ike_sa *newest)
{
	struct ike_sa *sa, *oldest = NULL;
	size_t n = 0;

	LIST_FOREACH(sa, &newest->contact->ikes, of_contact) {
		if (sa->state < IKE_ESTABLISHED)
			continue;
		n++;
		if (sa != newest && sa != newest->replaces && (!oldest || goes_before(sa, oldest, newest)))
			oldest = sa;
	}
	if (n <= IKES_MOST)
		return;
	if (rekey_done(oldest))
		ike_drop(oldest);
	else
		ike_down(oldest, EVENT_MAIN_MODE_DOWN, "the peer has more than %d main modes", IKES_MOST);
}

void ike_established(struct ike_sa *sa)
{
	struct keying *k = sa->k;
	module_proven(sa);
	uint64_t life = (sa->ke_set ? sa->ke_set->lifetime_s : 0) * UINT64_C(1000);
	char suite[SUITE_TEXT];

	if (sa->v1 && sa->v1->life_s && (!life || sa->v1->life_s * UINT64_C(1000) < life))
		life = sa->v1->life_s * UINT64_C(1000);
	sa->up_ms = sa->heard_ms = k->now_ms;
	if (!sa->proven_ms)
		sa->proven_ms = k->now_ms;
	sa->check_ms = k->now_ms + k->config.liveness_ms;
	nat_keepalive_start(sa);
	if (life) { /* whoever began it renews it first, so that both seldom do at once */
		sa->rekey_ms = k->now_ms + life_soft_ms(life, sa->initiator, spread(&sa->nonce_i));
		sa->expire_ms = k->now_ms + life;
	}
	if (sa->half_open)
		source_proven(k, &sa->remote);
	close_half(sa);
	if (sa->making && sa->making->choice)
		todo_event(k, EVENT_CREDENTIAL_CHOSEN, &sa->local, &sa->remote, ike_rule_name(sa),
			   peer_kept_id(sa->peer), 0, "%s", sa->making->choice);
	sa->ppk = sa->replaces ? sa->replaces->ppk : ppk_in_force(sa);
	forget_making(sa);
	todo_event(k, EVENT_MAIN_MODE_UP, &sa->local, &sa->remote, ike_rule_name(sa), peer_kept_id(sa->peer), 0,
		   "%s proved itself by %s; main mode is %s%s%s%s%s%s", peer_kept_id(sa->peer),
		   peer_method_name(peer_kept_method(sa->peer)), ike_suite_text(&sa->suite, suite),
		   sa->v1 ? " by IKEv1" : "", sa->ppk ? " with a post-quantum pre-shared key" : "",
		   sa->replaces ? " (renewed)" : "",
		   sa->nat.behind       ? "; through a NAT: "
		   : encap_concerns(sa) ? "; ESP goes in UDP"
					: "",
		   sa->nat.behind ? nat_where(sa->nat.behind) : "");
	struct event *e = &todo_last(k)->event;
	words_copy(e->suite, sizeof e->suite, suite);
	words_copy(e->method, sizeof e->method, peer_method_name(peer_kept_method(sa->peer)));
	sa->childless_ms = LIST_EMPTY(&sa->children) ? k->now_ms + CHILDLESS_MS : UINT64_MAX;
	if (!sa->replaces && sa->initial_contact)
		ike_forget_older(sa);
	forget_oldest(sa);
	if (!sa->replaces) {
		twin_ike_up(sa);
		reauth_up(sa);
	}
	if (sa->replaces && sa->initiator) { /* only now does it know both SPIs (RFC 6290 4.3) */
		sa->token_due = true;
		exchange_queue(sa, TASK_LIVENESS, 0);
	}
	exchange_pump(sa);
	want_drive_all(sa->contact);
	ike_arm(sa);
}

void ike_lost(struct ike_sa *sa)
{
	struct keying *k = sa->k;

	forget_making(sa);
	sa->state = IKE_ESTABLISHED;
	sa->loser = true;
	sa->up_ms = sa->heard_ms = k->now_ms;
	if (sa->initiator)
		ike_delete(sa);
	else
		sa->give_up_ms = k->now_ms + RIVAL_MS;
	ike_arm(sa);
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void ike_arm(struct ike_sa *sa)
{
	uint64_t at = sa->give_up_ms;

	if (sa->state == IKE_DEAD)
		return;
	if (sa->request.out)
		at = least(at, sa->request.resend_ms);
	at = least(at, sa->twin_ms);
	if (sa->state == IKE_ESTABLISHED) {
		at = least(at, least(sa->childless_ms, least(sa->expire_ms, sa->proven_until_ms)));
		if (!sa->replaced_by)
			at = least(at, least(least(sa->rekey_ms, sa->reauth_ms),
					     least(sa->check_ms, sa->nat.keepalive_ms)));
	}
	timer_set(&sa->k->timers, &sa->timer, at);
}

static void unanswered(struct ike_sa *sa)
{
	const struct fault silence = { .code = FAILURE_NO_ANSWER, .by = SIDE_NOBODY };
	char remote[ADDR_TEXT];
	const char *there = addr_text(&sa->remote, remote);

	if (module_fall_back(sa))
		return;
	if (sa->v1 && sa->state < IKE_ESTABLISHED)
		mm_unanswered(sa);
	else if (sa->state == IKE_DELETING)
		ike_drop(sa);
	else if (sa->state == IKE_I_INIT_SENT && sa->making->hint[0])
		ike_fault(sa, sa->making->hint_fault, "%s", sa->making->hint);
	else if (sa->state == IKE_I_INIT_SENT)
		ike_fault(sa, silence,
			  "no answer from %s to IKE_SA_INIT. Is it up, and does IKE run there? Does nothing on the way "
			  "drop UDP 500 and 4500? It may also have no rule for this host",
			  there);
	else if (sa->state < IKE_ESTABLISHED)
		ike_fault(
			sa, silence,
			"no answer from %s to IKE_AUTH, though it answered IKE_SA_INIT. Something on the way may drop "
			"long or fragmented UDP datagrams, or the peer has dropped our proof without a word",
			there);
	else
		ike_down(sa, EVENT_PEER_UNREACHABLE, "%s no longer answers", there);
}

/* Nothing came in for long. Ask, unless we sent nothing either. */
static void check_peer(struct ike_sa *sa)
{
	struct keying *k = sa->k;
	uint64_t silent_ms = sa->heard_ms + k->config.liveness_ms;

	if (silent_ms > k->now_ms) {
		sa->check_ms = silent_ms;
		return;
	}
	sa->check_ms = k->now_ms + k->config.liveness_ms;
	if (!sa->request.out && (sa->sent_esp_ms == UINT64_MAX || sa->sent_esp_ms > sa->heard_ms))
		exchange_queue(sa, TASK_LIVENESS, 0);
}

/* It began and did not go on. That is told only where nothing else is up between the two: with both ends beginning at
 * once, one of the attempts may end so. */
static void never_proven(struct ike_sa *sa)
{
	struct keying *k = sa->k;
	const struct contact *c = contact_find(k, &sa->local, &sa->remote);
	bool refused = sa->receive_id == UINT32_MAX; /* that was told */
	char remote[ADDR_TEXT];

	if (!refused && (!c || LIST_EMPTY(&c->ikes)))
		contact_fault_stranger(
			k, &sa->local, &sa->remote, ike_rule_name(sa),
			(struct fault){ FAILURE_NO_ANSWER, SIDE_NOBODY, sa->v1 ? (uint8_t)V1_MAIN : IKE_AUTH, 0, NULL },
			"%s began main mode, had our answer to %s, and no %s came. It did "
			"not like the answer, or something on the way drops long or fragmented UDP "
			"datagrams",
			addr_text(&sa->remote, remote), sa->v1 ? "its proposals" : "IKE_SA_INIT",
			sa->v1 ? "proof" : "IKE_AUTH");
	ike_drop(sa);
}

static void fire(void *owner)
{
	struct ike_sa *sa = owner;
	uint64_t now = sa->k->now_ms;

	if (sa->give_up_ms <= now) {
		if (module_fall_back(sa))
			return;
		if (sa->initiator)
			ike_fault(sa, sa->making->hint_fault, "%s", sa->making->hint);
		else
			never_proven(sa);
		return;
	}
	if (sa->request.out && sa->request.resend_ms <= now && encap_give_up(sa))
		return;
	if (sa->request.out && sa->request.resend_ms <= now && !exchange_resend(sa)) {
		unanswered(sa);
		return;
	}
	if (sa->twin_ms <= now)
		twin_review(sa);
	if (sa->state == IKE_ESTABLISHED && sa->proven_until_ms <= now && exchange_queued(sa, TASK_DELETE_IKE, 0)) {
		ike_down(sa, EVENT_MAIN_MODE_DOWN, "the proof of %s is too old, and it does not answer",
			 peer_kept_id(sa->peer));
		return;
	}
	if (sa->state == IKE_ESTABLISHED &&
	    (sa->expire_ms <= now || sa->childless_ms <= now || sa->proven_until_ms <= now)) {
		sa->childless_ms = UINT64_MAX;
		sa->expire_ms = now + HALF_OPEN_MS; /* should the Delete not get its turn */
		if (sa->proven_until_ms <= now)
			sa->proven_until_ms = now + LINGER_MS;
		ike_delete(sa);
	}
	if (sa->state == IKE_ESTABLISHED && !sa->replaced_by && sa->reauth_ms <= now)
		reauth_start(sa);
	if (sa->state == IKE_ESTABLISHED && !sa->replaced_by && sa->rekey_ms <= now) {
		sa->rekey_ms = UINT64_MAX;
		if (!sa->loser && !sa->unwanted)
			rekey_start(sa);
	}
	if (sa->state == IKE_ESTABLISHED && !sa->replaced_by && sa->check_ms <= now)
		check_peer(sa);
	if (sa->state == IKE_ESTABLISHED && !sa->replaced_by && sa->nat.keepalive_ms <= now)
		nat_keepalive_due(sa);
	ike_arm(sa);
}

/* ---- end --------------------------------------------------------------------------------------------------------- */

static void drop(struct ike_sa *sa, const char *why)
{
	struct keying *k = sa->k;
	struct contact *c = sa->contact;
	struct child *child;

	if (sa->state == IKE_DEAD)
		return;
	sa->state = IKE_DEAD;
	rekey_unlink(sa);
	while ((child = LIST_FIRST(&sa->children)))
		child_drop(child, why);
	close_half(sa);
	forget_making(sa);
	exchange_clear(sa);
	fragment_forget(sa, false);
	timer_stop(&k->timers, &sa->timer);
	table_remove(&k->numbers, sa->number, sa);
	if (ike_own_spi(sa))
		table_remove(&k->spis, ike_own_spi(sa), sa);
	TAILQ_REMOVE(&k->ikes, sa, entry);
	TAILQ_INSERT_TAIL(&k->dead_ikes, sa, entry);
	if (c) {
		LIST_REMOVE(sa, of_contact);
		sa->contact = NULL;
		contact_review(c);
	}
}

void ike_drop(struct ike_sa *sa)
{
	drop(sa, NULL);
}

static void fail(struct ike_sa *sa, struct fault f, const char *fmt, va_list ap)
{
	struct keying *k = sa->k;
	struct addr local = sa->local, remote = sa->remote;
	char text[EVENT_TEXT], rule[128];

	(void)vsnprintf(text, sizeof text, fmt, ap);
	words_copy(rule, sizeof rule, ike_rule_name(sa));
	if (!f.exchange)
		f.exchange = ike_exchange_of(sa);
	drop(sa, NULL);
	contact_fault(k, &local, &remote, rule,
		      f.code == FAILURE_NO_ANSWER ? EVENT_PEER_UNREACHABLE : EVENT_MAIN_MODE_FAILED, f, "%s", text);
	want_fail_all(k, sa);
}

void ike_fault(struct ike_sa *sa, struct fault f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fail(sa, f, fmt, ap);
	va_end(ap);
}

void ike_fail(struct ike_sa *sa, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fail(sa, (struct fault){ 0 }, fmt, ap);
	va_end(ap);
}

void ike_down(struct ike_sa *sa, enum event_id id, const char *fmt, ...)
{
	struct keying *k = sa->k;
	char text[320];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	todo_event(k, id, &sa->local, &sa->remote, ike_rule_name(sa), peer_kept_id(sa->peer), 0,
		   "main mode is down: %s", text);
	drop(sa, text);
	struct contact *c = contact_find(k, &sa->local, &sa->remote);
	if (c)
		want_drive_all(c);
}

void ike_delete(struct ike_sa *sa)
{
	if (sa->state == IKE_ESTABLISHED && !exchange_queued(sa, TASK_DELETE_IKE, 0))
		exchange_queue(sa, TASK_DELETE_IKE, 0);
}

void ike_deleted(struct ike_sa *sa)
{
	if (!rekey_done(sa) && !sa->loser && sa->up_ms)
		ike_down(sa, EVENT_MAIN_MODE_DOWN, "we deleted it");
	else
		ike_drop(sa);
}

void ike_free(struct ike_sa *sa)
{
	mm_free(sa->v1);
	key_wipe(&sa->sk_d);
	ike_crypt_wipe(&sa->in);
	ike_crypt_wipe(&sa->out);
	owned_wipe(&sa->last_reply);
	owned_wipe(&sa->crash_token);
	owned_wipe(&sa->nonce_i);
	owned_wipe(&sa->nonce_r);
	free(sa->first_rule);
	membership_free(sa->groups);
	free(sa->peer);
	explicit_bzero(sa, sizeof *sa);
	free(sa);
}
