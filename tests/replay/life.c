/* The life of SAs: proofs that grow old, idleness, restarts that a token tells of, ends that cannot wait, addresses. */
#include "tests/replay/world.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#define POLICY(ke, child) \
	"cordon: 1\nauthentication:\n  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n" \
	"key-exchange:\n  default: { proposals: [aes256gcm-sha256-x25519]" ke " }\n" \
	"protection:\n  default: { proposals: [esp-aes256gcm]" child " }\n" \
	"connection-security:\n" \
	"  - { name: web, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], protocol: tcp, port2: 80, mode: require,\n" \
	"      authentication: password }\n" \
	"  - { name: rest, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require, authentication: password }\n"

static void usage(struct world *w)
{
	struct keying_child_row rows[8];

	for (unsigned host = 0; host < HOSTS; host++) {
		size_t n = keying_child_rows(w->hosts[host].keying, rows, 8);
		for (size_t i = 0; i < n && i < 8; i++)
			keying_usage(w->hosts[host].keying, rows[i].pair, w->hosts[host].last_in_ms,
				     w->hosts[host].last_out_ms, w->now_ms);
	}
}

static void traffic(struct world *w, uint64_t until_ms, uint64_t every_ms)
{
	while (w->now_ms < until_ms) {
		world_packet(w, 0, 6, 40000, 80);
		world_packet(w, 1, 17, 53, 5353);
		world_packet(w, 0, 17, 5353, 53);
		world_packet(w, 1, 6, 80, 40000);
		usage(w);
		world_run(w, w->now_ms + every_ms);
	}
}

static void expect_no_loss(const struct world *w)
{
	for (unsigned host = 0; host < HOSTS; host++) {
		assert_int_equal(w->hosts[host].esp_lost + w->hosts[host].esp_blind, 0);
		assert_int_equal(w->hosts[host].released_drop, 0);
	}
}

static uint64_t spi_of(const struct world *w, unsigned host)
{
	struct keying_ike_row row;

	assert_int_equal(keying_ike_rows(w->hosts[host].keying, &row, 1), 1);
	return row.spi_i;
}

static void the_policy_asks_for_a_new_proof(void **state)
{
	struct world *w = world_new(POLICY(", reauthenticate: 10m", ""));

	(void)state;
	traffic(w, 8000, 50);
	world_expect_one(w, 2);
	uint64_t before = spi_of(w, 0);
	unsigned ups = w->hosts[0].events[EVENT_MAIN_MODE_UP];
	traffic(w, 3600 * UINT64_C(1000), 500);
	world_run(w, w->now_ms + 5000);
	world_expect_one(w, 2);
	assert_true(spi_of(w, 0) != before);
	assert_true(w->hosts[0].events[EVENT_MAIN_MODE_UP] - ups >= 6);
	assert_int_equal(w->hosts[0].events[EVENT_MAIN_MODE_DOWN] + w->hosts[1].events[EVENT_MAIN_MODE_DOWN], 0);
	expect_no_loss(w);
	world_free(w);
}

/* Only one end's policy says so; the other is told by AUTH_LIFETIME, or is asked. */
static void one_end_that_asks_is_enough(void **state)
{
	(void)state;
	for (unsigned who = 0; who < 2; who++) {
		const char *asks = POLICY(", reauthenticate: 10m", ""), *lets = POLICY("", "");
		struct world *w = world_new_two(who ? lets : asks, who ? asks : lets);
		world_packet(w, 0, 17, 5353, 53); /* host 0 is the initiator */
		world_run(w, 2000);
		traffic(w, 3000, 50);
		uint64_t before = spi_of(w, 1);
		traffic(w, 620 * UINT64_C(1000), 500);
		world_run(w, w->now_ms + 3000);
		world_expect_one(w, 2);
		assert_true(spi_of(w, 1) != before);
		expect_no_loss(w);
		world_free(w);
	}
}

