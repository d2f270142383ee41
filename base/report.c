#include "base/report.h"

#include "base/mem.h"
#include "base/str.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	SEVERITIES = SEVERITY_ERROR + 1,
	QUOTE_COLUMNS = 96, /* a longer source line is cut to a window around the caret */
	NAME_MOST = 64,     /* octets of a name that is worth comparing */
};

struct report {
	struct text **files; /* file number n is files[n - 1] */
	size_t file_count, file_cap;
	struct finding **findings; /* each of its own, so that a pointer to one stays good */
	size_t kept, cap;
	size_t counts[SEVERITIES], kept_of[SEVERITIES];
	struct place *hidden; /* file and line alone */
	size_t hidden_count, hidden_cap;
	struct finding spare; /* what findings over the bound are written into */
};

struct report *report_new(void)
{
	return mem_new(1, sizeof(struct report));
}

static void finding_clear(struct finding *f)
{
	free(f->message);
	free(f->advice);
	*f = (struct finding){ 0 };
}

void report_free(struct report *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->kept; i++) {
		finding_clear(r->findings[i]);
		free(r->findings[i]);
	}
	for (size_t i = 0; i < r->file_count; i++)
		text_free(r->files[i]);
	finding_clear(&r->spare);
	free(r->hidden);
	free(r->findings);
	free(r->files);
	free(r);
}

uint32_t report_add_file(struct report *r, struct text *t)
{
	r->files = mem_grow(r->files, r->file_count, &r->file_cap, sizeof(struct text *));
	r->files[r->file_count++] = t;
	return (uint32_t)r->file_count;
}

const struct text *report_file(const struct report *r, uint32_t file)
{
	return file && file <= r->file_count ? r->files[file - 1] : NULL;
}

void report_hide_line(struct report *r, uint32_t file, uint32_t line)
{
	r->hidden = mem_grow(r->hidden, r->hidden_count, &r->hidden_cap, sizeof *r->hidden);
	r->hidden[r->hidden_count++] = (struct place){ .file = file, .line = line };
}

static bool is_hidden(const struct report *r, struct place place)
{
	for (size_t i = 0; i < r->hidden_count; i++)
		if (r->hidden[i].file == place.file && r->hidden[i].line == place.line)
			return true;
	return false;
}

/* Octets of the UTF-8 character at p, 0 if it is none that a terminal should see: a file must not be able to move the
 * reader's cursor or change colours by what an error quotes from it. */
