/* tools/cli/networks.h - the networks that this machine is in, as `cordon init` wants to know them. Asks the kernel by
 * rtnetlink, which needs no root, and reads what resolvers and DHCP clients leave; changes nothing. */
#ifndef TOOLS_CLI_NETWORKS_H
#define TOOLS_CLI_NETWORKS_H
#include "base/addr.h"
#include "base/mem.h"
#include "base/servers.h"
#include <net/if.h>

struct diag;

enum { NETWORK_KIND = 16, NETWORK_HOST = 256 };

struct network_address {
	struct addr addr;
	uint8_t prefix;
	bool passing; /* of those that privacy extensions change, or that is to go */
};

struct network_interface {
	char name[IF_NAMESIZE];
	char kind[NETWORK_KIND]; /* what the kernel calls it: "bridge", "veth", "wireguard"; "" for hardware */
	uint32_t number, master; /* master: the bridge or bond that it is a port of; 0: none */
	bool loopback, point_to_point;
	struct network_address *addresses;
	size_t count, cap;
};

struct network_route {
	uint32_t interface;
	struct addr to; /* with prefix 0 its family counts */
	uint8_t prefix;
	struct addr gateway; /* family 0: none, what it leads to is on the link */
};

struct networks {
	char host[NETWORK_HOST]; /* the system's host name, without its domain */
	struct network_interface *interfaces;
	size_t interface_count, interface_cap;
	struct network_route *routes;
	size_t route_count, route_cap;
	struct servers servers;
	struct addr admin; /* whoever runs this by ssh speaks from there; family 0: nobody does */
	uint16_t admin_port;
};

int networks_read(struct networks *ret, struct diag *d);
/* "FROM PORT TO PORT", as SSH_CONNECTION has it: the first address and the last port. */
void networks_admin(struct networks *n, const char *ssh_connection);
void networks_wipe(struct networks *n);

#endif
