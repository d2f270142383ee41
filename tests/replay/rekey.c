/* Soft expiry: a new SA stands before the old one goes, no packet is lost, whoever begins. */
#include "tests/replay/world.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#define POLICY(ke, child) \
	"cordon: 1\nauthentication:\n  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n" \
	"key-exchange:\n  default: { proposals: [aes256gcm-sha256-x25519], lifetime: " ke " }\n" \
	"protection:\n  default: { proposals: [" child "], lifetime: { time: 10m } }\n" \
	"connection-security:\n  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require, " \
	"authentication: password }\n"

static void traffic(struct world *w, uint64_t until_ms, uint64_t every_ms)
{
	for (uint64_t at = w->now_ms + every_ms; at < until_ms; at += every_ms) {
		world_packet(w, 0, 6, 1, 1);
		world_packet(w, 1, 6, 1, 1);
		world_run(w, at);
	}
}

static void soft(struct world *w, unsigned host)
{
	struct keying_child_row row;

	assert_int_equal(keying_child_rows(w->hosts[host].keying, &row, 1), 1);
	struct sad_event e = { .kind = SAD_EXPIRE_SOFT, .spi = row.spi_out, .pair = row.pair };
	world_sad_event(w, host, &e);
}

static void expect_renewed(struct world *w, uint32_t old_in)
{
	world_expect_one(w, 1);
	for (size_t i = 0; i < SAS_MOST; i++)
		if (w->hosts[0].sas[i].used && w->hosts[0].sas[i].inbound)
			assert_true(w->hosts[0].sas[i].spi != old_in);
	assert_int_equal(w->hosts[0].esp_lost + w->hosts[1].esp_lost, 0);
	for (unsigned host = 0; host < HOSTS; host++) /* nobody is told that anything went down */
		assert_int_equal(w->hosts[host].events[EVENT_QUICK_MODE_DOWN], 0);
}

static void either_end_renews_quick_mode_without_loss(void **state)
{
	static const char *const children[] = { "esp-aes256gcm", "esp-aes256gcm-ecp256", "esp-aes128-sha256-x25519" };

	(void)state;
	for (size_t c = 0; c < 3; c++)
		for (unsigned from = 0; from < 2; from++) {
			char text[1024];
			(void)snprintf(text, sizeof text, POLICY("8h", "%s"), children[c]);
			struct world *w = world_new(text);
			world_packet(w, 0, 6, 1, 1);
			world_run(w, 2000);
			soft(w, from);
			traffic(w, 6000, 5);
			expect_renewed(w, 0x1000);
			world_free(w);
		}
}

static void both_ends_renew_quick_mode_at_once(void **state)
{
	(void)state;
	for (unsigned lead = 0; lead < 2; lead++)
		for (uint64_t later = 0; later < 8; later++)
			for (uint64_t jobs = 0; jobs < 3; jobs++) {
				struct world *w = world_new(POLICY("8h", "esp-aes256gcm"));
				w->job_ms = jobs;
				w->hosts[0].nonce_lead = lead ? 0x80 : 0x40;
				w->hosts[1].nonce_lead = lead ? 0x40 : 0x80;
				world_packet(w, 0, 6, 1, 1);
				world_run(w, 2000);
				soft(w, 0);
				world_run(w, 2000 + later);
				if (world_children(w, 1) == 1)
					soft(w, 1);
				traffic(w, 9000, 5);
				expect_renewed(w, 0x1000);
				world_free(w);
			}
}

/* The clock does it: both lives end, main mode's and quick mode's, again and again. */
static void lives_end_and_nothing_is_lost(void **state)
{
	struct world *w = world_new(POLICY("25m", "esp-aes256gcm"));

	(void)state;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 2000);
	traffic(w, 3 * 3600 * UINT64_C(1000), 500);
	world_run(w, w->now_ms + 3000);
	expect_renewed(w, 0x1000);
	assert_true(w->hosts[0].events[EVENT_MAIN_MODE_UP] >= 7);
	assert_true(w->hosts[0].events[EVENT_QUICK_MODE_UP] >= 18);
	assert_int_equal(w->hosts[0].events[EVENT_QUICK_MODE_DOWN], 0);
	assert_int_equal(w->hosts[0].events[EVENT_MAIN_MODE_FAILED] + w->hosts[0].events[EVENT_QUICK_MODE_FAILED], 0);
	world_free(w);
}

