/* Joining: what the cutter made of a super-packet becomes that super-packet again, and what does not belong together
 * stays apart, in its order. */
#include "tests/unit/unit.h"

#include "base/scope.h"
#include "dataplane/esp/join.h"
#include "tests/unit/packets.h"
#include "tests/unit/random.h"

#include <stdlib.h>

enum { TCPV4 = 1, TCPV6 = 4, UDP_L4 = 5, FIN = 1, SYN = 2, PSH = 8, ACK = 0x10, CWR = 0x80, PIECES = 64 };

static uint8_t whole[PACKET_ROOM], pieces[PIECES][PACKET_ROOM / 8], written[2 * PACKET_ROOM];
static size_t lengths[PIECES];
static struct joiner joiner;

/* As the plane hands it on: short ones copied, of others the headers. */
static void hand_on(struct packet_list *l, const uint8_t *packet, size_t len, bool in_two)
{
	struct ip_packet ip;
	size_t head = len;

	assert_int_equal(ip_parse(packet, len, &ip, NULL), 0);
	if (in_two)
		head = ip.upper + (ip.protocol == IP_TCP ? (packet[ip.upper + 12] >> 4) * 4u : 8u);
	list_add_opened(l, packet, head < len ? head : len, len, ip.fragment ? 0 : ip.upper, ip.protocol);
}

static size_t join_all(const struct packet_list *l)
{
	join_begin(&joiner);
	for (size_t i = 0; i < l->count; i++)
		assert_true(join_add(&joiner, l, &l->rows[i]));
	return joiner.run_count;
}

/* Run i as one block: virtio header and packet. */
static size_t written_as(const struct packet_list *l, size_t i)
{
	struct joined j;
	size_t n = 0;

	join_write(&joiner, l, i, &j);
	assert_in_range(j.count, 2, (int)ARRAY_LEN(j.parts));
	for (int k = 0; k < j.count; k++) {
		memcpy(written + n, j.parts[k].iov_base, j.parts[k].iov_len);
		n += j.parts[k].iov_len;
	}
	return n;
}

static size_t cut(const uint8_t header[10], size_t len)
{
	struct ip_packet ip;
	struct offload o;
	struct cutter c;
	size_t n = 0;

	assert_int_equal(ip_parse(whole, len, &ip, NULL), 0);
	assert_int_equal(offload_decode(header, &ip, whole, &o, NULL), 0);
	assert_int_equal(cutter_init(&c, &o, &ip, whole, 65535, NULL), 0);
	while (n < PIECES && (lengths[n] = cutter_next(&c, pieces[n])) > 0)
		n++;
	return n;
}

static void what_was_cut_is_joined_to_what_it_was(void **state)
{
	uint64_t seed = 23;

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		bool tcp = random_below(&seed, 2);
		struct shape s = { .family = random_below(&seed, 2) ? 4 : 6,
				   .protocol = tcp ? IP_TCP : IP_UDP,
				   .from = (uint16_t)(1 + random_below(&seed, 60000)),
				   .to = 2,
				   .df = random_below(&seed, 2),
				   .flags = (uint8_t)(ACK | (random_below(&seed, 2) ? PSH : 0) |
						      (random_below(&seed, 4) ? 0 : FIN) |
						      (random_below(&seed, 4) ? 0 : CWR)) };
		uint16_t size = (uint16_t)(1 + random_below(&seed, 1400));
		struct packet_list l = { 0 };
		uint8_t header[10];
		size_t len, n;

		s.payload = size + 1 + random_below(&seed, size * 60u);
		if (s.payload > 65000)
			s.payload = 65000;
		len = packet_make(&s, whole);
		packet_offload(whole, len, (uint8_t)(!tcp ? UDP_L4 : (s.family == 4 ? TCPV4 : TCPV6) | (s.flags & CWR)),
			       size, header);
		n = cut(header, len);
		assert_in_range(n, 2, PIECES - 1);
		for (size_t k = 0; k < n; k++)
			hand_on(&l, pieces[k], lengths[k], random_below(&seed, 2));
		assert_int_equal(join_all(&l), 1);
		assert_int_equal(written_as(&l, 0), 10 + len);
		assert_memory_equal(written, header, 2);
		assert_memory_equal(written + 4, header + 4, 6);
		assert_memory_equal(written + 10, whole, len);
		list_wipe(&l);
	}
}

