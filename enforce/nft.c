#include "enforce/nft.h"

#include "base/diag.h"
#include "base/scope.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORDS_MOST = 300, LONGEST_S = 600 };

static void (*while_working)(void);

void nft_while_working(void (*call)(void))
{
	while_working = call;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

struct pipes {
	int in[2], out[2]; /* the child's input and its words */
};

static void pipes_close(struct pipes *p)
{
	for (int i = 0; i < 2; i++) {
		close_fd(&p->in[i]);
		close_fd(&p->out[i]);
	}
}

static int pipes_open(struct pipes *p, struct diag *d)
{
	*p = (struct pipes){ { -1, -1 }, { -1, -1 } };
	if (pipe2(p->in, O_CLOEXEC) < 0 || pipe2(p->out, O_CLOEXEC) < 0) {
		int e = errno;

		pipes_close(p);
		return diag_errno(d, e, "a pipe to nft");
	}
	fcntl(p->in[1], F_SETFL, O_NONBLOCK);
	fcntl(p->out[0], F_SETFL, O_NONBLOCK);
	return 0;
}

/* The environment of the caller is none of nft's business, but for where programs are. */
static int start(const struct pipes *p, bool only_try, pid_t *ret_pid)
{
	static char *const environment[] = { "PATH=/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/sbin", "LC_ALL=C", NULL };
	char *const load[] = { "nft", "-f", "-", NULL }, *const attempt[] = { "nft", "-c", "-f", "-", NULL };
	static const char *const places[] = { "/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft", "/usr/local/sbin/nft" };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	sigset_t none, ordinary;
	int e = ENOENT;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, p->in[0], STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&files, p->out[1], STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&files, p->out[1], STDERR_FILENO);
	posix_spawnattr_init(&attributes);
	sigemptyset(&none);
	sigemptyset(&ordinary);
	sigaddset(&ordinary, SIGPIPE);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &ordinary);
	/* A group of its own: Ctrl-C is meant for us, and we let it finish. */
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	for (size_t i = 0; i < ARRAY_LEN(places) && e == ENOENT; i++)
		e = posix_spawn(ret_pid, places[i], &files, &attributes, only_try ? attempt : load, environment);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attributes);
	return e;
}

/* Keep the first words; read the rest away, so that nft never waits for us. */
static bool read_words(int fd, char words[WORDS_MOST], size_t *len)
{
	char buf[4096];
	ssize_t n = read(fd, buf, sizeof buf);

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	for (ssize_t i = 0; i < n && *len < WORDS_MOST - 1; i++)
		words[(*len)++] = buf[i] == '\n' || buf[i] == '\t' ? ' ' : buf[i];
	words[*len] = '\0';
	return true;
}

/* A write to a program that has gone must be an error here, not the end of this process. */
static ssize_t write_quietly(int fd, const char *text, size_t len)
{
	sigset_t pipe_signal, before;
	struct timespec at_once = { 0 };
	ssize_t n;
	int e;

	sigemptyset(&pipe_signal);
	sigaddset(&pipe_signal, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
	n = write(fd, text, len);
	e = errno;
	if (n < 0 && e == EPIPE && !sigismember(&before, SIGPIPE))
		sigtimedwait(&pipe_signal, NULL, &at_once);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = e;
	return n;
}

/* Feed and listen until nft closes its side. false: it took too long. */
static bool converse(struct pipes *p, const char *text, size_t len, char words[WORDS_MOST])
{
	size_t heard = 0;
	time_t start_s = time(NULL), now_s, told_s = start_s;

	close_fd(&p->in[0]);
	close_fd(&p->out[1]);
	for (;;) {
		struct pollfd fds[2] = { { .fd = p->out[0], .events = POLLIN }, { .fd = p->in[1], .events = POLLOUT } };

		bool interrupted = poll(fds, 2, 1000) < 0;

		if (interrupted && errno != EINTR)
			return true;
		if (fds[1].revents) {
			ssize_t n = write_quietly(p->in[1], text, len);

			if (n > 0) {
				text += n;
				len -= (size_t)n;
			}
			if (len == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
				close_fd(&p->in[1]);
		}
		if (fds[0].revents && !read_words(p->out[0], words, &heard))
			return true;
		now_s = time(NULL);
		if (now_s - start_s > LONGEST_S)
			return false;
		if (while_working && (now_s != told_s || interrupted))
			while_working();
		told_s = now_s;
	}
}

static int run(const char *text, size_t len, bool only_try, struct diag *d)
{
	SCOPED(pipes_close) struct pipes p;
	char words[WORDS_MOST] = "";
	pid_t pid;
	int r, e, status;
	bool in_time;

	if ((r = pipes_open(&p, d)) < 0)
		return r;
	if ((e = start(&p, only_try, &pid)) != 0)
		return diag_errno(d, e, "start nft (the package nftables)");
	in_time = converse(&p, text, len, words);
	if (!in_time)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!in_time)
		return diag_fail(d, ETIMEDOUT, "nft has not finished after %d s", LONGEST_S);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return diag_fail(d, EINVAL, "nft refuses the ruleset: %s", words[0] ? words : "it does not say why");
	return 0;
}

int nft_load(const char *text, size_t len, struct diag *d)
{
	return run(text, len, false, d);
}

int nft_try(const char *text, size_t len, struct diag *d)
{
	return run(text, len, true, d);
}