struct storm {
	uint64_t state;
};

static unsigned storm(struct world *w, struct datagram *d)
{
	struct storm *s = w->context;

	if (d->esp)
		return 1;
	s->state = s->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	d->due_ms += (s->state >> 40) % 100;
	return (s->state >> 33) % 10 < 1 ? 0 : (s->state >> 33) % 10 < 4 ? 2 : 1;
}

static void lives_end_on_a_bad_wire_too(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 20; seed++) {
		struct world *w = world_new(POLICY("25m", "esp-aes256gcm"));
		struct storm s = { seed };
		w->hosts[0].random += seed * 77;
		world_packet(w, 0, 6, 1, 1);
		world_run(w, 2000);
		w->wire = storm;
		w->context = &s;
		traffic(w, 2 * 3600 * UINT64_C(1000), 1000);
		w->wire = NULL;
		world_run(w, w->now_ms + 60000);
		if (w->hosts[0].esp_lost || w->hosts[1].esp_lost)
			(void)fprintf(stderr, "seed %u: lost %u and %u\n", seed, w->hosts[0].esp_lost,
				      w->hosts[1].esp_lost);
		expect_renewed(w, 0x1000);
		world_free(w);
	}
}

static void both_ends_renew_main_mode_at_once(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 30; seed++) {
		/* Lives so short that the ends often meet: 80 % and 92 % of a minute, spread. */
		struct world *w = world_new(POLICY("300s", "esp-aes256gcm"));
		w->hosts[0].random += seed;
		w->job_ms = seed % 3;
		w->latency_ms = 1 + seed * 3;
		world_packet(w, 0, 6, 1, 1);
		world_run(w, 2000);
		traffic(w, 1800 * UINT64_C(1000), 1000);
		world_run(w, w->now_ms + 5000);
		expect_renewed(w, 0x1000);
		world_free(w);
	}
}

static void an_unknown_quick_mode_is_made_anew(void **state)
{
	struct world *w = world_new(POLICY("8h", "esp-aes256gcm"));
	struct keying_child_row row;

	(void)state;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 2000);
	/* Host 1 loses its SA, and its Delete gets lost too. */
	assert_int_equal(keying_child_rows(w->hosts[1].keying, &row, 1), 1);
	struct sad_event e = { .kind = SAD_EXPIRE_HARD, .spi = row.spi_in, .pair = row.pair };
	world_sad_event(w, 1, &e);
	world_run(w, 3000);
	assert_int_equal(world_children(w, 0), 0); /* it did not get lost */
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 5000);
	world_expect_one(w, 1);
	world_free(w);
}

static void deletes_may_cross(void **state)
{
	struct world *w = world_new(POLICY("8h", "esp-aes256gcm"));
	struct keying_child_row row;

	(void)state;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 2000);
	for (unsigned host = 0; host < HOSTS; host++) {
		assert_int_equal(keying_child_rows(w->hosts[host].keying, &row, 1), 1);
		struct sad_event e = { .kind = SAD_EXPIRE_HARD, .spi = row.spi_in, .pair = row.pair };
		world_sad_event(w, host, &e);
	}
	world_run(w, 4000);
	for (unsigned host = 0; host < HOSTS; host++) {
		assert_int_equal(world_children(w, host), 0);
		assert_int_equal(world_sas(w, host, true) + world_sas(w, host, false), 0);
		assert_int_equal(world_ikes(w, host), 1);
	}
	world_packet(w, 1, 6, 1, 1);
	world_run(w, 6000);
	world_expect_one(w, 1);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(either_end_renews_quick_mode_without_loss),
		cmocka_unit_test(both_ends_renew_quick_mode_at_once),
		cmocka_unit_test(lives_end_and_nothing_is_lost),
		cmocka_unit_test(lives_end_on_a_bad_wire_too),
		cmocka_unit_test(both_ends_renew_main_mode_at_once),
		cmocka_unit_test(an_unknown_quick_mode_is_made_anew),
		cmocka_unit_test(deletes_may_cross),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
