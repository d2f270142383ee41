/* tests/replay/world.c - the wire and the time between two hosts, and what their engines have to do. */
#include "tests/replay/world_inside.h"

#include "base/diag.h"
#include "base/mem.h"
#include "tests/unit/unit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- wire -------------------------------------------------------------------------------------------------------- */

unsigned world_drop(struct world *w, struct datagram *d)
{
	(void)w, (void)d;
	return 0;
}

void world_enqueue(struct world *w, const struct datagram *d)
{
	uint64_t due_ms = d->due_ms;
	unsigned copies = w->wire ? w->wire(w, (struct datagram *)(uintptr_t)d) : 1;

	if (!d->esp && d->len >= 28 && getenv("CORDON_TEST_VERBOSE"))
		(void)fprintf(stderr,
			      "%6" PRIu64
			      " host %u sends exchange %u, message %u%s%s, SPI %02x%02x..%02x%02x, %zu octets%s%s\n",
			      w->now_ms, d->from, d->octets[18], d->octets[23], d->octets[19] & 0x20 ? " reply" : "",
			      d->octets[19] & 8 ? " (I)" : "", d->octets[0], d->octets[7], d->octets[8], d->octets[15],
			      d->len,
			      copies == 1 ? ""
			      : copies    ? ", twice"
					  : ", lost",
			      d->due_ms > due_ms ? ", late" : "");

	for (unsigned i = 0; i < copies; i++) {
		assert_true(w->queued < PACKETS_MOST);
		w->queue[w->queued] = mem_copy(d, sizeof *d);
		w->queue[w->queued++]->serial = ++w->serial;
	}
}

static void send_ike(struct world *w, unsigned from, const struct keying_todo *t)
{
	struct datagram *d = mem_new(1, sizeof *d);

	assert_true(t->len <= sizeof d->octets);
	d->due_ms = w->now_ms + w->latency_ms;
	d->from = from;
	d->source = t->local;
	d->destination = t->remote;
	d->local_port = t->local_port;
	d->remote_port = t->remote_port;
	d->len = t->len;
	memcpy(d->octets, t->octets, t->len);
	w->ike_sent[from]++;
	world_enqueue(w, d);
	free(d);
}

/* ---- things to do ------------------------------------------------------------------------------------------------ */

static bool do_next(struct world *w, unsigned host)
{
	struct world_host *h = &w->hosts[host];
	struct keying_todo t;
	struct sad_event e = { .kind = SAD_DONE };
	static const struct diag failure = { .code = -1, .text = "it is full" };

	if (!keying_next(h->keying, &t))
		return false;
	switch (t.kind) {
	case KEYING_SEND:
		send_ike(w, host, &t);
		break;
	case KEYING_JOB:
		assert_true(w->job_count < 256);
		w->jobs[w->job_count].job = t.job;
		w->jobs[w->job_count].host = host;
		w->jobs[w->job_count++].due_ms = w->now_ms + w->job_ms;
		break;
	case KEYING_RESERVE_SPI:
		e.kind = w->sad_fails ? SAD_FAILED : SAD_SPI_RESERVED;
		e.why = &failure;
		e.request = t.request;
		e.spi = h->next_spi++;
		h->spis_reserved++;
		keying_sad_event(h->keying, &e, w->now_ms);
		break;
	case KEYING_RELEASE_SPI:
		h->spis_released++;
		break;
	case KEYING_INSTALL:
		world_install(w, host, t.spec);
		world_note_member(h, t.spec->pair, t.membership);
		e.request = t.request;
		keying_sad_event(h->keying, &e, w->now_ms);
		break;
	case KEYING_MEMBERSHIP:
		world_note_member(h, t.pair, t.membership);
		break;
	case KEYING_STOP_SENDING:
		for (size_t i = 0; i < SAS_MOST; i++)
			if (h->sas[i].used && h->sas[i].pair == t.pair) {
				h->sas[i].used = h->sas[i].inbound;
				h->sas[i].fading = true;
			}
		break;
	case KEYING_REMOVE:
		for (size_t i = 0; i < SAS_MOST; i++)
			if (h->sas[i].used && h->sas[i].pair == t.pair)
				h->sas[i].used = false;
		break;
	case KEYING_MOVE:
		for (size_t i = 0; i < SAS_MOST; i++)
			if (h->sas[i].used && h->sas[i].pair == t.pair) {
				h->sas[i].remote = t.remote;
				h->sas[i].encap_remote_port = t.remote_port;
			}
		break;
	case KEYING_KEEPALIVE:
		h->keepalives++;
		break;
	case KEYING_RELEASE_HELD:
		world_release(h, &t);
		break;
	case KEYING_FALLBACK:
		if (t.seconds)
			h->fallbacks++;
		else
			h->fallback_ends++;
		break;
	case KEYING_EVENT:
		h->events[t.event.id]++;
		h->last[t.event.id] = t.event;
		(void)snprintf(h->last_text[t.event.id], sizeof h->last_text[0], "%s", t.event.text);
		if (getenv("CORDON_TEST_VERBOSE"))
			(void)fprintf(stderr, "%6" PRIu64 " host %u %s: %s\n", w->now_ms, host, event_name(t.event.id),
				      t.event.text);
		break;
	case KEYING_KEYS:
		if (h->keys_lines < 32)
			(void)snprintf(h->keys[h->keys_lines], sizeof h->keys[0], "%s", t.text);
		h->keys_lines++;
		break;
	}
	return true;
}

