/* dataplane/xfrm/ask.h - requests to the kernel and their answers, over one netlink socket. The kernel works while we
 * send, so every answer is there when sending returns: nothing here waits. */
#ifndef DATAPLANE_XFRM_ASK_H
#define DATAPLANE_XFRM_ASK_H
#include "dataplane/xfrm/message.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct asker {
	int fd;       /* not owned */
	uint32_t seq; /* of the last request */
};

enum { ASK_MANY = 64 }; /* answers must fit the socket's buffer */

/* Our requests have numbers with these bits, by which the kernel tells everybody who changed something: what we did
 * ourselves, in whatever process, needs no mending. */
#define ASK_OURS 0xcd000000u
#define ASK_NUMBERS 0x00ffffffu

struct ask_batch {
	struct asker *asker;
	size_t len;
	unsigned count;
	uint32_t first; /* number of the first message */
	uint8_t octets[ASK_MANY * 512];
};

/* One request of len octets, as message.h writes it (0: it did not fit). 0 or a negative errno value. *ret: the answer
 * with something in it, if there was one; NULL: not wanted. */
int ask_one(struct asker *a, void *message, size_t len, struct message_in *ret);

/* Each thing of a list; `each` must not ask. -EINTR: the list changed under way and may not be whole. */
int ask_list(struct asker *a, void *message, size_t len, void (*each)(void *context, const struct message_in *m),
	     void *context);

void ask_begin(struct ask_batch *b, struct asker *a);
/* Is there room for one more? Else ask_send first. */
bool ask_has_room(const struct ask_batch *b);
void ask_add(struct ask_batch *b, const void *message, size_t len);
/* Sends them; errors[i] is 0 or a negative errno value for each of b->count. The batch is then empty. */
void ask_send(struct ask_batch *b, int errors[ASK_MANY]);

#endif
