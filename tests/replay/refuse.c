/* What one end does not accept: the other hears it, both say in words who refused in which step and why, and nobody
 * storms. */
#include "tests/replay/stranger.h"
#include "tests/replay/world.h"
#include "tests/unit/unit.h"

#include "base/mem.h"
#include "base/scope.h"
#include "keying/ike.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD \
	"cordon: 1\nauthentication:\n" \
	"  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n"
#define RULE(what) \
	"connection-security:\n  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require, " \
	"authentication: password" what " }\n"

static void expect_text(const struct world_host *h, enum event_id id, const char *part)
{
	if (!h->events[id] || !strstr(h->last_text[id], part))
		fail_msg("%u %s: \"%s\" does not say \"%s\"", h->events[id], event_name(id), h->last_text[id], part);
}

static size_t failures(const struct world *w, unsigned host)
{
	return keying_failures(w->hosts[host].keying, NULL, 0);
}

static void another_group_is_tried_both_ways(void **state)
{
	static const char first[] = HEAD "key-exchange:\n  default: { proposals: [aes256-sha384-ecp384, "
					 "aes256gcm-sha256-x25519] }\n" RULE("");
	static const char second[] =
		HEAD "key-exchange:\n  default: { proposals: [aes256gcm-sha256-x25519] }\n" RULE("");

	(void)state;
	for (unsigned from = 0; from < 2; from++) {
		struct world *w = from ? world_new_two(second, first) : world_new_two(first, second);
		world_packet(w, from, 6, 1, 1);
		world_run(w, 3000);
		world_expect_one(w, 1);
		assert_int_equal(w->ike_sent[from], 3);
		world_free(w);
	}
}

static void every_suite_works(void **state)
{
	static const char *const suites[] = { "aes256-sha384-ecp384",    "aes128-sha256-ecp256",
					      "aes128gcm-sha256-x25519", "aes256gcm-sha384-ecp384",
					      "aes256-sha256-modp2048",  "aes256-sha512-ecp521" };
	static const char *const children[] = { "esp-aes256gcm", "esp-aes128gcm", "esp-aes256-sha256",
						"esp-aes128-sha384", "esp-sha256-null" };
	char text[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(suites); i++)
		for (size_t c = 0; c < ARRAY_LEN(children); c++) {
			(void)snprintf(text, sizeof text,
				       HEAD "key-exchange:\n  default: { proposals: [%s] }\n"
					    "protection:\n  default: { proposals: [%s] }\n" RULE(""),
				       suites[i], children[c]);
			struct world *w = world_new(text);
			world_packet(w, 0, 6, 1, 1);
			world_run(w, 3000);
			assert_int_equal(world_children(w, 0), 1);
			assert_int_equal(world_children(w, 1), 1);
			assert_int_equal(w->hosts[1].esp_received, 1);
			world_free(w);
		}
}

static void no_common_main_mode_is_told_at_both_ends(void **state)
{
	struct world *w =
		world_new_two(HEAD "key-exchange:\n  default: { proposals: [aes256gcm-sha256-x25519] }\n" RULE(""),
			      HEAD "key-exchange:\n  default: { proposals: [aes256-sha384-ecp384] }\n" RULE(""));

	(void)state;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 4000);
	expect_text(&w->hosts[1], EVENT_MAIN_MODE_FAILED,
		    "it offers aes256gcm-sha256-x25519, rule 'all' wants "
		    "aes256-sha384-ecp384");
	expect_text(
		&w->hosts[0], EVENT_MAIN_MODE_FAILED,
		"refused main mode in IKE_SA_INIT, NO_PROPOSAL_CHOSEN: it has no rule for this host, or its rule wants "
		"another main mode: compare `key-exchange` of the two policies. We offer aes256gcm-sha256-x25519 (rule "
		"'all')");
	assert_int_equal(w->hosts[0].released_drop, 1);
	assert_int_equal(failures(w, 0), 1);
	assert_int_equal(failures(w, 1), 1);
	world_free(w);
}

