/* Messages that an honest engine never sends: strangers without keys, and peers with them. */
#include "tests/replay/world.h"
#include "tests/unit/unit.h"

#include "keying/engine.h"

#include <stdlib.h>
#include <string.h>

/* What host 0 would say, in the words of the test; sealed with host 0's keys as host 0's next request. */
struct forgery {
	struct ike_writer w;
	struct ike_sa *sa;
	size_t sk;
};

static struct ike_sa *sa_of(struct world *w, unsigned host)
{
	return TAILQ_FIRST(&w->hosts[host].keying->ikes);
}

static struct forgery begin(struct world *w, enum ike_exchange exchange)
{
	struct forgery f = { .sa = sa_of(w, 0) };

	assert_non_null(f.sa);
	exchange_begin_message(f.sa, &f.w, exchange, false, &f.sk);
	return f;
}

/* Seal and deliver it; the answer goes to the engine of host 0, which waits for none. */
static void deliver(struct world *w, struct forgery *f)
{
	uint8_t copy[4096];

	assert_int_equal(exchange_end_message(f->sa, &f->w, f->sk, NULL), 0);
	assert_true(f->w.out.len <= sizeof copy);
	memcpy(copy, f->w.out.buf, f->w.out.len);
	world_inject(w, 1, copy, f->w.out.len);
	f->sa->send_id++;
	world_run(w, w->now_ms);
}

/* The last reply of host 1, opened with host 0's keys. */
static void open_reply(struct world *w, enum ike_message_kind kind, struct ike_msg *m)
{
	static uint8_t copy[4096];
	const struct owned *o = &sa_of(w, 1)->last_reply;
	struct wire_in inner;
	uint8_t first;

	assert_true(o->len > 0 && o->len <= sizeof copy);
	memcpy(copy, o->at, o->len);
	assert_int_equal(ike_sk_open(&sa_of(w, 0)->in, copy, o->len, &inner, &first, NULL), 0);
	*m = (struct ike_msg){ 0 };
	assert_int_equal(ike_decode_payloads(&inner, kind, first, m, NULL), 0);
}

/* Host 0 has the keys, host 1 waits for IKE_AUTH. */
static struct world *unproven(void)
{
	struct world *w = world_new(world_policy);

	w->job_ms = 1;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 1005);
	assert_int_equal(sa_of(w, 0)->state, IKE_I_SIGN);
	assert_int_equal(sa_of(w, 1)->state, IKE_R_INIT_SENT);
	sa_of(w, 0)->send_id = 1;
	return w;
}

static void put_child(struct forgery *f, const struct protection_set *set, uint32_t spi, bool transport)
{
	static const uint8_t nonce[32] = { 1 };
	struct ike_offer offer;

	if (transport)
		ike_put_notify(&f->w, N_USE_TRANSPORT_MODE, NULL, 0);
	proposal_offer_child(set, spi, true, &offer);
	ike_put_sa(&f->w, &offer);
	ike_put_nonce(&f->w, nonce, sizeof nonce);
}

static void put_ts(struct forgery *f, enum ike_payload type, uint8_t host, uint8_t protocol, uint16_t lo, uint16_t hi)
{
	struct ike_ts ts = { .protocol = protocol, .port_lo = lo, .port_hi = hi };

	ts.range.lo = ts.range.hi = addr_v4(10, 0, 0, host);
	ike_put_ts(&f->w, type, &ts);
}

static const struct protection_set *protection(struct world *w)
{
	const struct protection_set *sets;

	assert_true(policy_protection_sets(plan_policy(w->hosts[0].plan), &sets) > 0);
	return sets;
}

static void nothing_but_ike_auth_counts_before_the_proof(void **state)
{
	static const enum ike_exchange exchanges[] = { CREATE_CHILD_SA, INFORMATIONAL };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(exchanges); i++) {
		struct world *w = unproven();
		struct forgery f = begin(w, exchanges[i]);
		if (exchanges[i] == CREATE_CHILD_SA) {
			put_child(&f, protection(w), 0x5555, true);
			put_ts(&f, PL_TSI, 1, 0, 0, 65535);
			put_ts(&f, PL_TSR, 2, 0, 0, 65535);
		} else {
			ike_put_delete_ike(&f.w);
		}
		deliver(w, &f);
		assert_int_equal(sa_of(w, 1)->state, IKE_R_INIT_SENT);
		assert_int_equal(w->hosts[1].spis_reserved, 0);
		sa_of(w, 0)->send_id = 1;
		world_run(w, 5000); /* and the honest IKE_AUTH is taken all the same */
		world_expect_one(w, 1);
		world_free(w);
	}
}

