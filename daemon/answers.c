#include "daemon/answers.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/scope.h"

#include <stdlib.h>

enum { LOOK_MS = 5 };

struct answer {
	struct answer *next;
	struct control_call *call;
	json_t *value;
	uint64_t since_ms;
};

static void give(struct answer *a)
{
	control_reply(a->call, TAKE(a->value));
	free(a);
}

/* Switched off meanwhile, it is wanted no more. */
static void looked(uv_timer_t *t)
{
	struct daemon *d = t->data;
	const bool works = !d->plane || plane_works(d->plane);

	for (struct answer **p = &d->answers; *p;) {
		struct answer *a = *p;

		if (!works && engine_now_ms() - a->since_ms < ANSWERS_MOST_MS) {
			p = &a->next;
			continue;
		}
		if (!works)
			log_warning("the data plane has not begun yet:  cordon status  tells");
		*p = a->next;
		give(a);
	}
	if (!d->answers)
		(void)uv_timer_stop(t);
}

void answers_when_works(struct daemon *d, struct control_call *call, json_t *value)
{
	struct answer *a;

	if (!d->plane || plane_works(d->plane)) {
		control_reply(call, value);
		return;
	}
	a = mem_new(1, sizeof *a);
	*a = (struct answer){ .next = d->answers, .call = call, .value = value, .since_ms = engine_now_ms() };
	d->answers = a;
	control_keep(call);
	if (!d->answers_timer.data) {
		d->answers_timer.data = d;
		(void)uv_timer_init(&d->loop, &d->answers_timer);
	}
	if (!uv_is_active((uv_handle_t *)&d->answers_timer))
		(void)uv_timer_start(&d->answers_timer, looked, LOOK_MS, LOOK_MS);
}

void answers_gone(struct daemon *d, const struct control_call *call)
{
	for (struct answer **p = &d->answers; *p; p = &(*p)->next)
		if ((*p)->call == call) {
			struct answer *a = *p;

			*p = a->next;
			json_decref(a->value);
			free(a);
			return;
		}
}

void answers_close(struct daemon *d)
{
	while (d->answers) {
		struct answer *a = d->answers;

		d->answers = a->next;
		give(a);
	}
	if (d->answers_timer.data && !uv_is_closing((uv_handle_t *)&d->answers_timer))
		uv_close((uv_handle_t *)&d->answers_timer, NULL);
}
