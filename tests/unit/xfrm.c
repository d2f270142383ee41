/* The kernel's plane without a kernel: prefixes and blocks of ports, the policies that a plan wants, and messages. */
#include "tests/unit/planned.h"
#include "tests/unit/unit.h"

#include "base/diag.h"
#include "base/report.h"
#include "base/scope.h"
#include "base/text.h"
#include "dataplane/xfrm/cover.h"
#include "dataplane/xfrm/ears.h"
#include "dataplane/xfrm/message.h"
#include "dataplane/xfrm/stat.h"
#include "dataplane/xfrm/states.h"
#include "dataplane/xfrm/unknown.h"
#include "dataplane/xfrm/wanted.h"
#include "policy/reqid.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct addr address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, strlen(text), &a, NULL), 0);
	return a;
}

static struct addr_range range(const char *text)
{
	struct addr_range r;

	assert_int_equal(addr_range_parse(text, strlen(text), &r, NULL), 0);
	return r;
}

/* ---- numbers ---- */

static void port_ranges_become_blocks_that_are_just_they(void **state)
{
	static const struct {
		uint16_t lo, hi;
		unsigned blocks;
	} rows[] = { { 0, 65535, 1 },  { 80, 80, 1 },      { 0, 0, 1 }, { 65535, 65535, 1 }, { 5000, 5009, 2 },
		     { 1, 65534, 30 }, { 1024, 65535, 6 }, { 1, 2, 2 }, { 32768, 65535, 1 } };
	struct port_block blocks[PORT_BLOCKS_MOST];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct port_range r = { rows[i].lo, rows[i].hi };
		struct port_block around = convert_ports_around(r);
		unsigned n = convert_ports(r, blocks);

		if (n != rows[i].blocks)
			fail_msg("row %zu: %u blocks", i, n);
		for (uint32_t port = 0; port < 65536; port++) {
			unsigned in = 0;

			for (unsigned k = 0; k < n; k++)
				in += (port & blocks[k].mask) == blocks[k].value;
			if (in != (port >= r.lo && port <= r.hi))
				fail_msg("row %zu: port %u is in %u blocks", i, port, in);
			if (in && (port & around.mask) != around.value)
				fail_msg("row %zu: port %u is not in the block around", i, port);
		}
	}
}