static void no_common_quick_mode_leaves_main_mode(void **state)
{
	struct world *w = world_new_two(HEAD "protection:\n  default: { proposals: [esp-aes256gcm] }\n" RULE(""),
					HEAD "protection:\n  default: { proposals: [esp-aes128gcm] }\n" RULE(""));

	(void)state;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 4000);
	assert_int_equal(world_ikes(w, 0), 1);
	assert_int_equal(world_children(w, 0) + world_children(w, 1), 0);
	expect_text(&w->hosts[0], EVENT_QUICK_MODE_FAILED, "NO_PROPOSAL_CHOSEN");
	expect_text(&w->hosts[1], EVENT_QUICK_MODE_FAILED, "it offers esp-aes256gcm, rule 'all' wants esp-aes128gcm");
	assert_int_equal(w->hosts[0].released_drop, 1);
	assert_int_equal(w->hosts[0].spis_reserved, w->hosts[0].spis_released);
	world_run(w, 100000); /* and main mode without use goes */
	assert_int_equal(world_ikes(w, 0) + world_ikes(w, 1), 0);
	world_free(w);
}

static void a_wrong_pre_shared_key_is_refused_in_words(void **state)
{
	struct world *w = world_new(world_policy);

	(void)state;
	w->hosts[1].psk = "another secret";
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 4000);
	assert_int_equal(world_ikes(w, 0) + world_ikes(w, 1), 0);
	expect_text(&w->hosts[1], EVENT_MAIN_MODE_FAILED,
		    "we refused 10.0.0.1 in IKE_AUTH: its pre-shared key is not ours");
	expect_text(&w->hosts[0], EVENT_MAIN_MODE_FAILED,
		    "refused us in IKE_AUTH, AUTHENTICATION_FAILED: it does not accept our proof");
	assert_int_equal(w->hosts[0].released_drop, 1);
	assert_int_equal(w->hosts[0].spis_reserved, w->hosts[0].spis_released);
	assert_int_equal(w->hosts[1].spis_reserved, 0);
	world_free(w);
}

/* The responder takes our proof, and its own is wrong: it must hear that, or it thinks that all is well. */
static void a_responder_that_fails_to_prove_itself_is_told(void **state)
{
	struct world *w = world_new(world_policy);

	(void)state;
	w->job_ms = 1;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 1008); /* it has checked ours */
	w->hosts[1].psk = "another secret";
	world_run(w, 4000);
	if (w->hosts[1].events[EVENT_MAIN_MODE_UP]) {
		assert_int_equal(w->hosts[0].events[EVENT_MAIN_MODE_UP], 0);
		expect_text(&w->hosts[0], EVENT_MAIN_MODE_FAILED, "we refused the proof of 10.0.0.2");
		expect_text(&w->hosts[1], EVENT_MAIN_MODE_FAILED, "refused our proof");
	} else {
		fail_msg("the key changed too early");
	}
	assert_int_equal(world_ikes(w, 0) + world_ikes(w, 1), 0);
	assert_int_equal(world_sas(w, 0, true) + world_sas(w, 0, false), 0);
	assert_int_equal(world_sas(w, 1, true) + world_sas(w, 1, false), 0);
	world_free(w);
}

static void a_host_without_rule_for_us_says_so(void **state)
{
	static const char nothing[] = HEAD "connection-security:\n  - { name: far, endpoint1: [10.9.0.1], endpoint2: "
					   "[10.9.0.2], mode: require, authentication: password }\n";
	struct world *w = world_new_two(world_policy, nothing);

	(void)state;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 4000);
	expect_text(&w->hosts[1], EVENT_MAIN_MODE_FAILED, "no rule of this host protects traffic with it");
	assert_int_equal(w->hosts[0].released_drop, 1);
	world_free(w);
}

