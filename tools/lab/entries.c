#include "tools/lab/entries.h"

#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	RECORD_MOST = 64,
	TYPE_A = 1,
	TYPE_AAAA = 28,
	RECORD_VERSION = 5,
	RANK_ZONE = 0xf0,
	TTL_S = 900,
	AES_128_AND_256 = 24,
	WORKSTATION = 4096, /* userAccountControl of a machine's account */
	GROUPS_MOST = 256,
};

static void add_base64(struct str *out, const uint8_t *octets, size_t n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i;
		uint32_t three = (uint32_t)octets[i] << 16 | (left > 1 ? (uint32_t)octets[i + 1] << 8 : 0) |
				 (left > 2 ? octets[i + 2] : 0);

		str_addf(out, "%c%c%c%c", digits[three >> 18], digits[three >> 12 & 63],
			 left > 1 ? digits[three >> 6 & 63] : '=', left > 2 ? digits[three & 63] : '=');
	}
}

static void add_octets(struct str *out, const char *attribute, const void *octets, size_t n)
{
	str_addf(out, "%s:: ", attribute);
	add_base64(out, octets, n);
	str_add(out, "\n");
}

/* In base64, so that no name needs to be quoted. */
static void add_text(struct str *out, const char *attribute, const char *text)
{
	add_octets(out, attribute, text, strlen(text));
}

static void add_dn_of_group(const struct domain *m, struct str *out, const char *attribute, const char *group)
{
	SCOPED(str_wipe) struct str dn = { 0 };

	domain_add_group(m, group, &dn);
	add_text(out, attribute, str_text(&dn));
}

static void add_dn_of_computer(const struct domain *m, struct str *out, const char *attribute, const struct host *h)
{
	SCOPED(str_wipe) struct str dn = { 0 };

	domain_add_computer(m, h, &dn);
	add_text(out, attribute, str_text(&dn));
}

/* unicodePwd: in quotation marks, UTF-16 (MS-ADTS 3.1.1.3.1.5). Our passwords are ASCII. */
static void add_password(struct str *out, const char *password)
{
	uint8_t wide[2 * sizeof(struct entries_secret) + 4];
	size_t n = 0;

	wide[n++] = '"';
	wide[n++] = 0;
	for (size_t i = 0; password[i] && n + 4 <= sizeof wide; i++) {
		wide[n++] = (uint8_t)password[i];
		wide[n++] = 0;
	}
	wide[n++] = '"';
	wide[n++] = 0;
	add_octets(out, "unicodePwd", wide, n);
	explicit_bzero(wide, sizeof wide);
}

