#include "identity/name.h"

#include "base/crypto.h"
#include "base/diag.h"
#include "base/scope.h"
#include "identity/handle.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { NAME_PARTS = 32, VALUE_MOST = 256 };

/* ---- for people ---- */

/* Copy UTF-8 text, cut between characters, without control characters (of C1 too: some terminals obey them). */
static void text_put(char to[PEER_TEXT], const char *from, size_t n)
{
	size_t k = 0, i;

	for (i = 0; i < n && k < PEER_TEXT - 1; i++) {
		unsigned char c = (unsigned char)from[i];
		bool c1 = c == 0xc2 && i + 1 < n && (unsigned char)from[i + 1] < 0xa0;

		to[k++] = (char)(c < 0x20 || c == 0x7f || c1 ? '?' : c);
		i += c1;
	}
	if (i < n) { /* cut: not in the middle of a character */
		while (k > 0 && ((unsigned char)to[k - 1] & 0xc0) == 0x80)
			k--;
		k -= k > 0 && (unsigned char)to[k - 1] >= 0xc0;
	}
	to[k] = '\0';
}

const char *name_text(const X509_NAME *n, char to[PEER_TEXT])
{
	SCOPED(bio_freep) BIO *out = BIO_new(BIO_s_mem());
	char *at = NULL;
	long len;

	if (!out || X509_NAME_entry_count(n) == 0) {
		text_put(to, "(no subject)", 12);
		return to;
	}
	(void)X509_NAME_print_ex(out, n, 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB);
	len = BIO_get_mem_data(out, &at);
	text_put(to, at, len > 0 ? (size_t)len : 0);
	return to;
}

/* ---- as a policy writes it ---- */

/* Short names beside those that libcrypto knows. */
static const char *type_name(const char *written)
{
	static const struct {
		const char *written, *known;
	} rows[] = {
		{ "S", "ST" }, /* Windows */
		{ "E", "emailAddress" },
		{ "EMAIL", "emailAddress" },
		{ "T", "title" },
		{ "SN", "serialNumber" }, /* Windows writes SERIALNUMBER, libcrypto takes SN for the surname */
		{ "SERIALNUMBER", "serialNumber" },
		{ "STREET", "street" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcasecmp(rows[i].written, written) == 0)
			return rows[i].known;
	return written;
}

static int type_object(const char *written, ASN1_OBJECT **ret)
{
	char upper[32];
	size_t i;

	if (!(*ret = OBJ_txt2obj(type_name(written), 0))) {
		for (i = 0; i < sizeof upper - 1 && written[i]; i++)
			upper[i] = (char)toupper((unsigned char)written[i]);
		upper[i] = '\0';
		*ret = OBJ_txt2obj(upper, 0); /* "cn" */
	}
	return *ret ? 0 : -ERR_SYNTAX;
}

/* 16 for what is no digit. */
static unsigned hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, tolower((unsigned char)c)) : NULL;

	return at ? (unsigned)(at - digits) : 16;
}

/* One value, as RFC 4514 2.4 escapes it, up to a comma, semicolon or the end. */
static int value_parse(const char **at, char value[VALUE_MOST], size_t *ret_len)
{
	const char *p = *at;
	size_t n = 0, kept = 0; /* kept: escaped spaces at the end stay */
	bool quoted = false;

	while (*p == ' ')
		p++;
	if (*p == '"') {
		quoted = true;
		p++;
	}
	for (; *p && (quoted ? *p != '"' : *p != ',' && *p != ';' && *p != '+'); p++) {
		bool escaped = *p == '\\';
		unsigned high = escaped ? hex_digit(p[1]) : 16, low = high < 16 ? hex_digit(p[2]) : 16;

		if (n == VALUE_MOST)
			return -ERR_SYNTAX;
		if (low < 16) {
			value[n++] = (char)(high << 4 | low);
			p += 2;
		} else if (escaped && p[1]) {
			value[n++] = *++p;
		} else if (escaped) {
			return -ERR_SYNTAX;
		} else {
			value[n++] = *p;
		}
		if (escaped || value[n - 1] != ' ')
			kept = n;
	}
	if (quoted) {
		if (*p++ != '"')
			return -ERR_SYNTAX;
		kept = n;
		while (*p == ' ')
			p++;
		if (*p && *p != ',' && *p != ';' && *p != '+')
			return -ERR_SYNTAX;
	}
	*at = p;
	*ret_len = kept;
	return kept ? 0 : -ERR_SYNTAX;
}

