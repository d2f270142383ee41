#include "identity/secret_file.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* The group may read (Debian's ssl-cert). */
static int is_private(int fd, const char *path, const char *what, struct diag *d)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return diag_errno(d, errno, "%s %s", what, path);
	if (!S_ISREG(st.st_mode))
		return diag_fail(d, EINVAL, "%s %s is not a regular file", what, path);
	if (st.st_mode & (S_IRWXO | S_IWGRP | S_IXGRP))
		return diag_fail(d, EACCES, "%s %s is open to other users (mode %04o): chmod 600 %s", what, path,
				 st.st_mode & 07777u, path);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return diag_fail(d, EACCES, "%s %s belongs to another user (uid %u): chown root %s", what, path,
				 (unsigned)st.st_uid, path);
	return 0;
}

int secret_file_open(const char *path, const char *what, struct diag *d)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), r;

	if (fd < 0)
		return diag_errno(d, errno, "%s %s", what, path);
	if ((r = is_private(fd, path, what, d)) < 0) {
		(void)close(fd);
		return r;
	}
	return fd;
}

int secret_file_read(int fd, const char *path, const char *what, size_t most, struct text **ret, struct diag *d)
{
	SCOPED(text_freep) struct text *t = mem_new(1, sizeof *t);
	ssize_t n;

	t->path = mem_string(path);
	t->octets = mem_new(most + 2, 1); /* never moved: a secret would stay behind */
	do {
		n = read(fd, t->octets + t->len, most + 1 - t->len);
		if (n > 0)
			t->len += (size_t)n;
	} while ((n > 0 && t->len <= most) || (n < 0 && errno == EINTR));
	if (n < 0)
		return diag_errno(d, errno, "read %s %s", what, path);
	if (t->len > most)
		return diag_fail(d, EFBIG, "%s %s is over %zu octets, the most that is read", what, path, most);
	*ret = TAKE(t);
	return 0;
}
