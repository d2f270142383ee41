#include "daemon/parts/engine_doors.h"

#include "base/diag.h"
#include "base/limit.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/table.h"
#include "daemon/parts/members.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* Two hosts with SAs. */
struct secured {
	LIST_ENTRY(secured) entry;
	struct addr local, remote;
	uint32_t said; /* by which keying: they are counted */
};

struct doors {
	struct gate *gate;
	const struct observer *observer;
	int export_fd;
	struct plan *plan, *before; /* what keying asks for may be of the plan before */
	uint64_t changed_ms;
	struct engine_fallback fallbacks[DOORS_FALLBACKS_MOST]; /* the ruleset has its own set */
	size_t fallback_count;
	struct table secured; /* by the remote address */
	LIST_HEAD(, secured) all;
	uint32_t keyings; /* how many there were */
	struct members *members;
	uv_timer_t stale;
	struct limit_bucket asked;
	struct limit refused;
};

/* ---- what is allowed --------------------------------------------------------------------------------------------- */

bool doors_may_fall_back(const struct plan *plan, const struct addr *local, const struct addr *remote)
{
	struct plan_list l = plan_meet(plan, local, remote);

	for (size_t i = 0; i < l.count; i++)
		if (l.entries[i].rule->mode == MODE_REQUEST || l.entries[i].rule->mode == MODE_REQUIRE_INBOUND)
			return true;
	return false;
}

bool doors_may_secure(const struct plan *plan, const struct addr *local, const struct addr *remote)
{
	struct plan_list l = plan_meet(plan, local, remote);

	for (size_t i = 0; i < l.count; i++)
		if (rule_mode_protects(l.entries[i].rule->mode))
			return true;
	return false;
}

static void refuse(struct doors *d, const struct addr *local, const struct addr *remote, const char *what)
{
	struct event e = { .id = EVENT_PROCESS_MISBEHAVED, .local = *local, .remote = *remote };
	uint32_t left_out;

	if (!limit_take(&d->refused, 0, engine_now_ms(), &left_out))
		return;
	e.left_out = left_out;
	(void)snprintf(e.text, sizeof e.text, "the process keying asked %s, which was refused", what);
	observe(d->observer, &e);
}

/* Something that the plan before would have allowed was under way when it changed. */
static bool was_right(const struct doors *d, bool (*may)(const struct plan *, const struct addr *, const struct addr *),
		      const struct addr *local, const struct addr *remote)
{
	return d->before && engine_now_ms() - d->changed_ms < DOORS_LATE_MS && may(d->before, local, remote);
}

static bool too_many(struct doors *d, const struct addr *local, const struct addr *remote)
{
	static const struct limit_rate rate = { DOORS_PER_S, DOORS_PER_S };

	if (limit_bucket_take(&d->asked, &rate, engine_now_ms()))
		return false;
	refuse(d, local, remote, "for more changes of the rules than there can be a reason for");
	return true;
}

/* ---- in clear ---------------------------------------------------------------------------------------------------- */

static void forget_fallbacks(struct doors *d, const struct addr *local, const struct addr *remote, uint64_t now)
{
	size_t n = 0;

	for (size_t i = 0; i < d->fallback_count; i++) {
		struct engine_fallback f = d->fallbacks[i];

		if (f.until_ms > now && !(addr_equal(&f.local, local) && addr_equal(&f.remote, remote)))
			d->fallbacks[n++] = f;
	}
	d->fallback_count = n;
}

void doors_fallback(struct doors *d, const struct addr *local, const struct addr *remote, uint32_t seconds)
{
	uint64_t now = engine_now_ms();
	struct diag why = { 0 };
	int r;

	if (too_many(d, local, remote))
		return;
	forget_fallbacks(d, local, remote, now);
	if (seconds && (seconds > DOORS_FALLBACK_S_MOST || d->fallback_count == DOORS_FALLBACKS_MOST ||
			!doors_may_fall_back(d->plan, local, remote))) {
		if (!was_right(d, doors_may_fall_back, local, remote))
			refuse(d, local, remote, "to let two hosts talk in clear");
		return;
	}
	r = seconds ? gate_fallback_add(d->gate, local, remote, seconds, &why)
		    : gate_fallback_remove(d->gate, local, remote, &why);
	if (seconds)
		d->fallbacks[d->fallback_count++] =
			(struct engine_fallback){ *local, *remote, now + (uint64_t)seconds * 1000 };
	if (r < 0 && r != -ENOENT)
		log_warning("peers without IKE: %s", why.text);
}

size_t doors_fallbacks(const struct doors *d, const struct engine_fallback **ret)
{
	*ret = d->fallbacks;
	return d->fallback_count;
}

/* ---- secured ----------------------------------------------------------------------------------------------------- */

static uint64_t remote_hash(const struct addr *remote)
{
	return table_hash_secret(remote->octets, sizeof remote->octets, 0);
}

static bool same_hosts(const void *value, const void *what)
{
	const struct secured *a = value, *b = what;

	return addr_equal(&a->remote, &b->remote) && addr_equal(&a->local, &b->local);
}

static bool same_remote(const void *value, const void *what)
{
	const struct secured *a = value;

	return addr_equal(&a->remote, what);
}

