/* `cordon init`: what it makes of the networks that machines are in. */
#include "tests/unit/unit.h"

#include "analysis/lint/lint.h"
#include "base/diag.h"
#include "base/str.h"
#include "base/text.h"
#include "policy/host_config.h"
#include "tools/cli/first.h"
#include "tools/cli/networks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a machine, in words ----------------------------------------------------------------------------------------- */

struct row_interface {
	const char *name, *kind;
	uint32_t master;
	bool point_to_point;
	const char *addresses[5]; /* "10.0.0.1/24"; '~' before it: one that passes */
};

struct row_route {
	uint32_t interface; /* number: its place in the row, from 1 */
	const char *to, *gateway;
};

struct row {
	const char *what, *host;
	struct row_interface interfaces[8];
	struct row_route routes[6];
	const char *dns[4], *dhcp[2], *wins[2], *ssh;
	struct first_options options;
	const char *has[14], *lacks[6];
};

static struct addr addr_of(const char *text)
{
	struct addr a = { 0 };

	assert_int_equal(addr_parse(text, strcspn(text, "/"), &a, NULL), 0);
	return a;
}

static uint8_t bits_of(const char *text)
{
	return (uint8_t)strtoul(strchr(text, '/') + 1, NULL, 10);
}

static void add_interface(struct networks *n, const struct row_interface *row)
{
	struct network_interface *i;

	n->interfaces = mem_grow(n->interfaces, n->interface_count, &n->interface_cap, sizeof *n->interfaces);
	i = &n->interfaces[n->interface_count++];
	*i = (struct network_interface){ .number = (uint32_t)n->interface_count,
					 .master = row->master,
					 .loopback = strcmp(row->name, "lo") == 0,
					 .point_to_point = row->point_to_point };
	(void)snprintf(i->name, sizeof i->name, "%s", row->name);
	(void)snprintf(i->kind, sizeof i->kind, "%s", row->kind ? row->kind : "");
	for (size_t k = 0; k < ARRAY_LEN(row->addresses) && row->addresses[k]; k++) {
		const char *text = row->addresses[k] + (row->addresses[k][0] == '~');

		i->addresses = mem_grow(i->addresses, i->count, &i->cap, sizeof *i->addresses);
		i->addresses[i->count++] = (struct network_address){ .addr = addr_of(text),
								     .prefix = bits_of(text),
								     .passing = row->addresses[k][0] == '~' };
	}
}

static void add_servers(struct networks *n, enum server_kind k, const char *const *list, size_t most)
{
	for (size_t i = 0; i < most && list[i]; i++)
		n->servers.all[k][n->servers.counts[k]++] = addr_of(list[i]);
}

static void machine(struct networks *n, const struct row *row)
{
	*n = (struct networks){ 0 };
	(void)snprintf(n->host, sizeof n->host, "%s", row->host);
	for (size_t i = 0; i < ARRAY_LEN(row->interfaces) && row->interfaces[i].name; i++)
		add_interface(n, &row->interfaces[i]);
	for (size_t i = 0; i < ARRAY_LEN(row->routes) && row->routes[i].interface; i++) {
		const struct row_route *r = &row->routes[i];
		struct network_route *to;

		n->routes = mem_grow(n->routes, n->route_count, &n->route_cap, sizeof *n->routes);
		to = &n->routes[n->route_count++];
		*to = (struct network_route){ .interface = r->interface,
					      .to = addr_of(r->to),
					      .prefix = bits_of(r->to) };
		if (r->gateway)
			to->gateway = addr_of(r->gateway);
	}
	add_servers(n, SERVER_DNS, row->dns, ARRAY_LEN(row->dns));
	add_servers(n, SERVER_DHCP, row->dhcp, ARRAY_LEN(row->dhcp));
	add_servers(n, SERVER_WINS, row->wins, ARRAY_LEN(row->wins));
	networks_admin(n, row->ssh);
}

