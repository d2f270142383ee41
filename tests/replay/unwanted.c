/* What peers ask for and Cordon does not do: refused in words, or passed over. And IKE SAs without a CHILD SA. */
#include "tests/replay/tamper.h"
#include "tests/unit/unit.h"

#include <string.h>

/* One packet of host 0, with this change on the wire. */
static struct world *play(struct tamper *t)
{
	struct world *w = world_new(world_policy);

	w->wire = tamper_wire;
	w->context = t;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 4500);
	assert_true(t->changed > 0);
	return w;
}

static void expect_failure(const struct world *w, unsigned host, enum failure_code code, enum failure_side by,
			   const char *words)
{
	struct keying_failure f = { 0 };

	assert_int_equal(keying_failures(w->hosts[host].keying, &f, 1), 1);
	if (f.code != code || f.by != by || !strstr(f.text, words))
		fail_msg("host %u: %s by %s: \"%s\" does not say \"%s\"", host, failure_name(f.code),
			 failure_side_name(f.by), f.text, words);
}

static void add_payload(struct ike_writer *w, const struct tamper *t)
{
	size_t at = ike_payload_begin(w, (enum ike_payload)t->notify);

	wire_put(&w->out, t->data, t->len);
	ike_payload_end(w, at);
}

static void eap_is_refused(void **state)
{
	struct tamper request = { .exchange = IKE_AUTH, .gone = { PL_AUTH } };
	struct tamper reply = { .from = 1,
				.exchange = IKE_AUTH,
				.reply = true,
				.add = add_payload,
				.notify = PL_EAP,
				.data = "\1\0\0\5\1",
				.len = 5 };
	struct tamper instead = reply;
	struct world *w;

	(void)state;
	w = play(&request);
	expect_failure(w, 1, FAILURE_EAP, SIDE_HERE, "it wants EAP");
	expect_failure(w, 0, FAILURE_NOT_ACCEPTED, SIDE_PEER, "AUTHENTICATION_FAILED");
	assert_int_equal(world_ikes(w, 0) + world_ikes(w, 1), 0);
	assert_int_equal(w->hosts[1].spis_reserved, w->hosts[1].spis_released);
	world_free(w);
	w = play(&reply);
	expect_failure(w, 0, FAILURE_EAP, SIDE_HERE, "it wants EAP");
	assert_int_equal(world_ikes(w, 0) + world_ikes(w, 1), 0);
	world_free(w);
	instead.gone[0] = PL_AUTH;
	w = play(&instead);
	expect_failure(w, 0, FAILURE_EAP, SIDE_HERE, "makes no sense");
	world_free(w);
}

static void a_second_authentication_is_refused(void **state)
{
	struct tamper request = { .exchange = IKE_AUTH, .add = tamper_notify, .notify = N_ANOTHER_AUTH_FOLLOWS };
	struct tamper reply = request;
	struct world *w = play(&request);

	(void)state;
	expect_failure(w, 1, FAILURE_MULTIPLE_AUTH, SIDE_HERE, "second authentication");
	expect_failure(w, 0, FAILURE_NOT_ACCEPTED, SIDE_PEER, "AUTHENTICATION_FAILED");
	world_free(w);
	reply.from = 1;
	reply.reply = true;
	reply.changed = 0;
	w = play(&reply);
	expect_failure(w, 0, FAILURE_MULTIPLE_AUTH, SIDE_HERE, "second authentication");
	expect_failure(w, 1, FAILURE_NOT_ACCEPTED, SIDE_PEER, "AUTHENTICATION_FAILED");
	assert_int_equal(world_ikes(w, 0) + world_ikes(w, 1), 0);
	world_free(w);
}

