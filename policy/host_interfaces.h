/* policy/host_interfaces.h - the keys interfaces and zones of a host's page: which network profile an interface is in.
 * For host_config.c. */
#ifndef POLICY_HOST_INTERFACES_H
#define POLICY_HOST_INTERFACES_H
#include "policy/host_config.h"
#include "policy/load/read.h"

void host_interfaces_read(const struct reading *rd, uint32_t node, struct host_config *c);
void host_zones_read(const struct reading *rd, uint32_t node, struct host_config *c);

#endif
