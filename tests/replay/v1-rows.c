/* IKEv1: every row of its two tables of steps is taken by some exchange that is played here, and whatever else comes,
 * in whichever state, changes nothing. */
#include "keying/v1/v1.h"
#include "tests/replay/v1.h"
#include "tests/unit/unit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct keying_rows taken;

static void note(struct world *w)
{
	for (unsigned host = 0; host < HOSTS; host++) {
		taken.main |= w->hosts[host].keying->rows.main;
		taken.quick |= w->hosts[host].keying->rows.quick;
	}
}

static struct world *world_of(unsigned kind)
{
	return kind == 0 ? world_new(v1_policy) : kind == 1 ? v1_world_signing(3) : v1_world_kerberos();
}

/* The initiator's Windows asks for a cookie (A12): once, then all is as before. */
static unsigned want_cookie(struct world *w, struct datagram *d)
{
	unsigned *asked = w->context;

	static const uint8_t cookie[] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	if (d->esp || d->octets[18] != V1_MAIN || d->from != 0 || ++*asked != 1) {
		if (!d->esp && memcmp(d->octets + V1_COOKIE, cookie, sizeof cookie) == 0)
			memset(d->octets + V1_COOKIE, 0, sizeof cookie); /* shown, and the peer goes on as usual */
		return 1;
	}
	const struct ike_header h = { .spi_i = 0, .exchange = V1_INFORMATIONAL };
	uint8_t buf[256];
	struct ike_writer out;
	v1_write_begin(&out, buf, sizeof buf, &h);
	memcpy(buf, d->octets, V1_COOKIE);
	v1_put_notify(&out, &(struct v1_notification){ .doi = V1_DOI_IPSEC,
						       .protocol = V1_PROTO_ISAKMP,
						       .type = V1_N_WINDOWS_DOS_COOKIE,
						       .data = { cookie, sizeof cookie } });
	ike_write_end(&out);
	world_inject(w, 0, buf, out.out.len);
	return 0;
}

/* Windows sets the commit bit and says CONNECTED: so do we, to Windows. */
static unsigned from_windows(struct world *w, struct datagram *d)
{
	(void)w;
	if (!d->esp && d->octets[18] == V1_MAIN && !(d->octets[19] & V1_FLAG_ENCRYPTED)) {
		static const uint8_t cordon[] = { 0x49, 0x83, 0x2c, 0xe3 },
				     windows[] = { 0x1e, 0x2b, 0x51, 0x69, 0x05, 0x99, 0x1c, 0x7d,
						   0x7c, 0x96, 0xfc, 0xbf, 0xb5, 0x87, 0xe4, 0x61 };
		for (size_t i = 0; i + sizeof windows <= d->len; i++)
			if (memcmp(d->octets + i, cordon, sizeof cordon) == 0)
				memcpy(d->octets + i, windows, sizeof windows);
	}
	return 1;
}

