/* sad.h over a channel, with a data plane that is played by the test: what waits, what fails and what is told when the
 * plane comes, answers, dies and comes again, and what becomes of SAs of a keying process that is dead. */
#include "tests/unit/unit.h"

#include "base/diag.h"
#include "base/report.h"
#include "base/scope.h"
#include "base/text.h"
#include "daemon/messages/datagram_wire.h"
#include "daemon/keying/orphans.h"
#include "daemon/keying/sad_remote.h"
#include "daemon/messages/sad_wire.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { TOLD_MOST = 64 };

static struct {
	uv_loop_t loop;
	struct channel *client, *plane; /* two ends of one channel */
	struct sad *sad;
	struct report *report;
	struct policy *policy;
	struct plan *plan;
	/* what the plane was asked, and what was told */
	unsigned asked[ASK_COUNT];
	uint64_t request, pair;
	struct sa_spec spec;
	struct sad_event told[TOLD_MOST];
	char why[TOLD_MOST][512];
	size_t told_count;
	unsigned looked, ikes, gone;
} t;

static const char policy_text[] =
	"cordon: 1\n"
	"zones: { a: [10.1.0.0/16], b: [10.2.0.0/16] }\n"
	"authentication: { how: [ { pre-shared-key: { file: /psk } } ] }\n"
	"connection-security:\n"
	"  - { name: all, endpoint1: [a], endpoint2: [b], mode: require, authentication: how }\n";

/* ---- the plane --------------------------------------------------------------------------------------------------- */

#define RECORD(name, ask, ...) \
	static int name(void *context, struct channel *c, struct wire_in *body, int *fds) \
	{ \
		(void)context, (void)c, (void)fds, (void)body; \
		t.asked[ask]++; \
		__VA_ARGS__; \
		return 0; \
	}
RECORD(on_hello, ASK_SAD_HELLO)
RECORD(on_reserve, ASK_SAD_RESERVE, t.request = wire_u64(body))
RECORD(on_install, ASK_SAD_INSTALL, t.request = wire_u64(body);
       assert_int_equal(spec_decode(body, t.policy, &t.spec), 0))
RECORD(on_remove, ASK_SAD_REMOVE, t.pair = wire_u64(body); t.request = wire_u64(body))
RECORD(on_stop, ASK_SAD_STOP, t.pair = wire_u64(body))
RECORD(on_look, ASK_SAD_LOOK)
RECORD(on_ike, ASK_IKE_SEND)

static ask_handler *const of_plane[ASK_COUNT] = {
	[ASK_SAD_HELLO] = on_hello,   [ASK_SAD_RESERVE] = on_reserve, [ASK_SAD_INSTALL] = on_install,
	[ASK_SAD_REMOVE] = on_remove, [ASK_SAD_STOP] = on_stop,       [ASK_SAD_LOOK] = on_look,
	[ASK_IKE_SEND] = on_ike,
};
static ask_handler *const of_client[ASK_COUNT] = { SAD_REMOTE_HANDLERS };

static void say(enum ask what)
{
	(void)channel_begin(t.plane, what);
	channel_end(t.plane);
}

static void say_event(const struct sad_event *e)
{
	sad_event_encode(channel_begin(t.plane, ASK_SAD_EVENT), e);
	channel_end(t.plane);
}

/* ---- the client -------------------------------------------------------------------------------------------------- */

static void hear(void *context, const struct sad_event *e)
{
	(void)context;
	assert_true(t.told_count < TOLD_MOST);
	t.told[t.told_count] = *e;
	if (e->why)
		(void)snprintf(t.why[t.told_count], sizeof t.why[0], "%s", e->why->text);
	t.told_count++;
}

static void hear_ike(void *context, const struct datagram *g)
{
	(void)context;
	assert_int_equal(g->len, 3);
	t.ikes++;
}

static uint64_t now_ms(void *context)
{
	(void)context;
	return 1000;
}

static void gone(struct channel *c, const char *why)
{
	(void)c;
	(void)why;
	t.gone++;
	t.client = NULL;
	sad_remote_detach(t.sad);
}

static void plane_gone(struct channel *c, const char *why)
{
	(void)c;
	(void)why;
	t.plane = NULL;
}

/* ---- the stage --------------------------------------------------------------------------------------------------- */

static void turns(unsigned n)
{
	while (n--)
		(void)uv_run(&t.loop, UV_RUN_NOWAIT);
}

