/* connection-security: the rules themselves. */
#include "base/diag.h"
#include "policy/model.h"

#include <stdlib.h>
#include <string.h>

enum rule_key {
	R_NAME,
	R_DESCRIPTION,
	R_END1,
	R_END2,
	R_PROTOCOL,
	R_PORT1,
	R_PORT2,
	R_TRAFFIC,
	R_MIRRORED,
	R_PROFILES,
	R_TUNNEL,
	R_MODE,
	R_AUTH,
	R_SECOND_AUTH,
	R_PROTECTION,
	R_KEY_EXCHANGE,
	R_MACHINES,
	R_FALLBACK,
	R_MODULES,
	R_KEYS
};

static const struct map_key rule_keys[R_KEYS] = {
	[R_NAME] = { "name", true },
	[R_DESCRIPTION] = { "description", false },
	[R_END1] = { "endpoint1", true },
	[R_END2] = { "endpoint2", true },
	[R_PROTOCOL] = { "protocol", false },
	[R_PORT1] = { "port1", false },
	[R_PORT2] = { "port2", false },
	[R_TRAFFIC] = { "traffic", false },
	[R_MIRRORED] = { "mirrored", false },
	[R_PROFILES] = { "profiles", false },
	[R_TUNNEL] = { "tunnel", false },
	[R_MODE] = { "mode", true },
	[R_AUTH] = { "authentication", false },
	[R_SECOND_AUTH] = { "second-authentication", false },
	[R_PROTECTION] = { "protection", false },
	[R_KEY_EXCHANGE] = { "key-exchange", false },
	[R_MACHINES] = { "machines", false },
	[R_FALLBACK] = { "fallback-after", false },
	[R_MODULES] = { "modules", false },
};

bool load_profiles(struct load *l, uint32_t node, unsigned *ret)
{
	static const struct choice profiles[] = {
		{ "domain", PROFILE_DOMAIN },
		{ "private", PROFILE_PRIVATE },
		{ "public", PROFILE_PUBLIC },
		{ "any", PROFILE_ALL },
	};

	*ret = PROFILE_ALL;
	if (!node)
		return true;
	if (item_count(&l->rd, node) == 0) {
		read_error(&l->rd, "wrong-type", node, "profiles is domain, private, public or a list of them");
		return false;
	}
	return read_choices(&l->rd, node, "a profile", profiles, ARRAY_LEN(profiles), ret);
}

static void read_tunnel_end(struct load *l, uint32_t node, struct addr *ret)
{
	struct addr_range range;
	struct diag d = { 0 };
	const char *text;
	size_t len;

	if (node_is(&l->rd, node, "any") || !read_word(&l->rd, node, "a tunnel endpoint", &text, &len))
		return;
	if (addr_range_parse(text, len, &range, &d) == 0)
		(void)load_single_address(l, node, "a tunnel endpoint", ret);
	else
		finding_advise(
			read_error(&l->rd, "bad-address", node, "a tunnel endpoint is an address or any, not '%.*s'",
				   len > 60 ? 60 : (int)len, text),
			"a host may have several addresses, and a DNS name is not authenticated: write the address");
}

/* What lies behind a gateway must mean the same at both of its ends. */
static void refuse_keywords(struct load *l, uint32_t node, const struct end *e)
{
	for (size_t i = 0; i < e->count; i++)
		if (!e->items[i].set && e->items[i].keyword != KEYWORD_ANY)
			read_error(&l->rd, "bad-value", node,
				   "'%s' means another thing on every host: endpoints of a rule with a tunnel are "
				   "zones, hosts, addresses or 'any'",
				   keyword_name(e->items[i].keyword));
}

