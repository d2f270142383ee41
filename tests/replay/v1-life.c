/* What becomes of main and quick modes of IKEv1: both ends begin at once, renew, delete, restart, fall silent. */
#include "keying/v1/message.h"
#include "tests/replay/v1.h"
#include "tests/unit/unit.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void both_ends_begin_at_once(void **state)
{
	(void)state;
	for (unsigned lead = 0; lead < 2; lead++)
		for (uint64_t after = 0; after < 14; after++) {
			struct world *w = world_new(v1_policy);
			w->hosts[0].nonce_lead = lead ? 0x01 : 0xfe;
			w->hosts[1].nonce_lead = lead ? 0xfe : 0x01;
			world_packet(w, 0, 6, 40000, 443);
			world_run(w, w->now_ms + after);
			world_packet(w, 1, 6, 443, 40000);
			world_run(w, 30000);
			world_expect_one(w, 1);
			assert_int_equal(w->hosts[0].esp_received, 1);
			assert_int_equal(w->hosts[1].esp_received, 1);
			world_free(w);
		}
}

static const char short_lives[] = "cordon: 1\n"
				  "authentication:\n"
				  "  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n"
				  "key-exchange:\n"
				  "  default: { proposals: [aes256-sha384-ecp384], lifetime: %s }\n"
				  "protection:\n"
				  "  p: { proposals: [%s], lifetime: %s }\n"
				  "connection-security:\n"
				  "  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require,\n"
				  "      authentication: password, protection: p, modules: ikev1 }\n";

static struct world *with_lives(const char *main_mode, const char *suite, const char *quick_mode)
{
	char policy[1024];

	(void)snprintf(policy, sizeof policy, short_lives, main_mode, suite, quick_mode);
	return world_new(policy);
}

/* Traffic every 100 ms, both ways. Returns how much of it was lost. */
static unsigned talk(struct world *w, uint64_t until_ms)
{
	unsigned sent[HOSTS] = { 0 }, before[HOSTS] = { w->hosts[0].esp_received, w->hosts[1].esp_received };

	while (w->now_ms < until_ms) {
		world_packet(w, 0, 6, 40000, 443);
		world_packet(w, 1, 6, 443, 40000);
		sent[0]++;
		sent[1]++;
		world_run(w, w->now_ms + 100);
	}
	world_run(w, w->now_ms + 50);
	return sent[0] + sent[1] - (w->hosts[1].esp_received - before[1]) - (w->hosts[0].esp_received - before[0]);
}

/* Make before break: no packet is lost, and at any time one SA carries the traffic. */
static void quick_modes_are_renewed(void **state)
{
	static const char *const suites[] = { "esp-aes256gcm", "esp-aes256gcm-ecp384" };

	(void)state;
	for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++) {
		struct world *w = with_lives("8h", suites[i], "5m");
		world_packet(w, 0, 6, 40000, 443);
		world_run(w, 3000);
		assert_int_equal(talk(w, 1500000), 0);
		assert_in_range(w->hosts[0].events[EVENT_QUICK_MODE_UP], 5, 8);
		assert_int_equal(w->hosts[0].events[EVENT_MAIN_MODE_UP], 1);
		world_run(w, w->now_ms + 3000);
		world_expect_one(w, 1);
		assert_int_equal(w->hosts[0].esp_blind + w->hosts[1].esp_blind, 0);
		world_free(w);
	}
}

static void main_modes_are_renewed(void **state)
{
	struct world *w = with_lives("10m", "esp-aes256gcm", "1h");

	(void)state;
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, 3000);
	uint32_t spi = w->hosts[0].sas[0].spi;
	assert_int_equal(talk(w, 1500000), 0);
	assert_in_range(w->hosts[0].events[EVENT_MAIN_MODE_UP], 3, 4);
	assert_int_equal(w->hosts[0].events[EVENT_QUICK_MODE_UP], 1); /* it is carried over */
	assert_int_equal(w->hosts[0].events[EVENT_MAIN_MODE_DOWN], 0);
	world_run(w, w->now_ms + 3000);
	world_expect_one(w, 1);
	assert_int_equal(w->hosts[0].sas[0].spi, spi);
	world_free(w);
}

