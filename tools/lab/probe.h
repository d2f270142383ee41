/* tools/lab/probe.h - real traffic between the twin's hosts: for each of the policy's tests, and each pair of addresses
 * of one family that its two hosts have, somebody who answers and somebody who asks, several times, with a marker in
 * every question. All run at once, on one poll loop; what they believe counts only as "answered" and "heard": what the
 * traffic looked like is for the judge, who reads the wire. */
#ifndef TOOLS_LAB_PROBE_H
#define TOOLS_LAB_PROBE_H
#include "base/addr.h"
#include "base/scope.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct judge;
struct network;
struct pollfd;
struct probes;

/* One question to be asked. */
struct probe_want {
	size_t from_host, to_host; /* in the network */
	struct addr from, to;
	struct addr dial; /* where `from` finds `to`: `to`, or the NAT in front of it */
	int16_t protocol;
	uint16_t port;
	int16_t icmp_type;    /* -1: echo */
	uint64_t patience_ms; /* no answer after so long: there is none */
	bool insist; /* an answer that was seen clear is not enough: ask again until it is protected, or time is up */
};

struct probe_result {
	int answered; /* attempt, -1: none */
	unsigned attempts;
	bool heard;     /* the marker came to the other end */
	char error[96]; /* why it could not be tried; empty: it was */
	char note[96];  /* what the asking end was told: "Connection refused" */
};

/* judge: learns of every probe and flow, by the numbers that begin with `first`; everywhere else probes are indexes
 * into wants. */
struct probes *probes_new(const struct network *n, const struct probe_want *wants, size_t count, struct judge *j,
			  size_t first);
void probes_free(struct probes *p);
SCOPE_FREEP(struct probes, probes)

enum { PROBE_POLL_MOST = 8192 };
/* Rows for poll; returns how many. */
size_t probes_poll(struct probes *p, struct pollfd *rows, size_t cap);
/* After poll: answer, read, ask again. */
void probes_step(struct probes *p, const struct pollfd *rows, size_t count, uint64_t now_ms);
bool probes_done(const struct probes *p);
size_t probes_open(const struct probes *p); /* probes that still wait */
const struct probe_result *probe_result(const struct probes *p, size_t probe);

#endif
