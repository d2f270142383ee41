/* family-not-covered: a host is protected in one address family and forgotten in the other, where its traffic goes
 * clear. Hosts prefer IPv6, so this is the usual way for a policy to protect nothing. */
#include "analysis/lint/parts.h"

#include "base/str.h"

static bool protects(const struct plan *plan, size_t local)
{
	const struct plan_region *regions;
	size_t n = plan_regions(plan, local, &regions);

	for (size_t i = 0; i < n; i++) {
		struct plan_list list = plan_list(plan, regions[i].list);

		for (size_t k = 0; k < list.count; k++)
			if (rule_mode_protects(list.entries[k].rule->mode))
				return true;
	}
	return false;
}

static bool is_covered(const struct plan *plan, size_t local)
{
	const struct plan_region *regions;

	return plan_regions(plan, local, &regions) > 0;
}

static void look_at(struct lint *l, const struct host *h)
{
	const struct plan *plan = why_plan(l->w, &(struct ends_who){ h, h->addresses[0].addr, h->addresses[0].prefix });
	const struct addr *locals;
	size_t n = plan ? plan_locals(plan, &locals) : 0;
	const struct addr *protected[2] = { 0 }, *bare[2] = { 0 };

	for (size_t i = 0; i < n; i++) {
		unsigned v6 = locals[i].family == 6;

		if (protects(plan, i))
		protected[v6] = &locals[i];
		else if (!is_covered(plan, i) && !addr_is_loopback(&locals[i]) && !addr_is_link_local(&locals[i]))
			bare[v6] = &locals[i];
	}
	for (unsigned v6 = 0; v6 < 2; v6++) {
		char a[ADDR_TEXT], b[ADDR_TEXT];
		struct finding *f;

		if (!bare[v6] || !protected[!v6] || protected[v6])
			continue;
		f = report_add(l->r, SEVERITY_WARNING, "family-not-covered", h->place,
			       "%s is protected at %s, but no rule speaks of its address %s", h->name,
			       addr_text(protected[!v6], a), addr_text(bare[v6], b));
		finding_advise(
			f,
			"What it says over %s goes clear, and hosts choose %s whenever both ends have it. Add the\n"
			"address, or its network, to the zones that the rules name.",
			v6 ? "IPv6" : "IPv4", "IPv6");
	}
}

void lint_families(struct lint *l)
{
	for (size_t i = 0; i < l->kind_count; i++) {
		const struct host *h = l->kinds[i].host;
		unsigned families = 0;

		for (size_t k = 0; h && k < h->address_count; k++)
			families |= h->addresses[k].addr.family == 6 ? 2 : 1;
		if (families == 3)
			look_at(l, h);
	}
}
