#include "tools/cli/archive.h"

#include "base/diag.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

enum { BLOCK = 512, NAME = 100 };

struct archive {
	gzFile file;
	char *path, *folder;
	time_t now;
	int failed; /* errno */
};

/* POSIX.1-1988 ustar; numbers are octal text. */
struct header {
	char name[NAME], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type;
	char link[NAME], magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};

int archive_new(const char *path, const char *folder, struct archive **ret, struct diag *d)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct archive *a;

	if (fd < 0)
		return diag_errno(d, errno, "make %s", path);
	a = mem_new(1, sizeof *a);
	a->file = gzdopen(fd, "wb9");
	a->path = mem_string(path);
	a->folder = mem_string(folder);
	a->now = time(NULL);
	if (!a->file) {
		(void)close(fd);
		a->failed = ENOMEM;
	}
	*ret = a;
	return 0;
}

static void put(struct archive *a, const void *octets, size_t len)
{
	const char *at = octets;

	while (!a->failed && len) {
		unsigned n = len > 1u << 20 ? 1u << 20 : (unsigned)len;

		errno = 0;
		if (gzwrite(a->file, at, n) != (int)n)
			a->failed = errno ? errno : EIO;
		at += n;
		len -= n;
	}
}

void archive_add(struct archive *a, const char *name, const char *octets, size_t len)
{
	static const char zeroes[BLOCK];
	struct header h = { .mode = "0000600", .uid = "0000000", .gid = "0000000", .type = '0', .magic = "ustar" };
	unsigned sum = 0;

	_Static_assert(sizeof h == BLOCK, "a tar header is a block");
	(void)snprintf(h.name, sizeof h.name, "%s/%s", a->folder, name);
	(void)snprintf(h.size, sizeof h.size, "%011llo", (unsigned long long)len);
	(void)snprintf(h.mtime, sizeof h.mtime, "%011llo", (unsigned long long)a->now);
	memcpy(h.version, "00", 2);
	memcpy(h.user, "root", 5);
	memcpy(h.group, "root", 5);
	memset(h.checksum, ' ', sizeof h.checksum);
	for (size_t i = 0; i < sizeof h; i++)
		sum += ((const unsigned char *)&h)[i];
	(void)snprintf(h.checksum, sizeof h.checksum, "%06o", sum);
	put(a, &h, sizeof h);
	put(a, octets, len);
	put(a, zeroes, (BLOCK - len % BLOCK) % BLOCK);
}

int archive_end(struct archive *a, struct diag *d)
{
	static const char end[2 * BLOCK];
	int r = 0;

	put(a, end, sizeof end);
	if (a->file && gzclose(a->file) != Z_OK && !a->failed)
		a->failed = EIO;
	if (a->failed) {
		r = diag_errno(d, a->failed, "write %s", a->path);
		(void)unlink(a->path);
	}
	free(a->path);
	free(a->folder);
	free(a);
	return r;
}
