/* Under attack: what comes in the wrong state, too often, from too many; and who is honest gets through all the same.
 */
#include "tests/replay/world.h"
#include "tests/unit/unit.h"

#include "keying/engine.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static struct ike_sa *sa_of(struct world *w, unsigned host)
{
	return TAILQ_FIRST(&w->hosts[host].keying->ikes);
}

static uint64_t all_drops(const struct world *w, unsigned host)
{
	uint64_t n = 0;

	for (int i = 0; i < KEYING_DROP_COUNT; i++)
		n += keying_dropped(w->hosts[host].keying, (enum keying_drop)i);
	return n;
}

/* ---- main modes without end ----------------------------------------------------------------------------------------
 */

static struct ike_sa *one_more(struct ike_sa *like, bool renewed)
{
	struct ike_sa *sa = ike_new(like->k, false, &like->local, IKE_PORT, &like->remote, IKE_PORT);

	sa->auth_set = like->auth_set;
	sa->ke_set = like->ke_set;
	sa->suite = like->suite;
	sa->replaces = renewed ? like : NULL;
	if (renewed)
		like->replaced_by = sa;
	sa->state = IKE_ESTABLISHED;
	ike_join(sa, like->contact);
	ike_established(sa);
	return sa;
}

/* All in one millisecond, so that none is older than the others. */
static void a_peer_has_so_many_main_modes_and_the_newest_stays(void **state)
{
	(void)state;
	for (int renewed = 0; renewed < 2; renewed++) {
		struct world *w = world_established(world_policy);
		struct ike_sa *newest = sa_of(w, 1), *sa;
		struct contact *c = newest->contact;

		newest->up_ms = w->hosts[1].keying->now_ms;
		for (size_t i = 0; i < 50; i++) {
			size_t n = 0;
			newest = one_more(newest, renewed);
			assert_int_equal(newest->state, IKE_ESTABLISHED);
			LIST_FOREACH(sa, &c->ikes, of_contact)
				n++;
			assert_int_equal(n, i + 2 < IKES_MOST ? i + 2 : IKES_MOST);
		}
		keying_settle(w->hosts[1].keying);
		world_free(w);
	}
}

/* Of two hosts behind one NAT the one cannot push the other out. */
static void main_modes_without_end_cost_nobody_else_his(void **state)
{
	struct world *w = world_established(world_policy);
	struct ike_sa *first = sa_of(w, 1);
	const struct peer other = { .method = PEER_PSK, .id = "the other" };

	(void)state;
	first->nat.behind = NAT_THERE;
	for (size_t i = 0; i < 50; i++) {
		struct ike_sa *sa = ike_new(first->k, false, &first->local, IKE_PORT, &first->remote, IKE_PORT);
		sa->auth_set = first->auth_set;
		sa->ke_set = first->ke_set;
		sa->suite = first->suite;
		sa->nat.behind = NAT_THERE;
		sa->peer = peer_keep(&other);
		sa->state = IKE_ESTABLISHED;
		ike_join(sa, first->contact);
		ike_established(sa);
		assert_int_equal(first->state, IKE_ESTABLISHED);
	}
	keying_settle(w->hosts[1].keying);
	world_free(w);
}

/* ---- every exchange in every state ---------------------------------------------------------------------------------
 */

static const uint8_t exchanges[] = {
	0, 33, IKE_SA_INIT, IKE_AUTH, CREATE_CHILD_SA, INFORMATIONAL, 38, 43, 44, 200, 255
};

