/* keying/v1/payload/cert.c - Certificate and Certificate Request payloads (RFC 2408 3.9, 3.10; RFC 4945 3.2, 3.3). */
#include "base/diag.h"
#include "keying/v1/payload/payloads.h"

enum { NAME_MOST = 4096 };

int v1_decode_cert(struct wire_in *in, struct v1_msg *m, struct diag *d)
{
	uint8_t encoding = wire_u8(in);
	size_t len = in->left, room = KEYING_CHAIN_MOST - m->cert_count;
	struct keying_octets data = { wire_octets(in, len), len };
	int n;

	if (!wire_done(in) || len == 0)
		return diag_fail(d, ERR_SYNTAX, "CERT payload: empty");
	if (encoding == V1_CERT_X509_SIGNATURE && room) {
		m->certs[m->cert_count++] = data;
	} else if (encoding == V1_CERT_PKCS7) {
		if ((n = v1_bag_open(data, m->certs + m->cert_count, room, d)) < 0)
			return n;
		m->cert_count += (size_t)n;
	} else if (encoding < 16) { /* told if there is no other; lists we fetch ourselves */
		m->cert_others = (uint16_t)(m->cert_others | 1u << encoding);
	}
	return 0;
}

/* An authority by its name. Other encodings ask for what we do not have. */
int v1_decode_certreq(struct wire_in *in, struct v1_msg *m, struct diag *d)
{
	uint8_t encoding = wire_u8(in);
	size_t len = in->left;
	const uint8_t *name = wire_octets(in, len);

	if (!wire_done(in) || len > NAME_MOST)
		return diag_fail(d, ERR_SYNTAX, "CERTREQ payload: a name of %zu octets", len);
	if (encoding == V1_CERT_X509_SIGNATURE || encoding == V1_CERT_PKCS7)
		m->certreqs[m->certreq_count++] = (struct keying_octets){ name, len };
	return 0;
}

void v1_put_cert(struct ike_writer *w, struct keying_octets der)
{
	size_t at = v1_payload_begin(w, V1_PL_CERT);

	wire_put_u8(&w->out, V1_CERT_X509_SIGNATURE);
	wire_put(&w->out, der.at, der.len);
	ike_payload_end(w, at);
}

void v1_put_certreq(struct ike_writer *w, struct keying_octets name)
{
	size_t at = v1_payload_begin(w, V1_PL_CERTREQ);

	wire_put_u8(&w->out, V1_CERT_X509_SIGNATURE);
	wire_put(&w->out, name.at, name.len);
	ike_payload_end(w, at);
}
