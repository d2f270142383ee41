#include "dataplane/xfrm/open.h"

#include "base/diag.h"
#include "base/scope.h"
#include "dataplane/xfrm/ask.h"
#include "dataplane/xfrm/ears.h"
#include "dataplane/xfrm/plane.h"
#include "policy/reqid.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/in6.h>
#include <linux/netlink.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IP_XFRM_POLICY
#define IP_XFRM_POLICY 17
#endif
#ifndef IPV6_XFRM_POLICY
#define IPV6_XFRM_POLICY 35
#endif

enum { HEAR_BUFFER = 8 * 1024 * 1024, ASK_BUFFER = 1024 * 1024, PROBE_S = 5 };

struct xfrm_fds xfrm_fds_none(void)
{
	struct xfrm_fds f;

	for (size_t i = 0; i < XFRM_FD_COUNT; i++)
		f.fd[i] = -1;
	return f;
}

void xfrm_fds_close(struct xfrm_fds *f)
{
	for (size_t i = 0; i < XFRM_FD_COUNT; i++)
		if (f->fd[i] >= 0)
			(void)close(f->fd[i]);
	*f = xfrm_fds_none();
}

static int netlink_open(uint32_t groups, int buffer, struct diag *d)
{
	struct sockaddr_nl own = { .nl_family = AF_NETLINK, .nl_groups = groups };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_XFRM);

	if (fd < 0)
		return diag_errno(d, errno, "the kernel has no XFRM");
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
	if (bind(fd, (const struct sockaddr *)&own, sizeof own) < 0) {
		int error = errno;

		(void)close(fd);
		return diag_errno(d, error, "listen to the kernel's XFRM");
	}
	return fd;
}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
enum { NUMBER_HIGH = offsetof(struct nlmsghdr, nlmsg_seq) + 3, TYPE_LOW = offsetof(struct nlmsghdr, nlmsg_type) };
#else
enum { NUMBER_HIGH = offsetof(struct nlmsghdr, nlmsg_seq), TYPE_LOW = offsetof(struct nlmsghdr, nlmsg_type) + 1 };
#endif

/* Of who changed something: not what we did ourselves, which is most, nor what others add, keys included. */
static int hear_others(int fd, struct diag *d)
{
	static struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, NUMBER_HIGH),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ASK_OURS >> 24, 4, 0),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, TYPE_LOW),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, XFRM_MSG_NEWSA, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, XFRM_MSG_UPDSA, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, XFRM_MSG_NEWPOLICY, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	static const struct sock_fprog program = { sizeof code / sizeof *code, code };

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0)
		return diag_errno(d, errno, "choose what to hear of the kernel's XFRM");
	return 0;
}

static uint32_t group(unsigned number)
{
	return UINT32_C(1) << (number - 1);
}

