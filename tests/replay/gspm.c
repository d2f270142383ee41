/* Kerberos in IKE_AUTH: two engines, and a double of Kerberos that holds them to who has which key. */
#include "tests/replay/tamper.h"
#include "tests/unit/unit.h"

#include <string.h>

#define POLICY(methods) \
	"cordon: 1\nauthentication:\n  domain: [ " methods " ]\n" \
	"key-exchange:\n  default: { proposals: [aes256gcm-sha256-x25519] }\n" \
	"connection-security:\n" \
	"  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require, authentication: domain }\n"
#define KERBEROS "kerberos: { realm: EXAMPLE }"
#define PSK "pre-shared-key: { file: /etc/cordon/psk }"

static const char both_ways[] = POLICY("{ " KERBEROS " }");

static void up(struct world *w, unsigned from)
{
	world_packet(w, from, 6, 40000, 443);
	world_run(w, w->now_ms + 3000);
}

/* Of the main mode that is up. */
static const struct peer_kept *peer_at(struct world *w, unsigned host)
{
	struct keying_ike_row rows[16];
	size_t n = keying_ike_rows(w->hosts[host].keying, rows, ARRAY_LEN(rows));

	for (size_t i = 0; i < n && i < ARRAY_LEN(rows); i++)
		if (rows[i].established)
			return rows[i].peer;
	fail_msg("host %u has no main mode", host);
	return NULL;
}

static void expect_peers(struct world *w, enum peer_method method)
{
	static const char *const names[HOSTS] = { "host/a.example@EXAMPLE", "host/b.example@EXAMPLE" };

	for (unsigned host = 0; host < HOSTS; host++) {
		const struct peer_kept *peer = peer_at(w, host);

		assert_int_equal(peer_kept_method(peer), method);
		if (method == PEER_KERBEROS)
			assert_string_equal(peer_kept_id(peer), names[1 - host]);
	}
}

static void each_end_learns_who_the_other_is(void **state)
{
	(void)state;
	for (unsigned from = 0; from < HOSTS; from++) {
		struct world *w = world_new(both_ways);

		up(w, from);
		world_expect_one(w, 1);
		expect_peers(w, PEER_KERBEROS);
		assert_int_equal(w->hosts[1 - from].esp_received, 1);
		assert_int_equal(w->ike_sent[from], 4);
		assert_int_equal(w->ike_sent[1 - from], 4);
		for (unsigned host = 0; host < HOSTS; host++) {
			assert_int_equal(w->hosts[host].kdc.made, 2);
			assert_int_equal(w->hosts[host].kdc.now, 0);
		}
		world_free(w);
	}
}

/* ---- what a set names, and what the two have --------------------------------------------------------------------- */

static void the_first_that_both_have_is_used(void **state)
{
	static const char both[] = POLICY("{ " KERBEROS " }, { " PSK " }"),
			  turned[] = POLICY("{ " PSK " }, { " KERBEROS " }");
	static const struct {
		const char *policy[HOSTS];
		bool keytab[HOSTS];
		enum peer_method want;
	} rows[] = {
		{ { both, both }, { true, true }, PEER_KERBEROS },
		{ { both, both }, { true, false }, PEER_PSK },
		{ { both, both }, { false, true }, PEER_PSK },
		{ { turned, turned }, { true, true }, PEER_PSK },
		{ { both, turned }, { true, true }, PEER_KERBEROS }, /* the initiator's order counts */
		{ { turned, both }, { true, true }, PEER_PSK },
		{ { both, both_ways }, { true, true }, PEER_KERBEROS },
		{ { both, POLICY("{ " PSK " }") }, { true, true }, PEER_PSK },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world *w = world_new_two(rows[i].policy[0], rows[i].policy[1]);

		for (unsigned host = 0; host < HOSTS; host++)
			if (!rows[i].keytab[host])
				world_set_principal(w, host, NULL);
		up(w, 0);
		world_expect_one(w, 1);
		if (peer_kept_method(peer_at(w, 0)) != rows[i].want)
			fail_msg("row %zu: %s", i, peer_method_name(peer_kept_method(peer_at(w, 0))));
		world_free(w);
	}
}

