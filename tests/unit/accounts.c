/* What the parent says of an account that keying has asked about. */
#include "daemon/keying/accounts.h"

#include "base/scope.h"
#include "base/wire.h"
#include "identity/directory.h"
#include "tests/unit/unit.h"

#include <string.h>

static uv_loop_t loop;
static struct channel *ends[2];
static uint32_t asked;

static int on_account(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	(void)context, (void)c, (void)fds;
	asked = wire_u32(body);
	(void)wire_octets(body, body->left);
	return 0;
}

static ask_handler *const handlers[ASK_COUNT] = { [ASK_ACCOUNT] = on_account, [ASK_ACCOUNT_SAID] = accounts_on_said };

static void gone(struct channel *c, const char *why)
{
	(void)c;
	if (why)
		fail_msg("%s", why);
}

static void turns(void)
{
	for (int i = 0; i < 10; i++)
		(void)uv_run(&loop, UV_RUN_NOWAIT);
}

struct heard {
	unsigned times;
	uint64_t learnt_s;
	bool listed;
	struct sid sid;
};

static void done(void *context, uint64_t learnt_s, const struct sid_list *sids)
{
	struct heard *h = context;

	h->times++;
	h->learnt_s = learnt_s;
	h->listed = sid_list_has(sids, &h->sid);
}

/* One that is disabled or twice there is to keying as one that is not there: nothing is known of it, whatever stands
 * beside that. learnt_s 0 makes it MAYBE (tests/unit/groups.c). */
static void only_of_an_account_that_was_found_groups_are_known(void **state)
{
	static const struct {
		enum directory_state state;
		bool known;
	} rows[] = { { DIRECTORY_FOUND, true }, { DIRECTORY_MISSING, false }, { DIRECTORY_NOT_LEARNT, false } };
	struct sid sid = { .authority = 5, .count = 2, .sub = { 21, 1105 } };
	struct sid_list sids = { 0 };

	(void)state;
	assert_true(sid_list_add(&sids, &sid));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct heard h = { .sid = sid };
		struct wire_out *out;

		accounts_ask("srv1.example", false, done, &h);
		turns();
		out = channel_begin(ends[1], ASK_ACCOUNT_SAID);
		wire_put_u32(out, asked);
		wire_put_u8(out, (uint8_t)rows[i].state);
		wire_put_u64(out, 1700000000);
		sid_list_put(out, &sids);
		channel_end(ends[1]);
		turns();
		assert_int_equal(h.times, 1);
		if ((h.learnt_s != 0) != rows[i].known || h.listed != rows[i].known)
			fail_msg("row %zu", i);
	}
}

static int setup(void **state)
{
	int fds[2];

	(void)state;
	if (uv_loop_init(&loop) < 0 || channel_pair(fds, NULL) < 0)
		return -1;
	for (size_t i = 0; i < 2; i++) {
		const struct channel_config c = { .loop = &loop,
						  .fd = fds[i],
						  .self = i ? ROLE_PARENT : ROLE_KEYING,
						  .peer = i ? ROLE_KEYING : ROLE_PARENT,
						  .handlers = handlers,
						  .gone = gone };
		if (channel_new(&c, &ends[i], NULL) < 0)
			return -1;
		channel_set_state(ends[i], CHANNEL_READY);
	}
	accounts_begin(&loop, ends[0]);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(only_of_an_account_that_was_found_groups_are_known) };

	return cmocka_run_group_tests(tests, setup, NULL);
}
