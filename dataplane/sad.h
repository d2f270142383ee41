/* dataplane/sad.h - the SAs in force, and the packets under them. daemon/ hands keying's wishes over and brings the
 * events back; esp/ (userspace) and xfrm/ (kernel) implement it. It copies what it needs from a spec, keys included,
 * and wipes them when the SA goes. It does not negotiate or log. One thread: the data-plane's loop.
 *
 * Asynchronous, because keying needs the SPI before the keys exist and lives in another process one day, and a rekey
 * installs its two halves at different moments: each request completes as an event with the request's number. */
#ifndef DATAPLANE_SAD_H
#define DATAPLANE_SAD_H
#include "base/addr.h"
#include "base/algorithm.h"
#include "base/key.h"
#include "base/scope.h"
#include "policy/plan.h"
#include <stdbool.h>
#include <stdint.h>

struct diag;
struct event;
struct sad;

/* What one SA protects: single addresses, and the protocol and ports of one plan entry. In tunnel mode two ranges of
 * addresses, which begin with local and remote. */
struct sa_selector {
	struct addr local, remote;
	int16_t protocol; /* PROTOCOL_ANY: all */
	struct port_range local_port, remote_port;
	struct addr local_last, remote_last; /* of the ranges; family 0: there is but one address */
};

static inline struct addr_range sa_selector_locals(const struct sa_selector *s)
{
	return (struct addr_range){ s->local, s->local_last.family ? s->local_last : s->local };
}

static inline struct addr_range sa_selector_remotes(const struct sa_selector *s)
{
	return (struct addr_range){ s->remote, s->remote_last.family ? s->remote_last : s->remote };
}

/* A single address has no last one. */
static inline struct addr sa_selector_last(const struct addr_range *r)
{
	struct addr none = { 0 };

	return addr_equal(&r->lo, &r->hi) ? none : r->hi;
}

static inline void sa_selector_set_ranges(struct sa_selector *s, const struct addr_range *local,
					  const struct addr_range *remote)
{
	s->local = local->lo;
	s->remote = remote->lo;
	s->local_last = sa_selector_last(local);
	s->remote_last = sa_selector_last(remote);
}

/* That of a whole plan entry between two addresses that met it. ICMP's type and code stand in the local port (RFC
 * 7296 3.13.1). */
static inline struct sa_selector sa_selector_of(const struct plan_entry *e, const struct addr *local,
						const struct addr *remote)
{
	struct sa_selector s = { .local = *local,
				 .remote = *remote,
				 .protocol = e->protocol,
				 .local_port = e->local_port,
				 .remote_port = e->remote_port };
	struct addr_range locals, remotes;

	if ((e->protocol == 1 || e->protocol == 58) && e->icmp_type >= 0) {
		unsigned type = (unsigned)e->icmp_type << 8;

		s.local_port.lo = (uint16_t)(type | (e->icmp_code < 0 ? 0u : (unsigned)e->icmp_code));
		s.local_port.hi = (uint16_t)(type | (e->icmp_code < 0 ? 255u : (unsigned)e->icmp_code));
		s.remote_port = PORT_ANY;
	}
	if (e->rule->tunnel && plan_tunnel_ranges(e, local, remote, &locals, &remotes))
		sa_selector_set_ranges(&s, &locals, &remotes);
	return s;
}

/* One direction of an SA. */
struct sa_spec {
	uint32_t spi; /* host order; inbound: as reserved; outbound: as the peer gave it */
	bool inbound;
	/* Outer addresses. In transport mode behind a NAT `remote` may come to differ from the selector's, which is the
	 * one that this host's programs and rules know. */
	struct addr local, remote;
	uint16_t encap_local_port, encap_remote_port; /* UDP encapsulation (RFC 3948); 0: native */
	/* Why it is in UDP. true: because of a NAT: checksums inside are made again, and the peer may move (MOVED).
	 * false: both ends agreed on it: what is inside is right as it is, and the peer stays where it is. */
	bool nat;
	struct child_suite suite;
	struct key encr_key, integ_key; /* encr_key: key and salt as KEYMAT has them */
	bool tunnel;
	bool esn;
	uint32_t replay_window; /* packets, 64 to 4096; inbound only */
	struct sa_selector selector;
	const struct rule *rule; /* of the plan in force; replaced by name and selector when a new plan comes */
	uint64_t pair;           /* the CHILD SA: both directions share it */
	uint64_t soft_octets, hard_octets; /* 0: no limit; EXPIRE_SOFT asks for a rekey */
};

