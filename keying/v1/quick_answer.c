/* keying/v1/quick_answer.c - quick mode, who is asked for it: what of it is taken, message 2 and, to Windows, CONNECTED
 * (RFC 2409 5.5, [MS-IKEE] 3.7). IKEv1 does not narrow: what is asked for is given as it is, or refused. */
#include "keying/v1/module.h"
#include "keying/v1/nat.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is asked for, from our side; without ID payloads it is the two hosts (RFC 2409 5.5). */
static bool selectors_of(const struct ike_sa *sa, const struct v1_msg *m, struct ike_ts_list *mine,
			 struct ike_ts_list *theirs)
{
	mine->count = theirs->count = 1;
	if (m->id_count == 0) {
		theirs->at[0] = (struct ike_ts){ .port_hi = 65535, .range = { sa->remote, sa->remote } };
		mine->at[0] = (struct ike_ts){ .port_hi = 65535, .range = { sa->local, sa->local } };
		return true;
	}
	if (m->id_count != 2 || !m->ids[0].ranged || !m->ids[1].ranged)
		return false;
	quick_selector_ts(&m->ids[0], &theirs->at[0]);
	quick_selector_ts(&m->ids[1], &mine->at[0]);
	return true;
}

static bool same_ts(const struct ike_ts *a, const struct ike_ts *b)
{
	return a->protocol == b->protocol && addr_equal(&a->range.lo, &b->range.lo) &&
	       addr_equal(&a->range.hi, &b->range.hi) &&
	       (selector_is_icmp(a->protocol) || (a->port_lo == b->port_lo && a->port_hi == b->port_hi));
}

static bool is_whole(const struct narrowed *n, const struct asked *a)
{
	struct ike_ts here = selector_ts(&n->selector, true), there = selector_ts(&n->selector, false);

	return same_ts(&here, &a->mine->at[0]) && same_ts(&there, &a->theirs->at[0]);
}

static bool is_tunnel(const struct v1_msg *m)
{
	uint16_t mode = m->offer.transform_count ? m->offer.transforms[0].encapsulation : 0;

	return mode != V1_TRANSPORT && mode != V1_UDP_TRANSPORT && mode != V1_UDP_TRANSPORT_DRAFT;
}

static struct child *no(uint16_t *ret_notify, uint16_t notify)
{
	*ret_notify = notify;
	return NULL;
}

static const char *asked_words(const struct v1_msg *m, const struct ike_ts_list *mine, const struct ike_ts_list *theirs,
			       char buf[ASKED_TEXT])
{
	struct ike_msg as = { .has_ts_i = true, .has_ts_r = true, .ts_i = *theirs, .ts_r = *mine };

	(void)m;
	return asked_text(&as, buf);
}

/* One that is up already for the same: this one takes its place. Not where we have only just made that one ourselves:
 * then both ends began at once (twin.c). */
static void take_place(struct child *c)
{
	struct child *old = child_up_for(c->ike->contact, &c->asked, c);

	if (!old || !selector_same(&old->selector, &c->selector))
		return;
	if (!old->initiator || c->ike->k->now_ms >= old->up_ms + RIVAL_MS) {
		child_replaces(c, old->pair);
		return;
	}
	line_free(c->line);
	c->line = line_beside(old->line);
}

static int check(struct ike_sa *sa, const struct plan_entry *e, struct diag *d)
{
	char offered[PROPOSALS_TEXT], wanted[PROPOSALS_TEXT];

	if (!mm_proved(sa, e->rule->auth))
		return diag_fail(d, failure_error(FAILURE_WRONG_METHOD),
				 "rule '%s' asks for authentication '%s', and the peer proved '%s'", e->rule->name,
				 e->rule->auth->name, sa->auth_set->name);
	if (!member_may(sa->k, sa->peer, &sa->remote, e->rule, d))
		return -failure_error(FAILURE_NOT_MEMBER);
	if (!mm_can(e->rule))
		return diag_fail(d, failure_error(FAILURE_NO_RULE), "rule '%s' is not to be negotiated by IKEv1",
				 e->rule->name);
	if (!child_set_takes(e->rule->key_exchange, &sa->suite))
		return diag_fail(d, failure_error(FAILURE_NO_PROPOSAL), "main mode is %s, rule '%s' wants %s",
				 ike_suite_text(&sa->suite, offered), e->rule->name,
				 proposal_set_text(e->rule->key_exchange, wanted));
	return nat_check_protection(sa, e->rule->protection, d);
}