static void certificates_by_url_are_refused(void **state)
{
	static const char url[] = "\x0c"
				  "01234567890123456789http://10.0.0.9/me.cer";
	struct tamper t = {
		.exchange = IKE_AUTH, .add = add_payload, .notify = PL_CERT, .data = url, .len = sizeof url - 1
	};
	struct tamper bundle = t;
	struct world *w = play(&t);

	(void)state;
	expect_failure(w, 1, FAILURE_HASH_AND_URL, SIDE_HERE, "we fetch nothing on behalf of a stranger");
	expect_failure(w, 0, FAILURE_NOT_ACCEPTED, SIDE_PEER, "AUTHENTICATION_FAILED");
	world_free(w);
	bundle.data = "\x0d"
		      "01234567890123456789http://10.0.0.9/all";
	bundle.len = 40;
	bundle.changed = 0;
	w = play(&bundle);
	expect_failure(w, 1, FAILURE_HASH_AND_URL, SIDE_HERE, "URL");
	world_free(w);
}

static void a_wish_for_an_internal_address_fails_quick_mode_only(void **state)
{
	static const char *const wishes[] = { "\1\0\0\0\0\1\0\0", "\1\0\0\0\0\3\0\0\0\x8\0\0" };
	static const size_t lens[] = { 8, 12 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct tamper t = {
			.exchange = IKE_AUTH, .add = add_payload, .notify = PL_CP, .data = wishes[i], .len = lens[i]
		};
		struct world *w = play(&t);
		expect_failure(w, 1, FAILURE_ADDRESS_REQUEST, SIDE_HERE, "it asks for an internal address");
		expect_failure(w, 0, FAILURE_ADDRESS_REQUEST, SIDE_PEER, "INTERNAL_ADDRESS_FAILURE");
		assert_int_equal(world_ikes(w, 0), 1);
		assert_int_equal(world_ikes(w, 1), 1);
		assert_int_equal(world_children(w, 1), 0);
		world_free(w);
	}
}

