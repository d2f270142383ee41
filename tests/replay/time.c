/* What time does: packets that wait, fallback, repetition until it is hopeless, silent peers, restarts, ends. */
#include "tests/replay/world.h"
#include "tests/unit/unit.h"

#include "base/diag.h"
#include "base/scope.h"

#include <string.h>

static unsigned cut(struct world *w, struct datagram *d)
{
	(void)w;
	(void)d;
	return 0;
}

/* Keeps when each IKE datagram left. */
struct log {
	uint64_t at[64];
	unsigned count;
};
static unsigned log_and_cut(struct world *w, struct datagram *d)
{
	struct log *l = w->context;

	if (!d->esp && l->count < 64)
		l->at[l->count++] = w->now_ms;
	return 0;
}

static void repetitions_double_and_end(void **state)
{
	static const uint64_t want[] = { 0, 500, 1500, 3500, 7500, 15500, 23500, 31500, 39500, 47500, 55500, 63500 };
	struct world *w = world_new(world_policy);
	struct log l = { 0 };

	(void)state;
	w->wire = log_and_cut;
	w->context = &l;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 1000 + 71400);
	assert_int_equal(l.count, ARRAY_LEN(want));
	for (size_t i = 0; i < ARRAY_LEN(want); i++)
		assert_int_equal(l.at[i], 1000 + want[i]);
	assert_int_equal(w->hosts[0].events[EVENT_PEER_UNREACHABLE], 0);
	assert_int_equal(w->hosts[0].released_drop, 1); /* held 5 s, no longer */
	world_run(w, 1000 + 71600);
	assert_int_equal(l.count, ARRAY_LEN(want));
	assert_int_equal(w->hosts[0].events[EVENT_PEER_UNREACHABLE], 1);
	assert_non_null(strstr(w->hosts[0].last_text[EVENT_PEER_UNREACHABLE], "no answer from "));
	assert_int_equal(w->hosts[0].spis_reserved, 0);
	world_free(w);
}

static void a_peer_that_comes_late_is_reached_by_the_next_packet(void **state)
{
	struct world *w = world_new(world_policy);

	(void)state;
	w->wire = cut;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 20000); /* the next repetition is due at 32.5 s */
	w->wire = NULL;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 20100);
	world_expect_one(w, 1);
	assert_int_equal(w->hosts[1].esp_received, 1);
	world_free(w);
}

static void required_packets_are_held_five_seconds(void **state)
{
	struct world *w = world_new(world_policy);

	(void)state;
	w->wire = cut;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 5999);
	assert_int_equal(w->hosts[0].released_drop, 0);
	world_run(w, 6001);
	assert_int_equal(w->hosts[0].released_drop, 1);
	assert_int_equal(w->hosts[0].fallbacks, 0);
	world_packet(w, 0, 6, 1, 1); /* held anew while it is tried */
	world_run(w, 10900);
	assert_int_equal(w->hosts[0].released_drop, 1);
	world_run(w, 11100);
	assert_int_equal(w->hosts[0].released_drop, 2);
	assert_int_equal(w->hosts[0].released_clear, 0);
	world_free(w);
}

static void requested_protection_falls_back_after_a_second_and_goes_on_trying(void **state)
{
	struct world *w = world_new(world_policy_mode("request"));

	(void)state;
	w->wire = cut;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 1999);
	assert_int_equal(w->hosts[0].released_clear, 0);
	world_run(w, 2001);
	assert_int_equal(w->hosts[0].released_clear, 1);
	assert_int_equal(w->hosts[0].fallbacks, 1);
	assert_int_equal(w->hosts[0].events[EVENT_FALLBACK], 1);
	world_packet(w, 0, 6, 1, 2); /* one that slipped through: at once */
	world_run(w, 2002);
	assert_int_equal(w->hosts[0].released_clear, 2);
	assert_int_equal(w->hosts[0].events[EVENT_FALLBACK], 1);
	w->wire = NULL; /* the peer gets IKE */
	world_run(w, 10000);
	world_expect_one(w, 1);
	assert_int_equal(w->hosts[0].fallback_ends, 1);
	assert_int_equal(w->hosts[0].released_drop, 0);
	world_free(w);
}

static void fallback_after_zero_is_clear_at_once(void **state)
{
	static const char text[] =
		"cordon: 1\nauthentication:\n"
		"  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\nconnection-security:\n"
		"  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: request, "
		"authentication: password, fallback-after: 0s }\n";
	struct world *w = world_new(text);

	(void)state;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 1000);
	assert_int_equal(w->hosts[0].released_clear, 1);
	assert_int_equal(w->hosts[0].fallbacks, 1);
	world_run(w, 3000);
	world_expect_one(w, 1);
	assert_int_equal(w->hosts[0].fallback_ends, 1);
	world_free(w);
}

static void a_refusal_makes_a_requesting_host_fall_back(void **state)
{
	struct world *w = world_new(world_policy_mode("request"));

	(void)state;
	w->hosts[1].psk = "another secret";
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 1500);
	assert_int_equal(w->hosts[0].released_clear, 1);
	assert_int_equal(w->hosts[0].fallbacks, 1);
	world_free(w);
}

static void a_peer_that_answers_no_more_is_noticed(void **state)
{
	struct world *w = world_new(world_policy);

	(void)state;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 3000);
	w->wire = cut;
	world_run(w, 30900);
	assert_int_equal(world_ikes(w, 0), 1);
	world_run(w, 31100 + 72000);
	assert_int_equal(world_ikes(w, 0), 0);
	assert_int_equal(world_sas(w, 0, true) + world_sas(w, 0, false), 0);
	assert_int_equal(w->hosts[0].events[EVENT_PEER_UNREACHABLE], 1);
	assert_int_equal(w->hosts[0].events[EVENT_QUICK_MODE_DOWN], 1);
	world_free(w);
}

