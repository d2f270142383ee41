/* Somebody has taken policies of ours away, or changed them, or removed our states (ip xfrm policy flush). Nothing goes
 * out in clear by that, which is the ruleset's to see to, but nothing would go out at all: policies are put back at
 * once, and SAs are negotiated anew. */
#include "dataplane/xfrm/plane.h"

#include "policy/reqid.h"

#include <inttypes.h>
#include <stdio.h>

enum {
	MEND_EACH_MS = 200,  /* who removes them again and again does not keep us busy: */
	MEND_MOST_MS = 5000, /* twice as late each time, while there is more of it than is said */
	MEND_SAID_AT_ONCE = 8,
	MEND_SAY_MS = 10000,  /* after that one event with all of it so often */
	MEND_AGAIN_MS = 2000, /* what could not be put back: another program has taken its place */
};

static void want(struct xfrm_plane *x, uint64_t at_ms)
{
	if (at_ms < x->mend.not_before_ms)
		at_ms = x->mend.not_before_ms;
	if (x->mend.at_ms == 0 || at_ms < x->mend.at_ms)
		x->mend.at_ms = at_ms ? at_ms : 1;
}

void mend_heard_policy(struct xfrm_plane *x, const struct message_in *m)
{
	if (m->kind == MESSAGE_POLICIES_GONE || (m->index & XFRM_INDEX_MASK) == XFRM_INDEX_OURS)
		want(x, x->now);
}

void mend_heard_state(struct xfrm_plane *x, const struct message_in *m)
{
	struct state *st;

	if (m->kind == MESSAGE_STATES_GONE) {
		if (x->loss_ms == 0)
			x->loss_ms = x->now + LOSS_MS; /* loss.c sees which */
		x->mend.flushed = true;
	} else if ((st = states_of_id(&x->states, &m->id))) {
		x->mend.states++;
		xfrm_expire_pair(x, st);
	}
}

void mend_lost_states(struct xfrm_plane *x, size_t count)
{
	if (x->mend.flushed)
		x->mend.states += count;
	x->mend.flushed = false;
}

static void say(const struct xfrm_plane *x, bool good, const char *text)
{
	if (x->config.mended)
		x->config.mended(x->config.context, good, text);
}

static void say_states(struct xfrm_plane *x)
{
	char text[160];

	if (x->mend.states == 0)
		return;
	(void)snprintf(text, sizeof text,
		       "another program removed %zu of our SAs from the kernel (ip xfrm state); what needs one gets a "
		       "new one",
		       x->mend.states);
	x->mend.states = 0;
	say(x, true, text);
}

static void say_policies(struct xfrm_plane *x)
{
	char text[200];

	if (x->mend.mended == 0)
		return;
	(void)snprintf(
		text, sizeof text,
		"another program removed or changed %zu of our IPsec policies in the kernel (ip xfrm policy), and "
		"they are as they should be again",
		x->mend.mended);
	x->mend.mended = 0;
	say(x, true, text);
}

/* The clock of the bucket counts in MEND_SAY_MS for a second. */
static void say_all(struct xfrm_plane *x)
{
	static const struct limit_rate rate = { 1, MEND_SAID_AT_ONCE };

	if ((x->mend.mended == 0 && x->mend.states == 0) || x->now < x->mend.say_ms)
		return;
	if (!limit_bucket_take(&x->mend.said, &rate, x->now / (MEND_SAY_MS / 1000))) {
		x->mend.say_ms = x->now + MEND_SAY_MS;
		return;
	}
	say_policies(x);
	say_states(x);
}

static bool goes_on(const struct xfrm_plane *x)
{
	return x->now < x->mend.say_ms || x->now - x->mend.mended_ms < 2 * (uint64_t)MEND_MOST_MS;
}

/* How long from this time to the next. */
static uint64_t pause_after(struct xfrm_plane *x)
{
	uint64_t *pause = &x->mend.pause_ms;

	if (*pause == 0 || !goes_on(x))
		*pause = MEND_EACH_MS;
	else if (x->now < x->mend.say_ms)
		*pause = *pause > MEND_MOST_MS / 2 ? MEND_MOST_MS : 2 * *pause;
	return *pause;
}

static void put_back(struct xfrm_plane *x)
{
	struct diag d = { 0 };
	size_t count = 0;
	char text[sizeof d.text + 64];

	x->mend.at_ms = 0;
	x->mend.not_before_ms = x->now + MEND_EACH_MS;
	if (policies_mend(&x->policies, x->now, &count, &d) < 0) {
		want(x, x->now + MEND_AGAIN_MS);
		(void)snprintf(text, sizeof text, "IPsec policies that another program removed are not back: %s",
			       d.text);
		if (!x->mend.failed) /* once, however often it is tried */
			say(x, false, text);
		x->mend.failed = true;
		return;
	}
	x->mend.failed = false;
	if (count == 0)
		return; /* it is as it should be already */
	waits_end_all(x);
	x->mend.mended += count;
	say_all(x);
	x->mend.not_before_ms = x->now + pause_after(x);
	x->mend.mended_ms = x->now;
}

void mend_tick(struct xfrm_plane *x)
{
	say_all(x);
	if (x->mend.at_ms && x->now >= x->mend.at_ms)
		put_back(x);
}

uint64_t mend_deadline(const struct xfrm_plane *x)
{
	uint64_t back = x->mend.at_ms ? x->mend.at_ms : UINT64_MAX;
	uint64_t say = x->mend.states || x->mend.mended ? x->mend.say_ms : UINT64_MAX;

	return say < back ? say : back;
}
