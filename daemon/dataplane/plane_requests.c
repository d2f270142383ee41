/* What keying asks of the data plane: sad.h's requests, and what is sent by UDP 4500. */
#include "daemon/dataplane/plane_server.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/scope.h"
#include "daemon/dataplane/plane_run.h"
#include "daemon/dataplane/plane_tell.h"
#include "daemon/messages/datagram_wire.h"
#include "daemon/messages/sad_wire.h"

#include <errno.h>
#include <stdlib.h>

static void tell_orphans(struct plane_server *s)
{
	size_t n = sad_usage(s->run->sad, NULL, 0);
	struct sa_usage *rows = mem_new(n + 1, sizeof *rows);

	n = sad_usage(s->run->sad, rows, n);
	for (size_t i = 0; i < n; i++) {
		struct wire_out *out = channel_begin(s->client, ASK_SAD_ORPHAN);

		wire_put_u64(out, rows[i].pair);
		selector_encode(out, &rows[i].selector);
		channel_end(s->client);
	}
	free(rows);
}

/* It hears what there is, and again what the one before it was asked and did not answer. */
int plane_on_hello(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct plane_server *s = plane_server_of(context);

	(void)body;
	(void)fds;
	s->client = c;
	if (++s->generation == 0)
		s->generation = 1;
	s->looked_ms = 0;
	if (!s->run)
		return 0;
	plane_say(c, ASK_SAD_UP);
	tell_orphans(s);
	s->run->kind->ask_again(s->run->sad);
	return 0;
}

/* The plane, if it is there and the asker is whom it talks to. */
static struct sad *plane(const struct plane_server *s, const struct channel *c)
{
	return s->run && c == s->client ? s->run->sad : NULL;
}

static const char no_plane[] = "there is no data plane: protection is switched off";

int plane_on_reserve(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct plane_server *s = plane_server_of(context);
	uint64_t request = plane_inside(s, wire_u64(body));
	struct addr local = addr_decode(body), remote = addr_decode(body);
	struct sad *sad = plane(s, c);
	struct diag why = { 0 };
	int r;

	(void)fds;
	if (!wire_done(body) || !local.family || local.family != remote.family)
		return -EPROTO;
	r = sad ? sad_reserve_spi(sad, &local, &remote, request, &why) : diag_fail(&why, ENOTCONN, "%s", no_plane);
	if (r < 0)
		plane_tell_failure(s, request, &why);
	return 0;
}

int plane_on_release(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct sad *sad = plane(plane_server_of(context), c);

	(void)fds;
	if (sad)
		sad_release_spi(sad, wire_u32(body));
	return 0;
}

int plane_on_install(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct plane_server *s = plane_server_of(context);
	SCOPED(spec_wipe) struct sa_spec spec = { 0 };
	uint64_t request = plane_inside(s, wire_u64(body));
	struct sad *sad = plane(s, c);
	struct diag why = { 0 };
	int r;

	(void)fds;
	if (spec_decode(body, s->made.policy, &spec) < 0)
		return -EPROTO;
	spec.pair = plane_inside(s, spec.pair);
	r = sad ? sad_install(sad, &spec, request, &why) : diag_fail(&why, ENOTCONN, "%s", no_plane);
	if (r < 0)
		plane_tell_failure(s, request, &why);
	return 0;
}

int plane_on_remove(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct plane_server *s = plane_server_of(context);
	uint64_t pair = wire_u64(body), request = plane_inside(s, wire_u64(body));
	struct sad *sad = plane(s, c);
	struct diag why = { 0 };
	int r;

	(void)fds;
	r = sad ? sad_remove(sad, plane_inside(s, pair), request, &why) : diag_fail(&why, ENOTCONN, "%s", no_plane);
	if (r < 0)
		plane_tell_failure(s, request, &why);
	return 0;
}

int plane_on_stop(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct plane_server *s = plane_server_of(context);
	struct sad *sad = plane(s, c);

	(void)fds;
	if (sad)
		sad_stop_sending(sad, plane_inside(s, wire_u64(body)));
	return 0;
}

int plane_on_move(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct plane_server *s = plane_server_of(context);
	uint64_t pair = wire_u64(body);
	struct addr remote = addr_decode(body);
	uint16_t port = wire_u16(body);
	struct sad *sad = plane(s, c);

	(void)fds;
	if (!wire_done(body) || !remote.family)
		return -EPROTO;
	if (sad)
		sad_move(sad, plane_inside(s, pair), &remote, port);
	return 0;
}

int plane_on_held(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	bool clear = wire_u8(body);
	struct sa_selector selector = selector_decode(body);
	struct sad *sad = plane(plane_server_of(context), c);

	(void)fds;
	if (!wire_done(body))
		return -EPROTO;
	if (sad)
		sad_release_held(sad, &selector, clear);
	return 0;
}

/* Of what has had packets since the last time. */
static void tell_usage(struct plane_server *s)
{
	size_t n = sad_usage(s->run->sad, NULL, 0), put = 0;
	struct sa_usage *rows = mem_new(n + 1, sizeof *rows);
	struct wire_out *out = NULL;

	n = sad_usage(s->run->sad, rows, n);
	for (size_t i = 0; i < n; i++) {
		struct sa_usage *u = &rows[i];

		if (!plane_is_own(s, u->pair) || (u->last_in_ms < s->looked_ms && u->last_out_ms < s->looked_ms))
			continue;
		if (put == 0)
			out = channel_begin(s->client, ASK_SAD_USAGE);
		u->pair = plane_outside(s, u->pair);
		usage_encode(out, u);
		if (++put == USAGE_WIRE_ROWS) {
			channel_end(s->client);
			put = 0;
		}
	}
	if (put)
		channel_end(s->client);
	free(rows);
	s->looked_ms = plane_now_ms(NULL);
}

int plane_on_look(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct plane_server *s = plane_server_of(context);
	const struct sad *sad = plane(s, c);
	struct wire_out *out;

	(void)body;
	(void)fds;
	if (sad)
		tell_usage(s);
	out = channel_begin(c, ASK_SAD_DROPS);
	for (int i = 0; i < DROP_COUNT; i++)
		wire_put_u64(out, sad ? sad_dropped(sad, (enum sad_drop)i) : 0);
	channel_end(c);
	return 0;
}

int plane_on_ike(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct plane_server *s = plane_server_of(context);
	struct datagram g;

	(void)fds;
	if (datagram_decode(body, &g) < 0 || g.local_port != IKE_NAT_PORT)
		return -EPROTO;
	if (plane(s, c))
		sockets_send(s->run->sockets[0], &g);
	return 0;
}

int plane_on_keep_alive(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct plane_server *s = plane_server_of(context);
	struct datagram g;

	(void)fds;
	if (datagram_decode(body, &g) < 0 || g.local_port != IKE_NAT_PORT || g.len)
		return -EPROTO;
	if (plane(s, c))
		sockets_keep_alive(s->run->sockets[0], &g.local, &g.remote, g.remote_port);
	return 0;
}
