/* daemon/keying/fetch.h - revocation lists from where certificates say that theirs is: which places are asked and when,
 * who waits for them, and reading what came. The fetching itself is the work of the process `sources`, and keeping
 * lists on disk that of the parent; both are reached through struct fetch_means. What comes back from either is an
 * outsider's. Whoever asks has proven to have the key of a certificate that a trusted authority issued; see
 * identity/verify.c. */
#ifndef DAEMON_KEYING_FETCH_H
#define DAEMON_KEYING_FETCH_H
#include "daemon/process/asks.h"
#include "identity/revocation.h"
#include <uv.h>

struct fetcher;
struct observer;

enum {
	FETCH_URLS_MOST = 256,
	FETCH_WAIT_MS = 4000,   /* who waits for a list waits no longer */
	FETCH_LOST_S = 45,      /* a fetch that is not answered by then is lost */
	FETCH_AGAIN_S = 60,     /* a place is not asked more often */
	FETCH_WANTED_S = 86400, /* a list that nobody asked for so long is not renewed */
};

/* How it reaches others. Requests are told apart by their number; those to whom a request can't be made now are away,
 * and fetcher_again asks them when they have come. */
struct fetch_means {
	void (*fetch)(void *context, uint32_t number, const char *url);
	void (*recall)(void *context, uint32_t number, const char *url); /* is it kept on disk? */
	void (*keep)(void *context, const char *url, int fd);            /* it is good; fd stays the fetcher's */
	void *context;
};

/* lists: the caller's, who keeps them beyond fetcher_close, and beyond the worker threads' last turn. changed: runs on
 * the loop's thread when there is a new list. */
struct fetcher *fetcher_new(uv_loop_t *loop, const struct fetch_means *means, struct revocation_lists *lists,
			    const struct observer *observer, void (*changed)(void *context), void *context);
/* What is waited for is answered at once; memory goes when the loop has run the closings. */
void fetcher_close(struct fetcher *f);

/* Try these places; done runs when all have been tried, or FETCH_WAIT_MS later: maybe at once, from in here. */
void fetcher_ask(struct fetcher *f, const char (*urls)[REVOCATION_URL_MOST], size_t count, void (*done)(void *context),
		 void *context);
/* Renew what ends soon; now and then. */
void fetcher_renew(struct fetcher *f);

/* Answers. fd: what came, -1: nothing, and why; the caller's. -EPROTO: nobody asked for that. */
int fetcher_fetched(struct fetcher *f, uint32_t number, int fd, const char *why);
int fetcher_recalled(struct fetcher *f, uint32_t number, int fd);
/* Sources has come (again): it is asked what its predecessor has not answered. */
void fetcher_again(struct fetcher *f);

#endif
