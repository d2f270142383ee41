/* daemon/keying/members.h - who is behind each pair of addresses that has SAs, for the firewall, whose sets are the
 * parent's. The parent is told before the inbound half of an SA is installed, and has answered; it is told again when
 * the last SA of the pair is gone. Where SAs of one pair speak for different identities, only what all of them are sure
 * of is told as sure, and what one of them may be as possible. What an SA of a keying process before this one stands
 * for only the parent knows: while there are such, it is told so, and keeps to what it knew as well.
 *
 * Nothing is told, and nothing waits, where the plan's firewall does not ask. */
#ifndef DAEMON_KEYING_MEMBERS_H
#define DAEMON_KEYING_MEMBERS_H
#include "dataplane/sad.h"
#include "identity/groups.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct members;
struct wire_out;

struct members_calls {
	/* A message to the parent, to be filled and ended. */
	struct wire_out *(*begin)(void *context);
	void (*end)(void *context);
	/* The parent has answered: install now; or it cannot, and the request has failed. */
	void (*install)(void *context, const struct sa_spec *spec, uint64_t request);
	void (*failed)(void *context, uint64_t request);
	void *context;
};

struct members *members_new(const struct members_calls *calls);
void members_free(struct members *m);
/* Whoever is behind an SA is judged anew under this plan, by and by (members_set); until then nobody is sure to be in
 * any group. */
void members_plan(struct members *m, uint64_t number, const struct plan *plan);

/* The inbound half of an SA is to be installed. True: it is kept, and one of the calls follows. */
bool members_hold(struct members *m, const struct sa_spec *spec, uint64_t request, const struct membership *is);
void members_set(struct members *m, uint64_t pair, const struct membership *is);
/* It goes, or has gone. Returns the SPI of one that was still kept, and is forgotten; else 0. */
uint32_t members_gone(struct members *m, uint64_t pair);
/* There is an SA of another keying process for these two; there is one less. */
void members_orphan(struct members *m, const struct sa_selector *s, bool there);

/* Tell the parent what has changed. */
void members_flush(struct members *m);
void members_answered(struct members *m, uint64_t request, bool done);

#endif
