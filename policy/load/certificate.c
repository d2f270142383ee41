/* What a policy asks of certificates: an authentication method `certificate`. */
#include "base/str.h"
#include "policy/model.h"

#include <string.h>

enum { EKUS_MOST = 100, NAME_LENGTH_MOST = 255 };

/* Extended key usages by the names that people say. */
static const struct {
	const char *name, *oid;
} usages[] = {
	{ "any", NULL },
	{ "ike-intermediate", "1.3.6.1.5.5.8.2.2" },
	{ "ipsec-ike", "1.3.6.1.5.5.7.3.17" },
	{ "ipsec-end-system", "1.3.6.1.5.5.7.3.5" },
	{ "server-auth", "1.3.6.1.5.5.7.3.1" },
	{ "client-auth", "1.3.6.1.5.5.7.3.2" },
};

static bool is_oid(const char *text, size_t len)
{
	bool digit = false, dot = false;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '.') {
			if (!digit)
				return false;
			digit = false;
			dot = true;
		} else if (text[i] >= '0' && text[i] <= '9') {
			digit = true;
		} else {
			return false;
		}
	}
	return digit && dot;
}

/* NULL in *ret: any. */
static bool read_usage(struct load *l, uint32_t node, const char **ret)
{
	const char *text, *names[ARRAY_LEN(usages)], *near;
	SCOPED(str_wipe) struct str word = { 0 };
	size_t len;
	struct finding *f;

	if (!read_word(&l->rd, node, "extended-key-usage", &text, &len))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(usages); i++) {
		names[i] = usages[i].name;
		if (node_is(&l->rd, node, usages[i].name)) {
			*ret = usages[i].oid;
			return true;
		}
	}
	if (is_oid(text, len)) {
		*ret = arena_string(&l->p->memory, text, len);
		return true;
	}
	str_add_n(&word, text, len);
	f = read_error(&l->rd, "bad-value", node,
		       "extended-key-usage is ike-intermediate, another known name, a dotted OID, or any, not '%.60s'",
		       str_text(&word));
	if ((near = report_nearest(str_text(&word), names, ARRAY_LEN(names))))
		finding_advise(f, "did you mean '%s'?", near);
	return false;
}

static void read_usages(struct load *l, uint32_t node, struct certificate_criteria *c)
{
	size_t most = item_count(&l->rd, node);
	const char **all;

	if (node_is_map(&l->rd, node) || most == 0 || most > EKUS_MOST) {
		read_error(&l->rd, "wrong-type", node, "extended-key-usage is one usage or a list of 1 to %d",
			   EKUS_MOST);
		return;
	}
	all = arena_new(&l->p->memory, most, sizeof *all);
	for (uint32_t i = item_first(&l->rd, node); i; i = item_next(&l->rd, node, i)) {
		const char *oid = NULL;

		if (read_usage(l, i, &oid) && oid)
			all[c->eku_count++] = oid;
	}
	c->ekus = all;
}

static void read_subject(struct load *l, uint32_t node, struct certificate_criteria *c)
{
	static const struct map_key keys[NAME_TYPES] = {
		[NAME_ANY] = { "any", false }, [NAME_DNS] = { "dns", false },     [NAME_UPN] = { "upn", false },
		[NAME_CN] = { "cn", false },   [NAME_EMAIL] = { "email", false }, [NAME_OU] = { "ou", false },
		[NAME_O] = { "o", false },     [NAME_DC] = { "dc", false },
	};
	uint32_t v[NAME_TYPES - 1];
	unsigned count = 0;

	if (!read_map(&l->rd, node, "subject", keys + 1, NAME_TYPES - 1, v))
		return;
	for (unsigned i = 0; i < NAME_TYPES - 1; i++) {
		if (!v[i])
			continue;
		count++;
		c->name_type = (enum certificate_name)(i + 1);
		if (read_string(&l->rd, v[i], keys[i + 1].name, &c->name) && strlen(c->name) > NAME_LENGTH_MOST)
			read_error(&l->rd, "bad-value", v[i], "a name has at most %d octets", NAME_LENGTH_MOST);
	}
	if (count != 1)
		read_error(&l->rd, "bad-value", node, "subject names one of dns, upn, email, cn, ou, o and dc");
}

/* Hexadecimal as tools print it: in either case, with colons or spaces or without. */
static void read_thumbprint(struct load *l, uint32_t node, struct certificate_criteria *c)
{
	static const char digits[] = "0123456789abcdef0123456789ABCDEF";
	char hex[65];
	const char *text, *digit;
	size_t len, n = 0;
	bool ok = true;

	if (!read_word(&l->rd, node, "thumbprint", &text, &len))
		return;
	for (size_t i = 0; ok && i < len; i++) {
		if (text[i] == ':' || text[i] == ' ')
			continue;
		digit = text[i] ? strchr(digits, text[i]) : NULL;
		ok = digit && n < sizeof hex - 1;
		if (ok)
			hex[n++] = digits[(digit - digits) % 16];
	}
	if (ok && (n == 40 || n == 64))
		c->thumbprint = arena_string(&l->p->memory, hex, n);
	else
		finding_advise(read_error(&l->rd, "bad-value", node,
					  "a thumbprint is 40 hexadecimal digits (SHA-1) or 64 (SHA-256)"),
			       "openssl x509 -noout -fingerprint -sha256 -in FILE prints it");
}

