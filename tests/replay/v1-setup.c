/* Two engines set up main mode and quick mode by IKEv1: every way to prove oneself, every mishap on the wire. */
#include "tests/replay/v1.h"
#include "tests/replay/wires.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

static void a_packet_brings_up_one_of_each(void **state)
{
	struct world *w = world_new(v1_policy);

	(void)state;
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, 3000);
	world_expect_one(w, 1);
	assert_int_equal(w->hosts[1].esp_received, 1);
	assert_int_equal(w->hosts[0].events[EVENT_MAIN_MODE_UP], 1);
	assert_int_equal(w->hosts[1].events[EVENT_QUICK_MODE_UP], 1);
	assert_int_equal(w->ike_sent[0], 5); /* 1, 3, 5 of main mode; 1, 3 of quick mode */
	assert_int_equal(w->ike_sent[1], 4);
	assert_non_null(strstr(w->hosts[0].last_text[EVENT_MAIN_MODE_UP], "by IKEv1"));
	world_free(w);
}

/* A certificate's signature is made and judged by jobs; which method, the key decides (RFC 2409 A, RFC 4754). */
static void signatures_prove(void **state)
{
	static const uint8_t methods[] = { 3, 9, 10, 11 };

	(void)state;
	for (size_t i = 0; i < sizeof methods; i++) {
		struct world *w = v1_world_signing(methods[i]);
		world_packet(w, 0, 6, 40000, 443);
		world_run(w, 3000);
		world_expect_one(w, 1);
		world_free(w);
	}
}

