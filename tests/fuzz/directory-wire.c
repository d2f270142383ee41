/* Tasks for the directory, and what it said: the first octet chooses. */
#include "tests/fuzz/fuzz.h"

#include "daemon/messages/directory_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	struct wire_in in = wire_in(len ? octets + 1 : octets, len ? len - 1 : 0);
	struct directory_task t = { 0 };
	struct directory_replies r = { 0 };

	if (len && octets[0] & 1)
		(void)directory_task_get(&in, &t, NULL);
	else
		(void)directory_replies_get(&in, &r, NULL);
	directory_task_wipe(&t);
	directory_replies_wipe(&r);
	return 0;
}
