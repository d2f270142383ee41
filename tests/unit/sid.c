/* SIDs and lists of them. */
#include "tests/unit/unit.h"

#include "base/diag.h"
#include "base/scope.h"
#include "identity/peer.h"
#include "identity/peer_wire.h"

#include <stdlib.h>
#include <string.h>

static struct sid sid(const char *text)
{
	struct sid s;

	assert_int_equal(sid_parse(text, strlen(text), &s, NULL), 0);
	return s;
}

static void sids_are_read_and_written(void **state)
{
	static const struct {
		const char *text, *want; /* NULL: the same */
	} rows[] = {
		{ "S-1-5-21-1187086896-3123721334-2434994964-1103", NULL },
		{ "S-1-1-0", NULL },
		{ "s-1-5-32-544", "S-1-5-32-544" },
		{ "S-1-0x5-32-544", "S-1-5-32-544" },
		{ "S-1-0xfedcba987654-4294967295", NULL },
		{ "S-1-1-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15", NULL },
	};
	char text[SID_TEXT];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sid s = sid(rows[i].text);

		assert_string_equal(sid_text(&s, text), rows[i].want ? rows[i].want : rows[i].text);
	}
}

static void what_is_no_sid_is_refused(void **state)
{
	static const char *const rows[] = {
		"",
		"S",
		"S-1-",
		"S-1-5",
		"S-1-5-",
		"S-1-5-21-",
		"S-2-5-21",
		"T-1-5-21",
		"S-1-5-21-x",
		"S-1-5--21",
		"S-1-5-4294967296",
		"S-1-281474976710656-1",
		"S-1-0x1000000000000-1",
		"S-1-0x-1",
		"S-1-5-21 ",
		"S-1-5-99999999999999999999999",
		"S-1-1-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16",
	};
	struct sid s;
	struct diag d;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (sid_parse(rows[i], strlen(rows[i]), &s, &d) == 0)
			fail_msg("%s was taken", rows[i]);
}

static void binary_sids_have_exactly_their_length(void **state)
{
	static const uint8_t octets[] = { 1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0, 9 };
	uint8_t bad[sizeof octets];
	struct sid s;
	char text[SID_TEXT];

	(void)state;
	assert_int_equal(sid_decode(octets, 16, &s, NULL), 0);
	assert_string_equal(sid_text(&s, text), "S-1-5-32-544");
	for (size_t n = 0; n <= sizeof octets; n++)
		if (n != 16)
			assert_true(sid_decode(octets, n, &s, NULL) < 0);
	memcpy(bad, octets, sizeof bad);
	bad[0] = 2;
	assert_true(sid_decode(bad, 16, &s, NULL) < 0);
	bad[0] = 1;
	bad[1] = 16;
	assert_true(sid_decode(bad, 16, &s, NULL) < 0);
	bad[1] = 0;
	assert_true(sid_decode(bad, 8, &s, NULL) < 0);
}

static void a_list_has_what_was_added_and_nothing_else(void **state)
{
	static const char *const in[] = { "S-1-5-21-1-2-3-1103", "S-1-5-21-1-2-4-1103",
					  "S-1-5-21-1-2-3-515",  "S-1-18-1",
					  "S-1-5-21-1-2-3-1103", "S-1-5-32-544" };
	static const char *const out[] = { "S-1-5-21-1-2-3-516", "S-1-5-21-1-2-3", "S-1-5-21-1-2-4-515",
					   "S-1-18-2",           "S-1-1-18",       "S-1-5-21-1-2-3-1103-0" };
	struct sid_list l = { 0 };
	struct sid_walk w = { 0 };
	struct sid s;
	size_t n = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(in); i++) {
		s = sid(in[i]);
		assert_true(sid_list_add(&l, &s));
	}
	assert_int_equal(sid_list_count(&l), 5);
	for (size_t i = 0; i < ARRAY_LEN(in); i++) {
		s = sid(in[i]);
		assert_true(sid_list_has(&l, &s));
	}
	for (size_t i = 0; i < ARRAY_LEN(out); i++) {
		s = sid(out[i]);
		assert_false(sid_list_has(&l, &s));
	}
	while (sid_list_next(&l, &w, &s)) {
		assert_true(sid_list_has(&l, &s));
		n++;
	}
	assert_int_equal(n, 5);
	assert_false(l.cut);
}

static void fill(struct sid_list *l, size_t groups)
{
	struct sid s = sid("S-1-5-21-397955417-626881126-188441444-1000");

	for (size_t i = 0; i < groups; i++) {
		s.sub[4] = (uint32_t)(1000 + i);
		(void)sid_list_add(l, &s);
	}
}