static void ike_auth_without_proof_is_refused(void **state)
{
	struct world *w = unproven();
	static struct keying_failure failure;
	struct forgery f = begin(w, IKE_AUTH);

	(void)state;
	ike_put_id(&f.w, PL_IDI, ID_IPV4_ADDR, "\x0a\0\0\1", 4);
	put_child(&f, protection(w), 0x5555, true);
	put_ts(&f, PL_TSI, 1, 0, 0, 65535);
	put_ts(&f, PL_TSR, 2, 0, 0, 65535);
	deliver(w, &f);
	assert_int_equal(world_ikes(w, 1), 0);
	assert_int_equal(w->hosts[1].spis_reserved, 0);
	assert_non_null(strstr(w->hosts[1].last_text[EVENT_MAIN_MODE_FAILED], "it wants EAP"));
	assert_int_equal(keying_failures(w->hosts[1].keying, &failure, 1), 1);
	assert_true(failure.stranger);
	world_free(w);
}

static void put_wrong_proof(struct forgery *f, struct world *w)
{
	ike_put_id(&f->w, PL_IDI, ID_IPV4_ADDR, "\x0a\0\0\1", 4);
	ike_put_auth(&f->w, 2, "0123456789abcdef0123456789abcdef", 32);
	put_child(f, protection(w), 0x5555, true);
	put_ts(f, PL_TSI, 1, 0, 0, 65535);
	put_ts(f, PL_TSR, 2, 0, 0, 65535);
}

/* Else a key exchange would buy as many guesses as fit into its time. */
static void after_a_refused_proof_nothing_more_is_taken(void **state)
{
	static const uint32_t ids[] = { 2, 0, UINT32_MAX };
	struct world *w = unproven();
	struct forgery f = begin(w, IKE_AUTH);

	(void)state;
	w->wire = world_drop;
	put_wrong_proof(&f, w);
	deliver(w, &f);
	world_run(w, w->now_ms + 5);
	assert_int_equal(w->hosts[1].events[EVENT_MAIN_MODE_FAILED], 1);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		unsigned sent = w->ike_sent[1];
		sa_of(w, 0)->send_id = ids[i];
		f = begin(w, IKE_AUTH);
		put_wrong_proof(&f, w);
		deliver(w, &f);
		world_run(w, w->now_ms + 5);
		assert_int_equal(sa_of(w, 1)->state, IKE_R_INIT_SENT);
		assert_int_equal(w->ike_sent[1], sent);
		assert_int_equal(keying_dropped(w->hosts[1].keying, KEYING_DROP_MESSAGE_ID), i + 1);
	}
	world_free(w);
}

static void put_unknown(struct forgery *f)
{
	size_t at = ike_payload_begin(&f->w, (enum ike_payload)200);

	ike_payload_end(&f->w, at);
	f->w.out.buf[at + 1] = 0x80; /* critical */
}

static void an_unknown_critical_payload_is_named(void **state)
{
	struct world *w = world_established(world_policy);
	struct forgery f = begin(w, INFORMATIONAL);
	static struct ike_msg m;

	(void)state;
	put_unknown(&f);
	deliver(w, &f);
	open_reply(w, MSG_INFORMATIONAL, &m);
	assert_int_equal(m.notify_count, 1);
	assert_int_equal(m.notifies[0].type, N_UNSUPPORTED_CRITICAL_PAYLOAD);
	assert_int_equal(m.notifies[0].data.at[0], 200);
	world_expect_one(w, 1);
	world_free(w);
}

