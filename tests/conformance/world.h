/* tests/conformance/world.h - a data plane on one host and a hand-made peer on another, joined by a real wire: what the
 * promises of sad.h are tried on, whichever plane keeps them. The peer is raw sockets and keyed ciphers in this
 * program, so that it can send what no plane would. */
#ifndef TESTS_CONFORMANCE_WORLD_H
#define TESTS_CONFORMANCE_WORLD_H
#include "base/crypto.h"
#include "base/diag.h"
#include "dataplane/sad.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct world;

/* A plane as its maker sees it; all else goes by sad.h. */
struct door {
	const char *name;
	unsigned many;   /* SAs at a time that are tried: up to MANY_MOST */
	bool knows_spis; /* sees each packet; the kernel has to be asked whether somebody sends to an SPI that is not
			    there */
	/* In the host's namespace. Fills w->sad. */
	int (*open)(struct world *w, struct diag *d);
	void (*close)(struct world *w);
	int (*fd)(const struct sad *sad);
	void (*readable)(struct sad *sad);
	uint64_t (*deadline)(const struct sad *sad);
	void (*tick)(struct sad *sad);
	/* The last number that an outbound SA has sent: what no production code can say. */
	bool (*seed)(struct world *w, uint32_t spi, uint64_t number);
	/* A socket of the host's UDP 4500, before and after there is something to read. */
	void (*begin_udp)(struct world *w, int fd, uint8_t family);
	void (*read_udp)(struct world *w, int fd);
};
extern const struct door door_esp, door_crew, door_xfrm;

enum {
	EVENTS_MOST = 256,
	MANY_MOST = 10000,
	PACKET_MOST = 2048,
	APP_PORT = 7000,
	PEER_PORT = 7001,
	ENCAP_PORT = 4500,
	MARK_OWN = 0x02000000
};

struct world {
	const struct door *door;
	const char *ns_host, *ns_peer;
	struct sad *sad;
	void *own; /* the door's */
	struct plan *plan;
	struct addr local, local6; /* the host */
	unsigned others;           /* peers' addresses used so far: each promise has its own */
	uint64_t numbers;          /* of requests and pairs given out */
	int app, app_other;        /* the host's programs: UDP sockets on APP_PORT and the port behind it */
	int udp, udp6;             /* the host's UDP 4500 */
	/* The peer's: raw packets to send, all that comes over its wire, and datagrams that came in clear. */
	int raw, raw6, tap, clear;
	struct sad_event events[EVENTS_MOST];
	size_t event_count;
	const char *promise;
	unsigned broken;
};

int world_open(struct world *w, struct diag *d);
void world_close(struct world *w);
struct plan *world_plan(const char *rules); /* of policy/, for the host; ends the program when it is wrong */
int world_in(const char *ns);               /* to a namespace; returns a descriptor of the one before */
void world_back(int before);
uint64_t world_now_ms(void *context);
void world_event(void *context, const struct sad_event *e);

/* The plane's loop, for so long, or until something can be read from fd (-1: nothing). */
bool world_run(struct world *w, unsigned ms, int fd);
/* Waits for one; it is taken out of the list. false: it did not come. */
bool world_await(struct world *w, enum sad_event_kind kind, struct sad_event *ret);
/* Of this pair; others' of that kind are taken out as well: the kernel's plane tells some late, of SAs that are no
 * more. */
bool world_await_of(struct world *w, enum sad_event_kind kind, uint64_t pair);
size_t world_count(const struct world *w, enum sad_event_kind kind); /* of those that nobody took */
void world_forget(struct world *w);

bool world_check(struct world *w, bool kept, const char *what);
#define promise(w, kept) world_check(w, kept, #kept)

/* ---- the SAs between the host and one peer ---- */

struct between {
	uint8_t family, outer_family; /* 0: IPv4; 0: the same */
	bool ah, tunnel;              /* tunnel: the other end is a gateway, and `remote` is behind it */
	struct addr local, remote;    /* of what is protected */
	struct addr outer_local, outer;
	struct addr from; /* where the other end's packets come from, when a NAT has moved it */
	uint64_t pair;
	uint32_t in, out; /* SPIs as the host sees them */
	bool esn;
	uint32_t window;
	uint64_t soft, hard;
	bool udp; /* behind a NAT */
	uint16_t remote_port, from_port;
	struct sa_selector selector;
	struct seal *to_host, *from_host;
	uint64_t number; /* of the last packet the peer sent */
};

struct addr world_address(const char *text);
struct addr world_peer(struct world *w); /* an address that nobody used */
const struct child_suite *between_suite(const struct between *b);
void between_key(const struct between *b, bool to_host, struct key *ret);
/* Zero for what is not said: another peer in IPv4, ESP with AES-256-GCM (or AH with SHA-256) in transport mode, no ESN,
 * a window of 64, everything. Both directions unless asked otherwise. */
void between_meet(struct world *w, struct between *b); /* addresses only; the others do it where it was not done */
void between_begin(struct world *w, struct between *b);
void between_reserve(struct world *w, struct between *b);
void between_install(struct world *w, struct between *b, bool inbound);
void between_renew(struct world *w, struct between *b, const struct between *old); /* the same, other keys and SPIs */
void between_end(struct between *b);

/* ---- the peer ---- */

struct forged {
	uint64_t number; /* 0: the next one */
	bool other_high; /* sealed as if the high half of the number were another */
	int flip;        /* octet of the packet to be changed, counted from its end; 0: none */
	size_t cut;      /* octets to be left away at the end */
	uint16_t port;   /* destination, 0: APP_PORT */
	uint8_t next;    /* 0: UDP */
	bool stranger;   /* in a tunnel: of an address that the SA does not speak of */
};
/* A datagram of these octets under ESP from the peer to the host. */
void peer_sends(struct world *w, struct between *b, const char *text, const struct forged *how);
/* The same packet again, octet for octet. */
void peer_repeats(struct world *w, struct between *b);

struct taken {
	uint32_t spi;
	uint32_t number; /* low half */
	struct addr to;
	uint16_t to_port; /* of UDP encapsulation, 0: native */
	bool authentic;   /* under the high half that was expected */
	bool padding_right;
	bool inner_right; /* in a tunnel: the packet in it is between the two that it is for */
	uint8_t next;
	char text[256]; /* of the datagram in it */
};
/* The next ESP packet for this peer, opened. false: none came. */
bool peer_takes(struct world *w, struct between *b, uint32_t high, struct taken *ret);
bool peer_hears_clear(struct world *w, const char *text);

/* ---- the host's programs ---- */

void app_sends(struct world *w, const struct addr *to, const char *text);
bool app_hears(struct world *w, const char *text); /* within a second */
bool app_hears_nothing(struct world *w);           /* and there is nothing more */
bool app_hears_on(struct world *w, int fd, const char *text);

/* ---- every way that a packet can be protected: what all of them promise (ways.c) ---- */

struct way {
	const char *name;
	struct between b; /* family, ah, tunnel, udp, esn */
};
enum { WAYS = 9 };
extern const struct way ways[WAYS];
void way_is_kept(struct world *w, const struct way *way);

/* Drop counters, as whoever shows them reads them: all, in their order. */
uint64_t drops_counted(const struct world *w, enum sad_drop why);
uint64_t drops_all(const struct world *w);
bool drops_rise(struct world *w, enum sad_drop why, uint64_t before, uint64_t by);
bool drops_all_reach(struct world *w, uint64_t count);

#endif
