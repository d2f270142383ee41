/* IKE fragmentation (RFC 7383): long messages in pieces, both ways, in every exchange that has keys; pieces lost,
 * repeated, out of order, overlapping, of other sets, forged; and what is kept of them stays bounded. */
#include "tests/replay/world.h"
#include "tests/unit/unit.h"

#include "keying/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL = 200 /* octets of an IP packet: makes fragments of short messages */ };

static struct ike_sa *sa_of(struct world *w, unsigned host)
{
	return TAILQ_FIRST(&w->hosts[host].keying->ikes);
}

static void set_budget(struct world *w, uint32_t octets0, uint32_t octets1)
{
	w->hosts[0].keying->config.fragment_octets = octets0;
	w->hosts[1].keying->config.fragment_octets = octets1;
}

static uint64_t dropped(const struct world *w, unsigned host, enum keying_drop why)
{
	return keying_dropped(w->hosts[host].keying, why);
}

static const char *with_suite(const char *suite)
{
	static char text[1024];

	(void)snprintf(text, sizeof text,
		       "cordon: 1\nauthentication:\n  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n"
		       "key-exchange:\n  default: { proposals: [%s] }\n"
		       "connection-security:\n"
		       "  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require,\n"
		       "      authentication: password }\n",
		       suite);
	return text;
}

/* ---- a wire that looks, loses, repeats and reorders ---------------------------------------------------------------
 */

struct tap {
	unsigned whole, pieces[2], longest; /* under protection; pieces: of requests, of replies */
	unsigned exchanges[256];            /* pieces in each exchange */
	unsigned lose, lost;                /* the n-th piece, from 1 */
	bool reverse, twice;
	unsigned copies;
	uint64_t random, loss_percent;
};

static unsigned look(struct world *w, struct datagram *d)
{
	struct tap *t = w->context;

	if (d->esp)
		return 1;
	if (d->octets[18] != IKE_SA_INIT && d->len > t->longest)
		t->longest = (unsigned)d->len;
	if (d->octets[16] == PL_SK)
		t->whole++;
	if (d->octets[16] != PL_SKF)
		return 1;
	t->pieces[d->octets[19] & IKE_FLAG_RESPONSE ? 1 : 0]++;
	t->exchanges[d->octets[18]]++;
	if (t->reverse) /* the number decides when it arrives: the last first */
		d->due_ms += 100u - d->octets[33];
	if (t->lose && t->pieces[0] + t->pieces[1] == t->lose) {
		t->lost++;
		return 0;
	}
	if (t->loss_percent) {
		t->random = t->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
		if ((t->random >> 33) % 100 < t->loss_percent) {
			t->lost++;
			return 0;
		}
	}
	return t->twice ? 2 : 1;
}

static struct world *with_tap(const char *policy, struct tap *t)
{
	struct world *w = world_new(policy);

	w->wire = look;
	w->context = t;
	set_budget(w, SMALL, SMALL);
	return w;
}

static void soft(struct world *w, unsigned host)
{
	struct keying_child_row row;

	assert_int_equal(keying_child_rows(w->hosts[host].keying, &row, 1), 1);
	struct sad_event e = { .kind = SAD_EXPIRE_SOFT, .pair = row.pair };
	world_sad_event(w, host, &e);
}

static void long_messages_go_in_fragments_under_every_cipher(void **state)
{
	static const char *const suites[] = { "aes256gcm-sha256-x25519", "aes128gcm-sha256-x25519",
					      "aes256-sha384-x25519", "aes128-sha256-x25519" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(suites); i++)
		for (unsigned host = 0; host < 2; host++) {
			struct tap t = { 0 };
			struct world *w = with_tap(with_suite(suites[i]), &t);
			world_packet(w, host, 6, 1, 1);
			world_run(w, 3000);
			world_expect_one(w, 1);
			assert_true(t.pieces[0] > 1 && t.pieces[1] > 1);
			assert_true(t.longest <= SMALL - 28);
			assert_int_equal(t.whole, 0);
			soft(w, host); /* CREATE_CHILD_SA; the Delete after it is short and goes whole */
			world_run(w, 13000);
			world_expect_one(w, 1);
			assert_true(t.exchanges[CREATE_CHILD_SA] > 1);
			assert_int_equal(t.exchanges[INFORMATIONAL], 0);
			assert_true(t.whole > 0);
			assert_int_equal(w->ike_sent[0] + w->ike_sent[1],
					 2 + t.whole + t.pieces[0] + t.pieces[1]); /* nothing was said twice */
			world_free(w);
		}
}

