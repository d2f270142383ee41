#include "observe/filter.h"

#include "base/diag.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

/* The next name of the list, NULL at its end; buf has it. */
static const char *next_name(const char **list, char *buf, size_t cap)
{
	size_t n;

	*list += strspn(*list, ", ");
	if (!**list)
		return NULL;
	n = strcspn(*list, ",");
	(void)snprintf(buf, cap, "%.*s", (int)(n < cap ? n : cap - 1), *list);
	*list += n;
	return buf;
}

int filter_add_categories(struct filter *f, const char *list, struct diag *d)
{
	char name[64];

	while (next_name(&list, name, sizeof name)) {
		enum event_category c = event_category_by_name(name);

		if (c == CATEGORY_COUNT)
			return diag_fail(
				d, ERR_SYNTAX,
				"no category of events is called '%s'; cordon audit show tells which there are", name);
		f->some_categories = f->categories[c] = true;
	}
	return 0;
}

int filter_add_events(struct filter *f, const char *list, struct diag *d)
{
	char name[64];

	while (next_name(&list, name, sizeof name)) {
		enum event_id id = event_by_name(name);

		if (id == EVENT_COUNT)
			return diag_fail(d, ERR_SYNTAX,
					 "no event is called '%s'; cordon events --list tells which there are", name);
		f->some_events = f->events[id] = true;
	}
	return 0;
}

int filter_set_severity(struct filter *f, const char *name, struct diag *d)
{
	for (unsigned s = EVENT_INFO; s <= EVENT_ERROR; s++)
		if (strcmp(event_severity_name((enum event_severity)s), name) == 0) {
			f->least = (enum event_severity)s;
			return 0;
		}
	return diag_fail(d, ERR_SYNTAX, "'%.64s' is none of info, warning, error", name);
}

bool filter_add_address(struct filter *f, const char *text)
{
	struct addr_range r;

	if (addr_range_parse(text, strlen(text), &r, NULL) < 0)
		return false;
	filter_add_range(f, &r);
	return true;
}

void filter_add_range(struct filter *f, const struct addr_range *r)
{
	f->some_peers = true;
	if (f->peer_count < FILTER_PEERS_MOST)
		f->peers[f->peer_count++] = *r;
}

void filter_set_identity(struct filter *f, const char *text)
{
	f->some_peers = true;
	(void)snprintf(f->identity, sizeof f->identity, "%s", text);
}

static bool has_peer(const struct filter *f, const struct event *e)
{
	for (size_t i = 0; e->remote.family && i < f->peer_count; i++)
		if (addr_range_has(&f->peers[i], &e->remote))
			return true;
	return f->identity[0] && strcasestr(e->peer, f->identity);
}

bool filter_has(const struct filter *f, const struct event *e)
{
	const struct event_row *r = &event_rows[e->id];

	return (!f->some_categories || f->categories[r->category]) && (!f->some_events || f->events[e->id]) &&
	       r->severity >= f->least && e->time_ms >= f->since_ms && (!f->rule[0] || strcmp(f->rule, e->rule) == 0) &&
	       (!f->some_peers || has_peer(f, e));
}
