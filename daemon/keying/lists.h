/* daemon/keying/lists.h - how keying's fetcher of revocation lists reaches who fetches (the process sources) and who
 * keeps them on disk (the parent). One in the process. */
#ifndef DAEMON_KEYING_LISTS_H
#define DAEMON_KEYING_LISTS_H
#include "daemon/keying/fetch.h"
#include "daemon/process/channel.h"

/* Renews what ends soon, as long as the process lives. *ret: the fetcher, for the driver. */
void lists_begin(uv_loop_t *loop, struct channel *parent, struct revocation_lists *lists,
		 const struct observer *observer, void (*changed)(void *context), void *context);
struct fetcher *const *lists_fetcher(void);
/* The channel with sources; NULL: it is away. */
void lists_sources(struct channel *c);

ask_handler lists_on_fetched, lists_on_fetch_failed, lists_on_recalled, lists_on_none;
#define LISTS_HANDLERS \
	[ASK_FETCHED] = lists_on_fetched, [ASK_FETCH_FAILED] = lists_on_fetch_failed, \
	[ASK_LIST_RECALLED] = lists_on_recalled, [ASK_LIST_NONE] = lists_on_none

#endif
