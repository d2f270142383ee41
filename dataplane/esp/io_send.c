#include "base/wire.h"
#include "dataplane/esp/io.h"
#include "dataplane/esp/packet.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdalign.h>
#include <string.h>
#include <sys/socket.h>

enum { SEND_BATCH = 64 }; /* messages in one system call */

/* One message to the wire: where to, and from where, so that the route is that of the source address. */
struct message {
	struct sockaddr_storage to;
	struct iovec part;
	alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	struct addr local, remote;
};

static void put_control(struct msghdr *h, int level, int type, const void *data, size_t n)
{
	struct cmsghdr *c = h->msg_control;

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(n);
	memcpy(CMSG_DATA(c), data, n);
	h->msg_controllen = CMSG_SPACE(n);
}

/* Our own packets: the version and the addresses stand where they must. */
static bool address_message(struct message *m, struct msghdr *h, uint8_t *packet, size_t len)
{
	struct wire_in in = wire_in(packet, len);
	bool v4 = packet[0] >> 4 == 4;

	m->local = m->remote = (struct addr){ .family = v4 ? 4 : 6 };
	(void)wire_octets(&in, v4 ? 12 : 8);
	wire_copy(&in, m->local.octets, addr_octets(&m->local));
	wire_copy(&in, m->remote.octets, addr_octets(&m->remote));
	m->part = (struct iovec){ packet, len };
	*h = (struct msghdr){ .msg_name = &m->to, .msg_iov = &m->part, .msg_iovlen = 1, .msg_control = m->control };
	h->msg_namelen = (socklen_t)addr_to_sockaddr(&m->remote, 0, &m->to);
	if (v4) {
		struct in_pktinfo from = { 0 };

		memcpy(&from.ipi_spec_dst, m->local.octets, 4);
		put_control(h, IPPROTO_IP, IP_PKTINFO, &from, sizeof from);
	} else {
		struct in6_pktinfo from = { 0 };

		memcpy(&from.ipi6_addr, m->local.octets, 16);
		put_control(h, IPPROTO_IPV6, IPV6_PKTINFO, &from, sizeof from);
	}
	return !in.failed;
}

/* sendmmsg stops at the first message that fails, and says so only when that is the first of the call. The failure may
 * be of an earlier packet, of which an ICMP error spoke since: the socket tells it in place of the next send, which is
 * then tried again, or whoever can make the peer's kernel complain could have packets lost. */
static void send_messages(struct esp_io *io, int fd, struct mmsghdr *headers, struct message *messages, unsigned n)
{
	bool again = false;

	for (unsigned at = 0; at < n;) {
		int r = fd < 0 ? -1 : sendmmsg(fd, headers + at, n - at, 0);

		if (r > 0) {
			at += (unsigned)r;
			again = false;
			continue;
		}
		if (fd >= 0 && errno == EINTR)
			continue;
		if (fd >= 0 && !again && errno != ENOBUFS && errno != EAGAIN) {
			again = true;
			continue;
		}
		if (fd >= 0 && errno == EMSGSIZE)
			path_doubt(&io->sad->paths, &messages[at].local, &messages[at].remote);
		io->sad->drops[DROP_SEND]++;
		again = false;
		at++;
	}
}

/* What waits to be sent by the raw sockets. */
struct raw_batch {
	struct mmsghdr headers[2][SEND_BATCH];
	struct message messages[2][SEND_BATCH];
	unsigned n[2];
};

static void checksum_udp(uint8_t *packet, size_t len)
{
	struct ip_packet ip;

	if (ip_parse(packet, len, &ip, NULL) == 0)
		esp_udp_checksum(packet, ip.head, len);
}

static void send_batch(struct esp_io *io, struct raw_batch *b, size_t six)
{
	send_messages(io, io->fds.fd[six ? ESP_FD_RAW6 : ESP_FD_RAW4], b->headers[six], b->messages[six], b->n[six]);
	b->n[six] = 0;
}

static void add_raw(struct esp_io *io, struct raw_batch *b, uint8_t *packet, const struct packet_out *row)
{
	size_t len = row->len;
	unsigned six = packet[0] >> 4 == 6;

	if (six && !io->hears_too_big6 && (packet[6] == IP_AH || packet[IP6_HEADER] == IP_AH))
		io_hear_too_big6(io);
	if (six && row->in_udp)
		checksum_udp(packet, len);
	if (!address_message(&b->messages[six][b->n[six]], &b->headers[six][b->n[six]].msg_hdr, packet, len))
		return;
	if (++b->n[six] == SEND_BATCH)
		send_batch(io, b, six);
}

static void send_raw(struct esp_io *io, struct raw_batch *b)
{
	send_batch(io, b, 0);
	send_batch(io, b, 1);
}

/* The two ways do not overtake one another: what waits for the one is sent before the other has its turn. */
void io_flush(void *context, struct packet_list *out)
{
	struct esp_io *io = context;
	struct raw_batch raw;
	struct nat_batch nat;
	bool any_to_tun = false;

	raw.n[0] = raw.n[1] = 0;
	nat.count = 0;
	nat.used = 0;
	for (size_t i = 0; i < out->count; i++) {
		uint8_t *packet = out->octets + out->rows[i].at;

		if (out->rows[i].to_tun) {
			any_to_tun = true;
		} else if (io_goes_by_nat(io, packet, &out->rows[i])) {
			send_raw(io, &raw);
			i += io_add_nat(io, &nat, out, i) - 1;
		} else {
			io_send_nat(io, &nat);
			add_raw(io, &raw, packet, &out->rows[i]);
		}
	}
	send_raw(io, &raw);
	io_send_nat(io, &nat);
	if (any_to_tun)
		io_write_tun(io, out);
}
