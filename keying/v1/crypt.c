/* keying/v1/crypt.c - messages under encryption: CBC from the header on, each beginning with the last block of the one
 * before (RFC 2409 appendix B). */
#include "base/crypto.h"
#include "base/diag.h"
#include "keying/v1/keymat.h"

enum { FLAGS_AT = 19 };

int v1_seal(struct ike_writer *w, const struct ike_suite *suite, const struct key *cipher, struct v1_iv *iv,
	    struct diag *d)
{
	size_t block = suite->encr->block, text = w->out.len - IKE_HEADER;
	int r;

	(void)wire_put_space(&w->out, (block - text % block) % block);
	if (w->out.failed || w->out.len <= IKE_HEADER)
		return diag_fail(d, ERR_UNSUPPORTED, "a message that is empty, or longer than %d octets",
				 IKE_MESSAGE_MOST);
	w->out.buf[FLAGS_AT] |= V1_FLAG_ENCRYPTED;
	ike_write_end(w);
	if ((r = crypto_cbc(suite->encr, cipher, iv->octets, w->out.buf + IKE_HEADER, w->out.len - IKE_HEADER, true,
			    d)) < 0)
		w->out.failed = true; /* not to be sent in clear */
	return r;
}

int v1_open(uint8_t *message, size_t len, const struct ike_suite *suite, const struct key *cipher, struct v1_iv *iv,
	    struct diag *d)
{
	if (len <= IKE_HEADER)
		return diag_fail(d, ERR_SYNTAX, "an encrypted message with nothing in it");
	return crypto_cbc(suite->encr, cipher, iv->octets, message + IKE_HEADER, len - IKE_HEADER, false, d);
}
