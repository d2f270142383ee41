/* daemon/parts/directory_cache.h - what the directory last said, on disk, so that a host that starts while no domain
 * controller answers knows its groups. Each name has the time at which it was learnt. Writing is a worker thread's. */
#ifndef DAEMON_PARTS_DIRECTORY_CACHE_H
#define DAEMON_PARTS_DIRECTORY_CACHE_H
#include "identity/directory.h"
#include <uv.h>

struct diag;
struct directory_cache;

/* Reads what there is; what is broken counts as nothing, and the log says so. */
struct directory_cache *directory_cache_new(uv_loop_t *loop, const char *path);
void directory_cache_close(struct directory_cache *c); /* memory goes when the last write has ended */
/* What was on disk when it was made; NULL: nothing of this realm. */
const struct directory_names *directory_cache_names(const struct directory_cache *c, const char *realm);
void directory_cache_keep(struct directory_cache *c, const char *realm, const struct directory_names *names);

/* The file's form. For cordon check, and for its test. */
int directory_cache_read(const char *path, char ret_realm[DIRECTORY_NAME], struct directory_names **ret,
			 struct diag *d);

#endif
