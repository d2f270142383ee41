/* keying/v1/pieces.c - main mode's messages in pieces ([MS-IKEE] 3.3): only the third pair is long, for its
 * certificates. */
#include "keying/v1/pieces.h"
#include <string.h>

enum { IPV4_OCTETS = 20, IPV6_OCTETS = 40, UDP_OCTETS = 8, MARKER = 4 };

void pieces_cut(struct ike_sa *sa, struct ike_writer *w)
{
	struct keying *k = sa->k;
	size_t headers = (sa->remote.family == 4 ? IPV4_OCTETS : IPV6_OCTETS) + UDP_OCTETS + MARKER;
	struct wire_out out;

	if (!k->config.fragment_octets || !(sa->v1->vendors & 1u << V1_VENDOR_FRAGMENTATION) ||
	    w->out.len + headers <= k->config.fragment_octets || k->config.fragment_octets <= headers)
		return;
	out = wire_out(k->in, sizeof k->in);
	if (!v1_fragment_cut(w->out.buf, w->out.len, k->config.fragment_octets - headers, ++k->v1_fragment, &out))
		return; /* whole, then */
	memcpy(w->out.buf, out.buf, out.len);
	w->out.len = out.len;
}

bool pieces_take(struct ike_sa *sa, const struct ike_header *h, const uint8_t *octets, size_t len,
		 struct keying_octets *ret)
{
	struct keying *k = sa->k;
	struct wire_in in = wire_in(octets + IKE_HEADER, len - IKE_HEADER);
	struct v1_fragment f;
	size_t whole = 0;

	if (!sa->v1->making || h->exchange != V1_MAIN || !sa->v1->keyed || !k->config.fragment_octets ||
	    v1_fragment_decode(h, &in, &f, NULL) < 0) {
		k->dropped[KEYING_DROP_FRAGMENT]++;
		return false;
	}
	switch (v1_reassembly_take(&sa->v1->pieces, &k->v1_pieces, h, &f, k->now_ms, k->in, sizeof k->in, &whole)) {
	case V1_TAKEN_WHOLE:
		*ret = (struct keying_octets){ k->in, whole };
		return true;
	case V1_TAKEN_KEPT:
		return false;
	case V1_TAKEN_DROPPED:
	case V1_TAKEN_SPOILT:
		k->dropped[KEYING_DROP_FRAGMENT]++;
		break;
	}
	return false;
}

void pieces_forget(struct ike_sa *sa)
{
	v1_reassembly_free(sa->v1->pieces, &sa->k->v1_pieces);
	sa->v1->pieces = NULL;
}
