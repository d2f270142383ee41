#include "identity/criteria.h"

#include "base/diag.h"
#include "identity/lineage.h"
#include "identity/name.h"
#include "identity/usage.h"
#include "observe/event.h"

#include <stdio.h>
#include <string.h>

static bool is_root(const X509 *c)
{
	return X509_NAME_cmp(X509_get_subject_name(c), X509_get_issuer_name(c)) == 0;
}

/* Any authority of the path, the root alone, or those between. An anchor that is no root names the root as its issuer.
 */
static bool issued_by(const struct chain *c, enum issuer_type type, const X509_NAME *wanted)
{
	int count = sk_X509_num(c->path);
	const X509 *last = sk_X509_value(c->path, count - 1);

	for (int i = 1; i < count; i++) {
		const X509 *a = sk_X509_value(c->path, i);

		if (type != ISSUER_ANY && is_root(a) != (type == ISSUER_ROOT))
			continue;
		if (name_same(X509_get_subject_name(a), wanted))
			return true;
	}
	return type != ISSUER_INTERMEDIATE && name_same(X509_get_issuer_name(last), wanted);
}

static int satisfies_issuer(const struct chain *c, const struct auth_method *m, const char *asker, struct diag *d)
{
	static const char *const types[] = { "", "the root ", "the intermediate authority " };
	SCOPED(x509_name_freep) X509_NAME *wanted = NULL;
	const X509 *last = sk_X509_value(c->path, sk_X509_num(c->path) - 1);
	char root[PEER_TEXT];
	int r;

	if (!m->issuer)
		return 0;
	if ((r = name_parse(m->issuer, &wanted, d)) < 0)
		return r;
	if (issued_by(c, m->issuer_type, wanted))
		return 0;
	return diag_fail(d, failure_error(FAILURE_ISSUER), "%s was issued under %s; %s asks for %s%s", c->subject,
			 name_text(X509_get_issuer_name(last), root), asker, types[m->issuer_type], m->issuer);
}

static int satisfies_usage(const struct chain *c, const char *eku, const char *asker, struct diag *d)
{
	X509 *leaf = sk_X509_value(c->path, 0);
	char list[USAGE_TEXT], authority[PEER_TEXT];

	if (!usage_named(leaf, eku)) {
		(void)usage_list(leaf, list);
		if (strcmp(list, "none") == 0)
			return diag_fail(d, failure_error(FAILURE_USAGE),
					 "%s has no extended key usage; %s asks for %s", c->subject, asker,
					 usage_name(eku));
		return diag_fail(d, failure_error(FAILURE_USAGE), "%s has extended key usage %s only; %s asks for %s",
				 c->subject, list, asker, usage_name(eku));
	}
	for (int i = 1; i < sk_X509_num(c->path); i++) {
		X509 *a = sk_X509_value(c->path, i);

		if (!usage_issuable(a, eku))
			return diag_fail(d, failure_error(FAILURE_USAGE),
					 "%s: its authority %s may not issue for %s, which %s asks for", c->subject,
					 name_text(X509_get_subject_name(a), authority), usage_name(eku), asker);
	}
	return 0;
}

static bool has_thumbprint(const X509 *c, const char *wanted)
{
	uint8_t octets[EVP_MAX_MD_SIZE];
	char hex[2 * EVP_MAX_MD_SIZE + 1] = "";
	unsigned n = 0;

	if (X509_digest(c, strlen(wanted) == 40 ? EVP_sha1() : EVP_sha256(), octets, &n) != 1)
		return false;
	for (unsigned i = 0; i < n; i++)
		(void)snprintf(hex + 2 * (size_t)i, 3, "%02x", octets[i]);
	return strcmp(hex, wanted) == 0;
}

static int satisfies(const struct chain *c, const struct certificate_criteria *want, const struct lineage *lineage,
		     const char *asker, struct diag *d)
{
	X509 *leaf = sk_X509_value(c->path, 0);
	int r;

	for (size_t i = 0; i < want->eku_count; i++)
		if ((r = satisfies_usage(c, want->ekus[i], asker, d)) < 0)
			return r;
	if (want->name_type != NAME_ANY && !name_criterion(leaf, want->name_type, want->name))
		return diag_fail(d, failure_error(FAILURE_CRITERIA), "%s has no %s %s, which %s asks for", c->subject,
				 name_type_text(want->name_type), want->name, asker);
	if (want->thumbprint && !has_thumbprint(leaf, want->thumbprint) &&
	    !(want->follow_renewal && lineage && lineage_follows(lineage, want->thumbprint, leaf)))
		return diag_fail(d, failure_error(FAILURE_CRITERIA),
				 "%s is not the certificate with thumbprint %s%s, which %s asks for", c->subject,
				 want->thumbprint,
				 want->follow_renewal ? ", nor is it known to have followed that one" : "", asker);
	return 0;
}

int criteria_satisfied(const struct chain *c, const struct auth_method *m, enum criteria_side side,
		       const struct lineage *lineage, const char *asker, struct diag *d)
{
	char quoted[80];
	int r;

	(void)snprintf(quoted, sizeof quoted, asker ? "'%.70s'" : "%s", asker ? asker : "the policy");
	if ((r = satisfies_issuer(c, m, quoted, d)) < 0 || (r = satisfies(c, &m->both, lineage, quoted, d)) < 0)
		return r;
	return satisfies(c, side == CRITERIA_OWN ? &m->own : &m->peer, lineage, quoted, d);
}
