/* keying/payload/cert.c - Certificate and Certificate Request payloads (RFC 7296 3.6, 3.7). */
#include "base/diag.h"
#include "keying/ike.h"

int ike_decode_cert(struct wire_in *in, struct ike_msg *m, struct diag *d)
{
	uint8_t encoding = wire_u8(in);
	size_t len = in->left;
	const uint8_t *data = wire_octets(in, len);

	if (!wire_done(in) || len == 0)
		return diag_fail(d, ERR_SYNTAX, "CERT payload: empty");
	if (encoding == CERT_X509_SIGNATURE)
		m->certs[m->cert_count++] = (struct keying_octets){ data, len };
	else if (encoding < 16) /* told if there is no other: PKCS#7, hash and URL; lists we fetch ourselves */
		m->cert_others = (uint16_t)(m->cert_others | 1u << encoding);
	return 0;
}

/* Authorities by the SHA-1 of their keys. Other encodings ask for what we do not have. */
int ike_decode_certreq(struct wire_in *in, struct ike_msg *m, struct diag *d)
{
	uint8_t encoding = wire_u8(in);
	size_t len = in->left;
	const uint8_t *names = wire_octets(in, len);

	if (!wire_done(in))
		return diag_fail(d, ERR_SYNTAX, "CERTREQ payload: empty");
	if (encoding == CERT_X509_SIGNATURE && len)
		m->certreqs[m->certreq_count++] = (struct keying_octets){ names, len };
	return 0;
}

void ike_put_cert(struct ike_writer *w, const void *der, size_t len)
{
	size_t at = ike_payload_begin(w, PL_CERT);

	wire_put_u8(&w->out, CERT_X509_SIGNATURE);
	wire_put(&w->out, der, len);
	ike_payload_end(w, at);
}

void ike_put_certreq(struct ike_writer *w, const uint8_t (*authorities)[20], size_t n, size_t most)
{
	size_t at = ike_payload_begin(w, PL_CERTREQ);

	wire_put_u8(&w->out, CERT_X509_SIGNATURE);
	for (size_t i = 0; i < n && i < most; i++)
		wire_put(&w->out, authorities[i], sizeof authorities[i]);
	ike_payload_end(w, at);
}
