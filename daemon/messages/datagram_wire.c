#include "daemon/messages/datagram_wire.h"

#include <errno.h>

void datagram_encode(struct wire_out *out, const struct datagram *g)
{
	addr_encode(out, &g->local);
	addr_encode(out, &g->remote);
	wire_put_u16(out, g->local_port);
	wire_put_u16(out, g->remote_port);
	wire_put(out, g->octets, g->len);
}

int datagram_decode(struct wire_in *in, struct datagram *ret)
{
	struct datagram g = { .local = addr_decode(in) };

	g.remote = addr_decode(in);
	g.local_port = wire_u16(in);
	g.remote_port = wire_u16(in);
	g.len = in->left;
	g.octets = wire_octets(in, g.len);
	if (!wire_done(in) || !g.local.family || g.local.family != g.remote.family)
		return -EPROTO;
	*ret = g;
	return 0;
}
