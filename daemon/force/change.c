#include "daemon/force/change.h"

#include "base/crypto.h"
#include "base/diag.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/text.h"
#include "daemon/host/credentials.h"
#include "daemon/host/page.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SOURCE_MOST = CONTROL_POLICY_MOST, PROBATION_LOOK_MS = 250 };

/* ---- the caller's own connection --------------------------------------------------------------------------------- */

static bool take_address(const char **at, struct addr *ret)
{
	size_t word = strcspn(*at, " "), scope = strcspn(*at, " %");
	int r = addr_parse(*at, scope, ret, NULL);

	*at += word + ((*at)[word] == ' ');
	return r == 0;
}

static bool take_port(const char **at, uint16_t *ret)
{
	char *end = NULL;
	unsigned long n = strtoul(*at, &end, 10);

	if (end == *at || n > UINT16_MAX || (*end && *end != ' '))
		return false;
	*ret = (uint16_t)n;
	*at = end + (*end == ' ');
	return true;
}

/* "client-address client-port server-address server-port" */
static bool parse_ssh(const char *text, struct plan_packet *ret)
{
	*ret = (struct plan_packet){ .initiator = INITIATOR_REMOTE, .protocol = 6 };
	return take_address(&text, &ret->remote) && take_port(&text, &ret->remote_port) &&
	       take_address(&text, &ret->local) && take_port(&text, &ret->local_port);
}

struct ssh_fate ssh_fate(const struct daemon *d, const struct plan *plan, const char *ssh)
{
	struct ssh_fate f = { 0 };
	struct plan_packet k;
	const struct plan_entry *e;

	if (!ssh || !parse_ssh(ssh, &k))
		return f;
	f.known = true;
	f.peer = k.remote;
	if (!(e = plan_lookup(plan, &k)))
		return f;
	(void)snprintf(f.rule, sizeof f.rule, "%s", e->rule->name);
	switch (e->rule->mode) {
	case MODE_BLOCK:
		f.outcome = OUTCOME_BLOCKED;
		f.cut = true;
		break;
	case MODE_REQUIRE:
	case MODE_REQUIRE_INBOUND:
		f.outcome = child_suite_encrypts(&e->rule->protection->suites[0]) ? OUTCOME_ENCRYPTED
										  : OUTCOME_AUTHENTICATED;
		f.cut = !d->engine || !engine_has_peer(d->engine, &k.remote);
		break;
	case MODE_REQUEST:
	case MODE_EXEMPT:
		break;
	}
	return f;
}

static int refuse_ssh(const struct ssh_fate *f, struct diag *why)
{
	char peer[ADDR_TEXT];

	(void)addr_text(&f->peer, peer);
	if (f->outcome == OUTCOME_BLOCKED)
		return diag_fail(why, ERR_POLICY,
				 "this would cut off your own connection (ssh from %s): rule '%s' blocks it", peer,
				 f->rule);
	return diag_fail(
		why, ERR_POLICY,
		"this may cut off your own connection (ssh from %s): rule '%s' requires protection, and no main "
		"mode with %s is up",
		peer, f->rule, peer);
}

/* ---- the state folder and what is in force, together ------------------------------------------------------------- */

static void probation_looked(uv_timer_t *t);

static void probation_watch(struct daemon *d)
{
	if (d->state->pending.version)
		(void)uv_timer_start(&d->probation, probation_looked, PROBATION_LOOK_MS, PROBATION_LOOK_MS);
	else
		(void)uv_timer_stop(&d->probation);
}

/* Make `version` the one in force. pending as the caller wants it to be from now on. */
static int commit(struct daemon *d, uint32_t version, const struct state_pending *pending, struct candidate *c,
		  struct diag *why)
{
	struct state before = *d->state;
	int r;

	d->state->current = version;
	d->state->pending = *pending;
	if ((r = state_save(d->state, why)) < 0 ||
	    (r = c->plan ? force_candidate(d, c, why) : force_nothing(d, why)) < 0) {
		d->state->current = before.current;
		d->state->pending = before.pending;
		(void)state_save(d->state, NULL);
	}
	probation_watch(d);
	return r;
}

