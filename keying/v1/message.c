/* keying/v1/message.c - the ISAKMP header, what each message may hold, and the one walker (RFC 2408 3.1, 3.2; RFC 2409
 * 5). */
#include "base/diag.h"
#include "base/scope.h"
#include "keying/v1/payload/payloads.h"
#include <string.h>

struct payload_rule {
	uint8_t type;
	uint8_t least, most;
	v1_decoder *decode;
};

enum { VENDORS_MOST = 64, PAYLOADS_MOST = 128, RULES_MOST = 12, ID_PAIR = 2 };

#define NOTIFIES \
	{ \
		V1_PL_NOTIFY, 0, IKE_NOTIFIES_MOST, v1_decode_notify \
	} /* RFC 2408 3.14 */
#define VENDORS \
	{ \
		V1_PL_VENDOR, 0, VENDORS_MOST, v1_decode_vendor \
	} /* 3.16 */

static const struct payload_rule main_sa[] = {
	{ V1_PL_SA, 1, 1, v1_decode_sa }, /* 3.4 */
	VENDORS,
	NOTIFIES,
};
static const struct payload_rule main_ke[] = {
	{ V1_PL_KE, 1, 1, v1_decode_ke },       /* 3.7 */
	{ V1_PL_NONCE, 1, 1, v1_decode_nonce }, /* 3.13 */
	{ V1_PL_GSS, 0, 1, v1_decode_token },
	{ V1_PL_NAT_D, 0, V1_NAT_D_MOST, v1_decode_nat_d }, /* RFC 3947 3.2 */
	{ V1_PL_NAT_D_DRAFT, 0, V1_NAT_D_MOST, v1_decode_nat_d },
	{ V1_PL_CERTREQ, 0, IKE_CERTREQS_MOST, v1_decode_certreq }, /* 3.10 */
	VENDORS,
	NOTIFIES,
};
static const struct payload_rule main_id[] = {
	{ V1_PL_ID, 1, 1, v1_decode_id },                     /* 3.8 */
	{ V1_PL_CERT, 0, KEYING_CHAIN_MOST, v1_decode_cert }, /* 3.9 */
	{ V1_PL_CERTREQ, 0, IKE_CERTREQS_MOST, v1_decode_certreq },
	{ V1_PL_HASH, 0, 1, v1_decode_hash }, /* 3.11 */
	{ V1_PL_SIG, 0, 1, v1_decode_sig },   /* 3.12 */
	{ V1_PL_GSS, 0, 1, v1_decode_token },
	VENDORS,
	NOTIFIES,
};
static const struct payload_rule main_token[] = {
	{ V1_PL_HASH, 0, 1, v1_decode_hash },
	{ V1_PL_GSS, 0, 1, v1_decode_token },
	VENDORS,
	NOTIFIES,
};
static const struct payload_rule quick_sa[] = {
	{ V1_PL_HASH, 1, 1, v1_decode_hash },
	{ V1_PL_SA, 1, 1, v1_decode_sa },
	{ V1_PL_NONCE, 1, 1, v1_decode_nonce },
	{ V1_PL_KE, 0, 1, v1_decode_ke },
	{ V1_PL_ID, 0, ID_PAIR, v1_decode_id },
	{ V1_PL_NAT_OA, 0, ID_PAIR, v1_decode_nat_oa }, /* RFC 3947 5.2 */
	{ V1_PL_NAT_OA_DRAFT, 0, ID_PAIR, v1_decode_nat_oa },
	VENDORS,
	NOTIFIES,
};
static const struct payload_rule quick_end[] = {
	{ V1_PL_HASH, 1, 1, v1_decode_hash },
	VENDORS,
	NOTIFIES,
};
/* A nonce: [MS-IKEE] 3.8, a delete that is answered. */
static const struct payload_rule informational[] = {
	{ V1_PL_HASH, 0, 1, v1_decode_hash },
	{ V1_PL_NONCE, 0, 1, v1_decode_nonce },
	{ V1_PL_DELETE, 0, IKE_DELETES_MOST, v1_decode_delete }, /* 3.15 */
	VENDORS,
	NOTIFIES,
};

