/* What `cordon init` writes and says: the policy, the host's page, the networks. */
#include "tools/cli/first.h"

#include "base/str.h"
#include "tools/cli/say.h"

#include <stdio.h>
#include <string.h>

enum { LINE = 100 };

/* ---- lists ------------------------------------------------------------------------------------------------------- */

/* "[a, b, c]", broken where the line gets too long; what holds a colon is quoted. */
struct list {
	struct str *out;
	size_t column, indent;
	bool some;
};

static void list_start(struct list *l, size_t column, struct str *out)
{
	*l = (struct list){ .out = out, .column = column + 1, .indent = column + 1 };
	str_add(out, "[");
}

static void list_put(struct list *l, const char *text)
{
	const char *quote = strchr(text, ':') ? "\"" : "";
	size_t n = strlen(text) + 2 * strlen(quote) + 2;

	if (l->some && l->column + n > LINE) {
		str_addf(l->out, ",\n%*s", (int)l->indent, "");
		l->column = l->indent;
	} else if (l->some) {
		str_add(l->out, ", ");
	}
	str_addf(l->out, "%s%s%s", quote, text, quote);
	l->column += n;
	l->some = true;
}

static void list_end(struct list *l)
{
	str_add(l->out, "]");
}

static void zone_list(const struct first *f, size_t column, struct str *out)
{
	struct list l;

	list_start(&l, column, out);
	for (size_t i = 0; i < f->zone_count; i++)
		list_put(&l, f->zones[i].name);
	list_end(&l);
}

/* ---- the policy -------------------------------------------------------------------------------------------------- */

static void write_head(const struct first *f, const char *path, struct str *out)
{
	str_addf(
		out,
		"# A first policy, made by `cordon init` from the networks of %s. It is for the whole network: the "
		"same\n"
		"# file goes to every host, as /etc/cordon/policy.yaml.\n"
		"#\n"
		"# Every rule that protects is in mode `request`: hosts that run Cordon encrypt what they say to each\n"
		"# other, and talk in clear to all others. It cuts nobody off. The first packet to a machine without\n"
		"# Cordon waits for a second, then it is known.\n"
		"#\n"
		"#   cordon check %s\n"
		"#   cordon apply %s --confirm 2m    # taken back by itself, unless:\n"
		"#   cordon confirm\n"
		"#   cordon status                                   # who is encrypted, who is not yet\n"
		"#\n"
		"# When everybody is encrypted who should be, write `require` where `request` stands below, in the "
		"file\n"
		"# of every host, and check, apply and confirm again. From then on they neither send nor take clear "
		"text.\n"
		"cordon: 1\n\n"
		"# Anybody may find a neighbour or a router and ask for an address. Add icmp if machines without "
		"Cordon\n"
		"# are to ping these hosts under `require`.\n"
		"exempt: [neighbor-discovery, router-discovery, dhcp]\n\n",
		f->name, path, path);
}

static void write_left(const struct first *f, struct str *out)
{
	static const char *const why[FIRST_REASONS] = {
		[FIRST_CONTAINERS] = ("containers or virtual machines of this host. Protected is what leaves it\n"
				      "#   under its own address"),
		[FIRST_TUNNEL] = "a VPN or tunnel: what goes through it is its own business",
		[FIRST_OWN_SERVICES] = "an address of this host's own",
		[FIRST_ALONE] = "which network that is in the kernel does not know: add it to a zone, with its prefix",
	};

	if (f->left_count)
		str_add(out, "# Left out:\n");
	for (size_t i = 0; i < f->left_count; i++) {
		const struct first_left *l = &f->left[i];
		char text[ADDR_TEXT];

		str_addf(out, "# %s %s/%u: %s\n", l->interface, addr_text(&l->addr, text), l->prefix, why[l->reason]);
	}
	if (f->left_count)
		str_add(out, "\n");
}