static int go_back_to(struct daemon *d, uint32_t version, struct diag *why)
{
	SCOPED(candidate_wipe) struct candidate c = { 0 };
	static const struct state_pending nothing;
	struct text *text = NULL;
	int r;

	if (version &&
	    ((r = state_policy(d->state, version, &text, why)) < 0 || (r = candidate_make(d, text, &c, why)) < 0))
		return diag_wrap(why, r, "v%u", version);
	return commit(d, version, &nothing, &c, why);
}

static void take_back(struct daemon *d)
{
	uint32_t version = d->state->pending.version, previous = d->state->pending.previous;
	struct diag why = { 0 };

	if (go_back_to(d, previous, &why) < 0) {
		/* It stays in force, since nothing better is known; asking again four times a second would not help. */
		d->state->pending = (struct state_pending){ 0 };
		(void)state_save(d->state, NULL);
		probation_watch(d);
		daemon_event(d, EVENT_POLICY_REFUSED, "v%u was not confirmed, but could not be taken back: %s", version,
			     why.text);
		return;
	}
	if (previous)
		daemon_event(d, EVENT_POLICY_ROLLED_BACK, "v%u was not confirmed in time: v%u is in force again",
			     version, previous);
	else
		daemon_event(d, EVENT_POLICY_ROLLED_BACK,
			     "v%u was not confirmed in time: no policy is in force, as before", version);
}

static void probation_looked(uv_timer_t *t)
{
	struct daemon *d = t->data;
	struct state_clock now;

	state_clock_now(&now);
	if (state_pending_left_ms(d->state, &now) == 0)
		take_back(d);
}

/* ---- what can be asked for --------------------------------------------------------------------------------------- */

static int refuse_pending(const struct daemon *d, struct diag *why)
{
	return diag_fail(why, EBUSY, "v%u waits to be confirmed; first  cordon confirm  or  cordon rollback",
			 d->state->pending.version);
}

static int enter(struct daemon *d, const struct change *change, const struct text *text, struct candidate *c,
		 uint32_t *ret_version, struct diag *why)
{
	struct state_version v = { 0 };
	struct state_pending pending = { 0 };
	int r;

	(void)snprintf(v.by, sizeof v.by, "%s", change->by);
	(void)snprintf(v.path, sizeof v.path, "%s", change->path);
	if ((r = state_add(d->state, text, &v, why)) < 0)
		return r;
	if (change->confirm_s) {
		struct state before = *d->state;
		struct state_clock now;

		state_clock_now(&now);
		state_pend(d->state, v.number, before.current, (uint64_t)change->confirm_s * 1000, &now);
		pending = d->state->pending;
		d->state->pending = before.pending;
	}
	if ((r = commit(d, v.number, &pending, c, why)) < 0) {
		state_forget(d->state, v.number);
		return r;
	}
	*ret_version = v.number;
	return 0;
}

/* For those who do not see the report: the first mistake itself. */
static void name_mistake(const struct report *report, struct diag *why)
{
	SCOPED(str_wipe) struct str first = { 0 };

	if (report)
		report_first(report, &first);
	if (first.len)
		(void)diag_fail(why, why->code, "the policy has errors: %s", str_text(&first));
}

int change_apply(struct daemon *d, struct change *change, struct candidate *c, struct change_result *ret,
		 struct diag *why)
{
	SCOPED(text_freep) struct text *kept = text_new(change->path, change->text->octets, change->text->len);
	struct change_result result = { 0 };
	int r;

	if (d->state->pending.version) {
		text_free(TAKE(change->text));
		return refuse_pending(d, why);
	}
	if ((r = candidate_make(d, TAKE(change->text), c, why)) < 0) {
		struct diag named = *why;

		name_mistake(c->report, &named);
		daemon_event_by(d, EVENT_POLICY_REFUSED, change->by, "%s, from %s: %s", change->by, change->path,
				named.text);
		return r;
	}
	result.ssh = ssh_fate(d, c->plan, change->ssh);
	if (result.ssh.cut && !change->confirm_s && !change->force) {
		ret->refused_ssh = true;
		ret->ssh = result.ssh;
		return refuse_ssh(&result.ssh, why);
	}
	if ((r = enter(d, change, kept, c, &result.version, why)) < 0) {
		daemon_event_by(d, EVENT_POLICY_REFUSED, change->by, "%s, from %s: %s", change->by, change->path,
				why->text);
		return r;
	}
	daemon_event_by(d, EVENT_POLICY_APPLIED, change->by, "v%u applied by %s, from %s%s", result.version, change->by,
			change->path, change->confirm_s ? ", to be confirmed" : "");
	*ret = result;
	return 0;
}

