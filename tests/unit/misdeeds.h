/* tests/unit/misdeeds.h - what a child of cordond that somebody else rules would try, as a table: who may do it, and
 * how it ends for the others. For the test of the cage and for the hostile child of tests/netns. */
#ifndef TESTS_UNIT_MISDEEDS_H
#define TESTS_UNIT_MISDEEDS_H
#include <stdbool.h>
#include <stddef.h>

/* What nobody may ends the process (FORBIDDEN), or has no effect (REFUSED). */
enum way { FORBIDDEN, REFUSED, ABORTED };

struct misdeed {
	const char *name;
	bool (*try)(void); /* true: it went well */
	unsigned may;      /* masks of ROLE_BIT */
	enum way otherwise;
	const char *call; /* that the parent is told of; NULL: it is not */
	unsigned refused; /* masks of ROLE_BIT: for these it just has no effect */
};
extern const struct misdeed misdeeds[];
extern const size_t misdeed_count;

#endif
