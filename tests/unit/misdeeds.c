#include "tests/unit/misdeeds.h"

#include "base/scope.h"
#include "daemon/process/asks.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	KEYING = ROLE_BIT(ROLE_KEYING),
	KEYS = ROLE_BIT(ROLE_KEYS),
	DATAPLANE = ROLE_BIT(ROLE_DATAPLANE),
	SOURCES = ROLE_BIT(ROLE_SOURCES),
	ALL = KEYING | KEYS | DATAPLANE | SOURCES,
};

/* ---- what is tried: true means that it went well ----------------------------------------------------------------- */

static bool reads_a_file(void)
{
	return open("/etc/shadow", O_RDONLY) >= 0;
}

static bool looks_around(void)
{
	return open("..", O_RDONLY | O_DIRECTORY) >= 0;
}

static bool opens_raw(void)
{
	return socket(AF_INET, SOCK_RAW, IPPROTO_RAW) >= 0;
}

static bool opens_packet(void)
{
	return socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ALL)) >= 0;
}

static bool opens_netlink(void)
{
	return socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE) >= 0;
}

static bool opens_unix(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0) >= 0;
}

static bool opens_ping(void)
{
	return socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP) >= 0;
}

static bool opens_tcp(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0;
}

static bool opens_udp(void)
{
	return socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0) >= 0 || errno == EAFNOSUPPORT;
}

static bool listens(void)
{
	return listen(3, 1) == 0;
}

static bool runs(void)
{
	return execl("/bin/true", "true", (char *)NULL) == 0;
}

static bool forks(void)
{
	return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) >= 0;
}

static bool traces(void)
{
	return ptrace(PTRACE_ATTACH, getppid(), 0, 0) == 0;
}

static bool reads_others(void)
{
	char c;
	struct iovec here = { &c, 1 }, there = { &c, 1 };

	return process_vm_readv(getppid(), &here, 1, &there, 1, 0) == 1;
}

static bool kills(void)
{
	return kill(getppid(), 0) == 0;
}

static bool kills_by_thread(void)
{
	return syscall(SYS_tgkill, getppid(), getppid(), 0) == 0;
}

static bool mounts(void)
{
	return mount("none", "/", "tmpfs", 0, NULL) == 0;
}

static bool leaves(void)
{
	return unshare(CLONE_NEWUSER) == 0;
}

static bool joins(void)
{
	return setns(0, 0) == 0;
}

static bool becomes_root(void)
{
	return setresuid(0, 0, 0) == 0;
}

static bool loads_modules(void)
{
	return syscall(SYS_init_module, "", 0, "") == 0;
}

static bool makes_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static bool turns_data_into_code(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0;
}

static bool loads_bpf(void)
{
	return syscall(SYS_bpf, 0, NULL, 0) >= 0;
}

static bool raises_limits(void)
{
	struct rlimit l = { 1 << 20, 1 << 20 };

	return setrlimit(RLIMIT_NOFILE, &l) == 0;
}

static bool silences_the_alarm(void)
{
	return signal(SIGSYS, SIG_IGN) != SIG_ERR;
}

static bool blocks_the_alarm(void)
{
	sigset_t all;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, NULL);
	return runs();
}

static bool sets_the_clock(void)
{
	struct timespec t = { 0 };

	return clock_settime(CLOCK_REALTIME, &t) == 0;
}

static bool adds_keys(void)
{
	return syscall(SYS_add_key, "user", "a", "b", 1, -1) >= 0;
}

static bool sets_options(void)
{
	int on = 1;

	return setsockopt(3, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) == 0;
}

/* Whoever closes it last waits: the parent, if it is sent one. */
static bool lingers(void)
{
	struct linger l = { 1, 3600 };

	return setsockopt(3, SOL_SOCKET, SO_LINGER, &l, sizeof l) == 0;
}

/* The kernel looks at the low half of these numbers only. */
static const long high_half = (long)(1ul << 32);

static bool lingers_by_another_number(void)
{
	struct linger l = { 1, 3600 };

	return syscall(SYS_setsockopt, 3, high_half | SOL_SOCKET, high_half | SO_LINGER, &l, sizeof l) == 0;
}

static bool silences_the_alarm_by_another_number(void)
{
	const unsigned long ignore[4] = { 1 }; /* SIG_IGN, as the kernel has it */

	return syscall(SYS_rt_sigaction, high_half | SIGSYS, ignore, NULL, 8) == 0;
}

/* The words of all go one way. */
static bool ends_the_log(void)
{
	return shutdown(STDERR_FILENO, SHUT_RDWR) == 0;
}

static void *nothing(void *context)
{
	return context;
}

static void *disobeys(void *context)
{
	(void)runs();
	return context;
}

static bool has_a_thread(void *(*what)(void *))
{
	pthread_t t;

	return pthread_create(&t, NULL, what, NULL) == 0 && pthread_join(t, NULL) == 0;
}

static bool makes_threads(void)
{
	return has_a_thread(nothing);
}

static bool disobeys_in_a_thread(void)
{
	return has_a_thread(disobeys);
}

static bool lives(void)
{
	char *much = malloc(64 << 20), random[16];
	int pipe_fds[2];
	struct stat st;

	if (much)
		memset(much, 1, 64 << 20);
	free(much);
	(void)signal(SIGUSR1, SIG_IGN);
	(void)usleep(1000);
	return much && fstat(3, &st) == 0 && pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) == 0 &&
	       getentropy(random, sizeof random) == 0 && fprintf(stderr, "%s", "") == 0 && !isatty(3);
}

