#include "dataplane/esp/keeper.h"

#include "base/diag.h"
#include "base/mem.h"
#include "dataplane/esp/netlink.h"
#include "dataplane/esp/share.h"
#include "dataplane/esp/tun.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tun_keeper {
	char name[IFNAMSIZ];
	unsigned queues;
	int tun[SHARES_MOST], news;
};

static void lose(struct tun_keeper *k)
{
	for (unsigned i = 0; i < k->queues; i++) {
		if (k->tun[i] >= 0)
			(void)close(k->tun[i]);
		k->tun[i] = -1;
	}
}

int tun_keeper_new(const char *name, unsigned queues, struct tun_keeper **ret, struct diag *d)
{
	SCOPED(tun_keeper_freep) struct tun_keeper *k = mem_new(1, sizeof *k);
	int r;

	k->news = -1;
	k->queues = queues;
	for (unsigned i = 0; i < queues; i++)
		k->tun[i] = -1;
	if (strlen(name) >= sizeof k->name)
		return diag_fail(d, EINVAL, "'%s' is too long a name for a device", name);
	(void)snprintf(k->name, sizeof k->name, "%s", name);
	if ((r = tun_open(k->name, queues, k->tun, d)) < 0 || (r = k->news = netlink_watch_links(d)) < 0)
		return r;
	*ret = TAKE(k);
	return 0;
}

void tun_keeper_free(struct tun_keeper *k)
{
	if (!k)
		return;
	lose(k);
	if (k->news >= 0)
		(void)close(k->news);
	free(k);
}

int tun_keeper_tun(const struct tun_keeper *k, unsigned queue)
{
	return k->tun[queue];
}

int tun_keeper_news(const struct tun_keeper *k)
{
	return k->news;
}

/* Somebody deleted the device, or took it down. */
bool tun_keeper_check(struct tun_keeper *k, bool *ret_made)
{
	*ret_made = false;
	netlink_watch_drain(k->news);
	if (k->tun[0] >= 0 && !tun_is(k->tun[0], k->name))
		lose(k);
	if (k->tun[0] >= 0)
		return netlink_link_is_up(k->name) ||
		       netlink_link_up(if_nametoindex(k->name), TUN_MTU, TUN_QUEUE, NULL) == 0;
	*ret_made = tun_open(k->name, k->queues, k->tun, NULL) == 0;
	return *ret_made;
}
