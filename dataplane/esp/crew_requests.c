/* sad.h's requests and questions, answered by several planes: each does its part in its own thread. */
#include "base/diag.h"
#include "base/mem.h"
#include "dataplane/esp/crew_inside.h"
#include "dataplane/esp/plane.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Who asks waits for all of them. */
struct waiting {
	pthread_mutex_t lock;
	pthread_cond_t done;
	unsigned left;
};

/* A request that goes to all and is answered once, by the last. */
struct gather {
	atomic_uint left, found;
};

struct order {
	struct letter letter;
	void (*run)(struct member *m, const struct order *o);
	uint64_t request, pair;
	uint32_t spi;
	struct addr local, remote;
	uint16_t port;
	bool clear;
	int fd;
	struct sa_spec spec;
	struct sa_selector selector;
	struct plan *plan;
	struct sa_usage *rows; /* of who waits */
	size_t cap, *ret_count;
	struct gather *gather;
	struct waiting *waiting;
};

static void finish(struct waiting *w)
{
	(void)pthread_mutex_lock(&w->lock);
	if (--w->left == 0)
		(void)pthread_cond_signal(&w->done);
	(void)pthread_mutex_unlock(&w->lock);
}

/* Is it the last one? */
static bool gathered(struct gather *g)
{
	return atomic_fetch_sub(&g->left, 1) == 1;
}

static void open_order(void *reader, struct letter *l)
{
	struct order *o = (struct order *)l;

	if (reader) {
		crew_rest(reader);
		o->run(reader, o);
	} else if (o->gather && gathered(o->gather))
		free(o->gather);
	if (o->waiting)
		finish(o->waiting);
	explicit_bzero(o, sizeof *o); /* it may hold keys */
	free(o);
}

static struct order *order_new(void (*run)(struct member *m, const struct order *o))
{
	struct order *o = mem_new(1, sizeof *o);

	o->letter.open = open_order;
	o->run = run;
	return o;
}

/* The caller's own plane does it at once. */
static void give(struct crew *c, unsigned i, struct order *o)
{
	if (i == 0)
		open_order(&c->members[0], &o->letter);
	else
		(void)mailbox_post(&c->members[i].box, &o->letter);
}

static void give_all(struct crew *c, const struct order *o)
{
	for (unsigned i = 0; i < c->count; i++) {
		struct order *copy = mem_new(1, sizeof *copy);

		*copy = *o;
		give(c, i, copy);
	}
}

/* All of them at the same time, ours last, and back when each is done. */
static void give_and_wait(struct crew *c, unsigned first, unsigned count, const struct order *o)
{
	struct waiting w = { .left = count };

	(void)pthread_mutex_init(&w.lock, NULL);
	(void)pthread_cond_init(&w.done, NULL);
	for (unsigned i = first + count; i-- > first;) {
		struct order *copy = mem_new(1, sizeof *copy);

		*copy = *o;
		copy->waiting = &w;
		give(c, i, copy);
	}
	(void)pthread_mutex_lock(&w.lock);
	while (w.left)
		(void)pthread_cond_wait(&w.done, &w.lock);
	(void)pthread_mutex_unlock(&w.lock);
	(void)pthread_cond_destroy(&w.done);
	(void)pthread_mutex_destroy(&w.lock);
}

static struct crew *crew_of(struct sad *s)
{
	return (struct crew *)(void *)s;
}

/* A question changes nothing that the asker can see. */
static struct crew *crew_asked(const struct sad *s)
{
	return (struct crew *)(uintptr_t)s;
}

static void answer(struct member *m, const struct sad_event *e, const struct diag *why)
{
	plane_enter(m->sad);
	plane_tell(m->sad, e, why);
	plane_leave(m->sad);
}

