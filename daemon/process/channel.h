/* daemon/process/channel.h - one end of a channel between two of our processes: messages over a SOCK_SEQPACKET
 * socketpair, several in one datagram, descriptors beside them. Only what the table (asks.h) allows is handed to a
 * handler; who sends anything else, or does not read what it is sent, is cut off. On the loop's thread.
 *
 * A datagram holds frames, one after another: ask u16, zero u16, length of the body u32, body; all big-endian, as the
 * wire cursors have it. Descriptors come with a datagram of one frame. What was read or written is wiped at once, since
 * keys go this way too. */
#ifndef DAEMON_PROCESS_CHANNEL_H
#define DAEMON_PROCESS_CHANNEL_H
#include "base/limit.h"
#include "base/scope.h"
#include "base/wire.h"
#include "daemon/process/asks.h"
#include <uv.h>

struct channel;
struct diag;

/* fds: as many as the table says; whoever keeps one sets its place to -1, the others are closed afterwards.
 * 0, or negative: the sender misbehaved, and is cut off. */
typedef int ask_handler(void *context, struct channel *c, struct wire_in *body, int *fds);

struct channel_config {
	uv_loop_t *loop;
	int fd; /* taken over */
	enum role self, peer;
	ask_handler *const *handlers; /* by ask, ASK_COUNT of them; NULL: it is nothing to us */
	void *context;                /* the handlers' */
	void *owner;                  /* for whoever keeps the channel */
	struct limit_rate rate; /* of messages that come: who sends more is cut off; per_s 0: as many as it likes */
	/* The channel is over: NULL: the other end is closed; else how it misbehaved. It is closed by itself; not
	 * called after channel_close. */
	void (*gone)(struct channel *c, const char *why);
};

enum { CHANNEL_QUEUE_MOST = 32 << 20, CHANNEL_QUEUE_FDS_MOST = 64 }; /* octets and descriptors that are not read */

/* Begins in CHANNEL_NEW. */
int channel_new(const struct channel_config *config, struct channel **ret, struct diag *d);
void channel_close(
	struct channel *c); /* or NULL; what is queued is tried once; memory goes with the loop's next turn */
void channel_set_state(struct channel *c, enum channel_state state);
enum role channel_peer(const struct channel *c);
void *channel_owner(const struct channel *c);
void *channel_context(const struct channel *c);

/* A message: put its body into the cursor, then end it. It goes when the loop's turn ends, or now by channel_flush.
 * A body that does not fit its row is our own fault: it asserts. With a channel that is closing it goes nowhere. */
struct wire_out *channel_begin(struct channel *c, enum ask a);
void channel_end(struct channel *c);
void channel_end_fds(struct channel *c, const int *fds, size_t count); /* duplicates go; the caller keeps its own */
void channel_flush(struct channel *c);
/* Send what is written and hear the other end, and nobody else, until *until: for an answer that comes at once from a
 * process that is about to be ended if it does not. Not from within a handler of that channel.
 * 0, -ETIMEDOUT or -EPIPE: the channel is over. */
int channel_wait(struct channel *c, const bool *until, unsigned ms);
/* Send all that is written, and wait for that if the other end is slow to read, but no longer than `ms`: for last
 * words.
 */
void channel_drain(struct channel *c, unsigned ms);
/* Octets that wait for the other end to read: who has much to tell that may be left out looks here first. */
size_t channel_backlog(const struct channel *c);

/* The other end is dead: what it had sent is handed on, then the channel is over. */
void channel_hear_last(struct channel *c);

/* From a signal handler: one message at once, beside whatever is being written to that descriptor. It may be lost. */
void channel_send_now(int fd, enum ask a, const void *body, size_t len);

/* Two connected descriptors, close-on-exec, with room for a burst. */
int channel_pair(int ret[2], struct diag *d);

#endif
