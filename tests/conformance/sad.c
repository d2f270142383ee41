/* What sad.h promises, tried on a plane through sad.h alone, by a peer that is made by hand.
 *
 * usage: sad-conformance userspace|workers|kernel NS_HOST NS_PEER [PROMISE...]
 * Both namespaces stand, joined; around the userspace plane there are marks and routes (sad.py). */
#include "tests/conformance/world.h"

#include "base/scope.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 64, ALL_WINDOW = 4096 };

static void install(struct world *w)
{
	struct between b = { 0 };
	struct sa_usage u;
	struct taken t;

	between_begin(w, &b);
	promise(w, sad_usage_of(w->sad, b.pair, &u));
	promise(w, u.spi_in == b.in && u.spi_out == b.out && u.packets_in == 0 && u.packets_out == 0);
	for (uint32_t i = 1; i <= 3; i++) {
		app_sends(w, &b.remote, "out");
		if (!promise(w, peer_takes(w, &b, 0, &t)))
			break;
		promise(w, t.spi == b.out && t.number == i && t.to_port == 0);
		promise(w, t.authentic && t.padding_right && t.next == 17 && strcmp(t.text, "out") == 0);
	}
	peer_sends(w, &b, "in", NULL);
	promise(w, app_hears(w, "in"));
	between_end(&b);
}

static void first_in(struct world *w)
{
	struct between b = { 0 };

	between_begin(w, &b);
	peer_sends(w, &b, "the first", NULL);
	promise(w, world_await_of(w, SAD_FIRST_IN, b.pair));
	peer_sends(w, &b, "the second", NULL);
	(void)world_run(w, 300, -1);
	promise(w, world_count(w, SAD_FIRST_IN) == 0);
	promise(w, app_hears(w, "the first") && app_hears(w, "the second"));
	between_end(&b);
}

static void padding(struct world *w)
{
	static const char *const texts[] = { "a", "ab", "abc", "abcd", "abcde", "abcdefghijk" };
	struct between b = { 0 };
	struct taken t;

	between_begin(w, &b);
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		app_sends(w, &b.remote, texts[i]);
		promise(w, peer_takes(w, &b, 0, &t) && t.padding_right && strcmp(t.text, texts[i]) == 0);
		peer_sends(w, &b, texts[i], NULL);
		promise(w, app_hears(w, texts[i]));
	}
	between_end(&b);
}

static void acquire(struct world *w)
{
	struct between b = { .remote = world_peer(w) };
	struct sad_event e = { 0 };
	uint64_t asked;
	struct taken t;

	app_sends(w, &b.remote, "held 1");
	promise(w, world_await(w, SAD_ACQUIRE, &e));
	asked = world_now_ms(NULL);
	promise(w, addr_equal(&e.selector.local, &w->local) && addr_equal(&e.selector.remote, &b.remote));
	promise(w, addr_equal(&e.packet.remote, &b.remote) && e.packet.protocol == 17 &&
			   e.packet.remote_port == PEER_PORT);
	while (world_now_ms(NULL) - asked < 700)
		(void)world_run(w, 20, -1);
	app_sends(w, &b.remote, "held 2");
	promise(w, world_now_ms(NULL) - asked > 900 || world_count(w, SAD_ACQUIRE) == 0);
	between_begin(w, &b);
	promise(w, peer_takes(w, &b, 0, &t) && strcmp(t.text, "held 1") == 0 && t.number == 1);
	promise(w, peer_takes(w, &b, 0, &t) && strcmp(t.text, "held 2") == 0 && t.number == 2);
	promise(w, !peer_hears_clear(w, "held 1"));
	between_end(&b);
}

static void acquire_again(struct world *w)
{
	struct addr remote = world_peer(w);
	struct sad_event e = { 0 };

	app_sends(w, &remote, "nobody answers");
	promise(w, world_await(w, SAD_ACQUIRE, &e));
	(void)world_run(w, 1100, -1);
	world_forget(w);
	app_sends(w, &remote, "still nobody");
	promise(w, world_await(w, SAD_ACQUIRE, &e) && addr_equal(&e.selector.remote, &remote));
	sad_release_held(w->sad, &e.selector, false);
}