/* Both lives are short, the wire is bad: in the end there is one of each. */
static unsigned lossy(struct world *w, struct datagram *d)
{
	uint64_t *seed = w->context;

	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return !d->esp && (*seed >> 33) % 100 < 20 ? 0 : 1;
}

static void renewals_survive_a_bad_wire(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct world *w = with_lives("10m", "esp-aes256gcm", "5m");
		uint64_t random = seed;
		w->quick_keys = true;
		w->wire = lossy;
		w->context = &random;
		world_packet(w, 0, 6, 40000, 443);
		world_run(w, 20000);
		unsigned lost = talk(w, 900000);
		w->wire = NULL;
		world_run(w, w->now_ms + 100000);
		(void)talk(w, w->now_ms + 1000);
		world_run(w, w->now_ms + 15000); /* an old main mode waits for its youngest quick mode */
		if (lost || world_children(w, 0) != 1)
			(void)fprintf(stderr, "seed %u: %u lost\n", (unsigned)seed, lost);
		assert_int_equal(lost, 0);
		world_expect_one(w, 1);
		world_free(w);
	}
}

/* Both ends renew it in the same moment. */
static void renewals_that_cross_end_in_one(void **state)
{
	(void)state;
	for (unsigned lead = 0; lead < 2; lead++)
		for (uint64_t after = 0; after < 6; after++) {
			struct world *w = world_new(v1_policy);
			world_packet(w, 0, 6, 40000, 443);
			world_run(w, 20000);
			w->hosts[0].nonce_lead = lead ? 0x01 : 0xfe;
			w->hosts[1].nonce_lead = lead ? 0xfe : 0x01;
			assert_int_equal(keying_renew(w->hosts[0].keying, KEYING_RENEW_CHILD, NULL, w->now_ms), 1);
			world_run(w, w->now_ms + after);
			(void)keying_renew(w->hosts[1].keying, KEYING_RENEW_CHILD, NULL, w->now_ms);
			assert_int_equal(talk(w, 40000), 0);
			world_expect_one(w, 1);
			world_free(w);
		}
}

static void main_mode_renewals_that_cross_end_in_one(void **state)
{
	(void)state;
	for (unsigned lead = 0; lead < 2; lead++)
		for (uint64_t after = 0; after < 8; after++) {
			struct world *w = world_new(v1_policy);
			world_packet(w, 0, 6, 40000, 443);
			world_run(w, 20000);
			w->hosts[0].nonce_lead = lead ? 0x01 : 0xfe;
			w->hosts[1].nonce_lead = lead ? 0xfe : 0x01;
			assert_int_equal(keying_renew(w->hosts[0].keying, KEYING_RENEW_IKE, NULL, w->now_ms), 1);
			world_run(w, w->now_ms + after);
			(void)keying_renew(w->hosts[1].keying, KEYING_RENEW_IKE, NULL, w->now_ms);
			assert_int_equal(talk(w, 40000), 0);
			world_expect_one(w, 1);
			assert_int_equal(w->hosts[0].events[EVENT_QUICK_MODE_UP], 1);
			world_free(w);
		}
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */

static void nothing_is_left(struct world *w)
{
	for (unsigned i = 0; i < HOSTS; i++) {
		assert_int_equal(world_ikes(w, i), 0);
		assert_int_equal(world_children(w, i), 0);
		assert_int_equal(world_sas(w, i, true) + world_sas(w, i, false), 0);
	}
}

static void a_delete_ends_both_halves(void **state)
{
	(void)state;
	for (uint64_t after = 0; after < 5; after++) { /* the other end does the same a little later: they cross */
		struct world *w = world_new(v1_policy);
		world_packet(w, 0, 6, 40000, 443);
		world_run(w, 20000);
		assert_int_equal(keying_renew(w->hosts[0].keying, KEYING_RENEW_DELETE, NULL, w->now_ms), 1);
		world_run(w, w->now_ms + after);
		(void)keying_renew(w->hosts[1].keying, KEYING_RENEW_DELETE, NULL, w->now_ms);
		world_run(w, 40000);
		nothing_is_left(w);
		world_packet(w, 1, 6, 443, 40000); /* and the next packet begins anew */
		world_run(w, 45000);
		world_expect_one(w, 1);
		world_free(w);
	}
}

static unsigned lose_first_told(struct world *w, struct datagram *d)
{
	unsigned *lost = w->context;

	if (d->esp || d->octets[18] != 5 || *lost >= 2)
		return 1;
	++*lost;
	return 0;
}

static void a_delete_that_is_lost_is_told_again(void **state)
{
	struct world *w = world_new(v1_policy);
	unsigned lost = 0;

	(void)state;
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, 20000);
	w->wire = lose_first_told;
	w->context = &lost;
	(void)keying_renew(w->hosts[0].keying, KEYING_RENEW_DELETE, NULL, w->now_ms);
	world_run(w, 40000);
	assert_int_equal(lost, 2);
	assert_int_equal(world_ikes(w, 1), 0);
	world_free(w);
}

