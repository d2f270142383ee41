/* A run of ESP packets that came as one from UDP port 4500: each is judged for itself, opened where it lies, and what
 * is wrong with one changes nothing for its neighbours, nor for anything but the counter that names it. */
#include "tests/unit/unit.h"

#include "base/scope.h"
#include "dataplane/esp/esp.h"
#include "dataplane/esp/plane.h"
#include "tests/unit/flat_plan.h"
#include "tests/unit/packets.h"

#include <stdlib.h>

enum { TCPV4 = 1, TCPV6 = 4, ROWS_MOST = 64, PORT = 4500, SIZE = 900, LAST = 333, PACKETS = 20, GUARD = 64 };

static const struct auth_set auth = { .name = "a" };
static struct child_suite suite;
static struct protection_set encrypt = { .name = "e", .suites = &suite, .count = 1, .require_encryption = true };
static const struct rule rule = { .name = "All", .mode = MODE_REQUIRE, .auth = &auth, .protection = &encrypt };
static const struct plan_entry entry = FLAT_ALL(&rule);
static struct plan plan = { &entry, 1, 1 };

/* What left a plane, whole: head and body put together. */
struct out {
	uint8_t octets[2000];
	size_t len;
	bool to_tun;
};

struct side {
	struct sad *sad;
	struct out out[ROWS_MOST];
	size_t count;
	uint32_t spi;
};

static uint64_t now_ms(void *context)
{
	(void)context;
	return 1000;
}

static void on_event(void *context, const struct sad_event *e)
{
	struct side *h = context;

	if (e->kind == SAD_SPI_RESERVED)
		h->spi = e->spi;
}

static void keep(void *io, struct packet_list *l)
{
	struct side *h = io;

	for (size_t i = 0; i < l->count; i++) {
		const struct packet_out *row = &l->rows[i];
		struct out *o = &h->out[h->count++];

		assert_true(h->count <= ROWS_MOST && row->len + row->body_len <= sizeof o->octets);
		memcpy(o->octets, l->octets + row->at, row->len);
		if (row->body_len)
			memcpy(o->octets + row->len, row->body, row->body_len);
		o->len = row->len + row->body_len;
		o->to_tun = row->to_tun;
	}
}

static void side_up(struct side *h)
{
	struct plane_config c = {
		.plan = &plan, .event = on_event, .now_ms = now_ms, .context = h, .flush = keep, .io = h
	};

	memset(h, 0, sizeof *h);
	assert_int_equal(child_suite_parse("esp-aes256gcm", 13, &suite, NULL), 0);
	assert_int_equal(plane_new(&c, &h->sad, NULL), 0);
}

static void install(struct side *h, unsigned family, unsigned number, bool inbound, uint32_t spi)
{
	struct addr local = end_of(family, number), remote = end_of(family, 3 - number);
	struct sa_spec s = flat_spec(&local, &remote, &suite, &rule);

	s.spi = spi;
	s.inbound = inbound;
	s.encap_local_port = s.encap_remote_port = PORT;
	s.pair = 1;
	assert_int_equal(sad_install(h->sad, &s, 1, NULL), 0);
}

static void sides_up(struct side *a, struct side *b, unsigned family)
{
	struct addr local = end_of(family, 2), remote = end_of(family, 1);

	side_up(a);
	side_up(b);
	assert_int_equal(sad_reserve_spi(b->sad, &local, &remote, 1, NULL), 0);
	install(b, family, 2, true, b->spi);
	install(a, family, 1, false, b->spi);
}

static uint8_t buffer[GUARD + PACKETS * 1200 + GUARD];

/* A super-packet through A, as the run that B's socket gives. */
static struct esp_datagram run_of(struct side *a, unsigned family)
{
	static uint8_t whole[PACKET_ROOM];
	struct shape s = { .family = family,
			   .protocol = IP_TCP,
			   .from = 1,
			   .to = 2,
			   .df = true,
			   .flags = 0x10,
			   .payload = (PACKETS - 1) * SIZE + LAST };
	struct esp_datagram g = { .local = end_of(family, 2),
				  .remote = end_of(family, 1),
				  .local_port = PORT,
				  .remote_port = PORT,
				  .ttl = 64,
				  .octets = buffer + GUARD };
	size_t len = packet_make(&s, whole), head = (family == 4 ? IP4_HEADER : IP6_HEADER) + UDP_HEADER;
	uint8_t header[10];

