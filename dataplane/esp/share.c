#include "dataplane/esp/share.h"

#include "base/diag.h"
#include "base/scope.h"
#include "dataplane/esp/ip.h"
#include "dataplane/esp/octets.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_ATTACH_REUSEPORT_CBPF
#define SO_ATTACH_REUSEPORT_CBPF 51
#endif

enum { MIX = (int)0x9e3779b1, MIX_SHIFT = 16, AH_SPI = 4 };

unsigned share_of_addresses(const struct addr *local, const struct addr *remote, unsigned count)
{
	uint32_t h = 0;

	if (count <= 1)
		return 0;
	for (size_t at = 0; at < addr_octets(local); at += 4)
		h ^= get_u32(local->octets + at) ^ get_u32(remote->octets + at);
	return (h * (uint32_t)MIX >> MIX_SHIFT) % count;
}

unsigned share_of_spi(uint32_t spi, unsigned count)
{
	return count <= 1 ? 0 : spi % count;
}

/* ---- what leaves ------------------------------------------------------------------------------------------------- */

enum { R0, R6 = BPF_REG_6, R7 = BPF_REG_7 };

#define DO(operation, to, from, value) \
	{ \
		.code = BPF_ALU | (operation), .dst_reg = (to), .src_reg = (from), .imm = (value) \
	}
#define SKIP(operation, value, rows) \
	{ \
		.code = BPF_JMP | (operation) | BPF_K, .dst_reg = R0, .off = (rows), .imm = (value) \
	}
#define OCTET(at) \
	{ \
		.code = BPF_LD | BPF_ABS | BPF_B, .imm = (at) \
	}
/* A word of the packet joins the others. */
#define WORD(at) \
	{ .code = BPF_LD | BPF_ABS | BPF_W, .imm = (at) }, \
	{ \
		.code = BPF_ALU | BPF_XOR | BPF_X, .dst_reg = R7, .src_reg = R0 \
	}

/* share_of_addresses, without the last division, which is the device's: by the number of its queues. A packet that is
 * too short ends the program, with 0. */
static const struct bpf_insn by_addresses[] = {
	{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = R6, .src_reg = BPF_REG_1 },
	DO(BPF_MOV | BPF_K, R7, 0, 0),
	OCTET(0),
	DO(BPF_RSH | BPF_K, R0, 0, 4),
	SKIP(BPF_JEQ, 6, 5),
	WORD(12),
	WORD(16),
	{ .code = BPF_JMP | BPF_JA, .off = 16 },
	WORD(8),
	WORD(12),
	WORD(16),
	WORD(20),
	WORD(24),
	WORD(28),
	WORD(32),
	WORD(36),
	DO(BPF_MUL | BPF_K, R7, 0, MIX),
	DO(BPF_RSH | BPF_K, R7, 0, MIX_SHIFT),
	DO(BPF_MOV | BPF_X, R0, R7, 0),
	{ .code = BPF_JMP | BPF_EXIT },
};

int share_steer_tun(int fd, struct diag *d)
{
	union bpf_attr what = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
				.insns = (uint64_t)(uintptr_t)by_addresses,
				.insn_cnt = ARRAY_LEN(by_addresses),
				.license = (uint64_t)(uintptr_t) "GPL" };
	int program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &what, sizeof what), error;

	if (program < 0)
		return diag_errno(d, errno, "the kernel takes no program that deals packets out (BPF)");
	error = ioctl(fd, TUNSETSTEERINGEBPF, &program) < 0 ? errno : 0;
	(void)close(program);
	return error ? diag_errno(d, error, "the device's packets can't be dealt out") : 0;
}

/* ---- what comes -------------------------------------------------------------------------------------------------- */

/* The number of a socket, from the SPI; IKE stands behind four octets of zero. */
int share_steer_udp(int fd, unsigned count, struct diag *d)
{
	struct sock_filter rows[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, count),
		BPF_STMT(BPF_RET | BPF_A, 0),
	};
	const struct sock_fprog program = { ARRAY_LEN(rows), rows };

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) < 0)
		return diag_errno(d, errno, "UDP port 4500 can't be shared out");
	return 0;
}

/* The socket of IPv4 sees the IP header first. */
int share_filter_raw(int fd, int family, uint8_t protocol, const struct share *s, struct diag *d)
{
	const uint32_t spi = protocol == IP_AH ? AH_SPI : 0;
	struct sock_filter rows[] = {
		family == AF_INET ? (struct sock_filter)BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0)
				  : (struct sock_filter)BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_IND, spi),
		BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, s->count),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, s->index, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog program = { ARRAY_LEN(rows), rows };

	if (s->count <= 1)
		return 0;
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0)
		return diag_errno(d, errno, "filter of a raw socket");
	return 0;
}
