#include "daemon/force/state.h"

#include "base/diag.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATH_TEXT = 4096, STATE_FILE_MOST = 1 << 16, POLICY_MOST = 256 << 20 };

/* ---- clocks ------------------------------------------------------------------------------------------------------ */

static uint64_t clock_ms(clockid_t id)
{
	struct timespec t;

	(void)clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void state_clock_now(struct state_clock *ret)
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	*ret = (struct state_clock){ .boot_ms = clock_ms(CLOCK_BOOTTIME), .wall_ms = clock_ms(CLOCK_REALTIME) };
	if (!f)
		return;
	if (fgets(ret->boot_id, sizeof ret->boot_id, f))
		ret->boot_id[strcspn(ret->boot_id, "\n")] = '\0';
	(void)fclose(f);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static int make_folder(const char *path, struct diag *d)
{
	char part[PATH_TEXT];

	if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part)
		return diag_fail(d, ENAMETOOLONG, "%s", path);
	for (char *p = part + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return diag_errno(d, errno, "make the folder %s", part);
		*p = '/';
	}
	if (mkdir(part, 0700) < 0 && errno != EEXIST)
		return diag_errno(d, errno, "make the folder %s", part);
	return 0;
}

static void version_path(const struct state *s, uint32_t version, const char *ending, char ret[PATH_TEXT])
{
	(void)snprintf(ret, PATH_TEXT, "%s/history/%03u.%s", s->folder, version, ending);
}

static int write_json(const char *path, json_t *value, struct diag *d)
{
	char *text = json_dumps(value, JSON_INDENT(2));
	int r = text_replace(path, text, strlen(text), 0600, d);

	free(text);
	json_decref(value);
	return r;
}

static int read_json(const char *path, json_t **ret, struct diag *d)
{
	SCOPED(text_freep) struct text *t = NULL;
	json_error_t error;
	int r;

	if ((r = text_read(path, STATE_FILE_MOST, &t, d)) < 0)
		return r;
	*ret = json_loadb(t->octets, t->len, 0, &error);
	if (!*ret || !json_is_object(*ret)) {
		json_decref(*ret);
		return diag_fail(d, ERR_SYNTAX, "%s: %s", path, *ret ? "not an object" : error.text);
	}
	return 0;
}

static void disabled_path(const struct state *s, char ret[PATH_TEXT])
{
	(void)snprintf(ret, PATH_TEXT, "%s/disabled", s->folder);
}

static uint64_t number_of(const json_t *o, const char *name)
{
	json_int_t n = json_integer_value(json_object_get(o, name));

	return n > 0 ? (uint64_t)n : 0;
}

static void string_of(const json_t *o, const char *name, char *ret, size_t cap)
{
	const char *text = json_string_value(json_object_get(o, name));

	(void)snprintf(ret, cap, "%s", text ? text : "");
}

/* ---- state.json -------------------------------------------------------------------------------------------------- */

int state_save(struct state *s, struct diag *d)
{
	const struct state_pending *p = &s->pending;
	json_t *o = json_pack("{s:I,s:I,s:s}", "current", (json_int_t)s->current, "newest", (json_int_t)s->newest,
			      "source_digest", s->source_digest);
	char path[PATH_TEXT];

	if (p->version)
		(void)json_object_set_new(o, "pending",
					  json_pack("{s:I,s:I,s:I,s:I,s:I,s:s}", "version", (json_int_t)p->version,
						    "previous", (json_int_t)p->previous, "deadline_boot_ms",
						    (json_int_t)p->deadline_boot_ms, "deadline_wall_ms",
						    (json_int_t)p->deadline_wall_ms, "since_wall_ms",
						    (json_int_t)p->since_wall_ms, "boot_id", p->boot_id));
	(void)snprintf(path, sizeof path, "%s/state.json", s->folder);
	return write_json(path, o, d);
}

static int state_load(struct state *s, struct diag *d)
{
	char path[PATH_TEXT];
	json_t *o = NULL;
	const json_t *p;
	int r;

	(void)snprintf(path, sizeof path, "%s/state.json", s->folder);
	if ((r = read_json(path, &o, d)) == -ENOENT)
		return 0;
	if (r < 0)
		return diag_wrap(d, r,
				 "what was in force is not known; put the file right, or remove it to start without a "
				 "policy");
	s->current = (uint32_t)number_of(o, "current");
	s->newest = (uint32_t)number_of(o, "newest");
	string_of(o, "source_digest", s->source_digest, sizeof s->source_digest);
	if ((p = json_object_get(o, "pending"))) {
		s->pending = (struct state_pending){
			.version = (uint32_t)number_of(p, "version"),
			.previous = (uint32_t)number_of(p, "previous"),
			.deadline_boot_ms = number_of(p, "deadline_boot_ms"),
			.deadline_wall_ms = number_of(p, "deadline_wall_ms"),
			.since_wall_ms = number_of(p, "since_wall_ms"),
		};
		string_of(p, "boot_id", s->pending.boot_id, sizeof s->pending.boot_id);
	}
	json_decref(o);
	return 0;
}

