/* What the kernel sends. Each kind is a row: its number, how long its struct is, and who reads it. */
#include "dataplane/xfrm/message.h"

#include "base/scope.h"
#include "dataplane/xfrm/convert.h"

#include <arpa/inet.h>
#include <string.h>

/* One message, its struct copied to where it is aligned, and the attributes behind it. */
struct body {
	union {
		struct nlmsgerr error;
		struct xfrm_usersa_info state;
		struct xfrm_userpolicy_info policy;
		struct xfrm_user_acquire acquire;
		struct xfrm_user_expire expire;
		struct xfrm_user_mapping mapping;
		struct xfrm_usersa_id state_id;
		struct xfrm_userpolicy_id policy_id;
		int32_t end;
	} u;
	const uint8_t *more;
	size_t more_len;
};

static size_t aligned(size_t n)
{
	return (n + 3) & ~(size_t)3;
}

/* Copies the attribute of this type, as far as `size` goes; the number of octets it has, 0: there is none. */
static size_t attribute(const struct body *b, uint16_t type, void *to, size_t size)
{
	const uint8_t *at = b->more;
	size_t left = b->more_len;
	struct nlattr a;

	while (left >= sizeof a) {
		memcpy(&a, at, sizeof a);
		if (a.nla_len < sizeof a || a.nla_len > left)
			return 0;
		if ((a.nla_type & NLA_TYPE_MASK) == type) {
			size_t n = a.nla_len - sizeof a;

			memcpy(to, at + sizeof a, n < size ? n : size);
			return n;
		}
		if (aligned(a.nla_len) > left)
			return 0;
		at += aligned(a.nla_len);
		left -= aligned(a.nla_len);
	}
	return 0;
}

static void read_state_info(const struct xfrm_usersa_info *s, struct message_in *ret)
{
	ret->id = (struct state_id){ convert_addr_back(&s->id.daddr, s->family), ntohl(s->id.spi), s->id.proto };
	ret->from = convert_addr_back(&s->saddr, s->family);
	ret->reqid = s->reqid;
	ret->mode = s->mode;
	ret->acquire = s->seq;
	ret->octets = s->curlft.bytes;
	ret->packets = s->curlft.packets;
	ret->add_s = s->curlft.add_time;
	ret->use_s = s->curlft.use_time;
}

static void read_done(const struct body *b, struct message_in *ret)
{
	ret->error = b->u.error.error > 0 ? 0 : b->u.error.error;
}

static void read_end(const struct body *b, struct message_in *ret)
{
	ret->error = b->u.end > 0 ? 0 : b->u.end;
}

/* From Linux 4.19 on; those before take no notice of the mask. */
static void read_leaves(const struct body *b, struct message_in *ret)
{
	struct xfrm_mark mark = { 0 };

	if (attribute(b, XFRMA_SET_MARK, &mark.v, sizeof mark.v) == sizeof mark.v &&
	    attribute(b, XFRMA_SET_MARK_MASK, &mark.m, sizeof mark.m) == sizeof mark.m)
		ret->leaves = mark;
}

static void read_state(const struct body *b, struct message_in *ret)
{
	struct xfrm_replay_state_esn esn = { 0 };
	struct xfrm_replay_state legacy = { 0 };
	uint64_t last = 0;

	read_state_info(&b->u.state, ret);
	read_leaves(b, ret);
	if (attribute(b, XFRMA_LASTUSED, &last, sizeof last) == sizeof last)
		ret->last_s = last;
	if (attribute(b, XFRMA_REPLAY_ESN_VAL, &esn, sizeof esn) >= sizeof esn)
		ret->sequence = (uint64_t)esn.oseq_hi << 32 | esn.oseq;
	else if (attribute(b, XFRMA_REPLAY_VAL, &legacy, sizeof legacy) >= sizeof legacy)
		ret->sequence = legacy.oseq;
}

static struct addr any_is_none(struct addr a)
{
	static const uint8_t zero[16];

	return memcmp(a.octets, zero, sizeof zero) == 0 ? (struct addr){ 0 } : a;
}

static void read_template(const struct xfrm_user_tmpl *t, struct policy_does *does)
{
	does->protects = true;
	does->template.protocol = t->id.proto;
	does->template.mode = t->mode;
	does->template.family = t->family;
	does->template.reqid = t->reqid;
	does->template.from = any_is_none(convert_addr_back(&t->saddr, t->family));
	does->template.to = any_is_none(convert_addr_back(&t->id.daddr, t->family));
}

static uint32_t lifetime(uint64_t seconds)
{
	return seconds > UINT32_MAX ? UINT32_MAX : (uint32_t)seconds;
}

static void read_policy(const struct body *b, struct message_in *ret)
{
	struct xfrm_mark mark = { 0 };
	struct xfrm_user_tmpl t;

	ret->key.selector = b->u.policy.sel;
	ret->key.dir = b->u.policy.dir;
	ret->index = b->u.policy.index;
	ret->does = (struct policy_does){ .priority = b->u.policy.priority,
					  .block = b->u.policy.action != XFRM_POLICY_ALLOW,
					  .lifetime_s = lifetime(b->u.policy.lft.hard_add_expires_seconds) };
	if (attribute(b, XFRMA_TMPL, &t, sizeof t) >= sizeof t)
		read_template(&t, &ret->does);
	if (attribute(b, XFRMA_MARK, &mark, sizeof mark) == sizeof mark)
		ret->key.mark = mark;
}

