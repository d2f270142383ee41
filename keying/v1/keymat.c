/* keying/v1/keymat.c - the keys and hashes of IKEv1 (RFC 2409 5, 5.5, appendix B; RFC 3947 3.2). */
#include "base/crypto.h"
#include "base/diag.h"
#include "base/scope.h"
#include "base/wire.h"
#include "keying/v1/keymat.h"
#include <string.h>

enum { KEYMAT_MOST = 2 * KEY_MAX };

struct keymat {
	uint8_t octets[KEYMAT_MOST];
};

static void keymat_wipe(struct keymat *k)
{
	explicit_bzero(k, sizeof *k);
}

void v1_keys_wipe(struct v1_keys *k)
{
	explicit_bzero(k, sizeof *k);
}

static struct octets octets(struct keying_octets o)
{
	return (struct octets){ o.at, o.len };
}

static struct octets of_key(const struct key *k)
{
	return (struct octets){ k->octets, k->len };
}

/* The two cookies, in this order. */
struct cookies {
	uint8_t octets[2 * V1_COOKIE];
};
static struct cookies cookies(uint64_t first, uint64_t second)
{
	struct cookies c;
	struct wire_out out = wire_out(c.octets, sizeof c.octets);

	wire_put_u64(&out, first);
	wire_put_u64(&out, second);
	return c;
}

struct number {
	uint8_t octets[4];
};
static struct number number(uint32_t v)
{
	struct number n;
	struct wire_out out = wire_out(n.octets, sizeof n.octets);

	wire_put_u32(&out, v);
	return n;
}

static int prf_of(const struct algorithm *prf, const struct key *k, const struct octets *parts, size_t n,
		  struct key *ret, struct diag *d)
{
	return crypto_prf(prf, k->octets, k->len, parts, n, ret, d);
}

/* ---- SKEYID and what follows ------------------------------------------------------------------------------------- */

/* Both nonces, one behind the other, are a key as well as data. */
struct nonces {
	uint8_t octets[2 * V1_NONCE_MOST];
	size_t len;
};
static int join(struct keying_octets nonce_i, struct keying_octets nonce_r, struct nonces *ret, struct diag *d)
{
	struct wire_out out = wire_out(ret->octets, sizeof ret->octets);

	wire_put(&out, nonce_i.at, nonce_i.len);
	wire_put(&out, nonce_r.at, nonce_r.len);
	ret->len = out.len;
	return out.failed ? diag_fail(d, ERR_SYNTAX, "nonces of %zu and %zu octets", nonce_i.len, nonce_r.len) : 0;
}

int v1_skeyid(const struct v1_main *m, struct key *ret, struct diag *d)
{
	struct nonces both;
	int r;

	if ((r = join(m->nonce_i, m->nonce_r, &both, d)) < 0)
		return r;
	return crypto_prf(m->suite->prf, both.octets, both.len, (struct octets[]){ octets(m->secret) }, 1, ret, d);
}

int v1_skeyid_psk(const struct algorithm *prf, const void *psk, size_t psk_len, struct keying_octets nonce_i,
		  struct keying_octets nonce_r, struct key *ret, struct diag *d)
{
	return crypto_prf(prf, psk, psk_len, (struct octets[]){ octets(nonce_i), octets(nonce_r) }, 2, ret, d);
}

/* prf(SKEYID, before | g^xy | CKY-I | CKY-R | which) */
static int derive(const struct v1_main *m, const struct key *skeyid, const struct key *before, uint8_t which,
		  struct key *ret, struct diag *d)
{
	const struct cookies both = cookies(m->cookie_i, m->cookie_r);
	const struct octets parts[] = {
		of_key(before),
		octets(m->secret),
		{ both.octets, sizeof both.octets },
		{ &which, 1 },
	};

	return prf_of(m->suite->prf, skeyid, parts, ARRAY_LEN(parts), ret, d);
}

/* As many octets as wanted: the key itself if it is long enough, else prf(key, 0), prf(key, that), ... (appendix B). */
static int stretch(const struct algorithm *prf, const struct key *from, size_t want, struct key *ret, struct diag *d)
{
	static const uint8_t zero = 0;
	SCOPED(keymat_wipe) struct keymat all = { { 0 } };
	SCOPED(key_wipe) struct key block = { 0 };
	size_t have = 0;
	int r;

	if (want > KEY_MAX)
		return diag_fail(d, ERR_UNSUPPORTED, "a key of %zu octets", want);
	if (want <= from->len) {
		(void)key_set(ret, from->octets, want);
		return 0;
	}
	while (have < want) {
		SCOPED(key_wipe) struct key next = { 0 };
		struct octets part = have ? of_key(&block) : (struct octets){ &zero, 1 };
		if ((r = prf_of(prf, from, &part, 1, &next, d)) < 0)
			return r;
		memcpy(all.octets + have, next.octets, next.len);
		have += next.len;
		key_move(&block, &next);
	}
	(void)key_set(ret, all.octets, want);
	return 0;
}

