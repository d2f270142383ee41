#include "observe/file_sink.h"

#include "base/diag.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATH_TEXT = 4096, PIECE = 65536 };

struct file_sink {
	struct file_sink_config config;
	char path[PATH_TEXT];
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake, ended;
	/* Under the lock: a ring of whole lines, each with its end. */
	char *queue;
	size_t head, len;
	uint64_t lost;
	char why[FILE_SINK_WHY];
	bool closing, done, abandoned;
	/* The thread's own. */
	int fd;
	uint64_t size, retry_ms;
	int error;
	bool cut; /* the last line is there in part */
};

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

static size_t lines_in(const char *octets, size_t n)
{
	size_t lines = 0;

	for (size_t i = 0; i < n; i++)
		lines += octets[i] == '\n';
	return lines;
}

static void lose(struct file_sink *s, size_t lines, const char *what, int error)
{
	(void)pthread_mutex_lock(&s->lock);
	s->lost += lines;
	(void)snprintf(s->why, sizeof s->why, "%.100s: %.50s", what, strerror(error));
	(void)pthread_mutex_unlock(&s->lock);
}

static void close_file(struct file_sink *s)
{
	if (s->fd >= 0)
		(void)close(s->fd);
	s->fd = -1;
}

/* Is the file still the one at the path? Somebody else may have moved or removed it. */
static bool still_there(const struct file_sink *s)
{
	struct stat mine, there;

	return fstat(s->fd, &mine) == 0 && stat(s->path, &there) == 0 && mine.st_dev == there.st_dev &&
	       mine.st_ino == there.st_ino;
}

/* Only a regular file: a pipe would hold us for as long as nobody reads it. */
static int open_file(struct file_sink *s)
{
	struct stat st;
	int fd;

	if (s->fd >= 0 && still_there(s))
		return 0;
	close_file(s);
	fd = open(s->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
		  s->config.mode);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		(void)close(fd);
		return -EINVAL;
	}
	if (s->config.group != (gid_t)-1 && fchown(fd, (uid_t)-1, s->config.group) < 0)
		errno = 0; /* then nobody else reads it */
	(void)fchmod(fd, s->config.mode);
	s->fd = fd;
	s->size = (uint64_t)st.st_size;
	s->cut = false;
	return 0;
}

/* events.json.1 becomes .2 and so on; the last one goes. */
static void rotate(struct file_sink *s)
{
	char from[PATH_TEXT + 16], to[PATH_TEXT + 16];

	close_file(s);
	if (s->config.count == 0) {
		(void)unlink(s->path);
		return;
	}
	for (unsigned i = s->config.count; i > 0; i--) {
		(void)snprintf(to, sizeof to, "%s.%u", s->path, i);
		if (i > 1)
			(void)snprintf(from, sizeof from, "%s.%u", s->path, i - 1);
		else
			(void)snprintf(from, sizeof from, "%s", s->path);
		(void)rename(from, to);
	}
}

/* As many whole lines as the file still takes, one at least. */
static size_t fitting(const struct file_sink *s, const char *octets, size_t n)
{
	const char *end = memchr(octets, '\n', n);
	size_t fits = (size_t)(end - octets) + 1;

	while (fits < n) {
		end = memchr(octets + fits, '\n', n - fits);
		if (s->size + (size_t)(end - octets) + 1 > s->config.size)
			break;
		fits = (size_t)(end - octets) + 1;
	}
	return fits;
}