static void write_zones(const struct first *f, struct str *out)
{
	struct list l;

	if (f->zone_count == 0) {
		str_add(out, "# This host is in no network yet. Take the # away and write the one that you mean.\n"
			     "# zones:\n"
			     "#   lan: [192.0.2.0/24]\n\n");
		return;
	}
	str_add(out, "# The networks, by the interface of this host that is in them. Give them better names, and add "
		     "others.\n"
		     "zones:\n");
	for (size_t i = 0; i < f->zone_count; i++) {
		const struct first_zone *z = &f->zones[i];
		char text[ADDR_RANGE_TEXT];

		str_addf(out, "  %s: ", z->name);
		list_start(&l, strlen(z->name) + 4, out);
		for (size_t k = 0; k < z->count; k++)
			list_put(&l, addr_range_text(&z->prefixes[k], text));
		list_end(&l);
		str_addf(out, " # %s\n", z->interface);
	}
	str_add(out, "\n");
}

static void write_host(const struct first_host *h, bool own, struct str *out)
{
	static const struct {
		unsigned role;
		const char *name;
	} roles[] = { { ROLE_DNS, "dns" }, { ROLE_DHCP, "dhcp" }, { ROLE_WINS, "wins" } };
	char text[ADDR_TEXT], item[ADDR_TEXT + 16];
	struct list l;

	str_addf(out, "  %s: { address: ", h->name);
	list_start(&l, strlen(h->name) + 15, out);
	for (size_t i = 0; i < h->count; i++) {
		(void)addr_text(&h->addresses[i].addr, text);
		if (h->addresses[i].prefix >= 0)
			(void)snprintf(item, sizeof item, "%s/%d", text, h->addresses[i].prefix);
		else
			(void)snprintf(item, sizeof item, "%s", text);
		list_put(&l, item);
	}
	list_end(&l);
	if (h->roles) {
		str_add(out, ", roles: ");
		list_start(&l, 0, out);
		for (size_t i = 0; i < ARRAY_LEN(roles); i++)
			if (h->roles & roles[i].role)
				list_put(&l, roles[i].name);
		list_end(&l);
	}
	str_addf(out, "%s }%s\n", own ? "" : ", agent: none", own ? " # this host" : "");
}

static void write_hosts(const struct first *f, struct str *out)
{
	if (f->host_count == 0)
		return;
	str_add(out,
		"# Machines with a name. `agent: none` is one without Cordon: take it away on the day that it has it.\n"
		"hosts:\n");
	for (size_t i = 0; i < f->host_count; i++)
		write_host(&f->hosts[i], f->own && i == 0, out);
	str_add(out, "\n");
}

/* For YAML's double quotes. */
static void quoted(const char *text, struct str *out)
{
	str_add(out, "\"");
	for (; *text; text++)
		str_addf(out, "%s%c", *text == '"' || *text == '\\' ? "\\" : "", *text);
	str_add(out, "\"");
}

static void write_authentication(const struct first *f, struct str *out)
{
	if (f->options.psk) {
		str_add(out, "# Hosts prove who they are by a key that all of them have. Whoever has it can be any of "
			     "them:\n"
			     "# certificates are better (cordon pki --help). To make the key, on one host:\n");
		str_addf(out,
			 "#   (umask 077; openssl rand -base64 32 > %s)\n"
			 "# and copy it to the others, readable by root alone.\n"
			 "authentication:\n"
			 "  default: [ { pre-shared-key: { file: ",
			 f->options.psk);
		quoted(f->options.psk, out);
		str_add(out, " } } ]\n\n");
		return;
	}
	if (f->options.issuer_found)
		str_add(out, "# Hosts prove who they are by a certificate of this authority, which stands in "
			     "/etc/cordon/ca.pem.\n");
	else
		str_add(out,
			"# Hosts prove who they are by a certificate. If there is no authority yet, `cordon pki` is "
			"one; on a\n"
			"# machine that is kept safe:\n"
			"#   cordon pki init pki\n"
			"#   cordon pki issue pki HOST --address ADDRESS      # for each host: HOST.pem and HOST.key\n"
			"# Then ca.pem and the host's two files go to its /etc/cordon, and its host.yaml names them. "
			"With\n"
			"# another authority write its name for `issuer`, and see "
			"/usr/share/doc/cordon/docs/certificates.md for\n"
			"# what its certificates can be asked for.\n");
	str_add(out, "authentication:\n"
		     "  default:\n"
		     "    - certificate: { issuer: ");
	quoted(f->options.issuer, out);
	str_add(out, ", extended-key-usage: ike-intermediate }\n\n");
}

