/* Every failure is told at both ends: which side refused, in which step, by which code, and what it means. */
#include "tests/replay/stranger.h"
#include "tests/replay/tamper.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#define HEAD \
	"cordon: 1\nauthentication:\n  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n" \
	"  papers: [ { certificate: { issuer: \"CN=CA\" } } ]\n"
#define RULE(what) \
	"connection-security:\n  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require, " \
	"authentication: password" what " }\n"
#define SUITE(s) "key-exchange:\n  default: { proposals: [" s "] }\n"
#define CHILD(s) "protection:\n  default: { proposals: [" s "] }\n"

struct told {
	enum failure_code code; /* FAILURE_NONE: nothing */
	enum failure_side by;
	const char *step, *words;
};

static void expect(const struct world *w, const char *row, unsigned host, const struct told *want)
{
	struct keying_failure f = { 0 };
	size_t n = keying_failures(w->hosts[host].keying, &f, 1);

	if (want->code == FAILURE_NONE) {
		if (n)
			fail_msg("%s, host %u: %s: %s", row, host, failure_name(f.code), f.text);
		return;
	}
	if (n != 1 || f.code != want->code || f.by != want->by || strcmp(f.step ? f.step : "", want->step) != 0 ||
	    !strstr(f.text, want->words))
		fail_msg("%s, host %u: %s by %s in %s: \"%s\" does not say \"%s\"", row, host, failure_name(f.code),
			 failure_side_name(f.by), f.step ? f.step : "-", f.text, want->words);
	/* The event is the same thing. */
	const struct event *e = NULL;
	for (int id = 0; id < EVENT_COUNT; id++)
		if (w->hosts[host].events[id] && w->hosts[host].last[id].failure == want->code)
			e = &w->hosts[host].last[id];
	if (!e || strcmp(e->text, f.text) != 0 || e->by != f.by)
		fail_msg("%s, host %u: the event says %s", row, host, e ? e->text : "nothing");
}

static unsigned drop_all(struct world *w, struct datagram *d)
{
	(void)w;
	(void)d;
	return 0;
}

static unsigned drop_auth(struct world *w, struct datagram *d)
{
	(void)w;
	return d->octets[18] != IKE_AUTH;
}

static void another_psk(struct world *w)
{
	w->hosts[1].psk = "another secret";
}

static void nobody_there(struct world *w)
{
	w->wire = drop_all;
}

static void auth_is_lost(struct world *w)
{
	w->wire = drop_auth;
}

static void nothing_to_show(struct world *w, unsigned host)
{
	w->hosts[host].credential.satisfies_count = 0;
	keying_set_plan(w->hosts[host].keying, &w->hosts[host].config, w->hosts[host].plan, w->now_ms);
}

static void first_has_nothing(struct world *w)
{
	nothing_to_show(w, 0);
}

static void second_has_nothing(struct world *w)
{
	nothing_to_show(w, 1);
}

static void full(struct world *w)
{
	w->sad_fails = true;
}

