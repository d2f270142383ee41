/* What netfilter logs reaches the one that reads it, by a descriptor that is no netlink socket and goes one way. */
#include "tests/unit/unit.h"

#include "base/diag.h"
#include "daemon/parts/log_relay.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct fixture {
	uv_loop_t loop;
	int kernel; /* what it writes to */
	struct log_relay *relay;
};

static void begin(struct fixture *f)
{
	int pair[2];

	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	f->kernel = pair[0];
	assert_int_equal(log_relay_new(&f->loop, pair[1], &f->relay, NULL), 0);
}

static void end(struct fixture *f)
{
	log_relay_close(f->relay);
	(void)uv_run(&f->loop, UV_RUN_NOWAIT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	(void)close(f->kernel);
}

static int reader(struct fixture *f)
{
	int fd = log_relay_reader(f->relay, NULL);

	assert_true(fd >= 0);
	return fd;
}

static void log_it(struct fixture *f, const char *text)
{
	assert_int_equal(send(f->kernel, text, strlen(text), 0), (ssize_t)strlen(text));
	(void)uv_run(&f->loop, UV_RUN_NOWAIT);
}

static void assert_read(int fd, const char *text)
{
	char got[64];

	assert_int_equal(recv(fd, got, sizeof got, MSG_DONTWAIT), (ssize_t)strlen(text));
	assert_memory_equal(got, text, strlen(text));
}

static void each_datagram_arrives_whole(void **state)
{
	struct fixture f;
	int fd;

	(void)state;
	begin(&f);
	log_it(&f, "nobody reads this");
	fd = reader(&f);
	log_it(&f, "one");
	log_it(&f, "another");
	assert_read(fd, "one");
	assert_read(fd, "another");
	assert_int_equal(recv(fd, &(char){ 0 }, 1, MSG_DONTWAIT), -1);
	(void)close(fd);
	end(&f);
}

static void who_reads_has_no_netlink_and_sends_nothing(void **state)
{
	struct fixture f;
	socklen_t len = sizeof(int);
	char got[8];
	int fd, domain = 0;

	(void)state;
	begin(&f);
	fd = reader(&f);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len), 0);
	assert_int_equal(domain, AF_UNIX);
	assert_int_equal(send(fd, "order", 5, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(recv(f.kernel, got, sizeof got, MSG_DONTWAIT), -1);
	(void)close(fd);
	end(&f);
}

static void the_next_one_takes_over(void **state)
{
	struct fixture f;
	int first, second;

	(void)state;
	begin(&f);
	first = reader(&f);
	(void)close(first);
	log_it(&f, "lost");
	log_it(&f, "lost");
	first = reader(&f);
	second = reader(&f);
	log_it(&f, "here");
	assert_read(second, "here");
	assert_int_equal(recv(first, &(char){ 0 }, 1, MSG_DONTWAIT), 0);
	(void)close(first);
	(void)close(second);
	end(&f);
}

static void one_that_does_not_read_costs_the_others_nothing(void **state)
{
	struct fixture f;
	char much[4096] = { 0 };
	int fd;

	(void)state;
	begin(&f);
	fd = reader(&f);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(send(f.kernel, much, sizeof much, 0), (ssize_t)sizeof much);
		(void)uv_run(&f.loop, UV_RUN_NOWAIT);
	}
	while (recv(fd, much, sizeof much, MSG_DONTWAIT) > 0)
		;
	log_it(&f, "again");
	assert_read(fd, "again");
	(void)close(fd);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_datagram_arrives_whole),
		cmocka_unit_test(who_reads_has_no_netlink_and_sends_nothing),
		cmocka_unit_test(the_next_one_takes_over),
		cmocka_unit_test(one_that_does_not_read_costs_the_others_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
