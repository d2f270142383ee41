/* Any octets as an IKEv1 message: the first says which kind, the rest is header and payloads. What decodes is looked
 * through by all that look at messages, and what was chosen of it is written again. */
#include "tests/fuzz/fuzz.h"

#include "base/diag.h"
#include "keying/v1/keymat.h"
#include "keying/v1/proposal.h"

#include <stdlib.h>
#include <string.h>

static struct ike_suite suite;
static struct child_suite children[3];
static struct key_exchange_set key_exchange = { .name = "fuzz", .suites = &suite, .count = 1, .lifetime_s = 3600 };
static struct protection_set protection = { .name = "fuzz", .suites = children, .count = 3, .lifetime_s = 3600 };

static void prepare(void)
{
	static const char name[] = "aes256-sha256-ecp256";
	static const char *const child_names[] = { "esp-aes256-sha256", "ah-sha256", "esp-aes128gcm" };

	if (suite.encr)
		return;
	if (ike_suite_parse(name, sizeof name - 1, &suite, NULL) < 0)
		abort();
	for (size_t i = 0; i < 3; i++)
		if (child_suite_parse(child_names[i], strlen(child_names[i]), &children[i], NULL) < 0)
			abort();
}

/* An answer must fit where the offer did. */
static void answer(const struct v1_offer *o)
{
	static uint8_t buf[IKE_MESSAGE_MOST];
	struct ike_writer w;

	v1_write_begin(&w, buf, sizeof buf, &(struct ike_header){ .spi_i = 1, .exchange = V1_MAIN });
	v1_put_sa(&w, o);
	ike_write_end(&w);
	if (w.out.failed)
		abort();
}

static void look_through(const struct v1_msg *m)
{
	const struct v1_main_wish main_wish = { .set = &key_exchange,
						.methods = { V1_METHOD_RSA, V1_METHOD_GSS, V1_METHOD_PSK },
						.method_count = 3 };
	static struct v1_offer o;
	struct v1_main_choice main;
	struct v1_quick_choice quick;
	char text[PROPOSALS_TEXT], windows[V1_WINDOWS_TEXT];
	uint32_t code;

	(void)v1_offer_text(&m->offer, text);
	if (v1_choose_main(&m->offer, &main_wish, &main)) {
		v1_answer_main(&main, (struct keying_octets){ (const uint8_t *)"us", 2 }, &o);
		answer(&o);
	}
	for (unsigned i = 0; i < 6; i++) {
		const struct v1_quick_wish wish = { .set = &protection, .tunnel = i & 1, .nat = (enum v1_nat)(i / 2) };
		if (!v1_choose_quick(&m->offer, &wish, &quick))
			continue;
		v1_answer_quick(&quick, 0x1000, &o);
		answer(&o);
	}
	const struct v1_notification *n = v1_find_error(m);
	if (n && v1_windows_status(n, &code))
		(void)v1_windows_error(code, windows);
	(void)v1_nat_revision(1u << V1_VENDOR_NAT_T_RFC, m->vendors);
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	static struct v1_msg m;
	struct diag d = { 0 };

	if (len < 1)
		return 0;
	prepare();
	m = (struct v1_msg){ 0 };
	struct wire_in in = wire_in(octets + 1, len - 1);
	if (v1_decode_header(&in, &m.h, &d) < 0 ||
	    v1_decode_payloads(&in, (enum v1_message_kind)(octets[0] % V1_MSG_KINDS), &m, &d) < 0)
		return 0;
	look_through(&m);
	return 0;
}
