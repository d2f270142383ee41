/* dataplane/sad_ops.h - how sad.h's functions find the plane that they are about: each plane has a table of its own,
 * and its struct begins with a sad_head. For this folder only. Whoever answers sad.h alone (a test, or the process that
 * passes it on by messages) needs none of it. */
#ifndef DATAPLANE_SAD_OPS_H
#define DATAPLANE_SAD_OPS_H
#include "dataplane/sad.h"

/* As the functions of sad.h, one each. */
struct sad_ops {
	int (*reserve_spi)(struct sad *sad, const struct addr *local, const struct addr *remote, uint64_t request,
			   struct diag *d);
	int (*install)(struct sad *sad, const struct sa_spec *spec, uint64_t request, struct diag *d);
	int (*remove)(struct sad *sad, uint64_t pair, uint64_t request, struct diag *d);
	void (*stop_sending)(struct sad *sad, uint64_t pair);
	void (*move)(struct sad *sad, uint64_t pair, const struct addr *remote, uint16_t encap_remote_port);
	void (*release_spi)(struct sad *sad, uint32_t spi);
	void (*release_held)(struct sad *sad, const struct sa_selector *selector, bool clear);
	void (*set_plan)(struct sad *sad, struct plan *plan);
	size_t (*usage)(const struct sad *sad, struct sa_usage *rows, size_t cap);
	bool (*usage_of)(const struct sad *sad, uint64_t pair, struct sa_usage *ret);
	uint64_t (*dropped)(const struct sad *sad, enum sad_drop why);
	void (*free)(struct sad *sad);
};

struct sad_head {
	const struct sad_ops *ops;
};

/* What one direction has carried, into the row of its pair. */
static inline void sad_usage_half(struct sa_usage *row, const struct sa_spec *spec, uint64_t packets, uint64_t octets,
				  uint64_t last_ms)
{
	*(spec->inbound ? &row->spi_in : &row->spi_out) = spec->spi;
	*(spec->inbound ? &row->packets_in : &row->packets_out) = packets;
	*(spec->inbound ? &row->octets_in : &row->octets_out) = octets;
	*(spec->inbound ? &row->last_in_ms : &row->last_out_ms) = last_ms;
}

#endif
