#include "daemon/messages/kdc_wire.h"

#include <errno.h>
#include <string.h>

/* Names and words of ours: without control characters, whoever makes them. */
static bool is_plain(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	return true;
}

static struct octets rest(struct wire_in *in)
{
	size_t n = in->left;
	const uint8_t *at = wire_octets(in, n);

	return (struct octets){ at, at ? n : 0 };
}

static int done(const struct wire_in *in, bool sound)
{
	return wire_done(in) && sound ? 0 : -EPROTO;
}

void kdc_put_ask(struct wire_out *out, const struct kdc_ask *m)
{
	wire_put_u32(out, m->number);
	wire_put_u8(out, m->tcp);
	wire_put_text(out, m->realm, sizeof m->realm);
	wire_put(out, m->request.at, m->request.len);
}

int kdc_get_ask(struct wire_in *in, struct kdc_ask *ret)
{
	uint8_t tcp;

	*ret = (struct kdc_ask){ .number = wire_u32(in) };
	tcp = wire_u8(in);
	ret->tcp = tcp;
	wire_text(in, ret->realm, sizeof ret->realm);
	ret->request = rest(in);
	return done(in, tcp <= 1 && ret->realm[0] && is_plain(ret->realm) && ret->request.len <= KDC_OCTETS_MOST);
}

void kdc_put_answer(struct wire_out *out, const struct kdc_answer *m)
{
	wire_put_u32(out, m->number);
	wire_put(out, m->answer.at, m->answer.len);
}

int kdc_get_answer(struct wire_in *in, struct kdc_answer *ret)
{
	*ret = (struct kdc_answer){ .number = wire_u32(in) };
	ret->answer = rest(in);
	return done(in, ret->answer.len && ret->answer.len <= KDC_OCTETS_MOST);
}

void kdc_put_failed(struct wire_out *out, const struct kdc_failed *m)
{
	wire_put_u32(out, m->number);
	wire_put_text(out, m->words, sizeof m->words);
}

int kdc_get_failed(struct wire_in *in, struct kdc_failed *ret)
{
	*ret = (struct kdc_failed){ .number = wire_u32(in) };
	wire_text(in, ret->words, sizeof ret->words);
	return done(in, is_plain(ret->words));
}

void kdc_put_realms(struct wire_out *out, const struct kdc_realms *m)
{
	wire_put_u8(out, (uint8_t)m->count);
	for (size_t i = 0; i < m->count; i++) {
		wire_put_text(out, m->all[i].name, sizeof m->all[i].name);
		wire_put_u8(out, (uint8_t)m->all[i].count);
		for (size_t n = 0; n < m->all[i].count; n++)
			addr_encode(out, &m->all[i].kdcs[n]);
	}
}

int kdc_get_realms(struct wire_in *in, struct kdc_realms *ret)
{
	bool sound;

	*ret = (struct kdc_realms){ .count = wire_u8(in) };
	sound = ret->count <= KDC_REALMS_MOST;
	for (size_t i = 0; sound && i < ret->count; i++) {
		struct kdc_realm *r = &ret->all[i];

		wire_text(in, r->name, sizeof r->name);
		r->count = wire_u8(in);
		sound = is_plain(r->name) && r->count <= KDC_ADDRESSES_MOST;
		for (size_t n = 0; sound && n < r->count; n++) {
			r->kdcs[n] = addr_decode(in);
			sound = r->kdcs[n].family != 0;
		}
	}
	return done(in, sound);
}