static void plane_comes(bool up)
{
	int fds[2];

	assert_int_equal(channel_pair(fds, NULL), 0);
	assert_int_equal(channel_new(&(struct channel_config){ .loop = &t.loop,
							       .fd = fds[0],
							       .self = ROLE_KEYING,
							       .peer = ROLE_DATAPLANE,
							       .handlers = of_client,
							       .gone = gone },
				     &t.client, NULL),
			 0);
	assert_int_equal(channel_new(&(struct channel_config){ .loop = &t.loop,
							       .fd = fds[1],
							       .self = ROLE_DATAPLANE,
							       .peer = ROLE_KEYING,
							       .handlers = of_plane,
							       .gone = plane_gone },
				     &t.plane, NULL),
			 0);
	channel_set_state(t.client, CHANNEL_READY);
	channel_set_state(t.plane, CHANNEL_READY);
	sad_remote_attach(t.sad, t.client);
	if (up)
		say(ASK_SAD_UP);
	turns(4);
}

static void plane_dies(void)
{
	channel_close(TAKE(t.plane));
	turns(4);
}

static int set_up(void **state)
{
	static const struct host_address own[] = { { { .family = 4, .octets = { 10, 1, 0, 1 } }, 16 } };
	const struct plan_host host = { .own = own, .own_count = 1 };

	(void)state;
	memset(&t, 0, sizeof t);
	t.report = report_new();
	if (policy_parse(text_new("p", policy_text, sizeof policy_text - 1), &(struct policy_load_options){ 0 },
			 t.report, &t.policy) < 0 ||
	    plan_compile(t.policy, &host, t.report, &t.plan) < 0 || uv_loop_init(&t.loop) < 0)
		return -1;
	t.sad = sad_remote_new(&(struct sad_remote_config){
		.loop = &t.loop, .plan = t.plan, .event = hear, .ike = hear_ike, .now_ms = now_ms });
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	sad_free(t.sad);
	channel_close(t.client);
	channel_close(t.plane);
	turns(8);
	plan_free(t.plan);
	policy_free(t.policy);
	report_free(t.report);
	return uv_loop_close(&t.loop);
}

static const struct addr local = { .family = 4, .octets = { 10, 1, 0, 1 } };
static const struct addr remote = { .family = 4, .octets = { 10, 2, 0, 1 } };

static struct sa_selector selector(void)
{
	return (struct sa_selector){ .local = local,
				     .remote = remote,
				     .protocol = PROTOCOL_ANY,
				     .local_port = PORT_ANY,
				     .remote_port = PORT_ANY };
}

static int install(uint64_t pair, bool inbound, uint64_t request, struct diag *d)
{
	const struct rule *rules;
	struct sa_spec s = { .spi = inbound ? 1000 : 2000,
			     .inbound = inbound,
			     .local = local,
			     .remote = remote,
			     .selector = selector(),
			     .pair = pair };

	(void)policy_rules(t.policy, &rules);
	s.rule = rules;
	assert_int_equal(child_suite_parse("esp-aes256gcm", 13, &s.suite, NULL), 0);
	s.encr_key.len = 36;
	return sad_install(t.sad, &s, request, d);
}

/* ---- promises ---------------------------------------------------------------------------------------------------- */

static void an_spi_is_waited_for_until_there_is_a_plane(void **state)
{
	(void)state;
	assert_int_equal(sad_reserve_spi(t.sad, &local, &remote, 7, NULL), 0);
	plane_comes(false);
	assert_int_equal(t.asked[ASK_SAD_HELLO], 1);
	assert_int_equal(t.asked[ASK_SAD_RESERVE], 0);
	say(ASK_SAD_UP);
	turns(4);
	assert_int_equal(t.asked[ASK_SAD_RESERVE], 1);
	assert_int_equal(t.request, 7);
	say_event(&(struct sad_event){ .kind = SAD_SPI_RESERVED, .request = 7, .spi = 4711 });
	say_event(&(struct sad_event){ .kind = SAD_SPI_RESERVED, .request = 7, .spi = 4712 }); /* nobody asked for it */
	turns(4);
	assert_int_equal(t.told_count, 1);
	assert_int_equal(t.told[0].kind, SAD_SPI_RESERVED);
	assert_int_equal(t.told[0].spi, 4711);
}

static void without_a_plane_nothing_is_installed(void **state)
{
	struct diag d = { 0 };

	(void)state;
	assert_int_equal(install(1, true, 1, &d), -ENOTCONN);
	assert_string_equal(d.text, "the data plane is being started");
	plane_comes(false);
	assert_int_equal(install(1, true, 1, &d), -ENOTCONN);
	assert_int_equal(sad_remove(t.sad, 1, 2, &d), -ENOENT);
}

