/* Which of our certificates a peer is shown, and the words for it; CERTREQ and CERT as they come. */
#include "keying/choose.h"

#include "base/scope.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

enum { SHA256 = 1 << 2, SHA384 = 1 << 3, IDENTITY = 1 << 5 };

static const uint8_t ca1[1][20] = { { 1 } }, ca2[1][20] = { { 2 } }, ca3[1][20] = { { 3 } };
static const struct auth_set set = { .name = "machine" }, other = { .name = "other" };
static const struct auth_set *const mine[] = { &set };
static const uint8_t first[] = { 0 }, second[] = { 1 };

#define OF(name, ca, rank, end) \
	{ \
		.number = __COUNTER__, .kind = AUTH_CERTIFICATE, .subject = (name), .satisfies = mine, \
		.ranks = (rank), .satisfies_count = 1, .authorities = (ca), .authority_count = 1, \
		.not_after_s = (end), .hashes = UINT16_MAX, .silent = true \
	}

static void the_choice_goes_by_what_counts_first(void **state)
{
	static const struct {
		const char *what;
		struct keying_credential all[3];
		struct choose_peer peer;
		const uint8_t (*asks)[20];
		const char *want, *words; /* want NULL: none */
	} rows[] = {
		{ .what = "one", .all = { OF("a", ca1, first, 10) }, .want = "a", .words = "" },
		{ .what = "the longer life",
		  .all = { OF("a", ca1, first, 10), OF("b", ca1, first, 20) },
		  .want = "b",
		  .words = "chose b because it is valid longest; not a: it expires sooner" },
		{ .what = "the same: the first",
		  .all = { OF("a", ca1, first, 10), OF("b", ca1, first, 10) },
		  .want = "a",
		  .words = "chose a because it stands first in host.yaml; not b: it stands later in host.yaml" },
		{ .what = "the set's first method before the longer life",
		  .all = { OF("a", ca1, second, 20), OF("b", ca1, first, 10) },
		  .want = "b",
		  .words = "not a: the set prefers another method" },
		{ .what = "what the peer asks for before the set's first method",
		  .all = { OF("a", ca1, first, 20), OF("b", ca2, second, 10) },
		  .peer = { .known = true },
		  .asks = ca2,
		  .want = "b",
		  .words = "chose b because the peer asks for its authority; not a: the peer does not ask for its "
			   "authority" },
		{ .what = "it asks for what we do not have",
		  .all = { OF("a", ca1, first, 20), OF("b", ca2, first, 10) },
		  .peer = { .known = true },
		  .asks = ca3,
		  .want = "a" },
		{ .what = "what it can check before all",
		  .all = { { .number = 91,
			     .kind = AUTH_CERTIFICATE,
			     .subject = "ed",
			     .satisfies = mine,
			     .satisfies_count = 1,
			     .not_after_s = 99,
			     .authorities = ca1,
			     .authority_count = 1,
			     .hashes = IDENTITY },
			   OF("b", ca2, second, 10) },
		  .peer = { .known = true, .hashes = SHA256 | SHA384 },
		  .asks = ca1,
		  .want = "b",
		  .words = "not ed: the peer cannot check its kind of signature" },
		{ .what = "it can check that, too",
		  .all = { { .number = 92,
			     .kind = AUTH_CERTIFICATE,
			     .subject = "ed",
			     .satisfies = mine,
			     .satisfies_count = 1,
			     .not_after_s = 99,
			     .hashes = IDENTITY },
			   OF("b", ca2, first, 10) },
		  .peer = { .known = true, .hashes = SHA256 | IDENTITY },
		  .want = "ed" },
		{ .what = "a peer that announces nothing",
		  .all = { { .number = 93,
			     .kind = AUTH_CERTIFICATE,
			     .subject = "ed",
			     .satisfies = mine,
			     .satisfies_count = 1,
			     .not_after_s = 99,
			     .hashes = IDENTITY },
			   OF("b", ca2, first, 10) },
		  .peer = { .known = true },
		  .want = "b" },
		{ .what = "no certificate satisfies the set",
		  .all = { { .number = 94, .kind = AUTH_CERTIFICATE, .subject = "a" } },
		  .words = "nothing to prove itself with for authentication 'machine': CN=a has expired" },
	};
	static const struct keying_lack lack = { &set, "CN=a has expired" };
	struct keying *k = mem_new(1, sizeof *k);
	struct ike_msg *m = mem_new(1, sizeof *m);

	(void)state;
	k->config.lacks = &lack;
	k->config.lack_count = 1;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct choose_peer peer = rows[i].peer;
		char why[CHOICE_TEXT] = "";
		struct diag d = { 0 };
		const struct keying_credential *c;

		k->config.credentials = rows[i].all;
		for (k->config.credential_count = 0;
		     k->config.credential_count < 3 && rows[i].all[k->config.credential_count].subject;)
			k->config.credential_count++;
		peer.msg = m;
		m->certreq_count = rows[i].asks ? 1 : 0;
		if (rows[i].asks) /* not at the beginning, and with octets left over */
			m->certreqs[0] = (struct keying_octets){ mem_copy((uint8_t[45]){ 9 }, 45), 45 };
		if (rows[i].asks)
			memcpy((uint8_t *)(uintptr_t)m->certreqs[0].at + 20, rows[i].asks, 20);
		c = choose_credential(k, &set, &peer, why, &d);
		if ((c != NULL) != (rows[i].want != NULL) || (c && strcmp(c->subject, rows[i].want) != 0) ||
		    (rows[i].words && !strstr(c ? why : d.text, rows[i].words)))
			fail_msg("%s: %s, %s%s", rows[i].what, c ? c->subject : "none", why, d.text);
		if (rows[i].words && !*rows[i].words)
			assert_string_equal(why, "");
		assert_null(choose_credential(k, &other, &peer, why, &d));
		if (rows[i].asks)
			free((void *)(uintptr_t)m->certreqs[0].at);
	}
	free(m);
	free(k);
}

