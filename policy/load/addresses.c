/* Zones, hosts and the ends of rules: everything that names addresses. */
#include "base/diag.h"
#include "base/str.h"
#include "policy/model.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { ADDRESSES_OF_HOST_MOST = 256 };

enum zone_state { ZONE_UNREAD, ZONE_READING, ZONE_READ };

struct elements {
	struct addr_range *at;
	size_t count, cap;
};

/* Does the text try to be an address, or is it a name? Names of DNS get an answer of their own. */
static enum { LIKE_NAME, LIKE_ADDRESS, LIKE_DNS_NAME } likeness(const char *text, size_t len)
{
	bool dot = false, letter = false;

	if (memchr(text, ':', len))
		return LIKE_ADDRESS;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '.')
			dot = true;
		else if (isalpha(c) || c == '_')
			letter = true;
		else if (!isdigit(c) && c != '-' && c != '/')
			return LIKE_NAME;
	}
	if (letter)
		return dot ? LIKE_DNS_NAME : LIKE_NAME;
	return dot || memchr(text, '/', len) ? LIKE_ADDRESS : LIKE_NAME;
}

static void refuse_dns_name(struct load *l, uint32_t node, const char *text, size_t len)
{
	struct finding *f = read_error(&l->rd, "dns-name", node, "'%.*s' is a DNS name, not an address",
				       len > 60 ? 60 : (int)len, text);

	finding_advise(f, "DNS is not authenticated, so it must not decide what is protected; write the address,\n"
			  "or name the machine under hosts: and use that name");
}

/* An address, prefix or range in a scalar; whatever else it is has been asked before. */
static bool parse_literal(struct load *l, uint32_t node, const char *text, size_t len, struct addr_range *ret)
{
	struct diag d = { 0 };

	if (addr_range_parse(text, len, ret, &d) == 0)
		return true;
	if (likeness(text, len) == LIKE_DNS_NAME)
		refuse_dns_name(l, node, text, len);
	else
		read_error(&l->rd, "bad-address", node, "%s", d.text);
	return false;
}

bool load_single_address(struct load *l, uint32_t node, const char *what, struct addr *ret)
{
	struct addr_range range;
	const char *text;
	size_t len;

	if (!read_word(&l->rd, node, what, &text, &len) || !parse_literal(l, node, text, len, &range))
		return false;
	if (!addr_equal(&range.lo, &range.hi)) {
		read_error(&l->rd, "bad-address", node, "%s is a single address, not a network", what);
		return false;
	}
	*ret = range.lo;
	return true;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct addr_range *x = a, *y = b;
	int c = addr_compare(&x->lo, &y->lo);

	return c ? c : addr_compare(&x->hi, &y->hi);
}

static void add_element(struct elements *e, const struct addr_range *r)
{
	e->at = mem_grow(e->at, e->count, &e->cap, sizeof *e->at);
	e->at[e->count++] = *r;
}

/* Sort, drop repetitions, and give the elements to the set. */
static void set_elements(struct load *l, struct address_set *s, struct elements *e)
{
	size_t n = 0;

	if (e->count > 1)
		qsort(e->at, e->count, sizeof *e->at, compare_ranges);
	for (size_t i = 0; i < e->count; i++)
		if (n == 0 || compare_ranges(&e->at[n - 1], &e->at[i]) != 0)
			e->at[n++] = e->at[i];
	s->elements = arena_new(&l->p->memory, n, sizeof *s->elements);
	if (n)
		memcpy(s->elements, e->at, n * sizeof *e->at);
	s->count = n;
	free(e->at);
	*e = (struct elements){ 0 };
}

static enum keyword keyword_of(const char *text, size_t len)
{
	for (int k = 0; k < KEYWORDS; k++) {
		const char *name = keyword_name((enum keyword)k);

		if (strlen(name) == len && memcmp(name, text, len) == 0)
			return (enum keyword)k;
	}
	return KEYWORDS;
}

static void unknown_address_name(struct load *l, uint32_t node, const char *text, size_t len, bool keywords)
{
	const char *words[KEYWORDS];
	struct addr_range unused;

	if (likeness(text, len) != LIKE_NAME) {
		(void)parse_literal(l, node, text, len, &unused);
		return;
	}
	for (int k = 0; k < KEYWORDS; k++)
		words[k] = keyword_name((enum keyword)k);
	load_unknown_name(l, node, "no zone or host is called", &l->p->names, words, keywords ? KEYWORDS : 0);
}

