/* Batches: packets of one length and one peer leave as one message and the messages of all peers in one call, each
 * packet once and in its order, whatever becomes of its neighbours; and what waits for more of its kind loses nothing
 * by that. */
#include "tests/unit/unit.h"

#include "base/mem.h"
#include "base/scope.h"
#include "dataplane/esp/checksum.h"
#include "dataplane/esp/io.h"
#include "dataplane/esp/octets.h"
#include "tests/unit/packets.h"
#include "tests/unit/random.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

enum { PEERS = 3, MOST = 100, HEAD = IP4_HEADER + UDP_HEADER, REFUSED = PEERS };

static struct esp_io *io;
static int peers[PEERS];
static uint16_t ports[PEERS];

static int udp_socket(uint16_t *ret_port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*ret_port = ntohs(at.sin_port);
	return fd;
}

static int begin(void **state)
{
	(void)state;
	io = mem_new(1, sizeof *io);
	io->sad = mem_new(1, sizeof *io->sad);
	for (size_t i = 0; i < ESP_FD_COUNT; i++)
		io->fds.fd[i] = -1;
	io->nat.fd[0] = udp_socket(&io->nat.port);
	io->nat.fd[1] = -1;
	for (size_t i = 0; i < PEERS; i++)
		peers[i] = udp_socket(&ports[i]);
	return 0;
}

static int end(void **state)
{
	(void)state;
	for (size_t i = 0; i < PEERS; i++)
		(void)close(peers[i]);
	(void)close(io->nat.fd[0]);
	free(io->sad);
	free(io);
	return 0;
}

/* Sealed, as far as the socket can see: number `n` for a peer. REFUSED: where no socket of ours may send to. */
static void add(struct packet_list *l, size_t peer, uint32_t n, size_t len)
{
	const struct addr from = addr_v4(127, 0, 0, 1);
	const struct addr to = peer == REFUSED ? addr_v4(255, 255, 255, 255) : from;
	uint8_t packet[2000] = { 0x45 };

	packet[6] = 0x40;
	packet[8] = 64;
	packet[9] = IP_UDP;
	memcpy(packet + 12, from.octets, 4);
	memcpy(packet + 16, to.octets, 4);
	put_u16(packet + IP4_HEADER, io->nat.port);
	put_u16(packet + IP4_HEADER + 2, peer == REFUSED ? 9 : ports[peer]);
	put_u32(packet + HEAD, n);
	memset(packet + HEAD + 4, (int)(n & 255), len - 4);
	list_add(l, packet, HEAD + len, false);
	l->rows[l->count - 1].in_udp = true;
}

/* The peer's next packet is this one. */
static void came(size_t peer, uint32_t n, size_t len)
{
	uint8_t got[2000];

	assert_int_equal(recv(peers[peer], got, sizeof got, MSG_TRUNC), len);
	assert_int_equal(get_u32(got), n);
	for (size_t i = 4; i < len; i++)
		assert_int_equal(got[i], n & 255);
}

static void nothing_came(void)
{
	uint8_t got[1];

	for (size_t i = 0; i < PEERS; i++)
		assert_int_equal(recv(peers[i], got, sizeof got, 0), -1);
}

static void each_packet_leaves_once_and_in_its_order(void **state)
{
	struct {
		size_t peer, len;
	} sent[MOST];
	uint64_t seed = 5;

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		struct packet_list l = { 0 };
		const uint32_t count = 1 + random_below(&seed, MOST), lengths = 1 + random_below(&seed, 3);
		uint64_t refused = 0;

		for (size_t i = 0; i < count; i++) {
			bool as_before = i > 0 && random_below(&seed, 4);

			sent[i].peer = as_before ? sent[i - 1].peer : random_below(&seed, PEERS + 1);
			sent[i].len = 300 + 100 * random_below(&seed, lengths);
			add(&l, sent[i].peer, (uint32_t)i, sent[i].len);
			refused += sent[i].peer == REFUSED;
		}
		io->sad->drops[DROP_SEND] = 0;
		io_flush(io, &l);
		for (size_t i = 0; i < count; i++)
			if (sent[i].peer != REFUSED)
				came(sent[i].peer, (uint32_t)i, sent[i].len);
		nothing_came();
		assert_int_equal(io->sad->drops[DROP_SEND], refused);
		list_wipe(&l);
	}
}

