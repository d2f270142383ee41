#include "daemon/tell/firewall.h"

#include "base/diag.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/tell/standing.h"

#include <net/if.h>
#include <stdlib.h>
#include <string.h>

enum { WAITS_MOST = 5 };

static const char *const actions[] = { "allow", "block", "bypass" };
static const char *const secures[] = { NULL, "authenticated", "encrypted", "encrypted-on-demand", "no-encapsulation" };
static const char *const directions[] = { NULL, "in", "out", "both" };

static json_t *text_or_null(const char *text)
{
	return text ? json_string(text) : json_null();
}

static json_t *groups_json(const struct group *const *groups, size_t n)
{
	json_t *all = json_array();

	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(all, json_string(groups[i]->name));
	return all;
}

static int by_rule(const void *a, const void *b)
{
	const struct gate_counter *x = a, *y = b;

	return (x->firewall > y->firewall) - (x->firewall < y->firewall);
}

static const struct gate_counter *find(const struct gate_counter *sorted, size_t n, const struct firewall_rule *rule)
{
	const struct gate_counter key = { .firewall = rule };

	return n ? bsearch(&key, sorted, n, sizeof key, by_rule) : NULL;
}

/* The ruleset goes by names, so such a rule is in force as soon as the interface comes; until then nothing is what it
 * speaks of. */
static bool exists(const char *interface)
{
	return if_nametoindex(interface) != 0;
}

static const char *why_not(const struct daemon *d, const struct firewall_rule *r, const char **ret_interface,
			   char buf[STANDING_TEXT])
{
	const struct standing s = { .facts = d->facts,
				    .disabled = d->state->disabled,
				    .tells_programs = gate_tells_programs(d->gate),
				    .has_program = r->program && gate_has_program(d->gate, r->program),
				    .exists = exists };

	return standing_why(&s, r, ret_interface, buf);
}

static json_t *profiles_of(const struct firewall_rule *r)
{
	static const struct {
		unsigned bit;
		const char *name;
	} profiles[] = { { PROFILE_DOMAIN, "domain" }, { PROFILE_PRIVATE, "private" }, { PROFILE_PUBLIC, "public" } };
	json_t *all = json_array();

	for (size_t i = 0; i < ARRAY_LEN(profiles) && (r->profiles & PROFILE_ALL) != PROFILE_ALL; i++)
		if (r->profiles & profiles[i].bit)
			(void)json_array_append_new(all, json_string(profiles[i].name));
	return all;
}

static json_t *rule_json(struct daemon *d, const struct firewall_rule *r, const struct gate_counter *c)
{
	char buf[STANDING_TEXT];
	const char *waits_for, *why = why_not(d, r, &waits_for, buf);
	json_t *o = json_object();

	(void)json_object_set_new(o, "name", json_string(r->name));
	(void)json_object_set_new(o, "action", json_string(actions[r->action]));
	(void)json_object_set_new(o, "direction", json_string(directions[r->direction & 3]));
	(void)json_object_set_new(o, "line", json_integer(r->place.line));
	(void)json_object_set_new(o, "secure", text_or_null(secures[r->secure]));
	(void)json_object_set_new(o, "allow", groups_json(r->machines_allow, r->allow_count));
	(void)json_object_set_new(o, "except", groups_json(r->machines_except, r->except_count));
	(void)json_object_set_new(o, "interface", text_or_null(r->interface));
	(void)json_object_set_new(o, "program", text_or_null(r->program));
	(void)json_object_set_new(o, "profiles", profiles_of(r));
	(void)json_object_set_new(o, "in_force", json_boolean(!*why));
	(void)json_object_set_new(o, "waits_for", text_or_null(waits_for));
	(void)json_object_set_new(o, "why", text_or_null(*why ? why : NULL));
	(void)json_object_set_new(o, "packets", json_integer(c ? (json_int_t)c->packets : 0));
	(void)json_object_set_new(o, "octets", json_integer(c ? (json_int_t)c->octets : 0));
	return o;
}

static bool rules_us(const struct daemon *d, const struct firewall *f)
{
	return d->plan && plan_firewall_rules(d->plan, f);
}

static size_t sections_of(const struct daemon *d, const struct firewall **ret)
{
	*ret = NULL;
	return d->policy ? policy_firewalls(d->policy, ret) : 0;
}

void firewall_rows(struct daemon *d, const struct gate_counter *counters, size_t count, json_t *rows)
{
	const struct firewall *sections;
	size_t n = sections_of(d, &sections);
	struct gate_counter *sorted = mem_new(count + 1, sizeof *sorted);

	if (count) {
		memcpy(sorted, counters, count * sizeof *sorted);
		qsort(sorted, count, sizeof *sorted, by_rule);
	}
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; rules_us(d, &sections[i]) && k < sections[i].count; k++) {
			const struct firewall_rule *r = &sections[i].rules[k];

			(void)json_array_append_new(rows, rule_json(d, r, find(sorted, count, r)));
		}
	free(sorted);
}

