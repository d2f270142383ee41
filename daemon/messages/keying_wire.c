#include "daemon/messages/keying_wire.h"

#include "base/addr_wire.h"
#include "base/diag.h"
#include "base/text.h"
#include "daemon/process/memory_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	MAGIC = 0x636b7231, /* "ckr1" */
	NONE = UINT16_MAX,
	NO_RULE = -1,
	ROW_LEAST = 16, /* octets of any row */
};

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

/* NULL for an empty one. */
static const char *get_name(struct wire_in *in, size_t cap, struct arena *a)
{
	size_t n = wire_u16(in);
	const uint8_t *p = n < cap ? wire_octets(in, n) : NULL;

	if (!p || memchr(p, 0, n)) {
		in->failed = true;
		return NULL;
	}
	return n ? arena_string(a, (const char *)p, n) : NULL;
}

static unsigned below(struct wire_in *in, unsigned n, unsigned count)
{
	if (n < count)
		return n;
	in->failed = true;
	return 0;
}

static void put_algorithm(struct wire_out *out, const struct algorithm *a)
{
	wire_put_u16(out, a ? (uint16_t)(a - algorithms) : NONE);
}

static const struct algorithm *get_algorithm(struct wire_in *in, enum algorithm_kind kind)
{
	uint16_t n = wire_u16(in);

	if (n == NONE)
		return NULL;
	if (n < algorithms_count && algorithms[n].kind == kind)
		return &algorithms[n];
	in->failed = true;
	return NULL;
}

static void put_ports(struct wire_out *out, struct port_range r)
{
	wire_put_u16(out, r.lo);
	wire_put_u16(out, r.hi);
}

static struct port_range get_ports(struct wire_in *in)
{
	uint16_t lo = wire_u16(in), hi = wire_u16(in);

	return (struct port_range){ lo, hi };
}

/* ---- pieces of rows ---------------------------------------------------------------------------------------------- */

static void put_selector(struct wire_out *out, const struct sa_selector *s)
{
	addr_encode(out, &s->local);
	addr_encode(out, &s->remote);
	addr_encode(out, &s->local_last);
	addr_encode(out, &s->remote_last);
	wire_put_u16(out, (uint16_t)s->protocol);
	put_ports(out, s->local_port);
	put_ports(out, s->remote_port);
}

static struct sa_selector get_selector(struct wire_in *in)
{
	struct sa_selector s = { .local = addr_decode(in) };

	s.remote = addr_decode(in);
	s.local_last = addr_decode(in);
	s.remote_last = addr_decode(in);
	s.protocol = (int16_t)wire_u16(in);
	s.local_port = get_ports(in);
	s.remote_port = get_ports(in);
	if (!s.local.family || s.local.family != s.remote.family ||
	    (s.local_last.family && s.local_last.family != s.local.family) ||
	    (s.remote_last.family && s.remote_last.family != s.remote.family) || s.protocol < PROTOCOL_ANY ||
	    s.protocol > UINT8_MAX)
		in->failed = true;
	return s;
}

static void put_child_suite(struct wire_out *out, const struct child_suite *s)
{
	wire_put_u8(out, (uint8_t)s->protocol);
	put_algorithm(out, s->encr);
	put_algorithm(out, s->integ);
	put_algorithm(out, s->group);
}

/* One that means something: people are shown its name. */
static struct child_suite get_child_suite(struct wire_in *in)
{
	struct child_suite s = { .protocol = (enum ipsec_protocol)wire_u8(in) };

	s.encr = get_algorithm(in, ALG_ENCR);
	s.integ = get_algorithm(in, ALG_INTEG);
	s.group = get_algorithm(in, ALG_GROUP);
	if ((s.protocol != PROTO_ESP && s.protocol != PROTO_AH) || (s.protocol == PROTO_ESP && !s.encr) ||
	    (s.protocol == PROTO_AH && (s.encr || !s.integ)) ||
	    (s.protocol == PROTO_ESP && s.encr && !s.encr->aead && !s.integ))
		in->failed = true;
	return s;
}

