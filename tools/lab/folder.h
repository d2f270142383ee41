/* tools/lab/folder.h - where a lab keeps its files while it lives: BASE/NAME, locked by the lab. What a
 * killed lab left is known by its lock being free, and removed when the next one starts. */
#ifndef TOOLS_LAB_FOLDER_H
#define TOOLS_LAB_FOLDER_H
#include "base/scope.h"
#include <stddef.h>

struct diag;
struct folder;

/* "/run/cordon-lab", or what CORDON_LAB_DIR says: a place of their own for labs that must not meet others. */
const char *folder_base(void);

/* name NULL: the process's number. -EBUSY: a lab of that name is up. */
int folder_new(const char *name, struct folder **ret, struct diag *d);
/* Removes it with all that is in it. */
void folder_free(struct folder *f);
SCOPE_FREEP(struct folder, folder)

const char *folder_path(const struct folder *f);

/* "BASE/name", made if need be, mode 0700; free it. */
int folder_make(const char *base, const char *name, char **ret, struct diag *d);

/* Remove what labs left behind that nobody holds any more. */
void folder_sweep(void);

#endif