/* The whole of what has an effect; the rest is passed over. */
static const struct {
	enum ike_state state;
	uint8_t exchange;
	bool reply;
} taken[] = {
	{ IKE_I_INIT_SENT, IKE_SA_INIT, true },     { IKE_I_AUTH_SENT, IKE_AUTH, true },
	{ IKE_I_GSS_ASKED, IKE_AUTH, true },        { IKE_I_GSS_SHOWN, IKE_AUTH, true },
	{ IKE_R_GSS_NAMED, IKE_AUTH, false },       { IKE_R_GSS_NAMED, INFORMATIONAL, false },
	{ IKE_R_GSS_SHOWN, IKE_AUTH, false },       { IKE_R_GSS_SHOWN, INFORMATIONAL, false },
	{ IKE_R_INIT_SENT, IKE_AUTH, false },       { IKE_ESTABLISHED, CREATE_CHILD_SA, false },
	{ IKE_ESTABLISHED, CREATE_CHILD_SA, true }, { IKE_ESTABLISHED, INFORMATIONAL, false },
	{ IKE_ESTABLISHED, INFORMATIONAL, true },   { IKE_DELETING, CREATE_CHILD_SA, false },
	{ IKE_DELETING, CREATE_CHILD_SA, true },    { IKE_DELETING, INFORMATIONAL, false },
	{ IKE_DELETING, INFORMATIONAL, true },      { IKE_NEW_KEYED, CREATE_CHILD_SA, false },
	{ IKE_NEW_KEYED, INFORMATIONAL, false },
};

static enum season expected(enum ike_state state, uint8_t exchange, bool reply)
{
	for (size_t i = 0; i < ARRAY_LEN(taken); i++)
		if (taken[i].state == state && taken[i].exchange == exchange && taken[i].reply == reply)
			return SEASON_TAKEN;
	return (state == IKE_ESTABLISHED || state == IKE_NEW_KEYED) && !reply ? SEASON_REFUSED : SEASON_PASSED_OVER;
}

/* An empty message of host `from`, with the number that is due, under its keys. */
static void say(struct world *w, unsigned from, uint8_t exchange, bool reply)
{
	struct ike_sa *mine = sa_of(w, from), *theirs = sa_of(w, 1 - from);
	struct ike_header h = { .spi_i = mine->spi_i,
				.spi_r = mine->spi_r,
				.exchange = exchange,
				.flags = (uint8_t)((mine->initiator ? IKE_FLAG_INITIATOR : 0) |
						   (reply ? IKE_FLAG_RESPONSE : 0)),
				.id = reply ? theirs->request.id : theirs->receive_id };
	uint8_t buf[256];
	struct ike_writer out;

	ike_write_begin(&out, buf, sizeof buf, &h);
	size_t sk = ike_sk_begin(&out, &mine->out);
	assert_int_equal(ike_sk_end(&out, sk, &mine->out, NULL), 0);
	world_inject(w, 1 - from, buf, out.out.len);
}

/* One row: an SA that is up, put into the state, and the peer, who has the keys, says this. */
static void play(unsigned host, enum ike_state state, uint8_t exchange, bool reply)
{
	struct world *w = world_established(world_policy);
	struct ike_sa *sa = sa_of(w, host);
	enum season want = expected(state, exchange, reply);

	if (reply) { /* one of ours is out that this would answer */
		sa->request =
			(struct request){ .out = true, .id = sa->send_id, .tries = 1, .resend_ms = w->now_ms + 500 };
		if (state == IKE_ESTABLISHED || state == IKE_DELETING) {
			sa->request.task = mem_new(1, sizeof(struct task));
			sa->request.task->kind = exchange == CREATE_CHILD_SA ? TASK_CREATE_CHILD : TASK_LIVENESS;
		}
	}
	if (state < IKE_ESTABLISHED)
		sa->making = mem_new(1, sizeof *sa->making);
	sa->state = state;
	struct ike_sa before = *sa;
	uint64_t drops = all_drops(w, host);
	unsigned sent = w->ike_sent[host];
	say(w, 1 - host, exchange, reply);
	bool gone = sa_of(w, host) != sa;
	bool acted = gone || sa->receive_id != before.receive_id || sa->request.out != before.request.out;
	/* IKE_SA_INIT has no SPI of the responder's and no Encrypted payload: this one is never one */
	if (acted != (want != SEASON_PASSED_OVER && exchange != IKE_SA_INIT))
		fail_msg("host %u, %s: exchange %u, %s: %s", host, ike_state_name(state), exchange,
			 reply ? "a reply" : "a request", acted ? "acted upon" : "passed over");
	if (!acted && (sa->state != state || sa->heard_ms != before.heard_ms || all_drops(w, host) != drops + 1))
		fail_msg("host %u, %s: exchange %u, %s: passed over, but not without a trace", host,
			 ike_state_name(state), exchange, reply ? "a reply" : "a request");
	if (want == SEASON_REFUSED && exchange != IKE_SA_INIT && !gone)
		fail_msg("exchange %u did not end the SA", exchange);
	if (!gone) {
		sa->state = IKE_ESTABLISHED; /* for its end */
		exchange_done(sa);
	}
	world_run(w, w->now_ms);
	if (!acted)
		assert_int_equal(w->ike_sent[host], sent);
	world_free(w);
}

