/* Protocols, ports and lists of them: what traffic a rule speaks of. */
#include "base/diag.h"
#include "base/str.h"
#include "policy/model.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	uint8_t number;
} protocols[] = {
	{ "tcp", 6 },       { "udp", 17 },   { "icmp", 1 },   { "icmpv6", 58 }, { "sctp", 132 }, { "dccp", 33 },
	{ "udplite", 136 }, { "gre", 47 },   { "igmp", 2 },   { "ipip", 4 },    { "ipv6", 41 },  { "ospf", 89 },
	{ "pim", 103 },     { "vrrp", 112 }, { "l2tp", 115 }, { "esp", 50 },    { "ah", 51 },
};

/* Lists that everybody needs and nobody remembers. What a member of a domain says to its domain controllers is
 * Microsoft's list of required ports (dynamic RPC from 49152). */
static const struct {
	const char *name, *items;
} built_in[] = {
	{ "dns", "udp/53 tcp/53" },
	{ "ntp", "udp/123" },
	{ "kerberos", "tcp/88 udp/88 tcp/464 udp/464" },
	{ "ldap", "tcp/389 udp/389 tcp/636 tcp/3268 tcp/3269" },
	{ "smb", "tcp/445" },
	{ "domain-controller",
	  "udp/53 tcp/53 udp/123 tcp/88 udp/88 tcp/464 udp/464 tcp/389 udp/389 tcp/636 tcp/3268 tcp/3269 tcp/445 "
	  "tcp/135 tcp/49152-65535" },
	{ "web", "tcp/80 tcp/443" },
};

struct services {
	struct service *at;
	size_t count, cap;
};

static bool has_ports(int protocol)
{
	return protocol == 6 || protocol == 17 || protocol == 132 || protocol == 33 || protocol == 136;
}

static bool number(const char *text, size_t len, unsigned most, unsigned *ret)
{
	unsigned v = 0;

	if (len == 0 || len > 5)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		v = 10 * v + (unsigned)(text[i] - '0');
	}
	*ret = v;
	return v <= most;
}

static bool protocol_of(const char *text, size_t len, int16_t *ret)
{
	unsigned v;

	for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
		if (strlen(protocols[i].name) == len && memcmp(protocols[i].name, text, len) == 0) {
			*ret = protocols[i].number;
			return true;
		}
	}
	if (!number(text, len, 255, &v))
		return false;
	*ret = (int16_t)v;
	return true;
}

static bool ports_of(const char *text, size_t len, struct port_range *ret)
{
	const char *dash = memchr(text, '-', len);
	size_t first = dash ? (size_t)(dash - text) : len;
	unsigned lo, hi;

	if (!number(text, first, 65535, &lo))
		return false;
	hi = lo;
	if (dash && !number(dash + 1, len - first - 1, 65535, &hi))
		return false;
	if (lo > hi)
		return false;
	*ret = (struct port_range){ (uint16_t)lo, (uint16_t)hi };
	return true;
}

/* The protocol, or without a "/" the list that may be meant; else NULL. */
static const char *nearest_traffic(const char *text, size_t len, bool list_too)
{
	const char *names[ARRAY_LEN(built_in) + ARRAY_LEN(protocols)];
	char wrong[32];
	size_t n = 0;

	if (len >= sizeof wrong)
		return NULL;
	memcpy(wrong, text, len);
	wrong[len] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
		names[n++] = protocols[i].name;
	for (size_t i = 0; list_too && i < ARRAY_LEN(built_in); i++)
		names[n++] = built_in[i].name;
	return report_nearest(wrong, names, n);
}

