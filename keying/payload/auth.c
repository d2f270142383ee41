/* keying/payload/auth.c - Authentication payload (RFC 7296 3.8). What the data mean is identity/'s matter. */
#include "base/diag.h"
#include "keying/ike.h"

int ike_decode_auth(struct wire_in *in, struct ike_msg *m, struct diag *d)
{
	uint8_t method = wire_u8(in);

	(void)wire_octets(in, 3);
	size_t len = in->left;
	const uint8_t *data = wire_octets(in, len);
	if (!wire_done(in) || len == 0 || len > KEYING_AUTH_MOST)
		return diag_fail(d, ERR_SYNTAX, "AUTH payload: %zu octets of data", len);
	m->has_auth = true;
	m->auth_method = method;
	m->auth = (struct keying_octets){ data, len };
	return 0;
}

void ike_put_auth(struct ike_writer *w, uint8_t method, const void *data, size_t len)
{
	size_t at = ike_payload_begin(w, PL_AUTH);

	wire_put_u8(&w->out, method);
	wire_put(&w->out, "\0\0\0", 3);
	wire_put(&w->out, data, len);
	ike_payload_end(w, at);
}
