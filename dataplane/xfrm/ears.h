/* dataplane/xfrm/ears.h - raw sockets that hear ESP and AH beside the kernel, which tells nobody of an SPI that is not
 * there. While they listen every packet is copied for them, so they are deaf (bound to loopback) except for moments. */
#ifndef DATAPLANE_XFRM_EARS_H
#define DATAPLANE_XFRM_EARS_H
#include "base/addr.h"
#include "dataplane/xfrm/open.h"
#include <stdbool.h>
#include <stdint.h>

struct ears_heard {
	struct addr local, remote;
	uint8_t protocol;
	uint32_t spi;
};

void ears_open(const struct xfrm_fds *f, bool listen);
/* All that was heard, up to a bound. */
void ears_listen(const struct xfrm_fds *f, void (*heard)(void *context, const struct ears_heard *h), void *context);
/* One packet of ESP or AH, in IPv4 with its IP header; false: not well-formed. h: what is known already is filled in
 * (IPv6: the addresses). */
bool ears_parse(const uint8_t *packet, size_t len, unsigned family, struct ears_heard *h);

#endif