/* "tcp/445", "udp/5000-5010", "icmp/8", "icmp/3/4", "tcp", "47". */
static int parse_one(const char *text, size_t len, struct service *ret, struct diag *d)
{
	const char *slash = memchr(text, '/', len), *rest = slash ? slash + 1 : NULL;
	size_t name = slash ? (size_t)(slash - text) : len, rest_len = slash ? len - name - 1 : 0;
	struct service s = { .port1 = PORT_ANY, .port2 = PORT_ANY, .icmp_type = -1, .icmp_code = -1 };
	int shown = len > 60 ? 60 : (int)len;

	if (!protocol_of(text, name, &s.protocol)) {
		const char *near = nearest_traffic(text, name, !slash);

		return diag_fail(d, ERR_SYNTAX, "'%.*s' is no protocol or traffic list%s%s%.*s%s", shown, text,
				 near ? ". Did you mean '" : "", near ? near : "",
				 near && slash ? (int)(rest_len < 20 ? rest_len + 1 : 0) : 0, slash ? slash : "",
				 near ? "'?" : "");
	}
	if (!slash) {
		*ret = s;
		return 0;
	}
	if (has_ports(s.protocol)) {
		if (!ports_of(rest, rest_len, &s.port2))
			return diag_fail(d, ERR_SYNTAX, "'%.*s': a port is a number up to 65535, or a range lo-hi",
					 shown, text);
		*ret = s;
		return 0;
	}
	if (s.protocol == IPPROTO_ICMP || s.protocol == IPPROTO_ICMPV6) {
		const char *code = memchr(rest, '/', rest_len);
		size_t type_len = code ? (size_t)(code - rest) : rest_len;
		unsigned type, value = 0;

		if (!number(rest, type_len, 255, &type) ||
		    (code && !number(code + 1, rest_len - type_len - 1, 255, &value)))
			return diag_fail(d, ERR_SYNTAX, "'%.*s': an ICMP type or code is a number up to 255", shown,
					 text);
		s.icmp_type = (int16_t)type;
		s.icmp_code = (int16_t)(code ? (int)value : -1);
		*ret = s;
		return 0;
	}
	return diag_fail(d, ERR_SYNTAX, "'%.*s': only tcp, udp, sctp, dccp and udplite have ports", shown, text);
}

static const char *built_in_named(const char *text, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(built_in); i++)
		if (strlen(built_in[i].name) == len && memcmp(built_in[i].name, text, len) == 0)
			return built_in[i].items;
	return NULL;
}

static bool service_equal(const struct service *a, const struct service *b)
{
	return a->protocol == b->protocol && a->port1.lo == b->port1.lo && a->port1.hi == b->port1.hi &&
	       a->port2.lo == b->port2.lo && a->port2.hi == b->port2.hi && a->icmp_type == b->icmp_type &&
	       a->icmp_code == b->icmp_code;
}

/* Saying a thing twice in one list is harmless; it counts once. */
static bool add_service(struct services *all, const struct service *s)
{
	for (size_t i = 0; i < all->count; i++)
		if (service_equal(&all->at[i], s))
			return true;
	if (all->count == SERVICES_MOST)
		return false;
	all->at = mem_grow(all->at, all->count, &all->cap, sizeof *all->at);
	all->at[all->count++] = *s;
	return true;
}

static void add_built_in(struct services *all, const char *items)
{
	while (*items) {
		size_t n = strcspn(items, " ");
		struct service s;

		if (parse_one(items, n, &s, NULL) == 0)
			(void)add_service(all, &s);
		items += n + (items[n] == ' ');
	}
}

static void unknown_traffic(struct load *l, uint32_t node, const char *words)
{
	const char *others[ARRAY_LEN(built_in) + ARRAY_LEN(protocols)];
	size_t n = 0, len;
	const char *text = yaml_text(l->rd.y, node, &len);

	if (memchr(text, '/', len)) {
		read_error(&l->rd, "bad-value", node, "%s", words);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(built_in); i++)
		others[n++] = built_in[i].name;
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
		others[n++] = protocols[i].name;
	load_unknown_name(l, node, "no protocol or traffic list is called", &l->p->traffic, others, n);
}

