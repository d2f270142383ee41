/* What this host can prove arrives at keying as it was, and nothing that is not well-formed does. */
#include "tests/unit/unit.h"

#include "base/diag.h"
#include "base/report.h"
#include "base/text.h"
#include "daemon/process/memory_file.h"
#include "daemon/messages/proofs_wire.h"

#include <string.h>
#include <unistd.h>

static const char policy_text[] = "cordon: 1\n"
				  "authentication:\n"
				  "  a: [ { pre-shared-key: { file: /etc/a } } ]\n"
				  "  b: [ { pre-shared-key: { file: /etc/b } } ]\n";

static struct policy *policy_of(const char *octets, struct report *r)
{
	struct policy *p = NULL;

	assert_int_equal(
		policy_parse(text_new("test.yaml", octets, strlen(octets)), &(struct policy_load_options){ 0 }, r, &p),
		0);
	return p;
}

static const uint8_t one[] = "certificate one", two[] = "two", authority[1][20] = { { 7 } };

static int sealed(const struct policy *p, struct diag *d)
{
	const struct auth_set *sets = NULL;
	size_t n = policy_auth_sets(p, &sets);
	const uint8_t *chain[] = { one, two };
	const size_t lens[] = { sizeof one, sizeof two };
	const struct auth_set *satisfies[] = { &sets[n - 1] };
	const uint8_t ranks[] = { 3 };
	const char *ppks[] = { "/etc/ppk" };
	struct keying_credential credential = { .number = 9,
						.kind = AUTH_CERTIFICATE,
						.id_type = 9,
						.id = two,
						.id_len = sizeof two,
						.chain = chain,
						.chain_lens = lens,
						.chain_count = 2,
						.subject = "CN=me",
						.satisfies = satisfies,
						.ranks = ranks,
						.satisfies_count = 1,
						.not_after_s = 1u << 31,
						.authorities = authority,
						.authority_count = 1,
						.hashes = 12,
						.silent = true,
						.signs_by = 9 };
	struct keying_lack lack = { &sets[0], "it has no such key" };
	struct proofs proofs = { .keying = keying_default };

	proofs.keying.credentials = &credential;
	proofs.keying.credential_count = 1;
	proofs.keying.lacks = &lack;
	proofs.keying.lack_count = 1;
	proofs.keying.ppks = ppks;
	proofs.keying.ppk_count = 1;
	proofs.keying.authorities = authority;
	proofs.keying.authority_count = 1;
	proofs.keying.crash_secret[5] = 55;
	proofs.keying.hold_ms = 4321;
	return proofs_seal(&proofs, p, d);
}

static void proofs_arrive_as_they_were(void **state)
{
	SCOPED(report_freep) struct report *r = report_new();
	struct policy *p = policy_of(policy_text, r);
	struct received_proofs got = { 0 };
	const struct auth_set *sets = NULL;
	size_t n = policy_auth_sets(p, &sets);
	struct diag d = { 0 };
	int fd = sealed(p, &d);

	(void)state;
	assert_int_equal(n, 2);
	assert_true(fd >= 0);
	assert_int_equal(proofs_receive(fd, p, &got, &d), 0);
	const struct keying_config *c = &got.proofs.keying;
	assert_null(got.proofs.store);
	assert_int_equal(c->hold_ms, 4321);
	assert_int_equal(c->half_open_most, keying_default.half_open_most);
	assert_int_equal(c->crash_secret[5], 55);
	assert_int_equal(c->credential_count, 1);
	assert_int_equal(c->credentials[0].chain_count, 2);
	assert_memory_equal(c->credentials[0].chain[0], one, sizeof one);
	assert_string_equal(c->credentials[0].subject, "CN=me");
	assert_ptr_equal(c->credentials[0].satisfies[0], &sets[1]);
	assert_int_equal(c->credentials[0].ranks[0], 3);
	assert_true(c->credentials[0].silent);
	assert_int_equal(c->credentials[0].signs_by, 9);
	assert_int_equal(c->credentials[0].authorities[0][0], 7);
	assert_ptr_equal(c->lacks[0].set, &sets[0]);
	assert_string_equal(c->lacks[0].why, "it has no such key");
	assert_string_equal(c->ppks[0], "/etc/ppk");
	assert_int_equal(c->authority_count, 1);
	received_proofs_wipe(&got);
	(void)close(fd);
	policy_free(p);
}

static void proofs_that_are_cut_or_changed_do_no_harm(void **state)
{
	SCOPED(report_freep) struct report *r = report_new();
	SCOPED(text_freep) struct text *t = NULL;
	struct policy *p = policy_of(policy_text, r);
	struct diag d = { 0 };
	int fd = sealed(p, &d);

	(void)state;
	assert_int_equal(memory_file_read(fd, PROOFS_WIRE_MOST, &t, &d), 0);
	for (size_t n = 0; n < t->len; n++) {
		struct wire_in in = wire_in(t->octets, n);
		struct received_proofs got = { 0 };

		if (proofs_decode(&in, p, &got, &d) == 0)
			fail_msg("%zu of %zu octets were taken", n, t->len);
	}
	for (size_t i = 0; i < t->len; i++)
		for (unsigned v = 1; v < 256; v = v * 3 + 1) {
			struct wire_in in = wire_in(t->octets, t->len);
			struct received_proofs got = { 0 };

			t->octets[i] = (char)(t->octets[i] ^ (int)v);
			if (proofs_decode(&in, p, &got, &d) == 0)
				received_proofs_wipe(&got);
			t->octets[i] = (char)(t->octets[i] ^ (int)v);
		}
	(void)close(fd);
	policy_free(p);
}

/* The parent's policy is keying's: a set that keying does not have is none. */
static void a_set_of_another_policy_is_refused(void **state)
{
	SCOPED(report_freep) struct report *r = report_new();
	struct policy *p = policy_of(policy_text, r), *other = policy_of("cordon: 1\n", r);
	struct received_proofs got = { 0 };
	struct diag d = { 0 };
	int fd = sealed(p, &d);

	(void)state;
	assert_int_equal(proofs_receive(fd, other, &got, &d), -ERR_SYNTAX);
	(void)close(fd);
	policy_free(p);
	policy_free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(proofs_arrive_as_they_were),
		cmocka_unit_test(proofs_that_are_cut_or_changed_do_no_harm),
		cmocka_unit_test(a_set_of_another_policy_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
