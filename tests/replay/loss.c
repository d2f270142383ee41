/* Messages that are lost, repeated, late, out of order or damaged. */
#include "tests/replay/wires.h"
#include "tests/replay/world.h"
#include "tests/unit/unit.h"

#include "base/mem.h"
#include "base/scope.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void any_one_message_may_be_lost(void **state)
{
	(void)state;
	for (unsigned which = 0; which < 4; which++) {
		struct world *w = world_new(world_policy);
		struct mishap m = { .which = which, .kind = LOSE };
		w->wire = wire_mishap;
		w->context = &m;
		world_packet(w, 0, 6, 40000, 443);
		world_run(w, 6000);
		world_expect_one(w, 1);
		assert_true(m.same_again);
		assert_int_equal(w->hosts[1].esp_received, 1);
		world_free(w);
	}
}

static void any_message_may_come_more_than_once_or_late(void **state)
{
	(void)state;
	for (unsigned which = 0; which < 4; which++)
		for (int kind = REPEAT; kind <= DELAY; kind++) {
			if (kind == DAMAGE)
				continue;
			struct world *w = world_new(world_policy);
			struct mishap m = { .which = which, .kind = (unsigned)kind };
			w->wire = wire_mishap;
			w->context = &m;
			world_packet(w, 0, 6, 40000, 443);
			world_run(w, 9000);
			world_expect_one(w, 1);
			assert_int_equal(w->hosts[0].events[EVENT_MAIN_MODE_UP], 1);
			assert_int_equal(w->hosts[1].events[EVENT_MAIN_MODE_UP], 1);
			assert_int_equal(w->hosts[1].spis_reserved, 1);
			world_free(w);
		}
}

/* One bit wrong anywhere: as if it were lost, or the peer's proof fails; never a wrong SA, never a crash. */
static void a_damaged_message_does_no_harm(void **state)
{
	(void)state;
	for (unsigned which = 0; which < 4; which++)
		for (size_t octet = 0; octet < 440; octet += which < 2 ? 3 : 1) {
			struct world *w = world_new(world_policy);
			struct mishap m = { .which = which, .kind = DAMAGE, .octet = octet };
			w->wire = wire_mishap;
			w->context = &m;
			w->hosts[0].config = w->hosts[1].config = keying_default;
			world_packet(w, 0, 6, 40000, 443);
			world_run(w, 150000);
			if (world_ikes(w, 0) == 0) /* it spoiled the proofs: a new packet begins anew */
				world_packet(w, 0, 6, 40000, 443);
			world_run(w, 220000);
			world_expect_one(w, 1);
			world_free(w);
		}
}

static void a_storm_ends_in_one_of_each(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 300; seed++)
		wires_ride_out(world_policy, seed, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_one_message_may_be_lost),
		cmocka_unit_test(any_message_may_come_more_than_once_or_late),
		cmocka_unit_test(a_damaged_message_does_no_harm),
		cmocka_unit_test(a_storm_ends_in_one_of_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
