/* base/servers.h - the servers that a machine was told of: what resolvers and DHCP clients leave in files. */
#ifndef BASE_SERVERS_H
#define BASE_SERVERS_H
#include "base/addr.h"

enum server_kind { SERVER_DNS, SERVER_DHCP, SERVER_WINS, SERVER_KINDS };
enum { SERVERS_MOST = 64 };

/* Each address once, in the order of the files; further ones are left out. */
struct servers {
	struct addr all[SERVER_KINDS][SERVERS_MOST];
	size_t counts[SERVER_KINDS];
};

/* root: prefix of the files that are read, NULL: none. Loopback, link-local and multicast addresses do not count: a
 * resolver on the machine itself asks others in its turn. A file that is not there says nothing. */
void servers_read(const char *root, struct servers *ret);

#endif
