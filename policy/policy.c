#include "policy/model.h"

#include <stdlib.h>
#include <string.h>

const char *outcome_name(enum outcome o)
{
	static const char *const names[] = {
		[OUTCOME_CLEAR] = "clear",
		[OUTCOME_AUTHENTICATED] = "authenticated",
		[OUTCOME_ENCRYPTED] = "encrypted",
		[OUTCOME_BLOCKED] = "blocked",
	};

	return names[o];
}

const char *rule_modules_name(unsigned modules)
{
	return modules == (MODULE_IKEV2 | MODULE_IKEV1) ? "[ikev2, ikev1]"
	       : modules == MODULE_IKEV1                ? "ikev1"
							: "ikev2";
}

const char *rule_mode_name(enum rule_mode m)
{
	static const char *const names[] = {
		[MODE_REQUIRE] = "require", [MODE_REQUIRE_INBOUND] = "require-inbound",
		[MODE_REQUEST] = "request", [MODE_EXEMPT] = "exempt",
		[MODE_BLOCK] = "block",
	};

	return names[m];
}

const char *keyword_name(enum keyword k)
{
	static const char *const names[KEYWORDS] = {
		[KEYWORD_ANY] = "any",
		[KEYWORD_SELF] = "self",
		[KEYWORD_LOCAL_SUBNET] = "local-subnet",
		[KEYWORD_DNS_SERVERS] = "dns-servers",
		[KEYWORD_DHCP_SERVERS] = "dhcp-servers",
		[KEYWORD_DEFAULT_GATEWAY] = "default-gateway",
		[KEYWORD_WINS_SERVERS] = "wins-servers",
	};

	return names[k];
}

struct policy *policy_ref(const struct policy *p)
{
	struct policy *shared = (struct policy *)(uintptr_t)p; /* immutable but for its count */

	atomic_fetch_add(&shared->references, 1);
	return shared;
}

void policy_free(struct policy *p)
{
	if (!p || atomic_fetch_sub(&p->references, 1) > 1)
		return;
	names_wipe(&p->names);
	names_wipe(&p->traffic);
	arena_wipe(&p->memory);
	free(p->sets);
	free(p->path);
	free(p);
}

#define LISTS(function, type, member) \
	size_t function(const struct policy *p, const struct type **ret) \
	{ \
		*ret = p->member##s; \
		return p->member##_count; \
	}

LISTS(policy_rules, rule, rule)
LISTS(policy_hosts, host, host)
LISTS(policy_zones, address_set, zone)
LISTS(policy_auth_sets, auth_set, auth_set)
LISTS(policy_protection_sets, protection_set, protection_set)
LISTS(policy_key_exchange_sets, key_exchange_set, key_exchange_set)
LISTS(policy_groups, group, group)
LISTS(policy_firewalls, firewall, firewall)
LISTS(policy_tests, policy_test, test)

size_t policy_firewall_rule_count(const struct policy *p)
{
	size_t count = 0;

	for (size_t i = 0; i < p->firewall_count; i++)
		count += p->firewalls[i].count;
	return count;
}

const struct rule *policy_rule_at(const struct policy *p, uint32_t index)
{
	if (index < p->rule_count)
		return &p->rules[index];
	index -= (uint32_t)p->rule_count;
	return index < p->stand_in_count ? &p->stand_ins[index] : NULL;
}

size_t policy_address_sets(const struct policy *p, const struct address_set *const **ret)
{
	*ret = (const struct address_set *const *)p->sets;
	return p->set_count;
}

unsigned policy_exemptions(const struct policy *p)
{
	return p->exemptions;
}

enum nat_traversal policy_nat_traversal(const struct policy *p)
{
	return p->nat_traversal;
}

enum encapsulation policy_encapsulation(const struct policy *p)
{
	return p->encapsulation;
}

bool policy_is_imported(const struct policy *p)
{
	return p->imported;
}

const char *policy_path(const struct policy *p)
{
	return p->path;
}

const struct host *policy_host_by_name(const struct policy *p, const char *name)
{
	const struct name *n = names_find(&p->names, name, strlen(name));

	return n && n->kind == NAME_HOST ? n->value : NULL;
}

const struct address_set *policy_zone_by_name(const struct policy *p, const char *name)
{
	const struct name *n = names_find(&p->names, name, strlen(name));

	return n && n->kind == NAME_ZONE ? n->value : NULL;
}

const struct host *policy_host_by_address(const struct policy *p, const struct addr *a)
{
	size_t lo = 0, hi = p->by_address_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = addr_compare(a, &p->by_address[mid].addr);

		if (c == 0)
			return p->by_address[mid].host;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

const struct host *policy_host_behind(const struct policy *p, const struct addr *nat_address)
{
	const struct host *hosts, *found = NULL;
	size_t n = policy_hosts(p, &hosts);

	for (size_t i = 0; i < n; i++) {
		if (!hosts[i].nat_address.family || !addr_equal(&hosts[i].nat_address, nat_address))
			continue;
		if (found)
			return NULL;
		found = &hosts[i];
	}
	return found;
}

void policy_add_set(struct policy *p, struct address_set *s)
{
	s->number = (uint32_t)p->set_count;
	p->sets = mem_grow(p->sets, p->set_count, &p->set_cap, sizeof(struct address_set *));
	p->sets[p->set_count++] = s;
}
