#include "policy/terrain.h"

#include "base/mem.h"
#include "policy/keywords.h"
#include "policy/names.h"
#include "policy/number.h"
#include "policy/outside.h"
#include "policy/rank.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
	OVERLAPS_MOST = 8000000,
	PAIRS_MOST = 50000000,
	USES_MOST = 2000000,
	ACTIVE_MOST = 16000000, /* octets are four times that */
	HOLE = -1,              /* as an event's group */
};

struct event {
	addr_count at;
	int64_t group;
	bool begins;
};

struct builder {
	struct terrain *t;
	struct address_set keywords[KEYWORDS];
	const struct address_set **sets; /* by number: the policy's, then keywords */
	size_t set_count;
	bool *used;
	uint32_t *group_firsts; /* by set, into terrain.groups */
	struct event *events;
	size_t event_count, event_cap;
	uint8_t family;
	uint32_t *live;  /* elements of each group that hold where the sweep stands */
	uint32_t *now;   /* live groups */
	uint32_t *where; /* place in now plus one */
	size_t now_count;
	size_t pairs; /* of groups looked at */
	bool tangled;
};

static uint32_t number_of(const struct builder *b, const struct end_item *i)
{
	return i->set ? i->set->number : (uint32_t)(b->set_count - KEYWORDS) + (uint32_t)i->keyword;
}

static int compare_groups(const void *x, const void *y)
{
	const struct group_of_set *a = x, *b = y;

	if (a->set != b->set)
		return a->set < b->set ? -1 : 1;
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return a->size < b->size ? -1 : a->size > b->size;
}

static void gather_sets(struct builder *b)
{
	const struct policy *p = b->t->policy;
	const struct address_set *const *sets;
	const struct rule *rules;
	size_t n = policy_address_sets(p, &sets), count = policy_rules(p, &rules);

	b->set_count = n + KEYWORDS;
	b->sets = mem_new(b->set_count, sizeof(struct address_set *));
	if (n)
		memcpy(b->sets, sets, n * sizeof(struct address_set *));
	for (int k = 0; k < KEYWORDS; k++) {
		keyword_hosts(p, (enum keyword)k, &b->keywords[k]);
		b->sets[n + (size_t)k] = &b->keywords[k];
	}
	b->used = mem_new(b->set_count, sizeof *b->used);
	for (size_t r = 0; r < count; r++) {
		for (size_t i = 0; i < rules[r].end1.count; i++)
			b->used[number_of(b, &rules[r].end1.items[i])] = true;
		for (size_t i = 0; i < rules[r].end2.count; i++)
			b->used[number_of(b, &rules[r].end2.items[i])] = true;
	}
}

static bool is_any(const struct builder *b, size_t set)
{
	return set == b->set_count - KEYWORDS + KEYWORD_ANY;
}

static void make_groups(struct builder *b)
{
	size_t n = 0, cap = 0, unique = 0;
	struct group_of_set *all = mem_grow(NULL, 0, &cap, sizeof *all);

	for (size_t s = 0; s < b->set_count; s++) {
		if (!b->used[s])
			continue;
		for (uint8_t family = 4; is_any(b, s) && family <= 6; family = (uint8_t)(family + 2)) {
			all = mem_grow(all, n, &cap, sizeof *all);
			all[n++] =
				(struct group_of_set){ .set = (uint32_t)s, .family = family, .size = ADDR_COUNT_ALL };
		}
		for (size_t i = 0; i < b->sets[s]->count; i++) {
			const struct addr_range *e = &b->sets[s]->elements[i];
			struct group_of_set g = { .set = (uint32_t)s,
						  .family = e->lo.family,
						  .size = addr_range_count(e) };

			if (n && compare_groups(&all[n - 1], &g) == 0)
				continue;
			all = mem_grow(all, n, &cap, sizeof *all);
			all[n++] = g;
		}
	}
	if (n > 1)
		qsort(all, n, sizeof *all, compare_groups);
	for (size_t i = 0; i < n; i++)
		if (unique == 0 || compare_groups(&all[unique - 1], &all[i]) != 0)
			all[unique++] = all[i];
	b->t->groups = all;
	b->t->group_count = unique;
	b->group_firsts = mem_new(b->set_count + 1, sizeof *b->group_firsts);
	for (size_t s = 0, g = 0; s <= b->set_count; s++) {
		while (g < unique && all[g].set < s)
			g++;
		b->group_firsts[s] = (uint32_t)g;
	}
}

