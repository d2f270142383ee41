/* The desk of events: it never waits, its memory is what it was, and what it leaves out it tells. */
#include "observe/hub.h"
#include "observe/journal.h"
#include "tests/unit/slow_disk.h"
#include "tests/unit/unit.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static uint64_t clock_ms = 1;

static uint64_t now_ms(void)
{
	return clock_ms;
}

/* ---- the journal ------------------------------------------------------------------------------------------------- */

static int journal_server(char path[108])
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)snprintf(path, 108, "/tmp/cordon-journal-%d", (int)getpid());
	(void)snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	(void)unlink(path);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	return fd;
}

static void the_journal_gets_fields(void **state)
{
	struct event e = { .id = EVENT_MAIN_MODE_FAILED,
			   .remote = addr_v4(10, 77, 1, 10),
			   .rule = "All",
			   .peer = "CN=a\nPRIORITY=0",
			   .failure = FAILURE_USAGE,
			   .text = "why" };
	static const char want[] = "MESSAGE=main-mode-failed 10.77.1.10 'All': why\n"
				   "PRIORITY=3\n"
				   "SYSLOG_IDENTIFIER=cordond\n"
				   "CORDON_EVENT=main-mode-failed\n"
				   "CORDON_NUMBER=7\n"
				   "CORDON_CATEGORY=Main Mode\n"
				   "CORDON_RESULT=failure\n"
				   "CORDON_WINDOWS=4652\n"
				   "CORDON_REMOTE=10.77.1.10\n"
				   "CORDON_RULE=All\n"
				   "CORDON_PEER\n\x0f\0\0\0\0\0\0\0" /* a line's end would forge a field */
				   "CN=a\nPRIORITY=0\n"
				   "CORDON_CODE=usage-missing\n"
				   "CORDON_REFUSED_BY=here\n";
	char path[108], got[JOURNAL_MESSAGE_MOST];
	int fd = journal_server(path);
	struct journal *j = journal_new(path);
	ssize_t n;

	(void)state;
	assert_true(journal_tell(j, &e, 7));
	n = recv(fd, got, sizeof got, 0);
	assert_int_equal(n, sizeof want - 1);
	assert_memory_equal(got, want, sizeof want - 1);
	journal_free(j);
	(void)close(fd);
	(void)unlink(path);
}

/* The longest event in octets that all must be told with their length. */
static void the_longest_event_fits_the_journal(void **state)
{
	struct event e = { .id = EVENT_PACKET_DROPPED };
	uint8_t buf[JOURNAL_MESSAGE_MOST];
	struct wire_out out = wire_out(buf, sizeof buf);

	(void)state;
	memset(e.rule, '\n', sizeof e.rule - 1);
	memset(e.peer, '\n', sizeof e.peer - 1);
	memset(e.text, '\n', sizeof e.text - 1);
	memset(e.reason, '\n', sizeof e.reason - 1);
	journal_encode(&out, &e, UINT64_MAX);
	assert_false(out.failed);
}

static void a_journal_that_does_not_read_or_is_not_there_is_no_obstacle(void **state)
{
	char path[108];
	int fd = journal_server(path);
	struct journal *j = journal_new(path);
	unsigned taken = 0;

	(void)state;
	for (unsigned i = 0; i < 100000; i++)
		taken += journal_tell(j, &(struct event){ .id = EVENT_STARTED }, i);
	assert_in_range(taken, 1, 99999);
	(void)close(fd);
	(void)unlink(path);
	assert_false(journal_tell(j, &(struct event){ .id = EVENT_STARTED }, 1));
	journal_free(j);
}

/* ---- the desk ---------------------------------------------------------------------------------------------------- */

struct seen {
	uint64_t told, left_out[8];
	unsigned ticks;
};

static void note(void *context, const struct event *e, uint64_t number)
{
	static const char *const names[] = { "unknown-spi", "journal", "log", "file", "follower" };
	struct seen *s = context;

	(void)number;
	s->told++;
	for (size_t i = 0; e->id == EVENT_LEFT_OUT && i < sizeof names / sizeof *names; i++)
		if (strcmp(e->reason, names[i]) == 0)
			s->left_out[i] += e->left_out;
}

static void note_tick(void *context)
{
	((struct seen *)context)->ticks++;
}

static bool deaf(const struct event *e)
{
	(void)e;
	return false;
}

