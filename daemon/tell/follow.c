#include "daemon/tell/follow.h"

#include "base/diag.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "daemon/tell/flows.h"
#include "observe/event_json.h"
#include "observe/filter.h"
#include "observe/journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_TEXT = 4096, BACKLOG_MOST = 1 << 18, TICK_MS = 1000, AUDIT_FILE_MOST = 16384 };

struct follower {
	struct control_call *call;
	struct filter filter;
	uint64_t missed; /* since the last that it was sent */
};

/* ---- sinks ------------------------------------------------------------------------------------------------------- */

static bool say(const struct event *e)
{
	static const enum log_level levels[] = {
		[EVENT_INFO] = LOG_LEVEL_INFO, [EVENT_WARNING] = LOG_LEVEL_WARNING, [EVENT_ERROR] = LOG_LEVEL_ERROR
	};
	char remote[ADDR_TEXT] = "";

	if (e->remote.family)
		(void)addr_text(&e->remote, remote);
	return log_say(levels[event_severity(e->id)], "%s%s%s%s%s%s: %s", event_name(e->id), *remote ? " " : "", remote,
		       e->rule[0] ? " '" : "", e->rule, e->rule[0] ? "'" : "", e->text);
}

static void told(void *context, const struct event *e, uint64_t number)
{
	struct daemon *d = context;

	for (size_t i = 0; i < FOLLOWERS_MOST; i++) {
		struct follower *f = d->followers[i];
		json_t *j;

		if (!f || !filter_has(&f->filter, e))
			continue;
		if (control_backlog(f->call) >= BACKLOG_MOST) {
			f->missed++;
			hub_left_out(d->hub, 1);
			continue;
		}
		j = event_json(e, number);
		if (f->missed)
			(void)json_object_set_new(j, "missed", json_integer((json_int_t)f->missed));
		f->missed = 0;
		control_reply(f->call, j);
	}
}

/* What an event says of flows counts, told or not. */
static void emit(void *context, const struct event *e)
{
	struct daemon *d = context;
	struct event filled;

	observe(&d->to_hub, flows_event(d, e, &filled));
}

static void rang(uv_timer_t *t)
{
	struct daemon *d = t->data;

	hub_tick(d->hub);
}

static void wants_tick(void *context)
{
	struct daemon *d = context;

	if (d->tick.data && !uv_is_closing((uv_handle_t *)&d->tick))
		(void)uv_timer_start(&d->tick, rang, TICK_MS, 0);
	else
		d->tick_wanted = true;
}

void follow_start(struct daemon *d)
{
	struct hub_config c = { .kept = EVENTS_KEPT, .say = say, .told = told, .wants_tick = wants_tick, .context = d };

	audit_default(&c.audit);
	/* Under systemd, with fields; else as lines. */
	if (getenv("JOURNAL_STREAM") && access(JOURNAL_SOCKET, W_OK) == 0 && (c.journal = journal_new(JOURNAL_SOCKET)))
		c.say = NULL;
	d->hub = hub_new(&c);
	d->to_hub = hub_observer(d->hub);
	d->observer = (struct observer){ emit, d };
	flows_start(d);
}

static void audit_path(const struct daemon *d, char ret[PATH_TEXT])
{
	(void)snprintf(ret, PATH_TEXT, "%s/audit.json", d->options.state_dir);
}

/* What cannot be read is as by default: more is told rather than less. */
static void read_audit(struct daemon *d)
{
	SCOPED(text_freep) struct text *t = NULL;
	struct diag why = { 0 };
	char path[PATH_TEXT];
	json_t *j;
	int r;

	audit_path(d, path);
	if ((r = text_read(path, AUDIT_FILE_MOST, &t, &why)) == -ENOENT)
		return;
	j = r < 0 ? NULL : json_loadb(t->octets, t->len, JSON_REJECT_DUPLICATES, NULL);
	if (r == 0 && audit_from_json(j, hub_audit(d->hub), &why) < 0)
		r = -EINVAL;
	json_decref(j);
	if (r < 0)
		log_warning("%s cannot be used, the categories are as by default: %s", path, why.text);
}