static const struct keying_failure *failure_at(struct world *w, unsigned host)
{
	static struct keying_failure f;

	f = (struct keying_failure){ 0 };
	(void)keying_failures(w->hosts[host].keying, &f, 1);
	return &f;
}

static void expect_nothing(struct world *w)
{
	assert_int_equal(world_ikes(w, 0) + world_ikes(w, 1), 0);
	assert_int_equal(world_sas(w, 0, true) + world_sas(w, 1, true), 0);
	assert_int_equal(w->hosts[0].kdc.now + w->hosts[1].kdc.now, 0);
}

/* Both ends say their part of what went wrong. */
static void what_fails_is_told_at_both_ends(void **state)
{
	static const char all_psk[] = POLICY("{ " PSK " }");
	/* Kerberos for port 80 there, so it is agreed upon in IKE_SA_INIT; not for the rest. */
	static const char elsewhere[] =
		"cordon: 1\nauthentication:\n  domain: [ { " KERBEROS " } ]\n  password: [ { " PSK " } ]\n"
		"key-exchange:\n  default: { proposals: [aes256gcm-sha256-x25519] }\n"
		"connection-security:\n"
		"  - { name: web, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], protocol: tcp, port2: 80, mode: "
		"require,\n"
		"      authentication: domain }\n"
		"  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require, authentication: "
		"password }\n";
	static const struct {
		const char *name, *peers_policy; /* NULL: the same */
		const char *principal[HOSTS];    /* NULL: as usual; "": no keytab */
		const char *cannot[HOSTS], *rejects[HOSTS];
		bool other_key[HOSTS];
		const char *words[HOSTS]; /* NULL: it has heard of nothing */
	} rows[] = {
		{ .name = "no keytab here",
		  .principal = { "" },
		  .words = { "this host has nothing to prove itself with", NULL } },
		{ .name = "no keytab there",
		  .principal = { NULL, "" },
		  .words = { "the peer does not take Kerberos in IKEv2", "had our answer to IKE_SA_INIT" } },
		{ .name = "it does not name Kerberos",
		  .peers_policy = all_psk,
		  .words = { "the peer does not take Kerberos in IKEv2", "had our answer to IKE_SA_INIT" } },
		{ .name = "not for this traffic",
		  .peers_policy = elsewhere,
		  .words = { "Kerberos as host/a.example@EXAMPLE",
			     "proves itself by Kerberos, which authentication 'password' does not name" } },
		{ .name = "a peer of another realm",
		  .principal = { NULL, "host/b.evil@EVIL" },
		  .words = { "host/b.evil@EVIL, which is no host of a realm", "gave up Kerberos" } },
		{ .name = "a peer that calls itself a user",
		  .principal = { NULL, "administrator@EXAMPLE" },
		  .words = { "administrator@EXAMPLE, which is no host", "gave up Kerberos" } },
		{ .name = "no ticket here",
		  .cannot = { "no KDC of EXAMPLE answers" },
		  .words = { "(host/b.example@EXAMPLE): no KDC of "
			     "EXAMPLE",
			     "it got no ticket for this host" } },
		{ .name = "no ticket there",
		  .cannot = { NULL, "no KDC of EXAMPLE answers" },
		  .words = { "refused us in IKE_AUTH",
			     "host/a.example@EXAMPLE) in IKE_AUTH: no KDC of EXAMPLE answers" } },
		{ .name = "refused there, and it says why",
		  .rejects = { NULL, "the clocks differ by 600 s" },
		  .words = { "because the peer's Kerberos says: the clocks differ by 600 s",
			     "the clocks differ by 600 s" } },
		{ .name = "refused here",
		  .rejects = { "the clocks differ by 600 s" },
		  .words = { "the clocks differ by 600 s", "it did not accept our answer, or our ticket" } },
		{ .name = "another key there",
		  .other_key = { false, true },
		  .words = { "refused us in IKE_AUTH", "its ticket is not for this host's key" } },
		{ .name = "another key here",
		  .other_key = { true },
		  .words = { "its ticket is not for this host's key", "it did not accept our answer, or our ticket" } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world *w = world_new_two(both_ways, rows[i].peers_policy ? rows[i].peers_policy : both_ways);

		for (unsigned host = 0; host < HOSTS; host++) {
			struct kdc_host *k = &w->hosts[host].kdc;
			if (rows[i].principal[host])
				world_set_principal(w, host,
						    rows[i].principal[host][0] ? rows[i].principal[host] : NULL);
			k->cannot = rows[i].cannot[host];
			k->rejects = rows[i].rejects[host];
			k->other_key = rows[i].other_key[host];
		}
		w->latency_ms = 20;
		world_packet(w, 0, 6, 40000, 443);
		world_run(w, 45000);
		expect_nothing(w);
		for (unsigned host = 0; host < HOSTS; host++) {
			const struct keying_failure *f = failure_at(w, host);
			if (rows[i].words[host] ? !strstr(f->text, rows[i].words[host]) : f->times != 0)
				fail_msg("%s, host %u: '%s'", rows[i].name, host, f->text);
		}
		assert_int_equal(w->hosts[0].spis_reserved, w->hosts[0].spis_released);
		world_free(w);
	}
}

/* Kerberos comes first and fails; the set names something else. */
static void the_next_of_the_set_stands_in(void **state)
{
	static const char both[] = POLICY("{ " KERBEROS " }, { " PSK " }");
	static const struct {
		const char *cannot[HOSTS], *rejects[HOSTS];
	} rows[] = {
		{ .cannot = { "no KDC answers" } },
		{ .cannot = { NULL, "no KDC answers" } },
		{ .rejects = { "too old" } },
		{ .rejects = { NULL, "too old" } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world *w = world_new(both);

		for (unsigned host = 0; host < HOSTS; host++) {
			w->hosts[host].kdc.cannot = rows[i].cannot[host];
			w->hosts[host].kdc.rejects = rows[i].rejects[host];
		}
		up(w, 0);
		world_expect_one(w, 1);
		expect_peers(w, PEER_PSK);
		assert_int_equal(w->hosts[0].released_drop, 0); /* the packet has waited for it */
		assert_int_equal(w->hosts[0].events[EVENT_MAIN_MODE_FAILED], 1);
		assert_int_equal(w->hosts[0].kdc.now + w->hosts[1].kdc.now, 0);
		for (unsigned host = 0; host < HOSTS; host++)
			w->hosts[host].kdc.cannot = w->hosts[host].kdc.rejects = NULL;
		world_run(w, w->now_ms + 70000); /* later Kerberos is tried again */
		(void)keying_renew(w->hosts[0].keying, KEYING_RENEW_PROOF, NULL, w->now_ms);
		world_run(w, w->now_ms + 10000);
		world_expect_one(w, 1);
		expect_peers(w, PEER_KERBEROS);
		world_free(w);
	}
}

/* ---- long tickets ------------------------------------------------------------------------------------------------ */

struct lossy {
	unsigned n, lose;
};

static unsigned lose_one(struct world *w, struct datagram *d)
{
	struct lossy *l = w->context;

	return d->esp || l->n++ != l->lose;
}

static void long_tickets_go_in_fragments(void **state)
{
	static const size_t sizes[] = { 1300, 20000, KEYING_TOKEN_MOST };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct world *w = world_new(both_ways);

		w->hosts[0].kdc.token_octets = w->hosts[1].kdc.token_octets = sizes[i];
		up(w, 0);
		world_expect_one(w, 1);
		expect_peers(w, PEER_KERBEROS);
		world_free(w);
	}
	for (unsigned lose = 0; lose < 40; lose++) {
		struct world *w = world_new(both_ways);
		struct lossy l = { .lose = lose };

		w->hosts[0].kdc.token_octets = w->hosts[1].kdc.token_octets = 15000;
		w->wire = lose_one;
		w->context = &l;
		world_packet(w, 0, 6, 40000, 443);
		world_run(w, 8000);
		world_expect_one(w, 1);
		assert_int_equal(w->hosts[0].kdc.made, 2); /* a token is never read twice */
		assert_int_equal(w->hosts[1].kdc.made, 2);
		world_free(w);
	}
}

/* A KDC that is slow: the peer repeats itself meanwhile, and hears the one answer. */
static void a_slow_kdc_is_waited_for(void **state)
{
	struct world *w = world_new(both_ways);

	(void)state;
	w->job_ms = 1500;
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, 30000);
	for (unsigned host = 0; host < HOSTS; host++) {
		assert_int_equal(world_ikes(w, host), 1);
		assert_int_equal(w->hosts[host].kdc.made, 2);
		assert_int_equal(w->hosts[host].kdc.accepts, 1);
	}
	world_free(w);
}