static void put_ike_suite(struct wire_out *out, const struct ike_suite *s)
{
	put_algorithm(out, s->encr);
	put_algorithm(out, s->integ);
	put_algorithm(out, s->prf);
	put_algorithm(out, s->group);
}

/* All of it, or nothing as long as nothing has been chosen. */
static struct ike_suite get_ike_suite(struct wire_in *in)
{
	struct ike_suite s = { .encr = get_algorithm(in, ALG_ENCR) };

	s.integ = get_algorithm(in, ALG_INTEG);
	s.prf = get_algorithm(in, ALG_PRF);
	s.group = get_algorithm(in, ALG_GROUP);
	if (s.encr && (!s.prf || !s.group || (!s.encr->aead && !s.integ)))
		in->failed = true;
	return s;
}

static void put_peer(struct wire_out *out, const struct peer_kept *k)
{
	const uint8_t *certificate = peer_kept_certificate(k);
	static const uint8_t none[PEER_DIGEST];
	struct sid_list sids;

	wire_put_u8(out, (uint8_t)peer_kept_method(k));
	wire_put_text(out, peer_kept_id(k), PEER_TEXT);
	wire_put(out, certificate ? certificate : none, PEER_DIGEST);
	wire_put_u64(out, peer_kept_learnt_s(k));
	peer_kept_sids(k, &sids);
	/* With thousands of peers of thousands of groups each the rows come first. */
	if (out->len > out->cap / 2 && sids.len)
		sids = (struct sid_list){ .cut = true };
	sid_list_put(out, &sids);
}

static const struct peer_kept *get_peer(struct wire_in *in, struct keying_rows *h)
{
	struct peer p = { .method = (enum peer_method)below(in, wire_u8(in), PEER_KERBEROS + 1) };
	struct peer_kept *k;

	wire_text(in, p.id, sizeof p.id);
	wire_copy(in, p.certificate, PEER_DIGEST);
	p.learnt_s = wire_u64(in);
	sid_list_get(in, &p.sids);
	if (in->failed || p.method == PEER_UNPROVEN)
		return NULL;
	k = peer_keep(&p);
	h->peers = mem_grow(h->peers, h->peer_count, &h->peer_cap, sizeof(struct peer_kept *));
	h->peers[h->peer_count++] = k;
	return k;
}

static void put_groups(struct wire_out *out, const struct membership *is)
{
	uint32_t n = is && is->count <= KEYING_WIRE_GROUPS_MOST ? is->count : 0;

	wire_put_u32(out, n);
	if (n)
		wire_put(out, is->bits, 2 * MEMBERSHIP_OCTETS(n));
}

