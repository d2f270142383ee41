/* Revocation lists: which count, for whom, and for how long. */
#include "identity/revocation.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/scope.h"
#include "tests/unit/made.h"
#include "tests/unit/unit.h"

#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define URL "http://crl.example/root.crl"

static EVP_PKEY *root_key, *middle_key, *evil_key, *key;
static X509 *root, *middle, *leaf, *other, *evil;

static int group_setup(void **state)
{
	(void)state;
	root_key = made_key(PKI_ECDSA_P384);
	middle_key = made_key(PKI_ECDSA_P256);
	evil_key = made_key(PKI_ECDSA_P256);
	key = made_key(PKI_ECDSA_P256);
	root = made_certificate(&(struct made){ .subject = "CN=Root", .key = root_key, .authority = true });
	middle = made_certificate(&(struct made){ .subject = "CN=Middle",
						  .issuer = root,
						  .issuer_key = root_key,
						  .key = middle_key,
						  .authority = true,
						  .points = "URI:" URL });
	leaf = made_certificate(&(struct made){ .subject = "CN=srv1",
						.issuer = middle,
						.issuer_key = middle_key,
						.key = key,
						.points = "URI:ldap://x/y,URI:http://crl.example/middle.crl" });
	other = made_certificate(
		&(struct made){ .subject = "CN=srv2", .issuer = middle, .issuer_key = middle_key, .key = key });
	evil = made_certificate(&(struct made){ .subject = "CN=Middle", .key = evil_key, .authority = true });
	return 0;
}

static int group_teardown(void **state)
{
	EVP_PKEY *keys[] = { root_key, middle_key, evil_key, key };
	X509 *all[] = { root, middle, leaf, other, evil };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		EVP_PKEY_free(keys[i]);
	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		X509_free(all[i]);
	return 0;
}

static void put(struct revocation_lists *l, const char *source, const struct made_list *m)
{
	size_t len;
	unsigned char *der = made_list(m, &len);
	struct diag d = { 0 };

	if (revocation_lists_put(l, source, der, len, NULL, &d) < 0)
		fail_msg("%s", d.text);
	OPENSSL_free(der);
}

static enum revocation_state judge(struct revocation_lists *a, struct revocation_lists *b, int64_t later_s,
				   struct revocation_verdict *v)
{
	struct revocation_lists *const sets[] = { a, b };
	STACK_OF(X509) *path = sk_X509_new_null();

	assert_true(sk_X509_push(path, leaf) > 0 && sk_X509_push(path, middle) > 0 && sk_X509_push(path, root) > 0);
	revocation_judge(sets, 2, path, (uint64_t)(time(NULL) + later_s), v);
	sk_X509_free(path);
	return v->state;
}

