/* keying/encap.h - ESP in UDP 4500 where there is no NAT: two Cordon hosts agree on it, because it is faster on the
 * userspace plane or because the policy says so (docs/protocols/encapsulation.md). Inside keying/ only. */
#ifndef KEYING_ENCAP_H
#define KEYING_ENCAP_H
#include "keying/ike.h"
#include <stdbool.h>

struct child;
struct ike_sa;
struct policy;

enum {
	ENCAP_PATIENCE = 4, /* nothing came back through UDP 4500 after so many tries: it does not get through */
	ENCAP_BLOCKED_MS = 10 * 60000, /* and so long we do without */
};

/* The vendor ID payload. The initiator's says that it wants ESP in UDP; the responder's, that so it will be. */
void encap_put_offer(struct ike_sa *sa, struct ike_writer *w);
void encap_put_answer(const struct ike_sa *sa, struct ike_writer *w);
/* The responder decides, the initiator takes note; after nat_enter. Who began sends from port 4500 on. */
void encap_decide(struct ike_sa *sa, const struct ike_msg *request);
void encap_decided(struct ike_sa *sa, const struct ike_msg *reply);

bool encap_stays(const struct ike_sa *sa, const struct policy *p); /* under a new policy */
/* Is this CHILD SA's ESP in UDP, for whatever reason? AH never is. */
bool encap_is_udp(const struct child *c);
/* Have both agreed on it, and is a rule between them that may come to ESP? */
bool encap_concerns(const struct ike_sa *sa);

/* UDP 4500 does not seem to get through: begin again without. false: it is something else, or not yet clear. */
bool encap_give_up(struct ike_sa *sa);

#endif