static void read_list(struct load *l, struct traffic_list *list, struct traffic_list **path, size_t depth);

static bool add_list(struct load *l, uint32_t node, struct services *all, struct traffic_list *inner,
		     struct traffic_list **path, size_t depth)
{
	if (inner->state == LIST_READING) {
		assert(path); /* whoever is reading a list has a path to it */
		SCOPED(str_wipe) struct str circle = { 0 };
		size_t from = 0;

		while (from < depth && path[from] != inner)
			from++;
		for (; from < depth; from++)
			str_addf(&circle, "%s -> ", path[from]->name);
		read_error(&l->rd, "cycle", node, "traffic lists go in a circle: %s%s", str_text(&circle), inner->name);
		return true;
	}
	if (depth == NESTING_MOST) {
		read_error(&l->rd, "nesting", node, "traffic lists are nested over %d deep", NESTING_MOST);
		return true;
	}
	read_list(l, inner, path, depth);
	for (size_t i = 0; i < inner->count; i++)
		if (!add_service(all, &inner->services[i]))
			return false;
	return true;
}

static bool read_items(struct load *l, uint32_t node, struct services *all, struct traffic_list **path, size_t depth)
{
	for (uint32_t i = item_first(&l->rd, node); i; i = item_next(&l->rd, node, i)) {
		const char *text, *items;
		size_t len;
		struct name *own;
		struct service s;
		struct diag d = { 0 };
		bool fits = true;

		if (!read_word(&l->rd, i, "an item of traffic", &text, &len))
			return false;
		if ((own = names_find(&l->p->traffic, text, len)))
			fits = add_list(l, i, all, own->value, path, depth);
		else if ((items = built_in_named(text, len)))
			add_built_in(all, items);
		else if (parse_one(text, len, &s, &d) == 0)
			fits = add_service(all, &s);
		else
			unknown_traffic(l, i, d.text);
		if (!fits) {
			read_error(&l->rd, "too-many", i, "over %d protocols and ports in one list", SERVICES_MOST);
			return false;
		}
	}
	return true;
}

static void keep(struct load *l, struct services *all, struct service **ret, size_t *ret_count)
{
	l->services += all->count;
	if (l->services > ALL_SERVICES_MOST && l->services - all->count <= ALL_SERVICES_MOST)
		(void)report_add(l->rd.r, SEVERITY_ERROR, "too-many", (struct place){ 0 },
				 "all rules together name over %d protocols and ports", ALL_SERVICES_MOST);
	if (l->services > ALL_SERVICES_MOST)
		all->count = 0;
	*ret = arena_new(&l->p->memory, all->count, sizeof **ret);
	if (all->count)
		memcpy(*ret, all->at, all->count * sizeof **ret);
	*ret_count = all->count;
	free(all->at);
}

static void read_list(struct load *l, struct traffic_list *list, struct traffic_list **path, size_t depth)
{
	struct services all = { 0 };

	if (list->state == LIST_READ)
		return;
	assert(path && depth <= NESTING_MOST);
	list->state = LIST_READING;
	path[depth] = list;
	if (node_is_map(&l->rd, list->node) || item_count(&l->rd, list->node) == 0)
		read_error(&l->rd, "wrong-type", list->node,
			   "a traffic list is a list such as [tcp/443, udp/5000-5010]");
	else
		(void)read_items(l, list->node, &all, path, depth + 1);
	keep(l, &all, &list->services, &list->count);
	list->state = LIST_READ;
}

