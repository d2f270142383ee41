#include "tools/lab/space.h"

#include "base/diag.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STOP_LOOK_MS = 50 };

/* The namespace that the process came from. A process has one. */
static int home_fd(void)
{
	static int home = -1;

	if (home < 0)
		home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return home;
}

int space_enter(int fd, struct diag *d)
{
	if (home_fd() < 0)
		return diag_errno(d, errno, "open /proc/self/ns/net");
	if (setns(fd, CLONE_NEWNET) < 0)
		return diag_errno(d, errno, "enter a network namespace");
	return 0;
}

void space_leave(void)
{
	(void)setns(home_fd(), CLONE_NEWNET);
}

/* As written by the namespace that the caller is in. */
static int write_sysctl(const char *name, const char *value, struct diag *d)
{
	char path[256];
	size_t len = strlen(value);
	int fd, e = 0;

	(void)snprintf(path, sizeof path, "/proc/sys/net/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return diag_errno(d, errno, "open %s", path);
	if (write(fd, value, len) != (ssize_t)len)
		e = diag_errno(d, errno, "write %s", path);
	(void)close(fd);
	return e;
}

int space_sysctl(int fd, const char *name, const char *value, struct diag *d)
{
	int e = space_enter(fd, d);

	if (e < 0)
		return e;
	e = write_sysctl(name, value, d);
	space_leave();
	return e;
}

int space_new(int *ret_fd, struct diag *d)
{
	static const struct {
		const char *name, *value;
	} settings[] = {
		{ "ipv6/conf/all/disable_ipv6", "0" },
		{ "ipv6/conf/default/disable_ipv6", "0" },
		{ "ipv6/conf/default/accept_dad", "0" },
		{ "ipv6/conf/default/accept_ra", "0" },
		{ "ipv6/conf/default/router_solicitations", "0" },
	};
	static const char *const lo_up[] = { "ip", "link", "set", "lo", "up", NULL };
	int fd, e = 0;

	if (home_fd() < 0)
		return diag_errno(d, errno, "open /proc/self/ns/net");
	if (unshare(CLONE_NEWNET) < 0)
		return diag_errno(d, errno, "make a network namespace");
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		e = diag_errno(d, errno, "open /proc/thread-self/ns/net");
	/* A kernel without IPv6 has none of these, and then needs none. */
	for (size_t i = 0; e == 0 && i < sizeof settings / sizeof settings[0]; i++)
		(void)write_sysctl(settings[i].name, settings[i].value, NULL);
	space_leave();
	if (e == 0 && (e = space_run(fd, lo_up, "", d)) < 0)
		(void)close(fd);
	if (e == 0)
		*ret_fd = fd;
	return e;
}

int space_socket(int fd, int domain, int type, int protocol)
{
	int s, e;

	if (space_enter(fd, NULL) < 0)
		return -EPERM;
	s = socket(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
	e = errno;
	space_leave();
	return s < 0 ? -e : s;
}

/* In the child: into the namespace, tied to the parent's life, no signal blocked. Async-signal-safe. */
static void become(int fd, pid_t parent)
{
	sigset_t none;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || setns(fd, CLONE_NEWNET) < 0)
		_exit(126);
}

static void feed(int fd, const char *text)
{
	size_t left = strlen(text);

	for (ssize_t n; left > 0 && (n = write(fd, text, left)) > 0; left -= (size_t)n)
		text += n;
}

bool space_stop_asked(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 &&
	       (sigismember(&pending, SIGINT) || sigismember(&pending, SIGTERM) || sigismember(&pending, SIGHUP));
}

/* There is something to read. Asked to stop, it ends the program first, and there is the end to read. */
static void wait_to_read(int fd, pid_t child)
{
	struct pollfd row = { .fd = fd, .events = POLLIN };

	while (poll(&row, 1, STOP_LOOK_MS) == 0 || (row.revents == 0 && errno == EINTR))
		if (space_stop_asked())
			(void)kill(child, SIGKILL);
}

int space_run(int fd, const char *const argv[], const char *input, struct diag *d)
{
	char said[384] = "";
	size_t got = 0;
	int in[2], out[2], status;
	pid_t child, parent = getpid();

	if (pipe2(in, O_CLOEXEC) < 0)
		return diag_errno(d, errno, "pipe");
	if (pipe2(out, O_CLOEXEC) < 0) {
		int e = diag_errno(d, errno, "pipe");

		(void)close(in[0]);
		(void)close(in[1]);
		return e;
	}
	child = fork();
	if (child == 0) {
		become(fd, parent);
		(void)dup2(in[0], STDIN_FILENO);
		(void)dup2(out[1], STDOUT_FILENO);
		(void)dup2(out[1], STDERR_FILENO);
		(void)execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	(void)close(in[0]);
	(void)close(out[1]);
	if (child < 0) {
		(void)close(in[1]);
		(void)close(out[0]);
		return diag_errno(d, errno, "fork");
	}
	/* Programs that we run read all of their input before they say much, so one after the other cannot block. */
	feed(in[1], input);
	(void)close(in[1]);
	for (;;) {
		char more[256];
		ssize_t n;

		wait_to_read(out[0], child);
		n = read(out[0], more, sizeof more);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		if (got + 1 < sizeof said) {
			size_t take = (size_t)n < sizeof said - 1 - got ? (size_t)n : sizeof said - 1 - got;

			memcpy(said + got, more, take);
			got += take;
			said[got] = '\0';
		}
	}
	(void)close(out[0]);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (space_stop_asked()) /* a terminal's Ctrl-C reaches the program too */
		return diag_fail(d, EINTR, "stopped");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return diag_fail(d, ENOENT, "%s: there is no such program here; install it", argv[0]);
	said[strcspn(said, "\n")] = '\0';
	return diag_fail(d, EIO, "%s: %s", argv[0], said);
}

int space_spawn(int fd, const char *host_name, const char *const argv[], const char *log, pid_t *ret, struct diag *d)
{
	pid_t child, parent = getpid();
	int to = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600),
	    null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (to < 0 || null < 0) {
		int e = diag_errno(d, errno, "open %s", to < 0 ? log : "/dev/null");

		if (to >= 0)
			(void)close(to);
		if (null >= 0)
			(void)close(null);
		return e;
	}
	child = fork();
	if (child == 0) {
		become(fd, parent);
		(void)setpgid(0, 0);
		if (unshare(CLONE_NEWUTS) < 0 || sethostname(host_name, strlen(host_name)) < 0)
			errno = 0; /* a prompt with the wrong name is no reason to stop */
		(void)dup2(null, STDIN_FILENO);
		(void)dup2(to, STDOUT_FILENO);
		(void)dup2(to, STDERR_FILENO);
		(void)execv(argv[0], (char *const *)argv);
		_exit(127);
	}
	(void)close(to);
	(void)close(null);
	if (child < 0)
		return diag_errno(d, errno, "fork");
	*ret = child;
	return 0;
}
