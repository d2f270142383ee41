/* keying/v1/payload/sa.c - Security Association payload: proposals of transforms of attributes (RFC 2408 3.3 to 3.6,
 * RFC 2407 4.5, 4.6.1; RFC 2409 appendix A). */
#include "base/diag.h"
#include "base/scope.h"
#include "keying/v1/payload/payloads.h"
#include <string.h>

enum { MORE_PROPOSALS = 2, MORE_TRANSFORMS = 3, ATTRIBUTE_TV = 0x8000, IDENTITY_ONLY = 1, SECONDS = 1, KILOBYTES = 2 };

enum field {
	F_IGNORED,
	F_ENCR,
	F_HASH,
	F_METHOD,
	F_GROUP,
	F_PRF,
	F_KEY_BITS,
	F_LIFE_TYPE,
	F_LIFE,
	F_GSS_NAME,
	F_ENCAPSULATION,
	F_INTEG,
	F_ESN,
};

struct attribute_row {
	uint16_t type;
	enum field field;
};
static const struct attribute_row main_attributes[] = {
	{ 1, F_ENCR },         { 2, F_HASH },         { 3, F_METHOD }, { 4, F_GROUP },
	{ 11, F_LIFE_TYPE },   { 12, F_LIFE },        { 13, F_PRF },   { 14, F_KEY_BITS },
	{ 16384, F_GSS_NAME }, { 32001, F_GSS_NAME }, /* as Windows 2000 was seen to send it */
};
static const struct attribute_row quick_attributes[] = {
	{ 1, F_LIFE_TYPE },
	{ 2, F_LIFE },
	{ 3, F_GROUP },
	{ 4, F_ENCAPSULATION },
	{ 5, F_INTEG },
	{ 6, F_KEY_BITS },
	{ 10, F_IGNORED /* ECN in tunnels */ },
	{ 11, F_ESN /* RFC 4304 */ },
};

struct attribute_table {
	const struct attribute_row *rows;
	size_t count;
};

static struct attribute_table attributes_of(uint8_t protocol)
{
	if (protocol == V1_PROTO_ISAKMP)
		return (struct attribute_table){ main_attributes, ARRAY_LEN(main_attributes) };
	return (struct attribute_table){ quick_attributes, ARRAY_LEN(quick_attributes) };
}

/* One attribute: short with its value, or long with octets that may be a number as well. */
struct attribute {
	uint16_t type;
	uint32_t value;
	struct keying_octets data;
};

static struct attribute take_attribute(struct wire_in *in)
{
	uint16_t type = wire_u16(in), value = wire_u16(in);
	struct attribute a = { .type = (uint16_t)(type & ~(unsigned)ATTRIBUTE_TV), .value = value };

	if (type & ATTRIBUTE_TV)
		return a;
	a.data = (struct keying_octets){ wire_octets(in, value), value };
	a.value = 0;
	for (size_t i = 0; !in->failed && i < a.data.len; i++) { /* more than fits is the most that fits */
		a.value = a.value > UINT32_MAX >> 8 ? UINT32_MAX : a.value << 8 | a.data.at[i];
		if (a.value == UINT32_MAX)
			break;
	}
	return a;
}

static enum field field_of(const struct attribute_table *table, uint16_t type, bool *ret_known)
{
	for (size_t i = 0; i < table->count; i++)
		if (table->rows[i].type == type) {
			*ret_known = true;
			return table->rows[i].field;
		}
	*ret_known = false;
	return F_IGNORED;
}

static void set_u16(struct v1_transform *t, uint16_t *field, const struct attribute *a)
{
	if (*field || a->value > UINT16_MAX)
		t->strange = true; /* twice, or a value that is none */
	*field = (uint16_t)a->value;
}

static void set_life(struct v1_transform *t, uint16_t life_type, uint32_t value)
{
	if (life_type == SECONDS)
		t->life_s = value;
	else if (life_type == KILOBYTES)
		t->life_kb = value;
	else
		t->strange = true;
}