/* ---- attackers ----------------------------------------------------------------------------------------------------
 */

/* Takes the notification out of IKE_SA_INIT, one way or both. */
struct strip {
	bool from[HOSTS];
	unsigned done;
};

static unsigned strip_wire(struct world *w, struct datagram *d)
{
	struct strip *s = w->context;

	if (d->esp || d->octets[18] != IKE_SA_INIT || !s->from[d->from])
		return 1;
	for (size_t at = 0; at + 8 <= d->len; at++) /* its number: now one that nobody knows */
		if (memcmp(d->octets + at, "\0\x0a\0\0\x40\x28\x4b\x35", 8) == 0) {
			d->octets[at + 4] = 0x70;
			s->done++;
		}
	return 1;
}

static void a_stripped_offer_weakens_nothing(void **state)
{
	static const char both[] = POLICY("{ " KERBEROS " }, { " PSK " }");
	static const char *const policies[] = { both_ways, both };

	(void)state;
	for (unsigned which = 1; which < 4; which++)
		for (size_t p = 0; p < ARRAY_LEN(policies); p++) {
			struct world *w = world_new(policies[p]);
			struct strip s = { .from = { which & 1, which & 2 } };

			w->wire = strip_wire;
			w->context = &s;
			world_packet(w, 0, 6, 40000, 443);
			world_run(w, 45000);
			assert_true(s.done > 0);
			assert_int_equal(world_ikes(w, 0) + world_ikes(w, 1), 0);
			assert_int_equal(world_sas(w, 0, false) + world_sas(w, 1, false), 0);
			world_free(w);
		}
}

