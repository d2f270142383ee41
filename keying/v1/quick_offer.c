/* keying/v1/quick_offer.c - quick mode, who begins it: messages 1 and 3 (RFC 2409 5.5), and what the answer makes of
 * the offer. */
#include "keying/v1/nat.h"
#include <stdio.h>
#include <string.h>

/* Ranges of ports cannot be said: then it is for the packet that waits. */
static void narrow_to_packet(struct child *c)
{
	const struct plan_packet *p = &c->packet;
	struct sa_selector *s = &c->selector;

	if (!p->local.family || selector_is_icmp(s->protocol))
		return;
	if (port_given(s->local_port) && s->local_port.lo != s->local_port.hi)
		s->local_port = (struct port_range){ p->local_port, p->local_port };
	if (port_given(s->remote_port) && s->remote_port.lo != s->remote_port.hi)
		s->remote_port = (struct port_range){ p->remote_port, p->remote_port };
	if (s->protocol == PROTOCOL_ANY && (port_given(s->local_port) || port_given(s->remote_port)))
		s->protocol = p->protocol;
}

static int possible(const struct child *c, const struct algorithm **ret_group, struct diag *d)
{
	const struct v1_quick_wish wish = { .set = c->rule->protection,
					    .tunnel = c->rule->tunnel,
					    .nat = c->ike->nat.behind ? c->ike->v1->nat : V1_NAT_NONE };
	struct v1_offer offer;

	return v1_offer_quick(&wish, 1, &offer, ret_group, d);
}

void quick_start(struct child *c)
{
	struct diag d = { 0 };
	int r = nat_check_protection(c->ike, c->rule->protection, &d);

	narrow_to_packet(c);
	quick_new(c)->id = mm_message_id(c->ike);
	if (r == 0)
		r = possible(c, &c->group, &d);
	if (r == 0)
		r = quick_step(c, CEV_START, NULL, NULL, &d);
	if (r < 0)
		child_fault(c, (struct fault){ .code = failure_of(r), .exchange = V1_QUICK }, "%s", d.text);
}

/* Message 1: HDR*, HASH(1), SA, Ni [, KE], IDci, IDcr. */
int quick_offer(struct child *c, const struct quick_input *in, struct diag *d)
{
	struct ike_sa *sa = c->ike;
	const struct v1_quick_wish wish = { .set = c->rule->protection,
					    .tunnel = c->rule->tunnel,
					    .nat = sa->nat.behind ? sa->v1->nat : V1_NAT_NONE };
	SCOPED(key_wipe) struct key hash = { 0 };
	const struct algorithm *group;
	char what[SELECTOR_TEXT];
	struct v1_offer offer;
	struct ike_writer w;
	int r;

	(void)in;
	if (!child_still_wanted(c) || sa->state != IKE_ESTABLISHED) {
		child_drop(c, NULL);
		return 0;
	}
	if ((r = v1_iv_message(&sa->suite, &sa->v1->iv, c->v1->id, &c->v1->iv, d)) < 0 ||
	    (r = v1_offer_quick(&wish, c->spi_in, &offer, &group, d)) < 0)
		return r;
	mm_begin(sa, &w, V1_QUICK, c->v1->id);
	size_t at = v1_put_hash_space(&w, sa->suite.prf->key);
	v1_put_sa(&w, &offer);
	v1_put_nonce(&w, owned_octets(&c->nonce_i));
	if (c->group)
		v1_put_ke(&w, owned_octets(&c->public));
	if (!quick_put_selectors(c, &w))
		return diag_fail(d, failure_error(FAILURE_SELECTORS),
				 "IKEv1 can name one port or all, not %s: give rule '%s' single ports, or IKEv2",
				 selector_text(&c->selector, what), c->rule->name);
	v1_nat_put_addresses(sa, &w, true, c->rule->tunnel);
	if (w.out.failed)
		return diag_fail(d, ERR_UNSUPPORTED, "quick mode does not fit %d octets", IKE_MESSAGE_MOST);
	if ((r = v1_hash_quick_1(sa->suite.prf, &sa->v1->keys.a, c->v1->id, v1_hash_covers(&w, at, sa->suite.prf->key),
				 &hash, d)) < 0)
		return r;
	v1_hash_set(&w, at, (struct keying_octets){ hash.octets, hash.len });
	return quick_send(c, &w, true, d);
}

