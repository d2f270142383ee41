/* ESP in UDP 4500 though there is no NAT: both ends have to say so, nobody on the way can say it for them, what is
 * renewed keeps it, and where UDP 4500 does not get through the hosts do without. */
#include "tests/replay/tamper.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

static const char policy_text[] = "cordon: 1\n"
				  "%s"
				  "authentication:\n"
				  "  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n"
				  "protection:\n"
				  "  signed: { proposals: [ah-sha256] }\n"
				  "connection-security:\n"
				  "  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require,\n"
				  "      authentication: password }\n"
				  "  - { name: signed, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], protocol: tcp,\n"
				  "      port2: 80, mode: require, authentication: password, protection: signed }\n";

/* The setting, and lines that follow it; NULL: the default. */
static const char *policy(const char *setting)
{
	static char text[4][2048];
	static unsigned next;
	char line[256] = "";
	char *ret = text[next++ % 4];

	if (setting)
		(void)snprintf(line, sizeof line, "encapsulation: %s\n", setting);
	(void)snprintf(ret, sizeof text[0], policy_text, line);
	return ret;
}

/* What was on the wire. */
struct wire {
	unsigned native, udp;    /* ESP */
	unsigned ike[2];         /* on 500, on 4500 */
	bool blocked;            /* UDP 4500 does not get through */
	const uint8_t *stripped; /* this vendor ID is made another one, from host `by` */
	unsigned by, strips;
};

static const uint8_t ours[] = { 0x5c, 0x34, 0x0c, 0x8c, 0x8d, 0xed, 0xa1, 0x61,
				0x31, 0x66, 0x61, 0xb6, 0xe3, 0x3b, 0xea, 0x83 };

static unsigned look(struct world *w, struct datagram *d)
{
	struct wire *s = w->context;
	uint8_t *id;

	if (d->esp) {
		(*(d->local_port ? &s->udp : &s->native))++;
		assert_int_equal(d->local_port, d->remote_port);
		assert_true(d->local_port == 0 || d->local_port == 4500);
		return d->local_port && s->blocked ? 0 : 1;
	}
	assert_int_equal(d->local_port, d->remote_port);
	s->ike[d->local_port == 4500]++;
	if (s->stripped && d->from == s->by && (id = memmem(d->octets, d->len, s->stripped, sizeof ours))) {
		id[0] ^= 1;
		s->strips++;
	}
	return d->local_port == 4500 && s->blocked ? 0 : 1;
}

static struct world *world(struct wire *s, const char *one, const char *other)
{
	struct world *w = world_new_two(policy(one), policy(other));

	*s = (struct wire){ 0 };
	w->wire = look;
	w->context = s;
	return w;
}

static void expect_sas(const struct world *w, bool udp)
{
	for (unsigned host = 0; host < HOSTS; host++) {
		struct keying_ike_row ike[4];
		size_t ikes = keying_ike_rows(w->hosts[host].keying, ike, ARRAY_LEN(ike));
		struct keying_child_row child[4];
		size_t children = keying_child_rows(w->hosts[host].keying, child, ARRAY_LEN(child));
		unsigned n = 0;

		for (size_t i = 0; i < SAS_MOST; i++) {
			const struct world_sa *sa = &w->hosts[host].sas[i];

			if (!sa->used || sa->suite.protocol == PROTO_AH)
				continue;
			n++;
			assert_int_equal(sa->encap_local_port, udp ? 4500 : 0);
			assert_int_equal(sa->encap_remote_port, udp ? 4500 : 0);
			assert_false(sa->nat);
		}
		assert_true(n >= 2);
		assert_true(ikes >= 1 && ikes <= ARRAY_LEN(ike));
		for (size_t i = 0; i < ikes; i++) {
			assert_true(ike[i].udp == udp || !ike[i].established);
			assert_int_equal(ike[i].nat, 0);
		}
		assert_true(children >= 1 && children <= ARRAY_LEN(child));
		for (size_t i = 0; i < children; i++)
			assert_int_equal(child[i].udp, udp && child[i].suite.protocol == PROTO_ESP);
	}
}