static void read_tunnel(struct load *l, uint32_t node, struct rule *r)
{
	static const struct map_key keys[] = { { "endpoint1", true },
					       { "endpoint2", true },
					       { "exempt-protected", false } };
	uint32_t v[ARRAY_LEN(keys)];

	r->tunnel = true;
	if (!read_map(&l->rd, node, "tunnel", keys, ARRAY_LEN(keys), v))
		return;
	read_tunnel_end(l, v[0], &r->tunnel1);
	read_tunnel_end(l, v[1], &r->tunnel2);
	if (v[2])
		(void)read_bool(&l->rd, v[2], "exempt-protected", &r->exempt_protected);
	if (r->tunnel1.family && r->tunnel2.family && r->tunnel1.family != r->tunnel2.family)
		read_error(&l->rd, "bad-value", node, "both tunnel endpoints are IPv4 or both are IPv6");
	if (r->tunnel1.family && addr_equal(&r->tunnel1, &r->tunnel2))
		read_error(&l->rd, "bad-value", node, "a tunnel has two different ends");
	if (!rule_mode_protects(r->mode))
		read_error(&l->rd, "conflicting-keys", node, "'%s' needs no tunnel: nothing is protected",
			   rule_mode_name(r->mode));
	else if (r->mode != MODE_REQUIRE)
		read_error(&l->rd, "conflicting-keys", node,
			   "a tunnel is 'require': what a gateway forwards cannot be sent in the clear for a while");
	if (r->service_count != 1 || r->services[0].protocol != PROTOCOL_ANY)
		read_error(&l->rd, "conflicting-keys", node,
			   "a tunnel carries all traffic between its ends: fragments that a gateway forwards have no "
			   "ports. Leave protocol, ports and traffic out, and write exemptions of their own");
	refuse_keywords(l, node, &r->end1);
	refuse_keywords(l, node, &r->end2);
}

/* machines: [group, ...], or machines: { allow: [group, ...] } as in a firewall rule. */
static void read_machines(struct load *l, uint32_t node, struct rule *r)
{
	static const struct map_key keys[] = { { "allow", true } };
	uint32_t v[1];

	if (node_is_map(&l->rd, node)) {
		if (!read_map(&l->rd, node, "machines of a connection security rule", keys, 1, v))
			return;
		node = v[0];
	}
	(void)load_group_list(l, node, "machines", &r->machines, &r->machine_count);
	if (r->machine_count == 0 && report_count(l->rd.r, SEVERITY_ERROR) == 0)
		read_error(&l->rd, "bad-value", node, "machines names at least one group; leave it out to allow all");
}

static void read_modules(struct load *l, uint32_t node, struct rule *r)
{
	static const struct choice modules[] = { { "ikev2", MODULE_IKEV2 }, { "ikev1", MODULE_IKEV1 } };

	if (item_count(&l->rd, node) == 0)
		read_error(&l->rd, "wrong-type", node, "modules is ikev2, ikev1 or a list of both");
	else
		(void)read_choices(&l->rd, node, "a keying module", modules, ARRAY_LEN(modules), &r->modules);
}

/* What only a rule that protects can have. */
static void read_sets(struct load *l, const uint32_t *v, struct rule *r)
{
	static const enum rule_key only[] = { R_AUTH,     R_SECOND_AUTH, R_PROTECTION, R_KEY_EXCHANGE,
					      R_MACHINES, R_FALLBACK,    R_MODULES };
	uint64_t fallback_ms = l->fallback_after_ms;

	if (!rule_mode_protects(r->mode)) {
		for (size_t i = 0; i < ARRAY_LEN(only); i++)
			if (v[only[i]])
				read_error(&l->rd, "conflicting-keys", v[only[i]],
					   "a rule with mode '%s' cannot have '%s': nothing is negotiated",
					   rule_mode_name(r->mode), rule_keys[only[i]].name);
		return;
	}
	r->auth = v[R_AUTH] ? load_auth_named(l, v[R_AUTH]) : l->default_auth;
	if (!r->auth && !v[R_AUTH]) {
		struct finding *f = read_error(&l->rd, "no-authentication", v[R_MODE],
					       "rule '%.60s' is '%s' but no authentication set says how", r->name,
					       rule_mode_name(r->mode));

		finding_advise(f, "name one (authentication: NAME), or call one under authentication: 'default'");
	}
	if (v[R_SECOND_AUTH])
		r->second_auth = load_auth_named(l, v[R_SECOND_AUTH]);
	r->protection = v[R_PROTECTION] ? load_protection_named(l, v[R_PROTECTION]) : l->default_protection;
	r->key_exchange = v[R_KEY_EXCHANGE] ? load_key_exchange_named(l, v[R_KEY_EXCHANGE]) : l->default_key_exchange;
	if (v[R_MACHINES])
		read_machines(l, v[R_MACHINES], r);
	r->modules = MODULE_IKEV2;
	if (v[R_MODULES])
		read_modules(l, v[R_MODULES], r);
	if (v[R_FALLBACK])
		(void)read_duration_ms(&l->rd, v[R_FALLBACK], "fallback-after", &fallback_ms);
	if (fallback_ms > 3600000)
		read_error(&l->rd, "bad-value", v[R_FALLBACK] ? v[R_FALLBACK] : v[R_MODE],
			   "fallback-after is at most 1h");
	r->fallback_after_ms = (uint32_t)fallback_ms;
}

