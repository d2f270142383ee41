#include "identity/usage.h"

#include "base/scope.h"
#include "identity/handle.h"

#include <openssl/objects.h>
#include <stdio.h>
#include <string.h>

static const struct {
	const char *oid, *name;
} usages[] = {
	{ USAGE_IKE_INTERMEDIATE, "ike-intermediate" },
	{ USAGE_IPSEC_IKE, "ipsecIKE" },
	{ USAGE_SERVER_AUTH, "serverAuth" },
	{ USAGE_CLIENT_AUTH, "clientAuth" },
	{ "1.3.6.1.5.5.7.3.3", "codeSigning" },
	{ "1.3.6.1.5.5.7.3.4", "emailProtection" },
	{ "1.3.6.1.5.5.7.3.5", "ipsecEndSystem" },
	{ "1.3.6.1.5.5.7.3.8", "timeStamping" },
	{ "1.3.6.1.5.5.7.3.9", "OCSPSigning" },
	{ "1.3.6.1.4.1.311.20.2.2", "smartcardLogon" },
	{ "1.3.6.1.4.1.311.47.1.1", "healthAuthentication" },
	{ "1.3.6.1.5.2.3.5", "kdcAuthentication" },
	{ USAGE_ANY, "any" },
};

const char *usage_name(const char *oid)
{
	for (size_t i = 0; i < ARRAY_LEN(usages); i++)
		if (strcmp(usages[i].oid, oid) == 0)
			return usages[i].name;
	return oid;
}

const char *usage_oid(const char *name)
{
	SCOPED(object_freep) ASN1_OBJECT *number = NULL;

	for (size_t i = 0; i < ARRAY_LEN(usages); i++)
		if (strcmp(usages[i].name, name) == 0)
			return usages[i].oid;
	number = OBJ_txt2obj(name, 1);
	return number ? name : NULL;
}

static EXTENDED_KEY_USAGE *usages_of(const X509 *certificate)
{
	return X509_get_ext_d2i(certificate, NID_ext_key_usage, NULL, NULL);
}

const char *usage_list(const X509 *certificate, char to[USAGE_TEXT])
{
	SCOPED(usages_freep) EXTENDED_KEY_USAGE *all = usages_of(certificate);
	size_t n = 0;

	(void)snprintf(to, USAGE_TEXT, "none");
	for (int i = 0; i < sk_ASN1_OBJECT_num(all) && n < USAGE_TEXT; i++) {
		char oid[80];

		(void)OBJ_obj2txt(oid, sizeof oid, sk_ASN1_OBJECT_value(all, i), 1);
		n += (size_t)snprintf(to + n, USAGE_TEXT - n, "%s%s", n ? ", " : "", usage_name(oid));
	}
	return to;
}

static bool holds(const EXTENDED_KEY_USAGE *all, const char *oid)
{
	for (int i = 0; i < sk_ASN1_OBJECT_num(all); i++) {
		char text[80];

		(void)OBJ_obj2txt(text, sizeof text, sk_ASN1_OBJECT_value(all, i), 1);
		if (strcmp(text, oid) == 0)
			return true;
	}
	return false;
}

bool usage_named(const X509 *certificate, const char *oid)
{
	SCOPED(usages_freep) EXTENDED_KEY_USAGE *all = usages_of(certificate);

	return holds(all, oid);
}

bool usage_issuable(const X509 *authority, const char *oid)
{
	SCOPED(usages_freep) EXTENDED_KEY_USAGE *all = usages_of(authority);

	if (!all)
		return X509_get_ext_by_NID(authority, NID_ext_key_usage, -1) < 0;
	return holds(all, oid) || holds(all, USAGE_ANY);
}
