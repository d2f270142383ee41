/* tests/replay/world_plane.c - a data plane that is a list of SAs, and the packets that go by it. */
#include "tests/replay/world_inside.h"

#include "base/mem.h"
#include "keying/selector.h"
#include "tests/unit/unit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has_inbound(const struct world_host *h, uint32_t spi)
{
	for (size_t i = 0; i < SAS_MOST; i++)
		if (h->sas[i].used && h->sas[i].inbound && h->sas[i].spi == spi)
			return true;
	return false;
}

static void send_esp(struct world *w, unsigned from, const struct world_sa *sa)
{
	struct datagram *d = mem_new(1, sizeof *d);

	d->due_ms = w->now_ms + w->latency_ms;
	d->from = from;
	d->esp = true;
	d->spi = sa->spi;
	d->source = w->hosts[from].addr;
	d->destination = sa->remote;
	d->local_port = sa->encap_local_port;
	d->remote_port = sa->encap_remote_port;
	w->hosts[from].last_out_ms = w->now_ms;
	w->hosts[from].esp_blind += !has_inbound(&w->hosts[1 - from], sa->spi);
	world_enqueue(w, d);
	free(d);
}

/* What sad.h promises of a packet from elsewhere. */
static void tell_if_moved(struct world *w, unsigned host, const struct world_sa *sa, const struct datagram *d)
{
	struct sad_event e = { .kind = SAD_MOVED, .pair = sa->pair, .spi = sa->spi };

	if (!sa->nat || (addr_equal(&sa->remote, &d->source) && sa->encap_remote_port == d->local_port))
		return;
	e.packet.local = d->destination;
	e.packet.remote = d->source;
	e.packet.local_port = d->remote_port;
	e.packet.remote_port = d->local_port;
	keying_sad_event(w->hosts[host].keying, &e, w->now_ms);
}

void world_receive_esp(struct world *w, unsigned host, const struct datagram *d)
{
	struct world_host *h = &w->hosts[host];
	uint32_t spi = d->spi;

	for (size_t i = 0; i < SAS_MOST; i++)
		if (h->sas[i].used && h->sas[i].inbound && h->sas[i].spi == spi) {
			h->esp_received++;
			h->last_in_ms = w->now_ms;
			tell_if_moved(w, host, &h->sas[i], d);
			if (h->sas[i].packets++ == 0)
				keying_sad_event(h->keying,
						 &(struct sad_event){ .kind = SAD_FIRST_IN, .pair = h->sas[i].pair },
						 w->now_ms);
			return;
		}
	h->esp_lost++;
	if (getenv("CORDON_TEST_VERBOSE"))
		(void)fprintf(stderr, "%6" PRIu64 " host %u has no SA %08x\n", w->now_ms, host, spi);
	struct sad_event e = { .kind = SAD_UNKNOWN_SPI, .spi = spi };
	e.packet.local = h->addr;
	e.packet.remote = d->source;
	e.packet.remote_port = d->local_port;
	keying_sad_event(h->keying, &e, w->now_ms);
}

static const struct world_sa *sender(const struct world_host *h, const char *rule, const struct plan_packet *k)
{
	const struct world_sa *best = NULL;

	for (size_t i = 0; i < SAS_MOST; i++) {
		const struct world_sa *sa = &h->sas[i];
		if (sa->used && !sa->inbound && strcmp(sa->rule, rule) == 0 && selector_holds(&sa->selector, k) &&
		    (!best || sa->order > best->order))
			best = sa;
	}
	return best;
}

void world_install(struct world *w, unsigned host, const struct sa_spec *spec)
{
	struct world_host *h = &w->hosts[host];
	struct world_sa *sa = NULL;

	for (size_t i = 0; i < SAS_MOST && !sa; i++)
		if (!h->sas[i].used)
			sa = &h->sas[i];
	assert_non_null(sa);
	*sa = (struct world_sa){ .used = true,
				 .inbound = spec->inbound,
				 .spi = spec->spi,
				 .pair = spec->pair,
				 .order = ++h->installs,
				 .selector = spec->selector,
				 .remote = spec->remote,
				 .encap_local_port = spec->encap_local_port,
				 .encap_remote_port = spec->encap_remote_port,
				 .nat = spec->nat,
				 .suite = spec->suite,
				 .encr_key = spec->encr_key,
				 .integ_key = spec->integ_key };
	(void)snprintf(sa->rule, sizeof sa->rule, "%s", spec->rule->name);
	assert_true(spec->spi >= 256);
	if (spec->inbound)
		return;
	for (size_t i = 0; i < h->held_count;) { /* what waited goes now */
		if (sender(h, h->held[i].rule, &h->held[i].packet) != sa) {
			i++;
			continue;
		}
		send_esp(w, host, sa);
		h->held[i] = h->held[--h->held_count];
	}
}

void world_sad_event(struct world *w, unsigned host, const struct sad_event *e)
{
	keying_sad_event(w->hosts[host].keying, e, w->now_ms);
}

void world_release(struct world_host *h, const struct keying_todo *t)
{
	for (size_t i = 0; i < h->held_count;) {
		if (!selector_same(&h->held[i].selector, &t->selector)) {
			i++;
			continue;
		}
		h->held[i] = h->held[--h->held_count];
		if (t->clear)
			h->released_clear++;
		else
			h->released_drop++;
	}
}

void world_packet(struct world *w, unsigned host, int16_t protocol, uint16_t local_port, uint16_t remote_port)
{
	struct world_host *h = &w->hosts[host];
	struct plan_packet k = { .local = h->addr,
				 .remote = h->peer.family ? h->peer : w->hosts[1 - host].addr,
				 .initiator = INITIATOR_LOCAL,
				 .protocol = protocol,
				 .local_port = local_port,
				 .remote_port = remote_port };
	const struct plan_entry *e = plan_lookup(h->plan, &k);

	assert_non_null(e);
	struct sa_selector s = sa_selector_of(e, &k.local, &k.remote);
	const struct world_sa *sa = sender(h, e->rule->name, &k);
	if (sa) {
		send_esp(w, host, sa);
		return;
	}
	assert_true(h->held_count < HELD_MOST);
	h->held[h->held_count].selector = s;
	h->held[h->held_count].packet = k;
	(void)snprintf(h->held[h->held_count++].rule, sizeof h->held[0].rule, "%s", e->rule->name);
	struct sad_event ev = { .kind = SAD_ACQUIRE, .selector = s, .packet = k, .entry = e };
	keying_sad_event(h->keying, &ev, w->now_ms);
}

void world_note_member(struct world_host *h, uint64_t pair, const struct membership *is)
{
	for (size_t i = 0; i < SAS_MOST && is && is->count; i++)
		if (h->sas[i].used && h->sas[i].inbound && h->sas[i].pair == pair) {
			h->sas[i].asked = true;
			h->sas[i].member = membership_get(is, 0);
		}
}