/* Taken at its word it would have us prove ourselves anew as fast as the two can. */
static void a_lifetime_of_nothing_is_not_believed(void **state)
{
	struct world *w = world_established(world_policy);
	struct forgery f = begin(w, INFORMATIONAL);

	(void)state;
	ike_put_notify(&f.w, N_AUTH_LIFETIME, "\0\0\0\0", 4);
	deliver(w, &f);
	world_run(w, w->now_ms + 2000);
	assert_int_equal(w->hosts[1].events[EVENT_MAIN_MODE_UP], 1);
	world_expect_one(w, 1);
	world_run(w, w->now_ms + 10000);
	assert_int_equal(w->hosts[1].events[EVENT_MAIN_MODE_UP], 2);
	world_expect_one(w, 1);
	world_free(w);
}

static void nonsense_under_protection_ends_the_sa(void **state)
{
	struct world *w = world_established(world_policy);
	struct forgery f = begin(w, INFORMATIONAL);

	(void)state;
	size_t at = ike_payload_begin(&f.w, PL_DELETE);
	wire_put_u32(&f.w.out, 0x0304ffff);
	ike_payload_end(&f.w, at);
	deliver(w, &f);
	assert_int_equal(world_ikes(w, 1), 0);
	assert_int_equal(world_sas(w, 1, true), 0);
	world_free(w);
}

static void requests_outside_the_window_are_passed_over(void **state)
{
	static const int ids[] = { -3, -2, 1, 2, 1000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		struct world *w = world_established(world_policy);
		unsigned sent = w->ike_sent[1];
		sa_of(w, 0)->send_id += (uint32_t)ids[i];
		struct forgery f = begin(w, INFORMATIONAL);
		ike_put_delete_ike(&f.w);
		deliver(w, &f);
		assert_int_equal(world_ikes(w, 1), 1);
		assert_int_equal(w->ike_sent[1], sent);
		world_free(w);
	}
}

static void ike_auth_a_second_time_is_refused_and_ends_the_sa(void **state)
{
	struct world *w = world_established(world_policy);
	struct forgery f = begin(w, IKE_AUTH);
	unsigned sent = w->ike_sent[1];

	(void)state;
	ike_put_id(&f.w, PL_IDI, ID_IPV4_ADDR, "\x0a\0\0\1", 4);
	ike_put_auth(&f.w, 2, "0123456789abcdef0123456789abcdef", 32);
	deliver(w, &f);
	assert_int_equal(w->ike_sent[1], sent + 1);
	assert_int_equal(world_ikes(w, 1), 0);
	assert_int_equal(w->hosts[1].events[EVENT_MAIN_MODE_UP], 1);
	world_free(w);
}

/* CREATE_CHILD_SA of a peer that is not like us. */
static const char two_rules[] =
	"cordon: 1\nauthentication:\n  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n"
	"key-exchange:\n  default: { proposals: [aes256gcm-sha256-x25519] }\n"
	"protection:\n  default: { proposals: [esp-aes256gcm] }\n  pfs: { proposals: [esp-aes256gcm-x25519] }\n"
	"connection-security:\n"
	"  - { name: web, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], protocol: tcp, port2: 80, mode: require,\n"
	"      authentication: password, protection: pfs }\n"
	"  - { name: mail, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], protocol: tcp, port2: 25, mode: require,\n"
	"      authentication: password }\n"
	"  - { name: gre, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], protocol: gre, mode: block }\n"
	"  - { name: rest, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require, authentication: password }\n";

