/* Post-quantum pre-shared keys (RFC 8784): who has which, and whether it is required; both roles. */
#include "tests/replay/tamper.h"
#include "tests/unit/unit.h"

#include "base/crypto.h"

#include <stdio.h>
#include <string.h>

#define POLICY(ppk) \
	"cordon: 1\nauthentication:\n  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n" \
	"key-exchange:\n  default: { proposals: [aes256gcm-sha256-x25519, aes256-sha384-ecp384]" ppk " }\n" \
	"connection-security:\n  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require,\n" \
	"      authentication: password }\n"
#define NONE POLICY("")
#define ONE POLICY(", ppk: { id: one, file: /one }")
#define ONE_REQUIRED POLICY(", ppk: { id: one, file: /one, required: true }")
#define TWO POLICY(", ppk: { id: two, file: /two }")
#define TWO_REQUIRED POLICY(", ppk: { id: two, file: /two, required: true }")
#define BOTH_ONE_FIRST POLICY(", ppk: [ { id: one, file: /one }, { id: two, file: /two } ]")
#define BOTH_TWO_FIRST POLICY(", ppk: [ { id: two, file: /two, required: true }, { id: one, file: /one } ]")

static bool has_ppk(struct world *w, unsigned host)
{
	struct keying_ike_row row = { 0 };

	assert_int_equal(keying_ike_rows(w->hosts[host].keying, &row, 1), 1);
	return row.ppk;
}

static struct world *play(const char *policy0, const char *policy1)
{
	struct world *w = world_new_two(policy0, policy1);

	world_packet(w, 0, 6, 1, 1);
	world_run(w, 4500);
	return w;
}

