#include "policy/plan_inside.h"

#include "base/scope.h"

#include <stdlib.h>
#include <string.h>

static unsigned ports_given(const struct plan_entry *e)
{
	return (unsigned)port_given(e->local_port) + port_given(e->remote_port) + (e->icmp_type >= 0) +
	       (e->icmp_code >= 0);
}

/* Ranges among the ports given: a single one is more specific. */
static unsigned port_spans(const struct plan_entry *e)
{
	return (unsigned)(port_given(e->local_port) && e->local_port.lo != e->local_port.hi) +
	       (port_given(e->remote_port) && e->remote_port.lo != e->remote_port.hi);
}

#define ORDER(a, b) \
	do { \
		if ((a) != (b)) \
			return (a) < (b) ? -1 : 1; \
	} while (0)

int plan_entry_rank(const struct plan_entry *a, const struct plan_entry *b)
{
	ORDER(a->small, b->small);
	ORDER(a->large, b->large);
	ORDER(a->protocol == PROTOCOL_ANY, b->protocol == PROTOCOL_ANY);
	ORDER(ports_given(b), ports_given(a));
	ORDER(port_spans(a), port_spans(b));
	return 0;
}

/* What an imported policy falls back on when two rules are of equal rank: the more protective one. */
static int protectiveness(const struct rule *r)
{
	static const int order[] = {
		[MODE_BLOCK] = 0, [MODE_REQUIRE] = 1, [MODE_REQUIRE_INBOUND] = 2, [MODE_REQUEST] = 3, [MODE_EXEMPT] = 4,
	};

	return 2 * order[r->mode] + (r->protection && !r->protection->require_encryption);
}

/* Equal rank: the more protective first, then any order that is the same on every host. */
static int entry_order(const void *x, const void *y)
{
	const struct plan_entry *a = x, *b = y;
	int rank = plan_entry_rank(a, b);

	if (rank)
		return rank;
	ORDER(protectiveness(a->rule), protectiveness(b->rule));
	ORDER(a->rule->index, b->rule->index);
	ORDER(a->protocol, b->protocol);
	ORDER(a->remote_port.lo, b->remote_port.lo);
	ORDER(a->remote_port.hi, b->remote_port.hi);
	ORDER(a->local_port.lo, b->local_port.lo);
	ORDER(a->local_port.hi, b->local_port.hi);
	ORDER(a->icmp_type, b->icmp_type);
	ORDER(a->icmp_code, b->icmp_code);
	ORDER(a->initiators, b->initiators);
	ORDER(b->local_is_end1, a->local_is_end1);
	return 0;
}

/* The same but for which way round the rule was taken. */
static bool entry_repeats(const struct plan_entry *a, const struct plan_entry *b)
{
	return a->rule == b->rule && a->protocol == b->protocol && a->local_port.lo == b->local_port.lo &&
	       a->local_port.hi == b->local_port.hi && a->remote_port.lo == b->remote_port.lo &&
	       a->remote_port.hi == b->remote_port.hi && a->icmp_type == b->icmp_type && a->icmp_code == b->icmp_code &&
	       a->initiators == b->initiators;
}

static bool ports_overlap(struct port_range a, struct port_range b)
{
	return a.lo <= b.hi && b.lo <= a.hi;
}

static bool icmp_overlap(int16_t a, int16_t b)
{
	return a < 0 || b < 0 || a == b;
}

static bool entries_overlap(const struct plan_entry *a, const struct plan_entry *b)
{
	return (a->protocol == PROTOCOL_ANY || b->protocol == PROTOCOL_ANY || a->protocol == b->protocol) &&
	       (a->initiators & b->initiators) && ports_overlap(a->local_port, b->local_port) &&
	       ports_overlap(a->remote_port, b->remote_port) && icmp_overlap(a->icmp_type, b->icmp_type) &&
	       icmp_overlap(a->icmp_code, b->icmp_code);
}

