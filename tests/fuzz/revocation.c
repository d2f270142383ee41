/* What a server of revocation lists answers: anybody on the way may have written it. It is refused, or is a list that
 * nobody whom we know has signed; then it says nothing of any certificate. */
#include "tests/fuzz/fuzz.h"

#include "identity/handle.h"
#include "identity/issue.h"
#include "identity/name.h"
#include "identity/revocation.h"

#include <stdlib.h>
#include <time.h>

static X509 *make(const char *subject, X509 *issuer, EVP_PKEY *issuer_key, EVP_PKEY *key)
{
	struct issue what = { .issuer = issuer,
			      .issuer_key = issuer_key,
			      .key = key,
			      .authority = !issuer,
			      .path_length = -1,
			      .not_before_s = time(NULL) - 100,
			      .not_after_s = time(NULL) + 100000 };
	X509_NAME *name = NULL;
	X509 *c = NULL;

	if (name_parse(subject, &name, NULL) < 0)
		abort();
	what.subject = name;
	if (issue_certificate(&what, &c, NULL) < 0)
		abort();
	X509_NAME_free(name);
	return c;
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	static STACK_OF(X509) * path;
	static struct revocation_verdict verdict;
	struct revocation_lists *l = revocation_lists_new();
	struct revocation_row row;
	uint64_t next_s;

	if (!path) {
		EVP_PKEY *key = NULL;

		if (issue_key(PKI_ECDSA_P256, &key, NULL) < 0 || !(path = sk_X509_new_null()))
			abort();
		X509 *root = make("CN=Root", NULL, key, key), *leaf = make("CN=srv1", root, key, key);

		if (sk_X509_push(path, leaf) <= 0 || sk_X509_push(path, root) <= 0)
			abort();
		EVP_PKEY_free(key);
	}
	if (revocation_lists_put(l, "http://x/y", octets, len, &next_s, NULL) == 0) {
		revocation_judge(&l, 1, path, (uint64_t)time(NULL), &verdict);
		if (verdict.state != REVOKED_UNKNOWN)
			abort();
		if (!revocation_lists_row(l, 0, &row))
			abort();
	}
	revocation_lists_free(l);
	return 0;
}