static void add_computer(const struct domain *m, const struct host *h, const char *password, struct str *out)
{
	char account[DOMAIN_ACCOUNT], name[DOMAIN_HOST], label[DOMAIN_ACCOUNT];

	domain_account(h, account);
	domain_host_name(m, h, name);
	(void)snprintf(label, sizeof label, "%.*s", (int)strcspn(name, "."), name);
	add_dn_of_computer(m, out, "dn", h);
	str_addf(out,
		 "objectClass: computer\nsAMAccountName: %s$\nuserAccountControl: %d\ndNSHostName: %s\n"
		 "servicePrincipalName: host/%s\nservicePrincipalName: host/%s\nmsDS-SupportedEncryptionTypes: %d\n",
		 account, WORKSTATION, name, name, label, AES_128_AND_256);
	add_password(out, password);
	str_add(out, "\n");
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

/* A record of dnsRecord (MS-DNSP 2.3.2.2). */
static void add_record(const struct addr *a, struct str *out)
{
	uint8_t r[RECORD_MOST] = { 0 };
	size_t n = addr_octets(a);

	r[0] = (uint8_t)n;
	r[2] = a->family == 6 ? TYPE_AAAA : TYPE_A;
	r[4] = RECORD_VERSION;
	r[5] = RANK_ZONE;
	r[8] = 1;           /* serial */
	r[14] = TTL_S >> 8; /* the only field in network order */
	r[15] = TTL_S & 0xff;
	memcpy(r + 24, a->octets, n);
	add_octets(out, "dnsRecord", r, 24 + n);
}

static void add_name(const struct domain *m, const struct host *h, struct str *out)
{
	char name[DOMAIN_HOST];

	domain_host_name(m, h, name);
	str_addf(out, "dn: DC=%.*s,DC=%s,CN=MicrosoftDNS,DC=DomainDnsZones,", (int)strcspn(name, "."), name, m->name);
	domain_add_base(m, out);
	str_add(out, "\nobjectClass: dnsNode\n");
	for (size_t i = 0; i < h->address_count; i++)
		add_record(&h->addresses[i].addr, out);
	str_add(out, "\n");
}

/* ---- groups ------------------------------------------------------------------------------------------------------ */

/* Those that every domain has, and keeps itself. */
static bool is_built_in(const char *group)
{
	return strcasecmp(group, "Domain Computers") == 0 || strcasecmp(group, "Domain Controllers") == 0;
}

static size_t find_groups(const struct domain *m, const char *ret[GROUPS_MOST])
{
	const struct group *groups;
	size_t count = policy_groups(m->policy, &groups), n = 0;

	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < groups[i].count && n < GROUPS_MOST; k++) {
			const struct group_member *g = &groups[i].members[k];
			const char *name = g->kind == MEMBER_DIRECTORY_GROUP ? domain_group_name(m, g->text) : NULL;
			size_t known = 0;

			while (name && known < n && strcasecmp(ret[known], name) != 0)
				known++;
			if (name && known == n && !is_built_in(name))
				ret[n++] = name;
		}
	return n;
}

static void add_group(const struct domain *m, const char *group, struct str *out)
{
	const struct host *hosts;
	size_t n = policy_hosts(m->policy, &hosts);

	add_dn_of_group(m, out, "dn", group);
	str_add(out, "objectClass: group\n");
	add_text(out, "sAMAccountName", group);
	for (size_t i = 0; i < n; i++)
		if (domain_has(m, &hosts[i]) && domain_group_has(m, group, &hosts[i]))
			add_dn_of_computer(m, out, "member", &hosts[i]);
	str_add(out, "\n");
}

void entries_all(const struct domain *m, const struct entries_secret *secrets, struct str *out)
{
	const char *groups[GROUPS_MOST];
	const struct host *hosts;
	size_t n = policy_hosts(m->policy, &hosts), count = find_groups(m, groups);

	for (size_t i = 0; i < n; i++) {
		if (&hosts[i] == m->controller)
			continue;
		if (domain_has(m, &hosts[i]))
			add_computer(m, &hosts[i], secrets[i].text, out);
		if (domain_can_name(&hosts[i]))
			add_name(m, &hosts[i], out);
	}
	for (size_t i = 0; i < count; i++)
		add_group(m, groups[i], out);
}

void entries_controller(const struct domain *m, struct str *out)
{
	char name[DOMAIN_HOST];

	domain_host_name(m, m->controller, name);
	add_dn_of_computer(m, out, "dn", m->controller);
	str_addf(out,
		 "changetype: modify\nadd: servicePrincipalName\nservicePrincipalName: ldap/%s\n"
		 "servicePrincipalName: ldap/%.*s\nservicePrincipalName: ldap/%s/%s\n-\n\n",
		 name, (int)strcspn(name, "."), name, name, m->name);
}

void entries_member(const struct domain *m, const char *group, const struct host *h, bool add, struct str *out)
{
	add_dn_of_group(m, out, "dn", group);
	str_addf(out, "changetype: modify\n%s: member\n", add ? "add" : "delete");
	add_dn_of_computer(m, out, "member", h);
	str_add(out, "-\n\n");
}

void entries_delete_group(const struct domain *m, const char *group, struct str *out)
{
	add_dn_of_group(m, out, "dn", group);
	str_add(out, "changetype: delete\n\n");
}
