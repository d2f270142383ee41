#include "dataplane/xfrm/plane.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* ---- telling ----------------------------------------------------------------------------------------------------- */

void xfrm_enter(struct xfrm_plane *x)
{
	if (x->depth++ == 0)
		x->now = x->config.now_ms(x->config.context);
}

/* The callback may come back with requests, which may add events. */
void xfrm_leave(struct xfrm_plane *x)
{
	if (x->depth > 1) {
		x->depth--;
		return;
	}
	for (size_t i = 0; i < x->event_count; i++) {
		struct xfrm_event e = x->events[i];

		x->events[i].plan = NULL;
		if (e.event.kind == SAD_FAILED)
			e.event.why = &e.why;
		x->config.event(x->config.context, &e.event);
		plan_free(e.plan);
	}
	x->event_count = 0;
	x->depth--;
}

void xfrm_tell(struct xfrm_plane *x, const struct sad_event *e, const struct diag *why)
{
	struct xfrm_event *row;

	x->events = mem_grow(x->events, x->event_count, &x->event_cap, sizeof *x->events);
	row = &x->events[x->event_count++];
	*row = (struct xfrm_event){ .event = *e };
	if (e->entry)
		row->plan = plan_ref(x->plan);
	if (why)
		row->why = *why;
}

/* ---- the plan in the kernel -------------------------------------------------------------------------------------- */

static int want(const struct xfrm_config *c, const struct plan *plan, struct wanted_list *l, struct diag *d)
{
	for (size_t i = 0; c && i < XFRM_MARKS; i++)
		if (c->clear[i].mask)
			wanted_add_mark(l, c->clear[i].value, c->clear[i].mask);
	return plan ? wanted_of_plan(plan, XFRM_POLICIES_MOST, l, d) : 0;
}

int xfrm_fits(const struct plan *plan, struct diag *d)
{
	SCOPED(wanted_wipe) struct wanted_list l = { 0 };

	return want(NULL, plan, &l, d);
}

int xfrm_put_plan(struct xfrm_plane *x, struct diag *d)
{
	SCOPED(wanted_wipe) struct wanted_list l = { 0 };
	int r = want(&x->config, x->plan, &l, d);

	return r < 0 ? r : policies_replace(&x->policies, &l, d);
}

const char *xfrm_trouble(const struct sad *sad)
{
	return plane_of_const(sad)->trouble;
}

/* ---- from beginning to end --------------------------------------------------------------------------------------- */

static int watch_fds(struct xfrm_plane *x, struct diag *d)
{
	static const enum xfrm_fd heard[] = { XFRM_FD_HEAR, XFRM_FD_ESP4, XFRM_FD_ESP6, XFRM_FD_AH4, XFRM_FD_AH6 };

	x->poll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (x->poll_fd < 0)
		return diag_errno(d, errno, "epoll");
	for (size_t i = 0; i < ARRAY_LEN(heard); i++) {
		struct epoll_event e = { .events = EPOLLIN, .data.u32 = heard[i] };

		if (x->fds.fd[heard[i]] >= 0 && epoll_ctl(x->poll_fd, EPOLL_CTL_ADD, x->fds.fd[heard[i]], &e) < 0)
			return diag_errno(d, errno, "epoll");
	}
	return 0;
}

static int begin(struct xfrm_plane *x, struct diag *d)
{
	int r;

	if (x->fds.fd[XFRM_FD_ASK] < 0 || x->fds.fd[XFRM_FD_HEAR] < 0)
		return diag_fail(d, EBADF, "the kernel's data plane wants its netlink sockets");
	if ((r = watch_fds(x, d)) < 0 || (r = policies_adopt(&x->policies, d)) < 0 || (r = xfrm_put_plan(x, d)) < 0 ||
	    (r = xfrm_remove_states(&x->asker, d)) < 0)
		return r;
	watch_drops(x);
	memcpy(x->drops_at_start, x->drops, sizeof x->drops);
	memset(x->drops, 0, sizeof x->drops);
	return 0;
}

static void wipe(struct xfrm_plane *x)
{
	for (size_t i = 0; i < x->event_count; i++)
		plan_free(x->events[i].plan);
	free(x->events);
	waits_wipe(&x->waits);
	states_wipe(&x->states);
	policies_wipe(&x->policies);
	plan_free(x->plan);
	if (x->poll_fd >= 0)
		(void)close(x->poll_fd);
	xfrm_fds_close(&x->fds);
	free(x);
}

int xfrm_new(const struct xfrm_config *c, struct sad **ret, struct diag *d)
{
	struct xfrm_plane *x = mem_new(1, sizeof *x);
	int r;

	x->head.ops = &xfrm_ops;
	x->config = *c;
	x->fds = *c->fds;
	*c->fds = xfrm_fds_none();
	x->config.fds = NULL;
	x->poll_fd = -1;
	x->asker.fd = x->fds.fd[XFRM_FD_ASK];
	x->next_poll_ms = x->next_sequence_ms = UINT64_MAX;
	policies_init(&x->policies, &x->asker);
	x->plan = c->plan ? plan_ref(c->plan) : NULL;
	x->now = c->now_ms(c->context);
	if ((r = begin(x, d)) < 0) {
		wipe(x);
		return r;
	}
	*ret = (struct sad *)(void *)x;
	return 0;
}

void xfrm_remove_policies(struct sad *sad)
{
	(void)policies_remove_all(&plane_of(sad)->policies, NULL);
}

/* Policies stay: what is protected must not leave in clear because nobody is here. */
void xfrm_free(struct sad *sad)
{
	struct xfrm_plane *x = plane_of(sad);

	(void)xfrm_remove_states(&x->asker, NULL);
	policies_end_clear(&x->policies, UINT64_MAX, NULL, NULL);
	wipe(x);
}

/* ---- the loop ---- */

int xfrm_fd(const struct sad *sad)
{
	return plane_of_const(sad)->poll_fd;
}

void xfrm_readable(struct sad *sad)
{
	struct xfrm_plane *x = plane_of(sad);

	xfrm_enter(x);
	hear_all(x);
	mend_tick(x);
	watch_listen(x);
	xfrm_leave(x);
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t xfrm_deadline(const struct sad *sad)
{
	const struct xfrm_plane *x = plane_of_const(sad);

	return sooner(sooner(sooner(x->policies.next_end, loss_deadline(x)), mend_deadline(x)),
		      sooner(waits_deadline(x), watch_deadline(x)));
}

void xfrm_tick(struct sad *sad)
{
	struct xfrm_plane *x = plane_of(sad);

	xfrm_enter(x);
	policies_end_clear(&x->policies, x->now, NULL, NULL);
	loss_tick(x);
	mend_tick(x);
	waits_tick(x);
	watch_tick(x);
	xfrm_leave(x);
}

void xfrm_ask_again(struct sad *sad)
{
	struct xfrm_plane *x = plane_of(sad);

	xfrm_enter(x);
	waits_ask_again(x);
	xfrm_leave(x);
}