static void every_row_is_taken(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < 3; kind++)
		for (unsigned how = 0; how < 3; how++) {
			struct world *w = world_of(kind);
			unsigned asked = 0;
			struct keying_child_row row;
			w->context = &asked;
			w->wire = how == 1 ? want_cookie : how == 2 ? from_windows : NULL;
			world_packet(w, 0, 6, 40000, 443);
			world_run(w, w->now_ms + 8000);
			world_expect_one(w, 1);
			if (how == 1)
				assert_in_range(asked, 4, 5);
			world_packet(w, 1, 6, 443, 40000);
			assert_int_equal(keying_child_rows(w->hosts[0].keying, &row, 1), 1);
			struct sad_event e = { .kind = SAD_EXPIRE_SOFT, .pair = row.pair };
			world_sad_event(w, 0, &e);
			world_run(w, w->now_ms + 8000);
			world_expect_one(w, 1);
			note(w);
			world_free(w);
		}
	/* the loser of two quick modes stands in for the winner */
	for (unsigned lead = 0; lead < 2; lead++) {
		struct world *w = world_new(v1_policy);
		w->hosts[0].nonce_lead = lead ? 1 : 0xfe;
		w->hosts[1].nonce_lead = lead ? 0xfe : 1;
		world_packet(w, 0, 6, 40000, 443);
		world_packet(w, 1, 6, 443, 40000);
		for (unsigned step = 0; step < 40; step++) {
			world_run(w, w->now_ms + 1);
			for (unsigned host = 0; host < HOSTS; host++) {
				struct keying_child_row rows[4];
				size_t n = keying_child_rows(w->hosts[host].keying, rows, 4);
				for (size_t i = 0; n == 2 && i < n; i++) {
					const struct child *c = child_by_pair(w->hosts[host].keying, rows[i].pair);
					struct sad_event e = { .kind = SAD_EXPIRE_HARD, .pair = rows[i].pair };
					if (c && c->sends)
						world_sad_event(w, host, &e);
				}
			}
		}
		world_run(w, w->now_ms + 20000);
		note(w);
		world_free(w);
	}
	for (size_t i = 0; i < mm_row_count; i++)
		if (!(taken.main >> i & 1))
			fail_msg("row %zu of main mode's table is never taken", i);
	for (size_t i = 0; i < quick_row_count; i++)
		if (!(taken.quick >> i & 1))
			fail_msg("row %zu of quick mode's table is never taken", i);
}

/* ---- out of season ------------------------------------------------------------------------------------------------
 */

/* All that a message could change. */
struct view {
	enum ike_state state;
	enum mm_state main;
	uint64_t spi_r, job;
	size_t children, ikes;
	unsigned events;
	struct v1_iv iv;
	uint8_t digest[DIGEST];
};

static struct view view_of(struct world *w, unsigned host)
{
	const struct keying *k = w->hosts[host].keying;
	const struct ike_sa *sa = TAILQ_LAST(&k->ikes, ikes_list);
	struct view v = { .children = world_children(w, host) };
	const struct ike_sa *one;

	TAILQ_FOREACH(one, &k->ikes, entry)
		v.ikes++;
	for (size_t i = 0; i < EVENT_COUNT; i++)
		v.events += i == EVENT_MAIN_MODE_DOWN || i == EVENT_QUICK_MODE_DOWN ? w->hosts[host].events[i] : 0;
	if (!sa)
		return v;
	v.state = sa->state;
	v.main = sa->v1->state;
	v.spi_r = sa->spi_r;
	v.job = sa->job;
	v.iv = sa->v1->iv;
	memcpy(v.digest, sa->last_digest, DIGEST);
	return v;
}

static bool same_view(const struct view *a, const struct view *b)
{
	return a->state == b->state && a->main == b->main && a->spi_r == b->spi_r && a->job == b->job &&
	       a->children == b->children && a->ikes == b->ikes && a->events == b->events &&
	       memcmp(&a->iv, &b->iv, sizeof a->iv) == 0 && memcmp(a->digest, b->digest, DIGEST) == 0;
}

/* A header of every exchange, with and without encryption, and a few payloads: in clear they make no sense where they
 * come; encrypted they are garbage. */
static void throw_everything(struct world *w, unsigned host)
{
	const struct ike_sa *sa = TAILQ_LAST(&w->hosts[host].keying->ikes, ikes_list);
	uint8_t m[92];

	for (unsigned exchange = 0; exchange < 256; exchange++)
		for (unsigned flags = 0; flags < 8; flags++)
			for (unsigned id = 0; id < 2; id++) {
				struct wire_out out = wire_out(m, sizeof m);
				wire_put_u64(&out, sa->spi_i);
				wire_put_u64(&out, sa->spi_r);
				wire_put_u8(&out, V1_PL_HASH);
				wire_put_u8(&out, V1_VERSION);
				wire_put_u8(&out, (uint8_t)exchange);
				wire_put_u8(&out, (uint8_t)flags);
				wire_put_u32(&out, id ? 0x12345678 : 0);
				wire_put_u32(&out, sizeof m);
				while (out.len < out.cap)
					wire_put_u8(&out, (uint8_t)(exchange * 7 + flags + out.len));
				struct view before = view_of(w, host), after;
				world_inject(w, host, m, sizeof m);
				after = view_of(w, host);
				if (!same_view(&before, &after))
					fail_msg("host %u in '%s': exchange %u, flags %u, message ID %u changed "
						 "something",
						 host, mm_state_name(before.main), exchange, flags, id);
			}
}