int v1_keys_make(const struct v1_main *m, const struct key *skeyid, struct v1_keys *ret, struct diag *d)
{
	static const struct key none = { 0 };
	SCOPED(v1_keys_wipe) struct v1_keys k = { .id = *skeyid };
	SCOPED(key_wipe) struct key e = { 0 };
	int r;

	if ((r = derive(m, skeyid, &none, 0, &k.d, d)) < 0 || (r = derive(m, skeyid, &k.d, 1, &k.a, d)) < 0 ||
	    (r = derive(m, skeyid, &k.a, 2, &e, d)) < 0 ||
	    (r = stretch(m->suite->prf, &e, m->suite->encr->key, &k.cipher, d)) < 0)
		return diag_wrap(d, r, "keys of main mode");
	*ret = k;
	return 0;
}

/* ---- where encryption begins ------------------------------------------------------------------------------------- */

static int iv_of(const struct ike_suite *suite, const struct octets *parts, size_t n, struct v1_iv *ret, struct diag *d)
{
	uint8_t hash[DIGEST_MAX];
	size_t len = 0;
	int r;

	if ((r = crypto_digest(suite->prf->openssl, parts, n, hash, &len, d)) < 0)
		return r;
	*ret = (struct v1_iv){ { 0 } };
	memcpy(ret->octets, hash, suite->encr->block);
	return 0;
}

int v1_iv_main(const struct v1_main *m, struct v1_iv *ret, struct diag *d)
{
	return iv_of(m->suite, (struct octets[]){ octets(m->ke_i), octets(m->ke_r) }, 2, ret, d);
}

int v1_iv_message(const struct ike_suite *suite, const struct v1_iv *last, uint32_t id, struct v1_iv *ret,
		  struct diag *d)
{
	const struct number n = number(id);
	const struct octets parts[] = { { last->octets, suite->encr->block }, { n.octets, sizeof n.octets } };

	return iv_of(suite, parts, ARRAY_LEN(parts), ret, d);
}

/* ---- hashes ------------------------------------------------------------------------------------------------------ */

enum { MAIN_PARTS = 6 + V1_TOKENS_MOST };

static struct cookies cookies_of(const struct v1_main *m, bool of_initiator)
{
	return cookies(of_initiator ? m->cookie_i : m->cookie_r, of_initiator ? m->cookie_r : m->cookie_i);
}

static size_t main_parts(const struct v1_main *m, const struct v1_proof *proof, const struct cookies *both,
			 struct octets ret[MAIN_PARTS])
{
	bool i = proof->of_initiator;
	size_t n = 0;

	ret[n++] = octets(i ? m->ke_i : m->ke_r);
	ret[n++] = octets(i ? m->ke_r : m->ke_i);
	ret[n++] = (struct octets){ both->octets, sizeof both->octets };
	ret[n++] = octets(m->sa_body); /* the initiator's in both */
	ret[n++] = octets(proof->id_body);
	ret[n++] = octets(proof->gss_name);
	for (size_t t = 0; t < proof->token_count && t < V1_TOKENS_MOST; t++)
		ret[n++] = octets(proof->tokens[t]);
	return n;
}

void v1_covered_main(const struct v1_main *m, const struct v1_proof *proof, struct wire_out *out)
{
	const struct cookies both = cookies_of(m, proof->of_initiator);
	struct octets parts[MAIN_PARTS];
	size_t n = main_parts(m, proof, &both, parts);

	for (size_t i = 0; i < n; i++)
		wire_put(out, parts[i].at, parts[i].len);
}

int v1_hash_main(const struct v1_main *m, const struct key *skeyid, const struct v1_proof *proof, struct key *ret,
		 struct diag *d)
{
	const struct cookies both = cookies_of(m, proof->of_initiator);
	struct octets parts[MAIN_PARTS];
	size_t n = main_parts(m, proof, &both, parts);

	return prf_of(m->hash_prf ? m->hash_prf : m->suite->prf, skeyid, parts, n, ret, d);
}

int v1_hash_quick_1(const struct algorithm *prf, const struct key *a, uint32_t id, struct keying_octets covered,
		    struct key *ret, struct diag *d)
{
	const struct number n = number(id);
	const struct octets parts[] = { { n.octets, sizeof n.octets }, octets(covered) };

	return prf_of(prf, a, parts, ARRAY_LEN(parts), ret, d);
}

