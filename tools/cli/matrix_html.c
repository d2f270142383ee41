/* cordon matrix --html: one page that needs nothing else. */
#include "base/str.h"
#include "tools/cli/matrix_parts.h"
#include "tools/cli/say.h"

enum { LABEL_MOST = 40 };

static void html_text(const char *text, struct str *out)
{
	for (; *text; text++) {
		const char *entity = *text == '&'   ? "&amp;"
				     : *text == '<' ? "&lt;"
				     : *text == '>' ? "&gt;"
				     : *text == '"' ? "&quot;"
						    : NULL;

		if (entity)
			str_add(out, entity);
		else
			str_add_n(out, (unsigned char)*text < 0x20 ? "?" : text, 1);
	}
}

static void html_party(const struct matrix_party *p, struct str *out)
{
	struct str name = { 0 };

	matrix_say_party(p, LABEL_MOST, &name);
	html_text(str_text(&name), out);
	str_wipe(&name);
}

static void html_table(const struct matrix *m, size_t kind, struct str *out)
{
	struct str name = { 0 };

	matrix_say_kinds(m, kind, &name);
	str_add(out, "<h2>");
	html_text(str_text(&name), out);
	str_add(out, "</h2>\n<table>\n<tr><th>from \\ to</th>");
	str_wipe(&name);
	for (size_t to = 0; to < m->party_count; to++) {
		str_add(out, "<th scope=\"col\">");
		html_party(&m->parties[to], out);
		str_add(out, "</th>");
	}
	str_add(out, "</tr>\n");
	for (size_t from = 0; from < m->party_count; from++) {
		str_add(out, "<tr><th scope=\"row\">");
		html_party(&m->parties[from], out);
		str_add(out, "</th>");
		for (size_t to = 0; to < m->party_count; to++) {
			const struct matrix_cell *c = matrix_cell(m, from, to, kind);

			if (!c->asked) {
				str_add(out, "<td></td>");
				continue;
			}
			str_addf(out, "<td class=\"%s\" title=\"", outcome_name(c->verdict));
			matrix_say_rule(c, &name);
			html_text(str_text(&name), out);
			str_wipe(&name);
			str_addf(out, "\">%s</td>", outcome_name(c->verdict));
		}
		str_add(out, "</tr>\n");
	}
	str_add(out, "</table>\n");
}

void matrix_say_html(const struct matrix *m, const char *path)
{
	struct str out = { 0 };

	str_add(&out,
		"<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Who can talk to whom: ");
	html_text(path, &out);
	str_add(&out, "</title>\n<style>\n"
		      "body{font-family:sans-serif;margin:2em}\n"
		      "table{border-collapse:collapse}\n"
		      "th,td{border:1px solid #999;padding:.3em .6em;text-align:left}\n"
		      ".encrypted{background:#c6e9c6}\n.authenticated{background:#f5e6a3}\n"
		      ".blocked{background:#f2bcbc}\n.clear{background:#fff}\n"
		      "</style>\n</head>\n<body>\n<h1>Who can talk to whom</h1>\n<p>Policy ");
	html_text(path, &out);
	str_add(&out,
		". Rows open the connection, columns accept it. Hosts that no rule tells apart share a row. Point at a "
		"cell for the rule that decides.</p>\n");
	for (size_t kind = 0; kind < m->kind_count; kind++)
		if (matrix_first_of_its_like(m, kind))
			html_table(m, kind, &out);
	str_add(&out, "</body>\n</html>\n");
	say_print(&out);
}