static void what_is_out_of_season_changes_nothing(void **state)
{
	uint64_t met[2] = { 0 };

	(void)state;
	for (unsigned kind = 0; kind < 3; kind++) {
		for (unsigned until = 0; until < 60; until++) {
			struct world *w = world_of(kind);
			w->job_ms = 3; /* so that it stands for a while in the states that wait for a job */
			w->quick_keys = true;
			world_packet(w, 0, 6, 40000, 443);
			world_run(w, w->now_ms + until);
			for (unsigned host = 0; host < HOSTS; host++) {
				const struct ike_sa *sa = TAILQ_LAST(&w->hosts[host].keying->ikes, ikes_list);
				if (!sa || met[host] >> (sa->v1->state + (kind ? 24 * (kind - 1) : 0)) & 1)
					continue;
				throw_everything(w, host);
				met[host] |= UINT64_C(1) << (sa->v1->state + (kind ? 24 * (kind - 1) : 0));
			}
			world_run(w, w->now_ms + 20000);
			world_expect_one(w, 1);
			world_free(w);
		}
		if (kind == 0)
			met[0] = met[1] = 0;
	}
}

static void aggressive_mode_is_counted_and_not_taken(void **state)
{
	struct world *w = world_new(v1_policy);
	uint8_t m[40] = { 1, 2, 3, 4, 5, 6, 7, 8, [16] = V1_PL_SA, [17] = V1_VERSION, [18] = V1_AGGRESSIVE, [27] = 40 };

	(void)state;
	world_inject(w, 1, m, sizeof m);
	assert_int_equal(keying_dropped(w->hosts[1].keying, KEYING_DROP_AGGRESSIVE), 1);
	assert_int_equal(w->ike_sent[1], 0);
	m[18] = 243; /* AuthIP: Windows asks by IKEv1 as well */
	world_inject(w, 1, m, sizeof m);
	assert_int_equal(keying_dropped(w->hosts[1].keying, KEYING_DROP_EXCHANGE), 1);
	assert_int_equal(w->ike_sent[1], 0);
	world_free(w);
}

/* Strangers fill a bounded place; one address a part of it; and who has waited longest gives way. */
static void half_open_ones_are_bounded(void **state)
{
	struct world *w = world_new("cordon: 1\n"
				    "authentication:\n  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n"
				    "key-exchange:\n  default: { proposals: [aes256-sha384-ecp384] }\n"
				    "connection-security:\n"
				    "  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.0/16], mode: require,\n"
				    "      authentication: password, modules: ikev1 }\n");
	struct keying *k = w->hosts[0].keying;
	struct v1_main_wish wish = { .methods = { V1_METHOD_PSK }, .method_count = 1 };
	const struct key_exchange_set *sets;
	static struct v1_offer offer;
	struct ike_writer out;
	static uint8_t m[1024];
	unsigned most = 0;

	(void)state;
	if (world_is_ipv6()) { /* its policy has addresses of the other family */
		world_free(w);
		return;
	}
	k->config.half_open_most = 64; /* so IKEv1 has 16 */
	assert_true(policy_key_exchange_sets(plan_policy(w->hosts[0].plan), &sets) > 0);
	for (size_t i = 0; i < policy_key_exchange_sets(plan_policy(w->hosts[0].plan), &sets); i++)
		wish.set = &sets[i];
	assert_int_equal(v1_offer_main(&wish, &offer, NULL), 0);
	for (unsigned i = 1; i < 2000; i++) {
		const struct ike_header h = { .spi_i = i, .exchange = V1_MAIN };
		const struct addr from = addr_v4(10, 0, (uint8_t)(i >> 8), (uint8_t)(i | 2));
		v1_write_begin(&out, m, sizeof m, &h);
		v1_put_sa(&out, &offer);
		ike_write_end(&out);
		keying_message(k, &w->hosts[0].addr, 500, &from, 500, m, out.out.len, w->now_ms);
		world_run(w, w->now_ms + 20);
		most = k->half_open_v1 > most ? (unsigned)k->half_open_v1 : most;
	}
	assert_int_equal(most, 16);
	world_packet(w, 0, 6, 40000, 443); /* and we are not kept from our own */
	world_run(w, w->now_ms + 60000);
	assert_int_equal(k->half_open_v1, 0);
	assert_int_equal(k->half_open_count, 0);
	world_free(w);
}

