/* The userspace plane in several threads, each with sockets of its own (dataplane/esp/crew.h). */
#include "daemon/dataplane/plane_userspace.h"

#include "base/mem.h"
#include "daemon/dataplane/nat_reader.h"
#include "daemon/dataplane/plane_run.h"
#include "daemon/dataplane/plane_tell.h"
#include "dataplane/esp/crew.h"

#include <stdlib.h>
#include <string.h>

/* ---- in the other threads ---------------------------------------------------------------------------------------- */

struct worker {
	const struct plane_running *run;
	struct sad *crew;
};

/* IKE comes to the first socket, but the kernel may have joined one of its datagrams with ESP that came with it. */
struct strayed {
	struct datagram g;
	uint8_t octets[];
};

static void strayed_home(void *context, const void *octets, size_t len)
{
	struct datagram g;

	memcpy(&g, octets, sizeof g);
	g.octets = (const uint8_t *)octets + sizeof g;
	if (len == sizeof g + g.len)
		plane_run_ike(context, &g);
}

static void worker_ike(void *context, const struct datagram *g)
{
	const struct worker *w = context;
	struct strayed *s = mem_new(1, sizeof *s + g->len);

	s->g = *g;
	memcpy(s->octets, g->octets, g->len);
	crew_tell(w->crew, strayed_home, (void *)(uintptr_t)w->run, s, sizeof *s + g->len);
	free(s);
}

static void worker_datagrams(void *context, struct sad *crew, unsigned member, unsigned which, struct sad *own)
{
	struct worker w = { .run = context, .crew = crew };

	nat_reader_read(
		&(struct nat_reader){
			.own = own, .sad = crew, .too_big = crew_too_big, .ike = worker_ike, .context = &w },
		w.run->sockets[member], SOCKETS_NAT4 + which);
}

/* ---- in the loop's ----------------------------------------------------------------------------------------------- */

static int make(struct plane_running *r, const struct plane_marks *m, struct sad **ret, struct diag *d)
{
	struct plane_server *s = r->server;
	struct crew_config c = { .all = plane_esp_config(s, m),
				 .count = r->workers,
				 .datagrams = worker_datagrams,
				 .datagrams_context = r };

	for (unsigned i = 0; i < r->workers; i++) {
		struct crew_member *member = &c.members[i];

		esp_fds_discard(&s->fds[i]);
		member->fds = &s->fds[i];
		for (size_t k = 0; k < 2; k++) {
			member->nat[k] = sockets_fd(r->sockets[i], SOCKETS_NAT4 + k);
			member->polled[k] = sockets_fds(r->sockets[i])[SOCKETS_NAT4 + k];
		}
	}
	return crew_new(&c, ret, d);
}

static struct sad *own(struct sad *sad)
{
	return crew_own(sad);
}

static void read_udp(struct plane_running *r, size_t socket)
{
	nat_reader_read(
		&(struct nat_reader){
			.own = r->own, .sad = r->sad, .too_big = crew_too_big, .ike = plane_run_ike, .context = r },
		r->sockets[0], socket);
}

const struct plane_kind plane_crew = {
	.seals = true,
	.make = make,
	.own = own,
	.fd = esp_fd,
	.readable = esp_readable,
	.deadline = esp_deadline,
	.tick = esp_tick,
	.news_fd = crew_fd,
	.news = crew_read,
	.read_udp = read_udp,
	.set_tun = crew_set_tun,
	.set_plan = sad_set_plan,
	.ask_again = crew_ask_again,
};