static void a_peer_that_restarts_is_met_anew(void **state)
{
	(void)state;
	for (unsigned who = 0; who < HOSTS; who++) {
		struct world *w = world_new(v1_policy);
		world_packet(w, 0, 6, 40000, 443);
		world_run(w, 20000);
		world_restart(w, who);
		world_packet(w, 1 - who, 6, who ? 40000 : 443, who ? 443 : 40000); /* lost, but noticed */
		world_run(w, 30000);
		world_packet(w, 0, 6, 40000, 443);
		world_run(w, 40000);
		world_expect_one(w, 1);
		world_free(w);
	}
}

static void both_ends_restart(void **state)
{
	struct world *w = world_new(v1_policy);

	(void)state;
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, 20000);
	world_restart(w, 0);
	world_restart(w, 1);
	world_packet(w, 0, 6, 40000, 443);
	world_packet(w, 1, 6, 443, 40000);
	world_run(w, 40000);
	world_expect_one(w, 1);
	world_free(w);
}

/* RFC 3706: who is silent while we send is asked, and given up. */
static void a_dead_peer_is_noticed(void **state)
{
	struct world *w = world_new(v1_policy);

	(void)state;
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, 20000);
	world_run(w, 120000);
	world_expect_one(w, 1); /* it lives, and has said so */
	assert_true(w->ike_sent[1] > 4);
	w->wire = world_drop;
	world_run(w, 400000);
	assert_int_equal(world_ikes(w, 0), 0);
	assert_int_equal(w->hosts[0].events[EVENT_PEER_UNREACHABLE], 1);
	world_free(w);
}

/* The peer is dead, and somebody throws back what we say: a hash of IKEv1 does not tell who made it. */
static unsigned thrown_back(struct world *w, struct datagram *d)
{
	const struct addr swapped = d->source;
	unsigned *times = w->context;

	if (d->esp || d->from != 0 || d->octets[18] != V1_INFORMATIONAL)
		return 0;
	++*times;
	d->from = 1;
	d->source = d->destination;
	d->destination = swapped;
	return 1;
}

static void our_own_words_keep_no_dead_peer_alive(void **state)
{
	struct world *w = world_new(v1_policy);
	unsigned times = 0;

	(void)state;
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, 20000);
	world_expect_one(w, 1);
	w->wire = thrown_back;
	w->context = &times;
	world_run(w, 400000);
	assert_true(times > 2);
	assert_int_equal(world_ikes(w, 0), 0);
	assert_int_equal(w->hosts[0].events[EVENT_PEER_UNREACHABLE], 1);
	assert_true(keying_dropped(w->hosts[0].keying, KEYING_DROP_REPEATED) >= times);
	world_free(w);
}

/* Message 1 of a quick mode, kept and sent again when that quick mode is long done, or gone. */
struct kept {
	size_t len;
	uint8_t octets[DATAGRAM_MOST];
};

static unsigned keep_first_quick(struct world *w, struct datagram *d)
{
	struct kept *k = w->context;

	if (!d->esp && d->from == 0 && d->octets[18] == V1_QUICK && !k->len)
		memcpy(k->octets, d->octets, k->len = d->len);
	return 1;
}