static bool is_nobody(void)
{
	uid_t u[3];
	bool in_the_dark = true;

	/* getresuid is not for it, but geteuid and getuid are. */
	u[0] = getuid();
	u[1] = geteuid();
	u[2] = getgid();
	for (size_t i = 0; i < ARRAY_LEN(u); i++)
		in_the_dark = in_the_dark && u[i] != 0;
	return in_the_dark;
}

static bool aborts(void)
{
	abort();
}

/* For others to read, and not without end. */
static bool makes_a_file(void)
{
	int memory = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	return write(memory, "x", 1) == 1 && fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE) == 0 &&
	       ftruncate(memory, 192 << 20) < 0;
}

static bool shares_memory(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static bool takes_all_memory(void)
{
	return mmap(NULL, (size_t)3 << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static bool takes_all_descriptors(void)
{
	for (int i = 0; i < 1000; i++)
		if (fcntl(3, F_DUPFD_CLOEXEC, 0) < 0)
			return false;
	return true;
}

const struct misdeed misdeeds[] = {
	{ "lives", lives, ALL, FORBIDDEN, "", 0 },
	{ "is a user of its own", is_nobody, ALL, FORBIDDEN, "", 0 },
	{ "makes threads", makes_threads, KEYING | KEYS | DATAPLANE, FORBIDDEN, NULL, 0 },
	{ "opens TCP", opens_tcp, SOURCES, FORBIDDEN, "socket", 0 },
	{ "opens UDP", opens_udp, SOURCES, FORBIDDEN, "socket", 0 },
	{ "reads a file", reads_a_file, 0, FORBIDDEN, "openat", KEYS | SOURCES },
	{ "looks around", looks_around, 0, FORBIDDEN, "openat", KEYS | SOURCES },
	{ "opens a raw socket", opens_raw, 0, FORBIDDEN, "socket", 0 },
	{ "opens a packet socket", opens_packet, 0, FORBIDDEN, "socket", 0 },
	{ "opens netlink", opens_netlink, 0, FORBIDDEN, "socket", 0 },
	{ "opens a UNIX socket", opens_unix, 0, FORBIDDEN, "socket", 0 },
	{ "opens a ping socket", opens_ping, 0, FORBIDDEN, "socket", 0 },
	{ "listens", listens, 0, FORBIDDEN, "listen", 0 },
	{ "sets socket options", sets_options, SOURCES, FORBIDDEN, "setsockopt", 0 },
	{ "lingers", lingers, 0, FORBIDDEN, "setsockopt", 0 },
	{ "lingers by another number", lingers_by_another_number, 0, FORBIDDEN, "setsockopt", 0 },
	{ "ends the log", ends_the_log, 0, FORBIDDEN, "shutdown", 0 },
	{ "runs a program", runs, 0, FORBIDDEN, "execve", 0 },
	{ "forks", forks, 0, FORBIDDEN, "clone", 0 },
	{ "traces", traces, 0, FORBIDDEN, "ptrace", 0 },
	{ "reads another's memory", reads_others, 0, FORBIDDEN, "process_vm_readv", 0 },
	{ "kills", kills, 0, FORBIDDEN, "kill", 0 },
	{ "kills a thread", kills_by_thread, 0, FORBIDDEN, "tgkill", 0 },
	{ "mounts", mounts, 0, FORBIDDEN, "mount", 0 },
	{ "leaves its namespaces", leaves, 0, FORBIDDEN, "unshare", 0 },
	{ "joins a namespace", joins, 0, FORBIDDEN, "setns", 0 },
	{ "becomes root", becomes_root, 0, FORBIDDEN, "setresuid", 0 },
	{ "loads a module", loads_modules, 0, FORBIDDEN, "init_module", 0 },
	{ "maps memory to run", makes_code, 0, FORBIDDEN, "mmap", 0 },
	{ "makes memory run", turns_data_into_code, 0, FORBIDDEN, "mprotect", 0 },
	{ "loads a BPF program", loads_bpf, 0, FORBIDDEN, "bpf", 0 },
	{ "raises its limits", raises_limits, 0, FORBIDDEN, "prlimit64", 0 },
	{ "ignores SIGSYS", silences_the_alarm, 0, FORBIDDEN, "", 0 },
	{ "ignores SIGSYS by another number", silences_the_alarm_by_another_number, 0, FORBIDDEN, "rt_sigaction", 0 },
	{ "blocks SIGSYS", blocks_the_alarm, 0, FORBIDDEN, "", 0 },
	{ "sets the clock", sets_the_clock, 0, FORBIDDEN, "clock_settime", 0 },
	{ "adds a key", adds_keys, 0, FORBIDDEN, "add_key", 0 },
	{ "disobeys in a thread", disobeys_in_a_thread, 0, FORBIDDEN, NULL, 0 },
	{ "makes a memory file", makes_a_file, KEYING | SOURCES, FORBIDDEN, "memfd_create", 0 },
	{ "shares memory", shares_memory, 0, FORBIDDEN, "mmap", 0 },
	{ "takes 3 GB", takes_all_memory, 0, REFUSED, "", 0 },
	{ "takes all descriptors", takes_all_descriptors, 0, REFUSED, "", 0 },
	{ "aborts", aborts, 0, ABORTED, "", 0 },
};
const size_t misdeed_count = ARRAY_LEN(misdeeds);
