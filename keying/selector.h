/* keying/selector.h - which traffic a CHILD SA is for: plan entries as traffic selectors, narrowing (RFC 7296 2.9).
 * Inside keying/ only. */
#ifndef KEYING_SELECTOR_H
#define KEYING_SELECTOR_H
#include "dataplane/sad.h"
#include "keying/ike.h"
#include "policy/plan.h"

bool selector_is_icmp(int16_t protocol); /* or ICMPv6 */
bool selector_same(const struct sa_selector *a, const struct sa_selector *b);
/* One end of it on the wire. */
struct ike_ts selector_ts(const struct sa_selector *s, bool local);

bool selector_covers(const struct sa_selector *wide, const struct sa_selector *narrow);
bool selector_holds(const struct sa_selector *s, const struct plan_packet *k);

/* What two addresses can negotiate about: plan entries in transport mode, in the order in which they win, then what the
 * tunnels between the two carry. Zero but for the first three; place: in the list that the two meet. */
struct selector_walk {
	const struct plan *plan;
	const struct addr *local, *remote;
	size_t entry, tunnel, near, far;
};
struct candidate {
	const struct plan_entry *entry;
	struct sa_selector whole;
	size_t place;
};
bool selector_next(struct selector_walk *w, struct candidate *ret);
/* The first. */
bool selector_any(const struct plan *plan, const struct addr *local, const struct addr *remote, struct candidate *ret);

/* What a peer asks for. */
struct asked {
	const struct plan *plan;
	bool tunnel;                       /* it did not say USE_TRANSPORT_MODE */
	const struct addr *local, *remote; /* of the IKE SA */
	const struct ike_ts_list *mine, *theirs;
	/* A rekey: of the same rule, and no narrower than what it replaces (2.9.2). NULL: a new one. */
	const struct rule *rule;
	const struct sa_selector *least;
};
struct narrowed {
	const struct plan_entry *entry;
	struct sa_selector whole, selector; /* of the entry; what is granted of it */
	bool more;                          /* the request asks for what another CHILD SA would give (2.9) */
};
/* Which entry a request is about, and how much of it: the entry that it names exactly; else, when its first selectors
 * are those of a packet, the one that the packet meets; else the first in rank order that it wholly covers; else the
 * first that has something in common with it which no earlier entry takes. A CHILD SA is bound to one entry; packets in
 * it that are another rule's are refused by the data plane. false: none. */
bool selector_narrow(const struct asked *a, struct narrowed *ret);

/* What the peer made of our request: the same or narrower. Of several selectors one must cover the others. */
bool selector_accept(const struct sa_selector *asked, const struct ike_ts_list *mine, const struct ike_ts_list *theirs,
		     struct sa_selector *ret);

/* Entries that key exchanges can be about: their rule protects. */
bool selector_negotiable(const struct plan_entry *e);
/* The entry of a plan with this selector and a rule of this name, or NULL. */
const struct plan_entry *selector_find(const struct plan *plan, const struct sa_selector *s, const char *rule);
/* The same for what was begun between these two hosts: a tunnel may have other ends since. */
const struct plan_entry *selector_find_again(const struct plan *plan, const struct sa_selector *s, const char *rule,
					     const struct addr *local, const struct addr *remote);

/* For people: "10.0.0.1 <-> 10.0.0.2 tcp/443". */
enum { SELECTOR_TEXT = 256 };
const char *selector_text(const struct sa_selector *s, char buf[SELECTOR_TEXT]);

#endif
