/* Random policies: the plan must say of every packet what a slow and obvious reading of the rules says, and both ends
 * of a packet must come to the same rule. The seed is printed; CORDON_TEST_SEED repeats a run, CORDON_TEST_LONG
 * lengthens it.
 */
#include "policy/plan.h"

#include "base/mem.h"
#include "base/str.h"
#include "base/text.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t random_state;

static unsigned below(unsigned n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)(random_state >> 20) % n;
}

static bool one_in(unsigned n)
{
	return below(n) == 0;
}

/* A world of 16 IPv4 and 16 IPv6 addresses, and elements that nest, overlap and coincide. */
static void add_element(struct str *out)
{
	const char *net = one_in(4) ? "2001:db8::" : "10.0.0.";
	unsigned lo = below(16), hi = lo + below(16 - lo), bits = below(5), base = lo >> bits << bits;
	bool six = net[0] == '2';

	switch (below(4)) {
	case 0:
		str_addf(out, six ? "\"%s%x\"" : "%s%u", net, lo);
		break;
	case 1:
		str_addf(out, six ? "\"%s%x-%s%x\"" : "%s%u-%s%u", net, lo, net, hi);
		break;
	case 2:
		str_addf(out, six ? "\"%s%x/%u\"" : "%s%u/%u", net, base, (six ? 128 : 32) - bits);
		break;
	default:
		str_add(out, six ? "\"2001:db8::/64\"" : "10.0.0.0/24");
	}
}

static void add_end(struct str *out)
{
	static const char *const names[] = { "z0", "z1", "z2", "z3", "any", "dns-servers", "h0", "h1", "h2" };

	str_add(out, "[");
	for (unsigned n = 1 + below(3); n; n--) {
		if (one_in(2))
			str_add(out, names[below(ARRAY_LEN(names))]);
		else
			add_element(out);
		str_add(out, n > 1 ? ", " : "]");
	}
}

static void add_service(struct str *out)
{
	static const char *const ports[] = { "53", "80", "50-60", "53-80", "[53, 80]", "1-65535" };
	unsigned kind = below(6);

	if (kind == 0)
		return;
	if (kind == 1) {
		str_add(out, one_in(2) ? ", protocol: icmp" : ", traffic: [icmp/8, icmp/3/1]");
		return;
	}
	if (kind == 2) {
		str_add(out, one_in(2) ? ", traffic: dns" : ", traffic: [tcp/50-60, udp/53, tcp]");
		return;
	}
	str_addf(out, ", protocol: %s", one_in(2) ? "tcp" : "udp");
	if (kind > 3 && !one_in(4))
		str_addf(out, ", port2: %s", ports[below(ARRAY_LEN(ports))]);
	if (kind == 5 || (kind == 4 && one_in(3)))
		str_addf(out, ", port1: %s", ports[below(ARRAY_LEN(ports))]);
}

static void make_policy(struct str *out)
{
	static const char *const modes[] = { "require", "require-inbound", "request", "exempt", "block" };
	unsigned rules = one_in(4) ? 40 : 1 + below(12); /* forty make lists that are too long to walk */

	str_add(out, "cordon: 1\nauthentication: { default: { certificate: {} }, b: { kerberos: { realm: B } } }\n"
		     "protection: { sign: { proposals: [esp-sha256-null] } }\n"
		     "hosts: { h0: { address: 10.0.0.3, roles: dns }, h1: { address: [10.0.0.9, \"2001:db8::9\"] },\n"
		     "  h2: { address: \"2001:db8::3\", roles: dns } }\nzones:\n");
	for (unsigned z = 0; z < 4; z++) {
		str_addf(out, "  z%u: [", z);
		for (unsigned n = 1 + below(4); n; n--) {
			if (z && one_in(4))
				str_addf(out, "z%u", below(z));
			else
				add_element(out);
			str_add(out, n > 1 ? ", " : "]\n");
		}
	}
	str_add(out, "connection-security:\n");
	for (unsigned i = 0; i < rules; i++) {
		const char *mode = modes[below(ARRAY_LEN(modes))];
		bool protects = mode[0] == 'r';

		str_addf(out, "- { name: r%u, mode: %s, endpoint1: ", i, mode);
		add_end(out);
		str_add(out, ", endpoint2: ");
		add_end(out);
		add_service(out);
		if (protects && one_in(3))
			str_add(out, ", protection: sign");
		if (protects && one_in(4))
			str_add(out, ", authentication: b");
		if (!protects && one_in(4))
			str_add(out, ", mirrored: false");
		str_add(out, " }\n");
	}
}