static void idle_peers_are_not_asked_when_usage_is_told(void **state)
{
	struct world *w = world_new(world_policy);
	struct keying_child_row row;

	(void)state;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 3000);
	unsigned before = w->ike_sent[0] + w->ike_sent[1];
	for (uint64_t at = 4000; at < 120000; at += 4000) {
		for (unsigned host = 0; host < HOSTS; host++) {
			assert_int_equal(keying_child_rows(w->hosts[host].keying, &row, 1), 1);
			keying_usage(w->hosts[host].keying, row.pair, w->hosts[host].last_in_ms,
				     w->hosts[host].last_out_ms, w->now_ms);
		}
		world_run(w, at);
	}
	/* Host 0 sent one packet and never heard anything: it asks now and then. Host 1 has sent nothing. */
	assert_true(w->ike_sent[0] + w->ike_sent[1] - before <= 2);
	world_free(w);
}

static void a_restart_is_noticed_by_its_initial_contact(void **state)
{
	struct world *w = world_new(world_policy);

	(void)state;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 3000);
	world_restart(w, 0);
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 6000);
	world_expect_one(w, 1);
	assert_int_equal(w->hosts[1].esp_received, 2);
	assert_int_equal(w->hosts[1].events[EVENT_MAIN_MODE_DOWN], 1);
	world_free(w);
}

static void esp_of_a_forgotten_peer_makes_us_begin_anew(void **state)
{
	struct world *w = world_new(world_policy);

	(void)state;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 3000);
	world_restart(w, 1);
	world_packet(w, 0, 6, 1, 1); /* lost, but it wakes host 1 */
	world_run(w, 4000);
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 6000);
	world_expect_one(w, 1);
	assert_int_equal(w->hosts[1].esp_received, 2);
	world_free(w);
}

static void closing_tells_the_peer(void **state)
{
	struct world *w = world_new(world_policy);

	(void)state;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 3000);
	keying_close(w->hosts[0].keying, w->now_ms);
	world_run(w, 3100);
	assert_int_equal(world_ikes(w, 0) + world_ikes(w, 1), 0);
	assert_int_equal(world_sas(w, 1, true) + world_sas(w, 1, false), 0);
	world_free(w);
}

static void both_may_close_at_once(void **state)
{
	struct world *w = world_new(world_policy);

	(void)state;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 3000);
	keying_close(w->hosts[0].keying, w->now_ms);
	keying_close(w->hosts[1].keying, w->now_ms);
	world_run(w, 3100);
	for (unsigned host = 0; host < HOSTS; host++) {
		assert_int_equal(world_ikes(w, host), 0);
		assert_int_equal(world_sas(w, host, true) + world_sas(w, host, false), 0);
		assert_true(keying_deadline(w->hosts[host].keying) == UINT64_MAX);
	}
	world_free(w);
}

static void a_new_plan_keeps_what_it_still_wants(void **state)
{
	struct world *w = world_new(world_policy);

	(void)state;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 3000);
	world_set_plan(w, 0, world_policy);
	world_run(w, 4000);
	world_expect_one(w, 1);
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 5000);
	assert_int_equal(w->hosts[1].esp_received, 2);
	world_set_plan(w, 0, "cordon: 1\n");
	world_run(w, 6000);
	for (unsigned host = 0; host < HOSTS; host++) {
		assert_int_equal(world_ikes(w, host), 0);
		assert_int_equal(world_sas(w, host, true) + world_sas(w, host, false), 0);
	}
	world_free(w);
}

/* At every moment of a negotiation. */
static void a_new_plan_in_the_middle_leaves_nothing_behind(void **state)
{
	(void)state;
	for (uint64_t moment = 0; moment < 14; moment++)
		for (unsigned which = 0; which < 4; which++) {
			struct world *w = world_new(world_policy);
			w->job_ms = 1;
			world_packet(w, 0, 6, 1, 1);
			world_run(w, 1000 + moment);
			world_set_plan(w, which & 1, which & 2 ? "cordon: 1\n" : world_policy);
			world_run(w, 200000);
			if (which & 2) {
				assert_int_equal(world_ikes(w, 0) + world_ikes(w, 1), 0);
				for (unsigned host = 0; host < HOSTS; host++)
					assert_int_equal(world_sas(w, host, true) + world_sas(w, host, false), 0);
			} else {
				world_packet(w, 0, 6, 1, 1);
				world_run(w, 300000);
				world_expect_one(w, 1);
			}
			world_free(w);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(repetitions_double_and_end),
		cmocka_unit_test(a_peer_that_comes_late_is_reached_by_the_next_packet),
		cmocka_unit_test(required_packets_are_held_five_seconds),
		cmocka_unit_test(requested_protection_falls_back_after_a_second_and_goes_on_trying),
		cmocka_unit_test(fallback_after_zero_is_clear_at_once),
		cmocka_unit_test(a_refusal_makes_a_requesting_host_fall_back),
		cmocka_unit_test(a_peer_that_answers_no_more_is_noticed),
		cmocka_unit_test(idle_peers_are_not_asked_when_usage_is_told),
		cmocka_unit_test(a_restart_is_noticed_by_its_initial_contact),
		cmocka_unit_test(esp_of_a_forgotten_peer_makes_us_begin_anew),
		cmocka_unit_test(closing_tells_the_peer),
		cmocka_unit_test(both_may_close_at_once),
		cmocka_unit_test(a_new_plan_keeps_what_it_still_wants),
		cmocka_unit_test(a_new_plan_in_the_middle_leaves_nothing_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
