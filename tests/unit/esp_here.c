/* A super-packet's pieces sealed from where they stand: each is the piece that a copy would have been, whatever the
 * suite, and nothing of the super-packet that is still to come has changed. */
#include "tests/unit/unit.h"

#include "base/crypto.h"
#include "base/diag.h"
#include "base/gcm.h"
#include "base/scope.h"
#include "dataplane/esp/offload.h"
#include "dataplane/esp/packet.h"
#include "dataplane/esp/sa.h"
#include "tests/unit/packets.h"
#include "tests/unit/random.h"

#include <stdlib.h>

enum { TCPV4 = 1, TCPV6 = 4, UDP_L4 = 5, ROOM = 4096 };

static const struct rule rule = { .name = "rule" };
static struct sa_table table;

static struct sa *sa_of(const char *suite, unsigned family, uint32_t spi)
{
	struct sa_spec spec = {
		.spi = spi,
		.local = end_of(family, 1),
		.remote = end_of(family, 2),
		.selector = { .local = end_of(family, 1), .remote = end_of(family, 2), .protocol = PROTOCOL_ANY },
		.encap_local_port = 4500,
		.encap_remote_port = 4500,
		.esn = true,
		.rule = &rule,
		.pair = spi,
	};
	struct diag d = { 0 };
	struct sa *sa = NULL;

	assert_int_equal(child_suite_parse(suite, strlen(suite), &spec.suite, &d), 0);
	spec.encr_key.len = (size_t)spec.suite.encr->key + spec.suite.encr->salt;
	if (spec.suite.integ)
		spec.integ_key.len = spec.suite.integ->key;
	if (sa_install(&table, &spec, &sa, &d) < 0)
		fail_msg("%s: %s", suite, d.text);
	replay_init(&sa->replay, 64); /* so that it opens, too */
	return sa;
}

/* Sealed twice, once copied and once from where it stands: the same when opened; and before that, but for a random IV.
 */
static void compare(struct sa *one, struct sa *other, const struct ip_packet *ip, uint8_t *copy, uint8_t *piece,
		    size_t n, bool random_iv)
{
	uint8_t *made[2] = { copy, (uint8_t[ROOM]){ 0 } };
	size_t total = esp_sealed_len(one, ip, n), start, len;
	struct ip_packet outer;
	uint8_t next;

	memmove(copy + esp_gap(one), copy, n);
	assert_int_equal(esp_seal_here(one, ip, made[0], n, NULL), 0);
	assert_int_equal(esp_seal_from(other, ip, piece, n, made[1], NULL), 0);
	if (!random_iv)
		assert_memory_equal(made[0], made[1], total);
	for (unsigned i = 0; i < 2; i++) {
		struct sa *sa = i ? other : one;

		assert_int_equal(ip_parse(made[i], total, &outer, NULL), 0);
		assert_int_equal(esp_open(sa, &outer, made[i], outer.head + UDP_HEADER, &start, &len, &next, NULL), 0);
		assert_int_equal(len, n);
		assert_memory_equal(made[i] + start, piece, n);
		assert_true(sums_right(made[i] + start, len));
	}
}

static void a_piece_is_sealed_from_where_it_stands(void **state)
{
	static const struct {
		const char *suite;
		bool random_iv, gcm_allowed;
	} rows[] = {
		{ "esp-aes256gcm", false, true },
		{ "esp-aes256gcm", false, false }, /* libcrypto's, which works in place */
		{ "esp-aes128-sha256", true, true },
		{ "esp-sha256-null", false, true },
	};
	static uint8_t whole[2][PACKET_ROOM];
	uint64_t seed = 3;
	uint32_t spi = 256;

	(void)state;
	assert_int_equal(sa_table_init(&table, NULL), 0);
	for (unsigned round = 0; round < 400; round++) {
		bool tcp = random_below(&seed, 3);
		struct shape s = { .family = random_below(&seed, 2) ? 4 : 6,
				   .protocol = tcp ? IP_TCP : IP_UDP,
				   .from = 1,
				   .to = 2,
				   .df = true,
				   .flags = (uint8_t)(0x10 | (random_below(&seed, 2) ? 0x89 : 0)),
				   .destination = random_below(&seed, 8) == 0 };
		uint16_t size = (uint16_t)(random_below(&seed, 4) ? 1 + random_below(&seed, 1500)
								  : 1 + random_below(&seed, 40));
		size_t len, n, n_here, here = 0, pieces = 0;
		uint8_t header[10], copy[ROOM];
		struct cutter by_copy, in_place;
		struct ip_packet ip;
		struct offload o;
		struct sa *one, *other;

		if (s.family == 4)
			s.destination = false;
		s.payload = size + 1 + random_below(&seed, size * 40u);
		len = packet_make(&s, whole[0]);
		packet_offload(whole[0], len,
			       (uint8_t)(!tcp ? UDP_L4 : (s.family == 4 ? TCPV4 : TCPV6) | (s.flags & 0x80)), size,
			       header);
		memcpy(whole[1], whole[0], sizeof whole[0]);
		assert_int_equal(ip_parse(whole[0], len, &ip, NULL), 0);
		assert_int_equal(offload_decode(header, &ip, whole[0], &o, NULL), 0);
		assert_int_equal(cutter_init(&by_copy, &o, &ip, whole[0], 65535, NULL), 0);
		assert_int_equal(cutter_init(&in_place, &o, &ip, whole[1], 65535, NULL), 0);
		gcm_allow(rows[round % ARRAY_LEN(rows)].gcm_allowed);
		one = sa_of(rows[round % ARRAY_LEN(rows)].suite, s.family, spi++);
		other = sa_of(rows[round % ARRAY_LEN(rows)].suite, s.family, spi++);
		other->spec.spi = one->spec.spi;
		while ((n = cutter_next(&by_copy, copy)) > 0) {
			uint8_t *piece = cutter_next_here(&in_place, whole[1], &n_here);
			size_t behind = in_place.head + in_place.at;

			pieces++;
			if (!piece) { /* the last, or next to it, and the copy is still right */
				uint8_t last[ROOM];

				n_here = cutter_next(&in_place, last);
				assert_int_equal(n_here, n);
				assert_memory_equal(last, copy, n);
				continue;
			}
			here++;
			assert_int_equal(n_here, n);
			assert_memory_equal(piece, copy, n);
			compare(one, other, &ip, copy, piece, n, rows[round % ARRAY_LEN(rows)].random_iv);
			assert_memory_equal(whole[1] + behind, whole[0] + behind, sizeof whole[0] - behind);
		}
		assert_true(pieces - here <= 2u + CUTTER_BEHIND / size);
		sa_table_wipe(&table);
	}
	gcm_allow(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_piece_is_sealed_from_where_it_stands) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
