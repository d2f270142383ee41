#include "identity/kerberos/token.h"

#include "base/wire.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* DER tags (X.690), those that RFC 4120 uses. */
enum {
	INTEGER = 0x02,
	OCTET_STRING = 0x04,
	OBJECT_IDENTIFIER = 0x06,
	GENERALIZED_TIME = 0x18,
	GENERAL_STRING = 0x1b,
	SEQUENCE = 0x30,
	GSS_TOKEN = 0x60,
	TICKET = 0x61,
	AS_REP = 0x6b,
	TGS_REP = 0x6d,
	AP_REQ = 0x6e,
	KRB_ERROR = 0x7e,
	CONTEXT = 0xa0,
};
enum { TOKEN_AP_REQ = 0x0100, TOKEN_KRB_ERROR = 0x0300, TIME_LEN = 15, NAMES_MOST = 8 };

static const uint8_t krb5_mechanism[] = { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02 };

/* ---- DER --------------------------------------------------------------------------------------------------------- */

static size_t length(struct wire_in *in)
{
	uint8_t first = wire_u8(in);
	size_t n = 0;

	if (first < 0x80)
		return first;
	if (first == 0x80 || first > 0x84)
		return SIZE_MAX;
	for (unsigned i = first & 0x7fu; i; i--)
		n = n << 8 | wire_u8(in);
	return n;
}

/* What is in the next element, if that is its tag; else an empty reader that has failed, and *in is as it was. */
static struct wire_in inside(struct wire_in *in, uint8_t tag)
{
	struct wire_in at = *in, body;

	if (at.failed || !at.left || wire_u8(&at) != tag)
		return (struct wire_in){ .at = in->at, .failed = true };
	body = wire_sub(&at, length(&at));
	if (!body.failed)
		*in = at;
	return body;
}

/* Elements of a sequence up to [n], and what is in that one. */
static struct wire_in field(struct wire_in *in, unsigned n)
{
	struct wire_in at;

	while (in->left && !in->failed && *in->at < (CONTEXT | n)) {
		at = *in;
		(void)wire_u8(&at);
		if (wire_sub(&at, length(&at)).failed)
			break;
		*in = at;
	}
	return inside(in, (uint8_t)(CONTEXT | n));
}

static bool number(struct wire_in in, int64_t *ret)
{
	struct wire_in body = inside(&in, INTEGER);
	int64_t v = 0;

	if (body.failed || !body.left || body.left > 5)
		return false;
	if (*body.at & 0x80)
		v = -1;
	while (body.left)
		v = (int64_t)((uint64_t)v << 8 | wire_u8(&body));
	*ret = v;
	return true;
}

/* Only what can be read by people. */
static bool text(struct wire_in *in, char *to, size_t cap, size_t *len)
{
	struct wire_in body = inside(in, GENERAL_STRING);

	if (body.failed || body.left >= cap - *len)
		return false;
	while (body.left) {
		uint8_t c = wire_u8(&body);

		to[(*len)++] = c < ' ' || c >= 0x7f ? '?' : (char)c;
	}
	to[*len] = '\0';
	return true;
}

static bool add(char *to, size_t cap, size_t *len, char c)
{
	if (*len + 1 >= cap)
		return false;
	to[(*len)++] = c;
	to[*len] = '\0';
	return true;
}

/* ---- tickets ----------------------------------------------------------------------------------------------------- */

/* The body behind the mechanism and the token's id (RFC 4121 4.1). */
static struct wire_in of_mechanism(const uint8_t *token, size_t len, uint16_t *ret_id)
{
	struct wire_in all = wire_in(token, len), in = inside(&all, GSS_TOKEN),
		       mechanism = inside(&in, OBJECT_IDENTIFIER);

	*ret_id = 0;
	if (mechanism.failed || mechanism.left != sizeof krb5_mechanism ||
	    memcmp(mechanism.at, krb5_mechanism, sizeof krb5_mechanism) != 0)
		return (struct wire_in){ .at = token, .failed = true };
	*ret_id = wire_u16(&in);
	return in;
}

const uint8_t *kerberos_token_request(const uint8_t *token, size_t len, size_t *ret_len)
{
	uint16_t id;
	struct wire_in in = of_mechanism(token, len, &id);

	*ret_len = in.left;
	return in.failed || id != TOKEN_AP_REQ ? NULL : in.at;
}

