/* Mistakes that broke other IKE daemons, by the name of the mistake. Those of signatures and keys are in
 * tests/unit/mistakes.c, those of fragments in fragment.c; docs/protocols/ikev2.md has the whole list. */
#include "tests/replay/world.h"
#include "tests/unit/unit.h"

#include "keying/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ike_sa *sa_of(struct world *w, unsigned host)
{
	return TAILQ_FIRST(&w->hosts[host].keying->ikes);
}

static uint64_t dropped(const struct world *w, unsigned host, enum keying_drop why)
{
	return keying_dropped(w->hosts[host].keying, why);
}

/* Octets as they stand, in a block of exactly their size, so that the sanitizers see one octet too far. */
static void give(struct world *w, unsigned to, const void *octets, size_t len)
{
	uint8_t *copy = mem_copy(octets, len ? len : 1);

	world_inject(w, to, copy, len);
	free(copy);
	world_run(w, w->now_ms);
}

/* Host 0's next request under its keys, with these payloads as they stand. */
static void give_sealed(struct world *w, enum ike_exchange exchange, uint8_t first, const void *payloads, size_t len)
{
	struct ike_sa *sa = sa_of(w, 0);
	uint8_t buf[2048];
	struct ike_header h = { .spi_i = sa->spi_i,
				.spi_r = sa->spi_r,
				.exchange = (uint8_t)exchange,
				.flags = IKE_FLAG_INITIATOR,
				.id = sa->send_id++ };
	struct ike_writer out;

	ike_write_begin(&out, buf, sizeof buf, &h);
	size_t sk = ike_sk_begin(&out, &sa->out);
	buf[sk] = first;
	wire_put(&out.out, payloads, len);
	assert_int_equal(ike_sk_end(&out, sk, &sa->out, NULL), 0);
	give(w, 1, buf, out.out.len);
}

static void length_shorter_than_header(void **state)
{
	struct world *w = world_established(world_policy);
	const struct ike_sa *sa = sa_of(w, 1);
	uint8_t buf[128] = { 0 };

	(void)state;
	for (size_t len = 0; len < IKE_HEADER + 8; len++)
		for (uint32_t said = 0; said < IKE_HEADER + 8; said++)
			for (unsigned exchange = IKE_SA_INIT; exchange <= INFORMATIONAL; exchange++) {
				struct ike_header h = { .spi_i = sa->spi_i,
							.spi_r = exchange == IKE_SA_INIT ? 0 : sa->spi_r,
							.exchange = (uint8_t)exchange,
							.flags = IKE_FLAG_INITIATOR,
							.next = PL_SK };
				struct ike_writer out;
				ike_write_begin(&out, buf, sizeof buf, &h);
				buf[16] = exchange == IKE_SA_INIT ? PL_SA : len & 1 ? PL_SKF : PL_SK;
				wire_patch_u32(&out.out, 24, said);
				give(w, 1, buf, len);
			}
	assert_true(dropped(w, 1, KEYING_DROP_MALFORMED) > 4000);
	world_expect_one(w, 1);
	world_free(w);
}