static void both_have_it(void **state)
{
	static const struct {
		const char *policy[HOSTS];
		bool ppk;
	} rows[] = {
		{ { NONE, NONE }, false },
		{ { ONE, ONE }, true },
		{ { ONE, ONE_REQUIRED }, true },
		{ { ONE_REQUIRED, ONE }, true },
		{ { ONE_REQUIRED, ONE_REQUIRED }, true },
		{ { ONE, NONE }, false },
		{ { NONE, ONE }, false },
		{ { ONE, TWO }, false }, /* the responder takes the proof without it */
		{ { BOTH_ONE_FIRST, BOTH_TWO_FIRST }, true },
		{ { BOTH_TWO_FIRST, BOTH_ONE_FIRST }, true },
		{ { ONE, BOTH_TWO_FIRST }, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world *w = play(rows[i].policy[0], rows[i].policy[1]);
		world_expect_one(w, 1);
		for (unsigned host = 0; host < HOSTS; host++) {
			if (has_ppk(w, host) != rows[i].ppk)
				fail_msg("row %zu: host %u", i, host);
			assert_int_equal(keying_failures(w->hosts[host].keying, NULL, 0), 0);
		}
		assert_true(key_equal(&tamper_sa(w, 0)->sk_d, &tamper_sa(w, 1)->sk_d));
		world_free(w);
	}
}

static void one_that_is_required_and_missing_is_refused_in_words(void **state)
{
	static const struct {
		const char *policy[HOSTS];
		enum failure_code code[HOSTS]; /* at each end; NONE: it has heard of nothing */
		const char *words[HOSTS];
	} rows[] = {
		{ { ONE_REQUIRED, NONE },
		  { FAILURE_PPK, FAILURE_NONE },
		  { "uses no post-quantum pre-shared key, and key-exchange 'default' of rule 'all' requires one",
		    "" } },
		{ { NONE, ONE_REQUIRED },
		  { FAILURE_NOT_ACCEPTED, FAILURE_PPK },
		  { "AUTHENTICATION_FAILED", "key-exchange 'default' requires one ('one')" } },
		{ { ONE_REQUIRED, TWO },
		  { FAILURE_NOT_ACCEPTED, FAILURE_PPK },
		  { "with the post-quantum pre-shared key 'one'",
		    "'one' and will not do without; key-exchange 'default' "
		    "has two" } },
		{ { ONE, TWO_REQUIRED },
		  { FAILURE_NOT_ACCEPTED, FAILURE_PPK },
		  { "AUTHENTICATION_FAILED", "it uses the post-quantum pre-shared key 'one'; key-exchange" } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world *w = play(rows[i].policy[0], rows[i].policy[1]);
		assert_int_equal(world_ikes(w, 0) + world_ikes(w, 1), 0);
		assert_int_equal(w->hosts[0].spis_reserved, w->hosts[0].spis_released);
		for (unsigned host = 0; host < HOSTS; host++) {
			struct keying_failure f = { 0 };
			(void)keying_failures(w->hosts[host].keying, &f, 1);
			if (f.code != rows[i].code[host] || !strstr(f.text, rows[i].words[host]))
				fail_msg("row %zu, host %u: %s: %s", i, host, failure_name(f.code), f.text);
		}
		world_free(w);
	}
}

static void another_key_by_the_same_name_fails_the_proof(void **state)
{
	static const char *const policies[] = { ONE, ONE_REQUIRED };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(policies); i++) {
		struct world *w = world_new(policies[i]);
		struct keying_failure f = { 0 };
		w->hosts[1].ppk = "not the same";
		world_packet(w, 0, 6, 1, 1);
		world_run(w, 4500);
		assert_int_equal(world_ikes(w, 0) + world_ikes(w, 1), 0);
		assert_int_equal(keying_failures(w->hosts[1].keying, &f, 1), 1);
		assert_int_equal(f.code, FAILURE_WRONG_KEY);
		assert_non_null(strstr(f.text, "or the post-quantum pre-shared key 'one' is another there"));
		world_free(w);
	}
}

static void a_host_without_the_file_does_not_offer_it(void **state)
{
	struct world *w = world_new_two(ONE, ONE);
	struct keying_failure f = { 0 };

	(void)state;
	w->hosts[0].config.ppk_count = 0;
	keying_set_plan(w->hosts[0].keying, &w->hosts[0].config, w->hosts[0].plan, w->now_ms);
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 4500);
	world_expect_one(w, 1);
	assert_false(has_ppk(w, 0) || has_ppk(w, 1));
	world_free(w);

	w = world_new(ONE_REQUIRED);
	w->hosts[0].config.ppk_count = 0;
	keying_set_plan(w->hosts[0].keying, &w->hosts[0].config, w->hosts[0].plan, w->now_ms);
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 4500);
	assert_int_equal(keying_failures(w->hosts[0].keying, &f, 1), 1);
	assert_int_equal(f.code, FAILURE_PPK);
	assert_non_null(strstr(f.text, "put 'one' into /one"));
	assert_int_equal(w->ike_sent[0], 0);
	world_free(w);
}

/* The keys of a renewed IKE SA come from the mixed SK_d, and no key is mixed in again. */
static void renewal_needs_it_no_more(void **state)
{
	struct world *w = play(ONE_REQUIRED, ONE_REQUIRED);

	(void)state;
	w->hosts[0].ppk = w->hosts[1].ppk = NULL;
	world_run(w, 8 * 3600 * 1000);
	world_packet(w, 0, 6, 1, 1);
	world_run(w, w->now_ms + 2000);
	assert_true(w->hosts[0].events[EVENT_MAIN_MODE_UP] > 1);
	assert_true(has_ppk(w, 0) && has_ppk(w, 1));
	world_free(w);
}

static void a_policy_that_comes_to_require_it_ends_what_has_none(void **state)
{
	struct world *w = play(ONE, NONE);

	(void)state;
	assert_false(has_ppk(w, 0));
	world_set_plan(w, 1, ONE);
	world_run(w, 6000);
	assert_int_equal(world_ikes(w, 0), 1); /* that is no reason */
	world_set_plan(w, 0, ONE_REQUIRED);
	world_run(w, 8000);
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 12000);
	world_expect_one(w, 1);
	assert_true(has_ppk(w, 0) && has_ppk(w, 1));
	world_free(w);
}

