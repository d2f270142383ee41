/* keying/v1/payload/octets.c - payloads that are one run of octets: KE, nonce, HASH, SIG (RFC 2408 3.7, 3.11 to 3.13),
 * and the GSS token, which has one octet in front (draft-ietf-ipsec-isakmp-gss-auth-07 3.3.3). */
#include "base/diag.h"
#include "keying/v1/payload/payloads.h"
#include <string.h>

enum { HASH_MOST = 4096 }; /* one that GSS_Wrap made is longer than a hash */

static int decode_octets(struct wire_in *in, const char *what, size_t least, size_t most, struct keying_octets *ret,
			 struct diag *d)
{
	size_t len = in->left;
	const uint8_t *at = wire_octets(in, len);

	if (!wire_done(in) || len < least || len > most)
		return diag_fail(d, ERR_SYNTAX, "%s payload: %zu octets, not %zu to %zu", what, len, least, most);
	*ret = (struct keying_octets){ at, len };
	return 0;
}

int v1_decode_ke(struct wire_in *in, struct v1_msg *m, struct diag *d)
{
	return decode_octets(in, "KE", 1, KEYING_SECRET_MOST, &m->ke, d);
}

int v1_decode_nonce(struct wire_in *in, struct v1_msg *m, struct diag *d)
{
	return decode_octets(in, "Nonce", V1_NONCE_LEAST, V1_NONCE_MOST, &m->nonce, d);
}

int v1_decode_hash(struct wire_in *in, struct v1_msg *m, struct diag *d)
{
	return decode_octets(in, "HASH", 1, HASH_MOST, &m->hash, d);
}

int v1_decode_sig(struct wire_in *in, struct v1_msg *m, struct diag *d)
{
	return decode_octets(in, "SIG", 1, KEYING_AUTH_MOST, &m->sig, d);
}

/* Some leave the octet in front out: a token begins with the tag 0x60 (RFC 2743 3.1). */
int v1_decode_token(struct wire_in *in, struct v1_msg *m, struct diag *d)
{
	enum { INITIAL_TAG = 0x60 };
	struct keying_octets body;
	int r;

	if ((r = decode_octets(in, "GSS", 1, V1_TOKEN_MOST, &body, d)) < 0)
		return r;
	m->has_token = true;
	if (body.at[0] == INITIAL_TAG && (body.len < 2 || body.at[1] != INITIAL_TAG)) {
		m->token = body;
		return 0;
	}
	m->token_prefix = body.at[0];
	m->token = (struct keying_octets){ body.at + 1, body.len - 1 };
	return 0;
}

void v1_put_octets(struct ike_writer *w, enum v1_payload type, struct keying_octets o)
{
	size_t at = v1_payload_begin(w, type);

	wire_put(&w->out, o.at, o.len);
	ike_payload_end(w, at);
}

void v1_put_ke(struct ike_writer *w, struct keying_octets value)
{
	v1_put_octets(w, V1_PL_KE, value);
}

void v1_put_nonce(struct ike_writer *w, struct keying_octets nonce)
{
	v1_put_octets(w, V1_PL_NONCE, nonce);
}

void v1_put_hash(struct ike_writer *w, struct keying_octets hash)
{
	v1_put_octets(w, V1_PL_HASH, hash);
}

void v1_put_sig(struct ike_writer *w, struct keying_octets sig)
{
	v1_put_octets(w, V1_PL_SIG, sig);
}

void v1_put_token(struct ike_writer *w, uint8_t prefix, struct keying_octets token)
{
	size_t at = v1_payload_begin(w, V1_PL_GSS);

	wire_put_u8(&w->out, prefix);
	wire_put(&w->out, token.at, token.len);
	ike_payload_end(w, at);
}

size_t v1_put_hash_space(struct ike_writer *w, size_t len)
{
	size_t at = v1_payload_begin(w, V1_PL_HASH), octets = w->out.len;

	(void)wire_put_space(&w->out, len);
	ike_payload_end(w, at);
	return octets;
}

struct keying_octets v1_hash_covers(const struct ike_writer *w, size_t at, size_t len)
{
	if (w->out.failed)
		return (struct keying_octets){ 0 };
	return (struct keying_octets){ w->out.buf + at + len, w->out.len - at - len };
}

void v1_hash_set(struct ike_writer *w, size_t at, struct keying_octets hash)
{
	if (!w->out.failed)
		memcpy(w->out.buf + at, hash.at, hash.len);
}
