/* Any octets as an IKEv2 message: the first says which kind, the rest is header and payloads. What decodes as a message
 * of ours is looked through by all that look at messages. The last kinds are protected ones, whole or a fragment, under
 * a key that no input knows: their envelope is looked for, and opened in vain. */
#include "tests/fuzz/fuzz.h"

#include "base/diag.h"
#include "keying/ike.h"
#include "keying/proposal.h"
#include "keying/selector.h"

#include <stdlib.h>
#include <string.h>

enum { KINDS = MSG_KINDS + 2 };

static void envelope(const char *suite_name, const uint8_t *octets, size_t len)
{
	struct ike_suite suite;
	SCOPED(ike_crypt_wipe) struct ike_crypt crypt = { 0 };
	struct ike_envelope e;
	struct wire_in content;
	struct key encr = { 0 }, integ = { 0 };
	uint8_t *copy;

	if (ike_suite_parse(suite_name, strlen(suite_name), &suite, NULL) < 0)
		abort();
	encr.len = (size_t)suite.encr->key + suite.encr->salt;
	integ.len = suite.integ ? suite.integ->key : 0;
	if (ike_crypt_new(&suite, &encr, &integ, &crypt, NULL) < 0)
		abort();
	if (ike_envelope_find(octets, len, &e, NULL) < 0)
		return;
	if (e.at < IKE_HEADER || e.at >= len || e.number > e.total)
		abort();
	copy = malloc(len);
	if (!copy)
		abort();
	memcpy(copy, octets, len);
	(void)ike_envelope_open(&crypt, copy, len, &e, &content, NULL);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	static const struct ike_suite *suites[1];
	static struct ike_suite suite;
	static struct ike_msg m;
	struct proposal_ike_choice choice;
	struct sa_selector s = { .protocol = PROTOCOL_ANY, .local_port = PORT_ANY, .remote_port = PORT_ANY }, got;
	struct ike_header h;
	struct diag d = { 0 };
	char text[PROPOSALS_TEXT];

	if (len < 1)
		return 0;
	if (octets[0] % KINDS >= MSG_KINDS) {
		envelope(octets[0] % KINDS == MSG_KINDS ? "aes256gcm-sha256-x25519" : "aes256-sha384-ecp384",
			 octets + 1, len - 1);
		return 0;
	}
	struct wire_in in = wire_in(octets + 1, len - 1);
	if (ike_decode_header(&in, &h, &d) < 0)
		return 0;
	m = (struct ike_msg){ .h = h };
	if (ike_decode_payloads(&in, (enum ike_message_kind)(octets[0] % KINDS), h.next, &m, &d) < 0)
		return 0;
	if (!suites[0]) {
		static const char name[] = "aes256gcm-sha256-x25519";
		(void)ike_suite_parse(name, sizeof name - 1, &suite, NULL);
		suites[0] = &suite;
	}
	(void)proposal_text(&m.offer, text);
	(void)proposal_choose_ike(&m.offer, suites, 1, &choice);
	s.local = s.remote = addr_v4(10, 0, 0, 1);
	(void)selector_accept(&s, &m.ts_i, &m.ts_r, &got);
	(void)ike_find_error(&m);
	return 0;
}