static void wider_requests_are_narrowed_to_a_rule(void **state)
{
	static const struct {
		const char *what;
		uint8_t protocol;
		uint16_t lo, hi;
		uint16_t notify;
		uint8_t got_protocol;
		uint16_t got_lo, got_hi;
		bool more;
	} rows[] = {
		{ "exactly a rule", 6, 25, 25, 0, 6, 25, 25, false },
		{ "exactly the wide rule, and others within", 0, 0, 65535, 0, 0, 0, 65535, false },
		{ "ports around one rule", 6, 20, 30, 0, 6, 25, 25, true },
		{ "within the wide rule only", 17, 53, 53, 0, 17, 53, 53, false },
		{ "part of a range", 6, 26, 79, 0, 6, 26, 79, false },
		{ "what another rule blocks", 47, 0, 65535, N_TS_UNACCEPTABLE, 0, 0, 0, false },
		{ "opaque ports", 6, 65535, 0, N_TS_UNACCEPTABLE, 0, 0, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world *w = world_established(two_rules);
		struct forgery f = begin(w, CREATE_CHILD_SA);
		static struct ike_msg m;
		put_child(&f, protection(w), 0x5555, true);
		put_ts(&f, PL_TSI, 1, rows[i].protocol, 0, 65535);
		put_ts(&f, PL_TSR, 2, rows[i].protocol, rows[i].lo, rows[i].hi);
		deliver(w, &f);
		open_reply(w, MSG_CHILD_REPLY, &m);
		const struct ike_notification *error = ike_find_error(&m);
		if ((error ? error->type : 0) != rows[i].notify)
			fail_msg("%s: %u", rows[i].what, error ? error->type : 0);
		if (!rows[i].notify) {
			assert_int_equal(m.ts_r.at[0].protocol, rows[i].got_protocol);
			assert_int_equal(m.ts_r.at[0].port_lo, rows[i].got_lo);
			assert_int_equal(m.ts_r.at[0].port_hi, rows[i].got_hi);
			assert_non_null(ike_find_notify(&m, N_USE_TRANSPORT_MODE));
			/* what the request asks for beyond the answer another CHILD SA would give */
			assert_int_equal(ike_find_notify(&m, N_ADDITIONAL_TS_POSSIBLE) != NULL, rows[i].more);
		}
		world_free(w);
	}
}

static void put_two_ts(struct forgery *f, enum ike_payload type, uint8_t host, uint8_t protocol, uint16_t port)
{
	size_t at = ike_payload_begin(&f->w, type);

	wire_put_u32(&f->w.out, 2u << 24);
	for (unsigned i = 0; i < 2; i++) {
		wire_put_u8(&f->w.out, TS_IPV4_ADDR_RANGE);
		wire_put_u8(&f->w.out, i ? 0 : protocol);
		wire_put_u16(&f->w.out, 16);
		wire_put_u16(&f->w.out, i ? 0 : port);
		wire_put_u16(&f->w.out, i ? 65535 : port);
		for (unsigned end = 0; end < 2; end++)
			wire_put(&f->w.out, (uint8_t[]){ 10, 0, 0, host }, 4);
	}
	ike_payload_end(&f->w, at);
}

static void a_packet_named_first_decides_the_rule(void **state)
{
	struct world *w = world_established(two_rules);
	struct forgery f = begin(w, CREATE_CHILD_SA);
	static struct ike_msg m;

	(void)state;
	put_child(&f, protection(w), 0x5555, true);
	put_two_ts(&f, PL_TSI, 1, 6, 40000);
	put_two_ts(&f, PL_TSR, 2, 6, 25);
	deliver(w, &f);
	open_reply(w, MSG_CHILD_REPLY, &m);
	assert_null(ike_find_error(&m));
	assert_int_equal(m.ts_r.at[0].port_lo, 25);
	assert_int_equal(m.ts_i.at[0].port_hi, 65535);
	world_free(w);
}

/* A peer whose own rule is narrower asks for less than ours; its packets and ours fit the same CHILD SA, and what it
 * did not ask for gets another. */
static void a_rekey_keeps_what_the_old_one_carried(void **state)
{
	struct world *w = world_established(two_rules);
	static struct ike_msg m;
	uint32_t spi = 0x5555;

	(void)state;
	for (unsigned turn = 0; turn < 3; turn++) {
		struct forgery f = begin(w, CREATE_CHILD_SA);
		if (turn)
			ike_put_notify_spi(&f.w, N_REKEY_SA, PROTO_ESP, spi++);
		put_child(&f, protection(w), spi, true);
		put_ts(&f, PL_TSI, 1, turn == 2 ? 0 : 17, 0, 65535);
		put_ts(&f, PL_TSR, 2, turn == 2 ? 0 : 17, turn == 2 ? 0 : 53, turn == 2 ? 65535 : 53);
		deliver(w, &f);
		open_reply(w, MSG_CHILD_REPLY, &m);
		assert_null(ike_find_error(&m));
		assert_int_equal(m.ts_r.at[0].protocol, turn == 2 ? 0 : 17);
		assert_int_equal(m.ts_r.at[0].port_lo, turn == 2 ? 0 : 53);
		world_run(w, w->now_ms + 15000);
	}
	world_free(w);
}

static void other_addresses_are_not_for_us(void **state)
{
	struct world *w = world_established(two_rules);
	struct forgery f = begin(w, CREATE_CHILD_SA);
	static struct ike_msg m;

	(void)state;
	put_child(&f, protection(w), 0x5555, true);
	put_ts(&f, PL_TSI, 7, 0, 0, 65535);
	put_ts(&f, PL_TSR, 2, 0, 0, 65535);
	deliver(w, &f);
	open_reply(w, MSG_CHILD_REPLY, &m);
	assert_non_null(ike_find_notify(&m, N_TS_UNACCEPTABLE));
	world_free(w);
}

static void tunnel_mode_is_refused_in_words(void **state)
{
	struct world *w = world_established(two_rules);
	struct forgery f = begin(w, CREATE_CHILD_SA);
	static struct ike_msg m;

	(void)state;
	put_child(&f, protection(w), 0x5555, false);
	put_ts(&f, PL_TSI, 1, 6, 0, 65535);
	put_ts(&f, PL_TSR, 2, 6, 25, 25);
	deliver(w, &f);
	open_reply(w, MSG_CHILD_REPLY, &m);
	assert_non_null(ike_find_notify(&m, N_NO_PROPOSAL_CHOSEN));
	assert_non_null(strstr(w->hosts[1].last_text[EVENT_QUICK_MODE_FAILED], "tunnel mode"));
	world_free(w);
}

static void key_exchange_values_of_wrong_length_or_group_are_not_computed_with(void **state)
{
	static const struct {
		uint16_t group;
		size_t len; /* 0: no KE payload */
		uint16_t notify;
	} rows[] = { { 31, 31, N_INVALID_KE_PAYLOAD },   { 31, 33, N_INVALID_KE_PAYLOAD },
		     { 31, 1000, N_INVALID_KE_PAYLOAD }, { 20, 96, N_INVALID_KE_PAYLOAD },
		     { 0, 0, N_INVALID_KE_PAYLOAD },     { 31, 32, 0 } };
	static const uint8_t value[1000] = { 9 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world *w = world_established(two_rules);
		struct forgery f = begin(w, CREATE_CHILD_SA);
		const struct protection_set *sets;
		static struct ike_msg m;
		size_t n = policy_protection_sets(plan_policy(w->hosts[0].plan), &sets);
		for (; n > 1 && strcmp(sets->name, "pfs") != 0; n--)
			sets++;
		put_child(&f, sets, 0x5555, true);
		if (rows[i].len)
			ike_put_ke(&f.w, rows[i].group, value, rows[i].len);
		put_ts(&f, PL_TSI, 1, 6, 0, 65535);
		put_ts(&f, PL_TSR, 2, 6, 80, 80);
		deliver(w, &f);
		open_reply(w, MSG_CHILD_REPLY, &m);
		const struct ike_notification *error = ike_find_error(&m);
		assert_int_equal(error ? error->type : 0, rows[i].notify);
		if (error) {
			assert_int_equal(error->data.len, 2);
			assert_int_equal(error->data.at[1], 31);
		}
		world_free(w);
	}
}

/* The point at infinity of Curve25519: the secret would be all zeroes. */
static void a_key_exchange_value_that_gives_zeroes_is_refused(void **state)
{
	struct world *w = world_established(two_rules);
	struct forgery f = begin(w, CREATE_CHILD_SA);
	const struct protection_set *sets;
	static const uint8_t zero[32];
	static struct ike_msg m;

	(void)state;
	size_t n = policy_protection_sets(plan_policy(w->hosts[0].plan), &sets);
	for (; n > 1 && strcmp(sets->name, "pfs") != 0; n--)
		sets++;
	put_child(&f, sets, 0x5555, true);
	ike_put_ke(&f.w, 31, zero, sizeof zero);
	put_ts(&f, PL_TSI, 1, 6, 0, 65535);
	put_ts(&f, PL_TSR, 2, 6, 80, 80);
	deliver(w, &f);
	open_reply(w, MSG_CHILD_REPLY, &m);
	assert_non_null(ike_find_error(&m));
	world_free(w);
}

static void a_rekey_of_what_is_not_there_is_told(void **state)
{
	struct world *w = world_established(two_rules);
	struct forgery f = begin(w, CREATE_CHILD_SA);
	static struct ike_msg m;

	(void)state;
	ike_put_notify_spi(&f.w, N_REKEY_SA, PROTO_ESP, 0xdeadbeef);
	put_child(&f, protection(w), 0x5555, true);
	put_ts(&f, PL_TSI, 1, 0, 0, 65535);
	put_ts(&f, PL_TSR, 2, 0, 0, 65535);
	deliver(w, &f);
	open_reply(w, MSG_CHILD_REPLY, &m);
	assert_non_null(ike_find_notify(&m, N_CHILD_SA_NOT_FOUND));
	assert_int_equal(ike_find_notify(&m, N_CHILD_SA_NOT_FOUND)->spi, 0xdeadbeef);
	world_free(w);
}

/* ---- strangers --------------------------------------------------------------------------------------------------- */

static void unprotected_refusals_are_hints(void **state)
{
	static const uint16_t notifies[] = { N_NO_PROPOSAL_CHOSEN, N_INVALID_SYNTAX, N_AUTHENTICATION_FAILED,
					     N_INVALID_MAJOR_VERSION, N_INVALID_KE_PAYLOAD };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(notifies); i++) {
		struct world *w = world_new(world_policy);
		uint8_t buf[128];
		struct ike_writer out;
		w->latency_ms = 50;
		world_packet(w, 0, 6, 1, 1);
		world_run(w, 1010); /* the request is on its way; somebody is quicker than the peer */
		struct ike_header h = { .spi_i = sa_of(w, 0)->spi_i,
					.exchange = IKE_SA_INIT,
					.flags = IKE_FLAG_RESPONSE };
		ike_write_begin(&out, buf, sizeof buf, &h);
		ike_put_notify(&out, notifies[i], "\0\1", notifies[i] == N_INVALID_KE_PAYLOAD ? 2 : 0);
		ike_write_end(&out);
		world_inject(w, 0, buf, out.out.len);
		world_run(w, 5000);
		world_expect_one(w, 1);
		assert_int_equal(w->hosts[0].events[EVENT_MAIN_MODE_FAILED], 0);
		world_free(w);
	}
}

