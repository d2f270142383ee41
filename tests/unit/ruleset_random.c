/* Rulesets of random policies: what they name is there, and nft takes them, however their rules share chains. */
#include "tests/unit/unit.h"

#include "base/addr.h"
#include "base/diag.h"
#include "base/mem.h"
#include "base/report.h"
#include "base/str.h"
#include "base/text.h"
#include "enforce/gate.h"
#include "enforce/nft.h"
#include "enforce/ruleset.h"
#include "policy/plan.h"
#include "policy/policy.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SEEDS = 120, LOADED = 12, RULES_MOST = 96, RULE_TEXT = 256 };

/* ---- policies ---------------------------------------------------------------------------------------------------- */

struct dice {
	uint64_t state;
};

static unsigned roll(struct dice *d, unsigned sides)
{
	d->state = d->state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)((d->state >> 33) % sides);
}

#define PICK(d, of) ((of)[roll((d), sizeof(of) / sizeof *(of))])

static const char *some_address(struct dice *d, bool v6, char buf[64])
{
	static const char *const wide4[] = { "10.0.0.4/31", "10.0.0.0/29", "10.0.0.8/30", "10.0.0.0/24",
					     "any",         "0.0.0.0/1",   "128.0.0.0/1", "10.0.0.3-10.0.0.9" };
	static const char *const wide6[] = { "fd00::/125", "fd00::8/126", "fd00::/64",      "::/1",
					     "8000::/1",   "any",         "fd00::3-fd00::9" };

	if (roll(d, 3) == 0)
		return v6 ? PICK(d, wide6) : PICK(d, wide4);
	(void)snprintf(buf, 64, v6 ? "fd00::%x" : "10.0.0.%u", 2 + roll(d, 10));
	return buf;
}

static void add_port(struct dice *d, struct str *out, int end)
{
	static const unsigned known[] = { 0, 1, 22, 53, 80, 443, 445, 65534, 65535 };
	unsigned lo = roll(d, 2) ? PICK(d, known) : roll(d, 200), hi = lo + 1 + roll(d, 40);

	str_addf(out, ", port%d: %u", end, lo);
	if (roll(d, 3) == 0 && hi <= UINT16_MAX)
		str_addf(out, "-%u", hi);
}

static void add_traffic(struct dice *d, bool v6, struct str *out)
{
	static const char *const with_ports[] = { "tcp", "tcp", "udp", "sctp" };
	static const unsigned others[] = { 0, 47, 50, 89, 255 };
	unsigned what = roll(d, 20);

	if (what < 11) {
		unsigned ends = roll(d, 4);

		str_addf(out, ", protocol: %s", PICK(d, with_ports));
		if (ends & 1)
			add_port(d, out, 1);
		if (ends & 2)
			add_port(d, out, 2);
	} else if (what < 13) {
		str_addf(out, ", protocol: %s", v6 ? "icmpv6" : "icmp");
	} else if (what < 14) {
		str_addf(out, ", protocol: %u", PICK(d, others));
	}
}

enum shape { MIXED, SAME_HOSTS, ONE_WAY, SHAPES };

/* SAME_HOSTS: all between the same two. ONE_WAY: mostly exemptions, of which many are not mirrored. */
static void some_rule(struct dice *d, enum shape shape, size_t number, struct str *out)
{
	static const char *const modes[] = { "require", "require", "request", "require-inbound", "exempt", "block" };
	bool many = shape == SAME_HOSTS, v6 = shape != ONE_WAY && roll(d, 3) == 0, swapped = roll(d, 5) < 2;
	const char *mode = many && roll(d, 4)               ? "require"
			   : shape == ONE_WAY && roll(d, 4) ? "exempt"
							    : PICK(d, modes),
		   *ours = v6 ? "fd00::1" : "10.0.0.1", *theirs;
	char ours_text[64], theirs_text[64];

	if (shape == MIXED && roll(d, 4) == 0)
		ours = some_address(d, v6, ours_text);
	theirs = many ? v6 ? "fd00::2" : "10.0.0.2" : some_address(d, v6, theirs_text);
	str_addf(out, "  - { name: r%zu, endpoint1: [\"%s\"], endpoint2: [\"%s\"], mode: %s", number,
		 swapped ? theirs : ours, swapped ? ours : theirs, mode);
	add_traffic(d, v6, out);
	if ((strcmp(mode, "exempt") == 0 || strcmp(mode, "block") == 0) &&
	    roll(d, shape == ONE_WAY ? 2 : 5) < (shape == ONE_WAY ? 1u : 2u))
		str_add(out, ", mirrored: false");
	str_add(out, " }\n");
}

