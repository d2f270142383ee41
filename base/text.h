/* base/text.h - a file read whole. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H
#include "base/scope.h"
#include <stddef.h>

struct diag;

struct text {
	char *path;   /* as the user gave it */
	char *octets; /* a NUL follows the last, which len does not count */
	size_t len;
};

/* Read a regular file (or, where path is "-", standard input) of at most `most` octets. A path that names a directory,
 * a device or a file over the bound is an error that says so. */
int text_read(const char *path, size_t most, struct text **ret, struct diag *d);
struct text *text_new(const char *path, const char *octets, size_t len);
void text_free(struct text *t); /* wipes first: it may have held a key */
SCOPE_FREEP(struct text, text)

/* Replace `path` by these octets, so that after a crash it is the old or the new file, whole (write, fsync, rename). */
int text_replace(const char *path, const void *octets, size_t len, unsigned mode, struct diag *d);

#endif
