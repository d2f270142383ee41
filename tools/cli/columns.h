/* tools/cli/columns.h - a table on the terminal: each column as wide as its widest cell. */
#ifndef TOOLS_CLI_COLUMNS_H
#define TOOLS_CLI_COLUMNS_H
#include "base/str.h"
#include <stdbool.h>
#include <stddef.h>

enum { COLUMNS_MOST = 10 };

struct columns {
	char **cells; /* row by row; the first row is the heading */
	size_t count, cap, width;
	unsigned right; /* bit n: column n is set to the right */
};

/* heading: "PEER|RULE|IN"; a '>' before a name sets its column to the right. */
void columns_start(struct columns *c, const char *heading);
/* The next cell. Control characters of what a peer chose become '?'. */
void columns_add(struct columns *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void columns_print(struct columns *c); /* and free */

#endif