static int raw_open(unsigned family, int protocol)
{
	int fd = socket(family == 4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_CLOEXEC, protocol), on = 1;

	if (fd < 0)
		return -1;
	if (family == 6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
	if (xfrm_exempt_socket(fd, family, false, NULL) < 0) { /* it would hear nothing */
		(void)close(fd);
		return -1;
	}
	return fd;
}

int xfrm_fds_open(struct xfrm_fds *ret, struct diag *d)
{
	SCOPED(xfrm_fds_close) struct xfrm_fds f = xfrm_fds_none();
	int r;

	if ((r = f.fd[XFRM_FD_ASK] = netlink_open(0, ASK_BUFFER, d)) < 0 ||
	    (r = f.fd[XFRM_FD_HEAR] =
		     netlink_open(group(XFRMNLGRP_ACQUIRE) | group(XFRMNLGRP_EXPIRE) | group(XFRMNLGRP_MAPPING) |
					  group(XFRMNLGRP_SA) | group(XFRMNLGRP_POLICY),
				  HEAR_BUFFER, d)) < 0 ||
	    (r = hear_others(f.fd[XFRM_FD_HEAR], d)) < 0)
		return r;
	/* What may be missing: without statistics on this kernel, or IPv6. */
	f.fd[XFRM_FD_STAT] = open("/proc/thread-self/net/xfrm_stat", O_RDONLY | O_CLOEXEC);
	f.fd[XFRM_FD_ESP4] = raw_open(4, IPPROTO_ESP);
	f.fd[XFRM_FD_ESP6] = raw_open(6, IPPROTO_ESP);
	f.fd[XFRM_FD_AH4] = raw_open(4, IPPROTO_AH);
	f.fd[XFRM_FD_AH6] = raw_open(6, IPPROTO_AH);
	ears_open(&f, false);
	*ret = f;
	f = xfrm_fds_none();
	return 0;
}

/* ---- without a plane --------------------------------------------------------------------------------------------- */

static int probe_family(struct asker *a, unsigned family, struct diag *d)
{
	_Alignas(8) uint8_t m[MESSAGE_MOST];
	struct addr own = { .family = (uint8_t)family };
	struct sa_spec spec = { .spi = 0x434f5244, /* nobody has it in the moment that it is there */
				.local = own,
				.remote = own,
				.esn = true,
				.suite = { .protocol = PROTO_ESP, .encr = algorithm_by_name(ALG_ENCR, "aes256gcm", 9) },
				.selector = { .local = own, .remote = own, .protocol = 255 } };
	static const struct xfrm_mark leaves = { .v = 1, .m = 3 };
	struct message_in in = { 0 };
	struct state_id id;
	int r;

	own.octets[addr_octets(&own) - 1] = 1;
	if (family == 4)
		own.octets[0] = 127;
	spec.local = spec.remote = own;
	spec.selector.local = spec.selector.remote = own;
	id = state_id_of(&spec);
	spec.encr_key.len = (size_t)spec.suite.encr->key + spec.suite.encr->salt;
	r = ask_one(a, m, message_state(m, sizeof m, &spec, REQID_OURS, leaves, PROBE_S, false), NULL);
	if (r < 0 && r != -EEXIST)
		return diag_errno(d, -r, "the kernel takes no ESP state of IPv%u", family);
	r = ask_one(a, m, message_state_get(m, sizeof m, &id), &in);
	(void)ask_one(a, m, message_state_remove(m, sizeof m, &id), NULL);
	/* A kernel that does not know the mark takes the state and says nothing of it. */
	if (r < 0 || in.leaves.v != leaves.v || in.leaves.m != leaves.m)
		return diag_fail(d, ERR_UNSUPPORTED, "the kernel cannot mark the ESP that it sends (Linux 4.19 can)");
	return 0;
}

int xfrm_probe(struct diag *d)
{
	struct asker a = { .fd = netlink_open(0, ASK_BUFFER, d) };
	int six = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	if (a.fd < 0)
		return a.fd;
	r = probe_family(&a, 4, d);
	if (r == 0 && six >= 0)
		r = probe_family(&a, 6, d);
	if (six >= 0)
		(void)close(six);
	(void)close(a.fd);
	return r;
}

static const char larval_drop[] = "/proc/sys/net/core/xfrm_larval_drop";

bool xfrm_packets_wait(void)
{
	int fd = open(larval_drop, O_RDONLY | O_CLOEXEC);
	char now = '1';

	if (fd >= 0) {
		(void)!read(fd, &now, 1);
		(void)close(fd);
	}
	return now == '0';
}

static int set_larval_drop(char to, struct diag *d)
{
	int fd = open(larval_drop, O_WRONLY | O_CLOEXEC), r = 0;

	if (fd < 0 || write(fd, &to, 1) != 1)
		r = diag_errno(d, errno, "net.core.xfrm_larval_drop");
	if (fd >= 0)
		(void)close(fd);
	return r;
}

int xfrm_hold_packets(struct diag *d)
{
	return set_larval_drop('0', d);
}

void xfrm_drop_packets(void)
{
	(void)set_larval_drop('1', NULL);
}

int xfrm_exempt_socket(int fd, unsigned family, bool encap, struct diag *d)
{
	static const uint8_t directions[] = { XFRM_POLICY_IN, XFRM_POLICY_OUT };
	int kind = UDP_ENCAP_ESPINUDP;

	for (size_t i = 0; i < sizeof directions; i++) {
		struct xfrm_userpolicy_info p = { .dir = directions[i],
						  .action = XFRM_POLICY_ALLOW,
						  .sel.family = family == 4 ? AF_INET : AF_INET6 };

		if (setsockopt(fd, family == 4 ? IPPROTO_IP : IPPROTO_IPV6,
			       family == 4 ? IP_XFRM_POLICY : IPV6_XFRM_POLICY, &p, sizeof p) < 0)
			return diag_errno(d, errno, "exempt IKE's socket from the kernel's IPsec policies");
	}
	if (encap && setsockopt(fd, IPPROTO_UDP, UDP_ENCAP, &kind, sizeof kind) < 0)
		return diag_errno(d, errno, "let the kernel take ESP in UDP");
	return 0;
}

int xfrm_remove_all(struct diag *d)
{
	struct asker a = { .fd = netlink_open(0, ASK_BUFFER, d) };
	struct policies p;
	int r;

	if (a.fd < 0)
		return a.fd;
	policies_init(&p, &a);
	r = policies_remove_all(&p, d);
	policies_wipe(&p);
	if (r == 0)
		r = xfrm_remove_states(&a, d);
	(void)close(a.fd);
	return r;
}