static const char head[] = "cordon: 1\n"
			   "authentication:\n"
			   "  default: [ { pre-shared-key: { file: /nowhere } } ]\n"
			   "connection-security:\n";
enum { HEAD_LINES = 4 };

static struct plan *plan_of(struct policy *policy)
{
	static const char *const own_text[] = { "10.0.0.1", "10.0.0.12", "fd00::1" };
	SCOPED(report_freep) struct report *report = report_new();
	struct host_address own[ARRAY_LEN(own_text)] = { 0 };
	struct plan_host host = { .own = own, .own_count = ARRAY_LEN(own) };
	struct plan *plan = NULL;

	for (size_t i = 0; i < ARRAY_LEN(own); i++) {
		own[i].prefix = -1;
		assert_int_equal(addr_parse(own_text[i], strlen(own_text[i]), &own[i].addr, NULL), 0);
	}
	if (plan_compile(policy, &host, report, &plan) < 0)
		return NULL;
	return plan;
}

/* A policy of these rules without those that contradict another one. */
static struct policy *policy_of(char rules[RULES_MOST][RULE_TEXT], size_t count)
{
	for (;;) {
		SCOPED(report_freep) struct report *report = report_new();
		SCOPED(str_wipe) struct str text = { 0 };
		const struct finding *const *findings;
		struct policy *policy = NULL;
		size_t n, taken = 0;

		str_add(&text, head);
		for (size_t i = 0; i < count; i++)
			str_add(&text, rules[i][0] ? rules[i] : "\n");
		if (policy_parse(text_new("random.yaml", text.text, text.len), NULL, report, &policy) == 0)
			return policy;
		n = report_findings(report, &findings);
		for (size_t i = 0; i < n; i++) {
			size_t rule = findings[i]->place.line - HEAD_LINES - 1;

			if (findings[i]->severity != SEVERITY_ERROR || rule >= count || !rules[rule][0])
				continue;
			rules[rule][0] = '\0';
			taken++;
		}
		if (!taken) {
			str_add(&text, "\n");
			report_text(report, false, &text);
			fail_msg("%s", str_text(&text));
		}
	}
}

static struct policy *random_policy(uint64_t seed)
{
	struct dice d = { seed };
	char rules[RULES_MOST][RULE_TEXT];
	enum shape shape;
	size_t count;

	(void)roll(&d, 1);
	shape = (enum shape)roll(&d, SHAPES);
	count = shape == SAME_HOSTS ? 50 + roll(&d, 40) : 3 + roll(&d, 20);
	for (size_t i = 0; i < count; i++) {
		SCOPED(str_wipe) struct str one = { 0 };

		some_rule(&d, shape, i, &one);
		assert_true(one.len < RULE_TEXT);
		memcpy(rules[i], one.text, one.len + 1);
	}
	return policy_of(rules, count);
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

static bool is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* A counter may also be looked up by a field of the packet, and some fields have an @ themselves. */
static bool is_field(const char *name)
{
	static const char *const fields[] = { "ct", "ip", "ip6", "ih", "nh", "th", "ll" };

	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (strcmp(name, fields[i]) == 0)
			return true;
	return false;
}

/* Each name behind `before` is that of a `kind`. */
static void are_defined(const char *text, const char *before, const char *const *kinds, uint64_t seed)
{
	for (const char *at = text; (at = strstr(at, before));) {
		char name[64], definition[96];
		size_t len = 0;
		bool found = false;

		at += strlen(before);
		while (is_name(at[len]))
			len++;
		if (!len)
			continue;
		assert_true(len < sizeof name);
		memcpy(name, at, len);
		name[len] = '\0';
		for (size_t k = 0; kinds[k] && !found; k++) {
			(void)snprintf(definition, sizeof definition, "\n\t%s %s {\n", kinds[k], name);
			found = strstr(text, definition) != NULL;
		}
		if (!found && !is_field(name))
			fail_msg("seed %llu: nothing defines %s%s", (unsigned long long)seed, before, name);
	}
}

static void all_is_defined(const char *text, uint64_t seed)
{
	static const char *const counters[] = { "counter", NULL }, *const chains[] = { "chain", NULL },
				 *const sets[] = { "set", "map", NULL };
	static const struct {
		const char *before;
		const char *const *kinds;
	} rows[] = { { " : \"", counters },
		     { "counter name ", counters },
		     { "goto ", chains },
		     { "jump ", chains },
		     { "@", sets } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		are_defined(text, rows[i].before, rows[i].kinds, seed);
}

/* ---- the promises ------------------------------------------------------------------------------------------------ */

static const struct way {
	enum gate_plane plane;
	uint32_t apart;
} ways[] = {
	{ GATE_PLANE_TUN, 0 },    { GATE_PLANE_TUN, 4 },    { GATE_PLANE_TUN, 1000000 },
	{ GATE_PLANE_KERNEL, 0 }, { GATE_PLANE_KERNEL, 4 },
};

static void write_ruleset(const struct way *w, const struct plan *plan, struct str *out)
{
	struct gate_config c = gate_default;

	c.plane = w->plane;
	c.rules_apart = w->apart;
	gate_ruleset(&c, plan, out);
}

static void what_a_ruleset_names_is_there(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		SCOPED(policy_freep) struct policy *policy = random_policy(seed);
		SCOPED(plan_freep) struct plan *plan = plan_of(policy);

		assert_non_null(plan);
		for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
			SCOPED(str_wipe) struct str text = { 0 };

			write_ruleset(&ways[i], plan, &text);
			all_is_defined(str_text(&text), seed);
		}
	}
}

