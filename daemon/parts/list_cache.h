/* daemon/parts/list_cache.h - revocation lists on disk, for the process that reads them and has no disk: the parent
 * keeps and gives back octets that mean nothing to it, in files that are named after where they came from. Writing is a
 * worker thread's. The folder is bounded in files and octets; what nobody has renewed for long goes. */
#ifndef DAEMON_PARTS_LIST_CACHE_H
#define DAEMON_PARTS_LIST_CACHE_H
#include <uv.h>

struct list_cache;

enum {
	LIST_CACHE_FILES_MOST = 256,
	LIST_CACHE_OCTETS_MOST = 256 << 20,
	LIST_CACHE_WRITES_MOST = 2, /* at the same time; what comes on top is not kept */
};

struct list_cache *list_cache_new(uv_loop_t *loop, const char *folder);
void list_cache_close(struct list_cache *c); /* or NULL; memory goes when the last write has ended */
/* The file that is kept of that place, open for reading; -1: nothing. The caller closes it. It is the file itself, not
 * a copy in memory: who asks a thousand times costs a thousand descriptors, not as many lists. */
int list_cache_recall(const struct list_cache *c, const char *url);
/* The octets of a sealed memory file; the descriptor stays the caller's. */
void list_cache_keep(struct list_cache *c, const char *url, int fd);

#endif
