#include "tools/lab/table.h"

#include "base/str.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

bool table_row_agrees(const struct table_row *r)
{
	return r->expected == r->predicted && r->seen == seen_of(r->expected);
}

/* Colour never carries meaning alone: the word says it. */
static const char *colour_of(const char *word)
{
	static const struct {
		const char *word, *colour;
	} colours[] = {
		{ "encrypted", "\033[32m" },
		{ "authenticated", "\033[33m" },
		{ "blocked", "\033[31m" },
		{ "clear", "" },
	};

	for (size_t i = 0; i < sizeof colours / sizeof colours[0]; i++)
		if (strcmp(colours[i].word, word) == 0)
			return colours[i].colour;
	return "\033[1;31m";
}

enum { FROM, TO, TRAFFIC, EXPECTED, PREDICTED, SEEN, COLUMNS };

static const char *const titles[COLUMNS] = { "FROM", "TO", "TRAFFIC", "EXPECTED", "PREDICTED", "SEEN ON THE WIRE" };

static void cells_of(const struct table_row *r, const char *ret[COLUMNS])
{
	ret[FROM] = r->from;
	ret[TO] = r->to;
	ret[TRAFFIC] = r->traffic;
	ret[EXPECTED] = outcome_name(r->expected);
	ret[PREDICTED] = outcome_name(r->predicted);
	ret[SEEN] = seen_name(r->seen);
}

static void widths_of(const struct table_row *rows, size_t n, int ret[COLUMNS])
{
	for (int c = 0; c < COLUMNS; c++)
		ret[c] = c == SEEN ? 0 : (int)strlen(titles[c]);
	for (size_t i = 0; i < n; i++) {
		const char *cells[COLUMNS];

		cells_of(&rows[i], cells);
		for (int c = 0; c < COLUMNS; c++)
			if ((int)strlen(cells[c]) > ret[c])
				ret[c] = (int)strlen(cells[c]);
	}
}

void table_text(const struct table_row *rows, size_t n, bool colour, struct str *out)
{
	int widths[COLUMNS];

	widths_of(rows, n, widths);
	for (int c = 0; c < COLUMNS; c++)
		str_addf(out, "%-*s%s", c == SEEN ? 0 : widths[c], titles[c], c == SEEN ? "\n" : "  ");
	for (size_t i = 0; i < n; i++) {
		const char *cells[COLUMNS];
		bool agrees = table_row_agrees(&rows[i]);

		cells_of(&rows[i], cells);
		for (int c = 0; c < COLUMNS; c++) {
			const char *on = colour && c >= EXPECTED ? colour_of(cells[c]) : "";
			int pad = c == SEEN && !*rows[i].note && agrees ? 0 : widths[c] - (int)strlen(cells[c]);

			str_addf(out, "%s%s%s%*s%s", on, cells[c], *on ? "\033[0m" : "", pad, "",
				 c == SEEN ? "" : "  ");
		}
		str_addf(out, "%s%s%s\n", *rows[i].note ? "  " : "", rows[i].note, agrees ? "" : "  <- differs");
	}
}

void table_json(const struct table_row *rows, size_t n, bool ok, struct str *out)
{
	json_t *all = json_object(), *list = json_array();
	char *text;

	for (size_t i = 0; i < n; i++) {
		static const char *const members[COLUMNS] = {
			"from", "to", "traffic", "expected", "predicted", "seen"
		};
		const char *cells[COLUMNS];
		json_t *row = json_object();

		cells_of(&rows[i], cells);
		for (int c = 0; c < COLUMNS; c++)
			(void)json_object_set_new(row, members[c], json_string(cells[c]));
		(void)json_array_append_new(list, row);
	}
	(void)json_object_set_new(all, "ok", json_boolean(ok));
	(void)json_object_set_new(all, "rows", list);
	text = json_dumps(all, 0);
	str_addf(out, "%s\n", text ? text : "{}");
	free(text);
	json_decref(all);
}