/* What of the request the answer repeats, and what was chosen of it. */
static void remember(struct quick *q, const struct v1_msg *m, const struct v1_quick_choice *choice)
{
	uint8_t both[256];
	struct wire_out out = wire_out(both, sizeof both);

	q->id = m->h.id;
	q->life_s = choice->life_s;
	q->proposal = choice->proposal;
	q->chosen = *choice->of;
	owned_set(&q->chosen_raw, choice->of->raw.at, choice->of->raw.len);
	q->chosen.raw = owned_octets(&q->chosen_raw);
	q->chosen.gss_name = (struct keying_octets){ 0 };
	if (m->id_count != 2)
		return;
	wire_put(&out, m->ids[0].body.at, m->ids[0].body.len);
	wire_put(&out, m->ids[1].body.at, m->ids[1].body.len);
	q->asked_first = m->ids[0].body.len;
	owned_set(&q->asked, both, out.failed ? 0 : out.len);
}

struct child *quick_asked(struct ike_sa *sa, const struct v1_msg *m, uint16_t *ret_notify, struct diag *d)
{
	struct ike_ts_list mine = { 0 }, theirs = { 0 }, seen_mine, seen_theirs;
	char offered[PROPOSALS_TEXT], wanted[PROPOSALS_TEXT], asked[ASKED_TEXT], rules[ASKED_TEXT];
	struct asked a = { .plan = sa->k->plan,
			   .tunnel = is_tunnel(m),
			   .local = &sa->local,
			   .remote = &sa->remote,
			   .mine = &seen_mine,
			   .theirs = &seen_theirs };
	struct v1_quick_choice choice;
	struct narrowed n = { 0 };

	if (!selectors_of(sa, m, &mine, &theirs)) {
		(void)diag_fail(d, failure_error(FAILURE_SELECTORS),
				"it names its traffic otherwise than by addresses");
		return no(ret_notify, V1_N_INVALID_ID_INFORMATION);
	}
	nat_substitute(sa, &mine, true, a.tunnel, &seen_mine);
	nat_substitute(sa, &theirs, false, a.tunnel, &seen_theirs);
	if (!selector_narrow(&a, &n) || !is_whole(&n, &a)) {
		(void)diag_fail(d, failure_error(FAILURE_SELECTORS),
				"no rule of this host protects just what it asked for, %s; the rules between us are %s",
				asked_words(m, &seen_mine, &seen_theirs, asked),
				rules_text(sa->k->plan, &sa->local, &sa->remote, rules));
		return no(ret_notify, V1_N_INVALID_ID_INFORMATION);
	}
	const struct rule *rule = n.entry->rule;
	if (check(sa, n.entry, d) < 0)
		return no(ret_notify, V1_N_NO_PROPOSAL_CHOSEN);
	const struct v1_quick_wish wish = { .set = rule->protection,
					    .tunnel = rule->tunnel,
					    .nat = sa->nat.behind ? sa->v1->nat : V1_NAT_NONE };
	if (!v1_choose_quick(&m->offer, &wish, &choice)) {
		(void)diag_fail(d, ERR_NO_PROPOSAL, "it offers %s, rule '%s' wants %s (%s mode)",
				v1_offer_text(&m->offer, offered), rule->name,
				proposal_protection_text(rule->protection, wanted),
				rule->tunnel ? "tunnel" : "transport");
		return no(ret_notify, V1_N_NO_PROPOSAL_CHOSEN);
	}
	if (m->nonce.len < V1_NONCE_LEAST ||
	    (choice.suite.group ? m->ke.len != choice.suite.group->public_octets : m->ke.len != 0)) {
		(void)diag_fail(d, ERR_SYNTAX, "its nonce or its key exchange does not go with its proposal");
		return no(ret_notify, V1_N_INVALID_KEY_INFORMATION);
	}
	if (!child_has_room(sa, d))
		return no(ret_notify, V1_N_NO_PROPOSAL_CHOSEN);
	if (nat_shared(sa, &n.selector, d))
		return no(ret_notify, V1_N_INVALID_ID_INFORMATION);

	struct child *c = child_new(sa, false, &n.whole, rule);
	struct quick *q = quick_new(c);
	c->selector = n.selector;
	c->choice = (struct proposal_child_choice){ .suite = choice.suite, .spi = choice.spi, .esn = choice.esn };
	c->chosen = true;
	c->spi_out = choice.spi;
	c->group = choice.suite.group;
	q->commit = sa->v1->vendors & 1u << V1_VENDOR_WINDOWS;
	remember(q, m, &choice);
	take_place(c);
	return c;
}

int quick_ask_answer(struct child *c, const struct quick_input *in, struct diag *d)
{
	const struct v1_msg *m = in->msg;

	(void)d;
	child_ask_exchange(c, m->nonce, m->ke);
	return 0;
}

