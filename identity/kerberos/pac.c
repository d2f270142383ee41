#include "identity/kerberos/pac.h"

#include "base/diag.h"
#include "base/scope.h"

enum {
	ALIGNMENT = 4,
	VERSION = 1,
	LITTLE_ENDIAN = 0x10,
	COMMON_HEADER = 8,
	TIMES = 6 * 8,
	TAIL_MOST = 8, /* octets of alignment behind the last item */
	SESSION_KEY = 16,
	STRINGS = 6,
	/* UserFlags */
	EXTRA_SIDS = 0x20,
	RESOURCE_GROUPS = 0x200,
	/* Attributes of a group */
	ENABLED = 4,
};

/* An NDR stream: numbers in little-endian, items aligned to where the stream begins. */
struct ndr {
	struct wire_in in;
	const uint8_t *begin;
};

static uint16_t u16(struct ndr *n)
{
	return __builtin_bswap16(wire_u16(&n->in));
}

static uint32_t u32(struct ndr *n)
{
	return __builtin_bswap32(wire_u32(&n->in));
}

static void skip(struct ndr *n, size_t octets)
{
	(void)wire_octets(&n->in, octets);
}

static void align(struct ndr *n)
{
	size_t over = (size_t)(n->in.at - n->begin) % ALIGNMENT;

	if (over)
		skip(n, ALIGNMENT - over);
}

/* ---- the fixed part ---------------------------------------------------------------------------------------------- */

/* What the fixed part says that behind it there is. */
struct info {
	bool names[STRINGS], server, domain_name; /* strings that follow; nothing of them is used */
	uint32_t user, primary, group_count, extra_count, resource_count;
	bool groups, domain, extra, resource_domain, resources;
	uint32_t flags;
};

/* RPC_UNICODE_STRING: u16 length, u16 room, pointer. */
static bool string_head(struct ndr *n)
{
	skip(n, 4);
	return u32(n) != 0;
}

/* MS-PAC 2.5, in its order. */
static struct info fixed(struct ndr *n)
{
	struct info v = { 0 };

	skip(n, TIMES);
	for (size_t i = 0; i < STRINGS; i++)
		v.names[i] = string_head(n);
	skip(n, 2 + 2); /* LogonCount, BadPasswordCount */
	v.user = u32(n);
	v.primary = u32(n);
	v.group_count = u32(n);
	v.groups = u32(n) != 0;
	v.flags = u32(n);
	skip(n, SESSION_KEY);
	v.server = string_head(n);
	v.domain_name = string_head(n);
	v.domain = u32(n) != 0;
	skip(n, 8 + 4 + 4);     /* Reserved1, UserAccountControl, SubAuthStatus */
	skip(n, 8 + 8 + 4 + 4); /* of interactive logons; Reserved3 */
	v.extra_count = u32(n);
	v.extra = u32(n) != 0;
	v.resource_domain = u32(n) != 0;
	v.resource_count = u32(n);
	v.resources = u32(n) != 0;
	return v;
}

static int check_counts(const struct info *v, struct diag *d)
{
	const struct {
		const char *what;
		uint32_t count;
		bool there;
	} rows[] = {
		{ "groups", v->group_count, v->groups },
		{ "extra SIDs", v->extra_count, v->extra },
		{ "resource groups", v->resource_count, v->resources },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].count > PAC_GROUPS_MOST)
			return diag_fail(d, ERR_SYNTAX, "%u %s, where %d are the most", rows[i].count, rows[i].what,
					 PAC_GROUPS_MOST);
		if (rows[i].count && !rows[i].there)
			return diag_fail(d, ERR_SYNTAX, "%u %s are counted, and none are there", rows[i].count,
					 rows[i].what);
	}
	if (v->group_count && !v->domain)
		return diag_fail(d, ERR_SYNTAX, "groups without the domain that they are of");
	if (v->resource_count && !v->resource_domain)
		return diag_fail(d, ERR_SYNTAX, "resource groups without the domain that they are of");
	return 0;
}

/* ---- what follows it, each behind its pointer -------------------------------------------------------------------- */

/* A varying string: room, offset, octets of two; nobody needs it. */
static void string_body(struct ndr *n, bool there)
{
	uint32_t room, offset, used;

	if (!there)
		return;
	room = u32(n);
	offset = u32(n);
	used = u32(n);
	if (offset || used > room)
		n->in.failed = true;
	skip(n, (size_t)used * 2);
	align(n);
}

/* Its conformance count first, then as objectSid has it. */
static struct sid sid_body(struct ndr *n, struct diag *d)
{
	uint32_t count = u32(n);
	struct sid s = { 0 };
	const uint8_t *at = count <= SID_SUBS_MOST ? wire_octets(&n->in, 8 + 4 * (size_t)count) : NULL;

	if (!at || sid_decode(at, 8 + 4 * (size_t)count, &s, d) < 0)
		n->in.failed = true;
	return s;
}

