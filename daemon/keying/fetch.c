#include "daemon/keying/fetch.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/text.h"
#include "daemon/process/memory_file.h"
#include "observe/event.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 200, TOLD_AGAIN_S = 3600 };

enum place_state {
	PLACE_IDLE,
	PLACE_RECALLED, /* the parent was asked for what is kept */
	PLACE_FETCHED,  /* sources was asked */
	PLACE_READ,     /* a worker thread reads what came */
};

struct place {
	char url[REVOCATION_URL_MOST];
	enum place_state state;
	uint32_t number;                    /* of the request that is out */
	uint64_t tried_s, wanted_s, next_s; /* Unix time; next_s: end of the list that we have, 0: none */
	/* of the last try */
	bool good, from_disk;
	struct diag why;
	uint64_t failing_told_s; /* a place that stays away is told of now and then only */
};

struct waiter {
	LIST_ENTRY(waiter) entry;
	struct place *places[REVOCATION_URLS_MOST];
	size_t count;
	uint64_t until_ms;
	void (*done)(void *context);
	void *context;
};

struct fetcher {
	uv_loop_t *loop;
	struct fetch_means means;
	const struct observer *observer;
	void (*changed)(void *context);
	void *context;
	struct revocation_lists *lists;
	struct place *places[FETCH_URLS_MOST];
	size_t count;
	uint32_t last; /* number of a request */
	LIST_HEAD(waiters, waiter) waiters;
	uv_timer_t tick;
	bool closing, tick_open;
	unsigned reading;
};

/* Reading a list of megabytes is for a thread. */
struct reading {
	uv_work_t work;
	struct fetcher *f;
	struct revocation_lists *lists;
	struct place *place;
	int fd;
	char url[REVOCATION_URL_MOST];
	bool from_disk;
	int r;
	uint64_t next_s;
	struct diag why;
};

static uint64_t now_s(void)
{
	return (uint64_t)time(NULL);
}

static bool is_out(const struct place *p)
{
	return p->state != PLACE_IDLE;
}

/* ---- telling ----------------------------------------------------------------------------------------------------- */

static void tell(const struct fetcher *f, struct place *p)
{
	struct event e = { .id = p->good ? EVENT_REVOCATION : EVENT_REVOCATION_FAILED };
	char day[24] = "an unknown time";
	time_t at = (time_t)p->next_s;
	struct tm tm;

	if (p->from_disk || (!p->good && p->failing_told_s + TOLD_AGAIN_S > now_s()))
		return;
	p->failing_told_s = p->good ? 0 : now_s();
	if (p->next_s && gmtime_r(&at, &tm))
		(void)strftime(day, sizeof day, "%Y-%m-%d %H:%M", &tm);
	if (p->good)
		(void)snprintf(e.text, sizeof e.text, "revocation list fetched from %.200s, good until %s (UTC)",
			       p->url, day);
	else
		(void)snprintf(
			e.text, sizeof e.text,
			"no revocation list from %.120s: %.120s. If the way there needs protection that needs this "
			"list, exempt the server",
			p->url, p->why.text);
	observe(f->observer, &e);
}

static bool has_all(const struct waiter *w)
{
	for (size_t i = 0; i < w->count; i++)
		if (is_out(w->places[i]))
			return false;
	return true;
}

static void release(struct fetcher *f, bool all)
{
	struct waiter *w, *next;
	uint64_t now_ms = uv_now(f->loop);

	for (w = LIST_FIRST(&f->waiters); w; w = next) {
		next = LIST_NEXT(w, entry);
		if (!all && !has_all(w) && now_ms < w->until_ms)
			continue;
		LIST_REMOVE(w, entry);
		w->done(w->context);
		free(w);
	}
	if (LIST_EMPTY(&f->waiters) && f->tick_open)
		(void)uv_timer_stop(&f->tick);
}