static void kinds_of_quick_mode(void **state)
{
	static const struct {
		const char *proposals, *more, *said;
	} rows[] = {
		{ "esp-aes256gcm", "", "esp-aes256gcm" },
		{ "esp-aes128-sha1", "", "esp-aes128-sha1" },
		{ "esp-aes256-sha256", "", "esp-aes256-sha256" },
		{ "esp-sha256-null", "", "esp-sha256-null" },
		{ "ah-sha256", "", "ah-sha256" },
		{ "esp-aes256gcm-ecp384", "", "esp-aes256gcm-ecp384" }, /* a key exchange of its own */
		{ "esp-aes256gcm-modp2048", "", "esp-aes256gcm-modp2048" },
		{ "esp-aes256gcm", "protocol: tcp, port2: 443,", "esp-aes256gcm" },
		{ "esp-aes256gcm", "tunnel: { endpoint1: 10.0.0.1, endpoint2: 10.0.0.2 },", "esp-aes256gcm" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char policy[1024];
		(void)snprintf(
			policy, sizeof policy,
			"cordon: 1\nauthentication:\n  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n"
			"key-exchange:\n  default: { proposals: [aes256-sha384-ecp384] }\n"
			"protection:\n  p: { legacy: allow, proposals: [%s] }\n"
			"connection-security:\n  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], %s\n"
			"      mode: require, authentication: password, protection: p, modules: ikev1 }\n",
			rows[i].proposals, rows[i].more);
		struct world *w = world_new(policy);
		world_packet(w, 0, 6, 40000, 443);
		world_run(w, 3000);
		world_expect_one(w, 1);
		assert_string_equal(w->hosts[0].last[EVENT_QUICK_MODE_UP].suite, rows[i].said);
		assert_int_equal(w->hosts[1].esp_received, 1);
		world_free(w);
	}
}

/* IKEv1 names one port or all: of a range, the packet's own; each port that is used has a quick mode. */
static void a_range_of_ports_is_negotiated_port_by_port(void **state)
{
	struct world *w =
		world_new("cordon: 1\n"
			  "authentication:\n  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n"
			  "key-exchange:\n  default: { proposals: [aes256-sha384-ecp384] }\n"
			  "connection-security:\n"
			  "  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], protocol: tcp,\n"
			  "      port2: 8000-8010, mode: require, authentication: password, modules: ikev1 }\n");

	(void)state;
	world_packet(w, 0, 6, 40000, 8003);
	world_run(w, 3000);
	world_packet(w, 0, 6, 40000, 8007);
	world_run(w, 6000);
	world_expect_one(w, 2);
	assert_int_equal(w->hosts[1].esp_received, 2);
	world_free(w);
}

/* Which rule a main mode is for is not said in it: one proof may be good for the sets of several. */
static void a_proof_counts_for_every_set_that_it_satisfies(void **state)
{
	static const char policy[] = "cordon: 1\n"
				     "authentication:\n"
				     "  one: [ { certificate: { issuer: \"CN=CA\" } } ]\n"
				     "  other: [ { certificate: { issuer: \"CN=CA 2\" } } ]\n"
				     "key-exchange:\n  default: { proposals: [aes256-sha384-ecp384] }\n"
				     "connection-security:\n"
				     "  - { name: web, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], protocol: tcp, "
				     "port2: 80, mode: require,\n"
				     "      authentication: one, modules: ikev1 }\n"
				     "  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require,\n"
				     "      authentication: other, modules: ikev1 }\n";

	(void)state;
	for (unsigned from = 0; from < HOSTS; from++) {
		struct world *w = world_new(policy);
		v1_sign(w, 3);
		world_packet(w, from, 6, from ? 80 : 40000, from ? 40000 : 80);
		world_run(w, 4000);
		world_packet(w, from, 6, 22, 22);
		world_run(w, 8000);
		assert_int_equal(world_children(w, 0), 2);
		assert_int_equal(world_children(w, 1), 2);
		assert_int_equal(w->hosts[1 - from].esp_received, 2);
		world_set_plan(w, 0, policy); /* and lives on under a new plan that asks for the same */
		world_set_plan(w, 1, policy);
		world_run(w, 20000);
		assert_int_equal(world_children(w, 0), 2);
		assert_int_equal(world_children(w, 1), 2);
		world_free(w);
	}
}

/* Each end has its own wish for how long: the shorter one counts at both, said by attribute or by notification. */
static void the_shorter_life_counts(void **state)
{
#define LIFE(main_mode, quick_mode) \
	"cordon: 1\nauthentication:\n  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n" \
	"key-exchange:\n  default: { proposals: [aes256-sha384-ecp384], lifetime: " main_mode " }\n" \
	"protection:\n  p: { proposals: [esp-aes256gcm], lifetime: " quick_mode " }\n" \
	"connection-security:\n  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require,\n" \
	"      authentication: password, protection: p, modules: ikev1 }\n"
	(void)state;
	for (unsigned from = 0; from < HOSTS; from++) {
		struct world *w = world_new_two(LIFE("8h", "1h"), LIFE("1h", "10m"));
		struct keying_child_row child;
		struct keying_ike_row ike;
		world_packet(w, from, 6, 443, 443);
		world_run(w, 4000);
		for (unsigned host = 0; host < HOSTS; host++) {
			assert_int_equal(keying_child_rows(w->hosts[host].keying, &child, 1), 1);
			assert_in_range(child.rekey_at_ms, 400000, 602000);
			assert_int_equal(keying_ike_rows(w->hosts[host].keying, &ike, 1), 1);
			if (host == 1 || from == 1)
				assert_in_range(ike.rekey_at_ms, 2000000, 3602000);
		}
		world_free(w);
	}
}

/* ---- the wire ---------------------------------------------------------------------------------------------------- */

enum { MESSAGES = 9 };

static void any_message_may_be_lost_late_or_repeated(void **state)
{
	(void)state;
	for (unsigned which = 0; which < MESSAGES; which++)
		for (int kind = LOSE; kind <= DELAY; kind++) {
			if (kind == DAMAGE)
				continue;
			struct world *w = world_new(v1_policy);
			struct mishap m = { .which = which, .kind = (unsigned)kind };
			w->wire = wire_mishap;
			w->context = &m;
			world_packet(w, 0, 6, 40000, 443);
			world_run(w, 9000);
			world_expect_one(w, 1);
			assert_int_equal(w->hosts[0].events[EVENT_MAIN_MODE_UP], 1);
			assert_int_equal(w->hosts[1].events[EVENT_MAIN_MODE_UP], 1);
			assert_int_equal(w->hosts[1].spis_reserved, 1);
			assert_int_equal(w->hosts[1].esp_received, 1);
			world_free(w);
		}
}

/* One bit wrong anywhere: as if it were lost, or the peer's proof fails; never a wrong SA, never a crash. */
static void a_damaged_message_does_no_harm(void **state)
{
	(void)state;
	for (unsigned which = 0; which < MESSAGES; which++)
		for (size_t octet = 0; octet < 280; octet += 3) {
			struct world *w = world_new(v1_policy);
			struct mishap m = { .which = which, .kind = DAMAGE, .octet = octet };
			w->quick_keys = true;
			w->wire = wire_mishap;
			w->context = &m;
			world_packet(w, 0, 6, 40000, 443);
			world_run(w, 150000);
			if (world_children(w, 0) == 0) /* it spoiled the proofs: a new packet begins anew */
				world_packet(w, 0, 6, 40000, 443);
			world_run(w, 220000);
			if (world_ikes(w, 0) != 1)
				(void)fprintf(stderr, "message %u, octet %zu\n", which, octet);
			world_expect_one(w, 1);
			world_free(w);
		}
}

static void a_storm_ends_in_one_of_each(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 200; seed++)
		wires_ride_out(v1_policy, seed, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_packet_brings_up_one_of_each),
		cmocka_unit_test(signatures_prove),
		cmocka_unit_test(kinds_of_quick_mode),
		cmocka_unit_test(a_range_of_ports_is_negotiated_port_by_port),
		cmocka_unit_test(a_proof_counts_for_every_set_that_it_satisfies),
		cmocka_unit_test(the_shorter_life_counts),
		cmocka_unit_test(any_message_may_be_lost_late_or_repeated),
		cmocka_unit_test(a_damaged_message_does_no_harm),
		cmocka_unit_test(a_storm_ends_in_one_of_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
