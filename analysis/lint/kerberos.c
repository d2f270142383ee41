/* kerberos-circle: to reach those who give tickets one needs a ticket. bypass-group-shared: who may pass one server's
 * firewall may pass another's. */
#include "analysis/lint/parts.h"

#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>

enum { PAIRS_ASKED = 4096, NAMES_SHOWN = 4, TCP = 6, UDP = 17 };

/* What a machine asks for before it has a ticket. */
static const struct asked {
	unsigned role;
	int16_t protocol;
	uint16_t port;
	const char *text;
} asked[] = {
	{ ROLE_KDC, UDP, 88, "udp/88" },   { ROLE_KDC, TCP, 88, "tcp/88" }, { ROLE_KDC, UDP, 464, "udp/464" },
	{ ROLE_KDC, TCP, 464, "tcp/464" }, { ROLE_DNS, UDP, 53, "udp/53" }, { ROLE_DNS, TCP, 53, "tcp/53" },
};

/* What is wrong with one rule. */
struct circle {
	const struct rule *rule;
	const struct host *server; /* the first, and the first of its clients */
	char client[128];
	unsigned ports; /* bits of `asked` */
};

static bool only_kerberos(const struct rule *r)
{
	for (size_t i = 0; r->auth && i < r->auth->count; i++)
		if (r->auth->methods[i].kind != AUTH_KERBEROS)
			return false;
	return r->auth && r->auth->count > 0;
}

/* The rule that has the client prove itself by Kerberos before the server answers, or NULL. */
static const struct rule *in_the_way(struct lint *l, const struct ends_who *client, const struct ends_who *server,
				     const struct asked *what)
{
	struct why_point point = { .from = *client,
				   .to = *server,
				   .protocol = what->protocol,
				   .port = what->port,
				   .icmp_type = -1,
				   .icmp_code = -1 };
	struct why_verdict v;

	if (why_judge(l->w, &point, &v, NULL) < 0 || v.cause == WHY_SAME_HOST || v.cause == WHY_NO_COMMON_FAMILY ||
	    !v.rule || !only_kerberos(v.rule))
		return NULL;
	/* Without a ticket nothing is agreed on: is it blocked then? */
	if (v.verdict != OUTCOME_BLOCKED && v.sides[0].stance != STANCE_REQUIRE &&
	    v.sides[1].stance != STANCE_REQUIRE && v.sides[1].stance != STANCE_REQUIRE_INBOUND)
		return NULL;
	return v.rule;
}

static void note(struct circle *c, const struct rule *r, const struct host *server, const struct ends_who *client,
		 size_t port)
{
	char text[ADDR_TEXT];

	if (!c->rule) {
		c->rule = r;
		c->server = server;
		(void)snprintf(c->client, sizeof c->client, "%s", why_name(client, text));
	}
	if (c->server == server)
		c->ports |= 1u << port;
}

static void tell(const struct lint *l, const struct circle *c)
{
	SCOPED(str_wipe) struct str ports = { 0 };
	struct finding *f;
	bool dns = false, kdc = false;

	for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
		if (!(c->ports & 1u << i))
			continue;
		str_addf(&ports, "%s%s", ports.len ? ", " : "", asked[i].text);
		dns |= asked[i].role == ROLE_DNS;
		kdc |= asked[i].role == ROLE_KDC;
	}
	f = report_add(l->r, SEVERITY_WARNING, "kerberos-circle",
		       c->rule->auth_place.file ? c->rule->auth_place : c->rule->place,
		       "'%s' asks for a Kerberos ticket on the way to %s, who %s (%s)", c->rule->name, c->server->name,
		       kdc ? "gives the tickets" : "knows where tickets are given", str_text(&ports));
	finding_advise(f,
		       "%s can get its first ticket only with a ticket. While old ones last all is well; when they\n"
		       "have expired, by morning, or after a cold start, nothing that Kerberos protects works. Exempt\n"
		       "what comes before a ticket: endpoint2: [%s], traffic: [%s%s%s], mode: exempt;\n"
		       "or add a method to '%s' that needs no ticket, such as a certificate.",
		       c->client, c->server->name, kdc ? "kerberos" : "", kdc && dns ? ", " : "", dns ? "dns" : "",
		       c->rule->auth->name);
}