/* Behind a rule of one direction that takes everything there stands one that no packet reaches. */
static void a_rule_that_nobody_reaches_has_no_counter(void **state)
{
	char rules[RULES_MOST][RULE_TEXT] = {
		"  - { name: one way, endpoint1: [10.0.0.1], endpoint2: [10.1.0.0/24], mode: exempt, mirrored: false "
		"}\n",
		"  - { name: shadowed, endpoint1: [10.0.0.0/29], endpoint2: [10.1.0.0/24], mode: exempt, protocol: tcp,"
		" port2: 445 }\n",
		"  - { name: one, endpoint1: [10.0.0.1], endpoint2: [10.2.0.1], mode: exempt }\n",
		"  - { name: other, endpoint1: [10.0.0.1], endpoint2: [10.2.0.1], mode: exempt, protocol: tcp, port2: "
		"22 }\n",
	};
	SCOPED(policy_freep) struct policy *policy = policy_of(rules, 4);
	SCOPED(plan_freep) struct plan *plan = plan_of(policy);

	(void)state;
	assert_non_null(plan);
	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		SCOPED(str_wipe) struct str text = { 0 };

		write_ruleset(&ways[i], plan, &text);
		all_is_defined(str_text(&text), 0);
	}
}

/* ---- the short way ----------------------------------------------------------------------------------------------- */

static struct plan_packet some_packet(struct dice *d, const struct addr *local, const struct addr *remote)
{
	static const uint16_t ports[] = { 0, 1, 22, 53, 80, 443, 445, 500, 65534, 65535 };
	static const int16_t protocols[] = { 0, 1, 6, 6, 17, 17, 33, 47, 50, 58, 89, 132, 255 };
	static const unsigned initiators[] = { INITIATOR_LOCAL, INITIATOR_REMOTE, INITIATOR_EITHER };

	return (struct plan_packet){
		.local = *local,
		.remote = *remote,
		.initiator = PICK(d, initiators),
		.protocol = PICK(d, protocols),
		.local_port = roll(d, 2) ? PICK(d, ports) : (uint16_t)roll(d, 200),
		.remote_port = roll(d, 2) ? PICK(d, ports) : (uint16_t)roll(d, 200),
	};
}

/* The rules, one packet after the other, on a pair of which the short way says that all is protected. */
static void all_is_protected(struct dice *d, const struct plan *plan, const struct addr *local,
			     const struct addr *remote, uint64_t seed)
{
	enum { PACKETS = 300 };

	for (unsigned i = 0; i < PACKETS; i++) {
		struct plan_packet k = some_packet(d, local, remote);
		const struct plan_entry *e = plan_lookup(plan, &k);
		char there[ADDR_TEXT];

		if (!e || !rule_mode_protects(e->rule->mode))
			fail_msg("seed %llu: to %s, protocol %d, ports %u and %u: %s", (unsigned long long)seed,
				 addr_text(remote, there), k.protocol, k.local_port, k.remote_port,
				 e ? e->rule->name : "no rule");
	}
}

