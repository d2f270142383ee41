/* Which version negotiates, where a rule names both; and what an attacker who drops or forges messages gets by it. Then
 * IKEv1 through a NAT, and in pieces. */
#include "keying/v1/module.h"
#include "tests/replay/v1.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

static const char *policy(const char *modules, const char *more)
{
	static char text[4][1024];
	static unsigned turn;
	char *to = text[turn++ % 4];

	(void)snprintf(to, sizeof text[0],
		       "cordon: 1\n%s"
		       "authentication:\n  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n"
		       "key-exchange:\n  default: { proposals: [aes256-sha384-ecp384] }\n"
		       "connection-security:\n"
		       "  - { name: all, endpoint1: [10.0.0.1, 192.0.2.1], endpoint2: [10.0.0.2], mode: require,\n"
		       "      authentication: password%s%s }\n",
		       more, modules ? ", modules: " : "", modules ? modules : "");
	return to;
}

static struct keying_ike_row row_of(const struct world *w, unsigned host)
{
	struct keying_ike_row row = { 0 };

	(void)keying_ike_rows(w->hosts[host].keying, &row, 1);
	return row;
}

static unsigned version_up(const struct world *w, unsigned host)
{
	if (world_ikes(w, host) == 0)
		return 0;
	return row_of(w, host).version;
}

/* Version 2 is dropped on the way, as somebody would who wants the other one. */
static unsigned drop_v2(struct world *w, struct datagram *d)
{
	(void)w;
	return !(!d->esp && d->len > 17 && d->octets[17] >> 4 == 2);
}

static void the_rules_of_both_ends_decide(void **state)
{
	static const struct {
		const char *ours, *theirs;
		unsigned version; /* 0: nothing comes up */
	} rows[] = {
		{ NULL, NULL, 2 },
		{ "[ikev2, ikev1]", NULL, 2 },
		{ NULL, "[ikev2, ikev1]", 2 },
		{ "[ikev1, ikev2]", "[ikev1, ikev2]", 2 }, /* the order says nothing */
		{ "[ikev2, ikev1]", "ikev1", 1 },
		{ "ikev1", "[ikev2, ikev1]", 1 },
		{ "ikev1", "ikev1", 1 },
		{ "ikev1", NULL, 0 },
		{ NULL, "ikev1", 0 },
		{ "ikev2", "ikev1", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world *w = world_new_two(policy(rows[i].ours, ""), policy(rows[i].theirs, ""));

		world_packet(w, 0, 6, 40000, 443);
		world_run(w, 30000);
		if (version_up(w, 0) != rows[i].version || version_up(w, 1) != rows[i].version)
			fail_msg("row %zu: version %u and %u", i, version_up(w, 0), version_up(w, 1));
		if (rows[i].version)
			world_expect_one(w, 1);
		assert_int_equal(w->hosts[0].events[EVENT_OLDER_PROTOCOL] > 0, i == 4);
		world_free(w);
	}
}

static void who_drops_version_2_gets_what_the_rule_allows(void **state)
{
	static const struct {
		const char *modules;
		unsigned version;
	} rows[] = { { NULL, 0 }, { "ikev2", 0 }, { "[ikev2, ikev1]", 1 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world *w = world_new(policy(rows[i].modules, ""));

		w->wire = drop_v2;
		world_packet(w, 0, 6, 40000, 443);
		world_run(w, 60000);
		assert_int_equal(version_up(w, 0), rows[i].version);
		assert_int_equal(w->hosts[1].esp_received > 0, rows[i].version > 0);
		assert_int_equal(w->hosts[0].released_clear, 0);
		world_free(w);
	}
}

/* The held packet is not lost by it: it goes within the time that it is held. */
static void falling_back_takes_some_seconds(void **state)
{
	struct world *w = world_new(policy("[ikev2, ikev1]", ""));

	(void)state;
	w->wire = drop_v2;
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, MODULE_PATIENCE_MS - 100);
	assert_int_equal(world_ikes(w, 0), 0);
	world_run(w, MODULE_PATIENCE_MS + 1900);
	assert_int_equal(version_up(w, 0), 1);
	assert_int_equal(w->hosts[1].esp_received, 1);
	world_free(w);
}

/* Both have IKEv2, and have met by it: whoever drops it then gets nothing, whoever of the two begins. */
static void who_has_met_by_version_2_is_not_brought_back(void **state)
{
	(void)state;
	for (unsigned begins = 0; begins < HOSTS; begins++) {
		struct world *w = world_new(policy("[ikev2, ikev1]", ""));

		world_packet(w, 0, 6, 40000, 443);
		world_run(w, 4000);
		assert_int_equal(version_up(w, 0), 2);
		(void)keying_renew(w->hosts[0].keying, KEYING_RENEW_DELETE, NULL, w->now_ms);
		world_run(w, 8000);
		assert_int_equal(world_ikes(w, 0) + world_ikes(w, 1), 0);
		w->wire = drop_v2;
		world_packet(w, begins, 6, 50000, 443);
		world_run(w, 120000);
		assert_int_equal(world_ikes(w, 0) + world_ikes(w, 1), 0);
		assert_int_equal(w->hosts[0].events[EVENT_OLDER_PROTOCOL], 0);
		world_free(w);
	}
}

/* One of the two has begun anew and knows nothing: the other does not take its IKEv1 either. */
static void nor_by_one_that_has_forgotten(void **state)
{
	struct world *w = world_new(policy("[ikev2, ikev1]", ""));

	(void)state;
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, 4000);
	assert_int_equal(version_up(w, 0), 2);
	world_restart(w, 0);
	w->wire = drop_v2;
	world_packet(w, 0, 6, 50000, 443);
	world_run(w, 30000);
	assert_int_equal(world_ikes(w, 0), 0);
	world_free(w);
}