static void held_dropped(struct world *w)
{
	struct between b = { .remote = world_peer(w) };
	struct sad_event e = { 0 };
	struct taken t;

	app_sends(w, &b.remote, "never to be sent");
	promise(w, world_await(w, SAD_ACQUIRE, &e));
	sad_release_held(w->sad, &e.selector, false);
	promise(w, !peer_hears_clear(w, "never to be sent"));
	between_begin(w, &b);
	app_sends(w, &b.remote, "after");
	promise(w, peer_takes(w, &b, 0, &t) && strcmp(t.text, "after") == 0);
	between_end(&b);
}

static void held_clear(struct world *w)
{
	struct addr remote = addr_v4(10, 203, 250, 1); /* of the rule that asks, and takes no for an answer */
	struct sad_event e = { 0 };

	app_sends(w, &remote, "to be sent in clear");
	promise(w, world_await(w, SAD_ACQUIRE, &e));
	promise(w, !peer_hears_clear(w, "to be sent in clear"));
	sad_release_held(w->sad, &e.selector, true);
	promise(w, peer_hears_clear(w, "to be sent in clear"));
}

static void replay(struct world *w)
{
	struct between b = { 0 };
	uint64_t before = drops_counted(w, DROP_REPLAY);

	between_begin(w, &b);
	peer_sends(w, &b, "once", NULL);
	promise(w, app_hears(w, "once"));
	peer_repeats(w, &b);
	promise(w, app_hears_nothing(w));
	promise(w, drops_rise(w, DROP_REPLAY, before, 1));
	peer_sends(w, &b, "ahead", &(struct forged){ .number = 100 });
	promise(w, app_hears(w, "ahead"));
	peer_sends(w, &b, "late", &(struct forged){ .number = 60 });
	promise(w, app_hears(w, "late"));
	peer_sends(w, &b, "too late", &(struct forged){ .number = 30 });
	promise(w, app_hears_nothing(w));
	promise(w, drops_rise(w, DROP_REPLAY, before, 2));
	between_end(&b);
}

static void wide_window(struct world *w)
{
	struct between b = { .window = ALL_WINDOW };

	between_begin(w, &b);
	peer_sends(w, &b, "ahead", &(struct forged){ .number = ALL_WINDOW });
	promise(w, app_hears(w, "ahead"));
	peer_sends(w, &b, "the last of the window", &(struct forged){ .number = 2 });
	promise(w, app_hears(w, "the last of the window"));
	peer_repeats(w, &b);
	promise(w, app_hears_nothing(w));
	between_end(&b);
}

static void wrong_icv(struct world *w)
{
	static const int flips[] = { 1, 16, 17, 20 }; /* of the check value, and of the sealed text */
	struct between b = { 0 };
	uint64_t before = drops_counted(w, DROP_BAD_ICV);

	between_begin(w, &b);
	for (size_t i = 0; i < sizeof flips / sizeof flips[0]; i++)
		peer_sends(w, &b, "changed on the way", &(struct forged){ .flip = flips[i] });
	promise(w, app_hears_nothing(w));
	promise(w, drops_rise(w, DROP_BAD_ICV, before, 4));
	/* Far ahead: it must not move the window. */
	peer_sends(w, &b, "forged", &(struct forged){ .number = 1000000, .flip = 1 });
	peer_sends(w, &b, "good", &(struct forged){ .number = 7 });
	promise(w, app_hears(w, "good"));
	promise(w, drops_rise(w, DROP_BAD_ICV, before, 5));
	between_end(&b);
}

static void truncated(struct world *w)
{
	struct between b = { 0 };
	uint64_t before = drops_all(w);

	between_begin(w, &b);
	for (size_t cut = 1; cut <= 36; cut += 7)
		peer_sends(w, &b, "cut short", &(struct forged){ .cut = cut });
	promise(w, app_hears_nothing(w));
	promise(w, drops_all_reach(w, before + 6));
	peer_sends(w, &b, "whole", NULL);
	promise(w, app_hears(w, "whole"));
	between_end(&b);
}