	packet_offload(whole, len, family == 4 ? TCPV4 : TCPV6, SIZE, header);
	plane_enter(a->sad);
	plane_send(a->sad, header, whole, len);
	plane_leave(a->sad);
	assert_int_equal(a->count, PACKETS);
	memset(buffer, 0xa5, sizeof buffer);
	for (size_t i = 0; i < PACKETS; i++) {
		assert_false(a->out[i].to_tun);
		memcpy(g.octets + g.len, a->out[i].octets + head, a->out[i].len - head);
		g.len += a->out[i].len - head;
	}
	g.segment = a->out[0].len - head;
	a->count = 0;
	return g;
}

/* What came to B's TUN is piece number `number`, octet for octet. */
static void check_piece(const struct out *o, unsigned family, size_t number)
{
	size_t head = (family == 4 ? 20 : 40) + 32, len = number == PACKETS - 1 ? LAST : SIZE;

	assert_true(o->to_tun);
	assert_int_equal(o->len, head + len);
	assert_true(sums_right(o->octets, o->len));
	for (size_t i = 0; i < len; i++)
		if (o->octets[head + i] != payload_octet(number * SIZE + i))
			fail_msg("IPv%u, piece %zu: octet %zu is another", family, number, i);
}

static void check_guards(const struct esp_datagram *g)
{
	for (size_t i = 0; i < GUARD; i++) {
		assert_int_equal(buffer[i], 0xa5);
		assert_int_equal(g->octets[g->len + i], 0xa5);
	}
}

static void a_run_is_opened_where_it_lies(void **state)
{
	(void)state;
	for (unsigned family = 4; family <= 6; family += 2) {
		static struct side a, b;
		struct esp_datagram g;

		sides_up(&a, &b, family);
		g = run_of(&a, family);
		esp_encapsulated(b.sad, &g);
		assert_int_equal(b.count, PACKETS);
		for (size_t i = 0; i < PACKETS; i++)
			check_piece(&b.out[i], family, i);
		check_guards(&g);
		sad_free(a.sad);
		sad_free(b.sad);
	}
}

static void a_bad_one_among_good_ones_is_counted_and_alone(void **state)
{
	enum what { FORGED, UNKNOWN, REPLAYED, SHORT_ONE };
	static const struct {
		enum what what;
		enum sad_drop drop;
	} rows[] = {
		{ FORGED, DROP_BAD_ICV },
		{ UNKNOWN, DROP_UNKNOWN_SPI },
		{ REPLAYED, DROP_REPLAY },
		{ SHORT_ONE, DROP_BAD_ICV },
	};

	(void)state;
	for (unsigned i = 0; i < 2 * ARRAY_LEN(rows); i++) {
		static struct side a, b;
		unsigned family = i % 2 ? 6 : 4;
		const enum what what = rows[i / 2].what;
		const size_t bad = what == SHORT_ONE ? PACKETS - 1 : 7;
		struct esp_datagram g;
		uint8_t *at;
		size_t came = 0;

		sides_up(&a, &b, family);
		g = run_of(&a, family);
		at = g.octets + bad * g.segment;
		if (what == FORGED)
			at[40] ^= 1;
		else if (what == UNKNOWN)
			at[0] ^= 1;
		else if (what == REPLAYED)
			memcpy(at, at - g.segment, g.segment);
		else
			memset(g.octets + (g.len -= 100), 0xa5, GUARD);
		esp_encapsulated(b.sad, &g);
		assert_int_equal(b.count, PACKETS - 1);
		for (size_t k = 0; k < PACKETS; k++)
			if (k != bad)
				check_piece(&b.out[came++], family, k);
		for (int d = 0; d < DROP_COUNT; d++)
			assert_int_equal(sad_dropped(b.sad, (enum sad_drop)d), d == (int)rows[i / 2].drop);
		check_guards(&g);
		sad_free(a.sad);
		sad_free(b.sad);
	}
}

/* Lengths that no run has: nothing is read or written outside. */
static void a_run_of_any_length_is_harmless(void **state)
{
	(void)state;
	for (size_t segment = 1; segment < 60; segment++) {
		static struct side a, b;
		struct esp_datagram g;

		sides_up(&a, &b, 4);
		g = run_of(&a, 4);
		g.segment = segment;
		g.len = 100 + segment;
		memset(g.octets + g.len, 0xa5, GUARD);
		esp_encapsulated(b.sad, &g);
		assert_int_equal(b.count, 0);
		check_guards(&g);
		sad_free(a.sad);
		sad_free(b.sad);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_is_opened_where_it_lies),
		cmocka_unit_test(a_bad_one_among_good_ones_is_counted_and_alone),
		cmocka_unit_test(a_run_of_any_length_is_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
