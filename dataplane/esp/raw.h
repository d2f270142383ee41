/* dataplane/esp/raw.h - the raw sockets of the plane. */
#ifndef DATAPLANE_ESP_RAW_H
#define DATAPLANE_ESP_RAW_H
#include <stdint.h>

struct diag;

/* A raw socket of one family for ESP or AH, non-blocking, that takes and gives whole packets. */
int raw_open(int family, uint8_t protocol, uint32_t mark, int *ret_fd, struct diag *d);

/* A socket for what routers say of our AH in IPv6, "packet too big". The kernel looks through AH for the connection
 * inside, and would have it make fragments before they reach the TUN; so the ruleset keeps the error from it, and we
 * hear it before the ruleset does. It hears nothing but that, whoever holds it, and only once it is bound. */
int raw_open_too_big6(int *ret_fd, struct diag *d);
int raw_bind_too_big6(int fd);

#endif