void load_traffic_lists(struct load *l, uint32_t node)
{
	struct traffic_list *lists, *path[NESTING_MOST + 1];
	size_t n = 0;

	if (!node || !read_pairs(&l->rd, node, "traffic:"))
		return;
	lists = arena_new(&l->p->memory, yaml_at(l->rd.y, node)->count, sizeof *lists);
	for (uint32_t i = pair_first(&l->rd, node); i; i = pair_next(&l->rd, i)) {
		const char *text;
		size_t len;
		int16_t protocol;

		if (!read_word(&l->rd, i, "the name of a traffic list", &text, &len))
			continue;
		if (built_in_named(text, len) || protocol_of(text, len, &protocol)) {
			read_error(&l->rd, "bad-name", i, "'%.*s' is built in; choose another name", (int)len, text);
			continue;
		}
		lists[n].node = pair_value(&l->rd, i);
		if (load_register(l, &l->p->traffic, i, "traffic list", 0, &lists[n], &lists[n].name))
			n++;
	}
	for (size_t i = 0; i < n; i++)
		read_list(l, &lists[i], path, 0);
}

/* Many rules name one list of the policy's: they all use its own services. */
static bool share_list(struct load *l, uint32_t item, struct service **ret, size_t *ret_count)
{
	const struct name *own;
	const char *text;
	size_t len;

	if (yaml_at(l->rd.y, item)->kind != YAML_SCALAR)
		return false;
	text = yaml_text(l->rd.y, item, &len);
	if (!(own = names_find(&l->p->traffic, text, len)))
		return false;
	*ret = ((const struct traffic_list *)own->value)->services;
	*ret_count = ((const struct traffic_list *)own->value)->count;
	return true;
}

bool load_traffic(struct load *l, uint32_t node, struct service **ret, size_t *ret_count)
{
	struct services all = { 0 };
	bool good;

	if (node_is_map(&l->rd, node) || item_count(&l->rd, node) == 0) {
		read_error(&l->rd, "wrong-type", node, "traffic is a list such as [tcp/443, dns]");
		return false;
	}
	if (item_count(&l->rd, node) == 1 && share_list(l, item_first(&l->rd, node), ret, ret_count))
		return *ret_count > 0;
	good = read_items(l, node, &all, NULL, 0);
	keep(l, &all, ret, ret_count);
	return good && *ret_count;
}

struct ports {
	struct port_range *at;
	size_t count, cap;
};

static bool read_ports(struct load *l, uint32_t node, const char *what, struct ports *all)
{
	if (!node || node_is(&l->rd, node, "any")) {
		all->at = mem_grow(all->at, all->count, &all->cap, sizeof *all->at);
		all->at[all->count++] = PORT_ANY;
		return true;
	}
	if (node_is_map(&l->rd, node) || item_count(&l->rd, node) == 0 || item_count(&l->rd, node) > SERVICES_MOST) {
		read_error(&l->rd, "wrong-type", node, "%s is a port, a range lo-hi, or a list of at most %d of them",
			   what, SERVICES_MOST);
		return false;
	}
	for (uint32_t i = item_first(&l->rd, node); i; i = item_next(&l->rd, node, i)) {
		const char *text;
		size_t len;

		all->at = mem_grow(all->at, all->count, &all->cap, sizeof *all->at);
		if (!read_word(&l->rd, i, what, &text, &len))
			return false;
		if (!ports_of(text, len, &all->at[all->count])) {
			read_error(&l->rd, "bad-value", i, "%s is a number up to 65535, or a range lo-hi, not '%.*s'",
				   what, len > 40 ? 40 : (int)len, text);
			return false;
		}
		all->count++;
	}
	return true;
}

static bool read_protocol(struct load *l, uint32_t node, int16_t *ret)
{
	const char *text, *names[ARRAY_LEN(protocols) + 1];
	size_t len;

	if (!node || node_is(&l->rd, node, "any")) {
		*ret = PROTOCOL_ANY;
		return true;
	}
	if (!read_word(&l->rd, node, "protocol", &text, &len))
		return false;
	if (protocol_of(text, len, ret))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
		names[i] = protocols[i].name;
	names[ARRAY_LEN(protocols)] = "any";
	load_unknown_name(l, node, "protocol is a number up to 255 or a name, and none is", NULL, names,
			  ARRAY_LEN(names));
	return false;
}