int change_confirm(struct daemon *d, const char *by, uint32_t *ret_version, struct diag *why)
{
	struct state_pending before = d->state->pending;
	int r;

	if (!before.version)
		return diag_fail(why, ENOENT, "nothing waits to be confirmed");
	d->state->pending = (struct state_pending){ 0 };
	if ((r = state_save(d->state, why)) < 0) {
		d->state->pending = before;
		return r;
	}
	probation_watch(d);
	daemon_event_by(d, EVENT_POLICY_CONFIRMED, by, "v%u confirmed by %s", before.version, by);
	*ret_version = before.version;
	return 0;
}

int change_rollback(struct daemon *d, uint32_t version, const char *by, uint32_t *ret_version, struct diag *why)
{
	uint32_t from = d->state->current, to = version;
	struct state_version v;
	int r;

	if (!from && !to)
		return diag_fail(why, ENOENT, "there is no policy to go back from");
	if (!to && d->state->pending.version == from)
		to = d->state->pending.previous;
	else if (!to && (r = state_version_read(d->state, from, &v, why)) < 0)
		return r;
	else if (!to && !(to = v.previous))
		return diag_fail(why, ENOENT, "v%u is the first policy; there is none before it", from);
	if (to && to == from && d->state->pending.version != from)
		return diag_fail(why, EALREADY, "v%u is in force already", to);
	if (to && state_version_read(d->state, to, &v, NULL) < 0)
		return diag_fail(why, ENOENT, "there is no v%u any more;  cordon history  lists what there is", to);
	if ((r = go_back_to(d, to, why)) < 0)
		return r;
	if (to)
		daemon_event_by(d, EVENT_POLICY_ROLLED_BACK, by, "from v%u to v%u by %s", from, to, by);
	else
		daemon_event_by(d, EVENT_POLICY_ROLLED_BACK, by, "from v%u to no policy by %s", from, by);
	*ret_version = to;
	return 0;
}

int change_disable(struct daemon *d, const char *by, const char *reason, struct diag *why)
{
	int r;

	if (d->state->disabled)
		return diag_fail(why, EALREADY, "protection is disabled already");
	/* What cannot be written down must not keep anybody from breaking the glass. */
	if (state_disable(d->state, reason, why) < 0)
		log_warning("disabled only until the next start: %s", why->text);
	if ((r = force_disable(d, why)) < 0) {
		(void)state_enable(d->state, NULL);
		return r;
	}
	daemon_event_by(d, EVENT_DISABLED, by, "protection disabled by %s%s%s", by, *reason ? ": " : "", reason);
	return 0;
}

int change_enable(struct daemon *d, const char *by, struct diag *why)
{
	int r;

	if (!d->state->disabled && (d->engine || !d->plan))
		return diag_fail(why, EALREADY, "protection is not disabled");
	if ((r = state_enable(d->state, why)) < 0)
		return r;
	if ((r = force_enable(d, why)) < 0) {
		(void)state_disable(d->state, "enable failed", NULL);
		return r;
	}
	daemon_event_by(d, EVENT_ENABLED, by, "protection enabled by %s", by);
	return 0;
}

/* ---- the source -------------------------------------------------------------------------------------------------- */

static int digest_of(const struct text *t, char ret[STATE_DIGEST], struct diag *why)
{
	uint8_t digest[DIGEST_MAX];
	size_t len = 0;
	int r = crypto_digest("SHA256", &(struct octets){ t->octets, t->len }, 1, digest, &len, why);

	if (r < 0)
		return r;
	for (size_t i = 0; i < len && 2 * i + 2 < STATE_DIGEST; i++)
		(void)snprintf(ret + 2 * i, 3, "%02x", digest[i]);
	return 0;
}

static void say_report(const struct report *r)
{
	SCOPED(str_wipe) struct str out = { 0 };

	if (!r)
		return;
	report_text(r, false, &out);
	(void)fputs(str_text(&out), stderr);
}

