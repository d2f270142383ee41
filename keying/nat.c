/* keying/nat.c - a NAT between us and the peer (RFC 7296 2.23): found by the hashes, which we send truthfully; judged
 * by the policy; and gone through: IKE on port 4500, ESP in UDP, the peer followed where the NAT moves it. */
#include "keying/engine.h"
#include <stdio.h>
#include <string.h>

int nat_hash(uint64_t spi_i, uint64_t spi_r, const struct addr *a, uint16_t port, uint8_t ret[20], struct diag *d)
{
	uint8_t text[16 + 16 + 2], digest[DIGEST_MAX];
	struct wire_out out = wire_out(text, sizeof text);
	size_t len;
	int r;

	wire_put_u64(&out, spi_i);
	wire_put_u64(&out, spi_r);
	wire_put(&out, a->octets, addr_octets(a));
	wire_put_u16(&out, port);
	struct octets part = { text, out.len };
	if ((r = crypto_digest("SHA1", &part, 1, digest, &len, d)) < 0)
		return r;
	if (len != 20)
		return diag_fail(d, ERR_CRYPTO, "SHA1 gave %zu octets", len);
	memcpy(ret, digest, 20);
	return 0;
}

void nat_put(struct ike_sa *sa, struct ike_writer *w)
{
	uint8_t hash[20];

	if (nat_hash(sa->spi_i, sa->spi_r, &sa->local, sa->local_port, hash, NULL) == 0)
		ike_put_notify(w, N_NAT_DETECTION_SOURCE_IP, hash, sizeof hash);
	if (nat_hash(sa->spi_i, sa->spi_r, &sa->remote, sa->remote_port, hash, NULL) == 0)
		ike_put_notify(w, N_NAT_DETECTION_DESTINATION_IP, hash, sizeof hash);
}

static bool same(const struct ike_notification *n, const uint8_t hash[20])
{
	return n->data.len == 20 && memcmp(n->data.at, hash, 20) == 0;
}

unsigned nat_find(const struct ike_sa *sa, const struct ike_msg *m)
{
	uint8_t theirs[20], ours[20];
	bool source_said = false, source_true = false, destination_false = false;

	/* With the SPIs of this very message: the responder's is zero in the first request. */
	if (nat_hash(m->h.spi_i, m->h.spi_r, &sa->remote, sa->remote_port, theirs, NULL) < 0 ||
	    nat_hash(m->h.spi_i, m->h.spi_r, &sa->local, sa->local_port, ours, NULL) < 0)
		return 0;
	for (size_t i = 0; i < m->notify_count; i++) {
		const struct ike_notification *n = &m->notifies[i];
		if (n->type == N_NAT_DETECTION_SOURCE_IP) { /* one for each address that it might have sent from */
			source_said = true;
			source_true |= same(n, theirs);
		} else if (n->type == N_NAT_DETECTION_DESTINATION_IP) {
			destination_false |= !same(n, ours);
		}
	}
	return (source_said && !source_true ? NAT_THERE : 0u) | (destination_false ? NAT_HERE : 0u);
}

/* ---- may it be --------------------------------------------------------------------------------------------------- */

bool nat_allowed(const struct policy *p, bool began, unsigned behind)
{
	unsigned client = began ? NAT_HERE : NAT_THERE;

	switch (policy_nat_traversal(p)) {
	case NAT_TRAVERSAL_NEVER:
		return behind == 0;
	case NAT_TRAVERSAL_SERVER:
		return (behind & client) == 0;
	case NAT_TRAVERSAL_BOTH:
		break;
	}
	return true;
}

const char *nat_where(unsigned behind)
{
	return behind == NAT_HERE    ? "this host is behind it"
	       : behind == NAT_THERE ? "the peer is behind it"
	       : behind              ? "both are behind one"
				     : "there is none";
}

const char *nat_why_not(const struct policy *p, const struct ike_sa *sa, unsigned behind, char buf[NAT_WHY])
{
	bool server_only = !(behind & (sa->nat.began ? NAT_HERE : NAT_THERE));
	char remote[ADDR_TEXT];

	(void)snprintf(buf, NAT_WHY,
		       "a NAT changes addresses between here and %s (%s), and the policy says 'nat-traversal: %s'; "
		       "'nat-traversal: %s' would let them in",
		       addr_text(&sa->remote, remote), nat_where(behind), nat_traversal_name(policy_nat_traversal(p)),
		       nat_traversal_name(server_only ? NAT_TRAVERSAL_SERVER : NAT_TRAVERSAL_BOTH));
	return buf;
}

void nat_enter(struct ike_sa *sa, unsigned behind)
{
	sa->nat.behind = behind;
	if (!behind || !sa->nat.began)
		return;
	sa->local_port = IKE_NAT_PORT;
	if (sa->remote_port == IKE_PORT)
		sa->remote_port = IKE_NAT_PORT;
}