static void a_host_without_credential_says_so_and_sends_nothing(void **state)
{
	struct world *w = world_new(HEAD "connection-security:\n  - { name: all, endpoint1: [10.0.0.1], endpoint2: "
					 "[10.0.0.2], mode: require, authentication: password }\n");

	(void)state;
	w->hosts[0].credential.satisfies_count = 0;
	keying_set_plan(w->hosts[0].keying, &w->hosts[0].config, w->hosts[0].plan, w->now_ms);
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 2000);
	expect_text(&w->hosts[0], EVENT_MAIN_MODE_FAILED, "nothing to prove itself with");
	assert_int_equal(w->hosts[0].released_drop, 1);
	assert_int_equal(w->ike_sent[0], 0);
	world_free(w);
}

static void failures_do_not_storm(void **state)
{
	struct world *w = world_new(world_policy);

	(void)state;
	w->hosts[1].psk = "another secret";
	for (uint64_t at = 1000; at < 61000; at += 100) { /* an application that tries ten times a second */
		world_packet(w, 0, 6, 1, 1);
		world_run(w, at);
	}
	assert_true(w->ike_sent[0] < 20);
	assert_true(w->hosts[0].events[EVENT_MAIN_MODE_FAILED] <= 2);
	assert_true(w->hosts[1].events[EVENT_MAIN_MODE_FAILED] <= 2);
	assert_true(w->hosts[0].released_drop > 590);
	w->hosts[1].psk = w->hosts[0].psk; /* repaired: within the longest wait it works */
	for (uint64_t at = 61000; at < 125000; at += 1000) {
		world_packet(w, 0, 6, 1, 1);
		world_run(w, at);
	}
	world_expect_one(w, 1);
	assert_int_equal(failures(w, 0), 0);
	world_free(w);
}

static void the_responder_narrows_to_its_rule(void **state)
{
	/* Rules of the two ends differ: here all, there tcp/443 only. */
	struct world *w = world_new_two(HEAD RULE(""), HEAD RULE(", protocol: tcp, port2: 443"));

	(void)state;
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, 3000);
	assert_int_equal(world_children(w, 0), 1);
	assert_int_equal(world_children(w, 1), 1);
	for (unsigned host = 0; host < HOSTS; host++)
		for (size_t i = 0; i < SAS_MOST; i++) {
			const struct world_sa *sa = &w->hosts[host].sas[i];
			if (!sa->used)
				continue;
			assert_int_equal(sa->selector.protocol, 6);
			assert_int_equal((host ? sa->selector.local_port : sa->selector.remote_port).lo, 443);
		}
	world_free(w);
}

#define PORT_RULE(name, port) \
	"  - { name: " name ", endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require, authentication: " \
	"password, protocol: tcp, port2: " port " }\n"

static void what_the_peer_left_out_gets_a_child_sa_of_its_own(void **state)
{
	/* Here one rule for all, there two: each packet brings the CHILD SA that it is in. */
	struct world *w =
		world_new_two(HEAD RULE(""), HEAD "connection-security:\n" PORT_RULE("a", "443") PORT_RULE("b", "80"));

	(void)state;
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, 1900);
	world_packet(w, 0, 6, 40000, 80);
	world_run(w, 3900);
	assert_int_equal(world_children(w, 0), 2);
	assert_int_equal(world_children(w, 1), 2);
	assert_int_equal(w->hosts[1].esp_received, 2);
	world_packet(w, 0, 6, 40001, 443);
	world_packet(w, 1, 6, 80, 40001);
	world_run(w, 4900);
	assert_int_equal(w->hosts[1].esp_received, 3);
	assert_int_equal(w->hosts[0].esp_received, 1);
	assert_int_equal(failures(w, 0), 0);
	world_packet(w, 0, 6, 40000, 22); /* nobody there wants it: told, once, and nothing piles up */
	world_run(w, 9900);
	expect_text(&w->hosts[0], EVENT_QUICK_MODE_FAILED, "make the two policies the same");
	assert_int_equal(world_children(w, 0), 2);
	assert_int_equal(world_children(w, 1), 2);
	assert_int_equal(w->hosts[0].held_count, 0);
	world_free(w);
}

