#include "daemon/parts/directory_cache.h"

#include "base/diag.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAGIC = 0x63646931 /* "cdi1" */, FILE_MOST = DIRECTORY_NAMES_WIRE_MOST + 512 };

struct directory_cache {
	uv_loop_t *loop;
	char *path;
	char realm[DIRECTORY_NAME];
	struct directory_names *names; /* as they were on disk */
	bool writing, closing;
};

struct job {
	uv_work_t work;
	struct directory_cache *c;
	char *path;
	uint8_t *octets;
	size_t len;
	struct diag why;
};

int directory_cache_read(const char *path, char ret_realm[DIRECTORY_NAME], struct directory_names **ret, struct diag *d)
{
	SCOPED(text_freep) struct text *t = NULL;
	char realm[DIRECTORY_NAME] = "";
	SCOPED(directory_names_freep) struct directory_names *names = NULL;
	struct wire_in in;
	int r = text_read(path, FILE_MOST, &t, d);

	if (r < 0)
		return r;
	in = wire_in(t->octets, t->len);
	if (wire_u32(&in) != MAGIC)
		in.failed = true;
	wire_text(&in, realm, sizeof realm);
	names = directory_names_get(&in);
	if (!names || !wire_done(&in))
		return diag_fail(d, ERR_SYNTAX, "%s: it is not what cordond keeps of the directory", path);
	memcpy(ret_realm, realm, sizeof realm);
	*ret = TAKE(names);
	return 0;
}

struct directory_cache *directory_cache_new(uv_loop_t *loop, const char *path)
{
	struct directory_cache *c = mem_new(1, sizeof *c);
	struct diag d = { 0 };
	int r;

	c->loop = loop;
	c->path = mem_string(path);
	if ((r = directory_cache_read(path, c->realm, &c->names, &d)) < 0 && r != -ENOENT)
		log_warning("what the directory said before is not known: %s", d.text);
	return c;
}

static void free_when_done(struct directory_cache *c)
{
	if (!c->closing || c->writing)
		return;
	directory_names_free(c->names);
	free(c->path);
	free(c);
}

void directory_cache_close(struct directory_cache *c)
{
	if (!c)
		return;
	c->closing = true;
	free_when_done(c);
}

const struct directory_names *directory_cache_names(const struct directory_cache *c, const char *realm)
{
	return realm && strcasecmp(c->realm, realm) == 0 ? c->names : NULL;
}

static void work(uv_work_t *w)
{
	struct job *j = w->data;

	(void)text_replace(j->path, j->octets, j->len, 0644, &j->why);
}

static void worked(uv_work_t *w, int status)
{
	struct job *j = w->data;
	struct directory_cache *c = j->c;

	if (status == 0 && j->why.code)
		log_warning("what the directory says is not kept: %s", j->why.text);
	c->writing = false;
	free(j->path);
	free(j->octets);
	free(j);
	free_when_done(c);
}

void directory_cache_keep(struct directory_cache *c, const char *realm, const struct directory_names *names)
{
	struct job *j;
	struct wire_out out;
	size_t most = 512 + (directory_names_count(names) + 1) * DIRECTORY_NAME_WIRE_MOST;

	if (c->closing || c->writing) /* the next answer is kept */
		return;
	j = mem_new(1, sizeof *j);
	*j = (struct job){ .c = c, .path = mem_string(c->path), .octets = mem_new(1, most) };
	j->work.data = j;
	out = wire_out(j->octets, most);
	wire_put_u32(&out, MAGIC);
	wire_put_text(&out, realm, DIRECTORY_NAME);
	directory_names_put(&out, names);
	j->len = out.len;
	c->writing = true;
	if (out.failed || uv_queue_work(c->loop, &j->work, work, worked) < 0)
		worked(&j->work, UV_ECANCELED);
}
