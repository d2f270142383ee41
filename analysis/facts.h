/* analysis/facts.h - what only the ruled host knows of some traffic: by which interface it comes or goes, in which
 * profile that is, and whose socket it is. A question may say it. Where a firewall rule asks for what was not said, its
 * answer depends on it; then it is asked again under each assumption. */
#ifndef ANALYSIS_FACTS_H
#define ANALYSIS_FACTS_H
#include "analysis/ends.h"

struct str;

enum { ASSUMPTIONS_MOST = 8 };
struct facts {
	const char *interface, *program; /* NULL: not said */
	unsigned profiles;               /* one of these PROFILE_ bits; 0: not said */
	bool profiles_assumed;           /* narrowed down by facts_assume */
	struct fact {
		const char *what; /* an interface or a program, as a rule names it */
		bool program, holds;
	} assumed[ASSUMPTIONS_MOST];
	size_t assumed_count;
};

/* Is this traffic what the rule speaks of, as to its interface, profile and program? NULL: nothing is known. */
enum belongs facts_fit(const struct facts *f, const struct firewall_rule *r);
/* The facts with something assumed that the rule asks for, or its contrary. false: nothing that it asks for is open, or
 * too much has been assumed already. */
bool facts_assume(const struct facts *f, const struct firewall_rule *r, bool holds, struct facts *ret);
bool facts_equal(const struct facts *a, const struct facts *b);
/* "on interface eth1, in profile domain, by programs other than nginx.service": what was assumed; nothing of what was
 * said. */
void facts_text(const struct facts *f, struct str *out);

#endif
