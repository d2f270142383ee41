/* Both ends begin at the same time: one IKE SA and one CHILD SA in the end, and no packet lost, in every order. */
#include "tests/replay/world.h"
#include "tests/unit/unit.h"

#include <stdio.h>

enum { CHOICES = 3, STEPS = 8 };

/* The n-th IKE datagram takes as long as the n-th digit of `order` says; so all orders are played. */
struct orders {
	unsigned order, seen;
};

static unsigned in_order(struct world *w, struct datagram *d)
{
	static const uint64_t delays[CHOICES] = { 0, 7, 150 };
	struct orders *o = w->context;
	unsigned digits = o->order;

	if (d->esp || o->seen >= STEPS)
		return 1;
	for (unsigned i = 0; i < o->seen; i++)
		digits /= CHOICES;
	o->seen++;
	d->due_ms += delays[digits % CHOICES];
	return 1;
}

static void play(unsigned order, uint8_t lead0, uint8_t lead1, uint64_t job_ms, uint64_t later_ms)
{
	struct world *w = world_new(world_policy);
	struct orders o = { .order = order };

	w->wire = in_order;
	w->context = &o;
	w->job_ms = job_ms;
	w->hosts[0].nonce_lead = lead0;
	w->hosts[1].nonce_lead = lead1;
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, 1000 + later_ms);
	world_packet(w, 1, 6, 443, 40000);
	for (uint64_t at = 1050; at < 9000; at += 50) { /* traffic both ways all the time */
		if (at > 1000 + later_ms)
			world_run(w, at);
		if (at < 5000) {
			world_packet(w, 0, 6, 40000, 443);
			world_packet(w, 1, 6, 443, 40000);
		}
	}
	world_run(w, 20000);
	if (w->hosts[0].esp_lost || w->hosts[1].esp_lost || world_ikes(w, 0) != 1 || world_ikes(w, 1) != 1)
		(void)fprintf(stderr, "order %u leads %02x %02x jobs %d later %d: lost %u and %u\n", order, lead0,
			      lead1, (int)job_ms, (int)later_ms, w->hosts[0].esp_lost, w->hosts[1].esp_lost);
	world_expect_one(w, 1);
	assert_int_equal(w->hosts[0].esp_lost + w->hosts[1].esp_lost, 0);
	assert_int_equal(w->hosts[0].esp_received + w->hosts[1].esp_received, 2 + 2 * 79);
	world_free(w);
}

static void every_order_of_a_simultaneous_beginning_converges(void **state)
{
	unsigned orders = 1;

	(void)state;
	for (unsigned i = 0; i < STEPS; i++)
		orders *= CHOICES;
	for (unsigned order = 0; order < orders; order++)
		play(order, order & 1 ? 0x80 : 0x40, order & 1 ? 0x40 : 0x80, order % 5, 0);
}

static void beginnings_a_little_apart_converge(void **state)
{
	(void)state;
	for (uint64_t later = 0; later < 12; later++)
		for (uint64_t jobs = 0; jobs < 4; jobs++) {
			play(0, 0x80, 0x40, jobs, later);
			play(0, 0x40, 0x80, jobs, later);
		}
}

/* Two rules of one main mode: each end wants the other's first. */
static const char two_rules[] =
	"cordon: 1\nauthentication:\n  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n"
	"key-exchange:\n  default: { proposals: [aes256gcm-sha256-x25519] }\n"
	"connection-security:\n"
	"  - { name: web, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], protocol: tcp, port2: 80,\n"
	"      mode: require, authentication: password }\n"
	"  - { name: rest, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require,\n"
	"      authentication: password }\n";

static void different_wishes_end_under_one_main_mode(void **state)
{
	(void)state;
	for (unsigned lead = 0; lead < 2; lead++) {
		struct world *w = world_new(two_rules);
		w->hosts[0].nonce_lead = lead ? 0x80 : 0x40;
		w->hosts[1].nonce_lead = lead ? 0x40 : 0x80;
		world_packet(w, 0, 6, 40000, 80);
		world_packet(w, 1, 17, 53, 5353);
		world_run(w, 30000);
		world_expect_one(w, 2);
		assert_int_equal(w->hosts[0].esp_lost + w->hosts[1].esp_lost, 0);
		world_free(w);
	}
}

/* Main mode is there; both want the same quick mode at once. */
static void simultaneous_quick_modes_converge(void **state)
{
	(void)state;
	for (unsigned lead = 0; lead < 2; lead++)
		for (uint64_t later = 0; later < 6; later++) {
			struct world *w = world_new(two_rules);
			w->hosts[0].nonce_lead = lead ? 0x80 : 0x40;
			w->hosts[1].nonce_lead = lead ? 0x40 : 0x80;
			world_packet(w, 0, 17, 53, 5353);
			world_run(w, 2000);
			world_expect_one(w, 1);
			world_packet(w, 0, 6, 40000, 80);
			world_run(w, 2000 + later);
			world_packet(w, 1, 6, 80, 40000);
			for (uint64_t at = 2010; at < 6000; at += 10) {
				world_run(w, at);
				world_packet(w, 0, 6, 40000, 80);
				world_packet(w, 1, 6, 80, 40000);
			}
			world_run(w, 20000);
			world_expect_one(w, 2);
			assert_int_equal(w->hosts[0].esp_lost + w->hosts[1].esp_lost, 0);
			world_free(w);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(beginnings_a_little_apart_converge),
		cmocka_unit_test(every_order_of_a_simultaneous_beginning_converges),
		cmocka_unit_test(different_wishes_end_under_one_main_mode),
		cmocka_unit_test(simultaneous_quick_modes_converge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
