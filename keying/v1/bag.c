/* keying/v1/bag.c - certificates in one PKCS#7 bag, as Windows sends a chain: SignedData without signers (RFC
 * 2315 9.1). Only what is needed of DER: definite lengths, and the way to the certificates. */
#include "base/diag.h"
#include "keying/v1/payload/payloads.h"
#include <string.h>

enum { INTEGER = 0x02, OID = 0x06, SEQUENCE = 0x30, SET = 0x31, CONTEXT_0 = 0xa0 };

static const uint8_t signed_data[] = { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02 };
static const uint8_t plain_data[] = { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01 };

/* One element: its tag, its content, and the whole of it. */
struct element {
	uint8_t tag;
	struct wire_in content;
	struct keying_octets whole;
};

static struct element next(struct wire_in *in)
{
	const uint8_t *start = in->at;
	struct element e = { .tag = wire_u8(in) };
	size_t len = wire_u8(in);

	if (len & 0x80) {
		size_t octets = len & 0x7f;
		len = 0;
		if (octets == 0 || octets > 3)
			len = SIZE_MAX; /* without an end, or longer than a message */
		for (size_t i = 0; octets <= 3 && i < octets; i++)
			len = len << 8 | wire_u8(in);
	}
	e.content = wire_sub(in, len);
	e.whole = (struct keying_octets){ start, in->failed ? 0 : (size_t)(in->at - start) };
	return e;
}

static struct wire_in descend(struct wire_in *in, uint8_t tag)
{
	struct element e = next(in);

	if (e.tag != tag)
		e.content = (struct wire_in){ .failed = true };
	return e.content;
}

int v1_bag_open(struct keying_octets bag, struct keying_octets *ret, size_t cap, struct diag *d)
{
	struct wire_in in = wire_in(bag.at, bag.len);
	struct wire_in info = descend(&in, SEQUENCE), kind = descend(&info, OID);
	size_t n = 0;

	if (kind.failed || kind.left != sizeof signed_data || memcmp(kind.at, signed_data, sizeof signed_data) != 0)
		return diag_fail(d, ERR_SYNTAX, "CERT payload: not PKCS#7 SignedData");
	struct wire_in explicit = descend(&info, CONTEXT_0), data = descend(&explicit, SEQUENCE);
	(void)descend(&data, INTEGER);
	(void)descend(&data, SET);
	(void)descend(&data, SEQUENCE);
	struct wire_in certs = descend(&data, CONTEXT_0);
	while (!certs.failed && certs.left) {
		struct element e = next(&certs);
		if (!certs.failed && e.tag == SEQUENCE && n < cap)
			ret[n++] = e.whole;
	}
	if (certs.failed)
		return diag_fail(d, ERR_SYNTAX, "CERT payload: a PKCS#7 bag without certificates, or not DER");
	return (int)n;
}

/* The octets that a length takes behind its tag. */
static size_t length_octets(size_t len)
{
	return len < 0x80 ? 1 : len < 0x100 ? 2 : len < 0x10000 ? 3 : 4;
}

static size_t element_octets(size_t content)
{
	return 1 + length_octets(content) + content;
}

static void put_head(struct wire_out *out, uint8_t tag, size_t content)
{
	size_t n = length_octets(content);

	wire_put_u8(out, tag);
	if (n > 1)
		wire_put_u8(out, (uint8_t)(0x80u | (n - 1)));
	for (size_t i = n > 1 ? n - 1 : 1; i > 0; i--)
		wire_put_u8(out, (uint8_t)(content >> 8 * (i - 1)));
}

void v1_put_cert_bag(struct ike_writer *w, const struct keying_octets *chain, size_t n)
{
	enum { VERSION = 3, EMPTY = 2 };
	size_t at = v1_payload_begin(w, V1_PL_CERT), certs = 0;
	struct wire_out *out = &w->out;

	for (size_t i = 0; i < n; i++)
		certs += chain[i].len;
	size_t content = element_octets(sizeof plain_data);
	size_t data = VERSION + EMPTY + element_octets(content) + element_octets(certs) + EMPTY;
	size_t info = element_octets(sizeof signed_data) + element_octets(element_octets(data));

	wire_put_u8(out, V1_CERT_PKCS7);
	put_head(out, SEQUENCE, info);
	put_head(out, OID, sizeof signed_data);
	wire_put(out, signed_data, sizeof signed_data);
	put_head(out, CONTEXT_0, element_octets(data));
	put_head(out, SEQUENCE, data);
	put_head(out, INTEGER, 1);
	wire_put_u8(out, 1);
	put_head(out, SET, 0);
	put_head(out, SEQUENCE, content);
	put_head(out, OID, sizeof plain_data);
	wire_put(out, plain_data, sizeof plain_data);
	put_head(out, CONTEXT_0, certs);
	for (size_t i = 0; i < n; i++)
		wire_put(out, chain[i].at, chain[i].len);
	put_head(out, SET, 0);
	ike_payload_end(w, at);
}