/* What is known of the path with a good list of the root, and these of the intermediate authority. */
static void lists_count_for_whom_they_are_and_while_they_last(void **state)
{
	const struct {
		const char *what;
		struct made_list lists[2];
		enum revocation_state want;
		const char *words;
	} rows[] = {
		{ .what = "none",
		  .want = REVOKED_UNKNOWN,
		  .words = "CN=srv1: whether the certificate is revoked is not "
			   "known: there is no list of CN=Middle" },
		{ .what = "current, empty", .lists = { { .issuer = middle, .key = middle_key } }, .want = REVOKED_NOT },
		{ .what = "names another",
		  .lists = { { .issuer = middle, .key = middle_key, .revoked = { other } } },
		  .want = REVOKED_NOT },
		{ .what = "names it",
		  .lists = { { .issuer = middle, .key = middle_key, .revoked = { other, leaf } } },
		  .want = REVOKED_KNOWN,
		  .words = "CN=srv1: the certificate has been revoked, says the list of CN=Middle" },
		{ .what = "has ended",
		  .lists = { { .issuer = middle, .key = middle_key, .from_hours = -9, .to_hours = -2 } },
		  .want = REVOKED_UNKNOWN,
		  .words = "the list of CN=Middle was good until 20" },
		{ .what = "has ended, and names it",
		  .lists = { { .issuer = middle,
			       .key = middle_key,
			       .revoked = { leaf },
			       .from_hours = -9,
			       .to_hours = -2 } },
		  .want = REVOKED_KNOWN },
		{ .what = "not yet",
		  .lists = { { .issuer = middle, .key = middle_key, .from_hours = 2, .to_hours = 9 } },
		  .want = REVOKED_UNKNOWN,
		  .words = "is good from 20" },
		{ .what = "the newer one counts: released",
		  .lists = { { .issuer = middle, .key = middle_key, .revoked = { leaf }, .from_hours = -9 },
			     { .issuer = middle, .key = middle_key, .from_hours = -2 } },
		  .want = REVOKED_NOT },
		{ .what = "the newer one counts: revoked",
		  .lists = { { .issuer = middle, .key = middle_key, .revoked = { leaf }, .from_hours = -2 },
			     { .issuer = middle, .key = middle_key, .from_hours = -9 } },
		  .want = REVOKED_KNOWN },
		{ .what = "signed by another key",
		  .lists = { { .issuer = middle, .key = evil_key, .revoked = { leaf } } },
		  .want = REVOKED_UNKNOWN },
		{ .what = "of another authority of that name",
		  .lists = { { .issuer = evil, .key = evil_key, .revoked = { leaf } } },
		  .want = REVOKED_UNKNOWN },
		{ .what = "a forged one beside a good one",
		  .lists = { { .issuer = middle, .key = evil_key, .revoked = { leaf }, .from_hours = -2 },
			     { .issuer = middle, .key = middle_key, .from_hours = -9 } },
		  .want = REVOKED_NOT },
		{ .what = "delta",
		  .lists = { { .issuer = middle, .key = middle_key, .revoked = { leaf }, .delta = true } },
		  .want = REVOKED_UNKNOWN,
		  .words = "no indirect or delta lists" },
		{ .what = "indirect",
		  .lists = { { .issuer = middle,
			       .key = middle_key,
			       .revoked = { leaf },
			       .scope = "critical,indirectCRL:TRUE" } },
		  .want = REVOKED_UNKNOWN },
		{ .what = "some reasons only",
		  .lists = { { .issuer = middle,
			       .key = middle_key,
			       .scope = "critical,onlysomereasons:keyCompromise" } },
		  .want = REVOKED_UNKNOWN },
		{ .what = "authorities only",
		  .lists = { { .issuer = middle, .key = middle_key, .scope = "critical,onlyCA:TRUE" } },
		  .want = REVOKED_UNKNOWN },
		{ .what = "hosts only",
		  .lists = { { .issuer = middle, .key = middle_key, .scope = "critical,onlyuser:TRUE" } },
		  .want = REVOKED_NOT },
		{ .what = "of the certificate's own place",
		  .lists = { { .issuer = middle,
			       .key = middle_key,
			       .scope = "critical,fullname:URI:http://crl.example/middle.crl" } },
		  .want = REVOKED_NOT },
		{ .what = "of another place",
		  .lists = { { .issuer = middle,
			       .key = middle_key,
			       .scope = "critical,fullname:URI:http://crl.example/part2.crl" } },
		  .want = REVOKED_UNKNOWN },
		{ .what = "signed with SHA-1",
		  .lists = { { .issuer = middle, .key = middle_key, .digest = "SHA1" } },
		  .want = REVOKED_UNKNOWN },
	};
	struct revocation_verdict *v = mem_new(1, sizeof *v);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		SCOPED(revocation_lists_freep) struct revocation_lists *a = revocation_lists_new();
		SCOPED(revocation_lists_freep) struct revocation_lists *b = revocation_lists_new();

		put(a, "root", &(struct made_list){ .issuer = root, .key = root_key });
		for (size_t k = 0; k < 2 && rows[i].lists[k].issuer; k++)
			put(k ? b : a, k ? "two" : "one", &rows[i].lists[k]);
		for (int again = 0; again < 2; again++) { /* the second time from what is remembered */
			if (judge(a, b, 0, v) != rows[i].want || (rows[i].words && !strstr(v->words, rows[i].words)))
				fail_msg("%s: %d %s", rows[i].what, (int)v->state, v->words);
			if (v->state == REVOKED_UNKNOWN &&
			    (v->url_count != 1 || strcmp(v->urls[0], "http://crl.example/middle.crl") != 0))
				fail_msg("%s: %zu places", rows[i].what, v->url_count);
		}
	}
	free(v);
}

