/* base/report.h - findings about a file somebody wrote: several in one run, each with its place, printed as a compiler
 * would (file:line:column, the source line, a caret, what would be right) or as the JSON of `check --json`.
 * A report keeps the text of the files it speaks of, so that it can quote them. */
#ifndef BASE_REPORT_H
#define BASE_REPORT_H
#include "base/scope.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct report;
struct str;
struct text;

enum severity { SEVERITY_NOTE, SEVERITY_WARNING, SEVERITY_ERROR };

/* A place in one of the report's files. file 0 is "nowhere"; line and column count from 1, columns in characters. */
struct place {
	uint32_t file, line, column, length;
};

struct finding {
	enum severity severity;
	const char *code; /* stable, kebab-case, static; see docs/lints.md */
	struct place place;
	char *message; /* one line */
	char *advice;  /* NULL, or what would be right: one or more lines, printed indented below the caret */
};

enum { REPORT_FINDINGS_MOST = 100 }; /* further ones are counted, not kept */

struct report *report_new(void);
void report_free(struct report *r);
SCOPE_FREEP(struct report, report)

/* Take over the text; returns the file number for places. */
uint32_t report_add_file(struct report *r, struct text *t);
const struct text *report_file(const struct report *r, uint32_t file);

/* Never quote this line of the file: it holds a secret. */
void report_hide_line(struct report *r, uint32_t file, uint32_t line);

/* The message is made from fmt. Returns the finding, so that advice can be added; never NULL. */
struct finding *report_add(struct report *r, enum severity s, const char *code, struct place place, const char *fmt,
			   ...) __attribute__((format(printf, 5, 6)));
void finding_advise(struct finding *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

size_t report_count(const struct report *r, enum severity s);
size_t report_findings(const struct report *r, const struct finding *const **ret); /* errors first, then by place */

/* All findings for a person, in colour if asked, each as ux.md's "A policy with a mistake". */
void report_text(const struct report *r, bool colour, struct str *out);

/* The first error in one line, "office.yaml:7:1: no zone is called 'x'", and how many more; nothing if there is none.
 */
void report_first(const struct report *r, struct str *out);

/* The name in a list that is nearest to what was written, for "did you mean"; NULL if none is near. */
const char *report_nearest(const char *wrong, const char *const *names, size_t n);

#endif