static const struct payload_table {
	const struct payload_rule *rules;
	size_t count;
	bool hash_first;
} tables[V1_MSG_KINDS] = {
	[V1_MSG_MAIN_SA] = { main_sa, ARRAY_LEN(main_sa), false },
	[V1_MSG_MAIN_KE] = { main_ke, ARRAY_LEN(main_ke), false },
	[V1_MSG_MAIN_ID] = { main_id, ARRAY_LEN(main_id), false },
	[V1_MSG_MAIN_TOKEN] = { main_token, ARRAY_LEN(main_token), false },
	[V1_MSG_QUICK_SA] = { quick_sa, ARRAY_LEN(quick_sa), true },
	[V1_MSG_QUICK_END] = { quick_end, ARRAY_LEN(quick_end), true },
	[V1_MSG_INFORMATIONAL] = { informational, ARRAY_LEN(informational), true },
};

int v1_decode_header(struct wire_in *in, struct ike_header *ret, struct diag *d)
{
	return ike_decode_header_of(in, V1_VERSION, ret, d);
}

/* Decode one payload, of type *type, and leave the next one's type there (RFC 2408 3.2). What is reserved must be
 * zero: it mostly is not where a message was decrypted with a wrong key. */
static int decode_one(struct wire_in *in, const struct payload_table *table, uint8_t seen[RULES_MOST], uint8_t *type,
		      struct v1_msg *m, struct diag *d)
{
	uint8_t next = wire_u8(in), reserved = wire_u8(in);
	uint16_t len = wire_u16(in); /* counts these four octets too */
	struct wire_in body = wire_sub(in, len < 4 ? SIZE_MAX : len - 4u);
	uint8_t this = *type;

	if (body.failed)
		return diag_fail(d, ERR_SYNTAX, "payload %u: length %u does not fit", this, len);
	if (reserved)
		return diag_fail(d, ERR_SYNTAX, "payload %u: %u where zero has to be", this, reserved);
	*type = next;
	for (size_t i = 0; i < table->count; i++) {
		const struct payload_rule *rule = &table->rules[i];
		if (rule->type != this)
			continue;
		if (++seen[i] > rule->most)
			return diag_fail(d, ERR_SYNTAX, "payload %u: more than %u", this, rule->most);
		return rule->decode(&body, m, d);
	}
	return 0; /* of no meaning here */
}

static int check_all_there(const struct payload_table *table, const uint8_t seen[RULES_MOST], struct diag *d)
{
	for (size_t i = 0; i < table->count; i++)
		if (seen[i] < table->rules[i].least)
			return diag_fail(d, ERR_SYNTAX, "payload %u is missing", table->rules[i].type);
	return 0;
}

int v1_decode_payloads(struct wire_in *in, enum v1_message_kind kind, struct v1_msg *m, struct diag *d)
{
	const struct payload_table *table = &tables[kind];
	uint8_t seen[RULES_MOST] = { 0 }, type = m->h.next;
	bool encrypted = m->h.flags & V1_FLAG_ENCRYPTED;
	int r;

	if (table->hash_first && encrypted && type != V1_PL_HASH)
		return diag_fail(d, ERR_SYNTAX, "payload %u in front of HASH", type);
	for (size_t n = 0; type != V1_PL_NONE; n++) {
		bool first = n == 0;
		if (n == PAYLOADS_MOST)
			return diag_fail(d, ERR_SYNTAX, "more than %d payloads", PAYLOADS_MOST);
		if (table->hash_first && !first && type == V1_PL_HASH)
			return diag_fail(d, ERR_SYNTAX, "HASH is not the first payload");
		if ((r = decode_one(in, table, seen, &type, m, d)) < 0)
			return r;
		if (first)
			m->after_hash.at = in->at;
	}
	if (in->left > (encrypted ? V1_PADDING_MOST : V1_ALIGNMENT_MOST))
		return diag_fail(d, ERR_SYNTAX, "%zu octets behind the last payload", in->left);
	if (m->after_hash.at)
		m->after_hash.len = (size_t)(in->at - m->after_hash.at);
	return check_all_there(table, seen, d);
}

void v1_write_begin(struct ike_writer *w, void *buf, size_t cap, const struct ike_header *h)
{
	struct ike_header v1 = *h;

	v1.version = V1_VERSION;
	ike_write_begin(w, buf, cap, &v1);
}

size_t v1_payload_begin(struct ike_writer *w, enum v1_payload type)
{
	return ike_payload_begin(w, (enum ike_payload)type);
}