static const struct membership *get_groups(struct wire_in *in, struct keying_rows *h)
{
	uint32_t n = wire_u32(in);
	struct membership *is;

	if (n > KEYING_WIRE_GROUPS_MOST || 2 * MEMBERSHIP_OCTETS(n) > in->left)
		in->failed = true;
	if (in->failed || n == 0)
		return NULL;
	is = arena_new(&h->memory, 1, sizeof *is + 2 * MEMBERSHIP_OCTETS(n));
	is->count = n;
	wire_copy(in, is->bits, 2 * MEMBERSHIP_OCTETS(n));
	return is;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

enum { IKE_INITIATOR = 1, IKE_UP = 2, IKE_PPK = 4, IKE_OLD = 8, IKE_UDP = 16, FAILURE_STRANGER = 1 };

static void put_ike(struct wire_out *out, const struct keying_ike_row *r)
{
	addr_encode(out, &r->local);
	addr_encode(out, &r->remote);
	addr_encode(out, &r->outer);
	wire_put_u64(out, r->spi_i);
	wire_put_u64(out, r->spi_r);
	wire_put_u8(out,
		    (uint8_t)((r->initiator ? IKE_INITIATOR : 0u) | (r->established ? IKE_UP : 0u) |
			      (r->ppk ? IKE_PPK : 0u) | (r->version == 1 ? IKE_OLD : 0u) | (r->udp ? IKE_UDP : 0u)));
	wire_put_u8(out, (uint8_t)r->nat);
	wire_put_u16(out, r->local_port);
	wire_put_u16(out, r->remote_port);
	put_ike_suite(out, &r->suite);
	put_peer(out, r->peer);
	put_groups(out, r->peer ? r->groups : NULL);
	wire_put_text(out, r->auth_set, PEER_TEXT);
	wire_put_u32(out, r->credential);
	wire_put_u64(out, r->up_at_ms);
	wire_put_u64(out, r->rekey_at_ms);
	wire_put_u32(out, (uint32_t)r->children);
}

static void get_ike(struct wire_in *in, struct keying_rows *h, struct keying_ike_row *r)
{
	uint8_t flags;

	r->local = addr_decode(in);
	r->remote = addr_decode(in);
	r->outer = addr_decode(in);
	r->spi_i = wire_u64(in);
	r->spi_r = wire_u64(in);
	flags = wire_u8(in);
	r->initiator = flags & IKE_INITIATOR;
	r->established = flags & IKE_UP;
	r->ppk = flags & IKE_PPK;
	r->version = flags & IKE_OLD ? 1 : 2;
	r->udp = flags & IKE_UDP;
	r->nat = below(in, wire_u8(in), 4);
	r->local_port = wire_u16(in);
	r->remote_port = wire_u16(in);
	r->suite = get_ike_suite(in);
	r->peer = get_peer(in, h);
	r->groups = get_groups(in, h);
	r->auth_set = get_name(in, PEER_TEXT, &h->memory);
	r->credential = wire_u32(in);
	r->up_at_ms = wire_u64(in);
	r->rekey_at_ms = wire_u64(in);
	r->children = wire_u32(in);
	if (!r->local.family || !r->remote.family || (r->established && !r->suite.encr))
		in->failed = true;
}

static void put_child(struct wire_out *out, const struct keying_child_row *r)
{
	addr_encode(out, &r->local);
	addr_encode(out, &r->remote);
	wire_put_u64(out, r->pair);
	wire_put_u32(out, r->spi_in);
	wire_put_u32(out, r->spi_out);
	wire_put_u8(out, r->udp);
	put_selector(out, &r->selector);
	wire_put_u32(out, r->rule ? r->rule->index : (uint32_t)NO_RULE);
	put_child_suite(out, &r->suite);
	put_peer(out, r->peer);
	wire_put_u64(out, r->up_at_ms);
	wire_put_u64(out, r->rekey_at_ms);
}

static void get_child(struct wire_in *in, struct keying_rows *h, const struct policy *policy,
		      struct keying_child_row *r)
{
	uint32_t rule;

	r->local = addr_decode(in);
	r->remote = addr_decode(in);
	r->pair = wire_u64(in);
	r->spi_in = wire_u32(in);
	r->spi_out = wire_u32(in);
	r->udp = below(in, wire_u8(in), 2);
	r->selector = get_selector(in);
	rule = wire_u32(in);
	r->rule = policy ? policy_rule_at(policy, rule) : NULL;
	r->suite = get_child_suite(in);
	r->peer = get_peer(in, h);
	r->up_at_ms = wire_u64(in);
	r->rekey_at_ms = wire_u64(in);
	if (!r->local.family || !r->remote.family)
		in->failed = true;
}

static void put_failure(struct wire_out *out, const struct keying_failure *f)
{
	addr_encode(out, &f->local);
	addr_encode(out, &f->remote);
	wire_put_u64(out, f->at_ms);
	wire_put_u64(out, f->next_ms);
	wire_put_u8(out, (uint8_t)f->code);
	wire_put_u8(out, (uint8_t)f->by);
	wire_put_u8(out, f->stranger ? FAILURE_STRANGER : 0);
	wire_put_u32(out, f->times);
	wire_put_u32(out, f->left_out);
	wire_put_text(out, f->step, EVENT_STEP);
	wire_put_text(out, f->notify, EVENT_WORD);
	wire_put_text(out, f->rule, sizeof f->rule);
	wire_put_text(out, f->peer, sizeof f->peer);
	wire_put_text(out, f->text, sizeof f->text);
}

static void get_failure(struct wire_in *in, struct keying_rows *h, struct keying_failure *f)
{
	f->local = addr_decode(in);
	f->remote = addr_decode(in);
	f->at_ms = wire_u64(in);
	f->next_ms = wire_u64(in);
	f->code = (enum failure_code)below(in, wire_u8(in), FAILURE_COUNT);
	f->by = (enum failure_side)below(in, wire_u8(in), SIDE_NOBODY + 1);
	f->stranger = wire_u8(in) & FAILURE_STRANGER;
	f->times = wire_u32(in);
	f->left_out = wire_u32(in);
	f->step = get_name(in, EVENT_STEP, &h->memory);
	f->notify = get_name(in, EVENT_WORD, &h->memory);
	wire_text(in, f->rule, sizeof f->rule);
	wire_text(in, f->peer, sizeof f->peer);
	wire_text(in, f->text, sizeof f->text);
	if (!f->remote.family)
		in->failed = true;
}

static void put_usage(struct wire_out *out, const struct sa_usage *u)
{
	wire_put_u64(out, u->pair);
	wire_put_u64(out, u->packets_in);
	wire_put_u64(out, u->packets_out);
	wire_put_u64(out, u->octets_in);
	wire_put_u64(out, u->octets_out);
	wire_put_u64(out, u->last_in_ms);
	wire_put_u64(out, u->last_out_ms);
}

static void get_usage(struct wire_in *in, struct sa_usage *u)
{
	u->pair = wire_u64(in);
	u->packets_in = wire_u64(in);
	u->packets_out = wire_u64(in);
	u->octets_in = wire_u64(in);
	u->octets_out = wire_u64(in);
	u->last_in_ms = wire_u64(in);
	u->last_out_ms = wire_u64(in);
}

static void put_list(struct wire_out *out, const struct revocation_row *r)
{
	wire_put_text(out, r->source, sizeof r->source);
	wire_put_text(out, r->issuer, sizeof r->issuer);
	wire_put_u64(out, r->from_s);
	wire_put_u64(out, r->next_s);
	wire_put_u64(out, r->revoked);
}

static void get_list(struct wire_in *in, struct revocation_row *r)
{
	wire_text(in, r->source, sizeof r->source);
	wire_text(in, r->issuer, sizeof r->issuer);
	r->from_s = wire_u64(in);
	r->next_s = wire_u64(in);
	r->revoked = wire_u64(in);
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

void keying_rows_encode(struct wire_out *out, const struct keying_rows *r, uint64_t plan_number)
{
	wire_put_u32(out, MAGIC);
	wire_put_u64(out, plan_number);
	for (int i = 0; i < KEYING_DROP_COUNT; i++)
		wire_put_u64(out, r->dropped[i]);
	for (int i = 0; i < DROP_COUNT; i++)
		wire_put_u64(out, r->plane_dropped[i]);
	wire_put_u32(out, (uint32_t)r->ike_count);
	for (size_t i = 0; i < r->ike_count; i++)
		put_ike(out, &r->ike[i]);
	wire_put_u32(out, (uint32_t)r->child_count);
	for (size_t i = 0; i < r->child_count; i++)
		put_child(out, &r->children[i]);
	wire_put_u32(out, (uint32_t)r->failure_count);
	for (size_t i = 0; i < r->failure_count; i++)
		put_failure(out, &r->failures[i]);
	wire_put_u32(out, (uint32_t)r->usage_count);
	for (size_t i = 0; i < r->usage_count; i++)
		put_usage(out, &r->usage[i]);
	wire_put_u32(out, (uint32_t)r->list_count);
	for (size_t i = 0; i < r->list_count; i++)
		put_list(out, &r->lists[i]);
}

struct told {
	const struct keying_rows *rows;
	uint64_t plan_number;
};

static void put_told(struct wire_out *out, const void *what)
{
	const struct told *t = what;

	keying_rows_encode(out, t->rows, t->plan_number);
}

int keying_rows_seal(const struct keying_rows *r, uint64_t plan_number, struct diag *d)
{
	return memory_file_make("cordon-rows", KEYING_WIRE_MOST, put_told, &(struct told){ r, plan_number }, d);
}

/* Rows cannot be more than what came has octets for, so memory is bounded by it. */
static size_t get_count(struct wire_in *in, size_t most)
{
	size_t n = wire_u32(in);

	if (n > most || n * ROW_LEAST > in->left)
		in->failed = true;
	return in->failed ? 0 : n;
}

static void get_all(struct wire_in *in, const struct policy *policy, struct keying_rows *h)
{
	h->ike_count = get_count(in, KEYING_WIRE_ROWS_MOST);
	h->ike = mem_new(h->ike_count + 1, sizeof *h->ike);
	for (size_t i = 0; i < h->ike_count && !in->failed; i++)
		get_ike(in, h, &h->ike[i]);
	h->child_count = get_count(in, KEYING_WIRE_ROWS_MOST);
	h->children = mem_new(h->child_count + 1, sizeof *h->children);
	for (size_t i = 0; i < h->child_count && !in->failed; i++)
		get_child(in, h, policy, &h->children[i]);
	h->failure_count = get_count(in, KEYING_WIRE_ROWS_MOST);
	h->failures = mem_new(h->failure_count + 1, sizeof *h->failures);
	for (size_t i = 0; i < h->failure_count && !in->failed; i++)
		get_failure(in, h, &h->failures[i]);
	h->usage_count = get_count(in, KEYING_WIRE_ROWS_MOST);
	h->usage = mem_new(h->usage_count + 1, sizeof *h->usage);
	for (size_t i = 0; i < h->usage_count && !in->failed; i++) {
		get_usage(in, &h->usage[i]);
		if (i && h->usage[i].pair < h->usage[i - 1].pair) /* they are searched by halves */
			in->failed = true;
	}
	h->list_count = get_count(in, REVOCATION_LISTS_MOST);
	h->lists = mem_new(h->list_count + 1, sizeof *h->lists);
	for (size_t i = 0; i < h->list_count && !in->failed; i++)
		get_list(in, &h->lists[i]);
}

int keying_rows_decode(struct wire_in *in, uint64_t plan_number, const struct policy *policy, struct keying_rows *ret,
		       struct diag *d)
{
	struct keying_rows h = { 0 };

	if (wire_u32(in) != MAGIC)
		in->failed = true;
	if (wire_u64(in) != plan_number)
		policy = NULL;
	for (int i = 0; i < KEYING_DROP_COUNT; i++)
		h.dropped[i] = wire_u64(in);
	for (int i = 0; i < DROP_COUNT; i++)
		h.plane_dropped[i] = wire_u64(in);
	get_all(in, policy, &h);
	if (!wire_done(in)) {
		keying_rows_wipe(&h);
		return diag_fail(d, ERR_SYNTAX, "what keying told of itself is not well-formed");
	}
	*ret = h;
	return 0;
}

int keying_rows_read(int fd, uint64_t plan_number, const struct policy *policy, struct keying_rows *ret, struct diag *d)
{
	SCOPED(text_freep) struct text *t = NULL;
	struct wire_in in;
	int r = memory_file_read(fd, KEYING_WIRE_MOST, &t, d);

	if (r < 0)
		return r;
	in = wire_in(t->octets, t->len);
	return keying_rows_decode(&in, plan_number, policy, ret, d);
}

void keying_rows_wipe(struct keying_rows *r)
{
	for (size_t i = 0; i < r->peer_count; i++)
		free(r->peers[i]);
	free(r->peers);
	free(r->ike);
	free(r->children);
	free(r->failures);
	free(r->usage);
	free(r->lists);
	arena_wipe(&r->memory);
	*r = (struct keying_rows){ 0 };
}
