/* Four workers of the userspace plane behind the suite's door. */
#include "dataplane/esp/crew_inside.h"
#include "dataplane/esp/keeper.h"
#include "dataplane/esp/plane.h"
#include "tests/conformance/door_esp.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { WORKERS = 4 };

static struct {
	struct tun_keeper *keeper;
	int epoll; /* over the crew's descriptor and that of its first plane */
} door = { .epoll = -1 };

static int watch(int fd, struct diag *d)
{
	struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(door.epoll, EPOLL_CTL_ADD, fd, &e) < 0 ? diag_errno(d, errno, "epoll_ctl") : 0;
}

static int open_plane(struct world *w, struct diag *d)
{
	struct crew_config c = {
		.all = { .own_mark = MARK_OWN,
			 .plan = w->plan,
			 .event = world_event,
			 .now_ms = world_now_ms,
			 .context = w },
		.count = WORKERS,
	};
	struct esp_fds fds[WORKERS];
	int r;

	if ((r = tun_keeper_new("cordon0", WORKERS, &door.keeper, d)) < 0)
		return r;
	for (unsigned i = 0; i < WORKERS; i++) {
		if ((r = esp_fds_open(MARK_OWN, &fds[i], d)) < 0 ||
		    (r = esp_fds_share(&fds[i], &(struct share){ i, WORKERS }, d)) < 0)
			return r;
		fds[i].fd[ESP_FD_TUN] = dup(tun_keeper_tun(door.keeper, i));
		c.members[i] = (struct crew_member){ .fds = &fds[i], .nat = { w->udp, w->udp6 }, .polled = { -1, -1 } };
	}
	if ((r = crew_new(&c, &w->sad, d)) < 0)
		return r;
	door.epoll = epoll_create1(EPOLL_CLOEXEC);
	return (r = watch(crew_fd(w->sad), d)) < 0 ? r : watch(esp_fd(crew_own(w->sad)), d);
}

static void close_plane(struct world *w)
{
	(void)w;
	tun_keeper_free(door.keeper);
	(void)close(door.epoll);
}

static int fd_of(const struct sad *s)
{
	(void)s;
	return door.epoll;
}

static void readable(struct sad *s)
{
	crew_read(s);
	esp_readable(crew_own(s));
}

static uint64_t deadline(const struct sad *s)
{
	return esp_deadline(crew_own(s));
}

static void tick(struct sad *s)
{
	esp_tick(crew_own(s));
}

/* Nothing is sent meanwhile, and its thread answers a question before and after: each sees what the other did. */
static bool seed(struct world *w, uint32_t spi, uint64_t number)
{
	struct crew *c = (struct crew *)(void *)w->sad;
	bool done = false;

	(void)sad_usage(w->sad, NULL, 0);
	for (unsigned i = 0; i < c->count && !done; i++)
		done = door_esp_seed(c->members[i].sad, spi, number);
	(void)sad_usage(w->sad, NULL, 0);
	return done;
}

/* All comes by one socket here, so most of it goes from the first worker to another. */
static void read_udp(struct world *w, int fd)
{
	door_esp_read_udp(w, crew_own(w->sad), fd);
}

const struct door door_crew = {
	.name = "workers",
	.many = 1000, /* each is asked for when the one before is there, which takes four turns of two threads */
	.knows_spis = true,
	.open = open_plane,
	.close = close_plane,
	.fd = fd_of,
	.readable = readable,
	.deadline = deadline,
	.tick = tick,
	.seed = seed,
	.begin_udp = door_esp_begin_udp,
	.read_udp = read_udp,
};