/* Would a packet fare otherwise under the one rule than under the other? */
static bool effects_differ(const struct rule *a, const struct rule *b)
{
	if (a->mode != b->mode)
		return true;
	if (!rule_mode_protects(a->mode))
		return false;
	return a->auth != b->auth || a->second_auth != b->second_auth || a->protection != b->protection ||
	       a->key_exchange != b->key_exchange || a->tunnel != b->tunnel || !addr_equal(&a->tunnel1, &b->tunnel1) ||
	       !addr_equal(&a->tunnel2, &b->tunnel2) || a->fallback_after_ms != b->fallback_after_ms ||
	       a->machine_count != b->machine_count ||
	       (a->machine_count && memcmp(a->machines, b->machines, a->machine_count * sizeof(void *)) != 0);
}

/* Pairs of rules that were reported, so that a pair is reported once however many addresses meet it. */
enum { CONFLICTS_MOST = 64, COMPARISONS_MOST = 4 * 1000 * 1000 };

struct conflict_seen {
	struct {
		uint32_t a, b;
	} pairs[CONFLICTS_MOST];
	size_t count, comparisons;
};

struct conflict_seen *conflict_seen_new(void)
{
	return mem_new(1, sizeof(struct conflict_seen));
}

void conflict_seen_free(struct conflict_seen *s)
{
	free(s);
}

static bool seen_before(struct conflict_seen *s, uint32_t a, uint32_t b)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->pairs[i].a == a && s->pairs[i].b == b)
			return true;
	if (s->count == CONFLICTS_MOST)
		return true;
	s->pairs[s->count].a = a;
	s->pairs[s->count++].b = b;
	return false;
}

static void report_conflict(const struct plan_entry *a, const struct plan_entry *b, const struct policy *p,
			    struct conflict_seen *seen, struct report *r, bool *ret_conflict)
{
	const struct rule *first = a->rule->index < b->rule->index ? a->rule : b->rule;
	const struct rule *later = first == a->rule ? b->rule : a->rule;
	struct finding *f;

	if (!policy_is_imported(p))
		*ret_conflict = true;
	if (seen_before(seen, first->index, later->index))
		return;
	if (policy_is_imported(p)) {
		f = report_add(r, SEVERITY_WARNING, "equal-rank", later->place,
			       "'%s' and '%s' match the same packets and neither is more specific", later->name,
			       first->name);
		finding_advise(f, "The more protective one is taken: '%s' (%s).", a->rule->name,
			       rule_mode_name(a->rule->mode));
		return;
	}
	f = report_add(r, SEVERITY_ERROR, "equal-rank", later->place,
		       "'%s' and '%s' match the same packets, neither is more specific, and they differ in effect",
		       later->name, first->name);
	finding_advise(f,
		       "'%s' (line %u) says %s, '%s' says %s. Narrow one of them (an address, a protocol, a port),\n"
		       "or give both the same mode, authentication and protection.",
		       first->name, first->place.line, rule_mode_name(first->mode), later->name,
		       rule_mode_name(later->mode));
}

/* a[0..n) are of equal rank, the more protective first. */
static void find_conflicts(const struct plan_entry *a, size_t n, const struct policy *p, struct conflict_seen *seen,
			   struct report *r, bool *ret_conflict)
{
	for (size_t i = 0; i < n; i++)
		for (size_t j = i + 1; j < n; j++) {
			if (seen->comparisons++ > COMPARISONS_MOST)
				return; /* the loader's check of the whole policy has no such bound */
			if (entries_overlap(&a[i], &a[j]) && effects_differ(a[i].rule, a[j].rule))
				report_conflict(&a[i], &a[j], p, seen, r, ret_conflict);
		}
}

static bool matches_everything(const struct plan_entry *e)
{
	return e->protocol == PROTOCOL_ANY && !ports_given(e) && e->initiators == INITIATOR_EITHER;
}

size_t plan_list_settle(struct plan_entry *entries, size_t n, const struct policy *p, bool contests,
			struct conflict_seen *seen, struct report *r, bool *ret_conflict)
{
	size_t kept = 0;

	qsort(entries, n, sizeof *entries, entry_order);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || !entry_repeats(&entries[kept - 1], &entries[i]))
			entries[kept++] = entries[i];
	for (size_t i = 0, j; i < kept; i = j) {
		bool all = false;

		for (j = i; j < kept && plan_entry_rank(&entries[i], &entries[j]) == 0; j++)
			all = all || matches_everything(&entries[j]);
		find_conflicts(&entries[i], j - i, p, seen, r, ret_conflict);
		if (all && !contests)
			return j;
	}
	return kept;
}
