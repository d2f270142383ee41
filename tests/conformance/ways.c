/* What each way to protect a packet promises: IPv4 and IPv6, ESP and AH, transport and tunnel mode, native and in UDP.
 */
#include "tests/conformance/world.h"

#include <string.h>

const struct way ways[WAYS] = {
	{ "ipv6", { .family = 6, .esn = true } },
	{ "ipv6-in-udp", { .family = 6, .udp = true } },
	{ "tunnel", { .tunnel = true, .esn = true } },
	{ "tunnel-ipv6", { .tunnel = true, .family = 6 } },
	{ "tunnel-ipv6-in-ipv4", { .tunnel = true, .family = 6, .outer_family = 4, .esn = true } },
	{ "tunnel-in-udp", { .tunnel = true, .udp = true, .esn = true } },
	{ "ah", { .ah = true, .esn = true } },
	{ "ah-ipv6", { .ah = true, .family = 6, .esn = true } },
	{ "ah-tunnel", { .ah = true, .tunnel = true } },
};

static void held_until_there_is_an_sa(struct world *w, struct between *b)
{
	struct sad_event e = { 0 };
	struct taken t;

	between_meet(w, b);
	app_sends(w, &b->remote, "held");
	promise(w, world_await(w, SAD_ACQUIRE, &e));
	promise(w, addr_equal(&e.packet.remote, &b->remote) && e.packet.remote_port == PEER_PORT);
	promise(w, e.entry == NULL || (e.selector.local.family == b->family && e.selector.remote.family == b->family));
	between_begin(w, b);
	promise(w, peer_takes(w, b, 0, &t) && t.authentic && t.number == 1 && strcmp(t.text, "held") == 0);
	promise(w, t.inner_right && t.padding_right);
}

static void both_ways(struct world *w, struct between *b)
{
	uint8_t next = !b->tunnel ? 17 : b->family == 6 ? 41 : 4;
	struct sa_usage u;
	struct taken t;

	for (uint32_t i = 2; i <= 3; i++) {
		app_sends(w, &b->remote, "out");
		if (!promise(w, peer_takes(w, b, 0, &t)))
			break;
		promise(w, t.spi == b->out && t.number == i && t.to_port == (b->udp ? ENCAP_PORT : 0));
		promise(w, t.authentic && t.padding_right && t.inner_right && t.next == next &&
				   strcmp(t.text, "out") == 0);
	}
	peer_sends(w, b, "in", NULL);
	promise(w, app_hears(w, "in"));
	promise(w, world_await_of(w, SAD_FIRST_IN, b->pair));
	promise(w, sad_usage_of(w->sad, b->pair, &u) && u.packets_in == 1 && u.packets_out == 3);
}

static void forgeries(struct world *w, struct between *b)
{
	static const int flips[] = { 1, 12 };
	uint64_t replays = drops_counted(w, DROP_REPLAY), forged = drops_counted(w, DROP_BAD_ICV), all;

	peer_repeats(w, b);
	promise(w, app_hears_nothing(w));
	promise(w, drops_rise(w, DROP_REPLAY, replays, 1));
	for (size_t i = 0; i < sizeof flips / sizeof flips[0]; i++)
		peer_sends(w, b, "changed on the way", &(struct forged){ .flip = flips[i] });
	promise(w, app_hears_nothing(w));
	promise(w, drops_rise(w, DROP_BAD_ICV, forged, 2));
	all = drops_all(w);
	peer_sends(w, b, "cut short", &(struct forged){ .cut = 9 });
	promise(w, app_hears_nothing(w));
	promise(w, drops_all_reach(w, all + 1));
	if (b->tunnel) {
		all = drops_all(w);
		peer_sends(w, b, "of somebody else", &(struct forged){ .stranger = true });
		promise(w, app_hears_nothing(w));
		promise(w, drops_all_reach(w, all + 1));
	}
	peer_sends(w, b, "whole", &(struct forged){ .number = 40 });
	promise(w, app_hears(w, "whole"));
}

static void high_half_counts(struct world *w, struct between *b)
{
	static const uint64_t way[] = { UINT64_C(0x7fffffff), UINT64_C(0xffffffff), UINT64_C(0x100000002) };
	uint64_t before;
	struct taken t;

	for (size_t i = 0; i < sizeof way / sizeof way[0]; i++) {
		peer_sends(w, b, "over the edge", &(struct forged){ .number = way[i] });
		promise(w, app_hears(w, "over the edge"));
	}
	before = drops_counted(w, DROP_BAD_ICV);
	peer_sends(w, b, "of another turn", &(struct forged){ .number = UINT64_C(0x100000006), .other_high = true });
	promise(w, app_hears_nothing(w) && drops_rise(w, DROP_BAD_ICV, before, 1));
	promise(w, w->door->seed(w, b->out, UINT64_C(0xffffffff)));
	app_sends(w, &b->remote, "out over the edge");
	promise(w, peer_takes(w, b, 1, &t) && t.authentic && t.number == 0 && t.spi == b->out);
}

static void renewed_and_removed(struct world *w, struct between *b)
{
	struct sad_event e = { 0 };
	struct between new;
	struct sa_usage u;
	struct taken t;

	between_renew(w, &new, b);
	app_sends(w, &b->remote, "under the new");
	promise(w, peer_takes(w, &new, 0, &t) && t.spi == new.out &&t.authentic &&t.number == 1);
	promise(w, sad_remove(w->sad, b->pair, ++w->numbers, NULL) == 0 && world_await(w, SAD_DONE, &e));
	peer_sends(w, &new, "in", NULL);
	promise(w, app_hears(w, "in"));
	promise(w, sad_remove(w->sad, new.pair, ++w->numbers, NULL) == 0 && world_await(w, SAD_DONE, &e));
	promise(w, !sad_usage_of(w->sad, b->pair, &u) && !sad_usage_of(w->sad, new.pair, &u));
	peer_sends(w, &new, "nobody knows it", NULL);
	promise(w, app_hears_nothing(w));
	between_end(&new);
}

void way_is_kept(struct world *w, const struct way *way)
{
	struct between b = way->b;

	held_until_there_is_an_sa(w, &b);
	both_ways(w, &b);
	forgeries(w, &b);
	if (b.esn)
		high_half_counts(w, &b);
	renewed_and_removed(w, &b);
	between_end(&b);
}
