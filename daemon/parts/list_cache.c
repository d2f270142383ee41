#include "daemon/parts/list_cache.h"

#include "base/crypto.h"
#include "base/diag.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "daemon/process/memory_file.h"
#include "identity/revocation.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATH_TEXT = 4096, KEPT_MOST_S = 30 * 86400 };

struct list_cache {
	uv_loop_t *loop;
	char *folder;
	unsigned writing;
	bool closing;
};

struct job {
	uv_work_t work;
	struct list_cache *c;
	char path[PATH_TEXT];
	int fd;
	struct diag why;
};

static bool path_of(const struct list_cache *c, const char *url, char to[PATH_TEXT])
{
	struct octets o = { url, strlen(url) };
	uint8_t digest[DIGEST_MAX];
	char name[2 * DIGEST_MAX + 1] = "";
	size_t len;

	if (crypto_digest("SHA256", &o, 1, digest, &len, NULL) < 0)
		return false;
	for (size_t i = 0; i < len; i++)
		(void)snprintf(name + 2 * i, 3, "%02x", digest[i]);
	return snprintf(to, PATH_TEXT, "%s/%s.crl", c->folder, name) < PATH_TEXT;
}

/* ---- giving back ------------------------------------------------------------------------------------------------- */

int list_cache_recall(const struct list_cache *c, const char *url)
{
	char path[PATH_TEXT];
	struct stat st;
	int fd;

	if (!path_of(c, url, path) || (fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) < 0)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= REVOCATION_OCTETS_MOST)
		return fd;
	(void)close(fd);
	return -1;
}

/* ---- keeping: on a worker thread --------------------------------------------------------------------------------- */

/* What nobody has renewed for long is of no use. */
static void tidy(const char *folder, size_t *ret_files, size_t *ret_octets)
{
	DIR *d = opendir(folder);
	const struct dirent *e;

	*ret_files = *ret_octets = 0;
	while (d && (e = readdir(d))) {
		char path[PATH_TEXT];
		struct stat st;

		if (e->d_name[0] == '.' || snprintf(path, sizeof path, "%s/%s", folder, e->d_name) >= PATH_TEXT ||
		    lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
			continue;
		if (st.st_mtime + KEPT_MOST_S < time(NULL)) {
			(void)unlink(path);
			continue;
		}
		++*ret_files;
		*ret_octets += (size_t)st.st_size;
	}
	if (d)
		(void)closedir(d);
}

static int write_list(const struct job *j, const struct text *t, struct diag *why)
{
	size_t files, octets;
	struct stat before;
	bool is_new = stat(j->path, &before) < 0;

	if (mkdir(j->c->folder, 0755) < 0 && errno != EEXIST)
		return diag_errno(why, errno, "make the folder %s", j->c->folder);
	tidy(j->c->folder, &files, &octets);
	if (files + is_new > LIST_CACHE_FILES_MOST || octets + t->len > LIST_CACHE_OCTETS_MOST)
		return diag_fail(why, ENOSPC, "%s holds as much as it may", j->c->folder);
	return text_replace(j->path, t->octets, t->len, 0644, why);
}

static void work(uv_work_t *w)
{
	struct job *j = w->data;
	SCOPED(text_freep) struct text *t = NULL;

	if (memory_file_read(j->fd, REVOCATION_OCTETS_MOST, &t, &j->why) == 0)
		(void)write_list(j, t, &j->why);
}

static void free_when_done(struct list_cache *c)
{
	if (!c->closing || c->writing)
		return;
	free(c->folder);
	free(c);
}

static void worked(uv_work_t *w, int status)
{
	struct job *j = w->data;
	struct list_cache *c = j->c;

	if (status == 0 && j->why.code)
		log_warning("a revocation list is not kept: %s", j->why.text);
	c->writing--;
	(void)close(j->fd);
	free(j);
	free_when_done(c);
}

void list_cache_keep(struct list_cache *c, const char *url, int fd)
{
	struct job *j;

	if (c->closing || c->writing == LIST_CACHE_WRITES_MOST)
		return;
	j = mem_new(1, sizeof *j);
	j->c = c;
	j->work.data = j;
	if (!path_of(c, url, j->path) || (j->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0) {
		free(j);
		return;
	}
	c->writing++;
	if (uv_queue_work(c->loop, &j->work, work, worked) < 0)
		worked(&j->work, UV_ECANCELED);
}

struct list_cache *list_cache_new(uv_loop_t *loop, const char *folder)
{
	struct list_cache *c = mem_new(1, sizeof *c);

	c->loop = loop;
	c->folder = mem_string(folder);
	return c;
}

void list_cache_close(struct list_cache *c)
{
	if (!c)
		return;
	c->closing = true;
	free_when_done(c);
}
