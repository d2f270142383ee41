/* What the kernel says without being asked. Everybody's states and policies are spoken of there: what is not on our
 * list is none of our business. */
#include "dataplane/xfrm/plane.h"

#include "policy/reqid.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum { HEAR_MOST = 128, DATAGRAM_MOST = 8192 };

static void heard_expire(struct xfrm_plane *x, const struct message_in *m)
{
	struct state *st = states_of_id(&x->states, &m->id);

	if (!st)
		return;
	if (m->hard)
		xfrm_expire_pair(x, st);
	else
		xfrm_expire_soft(x, st);
}

static void heard_mapping(struct xfrm_plane *x, const struct message_in *m)
{
	struct state *st = states_of_id(&x->states, &m->id);
	struct sad_event e = { .kind = SAD_MOVED };

	if (!st || !st->spec.inbound || !st->spec.encap_local_port || !st->spec.nat || !m->moved_to.family ||
	    (st->moved_told_ms && x->now - st->moved_told_ms < MOVED_TOLD_MS))
		return;
	st->moved_told_ms = x->now ? x->now : 1;
	e.pair = st->spec.pair;
	e.spi = st->spec.spi;
	e.packet = (struct plan_packet){ .local = st->spec.local,
					 .remote = m->moved_to,
					 .protocol = IPPROTO_UDP,
					 .local_port = st->spec.encap_local_port,
					 .remote_port = m->new_port };
	xfrm_tell(x, &e, NULL);
}

void hear_one(struct xfrm_plane *x, const struct message_in *m)
{
	if (m->kind == MESSAGE_ACQUIRE)
		waits_heard(x, m);
	else if (m->kind == MESSAGE_EXPIRE)
		heard_expire(x, m);
	else if (m->kind == MESSAGE_MAPPING)
		heard_mapping(x, m);
	else if (m->kind == MESSAGE_POLICY_GONE || m->kind == MESSAGE_POLICIES_GONE)
		mend_heard_policy(x, m);
	else if (m->kind == MESSAGE_STATE_GONE || m->kind == MESSAGE_STATES_GONE)
		mend_heard_state(x, m);
}

void hear_all(struct xfrm_plane *x)
{
	_Alignas(8) uint8_t octets[DATAGRAM_MOST];

	for (int i = 0; i < HEAR_MOST; i++) {
		struct sockaddr_nl from = { 0 };
		socklen_t from_len = sizeof from;
		ssize_t n = recvfrom(x->fds.fd[XFRM_FD_HEAR], octets, sizeof octets, MSG_DONTWAIT,
				     (struct sockaddr *)&from, &from_len);
		const uint8_t *at = octets;
		struct message_in m;
		size_t left;

		if (n < 0 && errno == ENOBUFS) {
			if (x->loss_ms == 0)
				x->loss_ms = x->now + LOSS_MS;
			continue;
		}
		if (n < 0 && errno != EINTR)
			return;
		if (n <= 0 || from.nl_pid != 0) /* from the kernel alone */
			continue;
		left = (size_t)n;
		while (message_next(&at, &left, &m))
			hear_one(x, &m);
	}
}
