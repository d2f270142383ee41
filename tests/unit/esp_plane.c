/* The plane without descriptors: two hosts that send to each other what comes out of the other's list. */
#include "tests/unit/unit.h"

#include "base/diag.h"
#include "base/scope.h"
#include "base/wire.h"
#include "policy/reqid.h"
#include "dataplane/esp/esp.h"
#include "dataplane/esp/icmp.h"
#include "dataplane/esp/packet.h"
#include "dataplane/esp/plane.h"
#include "observe/event.h"
#include "tests/unit/flat_plan.h"
#include "tests/unit/packets.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

enum { SENT_MOST = 512, EVENTS_MOST = 256, TCPV4 = 1, PAIR = 77, SPI_BOTH = 0 };

struct sent {
	uint8_t *octets;
	size_t len;
	bool to_tun;
};

/* One host: its plane and what came out of it since the last look. */
struct side {
	struct sad *sad;
	unsigned number;
	struct sent sent[SENT_MOST];
	size_t count;
	struct sad_event events[EVENTS_MOST];
	size_t event_count;
	struct sad_event dropped; /* the last one */
	unsigned dropped_count, dropped_left_out;
	uint32_t mtu;
};

static uint64_t clock_ms;
static const uint8_t no_offload[OFFLOAD_HEADER];

/* ---- policies ---- */

static const struct auth_method by_certificate = { .kind = AUTH_CERTIFICATE, .issuer = "CN=A" };
static const struct auth_method by_other = { .kind = AUTH_CERTIFICATE, .issuer = "CN=B" };
static const struct auth_set auth_a = { .name = "a", .methods = (struct auth_method *)&by_certificate, .count = 1 };
static const struct auth_set auth_b = { .name = "b", .methods = (struct auth_method *)&by_other, .count = 1 };
static struct child_suite gcm, null_sha;
static struct protection_set encrypt = { .name = "encrypt", .suites = &gcm, .count = 1, .require_encryption = true };
static struct protection_set sign = { .name = "sign", .suites = &null_sha, .count = 1 };

static struct rule all = { .name = "All", .mode = MODE_REQUIRE, .auth = &auth_a, .protection = &encrypt };
static struct rule web = { .name = "Web", .mode = MODE_REQUIRE, .auth = &auth_a, .protection = &sign };
static struct rule exempt = { .name = "Exempt", .mode = MODE_EXEMPT };

#define ENTRY(r, p, lo, hi) \
	{ \
		.rule = (r), .protocol = (p), .local_port = { 0, 65535 }, .remote_port = { (lo), (hi) }, \
		.icmp_type = -1, .icmp_code = -1, .initiators = INITIATOR_EITHER \
	}

static const struct plan_entry all_entries[] = { ENTRY(&all, PROTOCOL_ANY, 0, 65535) };
static struct plan all_plan = { all_entries, ARRAY_LEN(all_entries), 1 };

/* What the rule "All" asks for. */
static void protection_of(struct child_suite *suite)
{
	encrypt.suites = suite;
	encrypt.require_encryption = child_suite_encrypts(suite);
}

/* ---- hosts ---- */

static uint64_t now_ms(void *context)
{
	(void)context;
	return clock_ms;
}

static void keep_event(void *context, const struct sad_event *e)
{
	struct side *h = context;

	if (e->kind == SAD_DROPPED) {
		h->dropped = *e;
		h->dropped_count++;
		h->dropped_left_out += e->left_out;
		return;
	}
	assert_true(h->event_count < EVENTS_MOST);
	h->events[h->event_count++] = *e;
}

static void keep_packets(void *context, struct packet_list *out)
{
	struct side *h = context;

	for (size_t i = 0; i < out->count; i++) {
		struct sent *s = &h->sent[h->count++];

		assert_true(h->count <= SENT_MOST);
		*s = (struct sent){ malloc(out->rows[i].len), out->rows[i].len, out->rows[i].to_tun };
		memcpy(s->octets, out->octets + out->rows[i].at, s->len);
		if (out->rows[i].in_udp && s->octets[0] >> 4 == 6) /* as its sockets do */
			esp_udp_checksum(s->octets, IP6_HEADER, s->len);
	}
}

static uint32_t tell_mtu(void *context, const struct addr *local, const struct addr *remote)
{
	const struct side *h = context;

	(void)local;
	(void)remote;
	return h->mtu;
}

static void forget_sent(struct side *h)
{
	for (size_t i = 0; i < h->count; i++)
		free(h->sent[i].octets);
	h->count = h->event_count = 0;
}

static void side_up(struct side *h, unsigned number, struct plan *plan)
{
	struct plane_config c = { .plan = plan,
				  .event = keep_event,
				  .now_ms = now_ms,
				  .context = h,
				  .flush = keep_packets,
				  .path_mtu = tell_mtu,
				  .io = h };

	*h = (struct side){ .number = number, .mtu = 1500 };
	if (!gcm.encr) {
		assert_int_equal(child_suite_parse("esp-aes256gcm", 13, &gcm, NULL), 0);
		assert_int_equal(child_suite_parse("esp-sha256-null", 15, &null_sha, NULL), 0);
	}
	assert_int_equal(plane_new(&c, &h->sad, NULL), 0);
}

static void side_down(struct side *h)
{
	forget_sent(h);
	sad_free(h->sad);
}

static uint64_t dropped(const struct side *h)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < DROP_COUNT; i++)
		n += sad_dropped(h->sad, (enum sad_drop)i);
	return n;
}

static uint32_t reserve(struct side *h, unsigned family)
{
	struct addr local = end_of(family, h->number), remote = end_of(family, 3 - h->number);
	uint32_t spi;

	assert_int_equal(sad_reserve_spi(h->sad, &local, &remote, 5, NULL), 0);
	assert_int_equal(h->events[h->event_count - 1].kind, SAD_SPI_RESERVED);
	assert_int_equal(h->events[h->event_count - 1].request, 5);
	spi = h->events[--h->event_count].spi;
	assert_true(spi >= 256);
	return spi;
}

static struct sa_spec spec_of(const struct side *h, unsigned family, const struct rule *rule,
			      const struct child_suite *suite)
{
	struct addr local = end_of(family, h->number), remote = end_of(family, 3 - h->number);
	struct sa_spec s = {
		.local = local,
		.remote = remote,
		.suite = *suite,
		.replay_window = 64,
		.selector = { .local = local,
			      .remote = remote,
			      .protocol = PROTOCOL_ANY,
			      .local_port = PORT_ANY,
			      .remote_port = PORT_ANY },
		.rule = rule,
		.pair = PAIR,
	};

	s.encr_key.len = suite->encr ? (size_t)suite->encr->key + suite->encr->salt : 0;
	s.integ_key.len = suite->integ ? suite->integ->key : 0;
	return s;
}

/* Both directions of an SA between the hosts; change the two specs first if need be. */
static void join_specs(struct side *a, struct side *b, struct sa_spec of_a, struct sa_spec of_b)
{
	unsigned family = of_a.local.family;
	uint32_t to_b = reserve(b, family), to_a = reserve(a, family);
	struct sa_spec in_a = of_a, in_b = of_b;

	in_a.inbound = in_b.inbound = true;
	of_a.spi = in_b.spi = to_b;
	of_b.spi = in_a.spi = to_a;
	assert_int_equal(sad_install(a->sad, &in_a, 1, NULL), 0);
	assert_int_equal(sad_install(b->sad, &in_b, 1, NULL), 0);
	assert_int_equal(sad_install(a->sad, &of_a, 1, NULL), 0);
	assert_int_equal(sad_install(b->sad, &of_b, 1, NULL), 0);
}

static void join(struct side *a, struct side *b, unsigned family)
{
	join_specs(a, b, spec_of(a, family, &all, &gcm), spec_of(b, family, &all, &gcm));
}

static void send_octets(struct side *h, const uint8_t *packet, size_t len, const uint8_t *offload)
{
	uint8_t *mutable = malloc(len);

	memcpy(mutable, packet, len);
	plane_enter(h->sad);
	plane_send(h->sad, offload, mutable, len);
	plane_leave(h->sad);
	free(mutable);
}

