/* daemon/service.h - what the service manager (systemd) and cordond tell each other: ready, reloading, alive, what is
 * in force, why not started. Without a manager nothing of it does anything. */
#ifndef DAEMON_SERVICE_H
#define DAEMON_SERVICE_H
#include "daemon/daemon.h"

/* Everything is in force: ready, and from now on a sign of life from the loop, twice as often as the watchdog asks. */
void service_ready(struct daemon *d);
/* The one line of `systemctl status`, told again when it has become another. */
void service_say(struct daemon *d);
/* The loop stands still while it waits for another program, which works: neither dead nor too long at starting. */
void service_working(void);
void service_reloading(void);
void service_reloaded(void);
void service_stopping(struct daemon *d);

/* It could not start: say why in `systemctl status`. The manager starts us again at once, so from the second time in a
 * row on wait first, longer each time up to half a minute: what holds the port, or is wrong with a file, may go. */
void service_failed(const char *run_dir, const char *why);

#endif
