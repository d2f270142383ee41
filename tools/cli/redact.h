/* tools/cli/redact.h - takes secrets out of text that goes to somebody else. It is told the files that hold secrets and
 * then finds what stands in them, wherever it was pasted to; and it knows what a private key and a password in a URL
 * look like. What it learns is wiped. */
#ifndef TOOLS_CLI_REDACT_H
#define TOOLS_CLI_REDACT_H
#include "base/scope.h"
#include <stdbool.h>
#include <stddef.h>

struct redactor;
struct str;

enum { REDACT_NEEDLES_MOST = 4096, REDACT_FILE_MOST = 64 << 10, REDACT_LEAST = 4, REDACT_LINE_LEAST = 8 };

struct redactor *redactor_new(void);
void redactor_free(struct redactor *r);
SCOPE_FREEP(struct redactor, redactor)

/* What stands in this file is secret: each line of at least REDACT_LINE_LEAST octets, and the whole, as it is and in
 * hex. False: it cannot be read, or is too long to be a secret. */
bool redactor_learn(struct redactor *r, const char *path);
/* The same for every file below this folder that not everybody may read. `except` are left out: paths, up to NULL. */
void redactor_learn_folder(struct redactor *r, const char *folder, const char *const *except);
/* Files that a page or a policy names by an absolute path, and that not everybody may read. */
void redactor_learn_named(struct redactor *r, const char *text, size_t len);

/* Append the text without what is secret; returns how often something was taken out. */
size_t redactor_copy(const struct redactor *r, const char *text, size_t len, struct str *out);

#endif
