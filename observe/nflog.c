#include "observe/nflog.h"

#include "base/wire.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <string.h>

enum { GENERAL_HEADER = 4 /* struct nfgenmsg */, NETLINK_ALIGNED = 3, SUBSYSTEM_LOG = 4, KNOWN_TYPE = 0x3fff };

/* Netlink is in the machine's own order of octets. */
static uint16_t own_u16(struct wire_in *in)
{
	uint16_t v;

	wire_copy(in, &v, sizeof v);
	return v;
}

static uint32_t own_u32(struct wire_in *in)
{
	uint32_t v;

	wire_copy(in, &v, sizeof v);
	return v;
}

/* The body of something whose length counts `head` octets that were read already; then its padding goes. */
static struct wire_in body_of(struct wire_in *in, size_t len, size_t head)
{
	struct wire_in body = wire_sub(in, len < head ? SIZE_MAX : len - head);
	size_t padding = ((len + NETLINK_ALIGNED) & ~(size_t)NETLINK_ALIGNED) - len;

	if (!body.failed)
		(void)wire_octets(in, padding < in->left ? padding : in->left);
	return body;
}

static void take_prefix(struct wire_in *in, char to[NFLOG_PREFIX])
{
	size_t n = strnlen((const char *)in->at, in->left);

	n = n < NFLOG_PREFIX - 1 ? n : NFLOG_PREFIX - 1;
	memcpy(to, in->at, n);
	to[n] = '\0';
}

static void take_attribute(struct nflog_packet *p, unsigned type, struct wire_in *in)
{
	switch (type) {
	case NFULA_PACKET_HDR:
		(void)wire_u16(in);
		p->hook = wire_u8(in);
		if (in->failed)
			p->hook = NFLOG_HOOK_NONE;
		break;
	case NFULA_PREFIX:
		take_prefix(in, p->prefix);
		break;
	case NFULA_PAYLOAD:
		p->octets = in->at;
		p->len = in->left;
		break;
	default:
		break;
	}
}

static bool take_packet(struct wire_in *in, struct nflog_packet *p)
{
	*p = (struct nflog_packet){ .hook = NFLOG_HOOK_NONE };
	(void)wire_octets(in, GENERAL_HEADER);
	while (in->left >= 4) {
		uint16_t len = own_u16(in), type = own_u16(in);
		struct wire_in body = body_of(in, len, 4);

		if (body.failed)
			return false;
		take_attribute(p, type & KNOWN_TYPE, &body);
	}
	return !in->failed && p->octets;
}

size_t nflog_parse(const void *octets, size_t len, void (*each)(void *context, const struct nflog_packet *p),
		   void *context)
{
	struct wire_in in = wire_in(octets, len);
	size_t count = 0;

	while (in.left >= sizeof(struct nlmsghdr)) {
		uint32_t n = own_u32(&in);
		uint16_t type = own_u16(&in);
		struct nflog_packet p;

		(void)wire_octets(&in, sizeof(struct nlmsghdr) - 6);
		struct wire_in body = body_of(&in, n, sizeof(struct nlmsghdr));
		if (body.failed)
			break;
		if (type != (SUBSYSTEM_LOG << 8 | NFULNL_MSG_PACKET) || !take_packet(&body, &p))
			continue;
		count++;
		each(context, &p);
	}
	return count;
}
