#include "dataplane/esp/raw.h"

#include "base/diag.h"
#include "base/scope.h"
#include "dataplane/esp/ip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netpacket/packet.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IPV6_FLOWINFO /* in <linux/in6.h>, which does not go together with <netinet/in.h> */
#define IPV6_FLOWINFO 11
#endif

enum { BUFFERS = 8 << 20 };

struct option_row {
	int level, name, value;
	bool needed;
	const char *what;
};

static int set_options(int fd, const struct option_row *rows, size_t n, struct diag *d)
{
	for (size_t i = 0; i < n; i++)
		if (setsockopt(fd, rows[i].level, rows[i].name, &rows[i].value, sizeof rows[i].value) < 0 &&
		    rows[i].needed)
			return diag_errno(d, errno, "raw IPsec socket: %s", rows[i].what);
	return 0;
}

int raw_open(int family, uint8_t protocol, uint32_t mark, int *ret_fd, struct diag *d)
{
	/* The path MTU is ours to keep (path.h): the kernel is not to refuse by what it believes of it. */
	const struct option_row both[] = {
		{ SOL_SOCKET, SO_MARK, (int)mark, true, "SO_MARK" },
		{ SOL_SOCKET, SO_RCVBUFFORCE, BUFFERS, false, "receive buffer" },
		{ SOL_SOCKET, SO_SNDBUFFORCE, BUFFERS, false, "send buffer" },
	};
	static const struct option_row four[] = {
		{ IPPROTO_IP, IP_HDRINCL, 1, true, "IP_HDRINCL" },
		{ IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE, true, "IP_MTU_DISCOVER" },
		{ IPPROTO_IP, IP_RECVERR, 1, true, "IP_RECVERR" },
	};
	static const struct option_row six[] = {
		{ IPPROTO_IPV6, IPV6_HDRINCL, 1, true, "IPV6_HDRINCL" },
		{ IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE, true, "IPV6_MTU_DISCOVER" },
		{ IPPROTO_IPV6, IPV6_RECVERR, 1, true, "IPV6_RECVERR" },
		{ IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, true, "IPV6_RECVPKTINFO" },
		{ IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1, true, "IPV6_RECVHOPLIMIT" },
		{ IPPROTO_IPV6, IPV6_FLOWINFO, 1, true, "IPV6_FLOWINFO" },
	};
	/* AH covers the extension headers in front of it. */
	static const struct option_row six_ah[] = {
		{ IPPROTO_IPV6, IPV6_RECVHOPOPTS, 1, true, "IPV6_RECVHOPOPTS" },
		{ IPPROTO_IPV6, IPV6_RECVRTHDR, 1, true, "IPV6_RECVRTHDR" },
		{ IPPROTO_IPV6, IPV6_RECVDSTOPTS, 1, true, "IPV6_RECVDSTOPTS" },
	};
	int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol), r;

	if (fd < 0 && errno == EPERM)
		return diag_fail(d, EPERM, "may not open a raw socket: it needs root or the capability NET_RAW");
	if (fd < 0)
		return diag_errno(d, errno, "open a raw IPsec socket");
	if ((r = set_options(fd, both, ARRAY_LEN(both), d)) < 0 ||
	    (r = family == AF_INET ? set_options(fd, four, ARRAY_LEN(four), d)
				   : set_options(fd, six, ARRAY_LEN(six), d)) < 0 ||
	    (r = family == AF_INET6 && protocol == IP_AH ? set_options(fd, six_ah, ARRAY_LEN(six_ah), d) : 0) < 0) {
		(void)close(fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

int raw_open_too_big6(int *ret_fd, struct diag *d)
{
	enum {
		NEXT = 6,
		TYPE = IP6_HEADER,
		QUOTED_NEXT = IP6_HEADER + 8 + 6,
		BEHIND_ONE = IP6_HEADER + 8 + IP6_HEADER
	};
	enum { TOO_BIG = 2, ALL = 2048 };
	/* ICMPv6, packet too big, that quotes AH; or AH behind one header: hop-by-hop, routing, fragment, destination.
	 */
	static struct sock_filter rows[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, NEXT),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IP_ICMP6, 0, 11),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, TYPE),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TOO_BIG, 0, 9),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, QUOTED_NEXT),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IP_AH, 6, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 43, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 44, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 60, 0, 3),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, BEHIND_ONE),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IP_AH, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, ALL),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog program = { ARRAY_LEN(rows), rows };
	const int yes = 1;
	/* Protocol 0 hears nothing until it is bound, when the filter stands. */
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return diag_errno(d, errno, "open a packet socket");
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &yes, sizeof yes) < 0) {
		int error = errno;

		(void)close(fd);
		return diag_errno(d, error, "packet socket");
	}
	*ret_fd = fd;
	return 0;
}

int raw_bind_too_big6(int fd)
{
	const struct sockaddr_ll every = { .sll_family = AF_PACKET, .sll_protocol = htons(ETHERTYPE_IPV6) };

	return bind(fd, (const struct sockaddr *)&every, sizeof every) < 0 ? -errno : 0;
}
