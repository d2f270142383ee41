/* keying/payload/gspm.c - Generic Secure Password Method payload (RFC 6467 3) with what Kerberos puts into it
 * (docs/protocols/kerberos-ikev2.md 3): items of a type, a length and so many octets. Unknown ones are passed over. */
#include "base/diag.h"
#include "keying/ike.h"
#include <string.h>

enum gspm_item { ITEM_MECHANISM = 1, ITEM_PRINCIPAL, ITEM_TOKEN_I, ITEM_TOKEN_R };

/* 1.2.840.113554.1.2.2, in DER */
static const uint8_t kerberos[] = { 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02 };

static int keep(struct keying_octets *to, struct keying_octets item, size_t most, const char *what, struct diag *d)
{
	if (to->at)
		return diag_fail(d, ERR_SYNTAX, "GSPM payload: %s twice", what);
	if (item.len == 0 || item.len > most)
		return diag_fail(d, ERR_SYNTAX, "GSPM payload: %s of %zu octets", what, item.len);
	*to = item;
	return 0;
}

/* It goes into logs and to the KDC: no control characters, no zero. */
static bool is_text(struct keying_octets o)
{
	for (size_t i = 0; i < o.len; i++)
		if (o.at[i] < ' ' || o.at[i] == 127)
			return false;
	return true;
}

static int decode_item(struct ike_gspm *g, uint8_t type, struct keying_octets item, struct diag *d)
{
	switch (type) {
	case ITEM_MECHANISM:
		g->kerberos |= item.len == sizeof kerberos && memcmp(item.at, kerberos, sizeof kerberos) == 0;
		return 0;
	case ITEM_PRINCIPAL:
		if (!is_text(item))
			return diag_fail(d, ERR_SYNTAX, "GSPM payload: a principal that is no text");
		return keep(&g->principal, item, KEYING_GSS_TARGET - 1, "principal", d);
	case ITEM_TOKEN_I:
		return keep(&g->token_i, item, KEYING_TOKEN_MOST, "the initiator's token", d);
	case ITEM_TOKEN_R:
		return keep(&g->token_r, item, KEYING_TOKEN_MOST, "the responder's token", d);
	default:
		return 0;
	}
}

int ike_decode_gspm(struct wire_in *in, struct ike_msg *m, struct diag *d)
{
	struct ike_gspm *g = &m->gspm;
	int r;

	*g = (struct ike_gspm){ .body = { in->at, in->left } };
	while (in->left && !in->failed) {
		uint8_t type = wire_u8(in);
		(void)wire_u8(in);
		size_t len = wire_u16(in);
		const uint8_t *at = wire_octets(in, len);

		if (!in->failed && (r = decode_item(g, type, (struct keying_octets){ at, len }, d)) < 0)
			return r;
	}
	if (!wire_done(in) || g->body.len == 0)
		return diag_fail(d, ERR_SYNTAX, "GSPM payload: an item does not fit");
	m->has_gspm = true;
	return 0;
}

static void put_item(struct ike_writer *w, enum gspm_item type, struct keying_octets item)
{
	if (!item.len)
		return;
	wire_put_u8(&w->out, (uint8_t)type);
	wire_put_u8(&w->out, 0);
	wire_put_u16(&w->out, (uint16_t)item.len);
	if (item.len > UINT16_MAX)
		w->out.failed = true;
	wire_put(&w->out, item.at, item.len);
}

struct keying_octets ike_put_gspm(struct ike_writer *w, const struct ike_gspm *g)
{
	size_t at = ike_payload_begin(w, PL_GSPM), body = w->out.len;

	put_item(w, ITEM_MECHANISM, (struct keying_octets){ kerberos, g->kerberos ? sizeof kerberos : 0 });
	put_item(w, ITEM_PRINCIPAL, g->principal);
	put_item(w, ITEM_TOKEN_I, g->token_i);
	put_item(w, ITEM_TOKEN_R, g->token_r);
	ike_payload_end(w, at);
	return (struct keying_octets){ w->out.buf + body, w->out.len - body };
}