int v1_hash_quick_2(const struct algorithm *prf, const struct key *a, uint32_t id, struct keying_octets nonce_i,
		    struct keying_octets covered, struct key *ret, struct diag *d)
{
	const struct number n = number(id);
	const struct octets parts[] = { { n.octets, sizeof n.octets }, octets(nonce_i), octets(covered) };

	return prf_of(prf, a, parts, ARRAY_LEN(parts), ret, d);
}

int v1_hash_quick_3(const struct algorithm *prf, const struct key *a, uint32_t id, struct keying_octets nonce_i,
		    struct keying_octets nonce_r, struct key *ret, struct diag *d)
{
	static const uint8_t zero = 0;
	const struct number n = number(id);
	const struct octets parts[] = { { &zero, 1 }, { n.octets, sizeof n.octets }, octets(nonce_i), octets(nonce_r) };

	return prf_of(prf, a, parts, ARRAY_LEN(parts), ret, d);
}

int v1_hash_delete_2(const struct algorithm *prf, const struct key *a, uint32_t id, struct keying_octets nonce_i,
		     struct keying_octets covered, struct key *ret, struct diag *d)
{
	const struct number n = number(id);
	const struct octets parts[] = { octets(nonce_i), { n.octets, sizeof n.octets }, octets(covered) };

	return prf_of(prf, a, parts, ARRAY_LEN(parts), ret, d);
}

/* ---- quick mode -------------------------------------------------------------------------------------------------- */

/* One SA's: KEYMAT = K1 | K2 | ..., Kn = prf(SKEYID_d, Kn-1 | g^xy | protocol | SPI | Ni | Nr); encryption first. */
static int one_way(const struct algorithm *prf, const struct key *skeyid_d, const struct v1_quick *q, uint32_t spi,
		   struct key *ret_encr, struct key *ret_integ, struct diag *d)
{
	SCOPED(keymat_wipe) struct keymat all = { { 0 } };
	SCOPED(key_wipe) struct key block = { 0 };
	const struct algorithm *encr = q->suite->encr, *integ = q->suite->integ;
	const size_t e = encr ? (size_t)encr->key + encr->salt : 0, a = integ ? (size_t)integ->key + integ->salt : 0;
	const struct number n = number(spi);
	const uint8_t protocol = (uint8_t)q->suite->protocol;
	size_t have = 0;
	int r;

	if (e > KEY_MAX || a > KEY_MAX)
		return diag_fail(d, ERR_UNSUPPORTED, "keys of %zu and %zu octets", e, a);
	while (have < e + a) {
		SCOPED(key_wipe) struct key next = { 0 };
		const struct octets parts[] = {
			of_key(&block),     octets(q->secret),  { &protocol, 1 }, { n.octets, sizeof n.octets },
			octets(q->nonce_i), octets(q->nonce_r),
		};
		if ((r = prf_of(prf, skeyid_d, parts, ARRAY_LEN(parts), &next, d)) < 0)
			return r;
		size_t take = next.len < sizeof all.octets - have ? next.len : sizeof all.octets - have;
		memcpy(all.octets + have, next.octets, take);
		have += take;
		key_move(&block, &next);
	}
	(void)key_set(ret_encr, all.octets, e);
	(void)key_set(ret_integ, all.octets + e, a);
	return 0;
}

int v1_keymat_quick(const struct algorithm *prf, const struct key *skeyid_d, const struct v1_quick *q,
		    struct child_keys *ret, struct diag *d)
{
	SCOPED(child_keys_wipe) struct child_keys k = { 0 };
	int r;

	/* The initiator sends under the SPI that the responder chose. */
	if ((r = one_way(prf, skeyid_d, q, q->spi_r, &k.encr_i, &k.integ_i, d)) < 0 ||
	    (r = one_way(prf, skeyid_d, q, q->spi_i, &k.encr_r, &k.integ_r, d)) < 0)
		return diag_wrap(d, r, "keys of quick mode");
	*ret = k;
	return 0;
}

int v1_nat_hash(const struct algorithm *prf, uint64_t cookie_i, uint64_t cookie_r, const struct addr *a, uint16_t port,
		uint8_t ret[64], size_t *ret_len, struct diag *d)
{
	const struct cookies both = cookies(cookie_i, cookie_r);
	const uint8_t at[] = { (uint8_t)(port >> 8), (uint8_t)port };
	const struct octets parts[] = {
		{ both.octets, sizeof both.octets },
		{ a->octets, addr_octets(a) },
		{ at, sizeof at },
	};

	return crypto_digest(prf->openssl, parts, ARRAY_LEN(parts), ret, ret_len, d);
}
