/* identity/issue.h - certificates made in memory: what pki.c writes to files, and tests use to make bad ones. */
#ifndef IDENTITY_ISSUE_H
#define IDENTITY_ISSUE_H
#include "identity/handle.h"
#include "identity/pki.h"

/* issuer NULL: self-signed. */
struct issue {
	const X509_NAME *subject;
	X509 *issuer;
	EVP_PKEY *issuer_key, *key;
	bool authority;
	int path_length; /* authority: of the authorities below; -1: not said */
	const char *const *dns;
	size_t dns_count;
	const struct addr *addresses;
	size_t address_count;
	const char *const *ekus; /* dotted; none: no such extension */
	size_t eku_count;
	int64_t not_before_s, not_after_s; /* Unix time */
	const char *digest;                /* NULL: what goes with the issuer's key */
};
int issue_key(enum pki_key type, EVP_PKEY **ret, struct diag *d);
int issue_certificate(const struct issue *what, X509 **ret, struct diag *d);

#endif