static void do_all(struct world *w)
{
	bool more = true;

	while (more) {
		more = false;
		for (unsigned host = 0; host < HOSTS; host++)
			while (do_next(w, host))
				more = true;
		for (size_t i = 0; i < w->job_count; i++) {
			if (w->jobs[i].due_ms > w->now_ms)
				continue;
			struct keying_job *job = w->jobs[i].job;
			unsigned host = w->jobs[i].host;
			for (size_t j = i + 1; j < w->job_count; j++)
				w->jobs[j - 1] = w->jobs[j];
			w->job_count--;
			world_finish_job(w, host, job);
			more = true;
			break;
		}
	}
}

static bool deliver_one(struct world *w)
{
	size_t best = w->queued;

	for (size_t i = 0; i < w->queued; i++)
		if (w->queue[i]->due_ms <= w->now_ms &&
		    (best == w->queued || w->queue[i]->due_ms < w->queue[best]->due_ms ||
		     (w->queue[i]->due_ms == w->queue[best]->due_ms && w->queue[i]->serial < w->queue[best]->serial)))
			best = i;
	if (best == w->queued)
		return false;
	struct datagram *d = w->queue[best];
	w->queue[best] = w->queue[--w->queued];
	unsigned to = 1 - d->from;
	if (d->esp)
		world_receive_esp(w, to, d);
	else
		keying_message(w->hosts[to].keying, &d->destination, d->remote_port, &d->source, d->local_port,
			       d->octets, d->len, w->now_ms);
	free(d);
	return true;
}

static uint64_t next_time(const struct world *w)
{
	uint64_t at = UINT64_MAX;

	for (size_t i = 0; i < w->queued; i++)
		if (w->queue[i]->due_ms < at)
			at = w->queue[i]->due_ms;
	for (size_t i = 0; i < w->job_count; i++)
		if (w->jobs[i].due_ms < at)
			at = w->jobs[i].due_ms;
	for (unsigned host = 0; host < HOSTS; host++)
		if (keying_deadline(w->hosts[host].keying) < at)
			at = keying_deadline(w->hosts[host].keying);
	return at;
}

void world_run(struct world *w, uint64_t until_ms)
{
	for (unsigned spins = 0;; spins++) {
		assert_true(spins < 1000000);
		do_all(w);
		if (deliver_one(w))
			continue;
		uint64_t at = next_time(w);
		if (at > until_ms)
			break;
		if (at > w->now_ms)
			w->now_ms = at;
		for (unsigned host = 0; host < HOSTS; host++)
			if (keying_deadline(w->hosts[host].keying) <= w->now_ms)
				keying_timer(w->hosts[host].keying, w->now_ms);
	}
	w->now_ms = until_ms;
}

void world_inject(struct world *w, unsigned to, const void *octets, size_t len)
{
	keying_message(w->hosts[to].keying, &w->hosts[to].addr, 500, &w->hosts[1 - to].addr, 500, octets, len,
		       w->now_ms);
}

/* ---- what is the case -------------------------------------------------------------------------------------------- */

size_t world_ikes(const struct world *w, unsigned host)
{
	struct keying_ike_row *rows = mem_new(256, sizeof *rows);
	size_t n = keying_ike_rows(w->hosts[host].keying, rows, 256), up = 0;

	for (size_t i = 0; i < n && i < 256; i++)
		up += rows[i].established;
	free(rows);
	return up;
}

size_t world_children(const struct world *w, unsigned host)
{
	return keying_child_rows(w->hosts[host].keying, NULL, 0);
}

size_t world_sas(const struct world *w, unsigned host, bool inbound)
{
	size_t n = 0;

	for (size_t i = 0; i < SAS_MOST; i++)
		n += w->hosts[host].sas[i].used && !w->hosts[host].sas[i].fading &&
		     w->hosts[host].sas[i].inbound == inbound;
	return n;
}

static const struct world_sa *find_sa(const struct world_host *h, bool inbound, uint32_t spi)
{
	for (size_t i = 0; i < SAS_MOST; i++)
		if (h->sas[i].used && h->sas[i].inbound == inbound && h->sas[i].spi == spi)
			return &h->sas[i];
	return NULL;
}

void world_expect_one(struct world *w, size_t children)
{
	for (unsigned host = 0; host < HOSTS; host++) {
		struct world_host *h = &w->hosts[host], *other = &w->hosts[1 - host];
		if (world_ikes(w, host) != 1 || world_children(w, host) != children ||
		    world_sas(w, host, true) != children || world_sas(w, host, false) != children)
			fail_msg("host %u has %zu IKE SAs, %zu CHILD SAs, %zu in, %zu out", host, world_ikes(w, host),
				 world_children(w, host), world_sas(w, host, true), world_sas(w, host, false));
		for (size_t i = 0; i < SAS_MOST; i++) {
			const struct world_sa *sa = &h->sas[i];
			if (!sa->used || sa->fading)
				continue;
			const struct world_sa *peer = find_sa(other, !sa->inbound, sa->spi);
			if (!peer || !key_equal(&peer->encr_key, &sa->encr_key) ||
			    !key_equal(&peer->integ_key, &sa->integ_key) ||
			    peer->encr_key.len + peer->integ_key.len == 0)
				fail_msg("host %u: SA %08x has no other end", host, sa->spi);
		}
		if (h->held_count)
			fail_msg("host %u still holds %zu packets", host, h->held_count);
	}
}

struct world *world_established(const char *policy)
{
	struct world *w = world_new(policy);

	world_packet(w, 0, 6, 1, 1);
	world_run(w, 3000);
	world_expect_one(w, 1);
	return w;
}
