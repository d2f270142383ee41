/* keying/sk.c - the Encrypted payload: CBC and CTR with HMAC (RFC 7296 3.14, 5930), AEADs (RFC 5282, 7634); and the
 * Encrypted Fragment payload, which is the same with two numbers in front of the IV (RFC 7383 2.5). */
#include "base/crypto.h"
#include "base/diag.h"
#include "base/mem.h"
#include "keying/ike.h"
#include <stdlib.h>
#include <string.h>

enum { IV_MOST = 16, GENERIC_HEADER = 4, FRAGMENT_HEADER = 8 };

static size_t icv_octets(const struct ike_crypt *c)
{
	return c->integ ? c->integ->icv : c->encr->icv;
}

static size_t keys_len(const struct ike_crypt *c)
{
	return (size_t)c->encr->key + c->encr->salt + (c->integ ? c->integ->key : 0u);
}

static int cipher_of(const struct ike_crypt *c, struct seal **ret, struct diag *d)
{
	SCOPED(key_wipe) struct key encr = { 0 }, integ = { 0 };

	if (!c->keys)
		return diag_fail(d, ERR_UNEXPECTED, "this IKE SA has no keys yet");
	if (!key_set(&encr, c->keys, (size_t)c->encr->key + c->encr->salt) ||
	    (c->integ && !key_set(&integ, c->keys + encr.len, c->integ->key)))
		return diag_fail(d, ERR_CRYPTO, "keys of %zu octets", keys_len(c));
	return seal_new(c->encr, &encr, c->integ, &integ, ret, d);
}

int ike_crypt_new(const struct ike_suite *suite, const struct key *encr, const struct key *integ, struct ike_crypt *ret,
		  struct diag *d)
{
	SCOPED(ike_crypt_wipe) struct ike_crypt c = { .encr = suite->encr, .integ = suite->integ, .prf = suite->prf };
	SCOPED(seal_freep) struct seal *tried = NULL;
	int r;

	/* Lengths and libraries are asked now, so that no message to come can fail for them. */
	if ((r = seal_new(suite->encr, encr, suite->integ, integ, &tried, d)) < 0)
		return r;
	c.keys = mem_new(1, keys_len(&c));
	memcpy(c.keys, encr->octets, encr->len);
	if (c.integ)
		memcpy(c.keys + encr->len, integ->octets, integ->len);
	*ret = c;
	c.keys = NULL;
	return 0;
}

void ike_crypt_wipe(struct ike_crypt *c)
{
	if (c->keys)
		explicit_bzero(c->keys, keys_len(c));
	free(c->keys);
	explicit_bzero(c, sizeof *c);
}

/* Never the same twice under one key; for CBC not to be foretold either (a counter under a secret PRF key). A stream
 * cipher (block 1: every AEAD, and CTR, RFC 5930) needs the counter itself. */
static int next_iv(struct ike_crypt *c, uint8_t *iv, struct diag *d)
{
	uint8_t count[8];
	struct wire_out out = wire_out(count, sizeof count);
	static const char label[] = "IKE message IV";
	SCOPED(key_wipe) struct key iv_key = { 0 }, block = { 0 };
	struct octets text = { label, sizeof label - 1 }, part = { count, sizeof count };
	int r;

	wire_put_u64(&out, ++c->count);
	if (c->encr->block == 1) {
		memcpy(iv, count, sizeof count);
		return 0;
	}
	if ((r = crypto_prf(c->prf, c->keys, c->encr->key, &text, 1, &iv_key, d)) < 0 ||
	    (r = crypto_prf(c->prf, iv_key.octets, iv_key.len, &part, 1, &block, d)) < 0)
		return r;
	if (block.len < c->encr->iv)
		return diag_fail(d, ERR_CRYPTO, "%s gives too few octets for an IV", c->prf->name);
	memcpy(iv, block.octets, c->encr->iv);
	return 0;
}

/* The text is a multiple of this. */
static size_t block_octets(const struct ike_crypt *c)
{
	return c->encr->aead || !c->encr->block ? 1 : c->encr->block;
}

size_t ike_sk_octets(const struct ike_crypt *c, size_t content)
{
	size_t block = block_octets(c);

	return IKE_HEADER + GENERIC_HEADER + c->encr->iv + (content + block) / block * block + icv_octets(c);
}

size_t ike_skf_room(const struct ike_crypt *c, size_t octets)
{
	size_t around = IKE_HEADER + FRAGMENT_HEADER + c->encr->iv + icv_octets(c), block = block_octets(c);

	return octets < around + block ? 0 : (octets - around) / block * block - 1;
}

size_t ike_sk_begin(struct ike_writer *w, const struct ike_crypt *c)
{
	size_t at = ike_payload_begin(w, PL_SK);

	(void)wire_put_space(&w->out, c->encr->iv);
	return at;
}

size_t ike_skf_begin(struct ike_writer *w, const struct ike_crypt *c, uint16_t number, uint16_t total)
{
	size_t at = ike_payload_begin(w, PL_SKF);

	wire_put_u16(&w->out, number);
	wire_put_u16(&w->out, total);
	(void)wire_put_space(&w->out, c->encr->iv);
	return at;
}

