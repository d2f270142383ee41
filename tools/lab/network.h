/* tools/lab/network.h - the twin's network: one namespace a host and one, the wire, with a bridge that joins them all.
 * Every host reaches every address on its own link, whatever the subnets, so that any policy's addresses work. A host
 * with a `nat-address` stands behind a router, a namespace more, which changes its address on the way to the wire. */
#ifndef TOOLS_LAB_NETWORK_H
#define TOOLS_LAB_NETWORK_H
#include "base/scope.h"
#include <stddef.h>
#include <stdint.h>

struct diag;
struct host;
struct network;
struct wire_faults;

enum { NETWORK_HOSTS_MOST = 500 };

/* faults->bad: a relay (wire.h) takes the bridge's place. */
int network_new(const struct host *hosts, size_t count, const struct wire_faults *faults, struct network **ret,
		struct diag *d);
void network_free(struct network *n); /* every namespace goes once no process is in it */
SCOPE_FREEP(struct network, network)

size_t network_hosts(const struct network *n);
/* Descriptor of a host's namespace, good until network_free. */
int network_space(const struct network *n, size_t host);
int network_wire(const struct network *n);
/* The wire's interface that leads to the host: "w3". */
void network_port_name(size_t host, char ret[16]);
/* Every frame that the host sends has this address as its source. */
void network_mac(size_t host, uint8_t ret[6]);

/* Plug the hosts in; before this nothing was on the wire. */
int network_up(const struct network *n, struct diag *d);

#endif