static void send_shape(struct side *h, const struct shape *s)
{
	static uint8_t packet[PACKET_ROOM];

	send_octets(h, packet, packet_make(s, packet), no_offload);
}

static void receive(struct side *h, const uint8_t *packet, size_t len)
{
	uint8_t *mutable = malloc(len ? len : 1);

	if (len)
		memcpy(mutable, packet, len);
	plane_enter(h->sad);
	plane_receive(h->sad, mutable, len);
	plane_leave(h->sad);
	free(mutable);
}

/* All that `from` has put on the wire arrives at `to`. */
static void carry(struct side *from, struct side *to)
{
	for (size_t i = 0; i < from->count; i++)
		if (!from->sent[i].to_tun)
			receive(to, from->sent[i].octets, from->sent[i].len);
}

static const struct shape udp4 = { .family = 4, .protocol = IP_UDP, .from = 1000, .to = 53, .payload = 100 };

/* A peer that sends as soon as its reply is out: what comes before the keys waits for them, and is no unknown SPI. */
static void what_comes_under_a_reserved_spi_waits_for_its_keys(void **state)
{
	struct side a, b;

	(void)state;
	side_up(&a, 1, &all_plan);
	side_up(&b, 2, &all_plan);
	struct sa_spec out = spec_of(&a, 4, &all, &gcm), in = spec_of(&b, 4, &all, &gcm);
	in.inbound = true;
	out.spi = in.spi = reserve(&b, 4);
	assert_int_equal(sad_install(a.sad, &out, 1, NULL), 0);
	for (unsigned i = 0; i < EARLY_MOST; i++)
		send_shape(&a, &udp4);
	forget_sent(&b);
	carry(&a, &b);
	assert_int_equal(b.count, 0);
	assert_int_equal(dropped(&b), 0);
	assert_int_equal(b.event_count, 0);
	carry(&a, &b); /* no more than so many wait */
	assert_int_equal(dropped(&b), EARLY_MOST);
	forget_sent(&b);
	assert_int_equal(sad_install(b.sad, &in, 1, NULL), 0);
	assert_int_equal(b.count, EARLY_MOST);
	assert_int_equal(b.sent[0].to_tun, true);
	carry(&a, &b); /* each has been seen now */
	assert_int_equal(b.count, EARLY_MOST);
	assert_int_equal(sad_dropped(b.sad, DROP_REPLAY), EARLY_MOST);
	side_down(&a);
	side_down(&b);

	/* released with its reservation; never kept for another sender */
	side_up(&a, 1, &all_plan);
	side_up(&b, 2, &all_plan);
	out.spi = reserve(&b, 4);
	assert_int_equal(sad_install(a.sad, &out, 1, NULL), 0);
	send_shape(&a, &udp4);
	carry(&a, &b);
	assert_int_equal(dropped(&b), 0);
	sad_release_spi(b.sad, out.spi);
	carry(&a, &b);
	assert_int_equal(sad_dropped(b.sad, DROP_UNKNOWN_SPI), 1);
	struct addr local = end_of(4, 2), other = end_of(4, 3);
	b.event_count = 0;
	assert_int_equal(sad_reserve_spi(b.sad, &local, &other, 5, NULL), 0);
	uint8_t esp[64] = { 0 };
	memcpy(esp, a.sent[0].octets, sizeof esp);
	esp[20] = (uint8_t)(b.events[b.event_count - 1].spi >> 24);
	esp[21] = (uint8_t)(b.events[b.event_count - 1].spi >> 16);
	esp[22] = (uint8_t)(b.events[b.event_count - 1].spi >> 8);
	esp[23] = (uint8_t)b.events[b.event_count - 1].spi;
	receive(&b, esp, sizeof esp);
	assert_int_equal(sad_dropped(b.sad, DROP_UNKNOWN_SPI) + sad_dropped(b.sad, DROP_MALFORMED), 2);
	side_down(&a);
	side_down(&b);
}

/* ---- out ---- */

static void a_packet_travels_and_is_the_same_behind(void **state)
{
	static uint8_t want[PACKET_ROOM];
	struct side a, b;

	(void)state;
	for (unsigned family = 4; family <= 6; family += 2) {
		struct shape s = udp4;
		struct sa_usage u;
		size_t len;

		side_up(&a, 1, &all_plan);
		side_up(&b, 2, &all_plan);
		join(&a, &b, family);
		forget_sent(&a);
		forget_sent(&b);
		s.family = family;
		send_shape(&a, &s);
		len = packet_make(&s, want);
		assert_int_equal(a.count, 1);
		carry(&a, &b);
		assert_int_equal(b.count, 1);
		assert_true(b.sent[0].to_tun);
		assert_int_equal(b.sent[0].len, len);
		assert_memory_equal(b.sent[0].octets, want, len);
		assert_true(sad_usage_of(b.sad, PAIR, &u));
		assert_int_equal(u.packets_in, 1);
		assert_int_equal(u.octets_in, 108);
		assert_int_equal(u.packets_out, 0);
		assert_int_equal(sad_usage(a.sad, &u, 1), 1);
		assert_int_equal(u.packets_out, 1);
		assert_int_equal(dropped(&a) + dropped(&b), 0);
		side_down(&a);
		side_down(&b);
	}
	assert_int_equal(all_plan.references, 1);
}

static void ah_travels_the_same_way(void **state)
{
	static uint8_t want[PACKET_ROOM];
	struct side a, b;

	(void)state;
	for (unsigned family = 4; family <= 6; family += 2) {
		struct shape s = udp4;
		struct sa_spec of_a, of_b;
		struct child_suite ah;
		size_t len, at = family == 4 ? 20 : 40;
		uint8_t *packet;
		struct ip_packet quoted;

		side_up(&a, 1, &all_plan);
		side_up(&b, 2, &all_plan);
		assert_int_equal(child_suite_parse("ah-sha256", 9, &ah, NULL), 0);
		of_a = spec_of(&a, family, &all, &ah);
		of_b = spec_of(&b, family, &all, &ah);
		protection_of(&ah);
		join_specs(&a, &b, of_a, of_b);
		forget_sent(&a);
		forget_sent(&b);
		s.family = family;
		send_shape(&a, &s);
		len = packet_make(&s, want);
		assert_int_equal(a.count, 1);
		carry(&a, &b);
		assert_int_equal(b.count, 1);
		assert_int_equal(b.sent[0].len, len);
		assert_memory_equal(b.sent[0].octets, want, len);
		carry(&a, &b); /* again */
		assert_int_equal(sad_dropped(b.sad, DROP_REPLAY), 1);

		/* Its SPI is no SPI of ESP. */
		packet = a.sent[0].octets;
		packet[family == 4 ? 9 : 6] = IP_ESP;
		memmove(packet + at, packet + at + 4, 8);
		receive(&b, packet, a.sent[0].len);
		assert_int_equal(sad_dropped(b.sad, DROP_SELECTOR), 1);

		/* A router's word is believed if it quotes AH of ours. */
		send_shape(&a, &s);
		packet = a.sent[1].octets;
		plane_enter(a.sad);
		plane_too_big(a.sad, packet, at + 8, 1300);
		plane_leave(a.sad);
		assert_int_equal(ip_parse_quoted(packet, at + 8, &quoted, NULL), 0);
		assert_int_equal(path_mtu(&a.sad->paths, &quoted.source, &quoted.destination, clock_ms), 1300);
		packet[at + 7] ^= 1; /* another SPI */
		plane_enter(a.sad);
		plane_too_big(a.sad, packet, at + 8, 1290);
		plane_leave(a.sad);
		assert_int_equal(path_mtu(&a.sad->paths, &quoted.source, &quoted.destination, clock_ms), 1300);

		/* And the other end says of which protocol what it does not know is. */
		forget_sent(&b);
		receive(&b, packet, a.sent[1].len);
		assert_int_equal(b.event_count, 1);
		assert_int_equal(b.events[0].kind, SAD_UNKNOWN_SPI);
		assert_int_equal(b.events[0].packet.protocol, IP_AH);
		protection_of(&gcm);
		side_down(&a);
		side_down(&b);
	}
}