static void tried(struct fetcher *f, struct place *p)
{
	p->state = PLACE_IDLE;
	tell(f, p);
	release(f, false);
	if (p->good)
		f->changed(f->context);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static void fetcher_free(struct fetcher *f)
{
	for (size_t i = 0; i < f->count; i++)
		free(f->places[i]);
	free(f);
}

static void free_when_done(struct fetcher *f)
{
	if (f->closing && f->reading == 0 && !f->tick_open)
		fetcher_free(f);
}

static void ask_sources(struct fetcher *f, struct place *p);

/* On a worker thread. */
static void read_list(uv_work_t *work)
{
	struct reading *r = work->data;
	SCOPED(text_freep) struct text *t = NULL;

	r->r = (r->from_disk ? memory_file_read_disk : memory_file_read)(r->fd, REVOCATION_OCTETS_MOST, &t, &r->why);
	if (r->r == 0)
		r->r = revocation_lists_put(r->lists, r->url, t->octets, t->len, &r->next_s, &r->why);
}

static void was_read(uv_work_t *work, int status)
{
	struct reading *r = work->data;
	struct fetcher *f = r->f;
	struct place *p = r->place;

	f->reading--;
	if (status < 0)
		p->state = PLACE_IDLE;
	if (!f->closing && status == 0) {
		p->from_disk = r->from_disk;
		p->good = r->r == 0 && (!r->from_disk || r->next_s > now_s());
		p->why = r->why;
		if (r->r == 0)
			p->next_s = r->next_s;
		if (p->good && !r->from_disk)
			f->means.keep(f->means.context, p->url, r->fd);
		if (r->from_disk && !p->good)
			ask_sources(f, p);
		else
			tried(f, p);
	}
	(void)close(r->fd);
	free(r);
	free_when_done(f);
}

static void read_later(struct fetcher *f, struct place *p, int fd, bool kept)
{
	struct reading *r = mem_new(1, sizeof *r);

	*r = (struct reading){ .f = f, .lists = f->lists, .place = p, .from_disk = kept };
	(void)snprintf(r->url, sizeof r->url, "%s", p->url);
	r->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	r->work.data = r;
	p->state = PLACE_READ;
	f->reading++;
	if (uv_queue_work(f->loop, &r->work, read_list, was_read) < 0)
		was_read(&r->work, UV_ECANCELED);
}

/* ---- asking others ----------------------------------------------------------------------------------------------- */

static void ask_sources(struct fetcher *f, struct place *p)
{
	p->state = PLACE_FETCHED;
	p->number = ++f->last;
	f->means.fetch(f->means.context, p->number, p->url);
}

static void send_out(struct fetcher *f, struct place *p)
{
	p->tried_s = now_s();
	p->good = p->from_disk = false;
	p->why = (struct diag){ 0 };
	if (p->next_s) {
		ask_sources(f, p);
		return;
	}
	/* A list that was kept and has not ended spares the way. */
	p->state = PLACE_RECALLED;
	p->number = ++f->last;
	f->means.recall(f->means.context, p->number, p->url);
}

/* NULL: that one is lost, and was given up since. -EPROTO if it was never asked. */
static int asked(struct fetcher *f, uint32_t number, enum place_state state, struct place **ret)
{
	*ret = NULL;
	if (number == 0 || number > f->last)
		return -EPROTO;
	for (size_t i = 0; i < f->count; i++)
		if (f->places[i]->state == state && f->places[i]->number == number)
			*ret = f->places[i];
	return 0;
}

int fetcher_fetched(struct fetcher *f, uint32_t number, int fd, const char *why)
{
	struct place *p;
	int r = asked(f, number, PLACE_FETCHED, &p);

	if (r < 0 || !p || f->closing)
		return r;
	if (fd >= 0) {
		read_later(f, p, fd, false);
		return 0;
	}
	(void)diag_fail(&p->why, EIO, "%.200s", why);
	for (char *c = p->why.text; *c; c++)
		if (!isprint((unsigned char)*c))
			*c = '?';
	tried(f, p);
	return 0;
}

int fetcher_recalled(struct fetcher *f, uint32_t number, int fd)
{
	struct place *p;
	int r = asked(f, number, PLACE_RECALLED, &p);

	if (r < 0 || !p || f->closing)
		return r;
	if (fd >= 0)
		read_later(f, p, fd, true);
	else
		ask_sources(f, p);
	return 0;
}

void fetcher_again(struct fetcher *f)
{
	for (size_t i = 0; i < f->count && !f->closing; i++)
		if (f->places[i]->state == PLACE_FETCHED)
			ask_sources(f, f->places[i]);
}

/* Whoever should answer has died, or does not do its work. */
static void give_up_lost(struct fetcher *f)
{
	for (size_t i = 0; i < f->count; i++) {
		struct place *p = f->places[i];

		if ((p->state == PLACE_FETCHED || p->state == PLACE_RECALLED) && p->tried_s + FETCH_LOST_S <= now_s()) {
			(void)diag_fail(&p->why, ETIMEDOUT, "nobody answered");
			tried(f, p);
		}
	}
}

/* ---- for those who want lists ------------------------------------------------------------------------------------ */

static void ticked(uv_timer_t *t)
{
	release(t->data, false);
}

static struct place *place_of(struct fetcher *f, const char *url)
{
	struct place *p;

	for (size_t i = 0; i < f->count; i++)
		if ((p = f->places[i]) && strcmp(p->url, url) == 0)
			return p;
	if (f->count == FETCH_URLS_MOST || !*url)
		return NULL;
	p = mem_new(1, sizeof *p);
	(void)snprintf(p->url, sizeof p->url, "%s", url);
	return f->places[f->count++] = p;
}

void fetcher_ask(struct fetcher *f, const char (*urls)[REVOCATION_URL_MOST], size_t count, void (*done)(void *context),
		 void *context)
{
	struct waiter *w = mem_new(1, sizeof *w);

	uv_update_time(f->loop);
	w->done = done;
	w->context = context;
	w->until_ms = uv_now(f->loop) + FETCH_WAIT_MS;
	give_up_lost(f);
	for (size_t i = 0; i < count && !f->closing; i++) {
		struct place *p = place_of(f, urls[i]);

		if (!p)
			continue;
		p->wanted_s = now_s();
		if (!is_out(p) && p->tried_s + FETCH_AGAIN_S <= now_s())
			send_out(f, p);
		if (is_out(p))
			w->places[w->count++] = p;
	}
	if (w->count == 0) {
		free(w);
		done(context);
		return;
	}
	LIST_INSERT_HEAD(&f->waiters, w, entry);
	if (!uv_is_active((uv_handle_t *)&f->tick))
		(void)uv_timer_start(&f->tick, ticked, TICK_MS, TICK_MS);
}

void fetcher_renew(struct fetcher *f)
{
	uint64_t now = now_s();

	give_up_lost(f);
	for (size_t i = 0; i < f->count && !f->closing; i++) {
		struct place *p = f->places[i];
		uint64_t early_s = p->next_s > p->tried_s ? (p->next_s - p->tried_s) / 10 : 0;

		if (!is_out(p) && p->wanted_s + FETCH_WANTED_S > now && p->tried_s + FETCH_AGAIN_S <= now &&
		    p->next_s && p->next_s - early_s <= now)
			send_out(f, p);
	}
}

/* ---- from beginning to end --------------------------------------------------------------------------------------- */

struct fetcher *fetcher_new(uv_loop_t *loop, const struct fetch_means *means, struct revocation_lists *lists,
			    const struct observer *observer, void (*changed)(void *context), void *context)
{
	struct fetcher *f = mem_new(1, sizeof *f);

	f->loop = loop;
	f->means = *means;
	f->observer = observer;
	f->changed = changed;
	f->context = context;
	f->lists = lists;
	LIST_INIT(&f->waiters);
	f->tick.data = f;
	(void)uv_timer_init(loop, &f->tick);
	f->tick_open = true;
	return f;
}

static void tick_closed(uv_handle_t *h)
{
	struct fetcher *f = h->data;

	f->tick_open = false;
	free_when_done(f);
}

void fetcher_close(struct fetcher *f)
{
	if (!f)
		return;
	f->closing = true;
	release(f, true);
	uv_close((uv_handle_t *)&f->tick, tick_closed);
}
