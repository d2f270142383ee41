/* analysis/negotiate.h - could two hosts agree on a security association, and on which: what IKE would find out, from
 * the two rules and the hosts' credentials alone. */
#ifndef ANALYSIS_NEGOTIATE_H
#define ANALYSIS_NEGOTIATE_H
#include "policy/policy.h"

enum negotiate_result {
	NEGOTIATE_AGREED,
	NEGOTIATE_NO_AGENT,     /* `at` runs no IPsec */
	NEGOTIATE_NAT,          /* `at` is behind a NAT, and the policy does not let it negotiate through one */
	NEGOTIATE_NO_RULE,      /* at `at` no rule protects this traffic */
	NEGOTIATE_CREDENTIAL,   /* `at` holds nothing that satisfies `set` */
	NEGOTIATE_METHOD,       /* the two sets ask for different proofs */
	NEGOTIATE_MACHINE,      /* `at` is not among the machines that the other's rule authorises */
	NEGOTIATE_SECOND,       /* a rule asks for a second authentication, which nothing can do */
	NEGOTIATE_MODULE,       /* one takes IKEv2 alone, the other IKEv1 alone */
	NEGOTIATE_KEY_EXCHANGE, /* no main mode suite in common */
	NEGOTIATE_PROTECTION    /* no quick mode suite in common */
};

/* One end. The initiator is number 0. */
struct negotiate_end {
	const struct host *host; /* NULL: not named in the policy, taken to run Cordon and to hold every credential */
	const struct rule *rule; /* that wins there; NULL: none */
};

struct negotiation {
	enum negotiate_result result;
	unsigned at;
	const struct auth_set *set;
	bool unlearnt; /* NEGOTIATE_MACHINE: whether it is one of them is nothing that its proof tells */
	const struct auth_method *proof[2]; /* by what each end proves itself to the other; NULL: not agreed on */
	enum nat_traversal through;
	const struct child_suite *suite; /* agreed: what the two ordered lists lead to */
	enum outcome outcome;            /* of that suite */
	const struct child_suite *weakest_suite;
	enum outcome weakest; /* of the weakest suite that both accept */
};

/* through: what the policy says of NATs. Who has a nat-address is behind one. */
struct negotiation negotiate(const struct negotiate_end ends[2], enum nat_traversal through);

#endif