bool load_services(struct load *l, const struct service_nodes *n, struct service **ret, size_t *ret_count)
{
	struct ports one = { 0 }, two = { 0 };
	struct services all = { 0 };
	struct service s = { .icmp_type = -1, .icmp_code = -1 };
	bool good = false;

	if (n->traffic && (n->protocol || n->port1 || n->port2)) {
		read_error(&l->rd, "conflicting-keys", n->traffic,
			   "traffic says protocol and ports; leave out 'protocol', '%s' and '%s'", n->port1_name,
			   n->port2_name);
		return false;
	}
	if (n->traffic)
		return load_traffic(l, n->traffic, ret, ret_count);
	if (!read_protocol(l, n->protocol, &s.protocol))
		return false;
	if ((n->port1 || n->port2) && !has_ports(s.protocol)) {
		uint32_t at = n->port1 ? n->port1 : n->port2;
		struct finding *f =
			read_error(&l->rd, "port-without-protocol", at, "a port needs a protocol that has ports");

		finding_advise(f,
			       "add 'protocol: tcp' or 'protocol: udp', or write both at once as traffic: [tcp/443]");
		return false;
	}
	if (!read_ports(l, n->port1, n->port1_name, &one) || !read_ports(l, n->port2, n->port2_name, &two))
		goto out;
	good = true;
	for (size_t i = 0; i < one.count && good; i++) {
		for (size_t k = 0; k < two.count && good; k++) {
			s.port1 = one.at[i];
			s.port2 = two.at[k];
			good = add_service(&all, &s);
		}
	}
	if (!good)
		read_error(&l->rd, "too-many", n->port1, "over %d combinations of ports in one rule", SERVICES_MOST);
	else
		keep(l, &all, ret, ret_count);
out:
	free(one.at);
	free(two.at);
	if (!good)
		free(all.at);
	return good;
}

const char *service_text(const struct service *s, char *buf, size_t n)
{
	const char *name = NULL;
	size_t at = 0;

	for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
		if (protocols[i].number == s->protocol)
			name = protocols[i].name;
	if (s->protocol == PROTOCOL_ANY)
		at = (size_t)snprintf(buf, n, "any protocol");
	else if (name)
		at = (size_t)snprintf(buf, n, "%s", name);
	else
		at = (size_t)snprintf(buf, n, "%d", s->protocol);
	if (port_given(s->port2) && at < n)
		(void)snprintf(buf + at, n - at, s->port2.lo == s->port2.hi ? "/%u" : "/%u-%u", s->port2.lo,
			       s->port2.hi);
	else if (s->icmp_type >= 0 && at < n)
		(void)snprintf(buf + at, n - at, s->icmp_code >= 0 ? "/%d/%d" : "/%d", s->icmp_type, s->icmp_code);
	return buf;
}

int policy_traffic_parse(const struct policy *p, const char *text, size_t n, struct service *ret, size_t cap,
			 size_t *ret_count, struct diag *d)
{
	const struct name *own = p ? names_find(&p->traffic, text, n) : NULL;
	const char *items = built_in_named(text, n);
	struct services all = { 0 };
	struct service one;
	int r = 0;

	if (own) {
		const struct traffic_list *list = own->value;

		for (size_t i = 0; i < list->count; i++)
			(void)add_service(&all, &list->services[i]);
	} else if (items) {
		add_built_in(&all, items);
	} else if ((r = parse_one(text, n, &one, d)) == 0) {
		(void)add_service(&all, &one);
	}
	if (r == 0 && all.count > cap)
		r = diag_fail(d, ERR_UNSUPPORTED, "'%.*s' is %zu protocols and ports, and %zu fit here",
			      n > 60 ? 60 : (int)n, text, all.count, cap);
	if (r == 0 && all.at) {
		memcpy(ret, all.at, all.count * sizeof *ret);
		*ret_count = all.count;
	}
	free(all.at);
	return r;
}
