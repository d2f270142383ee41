#include "daemon/sources/ldap_message.h"

#include "base/diag.h"

#include <string.h>
#include <strings.h>

/* BER (X.690) as LDAP restricts it: definite lengths, tags of one octet. */
enum {
	BOOLEAN = 0x01,
	INTEGER = 0x02,
	OCTETS = 0x04,
	ENUMERATED = 0x0a,
	SEQUENCE = 0x30,
	SET = 0x31,
	BIND_REQUEST = 0x60,
	BIND_RESPONSE = 0x61,
	UNBIND_REQUEST = 0x42,
	SEARCH_REQUEST = 0x63,
	SEARCH_ENTRY = 0x64,
	SEARCH_DONE = 0x65,
	SEARCH_REFERENCE = 0x73,
	EXTENDED_RESPONSE = 0x78,
	SASL = 0xa3,
	RESULT_REFERRAL = 0xa3,
	SERVER_TOKEN = 0x87,
	AND = 0xa0,
	OR = 0xa1,
	EQUAL = 0xa3,
	PRESENT = 0x87,
	CONTROLS = 0xa0,
	NOTICE_NAME = 0x8a,
	NOTICE_VALUE = 0x8b,
	VERSION = 3,
	LONG = 0x80,
	LENGTH_OCTETS_MOST = 4,
};

/* ---- making ------------------------------------------------------------------------------------------------------ */

/* A length of two octets always, which BER allows; it is filled in when what it counts is there. */
static size_t begin(struct wire_out *out, uint8_t tag)
{
	wire_put_u8(out, tag);
	wire_put_u8(out, LONG | 2);
	wire_put_u16(out, 0);
	return out->len;
}

static void end(struct wire_out *out, size_t from)
{
	if (!out->failed)
		wire_patch_u16(out, from - 2, (uint16_t)(out->len - from));
}

static void put_octets(struct wire_out *out, uint8_t tag, struct octets o)
{
	size_t at = begin(out, tag);

	wire_put(out, o.at, o.len);
	end(out, at);
}

static void put_text(struct wire_out *out, uint8_t tag, const char *text)
{
	put_octets(out, tag, (struct octets){ text, strlen(text) });
}

static void put_number(struct wire_out *out, uint8_t tag, uint32_t v)
{
	wire_put_u8(out, tag);
	wire_put_u8(out, 5);
	wire_put_u8(out, 0); /* so that it is none below zero */
	wire_put_u32(out, v);
}

static void put_small(struct wire_out *out, uint8_t tag, uint8_t v)
{
	wire_put_u8(out, tag);
	wire_put_u8(out, 1);
	wire_put_u8(out, v);
}

void ldap_put_bind(struct wire_out *out, uint32_t id, const char *mechanism, struct octets token)
{
	size_t message = begin(out, SEQUENCE), bind, sasl;

	put_number(out, INTEGER, id);
	bind = begin(out, BIND_REQUEST);
	put_small(out, INTEGER, VERSION);
	put_text(out, OCTETS, "");
	sasl = begin(out, SASL);
	put_text(out, OCTETS, mechanism);
	if (token.at)
		put_octets(out, OCTETS, token);
	end(out, sasl);
	end(out, bind);
	end(out, message);
}

void ldap_put_unbind(struct wire_out *out, uint32_t id)
{
	size_t message = begin(out, SEQUENCE);

	put_number(out, INTEGER, id);
	wire_put_u8(out, UNBIND_REQUEST);
	wire_put_u8(out, 0);
	end(out, message);
}

static void put_equal(struct wire_out *out, const char *attribute, const char *value)
{
	size_t at = begin(out, EQUAL);

	put_text(out, OCTETS, attribute);
	put_text(out, OCTETS, value);
	end(out, at);
}

