#include "keying/choose.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What one credential has to say for itself, in the order in which it counts: the greater, the better. */
enum { SUITS_HASHES, SUITS_AUTHORITY, SUITS_METHOD, SUITS_LIFE, SUITS };
struct merits {
	uint64_t of[SUITS];
};

static const char *const why_not[SUITS] = {
	[SUITS_HASHES] = "the peer cannot check its kind of signature",
	[SUITS_AUTHORITY] = "the peer does not ask for its authority",
	[SUITS_METHOD] = "the set prefers another method",
	[SUITS_LIFE] = "it expires sooner",
};
static const char *const why_chosen[SUITS] = {
	[SUITS_HASHES] = "the peer can check its signature",
	[SUITS_AUTHORITY] = "the peer asks for its authority",
	[SUITS_METHOD] = "the set prefers its method",
	[SUITS_LIFE] = "it is valid longest",
};

/* How far down the set's list is the method that it satisfies? -1: it satisfies none. */
static int rank_of(const struct keying_credential *c, const struct auth_set *set)
{
	for (size_t i = 0; i < c->satisfies_count; i++)
		if (c->satisfies[i] == set)
			return c->ranks ? c->ranks[i] : 0;
	return -1;
}

static bool peer_can_check(const struct keying_credential *c, const struct choose_peer *peer)
{
	if (!peer->known || (!c->hashes && !c->silent)) /* nothing is known of one of them */
		return true;
	return peer->hashes ? (c->hashes & peer->hashes) != 0 : c->silent;
}

static bool peer_asks_for(const struct keying_credential *c, const struct choose_peer *peer)
{
	for (size_t i = 0; peer->msg && i < peer->msg->certreq_count; i++) {
		struct keying_octets o = peer->msg->certreqs[i];

		for (; o.len >= sizeof c->authorities[0];
		     o.at += sizeof c->authorities[0], o.len -= sizeof c->authorities[0])
			for (size_t a = 0; a < c->authority_count; a++)
				if (memcmp(o.at, c->authorities[a], sizeof c->authorities[a]) == 0)
					return true;
	}
	return false;
}

static struct merits merits_of(const struct keying_credential *c, const struct auth_set *set,
			       const struct choose_peer *peer)
{
	return (struct merits){ {
		[SUITS_HASHES] = peer_can_check(c, peer),
		[SUITS_AUTHORITY] = peer_asks_for(c, peer),
		[SUITS_METHOD] = UINT8_MAX - (uint64_t)rank_of(c, set),
		[SUITS_LIFE] = c->not_after_s,
	} };
}

/* The first merit in which they differ; SUITS: none. */
static int difference(const struct merits *a, const struct merits *b)
{
	int i = 0;

	while (i < SUITS && a->of[i] == b->of[i])
		i++;
	return i;
}

static const char *lack_of(const struct keying *k, const struct auth_set *set)
{
	for (size_t i = 0; i < k->config.lack_count; i++)
		if (k->config.lacks[i].set == set)
			return k->config.lacks[i].why;
	return NULL;
}

/* In IKE_AUTH both prove themselves by Kerberos, or neither does. */
static bool can_meet(const struct keying_credential *c, const struct choose_peer *peer)
{
	return peer->kerberos == GSPM_MAYBE || (peer->kerberos == GSPM_ONLY) == (c->kind == AUTH_KERBEROS);
}

static int none(const struct keying *k, const struct auth_set *set, const struct choose_peer *peer, struct diag *d)
{
	const char *lack = lack_of(k, set);

	for (size_t i = 0; i < k->config.credential_count; i++)
		if (rank_of(&k->config.credentials[i], set) >= 0 && !can_meet(&k->config.credentials[i], peer))
			return diag_fail(
				d, failure_error(FAILURE_WRONG_METHOD),
				peer->kerberos == GSPM_ONLY
					? "the peer proves itself by Kerberos, and this host has no keytab for "
					  "authentication '%s'"
					: "the peer does not take Kerberos in IKEv2, and this host has nothing else "
					  "for authentication '%s'. Has it a keytab? Does its own policy say "
					  "Kerberos for this traffic?",
				set->name);
	if (lack && *lack)
		return diag_fail(d, ERR_AUTH, "this host has nothing to prove itself with for authentication '%s': %s",
				 set->name, lack);
	return diag_fail(d, ERR_AUTH,
			 "this host has nothing to prove itself with for authentication '%s'. Name a certificate that "
			 "satisfies it in host.yaml, or its pre-shared key's file",
			 set->name);
}

