/* daemon/keying/accounts.h - whose groups a certificate has: the parent is asked, which asks the directory. One for the
 * process, on the loop's thread. */
#ifndef DAEMON_KEYING_ACCOUNTS_H
#define DAEMON_KEYING_ACCOUNTS_H
#include "daemon/process/channel.h"
#include "identity/peer.h"
#include <uv.h>

enum {
	ACCOUNTS_ASKED_MOST = 1024, /* at the same time; more get no answer */
	ACCOUNTS_WAIT_MS = 6000,    /* who waits for an answer waits no longer */
};

/* learnt_s 0: it is not known. Runs once. */
typedef void accounts_done(void *context, uint64_t learnt_s, const struct sid_list *sids);

void accounts_begin(uv_loop_t *loop, struct channel *parent);
/* May call done from in here. */
void accounts_ask(const char *name, bool upn, accounts_done *done, void *context);
ask_handler accounts_on_said;

#endif
