/* keying/failure.h - failures as people and programs hear of them: who refused, in which step, why, and what to do; and
 * how often that is said. Inside keying/ only. */
#ifndef KEYING_FAILURE_H
#define KEYING_FAILURE_H
#include "keying/ike.h"
#include "observe/event.h"
#include "policy/plan.h"

/* What is known of a failure beside its words. All zero: something failed on this host. */
struct fault {
	enum failure_code code;
	enum failure_side by;
	uint8_t exchange; /* the step; 0: what the SA was about, or before the first message */
	uint16_t notify;  /* that the peer sent; 0: none */
	const char *peer; /* who it says that it is, if it has said so; NULL */
};

/* What a peer's error notification says, in that exchange: the code that it comes to. */
struct fault fault_of_notify(uint8_t exchange, uint16_t notify);
/* "TS_UNACCEPTABLE: none of its rules ...", with what the sentence speaks of as ours. Any of the texts may be NULL. */
enum { REFUSAL_TEXT = 448 };
const char *refusal_words(uint8_t exchange, uint16_t notify, const char *ours, char buf[REFUSAL_TEXT]);

/* The traffic that a peer asks for, its end first; and the rules between two hosts that it could have asked for. */
enum { ASKED_TEXT = 240 };
const char *asked_text(const struct ike_msg *m, char buf[ASKED_TEXT]);
const char *rules_text(const struct plan *plan, const struct addr *local, const struct addr *remote,
		       char buf[ASKED_TEXT]);

/* The last failure between two hosts, and what of it was told. */
enum { TOLD_MOST = 4 };
struct failure_record {
	struct keying_failure last;
	struct {
		uint64_t what, at_ms; /* a digest of code and words */
	} told[TOLD_MOST];
	uint64_t minute_ms; /* since when `told_now` are counted */
	unsigned told_now;
};
/* Is it time to say so? stranger: nothing shows that the message came from that address. */
bool failure_may_be_told(struct failure_record *r, bool stranger, uint64_t now_ms);

#endif
