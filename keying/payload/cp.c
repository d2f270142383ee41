/* keying/payload/cp.c - Configuration and EAP payloads (RFC 7296 3.15, 3.16): read only to say in words what Cordon
 * does not do. */
#include "base/diag.h"
#include "keying/ike.h"

enum { CFG_REQUEST = 1, INTERNAL_IP4_ADDRESS = 1, INTERNAL_IP6_ADDRESS = 8, RESERVED_BIT = 0x8000 };

int ike_decode_cp(struct wire_in *in, struct ike_msg *m, struct diag *d)
{
	uint8_t kind = wire_u8(in);

	(void)wire_octets(in, 3);
	while (in->left && !in->failed) {
		uint16_t type = wire_u16(in) & (RESERVED_BIT - 1u), len = wire_u16(in);

		(void)wire_octets(in, len);
		if (kind == CFG_REQUEST && (type == INTERNAL_IP4_ADDRESS || type == INTERNAL_IP6_ADDRESS))
			m->asks_address = true;
	}
	if (!wire_done(in))
		return diag_fail(d, ERR_SYNTAX, "CP payload: an attribute does not fit");
	return 0;
}

int ike_decode_eap(struct wire_in *in, struct ike_msg *m, struct diag *d)
{
	size_t len = in->left;

	(void)wire_octets(in, len);
	if (len < 4)
		return diag_fail(d, ERR_SYNTAX, "EAP payload: %zu octets", len);
	m->has_eap = true;
	return 0;
}