static void a_renewed_ike_sa_goes_on_in_fragments(void **state)
{
	struct tap t = { 0 };
	struct world *w = with_tap(world_policy, &t);

	(void)state;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 3000);
	sa_of(w, 0)->rekey_ms = w->now_ms;
	ike_arm(sa_of(w, 0));
	world_run(w, 8000);
	world_expect_one(w, 1);
	assert_int_equal(w->hosts[0].events[EVENT_MAIN_MODE_UP], 2);
	memset(&t, 0, sizeof t);
	soft(w, 0);
	world_run(w, 18000);
	world_expect_one(w, 1);
	assert_true(t.exchanges[CREATE_CHILD_SA] > 1);
	world_free(w);
}

static void over_ipv6_a_packet_is_not_longer_either(void **state)
{
	struct tap t = { 0 };
	struct world *w = world_new_ipv6(
		"cordon: 1\nauthentication:\n  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n"
		"connection-security:\n"
		"  - { name: all, endpoint1: ['2001:db8::1'], endpoint2: ['2001:db8::2'], mode: require,\n"
		"      authentication: password }\n");

	(void)state;
	w->wire = look;
	w->context = &t;
	set_budget(w, SMALL, SMALL);
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 3000);
	world_expect_one(w, 1);
	assert_true(t.pieces[0] > 1 && t.longest <= SMALL - 48);
	world_free(w);
}

static void without_the_agreement_of_both_nothing_is_cut(void **state)
{
	static const uint32_t budgets[][2] = { { SMALL, 0 }, { 0, SMALL }, { 0, 0 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(budgets); i++) {
		struct tap t = { 0 };
		struct world *w = with_tap(world_policy, &t);
		set_budget(w, budgets[i][0], budgets[i][1]);
		world_packet(w, 0, 6, 1, 1);
		world_run(w, 3000);
		world_expect_one(w, 1);
		assert_int_equal(t.pieces[0] + t.pieces[1], 0);
		assert_true(t.longest > SMALL);
		world_free(w);
	}
}

/* ---- a bad wire ---------------------------------------------------------------------------------------------------
 */

static void each_fragment_may_be_lost_once(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= 12; n++) {
		struct tap t = { .lose = n };
		struct world *w = with_tap(world_policy, &t);
		world_packet(w, 0, 6, 1, 1);
		world_run(w, 5000);
		world_expect_one(w, 1);
		if (t.pieces[0] + t.pieces[1] >= n)
			assert_int_equal(t.lost, 1);
		assert_int_equal(w->hosts[0].events[EVENT_MAIN_MODE_FAILED], 0);
		world_free(w);
	}
}

static void fragments_out_of_order_and_repeated_make_one_message(void **state)
{
	(void)state;
	for (unsigned how = 1; how < 4; how++) {
		struct tap t = { .reverse = how & 1, .twice = how & 2 };
		struct world *w = with_tap(world_policy, &t);
		world_packet(w, 0, 6, 1, 1);
		world_run(w, 5000);
		world_expect_one(w, 1);
		assert_int_equal(w->hosts[0].events[EVENT_MAIN_MODE_UP], 1);
		assert_int_equal(w->hosts[1].events[EVENT_MAIN_MODE_UP], 1);
		soft(w, 1);
		world_run(w, 16000);
		world_expect_one(w, 1);
		world_free(w);
	}
}

/* What came the first time counts the second time: with six pieces each way a whole set is rare on such a wire. */
static void a_quarter_of_the_fragments_may_be_lost(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 100; seed++) {
		struct tap t = { .random = seed, .loss_percent = 25 };
		struct world *w = with_tap(world_policy, &t);
		world_packet(w, 0, 6, 1, 1);
		world_run(w, 80000);
		if (world_ikes(w, 0) != 1 || world_ikes(w, 1) != 1 || w->hosts[0].events[EVENT_MAIN_MODE_FAILED])
			fail_msg("seed %u: %s", (unsigned)seed, w->hosts[0].last_text[EVENT_MAIN_MODE_FAILED]);
		world_free(w);
	}
}