/* The peer gives our selectors back, or none (then they are the two hosts). */
static bool same_selectors(const struct child *c, const struct v1_msg *m)
{
	struct ike_ts here = selector_ts(&c->selector, true), there = selector_ts(&c->selector, false), a, b;

	if (m->id_count == 0)
		return true;
	if (m->id_count != 2 || !m->ids[0].ranged || !m->ids[1].ranged)
		return false;
	quick_selector_ts(&m->ids[0], &a);
	quick_selector_ts(&m->ids[1], &b);
	if (c->ike->nat.behind) /* the peer may call us otherwise */
		return a.protocol == here.protocol && b.protocol == there.protocol;
	return a.protocol == here.protocol && b.protocol == there.protocol && addr_equal(&a.range.lo, &here.range.lo) &&
	       addr_equal(&a.range.hi, &here.range.hi) && addr_equal(&b.range.lo, &there.range.lo) &&
	       addr_equal(&b.range.hi, &there.range.hi) &&
	       (selector_is_icmp(c->selector.protocol) || (a.port_lo == here.port_lo && a.port_hi == here.port_hi &&
							   b.port_lo == there.port_lo && b.port_hi == there.port_hi));
}

/* RESPONDER-LIFETIME (RFC 2407 4.6.3.1): the responder's is shorter than what we asked for. */
static void take_lifetime(struct child *c, const struct v1_msg *m)
{
	const struct v1_notification *n = v1_find_notify(m, V1_N_RESPONDER_LIFETIME);
	uint32_t seconds = n ? notice_lifetime(n) : 0;

	if (seconds && (!c->v1->life_s || seconds < c->v1->life_s))
		c->v1->life_s = seconds;
}

/* Message 2. */
int quick_take(struct child *c, const struct quick_input *in, struct diag *d)
{
	const struct v1_msg *m = in->msg;
	struct ike_sa *sa = c->ike;
	const struct v1_quick_wish wish = { .set = c->rule->protection,
					    .tunnel = c->rule->tunnel,
					    .nat = sa->nat.behind ? sa->v1->nat : V1_NAT_NONE };
	char text[PROPOSALS_TEXT], what[SELECTOR_TEXT];
	struct v1_quick_choice choice;

	c->v1->waits = false;
	c->v1->resend_ms = UINT64_MAX;
	if (!v1_accept_quick(&m->offer, &wish, &choice) || m->nonce.len < V1_NONCE_LEAST)
		return diag_fail(d, ERR_NO_PROPOSAL, "the peer took %s for quick mode, which rule '%s' did not offer",
				 v1_offer_text(&m->offer, text), c->rule->name);
	if (!same_selectors(c, m))
		return diag_fail(d, failure_error(FAILURE_SELECTORS), "the peer answered with other selectors than %s",
				 selector_text(&c->selector, what));
	if (choice.suite.group != c->group || (c->group && m->ke.len != c->group->public_octets))
		return diag_fail(d, ERR_SYNTAX, "the peer's key exchange is not of the group that was offered");
	c->choice = (struct proposal_child_choice){ .suite = choice.suite, .spi = choice.spi, .esn = choice.esn };
	c->chosen = c->made = true;
	c->spi_out = choice.spi;
	c->v1->commit = m->h.flags & V1_FLAG_COMMIT;
	c->v1->life_s = choice.life_s;
	take_lifetime(c, m);
	owned_set(&c->nonce_r, m->nonce.at, m->nonce.len);
	if (!c->group)
		return 0;
	struct keying_job *job = job_new(JOB_DERIVE);
	job->group = c->group;
	(void)key_set(&job->private, c->private.at, c->private.len);
	owned_wipe(&c->private);
	job->peer_public = job_octets(m->ke);
	c->job = job_ask(sa->k, OWNER_CHILD, c->pair, job);
	return 0;
}

/* Message 3: HDR*, HASH(3). What comes in is installed: the peer may send. */
int quick_end(struct child *c, const struct quick_input *in, struct diag *d)
{
	struct ike_sa *sa = c->ike;
	SCOPED(key_wipe) struct key hash = { 0 };
	struct ike_writer w;
	int r;

	(void)in;
	if ((r = v1_hash_quick_3(sa->suite.prf, &sa->v1->keys.a, c->v1->id, owned_octets(&c->nonce_i),
				 owned_octets(&c->nonce_r), &hash, d)) < 0)
		return r;
	mm_begin(sa, &w, V1_QUICK, c->v1->id);
	v1_put_hash(&w, (struct keying_octets){ hash.octets, hash.len });
	if ((r = quick_send(c, &w, c->v1->commit, d)) < 0)
		return r;
	if (c->v1->commit || !(sa->v1->vendors & 1u << V1_VENDOR_CORDON)) {
		/* Others have their inbound half when they have dealt with message 3, and lose what comes before. */
		c->settle_ms = sa->k->now_ms + (c->v1->commit ? V1_CONNECT_MS : V1_SETTLE_MS);
		child_arm(c);
	}
	return 0;
}