/* A set may hold certificates and a pre-shared key: the preferred kind of those that we have is what we show. CERTREQ
 * speaks of certificates alone. */
static const struct keying_credential *first_ranked(const struct keying *k, const struct auth_set *set,
						    const struct choose_peer *peer)
{
	const struct keying_credential *first = NULL;

	for (size_t i = 0; i < k->config.credential_count; i++) {
		const struct keying_credential *c = &k->config.credentials[i];

		if (rank_of(c, set) >= 0 && can_meet(c, peer) && (!first || rank_of(c, set) < rank_of(first, set)))
			first = c;
	}
	return first;
}

static void explain(const struct keying *k, const struct auth_set *set, const struct choose_peer *peer,
		    const struct keying_credential *best, char to[CHOICE_TEXT])
{
	const struct merits merits = merits_of(best, set, peer);
	int least = SUITS + 1, at;
	size_t n = 0;
	char others[CHOICE_TEXT] = "";

	for (size_t i = 0; i < k->config.credential_count; i++) {
		const struct keying_credential *c = &k->config.credentials[i];
		struct merits theirs;

		if (c == best || c->kind != best->kind || rank_of(c, set) < 0)
			continue;
		theirs = merits_of(c, set, peer);
		at = difference(&merits, &theirs);
		least = at < least ? at : least;
		if (n < sizeof others)
			n += (size_t)snprintf(others + n, sizeof others - n, "; not %.80s: %s",
					      c->subject ? c->subject : "",
					      at < SUITS ? why_not[at] : "it stands later in host.yaml");
	}
	to[0] = '\0';
	if (least <= SUITS)
		(void)snprintf(to, CHOICE_TEXT, "chose %.80s because %s%.240s", best->subject ? best->subject : "",
			       least < SUITS ? why_chosen[least] : "it stands first in host.yaml", others);
}

const struct keying_credential *choose_credential(const struct keying *k, const struct auth_set *set,
						  const struct choose_peer *peer, char ret_why[CHOICE_TEXT],
						  struct diag *d)
{
	const struct keying_credential *first = first_ranked(k, set, peer), *best = NULL;
	struct merits most = { 0 };

	for (size_t i = 0; first && i < k->config.credential_count; i++) {
		const struct keying_credential *c = &k->config.credentials[i];
		struct merits merits;
		int at;

		if (rank_of(c, set) < 0 || c->kind != first->kind)
			continue;
		merits = merits_of(c, set, peer);
		at = best ? difference(&merits, &most) : 0;
		if (best && (at == SUITS || merits.of[at] < most.of[at]))
			continue;
		best = c;
		most = merits;
	}
	if (!best)
		(void)none(k, set, peer, d);
	else if (ret_why)
		explain(k, set, peer, best, ret_why);
	return best;
}

int choose_for(struct ike_sa *sa, const struct ike_msg *m, struct diag *d)
{
	const struct choose_peer peer = {
		.known = m != NULL, .hashes = sa->peer_hashes, .msg = m, .kerberos = sa->making->kerberos
	};
	char why[CHOICE_TEXT] = "";
	const struct keying_credential *c = choose_credential(sa->k, sa->auth_set, &peer, why, d);

	if (!c)
		return -ERR_AUTH;
	sa->credential = c->number;
	free(sa->making->choice);
	sa->making->choice = why[0] ? mem_string(why) : NULL;
	return 0;
}
