/* base/wire.h - the bounded cursors: every octet from the network, and every message to it, goes through them.
 * A failed cursor stays failed, yields zeroes and empty children, and is checked once, at the end. */
#ifndef BASE_WIRE_H
#define BASE_WIRE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wire_in {
	const uint8_t *at;
	size_t left;
	bool failed;
};

struct wire_in wire_in(const void *octets, size_t n);
uint8_t wire_u8(struct wire_in *in);
uint16_t wire_u16(struct wire_in *in);
uint32_t wire_u32(struct wire_in *in);
uint64_t wire_u64(struct wire_in *in);
/* n octets in place, or NULL and a failed cursor. */
const uint8_t *wire_octets(struct wire_in *in, size_t n);
/* Copy n octets; zeroes them when there are fewer. */
void wire_copy(struct wire_in *in, void *to, size_t n);
/* The next n octets as a reader of their own: a child cannot see past its parent. */
struct wire_in wire_sub(struct wire_in *in, size_t n);
/* A text of messages between our own processes: u16 octets, then so many. Fails on one that does not fit `cap` with its
 * end, or has a zero in it; `to` is then as it was. */
void wire_text(struct wire_in *in, char *to, size_t cap);
/* All used, and never too short? Ends every decoder. */
bool wire_done(const struct wire_in *in);

struct wire_out {
	uint8_t *buf;
	size_t len, cap;
	bool failed;
};

struct wire_out wire_out(void *buf, size_t cap);
void wire_put_u8(struct wire_out *out, uint8_t v);
void wire_put_u16(struct wire_out *out, uint16_t v);
void wire_put_u32(struct wire_out *out, uint32_t v);
void wire_put_u64(struct wire_out *out, uint64_t v);
void wire_put(struct wire_out *out, const void *octets, size_t n);
/* What wire_text reads, cut to what fits `cap` there; NULL: an empty one. */
void wire_put_text(struct wire_out *out, const char *text, size_t cap);
/* Leave n octets (zeroed) to be filled later; returns where, or NULL and a failed cursor. */
uint8_t *wire_put_space(struct wire_out *out, size_t n);
/* Overwrite two octets written before, at offset `at`: a length known only now. */
void wire_patch_u16(struct wire_out *out, size_t at, uint16_t v);
void wire_patch_u32(struct wire_out *out, size_t at, uint32_t v);

#endif