static void a_narrower_request_is_granted_and_the_rest_is_asked_for(void **state)
{
	/* There one rule for a port, here one for all: what they ask for they get, and what we send outside of it asks
	 * for the whole. */
	struct world *w = world_new_two(HEAD RULE(", protocol: tcp, port2: 445"), HEAD RULE(""));

	(void)state;
	world_packet(w, 0, 6, 40000, 445);
	world_run(w, 1900);
	assert_int_equal(world_children(w, 1), 1);
	world_packet(w, 1, 6, 445, 40000); /* inside */
	world_run(w, 2900);
	assert_int_equal(world_children(w, 1), 1);
	assert_int_equal(w->hosts[0].esp_received, 1);
	world_packet(w, 1, 17, 53, 53); /* outside: there no rule wants it */
	world_run(w, 9900);
	expect_text(&w->hosts[1], EVENT_QUICK_MODE_FAILED, "make the two policies the same");
	world_packet(w, 1, 6, 445, 40000);
	world_run(w, 10900);
	assert_int_equal(w->hosts[0].esp_received, 2);
	assert_true(world_children(w, 1) <= 2);
	world_free(w);
}

static void traffic_that_no_rule_of_the_peer_protects_is_refused(void **state)
{
	struct world *w =
		world_new_two(HEAD RULE(", protocol: tcp, port2: 80"), HEAD RULE(", protocol: tcp, port2: 443"));

	(void)state;
	world_packet(w, 0, 6, 40000, 80);
	world_run(w, 4000);
	assert_int_equal(world_children(w, 0) + world_children(w, 1), 0);
	expect_text(&w->hosts[0], EVENT_QUICK_MODE_FAILED, "TS_UNACCEPTABLE");
	expect_text(&w->hosts[1], EVENT_QUICK_MODE_FAILED, "no rule of this host protects just what it asked for");
	world_free(w);
}

/* Two rules, two authentications: a main mode carries only what it has proven. */
static void each_authentication_has_its_own_main_mode(void **state)
{
	static const char text[] =
		HEAD "  other: [ { pre-shared-key: { file: /etc/cordon/other } } ]\n"
		     "connection-security:\n"
		     "  - { name: web, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require, protocol: tcp,\n"
		     "      port2: 80, authentication: other }\n"
		     "  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require, authentication: "
		     "password }\n";
	struct world *w = world_new(text);

	(void)state;
	for (unsigned host = 0; host < HOSTS; host++) { /* the one key of the test stands for both files */
		struct world_host *h = &w->hosts[host];
		static struct keying_credential two[HOSTS][2];
		two[host][0] = two[host][1] = h->credential;
		two[host][0].psk_file = "/etc/cordon/psk";
		two[host][1].psk_file = "/etc/cordon/other";
		h->config.credentials = two[host];
		h->config.credential_count = 2;
		keying_set_plan(h->keying, &h->config, h->plan, w->now_ms);
	}
	world_packet(w, 0, 6, 40000, 80);
	world_run(w, 2000);
	world_packet(w, 0, 17, 40000, 80);
	world_run(w, 4000);
	assert_int_equal(world_ikes(w, 0), 2);
	assert_int_equal(world_ikes(w, 1), 2);
	assert_int_equal(world_children(w, 0), 2);
	world_packet(w, 1, 17, 80, 40000);
	world_run(w, 6000);
	assert_int_equal(w->hosts[0].esp_received, 1);
	assert_int_equal(world_ikes(w, 0), 2);
	world_free(w);
}

static void the_data_plane_may_fail(void **state)
{
	struct world *w = world_new(world_policy);

	(void)state;
	w->sad_fails = true;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 4000);
	expect_text(&w->hosts[0], EVENT_MAIN_MODE_FAILED, "the data plane failed: it is full");
	assert_int_equal(w->hosts[0].released_drop, 1);
	w->sad_fails = false;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 40000);
	world_expect_one(w, 1);
	world_free(w);
}

