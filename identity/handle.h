/* identity/handle.h - libcrypto's objects freed by scope, for this folder. */
#ifndef IDENTITY_HANDLE_H
#define IDENTITY_HANDLE_H
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#define HANDLE(type, name, fn) \
	static inline void name##_freep(type **p) \
	{ \
		fn(*p); \
		*p = NULL; \
	}

static inline void x509_stack_free(STACK_OF(X509) * s)
{
	sk_X509_pop_free(s, X509_free);
}

HANDLE(BIO, bio, BIO_free_all)
HANDLE(BIGNUM, number, BN_clear_free)
HANDLE(ASN1_OBJECT, object, ASN1_OBJECT_free)
HANDLE(ECDSA_SIG, ecdsa, ECDSA_SIG_free)
HANDLE(EVP_PKEY, pkey, EVP_PKEY_free)
HANDLE(EVP_PKEY_CTX, pkey_ctx, EVP_PKEY_CTX_free)
HANDLE(EVP_MD_CTX, md_ctx, EVP_MD_CTX_free)
HANDLE(EXTENDED_KEY_USAGE, usages, EXTENDED_KEY_USAGE_free)
HANDLE(GENERAL_NAMES, general_names, GENERAL_NAMES_free)
HANDLE(X509, x509, X509_free)
HANDLE(X509_CRL, crl, X509_CRL_free)
HANDLE(X509_NAME, x509_name, X509_NAME_free)
HANDLE(X509_ALGOR, algor, X509_ALGOR_free)
HANDLE(X509_STORE, x509_store, X509_STORE_free)
HANDLE(X509_STORE_CTX, x509_ctx, X509_STORE_CTX_free)
HANDLE(STACK_OF(X509), x509_stack, x509_stack_free)
#endif