/* A payload, proposal, transform, attribute or selector whose length is none, or so small that nothing is used up. */
static void zero_progress_loops(void **state)
{
	/* clang-format off */
	static const struct {
		uint8_t first;
		size_t len;
		uint8_t octets[48];
	} rows[] = {
		{ PL_NOTIFY, 4, { PL_NOTIFY, 0, 0, 0 } },
		{ PL_NOTIFY, 8, { PL_NOTIFY, 0, 0, 1, 0, 0, 0, 0 } },
		{ PL_NOTIFY, 8, { PL_NOTIFY, 0, 0, 3, 0, 0, 0, 0 } },
		{ PL_VENDOR, 4, { PL_VENDOR, 0, 0, 0 } },
		{ PL_DELETE, 8, { PL_DELETE, 0, 0, 0, 3, 4, 0, 0 } },
		{ 200, 4, { 200, 0, 0, 0 } },
		{ PL_SA, 12, { 0, 0, 0, 12, 2, 0, 0, 0, 1, 3, 0, 0 } },
		{ PL_SA, 12, { 0, 0, 0, 12, 2, 0, 0, 4, 1, 3, 0, 0 } },
		{ PL_SA, 20, { 0, 0, 0, 20, 0, 0, 0, 16, 1, 3, 0, 1, 3, 0, 0, 0, 1, 0, 0, 12 } },
		{ PL_SA, 20, { 0, 0, 0, 20, 0, 0, 0, 16, 1, 3, 0, 1, 3, 0, 0, 7, 1, 0, 0, 12 } },
		{ PL_TSI, 16, { 0, 0, 0, 16, 1, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0 } },
		{ PL_TSI, 16, { 0, 0, 0, 16, 255, 0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0 } },
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (unsigned child = 0; child < 2; child++) {
			struct world *w = world_established(world_policy);
			give_sealed(w, child ? CREATE_CHILD_SA : INFORMATIONAL, rows[i].first, rows[i].octets,
				    rows[i].len);
			bool known = rows[i].first == PL_NOTIFY || rows[i].first == PL_VENDOR || rows[i].first == 200 ||
				     (rows[i].first == PL_DELETE && !child) || (child && rows[i].first != PL_DELETE);
			if (known && world_ikes(w, 1) != 0)
				fail_msg("row %zu was taken", i);
			world_free(w);
		}
}

/* Host 0 has the keys, and has proven nothing: whole, and in fragments. */
static void create_child_sa_before_authentication(void **state)
{
	static const uint8_t exchanges[] = { CREATE_CHILD_SA, INFORMATIONAL, 38, 43, 44, 200 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(exchanges); i++) {
		struct world *w = world_new(world_policy);
		struct ike_offer offer;
		const struct protection_set *sets;
		uint8_t buf[1024], nonce[32] = { 1 };
		struct ike_writer out;
		w->job_ms = 1;
		world_packet(w, 0, 6, 1, 1);
		world_run(w, 1005);
		struct ike_sa *sa = sa_of(w, 0);
		assert_int_equal(sa_of(w, 1)->state, IKE_R_INIT_SENT);
		assert_true(policy_protection_sets(plan_policy(w->hosts[0].plan), &sets) > 0);
		struct ike_header h = { .spi_i = sa->spi_i,
					.spi_r = sa->spi_r,
					.exchange = exchanges[i],
					.flags = IKE_FLAG_INITIATOR,
					.id = 1 };
		for (unsigned cut = 0; cut < 2; cut++) {
			ike_write_begin(&out, buf, sizeof buf, &h);
			size_t sk = cut ? ike_skf_begin(&out, &sa->out, 1, 2) : ike_sk_begin(&out, &sa->out);
			proposal_offer_child(sets, 0x5555, true, &offer);
			ike_put_sa(&out, &offer);
			ike_put_nonce(&out, nonce, sizeof nonce);
			assert_int_equal(
				cut ? ike_skf_end(&out, sk, &sa->out, NULL) : ike_sk_end(&out, sk, &sa->out, NULL), 0);
			give(w, 1, buf, out.out.len);
			assert_null(sa_of(w, 1)->reassembly[0]);
		}
		assert_int_equal(dropped(w, 1, KEYING_DROP_EXCHANGE), 2);
		assert_int_equal(w->hosts[1].spis_reserved, 0);
		world_run(w, 5000); /* and the honest IKE_AUTH is taken all the same */
		world_expect_one(w, 1);
		world_free(w);
	}
}

/* One INFORMATIONAL that deletes the IKE SA, its CHILD SA, both twice, and says that it failed: in every order. */
static void notify_with_delete_in_one_message(void **state)
{
	enum { PIECES = 5 };

	(void)state;
	for (unsigned order = 0; order < 3125; order += 2) { /* five places, five pieces, with repetitions */
		struct world *w = world_established(world_policy);
		struct keying_child_row row;
		uint8_t payloads[256];
		struct ike_writer out = { .out = wire_out(payloads, sizeof payloads) };
		uint8_t first = PL_NONE;
		bool ends = false;
		assert_int_equal(keying_child_rows(w->hosts[0].keying, &row, 1), 1);
		for (unsigned place = 0, left = order; place < PIECES; place++, left /= PIECES) {
			if (!place) /* ike_payload_begin writes the first type where next_at says: at the front */
				wire_put_u32(&out.out, 0);
			switch (left % PIECES) {
			case 0:
				ike_put_delete_ike(&out);
				ends = true;
				break;
			case 1:
				ike_put_delete(&out, PROTO_ESP, &row.spi_in, 1);
				break;
			case 2:
				ike_put_notify(&out, N_AUTHENTICATION_FAILED, NULL, 0);
				ends = true;
				break;
			case 3:
				ike_put_delete(&out, PROTO_ESP, (uint32_t[]){ row.spi_in, row.spi_in, 7 }, 3);
				break;
			default:
				ike_put_notify(&out, N_INVALID_SYNTAX, "x", 1);
				break;
			}
		}
		first = payloads[0];
		give_sealed(w, INFORMATIONAL, first, payloads + 4, out.out.len - 4);
		if (world_ikes(w, 1) != !ends)
			fail_msg("order %u: %zu IKE SAs", order, world_ikes(w, 1));
		assert_true(w->hosts[1].events[EVENT_MAIN_MODE_DOWN] + w->hosts[1].events[EVENT_MAIN_MODE_FAILED] <= 1);
		world_free(w);
	}
}

/* ---- DH -------------------------------------------------------------------------------------------------------------
 */

static size_t put_init(uint8_t *buf, size_t cap, uint64_t spi, uint16_t group, const uint8_t *value, size_t len)
{
	struct ike_header h = { .spi_i = spi, .exchange = IKE_SA_INIT, .flags = IKE_FLAG_INITIATOR };
	static const uint8_t nonce[32] = { 7 };
	struct ike_offer offer = { .count = 1 };
	struct ike_proposal *p = &offer.proposals[0];
	struct ike_writer out;

	*p = (struct ike_proposal){ .number = 1, .protocol = PROTO_IKE, .count = group == 31 ? 3 : 4 };
	p->transforms[0] = (struct ike_transform){ .type = ALG_ENCR, .id = group == 31 ? 20 : 12, .key_bits = 256 };
	p->transforms[1] = (struct ike_transform){ .type = ALG_PRF, .id = group == 31 ? 5 : 6 };
	p->transforms[2] = (struct ike_transform){ .type = ALG_GROUP, .id = group };
	p->transforms[3] = (struct ike_transform){ .type = ALG_INTEG, .id = 13 };
	ike_write_begin(&out, buf, cap, &h);
	ike_put_sa(&out, &offer);
	ike_put_ke(&out, group, value, len);
	ike_put_nonce(&out, nonce, sizeof nonce);
	ike_write_end(&out);
	return out.out.len;
}

static void dh_value_of_wrong_length_or_not_on_the_curve(void **state)
{
	static const struct {
		const char *what;
		uint16_t group;
		size_t len;
		uint8_t fill;
	} rows[] = {
		{ "X25519, an octet short", 31, 31, 9 },
		{ "X25519, an octet long", 31, 33, 9 },
		{ "X25519, 1000", 31, 1000, 9 },
		{ "X25519, one", 31, 1, 9 },
		{ "X25519, zero", 31, 32, 0 },
		{ "P-384, an octet short", 20, 95, 9 },
		{ "P-384, compressed", 20, 49, 2 },
		{ "P-384, with the 0x04 in front", 20, 97, 4 },
		{ "P-384, not on the curve", 20, 96, 9 },
		{ "P-384, infinity", 20, 96, 0 },
		{ "P-384, over the prime", 20, 96, 0xff },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world *w = world_new(world_policy);
		uint8_t value[1000], buf[2048];
		memset(value, rows[i].fill, sizeof value);
		give(w, 1, buf, put_init(buf, sizeof buf, 5, rows[i].group, value, rows[i].len));
		world_run(w, w->now_ms + 10);
		if (sa_of(w, 1))
			fail_msg("%s: an IKE SA stays", rows[i].what);
		assert_int_equal(w->hosts[1].keying->half_open_count, 0);
		world_free(w);
	}
}

/* ---- selectors ------------------------------------------------------------------------------------------------------
 */

static void ts_count_against_length(void **state)
{
	static const uint8_t selector[] = { 7, 0, 0, 16, 0, 0, 255, 255, 10, 0, 0, 1, 10, 0, 0, 1 };

	(void)state;
	for (unsigned there = 0; there < 6; there++)
		for (unsigned said = 0; said < 256; said = said < 7 ? said + 1 : said * 2 + 1) {
			struct world *w = world_established(world_policy);
			uint8_t payload[128] = { 0 };
			struct wire_out out = wire_out(payload, sizeof payload);
			wire_put_u32(&out, 8 + there * 16);
			wire_put_u32(&out, said << 24);
			for (unsigned i = 0; i < there; i++)
				wire_put(&out, selector, sizeof selector);
			give_sealed(w, CREATE_CHILD_SA, PL_TSI, payload, out.len);
			/* alone it never makes a CHILD SA; what matters is why not */
			const char *text = w->hosts[1].last_text[EVENT_MAIN_MODE_DOWN];
			assert_int_equal(world_ikes(w, 1), 0);
			if ((strstr(text, "TS payload") != NULL) != (said != there || said == 0))
				fail_msg("%u selectors, %u said: %s", there, said, text);
			world_free(w);
		}
}

/* ---- check values ---------------------------------------------------------------------------------------------------
 */

struct spoil {
	uint8_t exchange;
	bool reply, fragments, done;
	size_t from_end;
};

static unsigned spoil(struct world *w, struct datagram *d)
{
	struct spoil *s = w->context;

	if (d->esp || s->done || d->octets[18] != s->exchange || !(d->octets[19] & IKE_FLAG_RESPONSE) != !s->reply)
		return 1;
	assert_int_equal(d->octets[16], s->fragments ? PL_SKF : PL_SK);
	s->done = true;
	d->octets[d->len - s->from_end] ^= 0x80;
	return 1;
}

/* The message with the bad value is as if it had not come: its repetition gets through, and the first effect is one. */
static void bad_icv_on_every_exchange(void **state)
{
	static const uint8_t exchanges[] = { IKE_AUTH, CREATE_CHILD_SA, INFORMATIONAL };
	static const size_t places[] = { 1, 8, 16, 20, 30 }; /* in the check value, and before it */

	(void)state;
	for (unsigned fragments = 0; fragments < 2; fragments++)
		for (size_t e = 0; e < ARRAY_LEN(exchanges); e++)
			for (unsigned reply = 0; reply < 2; reply++)
				for (size_t p = 0; p < ARRAY_LEN(places); p++) {
					if (fragments && exchanges[e] == INFORMATIONAL)
						continue; /* never long */
					struct spoil s = { exchanges[e], reply, fragments, false, places[p] };
					struct world *w = world_new(world_policy);
					for (unsigned host = 0; host < HOSTS; host++)
						w->hosts[host].keying->config.fragment_octets = fragments ? 200 : 1280;
					w->wire = spoil;
					w->context = &s;
					world_packet(w, 0, 6, 1, 1);
					world_run(w, 4000);
					struct keying_child_row row;
					assert_int_equal(keying_child_rows(w->hosts[0].keying, &row, 1), 1);
					struct sad_event soft = { .kind = SAD_EXPIRE_SOFT, .pair = row.pair };
					world_sad_event(w, 0, &soft); /* CREATE_CHILD_SA, then INFORMATIONAL */
					world_run(w, 20000);
					assert_true(s.done);
					world_expect_one(w, 1);
					assert_int_equal(dropped(w, reply ? 0 : 1, KEYING_DROP_BAD_ICV), 1);
					assert_int_equal(w->hosts[0].events[EVENT_MAIN_MODE_UP], 1);
					assert_int_equal(w->hosts[0].events[EVENT_QUICK_MODE_UP], 2);
					world_free(w);
				}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(length_shorter_than_header),
		cmocka_unit_test(zero_progress_loops),
		cmocka_unit_test(create_child_sa_before_authentication),
		cmocka_unit_test(notify_with_delete_in_one_message),
		cmocka_unit_test(dh_value_of_wrong_length_or_not_on_the_curve),
		cmocka_unit_test(ts_count_against_length),
		cmocka_unit_test(bad_icv_on_every_exchange),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
