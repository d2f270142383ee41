/* keying/v1/fragment.c - IKEv1 messages in pieces ([MS-IKEE] 2.2.3, 3.3.5). */
#include "keying/v1/fragment.h"
#include "base/diag.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

enum { LAST = 1, GENERIC = 8, VERSION_AT = 17, COOKIES = 16, FLAGS_AT = 19, NEXT_AT = 16 };

struct v1_reassembly {
	uint16_t id;
	uint8_t last; /* its number; 0: not come */
	unsigned count;
	size_t octets;     /* of data */
	uint64_t begun_ms; /* when the first came */
	struct {
		uint8_t *at;
		size_t len;
	} parts[V1_FRAGMENTS_MOST];
};

int v1_fragment_decode(const struct ike_header *h, struct wire_in *in, struct v1_fragment *ret, struct diag *d)
{
	uint8_t next = wire_u8(in), reserved = wire_u8(in);
	uint16_t len = wire_u16(in);
	struct wire_in body = wire_sub(in, len < GENERIC ? SIZE_MAX : len - 4u);
	struct v1_fragment f = { .id = wire_u16(&body), .number = wire_u8(&body) };

	f.last = wire_u8(&body) & LAST;
	f.data.len = body.left;
	f.data.at = wire_octets(&body, f.data.len);
	if (h->next != V1_PL_FRAGMENT || next != V1_PL_NONE || reserved || !wire_done(&body) || !wire_done(in) ||
	    !f.number || !f.data.len)
		return diag_fail(d, ERR_SYNTAX, "Fragment payload: not one alone, or without number or data");
	*ret = f;
	return 0;
}

bool v1_fragment_cut(const uint8_t *message, size_t len, size_t datagram, uint16_t id, struct wire_out *out)
{
	size_t room = datagram > V1_FRAGMENT_HEADERS ? datagram - V1_FRAGMENT_HEADERS : 0, at = 0;

	if (!room || len <= IKE_HEADER || (len + room - 1) / room > V1_FRAGMENTS_MOST)
		return false;
	for (unsigned number = 1; at < len; number++) {
		size_t n = len - at < room ? len - at : room, start = out->len;

		wire_put(out, message, IKE_HEADER);
		if (out->failed)
			return false;
		out->buf[start + NEXT_AT] = V1_PL_FRAGMENT;
		out->buf[start + FLAGS_AT] &= (uint8_t) ~(unsigned)V1_FLAG_ENCRYPTED;
		wire_patch_u32(out, start + IKE_HEADER - 4, (uint32_t)(V1_FRAGMENT_HEADERS + n));
		wire_put_u8(out, V1_PL_NONE);
		wire_put_u8(out, 0);
		wire_put_u16(out, (uint16_t)(GENERIC + n));
		wire_put_u16(out, id);
		wire_put_u8(out, (uint8_t)number);
		wire_put_u8(out, at + n == len ? LAST : 0);
		wire_put(out, message + at, n);
		at += n;
	}
	return !out->failed;
}

void v1_reassembly_free(struct v1_reassembly *r, size_t *pool)
{
	if (!r)
		return;
	for (size_t i = 0; i < V1_FRAGMENTS_MOST; i++)
		free(r->parts[i].at);
	*pool -= sizeof *r + r->octets;
	free(r);
}

static void forget(struct v1_reassembly **r, size_t *pool)
{
	v1_reassembly_free(*r, pool);
	*r = NULL;
}

/* Without two ends, and nothing behind the end. */
static bool contradicts(const struct v1_reassembly *r, const struct v1_fragment *f)
{
	if (f->last && r->last)
		return r->last != f->number;
	if (r->last)
		return f->number > r->last;
	for (size_t i = f->number; f->last && i < V1_FRAGMENTS_MOST; i++)
		if (r->parts[i].at)
			return true;
	return false;
}

/* What is joined begins with the message's own header, or has none: then it is the fragments', with what a fragment
 * changes put right. Only messages that begin with ID are cut so. */
static bool join(const struct v1_reassembly *r, const struct ike_header *h, uint8_t *whole, size_t cap, size_t *ret_len)
{
	struct ike_header own = *h;
	struct ike_writer w;

	own.next = V1_PL_ID;
	own.flags = (uint8_t)(h->flags | V1_FLAG_ENCRYPTED);
	v1_write_begin(&w, whole, cap, &own);
	w.out.buf[NEXT_AT] = own.next;
	for (size_t i = 0; i < r->last; i++)
		wire_put(&w.out, r->parts[i].at, r->parts[i].len);
	if (w.out.failed)
		return false;
	const uint8_t *data = whole + IKE_HEADER;
	if (w.out.len >= (size_t)2 * IKE_HEADER && memcmp(data, whole, COOKIES) == 0 &&
	    data[VERSION_AT] == V1_VERSION) {
		*ret_len = w.out.len - IKE_HEADER;
		memmove(whole, data, *ret_len);
		return true;
	}
	ike_write_end(&w);
	*ret_len = w.out.len;
	return true;
}

/* A new one, if there is room. */
static struct v1_reassembly *begin(size_t *pool, uint16_t id, uint64_t now_ms)
{
	if (*pool + sizeof(struct v1_reassembly) > V1_REASSEMBLY_POOL_MOST)
		return NULL;
	struct v1_reassembly *r = mem_new(1, sizeof *r);
	r->id = id;
	r->begun_ms = now_ms;
	*pool += sizeof *r;
	return r;
}

enum v1_taken v1_reassembly_take(struct v1_reassembly **r, size_t *pool, const struct ike_header *h,
				 const struct v1_fragment *f, uint64_t now_ms, uint8_t *whole, size_t cap,
				 size_t *ret_len)
{
	if (*r && ((*r)->id != f->id || now_ms - (*r)->begun_ms > V1_REASSEMBLY_MS))
		forget(r, pool);
	if (!*r && !(*r = begin(pool, f->id, now_ms)))
		return V1_TAKEN_DROPPED;
	struct v1_reassembly *set = *r;

	if (contradicts(set, f)) {
		forget(r, pool);
		return V1_TAKEN_SPOILT;
	}
	if (set->parts[f->number - 1].at)
		return V1_TAKEN_DROPPED;
	if (set->octets + f->data.len > IKE_MESSAGE_MOST) {
		forget(r, pool);
		return V1_TAKEN_SPOILT;
	}
	if (*pool + f->data.len > V1_REASSEMBLY_POOL_MOST)
		return V1_TAKEN_DROPPED;
	set->parts[f->number - 1].at = mem_copy(f->data.at, f->data.len);
	set->parts[f->number - 1].len = f->data.len;
	set->octets += f->data.len;
	*pool += f->data.len;
	set->count++;
	if (f->last)
		set->last = f->number;
	if (!set->last || set->count < set->last)
		return V1_TAKEN_KEPT;
	bool joined = join(set, h, whole, cap, ret_len);
	forget(r, pool);
	return joined ? V1_TAKEN_WHOLE : V1_TAKEN_SPOILT;
}
