/* keying/payload/sa.c - Security Association payload: proposals of transforms of attributes (RFC 7296 3.3). */
#include "base/diag.h"
#include "keying/ike.h"

enum { MORE_PROPOSALS = 2, MORE_TRANSFORMS = 3, ATTRIBUTE_TV = 0x8000 };

static int decode_transform(struct wire_in *in, struct ike_transform *ret, bool *ret_more, struct diag *d)
{
	uint8_t more = wire_u8(in);
	(void)wire_u8(in);
	uint16_t len = wire_u16(in); /* counts the eight octets of this header */
	struct wire_in body = wire_sub(in, len < 8 ? SIZE_MAX : len - 4u);
	struct ike_transform t = { .type = wire_u8(&body) };

	(void)wire_u8(&body);
	t.id = wire_u16(&body);
	while (!body.failed && body.left > 0) {
		uint16_t type = wire_u16(&body), value = wire_u16(&body);
		if (type == (ATTRIBUTE_TV | ATTRIBUTE_KEY_LENGTH)) {
			t.key_bits = value;
			continue;
		}
		t.strange = true;
		if (!(type & ATTRIBUTE_TV))
			(void)wire_sub(&body, value);
	}
	if (!wire_done(&body) || (more != 0 && more != MORE_TRANSFORMS))
		return diag_fail(d, ERR_SYNTAX, "SA payload: a transform's length does not fit");
	*ret = t;
	*ret_more = more != 0;
	return 0;
}

static int decode_proposal(struct wire_in *in, struct ike_proposal *ret, bool *ret_more, struct diag *d)
{
	uint8_t more = wire_u8(in);
	(void)wire_u8(in);
	uint16_t len = wire_u16(in);
	struct wire_in body = wire_sub(in, len < 8 ? SIZE_MAX : len - 4u);
	bool more_transforms = true;
	int r;

	*ret = (struct ike_proposal){ .number = wire_u8(&body) };
	ret->protocol = wire_u8(&body);
	ret->spi_len = wire_u8(&body);
	size_t transforms = wire_u8(&body);
	if (ret->spi_len == 4)
		ret->spi = wire_u32(&body);
	else if (ret->spi_len == 8)
		ret->spi = wire_u64(&body);
	else if (ret->spi_len != 0)
		return diag_fail(d, ERR_SYNTAX, "SA payload: an SPI of %u octets", ret->spi_len);
	if (body.failed || (more != 0 && more != MORE_PROPOSALS))
		return diag_fail(d, ERR_SYNTAX, "SA payload: a proposal's length does not fit");

	for (size_t i = 0; i < transforms; i++) {
		struct ike_transform t;
		if (!more_transforms)
			return diag_fail(d, ERR_SYNTAX, "SA payload: fewer transforms than it says");
		if ((r = decode_transform(&body, &t, &more_transforms, d)) < 0)
			return r;
		if (ret->count < IKE_TRANSFORMS_MOST)
			ret->transforms[ret->count++] = t;
	}
	if (!wire_done(&body))
		return diag_fail(d, ERR_SYNTAX, "SA payload: more in a proposal than it says");
	*ret_more = more != 0;
	return 0;
}

int ike_decode_sa(struct wire_in *in, struct ike_msg *m, struct diag *d)
{
	bool more = true;
	int r;

	for (unsigned number = 1; more; number++) {
		struct ike_proposal p;
		if ((r = decode_proposal(in, &p, &more, d)) < 0)
			return r;
		if (number > UINT8_MAX)
			return diag_fail(d, ERR_SYNTAX, "SA payload: too many proposals");
		if (m->offer.count < IKE_PROPOSALS_MOST)
			m->offer.proposals[m->offer.count++] = p;
	}
	if (!wire_done(in))
		return diag_fail(d, ERR_SYNTAX, "SA payload: octets behind the last proposal");
	m->has_sa = true;
	return 0;
}

static void put_transform(struct wire_out *out, const struct ike_transform *t, bool last)
{
	wire_put_u8(out, last ? 0 : MORE_TRANSFORMS);
	wire_put_u8(out, 0);
	wire_put_u16(out, t->key_bits ? 12 : 8);
	wire_put_u8(out, t->type);
	wire_put_u8(out, 0);
	wire_put_u16(out, t->id);
	if (t->key_bits) {
		wire_put_u16(out, ATTRIBUTE_TV | ATTRIBUTE_KEY_LENGTH);
		wire_put_u16(out, t->key_bits);
	}
}

void ike_put_sa(struct ike_writer *w, const struct ike_offer *offer)
{
	size_t payload = ike_payload_begin(w, PL_SA);
	struct wire_out *out = &w->out;

	for (size_t i = 0; i < offer->count; i++) {
		const struct ike_proposal *p = &offer->proposals[i];
		size_t at = out->len;

		wire_put_u8(out, i + 1 == offer->count ? 0 : MORE_PROPOSALS);
		wire_put_u8(out, 0);
		wire_put_u16(out, 0);
		wire_put_u8(out, p->number);
		wire_put_u8(out, p->protocol);
		wire_put_u8(out, p->spi_len);
		wire_put_u8(out, (uint8_t)p->count);
		if (p->spi_len == 4)
			wire_put_u32(out, (uint32_t)p->spi);
		else if (p->spi_len == 8)
			wire_put_u64(out, p->spi);
		for (size_t t = 0; t < p->count; t++)
			put_transform(out, &p->transforms[t], t + 1 == p->count);
		wire_patch_u16(out, at + 2, (uint16_t)(out->len - at));
	}
	ike_payload_end(w, payload);
}