/* *ret_changed: there is a policy at the source that is another than we last took from there. */
static int source_read(struct daemon *d, struct text **ret, char digest[STATE_DIGEST], bool *ret_changed,
		       struct diag *why)
{
	SCOPED(text_freep) struct text *t = NULL;
	int r;

	*ret_changed = false;
	if ((r = text_read(d->source, SOURCE_MOST, &t, why)) == -ENOENT && !d->source_named)
		return 0;
	if (r < 0 || (r = digest_of(t, digest, why)) < 0)
		return r;
	if (strcmp(digest, d->state->source_digest) == 0 && d->state->current)
		return 0;
	*ret = TAKE(t);
	*ret_changed = true;
	return 0;
}

int change_refresh(struct daemon *d, const char *by, bool *ret_changed, struct diag *why)
{
	SCOPED(candidate_wipe) struct candidate c = { 0 };
	char digest[STATE_DIGEST] = "", before[STATE_DIGEST];
	struct change_result result = { 0 };
	struct text *text = NULL;
	int r;

	if (d->state->pending.version) {
		*ret_changed = false;
		return refuse_pending(d, why);
	}
	if ((r = source_read(d, &text, digest, ret_changed, why)) < 0 || !*ret_changed)
		return r;
	/* commit() writes it down together with the version. */
	(void)snprintf(before, sizeof before, "%s", d->state->source_digest);
	(void)snprintf(d->state->source_digest, STATE_DIGEST, "%s", digest);
	r = change_apply(d, &(struct change){ .text = text, .path = d->source, .by = by, .force = true }, &c, &result,
			 why);
	if (r < 0) {
		(void)snprintf(d->state->source_digest, STATE_DIGEST, "%s", before);
		(void)state_save(d->state, NULL);
		say_report(c.report);
		name_mistake(c.report, why);
	}
	return r;
}

int change_reload(struct daemon *d, const char *by, bool *ret_changed, struct diag *why)
{
	struct diag later = { 0 };
	bool page = false;
	int first = page_again(d, &page, why), r = change_refresh(d, by, ret_changed, first < 0 ? &later : why);

	if (page)
		log_info("this host's page has changed");
	if (first < 0 && r < 0)
		log_error("%s", later.text);
	if (page || *ret_changed) /* then they were read */
		credentials_tell(d);
	else
		credentials_reload(d);
	return first < 0 ? first : r;
}

/* ---- start ------------------------------------------------------------------------------------------------------- */

static void settle_pending(struct daemon *d)
{
	struct state_pending *p = &d->state->pending;
	struct state_clock now;

	if (!p->version)
		return;
	state_clock_now(&now);
	if (d->state->current == p->version && state_pending_left_ms(d->state, &now) > 0)
		return;
	if (d->state->current == p->version) {
		daemon_event(d, EVENT_POLICY_ROLLED_BACK, "v%u was not confirmed in time: v%u is in force again",
			     p->version, p->previous);
		d->state->current = p->previous;
	}
	*p = (struct state_pending){ 0 };
	(void)state_save(d->state, NULL);
}

int change_start(struct daemon *d, struct diag *why)
{
	SCOPED(candidate_wipe) struct candidate c = { 0 };
	struct text *text = NULL;
	bool changed = false;
	int r;

	settle_pending(d);
	if (!d->state->pending.version) {
		if ((r = change_refresh(d, "cordond", &changed, why)) == 0 && changed)
			return d->state->disabled ? force_disable(d, why) : 0;
		if (r < 0 && !d->state->current)
			return r;
		if (r < 0)
			log_error("%s; the last good policy, v%u, is put in force instead", why->text,
				  d->state->current);
	}
	if (!d->state->current) {
		log_warning("there is no policy yet, so nothing is protected:  cordon init writes a first one");
		return force_nothing(d, why);
	}
	if ((r = state_policy(d->state, d->state->current, &text, why)) < 0)
		return r;
	r = candidate_make(d, text, &c, why);
	if (r < 0)
		say_report(c.report);
	if (r < 0 || (r = force_candidate(d, &c, why)) < 0)
		return r;
	if (d->state->disabled)
		r = force_disable(d, why);
	probation_watch(d);
	return r;
}
