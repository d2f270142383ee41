#include "tools/lab/inhabitants.h"

#include "base/mem.h"

#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TURN_MS = 20 };

struct space_id {
	dev_t dev;
	ino_t ino;
};

static bool id_of(int r, const struct stat *s, struct space_id *ret)
{
	*ret = (struct space_id){ s->st_dev, s->st_ino };
	return r == 0;
}

static bool same(const struct space_id *a, const struct space_id *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

static size_t ids_of(const int *spaces, size_t count, struct space_id *ret)
{
	struct space_id own, one;
	struct stat s;
	size_t n = 0;

	if (!id_of(stat("/proc/self/ns/net", &s), &s, &own))
		return 0;
	for (size_t i = 0; i < count; i++)
		if (spaces[i] >= 0 && id_of(fstat(spaces[i], &s), &s, &one) && !same(&one, &own))
			ret[n++] = one;
	return n;
}

/* A process that has ended is in none, whoever still has to wait for it. */
static bool lives_in(const char *pid, const struct space_id *ids, size_t count)
{
	struct space_id its;
	char path[300];
	struct stat s;

	(void)snprintf(path, sizeof path, "/proc/%s/ns/net", pid);
	if (pid[0] < '1' || pid[0] > '9' || !id_of(stat(path, &s), &s, &its))
		return false;
	for (size_t i = 0; i < count; i++)
		if (same(&its, &ids[i]))
			return true;
	return false;
}

static size_t tell_all(const struct space_id *ids, size_t count, int signal)
{
	DIR *all = opendir("/proc");
	size_t found = 0;

	for (const struct dirent *e; all && (e = readdir(all));) {
		long pid = strtol(e->d_name, NULL, 10);

		if (!lives_in(e->d_name, ids, count) || pid <= 1 || pid == (long)getpid())
			continue;
		found++;
		if (signal)
			(void)kill((pid_t)pid, signal);
	}
	if (all)
		(void)closedir(all);
	return found;
}

size_t inhabitants_end(const int *spaces, size_t count)
{
	const struct timespec nap = { .tv_nsec = TURN_MS * 1000 * 1000 };
	struct space_id *ids = mem_new(count + 1, sizeof *ids);
	size_t n = ids_of(spaces, count, ids), found = n ? tell_all(ids, n, SIGTERM) : 0;

	/* Somebody may be beginning another program just now: all are looked for each time. */
	for (unsigned waited = 0; found && waited < INHABITANTS_KILL_MS; waited += TURN_MS) {
		(void)nanosleep(&nap, NULL);
		if (tell_all(ids, n, waited >= INHABITANTS_TERM_MS ? SIGKILL : 0) == 0)
			break;
	}
	free(ids);
	return found;
}