/* ---- the slow reading ---------------------------------------------------------------------------------------------
 */

/* The size of the smallest element of an end that holds the address; 0: none. */
static addr_count smallest(const struct policy *p, const struct end *e, const struct addr *a)
{
	addr_count size = 0;

	for (size_t i = 0; i < e->count; i++) {
		const struct address_set *s = e->items[i].set;
		addr_count one = 0;

		if (!s && e->items[i].keyword == KEYWORD_ANY)
			one = ADDR_COUNT_ALL;
		else if (!s)
			one = policy_host_by_address(p, a) && (policy_host_by_address(p, a)->roles & ROLE_DNS);
		for (size_t k = 0; s && k < s->count; k++) {
			addr_count n = addr_range_count(&s->elements[k]);

			if (addr_range_has(&s->elements[k], a) && (!one || n < one))
				one = n;
		}
		if (one && (!size || one < size))
			size = one;
	}
	return size;
}

static bool in(struct port_range r, unsigned port)
{
	return r.lo <= port && port <= r.hi;
}

/* Does the service of the rule match, when the packet's one end (with port one) is taken for endpoint 1? */
static bool matches(const struct rule *r, const struct service *s, const struct plan_packet *k, bool local_is_end1)
{
	unsigned one = local_is_end1 ? k->local_port : k->remote_port,
		 two = local_is_end1 ? k->remote_port : k->local_port;
	bool end1_opened = (k->initiator == INITIATOR_LOCAL) == local_is_end1;
	bool given1 = port_given(s->port1), given2 = port_given(s->port2);

	if (s->protocol != PROTOCOL_ANY && s->protocol != k->protocol)
		return false;
	if (s->icmp_type >= 0 &&
	    (s->icmp_type != k->local_port >> 8 || (s->icmp_code >= 0 && s->icmp_code != (k->local_port & 0xff))))
		return false;
	if (s->icmp_type < 0 && (!in(s->port1, one) || !in(s->port2, two)))
		return false;
	if (r->mode == MODE_EXEMPT || r->mode == MODE_BLOCK) {
		if (!r->mirrored && !end1_opened)
			return false;
		if (given2 && !given1 && !end1_opened)
			return false;
		if (given1 && !given2 && end1_opened)
			return false;
	}
	return true;
}

static unsigned ports_place(const struct service *s)
{
	bool one = port_given(s->port1), two = port_given(s->port2);

	if (s->icmp_type >= 0)
		return s->icmp_code >= 0 ? 0 : 10;
	if (one && two)
		return (unsigned)(s->port1.lo != s->port1.hi) + (unsigned)(s->port2.lo != s->port2.hi);
	if (one || two)
		return one ? 10 + (s->port1.lo != s->port1.hi) : 10 + (s->port2.lo != s->port2.hi);
	return 20;
}

struct place_in_contest {
	addr_count keys[7];
};

static bool better(const struct place_in_contest *a, const struct place_in_contest *b)
{
	for (size_t i = 0; i < ARRAY_LEN(a->keys); i++)
		if (a->keys[i] != b->keys[i])
			return a->keys[i] < b->keys[i];
	return false;
}

static const struct rule *slow_winner(const struct policy *p, const struct plan_packet *k)
{
	static const unsigned protects[] = {
		[MODE_BLOCK] = 0, [MODE_REQUIRE] = 1, [MODE_REQUIRE_INBOUND] = 2, [MODE_REQUEST] = 3, [MODE_EXEMPT] = 4
	};
	const struct rule *rules, *best = NULL;
	struct place_in_contest best_place = { 0 };
	size_t n = policy_rules(p, &rules);

	for (size_t i = 0; i < n; i++) {
		const struct rule *r = &rules[i];

		for (size_t way = 0; way < 2 * r->service_count; way++) {
			const struct service *s = &r->services[way / 2];
			bool local_is_end1 = way % 2;
			addr_count l = smallest(p, local_is_end1 ? &r->end1 : &r->end2, &k->local);
			addr_count m = smallest(p, local_is_end1 ? &r->end2 : &r->end1, &k->remote);
			bool encrypts = rule_mode_protects(r->mode) && strcmp(r->protection->name, "sign") != 0;
			struct place_in_contest place = { {
				l < m ? l : m,
				l < m ? m : l,
				s->protocol == PROTOCOL_ANY,
				ports_place(s),
				protects[r->mode],
				!encrypts,
				i,
			} };

			if (!l || !m || k->local.family != k->remote.family || !matches(r, s, k, local_is_end1))
				continue;
			if (!best || better(&place, &best_place)) {
				best = r;
				best_place = place;
			}
		}
	}
	return best;
}