static void a_second_authentication_is_never_negotiated(void **state)
{
	static const char *const modules[] = { "ikev2", "ikev1", "[ikev2, ikev1]" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(modules); i++) {
		char wish[128];
		(void)snprintf(wish, sizeof wish, "%s, second-authentication: password", modules[i]);
		struct world *w = world_new_two(policy(wish, ""), policy(modules[i], ""));

		world_packet(w, 0, 6, 40000, 443);
		world_packet(w, 1, 6, 40000, 443);
		world_run(w, 30000);
		assert_int_equal(world_children(w, 0) + world_children(w, 1), 0);
		assert_non_null(strstr(w->hosts[0].last_text[EVENT_MAIN_MODE_FAILED], "second authentication"));
		world_free(w);
	}
}

/* ---- through a NAT ----------------------------------------------------------------------------------------------- */

enum { NAT_BASE = 30000 };

static unsigned native_esp;

/* Host 0 is behind it. */
static unsigned through(struct world *w, struct datagram *d)
{
	struct addr outside = world_addr(192, 0, 2, 1);

	native_esp += d->esp && !d->local_port;
	if (d->from == 0) {
		d->source = outside;
		d->local_port = (uint16_t)(d->local_port + NAT_BASE);
		return 1;
	}
	if (!addr_equal(&d->destination, &outside) || d->remote_port < NAT_BASE)
		return 0;
	d->destination = w->hosts[0].addr;
	d->remote_port = (uint16_t)(d->remote_port - NAT_BASE);
	return 1;
}

static void a_nat_is_gone_through_where_the_policy_allows(void **state)
{
	static const struct {
		const char *setting;
		bool up;
	} rows[] = { { "", false }, { "nat-traversal: server\n", false }, { "nat-traversal: both\n", true } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct world *w = world_new(policy("ikev1", rows[i].setting));

		native_esp = 0;
		w->wire = through;
		w->hosts[1].peer = world_addr(192, 0, 2, 1);
		world_packet(w, 0, 6, 40000, 443);
		world_run(w, 5000);
		assert_int_equal(version_up(w, 0), rows[i].up ? 1 : 0);
		if (rows[i].up) {
			world_expect_one(w, 1);
			assert_int_equal(row_of(w, 0).nat, 1);
			assert_int_equal(row_of(w, 1).nat, 2);
			assert_int_equal(row_of(w, 0).remote_port, 4500);
			assert_int_equal(row_of(w, 1).remote_port, NAT_BASE + 4500);
			world_packet(w, 1, 6, 443, 40000);
			world_run(w, 6000);
			assert_int_equal(w->hosts[0].esp_received, 1);
			assert_int_equal(w->hosts[1].esp_received, 1);
			assert_int_equal(native_esp, 0);
		} else {
			assert_non_null(
				strstr(w->hosts[1].last_text[EVENT_MAIN_MODE_FAILED], "a NAT changes addresses"));
		}
		world_free(w);
	}
}

/* ---- in pieces --------------------------------------------------------------------------------------------------- */

static size_t longest;
static unsigned pieces, lost;

static unsigned watch(struct world *w, struct datagram *d)
{
	(void)w;
	if (d->esp)
		return 1;
	if (d->len > longest)
		longest = d->len;
	bool piece = d->octets[16] == V1_PL_FRAGMENT;
	pieces += piece;
	if (piece && lost) { /* the first ones get lost: what is repeated has a number of its own */
		lost--;
		return 0;
	}
	return 1;
}

/* A limit that even message 5 without certificates is over. */
static void long_messages_go_in_pieces(void **state)
{
	enum { LIMIT = 110 };

	(void)state;
	for (unsigned losses = 0; losses < 3; losses++) {
		struct world *w = world_new(policy("ikev1", ""));

		for (unsigned i = 0; i < HOSTS; i++) {
			w->hosts[i].config.fragment_octets = LIMIT;
			keying_set_credentials(w->hosts[i].keying, &w->hosts[i].config, w->now_ms);
		}
		longest = pieces = 0;
		lost = losses;
		w->wire = watch;
		world_packet(w, 0, 6, 40000, 443);
		world_run(w, 9000);
		world_expect_one(w, 1);
		assert_true(pieces >= 4); /* two of message 5, two of message 6 */
		world_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rules_of_both_ends_decide),
		cmocka_unit_test(who_drops_version_2_gets_what_the_rule_allows),
		cmocka_unit_test(falling_back_takes_some_seconds),
		cmocka_unit_test(who_has_met_by_version_2_is_not_brought_back),
		cmocka_unit_test(nor_by_one_that_has_forgotten),
		cmocka_unit_test(a_second_authentication_is_never_negotiated),
		cmocka_unit_test(a_nat_is_gone_through_where_the_policy_allows),
		cmocka_unit_test(long_messages_go_in_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
