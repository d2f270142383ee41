#include "daemon/messages/proofs_wire.h"

#include "base/diag.h"
#include "base/text.h"
#include "base/wire.h"
#include "daemon/process/memory_file.h"
#include "identity/trust_wire.h"

#include <stdlib.h>
#include <string.h>

enum {
	MAGIC = 0x63707231, /* "cpr1" */
	CREDENTIALS_MOST = 4096,
	SETS_MOST = 65536,
	AUTHORITIES_MOST = 65536,
	OCTETS_MOST = 65536, /* a certificate, an identity */
	TEXT_MOST = 4096,
};

struct sealing {
	const struct proofs *p;
	const struct policy *policy;
};

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static void put_octets(struct wire_out *out, const void *at, size_t n)
{
	wire_put_u32(out, (uint32_t)n);
	wire_put(out, at, n);
}

static void put_text(struct wire_out *out, const char *text)
{
	size_t n = text ? strnlen(text, TEXT_MOST - 1) : 0;

	wire_put_u16(out, (uint16_t)n);
	wire_put(out, text ? text : "", n);
}

static void put_set(struct wire_out *out, const struct auth_set *set, const struct policy *policy)
{
	const struct auth_set *sets = NULL;

	(void)policy_auth_sets(policy, &sets);
	wire_put_u32(out, (uint32_t)(set - sets));
}

static void put_authorities(struct wire_out *out, const uint8_t (*all)[20], size_t n)
{
	wire_put_u32(out, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		wire_put(out, all[i], sizeof all[i]);
}

static void put_credential(struct wire_out *out, const struct keying_credential *c, const struct policy *policy)
{
	wire_put_u32(out, c->number);
	wire_put_u8(out, (uint8_t)c->kind);
	put_text(out, c->psk_file);
	wire_put_u8(out, c->id_type);
	put_octets(out, c->id, c->id_len);
	wire_put_u32(out, (uint32_t)c->chain_count);
	for (size_t i = 0; i < c->chain_count; i++)
		put_octets(out, c->chain[i], c->chain_lens[i]);
	put_text(out, c->subject);
	wire_put_u32(out, (uint32_t)c->satisfies_count);
	for (size_t i = 0; i < c->satisfies_count; i++) {
		put_set(out, c->satisfies[i], policy);
		wire_put_u8(out, c->ranks ? c->ranks[i] : 0);
	}
	wire_put_u64(out, c->not_after_s);
	put_authorities(out, c->authorities, c->authority_count);
	wire_put_u16(out, c->hashes);
	wire_put_u8(out, c->silent);
	wire_put_u8(out, c->signs_by);
}

/* The numbers of struct keying_config, 32 bits each. */
static const size_t numbers[] = {
	offsetof(struct keying_config, liveness_ms),      offsetof(struct keying_config, retransmit_first_ms),
	offsetof(struct keying_config, retransmit_tries), offsetof(struct keying_config, hold_ms),
	offsetof(struct keying_config, fallback_s),       offsetof(struct keying_config, nat_keepalive_ms),
	offsetof(struct keying_config, half_open_cookie), offsetof(struct keying_config, half_open_most),
	offsetof(struct keying_config, fragment_octets),  offsetof(struct keying_config, v1_kerberos),
};

static void put_all(struct wire_out *out, const void *what)
{
	const struct sealing *s = what;
	const struct keying_config *c = &s->p->keying;

	wire_put_u32(out, MAGIC);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		uint32_t n;

		memcpy(&n, (const char *)c + numbers[i], sizeof n);
		wire_put_u32(out, n);
	}
	wire_put(out, c->crash_secret, sizeof c->crash_secret);
	wire_put_u8(out, c->userspace_plane);
	wire_put_u8(out, c->no_udp4);
	wire_put_u8(out, c->no_udp6);
	wire_put_u8(out, c->export_keys);
	wire_put_u32(out, (uint32_t)c->credential_count);
	for (size_t i = 0; i < c->credential_count; i++)
		put_credential(out, &c->credentials[i], s->policy);
	wire_put_u32(out, (uint32_t)c->lack_count);
	for (size_t i = 0; i < c->lack_count; i++) {
		put_set(out, c->lacks[i].set, s->policy);
		put_text(out, c->lacks[i].why);
	}
	wire_put_u32(out, (uint32_t)c->ppk_count);
	for (size_t i = 0; i < c->ppk_count; i++)
		put_text(out, c->ppks[i]);
	put_authorities(out, c->authorities, c->authority_count);
	wire_put_u8(out, s->p->store != NULL);
	if (s->p->store)
		trust_encode(out, s->p->store->store);
}