static void read_acquire(const struct body *b, struct message_in *ret)
{
	const struct xfrm_user_acquire *a = &b->u.acquire;
	struct xfrm_user_tmpl t;

	ret->key.selector = a->sel;
	ret->key.dir = a->policy.dir;
	ret->index = a->policy.index;
	ret->acquire = a->seq;
	ret->id = (struct state_id){ .protocol = a->id.proto };
	/* Which states it stands for is the template's to say. */
	if (attribute(b, XFRMA_TMPL, &t, sizeof t) < sizeof t)
		return;
	ret->reqid = t.reqid;
	ret->mode = t.mode;
	ret->id.to = convert_addr_back(&a->id.daddr, t.family);
	ret->from = convert_addr_back(&a->saddr, t.family);
}

static void read_expire(const struct body *b, struct message_in *ret)
{
	read_state_info(&b->u.expire.state, ret);
	ret->hard = b->u.expire.hard;
}

static void read_mapping(const struct body *b, struct message_in *ret)
{
	const struct xfrm_user_mapping *m = &b->u.mapping;

	ret->id = (struct state_id){ convert_addr_back(&m->id.daddr, m->id.family), ntohl(m->id.spi), m->id.proto };
	ret->reqid = m->reqid;
	ret->from = convert_addr_back(&m->old_saddr, m->id.family);
	ret->moved_to = convert_addr_back(&m->new_saddr, m->id.family);
	ret->old_port = ntohs(m->old_sport);
	ret->new_port = ntohs(m->new_sport);
}

static void read_state_gone(const struct body *b, struct message_in *ret)
{
	const struct xfrm_usersa_id *i = &b->u.state_id;

	ret->id = (struct state_id){ convert_addr_back(&i->daddr, i->family), ntohl(i->spi), i->proto };
}

static void read_policy_changed(const struct body *b, struct message_in *ret)
{
	ret->index = b->u.policy.index;
}

/* Who removes by the selector is told of by the selector; what it was stands behind. */
static void read_policy_gone(const struct body *b, struct message_in *ret)
{
	struct xfrm_userpolicy_info was;

	ret->index = b->u.policy_id.index;
	if (attribute(b, XFRMA_POLICY, &was, sizeof was) >= sizeof was)
		ret->index = was.index;
}

static void read_all_gone(const struct body *b, struct message_in *ret)
{
	(void)b, (void)ret;
}

static const struct {
	uint16_t type;
	enum message_kind kind;
	size_t size;
	void (*read)(const struct body *b, struct message_in *ret);
} rows[] = {
	{ NLMSG_ERROR, MESSAGE_DONE, sizeof(struct nlmsgerr), read_done },
	{ NLMSG_DONE, MESSAGE_END, sizeof(int32_t), read_end },
	{ XFRM_MSG_NEWSA, MESSAGE_STATE, sizeof(struct xfrm_usersa_info), read_state },
	{ XFRM_MSG_NEWPOLICY, MESSAGE_POLICY, sizeof(struct xfrm_userpolicy_info), read_policy },
	{ XFRM_MSG_ACQUIRE, MESSAGE_ACQUIRE, sizeof(struct xfrm_user_acquire), read_acquire },
	{ XFRM_MSG_EXPIRE, MESSAGE_EXPIRE, sizeof(struct xfrm_user_expire), read_expire },
	{ XFRM_MSG_MAPPING, MESSAGE_MAPPING, sizeof(struct xfrm_user_mapping), read_mapping },
	{ XFRM_MSG_DELSA, MESSAGE_STATE_GONE, sizeof(struct xfrm_usersa_id), read_state_gone },
	{ XFRM_MSG_FLUSHSA, MESSAGE_STATES_GONE, sizeof(struct xfrm_usersa_flush), read_all_gone },
	{ XFRM_MSG_DELPOLICY, MESSAGE_POLICY_GONE, sizeof(struct xfrm_userpolicy_id), read_policy_gone },
	{ XFRM_MSG_UPDPOLICY, MESSAGE_POLICY_GONE, sizeof(struct xfrm_userpolicy_info), read_policy_changed },
	{ XFRM_MSG_FLUSHPOLICY, MESSAGE_POLICIES_GONE, 0, read_all_gone },
};

bool message_next(const uint8_t **at, size_t *len, struct message_in *ret)
{
	struct nlmsghdr h;
	struct body b;
	const uint8_t *from = *at;
	size_t whole, left;

	if (*len < sizeof h)
		return false;
	memcpy(&h, from, sizeof h);
	if (h.nlmsg_len < sizeof h || h.nlmsg_len > *len)
		return false;
	whole = aligned(h.nlmsg_len) < *len ? aligned(h.nlmsg_len) : *len;
	*at += whole;
	*len -= whole;
	*ret = (struct message_in){ .seq = h.nlmsg_seq, .interrupted = h.nlmsg_flags & NLM_F_DUMP_INTR };
	from += sizeof h;
	left = h.nlmsg_len - sizeof h;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].type != h.nlmsg_type || left < rows[i].size)
			continue;
		memset(&b, 0, sizeof b);
		memcpy(&b.u, from, rows[i].size);
		if (left > aligned(rows[i].size)) {
			b.more = from + aligned(rows[i].size);
			b.more_len = left - aligned(rows[i].size);
		}
		ret->kind = rows[i].kind;
		rows[i].read(&b, ret);
	}
	return true;
}
