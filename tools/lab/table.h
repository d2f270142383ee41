/* tools/lab/table.h - what people and programs are told: one row a test, expected, predicted and seen. */
#ifndef TOOLS_LAB_TABLE_H
#define TOOLS_LAB_TABLE_H
#include "policy/policy.h"
#include "tools/lab/judge.h"
#include <stdbool.h>
#include <stddef.h>

struct str;

struct table_row {
	const char *from, *to, *traffic;
	enum outcome expected, predicted;
	enum seen seen;
	char note[160]; /* what was seen besides: "esp, 11 packets" */
};

bool table_row_agrees(const struct table_row *r);
void table_text(const struct table_row *rows, size_t n, bool colour, struct str *out);
/* {"ok":bool,"rows":[...]}, with a newline. */
void table_json(const struct table_row *rows, size_t n, bool ok, struct str *out);

#endif