static void packets_wait_and_leave_in_order_when_the_sa_is_there(void **state)
{
	struct side a, b;

	(void)state;
	side_up(&a, 1, &all_plan);
	side_up(&b, 2, &all_plan);
	for (uint16_t i = 0; i < 10; i++) {
		struct shape s = udp4;

		s.from = (uint16_t)(2000 + i);
		send_shape(&a, &s);
	}
	assert_int_equal(a.count, 0);
	assert_int_equal(a.event_count, 1);
	assert_int_equal(a.events[0].kind, SAD_ACQUIRE);
	assert_int_equal(a.events[0].packet.local_port, 2000);
	assert_true(a.events[0].selector.protocol == PROTOCOL_ANY);
	assert_ptr_equal(a.events[0].entry, all_entries);
	join(&a, &b, 4);
	carry(&a, &b);
	assert_int_equal(b.count, 10);
	for (uint16_t i = 0; i < 10; i++)
		assert_int_equal(get16(b.sent[i].octets + 20), 2000 + i);
	assert_int_equal(dropped(&a) + dropped(&b), 0);
	side_down(&a);
	side_down(&b);
}

static void waiting_packets_are_bounded(void **state)
{
	struct side a, b;
	struct shape s = udp4;

	(void)state;
	side_up(&a, 1, &all_plan);
	side_up(&b, 2, &all_plan);
	for (unsigned i = 0; i < 100; i++)
		send_shape(&a, &s);
	assert_int_equal(sad_dropped(a.sad, DROP_HELD_OVERFLOW), 100 - HELD_PACKETS_EACH);
	join(&a, &b, 4);
	assert_int_equal(a.count, HELD_PACKETS_EACH);
	forget_sent(&a);
	side_down(&a);

	side_up(&a, 1, &all_plan); /* by octets */
	s.payload = 30000;
	for (unsigned i = 0; i < 40; i++)
		send_shape(&a, &s);
	assert_int_equal(sad_dropped(a.sad, DROP_HELD_OVERFLOW), 40 - HELD_OCTETS_EACH / 30028);
	side_down(&a);

	side_up(&a, 1, &all_plan); /* all queues together: a process that scans a network */
	for (unsigned i = 0; i < 5000; i++) {
		static uint8_t packet[PACKET_ROOM];
		size_t len = packet_make(&udp4, packet);

		put16(packet + 17, i);
		ip4_checksum(packet, 20);
		send_octets(&a, packet, len, no_offload);
		a.event_count = 0;
	}
	assert_int_equal(sad_dropped(a.sad, DROP_NO_SA), 5000 - HELD_QUEUES);
	clock_ms += 60000;
	plane_enter(a.sad);
	plane_tick(a.sad);
	plane_leave(a.sad);
	assert_int_equal(sad_dropped(a.sad, DROP_HELD_TIMEOUT), HELD_QUEUES);
	assert_int_equal(plane_deadline(a.sad), UINT64_MAX);
	side_down(&a);
	side_down(&b);
}

static void keying_is_asked_once_a_second(void **state)
{
	struct side a;
	struct sa_selector s;

	(void)state;
	side_up(&a, 1, &all_plan);
	for (unsigned i = 0; i < 30; i++, clock_ms += 100)
		send_shape(&a, &udp4);
	assert_int_equal(a.event_count, 3);
	s = a.events[0].selector;
	/* What comes after the answer, within the second, must not be forgotten. */
	sad_release_held(a.sad, &s, false);
	forget_sent(&a);
	clock_ms += 1000;
	send_shape(&a, &udp4);
	sad_release_held(a.sad, &s, false);
	clock_ms += 300;
	send_shape(&a, &udp4);
	assert_int_equal(a.event_count, 1);
	clock_ms += 800;
	assert_true(plane_deadline(a.sad) <= clock_ms);
	plane_enter(a.sad);
	plane_tick(a.sad);
	plane_leave(a.sad);
	assert_int_equal(a.event_count, 2);
	side_down(&a);
}

static void a_failed_negotiation_tells_the_sender_or_falls_back(void **state)
{
	struct shape tcp = { .family = 4, .protocol = IP_TCP, .from = 9, .to = 445, .df = true, .flags = 2 };
	static uint8_t want[PACKET_ROOM];
	struct side a;
	struct ip_packet ip, quoted;

	(void)state;
	side_up(&a, 1, &all_plan);
	send_shape(&a, &tcp);
	send_shape(&a, &udp4);
	sad_release_held(a.sad, &a.events[0].selector, false);
	assert_int_equal(a.count, 2);
	assert_true(a.sent[0].to_tun);
	assert_int_equal(ip_parse(a.sent[0].octets, a.sent[0].len, &ip, NULL), 0);
	assert_true(ip_quoted(&ip, a.sent[0].octets, &quoted));
	assert_int_equal(quoted.destination_port, 445);
	assert_int_equal(sad_dropped(a.sad, DROP_NEGOTIATION_FAILED), 2);
	forget_sent(&a);
	side_down(&a);

	side_up(&a, 1, &all_plan);
	send_shape(&a, &tcp);
	send_shape(&a, &udp4);
	sad_release_held(a.sad, &a.events[0].selector, true);
	assert_int_equal(a.count, 2);
	assert_false(a.sent[0].to_tun || a.sent[1].to_tun);
	assert_int_equal(a.sent[0].len, packet_make(&tcp, want));
	assert_memory_equal(a.sent[0].octets, want, a.sent[0].len);
	assert_int_equal(dropped(&a), 0);
	side_down(&a);
}

static void a_held_super_packet_is_cut_when_it_leaves(void **state)
{
	struct shape tcp = { .family = 4, .protocol = IP_TCP, .from = 9, .to = 445, .df = true, .payload = 40000 };
	static uint8_t packet[PACKET_ROOM];
	uint8_t header[OFFLOAD_HEADER];
	size_t len = packet_make(&tcp, packet), n;
	struct side a, b;

	(void)state;
	packet_offload(packet, len, TCPV4, 1448, header);
	side_up(&a, 1, &all_plan);
	side_up(&b, 2, &all_plan);
	send_octets(&a, packet, len, header);
	assert_int_equal(a.count, 0);
	join(&a, &b, 4);
	n = a.count;
	assert_true(n >= 28);
	carry(&a, &b);
	assert_int_equal(b.count, n);
	for (size_t i = 0; i < n; i++) {
		assert_true(a.sent[i].len <= 1500);
		assert_true(sums_right(b.sent[i].octets, b.sent[i].len));
	}
	forget_sent(&a);
	side_down(&a);

	side_up(&a, 1, &all_plan); /* in clear there is more room */
	send_octets(&a, packet, len, header);
	sad_release_held(a.sad, &a.events[0].selector, true);
	assert_int_equal(a.count, 28);
	assert_int_equal(a.sent[0].len, 1500);
	for (size_t i = 0; i < a.count; i++)
		assert_true(sums_right(a.sent[i].octets, a.sent[i].len));
	side_down(&a);
	side_down(&b);
}

static void what_is_too_big_is_told_or_fragmented(void **state)
{
	static const struct {
		unsigned family;
		uint8_t protocol;
		bool df, told;
		size_t payload;
	} rows[] = {
		{ 4, IP_UDP, true, true, 1460 },    { 4, IP_UDP, false, false, 1460 },
		{ 4, IP_UDP, false, false, 60000 }, { 4, IP_TCP, true, true, 1448 },
		{ 6, IP_TCP, true, true, 1428 },    { 6, IP_UDP, true, false, 1440 },
		{ 4, IP_UDP, false, true, 65500 }, /* no packet holds it sealed */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct shape s = { .family = rows[i].family,
				   .protocol = rows[i].protocol,
				   .df = rows[i].df,
				   .payload = rows[i].payload };
		struct side a, b;
		struct ip_packet ip;

		side_up(&a, 1, &all_plan);
		side_up(&b, 2, &all_plan);
		join(&a, &b, s.family);
		send_shape(&a, &s);
		assert_int_equal(a.sent[0].to_tun, rows[i].told);
		assert_int_equal(sad_dropped(a.sad, DROP_TOO_BIG), rows[i].told);
		assert_int_equal(ip_parse(a.sent[0].octets, a.sent[0].len, &ip, NULL), 0);
		if (!rows[i].told) {
			assert_true(ip.fragment && a.count > 1);
			for (size_t k = 0; k < a.count; k++)
				assert_true(a.sent[k].len <= 1500);
		} else {
			size_t mtu = get32(a.sent[0].octets + ip.upper + 4);

			assert_int_equal(a.count, 1);
			forget_sent(&a);
			s.payload -= (s.family == 4 ? 20 : 40) + (s.protocol == IP_TCP ? 32u : 8u) + s.payload - mtu;
			s.df = true;
			send_shape(&a, &s); /* as large as we said goes */
			assert_int_equal(a.count, 1);
			assert_false(a.sent[0].to_tun);
		}
		side_down(&a);
		side_down(&b);
	}
}

