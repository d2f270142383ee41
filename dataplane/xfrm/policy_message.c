/* Policies, as the kernel wants them. */
#include "dataplane/xfrm/message.h"

#include "base/table.h"
#include "base/wire.h"
#include "dataplane/xfrm/build.h"
#include "dataplane/xfrm/convert.h"

#include <string.h>

/* What the kernel compares, without what lies between the fields. */
enum { KEY_OCTETS = 64 };

static void flatten(const struct policy_key *k, uint8_t to[KEY_OCTETS])
{
	const struct xfrm_selector *s = &k->selector;
	struct wire_out out = wire_out(to, KEY_OCTETS);

	memset(to, 0, KEY_OCTETS);
	wire_put(&out, &s->daddr, sizeof s->daddr);
	wire_put(&out, &s->saddr, sizeof s->saddr);
	wire_put_u16(&out, s->dport);
	wire_put_u16(&out, s->dport_mask);
	wire_put_u16(&out, s->sport);
	wire_put_u16(&out, s->sport_mask);
	wire_put_u16(&out, s->family);
	wire_put_u8(&out, s->prefixlen_d);
	wire_put_u8(&out, s->prefixlen_s);
	wire_put_u8(&out, s->proto);
	wire_put_u32(&out, (uint32_t)s->ifindex);
	wire_put_u32(&out, k->mark.v);
	wire_put_u32(&out, k->mark.m);
	wire_put_u8(&out, k->dir);
}

uint64_t policy_key_hash(const struct policy_key *k)
{
	uint8_t octets[KEY_OCTETS];

	flatten(k, octets);
	return table_hash_secret(octets, sizeof octets, 0);
}

int policy_key_compare(const struct policy_key *a, const struct policy_key *b)
{
	uint8_t x[KEY_OCTETS], y[KEY_OCTETS];

	flatten(a, x);
	flatten(b, y);
	return memcmp(x, y, KEY_OCTETS);
}

size_t message_policy(void *buf, size_t cap, const struct policy_key *k, const struct policy_does *does, uint32_t index,
		      bool change)
{
	struct build b;
	struct xfrm_userpolicy_info *p =
		build_begin(&b, buf, cap, change ? XFRM_MSG_UPDPOLICY : XFRM_MSG_NEWPOLICY, 0, sizeof *p);
	struct xfrm_user_tmpl t = { 0 };

	if (!p)
		return 0;
	p->sel = k->selector;
	build_lifetime(&p->lft, 0, 0, does->lifetime_s);
	p->priority = does->priority;
	p->index = index;
	p->dir = k->dir;
	p->action = does->block ? XFRM_POLICY_BLOCK : XFRM_POLICY_ALLOW;
	p->share = XFRM_SHARE_ANY;
	if (does->protects) {
		t.id.daddr = convert_addr(&does->template.to);
		t.saddr = convert_addr(&does->template.from);
		t.id.proto = does->template.protocol;
		t.family = does->template.family;
		t.reqid = does->template.reqid;
		t.mode = does->template.mode;
		t.aalgos = t.ealgos = t.calgos = UINT32_MAX;
		build_put(&b, XFRMA_TMPL, &t, sizeof t);
	}
	if (k->mark.m)
		build_put(&b, XFRMA_MARK, &k->mark, sizeof k->mark);
	return build_end(&b);
}

size_t message_policy_remove(void *buf, size_t cap, const struct policy_key *k, uint32_t index)
{
	struct build b;
	struct xfrm_userpolicy_id *id = build_begin(&b, buf, cap, XFRM_MSG_DELPOLICY, 0, sizeof *id);

	if (!id)
		return 0;
	id->index = index;
	id->dir = k->dir;
	if (k->mark.m)
		build_put(&b, XFRMA_MARK, &k->mark, sizeof k->mark);
	return build_end(&b);
}

size_t message_policy_list(void *buf, size_t cap)
{
	struct build b;

	if (!build_begin(&b, buf, cap, XFRM_MSG_GETPOLICY, NLM_F_DUMP, sizeof(struct xfrm_userpolicy_id)))
		return 0;
	return build_end(&b);
}
