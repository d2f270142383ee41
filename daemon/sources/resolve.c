#include "daemon/sources/resolve.h"

#include "base/mem.h"

#include <ares.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

enum { TICK_MS = 200, TRIES = 2 };

/* A socket of c-ares. */
struct watched {
	uv_poll_t poll;
	LIST_ENTRY(watched) entry;
	ares_socket_t fd;
};

struct question {
	resolve_done *done;
	void *context;
};

/* One for the process. */
static struct {
	ares_channel channel;
	uv_loop_t *loop;
	uv_timer_t tick;
	struct names *names;
	bool fresh; /* names whose servers c-ares was not told yet */
	unsigned asked;
	LIST_HEAD(all_watched, watched) watched;
} resolver;

/* ---- c-ares on our loop ------------------------------------------------------------------------------------------ */

static void ready(uv_poll_t *p, int status, int events)
{
	const struct watched *w = p->data;
	ares_socket_t fd = w->fd;

	ares_process_fd(resolver.channel, status < 0 || events & UV_READABLE ? fd : ARES_SOCKET_BAD,
			status < 0 || events & UV_WRITABLE ? fd : ARES_SOCKET_BAD);
}

static void closed(uv_handle_t *h)
{
	free(h->data);
}

static struct watched *watched_of(ares_socket_t fd)
{
	struct watched *w;

	LIST_FOREACH(w, &resolver.watched, entry)
		if (w->fd == fd)
			return w;
	return NULL;
}

static void socket_state(void *context, ares_socket_t fd, int readable, int writable)
{
	struct watched *w = watched_of(fd);

	(void)context;
	if (!readable && !writable) {
		if (w) {
			LIST_REMOVE(w, entry);
			uv_close((uv_handle_t *)&w->poll, closed);
		}
		return;
	}
	if (!w) {
		w = mem_new(1, sizeof *w);
		w->fd = fd;
		w->poll.data = w;
		if (uv_poll_init(resolver.loop, &w->poll, fd) < 0) {
			free(w); /* the question's time will end */
			return;
		}
		LIST_INSERT_HEAD(&resolver.watched, w, entry);
	}
	(void)uv_poll_start(&w->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0), ready);
}

static void tick(uv_timer_t *t)
{
	(void)t;
	ares_process_fd(resolver.channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

/* ---- from beginning to end --------------------------------------------------------------------------------------- */

int resolve_prepare(struct diag *d)
{
	struct ares_options o = { .flags = ARES_FLAG_NOALIASES | ARES_FLAG_NOSEARCH,
				  .timeout = RESOLVE_TIME_MS,
				  .tries = TRIES,
				  .lookups = (char[]){ "b" }, /* not files */
				  .sock_state_cb = socket_state };
	int r = ares_library_init(ARES_LIB_INIT_ALL);

	if (r == ARES_SUCCESS)
		r = ares_init_options(&resolver.channel, &o,
				      ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
					      ARES_OPT_SOCK_STATE_CB);
	if (r != ARES_SUCCESS)
		return diag_fail(d, ERR_UNSUPPORTED, "c-ares: %s", ares_strerror(r));
	return 0;
}

void resolve_start(uv_loop_t *loop)
{
	resolver.loop = loop;
	resolver.names = names_parse("", 0, "", 0);
	LIST_INIT(&resolver.watched);
	(void)uv_timer_init(loop, &resolver.tick);
}

/* c-ares takes other servers only while it asks nobody. */
static void tell_servers(void)
{
	if (resolver.fresh && resolver.asked == 0)
		resolver.fresh =
			ares_set_servers_ports_csv(resolver.channel, names_servers(resolver.names)) != ARES_SUCCESS;
}

void resolve_names(struct names *n)
{
	names_free(resolver.names);
	resolver.names = n;
	resolver.fresh = true;
	tell_servers();
}

static size_t addresses_of(const struct ares_addrinfo *found, struct addr ret[NAMES_ADDRESSES_MOST])
{
	size_t n = 0;

	for (const struct ares_addrinfo_node *a = found ? found->nodes : NULL; a && n < NAMES_ADDRESSES_MOST;
	     a = a->ai_next) {
		struct sockaddr_storage ss = { 0 };

		if ((size_t)a->ai_addrlen > sizeof ss)
			continue;
		memcpy(&ss, a->ai_addr, a->ai_addrlen);
		n += addr_from_sockaddr(&ss, &ret[n], NULL);
	}
	return n;
}

static void answered(void *context, int status, int timeouts, struct ares_addrinfo *found)
{
	struct question *q = context;
	struct addr addresses[NAMES_ADDRESSES_MOST];
	size_t n = addresses_of(found, addresses);

	(void)timeouts;
	if (found)
		ares_freeaddrinfo(found);
	if (--resolver.asked == 0)
		(void)uv_timer_stop(&resolver.tick);
	q->done(q->context, addresses, n,
		n                        ? NULL
		: status == ARES_SUCCESS ? "the name has no address"
					 : ares_strerror(status));
	free(q);
}

void resolve(const char *name, resolve_done *done, void *context)
{
	struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC, .ai_flags = ARES_AI_NOSORT };
	struct addr addresses[NAMES_ADDRESSES_MOST];
	size_t n = names_look_up(resolver.names, name, addresses);
	struct question *q;

	if (n) {
		done(context, addresses, n, NULL);
		return;
	}
	tell_servers();
	q = mem_new(1, sizeof *q);
	*q = (struct question){ done, context };
	if (resolver.asked++ == 0)
		(void)uv_timer_start(&resolver.tick, tick, TICK_MS, TICK_MS);
	ares_getaddrinfo(resolver.channel, name, NULL, &hints, answered, q);
}
