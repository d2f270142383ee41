#include "dataplane/esp/tun.h"

#include "base/diag.h"
#include "base/scope.h"
#include "dataplane/esp/netlink.h"
#include "dataplane/esp/share.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#ifndef TUN_F_USO4 /* Linux 6.2 */
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

/* What the device can be asked to leave undone, best first: an older kernel refuses what it does not know. */
static const unsigned offloads[] = {
	TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_USO4 | TUN_F_USO6,
	TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
	0,
};

/* The first one makes the device, and nobody else may have made it. */
static int attach(int fd, const char *name, bool first, bool many, struct diag *d)
{
	struct ifreq request = { .ifr_flags = (short)(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | (first ? IFF_TUN_EXCL : 0) |
						      (many ? IFF_MULTI_QUEUE : 0)) };

	memcpy(request.ifr_name, name, strlen(name) + 1);
	if (ioctl(fd, TUNSETIFF, &request) == 0)
		return 0;
	if (errno == EBUSY || errno == EEXIST)
		return diag_fail(d, EBUSY, "the device %s is there already: another cordond runs here?", name);
	if (errno == EPERM)
		return diag_fail(d, EPERM, "may not make the device %s: it needs root or the capability NET_ADMIN",
				 name);
	return diag_errno(d, errno, "make the device %s", name);
}

static int choose_offloads(int fd, const char *name, struct diag *d)
{
	for (size_t i = 0; i < ARRAY_LEN(offloads); i++)
		if (ioctl(fd, TUNSETOFFLOAD, (unsigned long)offloads[i]) == 0)
			return 0;
	return diag_errno(d, errno, "set the offloads of %s", name);
}

static int open_one(const char *name, bool first, bool many, struct diag *d)
{
	int fd, r;

	if (strlen(name) == 0 || strlen(name) >= IFNAMSIZ)
		return diag_fail(d, EINVAL, "'%s' is no name for a device: it must have 1 to %d characters", name,
				 IFNAMSIZ - 1);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == ENXIO || errno == ENODEV))
		return diag_fail(
			d, ENODEV,
			"no TUN driver (/dev/net/tun): load the module 'tun', or give the container that device");
	if (fd < 0)
		return diag_errno(d, errno, "open /dev/net/tun");
	if ((r = attach(fd, name, first, many, d)) < 0 || (r = choose_offloads(fd, name, d)) < 0) {
		(void)close(fd);
		return r;
	}
	return fd;
}

int tun_open(const char *name, unsigned queues, int *ret_fds, struct diag *d)
{
	int fds[SHARES_MOST], r = 0;
	unsigned n = 0;

	while (n < queues && (r = fds[n] = open_one(name, n == 0, queues > 1, d)) >= 0)
		n++;
	if (r >= 0 && queues > 1)
		r = share_steer_tun(fds[0], d);
	if (r >= 0)
		r = netlink_link_up(if_nametoindex(name), TUN_MTU, TUN_QUEUE, d);
	if (r < 0) {
		while (n > 0)
			(void)close(fds[--n]);
		return r;
	}
	memcpy(ret_fds, fds, n * sizeof *fds);
	return 0;
}

bool tun_is(int fd, const char *name)
{
	struct ifreq request = { 0 };

	return ioctl(fd, TUNGETIFF, &request) == 0 && strcmp(request.ifr_name, name) == 0;
}
