#include "base/addr_wire.h"

void addr_encode(struct wire_out *out, const struct addr *a)
{
	wire_put_u8(out, a->family);
	if (a->family)
		wire_put(out, a->octets, addr_octets(a));
}

struct addr addr_decode(struct wire_in *in)
{
	struct addr a = { .family = wire_u8(in) };

	if (a.family == 4 || a.family == 6)
		wire_copy(in, a.octets, addr_octets(&a));
	else if (a.family)
		in->failed = true;
	return in->failed ? (struct addr){ 0 } : a;
}