int state_open(const char *folder, struct state **ret, struct diag *d)
{
	SCOPED(state_freep) struct state *s = mem_new(1, sizeof *s);
	char path[PATH_TEXT];
	int r;

	s->folder = mem_string(folder);
	if (snprintf(path, sizeof path, "%s/history", folder) >= (int)sizeof path - 64)
		return diag_fail(d, ENAMETOOLONG, "%s", folder);
	if ((r = make_folder(folder, d)) < 0 || (r = make_folder(path, d)) < 0 || (r = state_load(s, d)) < 0)
		return r;
	disabled_path(s, path);
	s->disabled = access(path, F_OK) == 0;
	*ret = TAKE(s);
	return 0;
}

void state_free(struct state *s)
{
	if (!s)
		return;
	free(s->folder);
	free(s);
}

/* ---- versions ---------------------------------------------------------------------------------------------------- */

void state_forget(struct state *s, uint32_t version)
{
	char path[PATH_TEXT];

	version_path(s, version, "yaml", path);
	(void)unlink(path);
	version_path(s, version, "json", path);
	(void)unlink(path);
}

int state_add(struct state *s, const struct text *policy, struct state_version *v, struct diag *d)
{
	uint32_t number = s->newest + 1;
	char path[PATH_TEXT];
	int r;

	v->number = number;
	v->previous = s->current;
	v->at_ms = clock_ms(CLOCK_REALTIME);
	version_path(s, number, "yaml", path);
	if ((r = text_replace(path, policy->octets, policy->len, 0600, d)) < 0)
		return r;
	version_path(s, number, "json", path);
	r = write_json(path,
		       json_pack("{s:I,s:I,s:I,s:s,s:s+}", "number", (json_int_t)number, "previous",
				 (json_int_t)v->previous, "at_ms", (json_int_t)v->at_ms, "by", v->by, "path", v->path,
				 ""),
		       d);
	if (r < 0) {
		state_forget(s, number);
		return r;
	}
	s->newest = number;
	if (number > STATE_HISTORY_MOST) {
		uint32_t old = number - STATE_HISTORY_MOST;

		if (old != s->current && old != s->pending.previous)
			state_forget(s, old);
	}
	return 0;
}

int state_policy(const struct state *s, uint32_t version, struct text **ret, struct diag *d)
{
	char path[PATH_TEXT];

	version_path(s, version, "yaml", path);
	return text_read(path, POLICY_MOST, ret, d);
}

int state_version_read(const struct state *s, uint32_t version, struct state_version *ret, struct diag *d)
{
	char path[PATH_TEXT];
	json_t *o;
	int r;

	version_path(s, version, "json", path);
	if ((r = read_json(path, &o, d)) < 0)
		return r;
	*ret = (struct state_version){ .number = version,
				       .previous = (uint32_t)number_of(o, "previous"),
				       .at_ms = number_of(o, "at_ms") };
	string_of(o, "by", ret->by, sizeof ret->by);
	string_of(o, "path", ret->path, sizeof ret->path);
	json_decref(o);
	return 0;
}

/* ---- probation --------------------------------------------------------------------------------------------------- */

void state_pend(struct state *s, uint32_t version, uint32_t previous, uint64_t for_ms, const struct state_clock *now)
{
	s->pending = (struct state_pending){ .version = version,
					     .previous = previous,
					     .deadline_boot_ms = now->boot_ms + for_ms,
					     .deadline_wall_ms = now->wall_ms + for_ms,
					     .since_wall_ms = now->wall_ms };
	(void)snprintf(s->pending.boot_id, sizeof s->pending.boot_id, "%s", now->boot_id);
}

uint64_t state_pending_left_ms(const struct state *s, const struct state_clock *now)
{
	const struct state_pending *p = &s->pending;

	if (strcmp(p->boot_id, now->boot_id) == 0)
		return p->deadline_boot_ms > now->boot_ms ? p->deadline_boot_ms - now->boot_ms : 0;
	if (now->wall_ms < p->since_wall_ms)
		return 0;
	return p->deadline_wall_ms > now->wall_ms ? p->deadline_wall_ms - now->wall_ms : 0;
}

/* ---- break-glass ------------------------------------------------------------------------------------------------- */

int state_disable(struct state *s, const char *reason, struct diag *d)
{
	char path[PATH_TEXT];

	s->disabled = true;
	disabled_path(s, path);
	return text_replace(path, reason, strlen(reason), 0600, d);
}

int state_enable(struct state *s, struct diag *d)
{
	char path[PATH_TEXT];

	disabled_path(s, path);
	if (unlink(path) < 0 && errno != ENOENT)
		return diag_errno(d, errno, "remove %s", path);
	s->disabled = false;
	return 0;
}
