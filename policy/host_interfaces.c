#include "policy/host_interfaces.h"

#include "policy/policy.h"

#include <string.h>

enum { ITEMS_MOST = 256 };

/* The profile, or auto. */
static bool read_profile(const struct reading *rd, uint32_t node, const char *what, unsigned *ret, bool *ret_automatic)
{
	static const struct choice profiles[] = {
		{ "domain", PROFILE_DOMAIN },
		{ "private", PROFILE_PRIVATE },
		{ "public", PROFILE_PUBLIC },
		{ "auto", PROFILE_ALL },
	};
	unsigned profile;

	if (!read_choice(rd, node, what, profiles, ARRAY_LEN(profiles), &profile))
		return false;
	*ret_automatic = profile == PROFILE_ALL;
	*ret = profile == PROFILE_ALL ? PROFILE_PUBLIC : profile;
	return true;
}

/* A mapping of a bounded number of names. */
static bool begins(const struct reading *rd, uint32_t node, const char *key)
{
	if (yaml_at(rd->y, node)->count <= ITEMS_MOST)
		return true;
	read_error(rd, "too-many", node, "%s has over %d items", key, ITEMS_MOST);
	return false;
}

void host_interfaces_read(const struct reading *rd, uint32_t node, struct host_config *c)
{
	if (node_is(rd, node, "auto")) {
		c->interfaces_auto = true;
		return;
	}
	if (!read_pairs(rd, node, "interfaces:") || !begins(rd, node, "interfaces"))
		return;
	c->interfaces = arena_new(rd->memory, yaml_at(rd->y, node)->count, sizeof *c->interfaces);
	for (uint32_t i = pair_first(rd, node); i; i = pair_next(rd, i)) {
		struct host_interface *one = &c->interfaces[c->interface_count];

		if (!read_interface(rd, i, &one->name) ||
		    !read_profile(rd, pair_value(rd, i), "the profile of an interface", &one->profile, &one->automatic))
			continue;
		for (size_t k = 0; k < c->interface_count; k++)
			if (strcmp(c->interfaces[k].name, one->name) == 0)
				read_error(rd, "duplicate-key", i, "interface '%.60s' is there twice", one->name);
		c->interface_count++;
	}
}

static bool read_zone_name(const struct reading *rd, uint32_t node, const char **ret)
{
	const char *name;

	if (!read_string(rd, node, "the name of a zone", &name))
		return false;
	if (!host_zone_name_fits(name, strlen(name))) {
		read_error(rd, "bad-value", node,
			   "'%.80s' cannot be a zone: a name has up to %d letters, digits and signs of ASCII, no space",
			   name, HOST_ZONE_TEXT);
		return false;
	}
	*ret = name;
	return true;
}

void host_zones_read(const struct reading *rd, uint32_t node, struct host_config *c)
{
	if (!node_is_map(rd, node) || yaml_at(rd->y, node)->count == 0) {
		finding_advise(read_error(rd, "wrong-type", node,
					  "zones is a mapping of zones, as NetworkManager's connections name them, to "
					  "profiles"),
			       "such as zones: { home: private, work: auto }; leave it out if zones shall not count");
		return;
	}
	if (!begins(rd, node, "zones"))
		return;
	c->zones = arena_new(rd->memory, yaml_at(rd->y, node)->count, sizeof *c->zones);
	for (uint32_t i = pair_first(rd, node); i; i = pair_next(rd, i)) {
		struct host_zone *one = &c->zones[c->zone_count];

		if (!read_zone_name(rd, i, &one->name) ||
		    !read_profile(rd, pair_value(rd, i), "the profile of a zone", &one->profile, &one->automatic))
			continue;
		for (size_t k = 0; k < c->zone_count; k++)
			if (strcmp(c->zones[k].name, one->name) == 0)
				read_error(rd, "duplicate-key", i, "zone '%.60s' is there twice", one->name);
		c->zone_count++;
	}
}

bool host_zone_name_fits(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (name[i] <= ' ' || name[i] > '~')
			return false;
	return len > 0 && len <= HOST_ZONE_TEXT;
}