static void a_list_takes_1500_groups_and_says_when_it_is_full(void **state)
{
	struct sid_list l = { 0 };
	struct sid s = sid("S-1-5-21-397955417-626881126-188441444-2499");

	(void)state;
	fill(&l, 1500);
	assert_false(l.cut);
	assert_int_equal(sid_list_count(&l), 1500);
	assert_true(sid_list_has(&l, &s));
	fill(&l, 4000);
	assert_true(l.cut);
	assert_true(l.len <= SID_LIST_MOST);
	assert_true(sid_list_has(&l, &s));
	s = sid("S-1-5-21-9-9-9-9");
	assert_false(sid_list_add(&l, &s));
}

static void lists_arrive_as_they_were_and_broken_ones_do_not(void **state)
{
	static uint8_t buf[SID_LIST_WIRE_MOST];
	struct sid_list l = { 0 }, got;
	struct wire_out out = wire_out(buf, sizeof buf);
	struct wire_in in;

	(void)state;
	fill(&l, 20);
	sid_list_put(&out, &l);
	in = wire_in(buf, out.len);
	sid_list_get(&in, &got);
	assert_true(wire_done(&in));
	assert_memory_equal(&got, &l, sizeof l);
	for (size_t n = 0; n < out.len; n++) { /* its length lies too */
		wire_patch_u16(&out, 1, (uint16_t)(n < 3 ? 0 : n - 3));
		in = wire_in(buf, n);
		sid_list_get(&in, &got);
		assert_true(n == 3 || !wire_done(&in));
	}
	for (size_t i = 0; i < out.len; i++) /* any octet */
		for (unsigned v = 1; v < 256; v = v * 3 + 1) {
			struct sid_walk w = { 0 };
			struct sid s;
			size_t count = 0;

			wire_patch_u16(&out, 1, l.len);
			buf[i] ^= (uint8_t)v;
			in = wire_in(buf, out.len);
			sid_list_get(&in, &got);
			while (sid_list_next(&got, &w, &s))
				count++;
			assert_int_equal(count, sid_list_count(&got));
			buf[i] ^= (uint8_t)v;
		}
}

static void a_kept_peer_has_its_groups(void **state)
{
	struct peer p = { .method = PEER_KERBEROS, .id = "host/dc1.corp.example@CORP.EXAMPLE", .learnt_s = 77 }, got;
	struct peer_kept *k;
	static uint8_t buf[PEER_WIRE_MOST];
	struct wire_out out = wire_out(buf, sizeof buf);
	struct wire_in in;

	(void)state;
	fill(&p.sids, 9);
	p.sids.cut = true;
	k = peer_keep(&p);
	peer_of_kept(k, &got);
	assert_memory_equal(&got.sids, &p.sids, sizeof p.sids);
	assert_int_equal(got.learnt_s, 77);
	assert_int_equal(peer_kept_learnt_s(k), 77);
	free(k);

	p.name_count = 2;
	(void)strcpy(p.names[1], "dc1");
	peer_put(&out, &p);
	in = wire_in(buf, out.len);
	peer_get(&in, &got);
	assert_true(wire_done(&in));
	assert_string_equal(got.id, p.id);
	assert_string_equal(got.names[1], "dc1");
	assert_memory_equal(&got.sids, &p.sids, sizeof p.sids);
	for (size_t n = 0; n < out.len; n++) {
		in = wire_in(buf, n);
		peer_get(&in, &got);
		assert_false(wire_done(&in));
		assert_int_equal(got.method, PEER_UNPROVEN);
	}
	buf[0] = 9;
	in = wire_in(buf, out.len);
	peer_get(&in, &got);
	assert_true(in.failed);
}

static void the_largest_peer_fits_its_bound(void **state)
{
	struct peer p = { .method = PEER_CERTIFICATE, .name_count = PEER_NAMES };
	static uint8_t buf[PEER_WIRE_MOST];
	struct wire_out out = wire_out(buf, sizeof buf);

	(void)state;
	memset(p.id, 'a', PEER_TEXT - 1);
	memset(p.subject, 'a', PEER_TEXT - 1);
	memset(p.issuer, 'a', PEER_TEXT - 1);
	for (size_t i = 0; i < PEER_NAMES; i++)
		memset(p.names[i], 'a', PEER_TEXT - 1);
	fill(&p.sids, 5000);
	peer_put(&out, &p);
	assert_false(out.failed);
	assert_true(PEER_WIRE_MOST - out.len < 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sids_are_read_and_written),
		cmocka_unit_test(what_is_no_sid_is_refused),
		cmocka_unit_test(binary_sids_have_exactly_their_length),
		cmocka_unit_test(a_list_has_what_was_added_and_nothing_else),
		cmocka_unit_test(a_list_takes_1500_groups_and_says_when_it_is_full),
		cmocka_unit_test(lists_arrive_as_they_were_and_broken_ones_do_not),
		cmocka_unit_test(a_kept_peer_has_its_groups),
		cmocka_unit_test(the_largest_peer_fits_its_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
