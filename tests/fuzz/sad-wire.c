/* Messages to and from the data plane: what is taken says the same when it is written again. The first octet says
 * which. */
#include "tests/fuzz/fuzz.h"

#include "base/diag.h"
#include "daemon/messages/datagram_wire.h"
#include "daemon/messages/sad_wire.h"

#include <stdlib.h>
#include <string.h>

static void spec(struct wire_in *in)
{
	const uint8_t *octets = in->at;
	uint8_t again[SPEC_WIRE_MOST];
	struct wire_out out = wire_out(again, sizeof again);
	struct sa_spec s;

	if (spec_decode(in, NULL, &s) < 0)
		return;
	if (s.encr_key.len > KEY_MAX || s.integ_key.len > KEY_MAX || s.rule)
		abort();
	spec_encode(&out, &s);
	if (out.failed || memcmp(again, octets, 4) != 0)
		abort();
	spec_wipe(&s);
}

static void event(struct wire_in *in)
{
	const uint8_t *octets = in->at;
	size_t len = in->left;
	uint8_t again[SAD_EVENT_WIRE_MOST];
	struct wire_out out = wire_out(again, sizeof again);
	struct sad_event e;
	struct diag why;

	if (sad_event_decode(in, &e, &why) < 0)
		return;
	if (e.entry || (e.kind == SAD_FAILED) != (e.why != NULL))
		abort();
	sad_event_encode(&out, &e);
	if (out.failed || out.len != len || (e.kind != SAD_FAILED && memcmp(again, octets, len) != 0))
		abort();
}

static void selector(struct wire_in *in)
{
	const uint8_t *octets = in->at;
	uint8_t again[SELECTOR_WIRE_MOST];
	struct wire_out out = wire_out(again, sizeof again);
	struct sa_selector s = selector_decode(in);

	if (in->failed)
		return;
	selector_encode(&out, &s);
	if (out.failed || out.len != (size_t)(in->at - octets) || memcmp(again, octets, out.len) != 0)
		abort();
}

static void datagram(struct wire_in *in)
{
	const uint8_t *end = in->at + in->left;
	struct datagram g;

	if (datagram_decode(in, &g) == 0 && g.len && g.octets + g.len != end)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	static void (*const kinds[])(struct wire_in * in) = { spec, event, selector, datagram };
	struct wire_in in = wire_in(octets, len);
	uint8_t kind = wire_u8(&in);

	if (!in.failed)
		kinds[kind % (sizeof kinds / sizeof *kinds)](&in);
	return 0;
}
