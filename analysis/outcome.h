/* analysis/outcome.h - what becomes of traffic when the modes that win at its two ends meet: design's table of modes,
 * for every pair of them. Pure arithmetic on one table. */
#ifndef ANALYSIS_OUTCOME_H
#define ANALYSIS_OUTCOME_H
#include "analysis/negotiate.h"

/* What an end does with the traffic: the mode of its rule, or none if no rule speaks of it. */
enum stance {
	STANCE_REQUIRE = MODE_REQUIRE,
	STANCE_REQUIRE_INBOUND = MODE_REQUIRE_INBOUND,
	STANCE_REQUEST = MODE_REQUEST,
	STANCE_EXEMPT = MODE_EXEMPT,
	STANCE_BLOCK = MODE_BLOCK,
	STANCE_NONE,
	STANCES
};

struct meeting {
	enum outcome verdict, guaranteed;
	enum outcome ends[2]; /* what each end does, judged alone */
	int stopped_at;       /* blocked: the end that drops it; else -1 */
};

/* 0 opens the connection, 1 accepts it. `n` says whether they could agree, and on what. */
struct meeting outcome_meet(enum stance initiator, enum stance responder, const struct negotiation *n);

#endif
