/* keying/keymat.h - the keys of an IKE SA and of a CHILD SA (RFC 7296 2.14, 2.17, 2.18). Inside keying/ only. */
#ifndef KEYING_KEYMAT_H
#define KEYING_KEYMAT_H
#include "base/algorithm.h"
#include "base/key.h"
#include "keying/keying.h"

struct diag;

struct ike_keys {
	struct key d, ai, ar, ei, er, pi, pr;
};
void ike_keys_wipe(struct ike_keys *k);

struct keymat_input {
	struct keying_octets secret; /* of the key exchange; len 0: none was made (CHILD SA) */
	struct keying_octets nonce_i, nonce_r;
	uint64_t spi_i, spi_r; /* IKE SA */
};

/* old_prf, old_d: of the IKE SA that is being replaced; NULL: a first one. */
int keymat_ike(const struct ike_suite *suite, const struct keymat_input *in, const struct algorithm *old_prf,
	       const struct key *old_d, struct ike_keys *ret, struct diag *d);

/* What the exchange's initiator sends under, and what its responder does. */
struct child_keys {
	struct key encr_i, integ_i, encr_r, integ_r;
};
void child_keys_wipe(struct child_keys *k);
int keymat_child(const struct algorithm *prf, const struct key *sk_d, const struct child_suite *suite,
		 const struct keymat_input *in, struct child_keys *ret, struct diag *d);

/* What AUTH covers (2.15): the sender's first message, the other's nonce, prf(SK_p, ID'). free() *ret. */
int keymat_signed_octets(const struct algorithm *prf, const struct key *sk_p, struct keying_octets message,
			 struct keying_octets nonce, struct keying_octets id_body, uint8_t **ret, size_t *ret_len,
			 struct diag *d);

#endif
