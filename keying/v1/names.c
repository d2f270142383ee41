/* keying/v1/names.c - what IKEv1's numbers are called (RFC 2408 3, 2407 4.6.3; [MS-IKEE] 2.2.6, [MS-ERREF] 2.2). */
#include "base/scope.h"
#include "keying/v1/message.h"
#include <stdio.h>

struct name {
	uint32_t number;
	const char *text;
};

static const struct name exchanges[] = {
	{ V1_MAIN, "main mode" },
	{ V1_AGGRESSIVE, "aggressive mode" },
	{ V1_INFORMATIONAL, "informational" },
	{ V1_QUICK, "quick mode" },
};

static const struct name methods[] = {
	{ V1_METHOD_PSK, "pre-shared key" },    { V1_METHOD_RSA, "RSA" },
	{ V1_METHOD_ECDSA_256, "ECDSA P-256" }, { V1_METHOD_ECDSA_384, "ECDSA P-384" },
	{ V1_METHOD_ECDSA_521, "ECDSA P-521" }, { V1_METHOD_GSS, "Kerberos" },
};

static const struct name notifies[] = {
	{ V1_N_INVALID_PAYLOAD_TYPE, "INVALID-PAYLOAD-TYPE" },
	{ V1_N_DOI_NOT_SUPPORTED, "DOI-NOT-SUPPORTED" },
	{ V1_N_SITUATION_NOT_SUPPORTED, "SITUATION-NOT-SUPPORTED" },
	{ V1_N_INVALID_COOKIE, "INVALID-COOKIE" },
	{ V1_N_INVALID_MAJOR_VERSION, "INVALID-MAJOR-VERSION" },
	{ V1_N_INVALID_MINOR_VERSION, "INVALID-MINOR-VERSION" },
	{ V1_N_INVALID_EXCHANGE_TYPE, "INVALID-EXCHANGE-TYPE" },
	{ V1_N_INVALID_FLAGS, "INVALID-FLAGS" },
	{ V1_N_INVALID_MESSAGE_ID, "INVALID-MESSAGE-ID" },
	{ V1_N_INVALID_PROTOCOL_ID, "INVALID-PROTOCOL-ID" },
	{ V1_N_INVALID_SPI, "INVALID-SPI" },
	{ V1_N_INVALID_TRANSFORM_ID, "INVALID-TRANSFORM-ID" },
	{ V1_N_ATTRIBUTES_NOT_SUPPORTED, "ATTRIBUTES-NOT-SUPPORTED" },
	{ V1_N_NO_PROPOSAL_CHOSEN, "NO-PROPOSAL-CHOSEN" },
	{ V1_N_BAD_PROPOSAL_SYNTAX, "BAD-PROPOSAL-SYNTAX" },
	{ V1_N_PAYLOAD_MALFORMED, "PAYLOAD-MALFORMED" },
	{ V1_N_INVALID_KEY_INFORMATION, "INVALID-KEY-INFORMATION" },
	{ V1_N_INVALID_ID_INFORMATION, "INVALID-ID-INFORMATION" },
	{ V1_N_INVALID_CERT_ENCODING, "INVALID-CERT-ENCODING" },
	{ V1_N_INVALID_CERTIFICATE, "INVALID-CERTIFICATE" },
	{ V1_N_CERT_TYPE_UNSUPPORTED, "CERT-TYPE-UNSUPPORTED" },
	{ V1_N_INVALID_CERT_AUTHORITY, "INVALID-CERT-AUTHORITY" },
	{ V1_N_INVALID_HASH_INFORMATION, "INVALID-HASH-INFORMATION" },
	{ V1_N_AUTHENTICATION_FAILED, "AUTHENTICATION-FAILED" },
	{ V1_N_INVALID_SIGNATURE, "INVALID-SIGNATURE" },
	{ V1_N_ADDRESS_NOTIFICATION, "ADDRESS-NOTIFICATION" },
	{ V1_N_NOTIFY_SA_LIFETIME, "NOTIFY-SA-LIFETIME" },
	{ V1_N_CERTIFICATE_UNAVAILABLE, "CERTIFICATE-UNAVAILABLE" },
	{ V1_N_UNSUPPORTED_EXCHANGE_TYPE, "UNSUPPORTED-EXCHANGE-TYPE" },
	{ V1_N_UNEQUAL_PAYLOAD_LENGTHS, "UNEQUAL-PAYLOAD-LENGTHS" },
	{ V1_N_CONNECTED, "CONNECTED" },
	{ V1_N_RESPONDER_LIFETIME, "RESPONDER-LIFETIME" },
	{ V1_N_REPLAY_STATUS, "REPLAY-STATUS" },
	{ V1_N_INITIAL_CONTACT, "INITIAL-CONTACT" },
	{ V1_N_R_U_THERE, "R-U-THERE" },
	{ V1_N_R_U_THERE_ACK, "R-U-THERE-ACK" },
	{ V1_N_WINDOWS_STATUS, "a Windows status code" },
	{ V1_N_WINDOWS_DOS_COOKIE, "a Windows cookie" },
	{ V1_N_WINDOWS_EXCHANGE_INFO, "Windows exchange information" },
};

