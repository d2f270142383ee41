#include "identity/lineage.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "base/str.h"
#include "identity/handle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHA1_HEX = 40, SHA256_HEX = 64 };

struct ancestor {
	char sha1[SHA1_HEX + 1], sha256[SHA256_HEX + 1];
	char name[SHA256_HEX + 1]; /* of its subject; of its alternative names where there is none */
};

struct lineage {
	struct ancestor of[LINEAGE_MOST]; /* oldest first */
	size_t count;
};

struct lineage *lineage_new(void)
{
	return mem_new(1, sizeof(struct lineage));
}

void lineage_free(struct lineage *l)
{
	free(l);
}

static void hex(const uint8_t *at, size_t n, char *to)
{
	for (size_t i = 0; i < n; i++)
		(void)snprintf(to + 2 * i, 3, "%02x", at[i]);
}

static bool name_digest(const X509 *c, char to[SHA256_HEX + 1])
{
	const X509_NAME *subject = X509_get_subject_name(c);
	int at = X509_get_ext_by_NID(c, NID_subject_alt_name, -1);
	const ASN1_OCTET_STRING *names = at >= 0 ? X509_EXTENSION_get_data(X509_get_ext(c, at)) : NULL;
	unsigned char *der = NULL;
	struct octets part = { 0 };
	uint8_t digest[DIGEST_MAX];
	size_t len;
	int n = X509_NAME_entry_count(subject) ? i2d_X509_NAME(subject, &der) : 0;
	bool ok;

	if (n > 0)
		part = (struct octets){ der, (size_t)n };
	else if (names)
		part = (struct octets){ ASN1_STRING_get0_data(names), (size_t)ASN1_STRING_length(names) };
	ok = part.len && crypto_digest("SHA256", &part, 1, digest, &len, NULL) == 0;
	if (ok)
		hex(digest, len, to);
	OPENSSL_free(der);
	return ok;
}

static bool describe(const X509 *c, struct ancestor *a)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	*a = (struct ancestor){ 0 };
	if (X509_digest(c, EVP_sha1(), digest, &n) != 1)
		return false;
	hex(digest, n, a->sha1);
	if (X509_digest(c, EVP_sha256(), digest, &n) != 1)
		return false;
	hex(digest, n, a->sha256);
	return name_digest(c, a->name);
}

static bool keep(struct lineage *l, const struct ancestor *a)
{
	for (size_t i = 0; i < l->count; i++)
		if (strcmp(l->of[i].sha256, a->sha256) == 0)
			return false;
	if (l->count == LINEAGE_MOST)
		memmove(l->of, l->of + 1, --l->count * sizeof *l->of);
	l->of[l->count++] = *a;
	return true;
}

bool lineage_note(struct lineage *l, const X509 *certificate)
{
	struct ancestor a;

	return describe(certificate, &a) && keep(l, &a);
}

bool lineage_follows(const struct lineage *l, const char *thumbprint, const X509 *certificate)
{
	char name[SHA256_HEX + 1] = "";

	if (!name_digest(certificate, name))
		return false;
	for (size_t i = 0; i < l->count; i++)
		if (strcmp(name, l->of[i].name) == 0 &&
		    (strcmp(thumbprint, l->of[i].sha1) == 0 || strcmp(thumbprint, l->of[i].sha256) == 0))
			return true;
	return false;
}

void lineage_read(struct lineage *l, const char *text)
{
	static const char digits[] = "0123456789abcdef";

	for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
		struct ancestor a = { 0 };

		if (sscanf(text, "%40[0-9a-f] %64[0-9a-f] %64[0-9a-f]", a.sha1, a.sha256, a.name) == 3 &&
		    strspn(a.sha1, digits) == SHA1_HEX && strspn(a.sha256, digits) == SHA256_HEX &&
		    strspn(a.name, digits) == SHA256_HEX)
			(void)keep(l, &a);
	}
}

void lineage_write(const struct lineage *l, struct str *out)
{
	for (size_t i = 0; i < l->count; i++)
		str_addf(out, "%s %s %s\n", l->of[i].sha1, l->of[i].sha256, l->of[i].name);
}