/* ---- cookies and NAT --------------------------------------------------------------------------------------------- */

static void cookies_are_asked_for_and_given(void **state)
{
	struct world *w = world_new(world_policy);

	(void)state;
	w->hosts[1].config.half_open_cookie = 0;
	keying_set_plan(w->hosts[1].keying, &w->hosts[1].config, w->hosts[1].plan, w->now_ms);
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 3000); /* the first is lost: there is no secret yet */
	world_expect_one(w, 1);
	assert_int_equal(w->ike_sent[0], 4); /* INIT, again, with cookie, AUTH */
	world_free(w);
}

/* Cookie and another group, one after the other. */
static void a_cookie_and_another_group_go_together(void **state)
{
	struct world *w = world_new_two(
		HEAD
		"key-exchange:\n  default: { proposals: [aes256-sha384-ecp384, aes256gcm-sha256-x25519] }\n" RULE(""),
		HEAD "key-exchange:\n  default: { proposals: [aes256gcm-sha256-x25519] }\n" RULE(""));

	(void)state;
	w->hosts[1].config.half_open_cookie = 0;
	keying_set_plan(w->hosts[1].keying, &w->hosts[1].config, w->hosts[1].plan, w->now_ms);
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 3000);
	world_expect_one(w, 1);
	world_free(w);
}

static unsigned half_open_flood(struct world *w, unsigned count)
{
	uint8_t buf[1024], public[32] = { 9 }, nonce[32] = { 0 };
	struct ike_writer out;
	struct ike_offer offer = { .count = 1 };
	struct ike_proposal *p = &offer.proposals[0];
	unsigned before = w->ike_sent[1];

	*p = (struct ike_proposal){ .number = 1, .protocol = 1, .count = 3 };
	p->transforms[0] = (struct ike_transform){ .type = ALG_ENCR, .id = 20, .key_bits = 256 };
	p->transforms[1] = (struct ike_transform){ .type = ALG_PRF, .id = 5 };
	p->transforms[2] = (struct ike_transform){ .type = ALG_GROUP, .id = 31 };
	for (unsigned i = 0; i < count; i++) {
		struct ike_header h = { .spi_i = 0x7000 + i, .exchange = IKE_SA_INIT, .flags = IKE_FLAG_INITIATOR };
		ike_write_begin(&out, buf, sizeof buf, &h);
		ike_put_sa(&out, &offer);
		ike_put_ke(&out, 31, public, sizeof public);
		ike_put_nonce(&out, nonce, sizeof nonce);
		ike_write_end(&out);
		world_inject(w, 1, buf, out.out.len);
		world_run(w, w->now_ms);
	}
	return w->ike_sent[1] - before;
}

static void a_flood_meets_cookies_and_a_bound_and_is_forgotten(void **state)
{
	struct world *w = world_new(world_policy);
	struct keying_ike_row *rows = mem_new(8192, sizeof *rows);

	(void)state;
	assert_true(half_open_flood(w, 3000) > 0);
	size_t n = keying_ike_rows(w->hosts[1].keying, rows, 8192);
	assert_int_equal(n, 64); /* from then on cookies */
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 4000); /* an honest peer gets through */
	assert_int_equal(world_ikes(w, 1), 1);
	world_run(w, 60000);
	world_expect_one(w, 1);
	assert_int_equal(keying_ike_rows(w->hosts[1].keying, rows, 8192), 1);
	free(rows);
	world_free(w);
}

