/* daemon/keying/orphans.h - SAs that the data plane still has of a keying process which has ended. Their packets flow,
 * and nobody can renew or delete them. So each is replaced: keying is asked for another one, a few at a time, and when
 * there is one for the same traffic the orphan stops sending, and goes a little later, when what was under way has
 * come. One that cannot be replaced ends with its rule's life. */
#ifndef DAEMON_KEYING_ORPHANS_H
#define DAEMON_KEYING_ORPHANS_H
#include "dataplane/sad.h"
#include <uv.h>

struct orphans;

struct orphans_calls {
	void (*acquire)(void *context, const struct sa_selector *selector);
	void (*stop)(void *context, uint64_t pair); /* nothing more is sent under it */
	void (*remove)(void *context, uint64_t pair);
	void (*counted)(void *context, const struct sa_selector *selector, bool there); /* there is one, or no more */
	void *context;
};

enum {
	ORPHANS_TURN_MS = 100,
	ORPHANS_AT_ONCE = 50,     /* asked for in one turn */
	ORPHANS_AGAIN_MS = 10000, /* for one that is not replaced yet */
	ORPHANS_LINGER_MS = 2000,
	ORPHANS_LIFE_MS = 3600000,
	ORPHANS_MOST = 1 << 17, /* what a plane says beyond is not believed */
};

struct orphans *orphans_new(uv_loop_t *loop, const struct orphans_calls *calls);
void orphans_close(struct orphans *o); /* memory goes with the loop's next turn */
void orphans_add(struct orphans *o, uint64_t pair, const struct sa_selector *selector);
/* There is an SA for this now. */
void orphans_replaced(struct orphans *o, const struct sa_selector *by);
/* Is the event one of an orphan? Then it is done with. */
bool orphans_event(struct orphans *o, const struct sad_event *e);
void orphans_forget(struct orphans *o); /* the plane has ended */
size_t orphans_count(const struct orphans *o);

#endif
