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
	/* The parent to keying. */
	ASK_KEYING_SOCKET,       /* u8 which of SOCKETS_COUNT, and it */
	ASK_KEYING_PLAN,         /* plan_wire.h, proofs_wire.h */
	ASK_KEYING_PROOFS,       /* proofs_wire.h, for the same plan */
	ASK_KEYING_NAMES,        /* identity/directory.h: what the directory says of groups */
	ASK_KEYING_CLOSE,        /* no plan any more: tell the peers */
	ASK_KEYING_ADDRESS_GONE, /* address */
	ASK_KEYING_REKEY,        /* u32 request, u8 which of keying_renewal, u16 count of addresses, they */
	ASK_KEYING_LOOK,         /* u32 request */
	ASK_KEYING_MEMBERS_DONE, /* u64 request, u8 done? */
	/* Keying to the parent: looked at by engine_doors.h. */
	ASK_KEYING_FALLBACK, /* local, remote, u32 seconds */
	ASK_KEYING_SECURED,  /* local, remote, u8 up? */
	ASK_KEYING_MEMBERS,  /* who is behind which addresses: members_wire.h */
	ASK_KEYING_KEYS,     /* a line for a capture decoder */
	ASK_KEYING_REKEYED,  /* u32 request, u32 how many begin */
	ASK_KEYING_ROWS,     /* u32 request; keying_wire.h */
	/* Of any child. */
	ASK_EVENT,     /* observe/event_wire.h */
	ASK_FORBIDDEN, /* u32: the system call that the child was refused; it ends by that */
	ASK_PING,      /* answered by PONG: the process does its work */
	ASK_PONG,
	ASK_ACCUSE, /* u8 role, words: that one misbehaved towards us, and we listen to it no more */
	/* The parent to the data plane (daemon/parts/plane.h). */
	ASK_PLANE_FD,    /* u8 which (plane_fds.h), and it */
	ASK_PLANE_PLAN,  /* the plan from now on (plan_wire.h) */
	ASK_PLANE_BEGIN, /* u32 mark of our own packets */
	ASK_PLANE_END,   /* no SA and no device any more */
	ASK_PLANE_BEGUN, /* the answer to BEGIN: what needs an SA waits for one from now on */
	/* Whoever drives keying to the data plane (sad_wire.h, datagram_wire.h). */
	ASK_SAD_HELLO,   /* a new client; the one before it is dead */
	ASK_SAD_RESERVE, /* u64 request, two addresses */
	ASK_SAD_RELEASE, /* u32 SPI */
	ASK_SAD_INSTALL, /* u64 request, spec */
	ASK_SAD_REMOVE,  /* u64 pair, u64 request */
	ASK_SAD_STOP,    /* u64 pair */
	ASK_SAD_MOVE,    /* u64 pair, address, u16 port */
	ASK_SAD_HELD,    /* u8 clear, selector */
	ASK_SAD_LOOK,    /* answered with USAGE of what has changed, then DROPS */
	ASK_IKE_SEND,    /* from UDP port 4500 */
	ASK_IKE_KEEP_ALIVE,
	/* And back. */
	ASK_SAD_UP,     /* there are devices and a plan */
	ASK_SAD_DOWN,   /* there are none, and no SA */
	ASK_SAD_EVENT,  /* event */
	ASK_SAD_ORPHAN, /* u64 pair, selector: an SA of a client that is dead */
	ASK_SAD_USAGE,  /* rows */
	ASK_SAD_DROPS,  /* u64 for each reason */
	ASK_IKE_CAME,   /* to UDP port 4500 */
	/* The key holder, filled by the parent: daemon/keys/messages.h has the bodies of all. */
	ASK_KEYS_BEGIN,  /* drop what is being prepared, prepare another set */
	ASK_KEYS_LOAD,   /* add what the descriptor's file holds */
	ASK_KEYS_KEEP,   /* add what the set in use has */
	ASK_KEYS_SWAP,   /* u32 ticket: what is prepared is in use from now on */
	ASK_KEYS_ANSWER, /* to each of the last three */
	ASK_KEYS_TICKET, /* how it stands with this host's Kerberos ticket */
	/* The same, asked by keying. */
	ASK_KEYS_SIGN,
	ASK_KEYS_PROVE,
	ASK_KEYS_MIX,
	ASK_KEYS_SIGNED,
	ASK_KEYS_PROVEN, /* u64 job: yes */
	ASK_KEYS_MIXED,
	ASK_KEYS_REFUSED,
	ASK_KEYS_GSS,     /* Kerberos: a step of a context, answered by STEPPED */
	ASK_KEYS_GSS_USE, /* a key of it, a wrapped or unwrapped text, answered by TEXT or REFUSED */
	ASK_KEYS_GSS_END, /* u64 context */
	ASK_KEYS_GSS_STEPPED,
	ASK_KEYS_GSS_TEXT,
	/* The key holder to sources, and back: what Kerberos asks of a KDC. */
	ASK_KDC,
	ASK_KDC_ANSWER,
	ASK_KDC_FAILED,
	ASK_KDCS, /* the parent to sources: where each realm's are */
	/* Files that others publish: whoever reads them asks `sources`, and the parent keeps what was good. */
	ASK_NAMES,            /* two descriptors: resolv.conf and hosts, as they are now */
	ASK_FETCH,            /* u32 number, URL */
	ASK_FETCHED,          /* u32 number; what came: a sealed memory file */
	ASK_FETCH_FAILED,     /* u32 number, why in words */
	ASK_DIRECTORY,        /* u32 number; directory_wire.h: a task. It ends the one before */
	ASK_DIRECTORY_SAID,   /* u32 number; directory_wire.h: replies */
	ASK_DIRECTORY_FAILED, /* u32 number, why in words */
	ASK_ACCOUNT,          /* keying to the parent: u32 number, u8 user principal name?, the name: its SIDs? */
	ASK_ACCOUNT_SAID,     /* and back: u32 number, u8 directory_state, u64 when learnt, a sid_list */
	ASK_LIST_RECALL,      /* u32 number, URL: what is kept of it? */
	ASK_LIST_RECALLED,    /* u32 number; the file on disk, to be read */
	ASK_LIST_NONE,        /* u32 number */
	ASK_LIST_KEEP,        /* URL; a sealed memory file */
	ASK_COUNT
};

enum {
	ASK_BODY_MOST = 60000, /* more goes by a memory file (memfd) */
	ASK_FDS_MOST = 8,
	ASK_URL_MOST = 511,
	ASK_WHY_MOST = 200,
	ASK_NAME_MOST = 255,
};

enum { KEYING_REKEY_PEERS = 2048, KEYING_KEYS_MOST = 1024 };

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
