/* keying/fragment.h - IKE fragmentation (RFC 7383): a message longer than the path takes goes as several datagrams,
 * each sealed by itself; what comes so is kept, bounded, until it is whole. Inside keying/ only.
 *
 * A message that was sent is kept as its datagrams, one behind the other: each says in its header how long it is. */
#ifndef KEYING_FRAGMENT_H
#define KEYING_FRAGMENT_H
#include "keying/ike.h"
#include <sys/queue.h>

struct ike_sa;
struct owned;
struct keying;
struct reassembly;

enum {
	FRAGMENTS_MOST = 256,           /* of one message */
	REASSEMBLY_MS = 30000,          /* a request has so long to become whole */
	REASSEMBLY_POOL_MOST = 8 << 20, /* octets in each of the pools, bookkeeping included; the oldest goes first */
	FRAGMENT_OCTETS_LEAST = 576,    /* of an IP packet, where longer ones seem not to get through (IPv4 only) */
	FRAGMENT_PATIENCE = 4,          /* after so many tries without an answer */
	FRAGMENTS_SEALED_MOST = 256 << 10, /* octets of one message, all its datagrams together */
};

/* Strangers, who have a key and no proof yet, cannot take the room of peers. */
enum fragment_pool { POOL_STRANGERS, POOL_PEERS, POOLS };
struct reassembly_pool {
	TAILQ_HEAD(reassembly_queue, reassembly) queue; /* oldest first */
	size_t octets;
};
void fragment_pools_init(struct keying *k);

/* In place of ike_sk_end: seal what is in w, as fragments if that is too long for the path and the peer takes them.
 * Afterwards w->out holds the datagrams. */
int fragment_seal(struct ike_sa *sa, struct ike_writer *w, size_t sk, struct diag *d);
/* Cut a message that was sent again, and smaller: nothing is heard of it. What comes later is cut so, too. */
void fragment_recut(struct ike_sa *sa, struct owned *message);
/* The first datagram of several; its length, or 0 if there is none (any more). */
size_t fragment_first(const uint8_t *datagrams, size_t len);

/* Could this fragment be one that we wait for? Asked before anything is decrypted. */
bool fragment_wanted(const struct ike_sa *sa, bool reply, const struct ike_envelope *e);
/* Keep the content of an authentic one. True: the message is whole, its content is in k->in, ret_digest and *ret_first
 * are of its first fragment; what was kept is forgotten. */
bool fragment_keep(struct ike_sa *sa, bool reply, const struct ike_envelope *e, struct wire_in content,
		   const uint8_t *digest, struct wire_in *ret_content, uint8_t *ret_first, uint8_t *ret_digest);
void fragment_forget(struct ike_sa *sa, bool reply);

#endif