/* Returns 0 when all of it is in the file. *left: the lines that are not. */
static int write_lines(struct file_sink *s, const char *octets, size_t n)
{
	if (s->cut && write(s->fd, "\n", 1) != 1)
		return -errno;
	s->cut = false;
	while (n) {
		ssize_t w = write(s->fd, octets, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return w < 0 ? -errno : -EIO;
		s->size += (uint64_t)w;
		s->cut = octets[w - 1] != '\n';
		octets += w;
		n -= (size_t)w;
	}
	return 0;
}

static void write_piece(struct file_sink *s, const char *octets, size_t n)
{
	if (now_ms() < s->retry_ms) {
		lose(s, lines_in(octets, n), s->path, s->error);
		return;
	}
	while (n) {
		int r = open_file(s);
		size_t part;

		if (r == 0 && s->size && s->size + fitting(s, octets, 1 + strcspn(octets, "\n")) > s->config.size) {
			rotate(s);
			r = open_file(s);
		}
		part = r == 0 ? fitting(s, octets, n) : n;
		if (r < 0 || (r = write_lines(s, octets, part)) < 0) {
			lose(s, lines_in(octets, n), s->path, -r);
			s->retry_ms = now_ms() + FILE_SINK_RETRY_MS;
			s->error = -r;
			return;
		}
		octets += part;
		n -= part;
	}
}

/* Whole lines, at most a piece of them, out of the queue; the lock is held. */
static size_t take(struct file_sink *s, char *to)
{
	size_t n = s->len < PIECE ? s->len : PIECE;

	for (size_t i = 0; i < n; i++)
		to[i] = s->queue[(s->head + i) % FILE_SINK_QUEUE];
	while (n && to[n - 1] != '\n')
		n--;
	s->head = (s->head + n) % FILE_SINK_QUEUE;
	s->len -= n;
	to[n] = '\0';
	return n;
}

static void destroy(struct file_sink *s)
{
	(void)pthread_cond_destroy(&s->wake);
	(void)pthread_cond_destroy(&s->ended);
	(void)pthread_mutex_destroy(&s->lock);
	free(s->queue);
	free(s);
}

static void *work(void *context)
{
	struct file_sink *s = context;
	char *piece = mem_new(PIECE + 1, 1);
	bool abandoned;

	(void)pthread_mutex_lock(&s->lock);
	for (;;) {
		size_t n;

		while (s->len == 0 && !s->closing)
			(void)pthread_cond_wait(&s->wake, &s->lock);
		if (s->len == 0 || s->abandoned)
			break;
		n = take(s, piece);
		(void)pthread_mutex_unlock(&s->lock);
		write_piece(s, piece, n);
		(void)pthread_mutex_lock(&s->lock);
	}
	s->done = true;
	abandoned = s->abandoned;
	(void)pthread_cond_signal(&s->ended);
	(void)pthread_mutex_unlock(&s->lock);
	close_file(s);
	free(piece);
	if (abandoned) /* whoever waited has gone */
		destroy(s);
	return NULL;
}

/* ---- the others' side -------------------------------------------------------------------------------------------- */

static int make_folder(const char *path, struct diag *d)
{
	char folder[PATH_TEXT];
	char *slash;

	(void)snprintf(folder, sizeof folder, "%s", path);
	slash = strrchr(folder, '/');
	if (!slash || slash == folder)
		return 0;
	*slash = '\0';
	if (mkdir(folder, 0750) < 0 && errno != EEXIST)
		return diag_errno(d, errno, "make the folder %s", folder);
	return 0;
}

int file_sink_new(const struct file_sink_config *c, struct file_sink **ret, struct diag *d)
{
	struct file_sink *s;
	pthread_condattr_t clock;
	int r;

	if (strlen(c->path) >= PATH_TEXT)
		return diag_fail(d, ENAMETOOLONG, "%.200s", c->path);
	if ((r = make_folder(c->path, d)) < 0)
		return r;
	s = mem_new(1, sizeof *s);
	s->config = *c;
	s->fd = -1;
	(void)snprintf(s->path, sizeof s->path, "%s", c->path);
	s->config.path = s->path;
	s->queue = mem_new(FILE_SINK_QUEUE, 1);
	(void)pthread_mutex_init(&s->lock, NULL);
	(void)pthread_condattr_init(&clock);
	(void)pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&s->wake, NULL);
	(void)pthread_cond_init(&s->ended, &clock);
	(void)pthread_condattr_destroy(&clock);
	if ((r = pthread_create(&s->thread, NULL, work, s)) != 0) {
		destroy(s);
		return diag_errno(d, r, "start a thread for %s", c->path);
	}
	*ret = s;
	return 0;
}

bool file_sink_put(struct file_sink *s, const char *line, size_t len)
{
	bool fits;

	(void)pthread_mutex_lock(&s->lock);
	fits = len < FILE_SINK_LINE_MOST && s->len + len + 1 <= FILE_SINK_QUEUE;
	if (fits) {
		size_t at = (s->head + s->len) % FILE_SINK_QUEUE;
		size_t first = FILE_SINK_QUEUE - at < len ? FILE_SINK_QUEUE - at : len;

		memcpy(s->queue + at, line, first);
		memcpy(s->queue, line + first, len - first);
		s->queue[(at + len) % FILE_SINK_QUEUE] = '\n';
		s->len += len + 1;
		(void)pthread_cond_signal(&s->wake);
	} else {
		s->lost++;
		(void)snprintf(s->why, sizeof s->why, "%.120s is written too slowly", s->path);
	}
	(void)pthread_mutex_unlock(&s->lock);
	return fits;
}

uint64_t file_sink_lost(struct file_sink *s, char *why)
{
	uint64_t lost;

	(void)pthread_mutex_lock(&s->lock);
	lost = s->lost;
	(void)snprintf(why, FILE_SINK_WHY, "%s", s->why);
	(void)pthread_mutex_unlock(&s->lock);
	return lost;
}

void file_sink_free(struct file_sink *s)
{
	struct timespec until;
	bool done;

	if (!s)
		return;
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += FILE_SINK_CLOSE_MS / 1000;
	(void)pthread_mutex_lock(&s->lock);
	s->closing = true;
	(void)pthread_cond_signal(&s->wake);
	while (!s->done && pthread_cond_timedwait(&s->ended, &s->lock, &until) == 0)
		continue;
	done = s->done;
	s->abandoned = !done;
	(void)pthread_mutex_unlock(&s->lock);
	if (!done) {
		(void)pthread_detach(s->thread);
		return;
	}
	(void)pthread_join(s->thread, NULL);
	destroy(s);
}