static void malformed_wishes_are_invalid(void **state)
{
	static const struct {
		uint8_t type;
		const char *data;
		size_t len;
	} rows[] = {
		{ PL_CP, "\1\0\0", 3 },
		{ PL_CP, "\1\0\0\0\0\1\0\4\1\2", 10 },
		{ PL_CP, "\1\0\0\0\0", 5 },
		{ PL_EAP, "\1\2\0", 3 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct tamper t = { .exchange = IKE_AUTH,
				    .add = add_payload,
				    .notify = rows[i].type,
				    .data = rows[i].data,
				    .len = rows[i].len };
		struct world *w = play(&t);
		expect_failure(w, 1, FAILURE_MALFORMED, SIDE_HERE, "makes no sense");
		expect_failure(w, 0, FAILURE_MALFORMED, SIDE_PEER, "INVALID_SYNTAX");
		world_free(w);
	}
}

/* DNS servers, application version; extensions that we do not have; numbers that nobody has. */
static void what_need_not_be_understood_is_passed_over(void **state)
{
	static const struct {
		uint16_t payload, notify; /* one of them */
		const char *data;
		size_t len;
	} rows[] = {
		{ PL_CP, 0, "\1\0\0\0\0\3\0\0\0\7\0\0", 12 },
		{ PL_VENDOR, 0, "any vendor", 10 },
		{ 128, 0, "private", 7 },
		{ 0, 16387, "\0\1\3", 3 },    /* IPCOMP_SUPPORTED */
		{ 0, 16396, NULL, 0 },        /* MOBIKE_SUPPORTED */
		{ 0, 16397, "\12\0\0\7", 4 }, /* ADDITIONAL_IP4_ADDRESS */
		{ 0, 16392, NULL, 0 },        /* HTTP_CERT_LOOKUP_SUPPORTED */
		{ 0, 16404, NULL, 0 },        /* MULTIPLE_AUTH_SUPPORTED */
		{ 0, 16406, NULL, 0 },        /* REDIRECT_SUPPORTED */
		{ 0, 16438, NULL, 0 },        /* INTERMEDIATE_EXCHANGE_SUPPORTED */
		{ 0, 40960, "private", 7 },
		{ 0, 65535, NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (unsigned from = 0; from < HOSTS; from++) {
			struct tamper t = { .from = from,
					    .exchange = IKE_AUTH,
					    .reply = from == 1,
					    .add = rows[i].payload ? add_payload : tamper_notify,
					    .notify = rows[i].payload ? rows[i].payload : rows[i].notify,
					    .data = rows[i].data,
					    .len = rows[i].len };
			struct world *w = play(&t);
			world_expect_one(w, 1);
			world_free(w);
		}
}

/* ---- redirects --------------------------------------------------------------------------------------------------- */

static void inject_init_reply(struct world *w, uint16_t notify, const void *data, size_t len)
{
	struct ike_header h = { .spi_i = tamper_sa(w, 0)->spi_i, .exchange = IKE_SA_INIT, .flags = IKE_FLAG_RESPONSE };
	struct ike_writer out;
	uint8_t buf[512];

	ike_write_begin(&out, buf, sizeof buf, &h);
	ike_put_notify(&out, notify, data, len);
	ike_write_end(&out);
	world_inject(w, 0, buf, out.out.len);
}

static unsigned silence(struct world *w, struct datagram *d)
{
	(void)w;
	(void)d;
	return 0;
}

static void redirects_are_not_followed(void **state)
{
	static const struct {
		const char *data;
		size_t len;
		const char *words;
	} rows[] = {
		{ "\1\4\12\0\0\11nonce", 11,
		  "wants to send us to 10.0.0.9 in IKE_SA_INIT, REDIRECT: Cordon does not follow" },
		{ "\3\7gw.test", 9, "to gw.test" },
		{ "\3\7gw.t\1\nx", 9, "to gw.t??x" },
		{ "\2\4\12\0\0\11", 6, "that cannot be read" },
		{ "\1\x50\12\0\0\11", 6, "that cannot be read" },
		{ "", 0, "that cannot be read" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world *w = world_new(world_policy);
		w->wire = silence;
		world_packet(w, 0, 6, 1, 1);
		world_run(w, 1001);
		inject_init_reply(w, N_REDIRECT, rows[i].data, rows[i].len);
		world_run(w, 4000);
		expect_failure(w, 0, FAILURE_REDIRECT, SIDE_PEER, rows[i].words);
		world_free(w);
	}
}

/* It is a hint by who knows whom: the true answer counts. */
static void a_forged_redirect_does_no_harm(void **state)
{
	struct world *w = world_new(world_policy);

	(void)state;
	w->latency_ms = 10;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 1001);
	inject_init_reply(w, N_REDIRECT, "\1\4\12\0\0\11", 6);
	world_run(w, 4000);
	world_expect_one(w, 1);
	world_free(w);
}

static void a_redirect_under_protection_is_told_once(void **state)
{
	struct tamper t = { .from = 1,
			    .exchange = IKE_AUTH,
			    .reply = true,
			    .add = tamper_notify,
			    .notify = N_REDIRECT,
			    .data = "\3\7gw.test",
			    .len = 9 };
	struct tamper later = { .from = 1,
				.exchange = INFORMATIONAL,
				.add = tamper_notify,
				.notify = N_REDIRECT,
				.data = "\3\7gw.test",
				.len = 9 };
	struct world *w = play(&t);

	(void)state;
	world_expect_one(w, 1);
	assert_int_equal(w->hosts[0].events[EVENT_REDIRECT_REFUSED], 1);
	assert_non_null(strstr(w->hosts[0].last_text[EVENT_REDIRECT_REFUSED], "wants to send us to gw.test"));
	assert_int_equal(keying_failures(w->hosts[0].keying, NULL, 0), 0);
	world_free(w);

	w = world_new(world_policy);
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 3000);
	w->wire = tamper_wire;
	w->context = &later;
	for (unsigned i = 0; i < 3; i++) { /* each time asked whether it lives */
		exchange_queue(tamper_sa(w, 1), TASK_LIVENESS, 0);
		world_run(w, w->now_ms + 1000);
	}
	assert_true(later.changed >= 3);
	assert_int_equal(w->hosts[0].events[EVENT_REDIRECT_REFUSED], 1);
	world_expect_one(w, 1);
	world_free(w);
}

/* ---- what we say of ourselves ------------------------------------------------------------------------------------ */

static bool announced[65536];

static unsigned note_notifies(struct world *w, struct datagram *d)
{
	static struct ike_msg m;
	struct wire_in in = wire_in(d->octets, d->len);
	struct ike_header h;

	(void)w;
	if (d->esp || ike_decode_header(&in, &h, NULL) < 0 || h.exchange != IKE_SA_INIT)
		return 1;
	m = (struct ike_msg){ 0 };
	assert_int_equal(ike_decode_payloads(&in, h.flags & IKE_FLAG_RESPONSE ? MSG_INIT_REPLY : MSG_INIT_REQUEST,
					     h.next, &m, NULL),
			 0);
	for (size_t i = 0; i < m.notify_count; i++)
		announced[m.notifies[i].type] = true;
	return 1;
}

static void nothing_is_announced_that_we_do_not_do(void **state)
{
	static const uint16_t never[] = { 16387, 16392, 16396, 16404, 16406, 16417, 16438 };
	struct world *w = world_new(world_policy);

	(void)state;
	w->wire = note_notifies;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 3000);
	world_expect_one(w, 1);
	for (size_t i = 0; i < ARRAY_LEN(never); i++)
		if (announced[never[i]])
			fail_msg("%u is announced", never[i]);
	assert_true(announced[N_SIGNATURE_HASH_ALGORITHMS]);
	assert_true(announced[N_CHILDLESS_IKEV2_SUPPORTED]);
	world_free(w);
}

static void an_intermediate_exchange_is_passed_over(void **state)
{
	struct world *w = world_new(world_policy);
	uint8_t copy[1024];
	struct ike_writer out;
	size_t sk;

	(void)state;
	w->job_ms = 1;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 1005);
	struct ike_sa *sa = tamper_sa(w, 0);
	sa->send_id = 1;
	exchange_begin_message(sa, &out, (enum ike_exchange)43, false, &sk);
	assert_int_equal(exchange_end_message(sa, &out, sk, NULL), 0);
	memcpy(copy, out.out.buf, out.out.len);
	unsigned sent = w->ike_sent[1];
	world_inject(w, 1, copy, out.out.len);
	world_run(w, w->now_ms);
	assert_int_equal(w->ike_sent[1], sent);
	world_run(w, 4000);
	world_expect_one(w, 1);
	world_free(w);
}