/* Every certificate of the path counts but the anchor's; what is known beats what is not. */
/* FreeIPA's certificates name a cRLIssuer that signs nothing; at that place is its authority's own list of everything.
 */
static void a_place_with_an_issuer_of_its_own_is_asked_too(void **state)
{
	SCOPED(revocation_lists_freep) struct revocation_lists *l = revocation_lists_new();
	struct revocation_verdict *v = mem_new(1, sizeof *v);
	X509 *kept = leaf, *named = X509_dup(leaf);
	CRL_DIST_POINTS *points = X509_get_ext_d2i(leaf, NID_crl_distribution_points, NULL, NULL);

	(void)state;
	assert_non_null(points);
	for (int i = 0; i < sk_DIST_POINT_num(points); i++) {
		GENERAL_NAME *g = a2i_GENERAL_NAME(NULL, NULL, NULL, GEN_RID, "1.2.3", 0);

		sk_DIST_POINT_value(points, i)->CRLissuer = sk_GENERAL_NAME_new_null();
		assert_true(sk_GENERAL_NAME_push(sk_DIST_POINT_value(points, i)->CRLissuer, g) > 0);
	}
	assert_int_equal(X509_add1_ext_i2d(named, NID_crl_distribution_points, points, 0, X509V3_ADD_REPLACE), 1);
	assert_true(X509_sign(named, middle_key, EVP_sha256()) > 0);
	CRL_DIST_POINTS_free(points);
	leaf = named;
	assert_int_equal(judge(l, NULL, 0, v), REVOKED_UNKNOWN);
	assert_true(v->url_count == 2 && strcmp(v->urls[0], "http://crl.example/middle.crl") == 0);
	put(l, "root", &(struct made_list){ .issuer = root, .key = root_key });
	put(l, "a",
	    &(struct made_list){
		    .issuer = middle, .key = middle_key, .scope = "fullname:URI:http://crl.example/middle.crl" });
	assert_int_equal(judge(l, NULL, 0, v), REVOKED_UNKNOWN); /* a part that is not said to be this one's */
	put(l, "b", &(struct made_list){ .issuer = middle, .key = middle_key });
	assert_int_equal(judge(l, NULL, 0, v), REVOKED_NOT);
	leaf = kept;
	X509_free(named);
	free(v);
}

static void authorities_are_judged_too(void **state)
{
	SCOPED(revocation_lists_freep) struct revocation_lists *l = revocation_lists_new();
	struct revocation_verdict *v = mem_new(1, sizeof *v);

	(void)state;
	put(l, "middle", &(struct made_list){ .issuer = middle, .key = middle_key });
	assert_int_equal(judge(l, NULL, 0, v), REVOKED_UNKNOWN);
	assert_non_null(strstr(v->words, "there is no list of CN=Root"));
	assert_int_equal(v->url_count, 1);
	assert_string_equal(v->urls[0], URL);
	put(l, "root", &(struct made_list){ .issuer = root, .key = root_key, .revoked = { middle } });
	assert_int_equal(judge(l, NULL, 0, v), REVOKED_KNOWN);
	put(l, "middle", &(struct made_list){ .issuer = middle, .key = middle_key, .from_hours = -9, .to_hours = -1 });
	assert_int_equal(judge(l, NULL, 0, v), REVOKED_KNOWN);
	assert_non_null(strstr(v->words, "CN=Middle: the certificate has been revoked, says the list of CN=Root"));
	put(l, "root", &(struct made_list){ .issuer = root, .key = root_key });
	put(l, "middle", &(struct made_list){ .issuer = middle, .key = middle_key });
	assert_int_equal(revocation_lists_count(l), 2); /* of one source the last */
	assert_int_equal(judge(l, NULL, 0, v), REVOKED_NOT);
	assert_int_equal(judge(l, NULL, 25 * 3600, v), REVOKED_UNKNOWN);
	free(v);
}

