#include "daemon/parts/lists.h"

#include "base/mem.h"
#include "daemon/parts/kdcs.h"
#include "daemon/parts/list_cache.h"
#include "daemon/parts/parts.h"
#include "daemon/host/watch.h"
#include "identity/revocation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_TEXT = 4096, NAME_FILES = 2 };

static const char *const name_files[NAME_FILES] = { "/etc/resolv.conf", "/etc/hosts" };

struct lists {
	struct daemon *d;
	struct list_cache *cache;
	struct watch *watch;
	char paths[NAME_FILES][PATH_TEXT];
};

/* ---- names for sources ------------------------------------------------------------------------------------------- */

static void tell_names(const struct lists *l, struct channel *c)
{
	int fds[NAME_FILES];

	for (size_t i = 0; i < NAME_FILES; i++) {
		fds[i] = open(l->paths[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (fds[i] < 0) /* says nothing */
			fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
	if (fds[0] >= 0 && fds[1] >= 0) {
		(void)channel_begin(c, ASK_NAMES);
		channel_end_fds(c, fds, NAME_FILES);
	}
	for (size_t i = 0; i < NAME_FILES; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
}

static void names_changed(void *context)
{
	const struct lists *l = context;
	struct channel *c = parts_channel(l->d, ROLE_SOURCES);

	if (c)
		tell_names(l, c);
}

void lists_sources_came(void *context, struct channel *c)
{
	struct daemon *d = context;

	tell_names(d->lists, c);
	kdcs_tell(d, c);
}

/* ---- for keying's fetcher -----------------------------------------------------------------------------------------
 */

/* Text to the end of the message, without zeroes in it. */
static int take_url(struct wire_in *body, char ret[REVOCATION_URL_MOST])
{
	size_t len = body->left;
	const uint8_t *at = wire_octets(body, len);

	if (body->failed || len == 0 || len >= REVOCATION_URL_MOST || memchr(at, '\0', len))
		return -EPROTO;
	memcpy(ret, at, len);
	ret[len] = '\0';
	return 0;
}

int lists_on_recall(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct daemon *d = context;
	uint32_t number = wire_u32(body);
	char url[REVOCATION_URL_MOST];
	int r, fd;

	(void)fds;
	if ((r = take_url(body, url)) < 0)
		return r;
	fd = list_cache_recall(d->lists->cache, url);
	wire_put_u32(channel_begin(c, fd < 0 ? ASK_LIST_NONE : ASK_LIST_RECALLED), number);
	if (fd < 0) {
		channel_end(c);
		return 0;
	}
	channel_end_fds(c, &fd, 1);
	(void)close(fd);
	return 0;
}

int lists_on_keep(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct daemon *d = context;
	char url[REVOCATION_URL_MOST];
	int r;

	(void)c;
	if ((r = take_url(body, url)) < 0)
		return r;
	list_cache_keep(d->lists->cache, url, fds[0]);
	return 0;
}

/* ---- from beginning to end --------------------------------------------------------------------------------------- */

void lists_new(struct daemon *d)
{
	struct lists *l = mem_new(1, sizeof *l);
	const char *paths[NAME_FILES];
	char folder[PATH_TEXT];

	l->d = d;
	(void)snprintf(folder, sizeof folder, "%.4000s/revocation-lists", d->options.state_dir);
	l->cache = list_cache_new(&d->loop, folder);
	for (size_t i = 0; i < NAME_FILES; i++) {
		(void)snprintf(l->paths[i], sizeof l->paths[i], "%.4000s%s", d->options.root ? d->options.root : "",
			       name_files[i]);
		paths[i] = l->paths[i];
	}
	l->watch = watch_new(&d->loop, names_changed, l);
	watch_set(l->watch, paths, NAME_FILES);
	d->lists = l;
}

void lists_close(struct daemon *d)
{
	if (!d->lists)
		return;
	watch_close(d->lists->watch);
	list_cache_close(d->lists->cache);
	free(TAKE(d->lists));
}
