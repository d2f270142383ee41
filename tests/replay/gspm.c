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

static void expect_peers(struct world *w, enum peer_method method)
{
	static const char *const names[HOSTS] = { "host/a.example@EXAMPLE", "host/b.example@EXAMPLE" };

	for (unsigned host = 0; host < HOSTS; host++) {
		struct keying_ike_row row;

		assert_int_equal(keying_ike_rows(w->hosts[host].keying, &row, 1), 1);
		assert_int_equal(peer_kept_method(row.peer), method);
		if (method == PEER_KERBEROS)
			assert_string_equal(peer_kept_id(row.peer), names[1 - host]);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_end_learns_who_the_other_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
