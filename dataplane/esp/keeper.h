/* dataplane/esp/keeper.h - the TUN device: made, and kept as it must be whatever others do to it. For the process that
 * has the right to make it; the plane gets its descriptor. While somebody holds it the device is there, whatever
 * becomes of the plane. Meanwhile, when it is gone, everything protected stops at the unreachable route. */
#ifndef DATAPLANE_ESP_KEEPER_H
#define DATAPLANE_ESP_KEEPER_H
#include "base/scope.h"
#include <stdbool.h>
#include <stddef.h>

struct diag;
struct tun_keeper;

enum { TUN_KEEPER_AGAIN_MS = 1000 };

/* queues: of the device, up to SHARES_MOST. */
int tun_keeper_new(const char *name, unsigned queues, struct tun_keeper **ret, struct diag *d);
void tun_keeper_free(struct tun_keeper *k); /* the device goes with the last descriptor */
SCOPE_FREEP(struct tun_keeper, tun_keeper)
/* A queue; -1: the device is gone and could not be made yet. */
int tun_keeper_tun(const struct tun_keeper *k, unsigned queue);
int tun_keeper_news(const struct tun_keeper *k); /* poll for reading */

/* On news, and TUN_KEEPER_AGAIN_MS later while it is not as it must be. *ret_made: it is another device, which the
 * plane and the routes must be told. Returns whether all is well. */
bool tun_keeper_check(struct tun_keeper *k, bool *ret_made);

#endif
