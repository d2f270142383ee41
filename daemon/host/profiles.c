#include "daemon/host/profiles.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { HOST_SLEPT_MS = 500 };

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

static bool same_link(const struct host_place *a, const struct host_place *b)
{
	return a->index == b->index && a->carrier == b->carrier && a->carriers_lost == b->carriers_lost;
}

static bool is_home(const struct host_homes *h, const struct host_place *p)
{
	for (size_t i = 0; h && i < h->count; i++)
		if (addr_equal(&h->all[i].place.addr, &p->addr) && same_link(&h->all[i].place, p) && p->carrier)
			return true;
	return false;
}

bool host_facts_same_links(const struct host_facts *a, const struct host_facts *b)
{
	if (a->place_count != b->place_count)
		return false;
	for (size_t i = 0; i < a->place_count; i++)
		if (!addr_equal(&a->places[i].addr, &b->places[i].addr) || !same_link(&a->places[i], &b->places[i]))
			return false;
	return true;
}

static bool answered(const struct host_facts *f, const struct host_homes *homes, const char *name)
{
	for (size_t i = 0; i < f->place_count; i++)
		if (strcmp(f->places[i].interface, name) == 0 && is_home(homes, &f->places[i]))
			return true;
	return false;
}

bool host_profiles_open(const struct host_config *c)
{
	for (size_t i = 0; i < c->interface_count; i++)
		if (c->interfaces[i].automatic)
			return true;
	for (size_t i = 0; i < c->zone_count; i++)
		if (c->zones[i].automatic)
			return true;
	return c->interfaces_auto;
}

bool host_profiles_vary(const struct host_config *c)
{
	return host_profiles_open(c) || c->zone_count > 0;
}

/* ---- whose word counts ------------------------------------------------------------------------------------------- */

static const struct host_interface *named(const struct host_config *c, const char *name)
{
	for (size_t i = 0; i < c->interface_count; i++)
		if (strcmp(c->interfaces[i].name, name) == 0)
			return &c->interfaces[i];
	return NULL;
}

static const struct zone_told *told(const struct host_facts *f, const char *name)
{
	for (size_t i = 0; i < f->place_count; i++)
		if (strcmp(f->places[i].interface, name) == 0)
			return &f->places[i].zone;
	return NULL;
}

static const struct host_zone *meant(const struct host_config *c, const struct zone_told *zone)
{
	for (size_t i = 0; zone && zone->kind == ZONE_NAMED && i < c->zone_count; i++)
		if (strcmp(c->zones[i].name, zone->name) == 0)
			return &c->zones[i];
	return NULL;
}

/* The page's word on the interface, then the zone's, then what holds for all. Each may leave it to the directory. */
struct host_profile host_profile_of(const struct host_facts *f, const struct host_config *c,
				    const struct host_homes *homes, const char *interface)
{
	struct host_profile p = { .profile = PROFILE_PUBLIC, .by = PROFILE_BY_DEFAULT };
	const struct host_interface *i = named(c, interface);
	const struct host_zone *z = NULL;

	if (!i && c->zone_count)
		p.zone = told(f, interface);
	if (!i)
		z = meant(c, p.zone);
	p.zone_known = z != NULL;
	p.asked = i ? i->automatic : z ? z->automatic : c->interfaces_auto;
	if (p.asked && answered(f, homes, interface)) {
		p.profile = PROFILE_DOMAIN;
		p.by = PROFILE_BY_DIRECTORY;
	} else if (!p.asked && (i || z)) {
		p.profile = i ? i->profile : z->profile;
		p.by = i ? PROFILE_BY_PAGE : PROFILE_BY_ZONE;
	}
	return p;
}

const char *profile_source_name(enum profile_source by)
{
	static const char *const names[] = { [PROFILE_BY_PAGE] = "page",
					     [PROFILE_BY_ZONE] = "zone",
					     [PROFILE_BY_DIRECTORY] = "directory",
					     [PROFILE_BY_DEFAULT] = "default" };

	return names[by];
}

static const char *zone_words(const struct host_profile *p, char *buf, size_t size)
{
	static const char *const words[] = {
		[ZONE_UNASKED] = "",
		[ZONE_UNMANAGED] = "NetworkManager has no connection on it",
		[ZONE_LOST] = "the file of its connection is not found, or not root's alone",
		[ZONE_TWICE] = "two files of its connection name different zones",
		[ZONE_ODD] = "its connection's zone has a name that no zone can have",
		[ZONE_NONE] = "its connection names no zone",
	};

	if (!p->zone)
		return "";
	if (p->zone->kind != ZONE_NAMED)
		return words[p->zone->kind];
	(void)snprintf(buf, size, "its connection is in zone %s%s", p->zone->name,
		       p->zone_known ? "" : ", of which host.yaml says nothing");
	return buf;
}

