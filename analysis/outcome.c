#include "analysis/outcome.h"

/* Design 3, the table of modes. Answers in clear to a connection that we opened in clear are accepted by every mode
 * that could have opened it so; hence no column for them. */
static const struct {
	bool protects;
	bool sends_clear;   /* in the end, with no SA */
	bool accepts_clear; /* new connections */
} modes[STANCES] = {
	[STANCE_REQUIRE] = { .protects = true },
	[STANCE_REQUIRE_INBOUND] = { .protects = true, .sends_clear = true },
	[STANCE_REQUEST] = { .protects = true, .sends_clear = true, .accepts_clear = true },
	[STANCE_EXEMPT] = { .sends_clear = true, .accepts_clear = true },
	[STANCE_BLOCK] = { 0 },
	[STANCE_NONE] = { .sends_clear = true, .accepts_clear = true },
};

struct meeting outcome_meet(enum stance initiator, enum stance responder, const struct negotiation *n)
{
	struct meeting m = { .stopped_at = -1 };

	if (modes[initiator].protects && modes[responder].protects && n->result == NEGOTIATE_AGREED) {
		m.verdict = m.ends[0] = m.ends[1] = n->outcome;
		/* It falls back to clear when negotiation fails, and an attacker can make it fail. */
		m.guaranteed = modes[initiator].sends_clear ? OUTCOME_CLEAR : n->weakest;
		return m;
	}
	m.ends[0] = modes[initiator].sends_clear ? OUTCOME_CLEAR : OUTCOME_BLOCKED;
	m.ends[1] = modes[responder].accepts_clear ? OUTCOME_CLEAR : OUTCOME_BLOCKED;
	if (m.ends[0] == OUTCOME_BLOCKED)
		m.stopped_at = 0;
	else if (m.ends[1] == OUTCOME_BLOCKED)
		m.stopped_at = 1;
	m.verdict = m.guaranteed = m.stopped_at < 0 ? OUTCOME_CLEAR : OUTCOME_BLOCKED;
	return m;
}
