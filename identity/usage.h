/* identity/usage.h - extended key usages: what a certificate may be used for (RFC 5280 4.2.1.12, 4945 5.1.3.12). */
#ifndef IDENTITY_USAGE_H
#define IDENTITY_USAGE_H
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>

#define USAGE_IKE_INTERMEDIATE "1.3.6.1.5.5.8.2.2"
#define USAGE_IPSEC_IKE "1.3.6.1.5.5.7.3.17"
#define USAGE_SERVER_AUTH "1.3.6.1.5.5.7.3.1"
#define USAGE_CLIENT_AUTH "1.3.6.1.5.5.7.3.2"
#define USAGE_ANY "2.5.29.37.0"

enum { USAGE_TEXT = 160 };

/* "ike-intermediate" for its number; the number itself if it has no name. */
const char *usage_name(const char *oid);
/* The number for a name, or the text itself if it is a number; NULL: neither. */
const char *usage_oid(const char *name);

/* "serverAuth, clientAuth"; "none" without the extension. */
const char *usage_list(const X509 *certificate, char to[USAGE_TEXT]);
/* Is it named? An end entity must name what a policy asks for; `any` does not count for it, because administrators
 * give the usage out to say which machines belong. */
bool usage_named(const X509 *certificate, const char *oid);
/* May an authority with this certificate issue for the usage? It may if it does not limit itself. */
bool usage_issuable(const X509 *authority, const char *oid);

#endif