static void read_mirrored(struct load *l, uint32_t node, struct rule *r)
{
	if (!read_bool(&l->rd, node, "mirrored", &r->mirrored) || r->mirrored || !rule_mode_protects(r->mode))
		return;
	finding_advise(read_error(&l->rd, "one-way-protection", node,
				  "mirrored: false cannot be: an SA protects both directions"),
		       "leave it out; only exempt and block can go one way");
}

static struct place place_if(const struct load *l, uint32_t node)
{
	return node ? yaml_place(l->rd.y, node) : (struct place){ 0 };
}

static void read_rule(struct load *l, uint32_t node, struct rule *r)
{
	static const struct choice modes[] = {
		{ "require", MODE_REQUIRE }, { "require-inbound", MODE_REQUIRE_INBOUND },
		{ "request", MODE_REQUEST }, { "exempt", MODE_EXEMPT },
		{ "block", MODE_BLOCK },
	};
	uint32_t v[R_KEYS];
	unsigned mode = MODE_REQUIRE;
	const char *unused;

	r->place = yaml_place(l->rd.y, node);
	r->name = "";
	r->mirrored = true;
	if (!read_map(&l->rd, node, "a connection security rule", rule_keys, R_KEYS, v) && !node_is_map(&l->rd, node))
		return;
	if (v[R_NAME]) {
		r->place = yaml_place(l->rd.y, v[R_NAME]);
		(void)load_register(l, &l->rules, v[R_NAME], "rule", 0, r, &r->name);
	}
	if (v[R_DESCRIPTION])
		(void)read_string(&l->rd, v[R_DESCRIPTION], "description", &unused);
	if (v[R_END1])
		(void)load_end(l, v[R_END1], "endpoint1", true, &r->end1);
	if (v[R_END2])
		(void)load_end(l, v[R_END2], "endpoint2", true, &r->end2);
	(void)load_services(l,
			    &(struct service_nodes){ .protocol = v[R_PROTOCOL],
						     .port1 = v[R_PORT1],
						     .port2 = v[R_PORT2],
						     .traffic = v[R_TRAFFIC],
						     .port1_name = "port1",
						     .port2_name = "port2" },
			    &r->services, &r->service_count);
	(void)load_profiles(l, v[R_PROFILES], &r->profiles);
	r->mode_place = place_if(l, v[R_MODE]);
	r->auth_place = place_if(l, v[R_AUTH]);
	r->protection_place = place_if(l, v[R_PROTECTION]);
	r->modules_place = place_if(l, v[R_MODULES]);
	r->second_auth_place = place_if(l, v[R_SECOND_AUTH]);
	r->ports_place = place_if(l, v[R_PORT1] ? v[R_PORT1] : v[R_PORT2] ? v[R_PORT2] : v[R_TRAFFIC]);
	if (!v[R_MODE] || !read_choice(&l->rd, v[R_MODE], "mode", modes, ARRAY_LEN(modes), &mode))
		return; /* what follows depends on it */
	r->mode = (enum rule_mode)mode;
	read_sets(l, v, r);
	if (v[R_MIRRORED])
		read_mirrored(l, v[R_MIRRORED], r);
	if (v[R_TUNNEL])
		read_tunnel(l, v[R_TUNNEL], r);
}

void load_rules(struct load *l, uint32_t node)
{
	struct policy *p = l->p;

	if (!node)
		return;
	if (yaml_at(l->rd.y, node)->kind != YAML_LIST) {
		read_error(&l->rd, "wrong-type", node,
			   "connection-security: is a list of rules; begin each with '- name:'");
		return;
	}
	p->rules = arena_new(&p->memory, yaml_at(l->rd.y, node)->count, sizeof *p->rules);
	for (uint32_t i = item_first(&l->rd, node); i; i = item_next(&l->rd, node, i)) {
		struct rule *r = &p->rules[p->rule_count];

		r->index = (uint32_t)p->rule_count++;
		read_rule(l, i, r);
	}
}
