#include "base/text.h"

#include "base/diag.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct text *text_new(const char *path, const char *octets, size_t len)
{
	struct text *t = mem_new(1, sizeof *t);

	t->path = mem_string(path);
	t->octets = mem_string_n(octets, len);
	t->len = len;
	return t;
}

void text_free(struct text *t)
{
	if (!t)
		return;
	if (t->octets)
		explicit_bzero(t->octets, t->len);
	free(t->octets);
	free(t->path);
	free(t);
}

static void close_scoped(int *fd)
{
	if (*fd > STDERR_FILENO)
		(void)close(*fd);
}

int text_read(const char *path, size_t most, struct text **ret, struct diag *d)
{
	SCOPED(text_freep) struct text *t = mem_new(1, sizeof *t);
	SCOPED(close_scoped) int fd = -1;
	struct stat st;
	size_t cap = 4096;

	t->path = mem_string(path);
	fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return diag_errno(d, errno, "%s", path);
	if (fd != STDIN_FILENO) {
		if (fstat(fd, &st) < 0)
			return diag_errno(d, errno, "%s", path);
		if (S_ISDIR(st.st_mode))
			return diag_fail(d, EISDIR, "%s is a directory; name a file", path);
		if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode))
			return diag_fail(d, EINVAL, "%s is not a regular file", path);
		if (S_ISREG(st.st_mode) && st.st_size > 0)
			cap = (size_t)st.st_size + 2;
		if (S_ISFIFO(st.st_mode)) /* a process substitution: wait for its writer */
			(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	}
	if (cap > most + 2)
		return diag_fail(d, EFBIG, "%s is over %zu MB, the most that is read", path, most >> 20);
	t->octets = mem_new(cap, 1);
	for (;;) {
		ssize_t n;

		if (t->len > most)
			return diag_fail(d, EFBIG, "%s is over %zu MB, the most that is read", path, most >> 20);
		if (t->len + 1 >= cap)
			t->octets = mem_resize(t->octets, cap *= 2, 1);
		n = read(fd, t->octets + t->len, cap - t->len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return diag_errno(d, errno, "%s", path);
		if (n == 0)
			break;
		t->len += (size_t)n;
	}
	t->octets[t->len] = '\0';
	*ret = TAKE(t);
	return 0;
}

static int write_all(int fd, const char *at, size_t left)
{
	while (left) {
		ssize_t n = write(fd, at, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		left -= (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

int text_replace(const char *path, const void *octets, size_t len, unsigned mode, struct diag *d)
{
	char temporary[4096], folder[4096];
	int fd, r;

	if (snprintf(temporary, sizeof temporary, "%s.new.XXXXXX", path) >= (int)sizeof temporary)
		return diag_fail(d, ENAMETOOLONG, "%s", path);
	if ((fd = mkostemp(temporary, O_CLOEXEC)) < 0)
		return diag_errno(d, errno, "%s", path);
	r = fchmod(fd, (mode_t)mode) < 0 ? -errno : write_all(fd, octets, len);
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlink(temporary);
		return diag_errno(d, r, "write %s", path);
	}
	(void)snprintf(folder, sizeof folder, "%s", path);
	if ((fd = open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0) {
		(void)fsync(fd); /* best effort: the rename itself is already atomic */
		(void)close(fd);
	}
	return 0;
}
