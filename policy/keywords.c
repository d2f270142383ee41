#include "policy/keywords.h"

#include "base/mem.h"

void keyword_hosts(const struct policy *p, enum keyword k, struct address_set *ret)
{
	static const unsigned roles[KEYWORDS] = {
		[KEYWORD_DNS_SERVERS] = ROLE_DNS,
		[KEYWORD_DHCP_SERVERS] = ROLE_DHCP,
		[KEYWORD_WINS_SERVERS] = ROLE_WINS,
	};
	const struct host *hosts;
	size_t n = policy_hosts(p, &hosts), most = 0;

	for (size_t i = 0; roles[k] && i < n; i++)
		most += hosts[i].roles & roles[k] ? hosts[i].address_count + 1 : 0;
	if (most == 0)
		return;
	ret->elements = mem_resize(ret->elements, ret->count + most, sizeof *ret->elements);
	for (size_t i = 0; i < n; i++)
		for (size_t a = 0; (hosts[i].roles & roles[k]) && a < hosts[i].address_count; a++)
			ret->elements[ret->count++] =
				(struct addr_range){ hosts[i].addresses[a].addr, hosts[i].addresses[a].addr };
	for (size_t i = 0; i < n; i++)
		if ((hosts[i].roles & roles[k]) && hosts[i].nat_address.family)
			ret->elements[ret->count++] = (struct addr_range){ hosts[i].nat_address, hosts[i].nat_address };
}