static void what_comes_too_often_is_counted_and_told(void **state)
{
	struct seen seen = { 0 };
	struct hub_config c = { .kept = 64, .told = note, .wants_tick = note_tick, .now_ms = now_ms, .context = &seen };
	struct hub *h;
	struct observer o;

	(void)state;
	audit_default(&c.audit);
	h = hub_new(&c);
	o = hub_observer(h);
	for (unsigned i = 0; i < 100000; i++)
		observe(&o, &(struct event){ .id = EVENT_UNKNOWN_SPI });
	assert_int_equal(seen.told, HUB_BURST);
	assert_int_equal(seen.ticks, 1);
	observe(&o, &(struct event){ .id = EVENT_POLICY_REFUSED }); /* another kind is not to blame */
	assert_int_equal(seen.told, HUB_BURST + 1);
	hub_tick(h);
	assert_int_equal(seen.left_out[0], 100000 - HUB_BURST);
	hub_tick(h); /* once */
	assert_int_equal(seen.left_out[0], 100000 - HUB_BURST);
	clock_ms += 1000;
	for (unsigned i = 0; i < 100000; i++)
		observe(&o, &(struct event){ .id = EVENT_UNKNOWN_SPI });
	assert_int_equal(seen.told, HUB_BURST + 1 + 1 + HUB_PER_S);
	hub_free(h);
}

static void what_is_not_audited_leaves_no_trace(void **state)
{
	struct seen seen = { 0 };
	struct hub_config c = { .kept = 4, .told = note, .now_ms = now_ms, .context = &seen };
	struct hub *h;
	struct observer o;

	(void)state;
	audit_default(&c.audit);
	h = hub_new(&c);
	o = hub_observer(h);
	(void)audit_set(hub_audit(h), CATEGORY_MAIN, true, false, false);
	observe(&o, &(struct event){ .id = EVENT_MAIN_MODE_UP });
	assert_int_equal(seen.told, 0);
	assert_int_equal(event_ring_next(hub_ring(h)), 1);
	observe(&o, &(struct event){ .id = EVENT_MAIN_MODE_FAILED });
	assert_int_equal(seen.told, 1);
	hub_free(h);
}

/* Every sink hangs, and a million events come within ten seconds. */
static void a_million_events_and_sinks_that_hang_take_no_memory(void **state)
{
	char path[108], file[] = "/tmp/cordon-hub-XXXXXX";
	struct seen seen = { 0 };
	struct hub_config c = { .kept = 4096, .told = note, .say = deaf, .now_ms = now_ms, .context = &seen };
	int fd = journal_server(path), f = mkstemp(file);
	struct hub_counts n;
	struct hub *h;
	struct observer o;
	size_t before = 0;

	(void)state;
	audit_default(&c.audit);
	c.journal = journal_new(path);
	assert_int_equal(
		file_sink_new(
			&(struct file_sink_config){ .path = file, .size = 1 << 20, .mode = 0600, .group = (gid_t)-1 },
			&c.file, NULL),
		0);
	h = hub_new(&c);
	o = hub_observer(h);
	atomic_store(&disk.hung, true);
	for (unsigned i = 0; i < 1000000; i++) {
		struct event e = { .id = (enum event_id)(i % EVENT_LEFT_OUT), .text = "of many", .rule = "rule" };

		if (i == 100000)
			before = mallinfo2().uordblks;
		if (i % 100 == 0)
			clock_ms++;
		observe(&o, &e);
		if (i % 100000 == 0)
			hub_tick(h);
	}
	assert_in_range(mallinfo2().uordblks, 0, before + 65536);
	hub_counts(h, &n);
	assert_int_equal(seen.told, n.told);
	assert_in_range(n.journal, 1, n.told);
	assert_int_equal(n.log, n.told);
	hub_tick(h);
	struct hub_counts after;
	hub_counts(h, &after); /* some of the tick's own were lost behind what it told */
	assert_in_range(seen.left_out[1], n.journal, after.journal);
	assert_in_range(seen.left_out[2], n.log, after.log);
	assert_true(seen.left_out[3] > 0);
	atomic_store(&disk.hung, false);
	hub_free(h);
	(void)close(fd);
	(void)close(f);
	(void)unlink(path);
	(void)unlink(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_journal_gets_fields),
		cmocka_unit_test(the_longest_event_fits_the_journal),
		cmocka_unit_test(a_journal_that_does_not_read_or_is_not_there_is_no_obstacle),
		cmocka_unit_test(what_comes_too_often_is_counted_and_told),
		cmocka_unit_test(what_is_not_audited_leaves_no_trace),
		cmocka_unit_test(a_million_events_and_sinks_that_hang_take_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
