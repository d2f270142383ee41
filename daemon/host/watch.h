/* daemon/host/watch.h - files that are watched: inotify on their folders, because files are replaced by others of the
 * same name, and a look now and then, because not every file system tells. Whether anything has changed is known by the
 * files' own marks (inode, size, time), through symbolic links. */
#ifndef DAEMON_HOST_WATCH_H
#define DAEMON_HOST_WATCH_H
#include <stddef.h>
#include <uv.h>

struct watch;

enum { WATCH_MOST = 4096, WATCH_SETTLE_MS = 300, WATCH_LOOK_MS = 30000 };

/* changed: runs on the loop's thread when the files have been quiet for WATCH_SETTLE_MS. */
struct watch *watch_new(uv_loop_t *loop, void (*changed)(void *context), void *context);
void watch_close(struct watch *w); /* or NULL; memory goes when the loop has run the closings */
/* What to watch from now on, files or folders with all that is in them; copied. If they are others than before, their
 * marks are taken now. */
void watch_set(struct watch *w, const char *const *paths, size_t count);

#endif