/* The kind's own, or another of that kind where that is the server itself. false: there is none. */
static bool client_of(const struct lint *l, const struct ends_who *kind, const struct host *server,
		      struct ends_who *ret)
{
	*ret = *kind;
	if (!kind->host || kind->host != server)
		return kind->host;
	for (size_t i = 0; i < l->host_count; i++) {
		const struct host *h = &l->hosts[i];

		if (h == server || h->agent == AGENT_NONE || !h->address_count ||
		    alike_host_mark(l->a, h) != alike_host_mark(l->a, server))
			continue;
		*ret = (struct ends_who){ h, h->addresses[0].addr, h->addresses[0].prefix };
		return true;
	}
	return false;
}

/* Everything that clients of one kind ask of the server at this address. */
static void ask_all(struct lint *l, struct circle *circles, const struct ends_who *client,
		    const struct ends_who *server)
{
	for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
		const struct rule *r;

		if ((server->host->roles & asked[i].role) && (r = in_the_way(l, client, server, &asked[i])))
			note(&circles[r - l->rules], r, server->host, client, i);
	}
}

static void look_at(struct lint *l, struct circle *circles, const struct ends_who *server, size_t *pairs)
{
	for (size_t k = 0; k < l->kind_count && *pairs < PAIRS_ASKED; k++) {
		struct ends_who client;

		if (!client_of(l, &l->kinds[k], server->host, &client) || client.addr.family != server->addr.family)
			continue;
		ask_all(l, circles, &client, server);
		(*pairs)++;
	}
}

static void kerberos_circle(struct lint *l)
{
	struct circle *circles = mem_new(l->rule_count, sizeof *circles);
	size_t pairs = 0, suspects = 0;

	for (size_t i = 0; i < l->rule_count; i++)
		suspects += only_kerberos(&l->rules[i]);
	for (size_t i = 0; suspects && i < l->host_count; i++) {
		const struct host *h = &l->hosts[i];

		for (size_t a = 0; a < h->address_count && (h->roles & (ROLE_KDC | ROLE_DNS)); a++)
			look_at(l, circles, &(struct ends_who){ h, h->addresses[a].addr, h->addresses[a].prefix },
				&pairs);
	}
	for (size_t i = 0; i < l->rule_count; i++)
		if (circles[i].rule)
			tell(l, &circles[i]);
	free(circles);
}

/* ---- bypass-group-shared ----------------------------------------------------------------------------------------- */

/* The hosts that one bypass opens, of those which the policy names. */
static bool opens(const struct lint *l, const struct firewall *w, const struct firewall_rule *r, const struct host *h)
{
	for (size_t a = 0; a < h->address_count; a++) {
		struct ends_who who = { h, h->addresses[a].addr, h->addresses[a].prefix };

		if (end_has(l->p, &w->hosts, &who, &who, NULL) &&
		    (r->local.count == 0 || end_has(l->p, &r->local, &who, &who, NULL)))
			return true;
	}
	return false;
}

static bool lets_in(const struct firewall_rule *r, const struct group *g)
{
	for (size_t i = 0; i < r->allow_count; i++)
		if (r->machines_allow[i] == g)
			return true;
	return false;
}

static void bypass_group_shared(struct lint *l, const struct group *g)
{
	const struct firewall *walls;
	const struct firewall_rule *by = NULL;
	size_t n = policy_firewalls(l->p, &walls), servers = 0;
	SCOPED(str_wipe) struct str names = { 0 };
	struct finding *f;

	for (size_t i = 0; i < l->host_count; i++) {
		bool open = false;

		for (size_t w = 0; w < n; w++)
			for (size_t k = 0; k < walls[w].count && !open; k++) {
				const struct firewall_rule *r = &walls[w].rules[k];

				if (r->action != FIREWALL_BYPASS || !(r->direction & DIRECTION_IN) || !lets_in(r, g) ||
				    !opens(l, &walls[w], r, &l->hosts[i]))
					continue;
				by = by ? by : r;
				open = true;
			}
		if (!open)
			continue;
		if (servers++ < NAMES_SHOWN)
			str_addf(&names, "%s%s", servers > 1 ? ", " : "", l->hosts[i].name);
	}
	if (servers < 2)
		return;
	f = report_add(l->r, SEVERITY_NOTE, "bypass-group-shared", by->place,
		       "group '%s' passes the firewall of %zu servers: %s%s", g->name, servers, str_text(&names),
		       servers > NAMES_SHOWN ? ", ..." : "");
	finding_advise(f,
		       "Whoever is put into it for one of them may pass the others' too. Give each server that has a\n"
		       "bypass a group of its own.");
}

void lint_kerberos(struct lint *l)
{
	const struct group *groups;
	size_t n = policy_groups(l->p, &groups);

	kerberos_circle(l);
	for (size_t i = 0; i < n; i++)
		bypass_group_shared(l, &groups[i]);
}
