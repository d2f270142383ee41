/* enforce/list_ports.h - the ports of many entries as one set: which of them has each port first. Sets that hold the
 * same are one. Inside enforce/ only. */
#ifndef ENFORCE_LIST_PORTS_H
#define ENFORCE_LIST_PORTS_H
#include "base/table.h"
#include "enforce/pools.h"

struct str;

struct list_ports {
	uint32_t *owners; /* by port: its rule's index, from 1 */
	unsigned lo, hi;  /* where they are other than 0; lo > hi: nowhere */
	struct pool_ports *runs;
	size_t run_count, run_cap;
	struct list_port_set **sets;
	size_t set_count, set_cap;
	struct table sets_by;
};

void list_ports_begin(struct list_ports *p);
/* true: of some port the rule is the first. */
bool list_ports_add(struct list_ports *p, struct port_range ports, uint32_t rule);
/* Makes the runs, sorted and disjoint; false: there are none. */
bool list_ports_end(struct list_ports *p);
/* The number of the set that has all these ports: its name is ports_NUMBER. */
uint32_t list_ports_set(struct list_ports *p);
void list_ports_add_sets(const struct list_ports *p, struct str *out);
void list_ports_wipe(struct list_ports *p);

#endif
