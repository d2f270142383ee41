#include "daemon/host/zone_watch.h"

#include "base/scope.h"
#include "daemon/host/watch.h"
#include "daemon/host/zones.h"

#include <stdio.h>

enum { PATH_TEXT = 4096 };

/* Folders that were not there when they were asked for are watched once something has changed above them: so anew. */
void zone_watch_again(struct daemon *d)
{
	char full[ZONE_FOLDERS][PATH_TEXT];
	const char *paths[ZONE_FOLDERS];

	if (!d->zones)
		return;
	for (size_t i = 0; i < ZONE_FOLDERS; i++) {
		(void)snprintf(full[i], sizeof full[i], "%.3900s%s", d->options.root ? d->options.root : "",
			       zone_folders[i]);
		paths[i] = full[i];
	}
	watch_set(d->zones, NULL, 0);
	watch_set(d->zones, paths, d->config && d->config->zone_count ? ZONE_FOLDERS : 0);
}

static void changed(void *context)
{
	struct daemon *d = context;

	zone_watch_again(d);
	daemon_look_at_addresses(d);
}

void zone_watch_new(struct daemon *d)
{
	d->zones = watch_new(&d->loop, changed, d);
	zone_watch_again(d);
}

void zone_watch_close(struct daemon *d)
{
	watch_close(TAKE(d->zones));
}
