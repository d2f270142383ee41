/* Two engines set up main mode and quick mode. */
#include "tests/replay/world.h"
#include "tests/unit/unit.h"

static void a_packet_brings_up_one_of_each(void **state)
{
	struct world *w = world_new(world_policy);

	(void)state;
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, 3000);
	world_expect_one(w, 1);
	assert_int_equal(w->hosts[1].esp_received, 1);
	assert_int_equal(w->hosts[0].events[EVENT_MAIN_MODE_UP], 1);
	assert_int_equal(w->hosts[1].events[EVENT_QUICK_MODE_UP], 1);
	assert_int_equal(w->ike_sent[0], 2);
	assert_int_equal(w->ike_sent[1], 2);
	world_free(w);
}

static void the_same_over_ipv6(void **state)
{
	struct world *w =
		world_new_ipv6("cordon: 1\nauthentication:\n"
			       "  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n"
			       "connection-security:\n"
			       "  - { name: six, endpoint1: [\"2001:db8::1\"], endpoint2: [\"2001:db8::/64\"],\n"
			       "      protocol: tcp, port2: 443, mode: require, authentication: password }\n");

	(void)state;
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, 3000);
	world_expect_one(w, 1);
	assert_int_equal(w->hosts[1].esp_received, 1);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_packet_brings_up_one_of_each),
		cmocka_unit_test(the_same_over_ipv6),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