static void write_rules(const struct first *f, struct str *out)
{
	bool gateway = false, admin = false;

	if (f->zone_count == 0) {
		str_add(out, "# connection-security:\n"
			     "#   - { name: Encrypt where both can, endpoint1: lan, endpoint2: lan, mode: request }\n");
		return;
	}
	str_add(out, "connection-security:\n"
		     "  - name: Encrypt where both can\n"
		     "    endpoint1: ");
	zone_list(f, 15, out);
	str_add(out, "\n    endpoint2: ");
	zone_list(f, 15, out);
	str_add(out, "\n    mode: request\n");
	if (first_has_role(f, ROLE_DNS)) {
		str_add(out, "\n  # The most specific rule wins, wherever it stands. These keep the machine reachable "
			     "under `require`.\n"
			     "  - name: Names are asked in clear\n"
			     "    endpoint1: ");
		zone_list(f, 15, out);
		str_add(out, "\n    endpoint2: dns-servers\n    traffic: [dns]\n    mode: exempt\n");
	}
	for (size_t i = 0; i < f->host_count; i++) {
		gateway |= f->hosts[i].gateway;
		admin |= f->hosts[i].admin && first_meets_zones(f, &f->hosts[i]);
	}
	if (gateway) {
		struct list l;

		str_add(out, "\n  - name: The router has no Cordon\n    endpoint1: ");
		zone_list(f, 15, out);
		str_add(out, "\n    endpoint2: ");
		list_start(&l, 15, out);
		for (size_t i = 0; i < f->host_count; i++)
			if (f->hosts[i].gateway)
				list_put(&l, f->hosts[i].name);
		list_end(&l);
		str_add(out, "\n    mode: exempt\n");
	}
	for (size_t i = 0; i < f->host_count; i++)
		if (f->hosts[i].admin && first_meets_zones(f, &f->hosts[i])) {
			str_add(out, "\n  # From there this was written, by ssh: the way in when all else fails.\n"
				     "  - name: The administrator gets in\n"
				     "    endpoint1: ");
			str_add(out, f->hosts[i].name);
			str_add(out, "\n    endpoint2: ");
			zone_list(f, 15, out);
			str_addf(out, "\n    traffic: [tcp/%u]\n    mode: exempt\n", f->port);
		}
	if (!admin)
		str_add(out,
			"\n  # Before you write `require`, name a machine from which you get in whatever happens:\n"
			"  # - { name: The administrator gets in, endpoint1: 192.0.2.5, endpoint2: lan, traffic: "
			"[tcp/22], mode: exempt }\n");
	str_add(out, "\n");
}

/* Do the two have an address family in common? */
static bool can_meet(const struct first_host *a, const struct first_host *b)
{
	for (size_t i = 0; i < a->count; i++)
		for (size_t k = 0; k < b->count; k++)
			if (a->addresses[i].addr.family == b->addresses[k].addr.family)
				return true;
	return false;
}

static void write_tests(const struct first *f, struct str *out)
{
	if (!f->own)
		return;
	str_add(out,
		"# What you expect; `cordon check` holds the rules to it. When there is a second host with Cordon:\n");
	str_addf(out, "#   - { from: %s, to: OTHER, traffic: tcp/22, expect: encrypted }\n", f->name);
	for (size_t i = 1, first = 1; i < f->host_count; i++) {
		const struct first_host *h = &f->hosts[i];

		if (!can_meet(&f->hosts[0], h))
			continue;
		str_add(out, first ? "tests:\n" : "");
		first = 0;
		if (h->roles & ROLE_DNS)
			str_addf(out, "  - { from: %s, to: %s, traffic: udp/53, expect: clear }\n", f->name, h->name);
		else if (h->admin)
			str_addf(out, "  - { from: %s, to: %s, traffic: tcp/%u, expect: clear }\n", h->name, f->name,
				 f->port);
		else
			str_addf(out, "  - { from: %s, to: %s, traffic: tcp/443, expect: clear }\n", f->name, h->name);
	}
}

