#include "daemon/force/exemptions.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_TEXT = 4096, FILE_MOST = 4 << 20 };

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static json_t *row_json(const struct exempted_host *x)
{
	json_t *addresses = json_array();
	char text[ADDR_TEXT];

	for (size_t i = 0; i < x->address_count; i++)
		(void)json_array_append_new(addresses, json_string(addr_text(&x->addresses[i], text)));
	return json_pack("{s:s,s:o,s:s+,s:s+,s:I,s:I,s:I}", "host", x->host, "addresses", addresses, "reason",
			 x->reason, "", "by", x->by, "", "begun_ms", (json_int_t)x->begun_wall_ms, "until_ms",
			 (json_int_t)x->until_wall_ms, "until_boot_ms", (json_int_t)x->until_boot_ms);
}

static uint64_t number_of(const json_t *o, const char *name)
{
	json_int_t n = json_integer_value(json_object_get(o, name));

	return n > 0 ? (uint64_t)n : 0;
}

static bool text_of(const json_t *o, const char *name, char *ret, size_t cap)
{
	const char *text = json_string_value(json_object_get(o, name));

	return text && snprintf(ret, cap, "%s", text) < (int)cap;
}

static bool read_row(const json_t *o, struct exempted_host *x)
{
	const json_t *addresses = json_object_get(o, "addresses"), *a;
	size_t i;

	*x = (struct exempted_host){ .begun_wall_ms = number_of(o, "begun_ms"),
				     .until_wall_ms = number_of(o, "until_ms"),
				     .until_boot_ms = number_of(o, "until_boot_ms") };
	if (!text_of(o, "host", x->host, sizeof x->host) || !text_of(o, "reason", x->reason, sizeof x->reason) ||
	    !text_of(o, "by", x->by, sizeof x->by) || json_array_size(addresses) > EXEMPTION_ADDRESSES_MOST)
		return false;
	json_array_foreach(addresses, i, a)
	{
		const char *text = json_string_value(a);

		if (!text || addr_parse(text, strlen(text), &x->addresses[x->address_count], NULL) < 0)
			return false;
		x->address_count++;
	}
	return x->address_count > 0;
}

/* A row that is wrong, or over, is none. */
static size_t read_rows(struct exemptions *e, const json_t *all, const struct state_clock *now)
{
	const char *boot = json_string_value(json_object_get(all, "boot_id"));
	const json_t *rows = json_object_get(all, "exemptions"), *row;
	size_t i;

	if (!boot || !*now->boot_id || strcmp(boot, now->boot_id) != 0)
		return json_array_size(rows);
	json_array_foreach(rows, i, row)
	{
		struct exempted_host *x = &e->rows[e->count];

		if (e->count < EXEMPTIONS_MOST && read_row(row, x) && x->until_boot_ms > now->boot_ms)
			e->count++;
	}
	return 0;
}

int exemptions_open(const char *folder, const struct state_clock *now, struct exemptions **ret, size_t *ret_lost,
		    struct diag *why)
{
	SCOPED(text_freep) struct text *t = NULL;
	struct exemptions *e = mem_new(1, sizeof *e);
	char path[PATH_TEXT];
	json_error_t error;
	json_t *all;
	int r;

	(void)snprintf(path, sizeof path, "%s/exemptions.json", folder);
	e->path = mem_string(path);
	*ret = e;
	*ret_lost = 0;
	if ((r = text_read(path, FILE_MOST, &t, why)) < 0)
		return r == -ENOENT ? 0 : r;
	if (!(all = json_loadb(t->octets, t->len, 0, &error)))
		return diag_fail(why, ERR_SYNTAX, "%s: %s", path, error.text);
	*ret_lost = read_rows(e, all, now);
	json_decref(all);
	return 0;
}

int exemptions_save(const struct exemptions *e, const struct state_clock *now, struct diag *why)
{
	json_t *rows = json_array(), *all = json_pack("{s:s,s:o}", "boot_id", now->boot_id, "exemptions", rows);
	char *text;
	int r;

	for (size_t i = 0; i < e->count; i++)
		(void)json_array_append_new(rows, row_json(&e->rows[i]));
	text = json_dumps(all, JSON_INDENT(2));
	r = text_replace(e->path, text, strlen(text), 0600, why);
	free(text);
	json_decref(all);
	return r;
}

void exemptions_free(struct exemptions *e)
{
	if (!e)
		return;
	free(e->path);
	free(e);
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

struct exempted_host *exemptions_find(struct exemptions *e, const char *host)
{
	for (size_t i = 0; i < e->count; i++)
		if (strcmp(e->rows[i].host, host) == 0)
			return &e->rows[i];
	return NULL;
}

struct exempted_host *exemptions_put(struct exemptions *e, const struct exempted_host *x)
{
	struct exempted_host *to = exemptions_find(e, x->host);

	if (!to && e->count == EXEMPTIONS_MOST)
		return NULL;
	if (!to)
		to = &e->rows[e->count++];
	*to = *x;
	return to;
}

void exemptions_remove(struct exemptions *e, struct exempted_host *x)
{
	size_t at = (size_t)(x - e->rows);

	memmove(x, x + 1, (e->count - at - 1) * sizeof *x);
	e->count--;
}

uint64_t exemptions_until_ms(const struct exemptions *e, const struct addr *a)
{
	uint64_t until_ms = 0;

	for (size_t i = 0; i < e->count; i++)
		for (size_t k = 0; k < e->rows[i].address_count; k++)
			if (addr_equal(&e->rows[i].addresses[k], a) && e->rows[i].until_boot_ms > until_ms)
				until_ms = e->rows[i].until_boot_ms;
	return until_ms;
}

struct exempted_host *exemptions_over(struct exemptions *e, const struct state_clock *now)
{
	for (size_t i = 0; i < e->count; i++)
		if (e->rows[i].until_boot_ms <= now->boot_ms)
			return &e->rows[i];
	return NULL;
}

uint64_t exemptions_next_ms(const struct exemptions *e)
{
	uint64_t next_ms = UINT64_MAX;

	for (size_t i = 0; i < e->count; i++)
		if (e->rows[i].until_boot_ms < next_ms)
			next_ms = e->rows[i].until_boot_ms;
	return next_ms;
}
