/* Messages to and from the key holder, the first octet says of which kind: what is understood is written again to the
 * same octets, and nothing reads past its end. */
#include "tests/fuzz/fuzz.h"

#include "daemon/keys/messages.h"

#include <stdlib.h>
#include <string.h>

static uint8_t again[1 << 16];

static int both(uint8_t kind, struct wire_in *in, struct wire_out *out)
{
	static union {
		struct keys_load load;
		struct keys_keep keep;
		struct keys_answer answer;
		struct keys_sign sign;
		struct keys_prove prove;
		struct keys_mix mix;
		struct keys_signed made;
		struct keys_refused refused;
		struct keying_mix mixed;
		struct keys_gss gss;
		struct keys_gss_use use;
		struct keys_stepped stepped;
		struct keys_gss_text text;
	} m;
	uint64_t job;
	int r;

#define BOTH(number, name, member) \
	case number: \
		if ((r = keys_get_##name(in, &m.member)) == 0) \
			keys_put_##name(out, &m.member); \
		return r;
	switch (kind) {
		BOTH(0, load, load)
		BOTH(1, keep, keep)
		BOTH(2, answer, answer)
		BOTH(3, sign, sign)
		BOTH(4, prove, prove)
		BOTH(5, mix, mix)
		BOTH(6, signed, made)
		BOTH(7, refused, refused)
	case 8:
		if ((r = keys_get_mixed(in, &job, &m.mixed)) == 0)
			keys_put_mixed(out, job, &m.mixed);
		return r;
		BOTH(9, gss, gss)
		BOTH(10, gss_use, use)
		BOTH(11, stepped, stepped)
		BOTH(12, gss_text, text)
	default:
		return -1;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	struct wire_out out = wire_out(again, sizeof again);
	struct wire_in in;

	if (len < 1 || len > sizeof again)
		return 0;
	in = wire_in(octets + 1, len - 1);
	if (both(octets[0], &in, &out) == 0 &&
	    (out.failed || out.len != len - 1 || memcmp(again, octets + 1, out.len) != 0))
		abort();
	return 0;
}
