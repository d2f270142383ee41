#include "daemon/dataplane/drop_reader.h"

#include "base/limit.h"
#include "base/mem.h"
#include "base/table.h"
#include "daemon/tell/drop_event.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { DATAGRAMS_AT_ONCE = 16 };

struct drop_reader {
	uv_poll_t poll;
	int fd;
	void (*tell)(void *context, const struct event *e);
	void *context;
	const struct policy *policy;
	const struct plan *plan;
	struct limit dropped, connections; /* neither hides the other */
	uint64_t now_ms;
	uint8_t datagram[NFLOG_DATAGRAM_MOST];
};

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void came(void *context, const struct nflog_packet *p)
{
	struct drop_reader *r = context;
	struct event e;
	uint64_t key;

	if (!drop_event(p, r->policy, r->plan, &e))
		return;
	key = table_hash_secret(&e.remote, sizeof e.remote,
				table_hash_secret(e.rule, strlen(e.rule), (uint64_t)e.direction));
	key = table_hash_secret(e.reason, strlen(e.reason), key);
	if (e.id == EVENT_CONNECTION_CLEAR) /* its first packets are all of a new connection */
		key = table_hash_secret(&e.local_port, sizeof e.local_port, key);
	if (limit_take(e.id == EVENT_PACKET_DROPPED ? &r->dropped : &r->connections, key, r->now_ms, &e.left_out))
		r->tell(r->context, &e);
}

/* A few at a time: what the plane has to do comes first, and what does not fit the socket is lost. */
static void readable(uv_poll_t *poll, int status, int events)
{
	struct drop_reader *r = poll->data;

	(void)events;
	r->now_ms = now_ms();
	for (int i = 0; status == 0 && i < DATAGRAMS_AT_ONCE; i++) {
		ssize_t n = recv(r->fd, r->datagram, sizeof r->datagram, MSG_DONTWAIT);

		if (n == 0)
			(void)uv_poll_stop(poll); /* another one comes, or none */
		if (n <= 0)
			break;
		(void)nflog_parse(r->datagram, (size_t)n, came, r);
	}
}

struct drop_reader *drop_reader_new(uv_loop_t *loop, int fd, void (*tell)(void *context, const struct event *e),
				    void *context)
{
	struct drop_reader *r = mem_new(1, sizeof *r);

	*r = (struct drop_reader){ .fd = fd, .tell = tell, .context = context };
	r->dropped.each = (struct limit_rate){ DROPS_EACH_S, DROPS_EACH_BURST };
	r->connections.each = (struct limit_rate){ DROPS_EACH_S, 1 };
	r->dropped.all = r->connections.all = (struct limit_rate){ DROPS_ALL_S, DROPS_ALL_BURST };
	if (uv_poll_init(loop, &r->poll, fd) < 0) {
		(void)close(fd);
		free(r);
		return NULL;
	}
	r->poll.data = r;
	(void)uv_poll_start(&r->poll, UV_READABLE, readable);
	return r;
}

static void closed(uv_handle_t *h)
{
	struct drop_reader *r = h->data;

	(void)close(r->fd);
	free(r);
}

void drop_reader_close(struct drop_reader *r)
{
	if (r)
		uv_close((uv_handle_t *)&r->poll, closed);
}

void drop_reader_set_plan(struct drop_reader *r, const struct policy *policy, const struct plan *plan)
{
	r->policy = policy;
	r->plan = plan;
}
