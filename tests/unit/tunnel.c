/* Tunnel rules: who holds them, what lies behind whom, what a negotiation about them may bring, and the packet inside
 * the packet. */
#include "tests/unit/packets.h"
#include "tests/unit/unit.h"

#include "base/mem.h"
#include "base/report.h"
#include "base/str.h"
#include "base/text.h"
#include "dataplane/esp/fragment.h"
#include "dataplane/esp/tunnel.h"
#include "dataplane/sad.h"
#include "keying/selector.h"

#include <stdlib.h>
#include <string.h>

static struct addr address(const char *text)
{
	struct addr a;

	if (addr_parse(text, strlen(text), &a, NULL) < 0)
		fail_msg("%s is no address", text);
	return a;
}

/* The plan of a host with these addresses, apart by spaces. */
static struct plan *plan_of(const char *rules, const char *own)
{
	SCOPED(str_wipe) struct str text = { 0 };
	SCOPED(report_freep) struct report *r = report_new();
	struct host_address addresses[4];
	struct plan_host host = { .own = addresses };
	struct policy *p = NULL;
	struct plan *plan = NULL;

	for (const char *at = own; *at; at += *at == ' ' ? 1 : 0) {
		size_t n = strcspn(at, " ");
		assert_int_equal(addr_parse(at, n, &addresses[host.own_count].addr, NULL), 0);
		addresses[host.own_count++].prefix = -1;
		at += n;
	}
	str_addf(&text,
		 "cordon: 1\nauthentication: { default: [ { pre-shared-key: { file: /k } } ] }\n"
		 "connection-security:\n%s",
		 rules);
	(void)policy_parse(text_new("test.yaml", text.text, text.len), NULL, r, &p);
	if (!p || plan_compile(p, &host, r, &plan) < 0) {
		SCOPED(str_wipe) struct str out = { 0 };
		report_text(r, false, &out);
		fail_msg("%s", str_text(&out));
	}
	policy_free(p);
	return plan;
}

#define TUNNEL(name, end1, end2, tunnel1, tunnel2) \
	"  - { name: " name ", endpoint1: " end1 ", endpoint2: " end2 ", mode: require, tunnel: { endpoint1: " tunnel1 \
	", endpoint2: " tunnel2 " } }\n"
#define SITES TUNNEL("sites", "[10.1.0.0/16]", "[10.2.0.0/16]", "192.0.2.1", "198.51.100.1")
#define HUB TUNNEL("branch", "[10.2.0.0/16]", "[10.0.0.0/8]", "198.51.100.1", "192.0.2.1")
#define ROAD TUNNEL("road", "any", "[10.1.0.0/16]", "any", "192.0.2.1")
#define BRANCHES \
	TUNNEL("two", "[10.2.0.0/16]", "[10.0.0.0/8]", "192.0.2.2", "192.0.2.1") \
	TUNNEL("three", "[10.3.0.0/16]", "[10.0.0.0/8]", "192.0.2.3", "192.0.2.1")
#define GATEWAY "192.0.2.1 10.1.0.1"