static void both_must_say_it(void **state)
{
	static const struct {
		const char *setting[2];
		bool kernel[2]; /* not the userspace plane */
		bool udp;
	} rows[] = {
		{ { NULL, NULL }, { false, false }, true },          { { "auto", "auto" }, { false, false }, true },
		{ { "auto", "auto" }, { true, false }, false },      { { "auto", "auto" }, { false, true }, false },
		{ { "native", "native" }, { false, false }, false }, { { "native", "auto" }, { false, false }, false },
		{ { "auto", "native" }, { false, false }, false },   { { "udp", "native" }, { false, false }, false },
		{ { "udp", "udp" }, { true, true }, true },          { { "udp", "auto" }, { true, false }, true },
		{ { "udp", "auto" }, { false, true }, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (unsigned first = 0; first < HOSTS; first++) {
			struct wire s;
			struct world *w = world(&s, rows[i].setting[0], rows[i].setting[1]);

			for (unsigned host = 0; host < HOSTS; host++) {
				w->hosts[host].config.userspace_plane = !rows[i].kernel[host];
				world_set_plan(w, host, policy(rows[i].setting[host]));
			}
			world_packet(w, first, 6, 40000, 443);
			world_run(w, 3000);
			world_packet(w, 1 - first, 6, 443, 40000);
			world_run(w, 4000);
			world_expect_one(w, 1);
			expect_sas(w, rows[i].udp);
			if ((rows[i].udp ? s.native : s.udp) || !(rows[i].udp ? s.udp : s.native) || s.ike[0] < 2 ||
			    !s.ike[1] == rows[i].udp)
				fail_msg("row %zu: %u native, %u in UDP, IKE %u and %u", i, s.native, s.udp, s.ike[0],
					 s.ike[1]);
			world_free(w);
		}
}

/* Whoever takes out what one of them says makes the proofs wrong: both cover the two messages. */
static void who_strips_the_vendor_id_makes_the_proof_fail(void **state)
{
	(void)state;
	for (unsigned by = 0; by < HOSTS; by++) {
		struct wire s;
		struct world *w = world(&s, NULL, NULL);

		s.stripped = ours;
		s.by = by;
		world_packet(w, 0, 6, 40000, 443);
		world_run(w, 3000);
		assert_true(s.strips > 0);
		assert_int_equal(world_ikes(w, 0), 0);
		assert_int_equal(world_children(w, 0) + world_children(w, 1), 0);
		assert_int_equal(s.native + s.udp, 0);
		assert_true(w->hosts[0].events[EVENT_MAIN_MODE_FAILED] + w->hosts[1].events[EVENT_MAIN_MODE_FAILED] >
			    0);
		world_free(w);
	}
}

/* Quick mode and main mode, whoever renews them. */
static void what_is_renewed_keeps_it(void **state)
{
	static const char *const settings[] = { "auto", "native" };

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(settings); i++)
		for (unsigned host = 0; host < HOSTS; host++) {
			struct wire s;
			char text[256];
			struct keying_ike_row before, after;

			(void)snprintf(text, sizeof text,
				       "%s\nkey-exchange: { default: { proposals: [aes256gcm-sha256-x25519], "
				       "lifetime: 25m } }",
				       settings[i]);
			struct world *w = world(&s, text, text);
			world_packet(w, 0, 6, 40000, 443);
			world_run(w, 4000);
			assert_int_equal(keying_ike_rows(w->hosts[0].keying, &before, 1), 1);
			assert_true(keying_renew(w->hosts[host].keying, KEYING_RENEW_CHILD, NULL, w->now_ms) == 1);
			world_run(w, 10000);
			for (unsigned minute = 1; minute < 40; minute++) {
				world_packet(w, host, 6, host ? 443 : 40000, host ? 40000 : 443);
				world_run(w, 10000 + minute * UINT64_C(60000));
			}
			world_expect_one(w, 1);
			assert_int_equal(keying_ike_rows(w->hosts[0].keying, &after, 1), 1);
			assert_true(after.spi_i != before.spi_i);
			expect_sas(w, i == 0);
			assert_int_equal(i == 0 ? s.native : s.udp, 0);
			assert_int_equal(w->hosts[0].keepalives + w->hosts[1].keepalives, 0);
			world_free(w);
		}
}

/* Somebody else has port 4500 of one family: that one does without at once, the other is not held up by it. */
static void a_taken_port_is_a_matter_of_its_family(void **state)
{
	bool ipv6 = world_is_ipv6();

	(void)state;
	for (unsigned host = 0; host < HOSTS; host++)
		for (int taken6 = 0; taken6 < 2; taken6++) {
			struct wire s;
			struct world *w = world(&s, NULL, NULL);

			w->hosts[host].config.no_udp4 = !taken6;
			w->hosts[host].config.no_udp6 = taken6;
			world_set_plan(w, host, policy(NULL));
			world_packet(w, 0, 6, 40000, 443);
			world_run(w, 3000);
			world_packet(w, 1, 6, 443, 40000);
			world_run(w, 4000);
			world_expect_one(w, 1);
			expect_sas(w, taken6 != ipv6);
			world_free(w);
		}
}

/* Nor is it said where nothing else can come of it. */
static void ah_alone_is_not_told_of_udp(void **state)
{
	static const char text[] = "cordon: 1\n"
				   "authentication:\n"
				   "  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n"
				   "protection:\n"
				   "  signed: { proposals: [ah-sha256] }\n"
				   "  either: { proposals: [ah-sha256, esp-aes256gcm] }\n"
				   "connection-security:\n"
				   "  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require,\n"
				   "      authentication: password, protection: %s }\n";

	(void)state;
	for (int esp = 0; esp < 2; esp++) {
		char policy_of_both[sizeof text + 16];
		struct world *w;

		(void)snprintf(policy_of_both, sizeof policy_of_both, text, esp ? "either" : "signed");
		w = world_new_two(policy_of_both, policy_of_both);
		world_packet(w, 0, 6, 40000, 80);
		world_run(w, 3000);
		world_expect_one(w, 1);
		for (unsigned host = 0; host < HOSTS; host++) {
			const char *told = w->hosts[host].last[EVENT_MAIN_MODE_UP].text;

			assert_int_equal(w->hosts[host].events[EVENT_MAIN_MODE_UP], 1);
			assert_true(!strstr(told, "ESP goes in UDP") == !esp);
		}
		world_free(w);
	}
}

static void ah_stays_as_it_is(void **state)
{
	struct wire s;
	struct world *w = world(&s, NULL, NULL);
	struct keying_child_row child;

	(void)state;
	world_packet(w, 0, 6, 40000, 80);
	world_run(w, 3000);
	world_expect_one(w, 1);
	assert_int_equal(s.udp, 0);
	assert_true(s.native > 0);
	assert_int_equal(keying_child_rows(w->hosts[0].keying, &child, 1), 1);
	assert_false(child.udp);
	world_free(w);
}

/* IKE_SA_INIT on 500 passes, 4500 does not: after a few tries they begin again and do without, and say so. */
static void where_udp_is_blocked_they_do_without(void **state)
{
	(void)state;
	for (unsigned host = 0; host < HOSTS; host++) {
		struct wire s;
		struct world *w = world(&s, NULL, NULL);

		s.blocked = true;
		world_packet(w, host, 6, 40000, 443);
		world_run(w, 9000);
		world_packet(w, host, 6, 40000, 443);
		world_run(w, 20000);
		assert_int_equal(world_ikes(w, 0), 1);
		expect_sas(w, false);
		assert_true(s.native > 0);
		assert_int_equal(s.udp, 0);
		assert_int_equal(w->hosts[host].events[EVENT_UDP_BLOCKED], 1);
		assert_int_equal(w->hosts[host].events[EVENT_MAIN_MODE_FAILED], 0);
		assert_non_null(strstr(w->hosts[host].last_text[EVENT_UDP_BLOCKED], "encapsulation: native"));

		/* Ten minutes later a new main mode tries again, and finds it open. */
		s.blocked = false;
		world_run(w, 11 * 60000);
		assert_int_equal(keying_renew(w->hosts[host].keying, KEYING_RENEW_PROOF, NULL, w->now_ms), 1);
		world_run(w, w->now_ms + 10000);
		world_packet(w, host, 6, 40000, 443);
		world_run(w, w->now_ms + 5000);
		assert_true(s.udp > 0);
		expect_sas(w, true);
		world_free(w);
	}
}

static void a_lossy_path_is_not_taken_for_a_blocked_one(void **state)
{
	struct wire s;
	struct world *w = world(&s, NULL, NULL);

	(void)state;
	s.blocked = true;
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, 2000);
	s.blocked = false;
	world_run(w, 8000);
	assert_int_equal(w->hosts[0].events[EVENT_UDP_BLOCKED], 0);
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, 9000);
	expect_sas(w, true);
	world_free(w);
}

