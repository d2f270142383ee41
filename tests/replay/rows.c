/* Every row of the tables of steps is taken by some exchange that is played here: a row that nobody plays is found. */
#include "tests/replay/tamper.h"
#include "tests/unit/unit.h"

#include <inttypes.h>
#include <string.h>

#define POLICY(ke, child) \
	"cordon: 1\nauthentication:\n  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n" \
	"key-exchange:\n  default: { " ke " }\n" \
	"protection:\n  default: { proposals: [" child "] }\n" \
	"connection-security:\n" \
	"  - { name: web, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], protocol: tcp, port2: 80, mode: require,\n" \
	"      authentication: password }\n" \
	"  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require, authentication: password }\n"
/* Kerberos for the traffic to port 80 and for the rest, or not. */
#define DOMAIN_POLICY(web, all) \
	"cordon: 1\nauthentication:\n  domain: [ { kerberos: { realm: EXAMPLE } } ]\n" \
	"  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n" \
	"key-exchange:\n  default: { " X25519 " }\n" \
	"connection-security:\n" \
	"  - { name: web, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], protocol: tcp, port2: 80, mode: require,\n" \
	"      authentication: " web " }\n" \
	"  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require, authentication: " all " }\n"
#define X25519 "proposals: [aes256gcm-sha256-x25519]"
#define TWO_GROUPS "proposals: [aes256-sha384-ecp384, aes256gcm-sha256-x25519]"

static struct keying_rows taken;

static void note(struct world *w)
{
	for (unsigned host = 0; host < HOSTS; host++) {
		taken.ike |= w->hosts[host].keying->rows.ike;
		taken.child |= w->hosts[host].keying->rows.child;
	}
}

static void both(struct world *w, unsigned from)
{
	struct keying_child_row row;

	world_packet(w, from, 6, 1, 1);
	world_run(w, w->now_ms + 4000);
	if (keying_child_rows(w->hosts[0].keying, &row, 1) == 0)
		return;
	world_packet(w, from, 6, 1, 80); /* CREATE_CHILD_SA */
	world_run(w, w->now_ms + 4000);
	struct sad_event e = { .kind = SAD_EXPIRE_SOFT, .pair = row.pair };
	world_sad_event(w, 0, &e);
	world_run(w, w->now_ms + 4000);
	struct ike_sa *sa = tamper_sa(w, from);
	sa->rekey_ms = w->now_ms;
	ike_arm(sa);
	world_run(w, w->now_ms + 8000);
}

/* One that is up and receives only. */
static struct child *loser(struct world *w, unsigned host)
{
	struct ike_sa *sa = tamper_sa(w, host);
	struct child *c;

	LIST_FOREACH(c, &sa->children, entry)
		if (c->state == CHILD_UP && !c->sends && c->keys)
			return c;
	return NULL;
}

/* Both renew at once; the one that stays ends before the other is deleted, which then carries the traffic. */
static bool a_loser_stands_in(struct world *w, uint8_t lead)
{
	struct keying_child_row rows[8];
	struct child *lost = NULL, *c, *next;
	unsigned host = 0;

	world_packet(w, 0, 6, 1, 1);
	world_run(w, w->now_ms + 4000);
	w->hosts[0].nonce_lead = lead; /* it decides who loses */
	w->hosts[1].nonce_lead = 100;
	for (unsigned from = 0; from < HOSTS; from++) {
		assert_int_equal(keying_child_rows(w->hosts[from].keying, rows, ARRAY_LEN(rows)), 1);
		world_sad_event(w, from, &(struct sad_event){ .kind = SAD_EXPIRE_SOFT, .pair = rows[0].pair });
	}
	for (unsigned step = 0; step < 6000 && !lost; step++) {
		host = step % HOSTS;
		world_run(w, w->now_ms + host);
		lost = loser(w, host);
	}
	if (!lost)
		return false;
	for (c = LIST_FIRST(&lost->ike->children); c; c = next) {
		next = LIST_NEXT(c, entry);
		if (c != lost)
			world_sad_event(w, host, &(struct sad_event){ .kind = SAD_EXPIRE_HARD, .pair = c->pair });
	}
	assert_true(lost->sends && lost->state == CHILD_UP);
	world_run(w, w->now_ms + 20000);
	for (unsigned from = 0; from < HOSTS; from++)
		world_packet(w, from, 6, 1, 1);
	world_run(w, w->now_ms + 4000);
	world_expect_one(w, 1);
	return true;
}

static void every_row_is_taken(void **state)
{
	static const struct {
		const char *policy[HOSTS];
		const char *psk; /* host 1's; NULL: the same */
		bool cookie;
		const char *rejects; /* host 1's Kerberos; NULL: nothing */
	} rows[] = {
		{ { POLICY(X25519, "esp-aes256gcm"), POLICY(X25519, "esp-aes256gcm") }, NULL, false, NULL },
		{ { POLICY(X25519, "esp-aes256gcm-x25519"), POLICY(X25519, "esp-aes256gcm-x25519") },
		  NULL,
		  false,
		  NULL },
		{ { POLICY(TWO_GROUPS, "esp-aes256gcm"), POLICY(X25519, "esp-aes256gcm") }, NULL, true, NULL },
		{ { POLICY("proposals: [aes256-sha384-ecp384]", "esp-aes256gcm"), POLICY(X25519, "esp-aes256gcm") },
		  NULL,
		  false,
		  NULL },
		{ { POLICY(X25519, "esp-aes256gcm"), POLICY(X25519, "esp-aes256gcm") }, "another secret", false, NULL },
		{ { POLICY(X25519 ", ppk: { id: one, file: /one }", "esp-aes256gcm"),
		    POLICY(X25519 ", ppk: { id: one, file: /one }", "esp-aes256gcm") },
		  NULL,
		  false,
		  NULL },
		{ { DOMAIN_POLICY("domain", "domain"), DOMAIN_POLICY("domain", "domain") }, NULL, false, NULL },
		{ { DOMAIN_POLICY("domain", "domain"), DOMAIN_POLICY("domain", "password") }, NULL, false, NULL },
		{ { DOMAIN_POLICY("domain", "domain"), DOMAIN_POLICY("domain", "domain") }, NULL, false, "too old" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (unsigned from = 0; from < HOSTS; from++) {
			struct world *w = world_new_two(rows[i].policy[0], rows[i].policy[1]);
			if (rows[i].psk)
				w->hosts[1].psk = rows[i].psk;
			w->hosts[1].kdc.rejects = rows[i].rejects;
			if (rows[i].cookie)
				w->hosts[0].keying->config.half_open_cookie =
					w->hosts[1].keying->config.half_open_cookie = 0;
			both(w, from);
			note(w);
			world_free(w);
		}
	unsigned stood_in = 0;
	for (unsigned lead = 1; lead < 256; lead += 254) {
		struct world *w = world_new_two(rows[0].policy[0], rows[0].policy[1]);
		stood_in += a_loser_stands_in(w, (uint8_t)lead);
		note(w);
		world_free(w);
	}
	assert_true(stood_in);
	for (size_t i = 0; i < ike_row_count; i++)
		if (!(taken.ike >> i & 1))
			fail_msg("row %zu of keying/ike.c's steps is never taken here", i + 1);
	for (size_t i = 0; i < child_row_count; i++)
		if (!(taken.child >> i & 1))
			fail_msg("row %zu of keying/child.c's steps is never taken here", i + 1);
	assert_true(ike_row_count >= 20 && ike_row_count <= 64 && child_row_count >= 15 && child_row_count <= 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_row_is_taken) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
