/* control/server.h - cordond's end of the control socket. It bounds, decodes and checks requests, and knows who asks;
 * what a request means is the handler's business. Runs on the daemon's loop. */
#ifndef CONTROL_SERVER_H
#define CONTROL_SERVER_H
#include "base/scope.h"
#include "control/schema.h"
#include <stdbool.h>
#include <uv.h>

struct diag;
struct control_server;
struct control_call; /* one connection and the request that it waits for */

struct control_handlers {
	/* Answer with control_reply, now or later. */
	void (*request)(void *context, struct control_call *call, enum control_request what, const json_t *request);
	/* The connection is gone; forget the call. Only for calls that control_keep was said of. */
	void (*gone)(void *context, struct control_call *call);
	void *context;
};

/* Listen on `path`, which is replaced if it exists: the caller has made sure that no other daemon uses it. Root and the
 * group `cordon` (if there is one) may connect. */
int control_server_new(uv_loop_t *loop, const char *path, const struct control_handlers *h, struct control_server **ret,
		       struct diag *d);
/* Stop listening, close every connection, remove the socket. The memory goes when the loop has run the closings. */
void control_server_close(struct control_server *s);

/* The group `cordon`, if there is one. */
bool control_group(gid_t *ret);

/* One reply; takes `value` over. */
void control_reply(struct control_call *call, json_t *value);
/* {"ok":false,"error":text} */
void control_reply_error(struct control_call *call, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* More replies will follow to this request. */
void control_keep(struct control_call *call);
/* Octets not yet taken by a reader that is slow: leave something out rather than let them grow. */
size_t control_backlog(const struct control_call *call);
/* Who asks, for the history: "root", "alice", "uid 1000". */
const char *control_caller(const struct control_call *call);

#endif
