/* IKEv1 messages in pieces: what is cut comes together in any order, what contradicts itself does not, and nobody can
 * have more kept than there is room for. */
#include "keying/v1/fragment.h"
#include "base/diag.h"
#include "base/scope.h"
#include "tests/unit/random.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

static uint8_t message[3000], whole[IKE_MESSAGE_MOST], cut[8192];
static struct wire_out datagrams;

static void prepare(size_t len)
{
	struct ike_writer w;

	v1_write_begin(&w, message, sizeof message,
		       &(struct ike_header){ .spi_i = 1, .spi_r = 2, .exchange = V1_MAIN, .flags = V1_FLAG_ENCRYPTED });
	for (size_t i = IKE_HEADER; i < len; i++)
		wire_put_u8(&w.out, (uint8_t)(i * 31));
	message[16] = V1_PL_ID;
	ike_write_end(&w);
	assert_int_equal(w.out.len, len);
}

struct piece {
	struct ike_header h;
	struct v1_fragment f;
};

/* The datagrams as they come, each as long as its header says. */
static size_t take_apart(struct piece *ret, size_t cap)
{
	size_t n = 0;

	for (size_t at = 0; at < datagrams.len; n++) {
		assert_true(n < cap);
		size_t len = (size_t)cut[at + 26] << 8 | cut[at + 27];
		struct wire_in in = wire_in(cut + at, len);
		assert_int_equal(v1_decode_header(&in, &ret[n].h, NULL), 0);
		assert_int_equal(ret[n].h.flags & V1_FLAG_ENCRYPTED, 0);
		assert_int_equal(v1_fragment_decode(&ret[n].h, &in, &ret[n].f, NULL), 0);
		at += len;
	}
	return n;
}

static size_t pieces_of(size_t len, size_t datagram, struct piece *ret, size_t cap)
{
	prepare(len);
	datagrams = wire_out(cut, sizeof cut);
	assert_true(v1_fragment_cut(message, len, datagram, 7, &datagrams));
	return take_apart(ret, cap);
}

static void what_is_cut_comes_together_in_any_order(void **state)
{
	uint64_t random = 5;

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		struct piece pieces[64], swap;
		struct v1_reassembly *r = NULL;
		size_t pool = 0, len = 100 + random_below(&random, 2900), got = 0;
		size_t n = pieces_of(len, 100 + random_below(&random, 500), pieces, ARRAY_LEN(pieces));

		for (size_t i = 0; i < n; i++) {
			size_t with = random_below(&random, (uint32_t)n);
			swap = pieces[i];
			pieces[i] = pieces[with];
			pieces[with] = swap;
		}
		for (size_t i = 0; i < n; i++) {
			enum v1_taken t = v1_reassembly_take(&r, &pool, &pieces[i].h, &pieces[i].f, round, whole,
							     sizeof whole, &got);
			assert_int_equal(t, i + 1 == n ? V1_TAKEN_WHOLE : V1_TAKEN_KEPT);
			if (t == V1_TAKEN_KEPT) /* once is enough */
				assert_int_equal(v1_reassembly_take(&r, &pool, &pieces[i].h, &pieces[i].f, round, whole,
								    sizeof whole, &got),
						 V1_TAKEN_DROPPED);
		}
		assert_null(r);
		assert_int_equal(pool, 0);
		assert_int_equal(got, len);
		assert_memory_equal(whole, message, len);
	}
}

static void pieces_without_the_header_get_it_back(void **state)
{
	struct piece pieces[8];
	struct v1_reassembly *r = NULL;
	size_t pool = 0, got = 0, n = pieces_of(500, 300, pieces, ARRAY_LEN(pieces));

	(void)state;
	assert_int_equal(n, 2);
	pieces[0].f.data.at += IKE_HEADER; /* as the text of [MS-IKEE] has it */
	pieces[0].f.data.len -= IKE_HEADER;
	for (size_t i = 0; i < n; i++)
		(void)v1_reassembly_take(&r, &pool, &pieces[i].h, &pieces[i].f, 0, whole, sizeof whole, &got);
	assert_int_equal(got, 500);
	assert_memory_equal(whole, message, 500);
}

static void what_contradicts_itself_is_forgotten(void **state)
{
	static const struct {
		const char *what;
		struct {
			uint16_t id;
			uint8_t number;
			bool last;
			enum v1_taken want;
		} steps[3];
	} rows[] = {
		{ "two ends", { { 1, 2, true, V1_TAKEN_KEPT }, { 1, 3, true, V1_TAKEN_SPOILT } } },
		{ "behind the end", { { 1, 2, true, V1_TAKEN_KEPT }, { 1, 3, false, V1_TAKEN_SPOILT } } },
		{ "an end in front of one", { { 1, 3, false, V1_TAKEN_KEPT }, { 1, 2, true, V1_TAKEN_SPOILT } } },
		{ "the end again", { { 1, 2, true, V1_TAKEN_KEPT }, { 1, 2, true, V1_TAKEN_DROPPED } } },
		{ "another message",
		  { { 1, 2, true, V1_TAKEN_KEPT }, { 2, 3, true, V1_TAKEN_KEPT }, { 1, 1, false, V1_TAKEN_KEPT } } },
	};
	static const uint8_t data[40] = { 9 };
	const struct ike_header h = { .spi_i = 1, .spi_r = 2, .next = V1_PL_FRAGMENT, .exchange = V1_MAIN };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct v1_reassembly *r = NULL;
		size_t pool = 0, got;

		for (size_t s = 0; s < 3 && rows[i].steps[s].id; s++) {
			const struct v1_fragment f = { .id = rows[i].steps[s].id,
						       .number = rows[i].steps[s].number,
						       .last = rows[i].steps[s].last,
						       .data = { data, sizeof data } };
			enum v1_taken t = v1_reassembly_take(&r, &pool, &h, &f, 0, whole, sizeof whole, &got);
			if (t != rows[i].steps[s].want)
				fail_msg("%s, step %zu: %d", rows[i].what, s, t);
		}
		v1_reassembly_free(r, &pool);
		assert_int_equal(pool, 0);
	}
}