static void note(struct v1_transform *t, enum field field, const struct attribute *a, uint16_t *life_type)
{
	switch (field) {
	case F_IGNORED:
		break;
	case F_ENCR:
		set_u16(t, &t->encr, a);
		break;
	case F_HASH:
		set_u16(t, &t->hash, a);
		break;
	case F_METHOD:
		set_u16(t, &t->method, a);
		break;
	case F_GROUP:
		set_u16(t, &t->group, a);
		break;
	case F_PRF:
		set_u16(t, &t->prf, a);
		break;
	case F_KEY_BITS:
		set_u16(t, &t->key_bits, a);
		break;
	case F_ENCAPSULATION:
		set_u16(t, &t->encapsulation, a);
		break;
	case F_INTEG:
		set_u16(t, &t->integ, a);
		break;
	case F_ESN:
		t->esn = a->value == 1;
		break;
	case F_LIFE_TYPE:
		*life_type = a->value > UINT16_MAX ? 0 : (uint16_t)a->value;
		break;
	case F_LIFE:
		set_life(t, *life_type, a->value);
		break;
	case F_GSS_NAME:
		if (t->gss_name.len || a->data.len > V1_GSS_NAME_MOST)
			t->strange = true;
		t->gss_name = a->data;
		break;
	}
}

static int decode_transform(struct wire_in *in, uint8_t protocol, struct v1_transform *ret, bool *ret_more,
			    struct diag *d)
{
	const struct attribute_table table = attributes_of(protocol);
	uint8_t more = wire_u8(in);
	(void)wire_u8(in);
	uint16_t len = wire_u16(in); /* counts the eight octets of this header */
	struct wire_in body = wire_sub(in, len < 8 ? SIZE_MAX : len - 4u);
	struct v1_transform t = { .number = wire_u8(&body), .id = wire_u8(&body) };
	uint16_t life_type = 0;
	bool known;

	(void)wire_u16(&body);
	t.raw = (struct keying_octets){ body.at, body.left };
	while (!body.failed && body.left > 0) {
		struct attribute a = take_attribute(&body);
		enum field field = field_of(&table, a.type, &known);
		if (!known)
			t.strange = true;
		else if (!body.failed)
			note(&t, field, &a, &life_type);
	}
	if (!wire_done(&body) || (more != 0 && more != MORE_TRANSFORMS))
		return diag_fail(d, ERR_SYNTAX, "SA payload: a transform's length does not fit");
	*ret = t;
	*ret_more = more != 0;
	return 0;
}

static int decode_proposal(struct wire_in *in, struct v1_offer *offer, bool *ret_more, struct diag *d)
{
	uint8_t more = wire_u8(in);
	(void)wire_u8(in);
	uint16_t len = wire_u16(in);
	struct wire_in body = wire_sub(in, len < 8 ? SIZE_MAX : len - 4u);
	struct v1_proposal p = { .number = wire_u8(&body), .protocol = wire_u8(&body), .spi_len = wire_u8(&body) };
	size_t transforms = wire_u8(&body);
	bool more_transforms = true, keep = offer->count < V1_PROPOSALS_MOST;
	int r;

	if (p.spi_len == 4)
		p.spi = wire_u32(&body);
	else
		(void)wire_octets(&body, p.spi_len); /* main mode's says nothing (RFC 2408 3.5) */
	if (body.failed || p.spi_len > V1_SPI_MOST || (more != 0 && more != MORE_PROPOSALS))
		return diag_fail(d, ERR_SYNTAX, "SA payload: a proposal's length does not fit");

	p.first = offer->transform_count;
	for (size_t i = 0; i < transforms; i++) {
		struct v1_transform t;
		if (!more_transforms)
			return diag_fail(d, ERR_SYNTAX, "SA payload: fewer transforms than it says");
		if ((r = decode_transform(&body, p.protocol, &t, &more_transforms, d)) < 0)
			return r;
		if (keep && offer->transform_count < V1_TRANSFORMS_MOST) {
			offer->transforms[offer->transform_count++] = t;
			p.count++;
		}
	}
	if (!wire_done(&body))
		return diag_fail(d, ERR_SYNTAX, "SA payload: more in a proposal than it says");
	if (keep)
		offer->proposals[offer->count++] = p;
	*ret_more = more != 0;
	return 0;
}

