#include "daemon/parts/ready.h"

#include "base/log.h"
#include "daemon/parts/plane.h"

enum {
	LOOK_MS = 5,
	WORKS_MS = 10,       /* of the processor's time: who has taken that has got on */
	TOLD_FROM_MS = 3000, /* what takes longer is told */
};

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

	const uint64_t took_ms = engine_now_ms() - d->waits_since_ms;

	(void)uv_timer_stop(&d->ready);
	d->when_ready = NULL;
	if (took_ms >= TOLD_FROM_MS)
		log_info("cordond's processes took %.1f s to be ready", (double)took_ms / 1000);
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

static bool is_too_late(struct daemon *d)
{
	uint64_t now = engine_now_ms(), worked = children_cpu_ms(d->children);

	if (worked >= d->worked_ms + WORKS_MS || worked < d->worked_ms) { /* less: one has been started again */
		d->worked_ms = worked;
		d->progress_ms = now;
	}
	return now - d->progress_ms >= READY_MS || now - d->waits_since_ms >= READY_MOST_MS;
}

static void looked(uv_timer_t *t)
{
	struct daemon *d = t->data;

	if (is_too_late(d)) {
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
	d->waits_since_ms = d->progress_ms = engine_now_ms();
	d->worked_ms = 0;
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
