/* port-at-wrong-end and dns-udp-only: exemptions that do not do what their author believes, because of a port. */
#include "analysis/lint/parts.h"

#include "base/str.h"

enum { DNS = 53, DNS_ASKED = 32, UDP = 17, TCP = 6 };

/* Well-known ports, and the role of those who listen there (0: none of ours). */
static const struct known {
	uint16_t port;
	unsigned role;
	const char *role_name, *what;
} known[] = {
	{ 22, 0, NULL, "SSH" },
	{ 25, 0, NULL, "mail" },
	{ 42, ROLE_WINS, "wins", "WINS" },
	{ 53, ROLE_DNS, "dns", "DNS" },
	{ 67, ROLE_DHCP, "dhcp", "DHCP" },
	{ 80, 0, NULL, "web" },
	{ 88, ROLE_KDC, "kdc", "Kerberos" },
	{ 123, ROLE_TIME | ROLE_KDC, "time or kdc", "time" },
	{ 135, ROLE_KDC | ROLE_POLICY_SERVER, "kdc or policy-server", "RPC" },
	{ 389, ROLE_KDC | ROLE_POLICY_SERVER, "kdc or policy-server", "LDAP" },
	{ 443, 0, NULL, "web" },
	{ 445, ROLE_KDC | ROLE_POLICY_SERVER, "kdc or policy-server", "SMB" },
	{ 464, ROLE_KDC, "kdc", "Kerberos password" },
	{ 514, 0, NULL, "syslog" },
	{ 636, ROLE_KDC | ROLE_POLICY_SERVER, "kdc or policy-server", "LDAP" },
	{ 3268, ROLE_KDC | ROLE_POLICY_SERVER, "kdc or policy-server", "global catalog" },
	{ 3389, 0, NULL, "remote desktop" },
};

static const struct known *known_port(struct port_range r)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (r.lo == known[i].port && r.hi == r.lo)
			return &known[i];
	return NULL;
}

/* How many of the policy's hosts in this end have the role, and how many have not. */
static void count_roles(const struct lint *l, const struct end *e, unsigned role, size_t *with, size_t *without)
{
	*with = *without = 0;
	for (size_t i = 0; i < l->host_count; i++)
		for (size_t k = 0; k < l->hosts[i].address_count; k++) {
			struct ends_who who = { &l->hosts[i], l->hosts[i].addresses[k].addr,
						l->hosts[i].addresses[k].prefix };

			if (!end_has(l->p, e, &who, &who, NULL))
				continue;
			(*(l->hosts[i].roles & role ? with : without))++;
			break;
		}
}

/* The port is at `near`. Do those who listen on it sit at `far`, and nobody else, while others sit at `near`? */
static bool servers_are_far(const struct lint *l, const struct known *k, const struct end *near, const struct end *far)
{
	size_t near_with, near_without, far_with, far_without;

	if (k->role) {
		count_roles(l, near, k->role, &near_with, &near_without);
		count_roles(l, far, k->role, &far_with, &far_without);
		if (far_with && !far_without && near_without)
			return true;
	}
	return lint_end_is_any(near) && !lint_end_is_any(far);
}

static const char *does(const struct rule *r)
{
	switch (r->mode) {
	case MODE_EXEMPT:
		return "exempts";
	case MODE_BLOCK:
		return "blocks";
	default:
		return "protects";
	}
}