/* The preferred kind of those that we have; CERTREQ does not speak of keys. */
static void a_set_of_both_kinds_takes_the_first_that_we_have(void **state)
{
	static const struct keying_credential all[] = {
		OF("cert", ca1, second, 10),
		{ .number = 95,
		  .kind = AUTH_PSK,
		  .psk_file = "/psk",
		  .subject = "key",
		  .satisfies = mine,
		  .ranks = first,
		  .satisfies_count = 1 },
	};
	struct keying *k = mem_new(1, sizeof *k);
	struct choose_peer peer = { .known = true };

	(void)state;
	k->config.credentials = all;
	k->config.credential_count = 2;
	assert_string_equal(choose_credential(k, &set, &peer, NULL, NULL)->subject, "key");
	k->config.credential_count = 1;
	assert_string_equal(choose_credential(k, &set, &peer, NULL, NULL)->subject, "cert");
	free(k);
}

static void cert_payloads_of_other_forms_are_noted(void **state)
{
	/* PKCS#7, X.509, hash and URL, a form that nobody knows */
	static const uint8_t octets[] = {
		37, 0,    0,  6,  1,  0xaa, 37, 0,    0,  6, 4, 0xbb, 37, 0,  0,  6,
		12, 0xcc, 38, 0,  0,  6,    99, 0xdd, 38, 0, 0, 5,    4, /* CERTREQ: of nobody */
		38, 0,    0,  25, 4,  1,    2,  3,    4,  5, 6, 7,    8,  9,  10, 11,
		12, 13,   14, 15, 16, 17,   18, 19,   20, 0, 0, 0,    25, 12, 1
	};
	struct ike_msg *m = mem_new(1, sizeof *m);
	uint8_t *copy = mem_copy(octets, sizeof octets);
	struct wire_in in = wire_in(copy, sizeof octets);
	struct diag d = { 0 };

	(void)state;
	/* The message as a whole lacks everything else, and the last payload is cut. */
	assert_true(ike_decode_payloads(&in, MSG_AUTH_REQUEST, PL_CERT, m, &d) < 0);
	assert_int_equal(m->cert_count, 1);
	assert_int_equal(m->certs[0].at[0], 0xbb);
	assert_int_equal(m->cert_others, 1 << 1 | 1 << 12);
	assert_int_equal(m->certreq_count, 1);
	assert_int_equal(m->certreqs[0].len, 20);
	free(copy);
	free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_choice_goes_by_what_counts_first),
		cmocka_unit_test(a_set_of_both_kinds_takes_the_first_that_we_have),
		cmocka_unit_test(cert_payloads_of_other_forms_are_noted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