static void each_end_says_its_part(void **state)
{
	static const struct {
		const char *name, *policy[HOSTS];
		void (*change)(struct world *w);
		struct told told[HOSTS];
	} rows[] = {
		{ "main mode suites",
		  { HEAD SUITE("aes256gcm-sha256-x25519") RULE(""), HEAD SUITE("aes256-sha384-ecp384") RULE("") },
		  NULL,
		  { { FAILURE_NO_PROPOSAL, SIDE_PEER, "IKE_SA_INIT", "We offer aes256gcm-sha256-x25519 (rule 'all')" },
		    { FAILURE_NO_PROPOSAL, SIDE_HERE, "IKE_SA_INIT",
		      "it offers aes256gcm-sha256-x25519, rule 'all' wants aes256-sha384-ecp384" } } },
		{ "no rule there",
		  { HEAD RULE(""), HEAD "connection-security:\n  - { name: far, endpoint1: [10.9.0.1], endpoint2: "
					"[10.9.0.2], mode: require, authentication: password }\n" },
		  NULL,
		  { { FAILURE_NO_PROPOSAL, SIDE_PEER, "IKE_SA_INIT", "it has no rule for this host" },
		    { FAILURE_NO_RULE, SIDE_HERE, "IKE_SA_INIT", "no rule of this host protects traffic with it" } } },
		{ "quick mode suites",
		  { HEAD CHILD("esp-aes256gcm") RULE(""), HEAD CHILD("esp-aes128gcm") RULE("") },
		  NULL,
		  { { FAILURE_NO_PROPOSAL, SIDE_PEER, "IKE_AUTH", "We offer esp-aes256gcm (rule 'all')" },
		    { FAILURE_NO_PROPOSAL, SIDE_HERE, "IKE_AUTH",
		      "it offers esp-aes256gcm, rule 'all' wants esp-aes128gcm" } } },
		{ "traffic",
		  { HEAD RULE(", protocol: tcp, port2: 80"), HEAD RULE(", protocol: tcp, port2: 443") },
		  NULL,
		  { { FAILURE_SELECTORS, SIDE_PEER, "IKE_AUTH", "We asked for 10.0.0.1 <-> 10.0.0.2:80 tcp" },
		    { FAILURE_SELECTORS, SIDE_HERE, "IKE_AUTH",
		      "the rules between us are 'all' 10.0.0.2:443 <-> 10.0.0.1 "
		      "tcp" } } },
		{ "pre-shared keys",
		  { HEAD RULE(""), HEAD RULE("") },
		  another_psk,
		  { { FAILURE_NOT_ACCEPTED, SIDE_PEER, "IKE_AUTH",
		      "We proved ourselves by the pre-shared key "
		      "/etc/cordon/psk" },
		    { FAILURE_WRONG_KEY, SIDE_HERE, "IKE_AUTH", "we refused 10.0.0.1 in IKE_AUTH" } } },
		{ "we have no credential",
		  { HEAD RULE(""), HEAD RULE("") },
		  first_has_nothing,
		  { { FAILURE_NO_CREDENTIAL, SIDE_HERE, "", "nothing to prove itself with" },
		    { FAILURE_NONE, SIDE_HERE, "", "" } } },
		{ "the peer has no credential",
		  { HEAD RULE(""), HEAD RULE("") },
		  second_has_nothing,
		  { { FAILURE_NOT_ACCEPTED, SIDE_PEER, "IKE_AUTH", "AUTHENTICATION_FAILED" },
		    { FAILURE_NO_CREDENTIAL, SIDE_HERE, "IKE_AUTH", "nothing to prove itself with" } } },
		{ "nobody there",
		  { HEAD RULE(""), HEAD RULE("") },
		  nobody_there,
		  { { FAILURE_NO_ANSWER, SIDE_NOBODY, "IKE_SA_INIT",
		      "Is it up, and does IKE run there? Does nothing on "
		      "the way drop UDP 500 and 4500?" },
		    { FAILURE_NONE, SIDE_HERE, "", "" } } },
		{ "IKE_AUTH is lost",
		  { HEAD RULE(""), HEAD RULE("") },
		  auth_is_lost,
		  { { FAILURE_NO_ANSWER, SIDE_NOBODY, "IKE_AUTH", "drop long or fragmented UDP" },
		    { FAILURE_NO_ANSWER, SIDE_NOBODY, "IKE_AUTH", "no IKE_AUTH came" } } },
		{ "the data plane",
		  { HEAD RULE(""), HEAD RULE("") },
		  full,
		  { { FAILURE_DATA_PLANE, SIDE_HERE, "IKE_AUTH", "the data plane failed: it is full" },
		    { FAILURE_NO_ANSWER, SIDE_NOBODY, "IKE_AUTH", "no IKE_AUTH came" } } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world *w = world_new_two(rows[i].policy[0], rows[i].policy[1]);
		if (rows[i].change)
			rows[i].change(w);
		world_packet(w, 0, 6, 40000, 80);
		world_run(w, 90000);
		expect(w, rows[i].name, 0, &rows[i].told[0]);
		expect(w, rows[i].name, 1, &rows[i].told[1]);
		world_free(w);
	}
}

/* What a peer's refusal is taken for, in each step where it may come. */
static void a_refusal_by_the_peer_is_explained(void **state)
{
	static const struct {
		enum ike_exchange exchange;
		uint16_t notify;
		bool alone; /* in place of all else: the IKE SA is refused, not the CHILD SA */
		struct told told;
	} rows[] = {
		{ IKE_AUTH,
		  N_AUTHENTICATION_FAILED,
		  true,
		  { FAILURE_NOT_ACCEPTED, SIDE_PEER, "IKE_AUTH", "refused us" } },
		{ IKE_AUTH, N_WINDOWS_STATUS, true, { FAILURE_NOT_ACCEPTED, SIDE_PEER, "IKE_AUTH", "Security log" } },
		{ IKE_AUTH,
		  N_FAILED_CP_REQUIRED,
		  true,
		  { FAILURE_ADDRESS_REQUEST, SIDE_PEER, "IKE_AUTH", "to ask for one" } },
		{ IKE_AUTH, 8190, true, { FAILURE_REFUSED, SIDE_PEER, "IKE_AUTH", "8190" } },
		{ IKE_AUTH, N_NO_PROPOSAL_CHOSEN, false, { FAILURE_NO_PROPOSAL, SIDE_PEER, "IKE_AUTH", "quick mode" } },
		{ IKE_AUTH, N_TS_UNACCEPTABLE, false, { FAILURE_SELECTORS, SIDE_PEER, "IKE_AUTH", "rule 'all'" } },
		{ IKE_AUTH, N_NO_ADDITIONAL_SAS, false, { FAILURE_BUSY, SIDE_PEER, "IKE_AUTH", "another quick mode" } },
		{ IKE_AUTH,
		  N_INTERNAL_ADDRESS_FAILURE,
		  false,
		  { FAILURE_ADDRESS_REQUEST, SIDE_PEER, "IKE_AUTH", "two hosts" } },
		{ CREATE_CHILD_SA,
		  N_NO_PROPOSAL_CHOSEN,
		  false,
		  { FAILURE_NO_PROPOSAL, SIDE_PEER, "CREATE_CHILD_SA", "quick mode" } },
		{ CREATE_CHILD_SA,
		  N_TS_UNACCEPTABLE,
		  false,
		  { FAILURE_SELECTORS, SIDE_PEER, "CREATE_CHILD_SA", "We asked for" } },
		{ CREATE_CHILD_SA,
		  N_INVALID_KE_PAYLOAD,
		  false,
		  { FAILURE_NO_GROUP, SIDE_PEER, "CREATE_CHILD_SA", "group" } },
	};
	static const char policy[] =
		HEAD "connection-security:\n"
		     "  - { name: web, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require, protocol: tcp,\n"
		     "      port2: 80, authentication: password }\n"
		     "  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require, authentication: "
		     "password }\n";

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct tamper t = { .from = 1,
				    .exchange = rows[i].exchange,
				    .reply = true,
				    .all_gone = rows[i].alone || rows[i].exchange == CREATE_CHILD_SA,
				    .gone = { PL_SA, PL_TSI, PL_TSR, PL_NOTIFY },
				    .add = tamper_notify,
				    .notify = rows[i].notify,
				    .data = "\0\17",
				    .len = rows[i].notify == N_INVALID_KE_PAYLOAD ? 2 : 0 };
		struct world *w = world_new(policy);
		char name[64];
		(void)snprintf(name, sizeof name, "row %zu", i);
		if (rows[i].exchange == CREATE_CHILD_SA) { /* a second rule's, when the first is up */
			world_packet(w, 0, 6, 1, 80);
			world_run(w, 3000);
		}
		w->wire = tamper_wire;
		w->context = &t;
		world_packet(w, 0, 17, 1, 1);
		world_run(w, w->now_ms + 900);
		assert_true(t.changed > 0);
		expect(w, name, 0, &rows[i].told);
		world_free(w);
	}
}

