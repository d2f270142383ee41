/* cordon matrix: who can talk to whom, and how. */
#include "analysis/matrix.h"
#include "base/diag.h"
#include "base/str.h"
#include "tools/cli/command.h"
#include "tools/cli/matrix_parts.h"
#include "tools/cli/say.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

extern const struct command command_matrix;

enum {
	CELLS_BY_HOST = 500000,
	WORDS_MOST = 5, /* parties, for a grid of whole words in 80 columns */
	GRID_MOST = 12,
	MERGE_MOST = 1000,
	NUMBERS_MOST = 12,
	LINES_MOST = 200,
};

struct asked {
	const char *policy, *traffic;
	bool json, html;
};

static int arguments(int argc, char **argv, struct asked *a)
{
	bool options = true, named = false;

	for (int i = 1; i < argc; i++) {
		const char *s = argv[i];

		if (options && strcmp(s, "--") == 0)
			options = false;
		else if (options && strcmp(s, "--json") == 0)
			a->json = true;
		else if (options && strcmp(s, "--html") == 0)
			a->html = true;
		else if (options && strncmp(s, "--traffic=", 10) == 0)
			a->traffic = s + 10;
		else if (options && strcmp(s, "--traffic") == 0) {
			if (++i == argc)
				return command_usage_error(&command_matrix, "--traffic: which? tcp/445, dns, ...");
			a->traffic = argv[i];
		} else if (options && s[0] == '-' && s[1])
			return command_usage_error(&command_matrix, "no option is called '%s'", s);
		else if (named)
			return command_usage_error(&command_matrix, "'%s' is one word too many", s);
		else {
			a->policy = s;
			named = true;
		}
	}
	if (a->json && a->html)
		return command_usage_error(&command_matrix, "either --json or --html");
	return EXIT_OK;
}

/* JSON (docs/json.md). */

static void add_cell(json_t *cells, const struct matrix *m, const char *from, const char *to, size_t kind,
		     const struct matrix_cell *c)
{
	(void)json_array_append_new(
		cells, json_pack("{s:o, s:o, s:o, s:s, s:o}", "from", say_string_json(from), "to", say_string_json(to),
				 "traffic", say_string_json(m->kinds[kind].name), "verdict", outcome_name(c->verdict),
				 "rule", say_string_json(c->rule ? c->rule->name : NULL)));
}

static size_t hosts_of(const struct matrix_party *p)
{
	return p->hosts ? p->host_count : 1;
}

static const char *host_of(const struct matrix_party *p, size_t i)
{
	return p->hosts ? p->hosts[i]->name : p->name;
}

static size_t cells_by_host(const struct matrix *m)
{
	size_t hosts = 0;

	for (size_t i = 0; i < m->party_count; i++)
		hosts += hosts_of(&m->parties[i]);
	return hosts * hosts * m->kind_count;
}

static void add_by_host(json_t *cells, const struct matrix *m, size_t from, size_t to, size_t kind)
{
	const struct matrix_party *a = &m->parties[from], *b = &m->parties[to];
	const struct matrix_cell *c = matrix_cell(m, from, to, kind);

	for (size_t i = 0; i < hosts_of(a); i++)
		for (size_t k = 0; k < hosts_of(b); k++)
			if (from != to || i != k || !a->hosts)
				add_cell(cells, m, host_of(a, i), host_of(b, k), kind, c);
}

static json_t *groups_json(const struct matrix *m)
{
	json_t *groups = json_object();

	for (size_t i = 0; i < m->party_count; i++) {
		json_t *names = json_array();

		for (size_t k = 0; k < hosts_of(&m->parties[i]); k++)
			(void)json_array_append_new(names, say_string_json(host_of(&m->parties[i], k)));
		(void)json_object_set_new(groups, m->parties[i].name, names);
	}
	return groups;
}

static void print_json(const struct matrix *m)
{
	bool by_host = cells_by_host(m) <= CELLS_BY_HOST;
	json_t *o = json_object(), *cells = json_array();

	for (size_t from = 0; from < m->party_count; from++)
		for (size_t to = 0; to < m->party_count; to++)
			for (size_t kind = 0; kind < m->kind_count; kind++) {
				if (!matrix_cell(m, from, to, kind)->asked)
					continue;
				if (by_host)
					add_by_host(cells, m, from, to, kind);
				else
					add_cell(cells, m, m->parties[from].name, m->parties[to].name, kind,
						 matrix_cell(m, from, to, kind));
			}
	(void)json_object_set_new(o, "cells", cells);
	if (!by_host)
		(void)json_object_set_new(o, "groups", groups_json(m));
	(void)say_json(o);
}

bool matrix_first_of_its_like(const struct matrix *m, size_t kind)
{
	for (size_t i = 0; i < kind; i++)
		if (matrix_kinds_alike(m, i, kind))
			return false;
	return true;
}

void matrix_say_kinds(const struct matrix *m, size_t kind, struct str *out)
{
	size_t n = 0;

	for (size_t i = kind; i < m->kind_count; i++)
		if (i == kind || matrix_kinds_alike(m, i, kind))
			str_addf(out, "%s%s", n++ ? ", " : "", m->kinds[i].name);
}