static void unprotected_messages_do_not_touch_an_sa(void **state)
{
	static const struct {
		uint8_t exchange, flags;
	} rows[] = { { INFORMATIONAL, 0 },
		     { INFORMATIONAL, IKE_FLAG_RESPONSE },
		     { IKE_AUTH, IKE_FLAG_INITIATOR },
		     { CREATE_CHILD_SA, IKE_FLAG_INITIATOR },
		     { INFORMATIONAL, IKE_FLAG_INITIATOR },
		     { 77, IKE_FLAG_INITIATOR } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (unsigned to = 0; to < 2; to++)
			for (uint32_t id = 0; id < 4; id++) {
				struct world *w = world_established(world_policy);
				uint8_t buf[128];
				struct ike_writer out;
				const struct ike_sa *sa = sa_of(w, to);
				struct ike_header h = { .spi_i = sa->spi_i,
							.spi_r = sa->spi_r,
							.exchange = rows[i].exchange,
							.flags = rows[i].flags,
							.id = id };
				ike_write_begin(&out, buf, sizeof buf, &h);
				ike_put_delete_ike(&out);
				ike_write_end(&out);
				world_inject(w, to, buf, out.out.len);
				world_run(w, w->now_ms + 100);
				world_expect_one(w, 1);
				world_free(w);
			}
}

/* A hint that the peer has lost the SA makes us ask, once, and believe the protected answer. */
static void invalid_ike_spi_makes_us_ask(void **state)
{
	struct world *w = world_established(world_policy);
	uint8_t buf[128];
	struct ike_writer out;
	const struct ike_sa *sa = sa_of(w, 0);
	struct ike_header h = {
		.spi_i = sa->spi_i, .spi_r = sa->spi_r, .exchange = INFORMATIONAL, .flags = IKE_FLAG_RESPONSE
	};
	unsigned sent = w->ike_sent[0];

	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		ike_write_begin(&out, buf, sizeof buf, &h);
		ike_put_notify(&out, N_INVALID_IKE_SPI, NULL, 0);
		ike_write_end(&out);
		world_inject(w, 0, buf, out.out.len);
	}
	world_run(w, w->now_ms + 500);
	assert_int_equal(w->ike_sent[0], sent + 1);
	world_expect_one(w, 1);
	world_free(w);
}

