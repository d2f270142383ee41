/* keying/reauth.c - who the peer is has to be proven anew from time to time: because the policy says so, because the
 * peer does (AUTH_LIFETIME, RFC 4478), or because its certificate ends. A rekey proves nothing, so it takes a new IKE
 * SA from scratch (RFC 7296 2.8.3). It is made before the old one goes: its first CHILD SA is one of the old one's, the
 * others are made under it as after any two IKE SAs of which one is to stay (twin.c), and then the old one is deleted.
 */
#include "keying/v1/v1.h"

enum {
	REAUTH_AGAIN_MS = 30000,
	TOLD_LEAST_S = 10, /* a peer that says less ends it itself, if it must; we do not begin without end */
};

static void prove_by(struct ike_sa *sa, uint64_t good_ms)
{
	uint64_t until = sa->k->now_ms + good_ms;

	if (until >= sa->proven_until_ms)
		return;
	sa->proven_until_ms = until;
	sa->reauth_ms = sa->k->now_ms + life_soft_ms(good_ms, sa->initiator, (unsigned)(sa->number * 389));
	ike_arm(sa);
}

void reauth_proven(struct ike_sa *sa, uint64_t good_ms)
{
	if (good_ms)
		prove_by(sa, good_ms);
	if (sa->ke_set && sa->ke_set->reauthenticate_s)
		prove_by(sa, sa->ke_set->reauthenticate_s * UINT64_C(1000));
}

void reauth_told(struct ike_sa *sa, const struct ike_msg *m)
{
	const struct ike_notification *n = ike_find_notify(m, N_AUTH_LIFETIME);
	struct wire_in in = n ? wire_in(n->data.at, n->data.len) : (struct wire_in){ 0 };
	uint32_t seconds = wire_u32(&in);

	if (n && wire_done(&in))
		prove_by(sa, (seconds > TOLD_LEAST_S ? seconds : TOLD_LEAST_S) * UINT64_C(1000));
}

void reauth_put(const struct ike_sa *sa, struct ike_writer *w)
{
	uint64_t left = sa->proven_until_ms - sa->k->now_ms;
	uint8_t seconds[4];
	struct wire_out out = wire_out(seconds, sizeof seconds);

	if (sa->proven_until_ms == UINT64_MAX)
		return;
	wire_put_u32(&out, left / 1000 < UINT32_MAX ? (uint32_t)(left / 1000) : UINT32_MAX);
	ike_put_notify(w, N_AUTH_LIFETIME, seconds, sizeof seconds);
}

void reauth_inherit(struct ike_sa *new, const struct ike_sa *old)
{
	new->proven_until_ms = old->proven_until_ms;
	new->reauth_ms = old->reauth_ms;
	new->created_ms = old->created_ms;
	new->proven_ms = old->proven_ms;
}

bool reauth_newer(const struct ike_sa *a, const struct ike_sa *b)
{
	return b->proven_ms && a->created_ms > b->proven_ms;
}

void reauth_moved(const struct ike_sa *old, const struct ike_sa *new)
{
	struct ike_sa *sa;

	LIST_FOREACH(sa, &old->contact->ikes, of_contact)
		if (sa->reauthenticates == old->number)
			sa->reauthenticates = new->number;
}

bool reauth_superseded(const struct ike_sa *old)
{
	const struct ike_sa *sa;

	LIST_FOREACH(sa, &old->contact->ikes, of_contact)
		if (sa != old && sa->auth_set == old->auth_set && sa->ke_set == old->ke_set && ike_usable(sa) &&
		    reauth_newer(sa, old))
			return true;
	return false;
}

static const struct child *worth_keeping(const struct ike_sa *sa)
{
	const struct child *c;

	LIST_FOREACH(c, &sa->children, entry)
		if (c->state == CHILD_UP && !c->doomed && c->rule->auth == sa->auth_set)
			return c;
	return NULL;
}

static bool under_way(const struct ike_sa *old)
{
	const struct ike_sa *sa;

	LIST_FOREACH(sa, &old->contact->ikes, of_contact)
		if (sa->initiator && sa->state < IKE_ESTABLISHED && !sa->replaces && sa->auth_set == old->auth_set &&
		    sa->ke_set == old->ke_set)
			return true;
	return false;
}

void reauth_start(struct ike_sa *old)
{
	if (old->v1) {
		renew_start(old);
		return;
	}
	const struct child *c = worth_keeping(old);
	struct ike_sa *new;

	old->reauth_ms = old->k->now_ms + REAUTH_AGAIN_MS; /* should it come to nothing */
	if (!c || !ike_usable(old) || old->replaced_by || under_way(old))
		return;
	new = init_for(old->contact, &c->asked, c->rule);
	if (new)
		new->reauthenticates = old->number;
}

/* The old one is on its way out. If the peer began this one, it deletes it; and if not, we try in our turn. */
void reauth_up(struct ike_sa *new)
{
	struct keying *k = new->k;
	struct ike_sa *sa, *old = keying_ike_by_number(k, new->reauthenticates);

	LIST_FOREACH(sa, &new->contact->ikes, of_contact)
		if (sa != new && sa->auth_set == new->auth_set && sa->ke_set == new->ke_set &&
		    sa->state == IKE_ESTABLISHED && sa->reauth_ms < k->now_ms + REAUTH_AGAIN_MS) {
			sa->reauth_ms = k->now_ms + REAUTH_AGAIN_MS;
			ike_arm(sa);
		}
	if (!old || old == new || old->state != IKE_ESTABLISHED)
		return;
	old->loser = true;
	old->twin_ms = k->now_ms + (old->v1 ? V1_LINGER_MS : LINGER_MS);
	ike_arm(old);
}
