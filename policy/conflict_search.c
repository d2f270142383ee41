/* Contradictions in the whole network, without looking at every pair of rules. Two fields can tie in two ways: aligned
 * (groups of one size overlap at both ends) or crossed (a host and a network here, the network and a host there: the
 * packet between the two hosts). For both, candidates come from overlapping groups, and only fields whose rules differ
 * are looked at; a candidate is then judged as it would be on a host, by all that two addresses meet. */
#include "policy/conflict.h"

#include "base/mem.h"
#include "policy/names.h"
#include "policy/rank.h"
#include "policy/terrain.h"

#include <stdlib.h>
#include <string.h>

enum {
	STEPS_MOST = 20000000,
	MEETINGS_MOST = 20000,
	THIN_FROM = 512,
	SAMPLES_MOST = 64, /* at each end of a candidate */
};

/* The groups in which an entry is compared. */
struct candidate {
	uint32_t one, two;
};

/* Fields from a small group to `near`, seen from addresses of `far`: partners are those of the reverse. */
struct spoke {
	uint32_t far, near, field;
};

struct search {
	const struct terrain *t;
	struct report *r;
	size_t steps, meetings;
	struct names met;      /* pairs of atoms judged already */
	struct names reported; /* pairs of rules */
	struct arena memory;
	struct plan_entry *meeting;
	size_t meeting_cap;
	/* the entries of the fields being compared, and their groups */
	struct plan_entry *entries;
	struct candidate *groups;
	size_t count, cap, group_cap;
	uint32_t atom, other; /* being judged */
};

/* Remember two numbers; false if they were there. */
static bool remember(struct search *s, struct names *names, uint32_t a, uint32_t b)
{
	uint32_t key[2] = { a < b ? a : b, a < b ? b : a };
	char *kept;
	bool is_new;

	if (names_find(names, (const char *)key, sizeof key))
		return false;
	kept = arena_new(&s->memory, 1, sizeof key);
	memcpy(kept, key, sizeof key);
	(void)names_add(names, kept, sizeof key, 0, NULL, (struct place){ 0 }, &is_new);
	return true;
}

static void report_found(void *context, const struct plan_entry *a, const struct plan_entry *b)
{
	struct search *s = context;
	struct addr x = s->t->atoms[s->atom].lo, y = s->t->atoms[s->other].lo;

	if (!remember(s, &s->reported, a->rule->index, b->rule->index))
		return;
	if (s->atom == s->other)
		(void)addr_next(&y);
	conflict_report(s->t->policy, s->r, a, b, &x, &y);
}

/* Judge the meeting of two addresses, one of each atom. */
static void judge(struct search *s, uint32_t atom, uint32_t other)
{
	const struct atom *x = &s->t->atoms[atom], *y = &s->t->atoms[other];
	size_t n;

	if (x->lo.family != y->lo.family || (atom == other && addr_equal(&x->lo, &x->hi)) ||
	    s->meetings >= MEETINGS_MOST || !remember(s, &s->met, atom, other))
		return;
	s->meetings++;
	s->atom = atom;
	s->other = other;
	n = terrain_meet(s->t, atom, other, &s->meeting, &s->meeting_cap);
	s->steps += n;
	list_contradictions(s->meeting, n, true, report_found, s);
}