void first_policy(const struct first *f, const char *path, struct str *out)
{
	write_head(f, path, out);
	write_zones(f, out);
	write_left(f, out);
	write_hosts(f, out);
	write_authentication(f, out);
	str_add(out, "protection:\n"
		     "  default: { require-encryption: true, proposals: [esp-aes256gcm, esp-aes128gcm] }\n\n");
	write_rules(f, out);
	write_tests(f, out);
}

/* ---- the host's page --------------------------------------------------------------------------------------------- */

void first_page(const struct first *f, struct str *out)
{
	str_addf(out,
		 "# What is this host's own business. Everything else stands in the policy, which is the same "
		 "everywhere.\n"
		 "cordon: 1\n"
		 "name: %s # as under `hosts:` of the policy\n"
		 "policy: [ { file: /etc/cordon/policy.yaml } ]\n",
		 f->name);
	if (f->options.psk) {
		str_add(out, "# The policy asks for a pre-shared key, so no certificate is needed here.\n");
		return;
	}
	str_addf(out,
		 "# These are read again when they change; until they are there this host proves itself to nobody.\n"
		 "certificates: [ { certificate: /etc/cordon/%s.pem, key: /etc/cordon/%s.key } ]\n"
		 "trust: [/etc/cordon/ca.pem]\n",
		 f->name, f->name);
}

/* ---- what is said ------------------------------------------------------------------------------------------------ */

void first_networks(const struct first *f, struct str *out)
{
	static const char *const why[FIRST_REASONS] = {
		[FIRST_CONTAINERS] = "containers or virtual machines of this host",
		[FIRST_TUNNEL] = "a VPN or tunnel",
		[FIRST_OWN_SERVICES] = "an address of this host's own",
		[FIRST_ALONE] = "its network is not known here: add it to a zone",
	};
	char text[ADDR_RANGE_TEXT], item[ADDR_TEXT + 16];

	for (size_t i = 0; i < f->zone_count; i++)
		for (size_t k = 0; k < f->zones[i].count; k++)
			str_addf(out, "  %-10s %-20s %s\n", f->zones[i].name,
				 addr_range_text(&f->zones[i].prefixes[k], text), f->zones[i].interface);
	for (size_t i = 0; i < f->left_count; i++) {
		const struct first_left *l = &f->left[i];

		(void)snprintf(item, sizeof item, "%s/%u", addr_text(&l->addr, text), l->prefix);
		str_addf(out, "  %-10s %-20s %s, %s\n", "left out", item, l->interface, why[l->reason]);
	}
}

json_t *first_json(const struct first *f)
{
	json_t *zones = json_array(), *hosts = json_array(), *left = json_array();
	char text[ADDR_RANGE_TEXT];

	for (size_t i = 0; i < f->zone_count; i++) {
		json_t *prefixes = json_array();

		for (size_t k = 0; k < f->zones[i].count; k++)
			(void)json_array_append_new(prefixes,
						    json_string(addr_range_text(&f->zones[i].prefixes[k], text)));
		(void)json_array_append_new(zones,
					    json_pack("{s:s, s:o, s:o}", "name", f->zones[i].name, "interface",
						      say_string_json(f->zones[i].interface), "prefixes", prefixes));
	}
	for (size_t i = 0; i < f->host_count; i++) {
		json_t *addresses = json_array();

		for (size_t k = 0; k < f->hosts[i].count; k++)
			(void)json_array_append_new(addresses,
						    json_string(addr_text(&f->hosts[i].addresses[k].addr, text)));
		(void)json_array_append_new(hosts, json_pack("{s:s, s:o, s:b}", "name", f->hosts[i].name, "addresses",
							     addresses, "here", f->own && i == 0));
	}
	for (size_t i = 0; i < f->left_count; i++)
		(void)json_array_append_new(left, json_pack("{s:o, s:s, s:s}", "interface",
							    say_string_json(f->left[i].interface), "address",
							    addr_text(&f->left[i].addr, text), "reason",
							    first_reason_name(f->left[i].reason)));
	return json_pack("{s:s, s:s, s:o, s:o, s:o}", "name", f->name, "authentication",
			 f->options.psk ? "pre-shared-key" : "certificate", "zones", zones, "hosts", hosts, "left_out",
			 left);
}
