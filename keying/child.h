/* keying/child.h - the steps of a CHILD SA: the table and what both ends do are in child.c, the initiator's in
 * child_offer.c, the responder's in child_answer.c. Nobody else includes this; what others ask of a CHILD SA is in
 * engine.h. */
#ifndef KEYING_CHILD_H
#define KEYING_CHILD_H
#include "keying/engine.h"

struct child_input {
	const struct ike_msg *msg;
	const struct keying_result *result;
};
typedef int child_action(struct child *c, const struct child_input *in, struct diag *d);

/* child_offer.c */
child_action child_ask_nonce, child_keep_nonce, child_ask_spi, child_queue, child_go, child_tell_ike, child_read_reply;
void child_replaces(struct child *c, uint64_t pair);
bool child_is_rekey(const struct child *c);
bool child_has_double(const struct child *c); /* another one, up or coming, for the same traffic */
void child_put_selectors(const struct child *c, struct ike_writer *w);
void child_rekey_again(struct child *c, uint64_t after_ms);

/* child_answer.c */
child_action child_ask_answer, child_answer;
const struct child *child_carrier(const struct child *c);
void child_settle_by(struct child *c);
void child_acknowledge(const struct child *c);

bool child_set_takes(const struct key_exchange_set *set, const struct ike_suite *suite);

/* child.c */
child_action child_key, child_send, child_up;
void child_take_keys(struct child *c, const struct child_keys *keys); /* and install the inbound half */

#endif
