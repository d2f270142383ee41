/* daemon/sources/names.h - what this machine says of names: the resolvers of resolv.conf and the lines of hosts, read
 * from the descriptors that the parent hands over, since nothing can be opened in the cage. Pure but for reading them.
 */
#ifndef DAEMON_SOURCES_NAMES_H
#define DAEMON_SOURCES_NAMES_H
#include "base/addr.h"
#include "base/scope.h"
#include <stddef.h>

struct names;

enum { NAMES_FILE_MOST = 4 << 20, NAMES_SERVERS_MOST = 3, NAMES_ADDRESSES_MOST = 16, NAME_MOST = 254 };

/* Either text may be empty. Lines that mean nothing are passed over. */
struct names *names_parse(const char *resolv_conf, size_t resolv_len, const char *hosts, size_t hosts_len);
/* The same from two descriptors; what is no file, or too long, counts as empty. */
struct names *names_read(int resolv_conf, int hosts);
void names_free(struct names *n);
SCOPE_FREEP(struct names, names)

/* "10.0.0.1:53,[2001:db8::1]:53": as c-ares wants them. Without any: the resolver on this machine. */
const char *names_servers(const struct names *n);
/* The addresses that hosts gives a name, whatever its case; the number. */
size_t names_look_up(const struct names *n, const char *name, struct addr ret[NAMES_ADDRESSES_MOST]);

#endif