/* Among a group's overlaps, the first at or behind the partner `two` of this size. */
static size_t overlap_from(const struct terrain *t, uint32_t group, addr_count size, uint32_t two)
{
	size_t lo = t->overlap_firsts[group], hi = t->overlap_firsts[group + 1];

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct overlap *o = &t->overlaps[mid];
		addr_count its = t->groups[o->two].size;

		if (its < size || (its == size && o->two < two))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The partners of a group that have this size, one after another: *at begins at 0. False when there are no more. */
static bool next_partner(const struct terrain *t, uint32_t group, addr_count size, uint32_t *at, uint32_t *ret)
{
	size_t o = overlap_from(t, group, size, *at);

	if (o == t->overlap_firsts[group + 1] || t->groups[t->overlaps[o].two].size != size)
		return false;
	*ret = t->overlaps[o].two;
	*at = *ret + 1;
	return true;
}

/* Some atoms where both groups count, spread over all of them. */
static size_t samples(const struct terrain *t, uint32_t g, uint32_t h, uint32_t ret[SAMPLES_MOST])
{
	addr_count size = t->groups[h].size;
	size_t first = overlap_from(t, g, size, h), all = overlap_from(t, g, size, h + 1) - first;
	size_t n = all < SAMPLES_MOST ? all : SAMPLES_MOST;

	for (size_t i = 0; i < n; i++)
		ret[i] = t->overlaps[first + all * i / n].atom;
	return n;
}

/* Entries of one kind match and do the same, and have their small group at the same end. */
static uint64_t kind_of(const struct search *s, size_t entry)
{
	const struct plan_entry *e = &s->entries[entry];
	const struct candidate *g = &s->groups[entry];

	const uint64_t what[] = {
		s->t->effects[e->rule->index],
		(uint64_t)(uint16_t)e->protocol << 48 | (uint64_t)e->initiators << 40 | e->rule->profiles,
		(uint64_t)e->local_port.lo << 48 | (uint64_t)e->local_port.hi << 32 |
			(uint64_t)e->remote_port.lo << 16 | e->remote_port.hi,
		(uint64_t)(uint16_t)e->icmp_type << 16 | (uint16_t)e->icmp_code,
		(uint64_t)e->small,
		(uint64_t)e->large,
		s->t->groups[g->one].size < s->t->groups[g->two].size,
	};

	return hash_octets(3, what, sizeof what);
}

static void add_field(struct search *s, const struct field *f)
{
	const struct terrain *t = s->t;
	addr_count a = t->groups[f->one].size, b = t->groups[f->two].size;
	const struct rule *rules;

	(void)policy_rules(t->policy, &rules);
	for (uint32_t u = 0; u < f->count; u++) {
		const struct field_use *use = &t->uses[f->first + u];
		struct plan_entry *e;

		s->entries = mem_grow(s->entries, s->count, &s->cap, sizeof *s->entries);
		s->groups = mem_grow(s->groups, s->count, &s->group_cap, sizeof *s->groups);
		e = &s->entries[s->count];
		entry_make(&rules[use->rule], &rules[use->rule].services[use->service], use->local_is_end1, e);
		e->small = a < b ? a : b;
		e->large = a < b ? b : a;
		s->groups[s->count++] = (struct candidate){ f->one, f->two };
		s->steps++;
	}
}

static bool is_reported(const struct search *s, const struct rule *a, const struct rule *b)
{
	uint32_t key[2] = { a->index < b->index ? a->index : b->index, a->index < b->index ? b->index : a->index };

	return names_find(&s->reported, (const char *)key, sizeof key);
}

/* Two entries among those compared contradict each other where their groups meet: judge some of those meetings. */
static void judge_groups(void *context, const struct plan_entry *a, const struct plan_entry *b)
{
	struct search *s = context;
	const struct candidate *g = &s->groups[a - s->entries], *h = &s->groups[b - s->entries];
	uint32_t xs[SAMPLES_MOST], ys[SAMPLES_MOST];
	size_t n, m;

	if (is_reported(s, a->rule, b->rule))
		return;
	n = samples(s->t, g->one, h->one, xs);
	m = samples(s->t, g->two, h->two, ys);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < m && !is_reported(s, a->rule, b->rule); k++)
			judge(s, xs[i], ys[k]);
}

/* Of thousands of entries that match and do the same, two are enough: which of them it is makes no difference. */
static void thin_out(struct search *s)
{
	size_t kept = 0, slots = 64;
	struct {
		uint64_t kind;
		unsigned count;
	} * seen;

	if (s->count <= THIN_FROM)
		return;
	while (slots < 2 * s->count)
		slots *= 2;
	seen = mem_new(slots, sizeof *seen);
	for (size_t i = 0; i < s->count; i++) {
		uint64_t kind = kind_of(s, i) | 1;
		size_t at = (kind >> 1) & (slots - 1);

		while (seen[at].kind && seen[at].kind != kind)
			at = (at + 1) & (slots - 1);
		seen[at].kind = kind;
		if (seen[at].count++ >= 2)
			continue;
		s->entries[kept] = s->entries[i];
		s->groups[kept++] = s->groups[i];
	}
	free(seen);
	s->count = kept;
}

struct sorted {
	struct plan_entry entry;
	struct candidate groups;
};

static int compare_sorted(const void *x, const void *y)
{
	const struct sorted *a = x, *b = y;

	return entry_order(&a->entry, &b->entry);
}

static void compare_entries(struct search *s)
{
	struct sorted *all;

	thin_out(s);
	all = mem_new(s->count, sizeof *all);
	for (size_t i = 0; i < s->count; i++)
		all[i] = (struct sorted){ s->entries[i], s->groups[i] };
	if (s->count > 1)
		qsort(all, s->count, sizeof *all, compare_sorted);
	for (size_t i = 0; i < s->count; i++) {
		s->entries[i] = all[i].entry;
		s->groups[i] = all[i].groups;
	}
	free(all);
	s->steps += s->count;
	list_contradictions(s->entries, s->count, false, judge_groups, s);
	s->count = 0;
}

