#include "tools/lab/offload.h"

#include "base/diag.h"
#include "base/mem.h"
#include "tools/lab/space.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* The kernel's names for its features; one that it does not have is off already. */
static const char *const features[] = {
	"tx-tcp-segmentation",
	"tx-tcp6-segmentation",
	"tx-tcp-ecn-segmentation",
	"tx-tcp-mangleid-segmentation",
	"tx-generic-segmentation",
	"tx-udp-segmentation",
	"tx-gso-list",
	"rx-gro",
	"tx-checksum-ip-generic",
};

enum { FEATURES_MOST = 256 };

static bool wanted_off(const char *name)
{
	for (size_t i = 0; i < sizeof features / sizeof features[0]; i++)
		if (strncmp(name, features[i], ETH_GSTRING_LEN) == 0)
			return true;
	return false;
}

static int ask(int s, const char *interface, void *command)
{
	struct ifreq r = { 0 };

	(void)snprintf(r.ifr_name, sizeof r.ifr_name, "%s", interface);
	r.ifr_data = command;
	return ioctl(s, SIOCETHTOOL, &r) < 0 ? -errno : 0;
}

static int feature_count(int s, const char *interface, uint32_t *ret)
{
	struct ethtool_sset_info *set = mem_new(1, sizeof *set + sizeof set->data[0]);
	int e;

	set->cmd = ETHTOOL_GSSET_INFO;
	set->sset_mask = 1u << ETH_SS_FEATURES;
	e = ask(s, interface, set);
	if (e == 0 && (set->data[0] == 0 || set->data[0] > FEATURES_MOST))
		e = -ERANGE;
	if (e == 0)
		*ret = set->data[0];
	free(set);
	return e;
}

static int set_features(int s, const char *interface)
{
	struct ethtool_gstrings *names;
	struct ethtool_sfeatures *change;
	uint32_t count = 0, blocks;
	int e = feature_count(s, interface, &count);

	if (e < 0)
		return e;
	blocks = (count + 31) / 32;
	names = mem_new(1, sizeof *names + (size_t)count * ETH_GSTRING_LEN);
	change = mem_new(1, sizeof *change + blocks * sizeof change->features[0]);
	names->cmd = ETHTOOL_GSTRINGS;
	names->string_set = ETH_SS_FEATURES;
	names->len = count;
	change->cmd = ETHTOOL_SFEATURES;
	change->size = blocks;
	e = ask(s, interface, names);
	for (uint32_t i = 0; e == 0 && i < count; i++)
		if (wanted_off((const char *)names->data + (size_t)i * ETH_GSTRING_LEN))
			change->features[i / 32].valid |= 1u << (i % 32);
	if (e == 0)
		e = ask(s, interface, change);
	free(names);
	free(change);
	return e;
}

int offload_off(int space, const char *interface, struct diag *d)
{
	int s = space_socket(space, AF_INET, SOCK_DGRAM, 0), e;

	if (s < 0)
		return diag_errno(d, -s, "socket");
	e = set_features(s, interface);
	(void)close(s);
	return e < 0 ? diag_errno(d, -e, "turn the offloads of %s off", interface) : 0;
}
