#include "daemon/parts/ready.h"

#include "base/log.h"
#include "daemon/parts/plane.h"

enum { LOOK_MS = 5 };

static bool all_children(const struct daemon *d)
{
	struct child_row rows[ROLE_COUNT];
	size_t n = children_rows(d->children, rows, ROLE_COUNT);

	for (size_t i = 0; i < n; i++)
		if (!rows[i].ready)
			return false;
	return true;
}

static void finish(struct daemon *d)
{
	void (*ready)(struct daemon *) = d->when_ready;

	(void)uv_timer_stop(&d->ready);
	d->when_ready = NULL;
	if (ready)
		ready(d);
}

static void looked(uv_timer_t *t);

/* What keying answers it answers with its plan, and the plane's counters. */
static void seen(void *context, const struct engine_view *v)
{
	struct daemon *d = context;

	if (!d->when_ready)
		return;
	if (v->keying_away)
		(void)uv_timer_start(&d->ready, looked, LOOK_MS, LOOK_MS);
	else
		finish(d);
}

static void looked(uv_timer_t *t)
{
	struct daemon *d = t->data;

	if (engine_now_ms() - d->waits_since_ms >= READY_MS) {
		log_warning("not all of cordond's processes work yet:  cordon status  tells");
		finish(d);
	} else if (all_children(d) && (!d->plane || plane_works(d->plane))) {
		(void)uv_timer_stop(t);
		if (d->engine)
			engine_look(d->engine, seen, d);
		else
			finish(d);
	}
}

void ready_wait(struct daemon *d, void (*ready)(struct daemon *d))
{
	d->when_ready = ready;
	d->waits_since_ms = engine_now_ms();
	d->ready.data = d;
	(void)uv_timer_init(&d->loop, &d->ready);
	(void)uv_timer_start(&d->ready, looked, LOOK_MS, LOOK_MS);
}

void ready_close(struct daemon *d)
{
	d->when_ready = NULL;
	if (d->ready.data && !uv_is_closing((uv_handle_t *)&d->ready))
		uv_close((uv_handle_t *)&d->ready, NULL);
}
