#include "tools/lab/fragments.h"

static bool is_known(const struct fragments *f, const struct packet *p)
{
	for (unsigned i = 0; i < FRAGMENTS_MOST; i++)
		if (f->sealed[i].from.family && f->sealed[i].id == p->fragment_id &&
		    addr_equal(&f->sealed[i].from, &p->from) && addr_equal(&f->sealed[i].to, &p->to))
			return true;
	return false;
}

void fragments_join(struct fragments *f, struct packet *p)
{
	if (p->fragment == PACKET_WHOLE || p->flow.protocol != PACKET_UDP)
		return;
	if (p->fragment == PACKET_LATER_FRAGMENT) {
		if (p->kind == PACKET_CLEAR && is_known(f, p)) {
			p->kind = PACKET_SEALED;
			p->sealed_by = PACKET_ESP;
		}
		return;
	}
	if (p->kind != PACKET_SEALED || is_known(f, p)) /* each is captured at both its ends */
		return;
	f->sealed[f->next].from = p->from;
	f->sealed[f->next].to = p->to;
	f->sealed[f->next].id = p->fragment_id;
	f->next = (f->next + 1) % FRAGMENTS_MOST;
}