static void another_major_version_is_told_ours(void **state)
{
	struct world *w = world_new(world_policy);
	uint8_t buf[64];
	struct ike_writer out;
	struct ike_header h = { .spi_i = 7, .exchange = IKE_SA_INIT, .flags = IKE_FLAG_INITIATOR, .version = 0x30 };

	(void)state;
	ike_write_begin(&out, buf, sizeof buf, &h);
	ike_write_end(&out);
	world_inject(w, 1, buf, out.out.len);
	world_run(w, w->now_ms + 10);
	assert_int_equal(w->ike_sent[1], 1);
	buf[17] = 0x10; /* IKEv1 is not our matter */
	world_inject(w, 1, buf, out.out.len);
	world_run(w, w->now_ms + 2000);
	assert_int_equal(w->ike_sent[1], 1);
	world_free(w);
}

/* Every octet of every exchange: a wrong one is as if the message had not come. */
struct damage {
	unsigned skip;
	size_t octet;
	bool done;
};

static unsigned damage(struct world *w, struct datagram *d)
{
	struct damage *x = w->context;

	if (d->esp || x->done)
		return 1;
	if (x->skip) {
		x->skip--;
		return 1;
	}
	x->done = true;
	d->octets[x->octet % d->len] ^= 0x20;
	return 1;
}