static uint32_t group_of(const struct builder *b, size_t set, addr_count size)
{
	const struct group_of_set key = { .set = (uint32_t)set, .family = b->family, .size = size };
	uint32_t lo = b->group_firsts[set], hi = b->group_firsts[set + 1] - 1;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (compare_groups(&b->t->groups[mid], &key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* ---- fields -------------------------------------------------------------------------------------------------------
 */

/* A number that rules with the same effect share. */
static uint64_t effect_of(const struct rule *r)
{
	struct {
		uint64_t mode, fallback;
		const void *auth, *second, *protection, *key_exchange;
		struct addr tunnel1, tunnel2;
		uint8_t tunnel, modules, pad[4];
	} what = { .mode = r->mode };
	uint64_t h;

	if (rule_mode_protects(r->mode)) {
		what.fallback = r->mode == MODE_REQUIRE ? 0 : r->fallback_after_ms;
		what.auth = r->auth;
		what.second = r->second_auth;
		what.protection = r->protection;
		what.key_exchange = r->key_exchange;
		what.modules = (uint8_t)r->modules;
		what.tunnel1 = r->tunnel1;
		what.tunnel2 = r->tunnel2;
		what.tunnel = (uint8_t)(r->tunnel + r->exempt_protected);
	}
	h = hash_octets(0, &what, sizeof what);
	for (size_t i = 0; rule_mode_protects(r->mode) && i < r->machine_count; i++)
		h = hash_octets(h, &r->machines[i], sizeof(struct group *));
	return h;
}

static uint32_t *field_slot(const struct terrain *t, uint32_t one, uint32_t two)
{
	uint32_t key[2] = { one, two };
	size_t i = hash_octets(1, key, sizeof key) & (t->field_slot_count - 1);

	while (t->field_slots[i] &&
	       (t->fields[t->field_slots[i] - 1].one != one || t->fields[t->field_slots[i] - 1].two != two))
		i = (i + 1) & (t->field_slot_count - 1);
	return &t->field_slots[i];
}

const struct field *terrain_field(const struct terrain *t, uint32_t one, uint32_t two)
{
	uint32_t n = *field_slot(t, one, two);

	return n ? &t->fields[n - 1] : NULL;
}

/* Which groups an end names; the buffer grows. */
struct group_list {
	uint32_t *at;
	size_t count, cap;
};

static void groups_of_end(const struct builder *b, const struct end *e, struct group_list *l)
{
	l->count = 0;
	l->at = mem_grow(l->at, 0, &l->cap, sizeof *l->at);
	for (size_t i = 0; i < e->count; i++) {
		uint32_t s = number_of(b, &e->items[i]);

		for (uint32_t g = b->group_firsts[s]; g < b->group_firsts[s + 1]; g++) {
			l->at = mem_grow(l->at, l->count, &l->cap, sizeof *l->at);
			l->at[l->count++] = g;
		}
	}
}

/* The number of the field between two groups, which a rule now says something of. */
static uint32_t field_for(struct terrain *t, const struct rule *r, uint32_t one, uint32_t two)
{
	uint32_t *slot = field_slot(t, one, two);
	struct field *f;

	if (!*slot) {
		t->fields[t->field_count] = (struct field){
			.one = one,
			.two = two,
			.effect = t->effects[r->index],
			.uniform = true,
		};
		*slot = (uint32_t)++t->field_count;
	}
	f = &t->fields[*slot - 1];
	if (f->effect != t->effects[r->index])
		f->uniform = false;
	f->first += (uint32_t)r->service_count; /* a count, until all are known */
	return *slot - 1;
}

static void add_uses(struct terrain *t, const struct rule *r, uint32_t field, bool local_is_end1)
{
	struct field *f = &t->fields[field];

	for (size_t s = 0; s < r->service_count; s++)
		if (entry_initiators(r, &r->services[s], local_is_end1))
			t->uses[f->first + f->count++] = (struct field_use){ r->index, (uint16_t)s, local_is_end1 };
}

/* A rule has a field for each pair of groups at its ends, and the mirror image of each. */
struct rule_fields {
	struct group_list one, two;
	uint32_t *numbers; /* as they come, of all rules */
	size_t count;
};

static void find_fields(struct builder *b, const struct rule *r, struct rule_fields *f)
{
	struct terrain *t = b->t;

	groups_of_end(b, &r->end1, &f->one);
	groups_of_end(b, &r->end2, &f->two);
	for (size_t k = 0; k < f->one.count * f->two.count; k++) {
		assert(f->one.at && f->two.at); /* counted, so there */
		uint32_t g = f->one.at[k / f->two.count], h = f->two.at[k % f->two.count];

		if (t->groups[g].family != t->groups[h].family)
			continue;
		f->numbers[f->count++] = field_for(t, r, g, h);
		f->numbers[f->count++] = field_for(t, r, h, g);
	}
	f->numbers[f->count++] = UINT32_MAX; /* the next rule */
}

/* How much there would be; false when that is too much. */
static bool count_fields(struct builder *b, struct rule_fields *f, size_t *ret_pairs, size_t *ret_uses)
{
	const struct rule *rules;
	size_t n = policy_rules(b->t->policy, &rules), pairs = 0, uses = 0;

	for (size_t i = 0; i < n; i++) {
		groups_of_end(b, &rules[i].end1, &f->one);
		groups_of_end(b, &rules[i].end2, &f->two);
		pairs += 2 * f->one.count * f->two.count;
		uses += 2 * f->one.count * f->two.count * rules[i].service_count;
		if (uses > USES_MOST)
			return false;
	}
	*ret_pairs = pairs;
	*ret_uses = uses;
	return true;
}

/* From counts to places in one array; then every rule says its part. */
static void fill_fields(struct terrain *t, const struct rule *rules, const struct rule_fields *f)
{
	uint32_t at = 0;

	for (size_t i = 0; i < t->field_count; i++) {
		uint32_t count = t->fields[i].first;

		t->fields[i].first = at;
		at += count;
	}
	for (size_t i = 0, rule = 0; i < f->count; i++) {
		if (f->numbers[i] == UINT32_MAX) {
			rule++;
			continue;
		}
		add_uses(t, &rules[rule], f->numbers[i], true);
		add_uses(t, &rules[rule], f->numbers[++i], false);
	}
	for (size_t i = 0; i < t->field_count; i++) {
		assert(t->groups); /* a field lies between two */
		struct group_of_set *g = &t->groups[t->fields[i].one], *h = &t->groups[t->fields[i].two];

		g->small |= g->size < h->size;
		g->large |= g->size > h->size;
	}
}

static void rule_fields_wipe(struct rule_fields *f)
{
	free(f->one.at);
	free(f->two.at);
	free(f->numbers);
}

static bool make_fields(struct builder *b)
{
	SCOPED(rule_fields_wipe) struct rule_fields f = { 0 };
	struct terrain *t = b->t;
	const struct rule *rules;
	size_t n = policy_rules(t->policy, &rules), pairs, uses;

	if (!count_fields(b, &f, &pairs, &uses))
		return false;
	t->fields = mem_new(pairs, sizeof *t->fields);
	t->uses = mem_new(uses, sizeof *t->uses);
	t->effects = mem_new(n, sizeof *t->effects);
	for (t->field_slot_count = 64; t->field_slot_count < 2 * pairs;)
		t->field_slot_count *= 2;
	t->field_slots = mem_new(t->field_slot_count, sizeof *t->field_slots);
	f.numbers = mem_new(pairs + n, sizeof *f.numbers);
	for (size_t i = 0; i < n; i++) {
		t->effects[i] = effect_of(&rules[i]);
		find_fields(b, &rules[i], &f);
	}
	fill_fields(t, rules, &f);
	return true;
}

/* ---- atoms --------------------------------------------------------------------------------------------------------
 */

static int compare_events(const void *x, const void *y)
{
	const struct event *a = x, *b = y;

	return a->at < b->at ? -1 : a->at > b->at;
}

static void add_span(struct builder *b, const struct addr_range *r, int64_t group)
{
	addr_count hi = addr_number(&r->hi);

	if (r->lo.family != b->family)
		return;
	b->events = mem_grow(b->events, b->event_count, &b->event_cap, sizeof *b->events);
	b->events[b->event_count++] = (struct event){ addr_number(&r->lo), group, true };
	if (hi == family_last(b->family))
		return;
	b->events = mem_grow(b->events, b->event_count, &b->event_cap, sizeof *b->events);
	b->events[b->event_count++] = (struct event){ hi + 1, group, false };
}

static void make_events(struct builder *b)
{
	struct addr_range outside[OUTSIDE],
		all = { number_addr(b->family, 0), number_addr(b->family, family_last(b->family)) };

	b->event_count = 0;
	for (size_t s = 0; s < b->set_count; s++) {
		if (!b->used[s])
			continue;
		if (is_any(b, s))
			add_span(b, &all, group_of(b, s, ADDR_COUNT_ALL));
		for (size_t i = 0; i < b->sets[s]->count; i++) {
			const struct addr_range *e = &b->sets[s]->elements[i];

			if (e->lo.family == b->family)
				add_span(b, e, group_of(b, s, addr_range_count(e)));
		}
	}
	outside_ranges(outside);
	for (size_t i = 0; i < OUTSIDE; i++)
		add_span(b, &outside[i], HOLE);
	if (b->event_count > 1)
		qsort(b->events, b->event_count, sizeof *b->events, compare_events);
}

static void turn(struct builder *b, uint32_t g, bool on)
{
	if (on && b->live[g]++ == 0) {
		b->now[b->now_count++] = g;
		b->where[g] = (uint32_t)b->now_count;
	} else if (!on && --b->live[g] == 0) {
		uint32_t last = b->now[--b->now_count];

		b->now[b->where[g] - 1] = last;
		b->where[last] = b->where[g];
		b->where[g] = 0;
	}
}

static int compare_numbers(const void *x, const void *y)
{
	const uint32_t *a = x, *b = y;

	return *a < *b ? -1 : *a > *b;
}

static void add_overlap(struct builder *b, uint32_t one, uint32_t two, uint32_t atom)
{
	struct terrain *t = b->t;

	if (t->overlap_count >= OVERLAPS_MOST) {
		b->tangled = true;
		return;
	}
	t->overlaps = mem_grow(t->overlaps, t->overlap_count, &t->overlap_cap, sizeof *t->overlaps);
	t->overlaps[t->overlap_count++] = (struct overlap){ one, two, atom };
}

/* Only groups that can tie are worth noting: of one size, or one small where the other is large. */
static void note_overlaps(struct builder *b, const struct atom *a, uint32_t number)
{
	struct terrain *t = b->t;

	b->pairs += (size_t)a->count * a->count / 2;
	if (b->pairs > PAIRS_MOST)
		b->tangled = true;
	for (uint32_t i = 0; i < a->count && !b->tangled; i++) {
		uint32_t g = t->active[a->first + i];

		add_overlap(b, g, g, number);
		for (uint32_t k = i + 1; k < a->count && !b->tangled; k++) {
			uint32_t h = t->active[a->first + k];
			struct group_of_set *x = &t->groups[g], *y = &t->groups[h];

			if (x->size == y->size || (x->size < y->size ? x->small && y->large : y->small && x->large)) {
				add_overlap(b, g, h, number);
				add_overlap(b, h, g, number);
			}
		}
	}
}

static void add_atom(struct builder *b, addr_count lo, addr_count hi)
{
	struct terrain *t = b->t;
	uint32_t number = (uint32_t)t->atom_count, n = 0;
	struct atom *a;

	if (t->active_count + b->now_count > ACTIVE_MOST) {
		b->tangled = true;
		return;
	}
	t->atoms = mem_grow(t->atoms, t->atom_count, &t->atom_cap, sizeof *t->atoms);
	a = &t->atoms[t->atom_count++];
	*a = (struct atom){ number_addr(b->family, lo), number_addr(b->family, hi), (uint32_t)t->active_count, 0 };
	while (t->active_cap - t->active_count < b->now_count) {
		t->active_cap = t->active_cap ? 2 * t->active_cap : 1024;
		t->active = mem_resize(t->active, t->active_cap, sizeof *t->active);
	}
	memcpy(t->active + a->first, b->now, b->now_count * sizeof *b->now);
	if (b->now_count > 1)
		qsort(t->active + a->first, b->now_count, sizeof *t->active, compare_numbers);
	for (size_t i = 0; i < b->now_count; i++) { /* of each set the first, which is the smallest */
		uint32_t g = t->active[a->first + i];

		if (n == 0 || t->groups[t->active[a->first + n - 1]].set != t->groups[g].set)
			t->active[a->first + n++] = g;
	}
	a->count = n;
	t->active_count += n;
	note_overlaps(b, a, number);
}

static void make_atoms(struct builder *b)
{
	size_t holes = 0;

	make_events(b);
	for (size_t i = 0; i < b->event_count && !b->tangled;) {
		addr_count at = b->events[i].at, last;

		for (; i < b->event_count && b->events[i].at == at; i++) {
			const struct event *e = &b->events[i];

			if (e->group == HOLE)
				holes = e->begins ? holes + 1 : holes - 1;
			else
				turn(b, (uint32_t)e->group, e->begins);
		}
		last = i < b->event_count ? b->events[i].at - 1 : family_last(b->family);
		if (b->now_count && !holes)
			add_atom(b, at, last);
	}
}

static int compare_overlaps(const void *x, const void *y, void *context)
{
	const struct overlap *a = x, *b = y;
	const struct group_of_set *groups = context;

	if (groups[a->two].size != groups[b->two].size)
		return groups[a->two].size < groups[b->two].size ? -1 : 1;
	return a->two != b->two ? (a->two < b->two ? -1 : 1) : a->atom < b->atom ? -1 : a->atom > b->atom;
}

/* Sort by the first group by counting, as most have few partners or only themselves; then each by the second. */
static void index_overlaps(struct terrain *t)
{
	struct overlap *sorted = mem_new(t->overlap_count, sizeof *sorted);
	uint32_t *firsts = mem_new(t->group_count + 2, sizeof *firsts);

	for (size_t o = 0; o < t->overlap_count; o++)
		firsts[t->overlaps[o].one + 2]++;
	for (size_t g = 2; g < t->group_count + 2; g++)
		firsts[g] += firsts[g - 1];
	for (size_t o = 0; o < t->overlap_count; o++)
		sorted[firsts[t->overlaps[o].one + 1]++] = t->overlaps[o];
	for (size_t g = 0; g < t->group_count; g++) {
		struct overlap *from = sorted + firsts[g];
		size_t n = firsts[g + 1] - firsts[g], k = 1;

		while (k < n && compare_overlaps(&from[k - 1], &from[k], t->groups) <= 0)
			k++;
		if (k < n)
			qsort_r(from, n, sizeof *from, compare_overlaps, t->groups);
	}
	free(t->overlaps);
	t->overlaps = sorted;
	t->overlap_firsts = firsts;
}

static void builder_wipe(struct builder *b)
{
	for (int k = 0; k < KEYWORDS; k++)
		free(b->keywords[k].elements);
	free(b->sets);
	free(b->used);
	free(b->group_firsts);
	free(b->events);
	free(b->live);
	free(b->now);
	free(b->where);
}

struct terrain *terrain_new(const struct policy *p)
{
	SCOPED(terrain_freep) struct terrain *t = mem_new(1, sizeof *t);
	SCOPED(builder_wipe) struct builder b = { .t = t };

	t->policy = p;
	gather_sets(&b);
	make_groups(&b);
	if (!make_fields(&b))
		return NULL;
	b.live = mem_new(t->group_count, sizeof *b.live);
	b.now = mem_new(t->group_count, sizeof *b.now);
	b.where = mem_new(t->group_count, sizeof *b.where);
	for (b.family = 4; b.family <= 6 && !b.tangled; b.family += 2) {
		memset(b.live, 0, t->group_count * sizeof *b.live); /* those that reach the family's end */
		b.now_count = 0;
		make_atoms(&b);
	}
	if (b.tangled)
		return NULL;
	index_overlaps(t);
	return TAKE(t);
}

void terrain_free(struct terrain *t)
{
	if (!t)
		return;
	free(t->groups);
	free(t->atoms);
	free(t->active);
	free(t->overlaps);
	free(t->overlap_firsts);
	free(t->fields);
	free(t->field_slots);
	free(t->uses);
	free(t->effects);
	free(t);
}

/* ---- who meets ----------------------------------------------------------------------------------------------------
 */

static int compare_entries(const void *x, const void *y)
{
	const struct plan_entry *a = x, *b = y;
	int c = entry_order(a, b);

	return c ? c : memcmp(x, y, sizeof *a);
}

/* What of an entry decides whom it matches, as one number; entries of one rule differ in nothing else. */
static uint64_t match_of(const struct plan_entry *e)
{
	const uint32_t what[] = {
		e->rule->index,
		(uint32_t)(uint16_t)e->protocol << 16 | e->initiators,
		(uint32_t)e->local_port.lo << 16 | e->local_port.hi,
		(uint32_t)e->remote_port.lo << 16 | e->remote_port.hi,
		(uint32_t)(uint16_t)e->icmp_type << 16 | (uint16_t)e->icmp_code,
	};

	return hash_octets(2, what, sizeof what);
}

/* A rule may reach two addresses by several elements, or either way round: only the best of them counts. */
static size_t drop_repeated(struct plan_entry *list, size_t n)
{
	size_t kept = 0, slots = 64;
	uint64_t *seen;

	while (slots < 2 * n)
		slots *= 2;
	seen = mem_new(slots, sizeof *seen);
	for (size_t i = 0; i < n; i++) {
		uint64_t match = match_of(&list[i]) | 1;
		size_t at = (match >> 1) & (slots - 1);

		while (seen[at] && seen[at] != match)
			at = (at + 1) & (slots - 1);
		if (!seen[at])
			list[kept++] = list[i];
		seen[at] = match;
	}
	free(seen);
	return kept;
}

size_t terrain_meet(const struct terrain *t, uint32_t atom, uint32_t other, struct plan_entry **list, size_t *cap)
{
	const struct atom *x = &t->atoms[atom], *y = &t->atoms[other];
	const struct rule *rules;
	size_t n = 0;

	(void)policy_rules(t->policy, &rules);
	for (uint32_t i = 0; i < x->count; i++) {
		for (uint32_t k = 0; k < y->count; k++) {
			uint32_t g = t->active[x->first + i], h = t->active[y->first + k];
			const struct field *f = terrain_field(t, g, h);

			for (uint32_t u = 0; f && u < f->count; u++) {
				const struct field_use *use = &t->uses[f->first + u];
				struct plan_entry *e;

				*list = mem_grow(*list, n, cap, sizeof **list);
				e = &(*list)[n++];
				entry_make(&rules[use->rule], &rules[use->rule].services[use->service],
					   use->local_is_end1, e);
				e->small =
					t->groups[g].size < t->groups[h].size ? t->groups[g].size : t->groups[h].size;
				e->large =
					t->groups[g].size < t->groups[h].size ? t->groups[h].size : t->groups[g].size;
			}
		}
	}
	if (n > 1)
		qsort(*list, n, sizeof **list, compare_entries);
	return drop_repeated(*list, n);
}