static void a_rule_is_held_by_its_ends_alone(void **state)
{
	static const struct {
		const char *rules, *own, *local, *remote, *winner; /* NULL: none */
	} rows[] = {
		{ SITES, GATEWAY, "10.1.0.1", "10.2.0.9", "sites" }, /* what it sends itself */
		{ SITES, GATEWAY, "10.1.7.7", "10.2.0.9", "sites" }, /* what it forwards */
		{ SITES, GATEWAY, "10.2.0.9", "10.1.7.7", NULL },    /* the other side is another's to guard */
		{ SITES, GATEWAY, "10.1.7.7", "10.1.8.8", NULL },
		{ SITES, GATEWAY, "10.1.7.7", "8.8.8.8", NULL },
		{ SITES, GATEWAY, "192.0.2.1", "10.2.0.9", NULL }, /* its address outside is in no end */
		{ SITES, "198.51.100.1", "10.2.0.9", "10.1.0.9", "sites" },
		{ SITES, "10.1.0.9", "10.1.0.9", "10.2.0.9", NULL },               /* a machine behind it */
		{ SITES, "192.0.2.1 198.51.100.1", "10.1.0.9", "10.2.0.9", NULL }, /* a tunnel to oneself */
		/* the ends overlap: an address belongs to the smaller element */
		{ HUB, "198.51.100.1", "10.2.0.9", "10.1.0.9", "branch" },
		{ HUB, "198.51.100.1", "10.2.0.9", "10.2.8.8", NULL },
		{ HUB, "192.0.2.1", "10.1.0.9", "10.2.0.9", "branch" },
		{ HUB, "192.0.2.1", "10.2.0.9", "10.2.8.8", NULL },
		{ HUB, "192.0.2.1", "10.1.0.9", "10.3.0.9", NULL },
		{ HUB, "192.0.2.1", "172.16.0.9", "10.2.0.9", NULL },
		/* one end any */
		{ ROAD, "203.0.113.7", "203.0.113.7", "10.1.0.9", "road" },
		{ ROAD, "203.0.113.7", "203.0.113.7", "10.2.0.9", NULL },
		{ ROAD, "203.0.113.7", "203.0.113.8", "10.1.0.9", NULL }, /* it forwards nothing */
		{ ROAD, GATEWAY, "10.1.0.9", "203.0.113.7", "road" },
		{ ROAD, "10.1.0.9", "10.1.0.9", "203.0.113.7", NULL },
		{ ROAD, "10.1.0.9", "10.1.0.9", "10.1.0.10", NULL },
		/* a more specific tunnel of others is theirs */
		{ ROAD SITES, "10.2.0.9", "10.2.0.9", "10.1.0.9", NULL },
		{ ROAD SITES, "203.0.113.7", "203.0.113.7", "10.1.0.9", "road" },
		{ ROAD SITES, GATEWAY, "10.1.0.9", "10.2.0.9", "sites" },
		{ ROAD SITES, GATEWAY, "10.1.0.9", "10.3.0.9", "road" },
		/* exemptions and blocks that are more specific decide at the gateway too, transport rules do not */
		{ SITES "  - { name: e, endpoint1: [10.1.0.9], endpoint2: [10.2.0.0/16], mode: exempt }\n", GATEWAY,
		  "10.1.0.9", "10.2.0.9", "e" },
		{ SITES "  - { name: e, endpoint1: [10.1.0.9], endpoint2: [10.2.0.0/16], mode: exempt }\n", GATEWAY,
		  "10.1.0.8", "10.2.0.9", "sites" },
		{ SITES "  - { name: b, endpoint1: [10.1.0.9], endpoint2: [10.2.0.0/16], mode: block }\n", GATEWAY,
		  "10.1.0.9", "10.2.0.9", "b" },
		{ SITES "  - { name: b, endpoint1: [10.1.0.9], endpoint2: [10.3.0.0/16], mode: block }\n", GATEWAY,
		  "10.1.0.9", "10.3.0.9", NULL }, /* no tunnel speaks of it: not ours to block */
		{ SITES "  - { name: t, endpoint1: [10.1.0.9], endpoint2: [10.2.0.9], mode: require }\n", GATEWAY,
		  "10.1.0.9", "10.2.0.9", "sites" },
		{ SITES "  - { name: t, endpoint1: [10.1.0.9], endpoint2: [10.2.0.9], mode: require }\n", "10.1.0.9",
		  "10.1.0.9", "10.2.0.9", "t" },
		/* two branches of a hub: equally specific, each has its end elsewhere */
		{ BRANCHES, "192.0.2.2", "10.2.0.9", "10.3.0.9", "two" },
		{ BRANCHES, "192.0.2.3", "10.3.0.9", "10.2.0.9", "three" },
		{ BRANCHES, "192.0.2.1", "10.2.0.9", "10.3.0.9", "three" },
		{ BRANCHES, "192.0.2.1", "10.3.0.9", "10.2.0.9", "two" },
		/* outside of all rules */
		{ TUNNEL("all", "any", "[10.2.0.0/16]", "192.0.2.1", "198.51.100.1"), GATEWAY, "127.0.0.1", "10.2.0.9",
		  NULL },
		{ TUNNEL("all", "any", "[10.2.0.0/16]", "192.0.2.1", "198.51.100.1"), GATEWAY, "224.0.0.5", "10.2.0.9",
		  NULL },
		{ TUNNEL("all", "any", "[10.2.0.0/16]", "192.0.2.1", "198.51.100.1"), GATEWAY, "8.8.8.8", "10.2.0.9",
		  "all" },
		{ TUNNEL("six", "['2001:db8:1::/64']", "['2001:db8:2::/64']", "192.0.2.1", "198.51.100.1"), GATEWAY,
		  "2001:db8:1::9", "2001:db8:2::9", "six" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		SCOPED(plan_freep) struct plan *plan = plan_of(rows[i].rules, rows[i].own);
		struct plan_packet k = { .local = address(rows[i].local),
					 .remote = address(rows[i].remote),
					 .initiator = INITIATOR_LOCAL,
					 .protocol = 6,
					 .local_port = 40000,
					 .remote_port = 80 };
		const struct plan_entry *e = plan_lookup(plan, &k);
		if (!e != !rows[i].winner || (e && strcmp(e->rule->name, rows[i].winner) != 0))
			fail_msg("row %zu: %s", i, e ? e->rule->name : "none");
	}
}

/* ---- what a peer may ask for ------------------------------------------------------------------------------------- */

static struct ike_ts ts_of(const char *range)
{
	struct ike_ts ts = { .port_hi = 65535 };

	if (addr_range_parse(range, strlen(range), &ts.range, NULL) < 0)
		fail_msg("%s is no range", range);
	return ts;
}

static void requests_are_narrowed_to_what_the_rule_carries(void **state)
{
	static const struct {
		const char *rules, *peer, *mine, *theirs;
		const char *got; /* NULL: refused */
		bool more;
	} rows[] = {
		{ SITES, "198.51.100.1", "10.1.0.0/16", "10.2.0.0/16", "10.1.0.0/16 <-> 10.2.0.0/16", false },
		{ SITES, "198.51.100.1", "0.0.0.0/0", "0.0.0.0/0", "10.1.0.0/16 <-> 10.2.0.0/16", false },
		{ SITES, "198.51.100.1", "10.1.5.0/24", "10.2.0.9", "10.1.5.0/24 <-> 10.2.0.9", false },
		{ SITES, "198.51.100.1", "10.1.255.0-10.2.0.9", "10.2.0.0/16", "10.1.255.0/24 <-> 10.2.0.0/16", false },
		{ SITES, "198.51.100.1", "10.3.0.0/16", "10.2.0.0/16", NULL, false },
		{ SITES, "198.51.100.1", "10.2.0.0/16", "10.1.0.0/16", NULL, false }, /* the wrong way round */
		{ SITES, "198.51.100.2", "10.1.0.0/16", "10.2.0.0/16", NULL, false }, /* another host */
		{ TUNNEL("two", "[10.1.0.0/16, 10.9.0.0/16]", "[10.2.0.0/16]", "192.0.2.1", "198.51.100.1"),
		  "198.51.100.1", "0.0.0.0/0", "10.2.0.0/16", "10.1.0.0/16 <-> 10.2.0.0/16", true },
		{ TUNNEL("two", "[10.1.0.0/16, 10.9.0.0/16]", "[10.2.0.0/16]", "192.0.2.1", "198.51.100.1"),
		  "198.51.100.1", "10.9.0.0/16", "10.2.0.0/16", "10.9.0.0/16 <-> 10.2.0.0/16", false },
		/* who comes from anywhere brings his own address and no other */
		{ ROAD, "203.0.113.7", "10.1.0.0/16", "203.0.113.7", "10.1.0.0/16 <-> 203.0.113.7", false },
		{ ROAD, "203.0.113.7", "0.0.0.0/0", "0.0.0.0/0", "10.1.0.0/16 <-> 203.0.113.7", false },
		{ ROAD, "203.0.113.7", "10.1.0.0/16", "203.0.113.8", NULL, false },
		/* the more specific of two tunnels */
		{ SITES TUNNEL("part", "[10.1.5.0/24]", "[10.2.0.0/16]", "192.0.2.1", "198.51.100.1"), "198.51.100.1",
		  "10.1.5.5", "10.2.0.9", "10.1.5.5 <-> 10.2.0.9", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		SCOPED(plan_freep) struct plan *plan = plan_of(rows[i].rules, GATEWAY);
		struct ike_ts_list mine = { .at = { ts_of(rows[i].mine) }, .count = 1 };
		struct ike_ts_list theirs = { .at = { ts_of(rows[i].theirs) }, .count = 1 };
		struct addr local = address("192.0.2.1"), remote = address(rows[i].peer);
		struct asked a = { .plan = plan,
				   .tunnel = true,
				   .local = &local,
				   .remote = &remote,
				   .mine = &mine,
				   .theirs = &theirs };
		struct narrowed n;
		char text[SELECTOR_TEXT] = "refused";
		bool granted = selector_narrow(&a, &n);
		if (granted)
			(void)selector_text(&n.selector, text);
		if (granted != (rows[i].got != NULL) || (granted && strcmp(text, rows[i].got) != 0))
			fail_msg("row %zu: %s", i, text);
		if (granted && n.more != rows[i].more)
			fail_msg("row %zu: more: %d", i, n.more);
		if (granted && strstr(rows[i].rules, "part"))
			assert_string_equal(n.entry->rule->name, "part");
	}
}

/* ---- the packet inside the packet -------------------------------------------------------------------------------- */

static struct sa_spec spec_of(unsigned outer)
{
	return (struct sa_spec){ .local = end_of(outer, 8), .remote = end_of(outer, 9), .tunnel = true };
}

/* An inner packet of 60 octets, with this second octet (or class). */
static size_t inner_of(unsigned family, uint8_t class, bool df, uint8_t *to)
{
	size_t head = family == 4 ? IP4_HEADER : IP6_HEADER;
	struct addr from = end_of(family, 1), target = end_of(family, 2);

	memset(to, 0, 60);
	if (family == 4) {
		to[0] = 0x45;
		to[1] = class;
		put16(to + 2, 60);
		to[6] = df ? 0x40 : 0;
		to[8] = 17;
		to[9] = IP_UDP;
		memcpy(to + 12, from.octets, 4);
		memcpy(to + 16, target.octets, 4);
		ip4_checksum(to, IP4_HEADER);
	} else {
		put16(to, 0x6000u | (unsigned)class << 4);
		put16(to + 4, 20);
		to[6] = IP_UDP;
		to[7] = 17;
		memcpy(to + 8, from.octets, 16);
		memcpy(to + 24, target.octets, 16);
	}
	put16(to + head, 1000);
	put16(to + head + 2, 2000);
	return 60;
}

static uint8_t class_of(const uint8_t *packet)
{
	return packet[0] >> 4 == 4 ? packet[1] : (uint8_t)(get16(packet) >> 4);
}

static void any_family_goes_inside_any_and_comes_out_as_it_was(void **state)
{
	(void)state;
	for (unsigned inner = 4; inner <= 6; inner += 2)
		for (unsigned outer = 4; outer <= 6; outer += 2)
			for (unsigned df = 0; df < 2; df++) {
				struct sa_spec spec = spec_of(outer);
				uint8_t packet[60], wrapped[60 + TUNNEL_HEADER_MOST];
				size_t len = inner_of(inner, 0xb8 | 2, df, packet), n, start;
				struct ip_packet made, read;
				n = tunnel_wrap(&spec, packet, len, false, wrapped, &made);
				assert_int_equal(n, len + tunnel_head(&spec));
				assert_int_equal(ip_parse(wrapped, n, &read, NULL), 0);
				assert_int_equal(made.head, tunnel_head(&spec));
				assert_int_equal(class_of(wrapped), 0xb8 | 2);
				if (outer == 4)
					assert_int_equal(made.dont_fragment, inner == 6 || df);
				assert_true(addr_equal(&read.source, &spec.local));
				assert_true(tunnel_unwrap(wrapped, n, &start, &read));
				assert_int_equal(read.len, len);
				assert_memory_equal(wrapped + start, packet, len);
				(void)tunnel_wrap(&spec, packet, len, true, wrapped, &made);
				assert_false(made.dont_fragment);
			}
}

/* RFC 6040 4.2, all of the table. 4: dropped. Whoever gets the packet sees whether its header was right on the way. */
static void congestion_marks_are_combined(void **state)
{
	enum { NOT, ECT1, ECT0, CE, DROPPED };
	static const uint8_t want[4][4] = {
		{ NOT, NOT, NOT, DROPPED }, { ECT1, ECT1, ECT1, CE }, { ECT0, ECT1, ECT0, CE }, { CE, CE, CE, CE }
	};

	(void)state;
	for (unsigned inner = 4; inner <= 6; inner += 2)
		for (uint8_t row = 0; row < 32; row++) {
			uint8_t in = row & 3, out = row >> 2 & 3, wrong = row >> 4;
			struct sa_spec spec = spec_of(4);
			uint8_t packet[60], wrapped[60 + TUNNEL_HEADER_MOST];
			size_t len = inner_of(inner, 0x28 | in, false, packet), n, start;
			struct ip_packet ip;
			if (inner == 4)
				packet[11] ^= wrong;
			n = tunnel_wrap(&spec, packet, len, false, wrapped, &ip);
			wrapped[1] = 0xfc | out; /* DSCP of the way does not come in */
			bool taken = tunnel_unwrap(wrapped, n, &start, &ip);
			assert_int_equal(taken, want[in][out] != DROPPED);
			if (!taken)
				continue;
			assert_int_equal(class_of(wrapped + start), 0x28 | want[in][out]);
			if (inner == 4)
				assert_int_equal(checksum_fold(checksum_add(0, wrapped + start, IP4_HEADER)) == 0xffff,
						 !wrong);
		}
}

static void what_is_no_packet_inside_is_refused(void **state)
{
	struct sa_spec spec = spec_of(4);
	uint8_t packet[60], wrapped[60 + TUNNEL_HEADER_MOST];
	size_t len = inner_of(4, 0, false, packet), n, start;
	struct ip_packet ip;

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		n = tunnel_wrap(&spec, packet, len, false, wrapped, &ip);
		if (i == 0)
			wrapped[9] = IP_IPV6; /* says another family than it is */
		else if (i == 1)
			wrapped[9] = IP_UDP; /* transport mode under a tunnel SA */
		else if (i == 2)
			put16(wrapped + IP4_HEADER + 2, 61); /* longer than it is */
		else if (i == 3)
			put16(wrapped + IP4_HEADER + 2, 59);
		else if (i == 4)
			wrapped[IP4_HEADER] = 0x75; /* version 7 */
		else
			put16(wrapped + 2, n = IP4_HEADER); /* nothing */
		assert_false(tunnel_unwrap(wrapped, n, &start, &ip));
	}
}

static void a_fragment_is_fragmented_in_its_place(void **state)
{
	uint8_t packet[60], out[64];
	struct ip_packet ip;
	struct fragmenter f;
	size_t n, at = 100; /* units of 8 */

	(void)state;
	(void)inner_of(4, 0, false, packet);
	put16(packet + 4, 77);
	put16(packet + 6, 0x2000 | 100); /* a middle piece */
	assert_int_equal(ip_parse(packet, sizeof packet, &ip, NULL), 0);
	assert_true(fragmenter_init(&f, &ip, packet, sizeof packet, 36, 5));
	while ((n = fragmenter_next(&f, out)) > 0) {
		assert_int_equal(get16(out + 4), 77);
		assert_int_equal(get16(out + 6), 0x2000 | at); /* more follow the last one as well */
		at += (n - IP4_HEADER) / 8;
	}
	assert_int_equal(at, 105);
}

/* Sent as UDP with ports in the first of two, or with as many octets of destination options that the ports would be in
 * the second, where nobody asks for them. */
static void a_first_fragment_has_its_ports(void **state)
{
	enum { FIRST = IP6_HEADER, SECOND = IP6_HEADER + 8, OPTIONS = 60, FRAGMENT = 44, MORE = 1 };
	uint8_t packet[80];
	struct ip_packet ip;

	(void)state;
	for (unsigned options = 0; options < 2; options++)
		for (unsigned room = 0; room <= 16; room += 8) {
			size_t len = SECOND + room;

			(void)inner_of(6, 0, false, packet);
			memset(packet + FIRST, 0, sizeof packet - FIRST);
			put16(packet + 4, (unsigned)(len - IP6_HEADER));
			packet[6] = FRAGMENT;
			packet[FIRST] = options ? OPTIONS : IP_UDP;
			put16(packet + FIRST + 2, MORE);
			packet[SECOND] = options ? IP_UDP : 0;
			put16(packet + SECOND + (options ? 8 : 0), 1000);
			bool whole = room >= (options ? 16 : 8);
			assert_int_equal(ip_parse(packet, len, &ip, NULL) == 0, whole);
			if (whole)
				assert_true(ip.fragment && !ip.later && ip.has_ports && ip.source_port == 1000);
			put16(packet + FIRST + 2, 8 | MORE);
			assert_int_equal(ip_parse(packet, len, &ip, NULL), 0);
			assert_true(ip.fragment && ip.later && !ip.has_ports);
		}
	(void)inner_of(4, 0, false, packet);
	put16(packet + 2, IP4_HEADER);
	put16(packet + 6, 0x2000);
	assert_true(ip_parse(packet, IP4_HEADER, &ip, NULL) < 0);
	put16(packet + 6, 0x2001);
	assert_int_equal(ip_parse(packet, IP4_HEADER, &ip, NULL), 0);
}

/* A second fragment header that says nothing does not take back the first. */
static void a_fragment_stays_one(void **state)
{
	uint8_t packet[60];
	struct ip_packet ip;

	(void)state;
	(void)inner_of(6, 0, false, packet);
	memset(packet + IP6_HEADER, 0, sizeof packet - IP6_HEADER);
	packet[6] = packet[IP6_HEADER] = 44;
	packet[IP6_HEADER + 3] = 1;
	packet[IP6_HEADER + 8] = IP_UDP;
	assert_int_equal(ip_parse(packet, sizeof packet, &ip, NULL), 0);
	assert_true(ip.fragment);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rule_is_held_by_its_ends_alone),
		cmocka_unit_test(requests_are_narrowed_to_what_the_rule_carries),
		cmocka_unit_test(any_family_goes_inside_any_and_comes_out_as_it_was),
		cmocka_unit_test(congestion_marks_are_combined),
		cmocka_unit_test(what_is_no_packet_inside_is_refused),
		cmocka_unit_test(a_fragment_is_fragmented_in_its_place),
		cmocka_unit_test(a_first_fragment_has_its_ports),
		cmocka_unit_test(a_fragment_stays_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