static void put_filter(struct wire_out *out, const struct ldap_search *s)
{
	size_t and, or ;

	if (!s->first.attribute) {
		put_text(out, PRESENT, "objectClass");
		return;
	}
	if (!s->value_count) {
		put_equal(out, s->first.attribute, s->first.value);
		return;
	}
	and = begin(out, AND);
	put_equal(out, s->first.attribute, s->first.value);
	or = begin(out, OR);
	for (size_t i = 0; i < s->value_count; i++)
		put_equal(out, s->attribute, s->values[i]);
	end(out, or);
	end(out, and);
}

void ldap_put_search(struct wire_out *out, uint32_t id, const struct ldap_search *s)
{
	enum { NEVER = 0, SECONDS = 10 };
	size_t message = begin(out, SEQUENCE), search, wanted;

	put_number(out, INTEGER, id);
	search = begin(out, SEARCH_REQUEST);
	put_text(out, OCTETS, s->base);
	put_small(out, ENUMERATED, (uint8_t)s->scope);
	put_small(out, ENUMERATED, NEVER); /* aliases are followed */
	put_number(out, INTEGER, s->most);
	put_number(out, INTEGER, SECONDS);
	put_small(out, BOOLEAN, 0); /* types and values */
	put_filter(out, s);
	wanted = begin(out, SEQUENCE);
	for (size_t i = 0; i < s->wanted_count; i++)
		put_text(out, OCTETS, s->wanted[i]);
	end(out, wanted);
	end(out, search);
	end(out, message);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* SIZE_MAX: it is none that LDAP has. */
static size_t length(struct wire_in *in)
{
	uint8_t first = wire_u8(in), n = first & (LONG - 1);
	size_t len = 0;

	if (!(first & LONG))
		return first;
	if (n == 0 || n > LENGTH_OCTETS_MOST)
		return SIZE_MAX;
	for (uint8_t i = 0; i < n; i++)
		len = len << 8 | wire_u8(in);
	return len;
}

/* The next element, of whatever tag. */
static struct wire_in next(struct wire_in *in, uint8_t *ret_tag)
{
	*ret_tag = wire_u8(in);
	return wire_sub(in, length(in));
}

/* One of this tag, or a failed cursor. */
static struct wire_in expect(struct wire_in *in, uint8_t tag)
{
	uint8_t is;
	struct wire_in body = next(in, &is);

	if (is != tag)
		in->failed = body.failed = true;
	return body;
}

static bool comes(const struct wire_in *in, uint8_t tag)
{
	return !in->failed && in->left && *in->at == tag;
}

/* None below zero, none over 32 bits. */
static uint32_t number(struct wire_in *in, uint8_t tag)
{
	struct wire_in body = expect(in, tag);
	uint64_t v = 0;

	if (body.failed || body.left == 0 || body.left > 5 || *body.at & LONG) {
		in->failed = true;
		return 0;
	}
	while (body.left)
		v = v << 8 | wire_u8(&body);
	if (v > UINT32_MAX)
		in->failed = true;
	return (uint32_t)v;
}

static struct octets octets(struct wire_in *in, uint8_t tag)
{
	struct wire_in body = expect(in, tag);

	return (struct octets){ body.at, body.left };
}

int ldap_message_length(const void *octets, size_t n, size_t *ret, struct diag *d)
{
	enum { HEAD_MOST = 2 + LENGTH_OCTETS_MOST };
	struct wire_in in = wire_in(octets, n);
	uint8_t tag = wire_u8(&in);
	size_t len = length(&in);

	*ret = 0;
	if (n && tag != SEQUENCE)
		return diag_fail(d, ERR_SYNTAX, "what came is not LDAP");
	if (in.failed) /* nor its length */
		return n < HEAD_MOST ? 0 : diag_fail(d, ERR_SYNTAX, "what came is not LDAP");
	if (len > LDAP_MESSAGE_MOST)
		return diag_fail(d, ERR_SYNTAX, "a message of over %d octets came", LDAP_MESSAGE_MOST);
	if (len <= in.left)
		*ret = n - in.left + len;
	return 0;
}

static void copy_text(struct octets from, char to[LDAP_RESULT_TEXT])
{
	const char *at = from.at;
	size_t n = from.len < LDAP_RESULT_TEXT - 1 ? from.len : LDAP_RESULT_TEXT - 1;

	for (size_t i = 0; i < n; i++)
		to[i] = at[i] >= ' ' && at[i] < 0x7f ? at[i] : ' ';
	while (n && to[n - 1] == ' ')
		n--;
	to[n] = '\0';
}

/* LDAPResult (RFC 4511 4.1.9): code, the name that was matched, words, referrals. */
static void result(struct wire_in *op, struct ldap_answer *a)
{
	a->code = number(op, ENUMERATED);
	(void)octets(op, OCTETS);
	copy_text(octets(op, OCTETS), a->text);
	if (comes(op, RESULT_REFERRAL))
		(void)expect(op, RESULT_REFERRAL);
}

/* Each attribute is walked once here, so that whoever reads them need not ask. */
static void entry(struct wire_in *op, struct ldap_answer *a)
{
	struct wire_in all;

	a->name = octets(op, OCTETS);
	a->attributes = all = expect(op, SEQUENCE);
	while (!op->failed && all.left) {
		struct wire_in one = expect(&all, SEQUENCE), values;

		(void)octets(&one, OCTETS);
		values = expect(&one, SET);
		while (values.left)
			(void)octets(&values, OCTETS);
		if (values.failed || !wire_done(&one) || all.failed)
			op->failed = true;
	}
}

/* What it is by its tag. */
static void operation(struct wire_in *op, uint8_t tag, struct ldap_answer *a)
{
	switch (tag) {
	case BIND_RESPONSE:
		a->kind = LDAP_BOUND;
		result(op, a);
		if (comes(op, SERVER_TOKEN))
			a->token = octets(op, SERVER_TOKEN);
		return;
	case SEARCH_ENTRY:
		a->kind = LDAP_ENTRY;
		entry(op, a);
		return;
	case SEARCH_DONE:
		a->kind = LDAP_DONE;
		result(op, a);
		return;
	case SEARCH_REFERENCE: /* followed nowhere */
		a->kind = LDAP_REFERENCE;
		(void)wire_octets(op, op->left);
		return;
	case EXTENDED_RESPONSE: /* nobody asked: it says that it hangs up */
		a->kind = LDAP_NOTICE;
		result(op, a);
		if (comes(op, NOTICE_NAME))
			(void)expect(op, NOTICE_NAME);
		if (comes(op, NOTICE_VALUE))
			(void)expect(op, NOTICE_VALUE);
		return;
	default:
		op->failed = true;
	}
}

int ldap_answer_decode(const void *octets, size_t n, struct ldap_answer *ret, struct diag *d)
{
	struct wire_in all = wire_in(octets, n), message = expect(&all, SEQUENCE), op;
	struct ldap_answer a = { .id = number(&message, INTEGER) };
	uint8_t tag;

	op = next(&message, &tag);
	operation(&op, tag, &a);
	if (comes(&message, CONTROLS))
		(void)expect(&message, CONTROLS);
	if (!wire_done(&op) || !wire_done(&message) || !wire_done(&all))
		return diag_fail(d, ERR_SYNTAX, "an answer that came is not well-formed LDAP");
	*ret = a;
	return 0;
}

bool ldap_next_attribute(struct wire_in *attributes, struct octets *ret_type, struct wire_in *ret_values)
{
	struct wire_in one;

	if (attributes->failed || attributes->left == 0)
		return false;
	one = expect(attributes, SEQUENCE);
	*ret_type = octets(&one, OCTETS);
	*ret_values = expect(&one, SET);
	return !ret_values->failed;
}

bool ldap_next_value(struct wire_in *values, struct octets *ret)
{
	if (values->failed || values->left == 0)
		return false;
	*ret = octets(values, OCTETS);
	return !values->failed;
}

bool ldap_is(struct octets o, const char *text)
{
	return o.len == strlen(text) && strncasecmp(o.at, text, o.len) == 0;
}