static void one_address_does_not_take_all_the_room(void **state)
{
	struct world *w = world_new(world_policy);
	struct keying_ike_row rows[64];

	(void)state;
	w->hosts[1].config.half_open_cookie = 10000;
	w->hosts[1].config.half_open_most = 64;
	keying_set_plan(w->hosts[1].keying, &w->hosts[1].config, w->hosts[1].plan, w->now_ms);
	(void)half_open_flood(w, 200);
	assert_int_equal(keying_ike_rows(w->hosts[1].keying, rows, 64), 32);
	world_run(w, 60000); /* given up: there is room again */
	assert_int_equal(keying_ike_rows(w->hosts[1].keying, rows, 64), 0);
	assert_int_equal(half_open_flood(w, 1), 1);
	world_free(w);
}

static void strangers_do_not_fill_the_log(void **state)
{
	struct world *w = world_new(world_policy);
	unsigned *told = &w->hosts[1].events[EVENT_MAIN_MODE_FAILED];

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		stranger_asks(w, 1, i);
	assert_in_range(*told, 1, 10);
	world_free(w);
}

static unsigned through_a_nat(struct world *w, struct datagram *d)
{
	(void)w;
	if (d->from == 0 && !d->esp)
		d->local_port = 61000;
	return 1;
}

static void a_nat_is_named(void **state)
{
	struct world *w = world_new(world_policy);

	(void)state;
	w->wire = through_a_nat;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 4000);
	for (unsigned host = 0; host < HOSTS; host++)
		expect_text(&w->hosts[host], EVENT_MAIN_MODE_FAILED, "a NAT changes addresses");
	assert_int_equal(world_ikes(w, 0) + world_ikes(w, 1), 0);
	world_free(w);
}

static void keys_are_told_only_when_asked(void **state)
{
	struct world *w = world_new(world_policy);

	(void)state;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 2000);
	assert_int_equal(w->hosts[0].keys_lines, 0);
	world_free(w);

	w = world_new(world_policy);
	w->hosts[0].config.export_keys = true;
	keying_set_plan(w->hosts[0].keying, &w->hosts[0].config, w->hosts[0].plan, w->now_ms);
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 2000);
	assert_int_equal(w->hosts[0].keys_lines, 3);
	assert_non_null(strstr(w->hosts[0].keys[0], "ikev2_decryption_table: "));
	assert_non_null(strstr(w->hosts[0].keys[1], "esp_sa: \"IPv4\",\"10.0.0.2\",\"10.0.0.1\",\"0x00001000\","));
	assert_non_null(strstr(w->hosts[0].keys[2], "esp_sa: \"IPv4\",\"10.0.0.1\",\"10.0.0.2\",\"0x00002000\","));
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_group_is_tried_both_ways),
		cmocka_unit_test(every_suite_works),
		cmocka_unit_test(no_common_main_mode_is_told_at_both_ends),
		cmocka_unit_test(no_common_quick_mode_leaves_main_mode),
		cmocka_unit_test(a_wrong_pre_shared_key_is_refused_in_words),
		cmocka_unit_test(a_responder_that_fails_to_prove_itself_is_told),
		cmocka_unit_test(a_host_without_rule_for_us_says_so),
		cmocka_unit_test(a_host_without_credential_says_so_and_sends_nothing),
		cmocka_unit_test(failures_do_not_storm),
		cmocka_unit_test(the_responder_narrows_to_its_rule),
		cmocka_unit_test(what_the_peer_left_out_gets_a_child_sa_of_its_own),
		cmocka_unit_test(a_narrower_request_is_granted_and_the_rest_is_asked_for),
		cmocka_unit_test(traffic_that_no_rule_of_the_peer_protects_is_refused),
		cmocka_unit_test(each_authentication_has_its_own_main_mode),
		cmocka_unit_test(the_data_plane_may_fail),
		cmocka_unit_test(cookies_are_asked_for_and_given),
		cmocka_unit_test(a_cookie_and_another_group_go_together),
		cmocka_unit_test(a_flood_meets_cookies_and_a_bound_and_is_forgotten),
		cmocka_unit_test(one_address_does_not_take_all_the_room),
		cmocka_unit_test(strangers_do_not_fill_the_log),
		cmocka_unit_test(a_nat_is_named),
		cmocka_unit_test(keys_are_told_only_when_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
