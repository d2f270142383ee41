/* tools/lab/judge.h - what was seen on the wire, and what of it should not have been there. Fed with every packet of
 * the capture, in order; knows no socket and no clock. Markers are found wherever they stand: in a bare packet, or
 * inside what AH or ESP without encryption carries. */
#ifndef TOOLS_LAB_JUDGE_H
#define TOOLS_LAB_JUDGE_H
#include "analysis/why.h"
#include "base/scope.h"
#include "tools/lab/packet.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct judge;
struct str;

enum {
	JUDGE_ATTEMPTS_MOST = 32, /* of one probe */
	JUDGE_PROBES_MOST = 4096,
	JUDGE_FLOWS_MOST = 65536,
	JUDGE_LEAKS_KEPT = 20,
	JUDGE_MARKER = 32, /* octets of a marker's text, without the NUL */
};

/* The four outcomes, and what else there is. */
enum seen {
	SEEN_CLEAR,
	SEEN_AUTHENTICATED,
	SEEN_ENCRYPTED,
	SEEN_BLOCKED,
	SEEN_MIXED,   /* answered, but one way protected and the other not, or the same attempt both */
	SEEN_ONE_WAY, /* the other end heard it, and no answer came back */
	SEEN_NOWHERE, /* answered, but neither the marker nor anything sealed was on the wire */
	SEEN_ERROR,   /* it could not be tried */
};
const char *seen_name(enum seen s);
/* What is seen when all is as this outcome says. */
enum seen seen_of(enum outcome o);

/* run: a random number, in every marker. w: outlives the judge. */
struct judge *judge_new(struct why *w, uint64_t run);
void judge_free(struct judge *j);
SCOPE_FREEP(struct judge, judge)

/* What attempt `attempt` of probe `probe` has to send: JUDGE_MARKER characters. */
void judge_marker(const struct judge *j, size_t probe, unsigned attempt, char ret[JUDGE_MARKER + 1]);
/* Whose marker it is; false: none of ours. */
bool judge_marker_read(const struct judge *j, const void *octets, size_t len, size_t *ret_probe, unsigned *ret_attempt);

/* Clear packets between these two, as opened by either, are no leaks: something in the run takes their protection away.
 * other NULL: between this one and anybody. Before the first packet. */
void judge_excuse(struct judge *j, const struct addr *one, const struct addr *other);

/* Probe number `probe` asks from one address to another. */
void judge_probe(struct judge *j, size_t probe, const struct addr *from, const struct addr *to);
/* A real service answers it, in words of its own: its answers are known by their flow, not by a marker. */
void judge_service(struct judge *j, size_t probe);
/* A flow that the probe is about to open. */
void judge_flow(struct judge *j, size_t probe, const struct packet_flow *f);

/* One packet as its sender put it on the wire. host: the sender's name. behind: on a cable behind a gateway, where what
 * a tunnel protects is as the two machines make it: there clear packets of such traffic say nothing. */
void judge_packet(struct judge *j, const struct packet *read, const char *host, bool behind, uint64_t time_us);

struct judge_sight {
	enum seen seen;
	bool ah;         /* what protects it is AH */
	unsigned sealed; /* packets of that pair in ESP or AH, both ways */
	unsigned opened; /* clear packets of this probe's flows from the asking end */
	unsigned went;   /* packets in ESP or AH from the asking end to the other since the probe was begun */
};
/* What became of a probe whose attempt `answered` was answered (-1: none), and whose marker was heard at the other end.
 */
struct judge_sight judge_sight(const struct judge *j, size_t probe, int answered, bool heard);

/* Clear packets of pairs that should be protected: how many. */
size_t judge_leaks(const struct judge *j);
/* A sentence for each flow of the first that leaked; false behind the last. */
bool judge_leak_words(const struct judge *j, size_t i, struct str *out);
size_t judge_packets(const struct judge *j);

#endif
