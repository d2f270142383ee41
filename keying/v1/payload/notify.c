/* keying/v1/payload/notify.c - Notification and Delete payloads (RFC 2408 3.14, 3.15; RFC 2407 4.6.3). */
#include "base/diag.h"
#include "base/scope.h"
#include "keying/v1/payload/payloads.h"

int v1_decode_notify(struct wire_in *in, struct v1_msg *m, struct diag *d)
{
	struct v1_notification n = { .doi = wire_u32(in), .protocol = wire_u8(in) };
	size_t spi_len = wire_u8(in);

	n.type = wire_u16(in);
	n.spi = (struct keying_octets){ wire_octets(in, spi_len), spi_len };
	n.data.len = in->left;
	n.data.at = wire_octets(in, n.data.len);
	if (!wire_done(in) || spi_len > V1_SPI_MOST)
		return diag_fail(d, ERR_SYNTAX, "Notification payload: an SPI of %zu octets does not fit", spi_len);
	m->notifies[m->notify_count++] = n; /* the walker counts them */
	return 0;
}

int v1_decode_delete(struct wire_in *in, struct v1_msg *m, struct diag *d)
{
	struct v1_delete del = { .doi = wire_u32(in), .protocol = wire_u8(in), .spi_len = wire_u8(in) };

	del.count = wire_u16(in);
	if (in->failed || del.spi_len != (del.protocol == V1_PROTO_ISAKMP ? 2 * V1_COOKIE : 4))
		return diag_fail(d, ERR_SYNTAX, "Delete payload: protocol %u with SPIs of %u octets", del.protocol,
				 del.spi_len);
	del.spis = wire_octets(in, (size_t)del.spi_len * del.count);
	if (!wire_done(in))
		return diag_fail(d, ERR_SYNTAX, "Delete payload: %u SPIs do not fit", del.count);
	m->deletes[m->delete_count++] = del;
	return 0;
}

const struct v1_notification *v1_find_notify(const struct v1_msg *m, uint16_t type)
{
	for (size_t i = 0; i < m->notify_count; i++)
		if (m->notifies[i].type == type)
			return &m->notifies[i];
	return NULL;
}

const struct v1_notification *v1_find_error(const struct v1_msg *m)
{
	for (size_t i = 0; i < m->notify_count; i++)
		if (m->notifies[i].type < V1_N_ERRORS_END || m->notifies[i].type == V1_N_WINDOWS_STATUS)
			return &m->notifies[i];
	return NULL;
}

bool v1_windows_status(const struct v1_notification *n, uint32_t *ret)
{
	struct keying_octets from = n->data.len >= 4 ? n->data : n->spi;
	struct wire_in in = wire_in(from.at, from.len);

	if (n->type != V1_N_WINDOWS_STATUS || from.len < 4)
		return false;
	(void)wire_octets(&in, from.len - 4);
	*ret = wire_u32(&in);
	return true;
}

void v1_put_notify(struct ike_writer *w, const struct v1_notification *n)
{
	size_t at = v1_payload_begin(w, V1_PL_NOTIFY);

	wire_put_u32(&w->out, n->doi);
	wire_put_u8(&w->out, n->protocol);
	wire_put_u8(&w->out, (uint8_t)n->spi.len);
	wire_put_u16(&w->out, n->type);
	wire_put(&w->out, n->spi.at, n->spi.len);
	wire_put(&w->out, n->data.at, n->data.len);
	ike_payload_end(w, at);
}

void v1_put_notify_main(struct ike_writer *w, uint16_t type, uint64_t cookie_i, uint64_t cookie_r, const void *data,
			size_t len)
{
	uint8_t spi[2 * V1_COOKIE];
	struct wire_out out = wire_out(spi, sizeof spi);

	wire_put_u64(&out, cookie_i);
	wire_put_u64(&out, cookie_r);
	v1_put_notify(w, &(struct v1_notification){ .doi = V1_DOI_IPSEC,
						    .protocol = V1_PROTO_ISAKMP,
						    .type = type,
						    .spi = { spi, sizeof spi },
						    .data = { data, len } });
}

static size_t delete_begin(struct ike_writer *w, uint8_t protocol, uint8_t spi_len, size_t n)
{
	size_t at = v1_payload_begin(w, V1_PL_DELETE);

	wire_put_u32(&w->out, V1_DOI_IPSEC);
	wire_put_u8(&w->out, protocol);
	wire_put_u8(&w->out, spi_len);
	wire_put_u16(&w->out, (uint16_t)n);
	return at;
}

void v1_put_delete_main(struct ike_writer *w, uint64_t cookie_i, uint64_t cookie_r)
{
	size_t at = delete_begin(w, V1_PROTO_ISAKMP, 2 * V1_COOKIE, 1);

	wire_put_u64(&w->out, cookie_i);
	wire_put_u64(&w->out, cookie_r);
	ike_payload_end(w, at);
}

void v1_put_delete(struct ike_writer *w, uint8_t protocol, const uint32_t *spis, size_t n)
{
	size_t at = delete_begin(w, protocol, 4, n);

	for (size_t i = 0; i < n; i++)
		wire_put_u32(&w->out, spis[i]);
	ike_payload_end(w, at);
}
