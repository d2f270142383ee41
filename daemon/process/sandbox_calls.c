/* The system calls of each child, as data. They are named, not numbered: a name that an architecture or a kernel's
 * headers do not know is passed over, since nothing can call it there. */
#include "base/diag.h"
#include "base/scope.h"
#include "daemon/process/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	KEYING = ROLE_BIT(ROLE_KEYING),
	KEYS = ROLE_BIT(ROLE_KEYS),
	DATAPLANE = ROLE_BIT(ROLE_DATAPLANE),
	SOURCES = ROLE_BIT(ROLE_SOURCES),
	ALL = KEYING | KEYS | DATAPLANE | SOURCES,
	THREADS = KEYING | KEYS | DATAPLANE, /* sources has one thread */
	PACKETS = KEYING | DATAPLANE,
};

struct call {
	const char *name;
	unsigned roles;
};

/* With whatever arguments. */
static const struct call calls[] = {
	/* what descriptors it has */
	{ "read", ALL },
	{ "write", ALL },
	{ "readv", ALL },
	{ "writev", ALL },
	{ "close", ALL },
	{ "lseek", ALL },
	{ "fstat", ALL },
	{ "newfstatat", ALL }, /* libc's fstat; there is no path to ask for */
	{ "recvmsg", ALL },
	{ "sendmsg", ALL },
	{ "recvfrom", ALL },
	{ "sendto", ALL },
	{ "recvmmsg", PACKETS },
	{ "sendmmsg", PACKETS },
	{ "getsockname", ALL },
	{ "getsockopt", ALL },
	{ "poll", ALL },
	{ "ppoll", ALL },
	{ "select", ALL },
	{ "pselect6", ALL },
	{ "epoll_create1", ALL },
	{ "epoll_ctl", ALL },
	{ "epoll_wait", ALL },
	{ "epoll_pwait", ALL },
	{ "epoll_pwait2", ALL },
	{ "eventfd2", ALL },
	{ "pipe2", ALL },
	{ "bind", DATAPLANE }, /* the packet socket that it was given */
	/* the network, for the one that looks for things there */
	{ "connect", SOURCES },
	{ "getpeername", SOURCES },
	/* memory that can be handed on */
	{ "memfd_create", KEYING | SOURCES },
	{ "ftruncate", KEYING | SOURCES },
	{ "pread64", ALL },
	{ "pwrite64", KEYING | SOURCES },
	/* memory */
	{ "brk", ALL },
	{ "munmap", ALL },
	{ "mremap", ALL },
	{ "madvise", ALL },
	{ "mlock", KEYING | KEYS },
	{ "mlock2", KEYING | KEYS },
	{ "munlock", KEYING | KEYS },
	{ "membarrier", ALL },
	/* threads and signals of its own */
	{ "futex", ALL },
	{ "futex_waitv", ALL },
	{ "set_robust_list", ALL },
	{ "rseq", ALL },
	{ "sched_yield", ALL },
	{ "sched_getaffinity", ALL },
	{ "sched_getscheduler", ALL },
	{ "sched_getparam", ALL },
	{ "getcpu", ALL },
	{ "rt_sigprocmask", ALL },
	{ "rt_sigreturn", ALL },
	{ "sigaltstack", ALL },
	{ "restart_syscall", ALL },
	{ "exit", ALL },
	{ "exit_group", ALL },
	/* time, chance and what it is */
	{ "clock_gettime", ALL },
	{ "clock_getres", ALL },
	{ "clock_nanosleep", ALL },
	{ "nanosleep", ALL },
	{ "gettimeofday", ALL },
	{ "time", ALL },
	{ "getrandom", ALL },
	{ "getpid", ALL },
	{ "getppid", ALL },
	{ "gettid", ALL },
	{ "getuid", ALL },
	{ "geteuid", ALL },
	{ "getgid", ALL },
	{ "getegid", ALL },
	{ "getrlimit", ALL },
	{ "getrusage", ALL },
	{ "times", ALL },
	{ "sysinfo", ALL }, /* libc's qsort */
	{ "uname", ALL },
};

struct guarded {
	const char *name;
	unsigned roles, count;
	struct scmp_arg_cmp arguments[3];
};

#define IS(n, value) \
	{ \
		(n), SCMP_CMP_EQ, (scmp_datum_t)(value), 0 \
	}
#define HAS(n, mask, value) \
	{ \
		(n), SCMP_CMP_MASKED_EQ, (scmp_datum_t)(mask), (scmp_datum_t)(value) \
	}
enum { TYPE = 0xf }; /* of a socket, without its flags */

