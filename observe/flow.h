/* observe/flow.h - the flow ledger: what passed between this host and each other one, by rule and outcome, how much,
 * and when first and last. One source for status, for protection gaps and for reports. It is fed by the use of SAs, by
 * what the table logs, and by who fell back; it bounds its memory, forgets first what was quiet longest, and counts
 * that. It has no clock of its own and asks nobody. One thread. */
#ifndef OBSERVE_FLOW_H
#define OBSERVE_FLOW_H
#include "observe/event.h"

enum flow_outcome {
	FLOW_ENCRYPTED,
	FLOW_AUTHENTICATED,
	FLOW_EXEMPT,  /* clear, as a rule wants it */
	FLOW_CLEAR,   /* clear for want of protection that a rule asks for */
	FLOW_BLOCKED, /* dropped */
	FLOW_OUTCOMES
};
/* As everywhere: "encrypted", "authenticated", "clear", "clear", "blocked". */
const char *flow_outcome_name(enum flow_outcome o);

enum { FLOW_LEDGER_MOST = 8192, FLOW_PAIRS_MOST = 65536 };

struct flow_row {
	struct addr remote;
	char rule[EVENT_NAME];     /* empty: not known */
	char identity[EVENT_NAME]; /* whom the other proved to be last; empty: it did not */
	enum flow_outcome outcome;
	/* Of SAs all; of what the table logs those that it told of, so at least so many. */
	uint64_t packets_in, packets_out, octets_in, octets_out;
	uint64_t first_ms, last_ms; /* Unix time */
};

struct flow_ledger;
struct flow_ledger *flow_ledger_new(size_t most);
void flow_ledger_free(struct flow_ledger *l);

/* Adds to the row of that remote, rule and outcome; identity "" leaves what is known. */
void flow_note(struct flow_ledger *l, const struct flow_row *add, uint64_t now_ms);

/* The use of SAs, as totals of each pair: between begin and end every pair that there is. Pairs that are not named any
 * more are forgotten, and a number that is given anew begins anew. */
void flow_pass_begin(struct flow_ledger *l);
void flow_pass_pair(struct flow_ledger *l, uint64_t pair, const struct flow_row *total, uint64_t now_ms);
void flow_pass_end(struct flow_ledger *l);

/* What an event says of flows; else nothing. */
void flow_event(struct flow_ledger *l, const struct event *e, uint64_t now_ms);
/* Who that address proved to be last, "" if it did not. */
const char *flow_identity(const struct flow_ledger *l, const struct addr *remote);

/* The rows, the latest first; copies. Returns how many there are. */
size_t flow_rows(const struct flow_ledger *l, struct flow_row *rows, size_t cap);
uint64_t flow_forgotten(const struct flow_ledger *l); /* rows that made room for others */

/* Other hosts with such a row since then, each counted once by outcome. */
void flow_peers(const struct flow_ledger *l, uint64_t since_ms, size_t ret[FLOW_OUTCOMES]);

#endif
