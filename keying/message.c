/* keying/message.c - the IKE header, what each message may hold, and the one walker (RFC 7296 3.1, 3.2, appendix C). */
#include "base/diag.h"
#include "base/scope.h"
#include "keying/ike.h"

struct payload_rule {
	uint8_t type;
	uint8_t least, most;
	int (*decode)(struct wire_in *in, struct ike_msg *m, struct diag *d);
};

/* A message that refuses (an error, or a COOKIE) need not hold the least of anything: the exchange that gets it looks
 * for what it needs. */
#define NOTIFIES \
	{ \
		PL_NOTIFY, 0, IKE_NOTIFIES_MOST, ike_decode_notify \
	} /* 3.10 */

enum { RULES_MOST = 16, PL_CRITICAL = 0x80, PAYLOADS_MOST = 128 };

/* As many as a message may have payloads. */
#define VENDORS \
	{ \
		PL_VENDOR, 0, PAYLOADS_MOST, ike_decode_vendor \
	} /* 3.12 */

static const struct payload_rule init_request[] = {
	{ PL_SA, 1, 1, ike_decode_sa },       /* 3.3 */
	{ PL_KE, 1, 1, ike_decode_ke },       /* 3.4 */
	{ PL_NONCE, 1, 1, ike_decode_nonce }, /* 3.9 */
	VENDORS,
	NOTIFIES,
};
static const struct payload_rule init_reply[] = {
	{ PL_SA, 1, 1, ike_decode_sa },
	{ PL_KE, 1, 1, ike_decode_ke },
	{ PL_NONCE, 1, 1, ike_decode_nonce },
	{ PL_CERTREQ, 0, IKE_CERTREQS_MOST, ike_decode_certreq }, /* 3.7 */
	VENDORS,
	NOTIFIES,
};
/* IKE_AUTH without SA and selectors makes no CHILD SA (RFC 6023); without AUTH it asks for EAP (2.16), which is refused
 * when it has been read. */
static const struct payload_rule auth_request[] = {
	{ PL_IDI, 1, 1, ike_decode_id_i }, /* 3.5 */
	{ PL_IDR, 0, 1, ike_decode_id_r },
	{ PL_CERT, 0, KEYING_CHAIN_MOST, ike_decode_cert }, /* 3.6 */
	{ PL_CERTREQ, 0, IKE_CERTREQS_MOST, ike_decode_certreq },
	{ PL_AUTH, 0, 1, ike_decode_auth }, /* 3.8 */
	{ PL_CP, 0, 1, ike_decode_cp },     /* 3.15 */
	{ PL_EAP, 0, 1, ike_decode_eap },   /* 3.16 */
	{ PL_GSPM, 0, 1, ike_decode_gspm }, /* RFC 6467 3 */
	{ PL_SA, 0, 1, ike_decode_sa },
	{ PL_TSI, 0, 1, ike_decode_ts_i }, /* 3.13 */
	{ PL_TSR, 0, 1, ike_decode_ts_r },
	NOTIFIES,
};
static const struct payload_rule auth_reply[] = {
	{ PL_IDR, 1, 1, ike_decode_id_r },
	{ PL_CERT, 0, KEYING_CHAIN_MOST, ike_decode_cert },
	{ PL_AUTH, 1, 1, ike_decode_auth },
	{ PL_CP, 0, 1, ike_decode_cp },
	{ PL_EAP, 0, 1, ike_decode_eap },
	{ PL_SA, 0, 1, ike_decode_sa },
	{ PL_TSI, 0, 1, ike_decode_ts_i },
	{ PL_TSR, 0, 1, ike_decode_ts_r },
	NOTIFIES,
};
/* docs/protocols/kerberos-ikev2.md 2 */
static const struct payload_rule gspm_request[] = {
	{ PL_GSPM, 1, 1, ike_decode_gspm },
	{ PL_AUTH, 0, 1, ike_decode_auth },
	NOTIFIES,
};
static const struct payload_rule gspm_reply[] = {
	{ PL_IDR, 0, 1, ike_decode_id_r },
	{ PL_GSPM, 1, 1, ike_decode_gspm },
	NOTIFIES,
};
static const struct payload_rule gspm_end[] = {
	{ PL_AUTH, 1, 1, ike_decode_auth }, { PL_CP, 0, 1, ike_decode_cp },    { PL_SA, 0, 1, ike_decode_sa },
	{ PL_TSI, 0, 1, ike_decode_ts_i },  { PL_TSR, 0, 1, ike_decode_ts_r }, NOTIFIES,
};
static const struct payload_rule child_message[] = {
	{ PL_SA, 1, 1, ike_decode_sa },    { PL_NONCE, 1, 1, ike_decode_nonce },
	{ PL_KE, 0, 1, ike_decode_ke },    { PL_TSI, 0, 1, ike_decode_ts_i }, /* none when the IKE SA is rekeyed */
	{ PL_TSR, 0, 1, ike_decode_ts_r }, NOTIFIES,
};
static const struct payload_rule informational[] = {
	{ PL_DELETE, 0, IKE_DELETES_MOST, ike_decode_delete }, /* 3.11 */
	NOTIFIES,
};