/* Linux does not listen to a smaller one: the connection would hang. */
static void nothing_below_the_least_of_ipv6_is_told(void **state)
{
	struct shape s = { .family = 6, .protocol = IP_TCP, .payload = 1350 };
	struct side a, b;
	struct ip_packet ip;

	(void)state;
	side_up(&a, 1, &all_plan);
	side_up(&b, 2, &all_plan);
	a.mtu = 1300; /* less than 1280 and ESP */
	join(&a, &b, 6);
	send_shape(&a, &s);
	assert_int_equal(ip_parse(a.sent[0].octets, a.sent[0].len, &ip, NULL), 0);
	assert_true(a.sent[0].to_tun);
	assert_int_equal(get32(a.sent[0].octets + ip.upper + 4), 1280);
	forget_sent(&a);
	s.payload = 1280 - 40 - 32;
	send_shape(&a, &s);
	assert_int_equal(a.count, 2); /* in fragments */
	side_down(&a);
	side_down(&b);
}

static void an_icmp_error_lowers_the_path_only_if_it_quotes_our_esp(void **state)
{
	static const struct {
		const char *what;
		uint32_t mtu, spi_change, want;
		size_t cut;
	} rows[] = {
		{ "ours", 1400, 0, 1400, 28 },
		{ "another SPI", 1400, 1, 1500, 28 },
		{ "no SPI in it", 1400, 0, 1500, 20 },
		{ "too small to be true", 68, 0, PATH_LEAST4, 28 },
		{ "larger than the route", 9000, 0, 1500, 28 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct addr one = end_of(4, 1), two = end_of(4, 2);
		struct side a, b;
		uint8_t quote[28];

		side_up(&a, 1, &all_plan);
		side_up(&b, 2, &all_plan);
		join(&a, &b, 4);
		send_shape(&a, &udp4);
		memcpy(quote, a.sent[0].octets, sizeof quote);
		quote[23] ^= (uint8_t)rows[i].spi_change;
		plane_too_big(a.sad, quote, rows[i].cut, rows[i].mtu);
		if (path_mtu(&a.sad->paths, &one, &two, clock_ms) != rows[i].want)
			fail_msg("%s", rows[i].what);
		assert_int_equal(path_mtu(&a.sad->paths, &one, &two, clock_ms + PATH_LOWERED_MS), 1500);
		side_down(&a);
		side_down(&b);
	}
}

static void fragments_and_rubbish_from_the_tun_are_counted(void **state)
{
	static uint8_t packet[PACKET_ROOM];
	struct side a;
	size_t len = packet_make(&udp4, packet);

	(void)state;
	side_up(&a, 1, &all_plan);
	for (size_t cut = 1; cut < len; cut++)
		send_octets(&a, packet, cut, no_offload);
	assert_int_equal(sad_dropped(a.sad, DROP_MALFORMED), len - 1);
	packet[6] = 0x20;
	send_octets(&a, packet, len, no_offload);
	packet[7] = 5;
	send_octets(&a, packet, len, no_offload);
	assert_int_equal(sad_dropped(a.sad, DROP_FRAGMENT), 2);
	assert_int_equal(a.count + a.event_count, 0);
	side_down(&a);
}

/* ---- in ---- */

static void what_comes_is_judged_by_the_plan(void **state)
{
	static const struct plan_entry web_first[] = { ENTRY(&web, IP_UDP, 80, 80),
						       ENTRY(&all, PROTOCOL_ANY, 0, 65535) };
	static const struct plan_entry web_only[] = { ENTRY(&web, IP_UDP, 80, 80) };
	static const struct plan_entry exempt_first[] = { ENTRY(&exempt, IP_UDP, 53, 53), ENTRY(&web, IP_UDP, 80, 80) };
	static struct plan plans[] = { { web_first, 2, 1 }, { web_only, 1, 1 }, { exempt_first, 2, 1 } };
	static struct rule all_other;
	static const struct plan_entry other[] = { ENTRY(&all_other, IP_UDP, 53, 53),
						   ENTRY(&web, PROTOCOL_ANY, 0, 65535) };
	static struct plan other_plan = { other, 2, 1 };
	const struct {
		const char *what;
		struct plan *plan;
		const struct rule *sa;
		const struct child_suite *suite;
		uint16_t port; /* of the sender, who is the remote end */
		int drop;      /* -1: let in */
	} rows[] = {
		{ "its own rule", &plans[0], &web, &null_sha, 80, -1 },
		{ "signed only, where another rule wants it encrypted", &plans[0], &web, &null_sha, 81, DROP_POLICY },
		{ "encrypted, where another rule wants it signed", &plans[0], &all, &gcm, 80, DROP_POLICY },
		{ "no rule protects it", &plans[1], &web, &null_sha, 81, -1 },
		{ "exempt", &plans[2], &web, &null_sha, 53, -1 },
		{ "a rule that the SA satisfies", &other_plan, &web, &null_sha, 53, -1 },
	};

	(void)state;
	all_other = web;
	all_other.name = "Other";
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct side a, b;
		struct shape s = udp4;
		struct sa_spec of_a, of_b;

		side_up(&a, 1, &all_plan);
		side_up(&b, 2, rows[i].plan);
		of_a = spec_of(&a, 4, &all, rows[i].suite);
		of_b = spec_of(&b, 4, rows[i].sa, rows[i].suite);
		join_specs(&a, &b, of_a, of_b);
		s.from = rows[i].port;
		send_shape(&a, &s);
		carry(&a, &b);
		if ((int)b.count != (rows[i].drop < 0))
			fail_msg("%s", rows[i].what);
		if (rows[i].drop >= 0)
			assert_int_equal(sad_dropped(b.sad, (enum sad_drop)rows[i].drop), 1);
		side_down(&a);
		side_down(&b);
	}
	/* The same rule with other peers in mind is not satisfied. */
	all_other.auth = &auth_b;
	{
		struct side a, b;
		struct shape s = udp4;

		side_up(&a, 1, &all_plan);
		side_up(&b, 2, &other_plan);
		join_specs(&a, &b, spec_of(&a, 4, &all, &null_sha), spec_of(&b, 4, &web, &null_sha));
		s.from = 53;
		send_shape(&a, &s);
		carry(&a, &b);
		assert_int_equal(sad_dropped(b.sad, DROP_POLICY), 1);
		side_down(&a);
		side_down(&b);
	}
}

/* A peer that keeps to no rules seals an IPv6 fragment header: what has no ports would be judged by the wide rule, and
 * put together by the kernel behind all judgement. */