static void let_go(struct doors *d, struct secured *s)
{
	struct diag why = { 0 };

	if (gate_secured_remove(d->gate, &s->local, &s->remote, &why) < 0)
		log_warning("secured peers: %s", why.text);
	table_remove(&d->secured, remote_hash(&s->remote), s);
	LIST_REMOVE(s, entry);
	free(s);
}

void doors_secured(struct doors *d, const struct addr *local, const struct addr *remote, bool up)
{
	struct secured hosts = { .local = *local, .remote = *remote, .said = d->keyings };
	struct secured *s = table_find(&d->secured, remote_hash(remote), same_hosts, &hosts);
	struct diag why = { 0 };

	if (too_many(d, local, remote))
		return;
	if (s && up) {
		s->said = d->keyings;
	} else if (s) {
		let_go(d, s);
	} else if (up && (d->secured.count >= DOORS_SECURED_MOST || !doors_may_secure(d->plan, local, remote))) {
		if (!was_right(d, doors_may_secure, local, remote))
			refuse(d, local, remote, "to take two hosts for secured");
	} else if (up) {
		s = mem_copy(&hosts, sizeof hosts);
		table_add(&d->secured, remote_hash(remote), s);
		LIST_INSERT_HEAD(&d->all, s, entry);
		if (gate_secured_add(d->gate, local, remote, &why) < 0)
			log_warning("secured peers: %s", why.text);
	}
}

bool doors_has_peer(const struct doors *d, const struct addr *remote)
{
	return table_find(&d->secured, remote_hash(remote), same_remote, remote) != NULL;
}

/* Of a keying that is no more, and the SAs with it by now. */
static void forget_stale(uv_timer_t *t)
{
	struct doors *d = t->data;
	struct secured *s, *next;

	for (s = LIST_FIRST(&d->all); s; s = next) {
		next = LIST_NEXT(s, entry);
		if (s->said != d->keyings)
			let_go(d, s);
	}
	members_forget_stale(d->members);
}

void doors_keying_came(struct doors *d)
{
	d->keyings++;
	members_keying_came(d->members);
	(void)uv_timer_start(&d->stale, forget_stale, DOORS_STALE_MS, 0);
}

/* ---- who is there --------------------------------------------------------------------------------------------------
 */

static bool may_be_there(void *context, const struct addr *local, const struct addr *remote)
{
	struct doors *d = context;

	if (doors_may_secure(d->plan, local, remote))
		return true;
	if (!was_right(d, doors_may_secure, local, remote))
		refuse(d, local, remote, "to take somebody for who is behind an address that no rule protects");
	return false;
}

int doors_members(struct doors *d, struct wire_in *body, uint64_t *ret_request, bool *ret_done)
{
	struct diag why = { 0 };
	int r = members_told(d->members, body, ret_request, ret_done, &why);

	if (r == 0 && !*ret_done)
		log_warning("who is behind which addresses: %s", why.text);
	return r;
}

void doors_explain(const struct doors *d, struct event *e)
{
	size_t len = strlen(e->text);
	char groups[160];

	if (e->id != EVENT_PACKET_DROPPED || e->direction != EVENT_IN || strncmp(e->reason, "firewall-", 9) != 0 ||
	    !members_lack(d->members, &e->local, &e->remote, groups, sizeof groups))
		return;
	(void)snprintf(e->text + len, sizeof e->text - len,
		       "; the peer has proven who it is, and %s (cordon show peers)", groups);
}

/* ---- keys, for a lab --------------------------------------------------------------------------------------------- */

void doors_keys(struct doors *d, const char *line)
{
	if (d->export_fd < 0)
		refuse(d, &(struct addr){ 0 }, &(struct addr){ 0 }, "to write keys down, which nobody wants");
	else if (dprintf(d->export_fd, "%s\n", line) < 0)
		log_warning("keys could not be exported: %s", strerror(errno));
}

/* ---- from beginning to end --------------------------------------------------------------------------------------- */

struct doors *doors_new(const struct engine_config *c)
{
	struct doors *d = mem_new(1, sizeof *d);

	d->gate = c->gate;
	d->observer = c->observer;
	d->export_fd = c->export_fd;
	d->refused.each = d->refused.all = (struct limit_rate){ 1, 5 };
	d->stale.data = d;
	d->members = members_new(&(struct members_config){ c->gate, may_be_there, d });
	(void)uv_timer_init(c->loop, &d->stale);
	return d;
}

static void closed(uv_handle_t *h)
{
	free(h->data);
}

void doors_free(struct doors *d)
{
	struct secured *s;

	if (!d)
		return;
	while ((s = LIST_FIRST(&d->all))) {
		LIST_REMOVE(s, entry);
		free(s);
	}
	table_wipe(&d->secured);
	members_free(d->members);
	plan_free(d->plan);
	plan_free(d->before);
	uv_close((uv_handle_t *)&d->stale, closed);
}

void doors_set_plan(struct doors *d, uint64_t number, struct plan *plan)
{
	plan_free(d->before);
	d->before = d->plan;
	d->plan = plan_ref(plan);
	d->changed_ms = engine_now_ms();
	members_set_plan(d->members, number, plan);
}