int proofs_seal(const struct proofs *p, const struct policy *policy, struct diag *d)
{
	return memory_file_make("cordon-proofs", PROOFS_WIRE_MOST, put_all, &(struct sealing){ p, policy }, d);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

struct reading {
	struct wire_in *in;
	const struct policy *policy;
	struct arena *memory;
};

/* Never more than what came has octets for. */
static size_t get_count(struct wire_in *in, size_t most, size_t each)
{
	size_t n = wire_u32(in);

	if (n > most || n * each > in->left)
		in->failed = true;
	return in->failed ? 0 : n;
}

static const uint8_t *get_octets(struct reading *r, size_t *ret_len)
{
	size_t n = get_count(r->in, OCTETS_MOST, 1);
	const uint8_t *p = wire_octets(r->in, n);
	uint8_t *copy = arena_new(r->memory, n + 1, 1);

	if (p)
		memcpy(copy, p, n);
	*ret_len = p ? n : 0;
	return copy;
}

/* NULL: an empty one. */
static const char *get_text(struct reading *r)
{
	size_t n = wire_u16(r->in);
	const uint8_t *p = n < TEXT_MOST ? wire_octets(r->in, n) : NULL;

	if (!p || memchr(p, 0, n)) {
		r->in->failed = true;
		return NULL;
	}
	return n ? arena_string(r->memory, (const char *)p, n) : NULL;
}

static const struct auth_set *get_set(struct reading *r)
{
	const struct auth_set *sets = NULL;
	size_t n = policy_auth_sets(r->policy, &sets);
	uint32_t i = wire_u32(r->in);

	if (i >= n) {
		r->in->failed = true;
		return NULL;
	}
	return &sets[i];
}

static const uint8_t (*get_authorities(struct reading *r, size_t *ret_count))[20]
{
	size_t n = get_count(r->in, AUTHORITIES_MOST, 20);
	uint8_t(*all)[20] = arena_new(r->memory, n + 1, sizeof *all);

	for (size_t i = 0; i < n; i++)
		wire_copy(r->in, all[i], sizeof all[i]);
	*ret_count = n;
	return (const uint8_t(*)[20])all;
}

static void get_chain(struct reading *r, struct keying_credential *c)
{
	size_t n = get_count(r->in, KEYING_CHAIN_MOST, 4);
	const uint8_t **chain = arena_new(r->memory, n + 1, sizeof(uint8_t *));
	size_t *lens = arena_new(r->memory, n + 1, sizeof *lens);

	for (size_t i = 0; i < n; i++)
		chain[i] = get_octets(r, &lens[i]);
	c->chain = chain;
	c->chain_lens = lens;
	c->chain_count = n;
}

static void get_satisfies(struct reading *r, struct keying_credential *c)
{
	size_t n = get_count(r->in, SETS_MOST, 5);
	const struct auth_set **sets = arena_new(r->memory, n + 1, sizeof(struct auth_set *));
	uint8_t *ranks = arena_new(r->memory, n + 1, 1);

	for (size_t i = 0; i < n; i++) {
		sets[i] = get_set(r);
		ranks[i] = wire_u8(r->in);
	}
	c->satisfies = sets;
	c->ranks = ranks;
	c->satisfies_count = n;
}

static void get_credential(struct reading *r, struct keying_credential *c)
{
	uint8_t kind;

	c->number = wire_u32(r->in);
	kind = wire_u8(r->in);
	if (kind != AUTH_PSK && kind != AUTH_CERTIFICATE && kind != AUTH_KERBEROS)
		r->in->failed = true;
	c->kind = (enum auth_kind)kind;
	c->psk_file = get_text(r);
	if (kind == AUTH_PSK && !c->psk_file)
		r->in->failed = true;
	c->id_type = wire_u8(r->in);
	c->id = get_octets(r, &c->id_len);
	get_chain(r, c);
	c->subject = get_text(r);
	get_satisfies(r, c);
	c->not_after_s = wire_u64(r->in);
	c->authorities = get_authorities(r, &c->authority_count);
	c->hashes = wire_u16(r->in);
	c->silent = wire_u8(r->in) != 0;
	c->signs_by = wire_u8(r->in);
}

static void get_config(struct reading *r, struct keying_config *c)
{
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		uint32_t n = wire_u32(r->in);

		memcpy((char *)c + numbers[i], &n, sizeof n);
	}
	wire_copy(r->in, c->crash_secret, sizeof c->crash_secret);
	c->userspace_plane = wire_u8(r->in) != 0;
	c->no_udp4 = wire_u8(r->in) != 0;
	c->no_udp6 = wire_u8(r->in) != 0;
	c->export_keys = wire_u8(r->in) != 0;
	c->credential_count = get_count(r->in, CREDENTIALS_MOST, 40);
	struct keying_credential *credentials = arena_new(r->memory, c->credential_count + 1, sizeof *credentials);
	for (size_t i = 0; i < c->credential_count; i++)
		get_credential(r, &credentials[i]);
	c->credentials = credentials;
	c->lack_count = get_count(r->in, SETS_MOST, 6);
	struct keying_lack *lacks = arena_new(r->memory, c->lack_count + 1, sizeof *lacks);
	for (size_t i = 0; i < c->lack_count; i++) {
		lacks[i].set = get_set(r);
		lacks[i].why = get_text(r);
		if (!lacks[i].why)
			lacks[i].why = "";
	}
	c->lacks = lacks;
	c->ppk_count = get_count(r->in, CREDENTIALS_MOST, 2);
	const char **ppks = arena_new(r->memory, c->ppk_count + 1, sizeof(char *));
	for (size_t i = 0; i < c->ppk_count; i++)
		if (!(ppks[i] = get_text(r)))
			r->in->failed = true;
	c->ppks = ppks;
	c->authorities = get_authorities(r, &c->authority_count);
}

