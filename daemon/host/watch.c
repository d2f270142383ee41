#include "daemon/host/watch.h"

#include "base/mem.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_TEXT = 4096, FOLDERS_MOST = 256, SETTLE_MOST_MS = 2000 };

struct folder {
	uv_fs_event_t event;
	struct watch *of;
	char *path;
};

struct watch {
	uv_loop_t *loop;
	void (*changed)(void *context);
	void *context;
	char **paths;
	size_t count;
	uint64_t mark; /* of all files as they were */
	struct folder *folders[FOLDERS_MOST];
	size_t folder_count;
	uv_timer_t settle, look;
	uint64_t since_ms; /* when the first of the events came that have not settled yet; 0: none */
	size_t open_handles;
	bool closing;
};

/* ---- marks ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
	h ^= v + UINT64_C(0x9e3779b97f4a7c15) + (h << 6) + (h >> 2);
	return h * UINT64_C(0xff51afd7ed558ccd);
}

static uint64_t mark_file(uint64_t h, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return mix(h, 1);
	h = mix(mix(h, (uint64_t)st.st_ino), (uint64_t)st.st_size);
	h = mix(mix(h, (uint64_t)st.st_mtim.tv_sec), (uint64_t)st.st_mtim.tv_nsec);
	return mix(mix(h, (uint64_t)st.st_ctim.tv_sec), (uint64_t)st.st_ctim.tv_nsec ^ st.st_mode);
}

static uint64_t mark_path(uint64_t h, const char *path)
{
	char full[PATH_TEXT];
	struct dirent *e;
	uint64_t all = 0;
	struct stat st;
	DIR *folder;

	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode) || !(folder = opendir(path)))
		return mark_file(h, path);
	while ((e = readdir(folder))) /* the order does not count */
		if (e->d_name[0] != '.' && snprintf(full, sizeof full, "%s/%s", path, e->d_name) < (int)sizeof full)
			all += mark_file(0, full);
	(void)closedir(folder);
	return mix(h, all);
}

static uint64_t mark_all(const struct watch *w)
{
	uint64_t h = 0;

	for (size_t i = 0; i < w->count; i++)
		h = mark_path(h, w->paths[i]);
	return h;
}

static void compare(struct watch *w)
{
	uint64_t mark = mark_all(w);

	w->since_ms = 0;
	if (mark == w->mark)
		return;
	w->mark = mark;
	w->changed(w->context);
}

static void settled(uv_timer_t *t)
{
	compare(t->data);
}

/* ---- folders ---- */

static void happened(uv_fs_event_t *e, const char *name, int events, int status)
{
	const struct folder *f = e->data;
	struct watch *w = f->of;
	uint64_t now = uv_now(w->loop), wait_ms = WATCH_SETTLE_MS;

	(void)name, (void)events, (void)status;
	if (w->closing)
		return;
	if (!w->since_ms)
		w->since_ms = now;
	if (now >= w->since_ms + SETTLE_MOST_MS)
		wait_ms = 0; /* somebody writes there all the time */
	(void)uv_timer_start(&w->settle, settled, wait_ms, 0);
}

static void watch_free(struct watch *w)
{
	for (size_t i = 0; i < w->count; i++)
		free(w->paths[i]);
	free(w->paths);
	free(w);
}

static void folder_closed(uv_handle_t *h)
{
	struct folder *f = h->data;
	struct watch *w = f->of;

	free(f->path);
	free(f);
	if (--w->open_handles == 0)
		watch_free(w);
}

static void timer_closed(uv_handle_t *h)
{
	struct watch *w = h->data;

	if (--w->open_handles == 0)
		watch_free(w);
}

static void add_folder(struct watch *w, const char *path)
{
	struct folder *f;

	for (size_t i = 0; i < w->folder_count; i++)
		if (strcmp(w->folders[i]->path, path) == 0)
			return;
	if (w->folder_count == FOLDERS_MOST)
		return;
	f = mem_new(1, sizeof *f);
	f->of = w;
	f->path = mem_string(path);
	f->event.data = f;
	(void)uv_fs_event_init(w->loop, &f->event);
	w->open_handles++;
	w->folders[w->folder_count++] = f;
	/* A folder that is not there yet, or a system without inotify: the look now and then finds it. */
	(void)uv_fs_event_start(&f->event, happened, path, 0);
}

static void add_path(struct watch *w, const char *path)
{
	char parent[PATH_TEXT];
	const char *slash = strrchr(path, '/');
	struct stat st;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		add_folder(w, path);
	(void)snprintf(parent, sizeof parent, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
	add_folder(w, *parent ? parent : "/");
}

static void drop_folders(struct watch *w)
{
	for (size_t i = 0; i < w->folder_count; i++)
		uv_close((uv_handle_t *)&w->folders[i]->event, folder_closed);
	w->folder_count = 0;
}

/* ---- from beginning to end ---- */

static bool same_paths(const struct watch *w, const char *const *paths, size_t count)
{
	if (w->count != count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (strcmp(w->paths[i], paths[i]) != 0)
			return false;
	return true;
}

static void looked(uv_timer_t *t)
{
	compare(t->data);
}

struct watch *watch_new(uv_loop_t *loop, void (*changed)(void *context), void *context)
{
	struct watch *w = mem_new(1, sizeof *w);

	w->loop = loop;
	w->changed = changed;
	w->context = context;
	w->settle.data = w->look.data = w;
	(void)uv_timer_init(loop, &w->settle);
	(void)uv_timer_init(loop, &w->look);
	w->open_handles = 2;
	(void)uv_timer_start(&w->look, looked, WATCH_LOOK_MS, WATCH_LOOK_MS);
	return w;
}

void watch_set(struct watch *w, const char *const *paths, size_t count)
{
	if (count > WATCH_MOST)
		count = WATCH_MOST;
	if (same_paths(w, paths, count))
		return; /* what changes while they are read is still seen */
	drop_folders(w);
	for (size_t i = 0; i < w->count; i++)
		free(w->paths[i]);
	free(w->paths);
	w->paths = mem_new(count + 1, sizeof *w->paths);
	for (w->count = 0; w->count < count; w->count++) {
		w->paths[w->count] = mem_string(paths[w->count]);
		add_path(w, paths[w->count]);
	}
	w->mark = mark_all(w);
}

void watch_close(struct watch *w)
{
	if (!w)
		return;
	w->closing = true;
	drop_folders(w);
	uv_close((uv_handle_t *)&w->settle, timer_closed);
	uv_close((uv_handle_t *)&w->look, timer_closed);
}
