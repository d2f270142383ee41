/* policy/terrain.h - all addresses that the rules of a policy name, cut into atoms: addresses of one atom are in the
 * same elements, so every rule treats them alike. For this folder only.
 *
 * A group is the elements of one family and size of one set; at an atom, a set counts with its smallest element there.
 * A field is a pair of groups that some rule has at its two ends: what it says, it says of all address pairs in the
 * field. */
#ifndef POLICY_TERRAIN_H
#define POLICY_TERRAIN_H
#include "policy/plan.h"

struct group_of_set {
	uint32_t set;
	uint8_t family;
	addr_count size;
	bool small, large; /* in fields with a larger, a smaller partner */
};

struct atom {
	struct addr lo, hi;
	uint32_t first, count; /* of active: the groups that count here */
};

/* One service of a rule in a field; local is the field's first group. */
struct field_use {
	uint32_t rule;
	uint16_t service;
	bool local_is_end1;
};

struct field {
	uint32_t one, two;     /* groups; both ways round are there */
	uint32_t first, count; /* of uses */
	uint64_t effect;       /* of all its rules, if uniform */
	bool uniform;
};

/* Two groups that count at the same atom, or one and itself. */
struct overlap {
	uint32_t one, two;
	uint32_t atom;
};

struct terrain {
	const struct policy *policy;
	struct group_of_set *groups;
	size_t group_count;
	struct atom *atoms;
	size_t atom_count, atom_cap;
	uint32_t *active;
	size_t active_count, active_cap;
	struct overlap *overlaps; /* both ways round; sorted by one, then by two's size, two and atom */
	size_t overlap_count, overlap_cap;
	uint32_t *overlap_firsts; /* by group */
	struct field *fields;
	size_t field_count;
	uint32_t *field_slots; /* by hash of the groups: number + 1 */
	size_t field_slot_count;
	struct field_use *uses;
	uint64_t *effects; /* by rule: equal for rules that do the same */
};

/* NULL if the policy is too tangled for a bounded look. */
struct terrain *terrain_new(const struct policy *p);
void terrain_free(struct terrain *t);
SCOPE_FREEP(struct terrain, terrain)

const struct field *terrain_field(const struct terrain *t, uint32_t one, uint32_t two);

/* All entries between two addresses in the order in which they win, each rule's service once. Returns their number;
 * *list is grown as needed and is the caller's. */
size_t terrain_meet(const struct terrain *t, uint32_t atom, uint32_t other, struct plan_entry **list, size_t *cap);

#endif