/* ---- where the peer is ------------------------------------------------------------------------------------------- */

/* Who is behind a NAT itself does not follow: an attacker could break the connection with one packet (2.23). */
static bool may_move(const struct ike_sa *sa)
{
	return sa->state >= IKE_ESTABLISHED && sa->nat.behind == NAT_THERE;
}

bool nat_may_come(const struct ike_sa *sa, const struct addr *local, const struct addr *remote)
{
	return addr_equal(&sa->local, local) && (addr_equal(&sa->nat.outer, remote) || may_move(sa));
}

/* The rules that the peer's CHILD SAs are for must hold for its new address as well; else it has to begin anew and be
 * judged by what it then is. */
static bool rules_let_move(const struct ike_sa *sa, const struct addr *to)
{
	const struct child *c;

	LIST_FOREACH(c, &sa->children, entry) {
		struct sa_selector s = c->asked;
		s.remote = *to;
		if (c->rule->tunnel || !selector_find(sa->k->plan, &s, c->rule->name)) /* a tunnel's ends stay */
			return false;
	}
	return true;
}

static void move_children(const struct ike_sa *sa)
{
	const struct child *c;

	LIST_FOREACH(c, &sa->children, entry) {
		if (!c->installed || !sa->nat.behind)
			continue;
		struct keying_todo *t = todo_add(sa->k, KEYING_MOVE);
		t->pair = c->pair;
		t->remote = sa->nat.outer;
		t->remote_port = sa->remote_port;
	}
}

static bool follow(struct ike_sa *sa, const struct addr *remote, uint16_t port)
{
	bool other = !addr_equal(&sa->nat.outer, remote);
	char to[ADDR_TEXT];

	if (!other && sa->remote_port == port)
		return true;
	if (other && !may_move(sa))
		return true;
	sa->nat.outer = *remote;
	sa->remote_port = port;
	if (other && !rules_let_move(sa, remote)) {
		contact_fault(sa->k, &sa->local, &sa->remote, ike_rule_name(sa), EVENT_MAIN_MODE_FAILED,
			      (struct fault){ .code = FAILURE_NAT_MOVED },
			      "a NAT has moved %s to the address %s, where no such rule holds: it has to begin anew",
			      peer_kept_id(sa->peer), addr_text(remote, to));
		ike_delete(sa);
		return false;
	}
	move_children(sa);
	return true;
}

bool nat_heard(struct ike_sa *sa)
{
	const struct nat_from *from = &sa->k->from;

	/* Before it has proven itself it may change the port (500 to 4500); behind a NAT ourselves, nothing after. */
	if (sa->state >= IKE_ESTABLISHED && (sa->nat.behind & NAT_HERE))
		return true;
	if (addr_equal(&sa->nat.outer, &from->remote))
		sa->local_port = from->local_port;
	return follow(sa, &from->remote, from->remote_port);
}

void nat_esp_came(struct child *c, const struct addr *remote, uint16_t port)
{
	struct ike_sa *sa = c->ike;

	if (sa->state == IKE_ESTABLISHED && !(sa->nat.behind & NAT_HERE) && sa->nat.behind)
		(void)follow(sa, remote, port);
}

/* ---- traffic selectors ------------------------------------------------------------------------------------------- */

static bool is_single(const struct ike_ts *ts)
{
	return addr_equal(&ts->range.lo, &ts->range.hi);
}

void nat_substitute(const struct ike_sa *sa, const struct ike_ts_list *from, bool local, bool tunnel,
		    struct ike_ts_list *ret)
{
	const struct addr *seen = local ? &sa->local : &sa->remote;

	*ret = *from;
	if (tunnel || !(sa->nat.behind & (local ? NAT_HERE : NAT_THERE)))
		return;
	for (size_t i = 0; i < ret->count; i++)
		if (is_single(&ret->at[i]) && ret->at[i].range.lo.family == seen->family)
			ret->at[i].range = (struct addr_range){ *seen, *seen };
}

void nat_note_original(struct ike_sa *sa, const struct ike_msg *m)
{
	const struct ike_ts_list *theirs = &m->ts_i;

	if ((sa->nat.behind & NAT_THERE) && !sa->nat.original.family && theirs->count && is_single(&theirs->at[0]))
		sa->nat.original = theirs->at[0].range.lo;
}

/* ---- proposals --------------------------------------------------------------------------------------------------- */

const struct ike_offer *nat_without_ah(const struct ike_sa *sa, const struct ike_offer *offer, bool ours,
				       struct ike_offer *scratch)
{
	if (!sa->nat.behind)
		return offer;
	scratch->count = 0;
	for (size_t i = 0; i < offer->count; i++) {
		if (offer->proposals[i].protocol == PROTO_AH)
			continue;
		scratch->proposals[scratch->count] = offer->proposals[i];
		if (ours)
			scratch->proposals[scratch->count].number = (uint8_t)(scratch->count + 1);
		scratch->count++;
	}
	return scratch;
}

