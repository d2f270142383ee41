#include "daemon/parts/parts.h"

#include "base/diag.h"
#include "daemon/parts/keying_part.h"
#include "daemon/keys/filling.h"
#include "daemon/parts/directory.h"
#include "daemon/parts/engine_doors.h"
#include "daemon/parts/lists.h"
#include "daemon/parts/ticket.h"
#include "observe/event_wire.h"

#include <errno.h>
#include <string.h>

/* ---- what any of them may tell ----------------------------------------------------------------------------------- */

static enum event_teller teller_of(enum role role)
{
	static const enum event_teller tellers[ROLE_COUNT] = {
		[ROLE_PARENT] = TELLER_PARENT,
		[ROLE_KEYING] = TELLER_KEYING,
		[ROLE_DATAPLANE] = TELLER_DATAPLANE,
		[ROLE_SOURCES] = TELLER_SOURCES,
	};

	return tellers[role];
}

/* Its time is ours: nobody else's clock orders the log. */
static int on_event(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct daemon *d = context;
	struct event e;
	int r = event_decode(body, &e, NULL);

	(void)fds;
	if (r < 0 || !event_may_tell(e.id, teller_of(channel_peer(c))))
		return -EPROTO;
	e.time_ms = 0;
	if (d->engine)
		doors_explain(engine_doors(d->engine), &e);
	observe(&d->observer, &e);
	return 0;
}

/* ---- the key holder ---------------------------------------------------------------------------------------------- */

static int on_keys_answer(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	const struct daemon *d = context;

	(void)c, (void)fds;
	return keys_filling_heard(d->filling, body);
}

static void keys_came(void *context, struct channel *c)
{
	const struct daemon *d = context;

	keys_filling_came(d->filling, c);
}

static void keys_went(void *context)
{
	ticket_forget(context);
}

/* ---- the data plane ---------------------------------------------------------------------------------------------- */

static int on_plane_begun(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct daemon *d = context;

	(void)c, (void)body, (void)fds;
	plane_begun(d->plane);
	return 0;
}

/* By ask: who may ask what is in asks.c. */
static ask_handler *const handlers[ASK_COUNT] = {
	[ASK_READY] = children_ready,
	[ASK_EVENT] = on_event,
	[ASK_PLANE_BEGUN] = on_plane_begun,
	KEYING_HANDLERS,
	[ASK_KEYS_ANSWER] = on_keys_answer,
	[ASK_KEYS_TICKET] = ticket_on_told,
	[ASK_LIST_RECALL] = lists_on_recall,
	[ASK_LIST_KEEP] = lists_on_keep,
	[ASK_DIRECTORY_SAID] = directory_on_said,
	[ASK_DIRECTORY_FAILED] = directory_on_failed,
	[ASK_ACCOUNT] = directory_on_account,
};

/* ---- who is told when one comes or goes -------------------------------------------------------------------------- */

static void dataplane_came(void *context, struct channel *c)
{
	struct daemon *d = context;

	plane_came(d->plane, c);
}

static void dataplane_went(void *context)
{
	struct daemon *d = context;

	plane_went(d->plane);
}

static void sources_came(void *context, struct channel *c)
{
	struct daemon *d = context;

	lists_sources_came(d, c);
	directory_sources_came(d);
}

static void sources_went(void *context)
{
	directory_sources_went(context);
}

static const struct {
	enum role role;
	void (*came)(void *context, struct channel *c);
	void (*went)(void *context);
} rows[] = {
	{ ROLE_KEYING, keying_came, keying_went },
	{ ROLE_DATAPLANE, dataplane_came, dataplane_went },
	{ ROLE_KEYS, keys_came, keys_went },
	{ ROLE_SOURCES, sources_came, sources_went },
};
_Static_assert(ARRAY_LEN(rows) <= PARTS_MOST, "there is room for all");

int parts_start(struct daemon *d, struct diag *why)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		d->parts[i] = (struct child_part){ .role = rows[i].role,
						   .netlink = rows[i].role == ROLE_DATAPLANE &&
							      d->gate_config.plane == GATE_PLANE_KERNEL,
						   .handlers = handlers,
						   .context = d,
						   .came = rows[i].came,
						   .went = rows[i].went };
	return children_new(&(struct children_config){ .loop = &d->loop,
						       .observer = &d->observer,
						       .run_dir = d->options.run_dir,
						       .parts = d->parts,
						       .part_count = ARRAY_LEN(rows) },
			    &d->children, why);
}

void parts_close(struct daemon *d)
{
	children_close(TAKE(d->children));
	ticket_forget(d);
}

bool *parts_netlink(struct daemon *d)
{
	size_t i = 0;

	while (rows[i].role != ROLE_DATAPLANE)
		i++;
	return &d->parts[i].netlink;
}

struct channel *parts_channel(const struct daemon *d, enum role role)
{
	return children_channel(d->children, role);
}

json_t *parts_json(const struct daemon *d)
{
	struct child_row all[ROLE_COUNT];
	size_t n = children_rows(d->children, all, ROLE_COUNT);
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		const struct child_row *r = &all[i];
		json_t *o =
			json_pack("{s:s,s:b,s:I,s:I,s:b}", "name", role_name(r->role), "ready", r->ready, "restarts",
				  (json_int_t)r->restarts, "since_ms", (json_int_t)r->since_ms, "again", r->again);

		(void)json_object_set_new(o, "pid", r->pid ? json_integer(r->pid) : json_null());
		(void)json_object_set_new(o, "next_ms",
					  r->next_ms ? json_integer((json_int_t)r->next_ms) : json_null());
		(void)json_object_set_new(o, "well_ms",
					  r->well_ms ? json_integer((json_int_t)r->well_ms) : json_null());
		(void)json_object_set_new(o, "lacks", *r->lacks ? json_string(r->lacks) : json_null());
		(void)json_object_set_new(o, "ended", *r->ended ? json_string(r->ended) : json_null());
		(void)json_array_append_new(list, o);
	}
	return list;
}
