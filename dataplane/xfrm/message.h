/* dataplane/xfrm/message.h - requests to the kernel's XFRM, and what it sends, as octets. Writing is bounded by the
 * buffer; reading believes no length. Pure: ask.h sends and receives. */
#ifndef DATAPLANE_XFRM_MESSAGE_H
#define DATAPLANE_XFRM_MESSAGE_H
#include "dataplane/sad.h"
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct diag;

enum { MESSAGE_MOST = 2048 }; /* of one request: an SA with two keys and a window of 4096 */

/* ---- policies ---------------------------------------------------------------------------------------------------- */

/* What a policy is known by to the kernel: there is one of each. */
struct policy_key {
	struct xfrm_selector selector;
	struct xfrm_mark mark;
	uint8_t dir; /* XFRM_POLICY_IN, _OUT, _FWD */
};

uint64_t policy_key_hash(const struct policy_key *k);
int policy_key_compare(const struct policy_key *a, const struct policy_key *b); /* 0: the same */

/* And what it does. */
struct policy_does {
	uint32_t priority;
	bool block;
	bool protects; /* by the template; else let pass, or block */
	struct {
		uint8_t protocol, mode; /* IPPROTO_ESP or _AH, XFRM_MODE_TRANSPORT or _TUNNEL */
		uint16_t family;        /* of the addresses: of the tunnel's ends; of transport mode the selector's */
		uint32_t reqid;         /* 0: any */
		struct addr from, to;   /* family 0: any */
	} template;
	uint32_t lifetime_s; /* the kernel removes it then; 0: stays */
};

/* change: it is there already, and is to be this one. Returns the octets of the message. */
size_t message_policy(void *buf, size_t cap, const struct policy_key *k, const struct policy_does *does, uint32_t index,
		      bool change);
/* By its index alone; the kernel wants to hear its mark, too. */
size_t message_policy_remove(void *buf, size_t cap, const struct policy_key *k, uint32_t index);
size_t message_policy_list(void *buf, size_t cap);

/* ---- states ------------------------------------------------------------------------------------------------------ */

/* By what the kernel finds one. */
struct state_id {
	struct addr to; /* outer destination */
	uint32_t spi;   /* host order */
	uint8_t protocol;
};
struct state_id state_id_of(const struct sa_spec *s);

/* Can the kernel do it? Refuses by words what its table of algorithms has not. */
int message_state_check(const struct sa_spec *s, struct diag *d);
/* update: one that is there gets other encapsulation ports; keys are then not looked at, and need not be there. */
/* What leaves under an outbound one gets the mark; inbound ones have none, or what they let in would bear it. */
size_t message_state(void *buf, size_t cap, const struct sa_spec *s, uint32_t reqid, struct xfrm_mark leaves,
		     uint32_t hard_s, bool update);
size_t message_state_remove(void *buf, size_t cap, const struct state_id *id);
size_t message_state_get(void *buf, size_t cap, const struct state_id *id);
size_t message_state_list(void *buf, size_t cap);
/* A state that nobody can use, in the place of one that waits for an SA (acquire_id of what was heard). */
struct larval {
	uint32_t seq; /* of the acquire */
	uint32_t reqid, spi;
	uint8_t protocol, mode;
	struct addr from, to;
};
size_t message_larval_replace(void *buf, size_t cap, const struct larval *l);
/* The same, but packets of the selector find it, and none leaves under it. It ends with the first, or in a second. */
size_t message_larval_drops(void *buf, size_t cap, const struct larval *l, const struct sa_selector *selector);

/* ---- what the kernel says ---------------------------------------------------------------------------------------- */

enum message_kind {
	MESSAGE_OTHER, /* nothing of use to us */
	MESSAGE_DONE,  /* error: 0 or a negative errno value */
	MESSAGE_END,   /* of a list */
	MESSAGE_STATE,
	MESSAGE_POLICY,
	MESSAGE_ACQUIRE,
	MESSAGE_EXPIRE,
	MESSAGE_MAPPING,
	MESSAGE_STATE_GONE, /* somebody removed one: id */
	MESSAGE_STATES_GONE,
	MESSAGE_POLICY_GONE, /* or put another in its place: index */
	MESSAGE_POLICIES_GONE,
};

struct message_in {
	enum message_kind kind;
	uint32_t seq; /* of the request that it answers */
	int error;
	/* STATE, EXPIRE, MAPPING: which one; ACQUIRE: what is to be (spi 0) */
	struct state_id id;
	struct addr from;
	uint32_t reqid;
	uint8_t mode;
	uint64_t octets, packets, add_s, use_s; /* STATE: use_s: when it was first used */
	uint64_t last_s;                        /* STATE: when it was last used, 0: not told */
	uint64_t sequence;                      /* STATE: sent last */
	struct xfrm_mark leaves;                /* STATE: the mark of what leaves */
	bool hard;                              /* EXPIRE */
	struct policy_does does;                /* POLICY */
	struct policy_key key;                  /* POLICY; ACQUIRE: the flow in key.selector */
	uint32_t index, acquire;                /* POLICY, ACQUIRE; acquire: the larval state's number */
	uint16_t new_port, old_port;            /* MAPPING, host order */
	struct addr moved_to;
	bool interrupted; /* the list has changed under way */
};

/* The next message of a datagram of len octets, which then begins behind it; false: there is none, or the rest is not
 * well-formed. */
bool message_next(const uint8_t **at, size_t *len, struct message_in *ret);

#endif
