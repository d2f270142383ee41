/* daemon/fetch.h - revocation lists from where certificates say that theirs is, by HTTP, on a thread of its own:
 * bounded in size and time, without redirects, proxies or other protocols, kept in memory and on disk until they end.
 * Whoever asks has proven to have the key of a certificate that a trusted authority issued; see identity/verify.c. */
#ifndef DAEMON_FETCH_H
#define DAEMON_FETCH_H
#include "identity/revocation.h"
#include <uv.h>

struct fetcher;
struct observer;

enum {
	FETCH_URLS_MOST = 256,
	FETCH_AT_ONCE = 8,
	FETCH_WAIT_MS = 4000,   /* who waits for a list waits no longer */
	FETCH_TIME_MS = 30000,  /* a fetch takes no longer */
	FETCH_AGAIN_S = 60,     /* a place is not asked more often */
	FETCH_WANTED_S = 86400, /* a list that nobody asked for so long is not renewed */
};

/* folder: where lists are kept. lists: the caller's, who keeps them beyond fetcher_close. changed: runs on the loop's
 * thread when there is a new list. Makes no thread before it is asked for something. */
struct fetcher *fetcher_new(uv_loop_t *loop, const char *folder, struct revocation_lists *lists,
			    const struct observer *observer, void (*changed)(void *context), void *context);
/* What is waited for is answered at once; memory goes when the loop has run the closings. */
void fetcher_close(struct fetcher *f);

/* Try these places; done runs when all have been tried, or FETCH_WAIT_MS later: maybe at once, from in here. */
void fetcher_ask(struct fetcher *f, const char (*urls)[REVOCATION_URL_MOST], size_t count, void (*done)(void *context),
		 void *context);
/* Renew what ends soon; now and then. */
void fetcher_renew(struct fetcher *f);

#endif
