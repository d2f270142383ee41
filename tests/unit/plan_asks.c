/* Where a firewall rule asks for encryption: both ends of a packet come to the rule that gives it, and to no other rule
 * than without the firewall. */
#include "policy/plan.h"

#include "base/str.h"
#include "base/text.h"
#include "tests/unit/unit.h"

#include <string.h>

static struct addr address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, strlen(text), &a, NULL), 0);
	return a;
}

struct world {
	struct report *report;
	struct policy *policy;
};

static void world_open(struct world *w, const char *firewall)
{
	SCOPED(str_wipe) struct str text = { 0 };

	str_addf(&text,
		 "cordon: 1\n"
		 "zones: { net: [10.0.0.0/16], web: [10.0.1.0/24], ops: [10.0.2.0/24] }\n"
		 "authentication: { default: { certificate: {} } }\n"
		 "protection:\n"
		 "  sign: { proposals: [esp-sha256-null] }\n"
		 "  both: { proposals: [ah-sha256, esp-aes128gcm, esp-sha256-null, esp-aes256gcm] }\n"
		 "connection-security:\n"
		 "  - { name: all, endpoint1: [net], endpoint2: [net], mode: require, protection: both }\n"
		 "  - { name: dns, endpoint1: [net], endpoint2: [web], traffic: [udp/53], mode: exempt }\n"
		 "  - { name: signed, endpoint1: [net], endpoint2: [web], protocol: tcp, port2: 90, mode: require,"
		 " protection: sign }\n"
		 "  - { name: port, endpoint1: [net], endpoint2: [web], protocol: tcp, port2: 91, mode: require,"
		 " protection: both }\n"
		 "firewall:\n  hosts: [web]\n  inbound: allow\n  outbound: allow\n  rules:\n%s",
		 firewall);
	w->report = report_new();
	if (policy_parse(text_new("test.yaml", text.text, text.len), NULL, w->report, &w->policy) < 0) {
		SCOPED(str_wipe) struct str out = { 0 };

		report_text(w->report, false, &out);
		fail_msg("%s", str_text(&out));
	}
}

static void world_close(struct world *w)
{
	policy_free(w->policy);
	report_free(w->report);
}

static struct plan *plan_of(struct world *w, const char *local, bool contests)
{
	struct host_address own = { address(local), 24 };
	struct plan_host host = { .own = &own, .own_count = 1, .contests = contests };
	struct plan *plan = NULL;

	assert_int_equal(plan_compile(w->policy, &host, w->report, &plan), 0);
	return plan;
}

/* The rule that wins at `local`; its first suite goes to *ret. */
static const struct rule *meet(const struct plan *plan, const char *local, const char *remote, int protocol,
			       uint16_t local_port, uint16_t remote_port)
{
	struct plan_packet k = { .local = address(local),
				 .remote = address(remote),
				 .initiator = INITIATOR_LOCAL,
				 .protocol = (int16_t)protocol,
				 .local_port = local_port,
				 .remote_port = remote_port };
	const struct plan_entry *e = plan_lookup(plan, &k);

	return e ? e->rule : NULL;
}

enum stands { AS_WRITTEN, ENCRYPTED, ENCRYPTED_FIRST };

