/* The cage of each child: what it needs goes on to work, everything else ends it, and the parent is told what it was.
 */
#include "tests/unit/unit.h"

#include "base/diag.h"
#include "base/scope.h"
#include "base/wire.h"
#include "daemon/process/channel.h"
#include "daemon/process/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

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
	return reads_a_file();
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

static void *nothing(void *context)
{
	return context;
}

static void *disobeys(void *context)
{
	(void)reads_a_file();
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
	int pipe_fds[2], memory = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct stat st;

	if (much)
		memset(much, 1, 64 << 20);
	free(much);
	(void)signal(SIGUSR1, SIG_IGN);
	(void)usleep(1000);
	return much && memory >= 0 && fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE) == 0 && fstat(memory, &st) == 0 &&
	       pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) == 0 && getentropy(random, sizeof random) == 0 &&
	       fprintf(stderr, "%s", "") == 0 && !isatty(3);
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

static bool writes_much(void)
{
	int memory = memfd_create("x", MFD_CLOEXEC);

	return ftruncate(memory, 192 << 20) == 0;
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

/* Who may. What nobody may ends the process (FORBIDDEN) or has no effect (REFUSED). */
enum way { FORBIDDEN, REFUSED, ABORTED };
static const struct {
	const char *name;
	bool (*try)(void);
	unsigned may;
	enum way otherwise;
	const char *call;
} rows[] = {
	{ "lives", lives, ALL, FORBIDDEN, "" },
	{ "is a user of its own", is_nobody, ALL, FORBIDDEN, "" },
	{ "makes threads", makes_threads, KEYING | KEYS | DATAPLANE, FORBIDDEN, NULL },
	{ "opens TCP", opens_tcp, SOURCES, FORBIDDEN, "socket" },
	{ "opens UDP", opens_udp, SOURCES, FORBIDDEN, "socket" },
	{ "reads a file", reads_a_file, 0, FORBIDDEN, "openat" },
	{ "looks around", looks_around, 0, FORBIDDEN, "openat" },
	{ "opens a raw socket", opens_raw, 0, FORBIDDEN, "socket" },
	{ "opens a packet socket", opens_packet, 0, FORBIDDEN, "socket" },
	{ "opens netlink", opens_netlink, 0, FORBIDDEN, "socket" },
	{ "opens a UNIX socket", opens_unix, 0, FORBIDDEN, "socket" },
	{ "opens a ping socket", opens_ping, 0, FORBIDDEN, "socket" },
	{ "listens", listens, 0, FORBIDDEN, "listen" },
	{ "sets socket options", sets_options, SOURCES, FORBIDDEN, "setsockopt" },
	{ "runs a program", runs, 0, FORBIDDEN, "execve" },
	{ "forks", forks, 0, FORBIDDEN, "clone" },
	{ "traces", traces, 0, FORBIDDEN, "ptrace" },
	{ "reads another's memory", reads_others, 0, FORBIDDEN, "process_vm_readv" },
	{ "kills", kills, 0, FORBIDDEN, "kill" },
	{ "kills a thread", kills_by_thread, 0, FORBIDDEN, "tgkill" },
	{ "mounts", mounts, 0, FORBIDDEN, "mount" },
	{ "leaves its namespaces", leaves, 0, FORBIDDEN, "unshare" },
	{ "joins a namespace", joins, 0, FORBIDDEN, "setns" },
	{ "becomes root", becomes_root, 0, FORBIDDEN, "setresuid" },
	{ "loads a module", loads_modules, 0, FORBIDDEN, "init_module" },
	{ "maps memory to run", makes_code, 0, FORBIDDEN, "mmap" },
	{ "makes memory run", turns_data_into_code, 0, FORBIDDEN, "mprotect" },
	{ "loads a BPF program", loads_bpf, 0, FORBIDDEN, "bpf" },
	{ "raises its limits", raises_limits, 0, FORBIDDEN, "prlimit64" },
	{ "ignores SIGSYS", silences_the_alarm, 0, FORBIDDEN, "" },
	{ "blocks SIGSYS", blocks_the_alarm, 0, FORBIDDEN, "" },
	{ "sets the clock", sets_the_clock, 0, FORBIDDEN, "clock_settime" },
	{ "adds a key", adds_keys, 0, FORBIDDEN, "add_key" },
	{ "disobeys in a thread", disobeys_in_a_thread, 0, FORBIDDEN, NULL },
	{ "writes a large file", writes_much, 0, REFUSED, "" },
	{ "takes 3 GB", takes_all_memory, 0, REFUSED, "" },
	{ "takes all descriptors", takes_all_descriptors, 0, REFUSED, "" },
	{ "aborts", aborts, 0, ABORTED, "" },
};

/* ---- one try ----------------------------------------------------------------------------------------------------- */

enum { WENT_WELL = 10, WENT_BADLY = 11, NO_CAGE = 12 };

static char run_dir[] = "/tmp/cordon-sandbox-XXXXXX";

static _Noreturn void be_child(enum role role, bool (*try)(void), int channel)
{
	struct diag d = { 0 };

	if (dup2(channel, 3) != 3 || sandbox_enter(role, run_dir, 3, &(int){ 3 }, 1, &d) < 0) {
		(void)fprintf(stderr, "%s: %s\n", role_name(role), d.text);
		_exit(NO_CAGE);
	}
	_exit(try() ? WENT_WELL : WENT_BADLY);
}

/* The wait status; which call the parent was told of, or "". */
static int play(enum role role, bool (*try)(void), char call[SANDBOX_CALL])
{
	uint8_t frame[64];
	struct wire_in in;
	int fds[2], status = 0;
	ssize_t len;
	pid_t pid;

	assert_int_equal(channel_pair(fds, NULL), 0);
	if ((pid = fork()) == 0)
		be_child(role, try, fds[1]);
	(void)close(fds[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	len = recv(fds[0], frame, sizeof frame, MSG_DONTWAIT);
	*call = '\0';
	in = wire_in(frame, len > 0 ? (size_t)len : 0);
	if (len == 12 && wire_u16(&in) == ASK_FORBIDDEN && wire_u16(&in) == 0 && wire_u32(&in) == 4)
		sandbox_call_name(wire_u32(&in), call);
	(void)close(fds[0]);
	return status;
}

static void check(size_t i, enum role role)
{
	char call[SANDBOX_CALL];
	int status = play(role, rows[i].try, call);

	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_CAGE)
		fail_msg("%s: no cage", role_name(role));
	if (rows[i].may & ROLE_BIT(role)) {
		if (!WIFEXITED(status) || WEXITSTATUS(status) != WENT_WELL)
			fail_msg("%s %s: may, but ended with %#x (%s)", role_name(role), rows[i].name, (unsigned)status,
				 call);
	} else if (rows[i].otherwise == FORBIDDEN) {
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("%s %s: was not ended, but %#x", role_name(role), rows[i].name, (unsigned)status);
		if (rows[i].call && strcmp(call, rows[i].call) != 0)
			fail_msg("%s %s: was told of '%s'", role_name(role), rows[i].name, call);
	} else if (rows[i].otherwise == REFUSED) {
		if (!WIFEXITED(status) || WEXITSTATUS(status) != WENT_BADLY)
			fail_msg("%s %s: ended with %#x", role_name(role), rows[i].name, (unsigned)status);
	} else if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT) {
		fail_msg("%s %s: ended with %#x", role_name(role), rows[i].name, (unsigned)status);
	}
}

static void each_child_may_do_what_it_needs_and_nothing_else(void **state)
{
	(void)state;
	if (SANITIZED)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (int role = ROLE_KEYING; role < ROLE_COUNT; role++)
			check(i, (enum role)role);
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

static bool holds_nothing_else(void)
{
	for (int fd = 4; fd < 200; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			return false;
	return fcntl(3, F_GETFD) >= 0;
}

static void only_what_was_given_stays_open(void **state)
{
	char call[SANDBOX_CALL];
	int open_fds[20], status;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(open_fds); i++)
		open_fds[i] = open("/dev/null", O_RDONLY);
	status = play(ROLE_SOURCES, holds_nothing_else, call);
	for (size_t i = 0; i < ARRAY_LEN(open_fds); i++)
		(void)close(open_fds[i]);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), WENT_WELL);
}

