/* dataplane/xfrm/xfrm.h - the kernel's data plane behind sad.h: SAs are XFRM states, what the plan protects stands in
 * XFRM policies, and the kernel's questions come by multicast. For daemon/, which makes it, polls its one descriptor
 * and calls it when the deadline has come; all else goes through sad.h.
 *
 * What stands in the kernel stays there when the process ends: policies, so that nothing that is protected goes out or
 * comes in clear without it; whoever begins next takes them over and removes the states of the one before. What is ours
 * is told from what others made by two numbers, neither of which changes what a policy matches, as a mark or an
 * interface would: states by their reqid (policy/reqid.h), policies by their index (XFRM_INDEX_OURS). Others' are never
 * changed or removed; where one has the very selector that we need, that is an error with words, and what stood stands.
 *
 * How the plan stands there. For every local address and region of the plan each entry that can win becomes policies
 * with its selector, whose priority is its place in the list, so that the first that matches wins as in policy/plan.h.
 * XFRM selects by prefixes and one port under a mask, so ranges become several. Protecting entries ask for an SA with
 * the rule's reqid, exemptions let pass, blocks block. What comes in must have come under an SA with the winning rule's
 * reqid, or, if other rules' SAs always satisfy it, under any SA: then only the ruleset of enforce/ asks which
 * ("ipsec in reqid").
 * Exemptions that ask who began a connection let pass whoever did: the ruleset drops what it may not.
 *
 * Above all of these stand policies that let pass what carries one of the marks of `clear`: enforce/ sets it on what it
 * lets out and in without an SA by more than a selector can say (addresses exempted for a time, peers fallen back, who
 * began a connection, our own IKE). Without its table nothing has the mark, and nothing passes.
 *
 * What differs from the userspace plane:
 * - What waits for an SA waits in the kernel: net.core.xfrm_larval_drop must be 0 (whoever opens sets it), else the
 *   first packets are lost. It holds what programs send and what is forwarded, not what is masqueraded, in one queue of
 * 100 for each policy of the plan. Where several peers are waited for at the same policy, those who are served within
 * 250 ms lose nothing; then what waits for the others is thrown away, and the next packet asks again (crowd.c).
 * - sad_release_held in clear does not send what waits; it puts policies that let the selector pass for XFRM_CLEAR_S
 *   seconds in force, and the kernel then sends it. If it is refused, programs that send at that moment have an error
 *   (EPERM), and no ICMP message.
 * - SAD_FIRST_IN comes when the counters have been looked at (20 ms to 1 s later, by age), and so do expiries of
 *   sequence numbers of SAs without ESN.
 * - SAD_UNKNOWN_SPI is for native ESP and AH only, and comes with the second packet: XFRM tells nobody, so raw sockets
 *   begin to listen when its counter has risen. SAD_DROPPED is never told; sad_dropped has the counters.
 * - Packets that come for an SPI that is only reserved are lost.
 * - Transport mode: a NAT that moves a peer to another *address* ends the SA (the kernel finds SAs by the address that
 *   programs use); another port is followed.
 * - Transport mode behind a NAT: an ICMP error that quotes what we sent has the NAT's address in it, and finds nobody.
 * - Tunnels copy ECN and DF as the kernel does. */
#ifndef DATAPLANE_XFRM_XFRM_H
#define DATAPLANE_XFRM_XFRM_H
#include "dataplane/sad.h"
#include "dataplane/xfrm/open.h"
#include <stdbool.h>
#include <stdint.h>

enum {
	XFRM_POLICIES_MOST = 65536, /* in the kernel; a plan that needs more is refused */
	XFRM_PREFIXES_MOST = 4096,  /* of one region */
	XFRM_MARKS = 4,
	XFRM_CLEAR_S = 60, /* how long a peer that has no IKE is sent to in clear; as keying remembers it */
};

/* Of our policies' indexes; the lowest three bits are the kernel's. It counts from 1. */
#define XFRM_INDEX_OURS 0x43000000u
#define XFRM_INDEX_MASK 0xff000000u

struct xfrm_clear_mark {
	uint32_t value, mask; /* mask 0: none */
};

struct xfrm_config {
	struct xfrm_fds *fds; /* taken over, also when it fails */
	/* Packets with these marks pass in clear, both ways. */
	struct xfrm_clear_mark clear[XFRM_MARKS];
	/* The ESP and AH that leave bear this mark, by which the ruleset knows them; mask 0: none. */
	uint32_t own_mark, own_mask;
	struct plan *plan; /* the plane takes a reference; NULL: nothing is protected yet */
	void (*event)(void *context, const struct sad_event *e);
	uint64_t (*now_ms)(void *context); /* never goes back */
	/* Another program has removed policies or SAs of ours, and they are back; or not (good), and why. NULL: nobody
	 * wants to know. */
	void (*mended)(void *context, bool good, const char *text);
	void *context;
};

/* What others remove of ours is put back at once: policies as they were, SAs by SAD_EXPIRE_HARD, so that keying makes
 * new ones.
 *
 * Removes the states of whoever ran before, and puts the plan's policies in the place of its. sad_free removes its
 * states and leaves the policies, which xfrm_remove_policies takes away before it, and xfrm_remove_all of open.h after
 * it. On failure what stood there stands. */
int xfrm_new(const struct xfrm_config *c, struct sad **ret, struct diag *d);
void xfrm_remove_policies(struct sad *sad);

/* Would the kernel's selectors do for this plan? -ERR_UNSUPPORTED: no, and d says which rule is too much for them. */
int xfrm_fits(const struct plan *plan, struct diag *d);

/* The plan given to sad_set_plan last that could not be put in force: "" or why. What stood before stands. */
const char *xfrm_trouble(const struct sad *sad);

/* Readable (poll for reading only) when there is something for xfrm_readable to do. */
int xfrm_fd(const struct sad *sad);
void xfrm_readable(struct sad *sad);
/* When xfrm_tick wants to be called, in the caller's clock; UINT64_MAX: no need. May change with every call. */
uint64_t xfrm_deadline(const struct sad *sad);
void xfrm_tick(struct sad *sad);

/* Whoever was asked for SAs is another one now: ask again about what still wants one. */
void xfrm_ask_again(struct sad *sad);

#endif
