/* firewall: sections of rules, each for the hosts that it names. */
#include "policy/model.h"

#include <stdlib.h>
#include <string.h>

enum { SECTIONS_MOST = 256, PROGRAM_MOST = 255 };

enum rule_key {
	F_NAME,
	F_DESCRIPTION,
	F_ACTION,
	F_DIRECTION,
	F_LOCAL,
	F_REMOTE,
	F_PROTOCOL,
	F_LOCAL_PORT,
	F_REMOTE_PORT,
	F_TRAFFIC,
	F_SECURE,
	F_MACHINES,
	F_PROFILES,
	F_INTERFACE,
	F_PROGRAM,
	F_KEYS
};

static const struct map_key rule_keys[F_KEYS] = {
	[F_NAME] = { "name", true },
	[F_DESCRIPTION] = { "description", false },
	[F_ACTION] = { "action", true },
	[F_DIRECTION] = { "direction", false },
	[F_LOCAL] = { "local", false },
	[F_REMOTE] = { "remote", false },
	[F_PROTOCOL] = { "protocol", false },
	[F_LOCAL_PORT] = { "local-port", false },
	[F_REMOTE_PORT] = { "remote-port", false },
	[F_TRAFFIC] = { "traffic", false },
	[F_SECURE] = { "secure", false },
	[F_MACHINES] = { "machines", false },
	[F_PROFILES] = { "profiles", false },
	[F_INTERFACE] = { "interface", false },
	[F_PROGRAM] = { "program", false },
};

static bool read_machines(struct load *l, uint32_t node, struct firewall_rule *r)
{
	static const struct map_key keys[] = { { "allow", false }, { "except", false } };
	uint32_t v[ARRAY_LEN(keys)];
	bool good;

	if (!node_is_map(&l->rd, node)) {
		finding_advise(read_error(&l->rd, "wrong-type", node, "machines says whom it allows or excepts"),
			       "write machines: { allow: [group] }");
		return false;
	}
	good = read_map(&l->rd, node, "machines", keys, ARRAY_LEN(keys), v);

	if (v[0])
		good &= load_group_list(l, v[0], "allow", &r->machines_allow, &r->allow_count);
	if (v[1])
		good &= load_group_list(l, v[1], "except", &r->machines_except, &r->except_count);
	return good;
}

/* Ports of `traffic` belong to the end that answers: ours when traffic comes in, the other's when it goes out. */
static void read_services(struct load *l, const uint32_t *v, struct firewall_rule *r)
{
	struct service *own;

	if (!load_services(l,
			   &(struct service_nodes){ .protocol = v[F_PROTOCOL],
						    .port1 = v[F_LOCAL_PORT],
						    .port2 = v[F_REMOTE_PORT],
						    .traffic = v[F_TRAFFIC],
						    .port1_name = "local-port",
						    .port2_name = "remote-port" },
			   &r->services, &r->service_count))
		return;
	if (!v[F_TRAFFIC] || r->direction != DIRECTION_IN)
		return;
	own = arena_new(&l->p->memory, r->service_count, sizeof *own); /* a list may be shared with other rules */
	for (size_t i = 0; i < r->service_count; i++) {
		own[i] = r->services[i];
		own[i].port1 = r->services[i].port2;
		own[i].port2 = PORT_ANY;
	}
	r->services = own;
}

static void check_secure(struct load *l, uint32_t node, const uint32_t *v, const struct firewall_rule *r)
{
	if (r->action == FIREWALL_BYPASS && (r->secure == SECURE_NOT_ASKED || r->allow_count == 0)) {
		struct finding *f =
			read_error(&l->rd, "open-bypass", v[F_NAME] ? v[F_NAME] : node, "bypass rule '%.60s' needs %s",
				   r->name, r->secure == SECURE_NOT_ASKED ? "'secure'" : "'machines' with 'allow'");

		finding_advise(f, "a bypass goes past every block, so it must say who may: secure: authenticated,\n"
				  "machines: { allow: [group] }");
	}
	if (r->secure == SECURE_NOT_ASKED && v[F_MACHINES] && r->action != FIREWALL_BYPASS)
		finding_advise(read_error(&l->rd, "unproven-machines", v[F_MACHINES],
					  "machines are known only under an SA, and this rule does not ask for one"),
			       "add secure: authenticated");
	if (r->action == FIREWALL_BLOCK && r->secure != SECURE_NOT_ASKED)
		read_error(&l->rd, "conflicting-keys", v[F_SECURE], "a block rule cannot ask for 'secure'");
}

