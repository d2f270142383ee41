/* tools/cli/matrix_parts.h - what the text and the HTML of `cordon matrix` share. Only for matrix*.c. */
#ifndef TOOLS_CLI_MATRIX_PARTS_H
#define TOOLS_CLI_MATRIX_PARTS_H
#include "analysis/matrix.h"

struct str;

/* Kinds of traffic that fare alike for every pair are shown once: at the first of them. */
bool matrix_first_of_its_like(const struct matrix *m, size_t kind);
/* The names of all kinds that fare like this one. */
void matrix_say_kinds(const struct matrix *m, size_t kind, struct str *out);
/* The hosts of a party in about `most` columns. */
void matrix_say_party(const struct matrix_party *p, size_t most, struct str *out);
/* What decided in a cell. */
void matrix_say_rule(const struct matrix_cell *c, struct str *out);
/* Print the whole as a page that needs nothing else. */
void matrix_say_html(const struct matrix *m, const char *path);

#endif
