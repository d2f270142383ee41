/* What goes to and from the key holder: each message comes back as it was sent, and a cut or stretched one not at all.
 */
#include "tests/unit/unit.h"

#include "base/algorithm.h"
#include "base/scope.h"
#include "daemon/keys/messages.h"

#include <string.h>

enum { ROOM = 65536 };

static uint8_t octets[ROOM], again[ROOM];

/* One message of each kind, written into out. */
static void put_load(struct wire_out *out)
{
	struct keys_load m = { .ticket = 7, .number = 0xdeadbeef, .uses = KEYRING_SIGN, .path = "/etc/cordon/own.key" };

	m.publics[0] = (struct octets){ "first", 5 };
	m.publics[1] = (struct octets){ "second", 6 };
	m.public_count = 2;
	keys_put_load(out, &m);
}

static void put_keep(struct wire_out *out)
{
	keys_put_keep(out, &(struct keys_keep){ 8, 9, KEYRING_PROVE | KEYRING_MIX });
}

static void put_answer(struct wire_out *out)
{
	keys_put_answer(out, &(struct keys_answer){ .ticket = 10,
						    .error = -1000,
						    .fits = 3,
						    .words = "is empty",
						    .told = { .all = { { .name = "host/a@B",
									 .kvnos = { 3, 2 },
									 .kvno_count = 2,
									 .enctypes = { 18, -138 },
									 .enctype_count = 2 } },
							      .count = 1 } });
}

static void put_sign(struct wire_out *out)
{
	keys_put_sign(out, &(struct keys_sign){ .job = 11,
						.what = KEYS_SIGN_SKEYID,
						.number = 12,
						.prf = algorithm_by_name(ALG_PRF, "sha384", 6),
						.peer_hashes = 0x3c,
						.octets = { "what is signed", 14 } });
}

static void put_keyed(struct wire_out *out)
{
	struct keys_sign m = { .job = 11, .what = KEYS_SIGN_KEYED, .number = 12, .octets = { "what is covered", 15 } };

	(void)key_set(&m.key, "SKEYID", 6);
	keys_put_sign(out, &m);
}

static void put_prove(struct wire_out *out)
{
	keys_put_prove(out, &(struct keys_prove){ .job = 13,
						  .prf = algorithm_by_name(ALG_PRF, "sha256", 6),
						  .numbers = { 14, 15, 16 },
						  .count = 3,
						  .auth = { "the peer's", 10 },
						  .octets = { "what it signed", 14 } });
}

static void put_mix(struct wire_out *out)
{
	struct keys_mix m = { .job = 17, .number = 18, .prf = algorithm_by_name(ALG_PRF, "sha512", 6) };

	(void)key_set(&m.keys.d, "d", 1);
	(void)key_set(&m.keys.pi, "pi", 2);
	keys_put_mix(out, &m); /* the third is empty */
}

static void put_signed(struct wire_out *out)
{
	struct keys_signed m = { .job = 19, .proof = { .method = 14, .len = 3, .auth = "abc" } };

	keys_put_signed(out, &m);
}

static void put_mixed(struct wire_out *out)
{
	struct keying_mix m = { 0 };

	(void)key_set(&m.pr, "pr", 2);
	keys_put_mixed(out, 20, &m);
}

static void put_refused(struct wire_out *out)
{
	keys_put_refused(out, &(struct keys_refused){ .job = 21, .error = -2, .lacks = 4, .words = "has gone" });
}

static void put_gss(struct wire_out *out)
{
	keys_put_gss(out, &(struct keys_gss){ .job = 22,
					      .gss = 23,
					      .number = 24,
					      .initiator = true,
					      .target = "host/dc1.corp.example@CORP.EXAMPLE",
					      .binding = { "bound", 5 },
					      .token = { "token", 5 } });
}

static void put_gss_use(struct wire_out *out)
{
	keys_put_gss_use(out, &(struct keys_gss_use){
				      .job = 25, .gss = 26, .use = KEYS_USE_KEY, .len = 32, .octets = { "seed", 4 } });
}

static void put_stepped(struct wire_out *out)
{
	keys_put_stepped(out, &(struct keys_stepped){ .job = 27,
						      .complete = true,
						      .good_ms = 36000000,
						      .peer = { .method = PEER_KERBEROS, .id = "PAW1$@CORP.EXAMPLE" },
						      .token = { "reply", 5 } });
}

static void put_gss_text(struct wire_out *out)
{
	keys_put_gss_text(out, &(struct keys_gss_text){ 28, { "wrapped", 7 } });
}

static void put_ticket(struct wire_out *out)
{
	keys_put_ticket(out, &(struct keys_ticket){ 1800000000, "PAW1$@CORP.EXAMPLE", "no KDC answers" });
}

/* Read one, write it again. */
#define AGAIN(name) \
	static int again_##name(struct wire_in *in, struct wire_out *out) \
	{ \
		struct keys_##name m; \
		int r = keys_get_##name(in, &m); \
\
		if (r == 0) \
			keys_put_##name(out, &m); \
		return r; \
	}
AGAIN(load)
AGAIN(keep)
AGAIN(answer)
AGAIN(sign)
AGAIN(prove)
AGAIN(mix)
AGAIN(signed)
AGAIN(refused)
AGAIN(gss)
AGAIN(gss_use)
AGAIN(stepped)
AGAIN(gss_text)
AGAIN(ticket)