/* Dropped packets by reason: one table row each (dataplane/drops.c). */
enum sad_drop {
	DROP_NO_SA,
	DROP_HELD_OVERFLOW,
	DROP_HELD_TIMEOUT,
	DROP_NEGOTIATION_FAILED,
	DROP_UNKNOWN_SPI,
	DROP_BAD_ICV,
	DROP_REPLAY,
	DROP_MALFORMED,
	DROP_FRAGMENT,
	DROP_SELECTOR,
	DROP_POLICY,
	DROP_TOO_BIG,
	DROP_SEQUENCE_EXHAUSTED,
	DROP_SEND,
	DROP_COUNT
};
struct sad_drop_row {
	const char *name, *unit, *meaning;
};
extern const struct sad_drop_row sad_drops[DROP_COUNT];

enum sad_event_kind {
	SAD_SPI_RESERVED, /* request, spi */
	SAD_DONE,         /* request: installed, updated or removed */
	SAD_FAILED,       /* request, why */
	SAD_ACQUIRE,     /* selector, packet: a packet needs an SA and there is none. Repeated at most once a second per
			    pair */
	SAD_EXPIRE_SOFT, /* spi, pair */
	SAD_EXPIRE_HARD, /* spi, pair: the SA is gone */
	SAD_FIRST_IN,    /* pair: the first packet came in under it, so the peer has it both ways */
	SAD_MOVED, /* pair, packet.remote, packet.remote_port: authentic ESP in UDP came from elsewhere (rate-limited)
		    */
	SAD_UNKNOWN_SPI, /* packet: addresses, and with UDP encapsulation ports; spi: ESP came for an SA that we do not
			    have (rate-limited) */
	SAD_DROPPED, /* drop: why a packet that came was not let in, packet: its addresses outside, spi, pair (0: none),
			rule: the name of its SA's, or NULL, valid during the call, left_out: how often this was so and
			not told since the last one. For the log: nobody acts on it
		      */
};

struct sad_event {
	enum sad_event_kind kind;
	uint64_t request, pair;
	uint32_t spi;
	struct sa_selector selector;    /* ACQUIRE: of the winning entry, with this pair's addresses */
	struct plan_packet packet;      /* ACQUIRE: the packet itself; UNKNOWN_SPI: its addresses */
	const struct plan_entry *entry; /* ACQUIRE: valid during the call */
	bool carried;                   /* ACQUIRE: an SA that nobody can renew still carries it (orphans.h) */
	const struct diag *why;         /* FAILED */
	enum sad_drop drop;             /* DROPPED, with rule and left_out */
	const char *rule;
	uint32_t left_out;
};

/* Requests. A wrong one fails at once; else the outcome comes as an event, maybe before the call returns. */
int sad_reserve_spi(struct sad *sad, const struct addr *local, const struct addr *remote, uint64_t request,
		    struct diag *d);
int sad_install(struct sad *sad, const struct sa_spec *spec, uint64_t request, struct diag *d); /* one direction */
int sad_remove(struct sad *sad, uint64_t pair, uint64_t request,
	       struct diag *d); /* both directions, reservations too */
/* The outbound half goes; what is on its way to us still comes in. Nothing is completed. */
void sad_stop_sending(struct sad *sad, uint64_t pair);
/* A NAT has moved the peer: send there from now on. Both directions of the pair. */
void sad_move(struct sad *sad, uint64_t pair, const struct addr *remote, uint16_t encap_remote_port);
void sad_release_spi(struct sad *sad, uint32_t spi); /* a reservation that came to nothing */

/* Packets held for this selector: the negotiation has failed. `clear`: a request mode falls back: send them in clear
 * (by the marked raw socket), in order; else drop them, counted, and tell the application (ICMP administratively
 * prohibited). */
void sad_release_held(struct sad *sad, const struct sa_selector *selector, bool clear);

/* A new plan: SAs whose selector no longer belongs to their rule are reported by EXPIRE_HARD and go. */
void sad_set_plan(struct sad *sad, struct plan *plan);

/* For status: one row per pair. */
struct sa_usage {
	uint64_t pair;
	uint32_t spi_in, spi_out;
	struct sa_selector selector;
	struct child_suite suite;
	const struct rule *rule;
	uint64_t packets_in, packets_out, octets_in, octets_out;
	uint64_t last_in_ms, last_out_ms; /* the caller's clock; 0: never */
};
size_t sad_usage(const struct sad *sad, struct sa_usage *rows, size_t cap); /* number there are; fills at most cap */
bool sad_usage_of(const struct sad *sad, uint64_t pair, struct sa_usage *ret);

uint64_t sad_dropped(const struct sad *sad, enum sad_drop why);
/* DROPPED, as the log is told of it. rule: that of the pair, NULL: not known. */
void sad_drop_tell(const struct sad_event *e, struct event *ret);

void sad_free(struct sad *sad); /* wipes all keys */
SCOPE_FREEP(struct sad, sad)

#endif
