/* What a KDC or a peer sends, as far as it is read for words, and the messages that carry it: anything may come. */
#include "tests/fuzz/fuzz.h"

#include "daemon/messages/kdc_wire.h"
#include "identity/kerberos/token.h"

#include <stdlib.h>
#include <string.h>

static uint8_t again[1 << 17];

static void as_message(const uint8_t *octets, size_t len)
{
	static struct kdc_realms realms;
	struct wire_in in = wire_in(octets, len);
	struct wire_out out = wire_out(again, sizeof again);
	struct kdc_ask ask;

	if (kdc_get_realms(&in, &realms) == 0) {
		kdc_put_realms(&out, &realms);
		if (out.failed || out.len != len || memcmp(again, octets, len) != 0)
			abort();
	}
	in = wire_in(octets, len);
	out = wire_out(again, sizeof again);
	if (kdc_get_ask(&in, &ask) == 0) {
		kdc_put_ask(&out, &ask);
		if (out.failed || out.len != len || memcmp(again, octets, len) != 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	struct kerberos_wanted wanted;
	struct kerberos_said said;
	const uint8_t *at;
	size_t n;

	if (kerberos_token_wants(octets, len, &wanted) && !memchr(wanted.service, '\0', sizeof wanted.service))
		abort();
	at = kerberos_token_request(octets, len, &n);
	if (at && (at < octets || n > len))
		abort();
	(void)kerberos_token_error(octets, len, &said);
	(void)kerberos_is_answer(octets, len);
	as_message(octets, len);
	return 0;
}