/* ---- what is asked of every one ---------------------------------------------------------------------------------- */

/* It compiles, passes its own tests' syntax, and no lint has a word to say. */
static void is_clean(const struct row *row, const char *octets, size_t len)
{
	SCOPED(report_freep) struct report *r = report_new();
	SCOPED(policy_freep) struct policy *p = NULL;
	SCOPED(str_wipe) struct str said = { 0 };
	int code = policy_parse(text_new("first.yaml", octets, len), NULL, r, &p);

	if (code == 0) {
		SCOPED(why_freep) struct why *w = why_new(p, r);
		SCOPED(alike_freep) struct alike *a = alike_new(p);

		lint_run(w, a, r);
	}
	report_text(r, false, &said);
	if (code < 0 || said.len)
		fail_msg("%s: %s\n%.*s", row->what, str_text(&said), (int)len, octets);
}

/* request -> require, as its comment tells one to do. */
static void becomes_require(const struct row *row, const char *text)
{
	SCOPED(str_wipe) struct str out = { 0 };
	const char *at;

	while ((at = strstr(text, "mode: request"))) {
		str_add_n(&out, text, (size_t)(at - text));
		str_add(&out, "mode: require");
		text = at + strlen("mode: request");
	}
	str_add(&out, text);
	is_clean(row, out.text, out.len);
}

static void page_is_clean(const struct row *row, const struct first *f)
{
	SCOPED(report_freep) struct report *r = report_new();
	SCOPED(host_config_freep) struct host_config *c = NULL;
	SCOPED(str_wipe) struct str page = { 0 };

	first_page(f, &page);
	if (host_config_parse(text_new("/etc/cordon/host.yaml", page.text, page.len), r, &c) < 0)
		fail_msg("%s: the page is refused:\n%s", row->what, page.text);
	assert_string_equal(c->name, f->name);
}

static void modes_cut_nobody_off(const struct row *row, const struct str *text)
{
	SCOPED(report_freep) struct report *r = report_new();
	SCOPED(policy_freep) struct policy *p = NULL;
	const struct rule *rules;
	size_t n;

	assert_int_equal(policy_parse(text_new("first.yaml", text->text, text->len), NULL, r, &p), 0);
	n = policy_rules(p, &rules);
	for (size_t i = 0; i < n; i++)
		if (rules[i].mode != MODE_REQUEST && rules[i].mode != MODE_EXEMPT)
			fail_msg("%s: '%s' could cut somebody off", row->what, rules[i].name);
}

