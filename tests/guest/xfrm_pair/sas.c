#include "tests/guest/xfrm_pair/sas.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

const struct how plain_how = { .suite = "esp-aes256gcm", .family = 4 };

uint32_t sa_reserve(struct side *s, unsigned family)
{
	const struct side *other = &sides[!s->number];
	struct sad_event e = { 0 };

	s->event_count = 0;
	if (sad_reserve_spi(s->sad, family == 4 ? &s->v4 : &s->v6, family == 4 ? &other->v4 : &other->v6, ++s->request,
			    NULL) < 0 ||
	    count_events(s, SAD_SPI_RESERVED, &e) != 1)
		die("reserve");
	return e.spi;
}

static struct sa_spec spec_of(const struct side *s, const struct how *h, bool inbound, uint32_t spi)
{
	const struct side *other = &sides[!s->number];
	bool v4 = h->family == 4;
	struct sa_spec spec = { .spi = spi,
				.inbound = inbound,
				.local = v4 ? s->v4 : s->v6,
				.remote = v4 ? other->v4 : other->v6,
				.tunnel = h->tunnel,
				.esn = !h->no_esn,
				.replay_window = h->window ? h->window : 128,
				.soft_octets = h->soft,
				.hard_octets = h->hard,
				.pair = s->pair };
	const struct plan_entry *e;
	struct plan_packet k = {
		.initiator = INITIATOR_EITHER, .protocol = IPPROTO_UDP, .local_port = PORT, .remote_port = PORT
	};
	size_t keys;

	k.local = spec.local;
	k.remote = spec.remote;
	if (child_suite_parse(h->suite, strlen(h->suite), &spec.suite, NULL) < 0)
		die(h->suite);
	e = plan_lookup_protecting(s->plan, &k);
	if (!e)
		die("no rule");
	spec.rule = e->rule;
	spec.selector = sa_selector_of(e, &spec.local, &spec.remote);
	if (h->encap)
		spec.encap_local_port = spec.encap_remote_port = 4500;
	spec.nat = h->encap;
	if (spec.suite.encr) {
		keys = (size_t)spec.suite.encr->key + spec.suite.encr->salt;
		spec.encr_key.len = keys;
		memset(spec.encr_key.octets, (int)(spi & 0x7f) + 1, keys);
		for (size_t i = 0; i < keys; i++) /* 3DES wants three keys */
			spec.encr_key.octets[i] = (uint8_t)(spec.encr_key.octets[i] + i);
	}
	if (spec.suite.integ) {
		spec.integ_key.len = spec.suite.integ->key;
		memset(spec.integ_key.octets, (int)(spi & 0x7f) + 2, spec.integ_key.len);
	}
	return spec;
}

bool sa_install(struct side *s, const struct how *h, bool inbound, uint32_t spi)
{
	struct sa_spec spec = spec_of(s, h, inbound, spi);
	struct diag d = { 0 };
	int r = sad_install(s->sad, &spec, ++s->request, &d);

	if (r < 0)
		(void)printf("  %s %s: %s\n", h->suite, inbound ? "in" : "out", d.text);
	return r == 0;
}

bool pair_up(const struct how *h)
{
	uint32_t spi[2];
	bool good = true;

	for (int i = 0; i < 2; i++) {
		sides[i].pair++;
		spi[i] = sa_reserve(&sides[i], h->family);
	}
	for (int i = 0; i < 2; i++)
		good = good && sa_install(&sides[i], h, true, spi[i]);
	for (int i = 0; i < 2; i++)
		good = good && sa_install(&sides[i], h, false, spi[!i]);
	return good;
}

void pair_down(void)
{
	for (int i = 0; i < 2; i++)
		(void)sad_remove(sides[i].sad, sides[i].pair, ++sides[i].request, NULL);
}
