/* The cage of each child: what it needs goes on to work, everything else ends it, and the parent is told what it was.
 */
#include "tests/unit/unit.h"

#include "base/diag.h"
#include "base/scope.h"
#include "base/wire.h"
#include "daemon/process/channel.h"
#include "daemon/process/sandbox.h"
#include "tests/unit/misdeeds.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* ---- one try ----------------------------------------------------------------------------------------------------- */

enum { WENT_WELL = 10, WENT_BADLY = 11, NO_CAGE = 12 };

static bool netlink; /* the next one keeps a right */
static char run_dir[] = "/tmp/cordon-sandbox-XXXXXX";

static _Noreturn void be_child(enum role role, bool (*try)(void), int channel)
{
	struct diag d = { 0 };

	if (dup2(channel, 3) != 3 || sandbox_enter(role, netlink, run_dir, 3, &(int){ 3 }, 1, &d) < 0) {
		(void)fprintf(stderr, "%s: %s\n", role_name(role), d.text);
		_exit(NO_CAGE);
	}
	_exit(try() ? WENT_WELL : WENT_BADLY);
}

/* The wait status; which call the parent was told of, or "". */
static int play(enum role role, bool (*try)(void), char call[SANDBOX_CALL])
{
	uint8_t frame[64];
	struct wire_in in;
	int fds[2], status = 0;
	ssize_t len;
	pid_t pid;

	assert_int_equal(channel_pair(fds, NULL), 0);
	if ((pid = fork()) == 0)
		be_child(role, try, fds[1]);
	(void)close(fds[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	len = recv(fds[0], frame, sizeof frame, MSG_DONTWAIT);
	*call = '\0';
	in = wire_in(frame, len > 0 ? (size_t)len : 0);
	if (len == 12 && wire_u16(&in) == ASK_FORBIDDEN && wire_u16(&in) == 0 && wire_u32(&in) == 4)
		sandbox_call_name(wire_u32(&in), call);
	(void)close(fds[0]);
	return status;
}

static void check(size_t i, enum role role)
{
	char call[SANDBOX_CALL];
	int status = play(role, misdeeds[i].try, call);

	if (WIFEXITED(status) && WEXITSTATUS(status) == NO_CAGE)
		fail_msg("%s: no cage", role_name(role));
	if (misdeeds[i].may & ROLE_BIT(role)) {
		if (!WIFEXITED(status) || WEXITSTATUS(status) != WENT_WELL)
			fail_msg("%s %s: may, but ended with %#x (%s)", role_name(role), misdeeds[i].name,
				 (unsigned)status, call);
	} else if (misdeeds[i].otherwise == FORBIDDEN && !(misdeeds[i].refused & ROLE_BIT(role))) {
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("%s %s: was not ended, but %#x", role_name(role), misdeeds[i].name, (unsigned)status);
		if (misdeeds[i].call && strcmp(call, misdeeds[i].call) != 0)
			fail_msg("%s %s: was told of '%s'", role_name(role), misdeeds[i].name, call);
	} else if (misdeeds[i].otherwise != ABORTED) {
		if (!WIFEXITED(status) || WEXITSTATUS(status) != WENT_BADLY)
			fail_msg("%s %s: ended with %#x", role_name(role), misdeeds[i].name, (unsigned)status);
	} else if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT) {
		fail_msg("%s %s: ended with %#x", role_name(role), misdeeds[i].name, (unsigned)status);
	}
}

static void each_child_may_do_what_it_needs_and_nothing_else(void **state)
{
	(void)state;
	if (SANITIZED)
		skip();
	for (size_t i = 0; i < misdeed_count; i++)
		for (int role = ROLE_KEYING; role < ROLE_COUNT; role++)
			check(i, (enum role)role);
}

/* With the kernel's data plane: it may change what the kernel has of SAs, and no more than it could before. */
static void the_right_to_netlink_opens_no_other_call(void **state)
{
	(void)state;
	if (SANITIZED)
		skip();
	netlink = true;
	for (size_t i = 0; i < misdeed_count; i++)
		check(i, ROLE_DATAPLANE);
	netlink = false;
}

static bool waits(void);

static void only_the_data_plane_keeps_a_right_and_only_that_one(void **state)
{
	static const struct {
		enum role role;
		bool netlink, good;
	} rows[] = { { ROLE_DATAPLANE, true, true }, { ROLE_DATAPLANE, false, false }, { ROLE_KEYS, true, true } };

	(void)state;
	if (SANITIZED || geteuid() != 0)
		skip();
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char lacks[SANDBOX_TEXT] = "";
		bool good = false;
		int fds[2], status;
		pid_t pid;

		assert_int_equal(channel_pair(fds, NULL), 0);
		netlink = i != 2 || rows[i].netlink;
		if ((pid = fork()) == 0)
			be_child(rows[i].role, waits, fds[1]);
		netlink = false;
		for (int k = 0; k < 200 && !good; k++) {
			(void)usleep(5000);
			good = sandbox_look(pid, rows[i].role, rows[i].netlink, lacks);
		}
		if (good != rows[i].good || (!good && strcmp(lacks, "capabilities given up") != 0))
			fail_msg("row %zu: %s", i, lacks);
		(void)close(fds[1]);
		(void)close(fds[0]);
		(void)kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
	}
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

static bool holds_nothing_else(void)
{
	for (int fd = 4; fd < 200; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			return false;
	return fcntl(3, F_GETFD) >= 0;
}

static void only_what_was_given_stays_open(void **state)
{
	char call[SANDBOX_CALL];
	int open_fds[20], status;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(open_fds); i++)
		open_fds[i] = open("/dev/null", O_RDONLY);
	status = play(ROLE_SOURCES, holds_nothing_else, call);
	for (size_t i = 0; i < ARRAY_LEN(open_fds); i++)
		(void)close(open_fds[i]);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), WENT_WELL);
}

