/* observe/failure.h - why a negotiation failed, as a code that stays: for programs, for searching logs, and as the
 * index of docs/troubleshooting.md. One table (failure.c) has each code's name and what it means. Who knows the reason
 * gives the code as its error (failure_error), with words beside it; it reaches the event and `cordon show peers`
 * unchanged. */
#ifndef OBSERVE_FAILURE_H
#define OBSERVE_FAILURE_H

enum failure_code {
	FAILURE_NONE,
	/* the two policies do not meet */
	FAILURE_NO_RULE,
	FAILURE_NO_PROPOSAL,
	FAILURE_NO_GROUP,
	FAILURE_SELECTORS,
	FAILURE_TUNNEL,
	FAILURE_WRONG_METHOD,
	/* a proof is not good enough */
	FAILURE_NO_CREDENTIAL,
	FAILURE_NOT_ACCEPTED,
	FAILURE_WRONG_KEY,
	FAILURE_SIGNATURE,
	FAILURE_IDENTITY,
	FAILURE_CERTIFICATE_MISSING,
	FAILURE_CERTIFICATE_MALFORMED,
	FAILURE_CERTIFICATE_EXPIRED,
	FAILURE_CERTIFICATE_EARLY,
	FAILURE_CERTIFICATE_UNTRUSTED,
	FAILURE_CERTIFICATE_WEAK,
	FAILURE_CERTIFICATE_USE,
	FAILURE_CERTIFICATE_REVOKED,
	FAILURE_REVOCATION_UNKNOWN,
	FAILURE_ISSUER,
	FAILURE_USAGE,
	FAILURE_CRITERIA,
	FAILURE_PPK,
	FAILURE_NOT_MEMBER,
	/* nobody there, or something between */
	FAILURE_NO_ANSWER,
	FAILURE_NAT,
	FAILURE_NAT_SHARED,
	FAILURE_NAT_MOVED,
	/* what Cordon does not do */
	FAILURE_EAP,
	FAILURE_MULTIPLE_AUTH,
	FAILURE_HASH_AND_URL,
	FAILURE_REDIRECT,
	FAILURE_ADDRESS_REQUEST,
	FAILURE_UNSUPPORTED,
	/* the rest */
	FAILURE_MALFORMED,
	FAILURE_BUSY,
	FAILURE_DATA_PLANE,
	FAILURE_REFUSED,
	FAILURE_INTERNAL,
	FAILURE_COUNT
};

const char *failure_name(enum failure_code c);  /* "usage-missing"; "" for FAILURE_NONE */
const char *failure_brief(enum failure_code c); /* for a line of status: "the certificate lacks a usage" */

/* Which side said no. */
enum failure_side { SIDE_HERE, SIDE_PEER, SIDE_NOBODY };
const char *failure_side_name(enum failure_side s); /* "here", "peer", "nobody" */

/* A failure code as an error of base/diag.h, and back. An error that is no failure code gives what it stands for best.
 */
int failure_error(enum failure_code c);
enum failure_code failure_of(int error);

#endif