static void damage_in_any_exchange_is_survived(void **state)
{
	(void)state;
	for (unsigned skip = 0; skip < 4; skip++) /* CREATE_CHILD_SA and its reply, INFORMATIONAL and its reply */
		for (size_t octet = 0; octet < 320; octet += 5) {
			struct world *w = world_established(world_policy);
			struct damage x = { .skip = skip, .octet = octet };
			struct keying_child_row row;
			w->wire = damage;
			w->context = &x;
			assert_int_equal(keying_child_rows(w->hosts[0].keying, &row, 1), 1);
			struct sad_event e = { .kind = SAD_EXPIRE_SOFT, .pair = row.pair };
			world_sad_event(w, 0, &e);
			world_run(w, 15000);
			assert_true(x.done);
			world_expect_one(w, 1);
			assert_int_equal(w->hosts[0].events[EVENT_QUICK_MODE_UP], 2);
			world_free(w);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_but_ike_auth_counts_before_the_proof),
		cmocka_unit_test(ike_auth_without_proof_is_refused),
		cmocka_unit_test(after_a_refused_proof_nothing_more_is_taken),
		cmocka_unit_test(an_unknown_critical_payload_is_named),
		cmocka_unit_test(a_lifetime_of_nothing_is_not_believed),
		cmocka_unit_test(nonsense_under_protection_ends_the_sa),
		cmocka_unit_test(requests_outside_the_window_are_passed_over),
		cmocka_unit_test(ike_auth_a_second_time_is_refused_and_ends_the_sa),
		cmocka_unit_test(wider_requests_are_narrowed_to_a_rule),
		cmocka_unit_test(a_packet_named_first_decides_the_rule),
		cmocka_unit_test(a_rekey_keeps_what_the_old_one_carried),
		cmocka_unit_test(other_addresses_are_not_for_us),
		cmocka_unit_test(tunnel_mode_is_refused_in_words),
		cmocka_unit_test(key_exchange_values_of_wrong_length_or_group_are_not_computed_with),
		cmocka_unit_test(a_key_exchange_value_that_gives_zeroes_is_refused),
		cmocka_unit_test(a_rekey_of_what_is_not_there_is_told),
		cmocka_unit_test(unprotected_refusals_are_hints),
		cmocka_unit_test(unprotected_messages_do_not_touch_an_sa),
		cmocka_unit_test(invalid_ike_spi_makes_us_ask),
		cmocka_unit_test(another_major_version_is_told_ours),
		cmocka_unit_test(damage_in_any_exchange_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