enum { USAGE, SUBJECT, THUMBPRINT, FOLLOW, CRITERIA };

/* The four criteria, from the values of their keys; selects: they are for own certificates alone. */
static void read_values(struct load *l, const uint32_t *v, bool selects, struct certificate_criteria *c)
{
	if (v[USAGE])
		read_usages(l, v[USAGE], c);
	if (v[SUBJECT])
		read_subject(l, v[SUBJECT], c);
	if (v[THUMBPRINT])
		read_thumbprint(l, v[THUMBPRINT], c);
	if (!v[FOLLOW] || !read_bool(&l->rd, v[FOLLOW], "follow-renewal", &c->follow_renewal) || !c->follow_renewal)
		return;
	if (!selects)
		read_error(&l->rd, "bad-value", v[FOLLOW],
			   "follow-renewal stands under `selection`, with a thumbprint: which certificate of a peer's "
			   "follows another cannot be known");
	else if (!v[THUMBPRINT])
		read_error(&l->rd, "missing-key", v[FOLLOW],
			   "follow-renewal needs the thumbprint of the certificate whose renewals to follow");
}

static const struct map_key criteria_keys[CRITERIA] = {
	[USAGE] = { "extended-key-usage", false },
	[SUBJECT] = { "subject", false },
	[THUMBPRINT] = { "thumbprint", false },
	[FOLLOW] = { "follow-renewal", false },
};

static void read_criteria(struct load *l, uint32_t node, const char *what, bool selects, struct certificate_criteria *c)
{
	uint32_t v[CRITERIA];

	if (node && read_map(&l->rd, node, what, criteria_keys, CRITERIA, v))
		read_values(l, v, selects, c);
}

void load_certificate_method(struct load *l, uint32_t node, struct auth_method *m)
{
	enum { ISSUER = CRITERIA, ISSUER_TYPE, SELECTION, VALIDATION, REVOCATION, IDENTITY, ACCOUNT, KEYS };
	static const struct map_key keys[KEYS] = {
		[USAGE] = { "extended-key-usage", false },
		[SUBJECT] = { "subject", false },
		[THUMBPRINT] = { "thumbprint", false },
		[FOLLOW] = { "follow-renewal", false },
		[ISSUER] = { "issuer", false },
		[ISSUER_TYPE] = { "issuer-type", false },
		[SELECTION] = { "selection", false },
		[VALIDATION] = { "validation", false },
		[REVOCATION] = { "revocation", false },
		[IDENTITY] = { "identity", false },
		[ACCOUNT] = { "map-to-account", false },
	};
	static const struct choice revocations[] = {
		{ "off", REVOCATION_OFF },
		{ "check", REVOCATION_CHECK },
		{ "require", REVOCATION_REQUIRE },
	};
	static const struct choice issuer_types[] = {
		{ "any", ISSUER_ANY },
		{ "root", ISSUER_ROOT },
		{ "intermediate", ISSUER_INTERMEDIATE },
	};
	static const struct choice identities[] = { { "certificate", 0 }, { "certificate-or-address", 1 } };
	unsigned revocation = REVOCATION_CHECK, issuer_type = ISSUER_ANY, identity = 0;
	uint32_t v[KEYS];

	m->kind = AUTH_CERTIFICATE;
	(void)read_map(&l->rd, node, "certificate", keys, KEYS, v);
	if (v[ISSUER] && read_string(&l->rd, v[ISSUER], "issuer", &m->issuer) && !strchr(m->issuer, '='))
		finding_advise(
			read_error(&l->rd, "bad-value", v[ISSUER], "'%.60s' is not a distinguished name", m->issuer),
			"write the authority's subject, such as \"CN=Our Root CA\"");
	if (v[ISSUER_TYPE] && !v[ISSUER])
		read_error(&l->rd, "missing-key", v[ISSUER_TYPE], "issuer-type says what `issuer` is; name one");
	if (v[ISSUER_TYPE])
		(void)read_choice(&l->rd, v[ISSUER_TYPE], "issuer-type", issuer_types, ARRAY_LEN(issuer_types),
				  &issuer_type);
	read_values(l, v, false, &m->both);
	read_criteria(l, v[SELECTION], "selection", true, &m->own);
	read_criteria(l, v[VALIDATION], "validation", false, &m->peer);
	if (v[REVOCATION])
		(void)read_choice(&l->rd, v[REVOCATION], "revocation", revocations, ARRAY_LEN(revocations),
				  &revocation);
	if (v[IDENTITY])
		(void)read_choice(&l->rd, v[IDENTITY], "identity", identities, ARRAY_LEN(identities), &identity);
	m->issuer_type = (enum issuer_type)issuer_type;
	m->revocation = (enum revocation)revocation;
	m->address_identity = identity == 1;
	if (v[ACCOUNT])
		(void)read_bool(&l->rd, v[ACCOUNT], "map-to-account", &m->maps_account);
}
