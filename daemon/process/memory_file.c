#include "daemon/process/memory_file.h"

#include "base/crypto.h"
#include "base/diag.h"
#include "base/mem.h"
#include "base/scope.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FIRST_ROOM = 1 << 16, SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

static int write_all(int fd, const uint8_t *at, size_t len, struct diag *d)
{
	while (len) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno != EINTR)
			return diag_errno(d, errno, "write a memory file");
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

int memory_file_of(const char *name, const struct octets *parts, size_t count, struct diag *d)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING), r = 0;

	if (fd < 0)
		return diag_errno(d, errno, "make a memory file");
	for (size_t i = 0; i < count && r == 0; i++)
		r = write_all(fd, parts[i].at, parts[i].len, d);
	if (r == 0 && fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		r = diag_errno(d, errno, "seal a memory file");
	if (r == 0)
		return fd;
	(void)close(fd);
	return r;
}

int memory_file_make(const char *name, size_t most, memory_file_put *put, const void *what, struct diag *d)
{
	for (size_t room = most < FIRST_ROOM ? most : FIRST_ROOM;; room = room < most / 4 ? room * 4 : most) {
		uint8_t *buf = mem_new(1, room);
		struct wire_out out = wire_out(buf, room);
		int r = -E2BIG;

		put(&out, what);
		if (!out.failed)
			r = memory_file_of(name, &(struct octets){ out.buf, out.len }, 1, d);
		explicit_bzero(buf, out.len);
		free(buf);
		if (!out.failed)
			return r;
		if (room == most)
			return diag_fail(d, E2BIG, "%s: more than %zu octets", name, most);
	}
}

/* As many octets as it has now; fewer are an error. */
static int read_all(int fd, size_t len, struct text **ret, struct diag *d)
{
	char *octets = mem_new(1, len + 1);
	size_t at = 0;

	while (at < len) {
		ssize_t n = pread(fd, octets + at, len - at, (off_t)at);

		if (n > 0)
			at += (size_t)n;
		else if (n == 0 || errno != EINTR)
			break;
	}
	if (at == len)
		*ret = text_new("memory file", octets, len);
	explicit_bzero(octets, at);
	free(octets);
	return at == len ? 0 : diag_fail(d, EIO, "a memory file cannot be read");
}

int memory_file_read(int fd, size_t most, struct text **ret, struct diag *d)
{
	struct stat s;
	int seals = fcntl(fd, F_GET_SEALS);

	if (fstat(fd, &s) < 0)
		return diag_errno(d, errno, "read a memory file");
	if (s.st_size < 0 || (uint64_t)s.st_size > most || seals < 0 || (seals & SEALS) != SEALS)
		return diag_fail(d, ERR_SYNTAX, "this is not a sealed memory file of at most %zu octets", most);
	return read_all(fd, (size_t)s.st_size, ret, d);
}

int memory_file_read_disk(int fd, size_t most, struct text **ret, struct diag *d)
{
	struct stat s;

	if (fstat(fd, &s) < 0)
		return diag_errno(d, errno, "read a file");
	if (!S_ISREG(s.st_mode) || s.st_size < 0 || (uint64_t)s.st_size > most)
		return diag_fail(d, ERR_SYNTAX, "this is not a file of at most %zu octets", most);
	return read_all(fd, (size_t)s.st_size, ret, d);
}
