/* daemon/parts/accounts.h - the groups of accounts that certificates stand for, as the directory said: asked for by
 * keying, kept in memory for a while, bounded. Who asks the directory is directory.c. */
#ifndef DAEMON_PARTS_ACCOUNTS_H
#define DAEMON_PARTS_ACCOUNTS_H
#include "daemon/messages/directory_wire.h"
#include "daemon/process/channel.h"

struct accounts;

enum {
	ACCOUNTS_MOST = 4096, /* the one that was learnt first goes */
	ACCOUNTS_AT_ONCE = 64,
	ACCOUNTS_OLD_S = 86400, /* what was said so long ago is told no more, even if nothing newer can be had */
};

struct accounts *accounts_new(void);
void accounts_free(struct accounts *a);

/* Keying wants to know. fresh_s: what was learnt within so long need not be asked again. True: it is answered; false:
 * the directory is to be asked. */
bool accounts_want(struct accounts *a, struct channel *keying, uint32_t number, bool upn, const char *name,
		   uint64_t fresh_s);
/* Those that the directory is to be asked about, at most ACCOUNTS_AT_ONCE, and the number. */
size_t accounts_questions(struct accounts *a, struct directory_question *ret);
/* The answer to one of them; r NULL: there is none. keying NULL: it is away. */
void accounts_said(struct accounts *a, struct channel *keying, const struct directory_question *q,
		   const struct directory_reply *r);
/* No answer to any. */
void accounts_failed(struct accounts *a, struct channel *keying);
/* Keying has gone: nobody waits. */
void accounts_forget_askers(struct accounts *a);

#endif
