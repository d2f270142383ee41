/* What waits in the kernel for an SA when there is too much of it: nothing is waited for in vain, and keying is asked
 * no oftener than it can bear. There is no kernel: each message to it fails, and is counted. */
#include "tests/unit/unit.h"

#include "base/report.h"
#include "base/text.h"
#include "dataplane/xfrm/convert.h"
#include "dataplane/xfrm/plane.h"
#include "policy/reqid.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

static const char policy_text[] =
	"cordon: 1\n"
	"authentication: { a: [ { certificate: { issuer: \"CN=A\" } } ] }\n"
	"connection-security:\n"
	"  - { name: All, endpoint1: [any], endpoint2: [any], mode: require, authentication: a }\n";

struct fixture {
	struct report *report;
	struct policy *policy;
	struct xfrm_plane x;
	uint64_t now;
	unsigned asked, told;
	unsigned long removed; /* as told */
};

static uint64_t now_ms(void *context)
{
	return ((const struct fixture *)context)->now;
}

static void mended(void *context, bool good, const char *text)
{
	struct fixture *f = context;
	const char *number = strstr(text, "removed ");

	assert_true(good);
	assert_non_null(number);
	f->told++;
	f->removed += strtoul(number + 8, NULL, 10);
}

static void heard(void *context, const struct sad_event *e)
{
	struct fixture *f = context;

	assert_int_equal(e->kind, SAD_ACQUIRE);
	f->asked++;
}

static void begin(struct fixture *f)
{
	struct host_address own = { addr_v4(10, 0, 0, 7), 8 };
	struct plan_host host = { .own = &own, .own_count = 1 };

	*f = (struct fixture){ .report = report_new(), .now = 100000 };
	assert_int_equal(
		policy_parse(text_new("t.yaml", policy_text, sizeof policy_text - 1), NULL, f->report, &f->policy), 0);
	assert_int_equal(plan_compile(f->policy, &host, f->report, &f->x.plan), 0);
	f->x.config = (struct xfrm_config){ .event = heard, .mended = mended, .now_ms = now_ms, .context = f };
	f->x.asker = (struct asker){ -1, ASK_OURS };
}

static void end(struct fixture *f)
{
	waits_wipe(&f->x.waits);
	free(f->x.events);
	plan_free(f->x.plan);
	policy_free(f->policy);
	report_free(f->report);
}

/* A packet to the n-th peer. Returns how many messages went to the kernel. */
static unsigned acquire(struct fixture *f, unsigned n)
{
	struct addr here = addr_v4(10, 0, 0, 7), there = addr_v4(10, 1, (uint8_t)(n >> 8), (uint8_t)n);
	struct message_in m = { .kind = MESSAGE_ACQUIRE,
				.acquire = n,
				.reqid = REQID_OURS | 1,
				.index = XFRM_INDEX_OURS,
				.id = { there, 0, IPPROTO_ESP },
				.from = here };
	uint32_t before = f->x.asker.seq;

	m.key.selector = convert_selector(&(struct convert_ends){ .local = { here, 32 },
								  .remote = { there, 32 },
								  .local_port = { 1000, 0xffff },
								  .remote_port = { 80, 0xffff },
								  .protocol = IPPROTO_TCP },
					  false);
	xfrm_enter(&f->x);
	hear_one(&f->x, &m);
	xfrm_leave(&f->x);
	return f->x.asker.seq - before;
}

static void tick(struct fixture *f)
{
	xfrm_enter(&f->x);
	loss_tick(&f->x);
	waits_tick(&f->x);
	xfrm_leave(&f->x);
}

static void fill(struct fixture *f)
{
	for (unsigned n = 0; n < WAITS_MOST; n++)
		assert_int_equal(acquire(f, n), 0);
	assert_int_equal(f->asked, WAITS_MOST);
}

static void let_all_end(struct fixture *f)
{
	f->now += WAIT_ASK_MS;
	for (unsigned i = 0; i < WAITS_MOST / WAITS_EACH; i++)
		tick(f);
}

static void what_finds_no_room_does_not_wait_in_the_kernel(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	fill(&f);
	assert_int_equal(acquire(&f, WAITS_MOST), 1);
	assert_int_equal(f.asked, WAITS_MOST);
	assert_int_equal(f.x.waits.count, WAITS_MOST);
	assert_int_equal(acquire(&f, 7), 0); /* one that has room */
	end(&f);
}

static void what_has_ended_makes_room(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	fill(&f);
	let_all_end(&f);
	assert_int_equal(acquire(&f, WAITS_MOST), 0);
	assert_int_equal(f.asked, WAITS_MOST + 1);
	assert_int_equal(f.x.waits.count, WAITS_MOST);
	end(&f);
}

