/* daemon/keying/sad_remote.h - sad.h where the data plane is another process: requests become messages, its messages
 * events. Here for whoever drives keying, once in a process. It knows which SAs there are, so that when the plane dies
 * each of them is told as EXPIRE_HARD, and what waited for an SPI gets one from the next plane.
 *
 * SAs of a keying process before this one go on in the plane (orphans). They are told as ACQUIRE, so that each is made
 * anew, and go when there is another one for what they carried.
 *
 * sad_usage and sad_dropped answer from what was last told: sad_remote_look asks for news. */
#ifndef DAEMON_KEYING_SAD_REMOTE_H
#define DAEMON_KEYING_SAD_REMOTE_H
#include "daemon/process/channel.h"
#include "daemon/process/sockets.h"
#include "dataplane/sad.h"
#include <uv.h>

struct sad_remote_config {
	uv_loop_t *loop;
	struct plan *plan; /* a reference is taken */
	void (*event)(void *context, const struct sad_event *e);
	void (*ike)(void *context, const struct datagram *g); /* IKE that came to UDP port 4500 */
	uint64_t (*now_ms)(void *context);
	/* An SA of a keying process before this one is in force, or no more; may be NULL. */
	void (*orphan)(void *context, const struct sa_selector *selector, bool there);
	void *context;
};

struct sad *sad_remote_new(const struct sad_remote_config *c);
/* The channel with the plane's process, and its end. Without it installing fails, and SPIs are waited for. */
void sad_remote_attach(struct sad *s, struct channel *c);
void sad_remote_detach(struct sad *s);
bool sad_remote_is_up(const struct sad *s);

/* Let what was asked for so far go at once: before the peer hears what it may send upon. */
void sad_remote_flush(struct sad *s);
/* All that was asked for is sent: the last, and we end. Waits a little for a data plane that is slow to read. */
void sad_remote_drain(struct sad *s);

/* From UDP port 4500, which is the plane's. */
void sad_remote_send(struct sad *s, const struct datagram *g);
void sad_remote_keep_alive(struct sad *s, const struct addr *local, const struct addr *remote, uint16_t remote_port);

/* Ask for counters; `seen` is called once, when they are here or cannot be had. */
void sad_remote_look(struct sad *s, void (*seen)(void *context), void *context);

/* For the process's table of handlers. */
ask_handler sad_remote_on_up, sad_remote_on_down, sad_remote_on_event, sad_remote_on_orphan, sad_remote_on_usage,
	sad_remote_on_drops, sad_remote_on_ike;
#define SAD_REMOTE_HANDLERS \
	[ASK_SAD_UP] = sad_remote_on_up, [ASK_SAD_DOWN] = sad_remote_on_down, [ASK_SAD_EVENT] = sad_remote_on_event, \
	[ASK_SAD_ORPHAN] = sad_remote_on_orphan, [ASK_SAD_USAGE] = sad_remote_on_usage, \
	[ASK_SAD_DROPS] = sad_remote_on_drops, [ASK_IKE_CAME] = sad_remote_on_ike

#endif
