/* keying/v1/gss.h - Kerberos in IKEv1's main mode, as draft-ietf-ipsec-isakmp-gss-auth-07 has it and Windows does it:
 * authentication method 65001. Each end puts its principal into its SA payload; tokens go in messages 3 and 4; HASH_I
 * and HASH_R cover the sender's name and tokens and are wrapped by the GSS context. Where the sources leave a point
 * open there is a row in a table: what we send follows a switch, what we take is tried in every way. Inside keying/v1/
 * only. */
#ifndef KEYING_V1_GSS_H
#define KEYING_V1_GSS_H
#include "keying/v1/v1.h"

bool gss_used(const struct ike_sa *sa);
void gss_free(struct ike_sa *sa);
/* Our principal as an attribute: free() what *ret points to. */
int gss_own_name(const struct keying *k, const struct auth_set *set, struct owned *ret, struct diag *d);
/* The name that the peer sent, and ours as we sent it. */
void gss_begin(struct ike_sa *sa, struct keying_octets theirs, struct owned *own);
struct keying_octets gss_name(const struct ike_sa *sa); /* ours */
/* The principal that the peer's name stands for: "host/dc1.corp.example@CORP.EXAMPLE". */
enum { GSS_PRINCIPAL = 320 };
int gss_principal(struct keying_octets name, const char *realm, char ret[GSS_PRINCIPAL], struct diag *d);

/* A step of the context. Initiator: its first token; then with the peer's. Responder: with the peer's. */
int gss_ask_step(struct ike_sa *sa, struct diag *d);
void gss_take_token(struct ike_sa *sa, const struct v1_msg *m);
/* What came of it: our token is kept, and whom it is with when it is complete. */
int gss_stepped(struct ike_sa *sa, const struct keying_result *r, struct diag *d);
/* For failures: whom it is with, as far as is known. */
const char *gss_claimed(const struct ike_sa *sa);
/* It is in *sa from now on, with its time. */
void gss_peer_is_proven(struct ike_sa *sa);
bool gss_complete(const struct ike_sa *sa);
void gss_put_token(const struct ike_sa *sa, struct ike_writer *w);

/* Our hash, which covers our name and token beside the rest; and the wrapping of it. */
int gss_own_hash(const struct ike_sa *sa, struct keying_octets id_body, struct key *ret, struct diag *d);
int gss_ask_wrap(struct ike_sa *sa, const struct key *hash, struct diag *d);
int gss_ask_unwrap(struct ike_sa *sa, const struct v1_msg *m, struct diag *d);
/* Is what was unwrapped the hash that it has to be, in one of the ways that it can be meant? *ret_how: which, if it is
 * not the first. */
bool gss_is_hash(const struct ike_sa *sa, struct keying_octets unwrapped, const char **ret_how);

#endif
