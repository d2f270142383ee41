#include "dataplane/xfrm/build.h"

#include <libmnl/libmnl.h>
#include <string.h>

static size_t aligned(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

void *build_begin(struct build *b, void *buf, size_t cap, uint16_t type, uint16_t flags, size_t size)
{
	*b = (struct build){ .cap = cap, .failed = 1 };
	if (cap < sizeof(struct nlmsghdr) + aligned(size))
		return NULL;
	b->failed = 0;
	b->head = mnl_nlmsg_put_header(buf);
	b->head->nlmsg_type = type;
	b->head->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	return mnl_nlmsg_put_extra_header(b->head, size);
}

void *build_space(struct build *b, uint16_t type, size_t n)
{
	struct nlattr a = { .nla_type = type };
	size_t whole = sizeof a + n;
	uint8_t *at;

	if (b->failed || whole > UINT16_MAX || b->cap - b->head->nlmsg_len < aligned(whole)) {
		b->failed = 1;
		return NULL;
	}
	at = mnl_nlmsg_get_payload_tail(b->head);
	memset(at, 0, aligned(whole));
	a.nla_len = (uint16_t)whole;
	memcpy(at, &a, sizeof a);
	b->head->nlmsg_len += (uint32_t)aligned(whole);
	return at + sizeof a;
}

void build_put(struct build *b, uint16_t type, const void *octets, size_t n)
{
	void *to = build_space(b, type, n);

	if (to)
		memcpy(to, octets, n);
}

size_t build_end(const struct build *b)
{
	return b->failed ? 0 : b->head->nlmsg_len;
}

void build_lifetime(struct xfrm_lifetime_cfg *l, uint64_t soft_octets, uint64_t hard_octets, uint32_t hard_s)
{
	l->soft_byte_limit = soft_octets ? soft_octets : XFRM_INF;
	l->hard_byte_limit = hard_octets ? hard_octets : XFRM_INF;
	l->soft_packet_limit = l->hard_packet_limit = XFRM_INF;
	l->hard_add_expires_seconds = hard_s;
}
