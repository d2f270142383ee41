/* keying/unwanted.h - what peers ask for and Cordon does not do: EAP, several authentications, certificates by URL,
 * redirects. Each is refused, or passed over, in words. Inside keying/ only. */
#ifndef KEYING_UNWANTED_H
#define KEYING_UNWANTED_H
#include "keying/ike.h"

struct diag;
struct ike_sa;

/* Does an IKE_AUTH message want what we do not do? 0: no. Else a failure's code as an error, with words. */
int unwanted_in_auth(const struct ike_msg *m, struct diag *d);
/* The gateway that REDIRECT names (RFC 5685 5): "10.0.0.9", "gw.example.org"; what cannot be read is told as such. */
enum { GATEWAY_TEXT = 128 };
const char *unwanted_gateway(const struct ike_notification *n, char buf[GATEWAY_TEXT]);
/* Under protection a REDIRECT is passed over, and told once for an IKE SA. */
void unwanted_redirect(struct ike_sa *sa, const struct ike_msg *m);

#endif
