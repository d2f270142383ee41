/* analysis/lint/parts.h - the lints, one file for each idea, and what they share. For this folder only. */
#ifndef ANALYSIS_LINT_PARTS_H
#define ANALYSIS_LINT_PARTS_H
#include "analysis/lint/lint.h"
#include "analysis/question.h"

struct lint {
	struct why *w;
	const struct alike *a;
	struct report *r;
	const struct policy *p;
	const struct rule *rules;
	size_t rule_count;
	const struct host *hosts;
	size_t host_count;
	/* Who is looked at: one of each kind of host that runs an agent, and one address of each other kind. */
	struct ends_who *kinds;
	size_t kind_count;
	bool bounded; /* there are more kinds than can be looked at */
};

void lint_conflicts(struct lint *l);  /* equal-rank, and never-matches: both compile plans */
void lint_exemptions(struct lint *l); /* wide-exemption */
void lint_emergency(struct lint *l);  /* no-emergency-exemption */
void lint_families(struct lint *l);   /* family-not-covered */
void lint_kerberos(struct lint *l);   /* kerberos-circle, bypass-group-shared */
void lint_ports(struct lint *l);      /* port-at-wrong-end, dns-udp-only */
void lint_sets(struct lint *l);       /* null-encryption, pre-shared-key */
void lint_keywords(struct lint *l);   /* keyword-of-each-host */
void lint_firewall(struct lint *l);   /* never-protected, never-encrypted, group-not-learnt, let-in-anyway */
void lint_groups(struct lint *l);     /* foreign-group */
void lint_modules(struct lint *l);    /* ikev1, ikev1-impossible, second-authentication */

/* An address for an end: a host that runs an agent if there is one (without `without` roles if possible), else an
 * address that no host has. false: the end is empty. */
bool lint_someone(const struct lint *l, const struct end *e, unsigned role, unsigned without, struct ends_who *ret);
/* Is it an end that only the hosts themselves can fill, so that nothing can be said here? */
bool lint_known_to_hosts_only(const struct lint *l, const struct end *e);
/* Does the end hold `any` or the whole of a family? */
bool lint_end_is_any(const struct end *e);

#endif