int name_parse(const char *text, X509_NAME **ret, struct diag *d)
{
	SCOPED(x509_name_freep) X509_NAME *n = X509_NAME_new();
	const char *p = text;
	int joined = 0; /* 1: of the same relative name as the one before (a plus sign) */

	/* Text begins with the most specific part and DER ends with it (RFC 4514 2.1), hence each goes to the front. */
	for (int parts = 0;; parts++) {
		SCOPED(object_freep) ASN1_OBJECT *type = NULL;
		char written[64], value[VALUE_MOST];
		const char *equals;
		size_t len = 0;

		while (*p == ' ')
			p++;
		equals = strpbrk(p, "=,;");
		if (!equals || *equals != '=' || equals == p || (size_t)(equals - p) >= sizeof written ||
		    parts == NAME_PARTS)
			return diag_fail(d, ERR_SYNTAX,
					 "'%.80s' is no distinguished name; write it as CN=Example Root CA,O=Example",
					 text);
		len = (size_t)(equals - p);
		while (len && p[len - 1] == ' ')
			len--;
		(void)snprintf(written, sizeof written, "%.*s", (int)len, p);
		if (type_object(written, &type) < 0)
			return diag_fail(
				d, ERR_SYNTAX,
				"'%.80s': '%s' is no part of a distinguished name; usual are CN, O, OU, L, ST, C, DC",
				text, written);
		p = equals + 1;
		if (value_parse(&p, value, &len) < 0 ||
		    X509_NAME_add_entry_by_OBJ(n, type, MBSTRING_UTF8, (const unsigned char *)value, (int)len, 0,
					       joined) != 1)
			return diag_fail(d, ERR_SYNTAX, "'%.80s': no proper value behind %s=", text, written);
		if (!*p)
			break;
		joined = *p == '+';
		p++;
	}
	*ret = TAKE(n);
	return 0;
}

/* One attribute in the form that is compared: UTF-8, lower case in ASCII, one space for many, none at the ends. */
struct part {
	const ASN1_OBJECT *type;
	char value[VALUE_MOST];
};

static bool part_of(const X509_NAME_ENTRY *e, struct part *p)
{
	unsigned char *utf8 = NULL;
	int len = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(e));
	size_t n = 0;
	bool fits = len >= 0 && len < VALUE_MOST && !memchr(utf8, 0, (size_t)len);

	for (int i = 0; fits && i < len; i++) {
		if (utf8[i] == ' ' && (n == 0 || p->value[n - 1] == ' '))
			continue;
		p->value[n++] = (char)(utf8[i] < 0x80 ? tolower(utf8[i]) : utf8[i]);
	}
	if (n && p->value[n - 1] == ' ')
		n--;
	p->value[n] = '\0';
	p->type = X509_NAME_ENTRY_get_object(e);
	OPENSSL_free(utf8);
	return fits;
}

static bool same_from(const X509_NAME *a, const X509_NAME *b, int count, bool backwards)
{
	for (int i = 0; i < count; i++) {
		struct part x, y;

		if (!part_of(X509_NAME_get_entry(a, i), &x) ||
		    !part_of(X509_NAME_get_entry(b, backwards ? count - 1 - i : i), &y) ||
		    OBJ_cmp(x.type, y.type) != 0 || strcmp(x.value, y.value) != 0)
			return false;
	}
	return true;
}

bool name_same(const X509_NAME *a, const X509_NAME *b)
{
	int count = X509_NAME_entry_count(a);

	return count > 0 && count <= NAME_PARTS && count == X509_NAME_entry_count(b) &&
	       (same_from(a, b, count, false) || same_from(a, b, count, true));
}

/* ---- alternative names ---- */

static GENERAL_NAMES *alternatives(const X509 *certificate)
{
	return X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
}