static void every_exchange_in_every_state_has_its_row(void **state)
{
	(void)state;
	for (int s = IKE_IDLE; s < IKE_DEAD; s++)
		for (unsigned n = 0; n < 256; n++)
			for (unsigned reply = 0; reply < 2; reply++)
				if (exchange_season((enum ike_state)s, (uint8_t)n, reply) !=
				    expected((enum ike_state)s, (uint8_t)n, reply))
					fail_msg("%s: exchange %u", ike_state_name((enum ike_state)s), n);
}

static void only_what_has_a_row_has_an_effect(void **state)
{
	(void)state;
	for (unsigned host = 0; host < 2; host++)
		for (int s = IKE_IDLE; s < IKE_DEAD; s++)
			for (size_t i = 0; i < ARRAY_LEN(exchanges); i++)
				for (unsigned reply = 0; reply < 2; reply++)
					play(host, (enum ike_state)s, exchanges[i], reply);
}

static void an_unknown_exchange_under_protection_is_refused_in_words(void **state)
{
	static const uint8_t unknown[] = { 38, 43, 44, 200 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
		struct world *w = world_established(world_policy);
		unsigned sent = w->ike_sent[1];
		say(w, 0, unknown[i], false);
		assert_int_equal(world_ikes(w, 1), 0);
		world_run(w, w->now_ms);
		assert_int_equal(w->ike_sent[1], sent + 1);
		assert_non_null(strstr(w->hosts[1].last_text[EVENT_MAIN_MODE_DOWN], "exchange type"));
		world_free(w);
	}
}

/* ---- the window ----------------------------------------------------------------------------------------------------
 */

static void message_ids_are_taken_in_their_order_and_once(void **state)
{
	struct world *w = world_established(world_policy);
	struct ike_sa *mine = sa_of(w, 0), *theirs = sa_of(w, 1);
	uint32_t due = theirs->receive_id;

	(void)state;
	for (int64_t offset = -4; offset <= 4; offset++) {
		struct ike_header h = { .spi_i = mine->spi_i,
					.spi_r = mine->spi_r,
					.exchange = INFORMATIONAL,
					.flags = IKE_FLAG_INITIATOR,
					.id = due + (uint32_t)offset };
		uint8_t buf[256];
		struct ike_writer out;
		if (offset == 0)
			continue;
		ike_write_begin(&out, buf, sizeof buf, &h);
		size_t sk = ike_sk_begin(&out, &mine->out);
		ike_put_delete_ike(&out);
		assert_int_equal(ike_sk_end(&out, sk, &mine->out, NULL), 0);
		world_inject(w, 1, buf, out.out.len);
		assert_int_equal(theirs->receive_id, due);
	}
	assert_int_equal(keying_dropped(w->hosts[1].keying, KEYING_DROP_MESSAGE_ID), 8);
	say(w, 0, INFORMATIONAL, false);
	assert_int_equal(theirs->receive_id, due + 1);
	world_free(w);
}

/* ---- IKE_SA_INIT ---------------------------------------------------------------------------------------------------
 */

