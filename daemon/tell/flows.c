#include "daemon/tell/flows.h"

#include "base/mem.h"
#include "observe/flow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void flows_start(struct daemon *d)
{
	d->flows = flow_ledger_new(FLOW_LEDGER_MOST);
}

static void seen(void *context, const struct engine_view *v)
{
	struct daemon *d = context;

	d->flows_looking = false;
	flows_take(d, v);
}

static void rang(uv_timer_t *t)
{
	struct daemon *d = t->data;

	if (!d->engine || d->flows_looking)
		return;
	d->flows_looking = true;
	engine_look(d->engine, seen, d);
}

void flows_open(struct daemon *d)
{
	d->flows_timer.data = d;
	(void)uv_timer_init(&d->loop, &d->flows_timer);
	(void)uv_timer_start(&d->flows_timer, rang, FLOWS_LOOK_MS, FLOWS_LOOK_MS);
}

void flows_close(struct daemon *d)
{
	if (d->flows_timer.data && !uv_is_closing((uv_handle_t *)&d->flows_timer))
		uv_close((uv_handle_t *)&d->flows_timer, NULL);
}

void flows_free(struct daemon *d)
{
	flow_ledger_free(d->flows);
	d->flows = NULL;
}

static int by_pair(const void *a, const void *b)
{
	const struct sa_usage *x = a, *y = b;

	return x->pair < y->pair ? -1 : x->pair > y->pair;
}

/* Without keying there are no rows, although the SAs go on: then what is known of them stays. */
void flows_take(struct daemon *d, const struct engine_view *v)
{
	uint64_t now = unix_now_ms();

	if (!d->flows || !v || v->keying_away)
		return;
	flow_pass_begin(d->flows);
	for (size_t i = 0; i < v->child_count; i++) {
		const struct keying_child_row *c = &v->children[i];
		const struct sa_usage key = { .pair = c->pair };
		const struct sa_usage *u =
			v->usage_count ? bsearch(&key, v->usage, v->usage_count, sizeof key, by_pair) : NULL;
		struct flow_row total = { .remote = c->remote };

		if (!u)
			continue;
		total.outcome = child_suite_encrypts(&c->suite) ? FLOW_ENCRYPTED : FLOW_AUTHENTICATED;
		total.packets_in = u->packets_in;
		total.packets_out = u->packets_out;
		total.octets_in = u->octets_in;
		total.octets_out = u->octets_out;
		(void)snprintf(total.rule, sizeof total.rule, "%s", c->rule ? c->rule->name : "");
		(void)snprintf(total.identity, sizeof total.identity, "%s", peer_kept_id(c->peer));
		flow_pass_pair(d->flows, c->pair, &total, now);
	}
	flow_pass_end(d->flows);
}

const struct event *flows_event(struct daemon *d, const struct event *e, struct event *filled)
{
	const char *identity;

	if (!d->flows || !e->remote.family)
		return e;
	flow_event(d->flows, e, e->time_ms ? e->time_ms : unix_now_ms());
	if (e->peer[0] || !(event_rows[e->id].fields & FIELD_PEER))
		return e;
	identity = flow_identity(d->flows, &e->remote);
	if (!*identity)
		return e;
	*filled = *e;
	(void)snprintf(filled->peer, sizeof filled->peer, "%s", identity);
	return filled;
}

/* ---- for people -------------------------------------------------------------------------------------------------- */

static json_t *words(const char *text)
{
	json_t *j = *text ? json_string(text) : NULL;

	return j ? j : json_null();
}

static json_t *row_json(const struct daemon *d, const struct flow_row *r)
{
	const struct host *h = d->policy ? policy_host_by_address(d->policy, &r->remote) : NULL;
	char text[ADDR_TEXT];

	return json_pack("{s:s,s:o,s:o,s:o,s:s,s:b,s:I,s:I,s:I,s:I,s:I,s:I}", "remote", addr_text(&r->remote, text),
			 "host", words(h ? h->name : ""), "identity", words(r->identity), "rule", words(r->rule),
			 "outcome", flow_outcome_name(r->outcome), "exempt", r->outcome == FLOW_EXEMPT, "packets_in",
			 (json_int_t)r->packets_in, "packets_out", (json_int_t)r->packets_out, "octets_in",
			 (json_int_t)r->octets_in, "octets_out", (json_int_t)r->octets_out, "first_ms",
			 (json_int_t)r->first_ms, "last_ms", (json_int_t)r->last_ms);
}

void flows_rows(const struct daemon *d, json_t *rows)
{
	size_t n = flow_rows(d->flows, NULL, 0);
	struct flow_row *all = mem_new(n + 1, sizeof *all);

	(void)flow_rows(d->flows, all, n);
	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(rows, row_json(d, &all[i]));
	free(all);
}

json_t *flows_json(const struct daemon *d)
{
	size_t n[FLOW_OUTCOMES];
	uint64_t now = unix_now_ms();

	flow_peers(d->flows, now > FLOWS_RECENT_MS ? now - FLOWS_RECENT_MS : 0, n);
	return json_pack("{s:I,s:I,s:I,s:I}", "exempt", (json_int_t)n[FLOW_EXEMPT], "clear", (json_int_t)n[FLOW_CLEAR],
			 "blocked", (json_int_t)n[FLOW_BLOCKED], "forgotten", (json_int_t)flow_forgotten(d->flows));
}
