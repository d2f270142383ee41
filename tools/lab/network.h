/* tools/lab/network.h - the twin's network: one namespace a host and one, the wire, with a bridge that joins them all.
 * Every host reaches every address on its own link, whatever the subnets, so that any policy's addresses work. A host
 * with a `nat-address` stands behind a router, a namespace more, which changes its address on the way to the wire. */
#ifndef TOOLS_LAB_NETWORK_H
#define TOOLS_LAB_NETWORK_H
#include "base/scope.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct diag;
struct host;
struct network;
struct wire_faults;

enum { NETWORK_HOSTS_MOST = 500 };

/* faults->bad: a relay (wire.h) takes the bridge's place. */
/* behind: for each host the number of its gateway, or BEHIND_NOBODY; copied. */
int network_new(const struct host *hosts, size_t count, const int *behind, const struct wire_faults *faults,
		struct network **ret, struct diag *d);
/* Ends whoever runs there; every namespace then goes. */
void network_free(struct network *n);
SCOPE_FREEP(struct network, network)

size_t network_hosts(const struct network *n);
/* Descriptor of a host's namespace, good until network_free. */
int network_space(const struct network *n, size_t host);
/* The namespace in which the interface is that leads to the host: the wire's, or its gateway's. */
int network_port_space(const struct network *n, size_t host);
bool network_is_behind(const struct network *n, size_t host);
int network_wire(const struct network *n);
/* The wire's interface that leads to the host: "w3". */
void network_port_name(size_t host, char ret[16]);
/* Every frame that the host sends has this address as its source. */
void network_mac(size_t host, uint8_t ret[6]);

/* Plug the hosts in; before this nothing was on the wire. */
int network_up(const struct network *n, struct diag *d);

#endif
