/* keying/v1/nat.h - a NAT between us and a peer that speaks IKEv1. Inside keying/v1/ only. */
#ifndef KEYING_V1_NAT_H
#define KEYING_V1_NAT_H
#include "keying/v1/v1.h"

void v1_nat_put_vendors(struct ike_writer *w);
/* NAT-D, when both have said that they do it. */
void v1_nat_put(struct ike_sa *sa, struct ike_writer *w);
/* Those of messages 3 and 4: is there one, and may it be? Negative, with words: it may not. */
int v1_nat_take(struct ike_sa *sa, const struct v1_msg *m, struct diag *d);
/* NAT-OA of transport mode. */
void v1_nat_put_addresses(const struct ike_sa *sa, struct ike_writer *w, bool we_began, bool tunnel);

#endif
