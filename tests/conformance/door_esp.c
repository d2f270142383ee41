/* The userspace plane behind the suite's door. */
#include "dataplane/esp/esp.h"
#include "dataplane/esp/keeper.h"
#include "dataplane/esp/plane.h"
#include "tests/conformance/world.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_plane(struct world *w, struct diag *d)
{
	struct esp_fds fds = esp_fds_none();
	struct esp_config c = { .fds = &fds,
				.own_mark = MARK_OWN,
				.plan = w->plan,
				.event = world_event,
				.now_ms = world_now_ms,
				.context = w };
	struct tun_keeper *keeper = NULL;
	int r;

	if ((r = tun_keeper_new("cordon0", &keeper, d)) < 0 || (r = esp_fds_open(MARK_OWN, &fds, d)) < 0)
		return r;
	w->own = keeper;
	fds.fd[ESP_FD_TUN] = dup(tun_keeper_tun(keeper));
	return esp_new(&c, &w->sad, d);
}

static void close_plane(struct world *w)
{
	tun_keeper_free(w->own);
}

static bool seed(struct world *w, uint32_t spi, uint64_t number)
{
	size_t bucket = 0;

	for (struct sa *sa = sa_next(&w->sad->sas, &bucket, NULL); sa; sa = sa_next(&w->sad->sas, &bucket, sa))
		if (!sa->spec.inbound && sa->spec.spi == spi) {
			sa->sequence = number;
			return true;
		}
	return false;
}

static void begin_udp(struct world *w)
{
	(void)w;
}

/* As the daemon does with what is neither IKE nor a keep-alive. */
static void read_udp(struct world *w)
{
	uint8_t room[ESP_DATAGRAM_HEADROOM + PACKET_MOST], *octets = room + ESP_DATAGRAM_HEADROOM;
	struct sockaddr_in from = { 0 };
	socklen_t len = sizeof from;
	ssize_t n = recvfrom(w->udp, octets, PACKET_MOST, 0, (struct sockaddr *)&from, &len);
	struct esp_datagram g = {
		.local = w->local, .local_port = ENCAP_PORT, .ttl = 64, .octets = octets, .len = (size_t)n
	};

	if (n <= 4)
		return;
	g.remote.family = 4;
	memcpy(g.remote.octets, &from.sin_addr, sizeof from.sin_addr);
	g.remote_port = ntohs(from.sin_port);
	esp_begin(w->sad);
	esp_encapsulated(w->sad, &g);
	esp_end(w->sad);
}

const struct door door_esp = {
	.name = "userspace",
	.knows_spis = true,
	.open = open_plane,
	.close = close_plane,
	.fd = esp_fd,
	.readable = esp_readable,
	.deadline = esp_deadline,
	.tick = esp_tick,
	.seed = seed,
	.begin_udp = begin_udp,
	.read_udp = read_udp,
};