static void a_wrong_key_is_told_at_both_ends(void **state)
{
	struct world *w = world_new(v1_policy);

	(void)state;
	w->hosts[1].psk = "another secret";
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, 10000);
	assert_int_equal(world_ikes(w, 0) + world_ikes(w, 1), 0);
	assert_non_null(strstr(w->hosts[0].last_text[EVENT_MAIN_MODE_FAILED], "mostly the pre-shared keys differ"));
	assert_non_null(strstr(w->hosts[1].last_text[EVENT_MAIN_MODE_FAILED], "its pre-shared key is not ours"));
	world_free(w);

	w = v1_world_signing(9); /* a signature that is wrong: under protection */
	w->hosts[1].psk = "another secret";
	world_packet(w, 0, 6, 40000, 443);
	world_run(w, 10000);
	assert_int_equal(world_ikes(w, 0) + world_ikes(w, 1), 0);
	assert_non_null(strstr(w->hosts[0].last_text[EVENT_MAIN_MODE_FAILED], "AUTHENTICATION-FAILED"));
	assert_non_null(strstr(w->hosts[1].last_text[EVENT_MAIN_MODE_FAILED], "we refused the proof"));
	world_free(w);
}

static void policies_that_do_not_meet_are_told(void **state)
{
#define TWO(ke, child, more) \
	"cordon: 1\nauthentication:\n  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n" \
	"key-exchange:\n  default: { proposals: [" ke "] }\nprotection:\n  p: { proposals: [" child "] }\n" \
	"connection-security:\n  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require, " more \
	"\n      authentication: password, protection: p, modules: ikev1 }\n"
	static const struct {
		const char *policy[HOSTS];
		const char *at[HOSTS];
	} rows[] = {
		{ { TWO("aes256-sha384-ecp384", "esp-aes256gcm", ""),
		    TWO("aes128-sha256-ecp256", "esp-aes256gcm", "") },
		  { "NO-PROPOSAL-CHOSEN", "no rule between us takes one of these" } },
		{ { TWO("aes256-sha384-ecp384", "esp-aes256gcm", ""),
		    TWO("aes256-sha384-ecp384", "esp-aes128gcm", "") },
		  { "its rule wants another quick mode", "it offers" } },
		{ { TWO("aes256-sha384-ecp384", "esp-aes256gcm", ""),
		    TWO("aes256-sha384-ecp384", "esp-aes256gcm", "protocol: tcp, port2: 443,") },
		  { "none of its rules protects just that traffic", "no rule of this host protects just" } },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct world *w = world_new_two(rows[i].policy[0], rows[i].policy[1]);
		world_packet(w, 0, 6, 40000, 443);
		world_run(w, 10000);
		for (unsigned host = 0; host < HOSTS; host++) {
			enum event_id id = i ? EVENT_QUICK_MODE_FAILED : EVENT_MAIN_MODE_FAILED;
			if (!strstr(w->hosts[host].last_text[id], rows[i].at[host]))
				fail_msg("row %zu, host %u: '%s'", i, host, w->hosts[host].last_text[id]);
		}
		world_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_is_taken),
		cmocka_unit_test(what_is_out_of_season_changes_nothing),
		cmocka_unit_test(aggressive_mode_is_counted_and_not_taken),
		cmocka_unit_test(half_open_ones_are_bounded),
		cmocka_unit_test(a_wrong_key_is_told_at_both_ends),
		cmocka_unit_test(policies_that_do_not_meet_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
