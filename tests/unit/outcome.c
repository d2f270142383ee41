#include "tests/unit/unit.h"

#include "analysis/outcome.h"
#include "base/scope.h"

static const char *const stances[STANCES] = {
	[STANCE_REQUIRE] = "require", [STANCE_REQUIRE_INBOUND] = "require-inbound",
	[STANCE_REQUEST] = "request", [STANCE_EXEMPT] = "exempt",
	[STANCE_BLOCK] = "block",     [STANCE_NONE] = "none",
};

/* Rows: who opens the connection; columns: who accepts it. E encrypted and promised, e encrypted but it may fall back
 * to clear, C clear, B blocked. Written from the table of modes in the language's description, not from the code. */
static const char *const able[STANCES] = {
	/*                            require, require-inbound, request, exempt, block, none */
	[STANCE_REQUIRE] = "EEEBBB", [STANCE_REQUIRE_INBOUND] = "eeeCBC", [STANCE_REQUEST] = "eeeCBC",
	[STANCE_EXEMPT] = "BBCCBC",  [STANCE_BLOCK] = "BBBBBB",           [STANCE_NONE] = "BBCCBC",
};
static const char *const unable[STANCES] = {
	[STANCE_REQUIRE] = "BBBBBB", [STANCE_REQUIRE_INBOUND] = "BBCCBC", [STANCE_REQUEST] = "BBCCBC",
	[STANCE_EXEMPT] = "BBCCBC",  [STANCE_BLOCK] = "BBBBBB",           [STANCE_NONE] = "BBCCBC",
};

static char letter(const struct meeting *m)
{
	switch (m->verdict) {
	case OUTCOME_ENCRYPTED:
		return m->guaranteed == OUTCOME_ENCRYPTED ? 'E' : 'e';
	case OUTCOME_CLEAR:
		return 'C';
	case OUTCOME_BLOCKED:
		return 'B';
	default:
		return '?';
	}
}

static void check(const char *const table[STANCES], const struct negotiation *n)
{
	for (int a = 0; a < STANCES; a++)
		for (int b = 0; b < STANCES; b++) {
			struct meeting m = outcome_meet((enum stance)a, (enum stance)b, n);

			if (letter(&m) != table[a][b])
				fail_msg("%s -> %s: %c, want %c", stances[a], stances[b], letter(&m), table[a][b]);
			if ((m.verdict == OUTCOME_BLOCKED) != (m.stopped_at >= 0))
				fail_msg("%s -> %s: stopped at %d", stances[a], stances[b], m.stopped_at);
			if (m.stopped_at >= 0 && m.ends[m.stopped_at] != OUTCOME_BLOCKED)
				fail_msg("%s -> %s: end %d did not stop it", stances[a], stances[b], m.stopped_at);
		}
}

static void outcome_of_every_pair_of_modes_that_can_agree(void **state)
{
	const struct negotiation n = { .result = NEGOTIATE_AGREED,
				       .outcome = OUTCOME_ENCRYPTED,
				       .weakest = OUTCOME_ENCRYPTED };

	(void)state;
	check(able, &n);
}

static void outcome_of_every_pair_of_modes_that_cannot(void **state)
{
	const struct negotiation n = { .result = NEGOTIATE_NO_AGENT, .at = 1 };

	(void)state;
	check(unable, &n);
}

static void outcome_guarantees_no_more_than_the_weakest_common_proposal(void **state)
{
	const struct negotiation n = { .result = NEGOTIATE_AGREED,
				       .outcome = OUTCOME_ENCRYPTED,
				       .weakest = OUTCOME_AUTHENTICATED };
	struct meeting m = outcome_meet(STANCE_REQUIRE, STANCE_REQUIRE, &n);

	(void)state;
	assert_int_equal(m.verdict, OUTCOME_ENCRYPTED);
	assert_int_equal(m.guaranteed, OUTCOME_AUTHENTICATED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(outcome_of_every_pair_of_modes_that_can_agree),
		cmocka_unit_test(outcome_of_every_pair_of_modes_that_cannot),
		cmocka_unit_test(outcome_guarantees_no_more_than_the_weakest_common_proposal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