/* ---- the comparison -----------------------------------------------------------------------------------------------
 */

static struct addr world(unsigned number)
{
	struct addr a = addr_v4(10, 0, 0, (uint8_t)number);
	static const uint8_t six[16] = { 0x20, 0x01, 0x0d, 0xb8 };

	if (number < 20) /* four of them only in the wide networks */
		return a;
	a.family = 6;
	memcpy(a.octets, six, sizeof six);
	a.octets[15] = (uint8_t)(number - 20);
	return a;
}

enum { WORLD = 40 };

static struct plan *plan_of(const struct policy *p, unsigned number, bool contests, struct report *r)
{
	struct host_address own = { world(number), -1 };
	struct plan_host host = { .own = &own, .own_count = 1, .contests = contests };
	struct plan *plan = NULL;

	assert_int_equal(plan_compile(p, &host, r, &plan), 0);
	return plan;
}

static const char *name_of(const struct rule *r)
{
	return r ? r->name : "none";
}

/* The look-up among rules that protect says what a walk over the list says. */
static void check_protecting(const struct plan *plan, const struct plan_packet *k)
{
	struct plan_list l = plan_meet(plan, &k->local, &k->remote);
	const struct plan_entry *want = NULL;

	for (size_t i = 0; i < l.count && !want; i++)
		if (rule_mode_protects(l.entries[i].rule->mode) && plan_entry_matches(&l.entries[i], k))
			want = &l.entries[i];
	assert_ptr_equal(plan_lookup_protecting(plan, k), want);
}

static void compare(const struct policy *p, struct plan **plans, const char *text)
{
	static const uint16_t ports[] = { 53, 80, 55, 60000, 8 << 8, 3 << 8 | 1 };
	static const uint8_t protocols[] = { 6, 17, 1, 47 };
	struct plan_packet k = { .protocol = protocols[below(4)] }, back;
	const struct plan_entry *fast, *other;
	const struct rule *want;
	unsigned l = below(WORLD), m = below(WORLD);
	char a[ADDR_TEXT], b[ADDR_TEXT];

	if (l == m)
		return;
	k.local = world(l);
	k.remote = world(m);
	k.initiator = one_in(2) ? INITIATOR_LOCAL : INITIATOR_REMOTE;
	k.local_port = ports[below(ARRAY_LEN(ports))];
	k.remote_port = ports[below(ARRAY_LEN(ports))];
	back = (struct plan_packet){
		.local = k.remote,
		.remote = k.local,
		.initiator = INITIATOR_EITHER ^ k.initiator,
		.protocol = k.protocol,
		.local_port = k.protocol == 1 ? k.local_port : k.remote_port,
		.remote_port = k.local_port,
	};
	want = slow_winner(p, &k);
	fast = plan_lookup(plans[l], &k);
	other = plan_lookup(plans[m], &back);
	check_protecting(plans[l], &k);
	if ((fast ? fast->rule : NULL) != want || (other ? other->rule : NULL) != want)
		fail_msg("%s:%u -> %s:%u protocol %d, opened by %s: '%s' should win; '%s' here, '%s' there\n%s",
			 addr_text(&k.local, a), k.local_port, addr_text(&k.remote, b), k.remote_port, k.protocol,
			 k.initiator == INITIATOR_LOCAL ? "the first" : "the second", name_of(want),
			 name_of(fast ? fast->rule : NULL), name_of(other ? other->rule : NULL), text);
}

