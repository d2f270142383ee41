/* dataplane/xfrm/states.h - our own list of the states that we have put into the kernel, and of SPIs that are promised.
 * Keys are not in it. Pure. */
#ifndef DATAPLANE_XFRM_STATES_H
#define DATAPLANE_XFRM_STATES_H
#include "base/table.h"
#include "dataplane/xfrm/message.h"
#include "dataplane/sad.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct diag;

struct state {
	struct sa_spec spec; /* without keys; of an SPI that is only promised: spi, addresses, no rule */
	uint32_t reqid;
	bool reserved;
	bool has_front;  /* policies of its own */
	bool first_told; /* inbound */
	bool soft_told;
	uint64_t packets, octets, last_ms; /* as read last */
	uint64_t installed_ms, poll_ms;    /* poll_ms: when its counters want to be read; UINT64_MAX: nobody waits */
	uint64_t moved_told_ms;
	uint64_t listing; /* the last list of the kernel's that had it */
	size_t place;
};

struct states {
	struct table by_spi; /* inbound: those that are ours to choose */
	struct table by_id;  /* in the kernel */
	struct table by_pair;
	struct state **all;
	size_t count, cap, reserved;
};

enum { STATES_RESERVED_MOST = 65536, STATES_SPI_LEAST = 256 };

int states_reserve(struct states *s, const struct addr *local, const struct addr *remote, uint32_t *ret_spi,
		   struct diag *d);
struct state *states_reserved(const struct states *s, uint32_t spi);
struct state *states_inbound(const struct states *s, uint32_t spi);       /* installed */
struct state *states_enter(struct states *s, const struct sa_spec *spec); /* takes the place of the promise */
void states_leave(struct states *s, struct state *st);
uint64_t state_id_hash(const struct state_id *id); /* by the process's secret: peers choose SPIs and addresses */
struct state *states_of_id(const struct states *s, const struct state_id *id);
struct state *states_of_pair(const struct states *s, uint64_t pair, bool inbound);
void states_wipe(struct states *s);

/* Is the SA's spec one that the kernel can do? In words, if not. */
int states_check(const struct states *s, const struct sa_spec *spec, struct diag *d);

#endif