static const char any_peer[] =
	"cordon: 1\nauthentication:\n  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n"
	"key-exchange:\n  default: { proposals: [aes256gcm-sha256-x25519] }\n"
	"connection-security:\n"
	"  - { name: all, endpoint1: [10.0.0.2], endpoint2: [any], mode: require, authentication: password }\n";

struct begin {
	uint64_t spi;
	struct addr remote;
	const uint8_t *cookie;
	size_t cookie_len;
	bool broken; /* a payload too long */
};

static size_t make_init(const struct begin *b, uint8_t *buf, size_t cap)
{
	static const uint8_t public[32] = { 9 }, nonce[32] = { 0 };
	struct ike_header h = { .spi_i = b->spi, .exchange = IKE_SA_INIT, .flags = IKE_FLAG_INITIATOR };
	struct ike_offer offer = { .count = 1 };
	struct ike_proposal *p = &offer.proposals[0];
	struct ike_writer out;

	*p = (struct ike_proposal){ .number = 1, .protocol = PROTO_IKE, .count = 3 };
	p->transforms[0] = (struct ike_transform){ .type = ALG_ENCR, .id = 20, .key_bits = 256 };
	p->transforms[1] = (struct ike_transform){ .type = ALG_PRF, .id = 5 };
	p->transforms[2] = (struct ike_transform){ .type = ALG_GROUP, .id = 31 };
	ike_write_begin(&out, buf, cap, &h);
	if (b->cookie_len)
		ike_put_notify(&out, N_COOKIE, b->cookie, b->cookie_len);
	ike_put_sa(&out, &offer);
	ike_put_ke(&out, 31, public, sizeof public);
	ike_put_nonce(&out, nonce, sizeof nonce);
	if (b->broken)
		wire_patch_u16(&out.out, IKE_HEADER + 2, 0xffff);
	ike_write_end(&out);
	return out.out.len;
}

static void give_init(struct world *w, const struct begin *b)
{
	uint8_t buf[1024];
	size_t len = make_init(b, buf, sizeof buf);

	keying_message(w->hosts[1].keying, &w->hosts[1].addr, 500, &b->remote, 500, buf, len, w->now_ms);
	world_run(w, w->now_ms);
}

static void one_request_repeated_without_end_is_answered_a_few_times(void **state)
{
	struct world *w = world_new(any_peer);
	struct begin b = { .spi = 7, .remote = addr_v4(10, 0, 0, 9) };

	(void)state;
	for (unsigned i = 0; i < 2000; i++) {
		give_init(w, &b);
		world_run(w, w->now_ms + 10);
	}
	assert_int_equal(w->ike_sent[1], 1 + INIT_REPEATS_MOST);
	assert_int_equal(keying_dropped(w->hosts[1].keying, KEYING_DROP_REPEATED), 1999 - INIT_REPEATS_MOST);
	world_free(w);
}

static void a_busy_address_must_show_a_cookie_and_others_need_not(void **state)
{
	struct world *w = world_new(any_peer);
	struct begin b = { .remote = addr_v4(10, 0, 0, 9) };

	(void)state;
	w->hosts[1].keying->config.half_open_cookie = 100000;
	for (unsigned i = 0; i < 1000; i++) {
		b.spi = 7 + i;
		give_init(w, &b);
	}
	assert_int_equal(sa_of(w, 1) ? w->hosts[1].keying->half_open_count : 0, 256);
	assert_int_equal(keying_dropped(w->hosts[1].keying, KEYING_DROP_COOKIE), 744);
	b.remote = addr_v4(10, 0, 0, 77);
	give_init(w, &b);
	assert_int_equal(w->hosts[1].keying->half_open_count, 257);
	world_free(w);
}

