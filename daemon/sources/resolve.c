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

static void ended(void)
{
	if (--resolver.asked == 0)
		(void)uv_timer_stop(&resolver.tick);
}

static void begun(void)
{
	if (resolver.asked++ == 0)
		(void)uv_timer_start(&resolver.tick, tick, TICK_MS, TICK_MS);
}

static void answered(void *context, int status, int timeouts, struct ares_addrinfo *found)
{
	struct question *q = context;
	struct addr addresses[NAMES_ADDRESSES_MOST];
	size_t n = addresses_of(found, addresses);

	(void)timeouts;
	if (found)
		ares_freeaddrinfo(found);
	ended();
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
	begun();
	ares_getaddrinfo(resolver.channel, name, NULL, &hints, answered, q);
}

/* ---- services ---------------------------------------------------------------------------------------------------- */

enum { IN = 1, SRV = 33, SERVICES_MOST = 16 };

struct service_question {
	resolve_service_done *done;
	void *context;
};

/* Only what a host may be called: it is shown to people. */
static bool is_host(const char *text)
{
	size_t n = strlen(text);

	return n && n < NAME_MOST &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") == n;
}

/* The lowest priority goes first (RFC 2782). */
static size_t in_order(const struct ares_srv_reply *found, const char *ret[SERVICES_MOST])
{
	unsigned short priority[SERVICES_MOST];
	size_t n = 0;

	for (; found && n < SERVICES_MOST; found = found->next) {
		size_t at = n;

		if (!is_host(found->host))
			continue;
		for (; at && priority[at - 1] > found->priority; at--) {
			priority[at] = priority[at - 1];
			ret[at] = ret[at - 1];
		}
		priority[at] = found->priority;
		ret[at] = found->host;
		n++;
	}
	return n;
}

static void service_answered(void *context, int status, int timeouts, unsigned char *octets, int len)
{
	struct service_question *q = context;
	struct ares_srv_reply *found = NULL;
	const char *hosts[SERVICES_MOST];
	size_t n;

	(void)timeouts;
	ended();
	if (status == ARES_SUCCESS)
		status = ares_parse_srv_reply(octets, len, &found);
	n = status == ARES_SUCCESS ? in_order(found, hosts) : 0;
	q->done(q->context, hosts, n,
		n                        ? NULL
		: status == ARES_SUCCESS ? "there is none for this domain"
					 : ares_strerror(status));
	if (found)
		ares_free_data(found);
	free(q);
}

void resolve_service(const char *name, resolve_service_done *done, void *context)
{
	struct service_question *q = mem_new(1, sizeof *q);

	*q = (struct service_question){ done, context };
	tell_servers();
	begun();
	ares_query(resolver.channel, name, IN, SRV, service_answered, q);
}
