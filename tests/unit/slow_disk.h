/* tests/unit/slow_disk.h - the system's write as the tests want it: it waits while `hung`, and fails with `error` after
 * `room` octets. Only of regular files, so that the tests can still say what they found. */
#ifndef TESTS_UNIT_SLOW_DISK_H
#define TESTS_UNIT_SLOW_DISK_H
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
	atomic_bool hung;
	atomic_int error; /* 0: none */
	atomic_long room;
} disk;

ssize_t __real_write(int fd, const void *octets, size_t n);
ssize_t __wrap_write(int fd, const void *octets, size_t n);
ssize_t __wrap_write(int fd, const void *octets, size_t n)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || fd <= 2)
		return __real_write(fd, octets, n);
	while (atomic_load(&disk.hung))
		(void)usleep(1000);
	if (atomic_load(&disk.error)) {
		long room = atomic_load(&disk.room);

		if (room == 0) {
			errno = atomic_load(&disk.error);
			return -1;
		}
		n = n < (size_t)room ? n : (size_t)room;
		atomic_fetch_sub(&disk.room, (long)n);
	}
	return __real_write(fd, octets, n);
}

#endif
