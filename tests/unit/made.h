/* tests/unit/made.h - certificates and revocation lists made to measure, in memory. Everything that cannot be made
 * fails the test. */
#ifndef TESTS_UNIT_MADE_H
#define TESTS_UNIT_MADE_H
#include "identity/handle.h"
#include "identity/issue.h"

struct made {
	const char *subject; /* as policies write it; "": none */
	X509 *issuer;        /* NULL: self-signed */
	EVP_PKEY *issuer_key, *key;
	bool authority;
	const char *alternatives; /* in libcrypto's words: "DNS:a,email:b@c"; NULL: none */
	const char *points;       /* likewise: "URI:http://x/y.crl" */
	const char *ekus[4];      /* dotted */
	int from_days, to_days;   /* from now; both 0: yesterday to tomorrow */
};
X509 *made_certificate(const struct made *m);
EVP_PKEY *made_key(enum pki_key type);

struct made_list {
	X509 *issuer;
	EVP_PKEY *key;            /* that signs it */
	const X509 *revoked[4];   /* whom */
	int from_hours, to_hours; /* from now; to 0: in a day */
	const char *scope;        /* issuing distribution point, in libcrypto's words; NULL: none */
	bool delta;
	const char *digest; /* NULL: SHA256 */
};
/* DER, to be freed by OPENSSL_free. */
unsigned char *made_list(const struct made_list *m, size_t *ret_len);
#endif