static const struct name windows_errors[] = {
	{ 0x35e9, "credentials unacceptable" },
	{ 0x35ea, "attributes unacceptable" },
	{ 0x35ec, "general processing error" },
	{ 0x35ed, "timed out" },
	{ 0x35ee, "no machine certificate" },
	{ 0x35ef, "SA deleted by peer before complete" },
	{ 0x35f5, "no response from peer" },
	{ 0x35f9, "revocation check failed" },
	{ 0x35fa, "invalid certificate key usage" },
	{ 0x35fb, "invalid certificate type" },
	{ 0x35fc, "no private key" },
	{ 0x3600, "invalid header" },
	{ 0x3601, "no policy configured" },
	{ 0x3602, "signature verification failed" },
	{ 0x3603, "Kerberos authentication failed" },
	{ 0x3604, "the certificate has no public key" },
	{ 0x3605, "error in a notification" },
	{ 0x3606, "error in the SA payload" },
	{ 0x3607, "error in a proposal" },
	{ 0x3608, "error in a transform" },
	{ 0x3609, "error in the key exchange" },
	{ 0x360a, "error in an ID payload" },
	{ 0x360b, "error in a certificate" },
	{ 0x360c, "error in a certificate request" },
	{ 0x360d, "error in a hash" },
	{ 0x360e, "error in a signature" },
	{ 0x360f, "error in a nonce" },
	{ 0x3610, "error in a notification" },
	{ 0x3611, "error in a delete" },
	{ 0x3612, "error in a vendor ID" },
	{ 0x3613, "invalid payload" },
	{ 0x3616, "invalid cookie" },
	{ 0x3617, "peer sent no valid machine certificate" },
	{ 0x3618, "revocation check of the peer's certificate failed" },
	{ 0x3619, "policy changed" },
	{ 0x361a, "no main mode policy" },
	{ 0x361f, "Kerberos server credential not obtainable" },
	{ 0x3620, "Kerberos server name not obtainable" },
	{ 0x3627, "invalid situation" },
	{ 0x3628, "Diffie-Hellman failure" },
	{ 0x3629, "invalid Diffie-Hellman group" },
	{ 0x362a, "encryption error" },
	{ 0x362b, "decryption error" },
	{ 0x362c, "policy match error" },
	{ 0x362d, "unsupported ID" },
	{ 0x362e, "hash verification failed" },
	{ 0x3637, "responder lifetime below the minimum" },
	{ 0x3639, "certificate key too short" },
	{ 0x363a, "too many main modes with this peer" },
	{ 0x363c, "main mode has reached its limit of quick modes" },
	{ 0x363d, "main mode expired or was deleted by the peer" },
	{ 0x363e, "main mode taken for invalid" },
	{ 0x363f, "certificate does not lead to the required root" },
	{ 0x3640, "unexpected message ID" },
	{ 0x3641, "invalid attributes of user mode" },
	{ 0x3642, "a cookie was sent" },
	{ 0x3643, "service shutting down" },
	{ 0x3644, "binding of a generated address failed" },
	{ 0x3645, "error in NAT-OA" },
	{ 0x3646, "main mode's parameters are invalid for this quick mode" },
	{ 0x3647, "quick mode expired" },
};

static const char *find(const struct name *names, size_t n, uint32_t number)
{
	for (size_t i = 0; i < n; i++)
		if (names[i].number == number)
			return names[i].text;
	return "unknown";
}

const char *v1_exchange_name(uint8_t exchange)
{
	return find(exchanges, ARRAY_LEN(exchanges), exchange);
}

const char *v1_method_name(uint16_t method)
{
	return find(methods, ARRAY_LEN(methods), method);
}

const char *v1_notify_name(uint16_t type)
{
	return find(notifies, ARRAY_LEN(notifies), type);
}

const char *v1_windows_error(uint32_t code, char buf[V1_WINDOWS_TEXT])
{
	(void)snprintf(buf, V1_WINDOWS_TEXT, "%s (0x%x)", find(windows_errors, ARRAY_LEN(windows_errors), code), code);
	return buf;
}