bool load_program(struct load *l, uint32_t node, const char **ret)
{
	const char *name;
	bool path;

	if (!read_string(&l->rd, node, "program", &name))
		return false;
	path = *name == '/';
	*ret = name;
	if (text_plain(name, "\"*") && strlen(name) <= PROGRAM_MOST && !strstr(name, "..") &&
	    (path ? name[1] != '\0' : !strchr(name, '/') && strchr(name, '.')))
		return true;
	finding_advise(
		read_error(&l->rd, "bad-program", node, "'%.60s' is neither a systemd unit nor a control group", name),
		"write a unit with its kind (nginx.service, user.slice), or a path below /sys/fs/cgroup that\n"
		"begins with / (/system.slice/nginx.service); a program's file cannot be told by its packets");
	return false;
}

static void read_rule(struct load *l, uint32_t node, struct firewall_rule *r)
{
	static const struct choice actions[] = {
		{ "allow", FIREWALL_ALLOW },
		{ "block", FIREWALL_BLOCK },
		{ "bypass", FIREWALL_BYPASS },
	};
	static const struct choice directions[] = {
		{ "in", DIRECTION_IN },
		{ "out", DIRECTION_OUT },
		{ "both", DIRECTION_IN | DIRECTION_OUT },
	};
	static const struct choice secures[] = {
		{ "authenticated", SECURE_AUTHENTICATED },
		{ "encrypted", SECURE_ENCRYPTED },
		{ "encrypted-on-demand", SECURE_ENCRYPTED_ON_DEMAND },
		{ "no-encapsulation", SECURE_NO_ENCAPSULATION },
	};
	uint32_t v[F_KEYS];
	unsigned value = FIREWALL_BLOCK;
	const char *unused;
	bool good;

	r->place = yaml_place(l->rd.y, node);
	r->name = "";
	r->direction = DIRECTION_IN;
	good = read_map(&l->rd, node, "a firewall rule", rule_keys, F_KEYS, v);
	if (!node_is_map(&l->rd, node))
		return;
	if (v[F_NAME] && read_string(&l->rd, v[F_NAME], "the name of a rule", &r->name))
		r->place = yaml_place(l->rd.y, v[F_NAME]);
	if (v[F_DESCRIPTION])
		(void)read_string(&l->rd, v[F_DESCRIPTION], "description", &unused);
	if (v[F_ACTION])
		good &= read_choice(&l->rd, v[F_ACTION], "action", actions, ARRAY_LEN(actions), &value);
	r->action = (enum firewall_action)value;
	if (v[F_DIRECTION])
		(void)read_choice(&l->rd, v[F_DIRECTION], "direction", directions, ARRAY_LEN(directions),
				  &r->direction);
	if (v[F_LOCAL])
		(void)load_end(l, v[F_LOCAL], "local", true, &r->local);
	if (v[F_REMOTE])
		(void)load_end(l, v[F_REMOTE], "remote", true, &r->remote);
	read_services(l, v, r);
	value = SECURE_NOT_ASKED;
	if (v[F_SECURE])
		good &= read_choice(&l->rd, v[F_SECURE], "secure", secures, ARRAY_LEN(secures), &value);
	r->secure = (enum firewall_secure)value;
	if (v[F_MACHINES])
		good &= read_machines(l, v[F_MACHINES], r);
	(void)load_profiles(l, v[F_PROFILES], &r->profiles);
	if (v[F_INTERFACE])
		(void)read_interface(&l->rd, v[F_INTERFACE], &r->interface);
	if (v[F_PROGRAM])
		(void)load_program(l, v[F_PROGRAM], &r->program);
	if (good)
		check_secure(l, node, v, r);
}