static int again_mixed(struct wire_in *in, struct wire_out *out)
{
	struct keying_mix m;
	uint64_t job;
	int r = keys_get_mixed(in, &job, &m);

	if (r == 0)
		keys_put_mixed(out, job, &m);
	return r;
}

static const struct {
	const char *name;
	void (*put)(struct wire_out *out);
	int (*again)(struct wire_in *in, struct wire_out *out);
	size_t open; /* octets at its end that may be fewer */
} rows[] = {
	{ "load", put_load, again_load, 0 },
	{ "keep", put_keep, again_keep, 0 },
	{ "answer", put_answer, again_answer, 0 },
	{ "sign", put_sign, again_sign, 14 },
	{ "prove", put_prove, again_prove, 14 },
	{ "mix", put_mix, again_mix, 0 },
	{ "signed", put_signed, again_signed, 3 },
	{ "mixed", put_mixed, again_mixed, 0 },
	{ "refused", put_refused, again_refused, 0 },
	{ "gss", put_gss, again_gss, 5 },
	{ "gss-use", put_gss_use, again_gss_use, 4 },
	{ "stepped", put_stepped, again_stepped, 5 },
	{ "gss-text", put_gss_text, again_gss_text, 7 },
	{ "ticket", put_ticket, again_ticket, 0 },
	{ "sign-keyed", put_keyed, again_sign, 15 },
};

static void each_message_comes_back_as_it_was(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct wire_out out = wire_out(octets, sizeof octets), back = wire_out(again, sizeof again);

		rows[i].put(&out);
		struct wire_in in = wire_in(octets, out.len);
		if (out.failed || rows[i].again(&in, &back) < 0 || back.len != out.len ||
		    memcmp(octets, again, out.len) != 0)
			fail_msg("%s", rows[i].name);
	}
}

static void a_cut_or_stretched_message_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct wire_out out = wire_out(octets, sizeof octets), back;
		struct wire_in in;

		rows[i].put(&out);
		for (size_t n = 0; n + rows[i].open < out.len; n++) {
			back = wire_out(again, sizeof again);
			in = wire_in(octets, n);
			if (rows[i].again(&in, &back) == 0)
				fail_msg("%s cut to %zu octets", rows[i].name, n);
		}
		if (rows[i].open)
			continue;
		octets[out.len] = 0;
		back = wire_out(again, sizeof again);
		in = wire_in(octets, out.len + 1);
		if (rows[i].again(&in, &back) == 0)
			fail_msg("%s with an octet more", rows[i].name);
	}
}

/* One octet of a sound message is another: uses, counts, lengths and numbers that mean nothing. */
static void what_means_nothing_is_refused(void **state)
{
	static const struct {
		unsigned row;
		size_t at;
		uint8_t value;
	} wrong[] = {
		{ 0, 8, 0 },                            /* a file for nothing */
		{ 0, 8, KEYRING_SIGN | KEYRING_PROVE }, /* a private key that is shared */
		{ 0, 8, 0x80 },                         /* a use that is not known */
		{ 0, 8, KEYRING_PROVE },                /* a shared one with public keys */
		{ 0, 9, 0 },                            /* a private one without */
		{ 0, 9, KEYRING_PUBLICS_MOST + 1 },     /* too many of them */
		{ 0, 12, 0 },                           /* a path with an end inside */
		{ 1, 8, 0 },
		{ 2, 5, 0xff },                 /* a code that is none */
		{ 2, 11, 0x1b },                /* words that move a terminal's cursor */
		{ 3, 13, 99 },                  /* a PRF that is none */
		{ 4, 10, KEYS_PROVE_MOST + 1 }, /* more keys than a set has */
		{ 5, 14, KEY_MAX + 1 },         /* a key that is none */
		{ 8, 11, 0 },                   /* refused, and no error */
		{ 9, 20, 2 },                   /* a flag that is none */
		{ 9, 22, 0xff },                /* a target longer than the message */
		{ 9, 25, 0 },                   /* a target with an end inside */
		{ 10, 16, KEYS_USES },          /* a use that is not known */
		{ 10, 17, 0xff },               /* a key longer than any */
		{ 11, 11, 2 },                  /* complete, and an error */
		{ 11, 12, 0 },                  /* a peer, and not complete */
		{ 11, 23, PEER_CERTIFICATE },   /* complete, by something else than Kerberos */
		{ 11, 26, 0x1b },               /* a peer that moves a terminal's cursor */
		{ 2, 19, KEYTAB_PRINCIPALS_MOST + 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct wire_out out = wire_out(octets, sizeof octets), back = wire_out(again, sizeof again);

		rows[wrong[i].row].put(&out);
		octets[wrong[i].at] = wrong[i].value;
		struct wire_in in = wire_in(octets, out.len);
		if (rows[wrong[i].row].again(&in, &back) == 0)
			fail_msg("row %zu: %s", i, rows[wrong[i].row].name);
	}
}

static void words_are_made_fit_for_a_log(void **state)
{
	struct wire_out out = wire_out(octets, sizeof octets);
	struct keys_answer m = { .error = -1, .words = "/a\nb is \x1b[2J empty" }, back;

	(void)state;
	keys_put_answer(&out, &m);
	struct wire_in in = wire_in(octets, out.len);
	assert_int_equal(keys_get_answer(&in, &back), 0);
	assert_string_equal(back.words, "/a?b is ?[2J empty");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_message_comes_back_as_it_was),
		cmocka_unit_test(a_cut_or_stretched_message_is_refused),
		cmocka_unit_test(what_means_nothing_is_refused),
		cmocka_unit_test(words_are_made_fit_for_a_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
