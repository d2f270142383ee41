/* identity/revocation.h - certificate revocation lists (RFC 5280 5), and what they say of a path. Lists come from files
 * and from where certificates say that theirs is; a list counts only for the authority whose key has signed it. Not
 * supported, and taken for no list at all: indirect lists, delta lists, lists of some reasons only.
 * Threads may judge while another adds: the lists are locked. */
#ifndef IDENTITY_REVOCATION_H
#define IDENTITY_REVOCATION_H
#include "base/crypto.h"
#include "base/scope.h"
#include "base/wire.h"
#include "identity/peer.h"
#include <openssl/x509.h>

struct diag;
struct revocation_lists;

enum {
	REVOCATION_LISTS_MOST = 1024,
	REVOCATION_OCTETS_MOST = 16 << 20, /* of one list */
	REVOCATION_URL_MOST = 512,
	REVOCATION_URLS_MOST = 8,
};

struct revocation_lists *revocation_lists_new(void);
void revocation_lists_free(struct revocation_lists *l);
SCOPE_FREEP(struct revocation_lists, revocation_lists)

/* The lists of a file or an answer, PEM or DER, in place of those that came from `source` before; but one that counted
 * stays until its authority has signed a later one. -ERR_SYNTAX: there is none in it, or one is damaged; then those of
 * before stay. *ret_next_s (may be NULL): when the first of them ends. */
int revocation_lists_put(struct revocation_lists *l, const char *source, const void *octets, size_t len,
			 uint64_t *ret_next_s, struct diag *d);
/* Those of that source, from elsewhere; false: there are none. */
bool revocation_lists_take(struct revocation_lists *l, const struct revocation_lists *from, const char *source);
/* All of them, for another process; adds them. */
void revocation_lists_encode(struct wire_out *out, const struct revocation_lists *l);
int revocation_lists_decode(struct wire_in *in, struct revocation_lists *l, struct diag *d);
size_t revocation_lists_count(const struct revocation_lists *l);

struct revocation_row {
	char source[REVOCATION_URL_MOST], issuer[PEER_TEXT];
	uint64_t from_s, next_s; /* next_s 0: the list does not say */
	size_t revoked;
};
/* The list with that number; false: there are no more. */
bool revocation_lists_row(const struct revocation_lists *l, size_t number, struct revocation_row *ret);

enum revocation_state { REVOKED_NOT, REVOKED_KNOWN, REVOKED_UNKNOWN };

struct revocation_verdict {
	enum revocation_state state;
	char words[384]; /* why, if it is not REVOKED_NOT: which certificate, and what is wrong with its list */
	char urls[REVOCATION_URLS_MOST][REVOCATION_URL_MOST]; /* where lists could be had for what is unknown */
	size_t url_count;
};

/* Every certificate of the path but the anchor. `sets`: where lists may be; NULL ones are passed over. */
void revocation_judge(struct revocation_lists *const *sets, size_t count, STACK_OF(X509) * path, uint64_t now_s,
		      struct revocation_verdict *ret);

#endif