static int write_audit(const struct daemon *d, struct diag *why)
{
	char path[PATH_TEXT];
	json_t *j = audit_json(hub_audit(d->hub));
	char *text = json_dumps(j, JSON_INDENT(2));
	int r;

	audit_path(d, path);
	r = text_replace(path, text, strlen(text), 0600, why);
	free(text);
	json_decref(j);
	return r;
}

/* Where the page names no file: beside the others' logs, or where the state was told to be. */
static void open_file(struct daemon *d)
{
	const struct host_events *page = &d->config->events;
	gid_t readers = (gid_t)-1;
	struct file_sink *file = NULL;
	struct diag why = { 0 };
	char path[PATH_TEXT];

	if (page->none)
		return;
	(void)control_group(&readers);
	if (page->file)
		(void)snprintf(path, sizeof path, "%s", page->file);
	else if (strcmp(d->options.state_dir, OPTIONS_STATE_DIR) == 0)
		(void)snprintf(path, sizeof path, "/var/log/cordon/events.json");
	else
		(void)snprintf(path, sizeof path, "%s/events.json", d->options.state_dir);
	if (file_sink_new(
		    &(struct file_sink_config){
			    .path = path, .size = page->size, .count = page->count, .mode = 0640, .group = readers },
		    &file, &why) < 0)
		log_warning("events are not written to a file: %s", why.text);
	else
		hub_set_file(d->hub, file);
}

void follow_open(struct daemon *d)
{
	flows_open(d);
	read_audit(d);
	open_file(d);
	d->tick.data = d;
	(void)uv_timer_init(&d->loop, &d->tick);
	if (d->tick_wanted)
		wants_tick(d);
}

void follow_close(struct daemon *d)
{
	flows_close(d);
	if (d->tick.data && !uv_is_closing((uv_handle_t *)&d->tick))
		uv_close((uv_handle_t *)&d->tick, NULL);
}

void follow_free(struct daemon *d)
{
	hub_free(d->hub);
	flows_free(d);
	for (size_t i = 0; i < FOLLOWERS_MOST; i++)
		free(d->followers[i]);
}

/* ---- what is asked ----------------------------------------------------------------------------------------------- */

/* An address, a network, a host of the policy with all its addresses, or what an identity has in it. */
static void filter_peer(const struct daemon *d, struct filter *f, const char *text)
{
	const struct host *h = d->policy ? policy_host_by_name(d->policy, text) : NULL;

	if (!h && filter_add_address(f, text))
		return;
	filter_set_identity(f, text);
	for (size_t i = 0; h && i < h->address_count; i++)
		filter_add_range(f, &(struct addr_range){ h->addresses[i].addr, h->addresses[i].addr });
	if (h && h->nat_address.family)
		filter_add_range(f, &(struct addr_range){ h->nat_address, h->nat_address });
}

static const char *member(const json_t *request, const char *name)
{
	const char *text = json_string_value(json_object_get(request, name));

	return text && *text ? text : NULL;
}

static int read_filter(const struct daemon *d, const json_t *request, struct filter *f, struct diag *why)
{
	const char *categories = member(request, "category"), *events = member(request, "event");
	const char *severity = member(request, "severity"), *peer = member(request, "peer");
	const char *rule = member(request, "rule");
	int r = 0;

	f->since_ms = (uint64_t)json_integer_value(json_object_get(request, "since_ms"));
	if (rule)
		(void)snprintf(f->rule, sizeof f->rule, "%s", rule);
	if (peer)
		filter_peer(d, f, peer);
	if (categories)
		r = filter_add_categories(f, categories, why);
	if (r == 0 && events)
		r = filter_add_events(f, events, why);
	return r == 0 && severity ? filter_set_severity(f, severity, why) : r;
}

/* The last `most` that the filter lets through, in order. */
static json_t *past(const struct daemon *d, const struct filter *f, uint64_t most)
{
	const struct event_ring *ring = hub_ring(d->hub);
	json_t *all = json_array();
	uint64_t first = event_ring_next(ring);
	const struct event *e;

	for (uint64_t n = first; most && (e = event_ring_get(ring, n - 1)); n--)
		if (filter_has(f, e)) {
			first = n - 1;
			most--;
		}
	for (uint64_t n = first; (e = event_ring_get(ring, n)); n++)
		if (filter_has(f, e))
			(void)json_array_append_new(all, event_json(e, n));
	return all;
}

