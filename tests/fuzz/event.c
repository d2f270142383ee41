/* What is taken for an event is one: made again, it is the same octets. */
#include "tests/fuzz/fuzz.h"

#include "observe/event_wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	struct wire_in in = wire_in(octets, len);
	uint8_t buf[EVENT_WIRE_MOST];
	struct wire_out out = wire_out(buf, sizeof buf);
	struct event e;

	if (event_decode(&in, &e, NULL) < 0)
		return 0;
	event_encode(&out, &e);
	if (out.failed || out.len != len || memcmp(buf, octets, len) != 0)
		abort();
	return 0;
}
