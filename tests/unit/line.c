/* Which of two lines of CHILD SAs stays: both ends must say the same, whatever each has seen of the other's renewals.
 */
#include "base/scope.h"
#include "keying/line.h"
#include "tests/unit/unit.h"

SCOPE_FREEP(struct line, line)

/* A generation whose lowest nonce is this octet. */
static struct line *next(struct line *before, uint8_t lowest)
{
	const uint8_t other = 0xff;
	struct line *l = line_new(before);

	line_drawn(l, &other, 1, &lowest, 1);
	return l;
}

static void the_lowest_nonce_goes(void **state)
{
	SCOPED(line_freep) struct line *a = next(NULL, 5), *b = next(NULL, 6);

	(void)state;
	assert_false(line_stays(a, b));
	assert_true(line_stays(b, a));
	assert_false(line_related(a, b));
}

static void renewals_since_do_not_change_it(void **state)
{
	SCOPED(line_freep) struct line *old = next(NULL, 0x80), *a = next(old, 0x49), *b = next(old, 0x62);
	SCOPED(line_freep) struct line *b2 = next(b, 0x1c), *b3 = next(b2, 0x01), *a2 = next(a, 0xfe);
	struct line *const of_a[] = { a, a2 }, *const of_b[] = { b, b2, b3 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(of_a); i++)
		for (size_t j = 0; j < ARRAY_LEN(of_b); j++) {
			assert_true(line_related(of_a[i], of_b[j]));
			assert_false(line_stays(of_a[i], of_b[j]));
			assert_true(line_stays(of_b[j], of_a[i]));
		}
}

static void what_stems_from_another_stays(void **state)
{
	SCOPED(line_freep) struct line *old = next(NULL, 9), *a = next(old, 1), *a2 = next(a, 1);

	(void)state;
	assert_true(line_stays(a2, old) && line_stays(a, old) && line_stays(a2, a));
	assert_false(line_stays(old, a2) || line_stays(a, a2));
}

static void a_long_line_forgets_its_beginning_alike_for_all(void **state)
{
	SCOPED(line_freep) struct line *root = next(NULL, 9);
	struct line *a = next(root, 3), *b = next(root, 4);

	(void)state;
	for (unsigned i = 0; i < 3 * LINE_MOST; i++) {
		struct line *longer = next(a, (uint8_t)(200 - i));

		line_free(a);
		a = longer;
		assert_true(line_stays(a, b) != line_stays(b, a)); /* never both, never none */
	}
	line_free(a);
	line_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_lowest_nonce_goes),
		cmocka_unit_test(renewals_since_do_not_change_it),
		cmocka_unit_test(what_stems_from_another_stays),
		cmocka_unit_test(a_long_line_forgets_its_beginning_alike_for_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