static const struct row rows[] = {
	{ .what = "one network, both families",
	  .host = "alpha",
	  .interfaces = { { "lo", NULL, 0, false, { "127.0.0.1/8", "::1/128" } },
			  { "eth0",
			    NULL,
			    0,
			    false,
			    { "10.0.0.5/24", "2001:db8::5/64", "~2001:db8::abcd/64", "fe80::1/64" } } },
	  .routes = { { 2, "0.0.0.0/0", "10.0.0.1" }, { 2, "::/0", "fe80::fe" }, { 2, "10.0.0.0/24", NULL } },
	  .dns = { "10.0.0.1", "9.9.9.9" },
	  .dhcp = { "10.0.0.1" },
	  .has = { "lan: [10.0.0.0/24, \"2001:db8::/64\"] # eth0",
		   "alpha: { address: [10.0.0.5/24, \"2001:db8::5/64\"] } # this host",
		   "router: { address: [10.0.0.1], roles: [dns, dhcp], agent: none }",
		   "dns: { address: [9.9.9.9], roles: [dns], agent: none }", "issuer: \"CN=Cordon Root CA\"",
		   "endpoint2: [router]", "{ from: alpha, to: dns, traffic: udp/53, expect: clear }", "pki init" },
	  .lacks = { "2001:db8::abcd", "fe80", "127.0.0.1", "Left out" } },
	{ .what = "several networks; the one with the default route is lan",
	  .host = "beta",
	  .interfaces = { { "eth1", NULL, 0, false, { "10.1.0.5/16" } },
			  { "ens3.7", "vlan", 0, false, { "172.20.0.9/24", "172.21.0.9/24" } },
			  { "eth0", NULL, 0, false, { "192.168.0.5/24" } },
			  { "wlan0", NULL, 0, false, { "192.168.0.77/24" } } },
	  .routes = { { 3, "0.0.0.0/0", "192.168.0.1" } },
	  .has = { "lan: [192.168.0.0/24] # eth0", "net-eth1: [10.1.0.0/16] # eth1",
		   "net-ens3-7: [172.20.0.0/24, 172.21.0.0/24] # ens3.7", "endpoint1: [lan, net-eth1, net-ens3-7]",
		   "192.168.0.77/24" },
	  .lacks = { "net-wlan0" } },
	{ .what = "containers, virtual machines and VPNs are left out",
	  .host = "gamma",
	  .interfaces = { { "eth0", NULL, 0, false, { "10.0.0.5/24" } },
			  { "docker0", "bridge", 0, false, { "172.17.0.1/16" } },
			  { "veth12ab", "veth", 2, false, { "169.254.7.7/16" } },
			  { "wg0", "wireguard", 0, true, { "10.9.0.1/24" } },
			  { "tun0", "tun", 0, true, { "10.8.0.6/32" } },
			  { "virbr0", "bridge", 0, false, { "192.168.122.1/24" } },
			  { "kube-ipvs0", "dummy", 0, false, { "10.96.0.1/32" } },
			  { "cali77", "veth", 0, false, { "10.244.0.1/32" } } },
	  .routes = { { 1, "0.0.0.0/0", "10.0.0.1" }, { 5, "10.8.0.0/24", NULL } },
	  .dns = { "10.96.0.10" },
	  .has = { "lan: [10.0.0.0/24] # eth0", "# docker0 172.17.0.1/16: containers", "# wg0 10.9.0.1/24: a VPN",
		   "# tun0 10.8.0.6/32: a VPN", "# virbr0 192.168.122.1/24: containers",
		   "# kube-ipvs0 10.96.0.1/32: an address of this host's own", "# cali77 10.244.0.1/32: containers" },
	  .lacks = { "net-", "[172.17", "169.254" } },
	{ .what = "a bridge with a card in it is the network; so is one that leads out",
	  .host = "hv",
	  .interfaces = { { "eth0", NULL, 2, false, { NULL } },
			  { "br0", "bridge", 0, false, { "10.0.0.5/24" } },
			  { "vmbr1", "bridge", 0, false, { "10.3.0.5/24" } } },
	  .routes = { { 3, "0.0.0.0/0", "10.3.0.1" } },
	  .has = { "lan: [10.3.0.0/24] # vmbr1", "net-br0: [10.0.0.0/24] # br0" },
	  .lacks = { "Left out" } },
	{ .what = "in a container, eth0 is a veth",
	  .host = "0a1b2c3d",
	  .interfaces = { { "eth0", "veth", 0, false, { "172.17.0.2/16" } } },
	  .routes = { { 1, "0.0.0.0/0", "172.17.0.1" } },
	  .has = { "lan: [172.17.0.0/16] # eth0", "host-0a1b2c3d: { address: [172.17.0.2/16] }" } },
	{ .what = "a cloud gives an address alone; a route tells the network",
	  .host = "vm",
	  .interfaces = { { "ens4", NULL, 0, false, { "10.128.0.2/32", "2001:db8:7::2/128" } } },
	  .routes = { { 1, "0.0.0.0/0", "10.128.0.1" }, { 1, "10.128.0.1/32", NULL }, { 1, "2001:db8:7::/64", NULL } },
	  .has = { "lan: [\"2001:db8:7::/64\"] # ens4", "# ens4 10.128.0.2/32: which network that is in",
		   "vm: { address: [\"2001:db8:7::2/64\"] }" },
	  .lacks = { "router:" } },
	{ .what = "no network at all",
	  .host = "",
	  .interfaces = { { "lo", NULL, 0, false, { "127.0.0.1/8" } } },
	  .has = { "# zones:\n#   lan: [192.0.2.0/24]", "# connection-security:" },
	  .lacks = { "\nzones:", "\nconnection-security:", "\nhosts:", "\ntests:" } },
	{ .what = "IPv6 alone, servers of the other family",
	  .host = "six.example.org",
	  .interfaces = { { "eth0", NULL, 0, false, { "2001:db8::5/64" } } },
	  .routes = { { 1, "::/0", "2001:db8::1" } },
	  .dns = { "9.9.9.9" },
	  .ssh = "192.0.2.9 50000 192.0.2.5 22",
	  .has = { "lan: [\"2001:db8::/64\"]", "router: { address: [\"2001:db8::1\"]" },
	  .lacks = { "dns-servers\n", "  - name: The administrator" } },
	{ .what = "the gateways of both families are one router",
	  .host = "alpha",
	  .interfaces = { { "eth0", NULL, 0, false, { "10.0.0.5/24", "2001:db8::5/64" } } },
	  .routes = { { 1, "0.0.0.0/0", "10.0.0.1" }, { 1, "::/0", "2001:db8::1" } },
	  .has = { "router: { address: [10.0.0.1, \"2001:db8::1\"], agent: none }" },
	  .lacks = { "router2" } },
	{ .what = "called by ssh: that machine keeps its way in",
	  .host = "lan",
	  .interfaces = { { "eth0", NULL, 0, false, { "10.0.0.5/24" } } },
	  .ssh = "10.0.0.77 50000 10.0.0.5 2222",
	  .has = { "lan2: [10.0.0.0/24]", "lan: { address: [10.0.0.5/24] } # this host",
		   "admin: { address: [10.0.0.77], agent: none }", "endpoint1: admin", "traffic: [tcp/2222]",
		   "{ from: admin, to: lan, traffic: tcp/2222, expect: clear }" },
	  .lacks = { "Before you write `require`" } },
	{ .what = "the router is who calls; this host is its own name server",
	  .host = "router",
	  .interfaces = { { "eth0", NULL, 0, false, { "10.0.0.5/24" } } },
	  .routes = { { 1, "0.0.0.0/0", "10.0.0.1" }, { 1, "0.0.0.0/0", "10.0.0.2" } },
	  .dns = { "10.0.0.5" },
	  .wins = { "10.0.0.2" },
	  .ssh = "10.0.0.1 50000 10.0.0.5 22",
	  .has = { "router: { address: [10.0.0.5/24], roles: [dns] } # this host", "router2: { address: [10.0.0.1]",
		   "router3: { address: [10.0.0.2], roles: [wins]", "endpoint1: router2",
		   "endpoint2: [router2, router3]" },
	  .lacks = { "admin:" } },
	{ .what = "a pre-shared key, and a name that YAML would take for something else",
	  .host = "true",
	  .interfaces = { { "eth0", NULL, 0, false, { "10.0.0.5/24" } } },
	  .options = { .psk = "/etc/cordon/psk" },
	  .has = { "pre-shared-key: { file: \"/etc/cordon/psk\" }", "host-true: {", "openssl rand" },
	  .lacks = { "issuer" } },
	{ .what = "an authority with a name that wants quoting",
	  .host = "alpha",
	  .interfaces = { { "eth0", NULL, 0, false, { "10.0.0.5/24" } } },
	  .options = { .issuer = "CN=Big \\22Firm\\22,O=\"x\"", .issuer_found = true },
	  .has = { "which stands in /etc/cordon/ca.pem" },
	  .lacks = { "pki init" } },
	{ .what = "names for which there is no network, and a prefix of nothing",
	  .host = "localhost",
	  .interfaces = { { "eth0", NULL, 0, false, { "10.0.0.5/0", "224.0.0.1/24", "10.0.0.9/32" } } },
	  .dns = { "9.9.9.9" },
	  .has = { "# eth0 10.0.0.5/0: which network", "# eth0 10.0.0.9/32: which network" },
	  .lacks = { "\nzones:", "this-host:", "\ntests:" } },
};

