/* identity/kerberos/token.h - what Kerberos messages say in the clear: which key a ticket wants, what a KDC's error is.
 * For words only: nothing of it is authenticated, and nothing is decided by it. Pure, takes anything. */
#ifndef IDENTITY_KERBEROS_TOKEN_H
#define IDENTITY_KERBEROS_TOKEN_H
#include "identity/peer.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The ticket in an initiator's first token (RFC 4121 4.1 around an AP-REQ, RFC 4120 5.5.1). */
struct kerberos_wanted {
	char service[PEER_TEXT]; /* "host/srv1.corp.example@CORP.EXAMPLE" */
	uint32_t kvno;           /* 0: it does not say */
	int32_t enctype;
};
bool kerberos_token_wants(const uint8_t *token, size_t len, struct kerberos_wanted *ret);
/* Where the AP-REQ begins in it; NULL: it is none. */
const uint8_t *kerberos_token_request(const uint8_t *token, size_t len, size_t *ret_len);

/* A KRB-ERROR (RFC 4120 5.9.1), bare or in a token: false: it is none. */
struct kerberos_said {
	int32_t code;
	int64_t its_time_s; /* of whoever made it, Unix time; 0: it does not say */
};
bool kerberos_token_error(const uint8_t *octets, size_t len, struct kerberos_said *ret);

/* What a KDC may answer with, by its first octet: AS-REP, TGS-REP, KRB-ERROR, of a whole message and no more. */
bool kerberos_is_answer(const uint8_t *octets, size_t len);

#endif
