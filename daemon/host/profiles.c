#include "daemon/host/profiles.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

/* No rule speaks of it. Named beside what is automatic, since a host that names no interface has all profiles. */
static const char loopback[] = "lo";

static const struct plan_interface *find(const struct host_facts *f, const char *name)
{
	for (size_t i = 0; i < f->interface_count; i++)
		if (strcmp(f->interfaces[i].name, name) == 0)
			return &f->interfaces[i];
	return NULL;
}

unsigned host_facts_profile(const struct host_facts *f, const char *interface)
{
	const struct plan_interface *i = find(f, interface);

	if (f->interface_count == 0)
		return 0;
	return i ? i->profile : PROFILE_PUBLIC; /* the narrowest trust */
}

/* A name that is too long is no interface's. */
static void add(struct host_facts *f, const char *name, unsigned profile)
{
	struct plan_interface *to;

	if (!*name || strlen(name) >= sizeof to->name || find(f, name))
		return;
	f->interfaces = mem_grow(f->interfaces, f->interface_count, &f->interface_cap, sizeof *f->interfaces);
	to = &f->interfaces[f->interface_count++];
	*to = (struct plan_interface){ .profile = profile };
	(void)snprintf(to->name, sizeof to->name, "%s", name);
}

static bool is_home(const struct host_homes *h, const struct addr *a)
{
	for (size_t i = 0; h && i < h->count; i++)
		if (addr_equal(&h->all[i].local, a))
			return true;
	return false;
}

static unsigned learnt(const struct host_facts *f, const struct host_homes *homes, const char *name)
{
	for (size_t i = 0; i < f->place_count; i++)
		if (strcmp(f->places[i].interface, name) == 0 && is_home(homes, &f->places[i].addr))
			return PROFILE_DOMAIN;
	return PROFILE_PUBLIC;
}

bool host_profiles_open(const struct host_config *c)
{
	for (size_t i = 0; i < c->interface_count; i++)
		if (c->interfaces[i].automatic)
			return true;
	return c->interfaces_auto;
}

void host_profiles(struct host_facts *f, const struct host_config *c, const struct host_homes *homes)
{
	for (size_t i = 0; i < c->interface_count; i++) {
		const struct host_interface *one = &c->interfaces[i];

		add(f, one->name, one->automatic ? learnt(f, homes, one->name) : one->profile);
	}
	for (size_t i = 0; c->interfaces_auto && i < f->place_count; i++)
		add(f, f->places[i].interface, learnt(f, homes, f->places[i].interface));
	if (c->interfaces_auto)
		add(f, loopback, PROFILE_PUBLIC);
	for (size_t i = 0; i < f->place_count; i++)
		f->profiles |= host_facts_profile(f, f->places[i].interface);
	if (!f->profiles && host_profiles_open(c))
		f->profiles = PROFILE_PUBLIC;
}

bool host_homes_add(struct host_homes *h, const struct addr *local, uint64_t now_ms, uint64_t hold_ms)
{
	size_t at = 0;

	while (at < h->count && !addr_equal(&h->all[at].local, local))
		at++;
	if (at == HOST_HOMES_MOST)
		return false;
	h->all[at].local = *local;
	h->all[at].until_ms = now_ms + hold_ms;
	if (at < h->count)
		return false;
	h->count++;
	return true;
}

bool host_homes_drop(struct host_homes *h, const struct host_facts *f, uint64_t now_ms)
{
	size_t kept = 0, before = h->count;

	for (size_t i = 0; i < before; i++)
		if (h->all[i].until_ms > now_ms && host_facts_have(f, &h->all[i].local))
			h->all[kept++] = h->all[i];
	h->count = kept;
	return kept < before;
}
