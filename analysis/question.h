/* analysis/question.h - questions as a person puts them: two names, addresses or zones, and a name for the traffic.
 * They are taken apart into points that no rule treats alike, judged one by one, and put together again: points that
 * fare alike, by the same rule, are one case of the answer. */
#ifndef ANALYSIS_QUESTION_H
#define ANALYSIS_QUESTION_H
#include "analysis/alike.h"
#include "analysis/why.h"

enum { PARTY_MEMBERS = 256, QUESTION_SERVICES = 64, QUESTION_POINTS = 200000, CASES_MOST = 64 };

/* Who a name stands for. */
struct party {
	const char *text;
	bool zone; /* several hosts; members are named hosts of the zone, then one bare address of each other kind */
	struct ends_who *members;
	size_t count;
	bool bounded; /* there are more kinds of address than were looked at */
};

/* A host, a zone, an address, or a range of addresses. -ENOENT with words and "did you mean" if it is none. */
int party_parse(const struct policy *p, const struct alike *a, const char *text, struct arena *memory,
		struct party *ret, struct diag *d);

struct question {
	struct party from, to;
	struct service services[QUESTION_SERVICES];
	size_t service_count;
	const char *traffic; /* as asked */
	struct facts facts;  /* of the ends that a firewall section rules */
};

/* What is asked of, in words: "tcp/445", "dns", "icmp", "tcp". */
int question_parse(struct why *w, const struct alike *a, const char *from, const char *to, const char *traffic,
		   struct arena *memory, struct question *ret, struct diag *d);

struct answer_case {
	struct why_verdict verdict; /* of one point of the case */
	size_t points;
	const char *traffic; /* of all its points: "tcp/445", "tcp/0-52, tcp/54-65535" */
	const char *pairs;   /* who, where it is not all that was asked about; else NULL */
	const char *when;    /* "at srv1 on interface eth1": it depends on that; else NULL */
};

struct answer {
	struct answer_case *cases; /* the weakest first; of too many the weakest, and the strongest as the last */
	size_t count;
	size_t points, pairs; /* pairs of addresses */
	size_t left;  /* points of cases that are not here: none is weaker than those, but for the last, that are */
	bool bounded; /* there is more than was looked at, and it may be weaker */
};

/* What rules do to the question. At least one case on success. */
int question_ask(struct why *w, const struct question *q, struct arena *memory, struct answer *ret, struct diag *d);

/* The ports of a service at `to`, cut where a rule that speaks of the two begins or ends: the first port of each piece,
 * sorted. *ret_more (may be NULL) is set if there are more pieces. */
size_t question_ports(struct why *w, const struct ends_who *from, const struct ends_who *to, const struct service *s,
		      uint16_t *ret, size_t cap, bool *ret_more);

/* "tcp/445", "icmp", "gre", "47". */
void question_service_text(int16_t protocol, uint16_t lo, uint16_t hi, struct str *out);

#endif
