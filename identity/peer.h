/* identity/peer.h - who a peer proved to be, whatever proved it. A value: copy it freely; it holds no secret. */
#ifndef IDENTITY_PEER_H
#define IDENTITY_PEER_H
#include "base/addr.h"
#include "identity/sid.h"
#include <stddef.h>
#include <stdint.h>

enum peer_method { PEER_UNPROVEN, PEER_PSK, PEER_CERTIFICATE, PEER_KERBEROS };
const char *peer_method_name(enum peer_method m);

enum { PEER_TEXT = 256, PEER_NAMES = 8, PEER_DIGEST = 16 };

struct peer {
	enum peer_method method;
	char id[PEER_TEXT]; /* for people: "CN=dc1", "10.0.0.1", "host/dc1.corp.example@CORP.EXAMPLE", "DC1$@..." */
	char subject[PEER_TEXT]; /* certificate: subject; else empty */
	char issuer[PEER_TEXT];
	char names[PEER_NAMES][PEER_TEXT]; /* subject alternative names as text */
	size_t name_count;
	uint64_t not_after_s;             /* certificate: end of validity, Unix time; 0: none */
	uint8_t certificate[PEER_DIGEST]; /* the first half of its SHA-256 */
	char account[PEER_TEXT];          /* its certificate's name in the directory, to be looked up; not kept */
	bool account_is_upn;              /* a user principal name; else a DNS name */
	struct sid_list sids;             /* its account and its groups in the directory; empty: none, or not known */
	uint64_t learnt_s;                /* when they were, Unix time; 0: they were not */
};

/* The same to be kept for as long as an SA lives: only as large as its words. NULL stands for one that is unproven. */
struct peer_kept;
struct peer_kept *peer_keep(const struct peer *p); /* free() it */
void peer_of_kept(const struct peer_kept *k, struct peer *ret);
const char *peer_kept_id(const struct peer_kept *k);
enum peer_method peer_kept_method(const struct peer_kept *k);
/* Of its certificate, PEER_DIGEST octets; NULL: there is none. */
const uint8_t *peer_kept_certificate(const struct peer_kept *k);
void peer_kept_sids(const struct peer_kept *k, struct sid_list *ret);
uint64_t peer_kept_learnt_s(const struct peer_kept *k);

#endif
