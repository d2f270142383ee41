#include "tools/cli/program.h"

#include "base/scope.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int start(const char *const *words, int out, pid_t *ret)
{
	static char *const environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "PAGER=cat",
					     "SYSTEMD_COLORS=0", NULL };
	static const char *const places[] = { "/usr/sbin", "/usr/bin", "/sbin", "/bin" };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	int e = ENOENT;

	(void)posix_spawn_file_actions_init(&files);
	(void)posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	(void)posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	(void)posix_spawn_file_actions_adddup2(&files, out, STDERR_FILENO);
	(void)posix_spawnattr_init(&attributes);
	/* A group of its own, so that whatever it has started ends with it. */
	(void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
	for (size_t i = 0; i < ARRAY_LEN(places) && e == ENOENT; i++) {
		char path[256];

		(void)snprintf(path, sizeof path, "%s/%s", places[i], words[0]);
		e = posix_spawn(ret, path, &files, &attributes, (char *const *)(uintptr_t)words, environment);
	}
	(void)posix_spawn_file_actions_destroy(&files);
	(void)posix_spawnattr_destroy(&attributes);
	return e;
}

/* Returns whether it ended by itself. */
static bool collect(int fd, int64_t until, size_t most, struct str *out)
{
	char buf[16384];
	size_t got = 0;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = until - now_ms();
		ssize_t n;

		if (left <= 0 || poll(&p, 1, (int)left) <= 0) {
			str_add(out, "\n[it took too long and was ended]\n");
			return false;
		}
		n = read(fd, buf, sizeof buf);
		if (n <= 0)
			return true;
		if ((size_t)n > most - got) {
			str_add_n(out, buf, most - got);
			str_add(out, "\n[there was more]\n");
			return false;
		}
		str_add_n(out, buf, (size_t)n);
		got += (size_t)n;
	}
}

void program_output(const char *const *words, unsigned seconds, size_t most, struct str *out)
{
	int fds[2], e, status = 0;
	pid_t pid;
	bool ended;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return;
	e = start(words, fds[1], &pid);
	(void)close(fds[1]);
	if (e) {
		str_addf(out, "[%s is not there: %s]\n", words[0], strerror(e));
		(void)close(fds[0]);
		return;
	}
	ended = collect(fds[0], now_ms() + (int64_t)seconds * 1000, most, out);
	(void)close(fds[0]);
	if (!ended)
		(void)kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (ended && status)
		str_addf(out, "[ended with status %d]\n", WIFEXITED(status) ? WEXITSTATUS(status) : status);
}