const struct child_suite *nat_first_suite(const struct ike_sa *sa, const struct protection_set *set)
{
	size_t i = 0;

	while (sa->nat.behind && i + 1 < set->count && set->suites[i].protocol == PROTO_AH)
		i++;
	return &set->suites[i];
}

int nat_check_protection(const struct ike_sa *sa, const struct protection_set *set, struct diag *d)
{
	for (size_t i = 0; i < set->count; i++)
		if (!sa->nat.behind || set->suites[i].protocol != PROTO_AH)
			return 0;
	return diag_fail(d, failure_error(FAILURE_NAT),
			 "a NAT is between (%s), and AH does not go through it: protection '%s' has nothing else",
			 nat_where(sa->nat.behind), set->name);
}

/* ---- several hosts behind one address ---------------------------------------------------------------------------- */

static bool same_identity(const struct ike_sa *a, const struct ike_sa *b)
{
	return a->peer && b->peer && peer_kept_method(a->peer) == peer_kept_method(b->peer) &&
	       strcmp(peer_kept_id(a->peer), peer_kept_id(b->peer)) == 0;
}

bool nat_same_peer(const struct ike_sa *a, const struct ike_sa *b)
{
	return !((a->nat.behind | b->nat.behind) & NAT_THERE) ||
	       (same_identity(a, b) && addr_equal(&a->nat.original, &b->nat.original));
}

static bool ports_meet(struct port_range a, struct port_range b)
{
	return a.lo <= b.hi && b.lo <= a.hi;
}

static bool selectors_meet(const struct sa_selector *a, const struct sa_selector *b)
{
	const struct addr_range one = sa_selector_remotes(a), other = sa_selector_remotes(b);

	return addr_range_overlap(&one, &other) &&
	       (a->protocol == b->protocol || a->protocol == PROTOCOL_ANY || b->protocol == PROTOCOL_ANY) &&
	       ports_meet(a->local_port, b->local_port) && ports_meet(a->remote_port, b->remote_port);
}

bool nat_shared(const struct ike_sa *sa, const struct sa_selector *s, struct diag *d)
{
	const struct contact *contact = contact_find(sa->k, &sa->local, &sa->remote);
	const struct ike_sa *other;
	const struct child *c;

	if (!contact)
		return false;
	LIST_FOREACH(other, &contact->ikes, of_contact) {
		if (other == sa || other->state < IKE_ESTABLISHED || nat_same_peer(sa, other) ||
		    (sa->initial_contact && same_identity(sa, other)))
			continue;
		LIST_FOREACH(c, &other->children, entry)
			if (selectors_meet(&c->selector, s)) {
				(void)diag_fail(
					d, ERR_POLICY,
					"%s, another host behind the same NAT, has quick mode for this traffic: "
					"packets for the one would reach the other. Only one at a time can",
					peer_kept_id(other->peer));
				return true;
			}
	}
	return false;
}

bool nat_ambiguous(const struct contact *c)
{
	const struct ike_sa *sa, *first = NULL;

	LIST_FOREACH(sa, &c->ikes, of_contact) {
		if (sa->state != IKE_ESTABLISHED)
			continue;
		if (!first)
			first = sa;
		else if (!nat_same_peer(first, sa))
			return true;
	}
	return false;
}

/* ---- keep-alives ------------------------------------------------------------------------------------------------- */

void nat_keepalive_start(struct ike_sa *sa)
{
	uint32_t every_ms = sa->k->config.nat_keepalive_ms;

	sa->nat.keepalive_ms = every_ms && sa->nat.behind & NAT_HERE ? sa->k->now_ms + every_ms : UINT64_MAX;
}

void nat_keepalive_due(struct ike_sa *sa)
{
	struct keying *k = sa->k;
	uint64_t sent = sa->nat.sent_ms;

	if (sa->sent_esp_ms != UINT64_MAX && sa->sent_esp_ms > sent)
		sent = sa->sent_esp_ms;
	if (k->now_ms >= sent + k->config.nat_keepalive_ms) {
		struct keying_todo *t = todo_add(k, KEYING_KEEPALIVE);
		t->local = sa->local;
		t->local_port = sa->local_port;
		t->remote = sa->nat.outer;
		t->remote_port = sa->remote_port;
		sent = k->now_ms;
	}
	/* A new configuration may have said never meanwhile. */
	sa->nat.keepalive_ms = k->config.nat_keepalive_ms ? sent + k->config.nat_keepalive_ms : UINT64_MAX;
}
