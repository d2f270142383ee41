#include "control/server.h"

#include "base/diag.h"
#include "base/mem.h"
#include "control/frame.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	CALLS_MOST = 64,
	BACKLOG = 16,
	REQUEST_WAIT_MS = 10000, /* a connection that asks nothing must not take another's place */
	FIRST_CAP = 4096,
};

struct control_call {
	uv_pipe_t pipe;
	uv_timer_t patience;
	struct control_server *server;
	struct control_call *next;
	uint8_t *octets; /* header and text of the request, as far as they came */
	size_t len, cap;
	unsigned open_handles;
	bool asked, kept, closing;
	char caller[40];
};

struct control_server {
	uv_pipe_t pipe;
	struct control_handlers handlers;
	struct control_call *calls;
	size_t count;
	char *path;
	bool closing, pipe_closed;
};

struct reply {
	uv_write_t write;
	uint8_t *frame;
};

/* ---- the end of things ------------------------------------------------------------------------------------------- */

static void server_free_when_done(struct control_server *s)
{
	if (!s->pipe_closed || s->calls)
		return;
	free(s->path);
	free(s);
}

static void call_free(struct control_call *c)
{
	struct control_server *s = c->server;

	for (struct control_call **p = &s->calls; *p; p = &(*p)->next)
		if (*p == c) {
			*p = c->next;
			break;
		}
	s->count--;
	if (c->octets)
		explicit_bzero(c->octets, c->cap);
	free(c->octets);
	free(c);
	server_free_when_done(s);
}

static void handle_closed(uv_handle_t *h)
{
	struct control_call *c = h->data;

	if (--c->open_handles == 0)
		call_free(c);
}

static void call_close(struct control_call *c)
{
	if (c->closing)
		return;
	c->closing = true;
	if (c->kept)
		c->server->handlers.gone(c->server->handlers.context, c);
	uv_close((uv_handle_t *)&c->pipe, handle_closed);
	uv_close((uv_handle_t *)&c->patience, handle_closed);
}

/* ---- replies ----------------------------------------------------------------------------------------------------- */

static void reply_written(uv_write_t *w, int status)
{
	struct reply *r = (struct reply *)w;
	struct control_call *c = w->data;

	free(r->frame);
	free(r);
	if (status < 0 && status != UV_ECANCELED)
		call_close(c);
}

void control_reply(struct control_call *c, json_t *value)
{
	struct reply *r = mem_new(1, sizeof *r);
	size_t len = 0;
	uv_buf_t buf;

	r->frame = frame_make(value, &len);
	if (!r->frame)
		r->frame =
			frame_make(json_pack("{s:b,s:s}", "ok", 0, "error", "the answer is too long to be sent"), &len);
	r->write.data = c;
	buf = uv_buf_init((char *)r->frame, (unsigned)len);
	if (c->closing || uv_write(&r->write, (uv_stream_t *)&c->pipe, &buf, 1, reply_written) < 0) {
		free(r->frame);
		free(r);
	}
}

void control_reply_error(struct control_call *c, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	control_reply(c, json_pack("{s:b,s:s+}", "ok", 0, "error", text, ""));
}

void control_keep(struct control_call *c)
{
	c->kept = true;
}

size_t control_backlog(const struct control_call *c)
{
	return uv_stream_get_write_queue_size((const uv_stream_t *)&c->pipe);
}