static bool load_zone(struct load *l, size_t zone, struct address_set **path, size_t depth);

static bool zone_in_zone(struct load *l, uint32_t node, struct address_set *inner, struct address_set **path,
			 size_t depth)
{
	size_t zone = (size_t)(inner - l->p->zones);

	if (l->zone_states[zone] == ZONE_READING) {
		SCOPED(str_wipe) struct str circle = { 0 };
		size_t from = 0;

		while (from < depth && path[from] != inner)
			from++;
		for (; from < depth; from++)
			str_addf(&circle, "%s -> ", path[from]->name);
		read_error(&l->rd, "cycle", node, "zones go in a circle: %s%s", str_text(&circle), inner->name);
		return false;
	}
	if (depth == NESTING_MOST) {
		read_error(&l->rd, "nesting", node, "zones are nested over %d deep", NESTING_MOST);
		return false;
	}
	return load_zone(l, zone, path, depth);
}

static void add_set(struct load *l, struct elements *e, const struct address_set *s)
{
	for (size_t i = 0; i < s->count && e->count + l->elements <= ELEMENTS_MOST; i++)
		add_element(e, &s->elements[i]);
}

/* One member of a zone: another zone, a host or a literal. */
static void load_member(struct load *l, uint32_t node, struct elements *e, struct address_set **path, size_t depth)
{
	struct addr_range range;
	struct name *name;
	const char *text;
	size_t len;

	if (!read_word(&l->rd, node, "an address of a zone", &text, &len))
		return;
	if ((name = names_find(&l->p->names, text, len))) {
		struct address_set *inner = name->value;

		if (name->kind == NAME_HOST)
			add_set(l, e, ((const struct host *)name->value)->set);
		else if (zone_in_zone(l, node, inner, path, depth))
			add_set(l, e, inner);
	} else if (keyword_of(text, len) != KEYWORDS) {
		read_error(&l->rd, "bad-value", node,
			   "'%.*s' means something else on each host; name it in a rule, not in a zone", (int)len,
			   text);
	} else if (addr_range_parse(text, len, &range, NULL) == 0) {
		add_element(e, &range);
	} else {
		unknown_address_name(l, node, text, len, false);
	}
}

static bool load_zone(struct load *l, size_t zone, struct address_set **path, size_t depth)
{
	struct address_set *s = &l->p->zones[zone];
	uint32_t node = l->zone_nodes[zone];
	struct elements e = { 0 };

	if (l->zone_states[zone] == ZONE_READ)
		return true;
	l->zone_states[zone] = ZONE_READING;
	path[depth] = s;
	if (node_is_map(&l->rd, node)) {
		read_error(&l->rd, "wrong-type", node,
			   "a zone is a list of addresses, prefixes, ranges, hosts and zones");
	} else {
		for (uint32_t i = item_first(&l->rd, node); i; i = item_next(&l->rd, node, i))
			load_member(l, i, &e, path, depth + 1);
	}
	if (e.count + l->elements > ELEMENTS_MOST) {
		if (l->elements <= ELEMENTS_MOST)
			read_error(&l->rd, "too-many", node, "zones hold over %d addresses together", ELEMENTS_MOST);
		l->elements = ELEMENTS_MOST + 1; /* said once; from here zones stay empty */
		e.count = 0;
	}
	set_elements(l, s, &e);
	l->elements += s->count;
	l->zone_states[zone] = ZONE_READ;
	return true;
}

