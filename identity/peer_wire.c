#include "identity/peer_wire.h"

void peer_put(struct wire_out *out, const struct peer *p)
{
	wire_put_u8(out, (uint8_t)p->method);
	wire_put_text(out, p->id, sizeof p->id);
	wire_put_text(out, p->subject, sizeof p->subject);
	wire_put_text(out, p->issuer, sizeof p->issuer);
	wire_put_u8(out, (uint8_t)p->name_count);
	for (size_t i = 0; i < p->name_count; i++)
		wire_put_text(out, p->names[i], sizeof p->names[i]);
	wire_put_u64(out, p->not_after_s);
	wire_put(out, p->certificate, sizeof p->certificate);
	wire_put_u64(out, p->learnt_s);
	sid_list_put(out, &p->sids);
}

void peer_get(struct wire_in *in, struct peer *ret)
{
	uint8_t method = wire_u8(in), names;

	*ret = (struct peer){ .method = (enum peer_method)method };
	wire_text(in, ret->id, sizeof ret->id);
	wire_text(in, ret->subject, sizeof ret->subject);
	wire_text(in, ret->issuer, sizeof ret->issuer);
	names = wire_u8(in);
	if (method > PEER_KERBEROS || names > PEER_NAMES)
		in->failed = true;
	while (!in->failed && ret->name_count < names)
		wire_text(in, ret->names[ret->name_count++], PEER_TEXT);
	ret->not_after_s = wire_u64(in);
	wire_copy(in, ret->certificate, sizeof ret->certificate);
	ret->learnt_s = wire_u64(in);
	sid_list_get(in, &ret->sids);
	if (in->failed)
		*ret = (struct peer){ 0 };
}
