/* An SA's life: it expires, it is rekeyed, it is gone at one end. */
#include "tests/guest/xfrm_pair/cases.h"

#include "tests/guest/xfrm_pair/sas.h"
#include "tests/guest/xfrm_pair/traffic.h"
#include "tests/guest/xfrm_pair/wire.h"

#include <stdlib.h>
#include <unistd.h>

void expires(void)
{
	struct how h = { .suite = "esp-aes256gcm", .family = 4, .soft = 500, .hard = 3000 };
	struct sad_event e;
	struct sa_usage u;
	int a, b;

	doing = "expires";
	both_up(require_all);
	CHECK(pair_up(&h));
	a = udp_socket(&sides[0], 4, PORT);
	b = udp_socket(&sides[1], 4, PORT);
	for (int i = 0; i < 16; i++)
		CHECK(send_to(a, &sides[1], 4, PORT) && came(b, TAKES_MS));
	CHECK(sad_usage_of(sides[0].sad, sides[0].pair, &u) && u.packets_out == 16 && u.octets_out > 500);
	CHECK(sad_usage_of(sides[1].sad, sides[1].pair, &u) && u.packets_in == 16 && u.spi_in);
	CHECK(wait_event(&sides[0], SAD_EXPIRE_SOFT, &e, TAKES_MS) && e.pair == sides[0].pair);
	CHECK(count_events(&sides[0], SAD_EXPIRE_HARD, NULL) == 0);
	for (int i = 0; i < 60; i++)
		(void)send_to(a, &sides[1], 4, PORT);
	CHECK(wait_event(&sides[0], SAD_EXPIRE_HARD, &e, TAKES_MS) && e.pair == sides[0].pair);
	CHECK(count_events(&sides[0], SAD_EXPIRE_SOFT, NULL) == 1);
	CHECK(!sad_usage_of(sides[0].sad, sides[0].pair, &u));
	(void)close(a);
	(void)close(b);
	both_down();
}

/* New SAs come while datagrams go, one direction after the other, and the old ones go: nothing is lost, nothing clear.
 * What came under the old one has come before its state goes, as it has with keying; what is sent from the moment that
 * there is a new one must not need it any more. */
void rekeys_lose_nothing(void)
{
	enum { STEPS = 6, EACH = 20 };
	const char *turns_text = getenv("XFRM_PAIR_TURNS");
	unsigned turns = turns_text ? (unsigned)strtoul(turns_text, NULL, 10) : 10;
	struct stream s;
	uint64_t old[2];
	uint32_t spi[2];
	bool good = true;

	doing = "rekey";
	both_up(require_all);
	CHECK(pair_up(&plain_how));
	s = stream_new();
	wire_forget();
	for (unsigned turn_number = 0; turn_number < turns && good; turn_number++) {
		for (int i = 0; i < 2; i++) {
			old[i] = sides[i].pair++;
			spi[i] = sa_reserve(&sides[i], 4);
		}
		for (unsigned step = 0; step < STEPS && good; step++) {
			unsigned own = step & 1;

			stream_send(&s, EACH);
			if (step < 4) {
				good = CHECK(sa_install(&sides[own], &plain_how, step < 2, spi[step < 2 ? own : !own]));
				continue;
			}
			good = (own == 0 || CHECK(stream_all_came(&s, "before the old one goes"))) &&
			       CHECK(sad_remove(sides[own].sad, old[own], ++sides[own].request, NULL) == 0);
		}
	}
	CHECK(stream_all_came(&s, "at the end"));
	CHECK(s.sent == turns * STEPS * EACH);
	CHECK(wire_look().readable == 0);
	stream_close(&s);
	both_down();
}

void unknown_spis_are_heard(void)
{
	struct sad_event e;
	int a, b;

	doing = "unknown SPI";
	both_up(require_all);
	CHECK(pair_up(&plain_how));
	a = udp_socket(&sides[0], 4, PORT);
	b = udp_socket(&sides[1], 4, PORT);
	CHECK(send_to(a, &sides[1], 4, PORT) && came(b, TAKES_MS));
	CHECK(sad_remove(sides[1].sad, sides[1].pair, ++sides[1].request, NULL) == 0);
	sides[1].event_count = 0;
	for (uint64_t until = now_ms(NULL) + 8000; now_ms(NULL) < until;) {
		(void)send_to(a, &sides[1], 4, PORT);
		turn(100);
		if (count_events(&sides[1], SAD_UNKNOWN_SPI, &e))
			break;
	}
	CHECK(count_events(&sides[1], SAD_UNKNOWN_SPI, &e) >= 1);
	CHECK(addr_equal(&e.packet.remote, &sides[0].v4) && addr_equal(&e.packet.local, &sides[1].v4));
	CHECK(sad_dropped(sides[1].sad, DROP_NO_SA) == 0 && sad_dropped(sides[1].sad, DROP_UNKNOWN_SPI) >= 1);
	(void)close(a);
	(void)close(b);
	both_down();
}