static void an_sa_does_not_outlive_the_certificate(void **state)
{
	struct world *w = world_new(POLICY("", ""));

	(void)state;
	w->good_ms = 300000;
	world_packet(w, 0, 17, 5353, 53);
	world_run(w, 3000);
	uint64_t before = spi_of(w, 0);
	traffic(w, 290000, 500); /* a proof by the certificate that followed */
	assert_true(spi_of(w, 0) != before);
	expect_no_loss(w);
	w->hosts[0].psk = "none that is good any more";
	traffic(w, 620000, 500);
	for (unsigned host = 0; host < HOSTS; host++) {
		assert_int_equal(world_ikes(w, host), 0);
		assert_int_equal(world_sas(w, host, true) + world_sas(w, host, false), 0);
	}
	world_free(w);
}

static void what_is_idle_goes(void **state)
{
	struct world *w = world_new(POLICY("", ", idle-timeout: 2m"));

	(void)state;
	traffic(w, 100000, 1000);
	world_expect_one(w, 2);
	for (uint64_t until = w->now_ms + 119000; w->now_ms < until; world_run(w, w->now_ms + 3000))
		usage(w);
	world_expect_one(w, 2);
	for (uint64_t until = w->now_ms + 6000; w->now_ms < until; world_run(w, w->now_ms + 3000))
		usage(w);
	for (unsigned host = 0; host < HOSTS; host++) {
		assert_int_equal(world_children(w, host), 0);
		assert_int_equal(world_ikes(w, host), 1);
	}
	world_run(w, w->now_ms + 62000); /* main mode follows */
	assert_int_equal(world_ikes(w, 0) + world_ikes(w, 1), 0);
	traffic(w, w->now_ms + 8000, 100);
	world_expect_one(w, 2);
	expect_no_loss(w);
	world_free(w);
}

/* Lives of two seconds, main mode's of five, both ends renewing when they like: for forced collisions on a bad wire. */
static void lives_of_seconds_work(void **state)
{
	struct world *w = world_new(POLICY(", lifetime: 5s", ", lifetime: 2s"));

	(void)state;
	w->quick_keys = true;
	traffic(w, 600000, 20);
	world_run(w, w->now_ms + 1500);
	assert_true(w->hosts[0].events[EVENT_QUICK_MODE_UP] > 500);
	assert_true(w->hosts[0].events[EVENT_MAIN_MODE_UP] > 150);
	expect_no_loss(w);
	world_free(w);
}

static void set_secret(struct world *w, unsigned host)
{
	struct world_host *h = &w->hosts[host];

	memset(h->config.crash_secret, 0x5a + (int)host, sizeof h->config.crash_secret);
	keying_set_plan(h->keying, &h->config, h->plan, w->now_ms);
}

/* The other one restarts, and has nothing to say; its token tells when we speak. */
static void a_token_tells_of_a_restart(void **state)
{
	(void)state;
	for (unsigned renewed = 0; renewed < 2; renewed++)
		for (unsigned who = 0; who < HOSTS; who++) {
			struct world *w = world_new(POLICY("", ""));
			set_secret(w, 0);
			set_secret(w, 1);
			world_packet(w, 0, 17, 5353, 53);
			world_run(w, 4000);
			if (renewed)
				(void)keying_renew(w->hosts[0].keying, KEYING_RENEW_IKE, NULL, w->now_ms);
			world_run(w, 10000);
			assert_int_equal(world_ikes(w, 0), 1);
			world_restart(w, who);
			(void)keying_renew(w->hosts[1 - who].keying, KEYING_RENEW_CHILD, NULL, w->now_ms);
			world_run(w, 10100);
			assert_int_equal(world_ikes(w, 1 - who), 0);
			assert_non_null(strstr(w->hosts[1 - who].last_text[EVENT_MAIN_MODE_DOWN], "has restarted"));
			world_free(w);
		}
}

/* It restarts and begins with another rule, and so proves itself in another way: what was proven before is asked
 * about, and its token tells. */