const char *control_caller(const struct control_call *c)
{
	return c->caller;
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static void serve(struct control_call *c)
{
	struct control_server *s = c->server;
	enum control_request what;
	json_t *request = NULL;
	struct diag d = { 0 };

	c->asked = true;
	(void)uv_timer_stop(&c->patience);
	if (frame_parse(c->octets + FRAME_HEADER, c->len - FRAME_HEADER, &request, &d) < 0 ||
	    control_check(request, &what, &d) < 0)
		control_reply_error(c, "%s", d.text);
	else
		s->handlers.request(s->handlers.context, c, what, request);
	json_decref(request);
	explicit_bzero(c->octets, c->cap);
	free(c->octets);
	c->octets = NULL;
	c->len = c->cap = 0;
}

/* One request a connection: what comes behind it is thrown away, and reading goes on only to see the end. */
static void give_room(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	static char nowhere[256];
	struct control_call *c = h->data;

	(void)suggested;
	if (c->asked) {
		*buf = uv_buf_init(nowhere, sizeof nowhere);
		return;
	}
	if (c->len == c->cap) {
		c->cap = c->cap ? c->cap * 2 : FIRST_CAP;
		c->octets = mem_resize(c->octets, c->cap, 1);
	}
	*buf = uv_buf_init((char *)c->octets + c->len, (unsigned)(c->cap - c->len));
}

static void came(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct control_call *c = stream->data;
	size_t want;

	(void)buf;
	if (n < 0) {
		call_close(c);
		return;
	}
	if (c->asked)
		return;
	c->len += (size_t)n;
	if (c->len < FRAME_HEADER)
		return;
	want = frame_length(c->octets);
	if (want == 0) {
		call_close(c);
		return;
	}
	if (c->len < FRAME_HEADER + want)
		return;
	c->len = FRAME_HEADER + want;
	serve(c);
}

static void lost_patience(uv_timer_t *t)
{
	call_close(t->data);
}

/* The local files only: a name service may ask the network, and the network may wait for us. */
static void name_caller(struct control_call *c)
{
	struct ucred peer = { .uid = (uid_t)-1 };
	socklen_t len = sizeof peer;
	struct passwd *p;
	uv_os_fd_t fd;
	FILE *f;

	if (uv_fileno((uv_handle_t *)&c->pipe, &fd) == 0)
		(void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	(void)snprintf(c->caller, sizeof c->caller, "uid %u", peer.uid);
	if (!(f = fopen("/etc/passwd", "re")))
		return;
	while ((p = fgetpwent(f)))
		if (p->pw_uid == peer.uid) {
			(void)snprintf(c->caller, sizeof c->caller, "%s", p->pw_name);
			break;
		}
	(void)fclose(f);
}

static void connected(uv_stream_t *listener, int status)
{
	struct control_server *s = listener->data;
	struct control_call *c;

	if (status < 0)
		return;
	c = mem_new(1, sizeof *c);
	c->server = s;
	c->open_handles = 2;
	c->next = s->calls;
	s->calls = c;
	s->count++;
	(void)uv_pipe_init(listener->loop, &c->pipe, 0);
	(void)uv_timer_init(listener->loop, &c->patience);
	c->pipe.data = c->patience.data = c;
	if (uv_accept(listener, (uv_stream_t *)&c->pipe) < 0 || s->count > CALLS_MOST) {
		call_close(c);
		return;
	}
	name_caller(c);
	if (uv_timer_start(&c->patience, lost_patience, REQUEST_WAIT_MS, 0) < 0 ||
	    uv_read_start((uv_stream_t *)&c->pipe, give_room, came) < 0)
		call_close(c);
}

/* ---- the socket -------------------------------------------------------------------------------------------------- */

bool control_group(gid_t *ret)
{
	FILE *f = fopen("/etc/group", "re");
	struct group *g;
	bool found = false;

	if (!f)
		return false;
	while (!found && (g = fgetgrent(f)))
		if (strcmp(g->gr_name, "cordon") == 0) {
			*ret = g->gr_gid;
			found = true;
		}
	(void)fclose(f);
	return found;
}

static int listen_on(struct control_server *s, struct diag *d)
{
	mode_t before = umask(0177); /* nobody else can connect before the group is set */
	int r = uv_pipe_bind(&s->pipe, s->path);
	gid_t group;

	(void)umask(before);
	if (r < 0)
		return diag_errno(d, r, "bind %s", s->path);
	if (control_group(&group) && (chown(s->path, 0, group) < 0 || chmod(s->path, 0660) < 0))
		return diag_errno(d, errno, "give %s to the group cordon", s->path);
	if ((r = uv_listen((uv_stream_t *)&s->pipe, BACKLOG, connected)) < 0)
		return diag_errno(d, r, "listen on %s", s->path);
	return 0;
}

static void listener_closed(uv_handle_t *h)
{
	struct control_server *s = h->data;

	s->pipe_closed = true;
	server_free_when_done(s);
}

int control_server_new(uv_loop_t *loop, const char *path, const struct control_handlers *h, struct control_server **ret,
		       struct diag *d)
{
	struct control_server *s;
	int r;

	if (unlink(path) < 0 && errno != ENOENT)
		return diag_errno(d, errno, "replace %s", path);
	s = mem_new(1, sizeof *s);
	s->handlers = *h;
	s->path = mem_string(path);
	(void)uv_pipe_init(loop, &s->pipe, 0);
	s->pipe.data = s;
	if ((r = listen_on(s, d)) < 0) {
		control_server_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

void control_server_close(struct control_server *s)
{
	struct control_call *next;

	if (!s || s->closing)
		return;
	s->closing = true;
	for (struct control_call *c = s->calls; c; c = next) {
		next = c->next;
		call_close(c);
	}
	uv_close((uv_handle_t *)&s->pipe, listener_closed); /* libuv unlinks what it has bound */
}
