/* keying/v1/module.h - IKEv2 or IKEv1, where a rule names both: IKEv2 first, IKEv1 only when a peer seems to have no
 * IKEv2, and not with a peer that has proven itself by IKEv2 of late. Inside keying/ only. */
#ifndef KEYING_V1_MODULE_H
#define KEYING_V1_MODULE_H
#include "keying/v1/v1.h"

enum {
	MODULE_PATIENCE_MS = 3000,   /* no answer to IKE_SA_INIT for so long: try the other */
	MODULE_WITHOUT_MS = 3600000, /* a peer without IKEv2 is asked by IKEv1 for so long */
	MODULE_MET_MS = 86400000,    /* and one with it by IKEv2 alone */
};

/* What to begin by: one of the rule's MODULE_ bits. */
unsigned module_first(const struct contact *c, const struct rule *rule);
/* May this rule be negotiated by IKEv1 with that peer? */
bool module_takes_v1(const struct keying *k, const struct rule *rule, const struct addr *local,
		     const struct addr *remote);
/* An IKE SA of ours begins, by IKEv2: how long it waits for the first answer. */
void module_begun(struct ike_sa *sa, const struct rule *rule);
/* There was none, or a refusal: begin by IKEv1 instead. false: it may not be; the IKE SA fails as it would. */
bool module_fall_back(struct ike_sa *sa);
/* By IKEv1 there was none either: the next try begins with IKEv2 again. */
void module_silent(const struct ike_sa *sa);
void module_proven(const struct ike_sa *sa); /* it is up */
void module_forget(struct keying *k);

#endif
