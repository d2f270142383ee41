/* Messages between our processes: what the table allows arrives, once and in order, and nothing else is handed on. */
#include "tests/unit/unit.h"

#include "base/diag.h"
#include "daemon/process/channel.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct end {
	struct channel *channel;
	unsigned readies, peers, gone;
	uint8_t last_role;
	int kept;
	const char *why;
};

static int heard_ready(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct end *e = context;

	(void)c;
	(void)body;
	(void)fds;
	e->readies++;
	return 0;
}

static int heard_peer(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct end *e = context;

	(void)c;
	e->peers++;
	e->last_role = wire_u8(body);
	if (e->last_role == 0xee)
		return -1;
	e->kept = fds[0];
	fds[0] = -1;
	return 0;
}

static void gone(struct channel *c, const char *why)
{
	struct end *e = channel_owner(c);

	e->gone++;
	e->why = why;
	e->channel = NULL;
}

static ask_handler *const of_parent[ASK_COUNT] = { [ASK_READY] = heard_ready };
static ask_handler *const of_child[ASK_COUNT] = { [ASK_PEER] = heard_peer };

static void open_end(struct end *e, uv_loop_t *loop, int fd, enum role self, enum role peer)
{
	struct diag d = { 0 };

	*e = (struct end){ .kept = -1 };
	assert_int_equal(channel_new(&(struct channel_config){ .loop = loop,
							       .fd = fd,
							       .self = self,
							       .peer = peer,
							       .handlers = self == ROLE_PARENT ? of_parent : of_child,
							       .context = e,
							       .owner = e,
							       .gone = gone },
				     &e->channel, &d),
			 0);
}

static void turns(uv_loop_t *loop)
{
	for (int i = 0; i < 20; i++)
		(void)uv_run(loop, UV_RUN_NOWAIT);
}

static void finish(uv_loop_t *loop)
{
	turns(loop);
	assert_int_equal(uv_loop_close(loop), 0);
}

static void what_the_table_allows_arrives(void **state)
{
	struct end parent, child;
	uv_loop_t loop;
	int fds[2], tube[2];
	char c = 0;

	(void)state;
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(channel_pair(fds, NULL), 0);
	assert_int_equal(pipe(tube), 0);
	open_end(&parent, &loop, fds[0], ROLE_PARENT, ROLE_KEYS);
	open_end(&child, &loop, fds[1], ROLE_KEYS, ROLE_PARENT);
	(void)channel_begin(child.channel, ASK_READY);
	channel_end(child.channel);
	(void)channel_begin(child.channel, ASK_READY);
	channel_end(child.channel);
	assert_int_equal(parent.readies, 0);
	wire_put_u8(channel_begin(parent.channel, ASK_PEER), ROLE_KEYING);
	channel_end_fds(parent.channel, &tube[1], 1);
	turns(&loop);
	assert_int_equal(parent.readies, 2);
	assert_int_equal(child.peers, 1);
	assert_int_equal(child.last_role, ROLE_KEYING);
	assert_true(child.kept >= 0 && child.kept != tube[1]);
	(void)close(tube[1]);
	assert_int_equal(write(child.kept, "x", 1), 1); /* it is the same tube */
	assert_int_equal(read(tube[0], &c, 1), 1);
	(void)close(child.kept);
	(void)close(tube[0]);
	channel_close(child.channel);
	turns(&loop);
	assert_int_equal(parent.gone, 1);
	assert_null(parent.why);
	finish(&loop);
}