/* Nothing longer than this many octets of IP gets through, in either direction. */
struct narrow {
	size_t octets[HOSTS]; /* of what each host sends */
	unsigned lost;
};

static unsigned narrow(struct world *w, struct datagram *d)
{
	struct narrow *n = w->context;

	if (d->esp || d->len + 28 <= n->octets[d->from])
		return 1;
	n->lost++;
	return 0;
}

/* Identities that make IKE_AUTH long, as certificates do. */
static void lengthen(struct world *w, unsigned host)
{
	static const uint8_t id[1900] = { 'x' };
	struct world_host *h = &w->hosts[host];

	h->credential.id_type = ID_FQDN;
	h->credential.id = id;
	h->credential.id_len = sizeof id;
	keying_set_plan(h->keying, &h->config, h->plan, w->now_ms);
}

static void a_path_that_takes_only_short_packets_is_found_out(void **state)
{
	static const struct narrow rows[] = { { { 576, 9000 }, 0 }, { { 9000, 576 }, 0 }, { { 576, 576 }, 0 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (unsigned from = 0; from < HOSTS; from++) {
			struct world *w = world_new(world_policy);
			struct narrow n = rows[i];
			lengthen(w, 0);
			lengthen(w, 1);
			w->wire = narrow;
			w->context = &n;
			world_packet(w, from, 6, 1, 1);
			world_run(w, 45000);
			if (world_ikes(w, 0) != 1 || world_children(w, 1) != 1)
				fail_msg("row %zu from %u: %s", i, from,
					 w->hosts[from].last_text[EVENT_PEER_UNREACHABLE]);
			assert_true(n.lost > 0);
			world_free(w);
		}
}

static void who_gets_short_fragments_answers_in_short_ones(void **state)
{
	struct world *w = world_new(world_policy);
	struct narrow n = { { 9000, 700 }, 0 };

	(void)state;
	lengthen(w, 0);
	lengthen(w, 1);
	w->hosts[0].keying->config.fragment_octets = 700;
	w->wire = narrow;
	w->context = &n;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 3000);
	world_expect_one(w, 1);
	assert_int_equal(n.lost, 0);
	world_free(w);
}

/* ---- pieces that an honest engine never sends ----------------------------------------------------------------------
 */

/* One of host 0's, sealed with its keys, for its next request or for another one. */
struct piece {
	uint16_t number, total;
	const void *content;
	size_t len;
	int id; /* beside the next */
};

static size_t make_exchange(struct world *w, enum ike_exchange exchange, uint8_t first, const struct piece *p,
			    uint8_t *to, size_t cap)
{
	struct ike_sa *sa = sa_of(w, 0);
	struct ike_header h = { .spi_i = sa->spi_i,
				.spi_r = sa->spi_r,
				.exchange = (uint8_t)exchange,
				.flags = IKE_FLAG_INITIATOR,
				.id = sa->send_id + (uint32_t)p->id };
	struct ike_writer out;

	ike_write_begin(&out, to, cap, &h);
	size_t at = ike_skf_begin(&out, &sa->out, p->number, p->total);
	if (p->number == 1)
		to[at] = first;
	wire_put(&out.out, p->content, p->len);
	assert_int_equal(ike_skf_end(&out, at, &sa->out, NULL), 0);
	return out.out.len;
}

static size_t make(struct world *w, const struct piece *p, uint8_t *to, size_t cap)
{
	return make_exchange(w, INFORMATIONAL, PL_DELETE, p, to, cap);
}

static void give(struct world *w, const struct piece *p)
{
	static uint8_t buf[IKE_MESSAGE_MOST];

	world_inject(w, 1, buf, make(w, p, buf, sizeof buf));
	world_run(w, w->now_ms);
}

static const uint8_t delete_ike[] = { 0, 0, 0, 8, PROTO_IKE, 0, 0, 0 };

static struct world *established(void)
{
	struct world *w = world_new(world_policy);

	for (unsigned host = 0; host < 2; host++) /* no request of the engines' own in between */
		w->hosts[host].keying->config.liveness_ms = 10 * REASSEMBLY_MS;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 3000);
	world_expect_one(w, 1);
	return w;
}

