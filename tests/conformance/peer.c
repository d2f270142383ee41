/* The SAs between the host and one hand-made peer. */
#include "tests/conformance/world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW = 64, UDP = 17 };

static struct child_suite esp, ah;

const struct child_suite *between_suite(const struct between *b)
{
	struct child_suite *suite = b->ah ? &ah : &esp;
	const char *name = b->ah ? "ah-sha256" : "esp-aes256gcm";

	if (!suite->encr && !suite->integ && child_suite_parse(name, strlen(name), suite, NULL) < 0)
		exit(EXIT_FAILURE);
	return suite;
}

void between_key(const struct between *b, bool to_host, struct key *ret)
{
	const struct child_suite *s = between_suite(b);

	ret->len = b->ah ? s->integ->key : (size_t)s->encr->key + s->encr->salt;
	for (size_t i = 0; i < ret->len; i++)
		ret->octets[i] = (uint8_t)(b->pair * 7 + i + (to_host ? 100 : 0));
}

/* Which rule it is by is a matter of the address. */
static struct addr new_peer(struct world *w, const struct between *b)
{
	bool mixed = b->tunnel && b->outer_family && b->outer_family != b->family;
	uint8_t net = mixed ? 8 : b->tunnel ? (b->ah ? 7 : 6) : b->ah ? 5 : 3;
	unsigned n = ++w->others;
	struct addr a;

	if (b->family != 6)
		return addr_v4(10, (uint8_t)(200 + net), (uint8_t)(n >> 8), (uint8_t)n);
	a = world_address("fd00:200::");
	a.octets[3] = net;
	a.octets[14] = (uint8_t)(n >> 8);
	a.octets[15] = (uint8_t)n;
	return a;
}

struct addr world_peer(struct world *w)
{
	return new_peer(w, &(struct between){ 0 });
}

void between_meet(struct world *w, struct between *b)
{
	if (!b->remote.family)
		b->remote = new_peer(w, b);
	b->family = b->remote.family;
	if (!b->outer_family)
		b->outer_family = b->family;
	b->local = b->family == 6 ? w->local6 : w->local;
	b->outer_local = b->outer_family == 6 ? w->local6 : w->local;
	b->outer = !b->tunnel             ? b->remote
		   : b->outer_family == 6 ? world_address("fd00:202::2")
					  : addr_v4(10, 202, 0, 2);
}

void between_reserve(struct world *w, struct between *b)
{
	struct sad_event e;
	uint64_t request = ++w->numbers;
	struct diag d = { 0 };

	between_meet(w, b);
	world_check(w, sad_reserve_spi(w->sad, &b->outer_local, &b->outer, request, &d) == 0, "an SPI is reserved");
	if (world_check(w, world_await(w, SAD_SPI_RESERVED, &e), "it is told"))
		world_check(w, e.request == request && e.spi >= 256, "with its request, and is one for use");
	b->in = e.spi;
}

void between_install(struct world *w, struct between *b, bool inbound)
{
	struct plan_packet flow = { .local = b->local,
				    .remote = b->remote,
				    .initiator = INITIATOR_EITHER,
				    .protocol = UDP,
				    .local_port = APP_PORT };
	const struct plan_entry *entry = plan_lookup(w->plan, &flow);
	struct sa_spec spec = {
		.spi = inbound ? b->in : b->out,
		.inbound = inbound,
		.local = b->outer_local,
		.remote = b->outer,
		.encap_local_port = b->udp ? ENCAP_PORT : 0,
		.encap_remote_port = b->udp ? b->remote_port : 0,
		.nat = b->udp,
		.suite = *between_suite(b),
		.tunnel = b->tunnel,
		.esn = b->esn,
		.replay_window = b->window,
		.selector = b->selector,
		.rule = entry ? entry->rule : NULL,
		.pair = b->pair,
		.soft_octets = b->soft,
		.hard_octets = b->hard,
	};
	uint64_t request = ++w->numbers;
	struct sad_event e;
	struct diag d = { 0 };

	between_key(b, inbound, b->ah ? &spec.integ_key : &spec.encr_key);
	(void)world_check(w, entry != NULL, "the plan has a rule");
	if (!entry)
		return;
	if (b->tunnel)
		spec.selector = sa_selector_of(entry, &b->local, &b->remote);
	if (!world_check(w, sad_install(w->sad, &spec, request, &d) == 0, "an SA is installed")) {
		(void)printf("      %s\n", d.text);
		return;
	}
	if (world_check(w, world_await(w, SAD_DONE, &e), "it is told"))
		world_check(w, e.request == request, "with its request");
}

static void prepare(struct world *w, struct between *b)
{
	const struct child_suite *suite = between_suite(b);
	struct key key;
	struct diag d;

	between_meet(w, b);
	b->pair = ++w->numbers;
	b->out = (uint32_t)(0x40000000u + b->pair);
	if (!b->window)
		b->window = WINDOW;
	if (!b->remote_port)
		b->remote_port = ENCAP_PORT;
	b->from = b->outer;
	b->from_port = b->remote_port;
	if (!b->selector.local.family)
		b->selector = (struct sa_selector){ .protocol = PROTOCOL_ANY,
						    .local_port = PORT_ANY,
						    .remote_port = PORT_ANY };
	b->selector.local = b->local;
	b->selector.remote = b->remote;
	if (b->ah)
		return;
	between_key(b, true, &key);
	if (seal_new(suite->encr, &key, NULL, NULL, &b->to_host, &d) < 0)
		exit(EXIT_FAILURE);
	between_key(b, false, &key);
	if (seal_new(suite->encr, &key, NULL, NULL, &b->from_host, &d) < 0)
		exit(EXIT_FAILURE);
}

void between_begin(struct world *w, struct between *b)
{
	prepare(w, b);
	between_reserve(w, b);
	between_install(w, b, true);
	between_install(w, b, false);
}

void between_renew(struct world *w, struct between *b, const struct between *old)
{
	*b = (struct between){ .remote = old->remote,
			       .outer_family = old->outer_family,
			       .ah = old->ah,
			       .tunnel = old->tunnel,
			       .esn = old->esn,
			       .window = old->window,
			       .udp = old->udp,
			       .remote_port = old->remote_port };
	between_begin(w, b);
}

void between_end(struct between *b)
{
	seal_free(b->to_host);
	seal_free(b->from_host);
}