static size_t printable(const char *p, size_t left)
{
	const unsigned char *u = (const unsigned char *)p;
	size_t n = u[0] < 0x80 ? 1 : u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : u[0] >= 0xc2 ? 2 : 0;

	if (n == 1)
		return u[0] >= 0x20 && u[0] != 0x7f ? 1 : 0;
	if (n == 0 || n > left || u[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((u[i] & 0xc0) != 0x80)
			return 0;
	if (u[0] == 0xc2 && u[1] < 0xa0) /* C1 controls */
		return 0;
	return n;
}

/* How much one character takes, printable or not: 1 for a stray octet. */
static size_t character(const char *p, size_t left)
{
	size_t n = printable(p, left);

	return n ? n : 1;
}

static char *clean(const char *text, bool lines)
{
	struct str s = { 0 };
	size_t left = strlen(text);

	str_add(&s, "");
	while (left) {
		size_t n = printable(text, left);

		if (n)
			str_add_n(&s, text, n);
		else if (*text == '\n' && lines)
			str_add_n(&s, "\n", 1);
		else
			str_add_n(&s, *text == '\n' || *text == '\t' ? " " : "?", 1);
		n = n ? n : 1;
		text += n;
		left -= n;
	}
	return s.text;
}

static char *format(bool lines, const char *fmt, va_list ap)
{
	char *raw = NULL, *safe;

	if (vasprintf(&raw, fmt, ap) < 0)
		return mem_string(fmt);
	safe = clean(raw, lines);
	free(raw);
	return safe;
}

struct finding *report_add(struct report *r, enum severity s, const char *code, struct place place, const char *fmt,
			   ...)
{
	struct finding *f = &r->spare;
	va_list ap;

	r->counts[s]++;
	if (r->kept_of[s] < REPORT_FINDINGS_MOST) {
		r->kept_of[s]++;
		f = mem_new(1, sizeof *f);
		r->findings = mem_grow(r->findings, r->kept, &r->cap, sizeof(struct finding *));
		r->findings[r->kept++] = f;
	}
	finding_clear(f);
	f->severity = s;
	f->code = code;
	f->place = place;
	va_start(ap, fmt);
	f->message = format(false, fmt, ap);
	va_end(ap);
	return f;
}

void finding_advise(struct finding *f, const char *fmt, ...)
{
	char *more, *old = f->advice;
	va_list ap;

	va_start(ap, fmt);
	more = format(true, fmt, ap);
	va_end(ap);
	if (old) {
		struct str s = { 0 };

		str_addf(&s, "%s\n%s", old, more);
		free(old);
		free(more);
		more = s.text;
	}
	f->advice = more;
}

size_t report_count(const struct report *r, enum severity s)
{
	return r->counts[s];
}

static int by_severity_and_place(const void *a, const void *b)
{
	const struct finding *const *px = a, *const *py = b;
	const struct finding *x = *px, *y = *py;
	const uint32_t keys[][2] = {
		{ y->severity, x->severity }, /* the worst first */
		{ x->place.file, y->place.file },
		{ x->place.line, y->place.line },
		{ x->place.column, y->place.column },
	};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (keys[i][0] != keys[i][1])
			return keys[i][0] < keys[i][1] ? -1 : 1;
	return strcmp(x->message, y->message);
}

size_t report_findings(const struct report *r, const struct finding *const **ret)
{
	if (r->kept > 1)
		qsort(r->findings, r->kept, sizeof(struct finding *), by_severity_and_place);
	*ret = (const struct finding *const *)r->findings;
	return r->kept;
}

static bool line_of(const struct text *t, uint32_t line, const char **ret, size_t *ret_len)
{
	const char *at = t->octets, *end = t->octets + t->len, *stop;

	for (uint32_t i = 1; i < line; i++) {
		at = memchr(at, '\n', (size_t)(end - at));
		if (!at)
			return false;
		at++;
	}
	stop = memchr(at, '\n', (size_t)(end - at));
	stop = stop ? stop : end;
	if (stop > at && stop[-1] == '\r')
		stop--;
	*ret = at;
	*ret_len = (size_t)(stop - at);
	return true;
}

/* The source line, without its indentation and cut to a window, and the caret under the place. */
static void quote(const struct report *r, struct place place, struct str *out)
{
	const struct text *t = report_file(r, place.file);
	const char *at;
	size_t left, column = 1, first, carets = 0;
	struct str mark = { 0 };

	if (!t || !place.line || !place.column || !line_of(t, place.line, &at, &left))
		return;
	while (left && (*at == ' ' || *at == '\t')) {
		at++;
		left--;
		column++;
	}
	if (left == 0)
		return;
	first = place.column > QUOTE_COLUMNS ? place.column - QUOTE_COLUMNS / 2 : column;
	str_add(out, "    ");
	str_add(&mark, "    ");
	if (first > column) {
		str_add(out, "...");
		str_add(&mark, "   ");
	}
	for (; left && column < first + QUOTE_COLUMNS; column++) {
		size_t n = character(at, left);

		if (column >= first) {
			if (printable(at, left))
				str_add_n(out, at, n);
			else
				str_add(out, *at == '\t' ? " " : "?");
			if (column < place.column)
				str_add(&mark, " ");
			else if (column < place.column + place.length || column == place.column)
				str_add(&mark, carets++ ? "~" : "^");
		}
		at += n;
		left -= n;
	}
	str_add(out, left ? "...\n" : "\n");
	str_addf(out, "%s%s\n", mark.text, carets ? "" : "^");
	str_wipe(&mark);
}

static void indented(const char *lines, struct str *out)
{
	while (*lines) {
		size_t n = strcspn(lines, "\n");

		str_addf(out, "  %.*s\n", (int)n, lines);
		lines += n + (lines[n] == '\n');
	}
}

static void place_text(const struct report *r, struct place p, struct str *out)
{
	const struct text *t = report_file(r, p.file);

	if (t) {
		char *path = clean(t->path, false);

		str_add(out, path);
		free(path);
		if (p.line)
			str_addf(out, ":%u:%u", p.line, p.column);
		str_add(out, ": ");
	}
}

static void finding_text(const struct report *r, const struct finding *f, bool colour, struct str *out)
{
	static const struct {
		const char *name, *colour;
	} looks[SEVERITIES] = {
		[SEVERITY_NOTE] = { "note", "\033[1m" },
		[SEVERITY_WARNING] = { "warning", "\033[1;33m" },
		[SEVERITY_ERROR] = { "error", "\033[1;31m" },
	};

	place_text(r, f->place, out);
	str_addf(out, "%s%s%s", colour ? looks[f->severity].colour : "", looks[f->severity].name,
		 colour ? "\033[0m" : "");
	if (f->severity != SEVERITY_ERROR && f->code)
		str_addf(out, " [%s]", f->code);
	str_addf(out, ": %s\n", f->message);
	/* A warning is about what a line means, and says so in words; an error is about what stands there. A place
	 * without length is not to be quoted: it may hold a secret. */
	if (f->severity == SEVERITY_ERROR && f->place.length && !is_hidden(r, f->place))
		quote(r, f->place, out);
	if (f->advice)
		indented(f->advice, out);
}

void report_first(const struct report *r, struct str *out)
{
	const struct finding *const *all;
	size_t n = report_findings(r, &all), errors = report_count(r, SEVERITY_ERROR);

	if (n == 0 || errors == 0)
		return;
	place_text(r, all[0]->place, out);
	str_add(out, all[0]->message);
	if (errors > 1)
		str_addf(out, " (and %zu more)", errors - 1);
}

void report_text(const struct report *r, bool colour, struct str *out)
{
	const struct finding *const *all;
	size_t n = report_findings(r, &all), more = 0;

	for (size_t i = 0; i < n; i++)
		finding_text(r, all[i], colour, out);
	for (size_t s = 0; s < SEVERITIES; s++)
		more += r->counts[s] - r->kept_of[s];
	if (more)
		str_addf(out, "and %zu more that are not shown\n", more);
}

static char lower(char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c == '_' ? '-' : c);
}

/* Insertions, deletions, replacements and swaps of neighbours between two short names (optimal string alignment). */
static size_t distance(const char *a, size_t n, const char *b, size_t m)
{
	size_t rows[3][NAME_MOST + 1];
	size_t *before = rows[0], *above = rows[1], *here = rows[2];

	for (size_t j = 0; j <= m; j++)
		above[j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t *spare = before;

		here[0] = i;
		for (size_t j = 1; j <= m; j++) {
			char x = lower(a[i - 1]), y = lower(b[j - 1]);
			size_t best = above[j - 1] + (x != y);

			if (best > above[j] + 1)
				best = above[j] + 1;
			if (best > here[j - 1] + 1)
				best = here[j - 1] + 1;
			if (i > 1 && j > 1 && x == lower(b[j - 2]) && y == lower(a[i - 2]) && best > before[j - 2] + 1)
				best = before[j - 2] + 1;
			here[j] = best;
		}
		before = above;
		above = here;
		here = spare;
	}
	return above[m];
}

/* Who wrote the beginning of one name, and of one only, has stopped too early. */
static const char *only_longer(const char *wrong, size_t len, const char *const *names, size_t n)
{
	enum { LEAST = 4 };
	const char *found = NULL;

	for (size_t i = 0; len >= LEAST && i < n; i++) {
		if (strncmp(names[i], wrong, len) != 0)
			continue;
		if (found)
			return NULL;
		found = names[i];
	}
	return found;
}

const char *report_nearest(const char *wrong, const char *const *names, size_t n)
{
	size_t len = strlen(wrong), most = len < 4 ? 1 : len / 3;
	const char *best = NULL;

	if (len > NAME_MOST)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t other = strlen(names[i]), far;

		if (other > NAME_MOST || other + most < len || other > len + most)
			continue;
		far = distance(wrong, len, names[i], other);
		if (far >= other || far > most || (best && far == most && strcmp(best, names[i]) <= 0))
			continue;
		best = names[i];
		most = far;
	}
	return best ? best : only_longer(wrong, len, names, n);
}