static bool waits(void)
{
	char c;

	(void)!read(3, &c, 1);
	return true;
}

static void the_parent_sees_whether_the_cage_is_closed(void **state)
{
	char lacks[SANDBOX_TEXT] = "";
	int fds[2], status;
	pid_t pid;
	bool good = false;

	(void)state;
	assert_false(sandbox_look(getpid(), ROLE_KEYS, false, lacks));
	assert_non_null(strstr(lacks, "system calls"));
	if (SANITIZED || geteuid() != 0)
		skip();
	assert_int_equal(channel_pair(fds, NULL), 0);
	if ((pid = fork()) == 0)
		be_child(ROLE_KEYS, waits, fds[1]);
	for (int i = 0; i < 1000 && !good; i++) {
		(void)usleep(5000);
		good = sandbox_look(pid, ROLE_KEYS, false, lacks);
	}
	assert_string_equal(lacks, "");
	assert_true(good);
	(void)close(fds[1]);
	(void)close(fds[0]);
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void a_folder_that_is_not_empty_is_refused(void **state)
{
	char path[64];
	struct diag d = { 0 };
	int fd;

	(void)state;
	(void)snprintf(path, sizeof path, "%s/empty/file", run_dir);
	(void)snprintf(path, sizeof path, "%s/empty", run_dir);
	assert_int_equal(chmod(path, 0755), 0);
	(void)snprintf(path, sizeof path, "%s/empty/file", run_dir);
	assert_true((fd = open(path, O_CREAT | O_WRONLY, 0600)) >= 0);
	(void)close(fd);
	assert_true(sandbox_folder(run_dir, &d) < 0);
	assert_non_null(strstr(d.text, "not an empty folder"));
	(void)snprintf(path, sizeof path, "%s/empty", run_dir);
	assert_int_equal(chmod(path, 0755), 0);
	(void)snprintf(path, sizeof path, "%s/empty/file", run_dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(sandbox_folder(run_dir, &d), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_child_may_do_what_it_needs_and_nothing_else),
		cmocka_unit_test(the_right_to_netlink_opens_no_other_call),
		cmocka_unit_test(only_the_data_plane_keeps_a_right_and_only_that_one),
		cmocka_unit_test(only_what_was_given_stays_open),
		cmocka_unit_test(the_parent_sees_whether_the_cage_is_closed),
		cmocka_unit_test(a_folder_that_is_not_empty_is_refused),
	};
	struct diag d = { 0 };
	char path[64];
	int r;

	if (!mkdtemp(run_dir) || chmod(run_dir, 0755) < 0 || sandbox_folder(run_dir, &d) < 0) {
		(void)fprintf(stderr, "%s\n", d.text);
		return 1;
	}
	r = cmocka_run_group_tests(tests, NULL, NULL);
	(void)snprintf(path, sizeof path, "%s/empty", run_dir);
	(void)rmdir(path);
	(void)rmdir(run_dir);
	return r;
}