/* `native` in a new policy is the cure, so it must not wait for the next main mode. */
static void a_policy_that_says_native_ends_what_is_in_udp(void **state)
{
	(void)state;
	for (unsigned host = 0; host < HOSTS; host++) {
		struct wire s;
		struct world *w = world(&s, NULL, NULL);

		world_packet(w, 0, 6, 40000, 443);
		world_run(w, 4000);
		expect_sas(w, true);
		world_set_plan(w, host, policy("native"));
		world_run(w, 6000);
		assert_int_equal(world_ikes(w, 0) + world_ikes(w, 1), 0);
		world_packet(w, 1 - host, 6, host ? 40000 : 443, host ? 443 : 40000);
		world_run(w, 10000);
		world_expect_one(w, 1);
		expect_sas(w, false);
		world_free(w);
	}
}

/* It comes back on the port that the other's ESP came from, and they agree again. */
static void who_has_forgotten_comes_back(void **state)
{
	struct wire s;
	struct world *w = world(&s, NULL, NULL);

	(void)state;
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, 4000);
	world_restart(w, 1);
	for (unsigned i = 0; i < 10; i++) {
		world_packet(w, 0, 6, 40000, 443);
		world_run(w, 5000 + i * 1000);
	}
	world_run(w, 60000);
	expect_sas(w, true);
	assert_int_equal(s.native, 0);
	world_free(w);
}