static void every_machine_gets_a_policy_that_fits(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *row = &rows[i];
		struct first_options o = row->options;
		struct networks n;
		struct str text = { 0 };
		struct first *f;

		if (!o.issuer)
			o.issuer = "CN=Cordon Root CA";
		machine(&n, row);
		f = first_new(&n, &o);
		first_policy(f, "/etc/cordon/policy.yaml", &text);
		for (size_t k = 0; k < ARRAY_LEN(row->has) && row->has[k]; k++)
			if (!strstr(text.text, row->has[k]))
				fail_msg("%s: '%s' is not in it:\n%s", row->what, row->has[k], text.text);
		for (size_t k = 0; k < ARRAY_LEN(row->lacks) && row->lacks[k]; k++)
			if (strstr(text.text, row->lacks[k]))
				fail_msg("%s: '%s' is in it:\n%s", row->what, row->lacks[k], text.text);
		modes_cut_nobody_off(row, &text);
		if (!o.psk) { /* a lint says of it what there is to say */
			is_clean(row, text.text, text.len);
			becomes_require(row, text.text);
		}
		page_is_clean(row, f);
		json_decref(first_json(f));
		str_wipe(&text);
		first_free(f);
		networks_wipe(&n);
	}
}

/* A host with more networks than fit a line, and more than anybody has. */
static void many_networks_are_one_policy(void **state)
{
	static const struct row many = { .what = "many" };
	struct networks n = { .host = "node" };
	struct first_options o = { .issuer = "CN=x" };
	struct str text = { 0 };
	struct first *f;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		char name[16], address[32];

		(void)snprintf(name, sizeof name, "eth%u", i);
		(void)snprintf(address, sizeof address, "10.%u.0.1/24", i);
		add_interface(&n, &(struct row_interface){ .name = name, .addresses = { address } });
	}
	f = first_new(&n, &o);
	first_policy(f, "p", &text);
	assert_int_equal(f->zone_count, 100);
	is_clean(&many, text.text, text.len);
	for (char *line = text.text, *end; (end = strchr(line, '\n')); line = end + 1)
		if (end - line > 120)
			fail_msg("a line of %td characters: %.*s", end - line, (int)(end - line), line);
	str_wipe(&text);
	first_free(f);
	networks_wipe(&n);
}

static void who_calls_is_read_from_ssh(void **state)
{
	static const struct {
		const char *said, *from;
		uint16_t port;
	} calls[] = {
		{ "10.0.0.7 40000 10.0.0.5 22", "10.0.0.7", 22 },
		{ "2001:db8::7 40000 2001:db8::5 2222", "2001:db8::7", 2222 },
		{ "fe80::1%eth0 40000 fe80::2%eth0 22", NULL, 0 },
		{ "127.0.0.1 40000 127.0.0.1 22", NULL, 0 },
		{ "10.0.0.7", NULL, 0 },
		{ "10.0.0.7 1 2 99999", NULL, 0 },
		{ "", NULL, 0 },
		{ NULL, NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		struct networks n = { 0 };
		struct addr want = { 0 };

		networks_admin(&n, calls[i].said);
		if (calls[i].from)
			want = addr_of(calls[i].from);
		if (!addr_equal(&n.admin, &want) || n.admin_port != calls[i].port)
			fail_msg("row %zu", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_machine_gets_a_policy_that_fits),
		cmocka_unit_test(many_networks_are_one_policy),
		cmocka_unit_test(who_calls_is_read_from_ssh),
	};

	return cmocka_run_group_tests_name("first", tests, NULL, NULL);
}
