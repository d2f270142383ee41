/* keying/gspm/making.h - what Kerberos remembers of an IKE SA that is being made, and what the steps of both ends
 * share: proof.c has the digest, the jobs and AUTH; initiate.c and respond.c the steps. Of these files
 * only. */
#ifndef KEYING_GSPM_MAKING_H
#define KEYING_GSPM_MAKING_H
#include "keying/engine.h"

enum { GSPM_CONTEXTS = 2 };

struct gspm_making {
	bool in_use;
	uint64_t contexts[GSPM_CONTEXTS]; /* their numbers: begun by the initiator, by the responder; 0: none yet */
	uint8_t transcript[GSPM_TRANSCRIPT];
	struct key secrets[GSPM_CONTEXTS];
	char principal[KEYING_GSS_TARGET]; /* initiator: the responder's, as it says */
	struct owned token;                /* waits for its turn */
	bool parting;                      /* responder: it is what Kerberos says of a ticket that it refuses */
	uint16_t notify;                   /* initiator: that the peer refused our ticket with */
	struct owned proof;                /* responder: the peer's AUTH, until it can be checked */
	uint8_t proof_method;
	struct peer *peer;                                    /* as the peer's own ticket has it */
	char warning[sizeof((struct keying_result *)0)->why]; /* what is wrong with that ticket's groups */
	uint64_t good_until_ms; /* the end of the first of the two tickets; UINT64_MAX: none ends */
};

/* Into the digest. */
int gspm_note(struct ike_sa *sa, struct keying_octets body, struct diag *d);
/* Into a message, and into the digest. */
int gspm_put(struct ike_sa *sa, struct ike_writer *w, const struct ike_gspm *what, struct diag *d);

/* Contexts are 0, begun by the IKE SA's initiator, and 1. Which one is it that we begin? */
size_t gspm_ours(const struct ike_sa *sa);
/* target: of the first step of ours; else NULL. */
int gspm_ask_step(struct ike_sa *sa, size_t context, const char *target, struct keying_octets token, struct diag *d);
int gspm_ask_key(struct ike_sa *sa, size_t context, struct diag *d);
int gspm_keep_key(struct ike_sa *sa, size_t context, const struct keying_result *r, struct diag *d);
/* What a complete context has told of the peer. */
void gspm_keep_told(struct ike_sa *sa, size_t context, const struct keying_result *r);

/* Make our AUTH, into the SA. */
int gspm_prove(struct ike_sa *sa, struct diag *d);
/* Is this the peer's? */
int gspm_check(struct ike_sa *sa, uint8_t method, struct keying_octets auth, struct diag *d);
void gspm_peer_is_proven(struct ike_sa *sa);

#endif
