/* The userspace plane in the loop's thread. */
#include "daemon/dataplane/plane_userspace.h"

#include "base/diag.h"
#include "base/log.h"
#include "daemon/dataplane/nat_reader.h"
#include "daemon/dataplane/plane_run.h"
#include "daemon/dataplane/plane_tell.h"

struct esp_config plane_esp_config(struct plane_server *s, const struct plane_marks *m)
{
	return (struct esp_config){
		.own_mark = m->own, .plan = s->made.plan, .event = plane_heard, .now_ms = plane_now_ms, .context = s
	};
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

static void read_udp(struct plane_running *r, size_t socket)
{
	nat_reader_read(&(struct nat_reader){ .own = r->own,
					      .sad = r->sad,
					      .too_big = esp_encapsulated_too_big,
					      .ike = plane_run_ike,
					      .context = r },
			r->sockets[0], socket);
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
	.read_udp = read_udp,
	.set_tun = set_tun,
	.set_plan = sad_set_plan,
	.ask_again = esp_ask_again,
};
