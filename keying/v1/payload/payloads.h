/* keying/v1/payload/payloads.h - IKEv1's payload decoders, for message.c's tables alone: each is given the body of one
 * payload.
 */
#ifndef KEYING_V1_PAYLOAD_PAYLOADS_H
#define KEYING_V1_PAYLOAD_PAYLOADS_H
#include "keying/v1/message.h"

typedef int v1_decoder(struct wire_in *in, struct v1_msg *m, struct diag *d);
v1_decoder v1_decode_sa, v1_decode_ke, v1_decode_nonce, v1_decode_id, v1_decode_cert, v1_decode_certreq, v1_decode_hash,
	v1_decode_sig, v1_decode_token, v1_decode_vendor, v1_decode_notify, v1_decode_delete, v1_decode_nat_d,
	v1_decode_nat_oa;

/* A payload of nothing but these octets. */
void v1_put_octets(struct ike_writer *w, enum v1_payload type, struct keying_octets o);
size_t v1_payload_begin(struct ike_writer *w, enum v1_payload type); /* then ike_payload_end */

#endif
