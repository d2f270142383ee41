#include "tools/cli/columns.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_cell(struct columns *c, const char *text, size_t n)
{
	char *cell = mem_string_n(text, n);

	for (char *p = cell; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	c->cells = mem_grow(c->cells, c->count, &c->cap, sizeof *c->cells);
	c->cells[c->count++] = cell;
}

void columns_start(struct columns *c, const char *heading)
{
	*c = (struct columns){ 0 };
	while (c->width < COLUMNS_MOST) {
		size_t n = strcspn(heading, "|");

		if (*heading == '>') {
			c->right |= 1u << c->width;
			add_cell(c, heading + 1, n - 1);
		} else {
			add_cell(c, heading, n);
		}
		c->width++;
		if (!heading[n])
			return;
		heading += n + 1;
	}
}

void columns_add(struct columns *c, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	/* clang-tidy 14 overlooks va_start here. NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	add_cell(c, text, strlen(text));
}

/* Characters, not octets: names may be in any script. */
static int shown(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

void columns_print(struct columns *c)
{
	int widths[COLUMNS_MOST] = { 0 };

	for (size_t i = 0; i < c->count; i++)
		if (shown(c->cells[i]) > widths[i % c->width])
			widths[i % c->width] = shown(c->cells[i]);
	for (size_t i = 0; i < c->count; i++) {
		size_t column = i % c->width;
		bool last = column + 1 == c->width;
		int pad = widths[column] - shown(c->cells[i]);

		if (c->right >> column & 1u)
			(void)printf("%*s%s", pad, "", c->cells[i]);
		else
			(void)printf("%s%*s", c->cells[i], last ? 0 : pad, "");
		(void)fputs(last ? "\n" : "  ", stdout);
		free(c->cells[i]);
	}
	free(c->cells);
	*c = (struct columns){ 0 };
}
