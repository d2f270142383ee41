/* daemon/dataplane/plane_fds.h - the descriptors that the parent passes to the data plane's process, by number: those
 * of the plane (dataplane/esp/open.h), UDP port 4500, and the log of what the table drops. */
#ifndef DAEMON_DATAPLANE_PLANE_FDS_H
#define DAEMON_DATAPLANE_PLANE_FDS_H
#include "dataplane/esp/open.h"

enum { PLANE_FD_NAT4 = ESP_FD_COUNT, PLANE_FD_NAT6, PLANE_FD_LOG, PLANE_FD_COUNT };

#endif