static void old_pieces_do_not_wait_for_ever(void **state)
{
	struct piece pieces[8];
	struct v1_reassembly *r = NULL;
	size_t pool = 0, got, n = pieces_of(500, 300, pieces, ARRAY_LEN(pieces));

	(void)state;
	assert_int_equal(n, 2);
	assert_int_equal(v1_reassembly_take(&r, &pool, &pieces[0].h, &pieces[0].f, 0, whole, sizeof whole, &got),
			 V1_TAKEN_KEPT);
	assert_int_equal(v1_reassembly_take(&r, &pool, &pieces[1].h, &pieces[1].f, V1_REASSEMBLY_MS + 1, whole,
					    sizeof whole, &got),
			 V1_TAKEN_KEPT);
	v1_reassembly_free(r, &pool);
}

static void nobody_can_have_more_kept_than_there_is_room_for(void **state)
{
	enum { SAS = 4000 };
	static struct v1_reassembly *r[SAS];
	static const uint8_t data[1200] = { 9 };
	const struct ike_header h = { .spi_i = 1, .spi_r = 2, .next = V1_PL_FRAGMENT, .exchange = V1_MAIN };
	size_t pool = 0, got, dropped = 0;

	(void)state;
	for (size_t i = 0; i < SAS; i++) {
		const struct v1_fragment f = { .id = 1, .number = 1, .data = { data, sizeof data } };
		dropped += v1_reassembly_take(&r[i], &pool, &h, &f, 0, whole, sizeof whole, &got) == V1_TAKEN_DROPPED;
		assert_true(pool <= V1_REASSEMBLY_POOL_MOST);
	}
	assert_true(dropped > 0);
	for (size_t i = 0; i < SAS; i++)
		v1_reassembly_free(r[i], &pool);
	assert_int_equal(pool, 0);

	/* Nor of one message: 255 pieces of 1200 octets are no message of ours. */
	struct v1_reassembly *one = NULL;
	enum v1_taken t = V1_TAKEN_KEPT;
	for (unsigned i = 1; i <= 255 && t == V1_TAKEN_KEPT; i++) {
		const struct v1_fragment f = {
			.id = 1, .number = (uint8_t)i, .last = i == 255, .data = { data, sizeof data }
		};
		t = v1_reassembly_take(&one, &pool, &h, &f, 0, whole, sizeof whole, &got);
	}
	assert_int_equal(t, V1_TAKEN_SPOILT);
	assert_int_equal(pool, 0);
}

static void malformed_pieces_are_refused(void **state)
{
	static const struct {
		const char *what;
		uint8_t octets[16];
		size_t len;
		uint8_t next;
	} rows[] = {
		{ "no number", { 0, 0, 0, 9, 0, 1, 0, 0, 7 }, 9, 132 },
		{ "no data", { 0, 0, 0, 8, 0, 1, 1, 0 }, 8, 132 },
		{ "a payload behind it", { 13, 0, 0, 9, 0, 1, 1, 0, 7, 0, 0, 0, 4 }, 13, 132 },
		{ "octets behind it", { 0, 0, 0, 9, 0, 1, 1, 0, 7, 8 }, 10, 132 },
		{ "longer than it is", { 0, 0, 0, 10, 0, 1, 1, 0, 7 }, 9, 132 },
		{ "length of 7", { 0, 0, 0, 7, 0, 1, 1 }, 7, 132 },
		{ "another payload", { 0, 0, 0, 9, 0, 1, 1, 0, 7 }, 9, 13 },
	};
	struct v1_fragment f;
	struct diag d = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct wire_in in = wire_in(rows[i].octets, rows[i].len);
		const struct ike_header h = { .next = rows[i].next };
		if (v1_fragment_decode(&h, &in, &f, &d) != -ERR_SYNTAX)
			fail_msg("%s", rows[i].what);
	}
}

static void a_message_is_cut_into_no_more_than_can_be_numbered(void **state)
{
	(void)state;
	prepare(3000);
	datagrams = wire_out(cut, sizeof cut);
	assert_false(v1_fragment_cut(message, 3000, V1_FRAGMENT_HEADERS, 1, &datagrams));
	assert_false(v1_fragment_cut(message, 3000, V1_FRAGMENT_HEADERS + 11, 1, &datagrams));
	datagrams = wire_out(cut, 100);
	assert_false(v1_fragment_cut(message, 3000, 500, 1, &datagrams));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_cut_comes_together_in_any_order),
		cmocka_unit_test(pieces_without_the_header_get_it_back),
		cmocka_unit_test(what_contradicts_itself_is_forgotten),
		cmocka_unit_test(old_pieces_do_not_wait_for_ever),
		cmocka_unit_test(nobody_can_have_more_kept_than_there_is_room_for),
		cmocka_unit_test(malformed_pieces_are_refused),
		cmocka_unit_test(a_message_is_cut_into_no_more_than_can_be_numbered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