static void refuse(struct member *m, const struct order *o, const struct diag *why)
{
	answer(m, &(struct sad_event){ .kind = SAD_FAILED, .request = o->request }, why);
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static void run_reserve(struct member *m, const struct order *o)
{
	struct diag why = { 0 };

	if (sad_reserve_spi(m->sad, &o->local, &o->remote, o->request, &why) < 0)
		refuse(m, o, &why);
}

static int crew_reserve_spi(struct sad *s, const struct addr *local, const struct addr *remote, uint64_t request,
			    struct diag *d)
{
	struct crew *c = crew_of(s);
	struct order *o = order_new(run_reserve);

	(void)d;
	o->local = *local;
	o->remote = *remote;
	o->request = request;
	give(c, share_of_addresses(local, remote, c->count), o);
	return 0;
}

static void run_install(struct member *m, const struct order *o)
{
	struct diag why = { 0 };

	if (sad_install(m->sad, &o->spec, o->request, &why) < 0)
		refuse(m, o, &why);
}

static int crew_install(struct sad *s, const struct sa_spec *spec, uint64_t request, struct diag *d)
{
	struct crew *c = crew_of(s);
	struct order *o = order_new(run_install);
	unsigned whose =
		spec->inbound ? share_of_spi(spec->spi, c->count) : plane_owner_of(c->members[0].sad, spec, c->count);

	(void)d;
	o->spec = *spec;
	o->request = request;
	give(c, whose, o);
	return 0;
}

static void run_remove(struct member *m, const struct order *o)
{
	struct sad_event e = { .kind = SAD_DONE, .request = o->request, .pair = o->pair };
	struct diag why = { 0 };

	atomic_fetch_add(&o->gather->found, (unsigned)plane_remove_pair(m->sad, o->pair));
	if (!gathered(o->gather))
		return;
	if (atomic_load(&o->gather->found)) {
		answer(m, &e, NULL);
	} else {
		(void)diag_fail(&why, ENOENT, "no SA is of this pair");
		refuse(m, o, &why);
	}
	free(o->gather);
}

static int crew_remove(struct sad *s, uint64_t pair, uint64_t request, struct diag *d)
{
	struct crew *c = crew_of(s);
	struct order o = { .letter = { .open = open_order }, .run = run_remove, .pair = pair, .request = request };

	(void)d;
	o.gather = mem_new(1, sizeof *o.gather);
	atomic_init(&o.gather->left, c->count);
	atomic_init(&o.gather->found, 0);
	give_all(c, &o);
	return 0;
}

static void run_stop_sending(struct member *m, const struct order *o)
{
	sad_stop_sending(m->sad, o->pair);
}

static void crew_stop_sending(struct sad *s, uint64_t pair)
{
	give_all(crew_of(s),
		 &(struct order){ .letter = { .open = open_order }, .run = run_stop_sending, .pair = pair });
}

static void run_move(struct member *m, const struct order *o)
{
	sad_move(m->sad, o->pair, &o->remote, o->port);
}

static void crew_move(struct sad *s, uint64_t pair, const struct addr *remote, uint16_t encap_remote_port)
{
	give_all(crew_of(s), &(struct order){ .letter = { .open = open_order },
					      .run = run_move,
					      .pair = pair,
					      .remote = *remote,
					      .port = encap_remote_port });
}

static void run_release_spi(struct member *m, const struct order *o)
{
	sad_release_spi(m->sad, o->spi);
}

static void crew_release_spi(struct sad *s, uint32_t spi)
{
	struct crew *c = crew_of(s);
	struct order *o = order_new(run_release_spi);

	o->spi = spi;
	give(c, share_of_spi(spi, c->count), o);
}

static void run_release_held(struct member *m, const struct order *o)
{
	sad_release_held(m->sad, &o->selector, o->clear);
}

static void crew_release_held(struct sad *s, const struct sa_selector *selector, bool clear)
{
	give_all(crew_of(s), &(struct order){ .letter = { .open = open_order },
					      .run = run_release_held,
					      .selector = *selector,
					      .clear = clear });
}

/* The caller may free the old plan's rules when it comes back. */
static void run_set_plan(struct member *m, const struct order *o)
{
	m->plans++;
	sad_set_plan(m->sad, o->plan);
}

static void crew_set_plan(struct sad *s, struct plan *plan)
{
	struct crew *c = crew_of(s);

	atomic_fetch_add(&c->plans, 1);
	give_and_wait(c, 0, c->count,
		      &(struct order){ .letter = { .open = open_order }, .run = run_set_plan, .plan = plan });
}

/* ---- questions --------------------------------------------------------------------------------------------------- */

static int by_pair(const void *a, const void *b)
{
	const struct sa_usage *x = a, *y = b;

	return (x->pair > y->pair) - (x->pair < y->pair);
}

/* The other half, if it is that. */
static bool merge(struct sa_usage *row, const struct sa_usage *other)
{
	if (row->pair != other->pair)
		return false;
	if (other->spi_in) {
		row->spi_in = other->spi_in;
		row->packets_in = other->packets_in;
		row->octets_in = other->octets_in;
		row->last_in_ms = other->last_in_ms;
	}
	if (other->spi_out) {
		row->spi_out = other->spi_out;
		row->packets_out = other->packets_out;
		row->octets_out = other->octets_out;
		row->last_out_ms = other->last_out_ms;
	}
	return true;
}

static void run_usage(struct member *m, const struct order *o)
{
	*o->ret_count = sad_usage(m->sad, o->rows, o->cap);
}

/* One after the other: where the next one's rows begin is known then. What was asked before is done before. */
static size_t crew_usage(const struct sad *s, struct sa_usage *rows, size_t cap)
{
	struct crew *c = crew_asked(s);
	size_t n = 0, kept = 0;

	for (unsigned i = 0; i < c->count; i++) {
		size_t more = 0;

		give_and_wait(c, i, 1,
			      &(struct order){ .letter = { .open = open_order },
					       .run = run_usage,
					       .rows = n < cap ? rows + n : NULL,
					       .cap = n < cap ? cap - n : 0,
					       .ret_count = &more });
		n += more;
	}
	if (n > cap || n == 0)
		return n;
	qsort(rows, n, sizeof *rows, by_pair);
	for (size_t i = 1; i < n; i++)
		if (!merge(&rows[kept], &rows[i]))
			rows[++kept] = rows[i];
	return kept + 1;
}

static void run_usage_of(struct member *m, const struct order *o)
{
	*o->ret_count = sad_usage_of(m->sad, o->pair, o->rows);
}

static bool crew_usage_of(const struct sad *s, uint64_t pair, struct sa_usage *ret)
{
	struct crew *c = crew_asked(s);
	bool any = false;

	for (unsigned i = 0; i < c->count; i++) {
		struct sa_usage row;
		size_t found = 0;

		give_and_wait(c, i, 1,
			      &(struct order){ .letter = { .open = open_order },
					       .run = run_usage_of,
					       .pair = pair,
					       .rows = &row,
					       .ret_count = &found });
		if (found && !any)
			*ret = row;
		else if (found)
			(void)merge(ret, &row);
		any |= found > 0;
	}
	return any;
}

static uint64_t crew_dropped(const struct sad *s, enum sad_drop why)
{
	const struct crew *c = crew_asked(s);
	uint64_t n = 0;

	for (unsigned i = 0; i < c->count; i++)
		n += sad_dropped(c->members[i].sad, why);
	return n;
}

const struct sad_ops crew_ops = { .reserve_spi = crew_reserve_spi,
				  .install = crew_install,
				  .remove = crew_remove,
				  .stop_sending = crew_stop_sending,
				  .move = crew_move,
				  .release_spi = crew_release_spi,
				  .release_held = crew_release_held,
				  .set_plan = crew_set_plan,
				  .usage = crew_usage,
				  .usage_of = crew_usage_of,
				  .dropped = crew_dropped,
				  .free = crew_free };

/* ---- what esp.h has beside sad.h, and the crew itself ------------------------------------------------------------ */

static void run_set_tun(struct member *m, const struct order *o)
{
	(void)esp_set_tun(m->sad, o->fd, NULL); /* fails for want of memory in the kernel alone */
}

void crew_set_tun(struct sad *crew, unsigned member, int fd)
{
	struct order *o = order_new(run_set_tun);

	o->fd = fd;
	give(crew_of(crew), member, o);
}

static void run_ask_again(struct member *m, const struct order *o)
{
	(void)o;
	esp_ask_again(m->sad);
}

void crew_ask_again(struct sad *crew)
{
	give_all(crew_of(crew), &(struct order){ .letter = { .open = open_order }, .run = run_ask_again });
}

static void run_forget_pair(struct member *m, const struct order *o)
{
	(void)plane_remove_pair(m->sad, o->pair);
}

void crew_forget_pair(struct crew *c, const struct member *but, uint64_t pair)
{
	for (unsigned i = 0; i < c->count; i++)
		if (&c->members[i] != but) {
			struct order *o = order_new(run_forget_pair);

			o->pair = pair;
			give(c, i, o);
		}
}

static void run_stop(struct member *m, const struct order *o)
{
	(void)o;
	m->stops = true;
}

void crew_stop(struct member *m)
{
	(void)mailbox_post(&m->box, &order_new(run_stop)->letter);
}
