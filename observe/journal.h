/* observe/journal.h - events for systemd's journal, in its own protocol: one datagram of fields, so that
 * `journalctl CORDON_EVENT=main-mode-failed` finds them. It never waits: what the journal does not take at once is
 * counted. */
#ifndef OBSERVE_JOURNAL_H
#define OBSERVE_JOURNAL_H
#include "base/wire.h"
#include "observe/event.h"

enum { JOURNAL_MESSAGE_MOST = 4096 };
#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* The datagram. A value with a line's end or another control character in it has its length before it. */
void journal_encode(struct wire_out *out, const struct event *e, uint64_t number);

struct journal;
/* NULL: there are no sockets to be had. path: kept by the caller. */
struct journal *journal_new(const char *path);
void journal_free(struct journal *j);
bool journal_tell(struct journal *j, const struct event *e, uint64_t number); /* false: it was not taken */

#endif