static void a_quick_mode_of_before_is_not_begun_again(void **state)
{
	(void)state;
	for (unsigned renewed = 0; renewed < 2; renewed++) {
		struct world *w = world_new(v1_policy);
		struct kept *k = mem_new(1, sizeof *k);
		enum keying_drop drop = renewed ? KEYING_DROP_REPEATED : KEYING_DROP_EXCHANGE;
		uint64_t dropped;
		unsigned reserved, sent;
		size_t children;

		w->wire = keep_first_quick;
		w->context = k;
		world_packet(w, 0, 6, 40000, 443);
		world_run(w, 20000);
		assert_true(k->len > 28);
		if (renewed)
			assert_int_equal(keying_renew(w->hosts[0].keying, KEYING_RENEW_CHILD, NULL, w->now_ms), 1);
		world_run(w, 200000);
		children = world_children(w, 1);
		reserved = w->hosts[1].spis_reserved;
		dropped = keying_dropped(w->hosts[1].keying, drop);
		sent = w->ike_sent[1];
		for (unsigned i = 1; i <= 3; i++) {
			world_inject(w, 1, k->octets, k->len);
			world_run(w, w->now_ms + 100);
			assert_int_equal(keying_dropped(w->hosts[1].keying, drop), dropped + i);
		}
		assert_int_equal(world_children(w, 1), children);
		assert_int_equal(w->hosts[1].spis_reserved, reserved);
		assert_int_equal(w->ike_sent[1], sent);
		world_expect_one(w, 1);
		free(k);
		world_free(w);
	}
}

/* INVALID-COOKIE in clear, by whoever: nothing ends, the peer is asked. */
static void what_is_said_in_clear_ends_nothing(void **state)
{
	struct world *w = world_new(v1_policy);
	struct keying_ike_row row;
	uint8_t forged[56] = { 0 };

	(void)state;
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, 20000);
	assert_int_equal(keying_ike_rows(w->hosts[0].keying, &row, 1), 1);
	for (unsigned i = 0; i < 8; i++) {
		forged[i] = (uint8_t)(row.spi_i >> (56 - 8 * i));
		forged[8 + i] = (uint8_t)(row.spi_r >> (56 - 8 * i));
	}
	forged[16] = 11;   /* notify */
	forged[17] = 0x10; /* version */
	forged[18] = 5;    /* informational */
	forged[27] = sizeof forged;
	forged[31] = 28; /* payload length */
	forged[35] = 1;  /* DOI */
	forged[36] = 1;
	forged[37] = 16;
	for (unsigned type = 1; type < 40; type++) {
		forged[39] = (uint8_t)type;
		memcpy(forged + 40, forged, 16);
		world_inject(w, 0, forged, sizeof forged);
		world_run(w, w->now_ms + 1500);
	}
	world_expect_one(w, 1);
	assert_int_equal(w->hosts[0].events[EVENT_MAIN_MODE_DOWN], 0);
	world_free(w);
}

static void idle_ones_go(void **state)
{
	struct world *w = world_new("cordon: 1\n"
				    "authentication:\n  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n"
				    "key-exchange:\n  default: { proposals: [aes256-sha384-ecp384] }\n"
				    "protection:\n  p: { proposals: [esp-aes256gcm], idle-timeout: 1m }\n"
				    "connection-security:\n"
				    "  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require,\n"
				    "      authentication: password, protection: p, modules: ikev1 }\n");
	struct keying_child_row row;

	(void)state;
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, 3000);
	assert_int_equal(keying_child_rows(w->hosts[0].keying, &row, 1), 1);
	world_run(w, 100000);
	keying_usage(w->hosts[0].keying, row.pair, 2000, 2000, w->now_ms);
	world_run(w, 200000);
	nothing_is_left(w); /* and main mode goes when it has nothing to carry */
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ends_begin_at_once),
		cmocka_unit_test(quick_modes_are_renewed),
		cmocka_unit_test(main_modes_are_renewed),
		cmocka_unit_test(renewals_survive_a_bad_wire),
		cmocka_unit_test(renewals_that_cross_end_in_one),
		cmocka_unit_test(main_mode_renewals_that_cross_end_in_one),
		cmocka_unit_test(a_delete_ends_both_halves),
		cmocka_unit_test(a_delete_that_is_lost_is_told_again),
		cmocka_unit_test(a_peer_that_restarts_is_met_anew),
		cmocka_unit_test(both_ends_restart),
		cmocka_unit_test(a_dead_peer_is_noticed),
		cmocka_unit_test(what_is_said_in_clear_ends_nothing),
		cmocka_unit_test(our_own_words_keep_no_dead_peer_alive),
		cmocka_unit_test(a_quick_mode_of_before_is_not_begun_again),
		cmocka_unit_test(idle_ones_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