static void put_defaults(json_t *o, const struct gate_counter *counters, size_t count, bool in, bool blocked)
{
	const char *name = in ? "firewall-default-in" : "firewall-default-out";
	json_int_t dropped = 0;

	for (size_t i = 0; i < count; i++)
		if (!counters[i].rule && !counters[i].firewall && strcmp(counters[i].name, name) == 0)
			dropped = (json_int_t)counters[i].packets;
	(void)json_object_set_new(o, in ? "inbound" : "outbound", json_string(blocked ? "block" : "allow"));
	(void)json_object_set_new(o, in ? "inbound_dropped" : "outbound_dropped", json_integer(dropped));
}

static json_t *group_sets(const struct daemon *d)
{
	const struct plan_group *groups = NULL;
	size_t n = d->plan ? plan_groups(d->plan, &groups) : 0;
	json_t *all = json_array();

	for (size_t i = 0; i < n; i++) {
		size_t sure = 0, maybe = 0;

		gate_group_count(d->gate, i, &sure, &maybe);
		(void)json_array_append_new(all, json_pack("{s:s,s:I,s:I}", "group", groups[i].group->name, "members",
							   (json_int_t)sure, "unsure", (json_int_t)(maybe - sure)));
	}
	return all;
}

json_t *firewall_frame(struct daemon *d, const struct gate_counter *counters, size_t count)
{
	const struct firewall *sections;
	size_t n = sections_of(d, &sections);
	bool ruled = false, in = false, out = false;
	json_t *o;

	for (size_t i = 0; i < n; i++) {
		bool here = rules_us(d, &sections[i]);

		ruled |= here;
		in |= here && sections[i].inbound == FIREWALL_BLOCK;
		out |= here && sections[i].outbound == FIREWALL_BLOCK;
	}
	if (!ruled)
		return json_null();
	o = json_object();
	put_defaults(o, counters, count, true, in);
	put_defaults(o, counters, count, false, out);
	(void)json_object_set_new(o, "groups", group_sets(d));
	(void)json_object_set_new(o, "overruled_by", firewall_overruled(d));
	return o;
}

/* ---- who else drops ---------------------------------------------------------------------------------------------- */

static bool has_bypass(const struct daemon *d)
{
	const struct firewall *sections;
	size_t n = sections_of(d, &sections);

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; rules_us(d, &sections[i]) && k < sections[i].count; k++)
			if (sections[i].rules[k].action == FIREWALL_BYPASS)
				return true;
	return false;
}

static size_t others(struct daemon *d, struct gate_other **ret)
{
	struct diag why = { 0 };
	size_t n = 0;

	*ret = NULL;
	if (!d->state->disabled && has_bypass(d) && gate_others(d->gate, ret, &n, &why) < 0)
		log_warning("%s", why.text);
	return n;
}

json_t *firewall_overruled(struct daemon *d)
{
	struct gate_other *rows;
	size_t n = others(d, &rows);
	json_t *all = json_array();

	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(
			all, json_pack("{s:s,s:b}", "table", rows[i].table, "default", rows[i].drops_by_default));
	free(rows);
	return all;
}

void firewall_look_at_others(struct daemon *d)
{
	struct gate_other *rows;
	size_t n = others(d, &rows);

	for (size_t i = 0; i < n; i++) {
		bool told = false;

		for (size_t k = 0; k < d->others_told_count; k++)
			told |= strcmp(d->others_told[k].table, rows[i].table) == 0 &&
				d->others_told[k].drops_by_default == rows[i].drops_by_default;
		if (!told)
			daemon_event(
				d, EVENT_BYPASS_OVERRULED,
				"the nftables table '%s' %s: what a bypass of the policy lets in may be dropped there",
				rows[i].table,
				rows[i].drops_by_default ? "drops by default what comes in" : "has rules that drop");
	}
	free(d->others_told);
	d->others_told = rows;
	d->others_told_count = n;
}

json_t *firewall_waits(const struct daemon *d)
{
	const struct firewall *sections;
	size_t n = d->state->disabled ? 0 : sections_of(d, &sections); /* then none is, and status says so */
	json_t *all = json_array();

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; rules_us(d, &sections[i]) && k < sections[i].count; k++) {
			const struct firewall_rule *r = &sections[i].rules[k];
			char buf[STANDING_TEXT];
			const char *name, *why;

			if (json_array_size(all) == WAITS_MOST)
				return all;
			why = why_not(d, r, &name, buf);
			if (*why)
				(void)json_array_append_new(all,
							    json_pack("{s:s,s:o,s:s}", "rule", r->name, "interface",
								      text_or_null(name), "why", why));
		}
	return all;
}

json_t *firewall_interfaces_missing(const struct daemon *d)
{
	json_t *all = json_array();

	for (size_t i = 0; d->config && i < d->config->interface_count; i++)
		if (!exists(d->config->interfaces[i].name) && json_array_size(all) < WAITS_MOST)
			(void)json_array_append_new(all, json_string(d->config->interfaces[i].name));
	return all;
}