static void who_begins_afresh_as_another_is_asked(void **state)
{
	static const char two_ways[] =
		"cordon: 1\nauthentication:\n  one: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n"
		"  other: [ { kerberos: { realm: EXAMPLE } } ]\n"
		"key-exchange:\n  default: { proposals: [aes256gcm-sha256-x25519] }\n"
		"connection-security:\n"
		"  - { name: names, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], protocol: udp, port2: 53, mode: "
		"require, "
		"authentication: one }\n"
		"  - { name: logs, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], protocol: udp, port2: 514, mode: "
		"require, "
		"authentication: other }\n";
	struct world *w = world_new(two_ways);

	(void)state;
	set_secret(w, 0);
	set_secret(w, 1);
	world_packet(w, 0, 17, 5353, 53);
	world_run(w, 4000);
	assert_int_equal(world_ikes(w, 0), 1);
	world_restart(w, 1);
	world_packet(w, 1, 17, 514, 5140);
	world_run(w, 8000);
	assert_int_equal(world_ikes(w, 1), 1);
	assert_int_equal(world_ikes(w, 0), 1);
	assert_non_null(strstr(w->hosts[0].last_text[EVENT_MAIN_MODE_DOWN], "has restarted"));
	world_packet(w, 0, 17, 5353, 53);
	world_run(w, 12000);
	assert_int_equal(world_ikes(w, 0), 2);
	assert_int_equal(world_ikes(w, 1), 2);
	world_packet(w, 0, 17, 5353, 53);
	world_packet(w, 1, 17, 514, 5140);
	world_run(w, 13000);
	assert_int_equal(w->hosts[0].esp_lost + w->hosts[1].esp_lost, 0);
	world_free(w);
}

/* Somebody else's token, or none, does nothing at once. */
static void a_false_token_does_not(void **state)
{
	struct world *w = world_new(POLICY("", ""));

	(void)state;
	set_secret(w, 0);
	set_secret(w, 1);
	world_packet(w, 0, 17, 5353, 53);
	world_run(w, 4000);
	world_restart(w, 1);
	w->hosts[1].config.crash_secret[0] ^= 1;
	keying_set_plan(w->hosts[1].keying, &w->hosts[1].config, w->hosts[1].plan, w->now_ms);
	(void)keying_renew(w->hosts[0].keying, KEYING_RENEW_CHILD, NULL, w->now_ms);
	world_run(w, 4400);
	assert_int_equal(world_ikes(w, 0), 1);
	world_free(w);
}

struct keep {
	size_t len;
	uint8_t octets[DATAGRAM_MOST];
	unsigned tokens;
};

static unsigned keep(struct world *w, struct datagram *d)
{
	struct keep *k = w->context;

	if (!d->esp && d->from == 1 && d->octets[18] == 37 && (d->octets[19] & 0x20) && d->octets[16] == 41)
		k->tokens += d->len > 60;
	if (!d->esp && d->from == 0 && d->octets[18] == 37) {
		k->len = d->len;
		memcpy(k->octets, d->octets, d->len);
	}
	return 1;
}

/* Whoever asks with the directions turned round would be shown the token of a living SA. */
static void no_token_is_shown_for_an_sa_that_lives(void **state)
{
	struct world *w = world_new(POLICY("", ""));
	struct keep k = { 0 };

	(void)state;
	set_secret(w, 0);
	set_secret(w, 1);
	world_packet(w, 0, 17, 5353, 53);
	world_run(w, 4000);
	w->wire = keep;
	w->context = &k;
	(void)keying_renew(w->hosts[0].keying, KEYING_RENEW_CHILD, NULL, w->now_ms);
	world_run(w, 8000);
	assert_true(k.len > 28);
	k.octets[19] ^= 0x08;
	world_inject(w, 1, k.octets, k.len);
	world_run(w, 9000);
	assert_int_equal(k.tokens, 0);
	assert_int_equal(world_ikes(w, 1), 1);
	world_restart(w, 1); /* now it does not live any more: the test can fail */
	world_inject(w, 1, k.octets, k.len);
	world_run(w, 9100);
	assert_int_equal(k.tokens, 1);
	world_free(w);
}

static unsigned cut_from_1(struct world *w, struct datagram *d)
{
	(void)w;
	return d->esp || d->from == 0;
}