static void selector(struct world *w)
{
	struct between b = { .selector = { .local = w->local,
					   .protocol = 17,
					   .local_port = { APP_PORT, APP_PORT },
					   .remote_port = { 0, 65535 } } };
	uint64_t before = drops_all(w);

	between_begin(w, &b);
	peer_sends(w, &b, "to the port", NULL);
	promise(w, app_hears(w, "to the port"));
	peer_sends(w, &b, "to another", &(struct forged){ .port = APP_PORT + 1 });
	promise(w, app_hears_nothing(w));
	peer_sends(w, &b, "of another protocol", &(struct forged){ .next = 253 });
	promise(w, app_hears_nothing(w));
	promise(w, drops_all_reach(w, before + 2));
	between_end(&b);
}

static void counters(struct world *w)
{
	struct between b = { 0 };
	struct sa_usage u = { 0 }, rows[4];
	struct taken t;

	between_begin(w, &b);
	for (int i = 0; i < 5; i++)
		peer_sends(w, &b, "counted", NULL);
	for (int i = 0; i < 3; i++)
		app_sends(w, &b.remote, "counted");
	promise(w, peer_takes(w, &b, 0, &t));
	promise(w, sad_usage_of(w->sad, b.pair, &u));
	promise(w, u.packets_in == 5 && u.packets_out == 3);
	promise(w, u.octets_in >= 5 * strlen("counted") && u.octets_out >= 3 * strlen("counted"));
	promise(w, u.last_in_ms > 0 && u.last_out_ms > 0);
	promise(w, addr_equal(&u.selector.remote, &b.remote) && u.suite.encr != NULL && u.rule != NULL);
	promise(w, sad_usage(w->sad, rows, 1) >= 1);
	promise(w, !sad_usage_of(w->sad, 1u << 30, &u));
	for (int i = 0; i < 5; i++)
		promise(w, app_hears(w, "counted"));
	between_end(&b);
}

static void unknown_spi(struct world *w)
{
	struct between b = { 0 };
	struct sad_event e = { 0 };
	uint64_t before = drops_counted(w, DROP_UNKNOWN_SPI), sent = 0;

	between_begin(w, &b);
	b.in ^= 0x00100000;
	/* The kernel tells nobody: its plane listens when it has seen a counter rise. */
	for (; sent < 8 && world_count(w, SAD_UNKNOWN_SPI) == 0; sent++) {
		peer_sends(w, &b, "whose is this?", NULL);
		(void)world_run(w, w->door->knows_spis ? 50 : 500, -1);
	}
	promise(w, world_await(w, SAD_UNKNOWN_SPI, &e) && e.spi == b.in && addr_equal(&e.packet.remote, &b.remote));
	promise(w, drops_rise(w, DROP_UNKNOWN_SPI, before, sent));
	promise(w, app_hears_nothing(w));
	between_end(&b);
}

static void update(struct world *w)
{
	struct between old = { 0 }, new = { 0 };
	struct sad_event e = { 0 };
	struct sa_usage u;
	struct taken t;

	between_begin(w, &old);
	app_sends(w, &old.remote, "under the old");
	promise(w, peer_takes(w, &old, 0, &t) && t.spi == old.out);
	between_renew(w, &new, &old);
	app_sends(w, &old.remote, "under the new");
	promise(w, peer_takes(w, &new, 0, &t) && t.spi == new.out &&t.authentic &&t.number == 1);
	peer_sends(w, &old, "still under the old", NULL);
	promise(w, app_hears(w, "still under the old"));
	peer_sends(w, &new, "already under the new", NULL);
	promise(w, app_hears(w, "already under the new"));
	sad_stop_sending(w->sad, old.pair);
	peer_sends(w, &old, "on its way", NULL);
	promise(w, app_hears(w, "on its way"));
	promise(w, sad_remove(w->sad, old.pair, 4711, NULL) == 0);
	promise(w, world_await(w, SAD_DONE, &e) && e.request == 4711);
	promise(w, !sad_usage_of(w->sad, old.pair, &u) && sad_usage_of(w->sad, new.pair, &u));
	peer_sends(w, &old, "too late", NULL);
	promise(w, app_hears_nothing(w));
	app_sends(w, &old.remote, "goes on");
	promise(w, peer_takes(w, &new, 0, &t) && strcmp(t.text, "goes on") == 0);
	promise(w, world_count(w, SAD_EXPIRE_HARD) == 0 && world_count(w, SAD_ACQUIRE) == 0);
	between_end(&old);
	between_end(&new);
}

