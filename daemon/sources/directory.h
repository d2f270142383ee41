/* daemon/sources/directory.h - looking things up in the directory, one task after the other: finds a domain controller,
 * holds the conversation (ldap_dialog.h) with the key holder as its guard, tries the next one where that fails. Bounded
 * in time. On the loop's thread. */
#ifndef DAEMON_SOURCES_DIRECTORY_H
#define DAEMON_SOURCES_DIRECTORY_H
#include "daemon/messages/directory_wire.h"
#include "base/diag.h"
#include <uv.h>

enum {
	DIRECTORY_CONNECT_MS = 3000,
	DIRECTORY_SERVER_MS = 15000, /* one conversation */
	DIRECTORY_TASK_MS = 45000,   /* all that are tried */
	DIRECTORY_PORT = 389,
};

/* replies: they stay the directory's; NULL: there are none, and why. */
typedef void directory_done(void *context, uint32_t number, const struct directory_replies *replies,
			    const struct diag *why);

void directory_start(uv_loop_t *loop, directory_done *done, void *context);
/* The task is taken over. One that still runs ends without an answer. */
void directory_ask(uint32_t number, struct directory_task *task);

#endif
