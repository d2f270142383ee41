#include "tools/cli/say.h"

#include "base/str.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COLUMNS = 80, LABEL = 10, ROWS_INDENTED = 2000 };

void say_outcome(enum outcome o, int width, bool colour, struct str *out)
{
	static const char *const colours[] = {
		[OUTCOME_CLEAR] = "",
		[OUTCOME_AUTHENTICATED] = "\033[33m",
		[OUTCOME_ENCRYPTED] = "\033[32m",
		[OUTCOME_BLOCKED] = "\033[31m",
	};
	bool coloured = colour && *colours[o];

	str_addf(out, "%s%s%s%*s", coloured ? colours[o] : "", outcome_name(o), coloured ? "\033[0m" : "",
		 width > (int)strlen(outcome_name(o)) ? width - (int)strlen(outcome_name(o)) : 0, "");
}

void say_clean(const char *text, struct str *out)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		str_add_n(out, c < 0x20 || c == 0x7f ? "?" : text, 1);
	}
}

/* Columns that UTF-8 text takes, near enough: one for each character. */
static size_t columns(const char *text, size_t n)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++)
		k += ((unsigned char)text[i] & 0xc0) != 0x80;
	return k;
}

static void one_line(const char *label, const char *text, size_t n, struct str *out)
{
	size_t at = LABEL;

	str_addf(out, "%-*s", LABEL, label);
	while (n) {
		size_t word = strcspn(text, " ");

		word = word > n ? n : word;
		if (at > LABEL && at + 1 + columns(text, word) > COLUMNS) {
			str_addf(out, "\n%*s", LABEL, "");
			at = LABEL;
		} else if (at > LABEL) {
			str_add(out, " ");
			at++;
		}
		str_add_n(out, text, word);
		at += columns(text, word);
		text += word;
		n -= word;
		while (n && *text == ' ') {
			text++;
			n--;
		}
	}
	str_add(out, "\n");
}

void say_paragraph(const char *label, const char *text, struct str *out)
{
	do {
		size_t n = strcspn(text, "\n");
		struct str line = { 0 };
		char *raw = strndup(text, n);

		if (raw)
			say_clean(raw, &line);
		one_line(label, str_text(&line), line.len, out);
		str_wipe(&line);
		free(raw);
		label = "";
		text += n + (text[n] == '\n');
	} while (*text);
}

void say_count(size_t n, const char *one, const char *many, struct str *out)
{
	str_addf(out, "%zu %s", n, n == 1 ? one : many);
}

void say_print(struct str *s)
{
	(void)fputs(str_text(s), stdout);
	str_wipe(s);
}

json_t *say_string_json(const char *text)
{
	json_t *value = text ? json_string(text) : json_null();
	struct str safe = { 0 };

	if (value || !text)
		return value;
	for (; *text; text++)
		str_add_n(&safe, (unsigned char)*text < 0x80 ? text : "?", 1);
	value = json_string(str_text(&safe));
	str_wipe(&safe);
	return value;
}

json_t *say_finding_json(const struct report *r, const struct finding *f, const char *path)
{
	static const char *const severities[] = {
		[SEVERITY_NOTE] = "note",
		[SEVERITY_WARNING] = "warning",
		[SEVERITY_ERROR] = "error",
	};
	const struct text *t = report_file(r, f->place.file);
	struct str message = { 0 };
	json_t *o;

	str_add(&message, f->message);
	if (f->advice)
		str_addf(&message, "\n%s", f->advice);
	o = json_pack("{s:s, s:s, s:o, s:o, s:i, s:i}", "code", f->code ? f->code : "", "severity",
		      severities[f->severity], "message", say_string_json(str_text(&message)), "file",
		      say_string_json(t ? t->path : path), "line", (int)f->place.line, "column", (int)f->place.column);
	str_wipe(&message);
	return o;
}

json_t *say_findings_json(const struct report *r, enum severity least, enum severity most, const char *path)
{
	const struct finding *const *all;
	size_t n = report_findings(r, &all);
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		if (all[i]->severity >= least && all[i]->severity <= most)
			(void)json_array_append_new(list, say_finding_json(r, all[i], path));
	return list;
}

int say_json(json_t *value)
{
	size_t rows = json_array_size(json_object_get(value, "cells"));

	(void)json_dumpf(value, stdout, (rows > ROWS_INDENTED ? JSON_COMPACT : JSON_INDENT(2)) | JSON_PRESERVE_ORDER);
	(void)putchar('\n');
	json_decref(value);
	return 0;
}

struct policy *say_load(const char *path, struct report *r)
{
	struct policy *p = NULL;
	struct str text = { 0 };

	if (policy_load(path, NULL, r, &p) == 0)
		return p;
	report_text(r, false, &text);
	(void)fputs(str_text(&text), stderr);
	if (access(path, F_OK) < 0 && strcmp(path, SAY_DEFAULT_POLICY) == 0)
		(void)fputs("  it is what is asked when no policy is named; name one, as --help tells\n", stderr);
	str_wipe(&text);
	return NULL;
}
