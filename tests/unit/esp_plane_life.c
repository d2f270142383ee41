/* SAs in the plane: lives, requests of keying, and plans that come and go. */
#include "tests/unit/sides.h"
#include "tests/unit/unit.h"

#include "base/diag.h"
#include "dataplane/esp/packet.h"

#include <errno.h>

static void an_sa_asks_for_its_successor_and_stops_at_its_limit(void **state)
{
	struct side a, b;
	struct sa_spec of_a, of_b;

	(void)state;
	side_up(&a, 1, &plan_of_all);
	side_up(&b, 2, &plan_of_all);
	of_a = side_spec(&a, 4, &all, &gcm);
	of_b = side_spec(&b, 4, &all, &gcm);
	of_a.soft_octets = 500;
	of_a.hard_octets = 1000;
	sides_join_specs(&a, &b, of_a, of_b);
	a.event_count = 0;
	for (unsigned i = 0; i < 10; i++)
		side_send(&a, &udp4); /* 108 octets each */
	assert_int_equal(a.event_count, 1);
	assert_int_equal(a.events[0].kind, SAD_EXPIRE_SOFT);
	assert_int_equal(a.events[0].pair, PAIR);
	assert_int_equal(a.count, 10);
	side_send(&a, &udp4);
	assert_int_equal(a.count, 10); /* it waits for the successor */
	assert_int_equal(a.event_count, 3);
	assert_int_equal(a.events[1].kind, SAD_EXPIRE_HARD);
	assert_int_equal(a.events[2].kind, SAD_ACQUIRE);
	assert_int_equal(sad_usage(a.sad, NULL, 0), 0);
	side_forget(&a);
	sides_join(&a, &b, 4);
	assert_int_equal(a.count, 1);
	side_down(&a);
	side_down(&b);
}

static void sequence_numbers_run_out_like_octets(void **state)
{
	struct side a, b;
	struct sa *sa;

	(void)state;
	side_up(&a, 1, &plan_of_all);
	side_up(&b, 2, &plan_of_all);
	sides_join(&a, &b, 4);
	a.event_count = 0;
	sa = sa_find_pair(&a.sad->sas, PAIR, false);
	sa->sequence = UINT32_MAX - 2;
	side_send(&a, &udp4);
	assert_int_equal(a.events[0].kind, SAD_EXPIRE_SOFT);
	side_send(&a, &udp4);
	assert_int_equal(a.count, 2);
	side_send(&a, &udp4);
	assert_int_equal(a.count, 2);
	assert_int_equal(a.events[1].kind, SAD_EXPIRE_HARD);
	side_down(&a);
	side_down(&b);
}

static void the_newest_sa_sends_and_the_old_one_still_receives(void **state)
{
	struct side a, b;
	struct sa_spec of_a, of_b;
	struct sa_usage u;
	uint32_t spi;

	(void)state;
	side_up(&a, 1, &plan_of_all);
	side_up(&b, 2, &plan_of_all);
	sides_join(&a, &b, 4);
	side_send(&a, &udp4);
	of_a = side_spec(&a, 4, &all, &gcm);
	of_b = side_spec(&b, 4, &all, &gcm);
	of_a.pair = of_b.pair = PAIR + 1;
	sides_join_specs(&a, &b, of_a, of_b);
	side_send(&a, &udp4);
	assert_true(sad_usage_of(a.sad, PAIR + 1, &u));
	assert_int_equal(u.packets_out, 1);
	spi = u.spi_out;
	assert_ptr_equal(sa_find_sent(&a.sad->sas, &of_a.local, &of_a.remote, spi),
			 sa_find_pair(&a.sad->sas, PAIR + 1, false));
	side_carry(&a, &b);
	assert_int_equal(b.count, 2);
	assert_int_equal(sad_remove(a.sad, PAIR + 1, 9, NULL), 0);
	assert_int_equal(a.events[a.event_count - 1].kind, SAD_DONE);
	assert_int_equal(a.events[a.event_count - 1].request, 9);
	side_send(&a, &udp4);
	assert_null(sa_find_sent(&a.sad->sas, NULL, &of_a.remote, spi));
	assert_true(sad_usage_of(a.sad, PAIR, &u));
	assert_non_null(sa_find_sent(&a.sad->sas, NULL, &of_a.remote, u.spi_out));
	assert_null(sa_find_sent(&a.sad->sas, NULL, &of_a.local, u.spi_out));
	assert_null(sa_find_sent(&a.sad->sas, NULL, &of_a.remote, u.spi_in));
	assert_int_equal(u.packets_out, 2);
	assert_int_equal(sad_remove(a.sad, PAIR + 1, 9, NULL), -ENOENT);
	side_down(&a);
	side_down(&b);
}