static struct follower **room(struct daemon *d)
{
	for (size_t i = 0; i < FOLLOWERS_MOST; i++)
		if (!d->followers[i])
			return &d->followers[i];
	return NULL;
}

void follow_events(struct daemon *d, struct control_call *call, const json_t *request)
{
	const json_t *last = json_object_get(request, "last");
	bool follow = json_is_true(json_object_get(request, "follow"));
	struct follower **place = follow ? room(d) : NULL;
	struct filter f = { 0 };
	struct diag why = { 0 };

	if (read_filter(d, request, &f, &why) < 0) {
		control_reply_error(call, "%s", why.text);
		return;
	}
	if (follow && !place) {
		control_reply_error(call, "%d others follow the events already", FOLLOWERS_MOST);
		return;
	}
	if (follow) {
		*place = mem_new(1, sizeof **place);
		**place = (struct follower){ .call = call, .filter = f };
		control_keep(call);
	}
	control_reply(call, json_pack("{s:b,s:o}", "ok", 1, "events",
				      past(d, &f, last ? (uint64_t)json_integer_value(last) : EVENTS_KEPT)));
}

void follow_gone(struct daemon *d, const struct control_call *call)
{
	for (size_t i = 0; i < FOLLOWERS_MOST; i++)
		if (d->followers[i] && d->followers[i]->call == call) {
			free(d->followers[i]);
			d->followers[i] = NULL;
		}
}

static json_t *audit_rows(const struct daemon *d)
{
	const struct audit *a = hub_audit(d->hub);
	json_t *rows = json_array();

	for (unsigned c = 0; c < CATEGORY_COUNT; c++)
		(void)json_array_append_new(
			rows, json_pack("{s:s,s:b,s:b}", "category", event_category_name((enum event_category)c),
					"success", a->on[c][EVENT_SUCCESS], "failure", a->on[c][EVENT_FAILURE]));
	return json_pack("{s:b,s:o}", "ok", 1, "rows", rows);
}

static void tell_change(struct daemon *d, const char *by, enum event_category c, bool success, bool failure, bool on)
{
	struct event e = { .id = EVENT_AUDIT_CHANGED };

	(void)snprintf(e.user, sizeof e.user, "%s", by);
	(void)snprintf(e.text, sizeof e.text, "%s of category '%s' %s told from now on, by %s",
		       success == failure ? "success and failure"
		       : success          ? "success"
					  : "failure",
		       event_category_name(c),
		       success == failure ? on ? "are" : "are not"
		       : on               ? "is"
					  : "is not",
		       by);
	observe(&d->observer, &e);
}

/* What cannot be written down would be undone by the next start, so it is not done. */
void follow_audit(struct daemon *d, struct control_call *call, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "category"));
	const json_t *on = json_object_get(request, "on");
	bool success = json_is_true(json_object_get(request, "success"));
	bool failure = json_is_true(json_object_get(request, "failure"));
	struct audit before = *hub_audit(d->hub);
	enum event_category c;
	struct diag why = { 0 };

	if (!name && !on) {
		control_reply(call, audit_rows(d));
		return;
	}
	if (!name || !on) {
		control_reply_error(call, "category and on belong together");
		return;
	}
	if ((c = event_category_by_name(name)) == CATEGORY_COUNT) {
		control_reply_error(
			call, "no category of events is called '%.64s'; cordon audit show tells which there are", name);
		return;
	}
	if (audit_set(hub_audit(d->hub), c, success, failure, json_is_true(on))) {
		if (write_audit(d, &why) < 0) {
			*hub_audit(d->hub) = before;
			control_reply_error(call, "%s", why.text);
			return;
		}
		tell_change(d, control_caller(call), c, success, failure, json_is_true(on));
	}
	control_reply(call, audit_rows(d));
}

json_t *follow_counts(const struct daemon *d)
{
	struct hub_counts n;

	hub_counts(d->hub, &n);
	return json_pack("{s:I,s:I,s:I,s:I,s:I}", "told", (json_int_t)n.told, "limited", (json_int_t)n.limited,
			 "journal_lost", (json_int_t)n.journal, "file_lost", (json_int_t)n.file, "log_lost",
			 (json_int_t)n.log);
}
