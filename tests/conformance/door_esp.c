/* The userspace plane behind the suite's door. */
#include "dataplane/esp/esp.h"
#include "dataplane/esp/keeper.h"
#include "dataplane/esp/plane.h"
#include "tests/conformance/door_esp.h"

#include <sys/socket.h>
#include <unistd.h>

static int open_plane(struct world *w, struct diag *d)
{
	struct esp_fds fds = esp_fds_none();
	struct esp_config c = { .fds = &fds,
				.own_mark = MARK_OWN,
				.nat = { w->udp, w->udp6 },
				.plan = w->plan,
				.event = world_event,
				.now_ms = world_now_ms,
				.context = w };
	struct tun_keeper *keeper = NULL;
	int r;

	if ((r = tun_keeper_new("cordon0", 1, &keeper, d)) < 0 || (r = esp_fds_open(MARK_OWN, &fds, d)) < 0)
		return r;
	w->own = keeper;
	fds.fd[ESP_FD_TUN] = dup(tun_keeper_tun(keeper, 0));
	return esp_new(&c, &w->sad, d);
}

static void close_plane(struct world *w)
{
	tun_keeper_free(w->own);
}

bool door_esp_seed(struct sad *plane, uint32_t spi, uint64_t number)
{
	size_t bucket = 0;

	for (struct sa *sa = sa_next(&plane->sas, &bucket, NULL); sa; sa = sa_next(&plane->sas, &bucket, sa))
		if (!sa->spec.inbound && sa->spec.spi == spi) {
			sa->sequence = number;
			return true;
		}
	return false;
}

static bool seed(struct world *w, uint32_t spi, uint64_t number)
{
	return door_esp_seed(w->sad, spi, number);
}

void door_esp_begin_udp(struct world *w, int fd, uint8_t family)
{
	(void)w;
	(void)fd;
	(void)family;
}

/* As the daemon does with what is neither IKE nor a keep-alive. */
void door_esp_read_udp(const struct world *w, struct sad *own, int fd)
{
	uint8_t room[ESP_DATAGRAM_HEADROOM + PACKET_MOST], *octets = room + ESP_DATAGRAM_HEADROOM;
	struct sockaddr_storage from = { 0 };
	socklen_t len = sizeof from;
	ssize_t n = recvfrom(fd, octets, PACKET_MOST, 0, (struct sockaddr *)&from, &len);
	struct esp_datagram g = { .local = fd == w->udp ? w->local : w->local6,
				  .local_port = ENCAP_PORT,
				  .ttl = 64,
				  .octets = octets,
				  .len = (size_t)n };

	if (n <= 4 || !addr_from_sockaddr(&from, &g.remote, &g.remote_port))
		return;
	esp_begin(own);
	esp_encapsulated(own, &g);
	esp_end(own);
}

static void read_udp(struct world *w, int fd)
{
	door_esp_read_udp(w, w->sad, fd);
}

const struct door door_esp = {
	.name = "userspace",
	.many = MANY_MOST,
	.knows_spis = true,
	.open = open_plane,
	.close = close_plane,
	.fd = esp_fd,
	.readable = esp_readable,
	.deadline = esp_deadline,
	.tick = esp_tick,
	.seed = seed,
	.begin_udp = door_esp_begin_udp,
	.read_udp = read_udp,
};
