/* daemon/dataplane/plane_fds.h - the descriptors that the parent passes to the data plane's process, by number: those
 * of the userspace plane (dataplane/esp/open.h), UDP port 4500, what netfilter logs (daemon/parts/log_relay.h), and
 * those of the kernel's plane (dataplane/xfrm/open.h). */
#ifndef DAEMON_DATAPLANE_PLANE_FDS_H
#define DAEMON_DATAPLANE_PLANE_FDS_H
#include "dataplane/esp/open.h"
#include "dataplane/esp/share.h"
#include "dataplane/xfrm/open.h"

enum {
	PLANE_FD_NAT4 = ESP_FD_COUNT,
	PLANE_FD_NAT6,
	PLANE_FD_EACH, /* so many for each worker, one behind the other */
	PLANE_FD_LOG = SHARES_MOST * PLANE_FD_EACH,
	PLANE_FD_XFRM,
	PLANE_FD_COUNT = PLANE_FD_XFRM + XFRM_FD_COUNT
};

/* What the message that begins it says: which plane, the mark of our own packets, that of clear ones, and how many
 * workers the userspace plane has. */
enum { PLANE_BEGIN_OCTETS = 1 + 4 + 4 + 4 + 1 };

#endif
