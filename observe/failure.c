#include "observe/failure.h"

#include "base/diag.h"
#include "base/scope.h"

#include <stdlib.h>

enum { ERR_FAILURE = 2000 }; /* behind those of base/diag.h */

/* docs/troubleshooting.md has a row for each: tests/docs holds it to that. */
static const struct {
	const char *name, *brief;
} rows[] = {
	[FAILURE_NONE] = { "", "" },
	[FAILURE_NO_RULE] = { "no-rule", "no rule for it" },
	[FAILURE_NO_PROPOSAL] = { "no-proposal", "no common proposal" },
	[FAILURE_NO_GROUP] = { "no-group", "no common key exchange group" },
	[FAILURE_SELECTORS] = { "selectors", "the rules differ in traffic" },
	[FAILURE_TUNNEL] = { "tunnel", "transport mode against tunnel mode" },
	[FAILURE_WRONG_METHOD] = { "wrong-method", "another way of authentication" },
	[FAILURE_NO_CREDENTIAL] = { "no-credential", "this host has nothing to prove itself with" },
	[FAILURE_NOT_ACCEPTED] = { "not-accepted", "the proof was not accepted" },
	[FAILURE_WRONG_KEY] = { "wrong-key", "the pre-shared keys differ" },
	[FAILURE_SIGNATURE] = { "bad-signature", "the signature is wrong" },
	[FAILURE_IDENTITY] = { "identity-mismatch", "the certificate is another's" },
	[FAILURE_CERTIFICATE_MISSING] = { "certificate-missing", "no certificate was sent" },
	[FAILURE_CERTIFICATE_MALFORMED] = { "certificate-malformed", "the certificate is malformed" },
	[FAILURE_CERTIFICATE_EXPIRED] = { "certificate-expired", "the certificate has expired" },
	[FAILURE_CERTIFICATE_EARLY] = { "certificate-not-yet-valid", "the certificate is not valid yet" },
	[FAILURE_CERTIFICATE_UNTRUSTED] = { "certificate-untrusted", "the certificate's issuer is not trusted" },
	[FAILURE_CERTIFICATE_WEAK] = { "certificate-weak", "the certificate's key or signature is too weak" },
	[FAILURE_CERTIFICATE_USE] = { "certificate-use", "the certificate may not be used for this" },
	[FAILURE_CERTIFICATE_REVOKED] = { "certificate-revoked", "the certificate has been revoked" },
	[FAILURE_REVOCATION_UNKNOWN] = { "revocation-unknown", "whether the certificate is revoked is not known" },
	[FAILURE_ISSUER] = { "issuer-mismatch", "the certificate is another authority's" },
	[FAILURE_USAGE] = { "usage-missing", "the certificate lacks an extended key usage" },
	[FAILURE_CRITERIA] = { "criteria", "the certificate does not meet the criteria" },
	[FAILURE_PPK] = { "ppk", "the post-quantum pre-shared keys differ" },
	[FAILURE_NOT_MEMBER] = { "not-member", "the peer is in no group that the rule admits" },
	[FAILURE_NO_ANSWER] = { "no-answer", "no answer" },
	[FAILURE_NAT] = { "refused-nat", "a NAT is between" },
	[FAILURE_NAT_SHARED] = { "nat-shared", "another host behind the same NAT has the traffic" },
	[FAILURE_NAT_MOVED] = { "nat-moved", "a NAT has moved the peer to where no rule holds" },
	[FAILURE_EAP] = { "eap", "EAP is asked for" },
	[FAILURE_MULTIPLE_AUTH] = { "multiple-auth", "several authentications are asked for" },
	[FAILURE_HASH_AND_URL] = { "hash-and-url", "the certificate was sent as a URL" },
	[FAILURE_REDIRECT] = { "redirect", "redirected, which Cordon does not follow" },
	[FAILURE_ADDRESS_REQUEST] = { "address-request", "an internal address is asked for" },
	[FAILURE_UNSUPPORTED] = { "unsupported", "something is asked for that the other side does not do" },
	[FAILURE_MALFORMED] = { "malformed", "a message makes no sense" },
	[FAILURE_BUSY] = { "busy", "too much at once" },
	[FAILURE_DATA_PLANE] = { "data-plane", "the data plane failed" },
	[FAILURE_REFUSED] = { "refused", "refused" },
	[FAILURE_INTERNAL] = { "internal", "something failed on this host" },
};
_Static_assert(ARRAY_LEN(rows) == FAILURE_COUNT, "every failure has a row");

const char *failure_name(enum failure_code c)
{
	return rows[c].name;
}

const char *failure_brief(enum failure_code c)
{
	return rows[c].brief;
}

const char *failure_side_name(enum failure_side s)
{
	static const char *const names[] = { [SIDE_HERE] = "here", [SIDE_PEER] = "peer", [SIDE_NOBODY] = "nobody" };

	return names[s];
}

int failure_error(enum failure_code c)
{
	return ERR_FAILURE + (int)c;
}

enum failure_code failure_of(int error)
{
	int code = abs(error);

	if (code > ERR_FAILURE && code < ERR_FAILURE + FAILURE_COUNT)
		return (enum failure_code)(code - ERR_FAILURE);
	switch (code) {
	case 0:
		return FAILURE_NONE;
	case ERR_SYNTAX:
	case ERR_CRITICAL:
	case ERR_UNEXPECTED:
		return FAILURE_MALFORMED;
	case ERR_UNSUPPORTED:
		return FAILURE_UNSUPPORTED;
	case ERR_NO_PROPOSAL:
		return FAILURE_NO_PROPOSAL;
	case ERR_AUTH:
	case ERR_POLICY:
		return FAILURE_NOT_ACCEPTED;
	case ERR_CRYPTO:
		return FAILURE_SIGNATURE;
	default:
		return FAILURE_INTERNAL;
	}
}
