/* The userspace plane in the loop's thread. */
#include "daemon/dataplane/plane_userspace.h"

#include "base/diag.h"
#include "base/log.h"
#include "daemon/dataplane/plane_run.h"
#include "daemon/dataplane/plane_tell.h"

struct esp_config plane_esp_config(struct plane_server *s, const struct plane_marks *m)
{
	return (struct esp_config){
		.own_mark = m->own, .plan = s->made.plan, .event = plane_heard, .now_ms = plane_now_ms, .context = s
	};
}

void plane_take_esp(struct sad *own, const struct datagram *g)
{
	esp_encapsulated(own, &(struct esp_datagram){ .local = g->local,
						      .remote = g->remote,
						      .local_port = g->local_port,
						      .remote_port = g->remote_port,
						      .tos = g->tos,
						      .ttl = g->ttl,
						      .octets = (uint8_t *)(uintptr_t)g->octets, /* sockets.h */
						      .len = g->len,
						      .segment = g->segment });
}

static int make(struct plane_running *r, const struct plane_marks *m, struct sad **ret, struct diag *d)
{
	struct plane_server *s = r->server;
	struct esp_config c = plane_esp_config(s, m);

	esp_fds_discard(&s->fds[0]);
	c.fds = &s->fds[0];
	for (size_t i = 0; i < 2; i++)
		c.nat[i] = sockets_fd(r->sockets[0], SOCKETS_NAT4 + i);
	return esp_new(&c, ret, d);
}

static struct sad *own(struct sad *sad)
{
	return sad;
}

static int no_news(const struct sad *sad)
{
	(void)sad;
	return -1;
}

static void too_big(struct sad *sad, const struct datagram *g, uint32_t mtu)
{
	esp_encapsulated_too_big(sad, &g->remote, g->octets, g->len, mtu);
}

static void set_tun(struct sad *sad, unsigned worker, int fd)
{
	struct diag d = { 0 };

	(void)worker;
	if (esp_set_tun(sad, fd, &d) < 0)
		log_error("%s", d.text);
}

const struct plane_kind plane_alone = {
	.seals = true,
	.make = make,
	.own = own,
	.fd = esp_fd,
	.readable = esp_readable,
	.deadline = esp_deadline,
	.tick = esp_tick,
	.news_fd = no_news,
	.begin = esp_begin,
	.esp = plane_take_esp,
	.end = esp_end,
	.too_big = too_big,
	.set_tun = set_tun,
	.set_plan = sad_set_plan,
	.ask_again = esp_ask_again,
};
