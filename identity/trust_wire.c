#include "identity/trust_wire.h"

#include "base/diag.h"
#include "base/mem.h"
#include "identity/handle.h"
#include "identity/store.h"

#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

enum { CERTIFICATE_OCTETS_MOST = 1 << 16 };

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static void put_certificate(struct wire_out *out, X509 *c)
{
	unsigned char *der = NULL;
	int n = i2d_X509(c, &der);

	wire_put_u32(out, n > 0 ? (uint32_t)n : 0);
	wire_put(out, der, n > 0 ? (size_t)n : 0);
	OPENSSL_free(der);
}

void trust_encode(struct wire_out *out, const struct credential_store *s)
{
	uint32_t count = 0;

	for (size_t i = 0; i < s->trust_count; i++)
		count += (uint32_t)sk_X509_num(s->trust[i].certificates);
	wire_put_u32(out, count);
	for (size_t i = 0; i < s->trust_count; i++)
		for (int k = 0; k < sk_X509_num(s->trust[i].certificates); k++)
			put_certificate(out, sk_X509_value(s->trust[i].certificates, k));
	revocation_lists_encode(out, s->lists);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static int get_certificate(struct wire_in *in, struct credential_store *s, struct diag *d)
{
	size_t n = wire_u32(in);
	const unsigned char *at = n <= CERTIFICATE_OCTETS_MOST ? wire_octets(in, n) : NULL, *end = at ? at + n : NULL;
	SCOPED(x509_freep) X509 *c = at ? d2i_X509(NULL, &at, (long)n) : NULL;

	ERR_clear_error();
	if (!c || at != end)
		return diag_fail(d, ERR_SYNTAX, "a trusted certificate is damaged");
	if (X509_STORE_add_cert(s->anchors, c) != 1)
		return diag_fail(d, ERR_CRYPTO, "libcrypto keeps no certificates");
	return 0;
}

int trust_decode(struct wire_in *in, struct credential_store **ret, struct diag *d)
{
	SCOPED(credential_store_freep) struct credential_store *s = mem_new(1, sizeof *s);
	size_t count = wire_u32(in);
	int r = 0;

	s->lists = revocation_lists_new();
	if (!(s->anchors = chain_store_new()))
		return diag_fail(d, ERR_CRYPTO, "libcrypto gives no certificate store");
	if (count > TRUST_WIRE_ANCHORS_MOST)
		return diag_fail(d, ERR_SYNTAX, "more than %d trusted certificates", TRUST_WIRE_ANCHORS_MOST);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = get_certificate(in, s, d);
	if (r < 0 || (r = revocation_lists_decode(in, s->lists, d)) < 0)
		return r;
	*ret = TAKE(s);
	return 0;
}