int v1_decode_sa(struct wire_in *in, struct v1_msg *m, struct diag *d)
{
	struct keying_octets body = { in->at, in->left };
	uint32_t doi = wire_u32(in), situation = wire_u32(in);
	bool more = true;
	int r;

	if (!in->failed && (doi != V1_DOI_IPSEC || situation != IDENTITY_ONLY))
		return diag_fail(d, ERR_UNSUPPORTED, "SA payload: domain %u and situation %u are not IPsec's 1 and 1",
				 doi, situation);
	for (unsigned number = 1; more; number++) {
		if ((r = decode_proposal(in, &m->offer, &more, d)) < 0)
			return r;
		if (number > UINT8_MAX)
			return diag_fail(d, ERR_SYNTAX, "SA payload: too many proposals");
	}
	if (!wire_done(in))
		return diag_fail(d, ERR_SYNTAX, "SA payload: octets behind the last proposal");
	m->has_sa = true;
	m->sa_body = body;
	return 0;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static uint16_t type_of(const struct attribute_table *table, enum field field)
{
	for (size_t i = 0; i < table->count; i++)
		if (table->rows[i].field == field)
			return table->rows[i].type;
	return 0;
}

static void put_short(struct wire_out *out, const struct attribute_table *table, enum field field, uint16_t value)
{
	if (!value)
		return;
	wire_put_u16(out, (uint16_t)(ATTRIBUTE_TV | type_of(table, field)));
	wire_put_u16(out, value);
}

/* Its type, then the life as four octets: all peers read that. */
static void put_life(struct wire_out *out, const struct attribute_table *table, uint16_t kind, uint32_t life)
{
	if (!life)
		return;
	put_short(out, table, F_LIFE_TYPE, kind);
	wire_put_u16(out, type_of(table, F_LIFE));
	wire_put_u16(out, 4);
	wire_put_u32(out, life);
}

static void put_gss_name(struct wire_out *out, const struct attribute_table *table, struct keying_octets name)
{
	if (!name.len)
		return;
	wire_put_u16(out, type_of(table, F_GSS_NAME));
	wire_put_u16(out, (uint16_t)name.len);
	wire_put(out, name.at, name.len);
}

static void put_attributes(struct wire_out *out, const struct attribute_table *table, const struct v1_transform *t)
{
	put_short(out, table, F_ENCAPSULATION, t->encapsulation);
	put_short(out, table, F_ENCR, t->encr);
	put_short(out, table, F_KEY_BITS, t->key_bits);
	put_short(out, table, F_HASH, t->hash);
	put_short(out, table, F_INTEG, t->integ);
	put_short(out, table, F_GROUP, t->group);
	put_short(out, table, F_METHOD, t->method);
	put_short(out, table, F_ESN, t->esn);
	put_life(out, table, SECONDS, t->life_s);
	put_life(out, table, KILOBYTES, t->life_kb);
	put_gss_name(out, table, t->gss_name);
}

/* As the peer had them, but with our name in place of its. */
static void put_again(struct wire_out *out, const struct attribute_table *table, const struct v1_transform *t)
{
	struct wire_in in = wire_in(t->raw.at, t->raw.len);
	bool known;

	while (in.left && !in.failed) {
		const uint8_t *start = in.at;
		struct attribute a = take_attribute(&in);
		if (t->gss_name.len && field_of(table, a.type, &known) == F_GSS_NAME)
			put_gss_name(out, table, t->gss_name);
		else
			wire_put(out, start, (size_t)(in.at - start));
	}
}

static void put_transform(struct wire_out *out, uint8_t protocol, const struct v1_transform *t, bool last)
{
	const struct attribute_table table = attributes_of(protocol);
	size_t at = out->len;

	wire_put_u8(out, last ? 0 : MORE_TRANSFORMS);
	wire_put_u8(out, 0);
	wire_put_u16(out, 0);
	wire_put_u8(out, t->number);
	wire_put_u8(out, t->id);
	wire_put_u16(out, 0);
	if (t->raw.len)
		put_again(out, &table, t);
	else
		put_attributes(out, &table, t);
	wire_patch_u16(out, at + 2, (uint16_t)(out->len - at));
}

static void put_proposal(struct wire_out *out, const struct v1_offer *offer, const struct v1_proposal *p, bool last)
{
	size_t at = out->len;

	wire_put_u8(out, last ? 0 : MORE_PROPOSALS);
	wire_put_u8(out, 0);
	wire_put_u16(out, 0);
	wire_put_u8(out, p->number);
	wire_put_u8(out, p->protocol);
	wire_put_u8(out, p->spi_len);
	wire_put_u8(out, (uint8_t)p->count);
	if (p->spi_len == 4)
		wire_put_u32(out, p->spi);
	for (size_t i = 0; i < p->count; i++)
		put_transform(out, p->protocol, &offer->transforms[p->first + i], i + 1 == p->count);
	wire_patch_u16(out, at + 2, (uint16_t)(out->len - at));
}

void v1_put_sa(struct ike_writer *w, const struct v1_offer *offer)
{
	size_t at = v1_payload_begin(w, V1_PL_SA);

	wire_put_u32(&w->out, V1_DOI_IPSEC);
	wire_put_u32(&w->out, IDENTITY_ONLY);
	for (size_t i = 0; i < offer->count; i++)
		put_proposal(&w->out, offer, &offer->proposals[i], i + 1 == offer->count);
	ike_payload_end(w, at);
}