static void a_failure_tells_how_often_and_when_it_is_tried_again(void **state)
{
	struct world *w = world_new(HEAD RULE(""));
	struct keying_failure f = { 0 };

	(void)state;
	w->hosts[1].psk = "another secret";
	for (uint64_t at = 1000; at < 61000; at += 100) {
		world_packet(w, 0, 6, 1, 1);
		world_run(w, at);
	}
	assert_int_equal(keying_failures(w->hosts[0].keying, &f, 1), 1);
	assert_in_range(f.times, 4, 8); /* 1 s, 2, 4, ... */
	assert_int_equal(f.left_out, f.times - 1);
	assert_true(f.next_ms > f.at_ms && f.next_ms <= f.at_ms + 60000);
	assert_int_equal(keying_failures(w->hosts[1].keying, &f, 1), 1);
	assert_in_range(f.times, 4, 8);
	assert_int_equal(f.next_ms, 0); /* it is for the peer to try */
	assert_int_equal(w->hosts[1].events[EVENT_MAIN_MODE_FAILED], 1);
	w->hosts[1].psk = w->hosts[0].psk;
	world_run(w, 130000);
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 140000);
	world_expect_one(w, 1);
	assert_int_equal(keying_failures(w->hosts[0].keying, NULL, 0), 0);
	world_free(w);
}