static void a_fragment_under_an_sa_is_refused(void **state)
{
	static const struct shape udp6 = { .family = 6, .protocol = IP_UDP, .from = 80, .to = 1000, .payload = 100 };
	static const struct plan_entry entries[] = { ENTRY(&all, IP_UDP, 80, 80), ENTRY(&web, PROTOCOL_ANY, 0, 65535) };
	static struct plan plan = { entries, ARRAY_LEN(entries), 1 };
	static const uint8_t second_of_two[8] = { IP_UDP, 0, 0, 8, 0, 0, 0, 7 };
	uint8_t packet[PACKET_ROOM], sealed[PACKET_ROOM];
	struct wire_out out = wire_out(sealed, sizeof sealed);
	struct ip_packet ip;
	struct plan_packet flow;
	struct side a, b;
	size_t len = packet_make(&udp6, packet);

	(void)state;
	side_up(&a, 1, &all_plan);
	side_up(&b, 2, &plan);
	join_specs(&a, &b, spec_of(&a, 6, &all, &null_sha), spec_of(&b, 6, &web, &null_sha));
	memmove(packet + IP6_HEADER + sizeof second_of_two, packet + IP6_HEADER, len - IP6_HEADER);
	assert_int_equal(ip_parse(packet, len, &ip, NULL), 0);
	ip_flow(&ip, true, &flow);
	memcpy(packet + IP6_HEADER, second_of_two, sizeof second_of_two);
	ip.next = 44;
	ip.len = len += sizeof second_of_two;
	assert_int_equal(esp_seal(sa_find_out(&a.sad->sas, &all, &flow), &ip, packet, len, &out, NULL), 0);
	receive(&b, sealed, out.len);
	assert_int_equal(b.count, 0);
	assert_int_equal(sad_dropped(b.sad, DROP_FRAGMENT), 1);
	side_down(&a);
	side_down(&b);
}

static void an_sa_satisfies_a_rule_only_in_all_that_it_asks(void **state)
{
	static struct protection_set both = { .name = "both", .count = 2 };
	static struct child_suite suites[2];
	static const struct auth_set nobody = { .name = "nobody" };
	static const struct group servers = { .name = "servers" }, others = { .name = "others" };
	static const struct group *const to_servers[] = { &servers }, *const to_others[] = { &others };
	struct rule have = web, want;
	struct side a;

	(void)state;
	side_up(&a, 1, &all_plan); /* the suites have their algorithms from now on */
	side_down(&a);
	suites[0] = gcm;
	suites[1] = null_sha;
	both.suites = suites;
#define SATISFIED(is, change) \
	do { \
		want = have; \
		change; \
		if (rule_satisfies(&have, &null_sha, &want) != (is)) \
			fail_msg("%s", #change); \
	} while (0)
	SATISFIED(true, (void)0);
	SATISFIED(true, want.name = "Other");
	SATISFIED(true, want.protection = &both);
	SATISFIED(false, want.protection = &encrypt);
	SATISFIED(false, want.auth = &auth_b);
	SATISFIED(false, want.auth = &nobody);
	SATISFIED(false, want.auth = NULL);
	SATISFIED(false, want.second_auth = &auth_a);
	SATISFIED(false, want.tunnel = true);
	SATISFIED(false, want.machines = to_servers; want.machine_count = 1);
	both.require_encryption = true;
	SATISFIED(false, want.protection = &both);
	have.machines = to_others;
	have.machine_count = 1;
	SATISFIED(true, (void)0);
	SATISFIED(true, want.machine_count = 0);
	SATISFIED(false, want.machines = to_servers);
#undef SATISFIED
}

static void what_comes_must_be_within_the_selector(void **state)
{
	struct side a, b;
	struct sa_spec of_b;
	struct shape s = udp4;
	struct shape error = { .family = 4, .protocol = IP_ICMP, .from = 0x0303 };
	static uint8_t packet[PACKET_ROOM];
	size_t len;

	(void)state;
	side_up(&a, 1, &all_plan);
	side_up(&b, 2, &all_plan);
	of_b = spec_of(&b, 4, &all, &gcm);
	of_b.selector.protocol = IP_UDP;
	of_b.selector.local_port = (struct port_range){ 53, 53 };
	join_specs(&a, &b, spec_of(&a, 4, &all, &gcm), of_b);
	send_shape(&a, &s);
	s.to = 54;
	send_shape(&a, &s);
	s.protocol = IP_TCP;
	s.to = 53;
	send_shape(&a, &s);
	carry(&a, &b);
	assert_int_equal(b.count, 1);
	assert_int_equal(sad_dropped(b.sad, DROP_SELECTOR), 2);
	forget_sent(&a);
	forget_sent(&b);

	/* An ICMP error comes under the SA of the flow that it quotes: what b sent from its port 53, and nothing else.
	 */
	for (uint16_t port = 53; port < 55; port++) {
		struct shape quoted = { .family = 4, .protocol = IP_UDP, .from = port, .to = 9, .reply = true };

		error.payload = 28;
		len = packet_make(&error, packet);
		(void)packet_make(&quoted, packet + 28);
		send_octets(&a, packet, len, no_offload);
	}
	carry(&a, &b);
	assert_int_equal(b.count, 1);
	assert_int_equal(sad_dropped(b.sad, DROP_SELECTOR), 3);
	side_down(&a);
	side_down(&b);
}

static void an_icmp_error_leaves_under_the_sa_of_what_it_quotes(void **state)
{
	static const struct plan_entry udp_only[] = { ENTRY(&all, IP_UDP, 0, 65535) };
	static struct plan plan = { udp_only, 1, 1 };
	struct shape error = { .family = 4, .protocol = IP_ICMP, .from = 0x0303, .payload = 28 };
	struct shape quoted = { .family = 4, .protocol = IP_UDP, .from = 9, .to = 53, .reply = true };
	static uint8_t packet[PACKET_ROOM];
	struct sa_spec of_a, of_b;
	struct side a, b;
	size_t len;

	(void)state;
	side_up(&a, 1, &plan);
	side_up(&b, 2, &plan);
	of_a = spec_of(&a, 4, &all, &gcm);
	of_b = spec_of(&b, 4, &all, &gcm);
	of_a.selector.protocol = of_b.selector.protocol = IP_UDP;
	join_specs(&a, &b, of_a, of_b);
	len = packet_make(&error, packet);
	(void)packet_make(&quoted, packet + 28);
	send_octets(&a, packet, len, no_offload);
	carry(&a, &b);
	assert_int_equal(b.count, 1);
	/* one that quotes what no rule protects has no business in the TUN */
	quoted.protocol = IP_TCP;
	(void)packet_make(&quoted, packet + 28);
	send_octets(&a, packet, len, no_offload);
	assert_int_equal(sad_dropped(a.sad, DROP_POLICY), 1);
	side_down(&a);
	side_down(&b);
}

/* A flood of forged packets costs the log a line now and then, and not one of them is lost from the count. */
static void dropped_packets_are_told_by_peer_and_reason_but_not_each(void **state)
{
	static const struct {
		unsigned at; /* octet that is changed; the last one is of the check value */
		enum sad_drop why;
		enum event_id event;
	} rows[] = {
		{ 20, DROP_UNKNOWN_SPI, EVENT_UNKNOWN_SPI },
		{ UINT_MAX, DROP_BAD_ICV, EVENT_INTEGRITY_FAILED },
	};
	struct side a, b;
	static uint8_t packet[PACKET_ROOM];
	struct event told;
	size_t len;

	(void)state;
	side_up(&a, 1, &all_plan);
	side_up(&b, 2, &all_plan);
	join(&a, &b, 4);
	send_shape(&a, &udp4);
	len = a.sent[0].len;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		unsigned at = rows[i].at == UINT_MAX ? (unsigned)len - 1 : rows[i].at;

		b.dropped_count = b.dropped_left_out = 0;
		memset(&b.dropped, 0, sizeof b.dropped);
		for (unsigned k = 0; k < 1000; k++) {
			memcpy(packet, a.sent[0].octets, len);
			packet[at] ^= 0x55;
			receive(&b, packet, len);
		}
		assert_in_range(b.dropped_count, 1, 3);
		clock_ms += 5000;
		memcpy(packet, a.sent[0].octets, len);
		packet[at] ^= 0x55;
		receive(&b, packet, len);
		assert_int_equal(b.dropped_count + b.dropped_left_out, 1001);
		assert_int_equal(b.dropped.drop, rows[i].why);
		assert_int_equal(b.dropped.packet.remote.octets[3], packet[15]);
		assert_int_equal(b.dropped.pair != 0, rows[i].why != DROP_UNKNOWN_SPI);
		sad_drop_tell(&b.dropped, "rule", &told);
		assert_int_equal(told.id, rows[i].event);
		assert_int_equal(told.spi, b.dropped.spi);
		assert_string_equal(told.reason, sad_drops[rows[i].why].name);
	}
	side_down(&a);
	side_down(&b);
}

