/* no-emergency-exemption: those who hand out policies and tickets are under `require`, and there is no way in for the
 * day when negotiation fails for all. */
#include "analysis/lint/parts.h"

#include "base/str.h"

enum { KEEPERS = ROLE_POLICY_SERVER | ROLE_KDC, PLANS_ASKED = 64, NAMES_SHOWN = 4 };

/* A port by which somebody could repair a host. */
static bool is_way_in(const struct plan_entry *e)
{
	static const uint16_t ports[] = { 22, 3389, 5900, 5985, 5986 };

	if (e->rule->mode != MODE_EXEMPT || !(e->initiators & INITIATOR_REMOTE))
		return false;
	if (e->protocol == PROTOCOL_ANY)
		return true;
	for (size_t i = 0; e->protocol == 6 && i < ARRAY_LEN(ports); i++)
		if (e->local_port.lo <= ports[i] && ports[i] <= e->local_port.hi)
			return true;
	return false;
}

/* Is the host under a rule that requires everything to be protected? Does any exemption let somebody in? */
static const struct rule *look_at(const struct plan *plan, bool *way_in)
{
	const struct rule *required = NULL;
	size_t n = plan_lists(plan);

	for (size_t i = 0; i < n; i++) {
		struct plan_list list = plan_list(plan, (uint32_t)i);

		for (size_t k = 0; k < list.count; k++) {
			const struct plan_entry *e = &list.entries[k];
			bool whole = e->protocol == PROTOCOL_ANY && (e->initiators & INITIATOR_REMOTE);

			if (is_way_in(e))
				*way_in = true;
			if (whole && (e->rule->mode == MODE_REQUIRE || e->rule->mode == MODE_REQUIRE_INBOUND))
				required = required ? required : e->rule;
			if (whole)
				break; /* the rest of the list never wins */
		}
	}
	return required;
}

void lint_emergency(struct lint *l)
{
	const struct rule *by = NULL;
	struct str names = { 0 };
	bool way_in = false;
	size_t keepers = 0, asked = 0;

	for (size_t i = 0; i < l->host_count && !way_in && asked < PLANS_ASKED; i++) {
		const struct host *h = &l->hosts[i];
		const struct rule *r;
		const struct plan *plan;

		if (!(h->roles & KEEPERS) || h->agent == AGENT_NONE || !h->address_count)
			continue;
		asked++;
		plan = why_plan(l->w, &(struct ends_who){ h, h->addresses[0].addr, h->addresses[0].prefix });
		if (!plan || !(r = look_at(plan, &way_in)))
			continue;
		by = by ? by : r;
		if (keepers++ < NAMES_SHOWN)
			str_addf(&names, "%s%s", keepers > 1 ? ", " : "", h->name);
	}
	if (by && !way_in) {
		struct finding *f =
			report_add(l->r, SEVERITY_WARNING, "no-emergency-exemption", by->place,
				   "'%s' covers %s, and no exemption leads to them", by->name, str_text(&names));

		finding_advise(
			f,
			"These hand out policies or tickets. If negotiation fails for all (expired certificates,\n"
			"a mistake in this file), nobody can reach them to repair it. Exempt one guarded workstation\n"
			"towards them.");
	}
	str_wipe(&names);
}