/* ---- RFC 6023 ---------------------------------------------------------------------------------------------------- */

static struct ike_msg childless_reply;

static unsigned childless_wire(struct world *w, struct datagram *d)
{
	static uint8_t copy[DATAGRAM_MOST];
	struct wire_in in = wire_in(d->octets, d->len), inner;
	struct ike_header h;
	uint8_t first;

	if (!d->esp && d->from == 1 && ike_decode_header(&in, &h, NULL) == 0 && h.exchange == IKE_AUTH) {
		memcpy(copy, d->octets, d->len);
		assert_int_equal(ike_sk_open(&tamper_sa(w, 0)->in, copy, d->len, &inner, &first, NULL), 0);
		assert_int_equal(ike_decode_payloads(&inner, MSG_AUTH_REPLY, first, &childless_reply, NULL), 0);
	}
	return tamper_wire(w, d);
}

static void an_ike_sa_may_come_without_a_child_sa(void **state)
{
	struct tamper t = { .exchange = IKE_AUTH, .gone = { PL_SA, PL_TSI, PL_TSR } };
	struct world *w = world_new(world_policy);

	(void)state;
	childless_reply = (struct ike_msg){ 0 };
	w->wire = childless_wire;
	w->context = &t;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 1900);
	assert_true(t.changed > 0);
	assert_int_equal(world_ikes(w, 1), 1);
	assert_int_equal(world_children(w, 1), 0);
	assert_int_equal(keying_failures(w->hosts[1].keying, NULL, 0), 0);
	assert_true(childless_reply.has_auth && !childless_reply.has_sa && !childless_reply.has_ts_i);
	assert_null(ike_find_error(&childless_reply));
	world_packet(w, 1, 6, 1, 1); /* it carries CHILD SAs like any other */
	world_run(w, 3000);
	assert_int_equal(world_ikes(w, 0), 1);
	assert_int_equal(world_ikes(w, 1), 1);
	assert_int_equal(world_children(w, 1), 1);
	assert_int_equal(w->hosts[0].esp_received, 1);
	world_free(w);
}

