/* tools/lab/order.h - frames of several captures in the order in which they were on their wires. Each capture is read
 * at a time of its own, so an answer may be read before the question that another host sent; whoever knows flows by
 * their first packet would take it for a question. A frame is held until all that was there before it must have been
 * read. Pure. */
#ifndef TOOLS_LAB_ORDER_H
#define TOOLS_LAB_ORDER_H
#include "base/scope.h"
#include <stddef.h>
#include <stdint.h>

enum {
	ORDER_HOLD_MS = 10,       /* from when it was read; longer than a reading of all captures takes to come round */
	ORDER_HELD_MOST = 131072, /* beyond these the first goes at once */
};

struct order;
struct order_frame {
	uint64_t stamp_us;
	uint8_t *octets; /* free() them */
	size_t len;
	size_t port; /* whose capture it is */
};

struct order *order_new(void);
void order_free(struct order *o);
SCOPE_FREEP(struct order, order)

/* Copies the octets. */
void order_add(struct order *o, size_t port, uint64_t stamp_us, const void *octets, size_t len, uint64_t now_ms);
/* The next whose time has come; 0: none. now_ms UINT64_MAX: nothing more will be read. */
int order_take(struct order *o, uint64_t now_ms, struct order_frame *ret);
size_t order_held(const struct order *o);

#endif
