#include "daemon/force/exempt.h"

#include "base/diag.h"
#include "base/log.h"
#include "daemon/force/exemptions.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { LOOK_MOST_MS = 30000 }; /* the loop's clock stands still while the machine sleeps */

static void arm(struct daemon *d);

/* ---- the list and the gate agree --------------------------------------------------------------------------------- */

/* One address may be in several exemptions: the longest counts. */
static int gate_follows(struct daemon *d, const struct exempted_host *x, struct diag *why)
{
	int r = 0;

	for (size_t i = 0; i < x->address_count && r == 0; i++) {
		uint64_t until_ms = exemptions_until_ms(d->exemptions, &x->addresses[i]);

		r = until_ms ? gate_exempt_add(d->gate, &x->addresses[i], until_ms, why)
			     : gate_exempt_remove(d->gate, &x->addresses[i], why);
	}
	return r;
}

static void save(struct daemon *d)
{
	struct state_clock now;
	struct diag why = { 0 };

	state_clock_now(&now);
	if (exemptions_save(d->exemptions, &now, &why) < 0)
		log_warning("exemptions will not survive a restart of cordond: %s", why.text);
}

static void remove_one(struct daemon *d, struct exempted_host *x, const char *how)
{
	const struct exempted_host gone = *x;
	struct diag why = { 0 };

	exemptions_remove(d->exemptions, x);
	if (gate_follows(d, &gone, &why) < 0) /* the kernel ends it by itself at its time */
		log_error("%s", why.text);
	save(d);
	daemon_event(d, EVENT_EXEMPTION_ENDED, "the exemption of %s has ended: %s", gone.host, how);
}

static void looked(uv_timer_t *t)
{
	struct daemon *d = t->data;
	struct state_clock now;
	struct exempted_host *x;

	state_clock_now(&now);
	while ((x = exemptions_over(d->exemptions, &now)))
		remove_one(d, x, "its time is over");
	arm(d);
}

static void arm(struct daemon *d)
{
	uint64_t next_ms = exemptions_next_ms(d->exemptions), wait_ms;
	struct state_clock now;

	state_clock_now(&now);
	if (next_ms == UINT64_MAX) {
		(void)uv_timer_stop(&d->exempt_timer);
		return;
	}
	wait_ms = next_ms > now.boot_ms ? next_ms - now.boot_ms : 0;
	(void)uv_timer_start(&d->exempt_timer, looked, wait_ms < LOOK_MOST_MS ? wait_ms : LOOK_MOST_MS, 0);
}

void exempt_start(struct daemon *d)
{
	struct state_clock now;
	struct diag why = { 0 };
	size_t lost;

	state_clock_now(&now);
	d->exempt_timer.data = d;
	(void)uv_timer_init(&d->loop, &d->exempt_timer);
	if (exemptions_open(d->state->folder, &now, &d->exemptions, &lost, &why) < 0)
		log_warning("exemptions of before are forgotten: %s", why.text);
	if (lost) {
		daemon_event(d, EVENT_EXEMPTION_ENDED, "%zu exemption%s ended with the restart of the machine", lost,
			     lost == 1 ? " has" : "s have");
		save(d);
	}
	for (size_t i = 0; i < d->exemptions->count; i++)
		if (gate_follows(d, &d->exemptions->rows[i], &why) < 0)
			log_error("%s", why.text);
	arm(d);
}

/* ---- whom it means ----------------------------------------------------------------------------------------------- */

static int too_many(const char *host, struct diag *why)
{
	return diag_fail(
		why, EINVAL,
		"'%s' has more than %d addresses. An exemption is for hosts under repair: name them one by one", host,
		EXEMPTION_ADDRESSES_MOST);
}

/* An exemption of whom no rule speaks, or of this host itself, opens nothing: a mistake. */
static int check_address(const struct daemon *d, const struct addr *a, struct diag *why)
{
	char text[ADDR_TEXT];

	(void)addr_text(a, text);
	if (addr_is_loopback(a) || addr_is_link_local(a) || addr_is_multicast(a))
		return diag_fail(why, EINVAL, "%s is outside all rules: there is nothing to exempt", text);
	if (host_facts_have(d->facts, a))
		return diag_fail(why, EINVAL, "%s is this host itself. To let everything through here:  cordon disable",
				 text);
	return 0;
}