/* As strongSwan answers with `childless = force`: the first time, and then it is gone. */
static unsigned want_childless(struct world *w, struct datagram *d)
{
	const struct tamper *t = w->context;

	return t->changed ? 1 : tamper_wire(w, d);
}

static void a_peer_that_wants_none_in_ike_auth_gets_none(void **state)
{
	struct tamper t = { .from = 1,
			    .exchange = IKE_AUTH,
			    .reply = true,
			    .gone = { PL_SA, PL_TSI, PL_TSR, PL_NOTIFY },
			    .add = tamper_notify,
			    .notify = N_INVALID_SYNTAX };
	struct world *w = world_new(world_policy);

	(void)state;
	w->wire = want_childless;
	w->context = &t;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 2900);
	assert_int_equal(t.changed, 1);
	world_expect_one(w, 1);
	assert_int_equal(w->hosts[1].esp_received, 1);
	assert_int_equal(w->hosts[0].released_drop, 0); /* the packet has waited */
	assert_int_equal(keying_failures(w->hosts[0].keying, NULL, 0), 0);
	world_free(w);

	w = world_new(world_policy); /* one that says so every time is told of */
	w->wire = tamper_wire;
	w->context = &t;
	world_packet(w, 0, 6, 1, 1);
	world_run(w, 4500);
	expect_failure(w, 0, FAILURE_MALFORMED, SIDE_PEER, "refused us in IKE_AUTH, INVALID_SYNTAX");
	world_free(w);
}

static void half_a_child_sa_is_none(void **state)
{
	static const struct {
		uint8_t gone[8];
		enum failure_code code;
	} rows[] = {
		{ { PL_TSI }, FAILURE_SELECTORS },
		{ { PL_TSR }, FAILURE_SELECTORS },
		{ { PL_TSI, PL_TSR }, FAILURE_SELECTORS },
		{ { PL_SA }, FAILURE_NO_PROPOSAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct tamper t = { .exchange = IKE_AUTH };
		memcpy(t.gone, rows[i].gone, sizeof t.gone);
		struct world *w = play(&t);
		expect_failure(w, 1, rows[i].code, SIDE_HERE, "asked for a quick mode, and we refused");
		assert_int_equal(world_ikes(w, 1), 1);
		assert_int_equal(world_children(w, 1), 0);
		world_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(eap_is_refused),
		cmocka_unit_test(a_second_authentication_is_refused),
		cmocka_unit_test(certificates_by_url_are_refused),
		cmocka_unit_test(a_wish_for_an_internal_address_fails_quick_mode_only),
		cmocka_unit_test(malformed_wishes_are_invalid),
		cmocka_unit_test(what_need_not_be_understood_is_passed_over),
		cmocka_unit_test(redirects_are_not_followed),
		cmocka_unit_test(a_forged_redirect_does_no_harm),
		cmocka_unit_test(a_redirect_under_protection_is_told_once),
		cmocka_unit_test(nothing_is_announced_that_we_do_not_do),
		cmocka_unit_test(an_intermediate_exchange_is_passed_over),
		cmocka_unit_test(an_ike_sa_may_come_without_a_child_sa),
		cmocka_unit_test(a_peer_that_wants_none_in_ike_auth_gets_none),
		cmocka_unit_test(half_a_child_sa_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