/* With some arguments only; all of a row must hold, and of several rows one. */
static const struct guarded guarded[] = {
	/* shared memory would count for no limit */
	{ "mmap", ALL, 2, { HAS(2, PROT_EXEC, 0), HAS(3, MAP_SHARED, 0) } },
	{ "mprotect", ALL, 1, { HAS(2, PROT_EXEC, 0) } },
	{ "clone",
	  THREADS,
	  1,
	  { HAS(0, CLONE_THREAD | CLONE_VM | CLONE_SIGHAND, CLONE_THREAD | CLONE_VM | CLONE_SIGHAND) } },
	{ "fcntl", ALL, 1, { IS(1, F_GETFL) } },
	{ "fcntl", ALL, 1, { IS(1, F_SETFL) } },
	{ "fcntl", ALL, 1, { IS(1, F_GETFD) } },
	{ "fcntl", ALL, 1, { IS(1, F_SETFD) } },
	{ "fcntl", ALL, 1, { IS(1, F_DUPFD_CLOEXEC) } },
	{ "fcntl", ALL, 1, { IS(1, F_ADD_SEALS) } },
	{ "fcntl", ALL, 1, { IS(1, F_GET_SEALS) } },
	{ "ioctl", ALL, 1, { IS(1, FIONBIO) } },
	{ "ioctl", ALL, 1, { IS(1, FIONREAD) } },
	{ "ioctl", ALL, 1, { IS(1, TCGETS) } },           /* is it a terminal? */
	{ "socketpair", SOURCES, 1, { IS(0, AF_UNIX) } }, /* libcurl wakes itself by it */
	{ "prctl", ALL, 1, { IS(0, PR_SET_NAME) } },
	{ "prlimit64", ALL, 2, { IS(0, 0), IS(2, 0) } }, /* looks, changes nothing */
	/* Any signal but SIGSYS, which is 0x1f. The kernel looks at 32 of its 64 bits, so "another number" is not asked
	 * for: one of the low five bits is clear, or one above is set, of those that a signal may have. */
	{ "rt_sigaction", ALL, 1, { HAS(0, 0x01, 0) } },
	{ "rt_sigaction", ALL, 1, { HAS(0, 0x02, 0) } },
	{ "rt_sigaction", ALL, 1, { HAS(0, 0x04, 0) } },
	{ "rt_sigaction", ALL, 1, { HAS(0, 0x08, 0) } },
	{ "rt_sigaction", ALL, 1, { HAS(0, 0x10, 0) } },
	{ "rt_sigaction", ALL, 1, { HAS(0, 0x60, 0x20) } },
	/* What libcurl and c-ares set. Not SO_LINGER: whoever closes such a socket last waits, and that can be the
	 * parent when it was sent one. */
	{ "setsockopt", SOURCES, 2, { IS(1, SOL_SOCKET), IS(2, SO_KEEPALIVE) } },
	{ "setsockopt", SOURCES, 2, { IS(1, SOL_SOCKET), IS(2, SO_RCVBUF) } },
	{ "setsockopt", SOURCES, 2, { IS(1, SOL_SOCKET), IS(2, SO_SNDBUF) } },
	{ "setsockopt", SOURCES, 2, { IS(1, IPPROTO_TCP), IS(2, TCP_NODELAY) } },
	{ "setsockopt", SOURCES, 2, { IS(1, IPPROTO_TCP), IS(2, TCP_FASTOPEN_CONNECT) } },
	{ "setsockopt", SOURCES, 2, { IS(1, IPPROTO_TCP), IS(2, TCP_KEEPIDLE) } },
	{ "setsockopt", SOURCES, 2, { IS(1, IPPROTO_TCP), IS(2, TCP_KEEPINTVL) } },
	{ "setsockopt", SOURCES, 2, { IS(1, IPPROTO_TCP), IS(2, TCP_KEEPCNT) } },
	/* IKE on UDP port 4500 may be fragmented, ESP beside it says DF */
	{ "setsockopt", DATAPLANE, 2, { IS(1, IPPROTO_IP), IS(2, IP_MTU_DISCOVER) } },
	{ "setsockopt", DATAPLANE, 2, { IS(1, IPPROTO_IPV6), IS(2, IPV6_MTU_DISCOVER) } },
	{ "socket", SOURCES, 3, { IS(0, AF_INET), HAS(1, TYPE, SOCK_STREAM), IS(2, 0) } },
	{ "socket", SOURCES, 3, { IS(0, AF_INET), HAS(1, TYPE, SOCK_STREAM), IS(2, IPPROTO_TCP) } },
	{ "socket", SOURCES, 3, { IS(0, AF_INET), HAS(1, TYPE, SOCK_DGRAM), IS(2, 0) } },
	{ "socket", SOURCES, 3, { IS(0, AF_INET), HAS(1, TYPE, SOCK_DGRAM), IS(2, IPPROTO_UDP) } },
	{ "socket", SOURCES, 3, { IS(0, AF_INET6), HAS(1, TYPE, SOCK_STREAM), IS(2, 0) } },
	{ "socket", SOURCES, 3, { IS(0, AF_INET6), HAS(1, TYPE, SOCK_STREAM), IS(2, IPPROTO_TCP) } },
	{ "socket", SOURCES, 3, { IS(0, AF_INET6), HAS(1, TYPE, SOCK_DGRAM), IS(2, 0) } },
	{ "socket", SOURCES, 3, { IS(0, AF_INET6), HAS(1, TYPE, SOCK_DGRAM), IS(2, IPPROTO_UDP) } },
};

