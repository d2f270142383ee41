/* daemon/host/profiles.h - which profile each interface is in: as the host's page says, or, where it leaves that open,
 * domain while the directory answers over the interface, and public otherwise. For host.c. */
#ifndef DAEMON_HOST_PROFILES_H
#define DAEMON_HOST_PROFILES_H
#include "daemon/host/host.h"

/* Fills in interfaces and profiles, from the places. homes may be NULL. */
void host_profiles(struct host_facts *f, const struct host_config *c, const struct host_homes *homes);
/* Does the page leave it open for some interface? */
bool host_profiles_open(const struct host_config *c);

/* Another answer of the directory, to this address; true: that is news. */
bool host_homes_add(struct host_homes *h, const struct addr *local, uint64_t now_ms, uint64_t hold_ms);
/* Forget those whose time has come, and those that are no more our own. true: there was one. */
bool host_homes_drop(struct host_homes *h, const struct host_facts *f, uint64_t now_ms);

#endif
