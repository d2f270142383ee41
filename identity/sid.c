#include "identity/sid.h"

#include "base/diag.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PREFIX_LEAST = 7, RID = 4, COUNT = 2, REVISION = 1 };
#define AUTHORITY_MOST 0xffffffffffffu

/* ---- text -------------------------------------------------------------------------------------------------------- */

struct reader {
	const char *at;
	size_t left;
};

static bool is_next(const struct reader *r, char c)
{
	return r->left && *r->at == c;
}

static void step(struct reader *r, size_t n)
{
	r->at += n;
	r->left -= n;
}

static int digit(char c, unsigned base)
{
	int v = c >= '0' && c <= '9'   ? c - '0'
		: c >= 'a' && c <= 'f' ? c - 'a' + 10
		: c >= 'A' && c <= 'F' ? c - 'A' + 10
				       : -1;

	return v < (int)base ? v : -1;
}

static bool number(struct reader *r, unsigned base, uint64_t most, uint64_t *ret)
{
	uint64_t v = 0;
	size_t n = 0;

	for (int d; r->left && (d = digit(*r->at, base)) >= 0; n++, step(r, 1)) {
		if (v > (most - (unsigned)d) / base)
			return false;
		v = v * base + (unsigned)d;
	}
	*ret = v;
	return n > 0;
}

static bool authority(struct reader *r, uint64_t *ret)
{
	if (r->left > 2 && r->at[0] == '0' && (r->at[1] == 'x' || r->at[1] == 'X')) {
		step(r, 2);
		return number(r, 16, AUTHORITY_MOST, ret);
	}
	return number(r, 10, AUTHORITY_MOST, ret);
}

int sid_parse(const char *text, size_t n, struct sid *ret, struct diag *d)
{
	struct reader r = { text, n };
	struct sid s = { 0 };
	uint64_t v;

	if (n < 4 || (text[0] != 'S' && text[0] != 's') || memcmp(text + 1, "-1-", 3) != 0)
		return diag_fail(d, ERR_SYNTAX, "a SID begins with S-1-");
	step(&r, 4);
	if (!authority(&r, &s.authority))
		return diag_fail(d, ERR_SYNTAX, "a SID has its authority, a number of 48 bits, behind S-1-");
	while (is_next(&r, '-')) {
		step(&r, 1);
		if (s.count == SID_SUBS_MOST)
			return diag_fail(d, ERR_SYNTAX, "a SID has at most %d numbers behind its authority",
					 SID_SUBS_MOST);
		if (!number(&r, 10, UINT32_MAX, &v))
			return diag_fail(d, ERR_SYNTAX, "a SID is made of numbers of 32 bits, with - between");
		s.sub[s.count++] = (uint32_t)v;
	}
	if (r.left)
		return diag_fail(d, ERR_SYNTAX, "a SID is made of numbers of 32 bits, with - between");
	if (s.count == 0)
		return diag_fail(d, ERR_SYNTAX, "a SID has at least one number behind its authority");
	*ret = s;
	return 0;
}

const char *sid_text(const struct sid *s, char ret[SID_TEXT])
{
	int n = s->authority <= UINT32_MAX ? snprintf(ret, SID_TEXT, "S-1-%" PRIu64, s->authority)
					   : snprintf(ret, SID_TEXT, "S-1-0x%012" PRIx64, s->authority);

	for (size_t i = 0; i < s->count && i < SID_SUBS_MOST; i++)
		n += snprintf(ret + n, SID_TEXT - (size_t)n, "-%" PRIu32, s->sub[i]);
	return ret;
}

/* ---- one --------------------------------------------------------------------------------------------------------- */

bool sid_equal(const struct sid *a, const struct sid *b)
{
	return a->authority == b->authority && a->count == b->count && a->count <= SID_SUBS_MOST &&
	       memcmp(a->sub, b->sub, a->count * sizeof a->sub[0]) == 0;
}

bool sid_of_rid(const struct sid *domain, uint32_t rid, struct sid *ret)
{
	if (domain->count >= SID_SUBS_MOST)
		return false;
	*ret = *domain;
	ret->sub[ret->count++] = rid;
	return true;
}

