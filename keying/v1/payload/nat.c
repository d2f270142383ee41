/* keying/v1/payload/nat.c - NAT-D and NAT-OA payloads, by the numbers of RFC 3947 (3.2, 5.2) and of its draft -02. Both
 * are read wherever they may be: which one is meant was settled by vendor IDs. */
#include "base/diag.h"
#include "keying/v1/payload/payloads.h"

enum { HASH_LEAST = 16, HASH_MOST = 64 };

int v1_decode_nat_d(struct wire_in *in, struct v1_msg *m, struct diag *d)
{
	size_t len = in->left;
	const uint8_t *hash = wire_octets(in, len);

	if (!wire_done(in) || len < HASH_LEAST || len > HASH_MOST)
		return diag_fail(d, ERR_SYNTAX, "NAT-D payload: a hash of %zu octets", len);
	if (m->nat_d_count < V1_NAT_D_MOST) /* the two numbers are counted each by itself */
		m->nat_d[m->nat_d_count++] = (struct keying_octets){ hash, len };
	return 0;
}

int v1_decode_nat_oa(struct wire_in *in, struct v1_msg *m, struct diag *d)
{
	uint8_t type = wire_u8(in);
	struct addr a = { .family = type == V1_ID_IPV4 ? 4 : 6 };

	(void)wire_octets(in, 3);
	wire_copy(in, a.octets, addr_octets(&a));
	if (!wire_done(in) || (type != V1_ID_IPV4 && type != V1_ID_IPV6))
		return diag_fail(d, ERR_SYNTAX, "NAT-OA payload: no address, of type %u", type);
	if (m->nat_oa_count < 2)
		m->nat_oa[m->nat_oa_count++] = a;
	return 0;
}

void v1_put_nat_d(struct ike_writer *w, enum v1_nat revision, struct keying_octets hash)
{
	v1_put_octets(w, revision == V1_NAT_DRAFT ? V1_PL_NAT_D_DRAFT : V1_PL_NAT_D, hash);
}

void v1_put_nat_oa(struct ike_writer *w, enum v1_nat revision, const struct addr *a)
{
	size_t at = v1_payload_begin(w, revision == V1_NAT_DRAFT ? V1_PL_NAT_OA_DRAFT : V1_PL_NAT_OA);

	wire_put_u8(&w->out, a->family == 4 ? V1_ID_IPV4 : V1_ID_IPV6);
	wire_put(&w->out, "\0\0\0", 3);
	wire_put(&w->out, a->octets, addr_octets(a));
	ike_payload_end(w, at);
}