static void wrong_requests_fail_at_once(void **state)
{
	static const struct rule nobodys = { .name = "All" };
	struct side a;
	struct sa_spec good, s;
	struct child_suite ah;
	struct diag d;

	(void)state;
	side_up(&a, 1, &plan_of_all);
	good = side_spec(&a, 4, &all, &gcm);
	good.spi = 300;
	assert_int_equal(child_suite_parse("ah-sha256", 9, &ah, NULL), 0);
#define REFUSED(change) \
	do { \
		s = good; \
		change; \
		if (sad_install(a.sad, &s, 1, &d) >= 0) \
			fail_msg("%s: taken", #change); \
	} while (0)
	REFUSED(s.inbound = true); /* was not reserved */
	REFUSED(s.spi = 255);
	REFUSED(s.suite = ah);
	REFUSED(s.tunnel = true);
	REFUSED(s.rule = &nobodys);
	REFUSED(s.encr_key.len--);
	REFUSED(s.local = end_of(6, 1));
	REFUSED(s.selector.remote = end_of(4, 9));
	REFUSED(s.encap_local_port = 4500);
	REFUSED(s.nat = true); /* native */
	REFUSED(s.encap_local_port = s.encap_remote_port = 4500; s.selector.remote = end_of(4, 9));
	s = good;
	s.inbound = true;
	s.spi = side_reserve(&a, 4);
	s.replay_window = 63;
	assert_true(sad_install(a.sad, &s, 1, &d) < 0);
	s.replay_window = 4097;
	assert_true(sad_install(a.sad, &s, 1, &d) < 0);
	s.replay_window = 4096;
	assert_int_equal(sad_install(a.sad, &s, 1, &d), 0);
	assert_true(sad_install(a.sad, &s, 1, &d) < 0); /* twice */
	s.spi = side_reserve(&a, 4);
	sad_release_spi(a.sad, s.spi);
	assert_true(sad_install(a.sad, &s, 1, &d) < 0); /* given back */
	side_down(&a);
}

static void a_new_plan_keeps_the_sas_that_still_belong_to_their_rule(void **state)
{
	static struct rule again, stricter, renamed;
	static const struct plan_entry again_entries[] = { FLAT_ALL(&again) };
	static const struct plan_entry stricter_entries[] = { FLAT_ALL(&stricter) };
	static const struct plan_entry renamed_entries[] = { FLAT_ALL(&renamed) };
	static const struct plan_entry narrower_entries[] = { FLAT_ENTRY(&again, IP_TCP, 0, 65535) };
	static struct plan plans[] = { { again_entries, 1, 1 },
				       { stricter_entries, 1, 1 },
				       { renamed_entries, 1, 1 },
				       { narrower_entries, 1, 1 } };
	static const bool kept[] = { true, false, false, false };
	struct sa_usage u;

	(void)state;
	again = all;
	stricter = all;
	stricter.auth = &auth_b;
	renamed = all;
	renamed.name = "All of them";
	for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
		struct side a, b;

		side_up(&a, 1, &plan_of_all);
		side_up(&b, 2, &plan_of_all);
		sides_join(&a, &b, 4);
		a.event_count = 0;
		sad_set_plan(a.sad, &plans[i]);
		assert_int_equal(sad_usage_of(a.sad, PAIR, &u), kept[i]);
		if (kept[i]) {
			assert_ptr_equal(u.rule, &again);
			side_send(&a, &udp4);
			assert_int_equal(a.count, 1);
		} else {
			assert_int_equal(a.events[0].kind, SAD_EXPIRE_HARD);
			assert_int_equal(a.events[0].pair, PAIR);
		}
		sad_set_plan(a.sad, NULL);
		assert_int_equal(sad_usage(a.sad, NULL, 0), 0);
		side_down(&a);
		side_down(&b);
		assert_int_equal(plans[i].references, 1);
		assert_int_equal(plan_of_all.references, 1);
	}
}

static void udp_encapsulation_goes_both_ways(void **state)
{
	struct side a, b;

	(void)state;
	for (unsigned family = 4; family <= 6; family += 2) {
		struct sa_spec of_a, of_b;
		struct shape s = udp4;

		side_up(&a, 1, &plan_of_all);
		side_up(&b, 2, &plan_of_all);
		of_a = side_spec(&a, family, &all, &gcm);
		of_b = side_spec(&b, family, &all, &gcm);
		of_a.encap_local_port = of_a.encap_remote_port = of_b.encap_local_port = of_b.encap_remote_port = 4500;
		sides_join_specs(&a, &b, of_a, of_b);
		s.family = family;
		side_send(&a, &s);
		side_carry(&a, &b);
		assert_int_equal(b.count, 1);
		assert_true(sums_right(b.sent[0].octets, b.sent[0].len));
		side_down(&a);
		side_down(&b);
	}
}

static void reservations_are_bounded_by_each_ones_share(void **state)
{
	static struct sa_table t;
	const struct addr here = addr_v4(10, 0, 0, 1), there = addr_v4(10, 0, 0, 2);
	size_t n = 0;
	uint32_t spi;

	(void)state;
	assert_int_equal(sa_table_init(&t, NULL), 0);
	t.share = (struct share){ 3, SHARES_MOST };
	while (n <= SA_RESERVED_MOST && sa_reserve(&t, &here, &there, &spi, NULL) == 0) {
		assert_int_equal(share_of_spi(spi, SHARES_MOST), 3);
		n++;
	}
	assert_int_equal(n, SA_RESERVED_MOST / SHARES_MOST);
	sa_table_wipe(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reservations_are_bounded_by_each_ones_share),
		cmocka_unit_test(an_sa_asks_for_its_successor_and_stops_at_its_limit),
		cmocka_unit_test(sequence_numbers_run_out_like_octets),
		cmocka_unit_test(the_newest_sa_sends_and_the_old_one_still_receives),
		cmocka_unit_test(wrong_requests_fail_at_once),
		cmocka_unit_test(a_new_plan_keeps_the_sas_that_still_belong_to_their_rule),
		cmocka_unit_test(udp_encapsulation_goes_both_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