/* Whoever has the keys of SK (the two ends, and somebody who stands between with an exchange each way) may change what
 * is in it; the proof tells. */
static void put_item(struct ike_writer *w, const struct tamper *t)
{
	size_t at = ike_payload_begin(w, PL_GSPM);

	wire_put(&w->out, t->data, t->len);
	ike_payload_end(w, at);
}

static void put_id(struct ike_writer *w, const struct tamper *t)
{
	ike_put_id(w, t->from ? PL_IDR : PL_IDI, ID_FQDN, "c.example", 9);
}

static void what_is_changed_is_found(void **state)
{
	static const uint8_t hello[] = "\1\0\0\13\6\11\52\206\110\206\367\22\1\2\2\143\0\0\1x";
	static const uint8_t another[] = "\1\0\0\13\6\11\52\206\110\206\367\22\1\2\2\2\0\0\26host/c.example@EXAMPLE";
	static const uint8_t nonsense[] = "\3\0\0\1x\4\0\0\1x";
	static const struct {
		const char *name;
		struct tamper t;
	} rows[] = {
		{ "one more item in the first",
		  { .exchange = IKE_AUTH, .gone = { PL_GSPM }, .add = put_item, .data = hello, .len = 20 } },
		{ "another name",
		  { .from = 1,
		    .exchange = IKE_AUTH,
		    .reply = true,
		    .gone = { PL_GSPM },
		    .add = put_item,
		    .data = another,
		    .len = sizeof another - 1 } },
		{ "tokens of nobody",
		  { .exchange = IKE_AUTH, .gone = { PL_GSPM }, .add = put_item, .data = nonsense, .len = 10 } },
		{ "tokens of nobody in the reply",
		  { .from = 1,
		    .exchange = IKE_AUTH,
		    .reply = true,
		    .gone = { PL_GSPM },
		    .add = put_item,
		    .data = nonsense,
		    .len = 10 } },
		{ "another identity", { .exchange = IKE_AUTH, .gone = { PL_IDI }, .add = put_id } },
		{ "another identity of the responder",
		  { .from = 1, .exchange = IKE_AUTH, .reply = true, .gone = { PL_IDR }, .add = put_id } },
		{ "no proof", { .exchange = IKE_AUTH, .gone = { PL_AUTH } } },
		{ "no proof in the reply", { .from = 1, .exchange = IKE_AUTH, .reply = true, .gone = { PL_AUTH } } },
		{ "no Kerberos", { .exchange = IKE_AUTH, .gone = { PL_GSPM } } },
		{ "nothing", { .exchange = IKE_AUTH, .all_gone = true } },
		{ "nothing in the reply", { .from = 1, .exchange = IKE_AUTH, .reply = true, .all_gone = true } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world *w = world_new(both_ways);
		struct tamper t = rows[i].t;

		w->wire = tamper_wire;
		w->context = &t;
		world_packet(w, 0, 6, 40000, 443);
		world_run(w, 5000);
		if (!t.changed || world_ikes(w, 0) + world_sas(w, 0, true) + world_sas(w, 0, false))
			fail_msg("%s: changed %u, %zu main modes, %zu, %zu SAs", rows[i].name, t.changed,
				 world_ikes(w, 0), world_sas(w, 0, true), world_sas(w, 0, false));
		assert_int_equal(w->hosts[1].esp_received, 0);
		world_run(w, 60000);
		assert_int_equal(w->hosts[0].kdc.now + w->hosts[1].kdc.now, 0);
		world_free(w);
	}
}

/* A stranger who has shown no good ticket costs no ticket, at most one context, and leaves nothing. */
static void a_stranger_costs_little(void **state)
{
	struct world *w = world_new(both_ways);

	(void)state;
	w->hosts[0].kdc.cannot = "it has none";
	for (unsigned n = 0; n < 50; n++) {
		world_packet(w, 0, 6, 40000, 443);
		(void)keying_renew(w->hosts[0].keying, KEYING_RENEW_DELETE, NULL, w->now_ms);
		world_run(w, w->now_ms + 2500);
	}
	assert_int_equal(w->hosts[1].kdc.made, 0);
	w->hosts[0].kdc.cannot = NULL;
	w->hosts[1].kdc.rejects = "not good";
	world_run(w, w->now_ms + 130000);
	for (unsigned n = 0; n < 20; n++) {
		world_packet(w, 0, 6, 40000, 443);
		world_run(w, w->now_ms + 130000);
	}
	assert_true(w->hosts[1].kdc.made > 5 && w->hosts[1].kdc.made == w->hosts[1].kdc.accepts);
	assert_int_equal(w->hosts[1].kdc.most, 1);
	expect_nothing(w);
	world_free(w);
}

/* ---- time ---------------------------------------------------------------------------------------------------------
 */

static void keep_busy(struct world *w, uint64_t until_ms)
{
	while (w->now_ms < until_ms) {
		world_packet(w, 0, 6, 40000, 443);
		world_packet(w, 1, 6, 443, 40000);
		world_run(w, w->now_ms + 5000);
	}
}

static void a_new_proof_is_made_before_a_ticket_ends(void **state)
{
	(void)state;
	for (unsigned shorter = 0; shorter < HOSTS; shorter++) { /* whose ticket ends first */
		struct world *w = world_new(both_ways);

		w->hosts[shorter].kdc.good_ms = 600000;
		w->hosts[1 - shorter].kdc.good_ms = 36000000;
		up(w, 0);
		world_expect_one(w, 1);
		keep_busy(w, w->now_ms + 3000000);
		world_expect_one(w, 1);
		expect_peers(w, PEER_KERBEROS);
		assert_in_range(w->hosts[0].kdc.made / 2, 5, 12);
		assert_int_equal(w->hosts[0].esp_lost + w->hosts[1].esp_lost, 0);
		assert_int_equal(w->hosts[0].released_drop + w->hosts[1].released_drop, 0);
		world_free(w);
	}
}

static void without_a_kdc_an_sa_ends_with_its_ticket(void **state)
{
	struct world *w = world_new(both_ways);

	(void)state;
	for (unsigned host = 0; host < HOSTS; host++)
		w->hosts[host].kdc.good_ms = 600000;
	up(w, 0);
	for (unsigned host = 0; host < HOSTS; host++)
		w->hosts[host].kdc.cannot = "no KDC answers";
	uint64_t begun = w->now_ms;
	keep_busy(w, begun + 560000);
	assert_int_equal(world_ikes(w, 0), 1); /* it lives on */
	assert_int_equal(world_ikes(w, 1), 1);
	keep_busy(w, begun + 610000);
	assert_int_equal(world_ikes(w, 0) + world_ikes(w, 1), 0);
	assert_int_equal(world_sas(w, 0, false) + world_sas(w, 1, false), 0);
	for (unsigned host = 0; host < HOSTS; host++)
		w->hosts[host].kdc.cannot = NULL;
	keep_busy(w, begun + 700000);
	assert_int_equal(world_ikes(w, 0), 1);
	world_free(w);
}

/* The keytab goes, or the policy changes, while Kerberos is under way. */
static void what_goes_meanwhile_does_no_harm(void **state)
{
	static const char psk[] = POLICY("{ " PSK " }");

	(void)state;
	for (unsigned ms = 0; ms < 40; ms++)
		for (unsigned what = 0; what < 4; what++) {
			struct world *w = world_new(both_ways);

			w->job_ms = 2;
			world_packet(w, 0, 6, 40000, 443);
			world_run(w, w->now_ms + ms);
			if (what < HOSTS)
				world_set_principal(w, what, NULL);
			else
				world_set_plan(w, what - HOSTS, psk);
			world_run(w, w->now_ms + 3000);
			if (what < HOSTS)
				world_set_principal(w, what,
						    what ? "host/b.example@EXAMPLE" : "host/a.example@EXAMPLE");
			else
				world_set_plan(w, what - HOSTS, both_ways);
			world_run(w, w->now_ms + 100000); /* what waits for an answer has given up */
			up(w, 0);
			if (world_ikes(w, 0) != 1 || world_ikes(w, 1) != 1)
				fail_msg("after %u ms, %u: %zu and %zu main modes", ms, what, world_ikes(w, 0),
					 world_ikes(w, 1));
			world_free(w);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_end_learns_who_the_other_is),
		cmocka_unit_test(the_first_that_both_have_is_used),
		cmocka_unit_test(what_fails_is_told_at_both_ends),
		cmocka_unit_test(the_next_of_the_set_stands_in),
		cmocka_unit_test(long_tickets_go_in_fragments),
		cmocka_unit_test(a_slow_kdc_is_waited_for),
		cmocka_unit_test(a_stripped_offer_weakens_nothing),
		cmocka_unit_test(what_is_changed_is_found),
		cmocka_unit_test(a_stranger_costs_little),
		cmocka_unit_test(a_new_proof_is_made_before_a_ticket_ends),
		cmocka_unit_test(without_a_kdc_an_sa_ends_with_its_ticket),
		cmocka_unit_test(what_goes_meanwhile_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
