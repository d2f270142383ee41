/* dataplane/esp/open.h - what the userspace plane works on: the TUN device, raw sockets for ESP and AH, and a socket
 * that asks for the way to a peer. Opened by who has the rights (CAP_NET_ADMIN, CAP_NET_RAW) in its own network
 * namespace, and handed to the plane, which may be a process that has none. */
#ifndef DATAPLANE_ESP_OPEN_H
#define DATAPLANE_ESP_OPEN_H
#include <stdint.h>

struct diag;
struct share;

enum esp_fd {
	ESP_FD_TUN,
	ESP_FD_RAW4, /* ESP, and all that is sent */
	ESP_FD_RAW6,
	ESP_FD_AH4,
	ESP_FD_AH6,
	ESP_FD_TOO_BIG6, /* hears nothing before the plane binds it, when AH first goes out in IPv6 */
	ESP_FD_ROUTE,    /* rtnetlink, for questions only */
	ESP_FD_COUNT
};

struct esp_fds {
	int fd[ESP_FD_COUNT]; /* -1: there is none, as on a kernel without IPv6 */
};

struct esp_fds esp_fds_none(void);
/* All but the TUN (keeper.h), with the mark of our own packets. Errors say what is missing. */
int esp_fds_open(uint32_t own_mark, struct esp_fds *ret, struct diag *d);
/* Those of one plane of several: they receive its share of SPIs. */
int esp_fds_share(const struct esp_fds *f, const struct share *s, struct diag *d);
void esp_fds_close(struct esp_fds *f); /* for SCOPED */
/* Throw away what came while nobody read. */
void esp_fds_discard(const struct esp_fds *f);

#endif
