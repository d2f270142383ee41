#include "analysis/ends.h"

#include "base/scope.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

unsigned ends_keyword_role(enum keyword k)
{
	switch (k) {
	case KEYWORD_DNS_SERVERS:
		return ROLE_DNS;
	case KEYWORD_DHCP_SERVERS:
		return ROLE_DHCP;
	case KEYWORD_WINS_SERVERS:
		return ROLE_WINS;
	default:
		return 0;
	}
}

struct ends_who ends_who(const struct policy *p, const struct addr *a)
{
	struct ends_who who = { .host = policy_host_by_address(p, a), .addr = *a, .prefix = -1 };

	for (size_t i = 0; who.host && i < who.host->address_count; i++)
		if (addr_equal(&who.host->addresses[i].addr, a))
			who.prefix = who.host->addresses[i].prefix;
	return who;
}

static struct addr_range all_of(uint8_t family)
{
	struct addr zero = { .family = family };

	return addr_prefix_range(&zero, 0);
}

static bool keyword_has(enum keyword k, const struct ends_who *who, const struct ends_who *owner,
			struct addr_range *ret)
{
	unsigned role = ends_keyword_role(k);

	*ret = (struct addr_range){ who->addr, who->addr };
	if (role)
		return who->host && (who->host->roles & role);
	switch (k) {
	case KEYWORD_ANY:
		*ret = all_of(who->addr.family);
		return true;
	case KEYWORD_SELF:
		return who->host ? who->host == owner->host : addr_equal(&who->addr, &owner->addr);
	case KEYWORD_LOCAL_SUBNET:
		if (owner->prefix < 0 || owner->addr.family != who->addr.family)
			return false;
		*ret = addr_prefix_range(&owner->addr, (unsigned)owner->prefix);
		return addr_range_has(ret, &who->addr);
	default:
		return false; /* default-gateway: only the host itself knows it */
	}
}

bool end_has(const struct policy *p, const struct end *e, const struct ends_who *who, const struct ends_who *owner,
	     struct addr_range *ret)
{
	struct addr_range best = { 0 }, r;
	bool found = false;

	(void)p;
	for (size_t i = 0; i < e->count; i++) {
		const struct end_item *item = &e->items[i];

		if (!item->set) {
			if (keyword_has(item->keyword, who, owner, &r) &&
			    (!found || addr_range_count(&r) < addr_range_count(&best))) {
				best = r;
				found = true;
			}
			continue;
		}
		for (size_t k = 0; k < item->set->count; k++) {
			const struct addr_range *element = &item->set->elements[k];

			if (addr_compare(&element->lo, &who->addr) > 0)
				break; /* sorted: the rest begins behind it */
			if (addr_range_has(element, &who->addr) &&
			    (!found || addr_range_count(element) < addr_range_count(&best))) {
				best = *element;
				found = true;
			}
		}
	}
	if (found && ret)
		*ret = best;
	return found;
}

/* A pattern is a glob on one part of a subject ("CN=srv*"), on the whole of it, or on an alternative name. */
static bool pattern_fits(const char *pattern, const char *name)
{
	char subject[260];

	(void)snprintf(subject, sizeof subject, "CN=%.250s", name);
	return fnmatch(pattern, subject, 0) == 0 || fnmatch(pattern, name, 0) == 0;
}

enum { GROUPS_DEEP = 32 }; /* the loader refuses cycles; this bounds us whatever it does */

static bool group_has_at(const struct group *g, const struct host *h, unsigned depth)
{
	for (size_t i = 0; i < h->group_count; i++)
		if (h->groups[i] == g)
			return true;
	for (size_t i = 0; i < g->count && depth < GROUPS_DEEP; i++) {
		const struct group_member *m = &g->members[i];

		if ((m->kind == MEMBER_HOST && m->host == h) ||
		    (m->kind == MEMBER_GROUP && group_has_at(m->group, h, depth + 1)) ||
		    (m->kind == MEMBER_CERTIFICATE && pattern_fits(m->text, h->name)))
			return true;
	}
	return false;
}

bool group_has(const struct group *g, const struct host *h)
{
	return h && group_has_at(g, h, 0);
}

static bool tells_account(const struct auth_method *m)
{
	return m && (m->kind == AUTH_KERBEROS || (m->kind == AUTH_CERTIFICATE && m->maps_account));
}

bool member_told_by(const struct group_member *m, const struct auth_method *proof)
{
	switch (m->kind) {
	case MEMBER_DIRECTORY_GROUP:
	case MEMBER_SID:
		return tells_account(proof);
	case MEMBER_CERTIFICATE:
		return proof && proof->kind == AUTH_CERTIFICATE;
	case MEMBER_HOST:
	case MEMBER_GROUP:
		return true;
	}
	return false;
}

/* claimed: the policy says of the host that it is in this group, so what the proof tells of will be as it says. */
static enum belongs belongs_at(const struct group *g, const struct host *h, const struct auth_method *proof,
			       bool claimed, unsigned depth)
{
	enum belongs best = BELONGS_NO;

	for (size_t i = 0; h && i < h->group_count; i++)
		claimed |= h->groups[i] == g;
	for (size_t i = 0; i < g->count && depth < GROUPS_DEEP; i++) {
		const struct group_member *m = &g->members[i];
		enum belongs is = BELONGS_NO;

		if (m->kind == MEMBER_GROUP)
			is = belongs_at(m->group, h, proof, claimed, depth + 1);
		else if (!member_told_by(m, proof))
			is = BELONGS_MAYBE;
		else if (m->kind == MEMBER_HOST
				 ? m->host == h
				 : claimed || (h && m->kind == MEMBER_CERTIFICATE && pattern_fits(m->text, h->name)))
			is = BELONGS_YES;
		best = is > best ? is : best;
	}
	return best;
}

enum belongs group_belongs(const struct group *g, const struct host *h, const struct auth_method *proof)
{
	return belongs_at(g, h, proof, false, 0);
}

enum belongs groups_belong(const struct group *const *groups, size_t n, const struct host *h,
			   const struct auth_method *proof)
{
	enum belongs best = BELONGS_NO;

	for (size_t i = 0; i < n; i++) {
		enum belongs is = group_belongs(groups[i], h, proof);

		best = is > best ? is : best;
	}
	return best;
}

static bool names_have(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

enum belongs groups_known(const struct group *const *groups, size_t n, const struct known_groups *k)
{
	enum belongs best = BELONGS_NO;

	for (size_t i = 0; i < n && best != BELONGS_YES; i++)
		if (names_have(k->in, k->in_count, groups[i]->name))
			best = BELONGS_YES;
		else if (names_have(k->may, k->may_count, groups[i]->name))
			best = BELONGS_MAYBE;
	return best;
}
