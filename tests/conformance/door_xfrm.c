/* The kernel's plane behind the suite's door. */
#include "dataplane/xfrm/plane.h"
#include "tests/conformance/world.h"

#include "dataplane/xfrm/build.h"
#include "dataplane/xfrm/convert.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

static int open_plane(struct world *w, struct diag *d)
{
	struct xfrm_fds fds = xfrm_fds_none();
	struct xfrm_config c = { .fds = &fds,
				 .clear = { { MARK_OWN, MARK_OWN } },
				 .plan = w->plan,
				 .event = world_event,
				 .now_ms = world_now_ms,
				 .context = w };
	int r;

	if ((r = xfrm_hold_packets(d)) < 0 || (r = xfrm_fds_open(&fds, d)) < 0)
		return r;
	return xfrm_new(&c, &w->sad, d);
}

static void close_plane(struct world *w)
{
	int before = world_in(w->ns_host);

	(void)xfrm_remove_all(NULL);
	world_back(before);
}

/* The kernel takes the whole of an SA's numbers from who may change it. */
static bool seed(struct world *w, uint32_t spi, uint64_t number)
{
	struct xfrm_plane *x = (struct xfrm_plane *)(void *)w->sad;
	_Alignas(8) uint8_t m[MESSAGE_MOST];
	struct xfrm_replay_state_esn *numbers;
	struct xfrm_aevent_id *about;
	struct state *st = NULL;
	struct state_id id;
	struct build b;

	for (size_t i = 0; i < x->states.count; i++)
		if (!x->states.all[i]->spec.inbound && x->states.all[i]->spec.spi == spi)
			st = x->states.all[i];
	about = st ? build_begin(&b, m, sizeof m, XFRM_MSG_NEWAE, NLM_F_REPLACE, sizeof *about) : NULL;
	if (!about)
		return false;
	id = state_id_of(&st->spec);
	about->sa_id.daddr = convert_addr(&id.to);
	about->sa_id.spi = htonl(id.spi);
	about->sa_id.family = convert_family(st->spec.local.family);
	about->sa_id.proto = id.protocol;
	about->saddr = convert_addr(&st->spec.local);
	about->reqid = st->reqid;
	numbers = build_space(&b, XFRMA_REPLAY_ESN_VAL, sizeof *numbers + sizeof numbers->bmp[0]);
	if (!numbers)
		return false;
	numbers->bmp_len = 1;
	numbers->replay_window = 32;
	numbers->oseq = (uint32_t)number;
	numbers->oseq_hi = (uint32_t)(number >> 32);
	return ask_one(&x->asker, m, build_end(&b), NULL) == 0;
}

static void begin_udp(struct world *w, int fd, uint8_t family)
{
	struct diag d = { 0 };

	if (!world_check(w, xfrm_exempt_socket(fd, family, true, &d) == 0, "a socket of UDP 4500 is the kernel's"))
		(void)printf("      %s\n", d.text);
}

static void read_udp(struct world *w, int fd)
{
	uint8_t octets[PACKET_MOST];

	(void)w;
	(void)recv(fd, octets, sizeof octets, 0); /* the kernel takes what is ESP */
}

const struct door door_xfrm = {
	.name = "kernel",
	.many = MANY_MOST,
	.open = open_plane,
	.close = close_plane,
	.fd = xfrm_fd,
	.readable = xfrm_readable,
	.deadline = xfrm_deadline,
	.tick = xfrm_tick,
	.seed = seed,
	.begin_udp = begin_udp,
	.read_udp = read_udp,
};
