#include "daemon/dataplane/plane_run.h"

#include "base/mem.h"
#include "base/scope.h"
#include "daemon/dataplane/plane_tell.h"
#include "daemon/messages/datagram_wire.h"

#include <stdlib.h>

static void plane_readable(uv_poll_t *p, int status, int events)
{
	const struct plane_running *r = p->data;

	(void)events;
	if (status == 0)
		r->kind->readable(r->own);
}

void plane_run_ike(void *context, const struct datagram *g)
{
	const struct plane_running *r = context;
	struct channel *client = r->server->client;

	if (!client || g->len > DATAGRAM_WIRE_OCTETS || channel_backlog(client) > CHANNEL_QUEUE_MOST / 4)
		return; /* lost, as on the network */
	datagram_encode(channel_begin(client, ASK_IKE_CAME), g);
	channel_end(client);
}

static void socket_readable(uv_poll_t *p, int status, int events)
{
	struct plane_running *r = p->data;

	(void)events;
	if (status == 0)
		r->kind->read_udp(r, (size_t)(p - r->polls));
}

static void news_readable(uv_poll_t *p, int status, int events)
{
	const struct plane_running *r = p->data;

	(void)events;
	if (status == 0)
		r->kind->news(r->sad);
}

static void timer_rang(uv_timer_t *t)
{
	const struct plane_running *r = t->data;

	r->kind->tick(r->own);
}

static void turn_ends(uv_prepare_t *p)
{
	struct plane_running *r = p->data;
	uint64_t next = r->kind->deadline(r->own), now;

	if (next == UINT64_MAX) {
		(void)uv_timer_stop(&r->timer);
		return;
	}
	now = plane_now_ms(NULL);
	uv_update_time(r->server->loop);
	(void)uv_timer_start(&r->timer, timer_rang, next > now ? next - now : 0, 0);
}

static void handle_closed(uv_handle_t *h)
{
	struct plane_running *r = h->data;

	if (--r->open_handles == 0)
		free(r);
}

static void poll_on(struct plane_running *r, size_t i, int fd, uv_poll_cb seen)
{
	r->polls[i].data = r;
	if (fd < 0 || uv_poll_init(r->server->loop, &r->polls[i], fd) < 0) {
		r->polls[i].data = NULL;
		return;
	}
	r->open_handles++;
	(void)uv_poll_start(&r->polls[i], UV_READABLE, seen);
}

static void run(struct plane_running *r, struct sad *sad)
{
	const struct plane_kind *kind = r->kind;
	uv_loop_t *loop = r->server->loop;

	r->sad = sad;
	r->own = kind->own(sad);
	r->timer.data = r->turn.data = r;
	(void)uv_timer_init(loop, &r->timer);
	(void)uv_prepare_init(loop, &r->turn);
	(void)uv_prepare_start(&r->turn, turn_ends);
	r->open_handles = 2;
	poll_on(r, SOCKETS_COUNT, kind->fd(r->own), plane_readable);
	poll_on(r, SOCKETS_COUNT + 1, kind->news_fd(sad), news_readable);
	for (size_t i = 0; i < SOCKETS_COUNT; i++)
		poll_on(r, i, sockets_fds(r->sockets[0])[i], socket_readable);
}

static void close_sockets(struct plane_running *r)
{
	for (unsigned i = 0; i < r->workers; i++)
		sockets_free(r->sockets[i]);
}

/* UDP 4500, of each worker. */
static int adopt(struct plane_server *s, struct plane_running *r, struct diag *d)
{
	for (unsigned i = 0; i < r->workers; i++) {
		const int fds[SOCKETS_COUNT] = { -1, -1, s->nat[i][0], s->nat[i][1] };
		int failed = sockets_adopt(fds, &r->sockets[i], d);

		s->nat[i][0] = s->nat[i][1] = -1;
		if (failed < 0)
			return failed;
		sockets_discard(r->sockets[i]);
	}
	return 0;
}

int plane_run_start(struct plane_server *s, const struct plane_kind *kind, unsigned workers,
		    const struct plane_marks *marks, struct diag *d)
{
	struct plane_running *r = mem_new(1, sizeof *r);
	struct sad *sad = NULL;
	int failed;

	r->kind = kind;
	r->server = s;
	r->workers = workers;
	s->run = r;
	if ((failed = adopt(s, r, d)) < 0 || (failed = kind->make(r, marks, &sad, d)) < 0) {
		close_sockets(r);
		free(TAKE(s->run));
		return failed;
	}
	run(r, sad);
	return 0;
}

void plane_run_stop(struct plane_running *r)
{
	for (size_t i = 0; i < ARRAY_LEN(r->polls); i++)
		if (r->polls[i].data)
			uv_close((uv_handle_t *)&r->polls[i], handle_closed);
	uv_close((uv_handle_t *)&r->timer, handle_closed);
	uv_close((uv_handle_t *)&r->turn, handle_closed);
	sad_free(r->sad);
	close_sockets(r);
}