static int add_range(const struct daemon *d, const struct addr_range *range, struct exempted_host *x, struct diag *why)
{
	struct addr a = range->lo;
	int r;

	for (;;) {
		if (x->address_count == EXEMPTION_ADDRESSES_MOST)
			return too_many(x->host, why);
		/* a zone may have this host in it: the others are meant */
		if (!host_facts_have(d->facts, &a) && (r = check_address(d, &a, why)) < 0)
			return r;
		if (!host_facts_have(d->facts, &a))
			x->addresses[x->address_count++] = a;
		if (addr_equal(&a, &range->hi))
			return 0;
		(void)addr_next(&a);
	}
}

static int add_zone(const struct daemon *d, const struct address_set *zone, struct exempted_host *x, struct diag *why)
{
	int r = 0;

	for (size_t i = 0; i < zone->count && r == 0; i++)
		r = add_range(d, &zone->elements[i], x, why);
	if (r == 0 && x->address_count == 0)
		return diag_fail(why, EINVAL, "zone '%s' has no address but this host's own", x->host);
	return r;
}

static int add_host(const struct daemon *d, const struct host *h, struct exempted_host *x, struct diag *why)
{
	int r;

	for (size_t i = 0; i <= h->address_count; i++) {
		const struct addr *a = i < h->address_count ? &h->addresses[i].addr : &h->nat_address;

		if (!a->family)
			continue;
		if (x->address_count == EXEMPTION_ADDRESSES_MOST)
			return too_many(x->host, why);
		if ((r = check_address(d, a, why)) < 0)
			return r;
		x->addresses[x->address_count++] = *a;
	}
	return 0;
}

static int resolve(const struct daemon *d, struct exempted_host *x, struct diag *why)
{
	const struct host *h = d->policy ? policy_host_by_name(d->policy, x->host) : NULL;
	const struct address_set *zone = d->policy && !h ? policy_zone_by_name(d->policy, x->host) : NULL;
	int r;

	if (h)
		return add_host(d, h, x, why);
	if (zone)
		return add_zone(d, zone, x, why);
	if (addr_parse(x->host, strlen(x->host), &x->addresses[0], NULL) < 0)
		return diag_fail(why, EINVAL, "'%s' is neither an address nor a host or zone of the policy%s", x->host,
				 strchr(x->host, '/') ? "; an exemption is for single hosts, not for networks" : "");
	if ((r = check_address(d, &x->addresses[0], why)) < 0)
		return r;
	(void)addr_text(&x->addresses[0], x->host); /* one form for all ways to write it */
	x->address_count = 1;
	return 0;
}

/* ---- begin and end ----------------------------------------------------------------------------------------------- */

static uint32_t longest_s(const struct daemon *d)
{
	return d->config->longest_exemption_ms / 1000;
}

static int check_time(const struct daemon *d, uint32_t for_s, struct diag *why)
{
	if (longest_s(d) == 0)
		return diag_fail(why, EPERM, "this host's page forbids exemptions (longest-exemption: 0)");
	if (for_s < EXEMPTION_SHORTEST_S)
		return diag_fail(why, EINVAL, "an exemption lasts at least %d seconds", EXEMPTION_SHORTEST_S);
	if (for_s > longest_s(d)) {
		bool hours = longest_s(d) % 3600 == 0;

		return diag_fail(why, EINVAL,
				 "an exemption lasts at most %u%c here (longest-exemption in this host's page). "
				 "What is exempt for longer belongs in the policy",
				 longest_s(d) / (hours ? 3600 : 60), hours ? 'h' : 'm');
	}
	return 0;
}

int exempt_begin(struct daemon *d, const char *host, uint32_t for_s, const char *reason, const char *by,
		 struct exempted_host **ret, struct diag *why)
{
	struct exempted_host x = { 0 }, before = { 0 }, *old;
	struct state_clock now;
	int r;