/* Both roles: keys, and the inbound half. */
int quick_key(struct child *c, const struct quick_input *in, struct diag *d)
{
	SCOPED(child_keys_wipe) struct child_keys keys = { 0 };
	struct v1_quick q = { .suite = &c->choice.suite,
			      .secret = owned_octets(&c->secret),
			      .nonce_i = owned_octets(&c->nonce_i),
			      .nonce_r = owned_octets(&c->nonce_r),
			      .spi_i = c->initiator ? c->spi_in : c->spi_out,
			      .spi_r = c->initiator ? c->spi_out : c->spi_in };

	if (in->result)
		q.secret = (struct keying_octets){ in->result->secret, in->result->secret_len };
	int r = v1_keymat_quick(c->ike->suite.prf, &c->ike->v1->keys.d, &q, &keys, d);
	owned_wipe(&c->secret);
	if (r == 0)
		child_take_keys(c, &keys);
	return r;
}

/* Ours ends sooner than the peer's proposal says (RFC 2407 4.6.3.1). */
static void put_lifetime(const struct child *c, struct ike_writer *w)
{
	enum { SECONDS = 0x80010001u, DURATION = 0x00020004u }; /* attributes: life type, and its four octets */
	uint32_t ours = c->rule->protection->lifetime_s, theirs = c->v1->life_s ? c->v1->life_s : V1_LIFE_S_DEFAULT;
	uint8_t data[12], spi[4];
	struct wire_out out = wire_out(data, sizeof data), of = wire_out(spi, sizeof spi);

	if (!ours || ours >= theirs)
		return;
	wire_put_u32(&out, (uint32_t)SECONDS);
	wire_put_u32(&out, (uint32_t)DURATION);
	wire_put_u32(&out, ours);
	wire_put_u32(&of, c->spi_in);
	v1_put_notify(w, &(struct v1_notification){ .doi = V1_DOI_IPSEC,
						    .protocol = (uint8_t)c->choice.suite.protocol,
						    .type = V1_N_RESPONDER_LIFETIME,
						    .spi = { spi, sizeof spi },
						    .data = { data, sizeof data } });
}

/* Message 2: HDR*, HASH(2), SA, Nr [, KE] [, IDci, IDcr]. */
int quick_answer(struct child *c, const struct quick_input *in, struct diag *d)
{
	struct ike_sa *sa = c->ike;
	struct quick *q = c->v1;
	const struct v1_quick_choice choice = {
		.suite = c->choice.suite, .spi = c->spi_out, .proposal = q->proposal, .of = &q->chosen
	};
	const size_t len = sa->suite.prf->key;
	SCOPED(key_wipe) struct key hash = { 0 };
	struct ike_header h = { .spi_i = sa->spi_i, .spi_r = sa->spi_r, .exchange = V1_QUICK, .id = q->id };
	struct v1_offer offer;
	struct ike_writer w;
	int r;

	(void)in;
	h.flags = q->commit ? V1_FLAG_COMMIT : 0;
	v1_answer_quick(&choice, c->spi_in, &offer);
	v1_write_begin(&w, sa->k->out, sizeof sa->k->out, &h);
	size_t at = v1_put_hash_space(&w, len);
	v1_put_sa(&w, &offer);
	v1_put_nonce(&w, owned_octets(&c->nonce_r));
	if (c->group)
		v1_put_ke(&w, owned_octets(&c->public));
	if (q->asked.len) {
		v1_put_id(&w, (struct keying_octets){ q->asked.at, q->asked_first });
		v1_put_id(&w, (struct keying_octets){ q->asked.at + q->asked_first, q->asked.len - q->asked_first });
	}
	v1_nat_put_addresses(sa, &w, false, c->rule->tunnel);
	put_lifetime(c, &w);
	if (w.out.failed)
		return diag_fail(d, ERR_UNSUPPORTED, "quick mode does not fit %d octets", IKE_MESSAGE_MOST);
	if ((r = v1_hash_quick_2(sa->suite.prf, &sa->v1->keys.a, q->id, owned_octets(&c->nonce_i),
				 v1_hash_covers(&w, at, len), &hash, d)) < 0)
		return r;
	v1_hash_set(&w, at, (struct keying_octets){ hash.octets, hash.len });
	return quick_send(c, &w, true, d);
}

/* Message 4 to those who expect it: HDR*, HASH, N(CONNECTED), under the quick mode's own message ID. */
void quick_connected(struct child *c)
{
	struct ike_sa *sa = c->ike;
	const struct v1_notification n = { .doi = V1_DOI_IPSEC,
					   .protocol = (uint8_t)c->choice.suite.protocol,
					   .type = V1_N_CONNECTED };
	const size_t len = sa->suite.prf->key;
	SCOPED(key_wipe) struct key hash = { 0 };
	struct ike_writer w;

	mm_begin(sa, &w, V1_QUICK, c->v1->id);
	size_t at = v1_put_hash_space(&w, len);
	v1_put_notify(&w, &n);
	if (w.out.failed ||
	    v1_hash_quick_1(sa->suite.prf, &sa->v1->keys.a, c->v1->id, v1_hash_covers(&w, at, len), &hash, NULL) < 0)
		return;
	v1_hash_set(&w, at, (struct keying_octets){ hash.octets, hash.len });
	(void)quick_send(c, &w, false, NULL);
}
