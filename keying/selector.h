/* keying/selector.h - which traffic a CHILD SA is for: plan entries as traffic selectors, narrowing (RFC 7296 2.9).
 * Inside keying/ only. */
#ifndef KEYING_SELECTOR_H
#define KEYING_SELECTOR_H
#include "dataplane/sad.h"
#include "keying/ike.h"
#include "policy/plan.h"

bool selector_same(const struct sa_selector *a, const struct sa_selector *b);
struct sa_selector selector_of_entry(const struct plan_entry *e, const struct addr *local, const struct addr *remote);
/* One end of it on the wire. */
struct ike_ts selector_ts(const struct sa_selector *s, bool local);

/* Which entry a request is about: the one that it names exactly; else, when its first selectors are those of a packet,
 * the one that the packet meets; else the first in rank order that it wholly covers. NULL: none. */
const struct plan_entry *selector_narrow(const struct plan *plan, const struct addr *local, const struct addr *remote,
					 const struct ike_ts_list *mine, const struct ike_ts_list *theirs);

/* What the peer made of our request: the same or narrower, one selector at each end. */
bool selector_accept(const struct sa_selector *asked, const struct ike_ts_list *mine, const struct ike_ts_list *theirs,
		     struct sa_selector *ret);

/* Entries that key exchanges can be about: their rule protects, in transport mode. */
bool selector_negotiable(const struct plan_entry *e);
/* The entry of a plan with this selector and a rule of this name, or NULL. */
const struct plan_entry *selector_find(const struct plan *plan, const struct sa_selector *s, const char *rule);

/* For people: "10.0.0.1 <-> 10.0.0.2 tcp/443". */
enum { SELECTOR_TEXT = 192 };
const char *selector_text(const struct sa_selector *s, char buf[SELECTOR_TEXT]);

#endif