/* Cookies as a host that hears us would return them, from one address: so many, and no more. */
static void an_address_that_shows_cookies_may_still_not_ask_without_end(void **state)
{
	struct world *w = world_new(any_peer);
	struct keying *k = w->hosts[1].keying;
	struct begin b = { .spi = 7, .remote = addr_v4(10, 0, 0, 9) };
	uint8_t cookie[IKE_COOKIE_MOST], nonce[32] = { 0 };
	size_t len;

	(void)state;
	k->config.half_open_cookie = 0;
	give_init(w, &b); /* the secret is made */
	for (unsigned i = 0; i < 3000; i++) {
		b.spi = 7 + i;
		assert_int_equal(cookie_make(k, &b.remote, b.spi, (struct keying_octets){ nonce, sizeof nonce }, cookie,
					     &len, NULL),
				 0);
		b.cookie = cookie;
		b.cookie_len = len;
		give_init(w, &b);
	}
	assert_int_equal(keying_dropped(k, KEYING_DROP_RATE), 3000 - 1024);
	assert_int_equal(k->half_open_count, 1024);
	world_free(w);
}

static void malformed_requests_are_not_answered_without_end(void **state)
{
	struct world *w = world_new(any_peer);
	struct begin b = { .remote = addr_v4(10, 0, 0, 9), .broken = true };

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		b.spi = 7 + i;
		give_init(w, &b);
	}
	assert_int_equal(w->ike_sent[1], 256);
	assert_int_equal(keying_dropped(w->hosts[1].keying, KEYING_DROP_MALFORMED), 1000);
	world_free(w);
}

/* Somebody forges host 0's address, ten thousand times a second; host 0 wants to speak with us. */
static void forging_a_peers_address_does_not_silence_it(void **state)
{
	struct world *w = world_new(world_policy);
	struct begin b = { .remote = w->hosts[0].addr };

	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		b.spi = 7 + i;
		give_init(w, &b);
	}
	world_packet(w, 0, 6, 1, 1);
	for (unsigned ms = 0; ms < 400; ms++) {
		for (unsigned i = 0; i < 10; i++) {
			b.spi++;
			give_init(w, &b);
		}
		world_run(w, w->now_ms + 1);
	}
	assert_int_equal(world_children(w, 0), 1);
	assert_int_equal(world_children(w, 1), 1);
	world_free(w);
}

/* All the room is taken by hosts that hear us and do not go on: the oldest give way. */
static void a_full_house_still_lets_a_peer_in(void **state)
{
	struct world *w = world_new(any_peer);
	struct keying *k = w->hosts[1].keying;

	(void)state;
	k->config.half_open_cookie = 100000;
	k->config.half_open_most = 512;
	for (unsigned i = 0; i < 600; i++)
		give_init(w, &(struct begin){ .spi = 7 + i, .remote = addr_v4(10, 1, (uint8_t)(i >> 8), (uint8_t)i) });
	assert_int_equal(k->half_open_count, 512);
	assert_true(keying_dropped(k, KEYING_DROP_HALF_OPEN) >= 80);
	world_packet(w, 0, 6, 1, 1);
	world_run(w, w->now_ms + HALF_OPEN_LEAST_MS + 2500);
	assert_int_equal(world_children(w, 1), 1);
	assert_true(k->half_open_count <= 512);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_peer_has_so_many_main_modes_and_the_newest_stays),
		cmocka_unit_test(main_modes_without_end_cost_nobody_else_his),
		cmocka_unit_test(every_exchange_in_every_state_has_its_row),
		cmocka_unit_test(only_what_has_a_row_has_an_effect),
		cmocka_unit_test(an_unknown_exchange_under_protection_is_refused_in_words),
		cmocka_unit_test(message_ids_are_taken_in_their_order_and_once),
		cmocka_unit_test(one_request_repeated_without_end_is_answered_a_few_times),
		cmocka_unit_test(a_busy_address_must_show_a_cookie_and_others_need_not),
		cmocka_unit_test(an_address_that_shows_cookies_may_still_not_ask_without_end),
		cmocka_unit_test(malformed_requests_are_not_answered_without_end),
		cmocka_unit_test(forging_a_peers_address_does_not_silence_it),
		cmocka_unit_test(a_full_house_still_lets_a_peer_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
