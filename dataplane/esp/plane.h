/* dataplane/esp/plane.h - the data plane without its descriptors: packets and requests in, a list of packets and events
 * out. io.c feeds it from the TUN and the raw sockets; the tests feed it by hand. */
#ifndef DATAPLANE_ESP_PLANE_H
#define DATAPLANE_ESP_PLANE_H
#include "base/diag.h"
#include "base/limit.h"
#include "dataplane/esp/held.h"
#include "dataplane/esp/ip.h"
#include "dataplane/esp/list.h"
#include "dataplane/esp/path.h"
#include "dataplane/esp/sa.h"
#include "dataplane/sad.h"
#include "dataplane/sad_ops.h"
#include <stdatomic.h>

enum {
	PLANE_FLOWS = 32768, /* rows of the flow cache */
	PLANE_UNKNOWN = 64,  /* peers remembered for the rate of UNKNOWN_SPI */
	PLANE_UNKNOWN_MS = 1000,
	PLANE_MOVED_MS = 200,   /* SAD_MOVED is told so often */
	PLANE_DROPS_EACH_S = 1, /* SAD_DROPPED, for one address and reason, and in all */
	PLANE_DROPS_ALL_S = 10,
	PLANE_TICK_MS = 1000,
	PLANE_SCRATCH = IP_PACKET_MOST + ESP_SCRATCH_EXTRA,
};

/* The plan's answer for one flow, and the SA that it is sent under. */
struct flow {
	struct plan_packet key;
	uint64_t generation; /* older than the plane's: not to be believed */
	const struct plan_entry *entry;
	struct sa *out; /* flow_out */
	bool out_known;
	unsigned owner; /* which plane sends it */
};

struct plane_event {
	struct sad_event event;
	struct plan *plan; /* keeps event.entry alive */
	struct diag why;
};

/* A packet that is another plane's (share.h), as it is. */
struct plane_passed {
	const uint8_t *offload; /* its header, of one from the TUN; NULL: it came from the wire */
	const uint8_t *packet;
	size_t len;
	uint64_t since_ms;
	bool unruled; /* no rule that we know protects it */
};

struct plane_config {
	struct plan *plan;
	struct share share;
	/* False: there is no room. Not called for a plane that is alone. */
	bool (*pass)(void *context, unsigned to, const struct plane_passed *p);
	/* May the first one have a newer plan than this one? Not called for the first one itself. */
	bool (*is_behind)(void *context);
	void (*event)(void *context, const struct sad_event *e);
	uint64_t (*now_ms)(void *context);
	void *context;
	/* What goes out. Called when a call's work is done, or the list has grown long. NULL close: nothing to close.
	 */
	void (*flush)(void *io, struct packet_list *out);
	path_ask *path_mtu;
	void (*close)(void *io);
	void *io;
};

struct sad {
	struct sad_head head; /* first: sad.c */
	struct plane_config config;
	struct plan *plan;
	uint64_t now, ticked_ms;
	unsigned depth; /* calls within calls: only the outermost flushes and tells */
	struct sa_table sas;
	struct held held;
	struct paths paths;
	struct flow flows[PLANE_FLOWS];
	uint64_t generation, flow_seed;
	struct packet_list out;
	struct plane_event *events;
	size_t event_count, event_cap;
	_Atomic uint64_t drops[DROP_COUNT]; /* other threads may read them */
	struct limit drops_told;            /* by address and reason */
	struct {
		struct addr remote;
		uint64_t told_ms;
	} unknown[PLANE_UNKNOWN];
	struct {
		const struct sa *sa;
		uint64_t generation; /* as in struct flow */
		struct plan_packet flow;
	} let_in;   /* who came in last: what follows of the same flow, under the same SA, need not be judged again */
	bool stays; /* what plane_receive is given now stays where it is until the next plane_flush */
	uint32_t fragment_id;
	uint8_t piece[PLANE_SCRATCH], sealed[PLANE_SCRATCH];
	uint8_t fragment[PLANE_SCRATCH], inside[PLANE_SCRATCH]; /* of tunnels */
};