/* What came out of a hostile process, octet by octet. */
static void what_it_does_not_allow_ends_the_channel(void **state)
{
	static const struct {
		const char *octets;
		size_t len;
		int fds;
		const char *why;
	} rows[] = {
		{ "", 0, 0, NULL }, /* as if it had closed */
		{ "\0\1\0\0\0\0\0", 7, 1, "sent a message that is cut off" },
		{ "\0\1\0\0\0\0\0\2\1", 9, 1, "sent a message that is cut off" },
		{ "\0\1\0\0\xff\xff\xff\xff\1", 9, 1, "sent a message that is cut off" },
		{ "\0\1\0\0\0\0\0\0", 8, 1, "asked with a message of another size" },
		{ "\0\1\0\0\0\0\0\2\1\1", 10, 1, "asked with a message of another size" },
		{ "\0\1\0\0\0\0\0\1\1", 9, 0, "asked with descriptors that do not belong to it" },
		{ "\0\1\0\0\0\0\0\1\1", 9, 2, "asked with descriptors that do not belong to it" },
		{ "\0\1\0\0\0\0\0\1\1\0\1\0\0\0\0\0\1\1", 18, 1, "asked with descriptors that do not belong to it" },
		{ "\0\1\0\1\0\0\0\1\1", 9, 1, "asked what nobody may ask" },
		{ "\xff\xff\0\0\0\0\0\0", 8, 0, "asked what nobody may ask" },
		{ "\0\0\0\0\0\0\0\0", 8, 0, "asked what it may not ask" }, /* a child's, and we are one */
		{ "\0\1\0\0\0\0\0\1\xee", 9, 1, "sent a message that means nothing" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		union {
			struct cmsghdr align;
			char space[CMSG_SPACE(2 * sizeof(int))];
		} extra = { 0 };
		struct iovec part = { (void *)(uintptr_t)rows[i].octets, rows[i].len };
		struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
		struct end child;
		uv_loop_t loop;
		int fds[2];

		assert_int_equal(uv_loop_init(&loop), 0);
		assert_int_equal(channel_pair(fds, NULL), 0);
		open_end(&child, &loop, fds[1], ROLE_KEYS, ROLE_PARENT);
		if (rows[i].fds) {
			m.msg_control = &extra;
			m.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)rows[i].fds);
			CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
			CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
			CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)rows[i].fds);
			memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), (int[]){ 2, 2 }, sizeof(int) * (size_t)rows[i].fds);
		}
		assert_int_equal(sendmsg(fds[0], &m, 0), rows[i].len);
		turns(&loop);
		if (child.gone != 1 || (rows[i].why ? !child.why || strcmp(child.why, rows[i].why) != 0 : !!child.why))
			fail_msg("row %zu: gone %u times: %s", i, child.gone, child.why ? child.why : "(nothing)");
		(void)close(fds[0]);
		finish(&loop);
	}
}

static void out_of_turn_ends_it_too(void **state)
{
	struct end parent, child;
	uv_loop_t loop;
	int fds[2];

	(void)state;
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(channel_pair(fds, NULL), 0);
	open_end(&parent, &loop, fds[0], ROLE_PARENT, ROLE_KEYS);
	open_end(&child, &loop, fds[1], ROLE_KEYS, ROLE_PARENT);
	channel_set_state(parent.channel, CHANNEL_READY);
	(void)channel_begin(child.channel, ASK_READY); /* only while it is new */
	channel_end(child.channel);
	turns(&loop);
	assert_int_equal(parent.readies, 0);
	assert_string_equal(parent.why, "asked what is not its turn");
	assert_int_equal(child.gone, 1);
	finish(&loop);
}

static void who_does_not_read_is_cut_off_and_nothing_is_lost_before(void **state)
{
	struct end parent, child;
	uv_loop_t loop;
	int fds[2];
	unsigned sent = 0;

	(void)state;
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(channel_pair(fds, NULL), 0);
	open_end(&child, &loop, fds[1], ROLE_KEYS, ROLE_PARENT);
	/* Much more than the socket holds, and the other end reads late. */
	for (; sent < 200000; sent++) {
		(void)channel_begin(child.channel, ASK_READY);
		channel_end(child.channel);
		if (sent % 100 == 0)
			channel_flush(child.channel);
	}
	assert_true(channel_backlog(child.channel) > 0);
	open_end(&parent, &loop, fds[0], ROLE_PARENT, ROLE_KEYS);
	for (int i = 0; i < 2000 && parent.readies < sent; i++)
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	assert_int_equal(parent.readies, sent);
	assert_int_equal(channel_backlog(child.channel), 0);
	channel_close(parent.channel);
	turns(&loop);
	assert_int_equal(child.gone, 1);

	assert_int_equal(channel_pair(fds, NULL), 0);
	open_end(&child, &loop, fds[1], ROLE_KEYS, ROLE_PARENT);
	for (sent = 0; sent < 10000000 && channel_backlog(child.channel) <= CHANNEL_QUEUE_MOST; sent++) {
		(void)channel_begin(child.channel, ASK_READY);
		channel_end(child.channel);
	}
	turns(&loop);
	assert_int_equal(child.gone, 1);
	assert_string_equal(child.why, "does not read what it is sent");
	(void)close(fds[0]);
	finish(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_table_allows_arrives),
		cmocka_unit_test(what_it_does_not_allow_ends_the_channel),
		cmocka_unit_test(out_of_turn_ends_it_too),
		cmocka_unit_test(who_does_not_read_is_cut_off_and_nothing_is_lost_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
