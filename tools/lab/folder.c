#include "tools/lab/folder.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TRIES_MORE = 20 };

struct folder {
	char *path;
	int fd; /* holds the lock */
};

const char *folder_base(void)
{
	const char *own = getenv("CORDON_LAB_DIR");

	return own && *own == '/' ? own : "/run/cordon-lab";
}

static int remove_one(const char *path, const struct stat *s, int kind, struct FTW *at)
{
	(void)s;
	(void)kind;
	(void)at;
	(void)remove(path);
	return 0;
}

static void remove_tree(const char *path)
{
	(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* The base, made and locked against others who make or remove; it may have been removed while we waited for it. */
static int lock_base(struct diag *d)
{
	for (unsigned tries = 0; tries < 100; tries++) {
		struct stat here, there;
		int fd;

		if (mkdir(folder_base(), 0700) < 0 && errno != EEXIST)
			return diag_errno(d, errno, "make the folder %s", folder_base());
		if ((fd = open(folder_base(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
			continue;
		if (flock(fd, LOCK_EX) == 0 && fstat(fd, &here) == 0 && stat(folder_base(), &there) == 0 &&
		    here.st_ino == there.st_ino && here.st_uid == 0)
			return fd;
		(void)close(fd);
	}
	return diag_fail(d, EBUSY, "%s cannot be locked", folder_base());
}

/* With the base locked: whatever nobody holds is left over. */
static void sweep(void)
{
	DIR *dir = opendir(folder_base());

	for (const struct dirent *e; dir && (e = readdir(dir));) {
		SCOPED(str_wipe) struct str path = { 0 };
		int fd;

		if (e->d_name[0] == '.')
			continue;
		str_addf(&path, "%s/%s", folder_base(), e->d_name);
		fd = open(str_text(&path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			remove_tree(str_text(&path));
		(void)close(fd);
	}
	if (dir)
		(void)closedir(dir);
}

void folder_sweep(void)
{
	int base = lock_base(NULL);

	if (base < 0)
		return;
	sweep();
	(void)rmdir(folder_base()); /* if that was all */
	(void)close(base);
}

static int take_folder(const char *path, struct folder **ret, struct diag *d)
{
	struct folder *f;
	int fd;

	if (mkdir(path, 0700) < 0)
		return errno == EEXIST ? diag_fail(d, EBUSY, "a lab is up already at %s: cordon lab down", path)
				       : diag_errno(d, errno, "make the folder %s", path);
	if ((fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return diag_errno(d, errno, "lock the folder %s", path);
	f = mem_new(1, sizeof *f);
	f->path = mem_string(path);
	f->fd = fd;
	*ret = f;
	return 0;
}

/* One try: whatever nobody holds goes, then the folder is ours or somebody else's. */
static int try_folder(const char *path, struct folder **ret, struct diag *d)
{
	int base = lock_base(d), e;

	if (base < 0)
		return base;
	sweep();
	e = take_folder(path, ret, d);
	(void)close(base);
	return e;
}

int folder_new(const char *name, struct folder **ret, struct diag *d)
{
	/* The kernel takes its time to close what a killed lab held. */
	const struct timespec nap = { .tv_nsec = 100 * 1000 * 1000 };
	SCOPED(str_wipe) struct str path = { 0 };
	int e;

	if (name)
		str_addf(&path, "%s/%s", folder_base(), name);
	else
		str_addf(&path, "%s/%ld", folder_base(), (long)getpid());
	e = try_folder(str_text(&path), ret, d);
	for (unsigned again = 0; e == -EBUSY && again < TRIES_MORE; again++) {
		(void)nanosleep(&nap, NULL);
		e = try_folder(str_text(&path), ret, d);
	}
	return e;
}

void folder_free(struct folder *f)
{
	int base;

	if (!f)
		return;
	base = lock_base(NULL);
	remove_tree(f->path);
	(void)close(f->fd);
	(void)rmdir(folder_base()); /* if it was the last */
	if (base >= 0)
		(void)close(base);
	free(f->path);
	free(f);
}

const char *folder_path(const struct folder *f)
{
	return f->path;
}

int folder_make(const char *base, const char *name, char **ret, struct diag *d)
{
	SCOPED(str_wipe) struct str path = { 0 };

	str_addf(&path, "%s/%s", base, name);
	if (mkdir(str_text(&path), 0700) < 0 && errno != EEXIST)
		return diag_errno(d, errno, "make the folder %s", str_text(&path));
	*ret = mem_string(str_text(&path));
	return 0;
}
