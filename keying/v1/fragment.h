/* keying/v1/fragment.h - IKEv1 messages in pieces, as Windows and Cisco have it ([MS-IKEE] 2.2.3, 3.3): announced by
 * vendor ID, made of the whole encrypted message, and sent in clear. So whoever sees the cookies can spoil it: what is
 * kept is bounded in number, octets and time, and what comes of it is judged as any message. Inside keying/ only. */
#ifndef KEYING_V1_FRAGMENT_H
#define KEYING_V1_FRAGMENT_H
#include "base/scope.h"
#include "keying/v1/message.h"

enum {
	V1_FRAGMENTS_MOST = 255, /* of one message: their number is one octet */
	V1_FRAGMENT_HEADERS = IKE_HEADER + 8,
	V1_REASSEMBLY_MS = 70000,          /* as Windows */
	V1_REASSEMBLY_POOL_MOST = 4 << 20, /* octets of all together, bookkeeping included */
};

struct v1_fragment {
	uint16_t id;
	uint8_t number; /* from 1 */
	bool last;
	struct keying_octets data;
};
/* in: what is behind the header. -ERR_SYNTAX: not one Fragment payload alone, or number 0. */
int v1_fragment_decode(const struct ike_header *h, struct wire_in *in, struct v1_fragment *ret, struct diag *d);

/* Cut a whole message into datagrams of at most so many octets (of IKE: what IP, UDP and the non-ESP marker take is not
 * counted), one behind the other. false: it would be too many, or they do not fit. */
bool v1_fragment_cut(const uint8_t *message, size_t len, size_t datagram, uint16_t id, struct wire_out *out);

/* What has come of one message. A fragment of another message takes its place: the sender gives each try an ID of its
 * own, and only the last one can still become whole. */
struct v1_reassembly;
void v1_reassembly_free(struct v1_reassembly *r, size_t *pool);

enum v1_taken {
	V1_TAKEN_KEPT,
	V1_TAKEN_WHOLE,   /* *ret_len octets of message are in `whole`; *r is NULL */
	V1_TAKEN_DROPPED, /* there already, or no room; what was there stays */
	V1_TAKEN_SPOILT,  /* contradicts what came before: all is forgotten */
};
/* *r: of this IKE SA; NULL: nothing yet. pool: octets that all of them hold. */
enum v1_taken v1_reassembly_take(struct v1_reassembly **r, size_t *pool, const struct ike_header *h,
				 const struct v1_fragment *f, uint64_t now_ms, uint8_t *whole, size_t cap,
				 size_t *ret_len);

#endif
