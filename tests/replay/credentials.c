/* Our credentials change, and so does what we think of the peer's, while SAs are up and while they are made. */
#include "tests/replay/world.h"
#include "tests/unit/unit.h"

#include <string.h>

static void new_credentials_end_nothing(void **state)
{
	struct world *w = world_new(world_policy);

	(void)state;
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, 3000);
	for (unsigned i = 0; i < HOSTS; i++)
		keying_set_credentials(w->hosts[i].keying, &w->hosts[i].config, w->now_ms);
	world_run(w, 6000);
	world_expect_one(w, 1);
	for (unsigned i = 0; i < HOSTS; i++)
		assert_int_equal(w->hosts[i].events[EVENT_MAIN_MODE_DOWN], 0);
	world_free(w);
}

/* At every moment of a negotiation, at either end: what it began with is still there (retired), and it succeeds. */
static void negotiations_under_way_end_with_what_they_began_with(void **state)
{
	(void)state;
	for (unsigned ms = 0; ms < 12; ms++) {
		for (unsigned host = 0; host < HOSTS; host++) {
			struct world *w = world_new(world_policy);
			struct world_host *h = &w->hosts[host];
			struct keying_credential both[2];
			struct keying_config config = h->config;

			w->job_ms = 1;
			world_packet(w, 0, 6, 40000, 443);
			world_run(w, w->now_ms + ms);
			both[0] = both[1] = h->credential;
			both[0].number = 77; /* the new one */
			both[1].satisfies_count = 0;
			config.credentials = both;
			config.credential_count = 2;
			keying_set_credentials(h->keying, &config, w->now_ms);
			world_run(w, 5000);
			if (w->hosts[0].events[EVENT_MAIN_MODE_FAILED] || w->hosts[1].events[EVENT_MAIN_MODE_FAILED])
				fail_msg("after %u ms at host %u: %s", ms, host,
					 w->hosts[host].last_text[EVENT_MAIN_MODE_FAILED]);
			world_expect_one(w, 1);
			world_free(w);
		}
	}
}

static void what_had_failed_for_want_of_one_is_tried_at_once(void **state)
{
	struct world *w = world_new(world_policy);
	struct keying_config none = w->hosts[0].config;

	(void)state;
	none.credential_count = 0;
	keying_set_credentials(w->hosts[0].keying, &none, w->now_ms);
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, 1200);
	assert_int_equal(w->hosts[0].events[EVENT_MAIN_MODE_FAILED], 1);
	assert_non_null(strstr(w->hosts[0].last_text[EVENT_MAIN_MODE_FAILED], "nothing to prove itself with"));
	keying_set_credentials(w->hosts[0].keying, &w->hosts[0].config, w->now_ms);
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, 1600); /* the wait after a failure is a second */
	world_expect_one(w, 1);
	world_free(w);
}

static void a_peer_no_longer_trusted_loses_its_sas_whether_it_answers_or_not(void **state)
{
	uint8_t certificate[PEER_DIGEST] = { 0 };

	(void)state;
	for (int dead = 0; dead < 2; dead++) {
		struct world *w = world_new(world_policy);

		w->certificates = true;
		world_packet(w, 0, 6, 40000, 443);
		world_run(w, 3000);
		world_expect_one(w, 1);
		assert_int_equal(keying_distrust(w->hosts[0].keying, certificate, "not it", w->now_ms), 0);
		memset(certificate, world_certificate, sizeof certificate);
		w->wire = dead ? world_drop : NULL;
		assert_int_equal(keying_distrust(w->hosts[0].keying, certificate, "it is on a list", w->now_ms), 1);
		memset(certificate, 0, sizeof certificate);
		world_run(w, w->now_ms + 50);
		assert_int_equal(world_ikes(w, 0), 0);
		assert_int_equal(world_sas(w, 0, true) + world_sas(w, 0, false), 0);
		assert_non_null(strstr(w->hosts[0].last_text[EVENT_MAIN_MODE_DOWN], "it is on a list"));
		assert_int_equal(world_ikes(w, 1), (size_t)dead);
		world_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_credentials_end_nothing),
		cmocka_unit_test(negotiations_under_way_end_with_what_they_began_with),
		cmocka_unit_test(what_had_failed_for_want_of_one_is_tried_at_once),
		cmocka_unit_test(a_peer_no_longer_trusted_loses_its_sas_whether_it_answers_or_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