/* "10.0.0.1" or "10.0.0.1/24": an address with the length of its network's prefix. */
static bool load_host_address(struct load *l, uint32_t node, struct host_address *ret)
{
	const char *text, *slash;
	size_t len, address_len;
	struct diag d = { 0 };
	struct addr a;
	int prefix = -1;

	if (!read_word(&l->rd, node, "the address of a host", &text, &len))
		return false;
	slash = memchr(text, '/', len);
	address_len = slash ? (size_t)(slash - text) : len;
	if (addr_parse(text, address_len, &a, &d) < 0) {
		if (likeness(text, len) == LIKE_DNS_NAME)
			refuse_dns_name(l, node, text, len);
		else
			read_error(&l->rd, "bad-address", node, "%s", d.text);
		return false;
	}
	if (slash) {
		size_t n = len - address_len - 1;
		char digits[4] = "";

		if (n && n < sizeof digits)
			memcpy(digits, slash + 1, n);
		prefix = n && strspn(digits, "0123456789") == n ? (int)strtol(digits, NULL, 10) : 999;
		if ((unsigned)prefix > addr_bits(&a)) {
			read_error(&l->rd, "bad-address", node, "%.*s: the prefix is not a number up to %u",
				   len > 60 ? 60 : (int)len, text, addr_bits(&a));
			return false;
		}
	}
	if (addr_is_loopback(&a) || addr_is_link_local(&a) || addr_is_multicast(&a)) {
		read_error(&l->rd, "bad-address", node,
			   "%.*s is loopback, link-local or multicast; rules speak of unicast only",
			   len > 60 ? 60 : (int)len, text);
		return false;
	}
	*ret = (struct host_address){ .addr = a, .prefix = prefix };
	return true;
}

static void load_addresses_of(struct load *l, uint32_t node, struct host *h, struct address_set *set)
{
	struct elements e = { 0 };
	size_t most = item_count(&l->rd, node);

	if (most > ADDRESSES_OF_HOST_MOST) {
		read_error(&l->rd, "too-many", node, "a host has at most %d addresses", ADDRESSES_OF_HOST_MOST);
		return;
	}
	h->addresses = arena_new(&l->p->memory, most, sizeof *h->addresses);
	for (uint32_t i = item_first(&l->rd, node); i; i = item_next(&l->rd, node, i)) {
		struct host_address *a = &h->addresses[h->address_count];

		if (!load_host_address(l, i, a))
			continue;
		add_element(&e, &(struct addr_range){ a->addr, a->addr });
		h->address_count++;
	}
	if (h->nat_address.family) /* what the others see is the same host */
		add_element(&e, &(struct addr_range){ h->nat_address, h->nat_address });
	if (most == 0)
		read_error(&l->rd, "missing-key", node, "host '%s' has no address", h->name);
	set_elements(l, set, &e);
}

static void load_nat_address(struct load *l, uint32_t node, struct host *h)
{
	struct host_address a;

	if (!load_host_address(l, node, &a))
		return;
	if (a.prefix >= 0)
		read_error(&l->rd, "bad-address", node, "nat-address is a single address, without a prefix length");
	h->nat_address = a.addr;
}

static void load_credentials(struct load *l, uint32_t node, struct host *h)
{
	const struct auth_set **sets = arena_new(&l->p->memory, item_count(&l->rd, node), sizeof(struct auth_set *));

	h->credentials = sets;
	for (uint32_t i = item_first(&l->rd, node); i; i = item_next(&l->rd, node, i))
		if ((sets[h->credential_count] = load_auth_named(l, i)))
			h->credential_count++;
}

static void load_host(struct load *l, struct host *h, uint32_t node)
{
	enum { ADDRESS, ROLES, GROUPS, CREDENTIALS, AGENT, NAT_ADDRESS, KEYS };
	static const struct map_key keys[KEYS] = {
		[ADDRESS] = { "address", true }, [ROLES] = { "roles", false },
		[GROUPS] = { "groups", false },  [CREDENTIALS] = { "credentials", false },
		[AGENT] = { "agent", false },    [NAT_ADDRESS] = { "nat-address", false },
	};
	static const struct choice roles[] = {
		{ "dns", ROLE_DNS },   { "kdc", ROLE_KDC },   { "policy-server", ROLE_POLICY_SERVER },
		{ "dhcp", ROLE_DHCP }, { "wins", ROLE_WINS }, { "ca", ROLE_CA },
		{ "time", ROLE_TIME },
	};
	static const struct choice agents[] = {
		{ "cordon", AGENT_CORDON },
		{ "windows", AGENT_WINDOWS },
		{ "none", AGENT_NONE },
	};
	uint32_t v[KEYS];
	unsigned agent = AGENT_CORDON;
	struct address_set *set = (struct address_set *)(uintptr_t)h->set;

	(void)read_map(&l->rd, node, "a host", keys, KEYS, v);
	if (v[NAT_ADDRESS])
		load_nat_address(l, v[NAT_ADDRESS], h);
	if (v[ADDRESS])
		load_addresses_of(l, v[ADDRESS], h, set);
	if (v[ROLES])
		(void)read_choices(&l->rd, v[ROLES], "a role", roles, ARRAY_LEN(roles), &h->roles);
	if (v[GROUPS])
		(void)load_group_list(l, v[GROUPS], "a group", &h->groups, &h->group_count);
	if (v[CREDENTIALS])
		load_credentials(l, v[CREDENTIALS], h);
	if (v[AGENT])
		(void)read_choice(&l->rd, v[AGENT], "agent", agents, ARRAY_LEN(agents), &agent);
	h->agent = (enum host_agent)agent;
}

