#include "daemon/keying/sad_remote.h"

#include "base/addr_wire.h"
#include "base/diag.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/table.h"
#include "daemon/messages/datagram_wire.h"
#include "daemon/keying/orphans.h"
#include "daemon/messages/sad_wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LOOKS_MOST = 64, DRAIN_MS = 1000 };

enum asked_kind { ASKED_SPI, ASKED_INSTALL, ASKED_REMOVE };

/* A request without an answer yet. */
struct asked {
	enum asked_kind kind;
	uint64_t request, pair;
	struct addr local, remote; /* SPI */
	bool inbound;              /* INSTALL */
	struct sa_selector selector;
};

/* An SA that the plane has, or is to have. */
struct row {
	struct sa_usage usage;
	bool in, out;
};

struct look {
	void (*seen)(void *context);
	void *context;
};

struct sad {
	struct sad_remote_config config;
	struct plan *plan;
	struct channel *channel; /* NULL: the plane's process is away */
	bool up;                 /* it has devices and a plan */
	struct table asked, rows;
	struct orphans *orphans;
	struct look looks[LOOKS_MOST];
	size_t look_count;
	uint64_t drops[DROP_COUNT], drops_before[DROP_COUNT]; /* before: of planes that have ended */
};

/* One in a process: handlers have the process's context, not ours. */
static struct sad *the;

static void tell(struct sad *s, const struct sad_event *e)
{
	s->config.event(s->config.context, e);
}

static void tell_failure(struct sad *s, uint64_t request, const char *words)
{
	struct diag why = { 0 };

	(void)diag_fail(&why, ENOTCONN, "%s", words);
	tell(s, &(struct sad_event){ .kind = SAD_FAILED, .request = request, .why = &why });
}

/* ---- what is known of the plane ---------------------------------------------------------------------------------- */

static struct row *row_of(const struct sad *s, uint64_t pair)
{
	return table_find(&s->rows, pair, NULL, NULL);
}

static void row_drop(struct sad *s, struct row *r)
{
	table_remove(&s->rows, r->usage.pair, r);
	free(r);
}

static void row_add(struct sad *s, const struct sa_spec *spec)
{
	struct row *r = row_of(s, spec->pair);

	if (!r) {
		r = mem_new(1, sizeof *r);
		r->usage.pair = spec->pair;
		r->usage.selector = spec->selector;
		r->usage.suite = spec->suite;
		table_add(&s->rows, spec->pair, r);
	}
	if (spec->inbound) {
		r->in = true;
		r->usage.spi_in = spec->spi;
	} else {
		r->out = true;
		r->usage.spi_out = spec->spi;
	}
}

static void row_failed(struct sad *s, const struct asked *a)
{
	struct row *r = row_of(s, a->pair);

	if (!r)
		return;
	if (a->inbound)
		r->in = false;
	else
		r->out = false;
	if (!r->in && !r->out)
		row_drop(s, r);
}

static void ask(struct sad *s, const struct asked *a)
{
	table_add(&s->asked, a->request, mem_copy(a, sizeof *a));
}

static struct asked *answered(struct sad *s, uint64_t request)
{
	struct asked *a = table_find(&s->asked, request, NULL, NULL);

	if (a)
		table_remove(&s->asked, request, a);
	return a;
}