static void many_peers_are_asked_about_so_fast_and_no_faster(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	fill(&f);
	let_all_end(&f);
	for (unsigned n = WAITS_MOST; n < 2 * WAITS_MOST; n++)
		(void)acquire(&f, n);
	assert_int_equal(f.asked, ACQUIRE_BURST + ACQUIRE_S);
	assert_true(waits_deadline(&f.x) > f.now); /* and nobody is busy until then */
	f.now += WAIT_ASK_MS;
	tick(&f);
	assert_int_equal(f.asked, ACQUIRE_BURST + 2 * ACQUIRE_S); /* the others have their turn */
	end(&f);
}

static void after_a_loss_nobody_is_asked_about_sooner(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f);
	(void)acquire(&f, 1);
	f.x.loss_ms = f.now + LOSS_MS;
	assert_int_equal(loss_deadline(&f.x), f.now + LOSS_MS);
	tick(&f);
	assert_int_equal(f.x.waits.all[0]->ended, false);
	f.now += LOSS_MS;
	tick(&f);
	assert_true(f.x.waits.all[0]->ended);
	assert_int_equal(loss_deadline(&f.x), UINT64_MAX);
	assert_int_equal(acquire(&f, 1), 0);
	assert_int_equal(f.asked, 1);
	f.now += WAIT_ASK_MS;
	tick(&f);
	assert_int_equal(f.asked, 2);
	end(&f);
}

/* All of the fixture's packets wait at one policy. */
static void who_is_served_waits_a_moment_for_those_there_are(void **state)
{
	struct wait *const *all;
	struct fixture f;
	uint32_t asked;

	(void)state;
	begin(&f);
	for (unsigned n = 1; n <= 2; n++)
		(void)acquire(&f, n);
	all = f.x.waits.all;
	all[0]->empty = true; /* its SA has come */
	xfrm_enter(&f.x);
	crowd_served(&f.x, XFRM_INDEX_OURS);
	xfrm_leave(&f.x);
	assert_true(all[1]->holds && !all[1]->empty);
	assert_int_equal(waits_deadline(&f.x), f.now + CROWD_MS);
	f.now += CROWD_MS / 2;
	(void)acquire(&f, 3); /* and does not make it longer */
	all = f.x.waits.all;
	all[1]->empty = all[1]->ended = true;
	asked = f.x.asker.seq;
	xfrm_enter(&f.x);
	crowd_served(&f.x, XFRM_INDEX_OURS);
	xfrm_leave(&f.x);
	assert_true(!all[1]->holds && !all[2]->holds);
	assert_true(all[2]->empty && all[2]->ended); /* it gave way */
	assert_int_equal(f.x.asker.seq - asked, 1);
	end(&f);
}

static void who_does_not_answer_gives_way(void **state)
{
	struct wait *const *all;
	struct fixture f;

	(void)state;
	begin(&f);
	for (unsigned n = 1; n <= 2; n++)
		(void)acquire(&f, n);
	all = f.x.waits.all;
	assert_false(crowd_is_alone(&f.x, all[1]));
	all[0]->empty = true;
	xfrm_enter(&f.x);
	crowd_served(&f.x, XFRM_INDEX_OURS);
	xfrm_leave(&f.x);
	f.now += CROWD_MS;
	tick(&f);
	assert_true(!all[1]->holds && all[1]->empty && all[1]->ended);
	assert_true(crowd_is_alone(&f.x, all[1]));
	assert_int_equal(f.asked, 2);
	f.now += WAIT_ASK_MS;
	(void)acquire(&f, 2); /* its next packet is asked about again */
	assert_int_equal(f.asked, 3);
	assert_false(all[1]->empty);
	end(&f);
}

/* Somebody removes our states again and again: the log says so, with all of it, and is not filled by it. */
static void what_others_remove_is_told_at_once_and_then_together(void **state)
{
	const struct message_in flush = { .kind = MESSAGE_STATES_GONE };
	struct fixture f;

	(void)state;
	begin(&f);
	for (unsigned i = 0; i < 300; i++) {
		f.now += 200;
		xfrm_enter(&f.x);
		hear_one(&f.x, &flush);
		assert_in_range(loss_deadline(&f.x), f.now, f.now + LOSS_MS); /* and its list is not read at once */
		mend_lost_states(&f.x, 3);
		f.x.loss_ms = 0;
		mend_tick(&f.x);
		xfrm_leave(&f.x);
		if (i == 0)
			assert_int_equal(f.removed, 3);
	}
	assert_in_range(f.told, 2, 20);
	f.now = mend_deadline(&f.x);
	xfrm_enter(&f.x);
	mend_tick(&f.x);
	xfrm_leave(&f.x);
	assert_int_equal(f.removed, 900);
	assert_true(mend_deadline(&f.x) == UINT64_MAX);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_others_remove_is_told_at_once_and_then_together),
		cmocka_unit_test(what_finds_no_room_does_not_wait_in_the_kernel),
		cmocka_unit_test(what_has_ended_makes_room),
		cmocka_unit_test(many_peers_are_asked_about_so_fast_and_no_faster),
		cmocka_unit_test(after_a_loss_nobody_is_asked_about_sooner),
		cmocka_unit_test(who_is_served_waits_a_moment_for_those_there_are),
		cmocka_unit_test(who_does_not_answer_gives_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