static bool waits(void)
{
	char c;

	(void)!read(3, &c, 1);
	return true;
}

static void the_parent_sees_whether_the_cage_is_closed(void **state)
{
	char lacks[SANDBOX_TEXT] = "";
	int fds[2], status;
	pid_t pid;
	bool good = false;

	(void)state;
	assert_false(sandbox_look(getpid(), ROLE_KEYS, lacks));
	assert_non_null(strstr(lacks, "system calls"));
	if (SANITIZED || geteuid() != 0)
		skip();
	assert_int_equal(channel_pair(fds, NULL), 0);
	if ((pid = fork()) == 0)
		be_child(ROLE_KEYS, waits, fds[1]);
	for (int i = 0; i < 1000 && !good; i++) {
		(void)usleep(5000);
		good = sandbox_look(pid, ROLE_KEYS, lacks);
	}
	assert_string_equal(lacks, "");
	assert_true(good);
	(void)close(fds[1]);
	(void)close(fds[0]);
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void a_folder_that_is_not_empty_is_refused(void **state)
{
	char path[64];
	struct diag d = { 0 };
	int fd;

	(void)state;
	(void)snprintf(path, sizeof path, "%s/empty/file", run_dir);
	(void)snprintf(path, sizeof path, "%s/empty", run_dir);
	assert_int_equal(chmod(path, 0755), 0);
	(void)snprintf(path, sizeof path, "%s/empty/file", run_dir);
	assert_true((fd = open(path, O_CREAT | O_WRONLY, 0600)) >= 0);
	(void)close(fd);
	assert_true(sandbox_folder(run_dir, &d) < 0);
	assert_non_null(strstr(d.text, "not an empty folder"));
	(void)snprintf(path, sizeof path, "%s/empty", run_dir);
	assert_int_equal(chmod(path, 0755), 0);
	(void)snprintf(path, sizeof path, "%s/empty/file", run_dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(sandbox_folder(run_dir, &d), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_child_may_do_what_it_needs_and_nothing_else),
		cmocka_unit_test(only_what_was_given_stays_open),
		cmocka_unit_test(the_parent_sees_whether_the_cage_is_closed),
		cmocka_unit_test(a_folder_that_is_not_empty_is_refused),
	};
	struct diag d = { 0 };
	char path[64];
	int r;

	if (!mkdtemp(run_dir) || chmod(run_dir, 0755) < 0 || sandbox_folder(run_dir, &d) < 0) {
		(void)fprintf(stderr, "%s\n", d.text);
		return 1;
	}
	r = cmocka_run_group_tests(tests, NULL, NULL);
	(void)snprintf(path, sizeof path, "%s/empty", run_dir);
	(void)rmdir(path);
	(void)rmdir(run_dir);
	return r;
}
