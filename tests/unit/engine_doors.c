/* What keying may have the parent do to the ruleset, and how much of it: the parent's own plan decides. */
#include "tests/unit/planned.h"
#include "tests/unit/unit.h"

#include "base/report.h"
#include "base/text.h"
#include "daemon/parts/engine_doors.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- what stands in for the ruleset and the clock ---------------------------------------------------------------- */

static struct {
	unsigned fallback_adds, fallback_removes, secured_adds, secured_removes, events, identities;
	uint64_t now_ms;
} seen;

uint64_t engine_now_ms(void)
{
	return seen.now_ms;
}

int gate_fallback_add(struct gate *g, const struct addr *local, const struct addr *remote, uint32_t timeout_s,
		      struct diag *d)
{
	(void)g, (void)local, (void)remote, (void)timeout_s, (void)d;
	seen.fallback_adds++;
	return 0;
}

int gate_fallback_remove(struct gate *g, const struct addr *local, const struct addr *remote, struct diag *d)
{
	(void)g, (void)local, (void)remote, (void)d;
	seen.fallback_removes++;
	return 0;
}

int gate_secured_add(struct gate *g, const struct addr *local, const struct addr *remote, struct diag *d)
{
	(void)g, (void)local, (void)remote, (void)d;
	seen.secured_adds++;
	return 0;
}

int gate_secured_remove(struct gate *g, const struct addr *local, const struct addr *remote, struct diag *d)
{
	(void)g, (void)local, (void)remote, (void)d;
	seen.secured_removes++;
	return 0;
}

int gate_identify(struct gate *g, const struct gate_identity *changes, size_t count, struct diag *d)
{
	(void)g, (void)changes, (void)d;
	seen.identities += (unsigned)count;
	return 0;
}

void gate_forget_identities(struct gate *g)
{
	(void)g;
}

static void count(void *context, const struct event *e)
{
	(void)context;
	assert_int_equal(e->id, EVENT_PROCESS_MISBEHAVED);
	seen.events++;
}

/* ---- a plan ------------------------------------------------------------------------------------------------------ */

static const char policy_text[] =
	"cordon: 1\n"
	"authentication: { how: [ { pre-shared-key: { file: /psk } } ] }\n"
	"connection-security:\n"
	"  - { name: all, endpoint1: [10.1.0.1], endpoint2: [10.2.0.0/16], mode: require, authentication: how }\n"
	"  - { name: maybe, endpoint1: [10.1.0.1], endpoint2: [10.3.0.0/16], mode: request, authentication: how }\n"
	"  - { name: open, endpoint1: [10.1.0.1], endpoint2: [10.4.0.0/16], mode: exempt }\n";

static const struct addr here = { .family = 4, .octets = { 10, 1, 0, 1 } };

static struct addr peer(unsigned net, unsigned n)
{
	struct addr a = { .family = 4, .octets = { 10, (uint8_t)net, (uint8_t)(n >> 8), (uint8_t)n } };

	return a;
}

struct world {
	uv_loop_t loop;
	struct planned planned;
	struct observer observer;
	struct doors *doors;
};

static void open_world(struct world *w, int export_fd)
{
	memset(&seen, 0, sizeof seen);
	seen.now_ms = 1000000;
	w->observer = (struct observer){ count, NULL };
	assert_int_equal(uv_loop_init(&w->loop), 0);
	w->planned = (struct planned){ 0 };
	planned_make(&w->planned, policy_text, (struct host_address){ here, 32 });
	w->doors = doors_new(
		&(struct engine_config){ .loop = &w->loop, .observer = &w->observer, .export_fd = export_fd });
	doors_set_plan(w->doors, 1, w->planned.plan);
}

static void close_world(struct world *w)
{
	doors_free(w->doors);
	(void)uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->loop), 0);
	planned_wipe(&w->planned);
}

/* ---- promises ---------------------------------------------------------------------------------------------------- */

static void clear_is_only_for_request_modes(void **state)
{
	const struct engine_fallback *all;
	struct addr strict = peer(2, 5), lenient = peer(3, 5), exempt = peer(4, 5), stranger = peer(9, 5);
	struct world w;

	(void)state;
	open_world(&w, -1);
	doors_fallback(w.doors, &here, &strict, 60);
	doors_fallback(w.doors, &here, &exempt, 60);
	doors_fallback(w.doors, &here, &stranger, 60);
	doors_fallback(w.doors, &lenient, &here, 60); /* the wrong way round */
	assert_int_equal(seen.fallback_adds, 0);
	assert_true(seen.events > 0);
	doors_fallback(w.doors, &here, &lenient, DOORS_FALLBACK_S_MOST + 1);
	assert_int_equal(seen.fallback_adds, 0);
	doors_fallback(w.doors, &here, &lenient, 60);
	assert_int_equal(seen.fallback_adds, 1);
	assert_int_equal(doors_fallbacks(w.doors, &all), 1);
	doors_fallback(w.doors, &here, &lenient, 0);
	assert_int_equal(seen.fallback_removes, 1);
	assert_int_equal(doors_fallbacks(w.doors, &all), 0);
	close_world(&w);
}

