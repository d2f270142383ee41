/* dataplane/esp/tun.h - the TUN device: made, configured and brought up in the caller's network namespace. */
#ifndef DATAPLANE_ESP_TUN_H
#define DATAPLANE_ESP_TUN_H
#include <stdbool.h>

struct diag;

enum { TUN_MTU = 65535, TUN_QUEUE = 1000 };

/* Non-blocking descriptors, one for each of the device's queues, or an error in words. Packets on them stand behind a
 * virtio header; of several queues share.h says which has a packet. The device goes when all are closed. */
int tun_open(const char *name, unsigned queues, int *ret_fds, struct diag *d);
/* Is the descriptor still that of a device, and has it this name? Not when somebody deleted or renamed it. */
bool tun_is(int fd, const char *name);

#endif
