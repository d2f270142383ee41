/* What 100,000 events a second cost whoever carries packets on the same processor, and what they do to memory. One
 * process seals packets all the time; another, on the same core, offers events to the desk with a journal that nobody
 * reads, a file, and a reader that does not. The share of the core that the events take is what the packets lose. Bench
 * `events`; case data-path must be under its limit of 5 %. One JSON object a line. */
#include "base/algorithm.h"
#include "base/crypto.h"
#include "base/diag.h"
#include "base/scope.h"
#include "observe/hub.h"
#include "observe/journal.h"

#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 7, ROUND_MS = 1000, PACKET = 1420, PER_S = 100000, LIMIT = 5, MEMORY_LIMIT_KB = 4096 };

static uint64_t now_ns(clockid_t id)
{
	struct timespec t;

	(void)clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void must(int r, const struct diag *d)
{
	if (r >= 0)
		return;
	(void)fprintf(stderr, "bench: %s\n", d->text);
	exit(1);
}

/* ---- packets ----------------------------------------------------------------------------------------------------- */

/* Sealed in a time by the wall's clock: what others take of the core is missing. */
static uint64_t seal_for(unsigned ms)
{
	static struct seal *s;
	static uint8_t packet[PACKET + 64], tag[16];
	uint8_t aad[8] = { 0 }, iv[8] = { 0 };
	uint64_t n = 0, end = now_ns(CLOCK_MONOTONIC) + (uint64_t)ms * 1000000;
	struct diag d = { 0 };

	if (!s) {
		struct key key = { .len = 36 };

		must(seal_new(algorithm_by_name(ALG_ENCR, "aes256gcm", 9), &key, NULL, NULL, &s, &d), &d);
	}
	while (now_ns(CLOCK_MONOTONIC) < end)
		for (int i = 0; i < 16; i++, n++)
			must(seal_close(s,
					&(struct sealed){ .iv = iv,
							  .text = packet,
							  .text_len = PACKET,
							  .aad = { aad, sizeof aad },
							  .icv = tag },
					&d),
			     &d);
	return n;
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static int deaf_journal(char path[108])
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)snprintf(path, 108, "/tmp/cordon-bench-journal-%d", (int)getpid());
	(void)snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	(void)unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0)
		exit(1);
	return fd;
}

struct offering {
	struct hub *hub;
	struct observer observer;
	uint64_t offered, ticked_ns;
};

static const enum event_id kinds[] = { EVENT_MAIN_MODE_FAILED, EVENT_PACKET_DROPPED, EVENT_UNKNOWN_SPI };

static void offer_until(struct offering *o, uint64_t end_ns)
{
	struct event e = { .remote = addr_v4(10, 0, 0, 1), .rule = "All", .peer = "CN=peer", .text = "of a flood" };
	uint64_t begun = now_ns(CLOCK_MONOTONIC), now;

	while ((now = now_ns(CLOCK_MONOTONIC)) < end_ns) {
		for (unsigned i = 0; i < PER_S / 1000; i++) {
			e.id = kinds[o->offered++ % ARRAY_LEN(kinds)];
			observe(&o->observer, &e);
		}
		if (now - o->ticked_ns > 1000000000u) {
			hub_tick(o->hub);
			o->ticked_ns = now;
		}
		begun += 1000000;
		now = now_ns(CLOCK_MONOTONIC);
		if (begun > now)
			(void)nanosleep(&(struct timespec){ .tv_nsec = (long)(begun - now) }, NULL);
	}
}

static volatile sig_atomic_t over;

static void end(int number)
{
	(void)number;
	over = 1;
}

/* Runs until it is told to end; says how much of a core it took, and by how much its memory grew. */
static void offer(int to)
{
	char path[108], file[64];
	struct hub_config c = { .kept = 4096 };
	int fd = deaf_journal(path);
	struct offering o = { 0 };
	struct diag d = { 0 };
	double figures[2];
	size_t before;
	uint64_t cpu;

	(void)signal(SIGTERM, end);
	(void)snprintf(file, sizeof file, "/tmp/cordon-bench-events-%d.json", (int)getpid());
	audit_default(&c.audit);
	c.journal = journal_new(path);
	must(file_sink_new(
		     &(struct file_sink_config){ .path = file, .size = 10000000, .mode = 0600, .group = (gid_t)-1 },
		     &c.file, &d),
	     &d);
	o.hub = hub_new(&c);
	o.observer = hub_observer(o.hub);
	while (o.offered < PER_S) /* the burst is over when it is measured */
		observe(&o.observer,
			&(struct event){ .id = kinds[o.offered++ % ARRAY_LEN(kinds)], .text = "of a flood" });
	before = mallinfo2().uordblks;
	cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	o.offered = 0;
	while (!over)
		offer_until(&o, now_ns(CLOCK_MONOTONIC) + 20000000);
	/* Of the core, at the full rate, whatever rate it got. */
	figures[0] = (double)(now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu) / (double)o.offered * PER_S / 1e7;
	figures[1] = ((double)mallinfo2().uordblks - (double)before) / 1024;
	if (write(to, figures, sizeof figures) != sizeof figures)
		exit(1);
	hub_free(o.hub);
	(void)close(fd);
	(void)unlink(path);
	(void)unlink(file);
	exit(0);
}

/* ---- figures ----------------------------------------------------------------------------------------------------- */

static int up(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static double say(const char *name, const char *unit, double *v, double limit)
{
	qsort(v, ROUNDS, sizeof *v, up);
	(void)printf(
		"{\"bench\":\"events\",\"case\":\"%s\",\"who\":\"cordon\",\"unit\":\"%s\",\"min\":%.3f,\"median\":%.3f,"
		"\"max\":%.3f}\n",
		name, unit, v[0], v[ROUNDS / 2], v[ROUNDS - 1]);
	(void)printf(
		"{\"bench\":\"events\",\"case\":\"%s\",\"who\":\"limit\",\"unit\":\"%s\",\"min\":%.3f,\"median\":%.3f,"
		"\"max\":%.3f}\n",
		name, unit, limit, limit, limit);
	return v[ROUNDS / 2];
}

int main(void)
{
	double slower[ROUNDS], share[ROUNDS], memory[ROUNDS], figures[2];
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	(void)sched_setaffinity(0, sizeof one, &one);
	(void)seal_for(100);
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t alone = seal_for(ROUND_MS), beside;
		int pipe_of[2];
		pid_t pid;

		if (pipe(pipe_of) < 0 || (pid = fork()) < 0)
			return 1;
		if (pid == 0)
			offer(pipe_of[1]);
		(void)close(pipe_of[1]);
		(void)seal_for(1500); /* until its burst is over */
		beside = seal_for(ROUND_MS);
		(void)kill(pid, SIGTERM);
		if (read(pipe_of[0], figures, sizeof figures) != sizeof figures)
			return 1;
		(void)close(pipe_of[0]);
		(void)waitpid(pid, NULL, 0);
		slower[i] = ((double)alone - (double)beside) * 100 / (double)alone;
		share[i] = figures[0];
		memory[i] = figures[1];
	}
	(void)say("data-path", "% slower", slower, LIMIT);
	(void)say("memory", "kB more", memory, MEMORY_LIMIT_KB);
	return say("cpu", "% of a core", share, LIMIT) < LIMIT ? 0 : 1;
}
