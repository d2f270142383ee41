/* What is kept of the directory's names, on disk and between our own processes. */
#include "tests/fuzz/fuzz.h"

#include "identity/directory.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	struct wire_in in = wire_in(octets, len);
	SCOPED(directory_names_freep) struct directory_names *n = directory_names_get(&in);

	for (size_t i = 0; n && i < directory_names_count(n); i++)
		if (directory_names_find(n, directory_names_at(n, i)->text) != directory_names_at(n, i))
			abort();
	return 0;
}
