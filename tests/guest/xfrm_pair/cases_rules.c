/* Which rule wins, and other rules in place of those in force. */
#include "tests/guest/xfrm_pair/cases.h"

#include "tests/guest/xfrm_pair/sas.h"
#include "tests/guest/xfrm_pair/traffic.h"
#include "tests/guest/xfrm_pair/wire.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Ports 5000 to 5009 in clear, all else protected: ranges and the order of rules. */
void the_most_specific_wins(void)
{
	static const char rules[] =
		"  - { name: All, endpoint1: [any], endpoint2: [any], mode: require, authentication: "
		"machine, protection: all }\n"
		"  - { name: Open, endpoint1: [10.9.0.1], endpoint2: [10.9.0.2], protocol: udp, port1: "
		"5000-5009, port2: 5000-5009, mode: exempt }\n";
	struct seen seen;
	int a, b, c;

	doing = "most specific";
	both_up(rules);
	wire_forget();
	a = udp_socket(&sides[0], 4, 5003);
	b = udp_socket(&sides[1], 4, 5008);
	c = udp_socket(&sides[1], 4, 5010);
	CHECK(send_to(a, &sides[1], 4, 5008) && came(b, TAKES_MS));
	seen = wire_look();
	CHECK(seen.readable == 1);
	(void)send_to(a, &sides[1], 4, 5010);
	CHECK(wait_event(&sides[0], SAD_ACQUIRE, NULL, TAKES_MS) && !came(c, IDLE_MS));
	CHECK(wire_look().readable == 0);
	(void)close(a);
	(void)close(b);
	(void)close(c);
	both_down();
}

/* The other end has no policies and sends in clear what ours wants protected. */
void clear_is_not_let_in(void)
{
	int a, b;

	doing = "clear in";
	both_up(require_all);
	side_down(&sides[0]);
	side_up(&sides[0], say_nothing);
	a = udp_socket(&sides[0], 4, PORT);
	b = udp_socket(&sides[1], 4, PORT);
	CHECK(send_to(a, &sides[1], 4, PORT) && !came(b, IDLE_MS));
	(void)sad_dropped(sides[1].sad, DROP_NO_SA);
	CHECK(sad_dropped(sides[1].sad, DROP_POLICY) >= 1);
	(void)close(a);
	(void)close(b);
	both_down();
}

/* As many policies as a plan of many hosts makes, and another plan in their place. */
void many_hosts(void)
{
	enum { HOSTS = 2000 };
	static char rules[HOSTS * 32 + 512];
	size_t n = (size_t)snprintf(rules, sizeof rules,
				    "  - { name: Many, mode: require, authentication: machine, "
				    "protection: all, endpoint1: [10.9.0.1], endpoint2: [");
	uint64_t began;

	doing = "many hosts";
	for (unsigned i = 0; i < HOSTS; i++)
		n += (size_t)snprintf(rules + n, sizeof rules - n, "%s10.20.%u.%u", i ? ", " : "", i * 2 / 256,
				      i * 2 % 256);
	(void)snprintf(rules + n, sizeof rules - n, "] }\n");
	began = now_ms(NULL);
	side_up(&sides[0], rules);
	(void)printf("  %d hosts: %u ms to put in force\n", HOSTS, (unsigned)(now_ms(NULL) - began));
	began = now_ms(NULL);
	sad_set_plan(sides[0].sad, sides[0].plan);
	CHECK(xfrm_trouble(sides[0].sad)[0] == '\0');
	(void)printf("  %u ms to put another in its place\n", (unsigned)(now_ms(NULL) - began));
	side_down(&sides[0]);
}

void a_new_plan(void)
{
	static const char open_rules[] =
		"  - { name: All, endpoint1: [any], endpoint2: [any], mode: require, authentication: machine, "
		"protection: all }\n"
		"  - { name: Other, endpoint1: [10.9.0.1], endpoint2: [10.9.0.7], mode: exempt }\n";
	struct sa_usage u;

	doing = "new plan";
	both_up(require_all);
	CHECK(pair_up(&plain_how));
	for (int i = 0; i < 2; i++) {
		side_plan(&sides[i], open_rules);
		CHECK(xfrm_trouble(sides[i].sad)[0] == '\0');
	}
	CHECK(sad_usage_of(sides[0].sad, sides[0].pair, &u) && u.rule && strcmp(u.rule->name, "All") == 0);
	exchange(4);
	/* A plan that does not have the rule any more takes the SA with it. */
	side_plan(&sides[0], "  - { name: Other, endpoint1: [10.9.0.1], endpoint2: [10.9.0.7], mode: exempt }\n");
	CHECK(count_events(&sides[0], SAD_EXPIRE_HARD, NULL) == 1);
	CHECK(!sad_usage_of(sides[0].sad, sides[0].pair, &u));
	both_down();
}
