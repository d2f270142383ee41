#include "control/client.h"

#include "base/diag.h"
#include "base/mem.h"
#include "control/frame.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct control_link {
	int fd;
	char path[sizeof((struct sockaddr_un){ 0 }).sun_path];
};

static int explain(const struct control_link *l, int error, struct diag *d)
{
	if (error == EACCES || error == EPERM)
		return diag_fail(d, EACCES, "%s: only root and members of the group cordon may ask cordond", l->path);
	return diag_fail(d, error, "nothing answers on %s. Is cordond running?  systemctl status cordon", l->path);
}

int control_connect(const char *run_dir, struct control_link **ret, struct diag *d)
{
	SCOPED(control_link_freep) struct control_link *l = mem_new(1, sizeof *l);
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	l->fd = -1;
	if (snprintf(l->path, sizeof l->path, "%s/control", run_dir) >= (int)sizeof l->path)
		return diag_fail(d, ENAMETOOLONG, "%s/control is too long a name for a socket", run_dir);
	memcpy(to.sun_path, l->path, sizeof to.sun_path);
	if ((l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0)
		return diag_errno(d, errno, "socket");
	if (connect(l->fd, (struct sockaddr *)&to, sizeof to) < 0)
		return explain(l, errno, d);
	*ret = TAKE(l);
	return 0;
}

void control_link_free(struct control_link *l)
{
	if (!l)
		return;
	if (l->fd >= 0)
		(void)close(l->fd);
	free(l);
}

int control_send(struct control_link *l, const json_t *request, struct diag *d)
{
	enum control_request what;
	size_t len = 0, sent = 0;
	uint8_t *frame;
	int r;

	if ((r = control_check(request, &what, d)) < 0)
		return r;
	if (!(frame = frame_make(json_deep_copy(request), &len)))
		return diag_fail(d, EMSGSIZE, "the request is over %d MB", CONTROL_FRAME_MOST >> 20);
	while (sent < len) {
		ssize_t n = send(l->fd, frame + sent, len - sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			r = diag_errno(d, errno, "send to %s", l->path);
			break;
		}
		sent += (size_t)n;
	}
	explicit_bzero(frame, len);
	free(frame);
	return r;
}

static int read_all(struct control_link *l, uint8_t *to, size_t len, struct diag *d)
{
	while (len) {
		ssize_t n = recv(l->fd, to, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return diag_fail(d, ETIMEDOUT, "cordond did not answer in time on %s", l->path);
		if (n == 0 || (n < 0 && errno == ECONNRESET))
			return diag_fail(d, ECONNRESET, "cordond ended while it was asked:  systemctl status cordon");
		if (n < 0)
			return diag_errno(d, errno, "read from %s", l->path);
		to += n;
		len -= (size_t)n;
	}
	return 0;
}

bool control_answers(struct control_link *l, unsigned wait_ms)
{
	return poll(&(struct pollfd){ .fd = l->fd, .events = POLLIN }, 1, (int)wait_ms) != 0;
}

int control_receive(struct control_link *l, unsigned wait_s, json_t **ret, struct diag *d)
{
	struct timeval wait = { .tv_sec = wait_s };
	uint8_t header[FRAME_HEADER], *text;
	size_t len;
	int r;

	(void)setsockopt(l->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
	if ((r = read_all(l, header, sizeof header, d)) < 0)
		return r;
	if ((len = frame_length(header)) == 0)
		return diag_fail(d, ERR_SYNTAX, "%s answers something else than cordond would", l->path);
	text = mem_new(len, 1);
	if ((r = read_all(l, text, len, d)) == 0)
		r = frame_parse(text, len, ret, d);
	free(text);
	return r;
}

int control_ask(const char *run_dir, const json_t *request, json_t **ret, struct diag *d)
{
	SCOPED(control_link_freep) struct control_link *l = NULL;
	int r;

	if ((r = control_connect(run_dir, &l, d)) < 0 || (r = control_send(l, request, d)) < 0)
		return r;
	return control_receive(l, CONTROL_ANSWER_S, ret, d);
}