/* Port 4500 is the data plane's, and it may be gone before the last datagram is. */
static void who_goes_says_so_on_port_500(void **state)
{
	struct wire s;
	struct world *w = world(&s, NULL, NULL);

	(void)state;
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, 4000);
	s.blocked = true;
	keying_close(w->hosts[0].keying, w->now_ms);
	world_run(w, 6000);
	assert_int_equal(world_ikes(w, 1), 0);
	assert_int_equal(w->hosts[1].events[EVENT_MAIN_MODE_DOWN], 1);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_must_say_it),
		cmocka_unit_test(who_strips_the_vendor_id_makes_the_proof_fail),
		cmocka_unit_test(what_is_renewed_keeps_it),
		cmocka_unit_test(ah_stays_as_it_is),
		cmocka_unit_test(a_taken_port_is_a_matter_of_its_family),
		cmocka_unit_test(ah_alone_is_not_told_of_udp),
		cmocka_unit_test(where_udp_is_blocked_they_do_without),
		cmocka_unit_test(a_lossy_path_is_not_taken_for_a_blocked_one),
		cmocka_unit_test(a_policy_that_says_native_ends_what_is_in_udp),
		cmocka_unit_test(who_has_forgotten_comes_back),
		cmocka_unit_test(who_goes_says_so_on_port_500),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
