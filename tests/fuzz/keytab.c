/* Keytabs, of which the root of some machine was tricked into using one: whatever is in the file, nothing reads past
 * its end, and what is taken tells of itself and comes back as it was. */
#include "tests/fuzz/fuzz.h"

#include "base/crypto.h"
#include "identity/kerberos/keytab.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	SCOPED(keytab_freep) struct keytab *k = NULL;
	SCOPED(keytab_freep) struct keytab *copy = NULL;
	static struct keytab_told told;

	if (keytab_parse(&(struct octets){ octets, len }, "/k", &k, NULL) < 0)
		return 0;
	keytab_tell(k, &told);
	copy = keytab_copy(k);
	if (k->count == 0 || k->count > KEYTAB_ENTRIES_MOST || !keytab_equal(k, copy) ||
	    (told.count && (!keytab_told_own(&told) || !keytab_told_client(&told))))
		abort();
	return 0;
}
