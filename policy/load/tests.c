/* tests: what the policy's author expects of it. */
#include "base/diag.h"
#include "policy/model.h"

static void read_test(struct load *l, uint32_t node, struct policy_test *t)
{
	enum { FROM, TO, TRAFFIC, EXPECT, INTERFACE, PROGRAM, PROFILE, KEYS };
	static const struct map_key keys[KEYS] = {
		[FROM] = { "from", true },
		[TO] = { "to", true },
		[TRAFFIC] = { "traffic", true },
		[EXPECT] = { "expect", true },
		[INTERFACE] = { "interface", false },
		[PROGRAM] = { "program", false },
		[PROFILE] = { "profile", false },
	};
	static const struct choice outcomes[] = {
		{ "clear", OUTCOME_CLEAR },
		{ "authenticated", OUTCOME_AUTHENTICATED },
		{ "encrypted", OUTCOME_ENCRYPTED },
		{ "blocked", OUTCOME_BLOCKED },
	};
	static const struct choice profiles[] = {
		{ "domain", PROFILE_DOMAIN },
		{ "private", PROFILE_PRIVATE },
		{ "public", PROFILE_PUBLIC },
	};
	uint32_t v[KEYS];
	unsigned expect = 0;
	size_t count;
	struct diag d = { 0 };

	t->place = yaml_place(l->rd.y, node);
	if (!read_map(&l->rd, node, "a test", keys, KEYS, v) && !node_is_map(&l->rd, node))
		return;
	if (v[FROM] && (t->from_host = load_host_named(l, v[FROM], "from")))
		t->from = t->from_host->name;
	if (v[TO] && (t->to_host = load_host_named(l, v[TO], "to")))
		t->to = t->to_host->name;
	if (t->from_host && t->from_host == t->to_host)
		read_error(&l->rd, "bad-value", v[TO], "'%s' is at both ends; rules speak of two hosts", t->to);
	if (v[TRAFFIC] && read_string(&l->rd, v[TRAFFIC], "traffic of a test", &t->traffic)) {
		size_t len;
		const char *text = yaml_text(l->rd.y, v[TRAFFIC], &len);

		if (policy_traffic_parse(l->p, text, len, &t->service, 1, &count, &d) < 0)
			finding_advise(read_error(&l->rd, "bad-value", v[TRAFFIC], "%s", d.text),
				       "a test asks for one protocol and port, such as tcp/445");
		else if (t->service.port2.lo != t->service.port2.hi && port_given(t->service.port2))
			read_error(&l->rd, "bad-value", v[TRAFFIC], "a test asks for one port, not a range");
	}
	if (v[INTERFACE])
		(void)read_interface(&l->rd, v[INTERFACE], &t->interface);
	if (v[PROGRAM])
		(void)load_program(l, v[PROGRAM], &t->program);
	if (v[PROFILE])
		(void)read_choice(&l->rd, v[PROFILE], "profile", profiles, ARRAY_LEN(profiles), &t->profiles);
	if (v[EXPECT] && read_choice(&l->rd, v[EXPECT], "expect", outcomes, ARRAY_LEN(outcomes), &expect)) {
		t->expect = (enum outcome)expect;
		t->expect_place = yaml_place(l->rd.y, v[EXPECT]);
	}
}

void load_tests(struct load *l, uint32_t node)
{
	struct policy *p = l->p;

	if (!node)
		return;
	if (yaml_at(l->rd.y, node)->kind != YAML_LIST) {
		read_error(&l->rd, "wrong-type", node, "tests: is a list; begin each with '- { from: ... }'");
		return;
	}
	p->tests = arena_new(&p->memory, yaml_at(l->rd.y, node)->count, sizeof *p->tests);
	for (uint32_t i = item_first(&l->rd, node); i; i = item_next(&l->rd, node, i))
		read_test(l, i, &p->tests[p->test_count++]);
}