static void closing_tells_a_peer_that_still_owes_an_answer(void **state)
{
	struct world *w = world_new(POLICY("", ""));

	(void)state;
	world_packet(w, 0, 17, 5353, 53);
	world_run(w, 4000);
	w->wire = cut_from_1;
	(void)keying_renew(w->hosts[0].keying, KEYING_RENEW_CHILD, NULL, w->now_ms);
	world_run(w, 4100);
	keying_close(w->hosts[0].keying, w->now_ms);
	world_run(w, 4200);
	assert_int_equal(world_ikes(w, 1), 0);
	assert_int_equal(world_sas(w, 1, true) + world_sas(w, 1, false), 0);
	world_free(w);
}

static void an_address_that_goes_takes_its_sas_along(void **state)
{
	struct world *w = world_new(POLICY("", ""));

	(void)state;
	traffic(w, 8000, 50);
	world_expect_one(w, 2);
	keying_address_gone(w->hosts[0].keying, &w->hosts[0].addr, w->now_ms);
	assert_int_equal(world_ikes(w, 0), 0);
	world_run(w, w->now_ms + 100);
	assert_int_equal(world_ikes(w, 1), 0);
	for (unsigned host = 0; host < HOSTS; host++)
		assert_int_equal(world_sas(w, host, true) + world_sas(w, host, false), 0);
	traffic(w, w->now_ms + 8000, 50); /* it is back */
	world_expect_one(w, 2);
	/* In the middle of everything. */
	for (uint64_t moment = 0; moment < 12; moment++) {
		keying_address_gone(w->hosts[1].keying, &w->hosts[1].addr, w->now_ms);
		world_packet(w, 0, 17, 5353, 53);
		world_run(w, w->now_ms + moment);
		keying_address_gone(w->hosts[0].keying, &w->hosts[0].addr, w->now_ms);
		world_run(w, w->now_ms + 90000);
		world_packet(w, 0, 17, 5353, 53);
		world_packet(w, 1, 17, 53, 5353);
		world_run(w, w->now_ms + 5000);
		assert_int_equal(world_ikes(w, 0), 1);
		assert_int_equal(world_ikes(w, 1), 1);
	}
	world_free(w);
}

#define TUNNELLED(far) \
	"cordon: 1\nauthentication:\n  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n" \
	"connection-security:\n" \
	"  - { name: site, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require, authentication: password,\n" \
	"      tunnel: { endpoint1: 10.0.0.1, endpoint2: " far " } }\n"

/* The policy names another gateway, perhaps because the one before was away: when that is back it is nobody's. */
static void a_tunnel_that_has_moved_is_not_made_with_its_old_end(void **state)
{
	(void)state;
	for (unsigned was_up = 0; was_up < 2; was_up++) {
		struct world *w = world_new(TUNNELLED("10.0.0.2"));

		if (!was_up)
			w->wire = world_drop;
		world_packet(w, 0, 17, 5353, 53);
		world_run(w, 1500);
		assert_int_equal(world_children(w, 0), was_up);
		world_set_plan(w, 0, TUNNELLED("10.0.0.3"));
		w->wire = NULL;
		world_run(w, 20000);
		assert_int_equal(world_children(w, 0), 0);
		assert_int_equal(world_sas(w, 0, true) + world_sas(w, 0, false), 0);
		world_set_plan(w, 0, TUNNELLED("10.0.0.2")); /* and back */
		world_packet(w, 0, 17, 5353, 53);
		world_run(w, w->now_ms + 20000);
		assert_int_equal(world_children(w, 0), 1);
		world_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_policy_asks_for_a_new_proof),
		cmocka_unit_test(one_end_that_asks_is_enough),
		cmocka_unit_test(an_sa_does_not_outlive_the_certificate),
		cmocka_unit_test(what_is_idle_goes),
		cmocka_unit_test(lives_of_seconds_work),
		cmocka_unit_test(a_token_tells_of_a_restart),
		cmocka_unit_test(who_begins_afresh_as_another_is_asked),
		cmocka_unit_test(a_tunnel_that_has_moved_is_not_made_with_its_old_end),
		cmocka_unit_test(a_false_token_does_not),
		cmocka_unit_test(no_token_is_shown_for_an_sa_that_lives),
		cmocka_unit_test(closing_tells_a_peer_that_still_owes_an_answer),
		cmocka_unit_test(an_address_that_goes_takes_its_sas_along),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
