/* identity/name.h - names in certificates: distinguished names as people write them, alternative names, and whether an
 * IKE identification payload says the same. */
#ifndef IDENTITY_NAME_H
#define IDENTITY_NAME_H
#include "identity/peer.h"
#include "policy/policy.h"
#include <openssl/x509.h>
#include <stdbool.h>

struct diag;
struct octets;

/* "CN=dc1,O=Example", most specific part first, in UTF-8, cut at the buffer's end. Nothing that could move a terminal's
 * cursor. Empty names print as "(no subject)". */
const char *name_text(const X509_NAME *n, char to[PEER_TEXT]);

/* The name that a policy writes: "CN=x,O=y" in either order; case and runs of spaces do not count (RFC 5280 7.1). */
int name_parse(const char *text, X509_NAME **ret, struct diag *d);
/* As above; the first part of one may be the last of the other. */
bool name_same(const X509_NAME *a, const X509_NAME *b);

/* Subject alternative names as text, at most PEER_NAMES; returns how many. */
/* The alternative name by which a directory knows the certificate's account: the only DNS name, or without one the only
 * user principal name. False: it has none, or several of that kind. */
bool name_account(const X509 *certificate, char to[PEER_TEXT], bool *ret_upn);
size_t name_alternatives(const X509 *certificate, char to[PEER_NAMES][PEER_TEXT]);

/* Does one of the certificate's names of that kind (alternative names: DNS, UPN, e-mail; parts of the subject: CN, OU,
 * O, DC) say the same? Case does not count. */
bool name_criterion(const X509 *certificate, enum certificate_name type, const char *name);
const char *name_type_text(enum certificate_name type); /* "DNS name", "OU" */

/* Does the certificate speak for this identification payload (RFC 7296 3.5, 4945 3.1)? If not, the words say what it
 * speaks for. */
int name_is_identity(const X509 *certificate, uint8_t id_type, const struct octets *id, struct diag *d);
/* The payload for people: an address, a name, or hexadecimal. */
const char *name_identity_text(uint8_t id_type, const struct octets *id, char to[PEER_TEXT]);

enum { ID_IPV4 = 1, ID_FQDN = 2, ID_RFC822 = 3, ID_IPV6 = 5, ID_DER_DN = 9, ID_KEY_ID = 11 };

#endif