/* Two segments that belong together, but for what a row changes. */
static size_t pair(unsigned family, uint8_t protocol)
{
	struct shape s = { .family = family, .protocol = protocol, .from = 1, .to = 2, .payload = 2000, .flags = ACK };
	uint8_t header[10];
	size_t len = packet_make(&s, whole);

	packet_offload(whole, len, protocol == IP_UDP ? UDP_L4 : family == 4 ? TCPV4 : TCPV6, 1000, header);
	assert_int_equal(cut(header, len), 2);
	return family == 4 ? 20 : 40;
}

static void make_sums(uint8_t *packet, size_t len)
{
	size_t upper = packet[0] >> 4 == 4 ? 20 : 40, at = upper + checksum_offset(packet[upper == 20 ? 9 : 6]);

	if (upper == 20)
		ip4_checksum(packet, 20);
	put16(packet + at, 0);
	put16(packet + at, (uint16_t)~upper_sum(packet, len));
}

static void what_differs_stays_apart(void **state)
{
	static const struct row {
		uint8_t family, protocol;
		bool upper; /* `at` counts from the upper header */
		uint8_t at, change;
		bool wrong_sum;
	} rows[] = {
		{ 4, IP_TCP, true, 0, 1, false },  /* port */
		{ 4, IP_TCP, true, 7, 1, false },  /* sequence number */
		{ 4, IP_TCP, true, 11, 1, false }, /* acknowledged */
		{ 4, IP_TCP, true, 13, SYN, false },  { 4, IP_TCP, true, 13, 4, false },
		{ 4, IP_TCP, true, 13, 0x20, false }, { 4, IP_TCP, true, 13, 0x40, false },
		{ 4, IP_TCP, true, 13, CWR, false },  { 4, IP_TCP, true, 13, ACK, false },
		{ 4, IP_TCP, true, 15, 1, false },    /* window */
		{ 4, IP_TCP, true, 24, 1, false },    /* options */
		{ 4, IP_TCP, true, 12, 0x10, false }, /* their length */
		{ 4, IP_TCP, true, 40, 1, true },     /* payload, and so the checksum */
		{ 4, IP_TCP, false, 1, 1, false },    /* ECN */
		{ 4, IP_TCP, false, 1, 0x20, false }, /* DSCP */
		{ 4, IP_TCP, false, 8, 1, false },    /* TTL */
		{ 4, IP_TCP, false, 5, 4, false },    /* identification, without DF */
		{ 4, IP_TCP, false, 6, 0x40, false }, /* DF */
		{ 4, IP_TCP, false, 10, 1, true },    /* the header's checksum */
		{ 4, IP_TCP, false, 19, 1, false },   /* address */
		{ 6, IP_TCP, false, 1, 0x10, false }, /* class */
		{ 6, IP_TCP, false, 3, 1, false },    /* flow label */
		{ 6, IP_TCP, false, 7, 1, false },    /* hop limit */
		{ 6, IP_TCP, true, 40, 1, true },     { 4, IP_UDP, true, 1, 1, false },
		{ 4, IP_UDP, true, 20, 1, true },     { 6, IP_UDP, true, 20, 1, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t which = 0; which < 2; which++) {
			const struct row *r = &rows[i];
			struct packet_list l = { 0 };
			size_t upper = pair(r->family, r->protocol);

			/* Some are fine in the first one: what came late (PSH) or begins (CWR) */
			if (which == 0 && r->upper && r->at == 13 && r->change == CWR)
				continue;
			pieces[which][(r->upper ? upper : 0) + r->at] ^= r->change;
			if (!r->wrong_sum)
				make_sums(pieces[which], lengths[which]);
			for (size_t k = 0; k < 2; k++)
				hand_on(&l, pieces[k], lengths[k], false);
			if (join_all(&l) != 2)
				fail_msg("row %zu: joined", i);
			for (size_t k = 0; k < 2; k++) {
				assert_int_equal(written_as(&l, k), 10 + lengths[k]);
				assert_memory_equal(written + 10, pieces[k], lengths[k]);
				assert_int_equal(written[0] | written[1], 0);
			}
			list_wipe(&l);
		}
}

/* Nothing of a flow passes what came before it and stays alone, and other flows do not keep one from being joined. */
static void a_flow_keeps_its_order(void **state)
{
	static uint8_t other[2][2000], pushed[2000];
	struct packet_list l = { 0 };
	size_t lens[2], upper = pair(4, IP_TCP);

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		memcpy(other[k], pieces[k], lengths[k]);
		lens[k] = lengths[k];
		other[k][upper + 1] ^= 7;
		make_sums(other[k], lens[k]);
	}
	for (size_t k = 0; k < 2; k++) {
		hand_on(&l, pieces[k], lengths[k], true);
		hand_on(&l, other[k], lens[k], true);
	}
	assert_int_equal(join_all(&l), 2);
	list_clear(&l);

	/* A reset between the two: three, in their order. */
	memcpy(pushed, pieces[1], lengths[1]);
	pushed[upper + 13] |= 4;
	make_sums(pushed, lengths[1]);
	hand_on(&l, pieces[0], lengths[0], true);
	hand_on(&l, pushed, lengths[1], true);
	hand_on(&l, pieces[1], lengths[1], true);
	assert_int_equal(join_all(&l), 3);
	(void)written_as(&l, 1);
	assert_memory_equal(written + 10, pushed, lengths[1]);
	list_clear(&l);

	/* PSH ends it: what follows begins anew. */
	memcpy(pushed, pieces[0], lengths[0]);
	pushed[upper + 13] |= PSH;
	make_sums(pushed, lengths[0]);
	hand_on(&l, pushed, lengths[0], true);
	hand_on(&l, pieces[1], lengths[1], true);
	assert_int_equal(join_all(&l), 2);
	list_clear(&l);

	/* A fragment may belong to any flow. */
	hand_on(&l, pieces[0], lengths[0], true);
	memcpy(pushed, pieces[0], lengths[0]);
	pushed[6] |= 0x20;
	ip4_checksum(pushed, 20);
	hand_on(&l, pushed, lengths[0], false);
	hand_on(&l, pieces[1], lengths[1], true);
	assert_int_equal(join_all(&l), 3);
	list_wipe(&l);
}

