#include "enforce/programs.h"

#include "base/diag.h"
#include "base/str.h"
#include "base/table.h"
#include "enforce/nft.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { DEEP = 6, FOLDERS_MOST = 20000, FOUND_MOST = 64, PATH_TEXT = 1024 };

#define GROUPS "/sys/fs/cgroup/"

int programs_open(struct programs *p, struct diag *d)
{
	*p = (struct programs){ .watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK) };
	return p->watch < 0 ? diag_errno(d, errno, "watch control groups") : 0;
}

static void forget(struct programs *p)
{
	free(p->rows);
	arena_wipe(&p->memory);
	p->memory = (struct arena){ 0 };
	p->rows = NULL;
	p->count = p->cap = 0;
	p->sum = 0;
}

void programs_close(struct programs *p)
{
	forget(p);
	if (p->watch >= 0)
		close(p->watch);
	p->watch = -1;
}

void programs_drain(struct programs *p)
{
	char buf[4096];

	while (read(p->watch, buf, sizeof buf) > 0)
		;
}

/* Where the hierarchy of version 2 is, seen from GROUPS; NULL: nowhere. */
static const char *hierarchy(void)
{
	static const char *const places[] = { "", "unified/" };
	struct statfs s;
	char path[64];

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		(void)snprintf(path, sizeof path, GROUPS "%s", places[i]);
		if (statfs(path, &s) == 0 && s.f_type == CGROUP2_SUPER_MAGIC)
			return places[i];
	}
	return NULL;
}

struct search {
	struct programs *p;
	const char *name, *top;
	size_t folders, found;
};

static void watch(struct programs *p, const char *folder)
{
	(void)inotify_add_watch(p->watch, folder, IN_CREATE | IN_DELETE | IN_MOVE | IN_ONLYDIR);
}

/* path: below GROUPS */
static void found(struct search *s, const char *path, const struct stat *st)
{
	struct programs *p = s->p;
	const uint64_t number = st->st_ino;
	struct ruleset_program row = { .name = arena_string(&p->memory, s->name, strlen(s->name)),
				       .path = arena_string(&p->memory, path, strlen(path)),
				       .level = 1 };

	for (const char *at = path + strlen(s->top); *at; at++)
		row.level += *at == '/';
	p->rows = mem_grow(p->rows, p->count, &p->cap, sizeof *p->rows);
	p->rows[p->count++] = row;
	p->sum = table_hash(path, strlen(path), table_hash(&number, sizeof number, p->sum));
	s->found++;
}

/* A unit by its name, wherever it runs: its slice says where. */
static void search(struct search *s, const char *folder, unsigned depth)
{
	char full[PATH_TEXT + 32];
	struct dirent *e;
	DIR *d;

	(void)snprintf(full, sizeof full, GROUPS "%s", folder);
	watch(s->p, full);
	if (!(d = opendir(full)))
		return;
	while (s->folders < FOLDERS_MOST && s->found < FOUND_MOST && (e = readdir(d))) {
		char path[PATH_TEXT];
		struct stat st;

		if (e->d_type != DT_DIR || e->d_name[0] == '.' ||
		    snprintf(path, sizeof path, "%s%s%s", folder,
			     *folder && folder[strlen(folder) - 1] != '/' ? "/" : "", e->d_name) >= (int)sizeof path)
			continue;
		s->folders++;
		if (strcmp(e->d_name, s->name) == 0 && fstatat(dirfd(d), e->d_name, &st, 0) == 0)
			found(s, path, &st);
		else if (depth < DEEP && strstr(e->d_name, ".slice"))
			search(s, path, depth + 1);
	}
	(void)closedir(d);
}

/* A group by its path; whoever of its parents is there is watched. */
static void look_up(struct search *s)
{
	char path[PATH_TEXT], full[PATH_TEXT + 32];
	struct stat st;
	size_t len;

	(void)snprintf(path, sizeof path, "%s%s", s->top, s->name + strspn(s->name, "/"));
	len = strlen(path);
	while (len && path[len - 1] == '/')
		path[--len] = '\0';
	(void)snprintf(full, sizeof full, GROUPS "%s", path);
	if (len > strlen(s->top) && stat(full, &st) == 0 && S_ISDIR(st.st_mode))
		found(s, path, &st);
	for (char *slash; (slash = strrchr(full, '/')) && strlen(full) > strlen(GROUPS);) {
		*slash = '\0';
		watch(s->p, full);
	}
}

/* Can the kernel, and nft, match them? Asked once, and only where a rule wants it. */
static bool can_match(struct programs *p)
{
	static const char question[] =
		"table inet cordon_question { set s { type cgroupsv2; }\n"
		"chain c { type filter hook input priority 0; socket cgroupv2 level 1 @s drop\n}\n}\n";

	if (!p->tried)
		p->works = nft_try(question, sizeof question - 1, NULL) == 0;
	p->tried = true;
	return p->works;
}

bool programs_has(const struct programs *p, const char *name)
{
	for (size_t i = 0; i < p->count; i++)
		if (strcmp(p->rows[i].name, name) == 0)
			return true;
	return false;
}

bool programs_find(struct programs *p, const struct plan *plan)
{
	const struct firewall *sections;
	size_t n = policy_firewalls(plan_policy(plan), &sections);
	const char *top = NULL;
	uint64_t before = p->sum;
	bool looked = false;

	forget(p);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; plan_firewall_rules(plan, &sections[i]) && k < sections[i].count; k++) {
			struct search s = { .p = p, .name = sections[i].rules[k].program };

			if (!s.name || programs_has(p, s.name))
				continue;
			if (!looked)
				top = can_match(p) ? hierarchy() : NULL;
			looked = true;
			p->able = top != NULL;
			s.top = top;
			if (top && *s.name == '/')
				look_up(&s);
			else if (top)
				search(&s, top, 0);
		}
	return p->sum != before;
}