static void check_shape(const struct plan *plan)
{
	const struct plan_region *regions;
	size_t n = plan_regions(plan, 0, &regions);

	for (size_t i = 0; i < n; i++) {
		struct plan_list l = plan_list(plan, regions[i].list);

		assert_true(l.count > 0);
		assert_true(addr_compare(&regions[i].remote.lo, &regions[i].remote.hi) <= 0);
		if (i)
			assert_true(addr_compare(&regions[i - 1].remote.hi, &regions[i].remote.lo) < 0);
	}
}

static void one_round(unsigned packets)
{
	SCOPED(str_wipe) struct str text = { 0 }, words = { 0 };
	SCOPED(report_freep) struct report *r = report_new();
	SCOPED(policy_freep) struct policy *p = NULL;
	/* Imported: a tie is then decided, not refused. */
	const struct policy_load_options o = { .imported = true };
	struct plan *plans[WORLD];
	bool contests = one_in(4);

	make_policy(&text);
	if (policy_parse(text_new("random.yaml", text.text, text.len), &o, r, &p) < 0) {
		report_text(r, false, &words);
		fail_msg("%s%s", str_text(&words), text.text);
	}
	for (unsigned i = 0; i < WORLD; i++)
		check_shape(plans[i] = plan_of(p, i, contests, r));
	for (unsigned i = 0; i < packets; i++)
		compare(p, plans, text.text);
	for (unsigned i = 0; i < WORLD; i++)
		plan_free(plans[i]);
}

static size_t contradictions(const struct report *r, const char **ret_first)
{
	const struct finding *const *all;
	size_t n = report_findings(r, &all), count = 0;

	*ret_first = "none";
	for (size_t i = 0; i < n; i++) {
		if (strcmp(all[i]->code, "contradiction") != 0)
			continue;
		if (count++ == 0)
			*ret_first = all[i]->message;
	}
	return count;
}

/* The look at the whole network finds a contradiction exactly if some host of this small world would. */
static void one_policy(unsigned *found)
{
	SCOPED(str_wipe) struct str text = { 0 };
	SCOPED(report_freep) struct report *native = report_new(), *imported = report_new(), *hosts = report_new();
	SCOPED(policy_freep) struct policy *p = NULL, *q = NULL;
	const struct policy_load_options o = { .imported = true };
	const char *here, *there;
	bool wide, narrow;

	make_policy(&text);
	(void)policy_parse(text_new("random.yaml", text.text, text.len), NULL, native, &p);
	assert_int_equal(policy_parse(text_new("random.yaml", text.text, text.len), &o, imported, &q), 0);
	for (unsigned i = 0; i < WORLD; i++)
		plan_free(plan_of(q, i, one_in(2), hosts));
	wide = contradictions(native, &here) > 0;
	narrow = contradictions(hosts, &there) > 0;
	assert_int_equal(wide, p == NULL);
	assert_int_equal(wide, contradictions(imported, &here) > 0);
	*found += narrow;
	if (wide != narrow)
		fail_msg("the network says: %s\nits hosts say: %s\n%s", here, there, text.text);
}

static void a_contradiction_is_found_for_the_network_as_for_its_hosts(void **state)
{
	const char *seed = getenv("CORDON_TEST_SEED"), *rounds = getenv("CORDON_TEST_LONG");
	unsigned long n = rounds ? 20000 : 300;
	unsigned found = 0;

	(void)state;
	random_state = (seed ? strtoull(seed, NULL, 10) : 20240608) | 1;
	print_message("seed %llu, %lu rounds\n", (unsigned long long)random_state, n);
	for (unsigned long i = 0; i < n; i++)
		one_policy(&found);
	print_message("%u of %lu contradict themselves\n", found, n);
	assert_true(found > 0 && found < n);
}

static void the_plan_agrees_with_a_slow_reading_at_both_ends(void **state)
{
	const char *seed = getenv("CORDON_TEST_SEED"), *rounds = getenv("CORDON_TEST_LONG");
	unsigned long n = rounds ? 20000 : 300;

	(void)state;
	random_state = (seed ? strtoull(seed, NULL, 10) : 20240607) | 1;
	print_message("seed %llu, %lu rounds\n", (unsigned long long)random_state, n);
	while (n--)
		one_round(300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_plan_agrees_with_a_slow_reading_at_both_ends),
		cmocka_unit_test(a_contradiction_is_found_for_the_network_as_for_its_hosts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