static void datagrams_are_joined_only_where_the_device_takes_them(void **state)
{
	struct packet_list l = { 0 };

	(void)state;
	(void)pair(6, IP_UDP);
	hand_on(&l, pieces[0], lengths[0], true);
	hand_on(&l, pieces[1], lengths[1], true);
	assert_int_equal(join_all(&l), 1);
	joiner.no_datagrams = true;
	assert_int_equal(join_all(&l), 2);
	joiner.no_datagrams = false;
	/* One without a checksum has none to be made again. */
	put16(pieces[1] + 46, 0);
	list_clear(&l);
	hand_on(&l, pieces[0], lengths[0], true);
	hand_on(&l, pieces[1], lengths[1], true);
	assert_int_equal(join_all(&l), 2);
	list_wipe(&l);
}

/* Whatever was opened: lengths that do not fit, headers cut off. */
static void anything_goes_on_as_it_was(void **state)
{
	uint64_t seed = 29;

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		struct packet_list l = { 0 };
		size_t upper = pair(random_below(&seed, 2) ? 4 : 6, random_below(&seed, 2) ? IP_TCP : IP_UDP),
		       total = 0;

		for (size_t k = 0; k < 2; k++) {
			struct ip_packet ip;

			if (random_below(&seed, 2))
				lengths[k] = upper + random_below(&seed, 60);
			if (random_below(&seed, 2))
				pieces[k][random_below(&seed, (uint32_t)upper + 20)] ^=
					(uint8_t)(1 + random_below(&seed, 255));
			put16(pieces[k] + (upper == 20 ? 2 : 4), lengths[k] - (upper == 20 ? 0 : 40));
			if (ip_parse(pieces[k], lengths[k], &ip, NULL) < 0)
				continue;
			list_add_opened(&l, pieces[k], lengths[k], lengths[k], ip.fragment ? 0 : ip.upper, ip.protocol);
		}
		(void)join_all(&l);
		for (size_t k = 0; k < joiner.run_count; k++)
			total += written_as(&l, k);
		if (joiner.run_count == l.count)
			assert_int_equal(total, l.used + 10 * l.count);
		list_wipe(&l);
	}
}

static void it_says_when_it_is_full(void **state)
{
	struct packet_list l = { 0 };
	size_t taken = 0;

	(void)state;
	(void)pair(4, IP_TCP);
	for (size_t i = 0; i < JOIN_PACKETS + 1; i++)
		hand_on(&l, pieces[0], lengths[0], false);
	join_begin(&joiner);
	while (join_add(&joiner, &l, &l.rows[taken]))
		taken++;
	assert_int_equal(taken, JOIN_PACKETS);
	list_wipe(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_cut_is_joined_to_what_it_was),
		cmocka_unit_test(what_differs_stays_apart),
		cmocka_unit_test(a_flow_keeps_its_order),
		cmocka_unit_test(datagrams_are_joined_only_where_the_device_takes_them),
		cmocka_unit_test(anything_goes_on_as_it_was),
		cmocka_unit_test(it_says_when_it_is_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
