/* tests/guest/xfrm_pair/cases.h - the cases, for main.c's table. */
#ifndef TESTS_GUEST_XFRM_PAIR_CASES_H
#define TESTS_GUEST_XFRM_PAIR_CASES_H

/* cases_suites.c */
void every_suite(void);
void tunnels(void);

/* cases_waiting.c */
void nothing_clear_without_an_sa(void);
void several_wait_at_one_policy(void);
void failing_asks_again(void);
void falls_back(void);

/* cases_rules.c */
void the_most_specific_wins(void);
void clear_is_not_let_in(void);
void many_hosts(void);
void a_new_plan(void);

/* cases_life.c */
void expires(void);
void rekeys_lose_nothing(void);
void unknown_spis_are_heard(void);

/* cases_others.c */
void others_are_left_alone(void);
void what_others_remove_comes_back(void);

#endif
