/* base/str.h - text that grows: reports, rulesets, JSON. Running out of memory ends the process (mem.h). */
#ifndef BASE_STR_H
#define BASE_STR_H
#include "base/scope.h"
#include <stddef.h>

struct str {
	char *text; /* always ends in NUL once something was added; NULL before */
	size_t len, cap;
};

void str_add(struct str *s, const char *text);
void str_add_n(struct str *s, const char *text, size_t n);
void str_addf(struct str *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *str_text(const struct str *s); /* "" when empty */
void str_wipe(struct str *s);              /* frees; for SCOPED */

#endif
