/* A captured frame is what a stranger sent. */
#include "tests/fuzz/fuzz.h"

#include "tools/lab/packet.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	struct packet p;

	packet_read(octets, len, &p);
	if (p.payload && (p.payload < octets || p.payload_len > (size_t)(octets + len - p.payload)))
		abort();
	return 0;
}
