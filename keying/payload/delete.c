/* keying/payload/delete.c - Delete payload (RFC 7296 3.11). */
#include "base/diag.h"
#include "keying/ike.h"

int ike_decode_delete(struct wire_in *in, struct ike_msg *m, struct diag *d)
{
	struct ike_delete del = { .protocol = wire_u8(in) };
	uint8_t spi_len = wire_u8(in);

	del.count = wire_u16(in);
	if (del.protocol == PROTO_IKE ? spi_len != 0 || del.count != 0 : spi_len != 4)
		return diag_fail(d, ERR_SYNTAX, "Delete payload: protocol %u with SPIs of %u octets", del.protocol,
				 spi_len);
	del.spis = wire_octets(in, (size_t)spi_len * del.count);
	if (!wire_done(in))
		return diag_fail(d, ERR_SYNTAX, "Delete payload: %u SPIs do not fit", del.count);
	m->deletes[m->delete_count++] = del;
	return 0;
}

void ike_put_delete_ike(struct ike_writer *w)
{
	size_t at = ike_payload_begin(w, PL_DELETE);

	wire_put_u8(&w->out, PROTO_IKE);
	wire_put_u8(&w->out, 0);
	wire_put_u16(&w->out, 0);
	ike_payload_end(w, at);
}

void ike_put_delete(struct ike_writer *w, uint8_t protocol, const uint32_t *spis, size_t n)
{
	size_t at = ike_payload_begin(w, PL_DELETE);

	wire_put_u8(&w->out, protocol);
	wire_put_u8(&w->out, 4);
	wire_put_u16(&w->out, (uint16_t)n);
	for (size_t i = 0; i < n; i++)
		wire_put_u32(&w->out, spis[i]);
	ike_payload_end(w, at);
}