static void clear_peers_are_bounded(void **state)
{
	struct world w;

	(void)state;
	open_world(&w, -1);
	for (unsigned n = 0; n < DOORS_FALLBACKS_MOST + 100; n++) {
		struct addr lenient = peer(3, n);

		seen.now_ms++;
		doors_fallback(w.doors, &here, &lenient, 3600);
	}
	assert_int_equal(seen.fallback_adds, DOORS_FALLBACKS_MOST);
	close_world(&w);
}

static void only_who_is_protected_is_secured(void **state)
{
	struct addr strict = peer(2, 5), exempt = peer(4, 5);
	struct world w;

	(void)state;
	open_world(&w, -1);
	doors_secured(w.doors, &here, &exempt, true);
	assert_int_equal(seen.secured_adds, 0);
	assert_int_equal(seen.events, 1);
	doors_secured(w.doors, &here, &strict, false); /* who never was */
	assert_int_equal(seen.secured_removes, 0);
	doors_secured(w.doors, &here, &strict, true);
	doors_secured(w.doors, &here, &strict, true);
	assert_int_equal(seen.secured_adds, 1);
	assert_true(doors_has_peer(w.doors, &strict));
	assert_false(doors_has_peer(w.doors, &exempt));
	doors_secured(w.doors, &here, &strict, false);
	assert_int_equal(seen.secured_removes, 1);
	assert_false(doors_has_peer(w.doors, &strict));
	close_world(&w);
}

static void the_rules_are_not_changed_without_end(void **state)
{
	struct addr strict = peer(2, 5);
	struct world w;

	(void)state;
	open_world(&w, -1);
	for (unsigned n = 0; n < 2 * DOORS_PER_S; n++)
		doors_secured(w.doors, &here, &strict, n % 2 == 0);
	assert_true(seen.secured_adds + seen.secured_removes <= DOORS_PER_S);
	assert_int_equal(seen.events, 5); /* told a few times, not each time */
	seen.now_ms += 1000;
	doors_secured(w.doors, &here, &strict, true);
	assert_true(doors_has_peer(w.doors, &strict));
	close_world(&w);
}

static void keys_are_written_down_only_where_that_is_wanted(void **state)
{
	char got[64] = "";
	int tube[2];
	struct world w;

	(void)state;
	open_world(&w, -1);
	doors_keys(w.doors, "a key");
	assert_int_equal(seen.events, 1);
	close_world(&w);
	assert_int_equal(pipe(tube), 0);
	open_world(&w, tube[1]);
	doors_keys(w.doors, "a key");
	assert_int_equal(read(tube[0], got, sizeof got - 1), 6);
	assert_string_equal(got, "a key\n");
	assert_int_equal(seen.events, 0);
	close_world(&w);
	(void)close(tube[0]);
	(void)close(tube[1]);
}

/* What keying asked for before it had the new plan is refused, but no misbehaviour. */
static void a_change_of_plans_is_nobodys_fault(void **state)
{
	struct addr lenient = peer(3, 5), strict = peer(2, 5);
	struct plan *other;
	struct world w;

	(void)state;
	open_world(&w, -1);
	other = planned_for(&w.planned, (struct host_address){ peer(8, 8), 32 });
	doors_set_plan(w.doors, 2, other);
	doors_fallback(w.doors, &here, &lenient, 60);
	doors_secured(w.doors, &here, &strict, true);
	assert_int_equal(seen.fallback_adds + seen.secured_adds, 0);
	assert_int_equal(seen.events, 0);
	seen.now_ms += DOORS_LATE_MS;
	doors_fallback(w.doors, &here, &lenient, 60);
	assert_int_equal(seen.fallback_adds, 0);
	assert_int_equal(seen.events, 1);
	plan_free(other);
	close_world(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clear_is_only_for_request_modes),
		cmocka_unit_test(clear_peers_are_bounded),
		cmocka_unit_test(only_who_is_protected_is_secured),
		cmocka_unit_test(the_rules_are_not_changed_without_end),
		cmocka_unit_test(keys_are_written_down_only_where_that_is_wanted),
		cmocka_unit_test(a_change_of_plans_is_nobodys_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