static void a_request_and_its_answer(void **state)
{
	struct sa_usage u;

	(void)state;
	plane_comes(true);
	assert_int_equal(install(5, true, 9, NULL), 0);
	turns(4);
	assert_int_equal(t.asked[ASK_SAD_INSTALL], 1);
	assert_int_equal(t.spec.pair, 5);
	assert_string_equal(t.spec.rule->name, "all");
	say_event(&(struct sad_event){ .kind = SAD_DONE, .request = 9, .pair = 5 });
	turns(4);
	assert_int_equal(t.told_count, 1);
	assert_true(sad_usage_of(t.sad, 5, &u));
	assert_int_equal(u.spi_in, 1000);
	/* One that fails is not there. */
	assert_int_equal(install(6, true, 10, NULL), 0);
	turns(4);
	say_event(&(struct sad_event){
		.kind = SAD_FAILED, .request = 10, .why = &(struct diag){ .code = -EINVAL, .text = "no" } });
	turns(4);
	assert_int_equal(t.told[1].kind, SAD_FAILED);
	assert_string_equal(t.why[1], "no");
	assert_false(sad_usage_of(t.sad, 6, &u));
}

static unsigned told(enum sad_event_kind kind)
{
	unsigned n = 0;

	for (size_t i = 0; i < t.told_count; i++)
		n += t.told[i].kind == kind;
	return n;
}

static void when_the_plane_dies_every_sa_is_told_and_every_request_ends(void **state)
{
	(void)state;
	plane_comes(true);
	for (uint64_t pair = 1; pair <= 3; pair++) {
		assert_int_equal(install(pair, true, 10 + pair, NULL), 0);
		assert_int_equal(install(pair, false, 20 + pair, NULL), 0);
	}
	assert_int_equal(sad_remove(t.sad, 3, 30, NULL), 0);
	assert_int_equal(sad_reserve_spi(t.sad, &local, &remote, 40, NULL), 0);
	turns(4);
	plane_dies();
	assert_int_equal(t.gone, 1);
	assert_int_equal(told(SAD_EXPIRE_HARD), 2);
	assert_int_equal(told(SAD_FAILED), 6);
	assert_int_equal(told(SAD_DONE), 1);
	assert_int_equal(t.told_count, 9);
	assert_int_equal(sad_usage(t.sad, NULL, 0), 0);
	/* and the next one is asked for what still waits */
	t.request = 0;
	plane_comes(true);
	assert_int_equal(t.asked[ASK_SAD_RESERVE], 2);
	assert_int_equal(t.request, 40);
}

static void an_acquire_has_the_entry_of_our_own_plan(void **state)
{
	struct sad_event e = { .kind = SAD_ACQUIRE,
			       .packet = { .local = local,
					   .remote = remote,
					   .initiator = INITIATOR_EITHER,
					   .protocol = 6,
					   .remote_port = 445 } };

	(void)state;
	plane_comes(true);
	say_event(&e);
	e.packet.remote = addr_v4(10, 9, 9, 9); /* no rule of ours */
	say_event(&e);
	turns(4);
	assert_int_equal(t.told_count, 1);
	assert_string_equal(t.told[0].entry->rule->name, "all");
	assert_true(addr_equal(&t.told[0].selector.remote, &remote));
	assert_int_equal(t.told[0].selector.protocol, PROTOCOL_ANY);
}

static void seen(void *context)
{
	(void)context;
	t.looked++;
}

static void say_counters(uint64_t pair, uint64_t n)
{
	struct wire_out *out = channel_begin(t.plane, ASK_SAD_USAGE);

	usage_encode(out,
		     &(struct sa_usage){ .pair = pair, .packets_in = n, .octets_out = 2 * n, .last_in_ms = 3 * n });
	channel_end(t.plane);
	out = channel_begin(t.plane, ASK_SAD_DROPS);
	for (int i = 0; i < DROP_COUNT; i++)
		wire_put_u64(out, i == DROP_REPLAY ? n : 0);
	channel_end(t.plane);
}

static void counters_come_when_asked_and_add_up_over_planes(void **state)
{
	struct sa_usage u;

	(void)state;
	sad_remote_look(t.sad, seen, NULL); /* nobody to ask: at once */
	assert_int_equal(t.looked, 1);
	plane_comes(true);
	assert_int_equal(install(5, true, 9, NULL), 0);
	sad_remote_look(t.sad, seen, NULL);
	sad_remote_look(t.sad, seen, NULL);
	turns(4);
	assert_int_equal(t.asked[ASK_SAD_LOOK], 1);
	assert_int_equal(t.looked, 1);
	say_counters(5, 10);
	say_counters(99, 10); /* unknown: of no interest */
	turns(4);
	assert_int_equal(t.looked, 3);
	assert_true(sad_usage_of(t.sad, 5, &u));
	assert_int_equal(u.packets_in, 10);
	assert_int_equal(u.octets_out, 20);
	assert_int_equal(u.last_in_ms, 30);
	assert_int_equal(u.spi_in, 1000);
	assert_int_equal(sad_dropped(t.sad, DROP_REPLAY), 10);
	sad_remote_look(t.sad, seen, NULL);
	plane_dies(); /* whoever waits waits no longer */
	assert_int_equal(t.looked, 4);
	plane_comes(true);
	say_counters(5, 1);
	turns(4);
	assert_int_equal(sad_dropped(t.sad, DROP_REPLAY), 11);
}

