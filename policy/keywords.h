/* policy/keywords.h - keywords that the policy's own hosts give a meaning. For this folder only. */
#ifndef POLICY_KEYWORDS_H
#define POLICY_KEYWORDS_H
#include "policy/policy.h"

/* The addresses of the hosts with the keyword's role, appended to ret->elements (malloc'ed). */
void keyword_hosts(const struct policy *p, enum keyword k, struct address_set *ret);

#endif