static void looked(struct sad *s)
{
	struct look looks[LOOKS_MOST];
	size_t n = s->look_count;

	memcpy(looks, s->looks, n * sizeof *looks);
	s->look_count = 0;
	for (size_t i = 0; i < n; i++)
		looks[i].seen(looks[i].context);
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static void send_reserve(struct sad *s, const struct asked *a)
{
	struct wire_out *out = channel_begin(s->channel, ASK_SAD_RESERVE);

	wire_put_u64(out, a->request);
	addr_encode(out, &a->local);
	addr_encode(out, &a->remote);
	channel_end(s->channel);
}

int sad_reserve_spi(struct sad *s, const struct addr *local, const struct addr *remote, uint64_t request,
		    struct diag *d)
{
	struct asked a = { .kind = ASKED_SPI, .request = request, .local = *local, .remote = *remote };

	(void)d;
	ask(s, &a);
	if (s->up)
		send_reserve(s, &a);
	return 0;
}

static int not_up(struct diag *d)
{
	return diag_fail(d, ENOTCONN, "the data plane is being started");
}

int sad_install(struct sad *s, const struct sa_spec *spec, uint64_t request, struct diag *d)
{
	struct wire_out *out;

	if (!s->up)
		return not_up(d);
	out = channel_begin(s->channel, ASK_SAD_INSTALL);
	wire_put_u64(out, request);
	spec_encode(out, spec);
	channel_end(s->channel);
	row_add(s, spec);
	ask(s, &(struct asked){ .kind = ASKED_INSTALL,
				.request = request,
				.pair = spec->pair,
				.inbound = spec->inbound,
				.selector = spec->selector });
	return 0;
}

int sad_remove(struct sad *s, uint64_t pair, uint64_t request, struct diag *d)
{
	struct row *r = row_of(s, pair);
	struct wire_out *out;

	if (!r)
		return diag_fail(d, ENOENT, "no SA is of this pair");
	row_drop(s, r);
	if (!s->up)
		return not_up(d);
	out = channel_begin(s->channel, ASK_SAD_REMOVE);
	wire_put_u64(out, pair);
	wire_put_u64(out, request);
	channel_end(s->channel);
	ask(s, &(struct asked){ .kind = ASKED_REMOVE, .request = request, .pair = pair });
	return 0;
}

void sad_stop_sending(struct sad *s, uint64_t pair)
{
	struct row *r = row_of(s, pair);

	if (!s->up)
		return;
	if (r)
		r->out = false;
	wire_put_u64(channel_begin(s->channel, ASK_SAD_STOP), pair);
	channel_end(s->channel);
}

void sad_move(struct sad *s, uint64_t pair, const struct addr *remote, uint16_t encap_remote_port)
{
	struct wire_out *out;

	if (!s->up)
		return;
	out = channel_begin(s->channel, ASK_SAD_MOVE);
	wire_put_u64(out, pair);
	addr_encode(out, remote);
	wire_put_u16(out, encap_remote_port);
	channel_end(s->channel);
}

void sad_release_spi(struct sad *s, uint32_t spi)
{
	if (!s->up)
		return;
	wire_put_u32(channel_begin(s->channel, ASK_SAD_RELEASE), spi);
	channel_end(s->channel);
}

void sad_release_held(struct sad *s, const struct sa_selector *selector, bool clear)
{
	struct wire_out *out;

	if (!s->up)
		return;
	out = channel_begin(s->channel, ASK_SAD_HELD);
	wire_put_u8(out, clear);
	selector_encode(out, selector);
	channel_end(s->channel);
}

/* The plane gets its plan from the parent; this one is for what we hear. */
void sad_set_plan(struct sad *s, struct plan *plan)
{
	struct plan *old = s->plan;

	s->plan = plan ? plan_ref(plan) : NULL;
	plan_free(old);
}

static void send_datagram(struct sad *s, enum ask what, const struct datagram *g)
{
	if (!s->up || g->len > DATAGRAM_WIRE_OCTETS)
		return; /* lost, as on the network */
	datagram_encode(channel_begin(s->channel, what), g);
	channel_end(s->channel);
}

void sad_remote_send(struct sad *s, const struct datagram *g)
{
	send_datagram(s, ASK_IKE_SEND, g);
}

void sad_remote_keep_alive(struct sad *s, const struct addr *local, const struct addr *remote, uint16_t remote_port)
{
	send_datagram(
		s, ASK_IKE_KEEP_ALIVE,
		&(struct datagram){
			.local = *local, .remote = *remote, .local_port = IKE_NAT_PORT, .remote_port = remote_port });
}

/* ---- questions --------------------------------------------------------------------------------------------------- */

void sad_remote_look(struct sad *s, void (*seen)(void *context), void *context)
{
	if (!s->up || s->look_count == LOOKS_MOST) {
		seen(context);
		return;
	}
	if (s->look_count == 0) {
		(void)channel_begin(s->channel, ASK_SAD_LOOK);
		channel_end(s->channel);
	}
	s->looks[s->look_count++] = (struct look){ seen, context };
}

struct usage_walk {
	struct sa_usage *rows;
	size_t cap, n;
};

static void usage_one(void *context, void *value)
{
	struct usage_walk *w = context;

	if (w->n < w->cap)
		w->rows[w->n] = ((const struct row *)value)->usage;
	w->n++;
}

size_t sad_usage(const struct sad *s, struct sa_usage *rows, size_t cap)
{
	struct usage_walk w = { .rows = rows, .cap = cap };

	table_each(&s->rows, usage_one, &w);
	return w.n;
}

bool sad_usage_of(const struct sad *s, uint64_t pair, struct sa_usage *ret)
{
	const struct row *r = row_of(s, pair);

	if (r)
		*ret = r->usage;
	return r;
}

uint64_t sad_dropped(const struct sad *s, enum sad_drop why)
{
	return s->drops[why];
}

/* ---- what the plane says ----------------------------------------------------------------------------------------- */

static void complete(struct sad *s, const struct sad_event *e)
{
	struct asked *a = answered(s, e->request);

	if (!a)
		return; /* nobody asked */
	if (a->kind == ASKED_INSTALL && e->kind == SAD_FAILED)
		row_failed(s, a);
	else if (a->kind == ASKED_INSTALL && !a->inbound)
		orphans_replaced(s->orphans, &a->selector);
	free(a);
	tell(s, e);
}

/* The entry is that of our own plan. While the two plans differ there may be none; the plane asks again. */
static void acquire(struct sad *s, struct sad_event *e)
{
	e->entry = s->plan ? plan_lookup_protecting(s->plan, &e->packet) : NULL;
	if (!e->entry)
		return;
	e->selector = sa_selector_of(e->entry, &e->packet.local, &e->packet.remote);
	tell(s, e);
}

int sad_remote_on_event(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct sad_event e;
	struct diag why;
	struct row *r;

	(void)context;
	(void)c;
	(void)fds;
	if (sad_event_decode(body, &e, &why) < 0)
		return -EPROTO;
	if (!the || !the->up || (e.pair >> SAD_WIRE_OWN_BITS && orphans_event(the->orphans, &e)))
		return 0;
	switch (e.kind) {
	case SAD_SPI_RESERVED:
	case SAD_DONE:
	case SAD_FAILED:
		complete(the, &e);
		break;
	case SAD_ACQUIRE:
		acquire(the, &e);
		break;
	case SAD_EXPIRE_HARD:
		if ((r = row_of(the, e.pair)))
			row_drop(the, r);
		tell(the, &e);
		break;
	default:
		tell(the, &e);
		break;
	}
	return 0;
}

int sad_remote_on_usage(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	(void)context;
	(void)c;
	(void)fds;
	while (body->left && !body->failed) {
		struct sa_usage u;
		struct row *r;

		usage_decode(body, &u);
		if (body->failed || !the || !(r = row_of(the, u.pair)))
			continue;
		r->usage.packets_in = u.packets_in;
		r->usage.packets_out = u.packets_out;
		r->usage.octets_in = u.octets_in;
		r->usage.octets_out = u.octets_out;
		r->usage.last_in_ms = u.last_in_ms;
		r->usage.last_out_ms = u.last_out_ms;
	}
	return wire_done(body) ? 0 : -EPROTO;
}

/* They end what it says when it is asked. */
int sad_remote_on_drops(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	uint64_t drops[DROP_COUNT];

	(void)context;
	(void)c;
	(void)fds;
	for (size_t i = 0; i < DROP_COUNT; i++)
		drops[i] = wire_u64(body);
	if (!wire_done(body))
		return -EPROTO;
	if (!the)
		return 0;
	for (size_t i = 0; i < DROP_COUNT; i++)
		the->drops[i] = the->drops_before[i] + drops[i];
	looked(the);
	return 0;
}

int sad_remote_on_orphan(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	uint64_t pair = wire_u64(body);
	struct sa_selector selector = selector_decode(body);

	(void)context;
	(void)c;
	(void)fds;
	if (!wire_done(body))
		return -EPROTO;
	if (the)
		orphans_add(the->orphans, pair, &selector);
	return 0;
}

int sad_remote_on_ike(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct datagram g;

	(void)context;
	(void)c;
	(void)fds;
	if (datagram_decode(body, &g) < 0)
		return -EPROTO;
	if (the)
		the->config.ike(the->config.context, &g);
	return 0;
}

/* ---- it comes and goes ------------------------------------------------------------------------------------------- */

static void reserve_again(void *context, void *value)
{
	const struct asked *a = value;

	if (a->kind == ASKED_SPI)
		send_reserve(context, a);
}

int sad_remote_on_up(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	(void)context;
	(void)body;
	(void)fds;
	if (!the || the->up || the->channel != c)
		return 0;
	the->up = true;
	table_each(&the->asked, reserve_again, the);
	return 0;
}

/* Requests for SPIs wait for the next plane; all else is void with the SAs. */
static void fail_asked(struct sad *s)
{
	struct table waiting = { 0 };
	struct asked *a;
	uint64_t key;

	while ((a = table_any(&s->asked, &key))) {
		table_remove(&s->asked, key, a);
		if (a->kind == ASKED_SPI) {
			table_add(&waiting, key, a);
			continue;
		}
		if (a->kind == ASKED_REMOVE)
			tell(s, &(struct sad_event){ .kind = SAD_DONE, .request = a->request, .pair = a->pair });
		else
			tell_failure(s, a->request, "the data plane has ended");
		free(a);
	}
	table_wipe(&s->asked);
	s->asked = waiting;
}

static void down(struct sad *s)
{
	struct table rows = s->rows;
	struct row *r;
	uint64_t key;

	if (!s->up)
		return;
	s->up = false;
	memcpy(s->drops_before, s->drops, sizeof s->drops);
	s->rows = (struct table){ 0 };
	orphans_forget(s->orphans);
	fail_asked(s);
	while ((r = table_any(&rows, &key))) {
		struct sad_event e = { .kind = SAD_EXPIRE_HARD, .pair = key, .spi = r->usage.spi_in };

		table_remove(&rows, key, r);
		free(r);
		tell(s, &e);
	}
	table_wipe(&rows);
	looked(s);
}

int sad_remote_on_down(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	(void)context;
	(void)body;
	(void)fds;
	if (the && the->channel == c)
		down(the);
	return 0;
}

void sad_remote_flush(struct sad *s)
{
	if (s->channel)
		channel_flush(s->channel);
}

void sad_remote_drain(struct sad *s)
{
	if (s->channel)
		channel_drain(s->channel, DRAIN_MS);
}

void sad_remote_attach(struct sad *s, struct channel *c)
{
	sad_remote_detach(s);
	s->channel = c;
	(void)channel_begin(c, ASK_SAD_HELLO);
	channel_end(c);
}

void sad_remote_detach(struct sad *s)
{
	s->channel = NULL;
	down(s);
}

bool sad_remote_is_up(const struct sad *s)
{
	return s->up;
}

/* An orphan wants to be replaced: as if a packet of its had come. */
static void orphan_acquires(void *context, const struct sa_selector *selector)
{
	struct sad_event e = { .kind = SAD_ACQUIRE,
			       .carried = true,
			       .packet = { .local = selector->local,
					   .remote = selector->remote,
					   .initiator = INITIATOR_EITHER,
					   .protocol = selector->protocol,
					   .local_port = selector->local_port.lo,
					   .remote_port = selector->remote_port.lo } };

	acquire(context, &e);
}

static void orphan_stops(void *context, uint64_t pair)
{
	sad_stop_sending(context, pair);
}

static void orphan_goes(void *context, uint64_t pair)
{
	struct sad *s = context;
	struct wire_out *out;

	if (!s->up)
		return;
	out = channel_begin(s->channel, ASK_SAD_REMOVE);
	wire_put_u64(out, pair);
	wire_put_u64(out, 0);
	channel_end(s->channel);
}

static void orphan_counted(void *context, const struct sa_selector *selector, bool there)
{
	const struct sad *s = context;

	if (s->config.orphan)
		s->config.orphan(s->config.context, selector, there);
}

struct sad *sad_remote_new(const struct sad_remote_config *c)
{
	struct sad *s = mem_new(1, sizeof *s);

	s->config = *c;
	s->plan = c->plan ? plan_ref(c->plan) : NULL;
	s->orphans = orphans_new(
		c->loop, &(struct orphans_calls){ orphan_acquires, orphan_stops, orphan_goes, orphan_counted, s });
	the = s;
	return s;
}

static void table_free(struct table *t)
{
	uint64_t key;
	void *value;

	while ((value = table_any(t, &key))) {
		table_remove(t, key, value);
		free(value);
	}
	table_wipe(t);
}

void sad_free(struct sad *s)
{
	if (!s)
		return;
	if (the == s)
		the = NULL;
	looked(s);
	orphans_close(s->orphans);
	table_free(&s->asked);
	table_free(&s->rows);
	plan_free(s->plan);
	free(s);
}