const char *host_profile_why(const struct host_profile *p, char buf[PROFILE_WHY_TEXT])
{
	char zone_buf[PROFILE_WHY_TEXT / 2 + HOST_ZONE_TEXT];
	const char *zone = zone_words(p, zone_buf, sizeof zone_buf), *directory = "";

	if (p->by == PROFILE_BY_PAGE)
		return "host.yaml says so";
	if (p->asked)
		directory = p->by == PROFILE_BY_DIRECTORY ? "the directory answers over it"
							  : "no directory answers over it";
	(void)snprintf(buf, PROFILE_WHY_TEXT, "%s%s%s", zone, *zone && *directory ? "; " : "", directory);
	return *buf ? buf : "host.yaml does not name it";
}

void host_profiles(struct host_facts *f, const struct host_config *c, const struct host_homes *homes)
{
	for (size_t i = 0; i < c->interface_count; i++)
		add(f, c->interfaces[i].name, host_profile_of(f, c, homes, c->interfaces[i].name).profile);
	if (c->interfaces_auto || c->zone_count) {
		for (size_t i = 0; i < f->place_count; i++)
			add(f, f->places[i].interface, host_profile_of(f, c, homes, f->places[i].interface).profile);
		add(f, loopback, PROFILE_PUBLIC);
	}
	for (size_t i = 0; i < f->place_count; i++)
		f->profiles |= host_facts_profile(f, f->places[i].interface);
	if (!f->profiles && host_profiles_vary(c))
		f->profiles = PROFILE_PUBLIC;
}

void host_time_now(struct host_time *ret)
{
	struct timespec boot, awake;

	(void)clock_gettime(CLOCK_MONOTONIC, &awake);
	(void)clock_gettime(CLOCK_BOOTTIME, &boot);
	ret->boot_ms = (uint64_t)boot.tv_sec * 1000 + (uint64_t)boot.tv_nsec / 1000000;
	ret->slept_ms = ret->boot_ms - ((uint64_t)awake.tv_sec * 1000 + (uint64_t)awake.tv_nsec / 1000000);
}

void host_facts_swap_places(struct host_facts *a, struct host_facts *b)
{
	struct host_place *places = a->places;
	size_t count = a->place_count, cap = a->place_cap;

	a->places = b->places;
	a->place_count = b->place_count;
	a->place_cap = b->place_cap;
	b->places = places;
	b->place_count = count;
	b->place_cap = cap;
}

static const struct host_place *place_of(const struct host_facts *f, const struct addr *a)
{
	const struct host_place *found = NULL;

	for (size_t i = 0; i < f->place_count; i++)
		if (addr_equal(&f->places[i].addr, a)) {
			if (found)
				return NULL;
			found = &f->places[i];
		}
	return found;
}

bool host_homes_add(struct host_homes *h, const struct host_facts *f, const struct addr *local,
		    const struct host_time *asked, uint64_t hold_ms)
{
	const struct host_place *place = place_of(f, local);
	size_t at = 0;
	bool news;

	if (!place || !place->carrier)
		return false;
	while (at < h->count && !addr_equal(&h->all[at].place.addr, local))
		at++;
	if (at == HOST_HOMES_MOST)
		return false;
	news = at == h->count || !same_link(&h->all[at].place, place);
	h->all[at].place = *place;
	h->all[at].until_ms = asked->boot_ms + hold_ms;
	h->all[at].slept_ms = asked->slept_ms;
	h->count += at == h->count;
	return news;
}

/* The two clocks are not read at once. */
static bool has_slept(uint64_t before_ms, uint64_t now_ms)
{
	return now_ms > before_ms + HOST_SLEPT_MS;
}

bool host_homes_drop(struct host_homes *h, const struct host_facts *f, const struct host_time *now)
{
	size_t kept = 0, before = h->count;

	for (size_t i = 0; i < before; i++) {
		const struct host_place *place = place_of(f, &h->all[i].place.addr);

		if (h->all[i].until_ms > now->boot_ms && !has_slept(h->all[i].slept_ms, now->slept_ms) && place &&
		    place->carrier && same_link(place, &h->all[i].place))
			h->all[kept++] = h->all[i];
	}
	h->count = kept;
	return kept < before;
}
