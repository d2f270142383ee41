/* daemon/host/zone_watch.h - what NetworkManager's files say of zones is read again when they change: as soon as they
 * have been quiet for a moment, and with every change of addresses and links anyway. */
#ifndef DAEMON_HOST_ZONE_WATCH_H
#define DAEMON_HOST_ZONE_WATCH_H
#include "daemon/daemon.h"

void zone_watch_new(struct daemon *d);
/* The page is another one: does it ask for zones? */
void zone_watch_again(struct daemon *d);
void zone_watch_close(struct daemon *d);

#endif