static void read_section(struct load *l, uint32_t node, struct firewall *f)
{
	enum { HOSTS, INBOUND, OUTBOUND, RULES, KEYS };
	static const struct map_key keys[KEYS] = {
		[HOSTS] = { "hosts", true },
		[INBOUND] = { "inbound", true },
		[OUTBOUND] = { "outbound", true },
		[RULES] = { "rules", false },
	};
	static const struct choice defaults[] = { { "allow", FIREWALL_ALLOW }, { "block", FIREWALL_BLOCK } };
	uint32_t v[KEYS];
	unsigned value;

	f->place = yaml_place(l->rd.y, node);
	(void)read_map(&l->rd, node, "a firewall section", keys, KEYS, v);
	if (v[HOSTS])
		(void)load_end(l, v[HOSTS], "hosts", true, &f->hosts);
	if (v[INBOUND] && read_choice(&l->rd, v[INBOUND], "inbound", defaults, ARRAY_LEN(defaults), &value))
		f->inbound = (enum firewall_action)value;
	if (v[OUTBOUND] && read_choice(&l->rd, v[OUTBOUND], "outbound", defaults, ARRAY_LEN(defaults), &value))
		f->outbound = (enum firewall_action)value;
	if (!v[RULES])
		return;
	if (yaml_at(l->rd.y, v[RULES])->kind != YAML_LIST) {
		read_error(&l->rd, "wrong-type", v[RULES], "rules: is a list; begin each with '- name:'");
		return;
	}
	f->rules = arena_new(&l->p->memory, yaml_at(l->rd.y, v[RULES])->count, sizeof *f->rules);
	for (uint32_t i = item_first(&l->rd, v[RULES]); i; i = item_next(&l->rd, v[RULES], i))
		read_rule(l, i, &f->rules[f->count++]);
}

static bool sets_overlap(const struct address_set *a, const struct address_set *b)
{
	/* Sorted by their low ends; elements may nest, so remember the highest end so far on each side. */
	size_t i = 0, k = 0;
	const struct addr_range *far_a = NULL, *far_b = NULL;

	while (i < a->count || k < b->count) {
		bool from_a =
			k == b->count || (i < a->count && addr_compare(&a->elements[i].lo, &b->elements[k].lo) <= 0);
		const struct addr_range *e = from_a ? &a->elements[i++] : &b->elements[k++];
		const struct addr_range *other = from_a ? far_b : far_a, **own = from_a ? &far_a : &far_b;

		if (other && addr_compare(&other->hi, &e->lo) >= 0)
			return true;
		if (!*own || addr_compare(&(*own)->hi, &e->hi) < 0)
			*own = e;
	}
	return false;
}

static bool ends_overlap(const struct end *a, const struct end *b)
{
	for (size_t i = 0; i < a->count; i++) {
		for (size_t k = 0; k < b->count; k++) {
			const struct address_set *x = a->items[i].set, *y = b->items[k].set;

			if (x && y ? sets_overlap(x, y)
				   : (!x && a->items[i].keyword == KEYWORD_ANY) ||
					     (!y && b->items[k].keyword == KEYWORD_ANY))
				return true;
		}
	}
	return false;
}

static void check_sections(struct load *l)
{
	const struct policy *p = l->p;

	for (size_t i = 1; i < p->firewall_count; i++) {
		for (size_t k = 0; k < i; k++) {
			const struct firewall *a = &p->firewalls[k], *b = &p->firewalls[i];

			if ((a->inbound == b->inbound && a->outbound == b->outbound) ||
			    !ends_overlap(&a->hosts, &b->hosts))
				continue;
			finding_advise(report_add(l->rd.r, SEVERITY_ERROR, "two-defaults", b->hosts.place,
						  "two firewall sections rule the same host with different defaults"),
				       "the other section is at line %u; give both the same inbound and outbound",
				       a->place.line);
			break;
		}
	}
}

void load_firewalls(struct load *l, uint32_t node)
{
	struct policy *p = l->p;
	size_t n;

	if (!node)
		return;
	n = item_count(&l->rd, node);
	if (n > SECTIONS_MOST) {
		read_error(&l->rd, "too-many", node, "over %d firewall sections", SECTIONS_MOST);
		return;
	}
	p->firewalls = arena_new(&p->memory, n, sizeof *p->firewalls);
	for (uint32_t i = item_first(&l->rd, node); i; i = item_next(&l->rd, node, i))
		read_section(l, i, &p->firewalls[p->firewall_count++]);
	check_sections(l);
}