static int decode(struct wire_in *in, const struct policy *policy, struct received_proofs *p, struct diag *d)
{
	struct reading reading = { in, policy, &p->memory };
	struct credential_store *store = NULL;
	int r;

	if (wire_u32(in) != MAGIC)
		in->failed = true;
	get_config(&reading, &p->proofs.keying);
	if (wire_u8(in) && !in->failed) {
		if ((r = trust_decode(in, &store, d)) < 0)
			return r;
		p->proofs.store = shared_store_new(store);
	}
	return wire_done(in) ? 0 : diag_fail(d, ERR_SYNTAX, "what this host can prove is not well-formed");
}

int proofs_decode(struct wire_in *in, const struct policy *policy, struct received_proofs *ret, struct diag *d)
{
	struct received_proofs p = { 0 };
	int r = decode(in, policy, &p, d);

	if (r < 0)
		received_proofs_wipe(&p);
	else
		*ret = p;
	return r;
}

int proofs_receive(int fd, const struct policy *policy, struct received_proofs *ret, struct diag *d)
{
	SCOPED(text_freep) struct text *t = NULL;
	struct wire_in in;
	int r = memory_file_read(fd, PROOFS_WIRE_MOST, &t, d);

	if (r < 0)
		return r;
	in = wire_in(t->octets, t->len);
	return proofs_decode(&in, policy, ret, d);
}

void received_proofs_wipe(struct received_proofs *p)
{
	shared_store_release(p->proofs.store);
	explicit_bzero(&p->proofs, sizeof p->proofs);
	arena_wipe(&p->memory);
}