void matrix_say_party(const struct matrix_party *p, size_t most, struct str *out)
{
	struct str s = { 0 };
	size_t shown = 0;

	for (; shown < hosts_of(p); shown++) {
		const char *name = host_of(p, shown);

		if (shown && s.len + strlen(name) + 14 > most)
			break;
		str_addf(&s, "%s%s", shown ? ", " : "", name);
	}
	if (shown < hosts_of(p))
		str_addf(&s, " and %zu more", hosts_of(p) - shown);
	say_clean(str_text(&s), out);
	str_wipe(&s);
}

/* Text. */

static void say_parties(const struct matrix *m, struct str *out)
{
	for (size_t i = 0; i < m->party_count; i++) {
		str_addf(out, "%4zu  ", i + 1);
		matrix_say_party(&m->parties[i], 60, out);
		str_addf(out, "%s\n", m->parties[i].agent ? "" : "   (runs no IPsec)");
	}
}

static void say_grid(const struct matrix *m, size_t kind, bool colour, struct str *out)
{
	static const char *const short_names[] = { "clr", "auth", "encr", "BLOCK" };
	bool words = m->party_count <= WORDS_MOST;
	int width = words ? 14 : 6;

	str_add(out, "from\\to");
	for (size_t to = 0; to < m->party_count; to++)
		str_addf(out, "%s%-*zu", to ? "" : " ", width, to + 1);
	while (out->len && out->text[out->len - 1] == ' ')
		out->text[--out->len] = '\0';
	str_add(out, "\n");
	for (size_t from = 0; from < m->party_count; from++) {
		str_addf(out, "%4zu    ", from + 1);
		for (size_t to = 0; to < m->party_count; to++) {
			const struct matrix_cell *c = matrix_cell(m, from, to, kind);
			int pad = to + 1 < m->party_count ? width : 0;

			if (!c->asked)
				str_addf(out, "%-*s", pad, "-");
			else if (words)
				say_outcome(c->verdict, pad, colour, out);
			else
				str_addf(out, "%-*s", pad, short_names[c->verdict]);
		}
		str_add(out, "\n");
	}
}

/* The cells of one kind that differ from those of another: what is said where the other has been shown. */
struct listing {
	const struct matrix *m;
	size_t kind, base; /* base == kind: all cells */
	bool *done;
};

static bool is_said(const struct listing *l, size_t from, size_t to)
{
	const struct matrix_cell *c = matrix_cell(l->m, from, to, l->kind);

	return c->asked && (l->base == l->kind || !matrix_cells_alike(c, matrix_cell(l->m, from, to, l->base)));
}

static bool says(const struct listing *l, size_t from, size_t to, const struct matrix_cell *c)
{
	return is_said(l, from, to) && matrix_cells_alike(matrix_cell(l->m, from, to, l->kind), c);
}

/* Does the row say `c` exactly where row `like` does? Where one of them would speak to itself, it says nothing. */
static bool rows_match(const struct listing *l, size_t row, size_t like, const struct matrix_cell *c)
{
	bool any = false;

	for (size_t to = 0; to < l->m->party_count; to++) {
		bool here = says(l, row, to, c);

		any |= here;
		if (matrix_cell(l->m, row, to, l->kind)->asked && matrix_cell(l->m, like, to, l->kind)->asked &&
		    here != says(l, like, to, c))
			return false;
	}
	return any;
}

static void take_row(struct listing *l, size_t row, const struct matrix_cell *c, bool *called)
{
	for (size_t to = 0; to < l->m->party_count; to++)
		if (says(l, row, to, c)) {
			l->done[row * l->m->party_count + to] = true;
			called[to] = true;
		}
}

static void add_number(struct str *s, size_t *count, size_t number)
{
	if (++*count <= NUMBERS_MOST)
		str_addf(s, "%zu ", number);
	else if (*count == NUMBERS_MOST + 1)
		str_add(s, "... ");
}

void matrix_say_rule(const struct matrix_cell *c, struct str *out)
{
	if (c->by_firewall)
		str_addf(out, "firewall %s%s%s", c->firewall ? "'" : "(nothing allows it)",
			 c->firewall ? c->firewall->name : "", c->firewall ? "'" : "");
	else if (c->rule)
		str_addf(out, "'%s'", c->rule->name);
	else
		str_add(out, "no rule");
	if (c->firewall && !c->by_firewall)
		str_addf(out, ", firewall '%s'", c->firewall->name);
}

static void say_line(struct listing *l, size_t from, const struct matrix_cell *c, bool colour, struct str *out)
{
	SCOPED(arena_wipe) struct arena memory = { 0 };
	size_t n = l->m->party_count, count = 0;
	bool *called = arena_new(&memory, n, sizeof *called);
	struct str line = { 0 };

	for (size_t row = from; row < n && (row == from || n <= MERGE_MOST); row++)
		if (row == from || rows_match(l, row, from, c)) {
			add_number(&line, &count, row + 1);
			take_row(l, row, c, called);
		}
	str_add(&line, "-> ");
	count = 0;
	for (size_t to = 0; to < n; to++)
		if (called[to])
			add_number(&line, &count, to + 1);
	str_add(out, "  ");
	say_outcome(c->verdict, 15, colour, out);
	str_addf(out, "%-20s ", str_text(&line));
	str_wipe(&line);
	matrix_say_rule(c, &line);
	say_clean(str_text(&line), out);
	str_add(out, "\n");
	str_wipe(&line);
}