static bool service_name(struct wire_in ticket, char ret[PEER_TEXT])
{
	char realm[PEER_TEXT] = "";
	struct wire_in in = field(&ticket, 1), names, name;
	size_t realm_len = 0, len = 0;

	ret[0] = '\0';
	if (!text(&in, realm, sizeof realm, &realm_len))
		return false;
	in = field(&ticket, 2);
	name = inside(&in, SEQUENCE);
	in = field(&name, 1);
	names = inside(&in, SEQUENCE);
	for (unsigned i = 0; names.left; i++)
		if (i == NAMES_MOST || (i && !add(ret, PEER_TEXT, &len, '/')) || !text(&names, ret, PEER_TEXT, &len))
			return false;
	if (names.failed || !len || len + 1 + realm_len >= PEER_TEXT)
		return false;
	ret[len] = '@';
	memcpy(ret + len + 1, realm, realm_len + 1);
	return true;
}

bool kerberos_token_wants(const uint8_t *token, size_t len, struct kerberos_wanted *ret)
{
	size_t n;
	const uint8_t *at = kerberos_token_request(token, len, &n);
	struct wire_in all = wire_in(at ? at : token, at ? n : 0), in = inside(&all, AP_REQ), body, ticket;
	int64_t kvno = 0, enctype = 0;

	body = inside(&in, SEQUENCE);
	in = field(&body, 3);
	in = inside(&in, TICKET);
	ticket = inside(&in, SEQUENCE);
	*ret = (struct kerberos_wanted){ 0 };
	if (ticket.failed || !service_name(ticket, ret->service))
		return false;
	in = field(&ticket, 3);
	body = inside(&in, SEQUENCE);
	if (!number(field(&body, 0), &enctype))
		return false;
	(void)number(field(&body, 1), &kvno);
	ret->enctype = (int32_t)enctype;
	ret->kvno = (uint32_t)kvno;
	return true;
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */

static int digits(const uint8_t *at, unsigned n)
{
	int v = 0;

	for (unsigned i = 0; i < n; i++) {
		if (at[i] < '0' || at[i] > '9')
			return -1;
		v = v * 10 + (at[i] - '0');
	}
	return v;
}

/* "20261122180000Z" */
static int64_t time_of(struct wire_in in)
{
	struct wire_in body = inside(&in, GENERALIZED_TIME);
	struct tm tm = { 0 };

	if (body.failed || body.left != TIME_LEN || body.at[14] != 'Z')
		return 0;
	tm.tm_year = digits(body.at, 4) - 1900;
	tm.tm_mon = digits(body.at + 4, 2) - 1;
	tm.tm_mday = digits(body.at + 6, 2);
	tm.tm_hour = digits(body.at + 8, 2);
	tm.tm_min = digits(body.at + 10, 2);
	tm.tm_sec = digits(body.at + 12, 2);
	if (tm.tm_year < 70 || tm.tm_mon < 0 || tm.tm_mday < 0 || tm.tm_hour < 0 || tm.tm_min < 0 || tm.tm_sec < 0)
		return 0;
	return (int64_t)timegm(&tm);
}

bool kerberos_token_error(const uint8_t *octets, size_t len, struct kerberos_said *ret)
{
	uint16_t id;
	struct wire_in in = of_mechanism(octets, len, &id), body;
	int64_t code;

	if (in.failed || id != TOKEN_KRB_ERROR)
		in = wire_in(octets, len);
	in = inside(&in, KRB_ERROR);
	body = inside(&in, SEQUENCE);
	*ret = (struct kerberos_said){ 0 };
	ret->its_time_s = time_of(field(&body, 4));
	if (body.failed || !number(field(&body, 6), &code))
		return false;
	ret->code = (int32_t)code;
	return true;
}

bool kerberos_is_answer(const uint8_t *octets, size_t len)
{
	struct wire_in in = wire_in(octets, len);
	uint8_t tag = len ? octets[0] : 0;

	return (tag == AS_REP || tag == TGS_REP || tag == KRB_ERROR) && !inside(&in, tag).failed && in.left == 0;
}