static void removal(struct world *w)
{
	struct between b = { 0 };
	struct sad_event e = { 0 };

	between_begin(w, &b);
	promise(w, sad_remove(w->sad, b.pair, 4712, NULL) == 0);
	promise(w, world_await(w, SAD_DONE, &e) && e.request == 4712);
	peer_sends(w, &b, "nobody knows it", NULL);
	promise(w, app_hears_nothing(w));
	app_sends(w, &b.remote, "and nobody sends under it");
	promise(w, world_await(w, SAD_ACQUIRE, &e) && addr_equal(&e.selector.remote, &b.remote));
	sad_release_held(w->sad, &e.selector, false);
	between_end(&b);
}

static void reservation(struct world *w)
{
	struct between a = { .remote = world_peer(w) }, b = { .remote = world_peer(w) };

	between_reserve(w, &a);
	between_reserve(w, &b);
	promise(w, a.in != b.in);
	sad_release_spi(w->sad, a.in);
	sad_release_spi(w->sad, b.in);
}

static void lifetime(struct world *w)
{
	struct between b = { .soft = 400, .hard = 800 };
	struct sad_event e = { 0 };
	struct sa_usage u;
	char text[101];

	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = 0;
	between_begin(w, &b);
	for (int i = 0; i < 5; i++)
		app_sends(w, &b.remote, text);
	promise(w, world_await(w, SAD_EXPIRE_SOFT, &e) && e.pair == b.pair);
	promise(w, sad_usage_of(w->sad, b.pair, &u));
	app_sends(w, &b.remote, text);
	promise(w, world_count(w, SAD_EXPIRE_SOFT) == 0 && world_count(w, SAD_EXPIRE_HARD) == 0);
	for (int i = 0; i < 6; i++)
		app_sends(w, &b.remote, text);
	promise(w, world_await(w, SAD_EXPIRE_HARD, &e) && e.pair == b.pair);
	promise(w, !sad_usage_of(w->sad, b.pair, &u));
	promise(w, world_await(w, SAD_ACQUIRE, &e));
	sad_release_held(w->sad, &e.selector, false);
	between_end(&b);
}

static void lifetime_in(struct world *w)
{
	struct between b = { .soft = 100, .hard = 1000000 };
	struct sad_event e = { 0 };

	between_begin(w, &b);
	for (int i = 0; i < 5; i++)
		peer_sends(w, &b, "one of several, and long enough to count", NULL);
	promise(w, world_await(w, SAD_EXPIRE_SOFT, &e) && e.pair == b.pair);
	for (int i = 0; i < 5; i++)
		promise(w, app_hears(w, "one of several, and long enough to count"));
	between_end(&b);
}

/* RFC 4303 A2: the low half begins anew and the high half, which is not sent, counts. */
static void esn_wraps_in(struct world *w)
{
	static const uint64_t way[] = { 1,
					UINT64_C(0x7fffffff),
					UINT64_C(0xfffffff0),
					UINT64_C(0xffffffff),
					UINT64_C(0x100000000),
					UINT64_C(0x100000005),
					UINT64_C(0xfffffffe) };
	struct between b = { .esn = true };
	uint64_t before;

	between_begin(w, &b);
	for (size_t i = 0; i < sizeof way / sizeof way[0]; i++) {
		peer_sends(w, &b, "over the edge", &(struct forged){ .number = way[i] });
		promise(w, app_hears(w, "over the edge"));
	}
	before = drops_counted(w, DROP_REPLAY);
	peer_repeats(w, &b); /* of before the edge, and still in the window */
	promise(w, app_hears_nothing(w) && drops_rise(w, DROP_REPLAY, before, 1));
	before = drops_counted(w, DROP_BAD_ICV);
	peer_sends(w, &b, "of another turn", &(struct forged){ .number = UINT64_C(0x100000006), .other_high = true });
	promise(w, app_hears_nothing(w) && drops_rise(w, DROP_BAD_ICV, before, 1));
	peer_sends(w, &b, "of this turn", &(struct forged){ .number = UINT64_C(0x100000006) });
	promise(w, app_hears(w, "of this turn"));
	between_end(&b);
}

