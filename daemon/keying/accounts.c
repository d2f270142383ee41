#include "daemon/keying/accounts.h"

#include "base/mem.h"
#include "identity/directory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

enum { TICK_MS = 500 };

struct asked {
	LIST_ENTRY(asked) entry;
	uint32_t number;
	uint64_t until_ms;
	accounts_done *done;
	void *context;
};

static struct {
	struct channel *parent; /* NULL: nobody can be asked */
	uv_timer_t tick;
	LIST_HEAD(all_asked, asked) asked;
	size_t count;
	uint32_t last;
} here;

static void answer(struct asked *a, uint64_t learnt_s, const struct sid_list *sids)
{
	static const struct sid_list none;

	LIST_REMOVE(a, entry);
	if (--here.count == 0)
		(void)uv_timer_stop(&here.tick);
	a->done(a->context, sids ? learnt_s : 0, sids ? sids : &none);
	free(a);
}

static void ticked(uv_timer_t *t)
{
	struct asked *a = LIST_FIRST(&here.asked), *after;

	for (; a; a = after) {
		after = LIST_NEXT(a, entry);
		if (uv_now(t->loop) >= a->until_ms)
			answer(a, 0, NULL);
	}
}

void accounts_begin(uv_loop_t *loop, struct channel *parent)
{
	here.parent = parent;
	LIST_INIT(&here.asked);
	(void)uv_timer_init(loop, &here.tick);
}

void accounts_ask(const char *name, bool upn, accounts_done *done, void *context)
{
	static const struct sid_list none;
	size_t n = strlen(name);
	struct wire_out *out;
	struct asked *a;

	if (!here.parent || here.count == ACCOUNTS_ASKED_MOST || n == 0 || n > ASK_NAME_MOST) {
		done(context, 0, &none);
		return;
	}
	a = mem_new(1, sizeof *a);
	*a = (struct asked){ .number = ++here.last,
			     .until_ms = uv_now(here.tick.loop) + ACCOUNTS_WAIT_MS,
			     .done = done,
			     .context = context };
	LIST_INSERT_HEAD(&here.asked, a, entry);
	if (here.count++ == 0)
		(void)uv_timer_start(&here.tick, ticked, TICK_MS, TICK_MS);
	out = channel_begin(here.parent, ASK_ACCOUNT);
	wire_put_u32(out, a->number);
	wire_put_u8(out, upn);
	wire_put(out, name, n);
	channel_end(here.parent);
}

int accounts_on_said(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	uint32_t number = wire_u32(body);
	uint8_t state = wire_u8(body);
	uint64_t learnt_s = wire_u64(body);
	struct sid_list sids;
	struct asked *a;

	(void)context, (void)c, (void)fds;
	sid_list_get(body, &sids);
	if (!wire_done(body) || state >= DIRECTORY_STATES)
		return -EPROTO;
	LIST_FOREACH(a, &here.asked, entry)
		if (a->number == number)
			break;
	/* One that is not there, or is disabled, or one of two: nothing is known of its groups, so it may be in any. */
	if (a)
		answer(a, state == DIRECTORY_FOUND ? learnt_s : 0, state == DIRECTORY_FOUND ? &sids : NULL);
	return 0;
}
