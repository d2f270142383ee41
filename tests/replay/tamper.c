#include "tests/replay/tamper.h"
#include "tests/unit/unit.h"

#include <string.h>

struct ike_sa *tamper_sa(struct world *w, unsigned host)
{
	return TAILQ_FIRST(&w->hosts[host].keying->ikes);
}

void tamper_notify(struct ike_writer *w, const struct tamper *t)
{
	ike_put_notify(w, t->notify, t->data, t->len);
}

static bool is_gone(const struct tamper *t, uint8_t type)
{
	return t->all_gone || memchr(t->gone, type, sizeof t->gone);
}

static void copy_payloads(struct ike_writer *w, struct wire_in *in, uint8_t type, const struct tamper *t)
{
	while (type != PL_NONE && in->left) {
		uint8_t next = wire_u8(in);
		(void)wire_u8(in);
		uint16_t len = wire_u16(in);
		const uint8_t *body = wire_octets(in, len - 4u);
		assert_non_null(body);
		if (!is_gone(t, type)) {
			size_t at = ike_payload_begin(w, (enum ike_payload)type);
			wire_put(&w->out, body, len - 4u);
			ike_payload_end(w, at);
		}
		type = next;
	}
}

unsigned tamper_wire(struct world *w, struct datagram *d)
{
	struct tamper *t = w->context;
	struct ike_sa *to = tamper_sa(w, 1 - t->from), *from = tamper_sa(w, t->from);
	static uint8_t copy[DATAGRAM_MOST], out[DATAGRAM_MOST];
	struct wire_in all = wire_in(d->octets, d->len), inner;
	struct ike_header h;
	struct ike_writer writer;
	uint8_t first;

	if (d->esp || d->from != t->from || ike_decode_header(&all, &h, NULL) < 0 || h.exchange != t->exchange ||
	    !(h.flags & IKE_FLAG_RESPONSE) != !t->reply || !to || !from)
		return 1;
	memcpy(copy, d->octets, d->len);
	assert_int_equal(ike_sk_open(&to->in, copy, d->len, &inner, &first, NULL), 0);
	ike_write_begin(&writer, out, sizeof out, &h);
	size_t sk = ike_sk_begin(&writer, &from->out);
	if (t->add)
		t->add(&writer, t);
	copy_payloads(&writer, &inner, first, t);
	assert_int_equal(ike_sk_end(&writer, sk, &from->out, NULL), 0);
	memcpy(d->octets, out, writer.out.len);
	d->len = writer.out.len;
	t->changed++;
	return 1;
}