static void unknown_and_misaddressed_esp_is_counted_and_told_once_a_second(void **state)
{
	struct side a, b;
	static uint8_t packet[PACKET_ROOM];

	(void)state;
	side_up(&a, 1, &all_plan);
	side_up(&b, 2, &all_plan);
	join(&a, &b, 4);
	b.event_count = 0;
	send_shape(&a, &udp4);
	memcpy(packet, a.sent[0].octets, a.sent[0].len);
	packet[20] ^= 0x55;
	for (unsigned i = 0; i < 5; i++)
		receive(&b, packet, a.sent[0].len);
	assert_int_equal(sad_dropped(b.sad, DROP_UNKNOWN_SPI), 5);
	assert_int_equal(b.event_count, 1);
	assert_int_equal(b.events[0].kind, SAD_UNKNOWN_SPI);
	assert_int_equal(b.events[0].spi, get32(packet + 20));
	clock_ms += 1000;
	receive(&b, packet, a.sent[0].len);
	assert_int_equal(b.event_count, 2);
	/* the right SPI, but from somebody else */
	memcpy(packet, a.sent[0].octets, a.sent[0].len);
	packet[15] = 9;
	receive(&b, packet, a.sent[0].len);
	assert_int_equal(sad_dropped(b.sad, DROP_SELECTOR), 1);
	for (size_t cut = 0; cut < a.sent[0].len; cut++) {
		memcpy(packet, a.sent[0].octets, a.sent[0].len);
		put16(packet + 2, cut);
		receive(&b, packet, cut);
	}
	assert_int_equal(b.count, 0);
	carry(&a, &b);
	carry(&a, &b);
	assert_int_equal(b.count, 1);
	assert_int_equal(sad_dropped(b.sad, DROP_REPLAY), 1);
	side_down(&a);
	side_down(&b);
}

/* ---- lifetimes, requests, plans ---- */

static void an_sa_asks_for_its_successor_and_stops_at_its_limit(void **state)
{
	struct side a, b;
	struct sa_spec of_a, of_b;

	(void)state;
	side_up(&a, 1, &all_plan);
	side_up(&b, 2, &all_plan);
	of_a = spec_of(&a, 4, &all, &gcm);
	of_b = spec_of(&b, 4, &all, &gcm);
	of_a.soft_octets = 500;
	of_a.hard_octets = 1000;
	join_specs(&a, &b, of_a, of_b);
	a.event_count = 0;
	for (unsigned i = 0; i < 10; i++)
		send_shape(&a, &udp4); /* 108 octets each */
	assert_int_equal(a.event_count, 1);
	assert_int_equal(a.events[0].kind, SAD_EXPIRE_SOFT);
	assert_int_equal(a.events[0].pair, PAIR);
	assert_int_equal(a.count, 10);
	send_shape(&a, &udp4);
	assert_int_equal(a.count, 10); /* it waits for the successor */
	assert_int_equal(a.event_count, 3);
	assert_int_equal(a.events[1].kind, SAD_EXPIRE_HARD);
	assert_int_equal(a.events[2].kind, SAD_ACQUIRE);
	assert_int_equal(sad_usage(a.sad, NULL, 0), 0);
	forget_sent(&a);
	join(&a, &b, 4);
	assert_int_equal(a.count, 1);
	side_down(&a);
	side_down(&b);
}

static void sequence_numbers_run_out_like_octets(void **state)
{
	struct side a, b;
	struct sa *sa;

	(void)state;
	side_up(&a, 1, &all_plan);
	side_up(&b, 2, &all_plan);
	join(&a, &b, 4);
	a.event_count = 0;
	sa = sa_find_pair(&a.sad->sas, PAIR, false);
	sa->sequence = UINT32_MAX - 2;
	send_shape(&a, &udp4);
	assert_int_equal(a.events[0].kind, SAD_EXPIRE_SOFT);
	send_shape(&a, &udp4);
	assert_int_equal(a.count, 2);
	send_shape(&a, &udp4);
	assert_int_equal(a.count, 2);
	assert_int_equal(a.events[1].kind, SAD_EXPIRE_HARD);
	side_down(&a);
	side_down(&b);
}

static void the_newest_sa_sends_and_the_old_one_still_receives(void **state)
{
	struct side a, b;
	struct sa_spec of_a, of_b;
	struct sa_usage u;

	(void)state;
	side_up(&a, 1, &all_plan);
	side_up(&b, 2, &all_plan);
	join(&a, &b, 4);
	send_shape(&a, &udp4);
	of_a = spec_of(&a, 4, &all, &gcm);
	of_b = spec_of(&b, 4, &all, &gcm);
	of_a.pair = of_b.pair = PAIR + 1;
	join_specs(&a, &b, of_a, of_b);
	send_shape(&a, &udp4);
	assert_true(sad_usage_of(a.sad, PAIR + 1, &u));
	assert_int_equal(u.packets_out, 1);
	carry(&a, &b);
	assert_int_equal(b.count, 2);
	assert_int_equal(sad_remove(a.sad, PAIR + 1, 9, NULL), 0);
	assert_int_equal(a.events[a.event_count - 1].kind, SAD_DONE);
	assert_int_equal(a.events[a.event_count - 1].request, 9);
	send_shape(&a, &udp4);
	assert_true(sad_usage_of(a.sad, PAIR, &u));
	assert_int_equal(u.packets_out, 2);
	assert_int_equal(sad_remove(a.sad, PAIR + 1, 9, NULL), -ENOENT);
	side_down(&a);
	side_down(&b);
}

static void wrong_requests_fail_at_once(void **state)
{
	static const struct rule nobodys = { .name = "All" };
	struct side a;
	struct sa_spec good, s;
	struct child_suite ah;
	struct diag d;

	(void)state;
	side_up(&a, 1, &all_plan);
	good = spec_of(&a, 4, &all, &gcm);
	good.spi = 300;
	assert_int_equal(child_suite_parse("ah-sha256", 9, &ah, NULL), 0);
#define REFUSED(change) \
	do { \
		s = good; \
		change; \
		if (sad_install(a.sad, &s, 1, &d) >= 0) \
			fail_msg("%s: taken", #change); \
	} while (0)
	REFUSED(s.inbound = true); /* was not reserved */
	REFUSED(s.spi = 255);
	REFUSED(s.suite = ah);
	REFUSED(s.tunnel = true);
	REFUSED(s.rule = &nobodys);
	REFUSED(s.encr_key.len--);
	REFUSED(s.local = end_of(6, 1));
	REFUSED(s.selector.remote = end_of(4, 9));
	REFUSED(s.encap_local_port = 4500);
	REFUSED(s.nat = true); /* native */
	REFUSED(s.encap_local_port = s.encap_remote_port = 4500; s.selector.remote = end_of(4, 9));
	s = good;
	s.inbound = true;
	s.spi = reserve(&a, 4);
	s.replay_window = 63;
	assert_true(sad_install(a.sad, &s, 1, &d) < 0);
	s.replay_window = 4097;
	assert_true(sad_install(a.sad, &s, 1, &d) < 0);
	s.replay_window = 4096;
	assert_int_equal(sad_install(a.sad, &s, 1, &d), 0);
	assert_true(sad_install(a.sad, &s, 1, &d) < 0); /* twice */
	s.spi = reserve(&a, 4);
	sad_release_spi(a.sad, s.spi);
	assert_true(sad_install(a.sad, &s, 1, &d) < 0); /* given back */
	side_down(&a);
}

static void a_new_plan_keeps_the_sas_that_still_belong_to_their_rule(void **state)
{
	static struct rule again, stricter, renamed;
	static const struct plan_entry again_entries[] = { ENTRY(&again, PROTOCOL_ANY, 0, 65535) };
	static const struct plan_entry stricter_entries[] = { ENTRY(&stricter, PROTOCOL_ANY, 0, 65535) };
	static const struct plan_entry renamed_entries[] = { ENTRY(&renamed, PROTOCOL_ANY, 0, 65535) };
	static const struct plan_entry narrower_entries[] = { ENTRY(&again, IP_TCP, 0, 65535) };
	static struct plan plans[] = { { again_entries, 1, 1 },
				       { stricter_entries, 1, 1 },
				       { renamed_entries, 1, 1 },
				       { narrower_entries, 1, 1 } };
	static const bool kept[] = { true, false, false, false };
	struct sa_usage u;

	(void)state;
	again = all;
	stricter = all;
	stricter.auth = &auth_b;
	renamed = all;
	renamed.name = "All of them";
	for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
		struct side a, b;

		side_up(&a, 1, &all_plan);
		side_up(&b, 2, &all_plan);
		join(&a, &b, 4);
		a.event_count = 0;
		sad_set_plan(a.sad, &plans[i]);
		assert_int_equal(sad_usage_of(a.sad, PAIR, &u), kept[i]);
		if (kept[i]) {
			assert_ptr_equal(u.rule, &again);
			send_shape(&a, &udp4);
			assert_int_equal(a.count, 1);
		} else {
			assert_int_equal(a.events[0].kind, SAD_EXPIRE_HARD);
			assert_int_equal(a.events[0].pair, PAIR);
		}
		sad_set_plan(a.sad, NULL);
		assert_int_equal(sad_usage(a.sad, NULL, 0), 0);
		side_down(&a);
		side_down(&b);
		assert_int_equal(plans[i].references, 1);
		assert_int_equal(all_plan.references, 1);
	}
}