static void take(struct sid_list *to, const struct sid *s, uint32_t attributes)
{
	if (attributes & ENABLED && !sid_is_own(s))
		(void)sid_list_add(to, s);
}

static void take_rid(struct sid_list *to, const struct sid *domain, uint32_t rid, uint32_t attributes)
{
	struct sid s;

	if (domain->count && sid_of_rid(domain, rid, &s))
		take(to, &s, attributes);
}

/* RIDs stand before the domain that they are of: where they are is kept. */
static struct ndr rids_body(struct ndr *n, bool there, uint32_t count)
{
	struct ndr rids = { .begin = n->begin };

	if (!there)
		return rids;
	if (u32(n) != count)
		n->in.failed = true;
	rids.in = wire_sub(&n->in, (size_t)count * 8);
	return rids;
}

static void take_rids(struct sid_list *to, const struct sid *domain, struct ndr rids)
{
	while (rids.in.left) {
		uint32_t rid = u32(&rids), attributes = u32(&rids);

		take_rid(to, domain, rid, attributes);
	}
}

/* Pointers and attributes of all, then the SIDs. */
static void extra_body(struct ndr *n, const struct info *v, struct sid_list *to, struct diag *d)
{
	struct ndr heads = rids_body(n, v->extra, v->extra_count);

	while (heads.in.left && !n->in.failed) {
		bool there = u32(&heads) != 0;
		uint32_t attributes = u32(&heads);
		struct sid s = { 0 };

		if (there)
			s = sid_body(n, d);
		else
			n->in.failed = true;
		if (!n->in.failed && v->flags & EXTRA_SIDS)
			take(to, &s, attributes);
	}
}

static int deferred(struct ndr *n, const struct info *v, struct sid_list *to, struct diag *d)
{
	struct sid domain = { 0 }, resource_domain = { 0 };
	struct ndr groups, resources;

	for (size_t i = 0; i < STRINGS; i++)
		string_body(n, v->names[i]);
	groups = rids_body(n, v->groups, v->group_count);
	string_body(n, v->server);
	string_body(n, v->domain_name);
	if (v->domain)
		domain = sid_body(n, d);
	if (n->in.failed)
		return -ERR_SYNTAX;
	if (v->user) /* else the account is the first of the extra ones */
		take_rid(to, &domain, v->user, ENABLED);
	if (v->primary)
		take_rid(to, &domain, v->primary, ENABLED);
	take_rids(to, &domain, groups);
	extra_body(n, v, to, d);
	if (v->resource_domain)
		resource_domain = sid_body(n, d);
	resources = rids_body(n, v->resources, v->resource_count);
	if (n->in.failed)
		return -ERR_SYNTAX;
	if (v->flags & RESOURCE_GROUPS)
		take_rids(to, &resource_domain, resources);
	return 0;
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

/* The headers of type serialisation (MS-RPCE 2.2.6), and the pointer to the structure. */
static int begin(struct octets value, struct ndr *ret, struct diag *d)
{
	struct ndr all = { .in = wire_in(value.at, value.len), .begin = value.at };
	uint8_t version = wire_u8(&all.in), order = wire_u8(&all.in);
	uint16_t header = u16(&all);
	uint32_t length;

	skip(&all, 4);
	length = u32(&all);
	skip(&all, 4);
	if (all.in.failed)
		return diag_fail(d, ERR_SYNTAX, "%zu octets, which is too short", value.len);
	if (version != VERSION || order != LITTLE_ENDIAN || header != COMMON_HEADER)
		return diag_fail(d, ERR_SYNTAX, "a version or byte order that nobody makes (%u, %u, %u)", version,
				 order, header);
	if (length > all.in.left)
		return diag_fail(d, ERR_SYNTAX, "it says that it has %u octets, where %zu came", length, all.in.left);
	ret->begin = all.in.at;
	ret->in = wire_sub(&all.in, length);
	if (u32(ret) == 0)
		return diag_fail(d, ERR_SYNTAX, "it is empty");
	return 0;
}

int pac_logon_info_decode(struct octets value, struct sid_list *ret, struct diag *d)
{
	static const char where[] = "the groups in the ticket can't be read (PAC logon information)";
	struct sid_list sids = { 0 };
	struct ndr n;
	struct info v;
	int r = begin(value, &n, d);

	*ret = (struct sid_list){ 0 };
	if (r < 0)
		return diag_wrap(d, r, where);
	v = fixed(&n);
	if (n.in.failed)
		return diag_wrap(d, diag_fail(d, ERR_SYNTAX, "%zu octets, which is too short", value.len), where);
	if ((r = check_counts(&v, d)) < 0)
		return diag_wrap(d, r, where);
	if (deferred(&n, &v, &sids, NULL) < 0 || n.in.left >= TAIL_MOST)
		return diag_wrap(d, diag_fail(d, ERR_SYNTAX, "what it counts and what it has differ"), where);
	*ret = sids;
	return 0;
}
