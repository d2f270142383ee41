/* analysis/words.h - between the files that say a verdict in words: words.c, what is the case and why; advice.c, what
 * to do. Inside analysis/ only. */
#ifndef ANALYSIS_WORDS_H
#define ANALYSIS_WORDS_H
#include "analysis/why.h"

struct str;

/* The names of both sides, made once for a sentence. */
struct names {
	char buf[2][ADDR_TEXT];
	const char *of[2];
};
struct names *why_names(const struct why_verdict *v, struct names *n);

static inline const struct rule *why_rule_at(const struct why_verdict *v, unsigned side)
{
	return v->sides[side].entry.rule;
}

/* The side whose firewall decided. */
static inline unsigned why_firewall_side(const struct why_verdict *v)
{
	return v->sides[0].firewall.blocked ? 0 : 1;
}

void why_say_set(const struct auth_set *s, struct str *out); /* "a certificate of CN=A or an account in EXAMPLE" */
void why_say_groups(const struct group *const *groups, size_t count, struct str *out); /* "trusted, admins" */

#endif
