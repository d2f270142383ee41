#include "base/wire.h"

#include <string.h>

struct wire_in wire_in(const void *octets, size_t n)
{
	return (struct wire_in){ .at = octets, .left = n };
}

/* The only place that moves a reader. */
static const uint8_t *take(struct wire_in *in, size_t n)
{
	const uint8_t *p = in->at;

	if (in->failed || n > in->left) {
		*in = (struct wire_in){ .at = p, .failed = true };
		return NULL;
	}
	in->at += n;
	in->left -= n;
	return p;
}

uint8_t wire_u8(struct wire_in *in)
{
	const uint8_t *p = take(in, 1);

	return p ? p[0] : 0;
}

uint16_t wire_u16(struct wire_in *in)
{
	const uint8_t *p = take(in, 2);

	return (uint16_t)(p ? p[0] << 8 | p[1] : 0);
}

uint32_t wire_u32(struct wire_in *in)
{
	const uint8_t *p = take(in, 4);

	return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

uint64_t wire_u64(struct wire_in *in)
{
	uint64_t high = wire_u32(in);

	return high << 32 | wire_u32(in);
}

const uint8_t *wire_octets(struct wire_in *in, size_t n)
{
	return take(in, n);
}

void wire_copy(struct wire_in *in, void *to, size_t n)
{
	const uint8_t *p = take(in, n);

	if (p)
		memcpy(to, p, n);
	else
		memset(to, 0, n);
}

struct wire_in wire_sub(struct wire_in *in, size_t n)
{
	const uint8_t *p = take(in, n);

	return (struct wire_in){ .at = p, .left = p ? n : 0, .failed = !p };
}

bool wire_done(const struct wire_in *in)
{
	return !in->failed && in->left == 0;
}

struct wire_out wire_out(void *buf, size_t cap)
{
	return (struct wire_out){ .buf = buf, .cap = cap };
}

uint8_t *wire_put_space(struct wire_out *out, size_t n)
{
	uint8_t *p;

	if (out->failed || out->cap - out->len < n) {
		out->failed = true;
		return NULL;
	}
	p = out->buf + out->len;
	memset(p, 0, n);
	out->len += n;
	return p;
}

void wire_put(struct wire_out *out, const void *octets, size_t n)
{
	uint8_t *p = wire_put_space(out, n);

	if (p && n)
		memcpy(p, octets, n);
}

void wire_put_u8(struct wire_out *out, uint8_t v)
{
	wire_put(out, &v, 1);
}

void wire_put_u16(struct wire_out *out, uint16_t v)
{
	uint8_t octets[2] = { (uint8_t)(v >> 8), (uint8_t)v };

	wire_put(out, octets, sizeof octets);
}

void wire_put_u32(struct wire_out *out, uint32_t v)
{
	wire_put_u16(out, (uint16_t)(v >> 16));
	wire_put_u16(out, (uint16_t)v);
}

void wire_put_u64(struct wire_out *out, uint64_t v)
{
	wire_put_u32(out, (uint32_t)(v >> 32));
	wire_put_u32(out, (uint32_t)v);
}

void wire_patch_u16(struct wire_out *out, size_t at, uint16_t v)
{
	if (out->failed || at > out->len || out->len - at < 2) {
		out->failed = true;
		return;
	}
	out->buf[at] = (uint8_t)(v >> 8);
	out->buf[at + 1] = (uint8_t)v;
}

void wire_patch_u32(struct wire_out *out, size_t at, uint32_t v)
{
	wire_patch_u16(out, at, (uint16_t)(v >> 16));
	wire_patch_u16(out, at + 2, (uint16_t)v);
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

void wire_put_text(struct wire_out *out, const char *text, size_t cap)
{
	size_t n = text ? strnlen(text, cap - 1) : 0;

	wire_put_u16(out, (uint16_t)n);
	wire_put(out, text ? text : "", n);
}

void wire_text(struct wire_in *in, char *to, size_t cap)
{
	size_t n = wire_u16(in);
	const uint8_t *p = n < cap ? wire_octets(in, n) : NULL;

	if (!p || memchr(p, 0, n)) {
		in->failed = true;
		return;
	}
	memcpy(to, p, n);
	to[n] = '\0';
}