static void compare_fields(struct search *s, const struct field *f, const struct field *g)
{
	s->steps++;
	if (f->uniform && g->uniform && f->effect == g->effect)
		return;
	add_field(s, f);
	if (g != f)
		add_field(s, g);
	compare_entries(s);
}

static void search_aligned(struct search *s)
{
	const struct terrain *t = s->t;

	for (size_t i = 0; i < t->field_count && s->steps < STEPS_MOST; i++) {
		const struct field *f = &t->fields[i];
		uint32_t one, two;

		if (f->one > f->two)
			continue; /* its mirror image is there too */
		for (uint32_t a = 0;
		     next_partner(t, f->one, t->groups[f->one].size, &a, &one) && s->steps < STEPS_MOST;) {
			for (uint32_t b = 0;
			     next_partner(t, f->two, t->groups[f->two].size, &b, &two) && s->steps < STEPS_MOST;) {
				const struct field *g = terrain_field(t, one, two);

				s->steps++;
				if (g && (g >= f || g->one > g->two))
					compare_fields(s, f, g);
			}
		}
	}
}

static int compare_spokes(const void *x, const void *y)
{
	const struct spoke *a = x, *b = y;

	return a->far != b->far     ? (a->far < b->far ? -1 : 1)
	       : a->near != b->near ? (a->near < b->near ? -1 : 1)
				    : (a->field < b->field ? -1 : a->field > b->field);
}

/* The spokes of one (far, near). */
static size_t spokes_of(const struct spoke *all, size_t n, uint32_t far, uint32_t near, size_t *ret_first)
{
	size_t lo = 0, hi = n, end;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (all[mid].far < far || (all[mid].far == far && all[mid].near < near))
			lo = mid + 1;
		else
			hi = mid;
	}
	for (end = lo; end < n && all[end].far == far && all[end].near == near; end++)
		;
	*ret_first = lo;
	return end - lo;
}

static bool all_alike(const struct terrain *t, const struct spoke *a, size_t n, const struct spoke *b, size_t m)
{
	uint64_t effect = t->fields[a[0].field].effect;

	for (size_t i = 0; i < n + m; i++) {
		const struct field *f = &t->fields[i < n ? a[i].field : b[i - n].field];

		if (!f->uniform || f->effect != effect)
			return false;
	}
	return true;
}

/* A field from small g to large N is met where g lies in a large M by fields from N's side: small h in N, large M. */
static void search_crossed(struct search *s)
{
	const struct terrain *t = s->t;
	struct spoke *all = NULL;
	size_t n = 0, cap = 0;

	for (size_t i = 0; i < t->field_count && s->steps < STEPS_MOST; i++) {
		const struct field *f = &t->fields[i];
		addr_count large = t->groups[f->two].size;

		if (t->groups[f->one].size >= large)
			continue;
		for (uint32_t at = 0, far; next_partner(t, f->one, large, &at, &far);) {
			s->steps++;
			all = mem_grow(all, n, &cap, sizeof *all);
			all[n++] = (struct spoke){ far, f->two, (uint32_t)i };
		}
	}
	if (n > 1)
		qsort(all, n, sizeof *all, compare_spokes);
	for (size_t i = 0; i < n && s->steps < STEPS_MOST;) {
		size_t count = 1, first, back;

		while (i + count < n && all[i + count].far == all[i].far && all[i + count].near == all[i].near)
			count++;
		back = all[i].far <= all[i].near ? spokes_of(all, n, all[i].near, all[i].far, &first) : 0;
		s->steps += count;
		if (back && !all_alike(t, &all[i], count, &all[first], back)) {
			for (size_t k = 0; k < count; k++)
				add_field(s, &t->fields[all[i + k].field]);
			for (size_t k = 0; k < back; k++) {
				const struct field *f = &t->fields[all[first + k].field];

				add_field(s, terrain_field(t, f->two, f->one));
			}
			compare_entries(s);
		}
		i += count;
	}
	free(all);
}

void conflict_search(const struct policy *p, struct report *r)
{
	SCOPED(terrain_freep) struct terrain *t = terrain_new(p);
	struct search s = { .t = t, .r = r };

	if (!t)
		return;
	search_aligned(&s);
	search_crossed(&s);
	names_wipe(&s.met);
	names_wipe(&s.reported);
	arena_wipe(&s.memory);
	free(s.meeting);
	free(s.entries);
	free(s.groups);
}