/* What io_flush and list_clear do in the middle of a turn. */
static void relieve(struct packet_list *l)
{
	l->more_follows = true;
	io_flush(io, l);
	l->more_follows = false;
	list_clear(l);
}

static void a_short_rest_waits_for_more_and_no_longer(void **state)
{
	struct packet_list l = { 0 };
	uint32_t n = 0, heard = 0;

	(void)state;
	while (n < 70) /* 64 at once, and six */
		add(&l, 0, n++, 700);
	relieve(&l);
	assert_int_equal(l.count, 6);
	while (heard < 64)
		came(0, heard++, 700);
	nothing_came();
	while (n < 75)
		add(&l, 0, n++, 700);
	add(&l, 0, n++, 500); /* a shorter one is the last of its run: nothing to wait for */
	relieve(&l);
	assert_int_equal(l.count, 0);
	while (heard < 75)
		came(0, heard++, 700);
	came(0, heard++, 500);
	add(&l, 1, n, 700);
	io_flush(io, &l); /* no more follows */
	list_clear(&l);
	assert_int_equal(l.count, 0);
	came(1, n, 700);
	nothing_came();
	list_wipe(&l);
}

static void only_the_last_run_that_can_grow_stays_open(void **state)
{
	static struct joiner j;
	static uint8_t packet[PACKET_ROOM];
	struct shape s = {
		.family = 4, .protocol = IP_TCP, .from = 1, .to = 2, .df = true, .flags = 0x10, .payload = 1000
	};
	const struct {
		uint8_t last_flags;
		size_t last_payload, count, want;
	} rows[] = {
		{ 0x10, 1000, 5, 5 },  { 0x18, 1000, 5, 0 }, /* PSH ends it */
		{ 0x10, 999, 5, 0 },   { 0x10, 1000, 1, 0 }, /* nobody has looked at its checksum yet */
		{ 0x10, 1000, 65, 0 },                       /* 65 * 1000 octets: no room for one more */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct packet_list l = { 0 };

		for (size_t k = 0; k < rows[i].count; k++) {
			struct shape this = s;
			struct ip_packet ip;
			size_t len;

			if (k + 1 == rows[i].count) {
				this.flags = rows[i].last_flags;
				this.payload = rows[i].last_payload;
			}
			len = packet_make(&this, packet);
			put_u32(packet + IP4_HEADER + 4, (uint32_t)(1000 * k));
			put_u16(packet + IP4_HEADER + 16, 0);
			put_u16(packet + IP4_HEADER + 16, (uint16_t)~upper_sum(packet, len));
			assert_int_equal(ip_parse(packet, len, &ip, NULL), 0);
			list_add_opened(&l, packet, len, len, ip.upper, ip.protocol);
		}
		join_begin(&j);
		for (size_t k = 0; k < l.count; k++)
			assert_true(join_add(&j, &l, &l.rows[k]));
		if (join_open_end(&j, &l) != rows[i].want)
			fail_msg("row %zu: %zu", i, join_open_end(&j, &l));
		list_wipe(&l);
	}
}

static uint16_t sum_by_the_book(const uint8_t *octets, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i++) {
		sum += (uint32_t)octets[i] << (i % 2 ? 0 : 8);
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)sum;
}

static void the_checksum_is_that_of_the_book(void **state)
{
	static uint8_t octets[PACKET_ROOM];
	uint64_t seed = 11;

	(void)state;
	for (size_t i = 0; i < sizeof octets; i++)
		octets[i] = (uint8_t)(random_below(&seed, 4) ? 0xff : random_below(&seed, 256));
	for (size_t n = 0; n < 65536; n += n < 700 ? 1 : 1 + random_below(&seed, 900))
		for (size_t from = 0; from < 9; from++)
			assert_int_equal(checksum_fold(checksum_add(0, octets + from, n)) % 0xffff,
					 sum_by_the_book(octets + from, n) % 0xffff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_packet_leaves_once_and_in_its_order),
		cmocka_unit_test(a_short_rest_waits_for_more_and_no_longer),
		cmocka_unit_test(only_the_last_run_that_can_grow_stays_open),
		cmocka_unit_test(the_checksum_is_that_of_the_book),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