/* Whoever sits on the way of an HTTP answer can send what he likes, but not sign it. */
static void what_comes_from_the_same_place_takes_back_nothing(void **state)
{
	const struct {
		const char *what;
		struct made_list list;
		enum revocation_state want;
		size_t left;
	} rows[] = {
		{ "forged", { .issuer = middle, .key = evil_key }, REVOKED_KNOWN, 3 },
		{ "another authority's", { .issuer = root, .key = root_key }, REVOKED_KNOWN, 3 },
		{ "an older one", { .issuer = middle, .key = middle_key, .from_hours = -9 }, REVOKED_KNOWN, 3 },
		{ "a part",
		  { .issuer = middle, .key = middle_key, .scope = "critical,onlyCA:TRUE" },
		  REVOKED_KNOWN,
		  3 },
		{ "a delta", { .issuer = middle, .key = middle_key, .delta = true }, REVOKED_KNOWN, 3 },
		{ "a later one", { .issuer = middle, .key = middle_key }, REVOKED_NOT, 2 },
	};
	struct revocation_verdict *v = mem_new(1, sizeof *v);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		SCOPED(revocation_lists_freep) struct revocation_lists *l = revocation_lists_new();

		put(l, "root", &(struct made_list){ .issuer = root, .key = root_key });
		put(l, "middle",
		    &(struct made_list){ .issuer = middle, .key = middle_key, .revoked = { leaf }, .from_hours = -2 });
		assert_int_equal(judge(l, NULL, 0, v), REVOKED_KNOWN);
		for (int again = 0; again < 3; again++)
			put(l, "middle", &rows[i].list);
		if (judge(l, NULL, 0, v) != rows[i].want || revocation_lists_count(l) != rows[i].left)
			fail_msg("%s: %d, %zu lists", rows[i].what, (int)v->state, revocation_lists_count(l));
	}
	free(v);
}

static void files_are_lists_or_refused(void **state)
{
	SCOPED(revocation_lists_freep) struct revocation_lists *l = revocation_lists_new();
	SCOPED(revocation_lists_freep) struct revocation_lists *copy = revocation_lists_new();
	struct revocation_row *row = mem_new(1, sizeof *row);
	size_t len;
	unsigned char *der =
		made_list(&(struct made_list){ .issuer = root, .key = root_key, .revoked = { middle } }, &len);
	unsigned char *longer = mem_new(1, len + 1);
	uint64_t next_s = 0;
	struct diag d = { 0 };

	(void)state;
	memcpy(longer, der, len);
	assert_int_equal(revocation_lists_put(l, "x", der, len, &next_s, &d), 0);
	assert_in_range(next_s, (uint64_t)time(NULL) + 23 * 3600, (uint64_t)time(NULL) + 25 * 3600);
	for (size_t n = 0; n < len; n++) { /* cut anywhere, in memory of just that size */
		unsigned char *cut = mem_copy(der, n);

		if (revocation_lists_put(l, "x", cut, n, NULL, &d) == 0)
			fail_msg("%zu of %zu octets", n, len);
		free(cut);
	}
	assert_true(revocation_lists_put(l, "x", longer, len + 1, NULL, &d) < 0);
	assert_non_null(strstr(d.text, "octets follow"));
	assert_true(revocation_lists_put(l, "x", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", 54, NULL,
					 &d) < 0);
	assert_non_null(strstr(d.text, "is damaged"));
	assert_true(revocation_lists_put(l, "x", "<html>", 6, NULL, &d) < 0);
	assert_non_null(strstr(d.text, "holds no revocation list"));
	assert_true(revocation_lists_put(l, "x", der, REVOCATION_OCTETS_MOST + 1u, NULL, &d) < 0);
	assert_int_equal(revocation_lists_count(l), 1); /* what was there before stays */
	assert_true(revocation_lists_row(l, 0, row) && !revocation_lists_row(l, 1, row));
	assert_true(revocation_lists_row(l, 0, row));
	assert_string_equal(row->issuer, "CN=Root");
	assert_int_equal(row->revoked, 1);
	assert_true(revocation_lists_take(copy, l, "x"));
	assert_false(revocation_lists_take(copy, l, "y"));
	assert_int_equal(revocation_lists_count(copy), 1);
	free(longer);
	free(row);
	OPENSSL_free(der);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_count_for_whom_they_are_and_while_they_last),
		cmocka_unit_test(a_place_with_an_issuer_of_its_own_is_asked_too),
		cmocka_unit_test(authorities_are_judged_too),
		cmocka_unit_test(what_comes_from_the_same_place_takes_back_nothing),
		cmocka_unit_test(files_are_lists_or_refused),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
