#include "tools/lab/domain.h"

#include "base/diag.h"
#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static void copy_as(char *to, size_t cap, const char *from, size_t n, int (*as)(int))
{
	size_t i = 0;

	for (; i < n && i + 1 < cap && from[i]; i++)
		to[i] = (char)as((unsigned char)from[i]);
	to[i] = '\0';
}

/* Who is to satisfy it has an account. */
static bool asks_account(const struct auth_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		if (set->methods[i].kind == AUTH_KERBEROS || set->methods[i].maps_account)
			return true;
	return false;
}

/* The one realm that the policy's authentication names; NULL: it asks for no Kerberos. */
static int find_realm(const struct policy *p, const char **ret, struct diag *d)
{
	const struct auth_set *sets;
	size_t n = policy_auth_sets(p, &sets);
	const char *realm = NULL;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < sets[i].count; k++) {
			const char *other = sets[i].methods[k].kind == AUTH_KERBEROS ? sets[i].methods[k].realm : NULL;

			if (other && realm && strcasecmp(other, realm) != 0)
				return diag_fail(d, EINVAL,
						 "the policy asks for Kerberos of %s and of %s: the lab has one domain "
						 "controller, so of one realm",
						 realm, other);
			realm = other ? other : realm;
		}
	*ret = realm;
	return 0;
}

/* Names that are no host's in DNS cannot be in the directory. */
static bool is_label(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)text[i]) && text[i] != '-' && text[i] != '_')
			return false;
	return n > 0;
}

bool domain_can_name(const struct host *h)
{
	return is_label(h->name, strcspn(h->name, "."));
}

static int check_names(const struct domain *m, struct diag *d)
{
	const struct host *hosts;
	size_t n = policy_hosts(m->policy, &hosts);

	for (const char *at = m->realm; *at; at += strcspn(at, ".") + (at[strcspn(at, ".")] == '.'))
		if (!is_label(at, strcspn(at, ".")))
			return diag_fail(d, EINVAL, "the realm %s is no name of a domain", m->realm);
	for (size_t i = 0; i < n; i++) {
		char account[DOMAIN_ACCOUNT], other[DOMAIN_ACCOUNT];

		if (!domain_has(m, &hosts[i]))
			continue;
		if (!domain_can_name(&hosts[i]))
			return diag_fail(d, EINVAL,
					 "host %s: a machine of the domain has a name of letters, digits and -",
					 hosts[i].name);
		domain_account(&hosts[i], account);
		for (size_t k = 0; k < i; k++) {
			domain_account(&hosts[k], other);
			if (domain_has(m, &hosts[k]) && strcmp(account, other) == 0)
				return diag_fail(d, EINVAL, "hosts %s and %s would have the same account %s$",
						 hosts[k].name, hosts[i].name, account);
		}
	}
	return 0;
}

/* From a directory group that says it, else the realm's first label. */
static void find_netbios(struct domain *m)
{
	const struct group *groups;
	size_t n = policy_groups(m->policy, &groups);

	copy_as(m->netbios, sizeof m->netbios, m->realm, strcspn(m->realm, "."), toupper);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < groups[i].count; k++) {
			const struct group_member *g = &groups[i].members[k];
			const char *slash = g->kind == MEMBER_DIRECTORY_GROUP ? strchr(g->text, '\\') : NULL;

			if (slash && is_label(g->text, (size_t)(slash - g->text))) {
				copy_as(m->netbios, sizeof m->netbios, g->text, (size_t)(slash - g->text), toupper);
				return;
			}
		}
}

int domain_of(const struct policy *p, struct domain *ret, struct diag *d)
{
	struct domain m = { .policy = p };
	const struct host *hosts;
	size_t n = policy_hosts(p, &hosts);
	const char *realm = NULL;
	int e;

	if ((e = find_realm(p, &realm, d)) < 0)
		return e;
	for (size_t i = 0; realm && i < n && !m.controller; i++)
		if ((hosts[i].roles & ROLE_KDC) && hosts[i].address_count) {
			m.controller = &hosts[i];
			m.controller_index = i;
			m.address = hosts[i].addresses[0].addr;
			m.dns = hosts[i].roles & ROLE_DNS;
		}
	if (m.controller) {
		if (strlen(realm) >= sizeof m.realm)
			return diag_fail(d, ENAMETOOLONG, "the realm %s", realm);
		copy_as(m.realm, sizeof m.realm, realm, sizeof m.realm, toupper);
		copy_as(m.name, sizeof m.name, realm, sizeof m.name, tolower);
		find_netbios(&m);
		if ((e = check_names(&m, d)) < 0)
			return e;
	}
	*ret = m;
	return 0;
}