/* A zone or host may not be called like a keyword or an address: an endpoint could then mean two things. */
static bool name_is_free(struct load *l, uint32_t pair, const char *what)
{
	struct addr_range range;
	const char *text;
	size_t len;

	if (!read_word(&l->rd, pair, what, &text, &len))
		return false;
	if (keyword_of(text, len) == KEYWORDS && addr_range_parse(text, len, &range, NULL) < 0)
		return true;
	read_error(&l->rd, "bad-name", pair, "%s cannot be called '%.*s': that is %s", what, len > 60 ? 60 : (int)len,
		   text, keyword_of(text, len) == KEYWORDS ? "an address" : "a keyword");
	return false;
}

static size_t pairs(struct load *l, uint32_t node, const char *what)
{
	return node && read_pairs(&l->rd, node, what) ? yaml_at(l->rd.y, node)->count : 0;
}

void load_names(struct load *l, uint32_t zones, uint32_t hosts)
{
	size_t zone_most = pairs(l, zones, "zones:"), host_most = pairs(l, hosts, "hosts:");
	struct policy *p = l->p;

	p->zones = arena_new(&p->memory, zone_most, sizeof *p->zones);
	p->hosts = arena_new(&p->memory, host_most, sizeof *p->hosts);
	l->zone_nodes = mem_new(zone_most, sizeof *l->zone_nodes);
	l->zone_states = mem_new(zone_most, 1);
	l->host_nodes = mem_new(host_most, sizeof *l->host_nodes);
	for (uint32_t i = zone_most ? pair_first(&l->rd, zones) : 0; i; i = pair_next(&l->rd, i)) {
		struct address_set *s = &p->zones[p->zone_count];

		if (!name_is_free(l, i, "a zone") ||
		    !load_register(l, &p->names, i, "zone or host", NAME_ZONE, s, &s->name))
			continue;
		s->place = yaml_place(l->rd.y, i);
		policy_add_set(p, s);
		l->zone_nodes[p->zone_count++] = pair_value(&l->rd, i);
	}
	for (uint32_t i = host_most ? pair_first(&l->rd, hosts) : 0; i; i = pair_next(&l->rd, i)) {
		struct host *h = &p->hosts[p->host_count];
		struct address_set *s;

		if (!name_is_free(l, i, "a host") ||
		    !load_register(l, &p->names, i, "zone or host", NAME_HOST, h, &h->name))
			continue;
		h->place = yaml_place(l->rd.y, i);
		s = arena_new(&p->memory, 1, sizeof *s);
		s->name = h->name;
		s->place = h->place;
		h->set = s;
		policy_add_set(p, s);
		l->host_nodes[p->host_count++] = pair_value(&l->rd, i);
	}
}

static int compare_hosts(const void *a, const void *b)
{
	const struct host_by_address *x = a, *y = b;
	int c = addr_compare(&x->addr, &y->addr);

	return c ? c : (x->host > y->host) - (x->host < y->host);
}

/* Addresses to hosts; one address has one host, or nobody could say who it is. */
static void index_hosts(struct load *l)
{
	struct policy *p = l->p;
	size_t n = 0;

	for (size_t i = 0; i < p->host_count; i++)
		n += p->hosts[i].address_count;
	p->by_address = arena_new(&p->memory, n, sizeof *p->by_address);
	for (size_t i = 0; i < p->host_count; i++)
		for (size_t k = 0; k < p->hosts[i].address_count; k++)
			p->by_address[p->by_address_count++] =
				(struct host_by_address){ p->hosts[i].addresses[k].addr, &p->hosts[i] };
	if (n > 1)
		qsort(p->by_address, n, sizeof *p->by_address, compare_hosts);
	for (size_t i = 1; i < n; i++) {
		const struct host_by_address *a = &p->by_address[i - 1], *b = &p->by_address[i];
		char text[ADDR_TEXT];

		if (addr_equal(&a->addr, &b->addr))
			(void)report_add(l->rd.r, SEVERITY_ERROR, "duplicate-address", b->host->place,
					 a->host == b->host ? "host '%s' has %s twice"
							    : "host '%s' has %s, which is the address of '%s'",
					 b->host->name, addr_text(&b->addr, text), a->host->name);
	}
}