bool sid_is_own(const struct sid *s)
{
	enum { NT = 5, APPLICATION = 15, INTEGRITY = 16, BUILTIN = 32, WELL_KNOWN_MOST = 20, DOMAIN_CONTROLLERS = 9 };

	if (s->authority != NT)
		return s->authority < NT || s->authority == APPLICATION || s->authority == INTEGRITY;
	return s->sub[0] == BUILTIN || (s->sub[0] <= WELL_KNOWN_MOST && s->sub[0] != DOMAIN_CONTROLLERS);
}

static uint32_t little(struct wire_in *in)
{
	return __builtin_bswap32(wire_u32(in));
}

int sid_decode(const void *octets, size_t n, struct sid *ret, struct diag *d)
{
	struct wire_in in = wire_in(octets, n);
	uint8_t revision = wire_u8(&in);
	struct sid s = { .count = wire_u8(&in) };

	if (in.failed || revision != REVISION || s.count == 0 || s.count > SID_SUBS_MOST)
		return diag_fail(d, ERR_SYNTAX, "a SID of revision %u with %u numbers is none", revision, s.count);
	s.authority = (uint64_t)wire_u16(&in) << 32;
	s.authority |= wire_u32(&in);
	for (size_t i = 0; i < s.count; i++)
		s.sub[i] = little(&in);
	if (!wire_done(&in))
		return diag_fail(d, ERR_SYNTAX, "a SID of %u numbers does not have %zu octets", s.count, n);
	*ret = s;
	return 0;
}

void sid_put(struct wire_out *out, const struct sid *s)
{
	wire_put_u8(out, s->count);
	wire_put_u16(out, (uint16_t)(s->authority >> 32));
	wire_put_u32(out, (uint32_t)s->authority);
	for (size_t i = 0; i < s->count; i++)
		wire_put_u32(out, s->sub[i]);
}

