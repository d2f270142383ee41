/* keying/proposal.h - suites of the policy as proposals on the wire, and the choice among what a peer offers
 * (RFC 7296 2.7, 3.3). Inside keying/ only. */
#ifndef KEYING_PROPOSAL_H
#define KEYING_PROPOSAL_H
#include "keying/ike.h"
#include "policy/policy.h"

/* What we ask for: a proposal for each suite, in order. spi 0: none (first IKE SA). */
void proposal_offer_ike(const struct key_exchange_set *set, uint64_t spi, struct ike_offer *ret);
/* The one that we took. */
void proposal_answer_ike(const struct ike_suite *suite, uint8_t number, uint64_t spi, struct ike_offer *ret);

struct proposal_ike_choice {
	struct ike_suite suite;
	uint8_t number;
	uint64_t spi;
};
/* The first of the offered proposals that some acceptable suite fits. false: none does. */
bool proposal_choose_ike(const struct ike_offer *offer, const struct ike_suite *const *suites, size_t n,
			 struct proposal_ike_choice *ret);
/* What a peer answered must be one thing, and one that we asked for. */
bool proposal_accept_ike(const struct ike_offer *answer, const struct key_exchange_set *set,
			 struct proposal_ike_choice *ret);

/* A CHILD SA. with_group: CREATE_CHILD_SA, where a suite may ask for a key exchange of its own; IKE_AUTH has none. */
void proposal_offer_child(const struct protection_set *set, uint32_t spi, bool with_group, struct ike_offer *ret);

struct proposal_child_choice {
	struct child_suite suite; /* group: what was agreed on, NULL in IKE_AUTH */
	uint8_t number;
	uint32_t spi;
	bool esn;
};
void proposal_answer_child(const struct proposal_child_choice *choice, uint32_t spi, struct ike_offer *ret);
bool proposal_choose_child(const struct ike_offer *offer, const struct protection_set *set, bool with_group,
			   struct proposal_child_choice *ret);
bool proposal_accept_child(const struct ike_offer *answer, const struct protection_set *set, bool with_group,
			   struct proposal_child_choice *ret);

/* For people: "aes128-sha1-modp1024, aes256gcm-..."; cut to fit. */
enum { PROPOSALS_TEXT = 160 };
void proposal_append(char buf[PROPOSALS_TEXT], const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *proposal_text(const struct ike_offer *offer, char buf[PROPOSALS_TEXT]);
const char *proposal_set_text(const struct key_exchange_set *set, char buf[PROPOSALS_TEXT]);
const char *proposal_protection_text(const struct protection_set *set, char buf[PROPOSALS_TEXT]);

#endif