static void udp_encapsulation_goes_both_ways(void **state)
{
	struct side a, b;

	(void)state;
	for (unsigned family = 4; family <= 6; family += 2) {
		struct sa_spec of_a, of_b;
		struct shape s = udp4;

		side_up(&a, 1, &all_plan);
		side_up(&b, 2, &all_plan);
		of_a = spec_of(&a, family, &all, &gcm);
		of_b = spec_of(&b, family, &all, &gcm);
		of_a.encap_local_port = of_a.encap_remote_port = of_b.encap_local_port = of_b.encap_remote_port = 4500;
		join_specs(&a, &b, of_a, of_b);
		s.family = family;
		send_shape(&a, &s);
		carry(&a, &b);
		assert_int_equal(b.count, 1);
		assert_true(sums_right(b.sent[0].octets, b.sent[0].len));
		side_down(&a);
		side_down(&b);
	}
}

/* ---- NAT ---- */

/* A NAT puts another address, and port, in the place of the first host's. */
static void translate(uint8_t *packet, bool source, const struct addr *to, uint16_t port)
{
	bool v4 = packet[0] >> 4 == 4;
	size_t head = v4 ? 20 : 40;

	memcpy(packet + (v4 ? 12 : 8) + (source ? 0 : addr_octets(to)), to->octets, addr_octets(to));
	put16(packet + head + (source ? 0 : 2), port);
	if (v4)
		ip4_checksum(packet, head);
}

/* From behind the NAT: a knows itself as 1, b knows it as 9. */
static void join_through_nat(struct side *a, struct side *b, unsigned family, uint16_t port)
{
	struct sa_spec of_a = spec_of(a, family, &all, &gcm), of_b = spec_of(b, family, &all, &gcm);

	of_a.encap_local_port = of_a.encap_remote_port = of_b.encap_local_port = 4500;
	of_a.nat = of_b.nat = true;
	of_b.encap_remote_port = port;
	of_b.remote = of_b.selector.remote = end_of(family, 9);
	join_specs(a, b, of_a, of_b);
}

static void out_through_nat(struct side *a, struct side *b, const struct shape *s, const struct addr *as, uint16_t port)
{
	forget_sent(a);
	forget_sent(b);
	send_shape(a, s);
	assert_int_equal(a->count, 1);
	translate(a->sent[0].octets, true, as, port);
	receive(b, a->sent[0].octets, a->sent[0].len);
}

static const struct sad_event *moved(const struct side *h)
{
	for (size_t i = 0; i < h->event_count; i++)
		if (h->events[i].kind == SAD_MOVED)
			return &h->events[i];
	return NULL;
}

/* Both ends agreed on UDP, and there is no NAT: what is inside is the sender's as it stands, and he stays where he is.
 */
static void agreed_encapsulation_changes_nothing_inside_and_nobody_moves(void **state)
{
	(void)state;
	for (unsigned nat = 0; nat < 2; nat++) {
		const struct addr self = end_of(4, 1), elsewhere = end_of(4, 8);
		struct side a, b;
		static uint8_t packet[PACKET_ROOM];
		size_t len = packet_make(&udp4, packet);
		struct sa_spec of_a, of_b;
		struct ip_packet ip;

		side_up(&a, 1, &all_plan);
		side_up(&b, 2, &all_plan);
		of_a = spec_of(&a, 4, &all, &gcm);
		of_b = spec_of(&b, 4, &all, &gcm);
		of_a.encap_local_port = of_a.encap_remote_port = of_b.encap_local_port = of_b.encap_remote_port = 4500;
		of_a.nat = of_b.nat = nat;
		join_specs(&a, &b, of_a, of_b);
		forget_sent(&a);
		packet[26] ^= 0x55; /* a wrong checksum says which it is */
		send_octets(&a, packet, len, no_offload);
		assert_int_equal(a.count, 1);
		forget_sent(&b);
		translate(a.sent[0].octets, true, &self, 62000); /* the same address, another port */
		receive(&b, a.sent[0].octets, a.sent[0].len);
		assert_int_equal(b.count, 1);
		assert_int_equal(sums_right(b.sent[0].octets, b.sent[0].len), nat);
		assert_int_equal(moved(&b) != NULL, nat);
		clock_ms += PLANE_MOVED_MS;
		out_through_nat(&a, &b, &udp4, &elsewhere, 4500);
		assert_int_equal(b.count, nat);
		assert_int_equal(moved(&b) != NULL, nat);
		assert_int_equal(sad_dropped(b.sad, DROP_SELECTOR), !nat);
		sad_move(a.sad, PAIR, &elsewhere, 62000);
		forget_sent(&a);
		send_shape(&a, &udp4);
		assert_int_equal(ip_parse(a.sent[0].octets, a.sent[0].len, &ip, NULL), 0);
		assert_int_equal(addr_equal(&ip.destination, &elsewhere), nat);
		assert_int_equal(ip.destination_port, nat ? 62000 : 4500);
		side_down(&a);
		side_down(&b);
	}
}

