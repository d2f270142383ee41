#include "daemon/keying/driver.h"

#include "base/diag.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/table.h"
#include "daemon/keying/known.h"
#include "daemon/keying/members.h"
#include "daemon/keying/sad_remote.h"
#include "daemon/process/sockets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { USAGE_MS = 3000, JUDGE_MS = 3600000, JUDGE_LATER_MS = 60000 };

/* What the data plane said during a call of ours; handed to keying when the call is over, since neither may be called
 * from within the other. */
struct heard {
	struct sad_event event;
	struct diag why;
};

/* Two hosts with SAs: while there is one, the ruleset takes what is sent to that peer for secured. */
struct secured {
	struct addr local, remote;
	size_t pairs;
};

struct driver {
	struct driver_config config;
	struct sad *sad;
	struct keying *keying;
	struct shared_store *store;
	struct plan *plan;
	uv_poll_t polls[SOCKETS_IKE6 + 1];
	uv_timer_t timer, usage, judge;
	unsigned open_handles, jobs;
	struct heard *heard;
	size_t heard_count, heard_cap, heard_next;
	struct known *known;
	struct members *members;
	struct table secured, pairs; /* by addresses; by an SA's pair, the same rows */
	bool carrying, closing;
};

uint64_t driver_now_ms(void)
{
	struct timespec t;

	/* Lifetimes go on while the machine sleeps. */
	(void)clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

const struct keying *driver_keying(const struct driver *e)
{
	return e->keying;
}

const struct sad *driver_sad(const struct driver *e)
{
	return e->sad;
}

/* ---- carrying ---------------------------------------------------------------------------------------------------- */

static void hear(void *context, const struct sad_event *event)
{
	struct driver *e = context;
	struct heard *h;

	e->heard = mem_grow(e->heard, e->heard_count, &e->heard_cap, sizeof *e->heard);
	h = &e->heard[e->heard_count++];
	h->event = *event;
	h->event.why = NULL;
	if (event->why)
		h->why = *event->why;
}

static void hear_failure(struct driver *e, uint64_t request, const struct diag *why)
{
	hear(e, &(struct sad_event){ .kind = SAD_FAILED, .request = request, .why = why });
}

static void carry(struct driver *e);

static void job_came_back(void *context, const struct keying_job *job, const struct keying_result *r);

static bool same_hosts(const void *value, const void *what)
{
	const struct secured *a = value, *b = what;

	return addr_equal(&a->remote, &b->remote) && addr_equal(&a->local, &b->local);
}

static uint64_t hosts_hash(const struct secured *s)
{
	return table_hash_secret(&s->remote, sizeof s->remote, table_hash_secret(&s->local, sizeof s->local, 0));
}

static void child_up(struct driver *e, const struct sa_spec *spec)
{
	struct secured hosts = { .local = spec->selector.local, .remote = spec->selector.remote }, *s;

	if (spec->inbound || spec->tunnel) /* of tunnels nothing falls back */
		return;
	s = table_find(&e->secured, hosts_hash(&hosts), same_hosts, &hosts);
	if (!s) {
		s = mem_copy(&hosts, sizeof hosts);
		table_add(&e->secured, hosts_hash(s), s);
		e->config.doors.secured(e->config.doors.context, &s->local, &s->remote, true);
	}
	s->pairs++;
	table_add(&e->pairs, spec->pair, s);
}

static void child_down(struct driver *e, uint64_t pair)
{
	struct secured *s = table_find(&e->pairs, pair, NULL, NULL);

	if (!s)
		return;
	table_remove(&e->pairs, pair, s);
	if (--s->pairs)
		return;
	table_remove(&e->secured, hosts_hash(s), s);
	e->config.doors.secured(e->config.doors.context, &s->local, &s->remote, false);
	free(s);
}

static void forget_secured(struct driver *e)
{
	uint64_t key;
	void *s;

	while ((s = table_any(&e->secured, &key))) {
		table_remove(&e->secured, key, s);
		free(s);
	}
	table_wipe(&e->secured);
	table_wipe(&e->pairs);
}

/* UDP port 4500 is the data plane's. A message may bring the peer's packets at once: what the data plane is to do about
 * them, such as to forget the SAs of before, it hears first. */
static void send_ike(struct driver *e, const struct datagram *g)
{
	if (g->local_port == IKE_NAT_PORT) {
		sad_remote_send(e->sad, g);
		return;
	}
	sad_remote_flush(e->sad);
	sockets_send(e->config.sockets, g);
}

static void install(void *context, const struct sa_spec *spec, uint64_t request)
{
	struct driver *e = context;
	struct diag d = { 0 };

	if (sad_install(e->sad, spec, request, &d) < 0)
		hear_failure(e, request, &d);
	else
		child_up(e, spec);
}

static void not_installed(void *context, uint64_t request)
{
	struct diag d = { 0 };

	(void)diag_fail(&d, EBUSY, "the firewall's sets of who is behind an address could not be changed");
	hear_failure(context, request, &d);
}

static void do_one(struct driver *e, struct keying_todo *t)
{
	struct diag d = { 0 };
	uint32_t spi;

	switch (t->kind) {
	case KEYING_SEND:
		send_ike(e, &(struct datagram){ .local = t->local,
						.remote = t->remote,
						.local_port = t->local_port,
						.remote_port = t->remote_port,
						.octets = t->octets,
						.len = t->len });
		break;
	case KEYING_JOB:
		e->jobs++;
		job_start(&(struct job_means){ e->config.loop, e->store, e->config.asking, e->config.fetcher,
					       e->config.fetched },
			  t->job, job_came_back, e);
		break;
	case KEYING_RESERVE_SPI:
		if (sad_reserve_spi(e->sad, &t->selector.local, &t->selector.remote, t->request, &d) < 0)
			hear_failure(e, t->request, &d);
		break;
	case KEYING_RELEASE_SPI:
		sad_release_spi(e->sad, t->spi);
		break;
	case KEYING_INSTALL:
		if (!members_hold(e->members, t->spec, t->request, t->membership))
			install(e, t->spec, t->request);
		break;
	case KEYING_MEMBERSHIP:
		members_set(e->members, t->pair, t->membership);
		break;
	case KEYING_STOP_SENDING:
		child_down(e, t->pair);
		sad_stop_sending(e->sad, t->pair);
		break;
	case KEYING_REMOVE:
		child_down(e, t->pair);
		if ((spi = members_gone(e->members, t->pair))) {
			sad_release_spi(e->sad, spi);
			hear(e, &(struct sad_event){ .kind = SAD_DONE, .request = t->request, .pair = t->pair });
		} else if (sad_remove(e->sad, t->pair, t->request, &d) < 0)
			hear_failure(e, t->request, &d);
		break;
	case KEYING_RELEASE_HELD:
		sad_release_held(e->sad, &t->selector, t->clear);
		break;
	case KEYING_MOVE:
		sad_move(e->sad, t->pair, &t->remote, t->remote_port);
		break;
	case KEYING_KEEPALIVE:
		sad_remote_keep_alive(e->sad, &t->local, &t->remote, t->remote_port);
		break;
	case KEYING_FALLBACK:
		e->config.doors.fallback(e->config.doors.context, &t->selector.local, &t->selector.remote, t->seconds);
		break;
	case KEYING_EVENT:
		observe(e->config.observer, &t->event);
		break;
	case KEYING_KEYS:
		e->config.doors.keys(e->config.doors.context, t->text);
		explicit_bzero(t->text, sizeof t->text);
		break;
	}
}

static void timer_rang(uv_timer_t *t);

static void set_timer(struct driver *e)
{
	uint64_t next = keying_deadline(e->keying), now = driver_now_ms();

	if (next == UINT64_MAX) {
		(void)uv_timer_stop(&e->timer);
		return;
	}
	uv_update_time(e->config.loop);
	(void)uv_timer_start(&e->timer, timer_rang, next > now ? next - now : 0, 0);
}

/* After every event: keying's wishes to the others, what they said back to keying, until all are content. */
static void carry(struct driver *e)
{
	if (e->carrying)
		return;
	e->carrying = true;
	for (;;) {
		struct keying_todo t;
		struct heard h;

		if (keying_next(e->keying, &t)) {
			do_one(e, &t);
			continue;
		}
		members_flush(e->members); /* which may bring news */
		if (e->heard_next == e->heard_count)
			break;
		h = e->heard[e->heard_next++];
		if (h.event.kind == SAD_FAILED)
			h.event.why = &h.why;
		if (h.event.kind == SAD_EXPIRE_HARD) {
			child_down(e, h.event.pair);
			(void)members_gone(e->members, h.event.pair);
		}
		keying_sad_event(e->keying, &h.event, driver_now_ms());
	}
	e->heard_next = e->heard_count = 0;
	e->carrying = false;
	if (!e->closing)
		set_timer(e);
}

void driver_members_answered(struct driver *e, uint64_t request, bool done)
{
	members_answered(e->members, request, done);
	carry(e);
}

static void orphan_counted(void *context, const struct sa_selector *selector, bool there)
{
	const struct driver *e = context;

	members_orphan(e->members, selector, there);
}

size_t driver_rekey(struct driver *e, const struct addr *peer, enum keying_renewal what)
{
	size_t n = keying_renew(e->keying, what, peer, driver_now_ms());

	carry(e);
	return n;
}

/* ---- what wakes us ----------------------------------------------------------------------------------------------- */

static void ike_came(void *context, const struct datagram *g)
{
	struct driver *e = context;

	keying_message(e->keying, &g->local, g->local_port, &g->remote, g->remote_port, g->octets, g->len,
		       driver_now_ms());
	carry(e);
}

static void socket_readable(uv_poll_t *p, int status, int events)
{
	struct driver *e = p->data;

	(void)events;
	if (status < 0 || e->closing)
		return;
	sockets_readable(e->config.sockets, (size_t)(p - e->polls),
			 &(struct sockets_handlers){ .ike = ike_came, .context = e });
	carry(e);
}

/* Of the data plane's process, or from within one of our calls. */
static void plane_said(void *context, const struct sad_event *event)
{
	hear(context, event);
	carry(context);
}

static void timer_rang(uv_timer_t *t)
{
	struct driver *e = t->data;
	uint64_t now = driver_now_ms();

	if (keying_deadline(e->keying) <= now)
		keying_timer(e->keying, now);
	carry(e);
}

struct looking {
	struct driver *driver;
	void (*seen)(struct driver *e, void *context);
	void *context;
};

static void looked(void *context)
{
	struct looking l = *(struct looking *)context;

	free(context);
	l.seen(l.driver, l.context);
}

void driver_look(struct driver *e, void (*seen)(struct driver *e, void *context), void *context)
{
	struct looking l = { e, seen, context };

	sad_remote_look(e->sad, looked, mem_copy(&l, sizeof l));
}

/* Keying asks peers that have fallen silent; only the plane knows which. */
static void usage_seen(struct driver *e, void *context)
{
	size_t n = sad_usage(e->sad, NULL, 0), filled;
	struct sa_usage *rows;

	(void)context;
	if (e->closing)
		return;
	rows = mem_new(n + 1, sizeof *rows);
	filled = sad_usage(e->sad, rows, n);
	for (size_t i = 0; i < n && i < filled; i++)
		keying_usage(e->keying, rows[i].pair, rows[i].last_in_ms, rows[i].last_out_ms, driver_now_ms());
	free(rows);
	carry(e);
}

static void usage_rang(uv_timer_t *t)
{
	driver_look(t->data, usage_seen, NULL);
}

static void free_when_done(struct driver *e)
{
	if (!e->closing || e->open_handles || e->jobs)
		return;
	free(e->heard);
	forget_secured(e);
	free(e);
}

static void job_came_back(void *context, const struct keying_job *job, const struct keying_result *r)
{
	struct driver *e = context;

	e->jobs--;
	if (e->closing) {
		free_when_done(e);
		return;
	}
	if (job->kind == JOB_VERIFY && r->error == 0)
		known_note(e->known, job, &r->peer);
	keying_job_done(e->keying, r, driver_now_ms());
	carry(e);
}

/* ---- peers, judged again ----------------------------------------------------------------------------------------- */

static void distrust(void *context, const uint8_t certificate[PEER_DIGEST], const char *why)
{
	struct driver *e = context;

	(void)keying_distrust(e->keying, certificate, why, driver_now_ms());
	carry(e);
}

static void judge_rang(uv_timer_t *t)
{
	driver_judge(t->data);
}

void driver_judge(struct driver *e)
{
	if (!e->store || e->closing)
		return;
	/* One judging at a time; the next one knows what has come since. */
	bool judges = known_judge(e->known, &(struct known_review){ .store = e->store,
								    .fetched = e->config.fetched,
								    .policy = plan_policy(e->plan),
								    .keying = e->keying,
								    .bad = distrust,
								    .context = e });
	(void)uv_timer_start(&e->judge, judge_rang, judges ? JUDGE_MS : JUDGE_LATER_MS, 0);
}

/* ---- from beginning to end --------------------------------------------------------------------------------------- */

static uint64_t plane_now(void *context)
{
	(void)context;
	return driver_now_ms();
}

static void handle_closed(uv_handle_t *h)
{
	struct driver *e = h->data;

	e->open_handles--;
	free_when_done(e);
}

static int add_poll(struct driver *e, size_t i, int fd)
{
	if (fd < 0)
		return 0;
	e->polls[i].data = e;
	if (uv_poll_init(e->config.loop, &e->polls[i], fd) < 0)
		return -EIO;
	e->open_handles++;
	return 0;
}

static struct wire_out *members_begin(void *context)
{
	const struct driver *e = context;

	return e->config.doors.members_begin(e->config.doors.context);
}

static void members_end(void *context)
{
	const struct driver *e = context;

	e->config.doors.members_end(e->config.doors.context);
}

static int open_parts(struct driver *e, uint64_t number, struct plan *plan, const struct proofs *proofs, struct diag *d)
{
	e->members = members_new(&(struct members_calls){ .begin = members_begin,
							  .end = members_end,
							  .install = install,
							  .failed = not_installed,
							  .context = e });
	members_plan(e->members, number, plan);
	e->sad = sad_remote_new(&(struct sad_remote_config){ .loop = e->config.loop,
							     .plan = plan,
							     .event = plane_said,
							     .ike = ike_came,
							     .now_ms = plane_now,
							     .orphan = orphan_counted,
							     .context = e });
	return keying_new(&proofs->keying, plan, &e->keying, d);
}

static void close_parts(struct driver *e)
{
	known_close(e->known);
	sad_free(e->sad); /* whoever waits for its counters still wants keying's */
	keying_free(e->keying);
	members_free(e->members);
	shared_store_release(e->store);
	plan_free(e->plan);
}

int driver_new(const struct driver_config *c, uint64_t number, struct plan *plan, const struct proofs *proofs,
	       struct driver **ret, struct diag *d)
{
	struct driver *e = mem_new(1, sizeof *e);
	int r;

	e->config = *c;
	if ((r = open_parts(e, number, plan, proofs, d)) < 0) {
		close_parts(e);
		free(e);
		return r;
	}
	e->known = known_new(c->loop);
	e->plan = plan_ref(plan);
	e->store = proofs->store;
	if (e->store)
		e->store->references++;
	*ret = e;
	return 0;
}

void driver_start(struct driver *e)
{
	const int *fds = sockets_fds(e->config.sockets);

	sockets_discard(e->config.sockets);
	e->timer.data = e->usage.data = e->judge.data = e;
	(void)uv_timer_init(e->config.loop, &e->timer);
	(void)uv_timer_init(e->config.loop, &e->usage);
	(void)uv_timer_init(e->config.loop, &e->judge);
	e->open_handles += 3;
	(void)uv_timer_start(&e->usage, usage_rang, USAGE_MS, USAGE_MS);
	(void)uv_timer_start(&e->judge, judge_rang, JUDGE_MS, 0);
	for (size_t i = 0; i <= SOCKETS_IKE6; i++)
		if (fds[i] >= 0 && add_poll(e, i, fds[i]) == 0)
			(void)uv_poll_start(&e->polls[i], UV_READABLE, socket_readable);
	carry(e);
}

void driver_plane_came(struct driver *e, struct channel *c)
{
	sad_remote_attach(e->sad, c);
	carry(e);
}

void driver_plane_went(struct driver *e)
{
	sad_remote_detach(e->sad);
	carry(e);
}

void driver_address_gone(struct driver *e, const struct addr *a)
{
	keying_address_gone(e->keying, a, driver_now_ms());
	carry(e);
}

void driver_set_plan(struct driver *e, uint64_t number, struct plan *plan, const struct proofs *proofs)
{
	struct shared_store *before = e->store;

	carry(e); /* what was heard speaks of entries of the plan that goes */
	e->store = proofs->store;
	if (e->store)
		e->store->references++;
	shared_store_release(before);
	plan_free(e->plan);
	e->plan = plan_ref(plan);
	sad_set_plan(e->sad, plan);
	members_plan(e->members, number, plan);
	keying_set_plan(e->keying, &proofs->keying, plan, driver_now_ms());
	carry(e);
	driver_judge(e);
}

void driver_set_names(struct driver *e, struct directory_names *names)
{
	keying_set_names(e->keying, names, driver_now_ms());
	carry(e);
}

void driver_set_proofs(struct driver *e, const struct proofs *proofs)
{
	struct shared_store *before = e->store;

	e->store = proofs->store;
	if (e->store)
		e->store->references++;
	shared_store_release(before);
	keying_set_credentials(e->keying, &proofs->keying, driver_now_ms());
	carry(e);
	driver_judge(e);
}

void driver_close(struct driver *e)
{
	if (!e || e->closing)
		return;
	e->closing = true;
	e->jobs++; /* ours: nothing is freed under our feet */
	keying_close(e->keying, driver_now_ms());
	carry(e);
	sad_remote_drain(e->sad); /* what goes by UDP 4500 goes through the data plane */
	for (size_t i = 0; i < ARRAY_LEN(e->polls); i++)
		if (e->polls[i].data)
			uv_close((uv_handle_t *)&e->polls[i], handle_closed);
	if (e->timer.data) {
		uv_close((uv_handle_t *)&e->timer, handle_closed);
		uv_close((uv_handle_t *)&e->usage, handle_closed);
		uv_close((uv_handle_t *)&e->judge, handle_closed);
	}
	close_parts(e);
	e->jobs--;
	free_when_done(e);
}
