/* A NAT between the two: found, allowed or refused, gone through; the peer followed when its mapping changes. */
#include "tests/replay/world.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

enum { CLIENT, SERVER, CLIENT_BEHIND = 1, SERVER_BEHIND = 2 };

/* What the NATs on the way do: the client's address and port are changed on its way out; the server's address is that
 * of its NAT, which hands 500 and 4500 on. */
struct nat {
	unsigned behind; /* CLIENT_BEHIND, SERVER_BEHIND */
	struct addr client_outside, server_outside;
	uint16_t base; /* added to the client's port; changes with the mapping */
	unsigned clear_esp, wrong_port;
};

static const char policy_text[] = "cordon: 1\n"
				  "encapsulation: native\n" /* what is in UDP is so because of a NAT */
				  "%s"
				  "authentication:\n"
				  "  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n"
				  "hosts:\n"
				  "  client: { address: 10.0.0.1, nat-address: 192.0.2.1 }\n"
				  "  other: { address: 10.0.0.9, nat-address: 192.0.2.1 }\n"
				  "  server: { address: 10.0.0.2, nat-address: 192.0.2.2 }\n"
				  "zones:\n"
				  "  clients: [ client, other, 192.0.2.7 ]\n"
				  "connection-security:\n"
				  "  - { name: all, endpoint1: [clients], endpoint2: [server], mode: require,\n"
				  "      authentication: password }\n";

static const char *policy(const char *setting)
{
	static char text[2048], line[256];

	line[0] = '\0';
	if (setting)
		(void)snprintf(line, sizeof line, "nat-traversal: %s\n", setting);
	(void)snprintf(text, sizeof text, policy_text, line);
	return text;
}

static unsigned through(struct world *w, struct datagram *d)
{
	struct nat *n = w->context;

	if (d->esp && !d->local_port)
		n->clear_esp++;
	if (d->from == CLIENT) {
		if (n->behind & CLIENT_BEHIND) {
			d->source = n->client_outside;
			d->local_port = (uint16_t)(d->local_port + n->base);
		}
		if (n->behind & SERVER_BEHIND)
			d->destination = w->hosts[SERVER].addr;
		return 1;
	}
	if (n->behind & SERVER_BEHIND)
		d->source = n->server_outside;
	if (!(n->behind & CLIENT_BEHIND))
		return 1;
	if (!addr_equal(&d->destination, &n->client_outside) ||
	    (d->remote_port != n->base + 500 && d->remote_port != n->base + 4500)) {
		n->wrong_port++;
		return 0;
	}
	d->destination = w->hosts[CLIENT].addr;
	d->remote_port = (uint16_t)(d->remote_port - n->base);
	return 1;
}

static struct world *world_behind(struct nat *n, const char *setting, unsigned behind)
{
	struct world *w = world_new(policy(setting));

	*n = (struct nat){
		.behind = behind,
		.client_outside = world_addr(192, 0, 2, 1),
		.server_outside = world_addr(192, 0, 2, 2),
		.base = 40000,
	};
	w->wire = through;
	w->context = n;
	if (behind & CLIENT_BEHIND)
		w->hosts[SERVER].peer = n->client_outside;
	if (behind & SERVER_BEHIND)
		w->hosts[CLIENT].peer = n->server_outside;
	return w;
}

static void replace(struct world *w, unsigned host, uint8_t n)
{
	struct addr a = world_addr(10, 0, 0, n);

	world_replace(w, host, policy("both"), &a);
}

static void expect_encapsulated(const struct world *w)
{
	for (unsigned host = 0; host < HOSTS; host++)
		for (size_t i = 0; i < SAS_MOST; i++) {
			const struct world_sa *sa = &w->hosts[host].sas[i];
			if (!sa->used)
				continue;
			assert_int_equal(sa->encap_local_port, 4500);
			assert_true(sa->nat);
		}
}

