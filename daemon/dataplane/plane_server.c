#include "daemon/dataplane/plane_server.h"

#include "base/crypto.h"
#include "base/diag.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scope.h"
#include "daemon/dataplane/drop_reader.h"
#include "daemon/dataplane/plane_run.h"
#include "daemon/dataplane/plane_tell.h"
#include "observe/event.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int *place_of(struct plane_server *s, unsigned worker, unsigned which)
{
	return which < ESP_FD_COUNT ? &s->fds[worker].fd[which] : &s->nat[worker][which - PLANE_FD_NAT4];
}

/* The device has been made anew. */
static void take_tun(const struct plane_running *r, unsigned worker, int fd)
{
	if (worker < r->workers)
		r->kind->set_tun(r->sad, worker, fd);
	else
		(void)close(fd);
}

int plane_on_fd(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct plane_server *s = plane_server_of(context);
	uint8_t which = wire_u8(body);
	int *place, fd = fds[0];

	(void)c;
	if (which >= PLANE_FD_COUNT)
		return -EPROTO;
	fds[0] = -1;
	if (which < PLANE_FD_LOG && which % PLANE_FD_EACH == ESP_FD_TUN && s->run) {
		take_tun(s->run, which / PLANE_FD_EACH, fd);
		return 0;
	}
	if (which == PLANE_FD_LOG) {
		drop_reader_close(s->drops);
		s->drops = drop_reader_new(s->loop, fd, plane_tell_event, s);
		if (s->drops)
			drop_reader_set_plan(s->drops, s->made.policy, s->made.plan);
		return 0;
	}
	place = which < PLANE_FD_LOG ? place_of(s, which / PLANE_FD_EACH, which % PLANE_FD_EACH)
				     : &s->xfrm.fd[which - PLANE_FD_XFRM];
	if (*place >= 0)
		(void)close(*place);
	*place = fd;
	return 0;
}

static void take_plan(struct plane_server *s, uint64_t turn, struct plan_made *made)
{
	struct plan_made before = s->made;

	s->plans_taken = turn;
	s->made = *made;
	*made = (struct plan_made){ 0 };
	if (s->run)
		s->run->kind->set_plan(s->run->sad, s->made.plan);
	if (s->drops)
		drop_reader_set_plan(s->drops, s->made.policy, s->made.plan);
	plan_work_wipe(s->loop, &before); /* no SA has a rule of it any more */
}

struct plan_turn {
	struct plane_server *server;
	uint64_t turn;
};

/* What came later may have been there first: while nothing ran. */
static void plan_made(void *context, struct plan_made *made, const struct diag *why)
{
	struct plan_turn *t = context;
	struct plane_server *s = t->server;
	const bool stale = t->turn < s->plans_taken;

	if (!made) /* the ruleset of the new one stops what this one would do wrong */
		log_error("%s; the data plane keeps the one before", why->text);
	else if (stale)
		plan_work_wipe(s->loop, made);
	else
		take_plan(s, t->turn, made);
	free(t);
}

/* Packets go on while the plan of a large policy is made. */
int plane_on_plan(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct plane_server *s = plane_server_of(context);
	const uint64_t turn = ++s->plans;
	struct plan_made made = { 0 };
	struct diag d = { 0 };

	(void)c;
	(void)body;
	if (s->run) {
		struct plan_turn *t = mem_new(1, sizeof *t);
		int fd = fds[0];

		*t = (struct plan_turn){ s, turn };
		fds[0] = -1;
		if (plan_work_start(s->loop, fd, plan_made, t, &d) == 0)
			return 0;
		free(t);
		log_error("%s", d.text);
		return -EIO;
	}
	if (plan_wire_open(fds[0], &made, &d) < 0) {
		log_error("%s", d.text);
		return -EPROTO;
	}
	take_plan(s, turn, &made);
	return 0;
}

/* Libcrypto does it then; who waits for speed is to know why there is less of it. */
static void tell_self_test(struct plane_server *s)
{
	struct event e = { .id = EVENT_SELF_TEST_FAILED };
	struct diag d = { 0 };

	if (!crypto_gcm_broken())
		return;
	(void)crypto_gcm(&d);
	(void)snprintf(e.text, sizeof e.text, "%s: libcrypto seals and opens the packets, which is slower", d.text);
	log_error("%s", e.text);
	plane_tell_event(s, &e);
}

int plane_on_begin(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct plane_server *s = plane_server_of(context);
	const bool kernel = wire_u8(body);
	const uint32_t own_mark = wire_u32(body), clear_value = wire_u32(body), clear_mask = wire_u32(body);
	const struct plane_marks marks = { own_mark, { clear_value, clear_mask } };
	const unsigned workers = kernel ? (void)wire_u8(body), 1u : wire_u8(body);
	const struct plane_kind *kind = kernel ? &plane_kernel : workers > 1 ? &plane_crew : &plane_alone;
	struct diag d = { 0 };

	(void)c;
	(void)fds;
	if (s->run || !s->made.plan || workers < 1 || workers > SHARES_MOST)
		return -EPROTO;
	if (plane_run_start(s, kind, workers, &marks, &d) < 0) {
		log_error("%s", d.text);
		return -EIO; /* and the parent starts another one of us */
	}
	plane_say(s->parent, ASK_PLANE_BEGUN);
	if (s->client)
		plane_say(s->client, ASK_SAD_UP);
	if (kind->seals)
		tell_self_test(s);
	return 0;
}

/* Protection is switched off, or the policy is gone. The parent has removed the kernel's policies, but perhaps before
 * we had put them there. */
int plane_on_end(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct plane_server *s = plane_server_of(context);

	(void)c;
	(void)body;
	(void)fds;
	if (!s->run)
		return -EPROTO;
	if (s->run->kind->leave)
		s->run->kind->leave(s->run->sad);
	plane_run_stop(TAKE(s->run));
	drop_reader_close(TAKE(s->drops));
	if (s->client)
		plane_say(s->client, ASK_SAD_DOWN);
	return 0;
}

void plane_server_went(struct plane_server *s)
{
	s->client = NULL;
}

void plane_server_end(struct plane_server *s)
{
	if (s->run)
		plane_run_stop(TAKE(s->run));
}

struct plane_server *plane_server_new(uv_loop_t *loop, struct channel *parent)
{
	struct plane_server *s = mem_new(1, sizeof *s);

	s->loop = loop;
	s->parent = parent;
	for (unsigned i = 0; i < SHARES_MOST; i++) {
		s->fds[i] = esp_fds_none();
		s->nat[i][0] = s->nat[i][1] = -1;
	}
	s->xfrm = xfrm_fds_none();
	return s;
}
