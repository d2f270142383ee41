/* daemon/host/profiles.h - which profile each interface is in: as the host's page says of the interface, or of the
 * zone that NetworkManager has put it into; or, where it leaves that open, domain while the directory answers over the
 * interface, and public otherwise. For host.c. */
#ifndef DAEMON_HOST_PROFILES_H
#define DAEMON_HOST_PROFILES_H
#include "daemon/host/host.h"

/* Fills in interfaces and profiles, from the places. homes may be NULL. */
void host_profiles(struct host_facts *f, const struct host_config *c, const struct host_homes *homes);
/* Does the page leave it to the directory for some interface, or some zone? */
bool host_profiles_open(const struct host_config *c);
/* Does it depend on more than the page? */
bool host_profiles_vary(const struct host_config *c);

/* The profile of one interface, and whose word that is. */
struct host_profile {
	unsigned profile; /* PROFILE_ bit */
	enum profile_source {
		PROFILE_BY_PAGE,
		PROFILE_BY_ZONE,
		PROFILE_BY_DIRECTORY,
		PROFILE_BY_DEFAULT, /* nobody's */
	} by;
	bool asked;                   /* the directory's word would count */
	bool zone_known;              /* the page says something of the zone */
	const struct zone_told *zone; /* or NULL: zones do not count here; points into the facts */
};
struct host_profile host_profile_of(const struct host_facts *f, const struct host_config *c,
				    const struct host_homes *homes, const char *interface);
const char *profile_source_name(enum profile_source by); /* "zone" */
/* Why it is in this profile, in words: "its connection is in zone home". */
enum { PROFILE_WHY_TEXT = 192 };
const char *host_profile_why(const struct host_profile *p, char buf[PROFILE_WHY_TEXT]);

/* Another answer of the directory, to this address, to what was asked at that time; true: that is news. An address that
 * is not on one interface alone makes no home. */
bool host_homes_add(struct host_homes *h, const struct host_facts *f, const struct addr *local,
		    const struct host_time *asked, uint64_t hold_ms);
/* Forget those whose time has come, those whose address or link is not as it was, and all when the machine has slept.
 * true: there was one. */
bool host_homes_drop(struct host_homes *h, const struct host_facts *f, const struct host_time *now);

#endif