static void say_orphan(uint64_t pair)
{
	struct wire_out *out = channel_begin(t.plane, ASK_SAD_ORPHAN);
	struct sa_selector s = selector();

	wire_put_u64(out, pair);
	selector_encode(out, &s);
	channel_end(t.plane);
}

static bool run_until(const unsigned *counter, unsigned most_ms)
{
	uint64_t end = uv_hrtime() + most_ms * UINT64_C(1000000);
	unsigned before = *counter;

	while (*counter == before && uv_hrtime() < end) {
		turns(1);
		uv_sleep(1);
	}
	return *counter != before;
}

static void an_orphan_is_replaced_then_stopped_then_removed(void **state)
{
	const uint64_t orphan = UINT64_C(1) << SAD_WIRE_OWN_BITS | 5;

	(void)state;
	plane_comes(true);
	say_orphan(orphan);
	turns(4);
	for (unsigned n = 0; n < 500 && t.told_count == 0; n++) {
		turns(1);
		uv_sleep(1);
	}
	assert_int_equal(t.told_count, 1);
	assert_int_equal(t.told[0].kind, SAD_ACQUIRE);
	assert_string_equal(t.told[0].entry->rule->name, "all");
	assert_int_equal(install(5, true, 8, NULL), 0); /* our own fifth: not the orphan */
	assert_int_equal(install(5, false, 9, NULL), 0);
	turns(4);
	say_event(&(struct sad_event){ .kind = SAD_DONE, .request = 8, .pair = 5 });
	turns(4);
	assert_int_equal(t.asked[ASK_SAD_STOP], 0);
	say_event(&(struct sad_event){ .kind = SAD_DONE, .request = 9, .pair = 5 });
	turns(4);
	assert_int_equal(t.asked[ASK_SAD_STOP], 1);
	assert_true(t.pair == orphan);
	assert_int_equal(t.asked[ASK_SAD_REMOVE], 0);
	assert_true(run_until(&t.asked[ASK_SAD_REMOVE], ORPHANS_LINGER_MS + 2000));
	assert_true(t.pair == orphan);
	assert_true(sad_usage_of(t.sad, 5, &(struct sa_usage){ 0 }));
}

static void nobody_hears_of_an_orphan_that_ends(void **state)
{
	const uint64_t orphan = UINT64_C(1) << SAD_WIRE_OWN_BITS | 5;

	(void)state;
	plane_comes(true);
	say_orphan(orphan);
	say_event(&(struct sad_event){ .kind = SAD_EXPIRE_HARD, .pair = orphan });
	turns(4);
	assert_int_equal(t.told_count, 0);
}

static void ike_on_port_4500_goes_both_ways(void **state)
{
	struct datagram g = {
		.local = local, .remote = remote, .local_port = 4500, .octets = (const uint8_t *)"abc", .len = 3
	};

	(void)state;
	sad_remote_send(t.sad, &g); /* lost, as on the network */
	plane_comes(true);
	sad_remote_send(t.sad, &g);
	datagram_encode(channel_begin(t.plane, ASK_IKE_CAME), &g);
	channel_end(t.plane);
	turns(4);
	assert_int_equal(t.asked[ASK_IKE_SEND], 1);
	assert_int_equal(t.ikes, 1);
}

static void a_plane_that_speaks_nonsense_is_cut_off(void **state)
{
	(void)state;
	plane_comes(true);
	assert_int_equal(install(5, true, 9, NULL), 0);
	turns(4);
	wire_put(channel_begin(t.plane, ASK_SAD_EVENT), "\xff nonsense of some length", SAD_EVENT_WIRE_LEAST);
	channel_end(t.plane);
	turns(4);
	assert_int_equal(t.gone, 1);
	assert_int_equal(told(SAD_EXPIRE_HARD), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(an_spi_is_waited_for_until_there_is_a_plane),
		TEST(without_a_plane_nothing_is_installed),
		TEST(a_request_and_its_answer),
		TEST(when_the_plane_dies_every_sa_is_told_and_every_request_ends),
		TEST(an_acquire_has_the_entry_of_our_own_plan),
		TEST(counters_come_when_asked_and_add_up_over_planes),
		TEST(an_orphan_is_replaced_then_stopped_then_removed),
		TEST(nobody_hears_of_an_orphan_that_ends),
		TEST(ike_on_port_4500_goes_both_ways),
		TEST(a_plane_that_speaks_nonsense_is_cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
