/* identity/lineage.h - which of this host's own certificates followed which, so that a policy's thumbprint can follow
 * renewals. Windows notes the successor in the old certificate's properties; here every own certificate that was ever
 * loaded is remembered by its thumbprints and its name, and a later one of the same name follows it. Public data, kept
 * as text between runs. */
#ifndef IDENTITY_LINEAGE_H
#define IDENTITY_LINEAGE_H
#include "base/scope.h"
#include <openssl/x509.h>
#include <stdbool.h>

struct lineage;
struct str;

struct lineage *lineage_new(void);
void lineage_free(struct lineage *l);
SCOPE_FREEP(struct lineage, lineage)

/* Remember one; true: it was not known. The oldest are forgotten beyond LINEAGE_MOST. */
enum { LINEAGE_MOST = 256 };
bool lineage_note(struct lineage *l, const X509 *certificate);
/* Has the certificate the name of one with that thumbprint (hexadecimal, lower case)? */
bool lineage_follows(const struct lineage *l, const char *thumbprint, const X509 *certificate);

/* One line each; lines that are not understood are passed over. */
void lineage_read(struct lineage *l, const char *text);
void lineage_write(const struct lineage *l, struct str *out);

#endif