static int close_envelope(struct ike_writer *w, size_t at, size_t header, struct ike_crypt *c, struct diag *d)
{
	size_t iv_at = at + header, text_at = iv_at + c->encr->iv, block = block_octets(c);
	size_t pad = (block - (w->out.len + 1 - text_at) % block) % block;
	SCOPED(seal_freep) struct seal *cipher = NULL;
	uint8_t iv[IV_MOST];
	int r;

	(void)wire_put_space(&w->out, pad);
	wire_put_u8(&w->out, (uint8_t)pad);
	size_t icv_at = w->out.len;
	(void)wire_put_space(&w->out, icv_octets(c));
	ike_payload_end(w, at);
	ike_write_end(w);
	if (w->out.failed)
		return diag_fail(d, ERR_UNSUPPORTED, "the message does not fit %d octets", IKE_MESSAGE_MOST);
	if ((r = cipher_of(c, &cipher, d)) < 0 || (r = next_iv(c, iv, d)) < 0)
		return r;
	uint8_t *m = w->out.buf;
	memcpy(m + iv_at, iv, c->encr->iv);
	struct sealed s = {
		.iv = m + iv_at,
		.text = m + text_at,
		.text_len = icv_at - text_at,
		.aad = { m, iv_at },
		.covered = { m, icv_at },
		.icv = m + icv_at,
	};
	return seal_close(cipher, &s, d);
}

int ike_sk_end(struct ike_writer *w, size_t at, struct ike_crypt *c, struct diag *d)
{
	return close_envelope(w, at, GENERIC_HEADER, c, d);
}

int ike_skf_end(struct ike_writer *w, size_t at, struct ike_crypt *c, struct diag *d)
{
	return close_envelope(w, at, FRAGMENT_HEADER, c, d);
}

int ike_envelope_find(const uint8_t *message, size_t len, struct ike_envelope *ret, struct diag *d)
{
	struct wire_in in = wire_in(message, len);
	struct ike_header h;
	int r;

	if ((r = ike_decode_header(&in, &h, d)) < 0)
		return r;
	for (uint8_t type = h.next; type != PL_NONE && !in.failed;) {
		struct ike_envelope e = { .at = len - in.left, .octets = len, .first = wire_u8(&in) };
		(void)wire_u8(&in);
		uint16_t n = wire_u16(&in);
		struct wire_in body = wire_sub(&in, n < GENERIC_HEADER ? SIZE_MAX : n - (size_t)GENERIC_HEADER);
		if (type != PL_SK && type != PL_SKF) {
			type = e.first;
			continue;
		}
		if (type == PL_SKF) {
			e.number = wire_u16(&body);
			e.total = wire_u16(&body);
			if (!e.number || e.number > e.total)
				return diag_fail(d, ERR_SYNTAX, "fragment %u of %u", e.number, e.total);
		}
		if (body.failed || !wire_done(&in))
			break;
		*ret = e;
		return 0;
	}
	return diag_fail(d, ERR_SYNTAX, "no Encrypted payload at the end");
}

int ike_envelope_open(struct ike_crypt *c, uint8_t *message, size_t len, const struct ike_envelope *e,
		      struct wire_in *ret_content, struct diag *d)
{
	size_t iv_at = e->at + (e->total ? FRAGMENT_HEADER : GENERIC_HEADER), text_at = iv_at + c->encr->iv;
	size_t icv = icv_octets(c), block = block_octets(c);
	SCOPED(seal_freep) struct seal *cipher = NULL;
	int r;

	if (len < text_at + icv || len - text_at - icv < block || (len - text_at - icv) % block)
		return diag_fail(d, ERR_SYNTAX, "an Encrypted payload of %zu octets", len - e->at);
	size_t text_len = len - text_at - icv;
	struct sealed s = {
		.iv = message + iv_at,
		.text = message + text_at,
		.text_len = text_len,
		.aad = { message, iv_at },
		.covered = { message, text_at + text_len },
		.icv = message + text_at + text_len,
	};
	if ((r = cipher_of(c, &cipher, d)) < 0 || (r = seal_open(cipher, &s, d)) < 0)
		return r;
	size_t pad = message[text_at + text_len - 1];
	if (pad + 1 > text_len)
		return diag_fail(d, ERR_SYNTAX, "%zu octets of padding in %zu", pad, text_len);
	*ret_content = wire_in(message + text_at, text_len - pad - 1);
	return 0;
}

int ike_sk_open(struct ike_crypt *c, uint8_t *message, size_t len, struct wire_in *ret_inner, uint8_t *ret_first,
		struct diag *d)
{
	struct ike_envelope e;
	int r;

	if ((r = ike_envelope_find(message, len, &e, d)) < 0)
		return r;
	if (e.total)
		return diag_fail(d, ERR_SYNTAX, "a fragment, not a whole message");
	if ((r = ike_envelope_open(c, message, len, &e, ret_inner, d)) < 0)
		return r;
	*ret_first = e.first;
	return 0;
}
