#include "dataplane/esp/fragment.h"

#include "base/wire.h"

#include <string.h>

enum { MORE4 = 0x2000, FRAGMENT6 = 44 };

bool fragmenter_init(struct fragmenter *f, const struct ip_packet *ip, const uint8_t *packet, size_t len, size_t mtu,
		     uint32_t id)
{
	size_t head = ip->head + (ip->source.family == 6 ? FRAGMENT6_HEADER : 0);

	*f = (struct fragmenter){ .packet = packet, .ip = *ip, .at = ip->head, .id = id };
	f->ip.len = len;
	f->size = mtu > head ? (mtu - head) / 8 * 8 : 0;
	return f->size > 0;
}

/* Options that are not to be copied become no-operations in all but the first fragment (RFC 791 3.1). */
static void blank_options(uint8_t *header, size_t head)
{
	for (size_t at = IP4_HEADER; at < head;) {
		size_t len = header[at] < 2 || at + 1 == head ? 1 : header[at + 1];

		if (len == 0 || at + len > head)
			return;
		if (!(header[at] & 0x80))
			memset(header + at, 1, len);
		at += len;
	}
}

static size_t fragment4(const struct fragmenter *f, size_t n, bool last, uint8_t *to)
{
	struct wire_out out = { .buf = to, .len = f->ip.head, .cap = f->ip.head };
	uint16_t was = (uint16_t)((f->packet[6] << 8 | f->packet[7]) & 0x3fff); /* it may be a fragment itself */
	uint16_t offset = (uint16_t)((was & 0x1fff) + (f->at - f->ip.head) / 8);

	memcpy(to, f->packet, f->ip.head);
	memcpy(to + f->ip.head, f->packet + f->at, n);
	if (to[4] == 0 && to[5] == 0)
		wire_patch_u16(&out, 4, (uint16_t)(f->id ? f->id % 0xffff + 1 : 1));
	wire_patch_u16(&out, 6, (uint16_t)(offset | (last ? was & MORE4 : MORE4)));
	if (offset)
		blank_options(to, f->ip.head);
	ip_patch(to, &f->ip, f->ip.head + n, to[f->ip.next_at]);
	return f->ip.head + n;
}

static size_t fragment6(const struct fragmenter *f, size_t n, bool last, uint8_t *to)
{
	struct wire_out out = wire_out(to, f->ip.head + FRAGMENT6_HEADER + n);

	wire_put(&out, f->packet, f->ip.head);
	wire_put_u8(&out, to[f->ip.next_at]);
	wire_put_u8(&out, 0);
	wire_put_u16(&out, (uint16_t)((f->at - f->ip.head) | (last ? 0 : 1)));
	wire_put_u32(&out, f->id);
	wire_put(&out, f->packet + f->at, n);
	ip_patch(to, &f->ip, out.len, FRAGMENT6);
	return out.len;
}

size_t fragmenter_next(struct fragmenter *f, uint8_t *to)
{
	size_t left = f->ip.len - f->at, n = left < f->size ? left : f->size, len;

	if (n == 0)
		return 0;
	len = f->ip.source.family == 4 ? fragment4(f, n, n == left, to) : fragment6(f, n, n == left, to);
	f->at += n;
	return len;
}
