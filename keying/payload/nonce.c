/* keying/payload/nonce.c - Nonce payload: 16 to 256 octets (RFC 7296 3.9). */
#include "base/diag.h"
#include "keying/ike.h"

int ike_decode_nonce(struct wire_in *in, struct ike_msg *m, struct diag *d)
{
	size_t len = in->left;
	const uint8_t *data = wire_octets(in, len);

	if (!wire_done(in) || len < IKE_NONCE_LEAST || len > IKE_NONCE_MOST)
		return diag_fail(d, ERR_SYNTAX, "Nonce payload: %zu octets, not 16 to 256", len);
	m->nonce = (struct keying_octets){ data, len };
	return 0;
}

void ike_put_nonce(struct ike_writer *w, const void *nonce, size_t len)
{
	size_t at = ike_payload_begin(w, PL_NONCE);

	wire_put(&w->out, nonce, len);
	ike_payload_end(w, at);
}
