/* keying/payload/ke.c - Key Exchange payload (RFC 7296 3.4). The public value's length is checked where the group is
 * known; the value itself by the key exchange. */
#include "base/diag.h"
#include "keying/ike.h"

int ike_decode_ke(struct wire_in *in, struct ike_msg *m, struct diag *d)
{
	uint16_t group = wire_u16(in);

	(void)wire_u16(in);
	size_t len = in->left;
	const uint8_t *data = wire_octets(in, len);
	if (!wire_done(in) || len == 0 || len > KEYING_SECRET_MOST)
		return diag_fail(d, ERR_SYNTAX, "KE payload: a public value of %zu octets", len);
	m->has_ke = true;
	m->ke_group = group;
	m->ke = (struct keying_octets){ data, len };
	return 0;
}

void ike_put_ke(struct ike_writer *w, uint16_t group, const void *data, size_t len)
{
	size_t at = ike_payload_begin(w, PL_KE);

	wire_put_u16(&w->out, group);
	wire_put_u16(&w->out, 0);
	wire_put(&w->out, data, len);
	ike_payload_end(w, at);
}
