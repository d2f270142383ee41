/* What leaves while there is no SA: it waits, is asked about, and goes, or is refused, when there is an answer. */
#include "tests/guest/xfrm_pair/cases.h"

#include "tests/guest/xfrm_pair/sas.h"
#include "tests/guest/xfrm_pair/traffic.h"
#include "tests/guest/xfrm_pair/wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

void nothing_clear_without_an_sa(void)
{
	struct sad_event e;
	struct seen seen;
	int a, b;

	doing = "nothing clear";
	both_up(require_all);
	wire_forget();
	a = udp_socket(&sides[0], 4, PORT);
	b = udp_socket(&sides[1], 4, PORT);
	(void)send_to(a, &sides[1], 4, PORT);
	CHECK(wait_event(&sides[0], SAD_ACQUIRE, &e, TAKES_MS));
	CHECK(e.packet.protocol == IPPROTO_UDP && e.packet.remote_port == PORT && e.packet.local_port == PORT);
	CHECK(addr_equal(&e.selector.remote, &sides[1].v4) && e.selector.protocol == PROTOCOL_ANY);
	CHECK(!came(b, IDLE_MS));
	seen = wire_look();
	CHECK(seen.readable == 0 && seen.esp == 0 && seen.other == 0);
	/* What waited goes as soon as there is an SA. */
	CHECK(pair_up(&plain_how));
	CHECK(came(b, TAKES_MS));
	seen = wire_look();
	CHECK(seen.esp >= 1 && seen.readable == 0);
	/* With the plane gone, and its states, the policies hold. */
	enter(&sides[0]);
	sad_free(sides[0].sad);
	wire_forget();
	(void)send_to(a, &sides[1], 4, PORT);
	seen = wire_look();
	CHECK(seen.esp == 0 && seen.readable == 0);
	plan_forget(&sides[0]);
	sides[0].event_count = 0;
	side_up(&sides[0], require_all); /* and the next one takes them over */
	(void)send_to(a, &sides[1], 4, PORT);
	CHECK(wait_event(&sides[0], SAD_ACQUIRE, &e, TAKES_MS));
	(void)close(a);
	(void)close(b);
	both_down();
}

static void other_is(const char *text)
{
	sides[1].v4 = address(text);
}

/* 10.9.0.3 does not answer, 10.9.0.4 and 10.9.0.5 do. All packets wait in one queue of the kernel's. */
void several_wait_at_one_policy(void)
{
	int a, b[ARRAY_LEN(more_addresses)];
	struct sad_event e;
	uint64_t began;

	doing = "several wait";
	enter(&sides[1]);
	shell("for i in 3 4 5; do ip addr add 10.9.0.$i/24 dev w1; done");
	enter(&sides[0]);
	shell("for i in 3 4 5; do ip neigh replace 10.9.0.$i lladdr 02:00:00:00:00:02 dev w0 nud permanent; done");
	both_up(require_all);
	wire_forget();
	a = udp_socket(&sides[0], 4, PORT);
	for (size_t i = 0; i < ARRAY_LEN(more_addresses); i++) {
		other_is(more_addresses[i]);
		b[i] = udp_socket(&sides[1], 4, PORT);
		CHECK(send_to(a, &sides[1], 4, PORT));
	}
	turn(20);
	CHECK(count_events(&sides[0], SAD_ACQUIRE, NULL) == 3);
	began = now_ms(NULL);
	for (size_t i = 1; i < ARRAY_LEN(more_addresses); i++) {
		other_is(more_addresses[i]);
		CHECK(pair_up(&plain_how));
	}
	/* Neither loses its first packet, nor waits for long for the one that stands in front. */
	CHECK(came(b[1], TAKES_MS) && came(b[2], TAKES_MS));
	(void)printf("  they came after %u ms\n", (unsigned)(now_ms(NULL) - began));
	CHECK(now_ms(NULL) - began < 1000);
	CHECK(!came(b[0], IDLE_MS) && wire_look().readable == 0);
	/* That one is asked about again, and nothing is in the way of its SA. */
	other_is(more_addresses[0]);
	sides[0].event_count = 0;
	for (int i = 0; i < 100 && count_events(&sides[0], SAD_ACQUIRE, &e) == 0; i++) {
		(void)send_to(a, &sides[1], 4, PORT);
		turn(20);
	}
	CHECK(count_events(&sides[0], SAD_ACQUIRE, &e) >= 1 && addr_equal(&e.selector.remote, &sides[1].v4));
	CHECK(pair_up(&plain_how));
	CHECK(send_to(a, &sides[1], 4, PORT) && came(b[0], TAKES_MS));
	CHECK(wire_look().readable == 0);
	other_is("10.9.0.2");
	(void)close(a);
	for (size_t i = 0; i < ARRAY_LEN(more_addresses); i++)
		(void)close(b[i]);
	both_down();
}

void failing_asks_again(void)
{
	struct sad_event e;
	int a;

	doing = "asks again";
	both_up(require_all);
	a = udp_socket(&sides[0], 4, PORT);
	(void)send_to(a, &sides[1], 4, PORT);
	CHECK(wait_event(&sides[0], SAD_ACQUIRE, &e, TAKES_MS));
	sides[0].event_count = 0;
	(void)send_to(a, &sides[1], 4, PORT);
	CHECK(!wait_event(&sides[0], SAD_ACQUIRE, &e, IDLE_MS)); /* not twice in a second */
	sad_release_held(sides[0].sad, &e.selector, false);
	CHECK(!send_to(a, &sides[1], 4, PORT) && errno == EPERM); /* who sends is told */
	CHECK(!wait_event(&sides[0], SAD_ACQUIRE, NULL, IDLE_MS));
	CHECK(send_to(a, &sides[1], 4, PORT));
	CHECK(wait_event(&sides[0], SAD_ACQUIRE, NULL, TAKES_MS));
	sides[0].event_count = 0;
	xfrm_ask_again(sides[0].sad);
	(void)send_to(a, &sides[1], 4, PORT);
	CHECK(wait_event(&sides[0], SAD_ACQUIRE, NULL, TAKES_MS));
	(void)close(a);
	both_down();
}

void falls_back(void)
{
	static const char request[] = "  - { name: Maybe, endpoint1: [any], endpoint2: [any], mode: request, "
				      "authentication: machine, protection: all }\n";
	struct sad_event e;
	struct seen seen;
	int a, b;

	doing = "falls back";
	both_up(request);
	side_down(&sides[1]); /* a host without IKE */
	side_up(&sides[1], say_nothing);
	wire_forget();
	a = udp_socket(&sides[0], 4, PORT);
	b = udp_socket(&sides[1], 4, PORT);
	(void)send_to(a, &sides[1], 4, PORT);
	CHECK(wait_event(&sides[0], SAD_ACQUIRE, &e, TAKES_MS));
	CHECK(!came(b, IDLE_MS));
	sad_release_held(sides[0].sad, &e.selector, true);
	CHECK(came(b, TAKES_MS)); /* what waited */
	CHECK(send_to(a, &sides[1], 4, PORT) && came(b, TAKES_MS));
	CHECK(send_to(b, &sides[0], 4, PORT) && came(a, TAKES_MS));
	seen = wire_look();
	CHECK(seen.readable >= 3 && seen.esp == 0);
	(void)close(a);
	(void)close(b);
	both_down();
}
