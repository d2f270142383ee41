/* keying/v1/proposal.h - suites of the policy as IKEv1 proposals, and the choice among what a peer offers (RFC 2408
 * 4.2, RFC 2407 4.4, 4.5, RFC 2409 appendix A). The sets are those of IKEv2: what IKEv1 has no number for (AEADs in
 * main mode, x25519, ChaCha20) is left out of an offer, and an answer must be one of what is left. Inside keying/ only.
 */
#ifndef KEYING_V1_PROPOSAL_H
#define KEYING_V1_PROPOSAL_H
#include "keying/v1/message.h"
#include "keying/proposal.h"

enum { V1_METHODS_MOST = 4, V1_LIFE_S_DEFAULT = 28800 };

/* Main mode: a transform for each suite and method (enum v1_method, in order). gss_name goes into those of
 * V1_METHOD_GSS. */
struct v1_main_wish {
	const struct key_exchange_set *set;
	uint16_t methods[V1_METHODS_MOST];
	size_t method_count;
	struct keying_octets gss_name;
};
/* -ERR_POLICY, with words: none of the set's suites is possible. */
int v1_offer_main(const struct v1_main_wish *wish, struct v1_offer *ret, struct diag *d);

struct v1_main_choice {
	struct ike_suite suite;
	uint16_t method;
	uint32_t life_s;               /* 0: the peer did not say; RFC 2407 4.5: 8 h */
	uint8_t proposal, transform;   /* their numbers */
	const struct v1_transform *of; /* leads into the offer */
};
/* The first of the offered transforms that the wish allows. false: none. */
bool v1_choose_main(const struct v1_offer *offer, const struct v1_main_wish *wish, struct v1_main_choice *ret);
/* What a peer answered must be one transform, and one that we asked for. */
bool v1_accept_main(const struct v1_offer *answer, const struct v1_main_wish *wish, struct v1_main_choice *ret);
/* The answer: the chosen transform as it came, but with our GSS name in place of the peer's (if len). */
void v1_answer_main(const struct v1_main_choice *choice, struct keying_octets gss_name, struct v1_offer *ret);

/* Quick mode. */
struct v1_quick_wish {
	const struct protection_set *set;
	bool tunnel;
	enum v1_nat nat; /* V1_NAT_NONE: no NAT is there: plain modes, AH allowed */
};
/* A proposal for each suite with our SPI, and one transform in it. All of an offer must have one group (there is one
 * KE payload): suites of another group than the first possible one are left out. *ret_group: that group, NULL: none.
 * -ERR_POLICY, with words: nothing is left. */
int v1_offer_quick(const struct v1_quick_wish *wish, uint32_t spi, struct v1_offer *ret,
		   const struct algorithm **ret_group, struct diag *d);

struct v1_quick_choice {
	struct child_suite suite; /* group: what was agreed on, or NULL */
	uint32_t spi;             /* the peer's */
	bool esn;
	bool udp;                 /* its encapsulation mode is one of UDP */
	uint32_t life_s, life_kb; /* 0: the peer did not say */
	uint8_t proposal;
	const struct v1_transform *of;
};
bool v1_choose_quick(const struct v1_offer *offer, const struct v1_quick_wish *wish, struct v1_quick_choice *ret);
bool v1_accept_quick(const struct v1_offer *answer, const struct v1_quick_wish *wish, struct v1_quick_choice *ret);
void v1_answer_quick(const struct v1_quick_choice *choice, uint32_t spi, struct v1_offer *ret);

/* For people: "aes256-sha384-ecp384 (rsa), ..."; cut to fit. */
const char *v1_offer_text(const struct v1_offer *offer, char buf[PROPOSALS_TEXT]);

#endif