/* Anybody may send in a peer's name: that neither hides what is certain nor fills the log. */
static void forged_requests_hide_nothing(void **state)
{
	struct world *w = world_new(HEAD RULE(""));
	struct keying_failure f = { 0 };

	(void)state;
	w->hosts[0].psk = "another secret"; /* host 1 asks, and its peer refuses: that is certain */
	world_packet(w, 1, 6, 1, 1);
	world_run(w, 2000);
	for (unsigned i = 0; i < 200; i++)
		stranger_asks(w, 1, i);
	assert_int_equal(keying_failures(w->hosts[1].keying, &f, 1), 1);
	assert_int_equal(f.code, FAILURE_NOT_ACCEPTED);
	assert_int_equal(f.by, SIDE_PEER);
	assert_in_range(w->hosts[1].events[EVENT_MAIN_MODE_FAILED], 1, 6);
	world_free(w);
}

/* What cannot be read, and what is of another age. */
static void strange_beginnings_are_told(void **state)
{
	static const struct {
		uint8_t octets[32];
		size_t len;
		enum failure_code code;
		const char *words;
	} rows[] = {
		{ { 1, 2, 3, 4, 5, 6, 7, 8, [16] = PL_NONCE, 0x20, IKE_SA_INIT, 8, [27] = 32, 0, 0, 0, 2 },
		  32,
		  FAILURE_MALFORMED,
		  "we refused an IKE_SA_INIT from 10.0.0.1, which makes no sense" },
		{ { 1, 2, 3, 4, 5, 6, 7, 8, [16] = 1, 0x10, 2, 0, [27] = 28 },
		  28,
		  FAILURE_UNSUPPORTED,
		  "10.0.0.1 speaks IKEv1" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world *w = world_new(HEAD RULE(""));
		struct keying_failure f = { 0 };
		world_inject(w, 1, rows[i].octets, rows[i].len);
		world_run(w, 2000);
		assert_int_equal(keying_failures(w->hosts[1].keying, &f, 1), 1);
		if (f.code != rows[i].code || !strstr(f.text, rows[i].words) || !f.stranger)
			fail_msg("row %zu: %s: %s", i, failure_name(f.code), f.text);
		world_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_end_says_its_part),
		cmocka_unit_test(a_refusal_by_the_peer_is_explained),
		cmocka_unit_test(a_failure_tells_how_often_and_when_it_is_tried_again),
		cmocka_unit_test(forged_requests_hide_nothing),
		cmocka_unit_test(strange_beginnings_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