static void esn_wraps_out(struct world *w)
{
	struct between b = { .esn = true };
	struct taken t;

	between_begin(w, &b);
	promise(w, w->door->seed(w, b.out, UINT64_C(0xfffffffd)));
	for (uint64_t n = UINT64_C(0xfffffffe); n <= UINT64_C(0x100000001); n++) {
		app_sends(w, &b.remote, "over the edge");
		promise(w, peer_takes(w, &b, (uint32_t)(n >> 32), &t) && t.authentic && t.number == (uint32_t)n);
	}
	between_end(&b);
}

static void numbers_end(struct world *w)
{
	struct between b = { 0 };
	struct sad_event e = { 0 };
	struct taken t;

	between_begin(w, &b);
	promise(w, w->door->seed(w, b.out, UINT64_C(0xfffffffe)));
	app_sends(w, &b.remote, "the last");
	promise(w, peer_takes(w, &b, 0, &t) && t.number == UINT32_MAX && t.authentic);
	app_sends(w, &b.remote, "one too many");
	/* The kernel does not say it: its plane looks every ten seconds. */
	promise(w, world_await_of(w, SAD_EXPIRE_HARD, b.pair) || world_await_of(w, SAD_EXPIRE_HARD, b.pair) ||
			   world_await_of(w, SAD_EXPIRE_HARD, b.pair));
	promise(w, !peer_takes(w, &b, 0, &t));
	if (world_await(w, SAD_ACQUIRE, &e))
		sad_release_held(w->sad, &e.selector, false);
	between_end(&b);
}

static void nat(struct world *w)
{
	struct between b = { .udp = true, .remote_port = 40001 };
	struct sad_event e = { 0 };
	struct taken t;

	between_begin(w, &b);
	app_sends(w, &b.remote, "out");
	promise(w, peer_takes(w, &b, 0, &t) && t.to_port == 40001 && t.authentic);
	peer_sends(w, &b, "in", NULL);
	promise(w, app_hears(w, "in"));
	promise(w, world_count(w, SAD_MOVED) == 0);
	/* Not authentic: it moves nothing. */
	b.from_port = 40002;
	peer_sends(w, &b, "forged", &(struct forged){ .flip = 1 });
	promise(w, app_hears_nothing(w) && world_count(w, SAD_MOVED) == 0);
	peer_sends(w, &b, "from another port", NULL);
	promise(w, world_await(w, SAD_MOVED, &e) && e.pair == b.pair && e.packet.remote_port == 40002);
	promise(w, app_hears(w, "from another port"));
	sad_move(w->sad, b.pair, &b.remote, 40002);
	app_sends(w, &b.remote, "to the other port");
	promise(w, peer_takes(w, &b, 0, &t) && t.to_port == 40002 && strcmp(t.text, "to the other port") == 0);
	between_end(&b);
}

static void many(struct world *w)
{
	static struct between all[MANY_MOST];
	const unsigned n = w->door->many;
	struct taken t;

	for (size_t i = 0; i < n; i++)
		between_begin(w, &all[i]);
	promise(w, sad_usage(w->sad, NULL, 0) >= n);
	for (size_t i = 0; i < n; i += n / SAMPLES) {
		peer_sends(w, &all[i], "one of many", NULL);
		promise(w, app_hears(w, "one of many"));
		app_sends(w, &all[i].remote, "to one of many");
		promise(w, peer_takes(w, &all[i], 0, &t) && t.spi == all[i].out && t.authentic);
	}
	for (size_t i = 0; i < n; i++) {
		struct sad_event e;

		if (sad_remove(w->sad, all[i].pair, ++w->numbers, NULL) < 0 || !world_await(w, SAD_DONE, &e)) {
			promise(w, false && "every one is removed");
			break;
		}
		between_end(&all[i]);
	}
}

