/* keying/v1/pieces.h - main mode's messages in pieces: when they are cut, and whose pieces are kept. Inside keying/v1/
 * only. */
#ifndef KEYING_V1_PIECES_H
#define KEYING_V1_PIECES_H
#include "keying/v1/fragment.h"
#include "keying/v1/v1.h"

/* Message 5 or 6 in w: cut it, if it is too long for one datagram and the peer takes pieces. */
void pieces_cut(struct ike_sa *sa, struct ike_writer *w);
/* One has come; the message that it makes whole, or none. In k->in until the next message comes. */
bool pieces_take(struct ike_sa *sa, const struct ike_header *h, const uint8_t *octets, size_t len,
		 struct keying_octets *ret);
void pieces_forget(struct ike_sa *sa);

#endif
