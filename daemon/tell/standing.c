#include "daemon/tell/standing.h"

#include <stdio.h>
#include <string.h>

static const char *say(char buf[STANDING_TEXT], const char *format, const char *name)
{
	(void)snprintf(buf, STANDING_TEXT, format, name);
	return buf;
}

/* "domain or private" */
static const char *profiles_text(unsigned profiles, char buf[64])
{
	static const struct {
		unsigned bit;
		const char *name;
	} names[] = { { PROFILE_DOMAIN, "domain" }, { PROFILE_PRIVATE, "private" }, { PROFILE_PUBLIC, "public" } };
	size_t len = 0;

	*buf = '\0';
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (profiles & names[i].bit)
			len += (size_t)snprintf(buf + len, 64 - len, "%s%s", len ? " or " : "", names[i].name);
	return buf;
}

/* Of its own interface, or of those that have an address. A page that names none has all profiles everywhere. */
static unsigned profiles_here(const struct standing *s, const struct firewall_rule *r)
{
	unsigned here = !s->facts ? 0 : r->interface ? host_facts_profile(s->facts, r->interface) : s->facts->profiles;

	return here ? here : PROFILE_ALL;
}

const char *standing_why(const struct standing *s, const struct firewall_rule *r, const char **ret_interface,
			 char buf[STANDING_TEXT])
{
	char names[64];

	*ret_interface = NULL;
	if (r->interface && !s->exists(r->interface)) {
		*ret_interface = r->interface;
		return say(buf, "there is no interface %s", r->interface);
	}
	if (s->disabled)
		return "protection is disabled";
	if (!(profiles_here(s, r) & r->profiles) && r->interface)
		return say(buf, "its interface is not in the profile %s", profiles_text(r->profiles, names));
	if (!(profiles_here(s, r) & r->profiles))
		return say(buf, "no interface is in the profile %s", profiles_text(r->profiles, names));
	if (r->program && !s->tells_programs)
		return "programs cannot be told apart here: that takes control groups of version 2, Linux 5.13 and an "
		       "nftables that knows them";
	if (r->program && !s->has_program)
		return say(buf, "there is no control group %.300s: it does not run", r->program);
	return "";
}
