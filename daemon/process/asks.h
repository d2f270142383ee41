/* daemon/process/asks.h - the processes, and the one table of what they may ask of each other: request, from, to, size,
 * descriptors, and in which state of the channel. What is not in it is not done: whoever sends it misbehaves, and its
 * channel ends. */
#ifndef DAEMON_PROCESS_ASKS_H
#define DAEMON_PROCESS_ASKS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum role {
	ROLE_PARENT,    /* root: policy, ruleset, control socket; parses nothing from the network */
	ROLE_KEYING,    /* IKE; no private key */
	ROLE_KEYS,      /* private keys and pre-shared keys; sees no packet */
	ROLE_DATAPLANE, /* packets; no keys but those of SAs */
	ROLE_SOURCES,   /* fetches what others publish; no secret */
	ROLE_COUNT
};
const char *role_name(enum role r); /* "keying" */

enum ask {
	ASK_READY, /* the child is in its cage and does what it is told */
	ASK_PEER,  /* u8 role: the other end of a channel with that process */
	/* Of any child. */
	ASK_EVENT,     /* observe/event_wire.h */
	ASK_FORBIDDEN, /* u32: the system call that the child was refused; it ends by that */
	ASK_COUNT
};

enum {
	ASK_BODY_MOST = 60000, /* more goes by a memory file (memfd) */
	ASK_FDS_MOST = 8,
};

/* States of a channel, as its receiving end sees them. */
enum channel_state { CHANNEL_NEW = 1, CHANNEL_READY = 2, CHANNEL_ANY = 3 };

struct ask_row {
	const char *name;
	uint8_t from, to;     /* masks of ROLE_BIT */
	uint32_t least, most; /* octets of the body; the same: exactly so many */
	uint8_t fds;          /* exactly so many descriptors */
	uint8_t states;       /* mask of channel_state: when it may come */
};
#define ROLE_BIT(role) (1u << (role))

extern const struct ask_row asks[ASK_COUNT];
/* Pairs that talk besides the parent with each. */
struct ask_pair {
	enum role a, b;
};
extern const struct ask_pair ask_pairs[];
extern const size_t ask_pair_count;

#endif