static void port_at_wrong_end(struct lint *l, const struct rule *r, const struct service *s)
{
	bool at1 = port_given(s->port1);
	const struct known *k = known_port(at1 ? s->port1 : s->port2);
	struct place place = r->ports_place.file ? r->ports_place : r->place;
	unsigned near = at1 ? 1 : 2, far = at1 ? 2 : 1;
	struct finding *f;

	if (at1 == port_given(s->port2) || !k ||
	    !servers_are_far(l, k, at1 ? &r->end1 : &r->end2, at1 ? &r->end2 : &r->end1))
		return;
	f = report_add(l->r, SEVERITY_WARNING, "port-at-wrong-end", place, "'%s' %s port %u at endpoint %u", r->name,
		       does(r), k->port, near);
	if (k->role)
		finding_advise(f, "The machines with role %s are at endpoint %u.", k->role_name, far);
	else
		finding_advise(f, "Endpoint %u is anybody, and those who offer it will be at endpoint %u.", near, far);
	finding_advise(f, "As written, what clients ask of them by %s does not match; use port%u: %u.", k->what, far,
		       k->port);
}

static bool is_port(struct port_range r, uint16_t port)
{
	return r.lo == port && r.hi == port;
}

/* An exemption of UDP 53 alone, where TCP 53 of the same machines is not clear: long answers then fail. */
static void dns_udp_only(struct lint *l, const struct rule *r, const struct service *s, size_t *asked)
{
	bool at1 = is_port(s->port1, DNS);
	const struct end *servers, *clients;
	struct ends_who client, server;
	struct why_point point = { .protocol = TCP, .port = DNS, .icmp_type = -1, .icmp_code = -1 };
	size_t with, without;
	struct why_verdict v;
	struct finding *f;

	if (*asked >= DNS_ASKED)
		return;
	count_roles(l, at1 ? &r->end2 : &r->end1, ROLE_DNS, &with, &without);
	/* Whatever end the port is written at, ask those who answer questions. */
	servers = at1 && !(with && !without) ? &r->end1 : !at1 && with && !without ? &r->end1 : &r->end2;
	clients = servers == &r->end1 ? &r->end2 : &r->end1;
	if ((!lint_someone(l, servers, ROLE_DNS, 0, &server) && !lint_someone(l, servers, 0, 0, &server)) ||
	    !lint_someone(l, clients, 0, ROLE_DNS, &client))
		return;
	(*asked)++;
	point.from = client;
	point.to = server;
	if (why_judge(l->w, &point, &v, NULL) < 0 || v.cause != WHY_RULES || v.verdict == OUTCOME_CLEAR)
		return;
	f = report_add(l->r, SEVERITY_WARNING, "dns-udp-only", r->ports_place.file ? r->ports_place : r->place,
		       "'%s' exempts DNS over UDP only", r->name);
	finding_advise(f,
		       "Answers that are too long for UDP come over TCP, and tcp/53 is %s here%s%s%s. Use\n"
		       "traffic: [dns], which is both.",
		       outcome_name(v.verdict), v.rule ? " ('" : "", v.rule ? v.rule->name : "", v.rule ? "')" : "");
}

static bool has_tcp_dns(const struct rule *r)
{
	for (size_t i = 0; i < r->service_count; i++) {
		const struct service *s = &r->services[i];

		if ((s->protocol == TCP || s->protocol == PROTOCOL_ANY) &&
		    (is_port(s->port1, DNS) || is_port(s->port2, DNS)))
			return true;
	}
	return false;
}

void lint_ports(struct lint *l)
{
	size_t asked = 0;

	for (size_t i = 0; i < l->rule_count; i++) {
		const struct rule *r = &l->rules[i];
		bool wrong_said = false;

		for (size_t k = 0; k < r->service_count; k++) {
			const struct service *s = &r->services[k];

			if (!port_given(s->port1) && !port_given(s->port2))
				continue;
			if (!wrong_said) {
				size_t before = report_count(l->r, SEVERITY_WARNING);

				port_at_wrong_end(l, r, s);
				wrong_said = report_count(l->r, SEVERITY_WARNING) != before;
			}
			if (r->mode == MODE_EXEMPT && s->protocol == UDP && !has_tcp_dns(r) &&
			    (is_port(s->port1, DNS) || is_port(s->port2, DNS)))
				dns_udp_only(l, r, s, &asked);
		}
	}
}
