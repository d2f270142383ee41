/* tools/cli/say.h - how the commands speak: text for a terminal, findings as JSON. */
#ifndef TOOLS_CLI_SAY_H
#define TOOLS_CLI_SAY_H
#include "base/report.h"
#include "policy/policy.h"
#include <jansson.h>

struct str;

/* An outcome as a word, padded to `width`, in its colour if asked: encrypted green, authenticated yellow, blocked red.
 */
void say_outcome(enum outcome o, int width, bool colour, struct str *out);
/* Text behind a label, wrapped at the terminal's 80 columns and indented to the width of the label column. What came
 * from a file may hold control characters: they become '?'. */
void say_paragraph(const char *label, const char *text, struct str *out);
/* Append text without control characters. */
void say_clean(const char *text, struct str *out);
/* "1 rule", "3 rules" */
void say_count(size_t n, const char *one, const char *many, struct str *out);
/* Print and forget. */
void say_print(struct str *s);

/* {"code","severity","message","file","line","column"}; advice follows the message, after a line feed. */
json_t *say_finding_json(const struct report *r, const struct finding *f, const char *path);
/* Findings of at least one severity and at most another. */
json_t *say_findings_json(const struct report *r, enum severity least, enum severity most, const char *path);
/* A string that jansson takes: octets that are not UTF-8 become '?'. NULL becomes null. */
json_t *say_string_json(const char *text);
/* Print a value, sorted as made, one line feed behind; takes it over. Returns 0. */
int say_json(json_t *value);

#define SAY_DEFAULT_POLICY "/etc/cordon/policy.yaml"

/* Load a policy for a command that only asks: on failure the report is printed to standard error. */
struct policy *say_load(const char *path, struct report *r);

#endif
