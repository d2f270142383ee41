#include "dataplane/esp/ah.h"

#include "base/crypto.h"
#include "base/diag.h"
#include "base/wire.h"
#include "dataplane/esp/sa.h"

#include <errno.h>
#include <string.h>

enum {
	AH_FIXED = 12,   /* next header, length, two reserved octets, SPI, sequence number (2) */
	ICV_MOST = 64,   /* the field, with IV and padding */
	HEAD_MOST = 512, /* headers before AH; more is nobody's traffic */
};

/* The whole header. The field of the check value is padded to a multiple of 4 octets in IPv4, of 8 in IPv6 (3.3.3.2.1).
 * With GMAC its IV stands in the field too (RFC 4543 4). */
static size_t header_len(const struct sa *sa)
{
	size_t n = AH_FIXED + sa->iv + sa->icv;

	return (n + sa->align - 1) / sa->align * sa->align;
}

size_t ah_sealed_len(const struct sa *sa, size_t len)
{
	return len + header_len(sa);
}

size_t ah_budget(const struct sa *sa, const struct ip_packet *ip, size_t mtu)
{
	size_t ah = header_len(sa);

	return mtu > ip->head + ah ? mtu - ah : ip->head;
}

/* A packet from its first octet to its last, as the check value covers it: what may change on the way and the check
 * value itself are zero, and an extended number's high half follows (3.3.3). */
struct cover {
	uint8_t before[HEAD_MOST], field[ICV_MOST], high[4];
	struct sealed sealed;
};

/* Puts the packet into that form and keeps what stood there. at: where AH stands. */
static bool cover_make(const struct sa *sa, uint8_t *packet, size_t len, size_t at, size_t ah, uint64_t seq,
		       struct cover *c)
{
	struct wire_out high = wire_out(c->high, sizeof c->high);

	if (at > sizeof c->before || ah - AH_FIXED > sizeof c->field)
		return false;
	memcpy(c->before, packet, at);
	memcpy(c->field, packet + at + AH_FIXED, ah - AH_FIXED);
	memset(packet + at + AH_FIXED, 0, sa->iv + sa->icv); /* padding behind it is covered as it is */
	wire_put_u32(&high, (uint32_t)(seq >> 32));
	c->sealed = (struct sealed){
		.iv = c->field,
		.covered = { packet, len },
		.behind = { c->high, sa->spec.esn ? sizeof c->high : 0 },
		.icv = c->field + sa->iv,
	};
	return ah_mask(packet, at);
}

static void cover_undo(const struct cover *c, uint8_t *packet, size_t at, size_t ah)
{
	memcpy(packet, c->before, at);
	memcpy(packet + at + AH_FIXED, c->field, ah - AH_FIXED);
}

/* The kernel would fill in an identification of 0, which is covered. */
static void identify(uint8_t *header, uint64_t seq)
{
	struct wire_out out = wire_out(header, IP4_HEADER);

	out.len = IP4_HEADER;
	if (header[4] == 0 && header[5] == 0)
		wire_patch_u16(&out, 4, (uint16_t)(seq % UINT16_MAX + 1));
}

/* RFC 791 3.1: the packet would go by way of others, and end at another address than it has now. */
static bool source_routed(const uint8_t *header, size_t head)
{
	for (size_t at = IP4_HEADER; at + 1 < head && header[at] != 0;) {
		if (header[at] == 131 || header[at] == 137)
			return true;
		at += header[at] == 1 ? 1u : header[at + 1] ? header[at + 1] : head;
	}
	return false;
}

int ah_seal(struct sa *sa, const struct ip_packet *ip, const uint8_t *packet, size_t len, struct wire_out *out,
	    struct diag *d)
{
	size_t start = out->len, ah = header_len(sa), total = len + ah;
	bool v4 = ip->source.family == 4;
	uint8_t *at, *field;
	struct cover c;
	uint64_t seq;
	int r;

	if ((r = sa_number(sa, &seq, d)) < 0)
		return r;
	if (total > IP_PACKET_MOST)
		return diag_fail(d, EMSGSIZE, "%zu octets with AH are more than a packet holds", total);
	if (v4 && source_routed(packet, ip->head))
		return diag_fail(d, ERR_UNSUPPORTED, "AH for a source-routed packet");
	wire_put(out, packet, ip->head);
	wire_put_u8(out, ip->next);
	wire_put_u8(out, (uint8_t)(ah / 4 - 2));
	wire_put_u16(out, 0);
	wire_put_u32(out, sa->spec.spi);
	wire_put_u32(out, (uint32_t)seq);
	field = wire_put_space(out, ah - AH_FIXED);
	wire_put(out, packet + ip->head, len - ip->head);
	if (out->failed)
		return diag_fail(d, ENOBUFS, "no room for %zu octets", total);
	at = out->buf + start;
	if (sa->iv) {
		struct wire_out iv = wire_out(field, sa->iv);

		wire_put_u64(&iv, seq); /* never repeats under one key */
	}
	if (v4)
		identify(at, seq);
	ip_patch(at, ip, total, IP_AH);
	sa_use(sa);
	if (!cover_make(sa, at, total, ip->head, ah, seq, &c))
		r = diag_fail(d, ERR_UNSUPPORTED, "AH behind headers that are not understood");
	else
		r = seal_close(sa->seal, &c.sealed, d);
	if (r < 0) {
		out->len = start;
		return r;
	}
	cover_undo(&c, at, ip->head, ah);
	sa->packets++;
	sa->octets += len - ip->head;
	return 0;
}

/* The one length that the family asks for; in IPv4 also what Linux makes of it unless told otherwise, 8 octets. */
static bool length_right(const struct sa *sa, const struct ip_packet *ip, size_t ah)
{
	return ah == header_len(sa) || (ip->source.family == 4 && ah == (header_len(sa) + 7) / 8 * 8);
}

int ah_open(struct sa *sa, const struct ip_packet *ip, uint8_t *packet, size_t at, size_t *ret_start, size_t *ret_len,
	    uint8_t *ret_next, struct diag *d)
{
	struct wire_in in = wire_in(packet + at, ip->len - at);
	uint8_t next = wire_u8(&in);
	size_t ah = (wire_u8(&in) + 2u) * 4u;
	uint32_t spi, low;
	struct cover c;
	uint64_t seq;
	int r;

	(void)wire_u16(&in);
	spi = wire_u32(&in);
	seq = low = wire_u32(&in);
	if (in.failed || !length_right(sa, ip, ah) || in.left < ah - AH_FIXED)
		return diag_fail(d, ERR_SYNTAX, "SPI %08x: an AH of %zu octets in %zu", spi, ah, ip->len - at);
	if (sa->spec.esn && !replay_extend(&sa->replay, low, &seq))
		return diag_fail(d, ESTALE, "SPI %08x: sequence number before the first", spi);
	if ((r = replay_check(&sa->replay, seq)) < 0)
		return diag_fail(d, r, "SPI %08x: replayed", spi);
	if (!cover_make(sa, packet, ip->len, at, ah, seq, &c))
		return diag_fail(d, ERR_SYNTAX, "SPI %08x: AH behind headers that are not understood", spi);
	sa_use(sa);
	if ((r = seal_open(sa->seal, &c.sealed, d)) < 0)
		return r;
	if ((r = replay_accept(&sa->replay, seq)) < 0)
		return diag_fail(d, r, "SPI %08x: replayed", spi);
	*ret_next = next;
	*ret_start = ah;
	*ret_len = ip->len - ah;
	memcpy(packet + ah, c.before, at);
	ip_patch(packet + ah, ip, *ret_len, next);
	return 0;
}