void load_zones_and_hosts(struct load *l)
{
	struct address_set *path[NESTING_MOST + 1];

	for (size_t i = 0; i < l->p->host_count; i++)
		load_host(l, &l->p->hosts[i], l->host_nodes[i]);
	index_hosts(l);
	for (size_t i = 0; i < l->p->zone_count; i++)
		(void)load_zone(l, i, path, 0);
}

/* A literal in a rule is a set of its own, shared by all that write it alike. */
static struct address_set *literal_set(struct load *l, uint32_t node, const char *text, size_t len)
{
	struct name *known = names_find(&l->literals, text, len);
	struct address_set *s;
	struct addr_range range;
	bool is_new;

	if (known)
		return known->value;
	if (addr_range_parse(text, len, &range, NULL) < 0)
		return NULL;
	s = arena_new(&l->p->memory, 1, sizeof *s);
	s->name = arena_string(&l->p->memory, text, len);
	s->place = yaml_place(l->rd.y, node);
	s->elements = arena_new(&l->p->memory, 1, sizeof *s->elements);
	s->elements[0] = range;
	s->count = 1;
	policy_add_set(l->p, s);
	(void)names_add(&l->literals, s->name, len, 0, s, s->place, &is_new);
	return s;
}

static bool load_item(struct load *l, uint32_t node, const char *what, bool keywords, struct end_item *ret)
{
	const char *text;
	size_t len;
	struct name *name;

	if (!read_word(&l->rd, node, what, &text, &len))
		return false;
	*ret = (struct end_item){ .place = yaml_place(l->rd.y, node) };
	if ((name = names_find(&l->p->names, text, len))) {
		ret->set = name->kind == NAME_HOST ? ((const struct host *)name->value)->set : name->value;
		return true;
	}
	ret->keyword = keyword_of(text, len);
	if (keywords && ret->keyword != KEYWORDS)
		return true;
	if ((ret->set = literal_set(l, node, text, len)))
		return true;
	unknown_address_name(l, node, text, len, keywords);
	return false;
}

bool load_end(struct load *l, uint32_t node, const char *what, bool keywords, struct end *ret)
{
	bool good = true;

	ret->place = yaml_place(l->rd.y, node);
	if (node_is_map(&l->rd, node) || item_count(&l->rd, node) == 0) {
		read_error(&l->rd, "wrong-type", node, "%s is a name, an address or a list of them", what);
		return false;
	}
	ret->items = arena_new(&l->p->memory, item_count(&l->rd, node), sizeof *ret->items);
	for (uint32_t i = item_first(&l->rd, node); i; i = item_next(&l->rd, node, i)) {
		if (load_item(l, i, what, keywords, &ret->items[ret->count]))
			ret->count++;
		else
			good = false;
	}
	return good;
}

const struct host *load_host_named(struct load *l, uint32_t node, const char *what)
{
	const char *text;
	size_t len;
	struct name *name;

	if (!read_word(&l->rd, node, what, &text, &len))
		return NULL;
	if ((name = names_find(&l->p->names, text, len)) && name->kind == NAME_HOST)
		return name->value;
	if (name) {
		read_error(&l->rd, "unknown-name", node, "'%.*s' is a zone; %s is the name of a host",
			   len > 60 ? 60 : (int)len, text, what);
		return NULL;
	}
	{ /* suggest hosts only */
		struct names hosts = { 0 };
		bool is_new;

		for (size_t i = 0; i < l->p->host_count; i++) {
			const struct host *h = &l->p->hosts[i];

			(void)names_add(&hosts, h->name, strlen(h->name), 0, NULL, h->place, &is_new);
		}
		load_unknown_name(l, node, "no host is called", &hosts, NULL, 0);
		names_wipe(&hosts);
	}
	return NULL;
}
