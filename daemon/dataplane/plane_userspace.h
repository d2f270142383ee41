/* daemon/dataplane/plane_userspace.h - what the userspace plane in one thread and that in several have in common. */
#ifndef DAEMON_DATAPLANE_PLANE_USERSPACE_H
#define DAEMON_DATAPLANE_PLANE_USERSPACE_H
#include "daemon/dataplane/plane_kind.h"
#include "dataplane/esp/esp.h"

struct plane_server;

/* But the descriptors. */
struct esp_config plane_esp_config(struct plane_server *s, const struct plane_marks *m);

#endif
