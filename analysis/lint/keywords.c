/* keyword-of-each-host: a keyword that no role of the policy fills. Each host then takes its own servers, so the two
 * ends of a connection may see different rules. */
#include "analysis/lint/parts.h"

static bool role_is_filled(const struct lint *l, unsigned role)
{
	for (size_t i = 0; i < l->host_count; i++)
		if (l->hosts[i].roles & role)
			return true;
	return false;
}

static bool network_is_known(const struct lint *l)
{
	for (size_t i = 0; i < l->host_count; i++)
		for (size_t k = 0; k < l->hosts[i].address_count; k++)
			if (l->hosts[i].addresses[k].prefix >= 0)
				return true;
	return false;
}

/* Keywords that no role fills: the hosts know, and nobody else. */
static void unseen(struct lint *l, const struct end_item *item, unsigned *said)
{
	bool gateway = item->keyword == KEYWORD_DEFAULT_GATEWAY;
	bool subnet = item->keyword == KEYWORD_LOCAL_SUBNET && !network_is_known(l);
	struct finding *f;

	if (item->set || !(gateway || subnet) || (*said & 1u << item->keyword))
		return;
	*said |= 1u << item->keyword;
	f = report_add(l->r, SEVERITY_NOTE, "keyword-of-each-host", item->place,
		       "'%s' is known to each host alone: check, why and matrix do not see what it matches",
		       keyword_name(item->keyword));
	if (gateway)
		finding_advise(f, "Name the gateway's address, if both ends are to come to the same rule.");
	else
		finding_advise(f, "Give hosts their networks: address: 10.1.2.3/24.");
}

static void look_at(struct lint *l, const struct rule *rule, const struct end *e, unsigned *said)
{
	static const char *const roles[KEYWORDS] = {
		[KEYWORD_DNS_SERVERS] = "dns",
		[KEYWORD_DHCP_SERVERS] = "dhcp",
		[KEYWORD_WINS_SERVERS] = "wins",
	};

	for (size_t i = 0; i < e->count; i++) {
		enum keyword k = e->items[i].keyword;
		unsigned role = ends_keyword_role(k);
		struct finding *f;

		unseen(l, &e->items[i], said);
		if (e->items[i].set || !role || (*said & 1u << k) || role_is_filled(l, role))
			continue;
		*said |= 1u << k;
		f = report_add(l->r, SEVERITY_NOTE, "keyword-of-each-host", e->items[i].place,
			       "'%s': no host has the role %s, so each host takes its own", keyword_name(k), roles[k]);
		finding_advise(
			f,
			"The two ends of a connection may then see different rules ('%s' at one end only). Give the\n"
			"servers an entry under hosts: with roles: [%s].",
			rule->name, roles[k]);
	}
}

void lint_keywords(struct lint *l)
{
	unsigned said = 0;

	for (size_t i = 0; i < l->rule_count; i++) {
		look_at(l, &l->rules[i], &l->rules[i].end1, &said);
		look_at(l, &l->rules[i], &l->rules[i].end2, &said);
	}
}
