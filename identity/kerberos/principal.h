/* identity/kerberos/principal.h - names of Kerberos principals as text: "host/dc1.corp.example@CORP.EXAMPLE" (RFC
 * 1964 2.1.1: a backslash takes a meaning from '/', '@' and itself). Pure. */
#ifndef IDENTITY_KERBEROS_PRINCIPAL_H
#define IDENTITY_KERBEROS_PRINCIPAL_H
#include <stdbool.h>

/* Behind the last '@' that is one; "": it has none. Points into the text. */
const char *principal_realm(const char *principal);
/* Realms differ by case in Kerberos; Active Directory's do not, and there is no other one beside them that would. */
bool principal_realm_equal(const char *a, const char *b);
/* Is it a service on a host: "host/..."? */
bool principal_is_host(const char *principal);
/* A machine's account as Active Directory has it: "DC1$@...". */
bool principal_is_machine(const char *principal);
/* Does one of these two forms name the machine of that short name? An account has 15 letters of it at the most. */
bool principal_is_of(const char *principal, const char *machine);

#endif
