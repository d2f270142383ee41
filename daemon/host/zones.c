#include "daemon/host/zones.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_TEXT = 4096, FILE_MOST = 256 << 10, FILES_MOST = 4096 };

static const char devices[] = "/run/NetworkManager/devices";

/* Where connections are: the first folder that has one tells of it. */
static const char *const connections[] = {
	"/run/NetworkManager/system-connections", /* changed for a while, or made by another program */
	"/etc/NetworkManager/system-connections",
	"/usr/lib/NetworkManager/system-connections",
};

const char *const zone_folders[ZONE_FOLDERS] = {
	"/run/NetworkManager",
	devices,
	"/run/NetworkManager/system-connections",
	"/etc/NetworkManager/system-connections",
	"/usr/lib/NetworkManager/system-connections",
};

/* ---- formats ----------------------------------------------------------------------------------------------------- */

static bool take_uuid(struct keyfile_span file, const char *group, const char *key, char ret[ZONE_UUID_TEXT])
{
	struct keyfile_span value;

	return keyfile_find(file, group, key, &value) && value.len && keyfile_copy(value, ret, ZONE_UUID_TEXT);
}

bool zone_device_parse(struct keyfile_span file, char ret_uuid[ZONE_UUID_TEXT])
{
	return take_uuid(file, "device", "connection-uuid", ret_uuid);
}

bool zone_connection_parse(struct keyfile_span file, char ret_uuid[ZONE_UUID_TEXT], struct zone_told *ret)
{
	struct keyfile_span value;
	struct zone_told told = { .kind = ZONE_NONE };

	if (!take_uuid(file, "connection", "uuid", ret_uuid))
		return false;
	if (keyfile_find(file, "connection", "zone", &value) && value.len)
		told.kind = host_zone_name_fits(value.at, value.len) && keyfile_copy(value, told.name, sizeof told.name)
				    ? ZONE_NAMED
				    : ZONE_ODD;
	*ret = told;
	return true;
}

/* ---- files that are root's --------------------------------------------------------------------------------------- */

/* Nobody but root could have written it. */
static bool is_safe(const struct stat *st)
{
	return (st->st_uid == 0 || st->st_uid == geteuid()) && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

static int open_folder(const char *root, const char *path)
{
	char full[PATH_TEXT];
	struct stat st;
	int fd;

	if (snprintf(full, sizeof full, "%s%s", root ? root : "", path) >= (int)sizeof full)
		return -ENAMETOOLONG;
	fd = open(full, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && is_safe(&st))
		return fd;
	(void)close(fd);
	return -EPERM;
}

static bool read_all(int fd, char *buf, size_t size, size_t *ret_len)
{
	size_t len = 0;

	for (;;) {
		ssize_t n = read(fd, buf + len, size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		len += (size_t)n;
		if (n == 0) {
			*ret_len = len;
			return true;
		}
		if (len == size) /* longer than it said */
			return false;
	}
}

/* Into buf, of FILE_MOST octets. */
static bool read_file(int folder, const char *name, char *buf, struct keyfile_span *ret)
{
	int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	size_t len = 0;
	bool good;

	if (fd < 0)
		return false;
	good = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && is_safe(&st) && st.st_size < FILE_MOST &&
	       read_all(fd, buf, FILE_MOST, &len);
	(void)close(fd);
	*ret = (struct keyfile_span){ buf, len };
	return good;
}

/* ---- which connection, and its zone ------------------------------------------------------------------------------ */

/* An interface whose zone is looked for. */
struct wanted {
	unsigned index;
	char uuid[ZONE_UUID_TEXT]; /* "": no connection */
	struct zone_told told;
	bool here; /* by a file of the folder that is being read */
};

static bool same(const struct zone_told *a, const struct zone_told *b)
{
	return a->kind == b->kind && strcmp(a->name, b->name) == 0;
}

static void take_file(struct wanted *all, size_t n, const bool *settled, struct keyfile_span file)
{
	struct zone_told told;
	char uuid[ZONE_UUID_TEXT];

	if (!zone_connection_parse(file, uuid, &told))
		return;
	for (size_t i = 0; i < n; i++) {
		if (settled[i] || strcasecmp(all[i].uuid, uuid) != 0)
			continue;
		if (all[i].here && !same(&all[i].told, &told))
			told = (struct zone_told){ .kind = ZONE_TWICE };
		all[i].told = told;
		all[i].here = true;
	}
}

/* Hidden files, copies that editors leave, and those that are being written are no connections. */
static bool is_connection(const char *name)
{
	return name[0] != '.' && name[strlen(name) - 1] != '~' && !strstr(name, ".nmconnection.");
}

static void take_folder(int fd, struct wanted *all, size_t n, char *buf)
{
	bool *settled = mem_new(n + 1, sizeof *settled);
	DIR *folder = fdopendir(fd);
	struct keyfile_span file;
	const struct dirent *e;

	if (!folder)
		(void)close(fd);
	for (size_t i = 0; i < n; i++)
		settled[i] = all[i].here;
	for (unsigned i = 0; folder && i < FILES_MOST && (e = readdir(folder)); i++)
		if (is_connection(e->d_name) && read_file(fd, e->d_name, buf, &file))
			take_file(all, n, settled, file);
	if (folder)
		(void)closedir(folder);
	free(settled);
}

static void take_device(int folder, struct wanted *w, char *buf)
{
	struct keyfile_span file;
	char name[16];

	w->told.kind = ZONE_UNMANAGED;
	(void)snprintf(name, sizeof name, "%u", w->index);
	if (folder < 0 || !read_file(folder, name, buf, &file))
		return;
	w->told.kind = zone_device_parse(file, w->uuid) ? ZONE_LOST : ZONE_UNMANAGED;
}

static size_t wanted_of(const struct host_facts *f, struct wanted *all)
{
	size_t n = 0;

	for (size_t i = 0; i < f->place_count; i++) {
		size_t k = 0;

		while (k < n && all[k].index != f->places[i].index)
			k++;
		if (k == n)
			all[n++].index = f->places[i].index;
	}
	return n;
}

void zones_read(const char *root, struct host_facts *f)
{
	struct wanted *all = mem_new(f->place_count + 1, sizeof *all);
	size_t n = wanted_of(f, all);
	char *buf = mem_new(FILE_MOST, 1);
	int fd = open_folder(root, devices);

	for (size_t i = 0; i < n; i++)
		take_device(fd, &all[i], buf);
	if (fd >= 0)
		(void)close(fd);
	for (size_t i = 0; i < ARRAY_LEN(connections); i++)
		if ((fd = open_folder(root, connections[i])) >= 0)
			take_folder(fd, all, n, buf);
	for (size_t i = 0; i < f->place_count; i++)
		for (size_t k = 0; k < n; k++)
			if (all[k].index == f->places[i].index)
				f->places[i].zone = all[k].told;
	free(buf);
	free(all);
}
