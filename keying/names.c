/* keying/names.c - what IKE's numbers are called (RFC 7296 3, IANA ikev2-parameters). */
#include "base/scope.h"
#include "keying/v1/message.h"

struct name {
	uint16_t number;
	const char *text;
};

static const struct name exchanges[] = {
	{ IKE_SA_INIT, "IKE_SA_INIT" },
	{ IKE_AUTH, "IKE_AUTH" },
	{ CREATE_CHILD_SA, "CREATE_CHILD_SA" },
	{ INFORMATIONAL, "INFORMATIONAL" },
	{ V1_MAIN, "main mode (IKEv1)" },
	{ V1_QUICK, "quick mode (IKEv1)" },
	{ V1_INFORMATIONAL, "informational (IKEv1)" },
};

static const struct name notifies[] = {
	{ N_UNSUPPORTED_CRITICAL_PAYLOAD, "UNSUPPORTED_CRITICAL_PAYLOAD" },
	{ N_INVALID_IKE_SPI, "INVALID_IKE_SPI" },
	{ N_INVALID_MAJOR_VERSION, "INVALID_MAJOR_VERSION" },
	{ N_INVALID_SYNTAX, "INVALID_SYNTAX" },
	{ N_INVALID_MESSAGE_ID, "INVALID_MESSAGE_ID" },
	{ N_INVALID_SPI, "INVALID_SPI" },
	{ N_NO_PROPOSAL_CHOSEN, "NO_PROPOSAL_CHOSEN" },
	{ N_INVALID_KE_PAYLOAD, "INVALID_KE_PAYLOAD" },
	{ N_AUTHENTICATION_FAILED, "AUTHENTICATION_FAILED" },
	{ N_SINGLE_PAIR_REQUIRED, "SINGLE_PAIR_REQUIRED" },
	{ N_NO_ADDITIONAL_SAS, "NO_ADDITIONAL_SAS" },
	{ N_INTERNAL_ADDRESS_FAILURE, "INTERNAL_ADDRESS_FAILURE" },
	{ N_FAILED_CP_REQUIRED, "FAILED_CP_REQUIRED" },
	{ N_TS_UNACCEPTABLE, "TS_UNACCEPTABLE" },
	{ N_INVALID_SELECTORS, "INVALID_SELECTORS" },
	{ N_TEMPORARY_FAILURE, "TEMPORARY_FAILURE" },
	{ N_CHILD_SA_NOT_FOUND, "CHILD_SA_NOT_FOUND" },
	{ N_WINDOWS_STATUS, "a Windows status code" },
	{ N_INITIAL_CONTACT, "INITIAL_CONTACT" },
	{ N_ADDITIONAL_TS_POSSIBLE, "ADDITIONAL_TS_POSSIBLE" },
	{ N_COOKIE, "COOKIE" },
	{ N_USE_TRANSPORT_MODE, "USE_TRANSPORT_MODE" },
	{ N_REKEY_SA, "REKEY_SA" },
	{ N_REDIRECT, "REDIRECT" },
	{ N_CORDON_NOT_MEMBER, "CORDON_NOT_MEMBER" },
	{ N_SECURE_PASSWORD_METHODS, "SECURE_PASSWORD_METHODS" },
};

static const char *find(const struct name *names, size_t n, uint16_t number)
{
	for (size_t i = 0; i < n; i++)
		if (names[i].number == number)
			return names[i].text;
	return "unknown";
}

const char *ike_exchange_name(uint8_t exchange)
{
	return find(exchanges, ARRAY_LEN(exchanges), exchange);
}

const char *ike_notify_name(uint16_t type)
{
	return find(notifies, ARRAY_LEN(notifies), type);
}