/* What a peer may say at the wrong time, or wrongly. */
static void wrong_identities_are_refused(void **state)
{
	static const struct {
		const char *data;
		size_t len;
		const char *words;
	} rows[] = {
		{ "\2two", 4, "'two'" },
		{ "\1one", 4, "'?'" },
		{ "\2", 1, "'?'" },
		{ "", 0, "'?'" },
		{ "\2o\nne", 5, "'?'" },
		{ "\2one\0", 5, "'?'" },
		{ "\2aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 80, "'?'" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) { /* in front of the true one: the first counts */
		struct tamper t = { .exchange = IKE_AUTH,
				    .add = tamper_notify,
				    .notify = N_PPK_IDENTITY,
				    .data = rows[i].data,
				    .len = rows[i].len };
		struct world *w = world_new(ONE_REQUIRED);
		struct keying_failure f = { 0 };
		w->wire = tamper_wire;
		w->context = &t;
		world_packet(w, 0, 6, 1, 1);
		world_run(w, 4500);
		assert_int_equal(keying_failures(w->hosts[1].keying, &f, 1), 1);
		if (f.code != FAILURE_PPK || !strstr(f.text, rows[i].words))
			fail_msg("row %zu: %s", i, f.text);
		assert_int_equal(world_ikes(w, 0) + world_ikes(w, 1), 0);
		world_free(w);
	}
}

static void one_that_is_announced_must_be_named(void **state)
{
	struct tamper t = { .exchange = IKE_AUTH, .gone = { PL_NOTIFY } };
	struct world *w = world_new(ONE);
	struct keying_failure f = { 0 };

	(void)state;
	w->wire = tamper_wire;
	w->context = &t;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 4500);
	assert_int_equal(keying_failures(w->hosts[1].keying, &f, 1), 1);
	assert_int_equal(f.code, FAILURE_PPK);
	assert_non_null(strstr(f.text, "does not say which"));
	world_free(w);
}

/* The responder used the key, and the reply does not say so: nobody takes the plain proof for it. */
static void a_reply_without_it_is_not_taken(void **state)
{
	struct tamper t = { .from = 1, .exchange = IKE_AUTH, .reply = true, .gone = { PL_NOTIFY } };
	static const struct {
		const char *policy;
		enum failure_code code;
	} rows[] = { { ONE_REQUIRED, FAILURE_PPK }, { ONE, FAILURE_WRONG_KEY } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world *w = world_new(rows[i].policy);
		struct keying_failure f = { 0 };
		t.changed = 0;
		w->wire = tamper_wire;
		w->context = &t;
		world_packet(w, 0, 6, 1, 1);
		world_run(w, 4500);
		assert_true(t.changed > 0);
		assert_int_equal(keying_failures(w->hosts[0].keying, &f, 1), 1);
		if (f.code != rows[i].code)
			fail_msg("row %zu: %s", i, f.text);
		assert_int_equal(world_ikes(w, 0) + world_ikes(w, 1), 0);
		world_free(w);
	}
}

static unsigned drop_some(struct world *w, struct datagram *d)
{
	unsigned *n = w->context;

	(void)d;
	return ++*n % 3 ? 1 : 0;
}

static void loss_does_no_harm(void **state)
{
	(void)state;
	for (unsigned start = 0; start < 3; start++) {
		struct world *w = world_new(ONE);
		unsigned n = start;
		w->wire = drop_some;
		w->context = &n;
		world_packet(w, 0, 6, 1, 1);
		world_run(w, 20000);
		assert_int_equal(world_ikes(w, 0), 1);
		assert_true(has_ppk(w, 0) && has_ppk(w, 1));
		world_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_have_it),
		cmocka_unit_test(one_that_is_required_and_missing_is_refused_in_words),
		cmocka_unit_test(another_key_by_the_same_name_fails_the_proof),
		cmocka_unit_test(a_host_without_the_file_does_not_offer_it),
		cmocka_unit_test(renewal_needs_it_no_more),
		cmocka_unit_test(a_policy_that_comes_to_require_it_ends_what_has_none),
		cmocka_unit_test(wrong_identities_are_refused),
		cmocka_unit_test(one_that_is_announced_must_be_named),
		cmocka_unit_test(a_reply_without_it_is_not_taken),
		cmocka_unit_test(loss_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
