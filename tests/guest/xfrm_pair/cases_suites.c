/* Every suite the plane has, in transport and in tunnels. */
#include "tests/guest/xfrm_pair/cases.h"

#include "tests/guest/xfrm_pair/sas.h"
#include "tests/guest/xfrm_pair/traffic.h"
#include "tests/guest/xfrm_pair/wire.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool is_readable(const char *suite)
{
	return suite[0] == 'a' || strstr(suite, "null") || strstr(suite, "gmac");
}

/* A word and its answer under each; nothing else is on the wire, and only what may be read can be. */
static void walk(const char *rules, const struct how *rows, size_t count)
{
	int nat[2];

	both_up(rules);
	nat[0] = nat_socket(&sides[0]);
	nat[1] = nat_socket(&sides[1]);
	for (size_t i = 0; i < count; i++) {
		const struct how *h = &rows[i];
		bool readable = is_readable(h->suite);
		struct seen seen;

		doing = h->suite;
		wire_forget();
		if (!CHECK(pair_up(h)))
			continue;
		exchange(h->family);
		seen = wire_look();
		CHECK((h->encap ? seen.udp : h->suite[0] == 'a' ? seen.ah : seen.esp) >= 2);
		CHECK(seen.other == 0 && (readable ? seen.readable >= 2 : seen.readable == 0));
		CHECK(wait_event(&sides[0], SAD_FIRST_IN, NULL, TAKES_MS));
		pair_down();
		(void)printf("  %s IPv%u%s%s%s: esp %u ah %u udp %u\n", h->suite, h->family, h->tunnel ? " tunnel" : "",
			     h->encap ? " in UDP" : "", h->no_esn ? " without ESN" : "", seen.esp, seen.ah, seen.udp);
	}
	(void)close(nat[0]);
	(void)close(nat[1]);
	both_down();
}

void every_suite(void)
{
	static const struct how rows[] = {
		{ .suite = "esp-aes256gcm", .family = 4 },
		{ .suite = "esp-aes256gcm", .family = 6 },
		{ .suite = "esp-aes128-sha256", .family = 4 },
		{ .suite = "esp-aes256-sha512", .family = 6 },
		{ .suite = "esp-aes128-sha256", .family = 4, .no_esn = true, .window = 64 },
		{ .suite = "esp-aes256gcm", .family = 4, .window = 4096 },
		{ .suite = "esp-sha256-null", .family = 4 },
		{ .suite = "esp-aes256gmac", .family = 4 },
		{ .suite = "esp-3des-sha1", .family = 4, .no_esn = true },
		{ .suite = "ah-sha256", .family = 4 },
		{ .suite = "ah-sha256", .family = 6 },
		{ .suite = "ah-sha1", .family = 4, .no_esn = true },
		{ .suite = "esp-aes256gcm", .family = 4, .encap = true },
	};

	walk(require_all, rows, ARRAY_LEN(rows));
}

/* Each of two machines is its own end of the tunnel: only the SA knows which. */
void tunnels(void)
{
	static const char rules[] = "  - { name: Tunnel, endpoint1: [10.9.0.1, \"fd09::1\"], endpoint2: [10.9.0.2, "
				    "\"fd09::2\"], mode: require, authentication: machine, protection: all, tunnel: { "
				    "endpoint1: any, endpoint2: any } }\n";
	static const struct how rows[] = {
		{ .suite = "esp-aes256gcm", .family = 4, .tunnel = true },
		{ .suite = "esp-aes256gcm", .family = 6, .tunnel = true },
		{ .suite = "ah-sha256", .family = 4, .tunnel = true },
		{ .suite = "esp-aes128-sha256", .family = 4, .tunnel = true, .encap = true },
	};

	walk(rules, rows, ARRAY_LEN(rows));
}