static void new_plan(struct world *w)
{
	struct between b = { 0 };
	struct plan *other = world_plan("  - { name: all, endpoint1: [host], endpoint2: [others], mode: block }\n");
	struct sad_event e = { 0 };
	struct sa_usage u;

	between_begin(w, &b);
	sad_set_plan(w->sad, other);
	promise(w, world_await(w, SAD_EXPIRE_HARD, &e));
	promise(w, !sad_usage_of(w->sad, b.pair, &u));
	sad_set_plan(w->sad, w->plan);
	plan_free(other);
	between_end(&b);
}

static void refusals(struct world *w)
{
	struct between b = { 0 };
	struct sa_spec spec = { 0 };
	struct diag d = { 0 };

	between_begin(w, &b);
	promise(w, sad_install(w->sad, &spec, 1, &d) < 0 || world_await(w, SAD_FAILED, &(struct sad_event){ 0 }));
	peer_sends(w, &b, "not impressed", NULL);
	promise(w, app_hears(w, "not impressed"));
	between_end(&b);
}

static const struct {
	const char *name;
	void (*is_kept)(struct world *w);
} promises[] = {
	{ "install", install },
	{ "first-in", first_in },
	{ "padding", padding },
	{ "acquire", acquire },
	{ "acquire-again", acquire_again },
	{ "held-dropped", held_dropped },
	{ "held-clear", held_clear },
	{ "replay", replay },
	{ "wide-window", wide_window },
	{ "wrong-icv", wrong_icv },
	{ "truncated", truncated },
	{ "selector", selector },
	{ "counters", counters },
	{ "unknown-spi", unknown_spi },
	{ "update", update },
	{ "removal", removal },
	{ "reservation", reservation },
	{ "lifetime", lifetime },
	{ "lifetime-in", lifetime_in },
	{ "esn-wraps-in", esn_wraps_in },
	{ "esn-wraps-out", esn_wraps_out },
	{ "numbers-end", numbers_end },
	{ "nat", nat },
	{ "refusals", refusals },
	{ "new-plan", new_plan },
	{ "many", many },
};

static bool wanted(const char *name, int argc, char **argv)
{
	for (int i = 4; i < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return true;
	return argc == 4;
}

/* The next one finds nothing of this one's. */
static void is_over(struct world *w, unsigned broken_before)
{
	world_forget(w);
	(void)app_hears_nothing(w);
	if (w->broken == broken_before)
		(void)printf("ok    %s\n", w->promise);
	(void)fflush(stdout);
}

int main(int argc, char **argv)
{
	static const struct door *const doors[] = { &door_esp, &door_crew, &door_xfrm };
	static struct world w;
	unsigned tried = 0;
	struct diag d = { 0 };

	if (argc < 4) {
		(void)fprintf(stderr, "usage: sad-conformance userspace|workers|kernel NS_HOST NS_PEER [PROMISE...]\n");
		return 2;
	}
	for (size_t i = 0; i < ARRAY_LEN(doors); i++)
		if (strcmp(argv[1], doors[i]->name) == 0)
			w.door = doors[i];
	w.ns_host = argv[2];
	w.ns_peer = argv[3];
	if (!w.door || world_open(&w, &d) < 0) {
		(void)fprintf(stderr, "conformance: %s: %s\n", argv[1], w.door ? d.text : "there is no such plane");
		return EXIT_FAILURE;
	}
	(void)printf("ready\n");
	(void)fflush(stdout);
	if (getchar() == EOF) /* until the routes to the plane stand */
		return EXIT_FAILURE;
	for (size_t i = 0; i < sizeof promises / sizeof promises[0]; i++) {
		unsigned before = w.broken;

		if (!wanted(promises[i].name, argc, argv))
			continue;
		w.promise = promises[i].name;
		promises[i].is_kept(&w);
		is_over(&w, before);
		tried++;
	}
	for (size_t i = 0; i < WAYS; i++) {
		unsigned before = w.broken;

		if (!wanted(ways[i].name, argc, argv))
			continue;
		w.promise = ways[i].name;
		way_is_kept(&w, &ways[i]);
		is_over(&w, before);
		tried++;
	}
	world_close(&w);
	(void)printf("%u promises of sad.h tried on the %s plane, %u broken\n", tried, argv[1], w.broken);
	return tried > 0 && w.broken == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
