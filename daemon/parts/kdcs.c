#include "daemon/parts/kdcs.h"

#include "base/mem.h"
#include "daemon/messages/kdc_wire.h"
#include "daemon/parts/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)HOST_REALMS_MOST < (int)KDC_REALMS_MOST && (int)HOST_KDCS_MOST <= (int)KDC_ADDRESSES_MOST &&
		       (int)HOST_REALM_TEXT < (int)KDC_REALM,
	       "all that a page names is told");

static void add_page(const struct host_config *c, struct kdc_realms *m)
{
	for (size_t i = 0; i < c->realm_count; i++) {
		struct kdc_realm *r = &m->all[m->count++];

		(void)snprintf(r->name, sizeof r->name, "%s", c->realms[i].name);
		for (; r->count < c->realms[i].kdc_count; r->count++)
			r->kdcs[r->count] = c->realms[i].kdcs[r->count];
	}
}

static void add_policy(const struct policy *p, struct kdc_realms *m)
{
	struct kdc_realm *any = &m->all[m->count];
	const struct host *hosts;
	size_t n = policy_hosts(p, &hosts);

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; hosts[i].roles & ROLE_KDC && k < hosts[i].address_count; k++)
			if (any->count < KDC_ADDRESSES_MOST)
				any->kdcs[any->count++] = hosts[i].addresses[k].addr;
	m->count += any->count > 0;
}

void kdcs_tell(const struct daemon *d, struct channel *c)
{
	struct kdc_realms *m;

	if (!c && d->children)
		c = parts_channel(d, ROLE_SOURCES);
	if (!c)
		return;
	m = mem_new(1, sizeof *m);
	if (d->config)
		add_page(d->config, m);
	if (d->policy)
		add_policy(d->policy, m);
	kdc_put_realms(channel_begin(c, ASK_KDCS), m);
	channel_end(c);
	free(m);
}
