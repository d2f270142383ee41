/* keying/unwanted.c - what peers ask for and Cordon does not do. */
#include "keying/unwanted.h"
#include "keying/engine.h"
#include <stdio.h>
#include <string.h>

enum { GATEWAY_IPV4 = 1, GATEWAY_IPV6, GATEWAY_FQDN };

int unwanted_in_auth(const struct ike_msg *m, struct diag *d)
{
	if (m->has_eap || (!m->has_auth && !m->has_gspm)) /* no AUTH payload: the initiator wants to log in (2.16) */
		return diag_fail(d, failure_error(FAILURE_EAP),
				 "it wants EAP, as remote access clients do; we take a certificate, Kerberos or a "
				 "pre-shared key");
	if (ike_find_notify(m, N_ANOTHER_AUTH_FOLLOWS)) /* RFC 4739 3.1: we did not say that we take several */
		return diag_fail(d, failure_error(FAILURE_MULTIPLE_AUTH),
				 "it wants a second authentication (RFC 4739); we take one");
	if (!m->cert_count && (m->cert_others & (1u << CERT_HASH_AND_URL | 1u << CERT_HASH_AND_URL_OF_BUNDLE)))
		return diag_fail(
			d, failure_error(FAILURE_HASH_AND_URL),
			"it sent its certificate as a URL; we fetch nothing on behalf of a stranger. It has to "
			"send the certificate itself");
	return 0;
}

/* A name for a log: letters, digits, dots and hyphens, as far as it is one. */
static void name_text(const uint8_t *at, size_t len, char buf[GATEWAY_TEXT])
{
	size_t n = 0;

	for (size_t i = 0; i < len && n + 1 < GATEWAY_TEXT; i++)
		buf[n++] = (char)(at[i] > ' ' && at[i] < 127 ? at[i] : '?');
	buf[n] = '\0';
}

const char *unwanted_gateway(const struct ike_notification *n, char buf[GATEWAY_TEXT])
{
	struct wire_in in = wire_in(n->data.at, n->data.len);
	uint8_t type = wire_u8(&in), len = wire_u8(&in);
	const uint8_t *id = wire_octets(&in, len);
	struct addr a = { .family = type == GATEWAY_IPV4 ? 4 : 6 };

	(void)snprintf(buf, GATEWAY_TEXT, "another gateway that cannot be read");
	if (!id || len == 0)
		return buf;
	if (type == GATEWAY_FQDN) {
		name_text(id, len, buf);
	} else if ((type == GATEWAY_IPV4 && len == 4) || (type == GATEWAY_IPV6 && len == 16)) {
		memcpy(a.octets, id, len);
		(void)addr_text(&a, buf);
	}
	return buf;
}

void unwanted_redirect(struct ike_sa *sa, const struct ike_msg *m)
{
	const struct ike_notification *n = ike_find_notify(m, N_REDIRECT);
	char remote[ADDR_TEXT], gateway[GATEWAY_TEXT];

	if (!n || sa->redirected)
		return;
	sa->redirected = true;
	todo_event(sa->k, EVENT_REDIRECT_REFUSED, &sa->local, &sa->remote, ike_rule_name(sa), peer_kept_id(sa->peer), 0,
		   "%s wants to send us to %s (RFC 5685). Cordon does not follow redirects, because a rule names its "
		   "peers: name the other gateway in the policy",
		   addr_text(&sa->remote, remote), unwanted_gateway(n, gateway));
}
