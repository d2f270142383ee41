/* enforce/firewall_items.h - the rules of the sections that rule this host, as the tree wants them: for each family the
 * addresses at both ends, and an item for each service. Pure. Inside enforce/ only. */
#ifndef ENFORCE_FIREWALL_ITEMS_H
#define ENFORCE_FIREWALL_ITEMS_H
#include "base/mem.h"
#include "base/scope.h"
#include "enforce/firewall_tree.h"
#include "policy/plan.h"

enum { FIREWALL_FAMILIES = 2 }; /* 0: IPv4, 1: IPv6 */

struct firewall_ruling {
	const struct firewall_rule *rule;
	uint32_t number; /* among all rules of all sections: of its counter, in the log */
	const struct firewall_end *ends[FIREWALL_FAMILIES][SIDES]; /* NULL: of that family there are none */
};

struct firewall_rulings {
	const struct plan *plan;
	bool ruled;      /* some section rules this host; else all the rest is empty */
	bool blocked[2]; /* the default in, and out */
	struct firewall_ruling *rules;
	size_t count;
	struct arena memory;          /* ends and their spans */
	struct firewall_end **of_set; /* by family and the set's number */
	size_t set_count;
	uint32_t end_count;
};

void firewall_rulings_make(struct firewall_rulings *f, const struct plan *plan);
void firewall_rulings_wipe(struct firewall_rulings *f);

/* The items of all rules of one action for one direction (DIRECTION_ bit) and family; free() the array. An item's rule
 * is an index into f->rules; those for which wanted says no are left out. */
struct firewall_item *firewall_items(const struct firewall_rulings *f, enum firewall_action action, unsigned direction,
				     unsigned family, bool (*wanted)(const void *context, size_t rule),
				     const void *context, size_t *ret_count);

/* The rule with that number, or NULL. */
const struct firewall_rule *firewall_rule_numbered(const struct policy *p, uint32_t number);

#endif
