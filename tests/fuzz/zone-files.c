/* NetworkManager's files of devices and connections, which the parent reads as root: whatever is in them, nothing reads
 * past their end, and what is taken of them is a word that may be shown. */
#include "tests/fuzz/fuzz.h"

#include "daemon/host/zones.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	const struct keyfile_span file = { (const char *)octets, len };
	char uuid[ZONE_UUID_TEXT];
	struct zone_told told;

	if (zone_device_parse(file, uuid) && (!*uuid || strlen(uuid) >= len))
		abort();
	if (!zone_connection_parse(file, uuid, &told))
		return 0;
	if (!*uuid || strlen(uuid) >= len ||
	    (told.kind == ZONE_NAMED) != host_zone_name_fits(told.name, strlen(told.name)) ||
	    (told.kind != ZONE_NAMED && told.kind != ZONE_NONE && told.kind != ZONE_ODD))
		abort();
	return 0;
}
