/* keying/twin.c - both ends began at the same time, and there are two of what should be one (RFC 7296 2.8.1, applied to
 * first IKE SAs and CHILD SAs too). Both ends know the same four nonces: the SA that was made with the lowest of them
 * loses, and whoever began it deletes it, after both work and what is on its way has arrived. Until then both receive;
 * the winner sends. */
#include "keying/v1/v1.h"
#include <string.h>

enum { REVIEWS_MOST = 60 };

static int compare(const struct owned *a, const struct owned *b)
{
	size_t n = a->len < b->len ? a->len : b->len;
	int order = memcmp(a->at, b->at, n);

	return order ? order : (a->len > b->len) - (a->len < b->len);
}

static const struct owned *lower(const struct owned *a, const struct owned *b)
{
	return compare(a, b) < 0 ? a : b;
}

bool twin_stays(const struct owned *a_i, const struct owned *a_r, const struct owned *b_i, const struct owned *b_r)
{
	return compare(lower(a_i, a_r), lower(b_i, b_r)) > 0;
}

/* ---- IKE SAs ----------------------------------------------------------------------------------------------------- */

static bool ikes_are_twins(const struct ike_sa *a, const struct ike_sa *b)
{
	return a != b && a->initiator != b->initiator && a->auth_set == b->auth_set && a->ke_set == b->ke_set &&
	       nat_same_peer(a, b) && ike_usable(a) && ike_usable(b) && !reauth_newer(a, b) && !reauth_newer(b, a) &&
	       !a->replaced_by && !b->replaced_by && !a->replaces && !b->replaces;
}

void twin_ike_up(struct ike_sa *sa)
{
	struct ike_sa *other, *next;

	for (other = LIST_FIRST(&sa->contact->ikes); other; other = next) {
		next = LIST_NEXT(other, of_contact);
		/* One of ours that the peer has not heard of in earnest is not needed any more. */
		if (other != sa && other->initiator && other->state < IKE_I_AUTH_SENT &&
		    other->auth_set == sa->auth_set && other->ke_set == sa->ke_set) {
			ike_drop(other);
			continue;
		}
		if (!ikes_are_twins(sa, other))
			continue;
		struct ike_sa *loser =
			twin_stays(&sa->nonce_i, &sa->nonce_r, &other->nonce_i, &other->nonce_r) ? other : sa;
		loser->loser = true;
		if (loser->initiator)
			loser->twin_ms = sa->k->now_ms + (loser->v1 ? V1_LINGER_MS : LINGER_MS);
		ike_arm(loser);
		if (loser == sa)
			return;
	}
}

static struct ike_sa *winner_over(const struct ike_sa *loser)
{
	struct ike_sa *other;

	LIST_FOREACH(other, &loser->contact->ikes, of_contact)
		if (other != loser && nat_same_peer(other, loser) && other->auth_set == loser->auth_set &&
		    other->ke_set == loser->ke_set && ike_usable(other) && !other->replaced_by)
			return other;
	return NULL;
}

/* Does the winner carry what this one carries, or will it? What is on its way may yet be narrowed. */
static bool has_same(const struct ike_sa *sa, const struct child *lost, bool *ret_up)
{
	const struct child *c;

	LIST_FOREACH(c, &sa->children, entry)
		if (c->state <= CHILD_UP && selector_same(&c->asked, &lost->asked) &&
		    (c->state < CHILD_UP || selector_covers(&c->selector, &lost->selector))) {
			*ret_up = c->state == CHILD_UP && c->sends;
			return true;
		}
	return false;
}

/* We began the loser: see to it that the winner carries all that it carries, then delete it. */
void twin_review(struct ike_sa *sa)
{
	struct ike_sa *winner = winner_over(sa);
	struct child *c;
	bool ready = true;

	sa->twin_ms = UINT64_MAX;
	if (sa->state != IKE_ESTABLISHED)
		return;
	if (!winner || sa->twin_tries++ == REVIEWS_MOST) { /* the other one is gone: this one it is */
		sa->loser = false;
		return;
	}
	if (sa->v1 && winner->v1)
		renew_move(sa, winner, false);
	LIST_FOREACH(c, &sa->children, entry) {
		bool up = false;
		if (!c->v1 && c->state == CHILD_UP && !has_same(winner, c, &up))
			child_start_like(winner, c, 0);
		ready &= up || c->state == CHILD_DELETING;
	}
	if (ready)
		ike_delete(sa);
	else
		sa->twin_ms = sa->k->now_ms + LINGER_MS;
}

/* ---- CHILD SAs --------------------------------------------------------------------------------------------------- */

/* Same traffic, neither is on its way out. */
static bool children_are_twins(const struct child *a, const struct child *b)
{
	return a != b && selector_same(&a->selector, &b->selector) && !a->replaced && !b->replaced && !a->doomed &&
	       !b->doomed && a->replaces != b->pair && b->replaces != a->pair && b->state == CHILD_UP &&
	       a->ike->auth_set == b->ike->auth_set && nat_same_peer(a->ike, b->ike) &&
	       (a->initiator != b->initiator || line_related(a->line, b->line));
}

/* Of IKEv1 the main mode says nothing: quick modes move from one to the next, at each end at another moment. */
static bool child_stays(const struct child *a, const struct child *b)
{
	if (a->v1 && b->v1)
		return line_stays(a->line, b->line);
	if (a->ike != b->ike && a->ike->loser != b->ike->loser)
		return !a->ike->loser;
	if (reauth_newer(a->ike, b->ike) || reauth_newer(b->ike, a->ike))
		return reauth_newer(a->ike, b->ike);
	return line_stays(a->line, b->line);
}

struct child *child_up_for(struct contact *contact, const struct sa_selector *s, const struct child *but)
{
	struct ike_sa *sa;
	struct child *c;

	LIST_FOREACH(sa, &contact->ikes, of_contact)
		LIST_FOREACH(c, &sa->children, entry)
			if (c != but && c->state == CHILD_UP && !c->replaced && selector_same(&c->asked, s))
				return c;
	return NULL;
}

bool twin_child_sends(const struct child *c)
{
	const struct ike_sa *sa;
	const struct child *other;

	LIST_FOREACH(sa, &c->ike->contact->ikes, of_contact)
		LIST_FOREACH(other, &sa->children, entry)
			if (children_are_twins(c, other) && other->sends && !child_stays(c, other))
				return false;
	return true;
}

void twin_child_up(struct child *c)
{
	struct ike_sa *sa;
	struct child *other;

	LIST_FOREACH(sa, &c->ike->contact->ikes, of_contact)
		LIST_FOREACH(other, &sa->children, entry) {
			if (!children_are_twins(c, other))
				continue;
			struct child *loser = child_stays(c, other) ? other : c;
			if (!loser->v1 && loser->ike != (loser == c ? other : c)->ike && loser->ike->loser)
				continue; /* goes with its IKE SA */
			loser->replaced = true;
			if (loser->initiator)
				loser->linger_ms = c->ike->k->now_ms + LINGER_MS;
			child_arm(loser);
			if (loser == c)
				return;
		}
}
