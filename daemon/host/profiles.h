/* daemon/host/profiles.h - which profile each interface is in: as the host's page says, or, where it leaves that open,
 * domain while the directory answers over the interface, and public otherwise. For host.c. */
#ifndef DAEMON_HOST_PROFILES_H
#define DAEMON_HOST_PROFILES_H
#include "daemon/host/host.h"

/* Fills in interfaces and profiles, from the places. homes may be NULL. */
void host_profiles(struct host_facts *f, const struct host_config *c, const struct host_homes *homes);
/* Does the page leave it open for some interface? */
bool host_profiles_open(const struct host_config *c);

/* Another answer of the directory, to this address, to what was asked at that time; true: that is news. An address that
 * is not on one interface alone makes no home. */
bool host_homes_add(struct host_homes *h, const struct host_facts *f, const struct addr *local,
		    const struct host_time *asked, uint64_t hold_ms);
/* Forget those whose time has come, those whose address or link is not as it was, and all when the machine has slept.
 * true: there was one. */
bool host_homes_drop(struct host_homes *h, const struct host_facts *f, const struct host_time *now);

#endif