static void what_comes_through_a_nat_has_the_addresses_that_we_know(void **state)
{
	static const struct shape rows[] = {
		{ .family = 4, .protocol = IP_UDP, .from = 1000, .to = 53, .payload = 101 },
		{ .family = 4, .protocol = IP_TCP, .from = 1000, .to = 80, .payload = 100, .flags = 0x10 },
		{ .family = 4, .protocol = IP_ICMP, .from = 0x0800, .payload = 33 },
		{ .family = 6, .protocol = IP_UDP, .from = 1000, .to = 53, .payload = 101 },
		{ .family = 6, .protocol = IP_TCP, .from = 1000, .to = 80, .payload = 100, .flags = 0x10 },
		{ .family = 6, .protocol = IP_ICMP6, .from = 0x8000, .payload = 40 },
		{ .family = 6, .protocol = IP_TCP, .from = 1000, .to = 80, .payload = 100, .destination = true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct addr outside = end_of(rows[i].family, 9);
		struct ip_packet ip;
		struct side a, b;

		side_up(&a, 1, &all_plan);
		side_up(&b, 2, &all_plan);
		join_through_nat(&a, &b, rows[i].family, 61000);
		out_through_nat(&a, &b, &rows[i], &outside, 61000);
		if (b.count != 1 || !sums_right(b.sent[0].octets, b.sent[0].len))
			fail_msg("row %zu: %zu packets, dropped %llu", i, b.count, (unsigned long long)dropped(&b));
		assert_int_equal(ip_parse(b.sent[0].octets, b.sent[0].len, &ip, NULL), 0);
		assert_true(addr_equal(&ip.source, &outside));
		assert_null(moved(&b));
		side_down(&a);
		side_down(&b);
	}
}

static void a_datagram_without_checksum_keeps_none(void **state)
{
	const struct addr outside = end_of(4, 9);
	static uint8_t packet[PACKET_ROOM];
	struct side a, b;
	size_t len = packet_make(&udp4, packet);

	(void)state;
	side_up(&a, 1, &all_plan);
	side_up(&b, 2, &all_plan);
	join_through_nat(&a, &b, 4, 61000);
	forget_sent(&a);
	put16(packet + 26, 0);
	send_octets(&a, packet, len, no_offload);
	translate(a.sent[0].octets, true, &outside, 61000);
	forget_sent(&b);
	receive(&b, a.sent[0].octets, a.sent[0].len);
	assert_int_equal(b.count, 1);
	assert_int_equal(get16(b.sent[0].octets + 26), 0);
	side_down(&a);
	side_down(&b);
}

static void a_move_is_told_when_it_is_authentic_and_made_when_asked(void **state)
{
	(void)state;
	for (unsigned family = 4; family <= 6; family += 2) {
		const struct addr outside = end_of(family, 9), elsewhere = end_of(family, 8);
		struct shape s = udp4, answer = udp4;
		struct ip_packet ip;
		struct side a, b;

		s.family = answer.family = family;
		side_up(&a, 1, &all_plan);
		side_up(&b, 2, &all_plan);
		join_through_nat(&a, &b, family, 61000);
		out_through_nat(&a, &b, &s, &elsewhere, 62000);
		assert_int_equal(b.count, 1);
		assert_non_null(moved(&b));
		assert_int_equal(moved(&b)->pair, PAIR);
		assert_int_equal(moved(&b)->packet.remote_port, 62000);
		assert_true(addr_equal(&moved(&b)->packet.remote, &elsewhere));
		assert_int_equal(ip_parse(b.sent[0].octets, b.sent[0].len, &ip, NULL), 0);
		assert_true(addr_equal(&ip.source, &outside)); /* its programs go on knowing it by that */
		out_through_nat(&a, &b, &s, &elsewhere, 62000);
		assert_null(moved(&b)); /* not at once again */
		clock_ms += PLANE_MOVED_MS;

		/* The same packet again, and a damaged one, from a third place: nothing is told. */
		translate(a.sent[0].octets, true, &outside, 63000);
		forget_sent(&b);
		receive(&b, a.sent[0].octets, a.sent[0].len);
		forget_sent(&a);
		send_shape(&a, &s);
		a.sent[0].octets[a.sent[0].len - 1] ^= 1;
		translate(a.sent[0].octets, true, &outside, 63000);
		receive(&b, a.sent[0].octets, a.sent[0].len);
		assert_int_equal(b.count, 0);
		assert_null(moved(&b));

		sad_move(b.sad, PAIR, &elsewhere, 62000);
		forget_sent(&b);
		{ /* an answer, as b's programs send it */
			static uint8_t packet[PACKET_ROOM];
			size_t at = family == 4 ? 16 : 24, len;

			answer.reply = true;
			len = packet_make(&answer, packet);
			memcpy(packet + at, outside.octets, addr_octets(&outside));
			if (family == 4)
				ip4_checksum(packet, 20);
			send_octets(&b, packet, len, no_offload);
		}
		assert_int_equal(b.count, 1);
		assert_int_equal(ip_parse(b.sent[0].octets, b.sent[0].len, &ip, NULL), 0);
		assert_true(addr_equal(&ip.destination, &elsewhere));
		assert_int_equal(ip.destination_port, 62000);
		if (family == 6)
			assert_true(sums_right(b.sent[0].octets, b.sent[0].len));
		{
			const struct addr inside = end_of(family, 1);

			translate(b.sent[0].octets, false, &inside, 4500);
		}
		forget_sent(&a);
		receive(&a, b.sent[0].octets, b.sent[0].len);
		assert_int_equal(a.count, 1);
		assert_true(sums_right(a.sent[0].octets, a.sent[0].len));
		side_down(&a);
		side_down(&b);
	}
}

/* "Port unreachable" from the far end quotes our packet with the address that the NAT gave it. */
static void an_icmp_error_through_a_nat_quotes_our_own_packet(void **state)
{
	const struct addr outside = end_of(4, 9), inside = end_of(4, 1), server = end_of(4, 2);
	static uint8_t packet[PACKET_ROOM];
	struct ip_packet ip, quoted;
	struct side a, b;
	size_t n;

	(void)state;
	side_up(&a, 1, &all_plan);
	side_up(&b, 2, &all_plan);
	join_through_nat(&a, &b, 4, 61000);
	out_through_nat(&a, &b, &udp4, &outside, 61000);
	/* 20 octets of header, 8 of ICMP, then the packet as b has it. */
	memset(packet, 0, 28);
	packet[0] = 0x45;
	packet[8] = 64;
	packet[9] = IP_ICMP;
	packet[20] = packet[21] = 3;
	memcpy(packet + 12, server.octets, 4);
	memcpy(packet + 16, outside.octets, 4);
	memcpy(packet + 28, b.sent[0].octets, 28);
	put16(packet + 2, n = 56);
	ip4_checksum(packet, 20);
	put16(packet + 22, (uint16_t)~upper_sum(packet, n));
	forget_sent(&b);
	send_octets(&b, packet, n, no_offload);
	assert_int_equal(b.count, 1);
	translate(b.sent[0].octets, false, &inside, 4500);
	forget_sent(&a);
	receive(&a, b.sent[0].octets, b.sent[0].len);
	assert_int_equal(a.count, 1);
	assert_true(sums_right(a.sent[0].octets, a.sent[0].len));
	assert_int_equal(ip_parse(a.sent[0].octets, a.sent[0].len, &ip, NULL), 0);
	assert_true(ip_quoted(&ip, a.sent[0].octets, &quoted));
	assert_true(addr_equal(&quoted.source, &inside) && addr_equal(&quoted.destination, &server));
	side_down(&a);
	side_down(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_comes_under_a_reserved_spi_waits_for_its_keys),
		cmocka_unit_test(a_packet_travels_and_is_the_same_behind),
		cmocka_unit_test(ah_travels_the_same_way),
		cmocka_unit_test(packets_wait_and_leave_in_order_when_the_sa_is_there),
		cmocka_unit_test(waiting_packets_are_bounded),
		cmocka_unit_test(keying_is_asked_once_a_second),
		cmocka_unit_test(a_failed_negotiation_tells_the_sender_or_falls_back),
		cmocka_unit_test(a_held_super_packet_is_cut_when_it_leaves),
		cmocka_unit_test(what_is_too_big_is_told_or_fragmented),
		cmocka_unit_test(nothing_below_the_least_of_ipv6_is_told),
		cmocka_unit_test(an_icmp_error_lowers_the_path_only_if_it_quotes_our_esp),
		cmocka_unit_test(fragments_and_rubbish_from_the_tun_are_counted),
		cmocka_unit_test(what_comes_is_judged_by_the_plan),
		cmocka_unit_test(a_fragment_under_an_sa_is_refused),
		cmocka_unit_test(an_sa_satisfies_a_rule_only_in_all_that_it_asks),
		cmocka_unit_test(what_comes_must_be_within_the_selector),
		cmocka_unit_test(an_icmp_error_leaves_under_the_sa_of_what_it_quotes),
		cmocka_unit_test(dropped_packets_are_told_by_peer_and_reason_but_not_each),
		cmocka_unit_test(unknown_and_misaddressed_esp_is_counted_and_told_once_a_second),
		cmocka_unit_test(an_sa_asks_for_its_successor_and_stops_at_its_limit),
		cmocka_unit_test(sequence_numbers_run_out_like_octets),
		cmocka_unit_test(the_newest_sa_sends_and_the_old_one_still_receives),
		cmocka_unit_test(wrong_requests_fail_at_once),
		cmocka_unit_test(a_new_plan_keeps_the_sas_that_still_belong_to_their_rule),
		cmocka_unit_test(udp_encapsulation_goes_both_ways),
		cmocka_unit_test(agreed_encapsulation_changes_nothing_inside_and_nobody_moves),
		cmocka_unit_test(what_comes_through_a_nat_has_the_addresses_that_we_know),
		cmocka_unit_test(a_datagram_without_checksum_keeps_none),
		cmocka_unit_test(a_move_is_told_when_it_is_authentic_and_made_when_asked),
		cmocka_unit_test(an_icmp_error_through_a_nat_quotes_our_own_packet),
	};

	clock_ms = 1000000;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
