/* keying/payload/notify.c - Notify payload (RFC 7296 3.10). */
#include "base/diag.h"
#include "keying/ike.h"

int ike_decode_notify(struct wire_in *in, struct ike_msg *m, struct diag *d)
{
	struct ike_notification n = { .protocol = wire_u8(in), .spi_len = wire_u8(in) };

	n.type = wire_u16(in);
	if (n.spi_len == 4)
		n.spi = wire_u32(in);
	else if (n.spi_len == 8)
		n.spi = wire_u64(in);
	else
		(void)wire_octets(in, n.spi_len);
	size_t len = in->left;
	n.data = (struct keying_octets){ wire_octets(in, len), len };
	if (!wire_done(in))
		return diag_fail(d, ERR_SYNTAX, "Notify payload: an SPI of %u octets does not fit", n.spi_len);
	if (n.type == N_COOKIE && (len == 0 || len > IKE_COOKIE_MOST))
		return diag_fail(d, ERR_SYNTAX, "COOKIE: %zu octets, not 1 to %d", len, IKE_COOKIE_MOST);
	m->notifies[m->notify_count++] = n; /* the walker counts them */
	return 0;
}

const struct ike_notification *ike_find_notify(const struct ike_msg *m, uint16_t type)
{
	for (size_t i = 0; i < m->notify_count; i++)
		if (m->notifies[i].type == type)
			return &m->notifies[i];
	return NULL;
}

const struct ike_notification *ike_find_error(const struct ike_msg *m)
{
	for (size_t i = 0; i < m->notify_count; i++)
		if (m->notifies[i].type < N_ERRORS_END)
			return &m->notifies[i];
	return NULL;
}

static void put(struct ike_writer *w, uint8_t protocol, uint16_t type, const void *data, size_t len)
{
	size_t at = ike_payload_begin(w, PL_NOTIFY);

	wire_put_u8(&w->out, protocol);
	wire_put_u8(&w->out, 0);
	wire_put_u16(&w->out, type);
	wire_put(&w->out, data, len);
	ike_payload_end(w, at);
}

void ike_put_notify(struct ike_writer *w, uint16_t type, const void *data, size_t len)
{
	put(w, PROTO_NONE, type, data, len);
}

void ike_put_notify_of_ike(struct ike_writer *w, uint16_t type, const void *data, size_t len)
{
	put(w, PROTO_IKE, type, data, len);
}

void ike_put_notify_spi(struct ike_writer *w, uint16_t type, uint8_t protocol, uint32_t spi)
{
	size_t at = ike_payload_begin(w, PL_NOTIFY);

	wire_put_u8(&w->out, protocol);
	wire_put_u8(&w->out, 4);
	wire_put_u16(&w->out, type);
	wire_put_u32(&w->out, spi);
	ike_payload_end(w, at);
}
