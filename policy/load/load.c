/* A policy from its text: the sections in the order in which they need each other. */
#include "base/diag.h"
#include "base/str.h"
#include "base/text.h"
#include "policy/conflict.h"
#include "policy/model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum section {
	S_CORDON,
	S_ZONES,
	S_HOSTS,
	S_GROUPS,
	S_TRAFFIC,
	S_AUTHENTICATION,
	S_KEY_EXCHANGE,
	S_PROTECTION,
	S_EXEMPT,
	S_FALLBACK,
	S_NAT_TRAVERSAL,
	S_ENCAPSULATION,
	S_RULES,
	S_FIREWALL,
	S_TESTS,
	SECTIONS
};

static const struct map_key sections[SECTIONS] = {
	[S_CORDON] = { "cordon", false },
	[S_ZONES] = { "zones", false },
	[S_HOSTS] = { "hosts", false },
	[S_GROUPS] = { "groups", false },
	[S_TRAFFIC] = { "traffic", false },
	[S_AUTHENTICATION] = { "authentication", false },
	[S_KEY_EXCHANGE] = { "key-exchange", false },
	[S_PROTECTION] = { "protection", false },
	[S_EXEMPT] = { "exempt", false },
	[S_FALLBACK] = { "fallback-after", false },
	[S_NAT_TRAVERSAL] = { "nat-traversal", false },
	[S_ENCAPSULATION] = { "encapsulation", false },
	[S_RULES] = { "connection-security", false },
	[S_FIREWALL] = { "firewall", false },
	[S_TESTS] = { "tests", false },
};

void load_unknown_name(struct load *l, uint32_t node, const char *what, const struct names *known,
		       const char *const *others, size_t other_count)
{
	size_t len, n = other_count, most = other_count + (known ? known->count : 0);
	const char *text = yaml_text(l->rd.y, node, &len), *near;
	SCOPED(str_wipe) struct str word = { 0 };
	struct finding *f;
	const char **list;

	str_add_n(&word, text, len);
	f = read_error(&l->rd, "unknown-name", node, "%s '%.60s'", what, str_text(&word));
	if (report_count(l->rd.r, SEVERITY_ERROR) > REPORT_FINDINGS_MOST)
		return; /* nobody will read the advice */
	list = mem_new(most, sizeof(char *));
	if (other_count)
		memcpy(list, others, other_count * sizeof(char *));
	for (size_t i = 0; known && i < known->cap; i++)
		if (known->slots[i].text)
			list[n++] = known->slots[i].text;
	if ((near = report_nearest(str_text(&word), list, n))) {
		const struct name *found = known ? names_find(known, near, strlen(near)) : NULL;
		const struct text *file = found ? report_file(l->rd.r, found->place.file) : NULL;

		if (file && found->place.line)
			finding_advise(f, "did you mean '%s' (%s:%u)?", near, file->path, found->place.line);
		else
			finding_advise(f, "did you mean '%s'?", near);
	}
	free(list);
}

bool load_register(struct load *l, struct names *names, uint32_t pair, const char *what, int kind, void *value,
		   const char **ret_name)
{
	const char *text;
	size_t len;
	struct name *n;
	bool is_new;

	if (!read_word(&l->rd, pair, what, &text, &len))
		return false;
	if ((n = names_find(names, text, len))) {
		struct finding *f = read_error(&l->rd, "duplicate-name", pair, "a %s called '%.60s' is there already",
					       what, n->text);

		if (n->place.line)
			finding_advise(f, "the first is at line %u", n->place.line);
		*ret_name = n->text;
		return false;
	}
	*ret_name = arena_string(&l->p->memory, text, len);
	(void)names_add(names, *ret_name, len, kind, value, yaml_place(l->rd.y, pair), &is_new);
	return true;
}

static void load_exemptions(struct load *l, uint32_t node)
{
	static const struct choice choices[] = {
		{ "icmp", EXEMPT_ICMP },
		{ "neighbor-discovery", EXEMPT_NEIGHBOR_DISCOVERY },
		{ "router-discovery", EXEMPT_ROUTER_DISCOVERY },
		{ "dhcp", EXEMPT_DHCP },
	};

	l->p->exemptions = EXEMPT_NEIGHBOR_DISCOVERY | EXEMPT_DHCP;
	if (node)
		(void)read_choices(&l->rd, node, "a global exemption", choices, ARRAY_LEN(choices), &l->p->exemptions);
}

static const struct choice nat_traversals[] = {
	{ "never", NAT_TRAVERSAL_NEVER },
	{ "server", NAT_TRAVERSAL_SERVER },
	{ "both", NAT_TRAVERSAL_BOTH },
};

const char *nat_traversal_name(enum nat_traversal t)
{
	return nat_traversals[t].name;
}

/* A host that others see under another address is met through a NAT by all of them. */
static void warn_of_nat_addresses(struct load *l)
{
	for (size_t i = 0; i < l->p->host_count; i++) {
		const struct host *h = &l->p->hosts[i];

		if (h->nat_address.family)
			finding_advise(report_add(l->rd.r, SEVERITY_WARNING, "nat-never", h->place,
						  "host '%s' has a nat-address, and nothing is protected through a NAT",
						  h->name),
				       "write 'nat-traversal: both', or 'server' if only who answers is behind a NAT");
	}
}

