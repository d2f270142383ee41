/* dataplane/esp/early.h - packets under an SPI that is reserved and has no keys yet. A peer may use an SA as soon as it
 * has sent its reply, and that packet can be here before keying has read the reply. A few wait for the keys. */
#ifndef DATAPLANE_ESP_EARLY_H
#define DATAPLANE_ESP_EARLY_H
#include "base/scope.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EARLY_MOST = 16, EARLY_ALL_MOST = 1024 }; /* for an SPI; for all together */

struct early {
	size_t *all; /* counts those of every SPI */
	size_t count;
	struct {
		uint8_t *octets;
		size_t len;
	} packets[EARLY_MOST];
};

/* Copies the packet. False: too many wait already. */
bool early_keep(struct early **e, size_t *all, const uint8_t *packet, size_t len);
void early_free(struct early *e); /* NULL is fine */
SCOPE_FREEP(struct early, early)

#endif