void sid_get(struct wire_in *in, struct sid *ret)
{
	struct sid s = { .count = wire_u8(in) };

	s.authority = (uint64_t)wire_u16(in) << 32;
	s.authority |= wire_u32(in);
	if (s.count == 0 || s.count > SID_SUBS_MOST)
		in->failed = true;
	for (size_t i = 0; i < s.count && !in->failed; i++)
		s.sub[i] = wire_u32(in);
	*ret = in->failed ? (struct sid){ 0 } : s;
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

/* One prefix and its RIDs, as they lie in the list. */
struct shelf {
	size_t end; /* where the next one begins */
	struct sid prefix;
	struct wire_in rids;
	size_t count_at;
	uint16_t count;
};

static struct sid prefix_of(struct wire_in *in)
{
	struct sid s = { .count = wire_u8(in) };

	s.authority = (uint64_t)wire_u16(in) << 32;
	s.authority |= wire_u32(in);
	if (s.count >= SID_SUBS_MOST)
		in->failed = true;
	for (size_t i = 0; i < s.count && !in->failed; i++)
		s.sub[i] = wire_u32(in);
	return s;
}

/* False at the end, and where the octets mean nothing. */
static bool shelf_at(const uint8_t *octets, size_t len, size_t at, struct shelf *ret)
{
	struct wire_in in = wire_in(octets + at, len - at);

	if (at >= len)
		return false;
	ret->prefix = prefix_of(&in);
	ret->count_at = len - in.left;
	ret->count = wire_u16(&in);
	ret->rids = wire_sub(&in, (size_t)ret->count * RID);
	ret->end = len - in.left;
	return !in.failed && ret->count > 0;
}

static bool shelf_has(struct shelf *s, uint32_t rid)
{
	struct wire_in rids = s->rids;

	while (rids.left)
		if (wire_u32(&rids) == rid)
			return true;
	return false;
}

static struct sid without_rid(const struct sid *s)
{
	struct sid prefix = *s;

	prefix.count--;
	return prefix;
}

/* The shelf of s's prefix. */
static bool find(const struct sid_list *l, const struct sid *s, struct shelf *ret)
{
	struct sid prefix = without_rid(s);

	for (size_t at = 0; shelf_at(l->octets, l->len, at, ret); at = ret->end)
		if (sid_equal(&ret->prefix, &prefix))
			return true;
	return false;
}

static bool sound(const struct sid *s)
{
	return s->count >= 1 && s->count <= SID_SUBS_MOST && s->authority <= AUTHORITY_MOST;
}

static bool add_shelf(struct sid_list *l, const struct sid *s)
{
	struct wire_out out = wire_out(l->octets + l->len, sizeof l->octets - l->len);

	wire_put_u8(&out, (uint8_t)(s->count - 1));
	wire_put_u16(&out, (uint16_t)(s->authority >> 32));
	wire_put_u32(&out, (uint32_t)s->authority);
	for (size_t i = 0; i + 1 < s->count; i++)
		wire_put_u32(&out, s->sub[i]);
	wire_put_u16(&out, 1);
	wire_put_u32(&out, s->sub[s->count - 1]);
	if (!out.failed)
		l->len = (uint16_t)(l->len + out.len);
	return !out.failed;
}

static bool add_rid(struct sid_list *l, const struct shelf *s, uint32_t rid)
{
	struct wire_out out = wire_out(l->octets, sizeof l->octets);

	if (sizeof l->octets - l->len < RID)
		return false;
	memmove(l->octets + s->end + RID, l->octets + s->end, l->len - s->end);
	out.len = s->end;
	wire_put_u32(&out, rid);
	wire_patch_u16(&out, s->count_at, (uint16_t)(s->count + 1));
	l->len = (uint16_t)(l->len + RID);
	return true;
}

bool sid_list_add(struct sid_list *l, const struct sid *s)
{
	struct shelf shelf;
	bool fits;

	if (!sound(s))
		fits = false;
	else if (!find(l, s, &shelf))
		fits = add_shelf(l, s);
	else
		fits = shelf_has(&shelf, s->sub[s->count - 1]) || add_rid(l, &shelf, s->sub[s->count - 1]);
	l->cut |= !fits;
	return fits;
}

bool sid_list_has(const struct sid_list *l, const struct sid *s)
{
	struct shelf shelf;

	return sound(s) && find(l, s, &shelf) && shelf_has(&shelf, s->sub[s->count - 1]);
}

size_t sid_list_count(const struct sid_list *l)
{
	struct shelf s;
	size_t n = 0;

	for (size_t at = 0; shelf_at(l->octets, l->len, at, &s); at = s.end)
		n += s.count;
	return n;
}

bool sid_list_next(const struct sid_list *l, struct sid_walk *w, struct sid *ret)
{
	struct shelf s;
	struct wire_in in;

	if (w->left == 0) {
		if (!shelf_at(l->octets, l->len, w->at, &s))
			return false;
		w->prefix = s.prefix;
		w->left = s.count;
		w->at = s.end - (size_t)s.count * RID;
	}
	in = wire_in(l->octets + w->at, l->len - w->at);
	w->at += RID;
	w->left--;
	return sid_of_rid(&w->prefix, wire_u32(&in), ret);
}

/* ---- on the wire ------------------------------------------------------------------------------------------------- */

void sid_list_put(struct wire_out *out, const struct sid_list *l)
{
	wire_put_u8(out, l->cut);
	wire_put_u16(out, l->len);
	wire_put(out, l->octets, l->len);
}

void sid_list_get(struct wire_in *in, struct sid_list *ret)
{
	uint8_t cut = wire_u8(in);
	size_t len = wire_u16(in), at = 0;
	const uint8_t *octets = len <= SID_LIST_MOST ? wire_octets(in, len) : NULL;
	struct shelf s;

	*ret = (struct sid_list){ 0 };
	while (octets && shelf_at(octets, len, at, &s))
		at = s.end;
	if (!octets || at != len || cut > 1) {
		in->failed = true;
		return;
	}
	ret->cut = cut;
	ret->len = (uint16_t)len;
	memcpy(ret->octets, octets, len);
}
