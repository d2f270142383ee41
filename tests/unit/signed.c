/* What is remembered of a certificate's signature holds for these octets and that key, and for no others. */
#include "identity/signed.h"
#include "tests/unit/unit.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

static X509 *make(EVP_PKEY *key, long serial)
{
	X509 *c = X509_new();

	assert_non_null(c);
	assert_true(ASN1_INTEGER_set(X509_get_serialNumber(c), serial) && X509_set_pubkey(c, key) &&
		    X509_gmtime_adj(X509_getm_notBefore(c), 0) && X509_gmtime_adj(X509_getm_notAfter(c), 60) &&
		    X509_sign(c, key, EVP_sha256()) > 0);
	return c;
}

static void a_signature_is_remembered_for_one_certificate_and_one_key(void **state)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"),
		 *other = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	X509 *c = make(key, 1), *second = make(key, 2);
	uint8_t digest[SIGNED_DIGEST], by_other[SIGNED_DIGEST], of_second[SIGNED_DIGEST];

	(void)state;
	assert_true(signed_digest(c, key, digest) && signed_digest(c, other, by_other) &&
		    signed_digest(second, key, of_second));
	assert_false(signed_known(digest) || signed_known(by_other) || signed_known(of_second));
	signed_remember(digest);
	assert_true(signed_known(digest));
	assert_false(signed_known(by_other) || signed_known(of_second));
	for (size_t i = 0; i < SIGNED_DIGEST; i++) {
		digest[i] ^= 1;
		assert_false(signed_known(digest));
		digest[i] ^= 1;
	}
	X509_free(c);
	X509_free(second);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signature_is_remembered_for_one_certificate_and_one_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