static void load_nat_traversal(struct load *l, uint32_t node)
{
	unsigned choice = NAT_TRAVERSAL_NEVER;

	if (node && !read_choice(&l->rd, node, "nat-traversal", nat_traversals, ARRAY_LEN(nat_traversals), &choice))
		return;
	l->p->nat_traversal = (enum nat_traversal)choice;
	if (choice == NAT_TRAVERSAL_NEVER)
		warn_of_nat_addresses(l);
}

static const struct choice encapsulations[] = {
	{ "auto", ENCAPSULATION_AUTO },
	{ "native", ENCAPSULATION_NATIVE },
	{ "udp", ENCAPSULATION_UDP },
};

const char *encapsulation_name(enum encapsulation e)
{
	return encapsulations[e].name;
}

static void load_encapsulation(struct load *l, uint32_t node)
{
	unsigned choice = ENCAPSULATION_AUTO;

	if (node)
		(void)read_choice(&l->rd, node, "encapsulation", encapsulations, ARRAY_LEN(encapsulations), &choice);
	l->p->encapsulation = (enum encapsulation)choice;
}

static void load_version(struct load *l, uint32_t node, uint32_t root)
{
	if (!node)
		finding_advise(read_error(&l->rd, "missing-key", root, "the policy does not say its version"),
			       "begin it with 'cordon: 1'");
	else if (!node_is(&l->rd, node, "1"))
		read_error(&l->rd, "bad-value", node, "this program knows version 1 of the language: cordon: 1");
}

static void load_sections(struct load *l)
{
	uint32_t v[SECTIONS];

	if (!read_map(&l->rd, l->rd.y->root, "a policy", sections, SECTIONS, v) && !node_is_map(&l->rd, l->rd.y->root))
		return;
	load_version(l, v[S_CORDON], l->rd.y->root);
	l->fallback_after_ms = 1000;
	if (v[S_FALLBACK])
		(void)read_duration_ms(&l->rd, v[S_FALLBACK], "fallback-after", &l->fallback_after_ms);
	load_names(l, v[S_ZONES], v[S_HOSTS]);
	load_traffic_lists(l, v[S_TRAFFIC]);
	load_auth_sets(l, v[S_AUTHENTICATION]);
	load_key_exchange_sets(l, v[S_KEY_EXCHANGE]);
	load_protection_sets(l, v[S_PROTECTION]);
	load_groups(l, v[S_GROUPS]);
	load_zones_and_hosts(l);
	load_exemptions(l, v[S_EXEMPT]);
	load_nat_traversal(l, v[S_NAT_TRAVERSAL]);
	load_encapsulation(l, v[S_ENCAPSULATION]);
	load_rules(l, v[S_RULES]);
	load_firewalls(l, v[S_FIREWALL]);
	load_encryption_asks(l->p);
	load_reqids(l->p);
	load_tests(l, v[S_TESTS]);
}

static void load_wipe(struct load *l)
{
	struct names *const tables[] = {
		&l->literals, &l->groups, &l->auth_sets, &l->protection_sets, &l->key_exchange_sets, &l->rules,
	};

	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		names_wipe(tables[i]);
	free(l->zone_nodes);
	free(l->zone_states);
	free(l->host_nodes);
}

int policy_parse(struct text *text, const struct policy_load_options *o, struct report *r, struct policy **ret)
{
	SCOPED(policy_freep) struct policy *p = mem_new(1, sizeof *p);
	SCOPED(yaml_freep) struct yaml *y = NULL;
	SCOPED(load_wipe) struct load l = { .p = p };
	size_t before = report_count(r, SEVERITY_ERROR);

	atomic_init(&p->references, 1);
	p->imported = o && o->imported;
	p->path = mem_string(text->path);
	if (yaml_parse(text, r, &y) < 0)
		return -ERR_SYNTAX;
	l.rd = (struct reading){ .y = y, .r = r, .memory = &p->memory };
	load_sections(&l);
	yaml_freep(&y); /* what follows needs the room, not the text's tree */
	l.rd.y = NULL;
	if (report_count(r, SEVERITY_ERROR) == before)
		conflict_search(p, r);
	if (report_count(r, SEVERITY_ERROR) > before)
		return -ERR_POLICY;
	*ret = TAKE(p);
	return 0;
}

int policy_load(const char *path, const struct policy_load_options *o, struct report *r, struct policy **ret)
{
	struct text *text = NULL;
	struct diag d = { 0 };
	struct finding *f;
	int e;

	if ((e = text_read(path, YAML_OCTETS_MOST, &text, &d)) < 0) {
		f = report_add(r, SEVERITY_ERROR, "unreadable", (struct place){ 0 },
			       e == -EISDIR ? "%s is a folder, and a policy is a file" : "%s",
			       e == -EISDIR ? path : d.text);
		if (e == -EISDIR)
			finding_advise(f, "name the file that is in it, such as %s%spolicy.yaml", path,
				       *path && path[strlen(path) - 1] == '/' ? "" : "/");
		return e;
	}
	return policy_parse(text, o, r, ret);
}