/* What libraries try, and do without when the kernel is too old for it. */
static const struct call too_new[] = {
	{ "clone3", ALL }, /* its arguments lie in memory, where a filter can't look */
	{ "io_uring_setup", ALL },
	{ "statx", ALL },
};

/* What a library tries, and does without where there is no file: libkrb5 looks for plug-ins whenever it begins anew,
 * libuv at its first stream wants a descriptor to spare.
 * The kernel does not do the call. */
static const struct call no_file[] = {
	{ "openat", KEYS | SOURCES },
};

/* A name that is no call of this architecture is negative. */
static bool number_of(const char *name, int *ret)
{
	*ret = seccomp_syscall_resolve_name_arch(SCMP_ARCH_NATIVE, name);
	return *ret >= 0;
}

static int add_rows(scmp_filter_ctx filter, enum role role)
{
	int number, r = 0;

	for (size_t i = 0; i < ARRAY_LEN(calls) && r == 0; i++)
		if (calls[i].roles & ROLE_BIT(role) && number_of(calls[i].name, &number))
			r = seccomp_rule_add_exact(filter, SCMP_ACT_ALLOW, number, 0);
	for (size_t i = 0; i < ARRAY_LEN(guarded) && r == 0; i++)
		if (guarded[i].roles & ROLE_BIT(role) && number_of(guarded[i].name, &number))
			r = seccomp_rule_add_exact_array(filter, SCMP_ACT_ALLOW, number, guarded[i].count,
							 guarded[i].arguments);
	for (size_t i = 0; i < ARRAY_LEN(too_new) && r == 0; i++)
		if (too_new[i].roles & ROLE_BIT(role) && number_of(too_new[i].name, &number))
			r = seccomp_rule_add_exact(filter, SCMP_ACT_ERRNO(ENOSYS), number, 0);
	for (size_t i = 0; i < ARRAY_LEN(no_file) && r == 0; i++)
		if (no_file[i].roles & ROLE_BIT(role) && number_of(no_file[i].name, &number))
			r = seccomp_rule_add_exact(filter, SCMP_ACT_ERRNO(ENOENT), number, 0);
	/* abort() and raise(): signals to itself. */
	if (r == 0 && number_of("tgkill", &number))
		r = seccomp_rule_add_exact(filter, SCMP_ACT_ALLOW, number, 1,
					   SCMP_A0_64(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
	/* Nobody takes the place of the handler that tells of a forbidden call, which itself ends by this. */
	if (r == 0 && number_of("rt_sigaction", &number))
		r = seccomp_rule_add_exact(filter, SCMP_ACT_KILL_PROCESS, number, 1,
					   SCMP_A0_64(SCMP_CMP_EQ, SIGSYS, 0));
	return r;
}

static void filter_release(scmp_filter_ctx *filter)
{
	seccomp_release(*filter);
}

int sandbox_calls_limit(enum role role, const char **ret_off, struct diag *d)
{
	SCOPED(filter_release) scmp_filter_ctx filter = NULL;
	const uint32_t wanted = SECCOMP_RET_KILL_PROCESS;
	int r;

	*ret_off = NULL;
	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &wanted) < 0) {
		*ret_off = "this kernel has no seccomp: its system calls are not limited";
		return 0;
	}
	if (!(filter = seccomp_init(SCMP_ACT_TRAP)))
		return diag_fail(d, ENOMEM, "libseccomp makes no filter");
	if ((r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS)) < 0 ||
	    (r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1)) < 0 || (r = add_rows(filter, role)) < 0)
		return diag_errno(d, r, "make the list of system calls");
	/* A tree of comparisons instead of a list: older libraries have none. */
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if ((r = seccomp_load(filter)) < 0)
		return diag_errno(d, r, "limit the system calls");
	return 0;
}

void sandbox_call_name(uint32_t number, char ret[SANDBOX_CALL])
{
	char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, (int)number);

	if (name)
		(void)snprintf(ret, SANDBOX_CALL, "%s", name);
	else
		(void)snprintf(ret, SANDBOX_CALL, "number %u", number);
	free(name);
}
