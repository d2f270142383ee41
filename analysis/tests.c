#include "analysis/tests.h"

#include "base/str.h"

#include <string.h>

/* A test speaks of all that it asks: of both address families of two hosts, of all ports of a protocol. So the case
 * that fares otherwise than expected speaks for it, if there is one. */
static const struct answer_case *case_that_speaks(const struct answer *a, enum outcome expect)
{
	for (size_t i = 0; i < a->count; i++)
		if (a->cases[i].verdict.verdict != expect)
			return &a->cases[i];
	return &a->cases[0];
}

static const char *reason_of(struct why *w, const struct answer_case *c, struct arena *memory)
{
	struct str s = { 0 };
	const char *copy;

	if (c->pairs)
		str_addf(&s, "%s: ", c->pairs);
	if (c->when)
		str_addf(&s, "%s: ", c->when);
	why_reason(w, &c->verdict, &s);
	copy = arena_string(memory, str_text(&s), s.len);
	str_wipe(&s);
	return copy;
}

static void add_addresses(const struct policy *p, const struct host *h, struct party *ret)
{
	for (size_t i = 0; i < h->address_count && ret->count < PARTY_MEMBERS; i++) {
		struct ends_who who = ends_who(p, &h->addresses[i].addr);

		who.host = h;
		ret->members[ret->count++] = who;
	}
}

static int run_one(struct why *w, const struct policy_test *t, struct question *q, struct arena *memory,
		   struct test_result *ret, struct diag *d)
{
	const struct answer_case *c;
	struct answer a;
	int r;

	q->from.text = t->from;
	q->to.text = t->to;
	q->from.count = q->to.count = 0;
	add_addresses(why_policy(w), t->from_host, &q->from);
	add_addresses(why_policy(w), t->to_host, &q->to);
	q->services[0] = t->service;
	q->service_count = 1;
	q->traffic = t->traffic;
	q->facts = (struct facts){ .interface = t->interface, .program = t->program, .profiles = t->profiles };
	if (!q->from.count || !q->to.count) {
		*ret = (struct test_result){ t, false, OUTCOME_BLOCKED, "one of the hosts has no address" };
		return 0;
	}
	if ((r = question_ask(w, q, memory, &a, d)) < 0)
		return r;
	c = case_that_speaks(&a, t->expect);
	*ret = (struct test_result){ t, c->verdict.verdict == t->expect, c->verdict.verdict, NULL };
	if (!ret->passed)
		ret->reason = reason_of(w, c, memory);
	return 0;
}

int tests_run(struct why *w, struct arena *memory, struct test_result **ret, size_t *ret_count, struct diag *d)
{
	const struct policy_test *tests;
	size_t n = policy_tests(why_policy(w), &tests);
	struct test_result *results = arena_new(memory, n, sizeof *results);
	struct question q = { 0 };
	int r;

	q.from.members = arena_new(memory, PARTY_MEMBERS, sizeof *q.from.members);
	q.to.members = arena_new(memory, PARTY_MEMBERS, sizeof *q.to.members);
	for (size_t i = 0; i < n; i++) {
		SCOPED(arena_wipe) struct arena scratch = { 0 };

		if ((r = run_one(w, &tests[i], &q, &scratch, &results[i], d)) < 0)
			return r;
		if (results[i].reason)
			results[i].reason = arena_string(memory, results[i].reason, strlen(results[i].reason));
	}
	*ret = results;
	*ret_count = n;
	return 0;
}