static bool has_pair(const char *text, const char *set, const struct addr *local, const struct addr *remote)
{
	char here[ADDR_TEXT], there[ADDR_TEXT], pair[2 * ADDR_TEXT + 8], begin[32];
	const char *at, *end;

	(void)snprintf(begin, sizeof begin, "\tset %s {", set);
	(void)snprintf(pair, sizeof pair, "%s . %s", addr_text(local, here), addr_text(remote, there));
	at = strstr(text, begin);
	end = at ? strstr(at, "\n\t}\n") : NULL;
	if (!at || !end)
		fail_msg("no set %s", set);
	for (at = at ? strstr(at, pair) : NULL; at && at < end; at = strstr(at + 1, pair))
		if (!is_name(at[strlen(pair)]) && at[strlen(pair)] != '.' && at[strlen(pair)] != ':')
			return true;
	return false;
}

/* Who has fallen back is asked for by the rules, and so is everybody where some packet is exempt or blocked. */
static void the_short_way_says_what_the_rules_say(void **state)
{
	enum { PEERS = 14 };
	unsigned sure = 0, unsure = 0;

	(void)state;
	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		struct dice d = { seed + SEEDS };
		SCOPED(policy_freep) struct policy *policy = random_policy(seed);
		SCOPED(plan_freep) struct plan *plan = plan_of(policy);
		SCOPED(str_wipe) struct str text = { 0 };
		struct ruleset_pair pairs[PEERS * 3], fallen[PEERS * 3];
		struct ruleset_carry carry = { .secured = pairs, .fallback = fallen };
		const struct addr *own;
		size_t locals = plan_locals(plan, &own);

		for (size_t i = 0; i < locals; i++)
			for (unsigned n = 0; n < PEERS; n++) {
				char peer[64];
				struct ruleset_pair p = { .local = own[i] };

				(void)snprintf(peer, sizeof peer, own[i].family == 4 ? "10.0.0.%u" : "fd00::%x", 2 + n);
				assert_int_equal(addr_parse(peer, strlen(peer), &p.remote, NULL), 0);
				pairs[carry.secured_count++] = p;
				if (roll(&d, 4) == 0)
					fallen[carry.fallback_count++] = p;
			}
		ruleset_write(&gate_default, TABLE_NAME, plan, &carry, &text);
		for (size_t i = 0; i < carry.secured_count; i++) {
			const struct ruleset_pair *p = &pairs[i];
			bool is = has_pair(str_text(&text), p->local.family == 4 ? "sure_ip" : "sure_ip6", &p->local,
					   &p->remote);

			sure += is;
			unsure += !is;
			if (is)
				all_is_protected(&d, plan, &p->local, &p->remote, seed);
			for (size_t f = 0; is && f < carry.fallback_count; f++)
				assert_false(addr_equal(&fallen[f].remote, &p->remote) &&
					     addr_equal(&fallen[f].local, &p->local));
		}
	}
	assert_true(sure > 100 && unsure > 100);
}

/* The kernel judges too. Needs a namespace of our own. */
static void nft_takes_them(void **state)
{
	(void)state;
	if (unshare(CLONE_NEWNET) < 0 || (access("/usr/sbin/nft", X_OK) < 0 && access("/sbin/nft", X_OK) < 0))
		skip();
	for (uint64_t seed = 0; seed < LOADED; seed++) {
		SCOPED(policy_freep) struct policy *policy = random_policy(seed);
		SCOPED(plan_freep) struct plan *plan = plan_of(policy);
		SCOPED(str_wipe) struct str text = { 0 };
		struct diag d;

		assert_non_null(plan);
		write_ruleset(&ways[seed % ARRAY_LEN(ways)], plan, &text);
		if (nft_try(str_text(&text), text.len, &d) < 0)
			fail_msg("seed %llu: %s", (unsigned long long)seed, d.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_ruleset_names_is_there),
		cmocka_unit_test(a_rule_that_nobody_reaches_has_no_counter),
		cmocka_unit_test(the_short_way_says_what_the_rules_say),
		cmocka_unit_test(nft_takes_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
