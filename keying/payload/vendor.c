/* keying/payload/vendor.c - Vendor ID payload (RFC 7296 3.12): of all there are we know one, our own. */
#include "keying/ike.h"
#include <string.h>

/* The first 16 octets of SHA-256("Cordon: ESP in UDP without a NAT, 1"). */
static const uint8_t esp_in_udp[] = { 0x5c, 0x34, 0x0c, 0x8c, 0x8d, 0xed, 0xa1, 0x61,
				      0x31, 0x66, 0x61, 0xb6, 0xe3, 0x3b, 0xea, 0x83 };

int ike_decode_vendor(struct wire_in *in, struct ike_msg *m, struct diag *d)
{
	size_t len = in->left;
	const uint8_t *id = wire_octets(in, len);

	(void)d;
	if (id && len == sizeof esp_in_udp && memcmp(id, esp_in_udp, len) == 0)
		m->wants_udp = true;
	return 0;
}

void ike_put_vendor_udp(struct ike_writer *w)
{
	size_t at = ike_payload_begin(w, PL_VENDOR);

	wire_put(&w->out, esp_in_udp, sizeof esp_in_udp);
	ike_payload_end(w, at);
}
