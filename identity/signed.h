/* identity/signed.h - certificates whose signature by a given key has been checked and is good. The same few
 * certificates come with every main mode, and P-384 makes of each check a third of a millisecond. What is remembered is
 * a fact that no clock, policy or reload changes: these octets are signed by that key. Times, usages, lists and
 * criteria are asked anew each time. Any thread may call. */
#ifndef IDENTITY_SIGNED_H
#define IDENTITY_SIGNED_H
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

enum { SIGNED_DIGEST = 32, SIGNED_MOST = 4096 };

/* What stands for the two, together; false: it cannot be made, and nothing is remembered. */
bool signed_digest(X509 *certificate, EVP_PKEY *issuer, uint8_t ret[SIGNED_DIGEST]);
bool signed_known(const uint8_t digest[SIGNED_DIGEST]);
/* Only after the signature was found good. A newer one may take the place of an older. */
void signed_remember(const uint8_t digest[SIGNED_DIGEST]);

#endif
