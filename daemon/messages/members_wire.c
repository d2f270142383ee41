#include "daemon/messages/members_wire.h"

#include <string.h>

enum { ROW_THERE = 1, ROW_INHERITED = 2 };

void members_head_put(struct wire_out *out, const struct members_head *h)
{
	wire_put_u64(out, h->plan);
	wire_put_u64(out, h->request);
	wire_put_u32(out, h->groups);
}

void members_head_get(struct wire_in *in, struct members_head *h)
{
	h->plan = wire_u64(in);
	h->request = wire_u64(in);
	h->groups = wire_u32(in);
	if (h->groups > PLAN_GROUPS_MOST)
		in->failed = true;
}

void members_row_put(struct wire_out *out, const struct members_row *r)
{
	addr_encode(out, &r->local);
	addr_encode(out, &r->remote);
	wire_put_u8(out, (uint8_t)((r->there ? ROW_THERE : 0u) | (r->inherited ? ROW_INHERITED : 0u)));
	if (!r->there)
		return;
	wire_put_u64(out, r->is->learnt_s);
	wire_put(out, r->is->bits, 2 * MEMBERSHIP_OCTETS(r->is->count));
}

void members_row_get(struct wire_in *in, struct membership *to, struct members_row *ret)
{
	size_t n = MEMBERSHIP_OCTETS(to->count);
	uint8_t flags;

	ret->local = addr_decode(in);
	ret->remote = addr_decode(in);
	flags = wire_u8(in);
	ret->there = flags & ROW_THERE;
	ret->inherited = flags & ROW_INHERITED;
	ret->is = ret->there ? to : NULL;
	if (!ret->local.family || ret->local.family != ret->remote.family || flags > (ROW_THERE | ROW_INHERITED))
		in->failed = true;
	if (!ret->there)
		return;
	to->learnt_s = wire_u64(in);
	wire_copy(in, to->bits, 2 * n);
	for (size_t i = 0; i < n; i++)
		if (to->bits[i] & ~to->bits[n + i]) /* sure, and yet not possible */
			in->failed = true;
	if (to->count % 8 && n && to->bits[2 * n - 1] >> to->count % 8)
		in->failed = true;
}
