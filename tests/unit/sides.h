/* tests/unit/sides.h - two planes without descriptors: what comes out of the one's list goes into the other, or not. */
#ifndef TESTS_UNIT_SIDES_H
#define TESTS_UNIT_SIDES_H
#include "dataplane/esp/esp.h"
#include "dataplane/esp/plane.h"
#include "tests/unit/flat_plan.h"
#include "tests/unit/packets.h"

enum { SENT_MOST = 512, EVENTS_MOST = 256, TCPV4 = 1, PAIR = 77 };

struct sent {
	uint8_t *octets;
	size_t len;
	bool to_tun;
};

/* One host: its plane and what came out of it since the last look. */
struct side {
	struct sad *sad;
	unsigned number;
	struct sent sent[SENT_MOST];
	size_t count;
	struct sad_event events[EVENTS_MOST];
	size_t event_count;
	struct sad_event dropped; /* the last one */
	unsigned dropped_count, dropped_left_out;
	uint32_t mtu;
};

extern uint64_t side_clock_ms; /* both planes' clock; begins at a million */
extern const uint8_t no_offload[OFFLOAD_HEADER];
extern const struct shape udp4;

/* Policies: `all` asks for `encrypt` (gcm) between the two, `web` for `sign` (null_sha), `exempt` for nothing. */
extern const struct auth_set auth_a, auth_b;
extern struct child_suite gcm, null_sha;
extern struct protection_set encrypt, sign;
extern struct rule all, web, exempt;
extern const struct plan_entry all_entries[1];
extern struct plan plan_of_all;
void sides_protect_by(struct child_suite *suite); /* what `all` asks for */

void side_up(struct side *h, unsigned number, struct plan *plan);
void side_down(struct side *h);
void side_forget(struct side *h);
uint64_t side_dropped(const struct side *h); /* for whatever reason */
uint32_t side_reserve(struct side *h, unsigned family);
struct sa_spec side_spec(const struct side *h, unsigned family, const struct rule *rule,
			 const struct child_suite *suite);
/* Both directions of an SA between the hosts; change the two specs first if need be. */
void sides_join_specs(struct side *a, struct side *b, struct sa_spec of_a, struct sa_spec of_b);
void sides_join(struct side *a, struct side *b, unsigned family);
void side_send_octets(struct side *h, const uint8_t *packet, size_t len, const uint8_t *offload);
void side_send(struct side *h, const struct shape *s);
void side_receive(struct side *h, const uint8_t *packet, size_t len);
/* All that `from` has put on the wire arrives at `to`. */
void side_carry(struct side *from, struct side *to);

#endif