static void both_ends_come_to_the_same(void **state)
{
	static const struct {
		const char *firewall;
		const char *client, *server;
		int protocol;
		uint16_t port;
		const char *rule;
		enum stands stands;
	} rows[] = {
#define HIDE "    - { name: f, action: allow, traffic: [tcp/80], secure: encrypted }\n"
#define LATER "    - { name: g, action: allow, traffic: [tcp/80-81], secure: encrypted-on-demand }\n"
#define OPS "    - { name: h, action: allow, remote: [ops], secure: encrypted }\n"
#define FROM "    - { name: j, action: allow, protocol: tcp, remote-port: 40000, secure: encrypted }\n"
#define ONE "    - { name: i, action: allow, local: [10.0.1.7], traffic: [tcp/80], secure: encrypted }\n"
		{ HIDE, "10.0.2.2", "10.0.1.1", 6, 80, "all", ENCRYPTED },
		{ HIDE, "10.0.2.2", "10.0.1.1", 6, 81, "all", AS_WRITTEN },
		{ HIDE, "10.0.2.2", "10.0.1.1", 17, 80, "all", AS_WRITTEN },
		{ HIDE, "10.0.2.2", "10.0.3.1", 6, 80, "all", AS_WRITTEN }, /* nobody rules that server */
		{ HIDE, "10.0.1.2", "10.0.1.1", 6, 80, "all", ENCRYPTED },  /* both are ruled */
		{ LATER, "10.0.2.2", "10.0.1.1", 6, 81, "all", ENCRYPTED_FIRST },
		{ LATER HIDE, "10.0.2.2", "10.0.1.1", 6, 80, "all", ENCRYPTED }, /* the stronger wish */
		{ LATER HIDE, "10.0.2.2", "10.0.1.1", 6, 81, "all", ENCRYPTED_FIRST },
		{ OPS, "10.0.2.2", "10.0.1.1", 1, 0, "all", ENCRYPTED },
		{ OPS, "10.0.3.2", "10.0.1.1", 1, 0, "all", AS_WRITTEN },
		{ OPS, "10.0.2.2", "10.0.1.1", 17, 53, "dns", AS_WRITTEN },   /* exempt it stays */
		{ OPS, "10.0.2.2", "10.0.1.1", 6, 90, "signed", AS_WRITTEN }, /* its set has nothing that encrypts */
		{ FROM, "10.0.2.2", "10.0.1.1", 6, 91, "port",
		  AS_WRITTEN }, /* the server's port of one, the client's of the other */
		{ FROM, "10.0.2.2", "10.0.1.1", 6, 92, "all", ENCRYPTED },
		{ ONE, "10.0.2.2", "10.0.1.7", 6, 80, "all", ENCRYPTED },
		{ ONE, "10.0.2.2", "10.0.1.8", 6, 80, "all", AS_WRITTEN },
#undef HIDE
#undef LATER
#undef OPS
#undef ONE
#undef FROM
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world w;
		struct plan *client, *server;
		const struct rule *a, *b;
		enum stands stands;

		world_open(&w, rows[i].firewall);
		client = plan_of(&w, rows[i].client, false);
		server = plan_of(&w, rows[i].server, false);
		a = meet(client, rows[i].client, rows[i].server, rows[i].protocol, 40000, rows[i].port);
		b = meet(server, rows[i].server, rows[i].client, rows[i].protocol, rows[i].port, 40000);
		if (!a || (rows[i].protocol == 6 && a != b)) {
			fail_msg("row %zu: '%s' here, '%s' there", i, a ? a->name : "none", b ? b->name : "none");
			return;
		}
		assert_string_equal(a->name, rows[i].rule);
		stands = !a->base ? AS_WRITTEN : a == a->base->encrypted ? ENCRYPTED : ENCRYPTED_FIRST;
		if (stands != rows[i].stands)
			fail_msg("row %zu: %d instead of %d", i, (int)stands, (int)rows[i].stands);
		assert_ptr_equal(policy_rule_at(w.policy, a->index), a);
		plan_free(client);
		plan_free(server);
		world_close(&w);
	}
}

static void suites_keep_their_order_and_lose_what_does_not_encrypt(void **state)
{
	struct world w;
	const struct rule *rules;
	const struct protection_set *s;

	(void)state;
	world_open(&w, "    - { name: f, action: allow, traffic: [tcp/80], secure: encrypted }\n"
		       "    - { name: g, action: allow, traffic: [tcp/81], secure: encrypted-on-demand }\n");
	assert_int_equal(policy_rules(w.policy, &rules), 4); /* as written */
	s = rules[0].encrypted->protection;
	assert_int_equal(s->count, 2);
	assert_true(s->require_encryption);
	assert_true(child_suite_equal(&s->suites[0], &rules[0].protection->suites[1]));
	assert_true(child_suite_equal(&s->suites[1], &rules[0].protection->suites[3]));
	s = rules[0].encrypted_first->protection;
	assert_int_equal(s->count, 4);
	assert_false(s->require_encryption);
	assert_true(child_suite_equal(&s->suites[0], &rules[0].protection->suites[1]));
	assert_true(child_suite_equal(&s->suites[1], &rules[0].protection->suites[3]));
	assert_true(child_suite_equal(&s->suites[2], &rules[0].protection->suites[0]));
	assert_null(rules[1].encrypted); /* exempt */
	assert_null(rules[2].encrypted); /* cannot */
	world_close(&w);
}

/* `why` shows what lost, so the rule as written stays behind its stand-in there, and only there. */
static void a_rule_that_is_stood_in_for_is_kept_for_contests(void **state)
{
	struct world w;

	(void)state;
	world_open(&w, "    - { name: f, action: allow, secure: encrypted }\n");
	for (int contests = 0; contests <= 1; contests++) {
		struct plan *plan = plan_of(&w, "10.0.2.2", contests);
		struct addr local = address("10.0.2.2"), remote = address("10.0.1.1");
		struct plan_list list = plan_meet(plan, &local, &remote);
		size_t all = 0;

		for (size_t i = 0; i < list.count; i++)
			all += strcmp(list.entries[i].rule->name, "all") == 0;
		assert_int_equal(all, contests ? 2 : 1);
		plan_free(plan);
	}
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ends_come_to_the_same),
		cmocka_unit_test(suites_keep_their_order_and_lose_what_does_not_encrypt),
		cmocka_unit_test(a_rule_that_is_stood_in_for_is_kept_for_contests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