static void address_text(const ASN1_OCTET_STRING *s, char to[PEER_TEXT])
{
	struct addr a = { .family = s->length == 4 ? 4 : 6 };
	char buf[ADDR_TEXT];

	to[0] = '\0';
	if (s->length != 4 && s->length != 16)
		return;
	memcpy(a.octets, s->data, (size_t)s->length);
	(void)snprintf(to, PEER_TEXT, "%s", addr_text(&a, buf));
}

size_t name_alternatives(const X509 *certificate, char to[PEER_NAMES][PEER_TEXT])
{
	SCOPED(general_names_freep) GENERAL_NAMES *names = alternatives(certificate);
	size_t n = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names) && n < PEER_NAMES; i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
		const ASN1_STRING *s;

		to[n][0] = '\0';
		switch (g->type) {
		case GEN_DNS:
		case GEN_EMAIL:
		case GEN_URI:
			s = g->d.ia5;
			if (!memchr(s->data, 0, (size_t)s->length)) /* "a.example\0.b.example" is nobody's name */
				text_put(to[n], (const char *)s->data, (size_t)s->length);
			break;
		case GEN_IPADD:
			address_text(g->d.iPAddress, to[n]);
			break;
		case GEN_DIRNAME:
			(void)name_text(g->d.directoryName, to[n]);
			break;
		default:
			break;
		}
		n += to[n][0] != '\0';
	}
	return n;
}

/* ---- what a policy asks for ---- */

static const struct {
	const char *text;
	int san; /* kind of alternative name; -1: a part of the subject */
	int nid; /* which part */
} name_types[NAME_TYPES] = {
	[NAME_ANY] = { "name", -1, NID_undef },
	[NAME_DNS] = { "DNS name", GEN_DNS, NID_undef },
	[NAME_UPN] = { "user principal name", GEN_OTHERNAME, NID_undef },
	[NAME_EMAIL] = { "e-mail address", GEN_EMAIL, NID_undef },
	[NAME_CN] = { "CN", -1, NID_commonName },
	[NAME_OU] = { "OU", -1, NID_organizationalUnitName },
	[NAME_O] = { "O", -1, NID_organizationName },
	[NAME_DC] = { "DC", -1, NID_domainComponent },
};

const char *name_type_text(enum certificate_name type)
{
	return name_types[type].text;
}

static bool string_is(const ASN1_STRING *s, const char *name)
{
	unsigned char *utf8 = NULL;
	int len = s ? ASN1_STRING_to_UTF8(&utf8, s) : -1;
	bool same = len > 0 && !memchr(utf8, 0, (size_t)len) && (size_t)len == strlen(name) &&
		    strncasecmp((const char *)utf8, name, (size_t)len) == 0;

	OPENSSL_free(utf8);
	return same;
}

static const ASN1_STRING *alternative_string(const GENERAL_NAME *g)
{
	if (g->type != GEN_OTHERNAME)
		return g->d.ia5;
	if (OBJ_obj2nid(g->d.otherName->type_id) != NID_ms_upn || g->d.otherName->value->type != V_ASN1_UTF8STRING)
		return NULL;
	return g->d.otherName->value->value.utf8string;
}

static size_t count_of(const X509 *certificate, int type, char to[PEER_TEXT])
{
	SCOPED(general_names_freep) GENERAL_NAMES *names = alternatives(certificate);
	size_t n = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
		const ASN1_STRING *s = g->type == type ? alternative_string(g) : NULL;

		if (!s)
			continue;
		n++;
		if (s->length >= PEER_TEXT || memchr(s->data, 0, (size_t)s->length))
			return 0;
		memcpy(to, s->data, (size_t)s->length);
		to[s->length] = '\0';
	}
	return n;
}

bool name_account(const X509 *certificate, char to[PEER_TEXT], bool *ret_upn)
{
	char text[PEER_TEXT] = "";
	size_t n = count_of(certificate, GEN_DNS, text);
	bool upn = n == 0;

	if (upn)
		n = count_of(certificate, GEN_OTHERNAME, text);
	if (n != 1 || !*text)
		return false;
	memcpy(to, text, sizeof text);
	*ret_upn = upn;
	return true;
}

