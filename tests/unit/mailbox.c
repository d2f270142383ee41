/* Letters between threads: in their order, and bounded by kind. */
#include "tests/unit/unit.h"

#include "dataplane/esp/mailbox.h"

#include <stdlib.h>

enum { OCTETS = 1000 };

struct note {
	struct letter letter;
	unsigned number;
};

struct reader {
	unsigned read;
};
static unsigned unread;

static void open_note(void *reader, struct letter *l)
{
	struct note *n = (struct note *)l;
	struct reader *r = reader;

	if (r)
		assert_int_equal(n->number, r->read++);
	else
		unread++;
	free(n);
}

static bool post(struct mailbox *m, enum letter_kind kind, unsigned number)
{
	struct note *n = malloc(sizeof *n);

	assert_non_null(n);
	*n = (struct note){ { .open = open_note, .kind = kind, .octets = OCTETS }, number };
	return mailbox_post(m, &n->letter);
}

static void one_kind_does_not_keep_the_others_out(void **state)
{
	(void)state;
	for (int full = LETTER_IN; full < LETTER_KINDS; full++) {
		struct reader r = { 0 };
		struct mailbox m;
		unsigned posted = 0;

		unread = 0;
		assert_int_equal(mailbox_init(&m, NULL), 0);
		for (unsigned round = 1; round <= 2; round++) {
			while (post(&m, (enum letter_kind)full, posted))
				posted++;
			assert_int_equal(unread, round); /* the one that did not fit */
			for (int other = 0; other < LETTER_KINDS; other++)
				if (other != full)
					assert_true(post(&m, (enum letter_kind)other, posted++));
			assert_int_equal(m.octets[full], mailbox_most[full] / OCTETS * OCTETS);
			mailbox_read(&m, &r);
			assert_int_equal(r.read, posted); /* and there is room again */
		}
		assert_true(post(&m, LETTER_IN, posted));
		mailbox_wipe(&m);
		assert_int_equal(unread, 3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_kind_does_not_keep_the_others_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
