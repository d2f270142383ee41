#include "tools/lab/question.h"

#include "base/scope.h"
#include "tools/lab/judge.h"
#include "tools/lab/packet.h"

#include <string.h>

/* What of a marker is put into a name: its last two octets are full stops, which a name cannot end in. Whatever stands
 * behind it takes their place. */
enum { NAME = JUDGE_MARKER - 2, DNS = 53, KERBEROS = 88 };

/* RFC 1035 4.1: one question, for the address of <marker>.lab. The answer repeats it. */
static const uint8_t dns_before[] = {
	0x4c, 0x41, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0, /* header: id, recursion desired, one question */
	NAME,
};
static const uint8_t dns_behind[] = { 3, 'l', 'a', 'b', 0, 0, 1, 0, 1 };

/* RFC 4120 5.4.1: AS-REQ for a client of the realm LAB whose name is the marker. The refusal repeats it. */
static const uint8_t as_before[] = {
	0x6a, 0x81, 0x8a, 0x30, 0x81, 0x87, 0xa1, 0x03, 0x02, 0x01, 0x05, 0xa2, 0x03, 0x02, 0x01, /* pvno 5 */
	0x0a, 0xa4, 0x7b, 0x30, 0x79, 0xa0, 0x07, 0x03, 0x05, 0x00, 0x00, 0x00, 0x00, 0x00, 0xa1, /* options 0 */
	0x2b, 0x30, 0x29, 0xa0, 0x03, 0x02, 0x01, 0x01, 0xa1, 0x22, 0x30, 0x20, 0x1b, NAME,       /* cname */
};
static const uint8_t as_behind[] = {
	0xa2, 0x05, 0x1b, 0x03, 'L',  'A',  'B',                                            /* realm */
	0xa3, 0x18, 0x30, 0x16, 0xa0, 0x03, 0x02, 0x01, 0x02, 0xa1, 0x0f, 0x30, 0x0d, 0x1b, /* sname */
	0x06, 'k',  'r',  'b',  't',  'g',  't',  0x1b, 0x03, 'L',  'A',  'B',              /* krbtgt/LAB */
	0xa5, 0x11, 0x18, 0x0f, '2',  '0',  '3',  '7',  '0',  '9',  '1',  '3',              /* till */
	'0',  '2',  '4',  '8',  '0',  '5',  'Z',  0xa7, 0x03, 0x02, 0x01, 0x07,             /* nonce */
	0xa8, 0x08, 0x30, 0x06, 0x02, 0x01, 0x12, 0x02, 0x01, 0x11,                         /* AES-256, AES-128 */
};

static const struct known {
	uint16_t port;
	const uint8_t *before, *behind;
	size_t before_len, behind_len, length; /* octets of the length that stands before it in TCP */
} known[] = {
	{ DNS, dns_before, dns_behind, sizeof dns_before, sizeof dns_behind, 2 },
	{ KERBEROS, as_before, as_behind, sizeof as_before, sizeof as_behind, 4 },
};

static const struct known *known_at(uint16_t port)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (known[i].port == port)
			return &known[i];
	return NULL;
}

bool question_can_ask(int16_t protocol, uint16_t port)
{
	return protocol == PACKET_TCP || (protocol == PACKET_UDP && known_at(port));
}

size_t question_write(int16_t protocol, uint16_t port, const char *marker, uint8_t out[QUESTION_MOST])
{
	const struct known *s = known_at(port);
	size_t n = 0, len;

	if (!s) {
		memcpy(out, marker, JUDGE_MARKER);
		return JUDGE_MARKER;
	}
	len = s->before_len + NAME + s->behind_len;
	if (protocol == PACKET_TCP)
		for (size_t i = 0; i < s->length; i++)
			out[n++] = (uint8_t)(i + 1 == s->length ? len : 0);
	memcpy(out + n, s->before, s->before_len);
	memcpy(out + n + s->before_len, marker, NAME);
	memcpy(out + n + s->before_len + NAME, s->behind, s->behind_len);
	return n + len;
}
