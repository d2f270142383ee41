/* tools/cli/archive.h - a tar archive, compressed, that only its owner may read. */
#ifndef TOOLS_CLI_ARCHIVE_H
#define TOOLS_CLI_ARCHIVE_H
#include "base/scope.h"
#include <stddef.h>

struct archive;
struct diag;

/* A file of that name must not be there yet. All members lie in `folder`. */
int archive_new(const char *path, const char *folder, struct archive **ret, struct diag *d);
void archive_add(struct archive *a, const char *name, const char *octets, size_t len);
/* Writes the end; an earlier failure is told here, and the file is removed then. Frees. */
int archive_end(struct archive *a, struct diag *d);

#endif