static void what_the_policy_says_of_nats_decides(void **state)
{
	static const struct {
		const char *setting;
		unsigned behind;
		bool up;
		const char *would; /* what the refusal names */
	} rows[] = {
		{ NULL, 0, true, NULL },
		{ NULL, CLIENT_BEHIND, false, "'nat-traversal: both' would" },
		{ NULL, SERVER_BEHIND, false, "'nat-traversal: server' would" },
		{ "never", CLIENT_BEHIND, false, "'nat-traversal: both' would" },
		{ "never", CLIENT_BEHIND | SERVER_BEHIND, false, "'nat-traversal: both' would" },
		{ "server", 0, true, NULL },
		{ "server", SERVER_BEHIND, true, NULL },
		{ "server", CLIENT_BEHIND, false, "'nat-traversal: both' would" },
		{ "server", CLIENT_BEHIND | SERVER_BEHIND, false, "'nat-traversal: both' would" },
		{ "both", 0, true, NULL },
		{ "both", CLIENT_BEHIND, true, NULL },
		{ "both", SERVER_BEHIND, true, NULL },
		{ "both", CLIENT_BEHIND | SERVER_BEHIND, true, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct nat n;
		struct world *w = world_behind(&n, rows[i].setting, rows[i].behind);

		world_packet(w, CLIENT, 6, 40000, 443);
		world_run(w, 4000);
		if (rows[i].up != (world_ikes(w, CLIENT) == 1))
			fail_msg("row %zu: %s", i, w->hosts[CLIENT].last_text[EVENT_MAIN_MODE_FAILED]);
		if (rows[i].up) {
			world_expect_one(w, 1);
			world_packet(w, SERVER, 6, 443, 40000);
			world_run(w, 5000);
			assert_int_equal(w->hosts[CLIENT].esp_received, 1);
			assert_int_equal(w->hosts[SERVER].esp_received, 1);
			if (rows[i].behind)
				expect_encapsulated(w);
			assert_int_equal(n.clear_esp, rows[i].behind ? 0 : 2);
			assert_int_equal(n.wrong_port, 0);
		} else {
			for (unsigned host = 0; host < HOSTS; host++) {
				const char *text = w->hosts[host].last_text[EVENT_MAIN_MODE_FAILED];
				if (!strstr(text, "a NAT changes addresses") || !strstr(text, rows[i].would))
					fail_msg("row %zu host %u: %s", i, host, text);
			}
			assert_int_equal(w->hosts[CLIENT].esp_received + w->hosts[SERVER].esp_received, 0);
		}
		world_free(w);
	}
}

static struct keying_ike_row ike_row(const struct world *w, unsigned host)
{
	struct keying_ike_row row = { 0 };

	(void)keying_ike_rows(w->hosts[host].keying, &row, 1);
	return row;
}

static void expect_outer(const struct world *w, unsigned host, struct addr want)
{
	struct keying_ike_row row = ike_row(w, host);

	assert_true(addr_equal(&row.outer, &want));
}

static void status_says_who_is_behind_it(void **state)
{
	struct nat n;
	struct world *w = world_behind(&n, "both", CLIENT_BEHIND);

	(void)state;
	world_packet(w, CLIENT, 6, 40000, 443);
	world_run(w, 4000);
	assert_int_equal(ike_row(w, CLIENT).nat, 1);
	assert_int_equal(ike_row(w, SERVER).nat, 2);
	assert_int_equal(ike_row(w, SERVER).remote_port, 44500);
	expect_outer(w, SERVER, n.client_outside);
	world_free(w);
}

static void a_new_port_is_followed_by_esp_and_ike(void **state)
{
	struct nat n;
	struct world *w = world_behind(&n, "both", CLIENT_BEHIND);

	(void)state;
	world_packet(w, CLIENT, 6, 40000, 443);
	world_run(w, 4000);
	n.base = 20000;
	world_packet(w, SERVER, 6, 443, 40000); /* lost: the NAT has forgotten */
	world_run(w, 5000);
	assert_int_equal(n.wrong_port, 1);
	world_packet(w, CLIENT, 6, 40000, 443);
	world_run(w, 6000);
	world_packet(w, SERVER, 6, 443, 40000);
	world_run(w, 7000);
	assert_int_equal(w->hosts[CLIENT].esp_received, 1);
	assert_int_equal(n.wrong_port, 1);
	assert_int_equal(ike_row(w, SERVER).remote_port, 24500);
	world_run(w, 200000); /* liveness, keep-alives */
	assert_int_equal(n.wrong_port, 1);
	world_expect_one(w, 1);
	world_free(w);
}

static void the_same_by_an_ike_message(void **state)
{
	struct nat n;
	struct world *w = world_behind(&n, "both", CLIENT_BEHIND);

	(void)state;
	world_packet(w, CLIENT, 6, 40000, 443);
	world_run(w, 4000);
	n.base = 20000;
	keying_sad_event(w->hosts[CLIENT].keying,
			 &(struct sad_event){ .kind = SAD_EXPIRE_SOFT, .pair = w->hosts[CLIENT].sas[0].pair },
			 w->now_ms);
	world_run(w, 8000);
	assert_int_equal(n.wrong_port, 0);
	assert_int_equal(ike_row(w, SERVER).remote_port, 24500);
	world_packet(w, SERVER, 6, 443, 40000);
	world_run(w, 9000);
	assert_int_equal(w->hosts[CLIENT].esp_received, 1);
	world_expect_one(w, 1);
	world_free(w);
}

static void a_new_address_is_followed_if_the_same_rule_holds_there(void **state)
{
	static const struct {
		uint8_t to;
		bool stays;
	} rows[] = { { 7, true }, { 99, false } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct nat n;
		struct world *w = world_behind(&n, "both", CLIENT_BEHIND);

		world_packet(w, CLIENT, 6, 40000, 443);
		world_run(w, 4000);
		n.client_outside = world_addr(192, 0, 2, rows[i].to);
		world_packet(w, CLIENT, 6, 40000, 443);
		world_run(w, 5000);
		if (rows[i].stays) {
			world_expect_one(w, 1);
			expect_outer(w, SERVER, n.client_outside);
			world_packet(w, SERVER, 6, 443, 40000); /* its programs know it by the old one */
			world_run(w, 6000);
			assert_int_equal(w->hosts[CLIENT].esp_received, 1);
		} else {
			assert_int_equal(world_ikes(w, CLIENT) + world_ikes(w, SERVER), 0);
			assert_int_equal(world_sas(w, SERVER, true) + world_sas(w, SERVER, false), 0);
			assert_non_null(strstr(w->hosts[SERVER].last_text[EVENT_MAIN_MODE_FAILED], "begin anew"));
		}
		world_free(w);
	}
}

static unsigned from_elsewhere(struct world *w, struct datagram *d)
{
	if (d->from == CLIENT && !d->esp && d->len)
		d->octets[d->len - 1] ^= 1; /* no longer authentic */
	return through(w, d);
}

static void what_is_not_authentic_moves_nobody(void **state)
{
	struct nat n;
	struct world *w = world_behind(&n, "both", CLIENT_BEHIND);

	(void)state;
	world_packet(w, CLIENT, 6, 40000, 443);
	world_run(w, 4000);
	w->wire = from_elsewhere;
	n.base = 20000;
	keying_sad_event(w->hosts[CLIENT].keying,
			 &(struct sad_event){ .kind = SAD_EXPIRE_SOFT, .pair = w->hosts[CLIENT].sas[0].pair },
			 w->now_ms);
	world_run(w, 8000);
	assert_int_equal(ike_row(w, SERVER).remote_port, 44500);
	world_free(w);
}

static void who_is_behind_a_nat_follows_nobody(void **state)
{
	struct nat n;
	struct world *w = world_behind(&n, "both", CLIENT_BEHIND | SERVER_BEHIND);
	struct sad_event e = { .kind = SAD_MOVED };

	(void)state;
	world_packet(w, CLIENT, 6, 40000, 443);
	world_run(w, 4000);
	e.pair = w->hosts[CLIENT].sas[0].pair;
	e.packet.remote = world_addr(192, 0, 2, 50);
	e.packet.remote_port = 4501;
	world_sad_event(w, CLIENT, &e);
	world_run(w, 4100);
	assert_int_equal(ike_row(w, CLIENT).remote_port, 4500);
	expect_outer(w, CLIENT, n.server_outside);
	world_free(w);
}

static void keep_alives_go_from_behind_a_nat_and_only_when_idle(void **state)
{
	struct nat n;
	struct world *w = world_behind(&n, "both", CLIENT_BEHIND);
	uint64_t begin;

	(void)state;
	world_packet(w, CLIENT, 6, 40000, 443);
	world_run(w, 4000);
	begin = w->now_ms;
	for (uint64_t s = 0; s < 100; s += 5) { /* not idle */
		uint64_t pair = w->hosts[CLIENT].sas[0].pair;
		keying_usage(w->hosts[CLIENT].keying, pair, w->now_ms, w->now_ms, w->now_ms);
		world_run(w, begin + s * 1000);
	}
	assert_int_equal(w->hosts[CLIENT].keepalives, 0);
	world_run(w, w->now_ms + 20500 + 80000);
	assert_in_range(w->hosts[CLIENT].keepalives, 3, 5); /* an IKE message does as well */
	assert_int_equal(w->hosts[SERVER].keepalives, 0);
	w->hosts[CLIENT].keepalives = 0;
	w->hosts[CLIENT].config.nat_keepalive_ms = 0;
	keying_set_plan(w->hosts[CLIENT].keying, &w->hosts[CLIENT].config, w->hosts[CLIENT].plan, w->now_ms);
	world_run(w, w->now_ms + 100000);
	assert_in_range(w->hosts[CLIENT].keepalives, 0, 1);
	world_free(w);
}

static void two_hosts_behind_one_address_are_never_mixed_up(void **state)
{
	struct nat n;
	struct world *w = world_behind(&n, "both", CLIENT_BEHIND);
	uint32_t spi;

	(void)state;
	world_packet(w, CLIENT, 6, 40000, 443);
	world_run(w, 4000);
	spi = w->hosts[SERVER].sas[1].spi;
	replace(w, CLIENT, 9);
	n.base = 20000;
	world_packet(w, CLIENT, 6, 40000, 443);
	world_run(w, 6000);
	assert_non_null(
		strstr(w->hosts[SERVER].last_text[EVENT_QUICK_MODE_FAILED], "another host behind the same NAT"));
	assert_int_equal(w->hosts[CLIENT].esp_received, 0);
	assert_int_equal(world_sas(w, SERVER, false), 1);
	assert_int_equal(w->hosts[SERVER].sas[1].spi, spi);
	assert_int_equal(w->hosts[SERVER].sas[1].encap_remote_port, 44500);
	world_free(w);
}

/* The first is proven and its reply not out yet when the second comes and is faster. */
static void two_hosts_that_come_at_once_are_not_mixed_up_either(void **state)
{
	struct nat n;
	struct world *w = world_behind(&n, "both", CLIENT_BEHIND);
	size_t at = 0;

	(void)state;
	w->job_ms = 5;
	world_packet(w, CLIENT, 6, 40000, 443);
	for (;;) {
		for (at = 0; at < w->job_count; at++)
			if (w->jobs[at].host == SERVER && w->jobs[at].job->kind == JOB_SIGN)
				break;
		if (at < w->job_count)
			break;
		assert_true(w->now_ms < 4000);
		world_run(w, w->now_ms + 1);
	}
	w->jobs[at].due_ms = 8000; /* its proof takes long */
	replace(w, CLIENT, 9);
	n.base = 20000;
	world_packet(w, CLIENT, 6, 40000, 443);
	world_run(w, 6000);
	world_expect_one(w, 1);
	world_run(w, 9000);
	assert_non_null(
		strstr(w->hosts[SERVER].last_text[EVENT_QUICK_MODE_FAILED], "another host behind the same NAT"));
	assert_int_equal(world_sas(w, SERVER, false), 1);
	world_packet(w, SERVER, 6, 443, 40000);
	world_run(w, 9500);
	assert_int_equal(w->hosts[CLIENT].esp_received, 1);
	world_free(w);
}

static void the_same_host_may_come_back(void **state)
{
	struct nat n;
	struct world *w = world_behind(&n, "both", CLIENT_BEHIND);

	(void)state;
	world_packet(w, CLIENT, 6, 40000, 443);
	world_run(w, 4000);
	replace(w, CLIENT, 1);
	n.base = 20000;
	world_packet(w, CLIENT, 6, 40000, 443);
	world_run(w, 6000);
	world_expect_one(w, 1);
	world_packet(w, SERVER, 6, 443, 40000);
	world_run(w, 7000);
	assert_int_equal(w->hosts[CLIENT].esp_received, 1);
	world_free(w);
}

static void a_stricter_policy_ends_what_goes_through_a_nat(void **state)
{
	struct nat n;
	struct world *w = world_behind(&n, "both", CLIENT_BEHIND);

	(void)state;
	world_packet(w, CLIENT, 6, 40000, 443);
	world_run(w, 4000);
	world_set_plan(w, SERVER, policy("server"));
	world_run(w, 6000);
	assert_int_equal(world_ikes(w, CLIENT) + world_ikes(w, SERVER), 0);
	world_free(w);
}

/* Who is server and who is behind what stays with an IKE SA's successors, whoever renews it. */
static void what_is_renewed_is_still_behind_the_nat(void **state)
{
	(void)state;
	for (unsigned host = 0; host < HOSTS; host++) {
		struct nat n;
		struct world *w =
			world_behind(&n,
				     "server\nkey-exchange: { default: { proposals: [aes256gcm-sha256-x25519], "
				     "lifetime: 25m } }",
				     SERVER_BEHIND);
		struct keying_ike_row first;

		world_packet(w, CLIENT, 6, 40000, 443);
		world_run(w, 4000);
		first = ike_row(w, CLIENT);
		for (unsigned minute = 1; minute < 40; minute++) {
			world_packet(w, host, 6, host ? 443 : 40000, host ? 40000 : 443);
			world_run(w, 4000 + minute * UINT64_C(60000));
		}
		assert_true(ike_row(w, CLIENT).spi_i != first.spi_i);
		world_set_plan(w, SERVER, policy("server"));
		world_run(w, w->now_ms + 2000);
		world_expect_one(w, 1);
		assert_int_equal(ike_row(w, CLIENT).nat, 2);
		assert_int_equal(ike_row(w, SERVER).nat, 1);
		assert_int_equal(n.clear_esp, 0);
		expect_encapsulated(w);
		assert_int_equal(w->hosts[CLIENT].keepalives, 0);
		world_free(w);
	}
}

/* The server begins from port 4500 to where the client's ESP came from: a NAT lets in nothing else. */
static void a_server_that_has_forgotten_comes_back_through_the_nat(void **state)
{
	struct nat n;
	struct world *w = world_behind(&n, "both", CLIENT_BEHIND);

	(void)state;
	world_packet(w, CLIENT, 6, 40000, 443);
	world_run(w, 4000);
	replace(w, SERVER, 2);
	world_packet(w, CLIENT, 6, 40000, 443);
	world_run(w, 7000);
	assert_int_equal(w->hosts[SERVER].esp_lost, 1);
	world_expect_one(w, 1);
	world_packet(w, CLIENT, 6, 40000, 443);
	world_packet(w, SERVER, 6, 443, 40000);
	world_run(w, 8000);
	assert_int_equal(w->hosts[SERVER].esp_received, 2);
	assert_int_equal(w->hosts[CLIENT].esp_received, 1);
	assert_int_equal(ike_row(w, CLIENT).nat, 1);
	assert_int_equal(ike_row(w, SERVER).nat, 2);
	assert_int_equal(n.wrong_port, 0);
	world_free(w);
}

static void ah_is_left_out_of_what_is_offered_and_taken(void **state)
{
	static const struct {
		const char *proposals;
		bool up;
	} rows[] = { { "[ah-sha256, esp-aes256gcm]", true }, { "[ah-sha256]", false } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct nat n;
		struct world *w;
		char setting[128];

		(void)snprintf(setting, sizeof setting, "both\nprotection: { default: { proposals: %s } }",
			       rows[i].proposals);
		w = world_behind(&n, setting, CLIENT_BEHIND);
		world_packet(w, CLIENT, 6, 40000, 443);
		world_run(w, 4000);
		if (rows[i].up) {
			world_expect_one(w, 1);
			assert_int_equal(w->hosts[CLIENT].sas[0].suite.protocol, PROTO_ESP);
			keying_sad_event(
				w->hosts[CLIENT].keying, /* the same when it is renewed */
				&(struct sad_event){ .kind = SAD_EXPIRE_SOFT, .pair = w->hosts[CLIENT].sas[0].pair },
				w->now_ms);
			world_run(w, 9000);
			world_expect_one(w, 1);
		} else {
			assert_int_equal(world_ikes(w, CLIENT), 0);
			assert_non_null(strstr(w->hosts[CLIENT].last_text[EVENT_MAIN_MODE_FAILED], "AH does not go"));
		}
		world_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_policy_says_of_nats_decides),
		cmocka_unit_test(status_says_who_is_behind_it),
		cmocka_unit_test(a_new_port_is_followed_by_esp_and_ike),
		cmocka_unit_test(the_same_by_an_ike_message),
		cmocka_unit_test(a_new_address_is_followed_if_the_same_rule_holds_there),
		cmocka_unit_test(what_is_not_authentic_moves_nobody),
		cmocka_unit_test(who_is_behind_a_nat_follows_nobody),
		cmocka_unit_test(keep_alives_go_from_behind_a_nat_and_only_when_idle),
		cmocka_unit_test(two_hosts_behind_one_address_are_never_mixed_up),
		cmocka_unit_test(two_hosts_that_come_at_once_are_not_mixed_up_either),
		cmocka_unit_test(the_same_host_may_come_back),
		cmocka_unit_test(what_is_renewed_is_still_behind_the_nat),
		cmocka_unit_test(a_server_that_has_forgotten_comes_back_through_the_nat),
		cmocka_unit_test(ah_is_left_out_of_what_is_offered_and_taken),
		cmocka_unit_test(a_stricter_policy_ends_what_goes_through_a_nat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