static void ranges_become_prefixes_that_are_just_they(void **state)
{
	static const struct {
		const char *range;
		unsigned prefixes, around;
	} rows[] = { { "10.0.0.0/8", 1, 8 },
		     { "10.0.0.1-10.0.0.6", 4, 29 },
		     { "0.0.0.0/0", 1, 0 },
		     { "255.255.255.255", 1, 32 },
		     { "0.0.0.1-255.255.255.255", 32, 0 },
		     { "fd00::1-fd00::ffff", 16, 112 },
		     { "::/0", 1, 0 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct addr_range all = range(rows[i].range), left = all;
		struct addr next = all.lo;
		struct prefix p;
		unsigned n = 0;
		bool more;

		assert_int_equal(convert_prefix_around(&all).bits, rows[i].around);
		do {
			struct addr_range one;

			more = convert_prefix_next(&left, &p);
			one = addr_prefix_range(&p.addr, p.bits);
			n++;
			assert_true(addr_equal(&one.lo, &next)); /* no hole, no overlap */
			next = one.hi;
			if (more)
				assert_true(addr_next(&next));
		} while (more);
		assert_true(addr_equal(&next, &all.hi));
		if (n != rows[i].prefixes)
			fail_msg("%s: %u prefixes", rows[i].range, n);
	}
}

/* ---- cover ---- */

static uint32_t longest(const struct cover_row *rows, size_t count, const struct addr *a)
{
	uint32_t label = COVER_NONE;
	unsigned bits = 0;

	for (size_t i = 0; i < count; i++) {
		struct addr_range r = addr_prefix_range(&rows[i].prefix.addr, rows[i].prefix.bits);

		if (addr_range_has(&r, a) && (label == COVER_NONE || rows[i].prefix.bits >= bits)) {
			label = rows[i].label;
			bits = rows[i].prefix.bits;
		}
	}
	return label;
}

static uint32_t straight(const struct cover_range *ranges, size_t count, const struct addr *a)
{
	for (size_t i = 0; i < count; i++)
		if (addr_range_has(&ranges[i].range, a))
			return ranges[i].label;
	return COVER_NONE;
}

static void a_hole_costs_one_prefix(void **state)
{
	const struct cover_range ranges[] = { { range("10.0.0.0-10.5.6.6"), 1 },
					      { range("10.5.6.7"), 2 },
					      { range("10.5.6.8-10.255.255.255"), 1 },
					      { range("fd00::/8"), 3 } };
	struct cover_row *rows;
	size_t count;

	(void)state;
	assert_int_equal(cover_make(ranges, ARRAY_LEN(ranges), 4, &rows, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(rows[0].prefix.bits, 8);
	assert_false(rows[0].within);
	assert_int_equal(rows[1].prefix.bits, 32);
	assert_true(rows[1].within);
	assert_int_equal(rows[1].label, 2);
	free(rows);
	assert_int_equal(cover_make(ranges, ARRAY_LEN(ranges), 6, &rows, &count), 0);
	assert_int_equal(count, 1);
	free(rows);
	assert_int_equal(cover_make(NULL, 0, 4, &rows, &count), 0);
	assert_int_equal(count, 0);
	free(rows);
}

/* Sorted, disjoint ranges at random, also with holes that no range has: the longest prefix says what the ranges say. */
static void the_longest_prefix_says_what_the_ranges_say(void **state)
{
	uint32_t seed = 1;

	(void)state;
	for (unsigned turn = 0; turn < 200; turn++) {
		struct cover_range ranges[24];
		struct cover_row *rows;
		size_t count, n = 0;
		uint32_t at = 0;

		while (n < ARRAY_LEN(ranges) && at < 250) {
			uint32_t lo, hi;

			seed = seed * 1664525 + 1013904223;
			lo = at + (seed >> 28 & 3);
			hi = lo + (seed >> 20 & 15);
			if (hi > 255)
				break;
			ranges[n++] = (struct cover_range){
				{ addr_v4(10, 1, 2, (uint8_t)lo), addr_v4(10, 1, 2, (uint8_t)hi) }, seed >> 16 & 3
			};
			at = hi + 1;
		}
		assert_int_equal(cover_make(ranges, n, 4, &rows, &count), 0);
		for (unsigned i = 0; i < 256; i++) {
			struct addr a = addr_v4(10, 1, 2, (uint8_t)i);

			if (longest(rows, count, &a) != straight(ranges, n, &a))
				fail_msg("turn %u: 10.1.2.%u", turn, i);
		}
		free(rows);
	}
}

/* ---- what a plan wants ---- */

struct made {
	struct planned planned;
	struct wanted_list wanted;
};

static void made_wipe(struct made *m)
{
	wanted_wipe(&m->wanted);
	planned_wipe(&m->planned);
}

static void make(struct made *m, const char *rules)
{
	char text[8192];
	int n = snprintf(text, sizeof text,
			 "cordon: 1\n"
			 "authentication:\n"
			 "  a: [ { certificate: { issuer: \"CN=A\" } } ]\n"
			 "  b: [ { certificate: { issuer: \"CN=B\" } } ]\n"
			 "protection:\n  gcm: { proposals: [esp-aes256gcm] }\n  ah: { proposals: [ah-sha256] }\n"
			 "connection-security:\n%s",
			 rules);

	assert_true(n > 0 && (size_t)n < sizeof text);
	planned_make(&m->planned, text, (struct host_address){ address("10.0.0.7"), 24 });
}

/* What the kernel would do: of all that select it the one of the lowest priority. */
static const struct wanted *kernel_finds(const struct wanted_list *l, uint8_t dir, const char *remote, uint8_t protocol,
					 uint16_t local_port, uint16_t remote_port)
{
	struct addr there = address(remote), here = address("10.0.0.7");
	const struct wanted *best = NULL;
	bool out = dir == XFRM_POLICY_OUT;

	for (size_t i = 0; i < l->count; i++) {
		const struct xfrm_selector *s = &l->rows[i].key.selector;
		struct addr from = convert_addr_back(&s->saddr, s->family),
			    to = convert_addr_back(&s->daddr, s->family);
		struct addr_range source, destination;
		uint16_t sport = out ? local_port : remote_port, dport = out ? remote_port : local_port;

		if (l->rows[i].key.dir != dir || from.family != 4 || l->rows[i].key.mark.m)
			continue;
		source = addr_prefix_range(&from, s->prefixlen_s);
		destination = addr_prefix_range(&to, s->prefixlen_d);
		if (!addr_range_has(&source, out ? &here : &there) ||
		    !addr_range_has(&destination, out ? &there : &here) || (s->proto && s->proto != protocol) ||
		    ((htons(sport) ^ s->sport) & s->sport_mask) || ((htons(dport) ^ s->dport) & s->dport_mask))
			continue;
		if (!best || (l->rows[i].above && !best->above) ||
		    (l->rows[i].above == best->above && l->rows[i].does.priority < best->does.priority))
			best = &l->rows[i];
	}
	return best;
}

static void the_kernel_finds_what_the_plan_says(void **state)
{
	static const char rules[] =
		"  - { name: All, endpoint1: [any], endpoint2: [any], mode: require, authentication: a, protection: "
		"gcm }\n"
		"  - { name: Hole, endpoint1: [any], endpoint2: [10.1.2.3-10.1.2.9], mode: exempt }\n"
		"  - { name: Web, endpoint1: [any], endpoint2: [10.0.0.0/8], protocol: tcp, port2: 80-89, mode: "
		"require, "
		"authentication: b, protection: ah }\n"
		"  - { name: Never, endpoint1: [10.0.0.7], endpoint2: [10.66.0.0/16], mode: block }\n";
	static const char *const remotes[] = { "10.1.2.2", "10.1.2.3", "10.1.2.9",   "10.1.2.10", "10.66.1.1",
					       "10.0.0.9", "9.9.9.9",  "172.16.1.1", "224.0.0.5", "127.0.0.1" };
	static const uint16_t ports[] = { 79, 80, 85, 89, 90, 40000 };
	SCOPED(made_wipe) struct made m = { 0 };
	struct addr here = address("10.0.0.7");

	(void)state;
	make(&m, rules);
	assert_int_equal(wanted_of_plan(m.planned.plan, 65536, &m.wanted, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(remotes); i++)
		for (size_t k = 0; k < ARRAY_LEN(ports) * ARRAY_LEN(ports); k++) {
			uint16_t local = ports[k % ARRAY_LEN(ports)], remote = ports[k / ARRAY_LEN(ports)];
			struct plan_packet packet = { .local = here,
						      .remote = address(remotes[i]),
						      .initiator = INITIATOR_EITHER,
						      .protocol = IPPROTO_TCP,
						      .local_port = local,
						      .remote_port = remote };
			const struct plan_entry *e = plan_lookup(m.planned.plan, &packet);
			const struct wanted *out =
				kernel_finds(&m.wanted, XFRM_POLICY_OUT, remotes[i], IPPROTO_TCP, local, remote);
			const struct wanted *in =
				kernel_finds(&m.wanted, XFRM_POLICY_IN, remotes[i], IPPROTO_TCP, local, remote);
			bool protects = e && rule_mode_protects(e->rule->mode);

			if ((out && out->does.protects) != protects || (in && in->does.protects) != protects)
				fail_msg("%s %u to %u: %s", remotes[i], local, remote, e ? e->rule->name : "no rule");
			if (protects && out && in &&
			    (out->does.template.reqid != rule_reqid(e->rule) ||
			     in->does.template.reqid != rule_reqid(e->rule)))
				fail_msg("%s %u to %u: another rule than %s", remotes[i], local, remote, e->rule->name);
			if (e && e->rule->mode == MODE_BLOCK && e->initiators == INITIATOR_EITHER &&
			    (!out || !out->does.block))
				fail_msg("%s %u to %u is not blocked", remotes[i], local, remote);
		}
}

static void rules_that_do_for_one_another_take_any_sa_in(void **state)
{
	SCOPED(made_wipe) struct made m = { 0 };
	const struct wanted *in;

	(void)state;
	make(&m,
	     "  - { name: One, endpoint1: [10.0.0.7], endpoint2: [10.1.0.0/16], mode: require, authentication: a, "
	     "protection: gcm }\n"
	     "  - { name: Two, endpoint1: [10.0.0.7], endpoint2: [10.2.0.0/16], mode: require, authentication: a, "
	     "protection: gcm }\n"
	     "  - { name: Other, endpoint1: [10.0.0.7], endpoint2: [10.3.0.0/16], mode: require, authentication: b, "
	     "protection: gcm }\n");
	assert_int_equal(wanted_of_plan(m.planned.plan, 65536, &m.wanted, NULL), 0);
	in = kernel_finds(&m.wanted, XFRM_POLICY_IN, "10.1.0.1", IPPROTO_TCP, 1, 2);
	assert_true(in && in->does.protects && in->does.template.reqid == 0);
	in = kernel_finds(&m.wanted, XFRM_POLICY_IN, "10.3.0.1", IPPROTO_TCP, 1, 2);
	assert_true(in && in->does.protects && reqid_is_ours(in->does.template.reqid));
}

static void sealed_packets_go_beside_a_tunnel_that_exempts_them(void **state)
{
	static const char *const tunnels[] = { "10.2", "10.3" }; /* the second takes them in */
	static const uint8_t ways[] = { XFRM_POLICY_OUT, XFRM_POLICY_IN };
	SCOPED(made_wipe) struct made m = { 0 };

	(void)state;
	make(&m,
	     "  - { name: Beside, endpoint1: [10.0.0.7], endpoint2: [10.2.0.0/16], mode: require, authentication: a, "
	     "protection: gcm, tunnel: { endpoint1: 10.0.0.7, endpoint2: 10.0.0.8, exempt-protected: true } }\n"
	     "  - { name: Inside, endpoint1: [10.0.0.7], endpoint2: [10.3.0.0/16], mode: require, authentication: a, "
	     "protection: gcm, tunnel: { endpoint1: 10.0.0.7, endpoint2: 10.0.0.9 } }\n");
	assert_int_equal(wanted_of_plan(m.planned.plan, 65536, &m.wanted, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(tunnels) * ARRAY_LEN(ways); i++) {
		uint8_t way = ways[i % ARRAY_LEN(ways)];
		char remote[16];
		const struct wanted *esp, *tcp, *ah;

		(void)snprintf(remote, sizeof remote, "%s.0.1", tunnels[i / ARRAY_LEN(ways)]);
		esp = kernel_finds(&m.wanted, way, remote, IPPROTO_ESP, 0, 0);
		ah = kernel_finds(&m.wanted, way, remote, IPPROTO_AH, 0, 0);
		tcp = kernel_finds(&m.wanted, way, remote, IPPROTO_TCP, 1, 2);
		assert_true(esp && ah && tcp && ah->does.protects && tcp->does.protects);
		assert_int_equal(esp->does.protects, i / ARRAY_LEN(ways) == 1);
		assert_false(esp->does.block);
	}
}

static void a_plan_of_too_many_policies_names_the_rule(void **state)
{
	SCOPED(made_wipe) struct made m = { 0 };
	struct diag d = { 0 };

	(void)state;
	make(&m,
	     "  - { name: Scattered, endpoint1: [any], endpoint2: [10.1.0.0/16], protocol: udp, port1: 1-65534, port2: "
	     "1-65534, mode: require, authentication: a, protection: gcm }\n");
	assert_int_equal(wanted_of_plan(m.planned.plan, 1799, &m.wanted, &d), -ERR_UNSUPPORTED);
	assert_non_null(strstr(d.text, "'Scattered'"));
	assert_int_equal(m.wanted.count, 0);
	assert_int_equal(wanted_of_plan(m.planned.plan, 4096, &m.wanted, &d), 0);
}

/* ---- messages ---- */

static struct policy_key some_key(void)
{
	struct policy_key k;

	memset(&k, 0, sizeof k);
	k.selector = convert_selector(&(struct convert_ends){ .local = { address("10.0.0.7"), 32 },
							      .remote = { address("10.1.0.0"), 16 },
							      .local_port = { 5000, 0xfff8 },
							      .protocol = IPPROTO_UDP },
				      true);
	k.mark = (struct xfrm_mark){ 0, 0x40000000 };
	k.dir = XFRM_POLICY_IN;
	return k;
}

static void a_policy_reads_as_it_was_written(void **state)
{
	_Alignas(8) uint8_t m[MESSAGE_MOST];
	struct policy_key k = some_key();
	struct policy_does does = { .priority = 4711, .protects = true, .lifetime_s = 60 };
	const uint8_t *at = m;
	struct message_in in;
	size_t len;

	(void)state;
	does.template.protocol = IPPROTO_ESP;
	does.template.mode = XFRM_MODE_TUNNEL;
	does.template.family = AF_INET;
	does.template.reqid = REQID_OURS | 5;
	does.template.to = address("192.0.2.1");
	len = message_policy(m, sizeof m, &k, &does, 0x43000011, false);
	assert_true(len > 0);
	assert_true(message_next(&at, &len, &in));
	assert_int_equal(in.kind, MESSAGE_POLICY);
	assert_int_equal(policy_key_compare(&in.key, &k), 0);
	assert_int_equal(in.index, 0x43000011);
	assert_int_equal(in.does.priority, 4711);
	assert_int_equal(in.does.lifetime_s, 60);
	assert_true(in.does.protects && !in.does.block);
	assert_int_equal(in.does.template.reqid, REQID_OURS | 5);
	assert_int_equal(in.does.template.mode, XFRM_MODE_TUNNEL);
	assert_true(addr_equal(&in.does.template.to, &does.template.to));
	assert_int_equal(in.does.template.from.family, 0);
	assert_int_equal(len, 0);
}

static const struct xfrm_mark mark = { .v = 0x02000000, .m = 0x1f000000 };

static struct sa_spec some_sa(const char *suite)
{
	struct sa_spec s = { .spi = 0x12345678,
			     .inbound = true,
			     .local = address("10.0.0.7"),
			     .remote = address("10.1.2.3"),
			     .esn = true,
			     .replay_window = 4096,
			     .selector = { .local = address("10.0.0.7"),
					   .remote = address("10.1.2.3"),
					   .protocol = PROTOCOL_ANY,
					   .local_port = PORT_ANY,
					   .remote_port = PORT_ANY } };

	assert_int_equal(child_suite_parse(suite, strlen(suite), &s.suite, NULL), 0);
	if (s.suite.encr)
		s.encr_key.len = (size_t)s.suite.encr->key + s.suite.encr->salt;
	if (s.suite.integ)
		s.integ_key.len = (size_t)s.suite.integ->key + s.suite.integ->salt;
	memset(s.encr_key.octets, 0x5a, s.encr_key.len);
	memset(s.integ_key.octets, 0xa5, s.integ_key.len);
	return s;
}

static bool has_octets(const uint8_t *m, size_t len, uint8_t value, size_t run)
{
	size_t in_row = 0;

	for (size_t i = 0; i < len; i++) {
		in_row = m[i] == value ? in_row + 1 : 0;
		if (in_row == run)
			return true;
	}
	return false;
}

static void a_state_reads_as_it_was_written(void **state)
{
	static const char *const suites[] = { "esp-aes256gcm", "esp-aes256-sha512",    "esp-sha256-null",
					      "ah-sha256",     "esp-chacha20poly1305", "esp-aes256gmac" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(suites); i++) {
		_Alignas(8) uint8_t m[MESSAGE_MOST];
		struct sa_spec s = some_sa(suites[i]);
		const uint8_t *at = m;
		struct message_in in;
		struct diag d = { 0 };
		size_t len, whole;

		if (message_state_check(&s, &d) < 0)
			fail_msg("%s: %s", suites[i], d.text);
		whole = len = message_state(m, sizeof m, &s, REQID_OURS | 9, mark, 0, false);
		assert_true(len > 0);
		assert_true(message_next(&at, &len, &in));
		assert_int_equal(in.kind, MESSAGE_STATE);
		assert_int_equal(in.id.spi, s.spi);
		assert_true(addr_equal(&in.id.to, &s.local) && addr_equal(&in.from, &s.remote));
		assert_int_equal(in.reqid, REQID_OURS | 9);
		assert_int_equal(in.id.protocol, s.suite.protocol == PROTO_AH ? IPPROTO_AH : IPPROTO_ESP);
		assert_true(has_octets(m, whole, s.integ_key.len ? 0xa5 : 0x5a,
				       s.integ_key.len ? s.integ_key.len : s.encr_key.len));
		/* An update of ports has no key in it. */
		whole = message_state(m, sizeof m, &s, REQID_OURS | 9, mark, 0, true);
		assert_false(has_octets(m, whole, 0x5a, 8) || has_octets(m, whole, 0xa5, 8));
	}
}

/* By the mark the ruleset knows our ESP. What comes in must not bear it. */
static void what_leaves_bears_the_mark_and_what_comes_in_does_not(void **state)
{
	(void)state;
	for (unsigned inbound = 0; inbound < 2; inbound++)
		for (unsigned update = 0; update < 2; update++) {
			_Alignas(8) uint8_t m[MESSAGE_MOST];
			struct sa_spec s = some_sa("esp-aes256gcm");
			const uint8_t *at = m;
			struct message_in in;
			size_t len;

			s.inbound = inbound;
			len = message_state(m, sizeof m, &s, REQID_OURS | 9, mark, 0, update);
			((struct nlmsghdr *)(void *)m)->nlmsg_type = XFRM_MSG_NEWSA; /* as the kernel tells of it */
			assert_true(message_next(&at, &len, &in));
			assert_int_equal(in.leaves.v, inbound ? 0 : mark.v);
			assert_int_equal(in.leaves.m, inbound ? 0 : mark.m);
		}
}

static void what_the_kernel_cannot_do_is_said(void **state)
{
	struct sa_spec gmac = some_sa("ah-aes256gmac"), encap = some_sa("ah-sha256"), key = some_sa("esp-aes256gcm");
	struct diag d = { 0 };

	(void)state;
	assert_int_equal(message_state_check(&gmac, &d), -ERR_UNSUPPORTED);
	assert_non_null(strstr(d.text, "userspace"));
	encap.encap_local_port = encap.encap_remote_port = 4500;
	assert_int_equal(message_state_check(&encap, &d), -ERR_UNSUPPORTED);
	key.encr_key.len--;
	assert_true(message_state_check(&key, &d) < 0);
}

/* Of a message that says it is longer than it is, or whose attributes do, nothing is read beyond. */
static void cut_messages_are_not_read_beyond(void **state)
{
	_Alignas(8) uint8_t m[MESSAGE_MOST];
	struct sa_spec s = some_sa("esp-aes256gcm");
	size_t whole = message_state(m, sizeof m, &s, REQID_OURS, mark, 0, false);

	(void)state;
	for (size_t cut = 0; cut < whole; cut++) {
		uint8_t *exact = malloc(cut ? cut : 1);
		const uint8_t *at = exact;
		struct message_in in;
		size_t len = cut;

		assert_non_null(exact);
		memcpy(exact, m, cut);
		assert_false(message_next(&at, &len, &in)); /* its length does not fit */
		if (cut >= sizeof(struct nlmsghdr)) {
			uint32_t said = (uint32_t)cut;

			memcpy(exact, &said, sizeof said);
			at = exact;
			len = cut;
			(void)message_next(&at, &len, &in);
		}
		free(exact);
	}
	for (size_t room = 0; room < whole; room++)
		assert_int_equal(message_state(m, room, &s, REQID_OURS, mark, 0, false), 0);
}

static void an_acquire_says_whose_packet_it_was(void **state)
{
	struct {
		struct nlmsghdr h;
		struct xfrm_user_acquire a;
		struct nlattr tmpl_head;
		struct xfrm_user_tmpl tmpl;
	} m = { .h = { .nlmsg_len = sizeof m, .nlmsg_type = XFRM_MSG_ACQUIRE },
		.a = { .id.proto = IPPROTO_ESP, .seq = 77, .policy.index = 0x43000009 },
		.tmpl_head = { sizeof m.tmpl_head + sizeof m.tmpl, XFRMA_TMPL },
		.tmpl = { .family = AF_INET, .reqid = REQID_OURS | 1, .mode = XFRM_MODE_TRANSPORT } };
	const uint8_t *at = (const uint8_t *)&m;
	size_t len = sizeof m;
	struct plan_packet p;
	struct message_in in;

	(void)state;
	m.a.sel = convert_selector(&(struct convert_ends){ .local = { address("10.0.0.7"), 32 },
							   .remote = { address("10.1.2.3"), 32 },
							   .local_port = { 8, 0xffff },
							   .remote_port = { 3, 0xffff },
							   .protocol = IPPROTO_ICMP },
				   false);
	m.a.id.daddr = m.a.sel.daddr;
	m.a.saddr = m.a.sel.saddr;
	assert_true(message_next(&at, &len, &in));
	assert_int_equal(in.kind, MESSAGE_ACQUIRE);
	assert_int_equal(in.acquire, 77);
	assert_int_equal(in.reqid, REQID_OURS | 1);
	assert_true(convert_flow_back(&in.key.selector, &p));
	assert_int_equal(p.protocol, IPPROTO_ICMP);
	assert_int_equal(p.local_port, 8 << 8 | 3); /* type and code, as the plan has them */
	assert_int_equal(p.remote_port, 0);
	in.key.selector.family = 99;
	assert_false(convert_flow_back(&in.key.selector, &p));
}

/* ---- what is only looked at ---- */

static void the_kernels_counters_are_our_drops(void **state)
{
	static const char text[] =
		"XfrmInError             \t1\nXfrmInNoStates          \t5\nXfrmInStateProtoError   \t7\n"
		"XfrmInStateSeqError     \t2\nXfrmNew \t9\nXfrmInTmplMismatch      \t3\nXfrmInPolBlock \t4";
	uint64_t drops[DROP_COUNT] = { 0 };

	(void)state;
	stat_parse(text, sizeof text - 1, drops);
	assert_int_equal(drops[DROP_UNKNOWN_SPI], 5);
	assert_int_equal(drops[DROP_BAD_ICV], 7);
	assert_int_equal(drops[DROP_REPLAY], 2);
	assert_int_equal(drops[DROP_POLICY], 7);
	assert_int_equal(drops[DROP_MALFORMED], 1);
	for (size_t cut = 0; cut < sizeof text; cut++) {
		char *exact = malloc(cut + 1);

		memcpy(exact, text, cut);
		stat_parse(exact, cut, drops);
		free(exact);
	}
}

static void ears_find_the_spi(void **state)
{
	uint8_t packet[28] = { 0x45, [9] = 50, [12] = 10, 1, 2, 3, [16] = 10, 0, 0, 7, [20] = 0xab, 0xcd, 1, 2 };
	struct ears_heard h = { .protocol = IPPROTO_ESP };

	(void)state;
	assert_true(ears_parse(packet, sizeof packet, 4, &h));
	assert_int_equal(h.spi, 0xabcd0102);
	assert_int_equal(h.remote.octets[3], 3);
	assert_int_equal(h.local.octets[3], 7);
	for (size_t cut = 0; cut < 24; cut++)
		assert_false(ears_parse(packet, cut, 4, &h));
	packet[0] = 0x4f; /* a header longer than the packet */
	assert_false(ears_parse(packet, sizeof packet, 4, &h));
	packet[0] = 0x44;
	assert_false(ears_parse(packet, sizeof packet, 4, &h));
}

/* Whoever forges the addresses of his packets has no more of them told than one who does not. */
static void forged_senders_are_told_of_seldom(void **state)
{
	struct unknown u = { 0 };
	struct addr one = address("10.1.2.3");
	unsigned told = 0;

	(void)state;
	assert_true(unknown_take(&u, &one, 0));
	assert_false(unknown_take(&u, &one, UNKNOWN_MS - 1));
	assert_true(unknown_take(&u, &one, UNKNOWN_MS + 1));
	for (uint32_t i = 0; i < 100000; i++) {
		struct addr forged = addr_v4(10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i);

		told += unknown_take(&u, &forged, 5000 + i / 1000); /* in a tenth of a second */
	}
	assert_in_range(told, UNKNOWN_ROWS / 2, UNKNOWN_ROWS);
}

/* Nobody outside knows which keys meet in one bucket. Runs last: from here on there is a secret. */
static void buckets_are_the_processs_secret(void **state)
{
	const struct state_id id = { address("10.1.2.3"), 0x12345678, IPPROTO_ESP };
	const struct policy_key key = some_key();
	const uint64_t of_id = state_id_hash(&id), of_key = policy_key_hash(&key);

	(void)state;
	assert_int_equal(table_seed(NULL), 0);
	assert_true(state_id_hash(&id) != of_id);
	assert_true(policy_key_hash(&key) != of_key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(port_ranges_become_blocks_that_are_just_they),
		cmocka_unit_test(ranges_become_prefixes_that_are_just_they),
		cmocka_unit_test(a_hole_costs_one_prefix),
		cmocka_unit_test(the_longest_prefix_says_what_the_ranges_say),
		cmocka_unit_test(the_kernel_finds_what_the_plan_says),
		cmocka_unit_test(rules_that_do_for_one_another_take_any_sa_in),
		cmocka_unit_test(sealed_packets_go_beside_a_tunnel_that_exempts_them),
		cmocka_unit_test(a_plan_of_too_many_policies_names_the_rule),
		cmocka_unit_test(a_policy_reads_as_it_was_written),
		cmocka_unit_test(a_state_reads_as_it_was_written),
		cmocka_unit_test(what_leaves_bears_the_mark_and_what_comes_in_does_not),
		cmocka_unit_test(what_the_kernel_cannot_do_is_said),
		cmocka_unit_test(cut_messages_are_not_read_beyond),
		cmocka_unit_test(an_acquire_says_whose_packet_it_was),
		cmocka_unit_test(the_kernels_counters_are_our_drops),
		cmocka_unit_test(ears_find_the_spi),
		cmocka_unit_test(forged_senders_are_told_of_seldom),
		cmocka_unit_test(buckets_are_the_processs_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