static void fragment_numbers_that_make_no_sense_are_dropped(void **state)
{
	static const struct piece rows[] = {
		{ 0, 0, delete_ike, 8, 0 },     { 0, 2, delete_ike, 8, 0 },
		{ 1, 0, delete_ike, 8, 0 },     { 3, 2, delete_ike, 8, 0 },
		{ 65535, 2, delete_ike, 8, 0 }, { 1, FRAGMENTS_MOST + 1, delete_ike, 8, 0 },
		{ 1, 65535, delete_ike, 8, 0 }, { 1, 2, delete_ike, 0, 0 },
		{ 1, 1, delete_ike, 8, 1 },     { 1, 1, delete_ike, 8, -3 },
		{ 2, 2, delete_ike, 8, -1 },    { 1, 1, delete_ike, 8, 1000 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world *w = established();
		give(w, &rows[i]);
		assert_null(sa_of(w, 1)->reassembly[0]);
		assert_int_equal(w->hosts[1].keying->pools[POOL_PEERS].octets, 0);
		world_expect_one(w, 1);
		if (dropped(w, 1, KEYING_DROP_MALFORMED) + dropped(w, 1, KEYING_DROP_FRAGMENT) +
			    dropped(w, 1, KEYING_DROP_MESSAGE_ID) !=
		    1)
			fail_msg("row %zu was not counted", i);
		world_free(w);
	}
}

static void one_fragment_of_one_is_a_message(void **state)
{
	struct world *w = established();

	(void)state;
	give(w, &(struct piece){ 1, 1, delete_ike, sizeof delete_ike, 0 });
	assert_int_equal(world_ikes(w, 1), 0);
	world_free(w);
}

static void missing_fragments_are_not_made_up(void **state)
{
	struct world *w = established();

	(void)state;
	give(w, &(struct piece){ 1, 3, delete_ike, 4, 0 });
	give(w, &(struct piece){ 3, 3, delete_ike + 6, 2, 0 });
	world_expect_one(w, 1);
	assert_non_null(sa_of(w, 1)->reassembly[0]);
	give(w, &(struct piece){ 2, 3, delete_ike + 4, 2, 0 });
	assert_int_equal(world_ikes(w, 1), 0);
	world_free(w);
}

/* Two contents for one number: the first stays, or pieces could be exchanged under a check of the whole. */
static void overlapping_fragments_do_not_replace_each_other(void **state)
{
	static const uint8_t other[] = { 0xff, 0xff, 0xff, 0xff };
	struct world *w = established();

	(void)state;
	give(w, &(struct piece){ 1, 2, delete_ike, 4, 0 });
	give(w, &(struct piece){ 1, 2, other, 4, 0 });
	give(w, &(struct piece){ 1, 2, delete_ike, 8, 0 });
	assert_int_equal(dropped(w, 1, KEYING_DROP_FRAGMENT), 2);
	give(w, &(struct piece){ 2, 2, delete_ike + 4, 4, 0 });
	assert_int_equal(world_ikes(w, 1), 0);
	world_free(w);
}

static void a_larger_total_starts_over_and_a_smaller_one_is_passed_over(void **state)
{
	struct world *w = established();

	(void)state;
	give(w, &(struct piece){ 2, 2, delete_ike + 4, 4, 0 });
	give(w, &(struct piece){ 2, 3, delete_ike + 4, 2, 0 }); /* over: cut smaller */
	give(w, &(struct piece){ 1, 2, delete_ike, 4, 0 });     /* of the old set */
	assert_int_equal(dropped(w, 1, KEYING_DROP_FRAGMENT), 1);
	give(w, &(struct piece){ 1, 3, delete_ike, 4, 0 });
	world_expect_one(w, 1);
	give(w, &(struct piece){ 3, 3, delete_ike + 6, 2, 0 });
	assert_int_equal(world_ikes(w, 1), 0);
	world_free(w);
}

static void a_forged_fragment_is_not_kept_and_does_not_disturb(void **state)
{
	uint8_t buf[256];

	(void)state;
	for (size_t octet = 0; octet < 65; octet++) {
		struct world *w = established();
		size_t len = make(w, &(struct piece){ 1, 2, delete_ike, 4, 0 }, buf, sizeof buf);
		assert_true(octet < len);
		buf[octet] ^= 0x01;
		world_inject(w, 1, buf, len);
		world_run(w, w->now_ms);
		if (sa_of(w, 1)->reassembly[0])
			fail_msg("octet %zu", octet);
		buf[octet] ^= 0x01;
		world_inject(w, 1, buf, len);
		give(w, &(struct piece){ 2, 2, delete_ike + 4, 4, 0 });
		assert_int_equal(world_ikes(w, 1), 0);
		world_free(w);
	}
}

static void only_the_first_fragment_repeated_gets_the_reply_again(void **state)
{
	static const uint8_t nothing[] = { PL_NONE, 0, 0, 4 }; /* a vendor ID, empty */
	struct world *w = established();
	uint8_t one[256], two[256];
	size_t one_len = make_exchange(w, INFORMATIONAL, PL_VENDOR, &(struct piece){ 1, 2, nothing, 2, 0 }, one, 256);
	size_t two_len = make(w, &(struct piece){ 2, 2, nothing + 2, 2, 0 }, two, 256);

	(void)state;
	world_inject(w, 1, one, one_len);
	world_inject(w, 1, two, two_len);
	world_run(w, w->now_ms);
	unsigned sent = w->ike_sent[1];
	world_run(w, w->now_ms + 500);
	world_inject(w, 1, two, two_len);
	world_run(w, w->now_ms + 500);
	assert_int_equal(w->ike_sent[1], sent);
	world_inject(w, 1, one, one_len);
	world_run(w, w->now_ms + 500);
	assert_int_equal(w->ike_sent[1], sent + 1);
	/* the same request cut smaller */
	one_len = make_exchange(w, INFORMATIONAL, PL_VENDOR, &(struct piece){ 1, 4, nothing, 1, 0 }, one, 256);
	world_inject(w, 1, one, one_len);
	world_run(w, w->now_ms + 500);
	assert_int_equal(w->ike_sent[1], sent + 2);
	one[one_len - 1] ^= 1;
	world_inject(w, 1, one, one_len);
	world_run(w, w->now_ms + 500);
	assert_int_equal(w->ike_sent[1], sent + 2);
	for (unsigned i = 0; i < 50; i++) /* a storm of repetitions is not answered by a storm */
		give(w, &(struct piece){ 1, 4, nothing, 1, 0 });
	assert_true(w->ike_sent[1] <= sent + 3);
	world_expect_one(w, 1);
	world_free(w);
}

/* ---- bounds --------------------------------------------------------------------------------------------------------
 */

static void sixty_kilobytes_come_whole_and_more_than_the_most_do_not(void **state)
{
	static uint8_t content[IKE_MESSAGE_MOST + 4096];

	(void)state;
	for (unsigned too_long = 0; too_long < 2; too_long++) {
		struct world *w = established();
		size_t all = too_long ? IKE_MESSAGE_MOST + 1000 : 60000, each = 1000;
		struct wire_out out = wire_out(content, sizeof content);
		while (out.len + 1008 <= all - 8) { /* many vendor IDs, then the Delete */
			wire_put_u32(&out, (uint32_t)PL_VENDOR << 24 | 1000);
			(void)wire_put_space(&out, 996);
		}
		content[out.len - 1000] = PL_DELETE;
		wire_put(&out, delete_ike, sizeof delete_ike);
		uint16_t total = (uint16_t)(too_long ? all / each : (out.len + each - 1) / each);
		unsigned sent = w->ike_sent[1];
		for (uint16_t n = total; n >= 1; n--) {
			size_t left = too_long ? each : out.len - (size_t)(n - 1) * each;
			static uint8_t buf[2048];
			size_t len = make_exchange(w, INFORMATIONAL, PL_VENDOR,
						   &(struct piece){ n, total, content + (size_t)(n - 1) * each,
								    left < each ? left : each, 0 },
						   buf, sizeof buf);
			world_inject(w, 1, buf, len);
		}
		world_run(w, w->now_ms);
		assert_int_equal(world_ikes(w, 1), too_long ? 1 : 0);
		assert_int_equal(w->ike_sent[1], too_long ? sent : sent + 1);
		assert_true(w->hosts[1].keying->pools[POOL_PEERS].octets <= IKE_MESSAGE_MOST + 64 * FRAGMENTS_MOST);
		if (too_long)
			assert_int_equal(dropped(w, 1, KEYING_DROP_FRAGMENT), 1);
		world_free(w);
	}
}

static void what_does_not_become_whole_is_forgotten(void **state)
{
	struct world *w = established();

	(void)state;
	give(w, &(struct piece){ 1, 2, delete_ike, 4, 0 });
	assert_true(w->hosts[1].keying->pools[POOL_PEERS].octets > 0);
	world_run(w, w->now_ms + REASSEMBLY_MS + 1);
	assert_null(sa_of(w, 1)->reassembly[0]);
	assert_int_equal(w->hosts[1].keying->pools[POOL_PEERS].octets, 0);
	assert_int_equal(dropped(w, 1, KEYING_DROP_FRAGMENT_LOST), 1);
	give(w, &(struct piece){ 1, 2, delete_ike, 4, 0 }); /* and may be begun again */
	give(w, &(struct piece){ 2, 2, delete_ike + 4, 4, 0 });
	assert_int_equal(world_ikes(w, 1), 0);
	world_free(w);
}

/* Many strangers with half a message each: the oldest makes room, and peers are not touched. */
static void strangers_share_a_bounded_room(void **state)
{
	struct world *w = established();
	struct keying *k = w->hosts[1].keying;
	static const uint8_t content[1200];
	struct ike_sa *strangers[400];
	struct wire_in in;
	uint8_t first, digest[DIGEST] = { 0 };

	(void)state;
	give(w, &(struct piece){ 1, 2, delete_ike, 4, 0 });
	for (size_t i = 0; i < ARRAY_LEN(strangers); i++) {
		strangers[i] = ike_new(k, false, &w->hosts[1].addr, 500, &w->hosts[0].addr, 500);
		strangers[i]->state = IKE_R_INIT_SENT;
		for (uint16_t n = 2; n <= 40; n++)
			assert_false(fragment_keep(strangers[i], false,
						   &(struct ike_envelope){ .number = n, .total = 40 },
						   wire_in(content, sizeof content), digest, &in, &first, digest));
		assert_true(k->pools[POOL_STRANGERS].octets <= REASSEMBLY_POOL_MOST);
	}
	assert_null(strangers[0]->reassembly[0]);
	assert_non_null(strangers[ARRAY_LEN(strangers) - 1]->reassembly[0]);
	assert_true(k->dropped[KEYING_DROP_FRAGMENT_LOST] > 0);
	assert_non_null(sa_of(w, 1)->reassembly[0]);
	for (size_t i = 0; i < ARRAY_LEN(strangers); i++)
		ike_drop(strangers[i]);
	assert_int_equal(k->pools[POOL_STRANGERS].octets, 0);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(long_messages_go_in_fragments_under_every_cipher),
		cmocka_unit_test(a_renewed_ike_sa_goes_on_in_fragments),
		cmocka_unit_test(over_ipv6_a_packet_is_not_longer_either),
		cmocka_unit_test(without_the_agreement_of_both_nothing_is_cut),
		cmocka_unit_test(each_fragment_may_be_lost_once),
		cmocka_unit_test(fragments_out_of_order_and_repeated_make_one_message),
		cmocka_unit_test(a_quarter_of_the_fragments_may_be_lost),
		cmocka_unit_test(a_path_that_takes_only_short_packets_is_found_out),
		cmocka_unit_test(who_gets_short_fragments_answers_in_short_ones),
		cmocka_unit_test(fragment_numbers_that_make_no_sense_are_dropped),
		cmocka_unit_test(one_fragment_of_one_is_a_message),
		cmocka_unit_test(missing_fragments_are_not_made_up),
		cmocka_unit_test(overlapping_fragments_do_not_replace_each_other),
		cmocka_unit_test(a_larger_total_starts_over_and_a_smaller_one_is_passed_over),
		cmocka_unit_test(a_forged_fragment_is_not_kept_and_does_not_disturb),
		cmocka_unit_test(only_the_first_fragment_repeated_gets_the_reply_again),
		cmocka_unit_test(sixty_kilobytes_come_whole_and_more_than_the_most_do_not),
		cmocka_unit_test(what_does_not_become_whole_is_forgotten),
		cmocka_unit_test(strangers_share_a_bounded_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
