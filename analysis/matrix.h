/* analysis/matrix.h - who can talk to whom, and how: the question of `why` for all pairs and all traffic that the
 * policy tells apart. Hosts that no rule tells apart are one party, so that a thousand hosts are a table that can be
 * read. */
#ifndef ANALYSIS_MATRIX_H
#define ANALYSIS_MATRIX_H
#include "analysis/question.h"

enum { MATRIX_KINDS = 24, MATRIX_QUESTIONS = 1000000 };

struct matrix_party {
	const struct host **hosts; /* alike; NULL for a zone of a policy without hosts */
	size_t host_count;
	const char *name; /* the first host's, or the zone's */
	bool agent;
};

struct matrix_kind {
	const char *name; /* "tcp/445", "any other" */
	struct service service;
	bool other; /* traffic that no rule and no test names */
};

struct matrix_cell {
	bool asked; /* false: a party of one host has nobody to talk to in itself */
	enum outcome verdict;
	const struct rule *rule;
	const struct firewall_rule *firewall; /* that let it in or stopped it */
	bool by_firewall;                     /* blocked there; firewall NULL: by the default action */
};

struct matrix {
	struct matrix_party *parties;
	size_t party_count, parties_left_out;
	struct matrix_kind *kinds; /* the last one is "any other", if all are asked about */
	size_t kind_count, kinds_left_out;
	struct matrix_cell *cells; /* by from, to, kind */
};

/* traffic: only that ("tcp/445", "dns"); NULL: all kinds. */
int matrix_make(struct why *w, const struct alike *a, const char *traffic, struct arena *memory, struct matrix *ret,
		struct diag *d);
const struct matrix_cell *matrix_cell(const struct matrix *m, size_t from, size_t to, size_t kind);
/* The same verdict by the same rule? */
bool matrix_cells_alike(const struct matrix_cell *a, const struct matrix_cell *b);
/* The same for every pair? */
bool matrix_kinds_alike(const struct matrix *m, size_t a, size_t b);

#endif
