/* From the addresses of a packet to the plan's list. A tracked packet is judged by its connection as it looks on the
 * wire, before or after whatever NAT there is: the tuple in which an arriving packet would carry it, so that the source
 * is always the other end. That is the original tuple of a connection which the other end opened, and the reply tuple
 * of ours. ICMP errors, which conntrack gives the connection that they quote, are judged like that connection for
 * nothing. A packet without a connection is judged by its own addresses. */
#include "enforce/ruleset.h"

#include "base/mem.h"
#include "base/scope.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The four ways to find the two addresses, and the condition under which each is right. */
enum view { VIEW_THEIRS, VIEW_OURS, VIEW_IN, VIEW_OUT, VIEWS };
static const struct {
	const char *name, *local, *remote;
} views[VIEWS] = {
	[VIEW_THEIRS] = { "theirs", "ct original %s daddr", "ct original %s saddr" },
	[VIEW_OURS] = { "ours", "ct reply %s daddr", "ct reply %s saddr" },
	[VIEW_IN] = { "in", "%s daddr", "%s saddr" },
	[VIEW_OUT] = { "out", "%s saddr", "%s daddr" },
};
static const char *const families[] = { "ip", "ip6" };

static const char *family_of(const struct addr *a)
{
	return families[a->family == 6];
}

static void add_expression(struct ruleset *r, const char *template, const char *family)
{
	const char *at = strstr(template, "%s");

	str_add_n(r->out, template, (size_t)(at - template));
	str_add(r->out, family);
	str_add(r->out, at + 2);
}

/* Several addresses of a host mostly meet the same regions: they share one map. group[i] is the first local address
 * with the regions of local address i. */
static bool same_regions(const struct plan *p, const struct addr_range *locals, size_t a, size_t b)
{
	const struct plan_region *ra, *rb;
	size_t na = plan_regions(p, a, &ra), nb = plan_regions(p, b, &rb);

	if (locals[a].lo.family != locals[b].lo.family || na != nb)
		return false;
	for (size_t i = 0; i < na; i++)
		if (ra[i].list != rb[i].list || !addr_equal(&ra[i].remote.lo, &rb[i].remote.lo) ||
		    !addr_equal(&ra[i].remote.hi, &rb[i].remote.hi))
			return false;
	return true;
}

static size_t *group_locals(const struct plan *p, const struct addr_range *locals, size_t n)
{
	size_t *group = mem_new(n + 1, sizeof *group);

	for (size_t i = 0; i < n; i++)
		for (group[i] = 0; group[i] < i; group[i]++)
			if (group[group[i]] == group[i] && same_regions(p, locals, group[i], i))
				break;
	return group;
}

/* Do these two make one range? */
static bool follows(const struct addr_range *a, const struct addr_range *b)
{
	struct addr next = a->hi;

	for (size_t i = addr_octets(&next); i-- > 0 && ++next.octets[i] == 0;)
		;
	return addr_equal(&next, &b->lo);
}

static void add_remotes(struct ruleset *r, size_t local, const struct addr *self)
{
	const struct plan_region *regions;
	size_t n = plan_regions(r->plan, local, &regions), added = 0;
	char target[RULESET_TARGET], next[RULESET_TARGET], text[ADDR_RANGE_TEXT];

	str_addf(r->out, "\tmap remotes_%zu {\n\t\ttype %s : verdict\n\t\tflags interval\n", local,
		 self->family == 4 ? "ipv4_addr" : "ipv6_addr");
	for (size_t i = 0; i < n; i++) {
		struct addr_range range = regions[i].remote;

		if (range.lo.family != self->family || !ruleset_list_target(r, local, regions[i].list, target))
			continue;
		while (i + 1 < n && follows(&range, &regions[i + 1].remote) &&
		       ruleset_list_target(r, local, regions[i + 1].list, next) && strcmp(target, next) == 0)
			range.hi = regions[++i].remote.hi;
		str_addf(r->out, "%s%s : %s", added++ ? ",\n" : "\t\telements = {\n", addr_range_text(&range, text),
			 target);
	}
	str_add(r->out, added ? "\n\t\t}\n\t}\n" : "\t}\n");
}

