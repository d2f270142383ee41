/* dataplane/xfrm/build.h - one netlink request being written: it fits its buffer, or has no length at the end. */
#ifndef DATAPLANE_XFRM_BUILD_H
#define DATAPLANE_XFRM_BUILD_H
#include <linux/xfrm.h>
#include <stddef.h>
#include <stdint.h>

struct build {
	struct nlmsghdr *head;
	size_t cap;
	int failed;
};

/* The request's own struct, zeroed, to be filled in; NULL: no room. Requests ask for an answer (NLM_F_ACK). */
void *build_begin(struct build *b, void *buf, size_t cap, uint16_t type, uint16_t flags, size_t size);
void build_put(struct build *b, uint16_t type, const void *octets, size_t n);
/* n octets to be filled by the caller, or NULL. */
void *build_space(struct build *b, uint16_t type, size_t n);
size_t build_end(const struct build *b); /* octets; 0: it did not fit */

/* Limits in octets, 0: none; hard_s: seconds since it was added, 0: none. */
void build_lifetime(struct xfrm_lifetime_cfg *l, uint64_t soft_octets, uint64_t hard_octets, uint32_t hard_s);

#endif
