/* keying/keymat.c - the keys of an IKE SA and of a CHILD SA (RFC 7296 2.14, 2.15, 2.17, 2.18; RFC 5282 7.1). */
#include "base/crypto.h"
#include "base/diag.h"
#include "base/mem.h"
#include "base/scope.h"
#include "base/wire.h"
#include "keying/keymat.h"
#include <string.h>

enum { KEYMAT_MOST = 7 * KEY_MAX, PRF_AES_XCBC = 4, PRF_AES_CMAC = 8 };

struct keymat {
	uint8_t octets[KEYMAT_MOST];
};

static void keymat_wipe(struct keymat *k)
{
	explicit_bzero(k, sizeof *k);
}

void ike_keys_wipe(struct ike_keys *k)
{
	explicit_bzero(k, sizeof *k);
}

void child_keys_wipe(struct child_keys *k)
{
	explicit_bzero(k, sizeof *k);
}

/* A piece of the key material: which key, how long. */
struct piece {
	struct key *to;
	size_t len;
};

static int cut(const struct algorithm *prf, const struct key *from, const struct octets *seed, size_t seeds,
	       const struct piece *pieces, size_t n, struct diag *d)
{
	SCOPED(keymat_wipe) struct keymat keymat = { { 0 } };
	size_t total = 0, at = 0;
	int r;

	for (size_t i = 0; i < n; i++)
		total += pieces[i].len;
	if (total > sizeof keymat.octets)
		return diag_fail(d, ERR_UNSUPPORTED, "%zu octets of keys", total);
	if ((r = crypto_prf_plus(prf, from, seed, seeds, keymat.octets, total, d)) < 0)
		return r;
	for (size_t i = 0; i < n; at += pieces[i++].len)
		if (!key_set(pieces[i].to, keymat.octets + at, pieces[i].len))
			return diag_fail(d, ERR_UNSUPPORTED, "a key of %zu octets", pieces[i].len);
	return 0;
}

static size_t encr_octets(const struct algorithm *encr)
{
	return encr ? (size_t)encr->key + encr->salt : 0;
}

static size_t integ_octets(const struct algorithm *integ)
{
	return integ ? (size_t)integ->key + integ->salt : 0; /* salt: GMAC */
}

static int seed_of(const struct ike_suite *suite, const struct keymat_input *in, const struct algorithm *old_prf,
		   const struct key *old_d, struct key *ret, struct diag *d)
{
	struct octets secret = { in->secret.at, in->secret.len };
	struct octets nonce_i = { in->nonce_i.at, in->nonce_i.len }, nonce_r = { in->nonce_r.at, in->nonce_r.len };
	uint8_t nonces[512];

	if (old_d) /* 2.18: the old SA's prf */
		return crypto_prf(old_prf, old_d->octets, old_d->len, (struct octets[]){ secret, nonce_i, nonce_r }, 3,
				  ret, d);
	if (suite->prf->ikev2 == PRF_AES_XCBC || suite->prf->ikev2 == PRF_AES_CMAC) {
		/* 2.14: these two take 64 bits of each nonce, here only */
		nonce_i.len = nonce_i.len < 8 ? nonce_i.len : 8;
		nonce_r.len = nonce_r.len < 8 ? nonce_r.len : 8;
	}
	struct wire_out key = wire_out(nonces, sizeof nonces);
	wire_put(&key, nonce_i.at, nonce_i.len);
	wire_put(&key, nonce_r.at, nonce_r.len);
	if (key.failed)
		return diag_fail(d, ERR_SYNTAX, "nonces of %zu and %zu octets", nonce_i.len, nonce_r.len);
	return crypto_prf(suite->prf, nonces, key.len, &secret, 1, ret, d);
}

int keymat_ike(const struct ike_suite *suite, const struct keymat_input *in, const struct algorithm *old_prf,
	       const struct key *old_d, struct ike_keys *ret, struct diag *d)
{
	SCOPED(ike_keys_wipe) struct ike_keys k = { 0 };
	SCOPED(key_wipe) struct key seed = { 0 };
	uint8_t spis[16];
	struct wire_out out = wire_out(spis, sizeof spis);
	size_t p = suite->prf->key, a = integ_octets(suite->integ), e = encr_octets(suite->encr);
	const struct piece pieces[] = {
		{ &k.d, p }, { &k.ai, a }, { &k.ar, a }, { &k.ei, e }, { &k.er, e }, { &k.pi, p }, { &k.pr, p },
	};
	int r;

	wire_put_u64(&out, in->spi_i);
	wire_put_u64(&out, in->spi_r);
	const struct octets parts[] = {
		{ in->nonce_i.at, in->nonce_i.len },
		{ in->nonce_r.at, in->nonce_r.len },
		{ spis, sizeof spis },
	};
	if ((r = seed_of(suite, in, old_prf, old_d, &seed, d)) < 0 ||
	    (r = cut(suite->prf, &seed, parts, ARRAY_LEN(parts), pieces, ARRAY_LEN(pieces), d)) < 0)
		return diag_wrap(d, r, "keys of the IKE SA");
	*ret = k;
	return 0;
}

int keymat_child(const struct algorithm *prf, const struct key *sk_d, const struct child_suite *suite,
		 const struct keymat_input *in, struct child_keys *ret, struct diag *d)
{
	SCOPED(child_keys_wipe) struct child_keys k = { 0 };
	size_t e = encr_octets(suite->encr), a = integ_octets(suite->integ);
	const struct octets parts[] = {
		{ in->secret.at, in->secret.len },
		{ in->nonce_i.at, in->nonce_i.len },
		{ in->nonce_r.at, in->nonce_r.len },
	};
	const struct piece pieces[] = { { &k.encr_i, e }, { &k.integ_i, a }, { &k.encr_r, e }, { &k.integ_r, a } };
	int r;

	if ((r = cut(prf, sk_d, parts, ARRAY_LEN(parts), pieces, ARRAY_LEN(pieces), d)) < 0)
		return diag_wrap(d, r, "keys of the CHILD SA");
	*ret = k;
	return 0;
}

int keymat_signed_octets(const struct algorithm *prf, const struct key *sk_p, struct keying_octets message,
			 struct keying_octets nonce, struct keying_octets id_body, uint8_t **ret, size_t *ret_len,
			 struct diag *d)
{
	SCOPED(key_wipe) struct key id = { 0 };
	struct octets part = { id_body.at, id_body.len };
	int r;

	if ((r = crypto_prf(prf, sk_p->octets, sk_p->len, &part, 1, &id, d)) < 0)
		return r;
	size_t len = message.len + nonce.len + id.len;
	uint8_t *octets = mem_new(len, 1);
	struct wire_out out = wire_out(octets, len);
	wire_put(&out, message.at, message.len);
	wire_put(&out, nonce.at, nonce.len);
	wire_put(&out, id.octets, id.len);
	*ret = octets;
	*ret_len = len;
	return 0;
}