static void add_local_map(struct ruleset *r, enum view v, int family, const struct addr_range *locals,
			  const size_t *group, size_t n)
{
	const struct addr_range *behind;
	size_t added = 0;
	char text[ADDR_RANGE_TEXT];

	str_addf(r->out, "\tmap locals_%s_%s {\n\t\ttype %s : verdict\n", views[v].name, families[family == 6],
		 family == 4 ? "ipv4_addr" : "ipv6_addr");
	if (plan_behind(r->plan, &behind))
		str_add(r->out, "\t\tflags interval\n");
	for (size_t i = 0; i < n; i++)
		if (locals[i].lo.family == family)
			str_addf(r->out, "%s%s : goto local_%zu_%s", added++ ? ",\n" : "\t\telements = {\n",
				 addr_range_text(&locals[i], text), group[i], views[v].name);
	str_add(r->out, added ? "\n\t\t}\n\t}\n" : "\t}\n");
}

static void add_set(struct ruleset *r, const char *name, const char *flags, int family, const struct addr_range *ranges,
		    size_t n)
{
	size_t added = 0;
	char text[ADDR_RANGE_TEXT];

	str_addf(r->out, "\tset %s_%s {\n\t\ttype %s\n%s", name, families[family == 6],
		 family == 4 ? "ipv4_addr" : "ipv6_addr", flags);
	for (size_t i = 0; i < n; i++)
		if (ranges[i].lo.family == family)
			str_addf(r->out, "%s%s", added++ ? ",\n" : "\t\telements = {\n",
				 addr_range_text(&ranges[i], text));
	str_add(r->out, added ? "\n\t\t}\n\t}\n" : "\t}\n");
}

static void add_view(struct ruleset *r, enum view v)
{
	str_addf(r->out, "\tchain judge_%s {\n", views[v].name);
	ruleset_ask_exempted(r, views[v].remote);
	for (size_t f = 0; f < ARRAY_LEN(families); f++) {
		str_add(r->out, "\t\t");
		add_expression(r, views[v].local, families[f]);
		str_addf(r->out, " vmap @locals_%s_%s\n", views[v].name, families[f]);
	}
	str_add(r->out, "\t}\n");
}

/* An arriving packet in the original direction is of a connection that they opened, a leaving one of ours. */
static void add_judge(struct ruleset *r)
{
	str_add(r->out, "\tchain judge {\n\t\t");
	ruleset_add_way(r, WAY_IN);
	str_add(r->out, " goto judge_arriving\n"
			"\t\tct direction original goto judge_ours\n"
			"\t\tct direction reply goto judge_theirs\n"
			"\t\tgoto judge_out\n"
			"\t}\n"
			"\tchain judge_arriving {\n"
			"\t\tct direction original goto judge_theirs\n"
			"\t\tct direction reply goto judge_ours\n"
			"\t\tgoto judge_in\n"
			"\t}\n");
}

void ruleset_locals(struct ruleset *r)
{
	const struct addr_range *behind;
	const struct addr *own;
	size_t n = plan_locals(r->plan, &own), more = plan_behind(r->plan, &behind);

	r->locals = mem_new(n + more + 1, sizeof *r->locals);
	for (size_t i = 0; i < n; i++)
		r->locals[i] = (struct addr_range){ own[i], own[i] };
	for (size_t i = 0; i < more; i++)
		r->locals[n + i] = behind[i];
	r->own_count = n;
	r->local_count = n + more;
	r->group = group_locals(r->plan, r->locals, r->local_count);
}

void ruleset_locals_wipe(struct ruleset *r)
{
	free(r->locals);
	free(r->group);
}

void ruleset_regions(struct ruleset *r)
{
	const struct addr_range *locals = r->locals;
	const size_t own = r->own_count, n = r->local_count, *group = r->group;

	for (int family = 4; family <= 6; family += 2) {
		add_set(r, "own", "", family, locals, own);
		if (n > own)
			add_set(r, "behind", "\t\tflags interval\n\t\tauto-merge\n", family, locals + own, n - own);
	}
	for (size_t i = 0; i < n; i++)
		if (group[i] == i)
			add_remotes(r, i, &locals[i].lo);
	for (enum view v = 0; v < VIEWS; v++) {
		for (int family = 4; family <= 6; family += 2)
			add_local_map(r, v, family, locals, group, n);
		for (size_t i = 0; i < n; i++) {
			if (group[i] != i)
				continue;
			str_addf(r->out, "\tchain local_%zu_%s {\n\t\t", i, views[v].name);
			add_expression(r, views[v].remote, family_of(&locals[i].lo));
			str_addf(r->out, " vmap @remotes_%zu\n\t}\n", i);
		}
		add_view(r, v);
	}
	add_judge(r);
}
