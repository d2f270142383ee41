/* enforce/exempted.h - addresses that are exempted for a time: the gate's own list of them, from which each table gets
 * its sets. The sets' elements end by the kernel's clock, daemon or not; a table that is made later gets what is left
 * of the time, never more. Inside enforce/ only. */
#ifndef ENFORCE_EXEMPTED_H
#define ENFORCE_EXEMPTED_H
#include "base/addr.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ruleset_carry;

struct exempted {
	struct exempted_row {
		struct addr addr;
		uint64_t until_ms; /* CLOCK_BOOTTIME */
	} * rows;
	size_t count, cap;
};

/* Enter an address, or give it another end. false: there are GATE_EXEMPTED_MOST already. */
bool exempted_enter(struct exempted *e, const struct addr *a, uint64_t until_ms);
void exempted_leave(struct exempted *e, const struct addr *a);
void exempted_wipe(struct exempted *e);
/* Whole seconds left, 0: it is over. */
uint32_t exempted_left_s(uint64_t until_ms);
/* What is left of each, for a new table. */
void exempted_carry(const struct exempted *e, struct ruleset_carry *carry);

#endif
