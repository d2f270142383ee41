/* keying/payload/ts.c - Traffic Selector payloads, initiator's and responder's (RFC 7296 3.13). */
#include "base/diag.h"
#include "keying/ike.h"

static struct addr take_addr(struct wire_in *in, uint8_t family)
{
	struct addr a = { .family = family };

	wire_copy(in, a.octets, addr_octets(&a));
	return a;
}

static int decode_selector(struct wire_in *in, struct ike_ts_list *list, struct diag *d)
{
	uint8_t type = wire_u8(in);
	struct ike_ts ts = { .protocol = wire_u8(in) };
	uint16_t len = wire_u16(in); /* counts these four octets too */
	struct wire_in body = wire_sub(in, len < 4 ? SIZE_MAX : len - 4u);
	uint8_t family = type == TS_IPV4_ADDR_RANGE ? 4 : 6;

	if (body.failed)
		return diag_fail(d, ERR_SYNTAX, "TS payload: a selector of %u octets does not fit", len);
	if (type != TS_IPV4_ADDR_RANGE && type != TS_IPV6_ADDR_RANGE)
		return 0; /* of a kind that we do not have: never matches */
	ts.port_lo = wire_u16(&body);
	ts.port_hi = wire_u16(&body);
	ts.range.lo = take_addr(&body, family);
	ts.range.hi = take_addr(&body, family);
	if (!wire_done(&body) || addr_compare(&ts.range.lo, &ts.range.hi) > 0)
		return diag_fail(d, ERR_SYNTAX, "TS payload: a selector of %u octets is not well-formed", len);
	if (list->count < IKE_SELECTORS_MOST)
		list->at[list->count++] = ts;
	return 0;
}

static int decode_ts(struct wire_in *in, struct ike_ts_list *list, struct diag *d)
{
	size_t count = wire_u8(in);
	int r;

	(void)wire_octets(in, 3);
	if (count == 0)
		return diag_fail(d, ERR_SYNTAX, "TS payload: no selector");
	for (size_t i = 0; i < count; i++)
		if ((r = decode_selector(in, list, d)) < 0)
			return r;
	if (!wire_done(in))
		return diag_fail(d, ERR_SYNTAX, "TS payload: octets behind the last selector");
	return 0;
}

int ike_decode_ts_i(struct wire_in *in, struct ike_msg *m, struct diag *d)
{
	m->has_ts_i = true;
	return decode_ts(in, &m->ts_i, d);
}

int ike_decode_ts_r(struct wire_in *in, struct ike_msg *m, struct diag *d)
{
	m->has_ts_r = true;
	return decode_ts(in, &m->ts_r, d);
}

void ike_put_ts_list(struct ike_writer *w, enum ike_payload type, const struct ike_ts *list, size_t n)
{
	size_t at = ike_payload_begin(w, type);

	wire_put_u8(&w->out, (uint8_t)n);
	wire_put(&w->out, "\0\0\0", 3);
	for (size_t i = 0; i < n; i++) {
		const struct ike_ts *ts = &list[i];
		size_t octets = addr_octets(&ts->range.lo);

		wire_put_u8(&w->out, ts->range.lo.family == 4 ? TS_IPV4_ADDR_RANGE : TS_IPV6_ADDR_RANGE);
		wire_put_u8(&w->out, ts->protocol);
		wire_put_u16(&w->out, (uint16_t)(8 + 2 * octets));
		wire_put_u16(&w->out, ts->port_lo);
		wire_put_u16(&w->out, ts->port_hi);
		wire_put(&w->out, ts->range.lo.octets, octets);
		wire_put(&w->out, ts->range.hi.octets, octets);
	}
	ike_payload_end(w, at);
}

void ike_put_ts(struct ike_writer *w, enum ike_payload type, const struct ike_ts *ts)
{
	ike_put_ts_list(w, type, ts, 1);
}