/* How often drops are told. */
void plane_limit_drops(struct limit *l);
int plane_new(const struct plane_config *c, struct sad **ret, struct diag *d);
void plane_free(struct sad *s);
extern const struct sad_ops plane_ops; /* requests.c */

/* Every entry from outside is between these two. */
void plane_enter(struct sad *s);
void plane_leave(struct sad *s);
/* What is to go out goes, before the end of the call: memory that it lies in is wanted again. */
void plane_flush(struct sad *s);
/* The same when it has grown long and more may follow: what goes better with that may stay until then. */
void plane_relieve(struct sad *s);

/* A packet from the TUN; it may be changed in place. */
void plane_send(struct sad *s, const uint8_t offload[OFFLOAD_HEADER], uint8_t *packet, size_t len);
/* The same for one that has waited since then. */
void plane_send_since(struct sad *s, const uint8_t offload[OFFLOAD_HEADER], uint8_t *packet, size_t len,
		      uint64_t since_ms);
/* As it is, without ESP: what request modes do when there is no SA to be had. */
void plane_send_clear(struct sad *s, const uint8_t offload[OFFLOAD_HEADER], uint8_t *packet, size_t len);
/* A packet that never was protected will not be: tell its sender. */
void plane_refuse(struct sad *s, const uint8_t *packet, size_t len);
/* An IP packet with ESP in it, or ESP in UDP, opened in place. */
void plane_receive(struct sad *s, uint8_t *packet, size_t len);
/* The same for one whose headers are known. */
void plane_receive_parsed(struct sad *s, const struct ip_packet *ip, uint8_t *packet);
/* An ICMP error said that a packet of ours, which it quotes from its IP header on, is larger than mtu. */
void plane_too_big(struct sad *s, const uint8_t *quote, size_t len, uint32_t mtu);
void plane_tick(struct sad *s);
uint64_t plane_deadline(const struct sad *s);
/* Both halves that are here, without a word; how many there were. */
size_t plane_remove_pair(struct sad *s, uint64_t pair);

/* Between the files of the plane. */
/* Every packet that waits between these two addresses (NULL: any) gets its chance; those of which nothing has changed
 * queue up again, in their order. */
void plane_send_held(struct sad *s, const struct addr *local, const struct addr *remote);
/* ACQUIRE for packets that came within a second of the last one, if it is over and they still wait. */
void plane_ask_again(struct sad *s);
struct flow *flow_of(struct sad *s, const struct plan_packet *key);
bool flow_key_equal(const struct plan_packet *a, const struct plan_packet *b);
/* The SA that packets of this flow are sent under; looked for when the first is sent, not when one comes. */
struct sa *flow_out(struct sad *s, struct flow *f);
void flows_forget(struct sad *s);
void plane_drop(struct sad *s, enum sad_drop why);
/* Which of so many planes has the SA for what goes out between two addresses that met this entry: a tunnel's is by its
 * ends, whatever is inside. */
unsigned plane_owner(const struct plan_entry *e, const struct addr *local, const struct addr *remote, unsigned count);
/* The same for an outbound SA, by the plan of any of them. */
unsigned plane_owner_of(const struct sad *s, const struct sa_spec *spec, unsigned count);
/* To the plane whose it is. */
void plane_pass(struct sad *s, unsigned to, const struct plane_passed *p);
/* A packet that came: it is also told, not too often. sa may be NULL. */
void plane_drop_in(struct sad *s, enum sad_drop why, const struct ip_packet *outer, uint32_t spi, const struct sa *sa);
void plane_tell(struct sad *s, const struct sad_event *e, const struct diag *why);
/* The SA is used up: tell, and remove its pair. sa is then gone. */
void plane_expire(struct sad *s, struct sa *sa);
/* Ask for a rekey, once for a pair. */
void plane_expire_soft(struct sad *s, struct sa *sa);
bool plane_used_up(const struct sa *sa);
void plane_to_tun(struct sad *s, const struct ip_packet *ip, const uint8_t *packet, size_t len);

#endif
