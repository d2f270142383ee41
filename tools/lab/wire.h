/* tools/lab/wire.h - a bad wire: a relay takes the place of the bridge that joins the hosts, and loses, repeats and
 * delays their frames, so that they overtake each other. What happens to the n-th frame between two hosts depends on
 * the seed alone, and needs nothing of the kernel (netem is not everywhere). */
#ifndef TOOLS_LAB_WIRE_H
#define TOOLS_LAB_WIRE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct diag;

struct wire_faults {
	bool bad;                     /* else there is no relay */
	unsigned loss, duplicate;     /* of 1,000 frames */
	unsigned delay_ms, jitter_ms; /* each frame waits delay_ms and up to jitter_ms more */
	bool only_ike;                /* what is not IKE passes at once */
	uint64_t seed;
};

/* "loss=20%,duplicate=5%,delay=10ms,jitter=200ms,seed=7,only=ike" in any order. */
int wire_faults_parse(const char *text, struct wire_faults *ret, struct diag *d);

/* Is this Ethernet frame IKE: UDP 500, or 4500 with the non-ESP marker (RFC 3948 2.2)? */
bool wire_is_ike(const uint8_t *frame, size_t len);

/* What becomes of a frame: how many copies go on, 0 to 2, and after how long each. n: the how manieth it is from `from`
 * to `to`. Pure. */
unsigned wire_fate(const struct wire_faults *f, size_t from, size_t to, uint64_t n, uint32_t ret_wait_ms[2]);

/* Start the relay between the ports of `count` hosts in the namespace; it dies with this process. */
int wire_start(int space, size_t count, const struct wire_faults *f, pid_t *ret, struct diag *d);

#endif
