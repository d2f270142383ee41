/* keying/choose.h - which of our own credentials to show to a peer. The choice depends on nothing but the policy, our
 * certificates and what the peer has said, so that the same happens every time, and it can be told why. */
#ifndef KEYING_CHOOSE_H
#define KEYING_CHOOSE_H
#include "keying/engine.h"

/* What the peer has said of what it takes. */
struct choose_peer {
	bool known;                /* it has answered IKE_SA_INIT, or asked for it; else it counts for nothing */
	uint16_t hashes;           /* bit n: it takes hash n (RFC 7427 4) */
	const struct ike_msg *msg; /* has its CERTREQ payloads; NULL: none yet */
	enum gspm_use kerberos;    /* does it take Kerberos, and nothing else? */
};

enum { CHOICE_TEXT = 384 };

/* Of those that satisfy a method of the set: those that the peer can check, then those of an authority that it names
 * (if there are any), then those of the set's first method, then the one that is valid longest, then the first in
 * host.yaml. ret_why (may be NULL): that in words, when there was a choice; else empty. NULL: there is none, and why
 * not is in d. */
const struct keying_credential *choose_credential(const struct keying *k, const struct auth_set *set,
						  const struct choose_peer *peer, char ret_why[CHOICE_TEXT],
						  struct diag *d);
/* The same for an IKE SA, which keeps the choice and the words. */
int choose_for(struct ike_sa *sa, const struct ike_msg *m, struct diag *d);

#endif