	if ((r = check_time(d, for_s, why)) < 0)
		return r;
	(void)snprintf(x.host, sizeof x.host, "%s", host);
	(void)snprintf(x.reason, sizeof x.reason, "%s", reason);
	(void)snprintf(x.by, sizeof x.by, "%s", by);
	if ((r = resolve(d, &x, why)) < 0)
		return r;
	state_clock_now(&now);
	x.begun_wall_ms = now.wall_ms;
	x.until_wall_ms = now.wall_ms + (uint64_t)for_s * 1000;
	x.until_boot_ms = now.boot_ms + (uint64_t)for_s * 1000;
	if ((old = exemptions_find(d->exemptions, x.host)))
		before = *old;
	if (!(*ret = exemptions_put(d->exemptions, &x)))
		return diag_fail(why, ENOSPC, "%d exemptions are in force already; end one:  cordon exempt --end HOST",
				 EXEMPTIONS_MOST);
	if (old)
		(void)gate_follows(d, &before, NULL); /* what the name meant before may be more */
	if ((r = gate_follows(d, *ret, why)) < 0) {
		exemptions_remove(d->exemptions, *ret);
		(void)gate_follows(d, &x, NULL);
		return r;
	}
	save(d);
	arm(d);
	daemon_event(d, EVENT_EXEMPTION_BEGUN, "%s is exempted for %u s by %s: %s", x.host, for_s, x.by, x.reason);
	return 0;
}

int exempt_end(struct daemon *d, const char *host, const char *by, struct diag *why)
{
	struct exempted_host *x = exemptions_find(d->exemptions, host);
	char how[64], text[ADDR_TEXT];
	struct addr a;

	if (!x && addr_parse(host, strlen(host), &a, NULL) == 0)
		x = exemptions_find(d->exemptions, addr_text(&a, text));
	if (!x)
		return diag_fail(why, ENOENT, "'%s' is not exempted here; those that are:  cordon exempt --list", host);
	(void)snprintf(how, sizeof how, "%s ended it", by);
	remove_one(d, x, how);
	arm(d);
	return 0;
}

/* ---- telling ----------------------------------------------------------------------------------------------------- */

json_t *exempt_json(const struct exempted_host *x)
{
	json_t *addresses = json_array();
	struct state_clock now;
	char text[ADDR_TEXT];
	json_int_t ends_ms, left_s;
	uint64_t left_ms;

	state_clock_now(&now);
	left_ms = x->until_boot_ms > now.boot_ms ? x->until_boot_ms - now.boot_ms : 0;
	for (size_t i = 0; i < x->address_count; i++)
		(void)json_array_append_new(addresses, json_string(addr_text(&x->addresses[i], text)));
	ends_ms = (json_int_t)now.wall_ms + (json_int_t)left_ms;
	left_s = ((json_int_t)left_ms + 999) / 1000;
	return json_pack("{s:s+,s:o,s:s+,s:s+,s:I,s:I,s:I}", "host", x->host, "", "addresses", addresses, "reason",
			 x->reason, "", "by", x->by, "", "begun_ms", (json_int_t)x->begun_wall_ms, "ends_ms", ends_ms,
			 "left_s", left_s);
}

void exempt_rows(const struct daemon *d, json_t *rows)
{
	for (size_t i = 0; i < d->exemptions->count; i++)
		(void)json_array_append_new(rows, exempt_json(&d->exemptions->rows[i]));
}

static bool protects(struct plan_list l)
{
	for (size_t i = 0; i < l.count; i++)
		if (l.entries[i].rule->mode != MODE_EXEMPT && l.entries[i].rule->mode != MODE_BLOCK)
			return true;
	return false;
}

static bool is_protected(const struct daemon *d, const struct addr *a)
{
	const struct addr *locals;
	size_t n = plan_locals(d->plan, &locals);

	for (size_t i = 0; i < n; i++) {
		const struct plan_region *regions;
		size_t count = plan_regions(d->plan, i, &regions);

		for (size_t k = 0; k < count; k++)
			if (addr_range_has(&regions[k].remote, a) && protects(plan_list(d->plan, regions[k].list)))
				return true;
	}
	return false;
}

bool exempt_matters(const struct daemon *d, const struct exempted_host *x)
{
	for (size_t i = 0; d->plan && i < x->address_count; i++)
		if (is_protected(d, &x->addresses[i]))
			return true;
	return false;
}

bool exempt_has_sas(const struct daemon *d, const struct exempted_host *x)
{
	for (size_t i = 0; d->engine && i < x->address_count; i++)
		if (engine_has_peer(d->engine, &x->addresses[i]))
			return true;
	return false;
}
