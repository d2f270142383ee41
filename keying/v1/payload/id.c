/* keying/v1/payload/id.c - Identification payload (RFC 2407 4.6.2): who somebody is in main mode, which traffic it is
 * in quick mode. */
#include "base/diag.h"
#include "base/scope.h"
#include "keying/v1/payload/payloads.h"

enum { ID_DATA_MOST = 2048, ID_HEADER = 4 };
enum shape { SHAPE_NAME, SHAPE_ADDRESS, SHAPE_SUBNET, SHAPE_RANGE };

static const struct id_row {
	uint8_t type, family;
	enum shape shape;
} id_rows[] = {
	{ V1_ID_IPV4, 4, SHAPE_ADDRESS }, { V1_ID_IPV4_SUBNET, 4, SHAPE_SUBNET }, { V1_ID_IPV4_RANGE, 4, SHAPE_RANGE },
	{ V1_ID_IPV6, 6, SHAPE_ADDRESS }, { V1_ID_IPV6_SUBNET, 6, SHAPE_SUBNET }, { V1_ID_IPV6_RANGE, 6, SHAPE_RANGE },
};

static struct addr take_addr(struct wire_in *in, uint8_t family)
{
	struct addr a = { .family = family };

	wire_copy(in, a.octets, addr_octets(&a));
	return a;
}

/* The length of the prefix; negative: the mask has holes. */
static int prefix_of(const struct addr *mask)
{
	int n = 0;
	bool ended = false;

	for (unsigned i = 0; i < addr_bits(mask); i++) {
		bool set = mask->octets[i / 8] & 0x80u >> i % 8;
		if (set && ended)
			return -1;
		ended = !set;
		n += set;
	}
	return n;
}

static int decode_range(struct wire_in *in, const struct id_row *row, struct addr_range *ret, struct diag *d)
{
	struct addr lo = take_addr(in, row->family);
	struct addr other = row->shape == SHAPE_ADDRESS ? lo : take_addr(in, row->family);
	int prefix;

	if (!wire_done(in))
		return diag_fail(d, ERR_SYNTAX, "ID payload: type %u of another length", row->type);
	*ret = (struct addr_range){ lo, other };
	if (row->shape == SHAPE_SUBNET) {
		if ((prefix = prefix_of(&other)) < 0)
			return diag_fail(d, ERR_SYNTAX, "ID payload: a mask with holes");
		*ret = addr_prefix_range(&lo, (unsigned)prefix);
	}
	if (addr_compare(&ret->lo, &ret->hi) > 0)
		return diag_fail(d, ERR_SYNTAX, "ID payload: a range that ends before it begins");
	return 0;
}

int v1_decode_id(struct wire_in *in, struct v1_msg *m, struct diag *d)
{
	struct keying_octets body = { in->at, in->left };
	struct v1_id id = { .type = wire_u8(in), .protocol = wire_u8(in), .port = wire_u16(in), .body = body };
	int r;

	id.data = (struct keying_octets){ in->at, in->left };
	if (in->failed || id.data.len > ID_DATA_MOST)
		return diag_fail(d, ERR_SYNTAX, "ID payload: a length of %zu does not fit", body.len);
	for (size_t i = 0; i < ARRAY_LEN(id_rows); i++) {
		if (id_rows[i].type != id.type)
			continue;
		if ((r = decode_range(in, &id_rows[i], &id.range, d)) < 0)
			return r;
		id.ranged = true;
	}
	m->ids[m->id_count++] = id;
	return 0;
}

size_t v1_id_body(uint8_t type, uint8_t protocol, uint16_t port, struct keying_octets data, uint8_t *ret, size_t cap)
{
	struct wire_out out = wire_out(ret, cap);

	wire_put_u8(&out, type);
	wire_put_u8(&out, protocol);
	wire_put_u16(&out, port);
	wire_put(&out, data.at, data.len);
	return out.failed ? 0 : out.len;
}

static uint8_t type_of(uint8_t family, enum shape shape)
{
	for (size_t i = 0; i < ARRAY_LEN(id_rows); i++)
		if (id_rows[i].family == family && id_rows[i].shape == shape)
			return id_rows[i].type;
	return 0;
}

size_t v1_id_body_range(const struct addr_range *r, uint8_t protocol, uint16_t port, uint8_t *ret, size_t cap)
{
	size_t n = addr_octets(&r->lo);
	int prefix = addr_range_prefix(r);
	enum shape shape = addr_equal(&r->lo, &r->hi) ? SHAPE_ADDRESS : prefix >= 0 ? SHAPE_SUBNET : SHAPE_RANGE;
	uint8_t data[2 * sizeof r->lo.octets] = { 0 };
	struct wire_out out = wire_out(data, sizeof data);

	wire_put(&out, r->lo.octets, n);
	if (shape == SHAPE_RANGE)
		wire_put(&out, r->hi.octets, n);
	for (size_t i = 0; shape == SHAPE_SUBNET && i < n; i++) /* where the ends are alike and the host bits begin */
		wire_put_u8(&out, (uint8_t) ~(r->lo.octets[i] ^ r->hi.octets[i]));
	return v1_id_body(type_of(r->lo.family, shape), protocol, port, (struct keying_octets){ data, out.len }, ret,
			  cap);
}

void v1_put_id(struct ike_writer *w, struct keying_octets body)
{
	v1_put_octets(w, V1_PL_ID, body);
}
