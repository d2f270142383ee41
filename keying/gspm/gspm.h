/* keying/gspm/gspm.h - Kerberos in IKE_AUTH (docs/protocols/kerberos-ikev2.md), within the framework of RFC 6467: a
 * GSS-API context each way, and AUTH keyed by both. The contexts live with the key holder; here are their numbers, the
 * digest of what was said, and the two secrets that come of them. Inside keying/ only. */
#ifndef KEYING_GSPM_GSPM_H
#define KEYING_GSPM_GSPM_H
#include "keying/ike.h"
#include "policy/plan.h"

struct diag;
struct ike_sa;
struct keying;
struct gspm_making; /* of an IKE SA while it is made, once both ends have named the method in IKE_SA_INIT */

enum {
	GSPM_METHOD = 19253, /* of the private ones (RFC 6467 6) */
	GSPM_AUTH = 12,      /* authentication method in AUTH */
	GSPM_SECRET = 32,
	GSPM_TRANSCRIPT = 32,
};

/* What the other end can take as our proof; which of our credentials is chosen by it. */
enum gspm_use { GSPM_MAYBE, GSPM_NEVER, GSPM_ONLY };

/* Take one payload's body into the digest of all. */
int gspm_digest(uint8_t transcript[GSPM_TRANSCRIPT], struct keying_octets body, struct diag *d);
/* What stands in AUTH of the initiator, or the responder, over these octets. */
int gspm_auth(const struct algorithm *prf, const struct key secrets[2], const uint8_t transcript[GSPM_TRANSCRIPT],
	      bool initiators, struct keying_octets signed_octets, struct key *ret, struct diag *d);

/* Initiator: do we name the method? We have Kerberos for the set. */
bool gspm_offered(const struct ike_sa *sa);
/* Responder: is there a rule between the two, good for this suite, that our Kerberos satisfies? */
bool gspm_wanted(const struct keying *k, const struct addr *local, const struct addr *remote,
		 const struct ike_suite *suite);
void gspm_put_methods(struct ike_writer *w);
bool gspm_named(const struct ike_msg *m, bool alone); /* alone: it is the one method in a reply */
void gspm_agree(struct ike_sa *sa);
void gspm_use(struct ike_sa *sa); /* it is how this SA is proven */
void gspm_free(struct ike_sa *sa);
bool gspm_agreed(const struct ike_sa *sa);
bool gspm_in_use(const struct ike_sa *sa);

/* Initiator: what stands in its first IKE_AUTH in place of AUTH. */
void gspm_put_hello(struct ike_sa *sa, struct ike_writer *w);
/* Responder: the first request names the mechanism and no more. Keeps what AUTH will cover. */
int gspm_asked(struct ike_sa *sa, const struct ike_msg *m, struct diag *d);
void gspm_put_parting(const struct ike_sa *sa, struct ike_writer *w); /* what Kerberos says of it, in a refusal */
int gspm_tell_name(struct ike_sa *sa, struct diag *d);                /* the reply to it */
/* Initiator: is this AUTH the peer's? Then the SA knows who it is. */
int gspm_verify(struct ike_sa *sa, const struct ike_msg *m, struct diag *d);
/* Initiator: Kerberos has come to nothing. If the set names something else that we have, that is tried instead, now and
 * for a while; false: it does not. */
bool gspm_falls_back(struct ike_sa *sa);
/* Responder, before there is an SA: the peer gives up. */
void gspm_parted(struct ike_sa *sa, const struct ike_msg *m);
/* May a ticket for this principal be asked? Whoever answers has named it, in IKEv1 too: only for hosts of the realms
 * that the set names, never for users or another kind of service, in whose place somebody might use what we send. */
bool kerberos_may_ask(const struct auth_set *set, const char *principal);
/* Does the SA wait for a message with which Kerberos goes on? */
bool gspm_waits(const struct ike_sa *sa);

#endif