/* One line for each verdict and rule, with those who fare so: "1 2 -> 3". */
static void say_list(const struct matrix *m, size_t kind, size_t base, bool colour, struct str *out)
{
	SCOPED(arena_wipe) struct arena memory = { 0 };
	struct listing l = { m, kind, base, arena_new(&memory, m->party_count * m->party_count, sizeof(bool)) };
	size_t lines = 0;

	for (size_t from = 0; from < m->party_count; from++)
		for (size_t to = 0; to < m->party_count; to++) {
			if (l.done[from * m->party_count + to] || !is_said(&l, from, to))
				continue;
			if (++lines > LINES_MOST) {
				str_add(out, "  and more; --json has all of it\n");
				return;
			}
			say_line(&l, from, matrix_cell(m, from, to, kind), colour, out);
		}
}

static void print_text(const struct matrix *m)
{
	size_t base = m->kind_count - 1;
	bool colour = command_colour();
	struct str out = { 0 };

	say_parties(m, &out);
	for (size_t i = 0; i < m->kind_count; i++) {
		/* The widest kind first: the others are told as what differs from it. */
		size_t kind = i == 0 ? base : i - 1;
		struct str name = { 0 };

		if (kind != base && (matrix_kinds_alike(m, kind, base) || !matrix_first_of_its_like(m, kind)))
			continue;
		if (kind == base) {
			for (size_t k = 0; k < base; k++)
				if (matrix_kinds_alike(m, k, base))
					str_addf(&name, "%s, ", m->kinds[k].name);
			str_add(&name, m->kinds[base].name);
		} else {
			matrix_say_kinds(m, kind, &name);
		}
		str_add(&out, "\n");
		say_clean(str_text(&name), &out);
		if (kind == base && m->party_count <= GRID_MOST) {
			str_add(&out, "\n");
			say_grid(m, kind, colour, &out);
			str_add(&out, "\n");
			say_list(m, kind, kind, colour, &out);
		} else {
			str_add(&out, kind == base ? "\n" : ": as above but for\n");
			say_list(m, kind, base, colour, &out);
		}
		str_wipe(&name);
	}
	say_print(&out);
}

static void say_bounds(const struct matrix *m)
{
	if (m->parties_left_out)
		(void)fprintf(stderr,
			      "cordon matrix: %zu kinds of host are left out: the rules tell more apart than fit. "
			      "--traffic LIST asks about less traffic and more hosts\n",
			      m->parties_left_out);
	if (m->kinds_left_out)
		(void)fprintf(stderr,
			      "cordon matrix: %zu kinds of traffic are left out; ask about them by --traffic LIST\n",
			      m->kinds_left_out);
}

static int matrix(int argc, char **argv)
{
	SCOPED(report_freep) struct report *report = report_new();
	SCOPED(policy_freep) struct policy *policy = NULL;
	SCOPED(why_freep) struct why *w = NULL;
	SCOPED(alike_freep) struct alike *alike = NULL;
	SCOPED(arena_wipe) struct arena memory = { 0 };
	struct asked asked = { .policy = SAY_DEFAULT_POLICY };
	struct matrix m;
	struct diag d = { 0 };
	int r;

	if ((r = arguments(argc, argv, &asked)) != EXIT_OK)
		return r;
	if (!(policy = say_load(asked.policy, report)))
		return EXIT_FAILED;
	w = why_new(policy, NULL);
	alike = alike_new(policy);
	if (matrix_make(w, alike, asked.traffic, &memory, &m, &d) < 0) {
		(void)fprintf(stderr, "cordon matrix: %s\n", d.text);
		return d.code == -ERR_SYNTAX || d.code == -ENOENT ? EXIT_USAGE : EXIT_FAILED;
	}
	if (asked.json)
		print_json(&m);
	else if (asked.html)
		matrix_say_html(&m, asked.policy);
	else
		print_text(&m);
	say_bounds(&m);
	return EXIT_OK;
}

const struct command command_matrix = {
	.name = "matrix",
	.summary = "who can talk to whom, and how",
	.usage = "usage: cordon matrix [POLICY] [--traffic LIST] [--json | --html]\n\n"
		 "Asks for every pair of hosts (of zones, where the policy names no hosts) and every kind of\n"
		 "traffic that its rules and tests name what becomes of it. Hosts that no rule tells apart are\n"
		 "shown as one. POLICY is /etc/cordon/policy.yaml by default.\n\n"
		 "  --traffic LIST   only that traffic: tcp/445, dns, icmp, ...\n"
		 "  --json           machine-readable\n"
		 "  --html           a page to show to somebody\n\n"
		 "Exit status: 0 answered, 1 the policy has errors, 2 wrong usage.\n",
	.run = matrix,
};
