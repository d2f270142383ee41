/* keying/payload/id.c - Identification payloads, initiator's and responder's (RFC 7296 3.5). */
#include "base/diag.h"
#include "keying/ike.h"

enum { ID_MOST = 2048 };

static int decode_id(struct wire_in *in, struct ike_id *ret, struct diag *d)
{
	struct keying_octets body = { in->at, in->left };
	uint8_t type = wire_u8(in);

	(void)wire_octets(in, 3);
	size_t len = in->left;
	const uint8_t *data = wire_octets(in, len);
	if (!wire_done(in) || len > ID_MOST)
		return diag_fail(d, ERR_SYNTAX, "ID payload: a length of %zu does not fit", body.len);
	*ret = (struct ike_id){ .type = type, .data = { data, len }, .body = body };
	return 0;
}

int ike_decode_id_i(struct wire_in *in, struct ike_msg *m, struct diag *d)
{
	m->has_id_i = true;
	return decode_id(in, &m->id_i, d);
}

int ike_decode_id_r(struct wire_in *in, struct ike_msg *m, struct diag *d)
{
	m->has_id_r = true;
	return decode_id(in, &m->id_r, d);
}

void ike_put_id(struct ike_writer *w, enum ike_payload type, uint8_t id_type, const void *id, size_t len)
{
	size_t at = ike_payload_begin(w, type);

	wire_put_u8(&w->out, id_type);
	wire_put(&w->out, "\0\0\0", 3);
	wire_put(&w->out, id, len);
	ike_payload_end(w, at);
}
