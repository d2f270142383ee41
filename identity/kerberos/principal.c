#include "identity/kerberos/principal.h"

#include "base/diag.h"
#include "identity/credential.h"

#include <string.h>
#include <strings.h>

/* Where the name ends: at the '@' that no backslash stands before, or at the end. */
static const char *at_sign(const char *p)
{
	for (; *p && *p != '@'; p++)
		if (*p == '\\' && p[1])
			p++;
	return p;
}

const char *principal_realm(const char *principal)
{
	const char *at = at_sign(principal);

	return *at ? at + 1 : at;
}

bool principal_realm_equal(const char *a, const char *b)
{
	return strcasecmp(a, b) == 0;
}

bool principal_is_host(const char *principal)
{
	return strncasecmp(principal, "host/", 5) == 0 && at_sign(principal) > principal + 5;
}

bool principal_is_machine(const char *principal)
{
	const char *at = at_sign(principal);

	return at > principal + 1 && at[-1] == '$' && !memchr(principal, '/', (size_t)(at - principal));
}

bool principal_is_of(const char *principal, const char *machine)
{
	enum { NETBIOS_NAME = 15 };
	size_t len = strcspn(machine, "."), short_len = len < NETBIOS_NAME ? len : NETBIOS_NAME;

	if (principal_is_host(principal))
		return len && strncasecmp(principal + 5, machine, len) == 0 && strchr(".@", principal[5 + len]);
	return len && principal_is_machine(principal) && strncasecmp(principal, machine, short_len) == 0 &&
	       principal[short_len] == '$';
}

int credential_kerberos_verdict(const struct auth_set *set, const struct peer *peer, struct diag *d)
{
	const char *realm = principal_realm(peer->id), *wanted = NULL;

	for (size_t i = 0; i < set->count; i++) {
		if (set->methods[i].kind != AUTH_KERBEROS)
			continue;
		wanted = set->methods[i].realm ? set->methods[i].realm : "";
		if (!*wanted || principal_realm_equal(wanted, realm))
			return 0;
	}
	if (!wanted)
		return diag_fail(d, ERR_AUTH,
				 "the peer proves itself by Kerberos, and '%.100s' asks for something else", set->name);
	return diag_fail(d, ERR_POLICY, "%.200s is of the realm %.100s, and '%.60s' asks for %.100s", peer->id, realm,
			 set->name, wanted);
}
