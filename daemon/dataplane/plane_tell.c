#include "daemon/dataplane/plane_tell.h"

#include "base/diag.h"
#include "base/log.h"
#include "daemon/dataplane/plane_run.h"
#include "daemon/messages/sad_wire.h"
#include "observe/event_wire.h"

#include <time.h>

uint64_t plane_now_ms(void *context)
{
	struct timespec t;

	(void)context;
	/* Lifetimes go on while the machine sleeps. */
	(void)clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t plane_inside(const struct plane_server *s, uint64_t number)
{
	return number >> SAD_WIRE_OWN_BITS ? number : (uint64_t)s->generation << SAD_WIRE_OWN_BITS | number;
}

bool plane_is_own(const struct plane_server *s, uint64_t number)
{
	return number >> SAD_WIRE_OWN_BITS == s->generation;
}

uint64_t plane_outside(const struct plane_server *s, uint64_t number)
{
	return plane_is_own(s, number) ? number & ((UINT64_C(1) << SAD_WIRE_OWN_BITS) - 1) : number;
}

/* Who asked is gone, and so is all that it would have done with the SPI. */
static void forget_answer(struct plane_server *s, const struct sad_event *e)
{
	if (e->kind == SAD_SPI_RESERVED && s->run)
		sad_release_spi(s->run->sad, e->spi);
}

static void tell_client(struct plane_server *s, const struct sad_event *e)
{
	struct sad_event told = *e;

	if (told.request && (!s->client || !plane_is_own(s, told.request))) {
		forget_answer(s, e);
		return;
	}
	if (!s->client || !sad_event_may_go(e->kind, channel_backlog(s->client)))
		return;
	told.pair = plane_outside(s, e->pair);
	told.request = plane_outside(s, e->request);
	sad_event_encode(channel_begin(s->client, ASK_SAD_EVENT), &told);
	channel_end(s->client);
}

void plane_tell_event(void *context, const struct event *e)
{
	struct plane_server *s = context;

	if (channel_backlog(s->parent) > CHANNEL_QUEUE_MOST / 4)
		return;
	event_encode(channel_begin(s->parent, ASK_EVENT), e);
	channel_end(s->parent);
}

static void tell_drop(struct plane_server *s, const struct sad_event *e)
{
	struct event told;

	sad_drop_tell(e, &told);
	plane_tell_event(s, &told);
}

void plane_mended(void *context, bool good, const char *text)
{
	struct event e = { .id = EVENT_RULES_RESTORED };

	(void)snprintf(e.text, sizeof e.text, "%s", text);
	if (good)
		plane_tell_event(context, &e);
	else
		log_error("%s", text);
}

void plane_heard(void *context, const struct sad_event *e)
{
	if (e->kind == SAD_DROPPED)
		tell_drop(context, e);
	else
		tell_client(context, e);
}

void plane_tell_failure(struct plane_server *s, uint64_t request, const struct diag *why)
{
	tell_client(s, &(struct sad_event){ .kind = SAD_FAILED, .request = request, .why = why });
}

void plane_say(struct channel *c, enum ask what)
{
	(void)channel_begin(c, what);
	channel_end(c);
}
