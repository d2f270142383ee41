/* What this host knows and a plan keeps of it: what keywords mean here, and which interfaces are of which profile. */
#include "policy/compile/compile.h"

#include "base/mem.h"

#include <string.h>

void compiler_keep_facts(struct compiler *c)
{
	struct plan *p = c->plan;

	for (size_t k = 0; k < KEYWORDS; k++) {
		p->keywords[k].elements = c->keywords[k].elements;
		p->keywords[k].count = c->keywords[k].count;
		c->keywords[k].elements = NULL;
		c->keywords[k].count = 0;
	}
	if (!c->host->interface_count)
		return;
	p->interface_count = c->host->interface_count;
	p->interfaces = mem_copy(c->host->interfaces, p->interface_count * sizeof *p->interfaces);
}

size_t plan_item(const struct plan *p, const struct end_item *item, const struct addr_range **ret)
{
	if (item->set) {
		*ret = item->set->elements;
		return item->set->count;
	}
	*ret = p->keywords[item->keyword].elements;
	return p->keywords[item->keyword].count;
}

size_t plan_interfaces(const struct plan *p, const struct plan_interface **ret)
{
	*ret = p->interfaces;
	return p->interface_count;
}