/* A group that only a directory knows. */
static const char *directory_group(const struct policy *p)
{
	const struct group *groups;
	size_t n = policy_groups(p, &groups);

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < groups[i].count; k++)
			if (groups[i].members[k].kind == MEMBER_DIRECTORY_GROUP)
				return groups[i].members[k].text;
	return NULL;
}

bool domain_lacks(const struct domain *m, struct str *out)
{
	const struct auth_set *sets;
	size_t n = policy_auth_sets(m->policy, &sets);
	const char *realm = NULL, *group = directory_group(m->policy);
	bool maps = false;

	if (m->controller)
		return false;
	(void)find_realm(m->policy, &realm, NULL);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < sets[i].count; k++)
			maps = maps || sets[i].methods[k].maps_account;
	if (realm)
		str_addf(out,
			 "the policy asks for Kerberos of %s and no host of it has the role kdc, so the lab has no "
			 "directory and nobody gets a ticket: give a host 'roles: [dns, kdc]'",
			 realm);
	else if (maps || group)
		str_addf(out,
			 "the policy asks a directory %s%s, and the lab has none, so nobody is in a group of it: it "
			 "makes one where a set has 'kerberos: { realm: ... }' and a host has 'roles: [dns, kdc]'",
			 group ? "who is in " : "whose account a certificate stands for", group ? group : "");
	return realm || maps || group;
}

bool domain_has(const struct domain *m, const struct host *h)
{
	const struct auth_set *sets;
	size_t n = policy_auth_sets(m->policy, &sets);

	if (!m->controller)
		return false;
	if (h == m->controller || h->group_count)
		return true;
	for (size_t i = 0; i < h->credential_count; i++)
		if (asks_account(h->credentials[i]))
			return true;
	for (size_t i = 0; !h->credentials && h->agent != AGENT_NONE && i < n; i++)
		if (asks_account(&sets[i]))
			return true;
	return false;
}

void domain_account(const struct host *h, char ret[DOMAIN_ACCOUNT])
{
	copy_as(ret, DOMAIN_ACCOUNT, h->name, strcspn(h->name, "."), toupper);
}

void domain_host_name(const struct domain *m, const struct host *h, char ret[DOMAIN_HOST])
{
	char label[DOMAIN_ACCOUNT];

	copy_as(label, sizeof label, h->name, strcspn(h->name, "."), tolower);
	(void)snprintf(ret, DOMAIN_HOST, "%s.%s", label, m->name);
}

const char *domain_group_name(const struct domain *m, const char *text)
{
	const char *slash = strchr(text, '\\');
	size_t n = slash ? (size_t)(slash - text) : 0;

	if (!slash)
		return text;
	return strlen(m->netbios) == n && strncasecmp(text, m->netbios, n) == 0 ? slash + 1 : NULL;
}

static bool leads_to(const struct domain *m, const struct group *g, const char *name)
{
	for (size_t i = 0; i < g->count; i++) {
		const struct group_member *one = &g->members[i];
		const char *own = one->kind == MEMBER_DIRECTORY_GROUP ? domain_group_name(m, one->text) : NULL;

		if ((own && strcasecmp(own, name) == 0) || (one->kind == MEMBER_GROUP && leads_to(m, one->group, name)))
			return true;
	}
	return false;
}

bool domain_group_has(const struct domain *m, const char *group, const struct host *h)
{
	for (size_t i = 0; i < h->group_count; i++)
		if (leads_to(m, h->groups[i], group))
			return true;
	return false;
}

/* ---- distinguished names ----------------------------------------------------------------------------------------- */

/* RFC 4514 2.4 */
static void add_value(struct str *out, const char *text)
{
	for (size_t i = 0; text[i]; i++) {
		bool end = i == 0 || !text[i + 1];

		str_addf(out, "%s%c",
			 strchr(",+\"\\<>;=", text[i]) || (end && (text[i] == ' ' || text[i] == '#')) ? "\\" : "",
			 text[i]);
	}
}

void domain_add_base(const struct domain *m, struct str *out)
{
	for (const char *at = m->name; *at;) {
		size_t n = strcspn(at, ".");

		str_addf(out, "%sDC=%.*s", at == m->name ? "" : ",", (int)n, at);
		at += n + (at[n] == '.');
	}
}

void domain_add_computer(const struct domain *m, const struct host *h, struct str *out)
{
	char account[DOMAIN_ACCOUNT];

	domain_account(h, account);
	str_addf(out, "CN=%s,%s,", account, h == m->controller ? "OU=Domain Controllers" : "CN=Computers");
	domain_add_base(m, out);
}

void domain_add_group(const struct domain *m, const char *group, struct str *out)
{
	str_add(out, "CN=");
	add_value(out, group);
	str_add(out, ",CN=Users,");
	domain_add_base(m, out);
}
