#include "base/diag.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/text.h"
#include "daemon/answers.h"
#include "daemon/force/change.h"
#include "daemon/host/credentials.h"
#include "daemon/host/page.h"
#include "daemon/daemon.h"
#include "daemon/force/exempt.h"
#include "daemon/parts/ticket.h"
#include "daemon/tell/follow.h"
#include "daemon/tell/show.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void request_handler(struct daemon *d, struct control_call *call, const json_t *request);

static json_t *done(void)
{
	return json_pack("{s:b}", "ok", 1);
}

static void refuse(struct control_call *call, const struct diag *why)
{
	control_reply_error(call, "%s", why->text);
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

/* A request that waits for what the children say. */
struct look {
	struct daemon *d;
	struct control_call *call; /* NULL: who asked has gone */
	json_t *(*answer)(struct daemon *d, const struct look *l, const struct engine_view *v);
	char *what;
	size_t renewing;
	struct look *next;
};

static void seen(void *context, const struct engine_view *v)
{
	struct look *l = context;

	for (struct look **p = &l->d->looks; *p; p = &(*p)->next)
		if (*p == l) {
			*p = l->next;
			break;
		}
	if (l->call)
		control_reply(l->call, l->answer(l->d, l, v));
	free(l->what);
	free(l);
}

static struct look *wait_for(struct daemon *d, struct control_call *call,
			     json_t *(*answer)(struct daemon *d, const struct look *l, const struct engine_view *v),
			     const char *what)
{
	struct look *l = mem_new(1, sizeof *l);

	*l = (struct look){ .d = d, .call = call, .answer = answer, .next = d->looks };
	l->what = what ? mem_string(what) : NULL;
	d->looks = l;
	control_keep(call);
	return l;
}

static void look(struct daemon *d, struct look *l)
{
	if (d->engine)
		engine_look(d->engine, seen, l);
	else
		seen(l, NULL);
}

static json_t *status_of(struct daemon *d, const struct look *l, const struct engine_view *v)
{
	(void)l;
	return show_status(d, v);
}

static json_t *table_of(struct daemon *d, const struct look *l, const struct engine_view *v)
{
	return show_table(d, v, l->what);
}

static json_t *state_of(struct daemon *d, const struct look *l, const struct engine_view *v)
{
	(void)l;
	return show_state(d, v);
}

static void on_status(struct daemon *d, struct control_call *call, const json_t *request)
{
	(void)request;
	look(d, wait_for(d, call, status_of, NULL));
}

static void on_show(struct daemon *d, struct control_call *call, const json_t *request)
{
	const char *what = json_string_value(json_object_get(request, "what"));

	if (show_has(what))
		look(d, wait_for(d, call, table_of, what));
	else
		control_reply_error(call, "there is nothing called '%s' to show", what);
}

static void on_state(struct daemon *d, struct control_call *call, const json_t *request)
{
	(void)request;
	look(d, wait_for(d, call, state_of, NULL));
}

static void on_history(struct daemon *d, struct control_call *call, const json_t *request)
{
	(void)request;
	control_reply(call, show_history(d));
}

static void gone(void *context, struct control_call *call)
{
	struct daemon *d = context;

	for (struct look *l = d->looks; l; l = l->next)
		if (l->call == call)
			l->call = NULL;
	answers_gone(d, call);
	follow_gone(d, call);
}

/* ---- changing ---------------------------------------------------------------------------------------------------- */

static json_t *findings_json(const struct report *r)
{
	static const char *const names[] = {
		[SEVERITY_NOTE] = "note", [SEVERITY_WARNING] = "warning", [SEVERITY_ERROR] = "error"
	};
	const struct finding *const *f = NULL;
	size_t n = report_findings(r, &f);
	json_t *all = json_array();

	for (size_t i = 0; i < n; i++) {
		const struct text *file = f[i]->place.file ? report_file(r, f[i]->place.file) : NULL;

		(void)json_array_append_new(all, json_pack("{s:s,s:s,s:s+,s:s,s:i,s:i}", "code", f[i]->code, "severity",
							   names[f[i]->severity], "message", f[i]->message, "", "file",
							   file ? file->path : "", "line", (int)f[i]->place.line,
							   "column", (int)f[i]->place.column));
	}
	return all;
}

static void put_report(json_t *reply, const struct report *r, bool colour)
{
	SCOPED(str_wipe) struct str out = { 0 };
	json_t *text;

	if (!r)
		return;
	report_text(r, colour, &out);
	text = json_stringn(str_text(&out), out.len);
	(void)json_object_set_new(reply, "findings", findings_json(r));
	(void)json_object_set_new(reply, "text", text ? text : json_string(""));
}

static json_t *ssh_json(const struct ssh_fate *f)
{
	char peer[ADDR_TEXT];

	if (!f->known)
		return json_null();
	return json_pack("{s:s,s:s,s:b,s:s}", "peer", addr_text(&f->peer, peer), "outcome", outcome_name(f->outcome),
			 "cut", f->cut, "rule", f->rule);
}

static void on_apply(struct daemon *d, struct control_call *call, const json_t *request)
{
	SCOPED(candidate_wipe) struct candidate c = { 0 };
	const json_t *policy = json_object_get(request, "policy");
	const char *path = json_string_value(json_object_get(request, "path"));
	uint32_t confirm_s = (uint32_t)json_integer_value(json_object_get(request, "confirm_s"));
	bool colour = json_is_true(json_object_get(request, "colour"));
	struct change change = {
		.text = text_new(path, json_string_value(policy), json_string_length(policy)),
		.path = path,
		.by = control_caller(call),
		.confirm_s = confirm_s,
		.force = json_is_true(json_object_get(request, "force")),
		.ssh = json_string_value(json_object_get(request, "ssh")),
	};
	struct change_result result = { 0 };
	struct diag why = { 0 };
	json_t *reply;

	if (change_apply(d, &change, &c, &result, &why) < 0) {
		reply = json_pack("{s:b,s:s+}", "ok", 0, "error", why.text, "");
		(void)json_object_set_new(reply, "refused_ssh", json_boolean(result.refused_ssh));
		put_report(reply, c.report, colour);
	} else {
		reply = json_pack("{s:b,s:I,s:I,s:b}", "ok", 1, "version", (json_int_t)result.version, "rules_here",
				  (json_int_t)show_rules_here(d), "disabled", d->state->disabled);
		(void)json_object_set_new(reply, "previous",
					  d->state->pending.version ? json_integer(d->state->pending.previous)
								    : json_null());
		(void)json_object_set_new(reply, "taken_back_ms",
					  confirm_s ? json_integer((json_int_t)d->state->pending.deadline_wall_ms)
						    : json_null());
		put_report(reply, d->report, colour);
	}
	(void)json_object_set_new(reply, "ssh", ssh_json(&result.ssh));
	if (result.version)
		answers_when_works(d, call, reply);
	else
		control_reply(call, reply);
}

static void on_confirm(struct daemon *d, struct control_call *call, const json_t *request)
{
	struct diag why = { 0 };
	uint32_t version;

	(void)request;
	if (change_confirm(d, control_caller(call), &version, &why) < 0)
		refuse(call, &why);
	else
		control_reply(call, json_pack("{s:b,s:I}", "ok", 1, "version", (json_int_t)version));
}

static void on_rollback(struct daemon *d, struct control_call *call, const json_t *request)
{
	uint32_t version = (uint32_t)json_integer_value(json_object_get(request, "version"));
	struct diag why = { 0 };

	if (change_rollback(d, version, control_caller(call), &version, &why) < 0)
		refuse(call, &why);
	else
		answers_when_works(d, call, json_pack("{s:b,s:I}", "ok", 1, "version", (json_int_t)version));
}

static void on_disable(struct daemon *d, struct control_call *call, const json_t *request)
{
	const char *reason = json_string_value(json_object_get(request, "reason"));
	struct diag why = { 0 };

	if (change_disable(d, control_caller(call), reason ? reason : "", &why) < 0)
		refuse(call, &why);
	else
		control_reply(call, done());
}

static void on_enable(struct daemon *d, struct control_call *call, const json_t *request)
{
	struct diag why = { 0 };

	(void)request;
	if (change_enable(d, control_caller(call), &why) < 0)
		refuse(call, &why);
	else
		answers_when_works(d, call, json_pack("{s:b,s:I}", "ok", 1, "version", (json_int_t)d->state->current));
}

/* A line each. */
static json_t *waits_json(const struct daemon *d)
{
	SCOPED(str_wipe) struct str all = { 0 };
	json_t *list = json_array();
	char *rest = NULL;

	page_waits(d, &all);
	for (char *line = all.text ? strtok_r(all.text, "\n", &rest) : NULL; line; line = strtok_r(NULL, "\n", &rest))
		(void)json_array_append_new(list, json_string(line));
	return list;
}

static void on_refresh(struct daemon *d, struct control_call *call, const json_t *request)
{
	struct diag why = { 0 };
	bool changed = false;

	(void)request;
	int r = change_reload(d, control_caller(call), &changed, &why);

	if (r < 0)
		refuse(call, &why);
	else
		answers_when_works(d, call,
				   json_pack("{s:b,s:b,s:I,s:s,s:b,s:o}", "ok", 1, "changed", changed, "version",
					     (json_int_t)d->state->current, "source", d->source, "tickets",
					     ticket_used(d), "next_start", waits_json(d)));
}

/* Its addresses: the peer is named by one, or as the policy names it. */
static int peer_addresses(const struct daemon *d, const char *name, struct addr **ret, size_t *ret_count,
			  struct diag *why)
{
	const struct host *h = d->policy ? policy_host_by_name(d->policy, name) : NULL;
	struct addr one;

	if (!h && addr_parse(name, strlen(name), &one, NULL) < 0)
		return diag_fail(why, EINVAL, "'%s' is neither an address nor a host of the policy", name);
	*ret = mem_new((h ? h->address_count : 0) + 1, sizeof **ret);
	for (size_t i = 0; h && i < h->address_count; i++)
		(*ret)[(*ret_count)++] = h->addresses[i].addr;
	if (!h)
		(*ret)[(*ret_count)++] = one;
	else if (h->nat_address.family)
		(*ret)[(*ret_count)++] = h->nat_address;
	return 0;
}

/* Who asked may have gone when it is answered: the same list as for what is shown. */
static void begun(void *context, size_t n)
{
	struct look *l = context;

	l->renewing = n;
	seen(l, NULL);
}

static json_t *renewing_of(struct daemon *d, const struct look *l, const struct engine_view *v)
{
	(void)d, (void)v;
	return json_pack("{s:b,s:I}", "ok", 1, "renewing", (json_int_t)l->renewing);
}

static void on_rekey(struct daemon *d, struct control_call *call, const json_t *request)
{
	const char *peer = json_string_value(json_object_get(request, "peer"));
	enum keying_renewal what = json_is_true(json_object_get(request, "proof"))       ? KEYING_RENEW_PROOF
				   : json_is_true(json_object_get(request, "main_mode")) ? KEYING_RENEW_IKE
											 : KEYING_RENEW_CHILD;
	struct addr *all = NULL;
	struct diag why = { 0 };
	size_t n = 0;

	if (!d->engine)
		(void)diag_fail(&why, EINVAL, "nothing is protected here now, so there are no SAs");
	else if (peer)
		(void)peer_addresses(d, peer, &all, &n, &why);
	if (*why.text)
		refuse(call, &why);
	else
		engine_rekey(d->engine, all, n, what, begun, wait_for(d, call, renewing_of, NULL));
	free(all);
}

static void on_exempt(struct daemon *d, struct control_call *call, const json_t *request)
{
	const char *reason = json_string_value(json_object_get(request, "reason"));
	uint32_t for_s = (uint32_t)json_integer_value(json_object_get(request, "for_s"));
	struct exempted_host *x = NULL;
	struct diag why = { 0 };

	if (exempt_begin(d, json_string_value(json_object_get(request, "host")), for_s, reason, control_caller(call),
			 &x, &why) < 0)
		refuse(call, &why);
	else
		control_reply(call, json_pack("{s:b,s:o,s:b,s:b,s:b}", "ok", 1, "exemption", exempt_json(x), "matters",
					      exempt_matters(d, x), "has_sas", exempt_has_sas(d, x), "disabled",
					      d->state->disabled));
}

static void on_end_exemption(struct daemon *d, struct control_call *call, const json_t *request)
{
	struct diag why = { 0 };

	if (exempt_end(d, json_string_value(json_object_get(request, "host")), control_caller(call), &why) < 0)
		refuse(call, &why);
	else
		control_reply(call, done());
}

static request_handler *const handlers[CONTROL_REQUESTS] = {
	[CONTROL_STATUS] = on_status,     [CONTROL_SHOW] = on_show,
	[CONTROL_EVENTS] = follow_events, [CONTROL_STATE] = on_state,
	[CONTROL_APPLY] = on_apply,       [CONTROL_CONFIRM] = on_confirm,
	[CONTROL_ROLLBACK] = on_rollback, [CONTROL_HISTORY] = on_history,
	[CONTROL_DISABLE] = on_disable,   [CONTROL_ENABLE] = on_enable,
	[CONTROL_REFRESH] = on_refresh,   [CONTROL_REKEY] = on_rekey,
	[CONTROL_EXEMPT] = on_exempt,     [CONTROL_END_EXEMPTION] = on_end_exemption,
	[CONTROL_AUDIT] = follow_audit,
};

static void on_request(void *context, struct control_call *call, enum control_request what, const json_t *request)
{
	handlers[what](context, call, request);
}

const struct control_handlers daemon_handlers = { .request = on_request, .gone = gone };
