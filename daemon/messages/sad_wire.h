/* daemon/messages/sad_wire.h - dataplane/sad.h in messages: what one process asks of the data plane in another, and
 * what it hears of it. Encoders and decoders side by side. Decoders fill a struct or fail, and do nothing else;
 * pointers into the plan travel as names (plan_wire.h). Whoever decodes a spec wipes it, and the channel wipes what it
 * carried. */
#ifndef DAEMON_MESSAGES_SAD_WIRE_H
#define DAEMON_MESSAGES_SAD_WIRE_H
#include "base/addr_wire.h"
#include "dataplane/sad.h"

/* Sizes for the table of asks. */
enum {
	SELECTOR_WIRE_LEAST = 4 + 2 + 8,
	SELECTOR_WIRE_MOST = 4 * ADDR_WIRE_MOST + 2 + 8,
	RULE_WIRE_NAME = 1000, /* octets of a longer one are cut at both ends */
	RULE_WIRE_MOST = 4 + 2 + RULE_WIRE_NAME,
	SUITE_WIRE_MOST = 1 + 3 * 5,
	KEY_WIRE_MOST = 1 + KEY_MAX,
	SPEC_WIRE_LEAST = 64,
	SPEC_WIRE_MOST = 4 + 1 + 2 * ADDR_WIRE_MOST + 4 + SUITE_WIRE_MOST + 2 * KEY_WIRE_MOST + 4 + SELECTOR_WIRE_MOST +
			 RULE_WIRE_MOST + 8 + 16,
	PACKET_WIRE_MOST = 2 * ADDR_WIRE_MOST + 1 + 2 + 4,
	SAD_EVENT_WIRE_LEAST = 1 + 8 + 8 + 4,
	SAD_EVENT_WIRE_MOST = SAD_EVENT_WIRE_LEAST + PACKET_WIRE_MOST + 4 + 2 + 512,
	USAGE_WIRE = 8 + 2 * 4 + 6 * 8, /* of one pair */
	USAGE_WIRE_ROWS = 512,          /* in one message */
	ORPHAN_WIRE_LEAST = 8 + SELECTOR_WIRE_LEAST,
	ORPHAN_WIRE_MOST = 8 + SELECTOR_WIRE_MOST,
	/* Of a pair's number. The plane puts above them which keying process it is of, and tells each its own without.
	 */
	SAD_WIRE_OWN_BITS = 48,
};

void selector_encode(struct wire_out *out, const struct sa_selector *s);
/* The last address of a range is behind the first. */
struct sa_selector selector_decode(struct wire_in *in);

/* The rule is looked up in the plan: at its place if that has its name, else by name alone. None of that name: the spec
 * has none, and its installation fails as that of a rule which is not in force. */
void spec_encode(struct wire_out *out, const struct sa_spec *s);
int spec_decode(struct wire_in *in, const struct policy *policy, struct sa_spec *ret);
void spec_wipe(struct sa_spec *s); /* for SCOPED */

/* Without selector and entry, which whoever hears an ACQUIRE finds in its own plan by the packet. */
void sad_event_encode(struct wire_out *out, const struct sad_event *e);
/* May it go while so much waits to be read? What comes of packets that anybody can send, and comes again, may not
 * always: it would fill the channel, or be more than one process may say to another. */
bool sad_event_may_go(enum sad_event_kind kind, size_t backlog);
/* why: where a failure's words go; ret->why points there. */
int sad_event_decode(struct wire_in *in, struct sad_event *ret, struct diag *why);

/* Pair, SPIs and counters only. */
void usage_encode(struct wire_out *out, const struct sa_usage *u);
void usage_decode(struct wire_in *in, struct sa_usage *ret);

#endif