static const struct payload_table {
	const struct payload_rule *rules;
	size_t count;
	bool may_refuse;
} tables[MSG_KINDS] = {
	[MSG_INIT_REQUEST] = { init_request, ARRAY_LEN(init_request), false },
	[MSG_INIT_REPLY] = { init_reply, ARRAY_LEN(init_reply), true },
	[MSG_AUTH_REQUEST] = { auth_request, ARRAY_LEN(auth_request), false },
	[MSG_AUTH_REPLY] = { auth_reply, ARRAY_LEN(auth_reply), true },
	[MSG_GSPM_REQUEST] = { gspm_request, ARRAY_LEN(gspm_request), false },
	[MSG_GSPM_REPLY] = { gspm_reply, ARRAY_LEN(gspm_reply), true },
	[MSG_GSPM_END] = { gspm_end, ARRAY_LEN(gspm_end), true },
	[MSG_CHILD_REQUEST] = { child_message, ARRAY_LEN(child_message), false },
	[MSG_CHILD_REPLY] = { child_message, ARRAY_LEN(child_message), true },
	[MSG_INFORMATIONAL] = { informational, ARRAY_LEN(informational), false },
};

int ike_decode_header_of(struct wire_in *in, uint8_t version, struct ike_header *ret, struct diag *d)
{
	size_t all = in->left;
	struct ike_header h = { .spi_i = wire_u64(in), .spi_r = wire_u64(in) };

	h.next = wire_u8(in);
	h.version = wire_u8(in);
	h.exchange = wire_u8(in);
	h.flags = wire_u8(in);
	h.id = wire_u32(in);
	h.length = wire_u32(in);
	if (in->failed)
		return diag_fail(d, ERR_SYNTAX, "shorter than an IKE header");
	*ret = h;
	if (h.version >> 4 != version >> 4)
		return diag_fail(d, ERR_UNSUPPORTED, "IKE version %u", h.version >> 4);
	if (h.length != all)
		return diag_fail(d, ERR_SYNTAX, "the header says %u octets, the datagram has %zu", h.length, all);
	if (!h.spi_i)
		return diag_fail(d, ERR_SYNTAX, "the initiator's SPI is zero");
	return 0;
}

int ike_decode_header(struct wire_in *in, struct ike_header *ret, struct diag *d)
{
	return ike_decode_header_of(in, IKE_VERSION, ret, d);
}

/* Decode one payload, of type *type, and leave the next one's type there (3.2). */
static int decode_one(struct wire_in *in, const struct payload_table *table, uint8_t seen[RULES_MOST], uint8_t *type,
		      struct ike_msg *m, struct diag *d)
{
	uint8_t next = wire_u8(in), flags = wire_u8(in);
	uint16_t len = wire_u16(in); /* counts these four octets too */
	struct wire_in body = wire_sub(in, len < 4 ? SIZE_MAX : len - 4u);
	uint8_t this = *type;

	if (body.failed)
		return diag_fail(d, ERR_SYNTAX, "payload %u: length %u does not fit", this, len);
	*type = next;
	for (size_t i = 0; i < table->count; i++) {
		const struct payload_rule *rule = &table->rules[i];
		if (rule->type != this)
			continue;
		if (++seen[i] > rule->most)
			return diag_fail(d, ERR_SYNTAX, "payload %u: more than %u", this, rule->most);
		return rule->decode(&body, m, d);
	}
	if ((flags & PL_CRITICAL) && (this < PL_SA || this > PL_EAP)) {
		m->critical = this;
		return diag_fail(d, ERR_CRITICAL, "payload %u: unknown and critical", this);
	}
	return 0; /* extensions that we do not have */
}

int ike_decode_payloads(struct wire_in *in, enum ike_message_kind kind, uint8_t first, struct ike_msg *m,
			struct diag *d)
{
	const struct payload_table *table = &tables[kind];
	uint8_t seen[RULES_MOST] = { 0 }, type = first;
	int r;

	for (size_t n = 0; type != PL_NONE; n++) {
		if (n == PAYLOADS_MOST)
			return diag_fail(d, ERR_SYNTAX, "more than %d payloads", PAYLOADS_MOST);
		if ((r = decode_one(in, table, seen, &type, m, d)) < 0)
			return r;
	}
	if (!wire_done(in))
		return diag_fail(d, ERR_SYNTAX, "%zu octets behind the last payload", in->left);
	if (table->may_refuse && ike_find_error(m))
		return 0;
	if (kind == MSG_INIT_REPLY && (ike_find_notify(m, N_COOKIE) || (!m->has_sa && ike_find_notify(m, N_REDIRECT))))
		return 0;
	for (size_t i = 0; i < table->count; i++)
		if (seen[i] < table->rules[i].least)
			return diag_fail(d, ERR_SYNTAX, "payload %u is missing", table->rules[i].type);
	return 0;
}

void ike_write_begin(struct ike_writer *w, void *buf, size_t cap, const struct ike_header *h)
{
	*w = (struct ike_writer){ .out = wire_out(buf, cap), .next_at = 16 };
	wire_put_u64(&w->out, h->spi_i);
	wire_put_u64(&w->out, h->spi_r);
	wire_put_u8(&w->out, PL_NONE);
	wire_put_u8(&w->out, h->version ? h->version : IKE_VERSION);
	wire_put_u8(&w->out, h->exchange);
	wire_put_u8(&w->out, h->flags);
	wire_put_u32(&w->out, h->id);
	wire_put_u32(&w->out, 0);
}

void ike_write_end(struct ike_writer *w)
{
	wire_patch_u32(&w->out, 24, (uint32_t)w->out.len);
}

size_t ike_payload_begin(struct ike_writer *w, enum ike_payload type)
{
	size_t at = w->out.len;

	if (!w->out.failed)
		w->out.buf[w->next_at] = (uint8_t)type;
	w->next_at = at;
	wire_put_u8(&w->out, PL_NONE);
	wire_put_u8(&w->out, 0);
	wire_put_u16(&w->out, 0);
	return at;
}

void ike_payload_end(struct ike_writer *w, size_t at)
{
	size_t len = w->out.len - at;

	if (len > UINT16_MAX)
		w->out.failed = true;
	else
		wire_patch_u16(&w->out, at + 2, (uint16_t)len);
}