bool name_criterion(const X509 *certificate, enum certificate_name type, const char *name)
{
	SCOPED(general_names_freep) GENERAL_NAMES *names = NULL;
	const X509_NAME *subject = X509_get_subject_name(certificate);

	if (name_types[type].san < 0) {
		for (int i = -1; (i = X509_NAME_get_index_by_NID(subject, name_types[type].nid, i)) >= 0;)
			if (string_is(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i)), name))
				return true;
		return false;
	}
	names = alternatives(certificate);
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);

		if (g->type == name_types[type].san && string_is(alternative_string(g), name))
			return true;
	}
	return false;
}

/* ---- identification payloads ---- */

static bool names_hold(const GENERAL_NAMES *names, int type, const struct octets *id)
{
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
		const ASN1_STRING *s;

		if (g->type != type)
			continue;
		s = type == GEN_IPADD ? (const ASN1_STRING *)g->d.iPAddress : g->d.ia5;
		if ((size_t)s->length != id->len)
			continue;
		if (type == GEN_IPADD
			    ? memcmp(s->data, id->at, id->len) == 0
			    : !memchr(id->at, 0, id->len) && strncasecmp((const char *)s->data, id->at, id->len) == 0)
			return true;
	}
	return false;
}

static bool subject_is(const X509 *certificate, const struct octets *id)
{
	const unsigned char *at = id->at;
	SCOPED(x509_name_freep) X509_NAME *n = id->len < 4096 ? d2i_X509_NAME(NULL, &at, (long)id->len) : NULL;

	return n && at == (const unsigned char *)id->at + id->len && X509_NAME_entry_count(n) > 0 &&
	       X509_NAME_cmp(n, X509_get_subject_name(certificate)) == 0;
}

int name_is_identity(const X509 *certificate, uint8_t id_type, const struct octets *id, struct diag *d)
{
	static const struct {
		size_t len; /* 0: any but none */
		int san;
		uint8_t id_type;
	} rows[] = {
		{ 4, GEN_IPADD, ID_IPV4 },
		{ 16, GEN_IPADD, ID_IPV6 },
		{ 0, GEN_DNS, ID_FQDN },
		{ 0, GEN_EMAIL, ID_RFC822 },
	};
	SCOPED(general_names_freep) GENERAL_NAMES *names = alternatives(certificate);
	char claimed[PEER_TEXT], subject[PEER_TEXT], also[PEER_NAMES][PEER_TEXT];
	size_t count;

	if (id_type == ID_DER_DN && subject_is(certificate, id))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].id_type == id_type && id->len > 0 && (rows[i].len == 0 || rows[i].len == id->len) &&
		    names_hold(names, rows[i].san, id))
			return 0;
	count = name_alternatives(certificate, also);
	return diag_fail(d, ERR_AUTH, "the peer calls itself %s, but its certificate is for %s%s%s%s",
			 name_identity_text(id_type, id, claimed),
			 name_text(X509_get_subject_name(certificate), subject), count ? " (" : "",
			 count ? also[0] : "",
			 count > 1 ? " and others)"
			 : count   ? ")"
				   : "");
}

const char *name_identity_text(uint8_t id_type, const struct octets *id, char to[PEER_TEXT])
{
	const unsigned char *at = id->at;
	struct addr a = { .family = id_type == ID_IPV4 ? 4 : 6 };
	size_t want = id_type == ID_IPV4 ? 4 : 16, n = 0;
	char buf[ADDR_TEXT];

	if ((id_type == ID_IPV4 || id_type == ID_IPV6) && id->len == want) {
		memcpy(a.octets, id->at, want);
		(void)snprintf(to, PEER_TEXT, "%s", addr_text(&a, buf));
		return to;
	}
	if (id_type == ID_FQDN || id_type == ID_RFC822) {
		text_put(to, id->at, id->len);
		return to;
	}
	if (id_type == ID_DER_DN && id->len < 4096) {
		SCOPED(x509_name_freep) X509_NAME *name = d2i_X509_NAME(NULL, &at, (long)id->len);

		if (name)
			return name_text(name, to);
		at = id->at;
	}
	n = (size_t)snprintf(to, PEER_TEXT, "ID type %u ", id_type);
	for (size_t i = 0; i < id->len && i < 32; i++)
		n += (size_t)snprintf(to + n, PEER_TEXT - n, "%02x", at[i]);
	return to;
}
