/* What failed, in words that say what to do. The libraries' own words are for programmers, and name neither the host
 * nor the command that mends it. */
#include "identity/kerberos/inside.h"
#include "identity/kerberos/principal.h"

#include <errno.h>
#include <profile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SKEW_TEXT = 96, KVNOS_TEXT = 200 };

/* ---- parts ------------------------------------------------------------------------------------------------------- */

static const char *span(int64_t s, char buf[SKEW_TEXT])
{
	int64_t n = s < 0 ? -s : s;

	if (n < 120)
		(void)snprintf(buf, SKEW_TEXT, "%lld s", (long long)n);
	else if (n < 7200)
		(void)snprintf(buf, SKEW_TEXT, "%lld min", (long long)(n + 30) / 60);
	else if (n < 172800)
		(void)snprintf(buf, SKEW_TEXT, "%lld h", (long long)(n + 1800) / 3600);
	else
		(void)snprintf(buf, SKEW_TEXT, "%lld days", (long long)(n + 43200) / 86400);
	return buf;
}

/* "this host's clock is 12 min ahead of the KDC's" */
static void skew(int64_t ours_s, int64_t theirs_s, const char *whose, char *to, size_t cap)
{
	char text[SKEW_TEXT];

	(void)snprintf(to, cap, "this host's clock is %s %s %s (%d min are allowed): set both by NTP",
		       span(ours_s - theirs_s, text), ours_s >= theirs_s ? "ahead of" : "behind", whose,
		       KERBEROS_SKEW_S / 60);
}

/* "3, 2" */
static const char *kvnos_of(const struct kerberos *k, const char *principal, char buf[KVNOS_TEXT])
{
	size_t len = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < k->told.count; i++) {
		const struct keytab_principal *p = &k->told.all[i];

		if (strcasecmp(p->name, principal) != 0)
			continue;
		for (size_t n = 0; n < p->kvno_count && len < KVNOS_TEXT - 16; n++)
			len += (size_t)snprintf(buf + len, KVNOS_TEXT - len, "%s%u", n ? ", " : "", p->kvnos[n]);
	}
	return buf;
}

static const char *enctypes_of(const struct kerberos *k, const char *principal, char buf[KVNOS_TEXT])
{
	char one[KEYTAB_ENCTYPE_TEXT];
	size_t len = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < k->told.count; i++) {
		const struct keytab_principal *p = &k->told.all[i];

		if (principal && strcasecmp(p->name, principal) != 0)
			continue;
		for (size_t n = 0; n < p->enctype_count && len < KVNOS_TEXT - KEYTAB_ENCTYPE_TEXT - 2; n++)
			len += (size_t)snprintf(buf + len, KVNOS_TEXT - len, "%s%s", n ? ", " : "",
						keytab_enctype_text(p->enctypes[n], one));
		break;
	}
	return buf;
}

/* A KDC's own words may be in it, and nobody has proved that it is the KDC's: ASCII alone goes to a terminal. */
static bool library_says(krb5_context krb5, krb5_error_code code, char *to, size_t cap)
{
	const char *text = krb5_get_error_message(krb5, code);
	bool said = text && *text;

	if (said)
		(void)snprintf(to, cap, "%s", text);
	krb5_free_error_message(krb5, text);
	for (char *c = to; said && *c; c++)
		if (*c < ' ' || *c > '~')
			*c = ' ';
	return said;
}

void words_of_gss(OM_uint32 major, OM_uint32 minor, char to[KERBEROS_WORDS])
{
	gss_buffer_desc text = { 0 };
	OM_uint32 more = 0, ignored;

	if (!minor || gss_display_status(&ignored, minor, GSS_C_MECH_CODE, (gss_OID)(uintptr_t)gss_mech_krb5, &more,
					 &text) != GSS_S_COMPLETE)
		(void)gss_display_status(&ignored, major, GSS_C_GSS_CODE, GSS_C_NO_OID, &more, &text);
	(void)snprintf(to, KERBEROS_WORDS, "%.*s", text.value ? (int)(text.length > 300 ? 300 : text.length) : 0,
		       text.value ? (const char *)text.value : "");
	for (char *c = to; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = ' ';
	(void)gss_release_buffer(&ignored, &text);
}

/* ---- tickets ----------------------------------------------------------------------------------------------------- */

struct asked {
	const struct kerberos *k;
	const struct exchange *exchange;
	const char *client, *target, *realm; /* target: NULL: the ticket-granting ticket */
	char *to;
};

static void say_client_unknown(const struct asked *a)
{
	(void)snprintf(
		a->to, KERBEROS_WORDS,
		"the KDC of %.100s does not know this host's account %.100s: join the host again (adcli join), or "
		"see that the keytab is of this realm",
		a->realm, a->client);
}

static void say_service_unknown(const struct asked *a)
{
	if (!a->target) {
		(void)snprintf(a->to, KERBEROS_WORDS, "the KDC does not serve the realm %.100s", a->realm);
		return;
	}
	(void)snprintf(a->to, KERBEROS_WORDS,
		       "the KDC of %.60s knows no service %.120s: its account lacks that servicePrincipalName (setspn, "
		       "samba-tool spn add), or is in a realm that %.40s has no trust with",
		       a->realm, a->target, a->realm);
}

static void say_password(const struct asked *a)
{
	char kvnos[KVNOS_TEXT];

	(void)snprintf(
		a->to, KERBEROS_WORDS,
		"the KDC refuses this host's key of %.120s (version %.40s in the keytab): the machine's password "
		"was changed since; write the keytab again (adcli update, or samba-tool domain exportkeytab)",
		a->client, kvnos_of(a->k, a->client, kvnos));
}

static void say_revoked(const struct asked *a)
{
	(void)snprintf(a->to, KERBEROS_WORDS, "this host's account %.120s is disabled or locked in %.100s", a->client,
		       a->realm);
}

static void say_expired(const struct asked *a)
{
	(void)snprintf(a->to, KERBEROS_WORDS,
		       "the password of this host's account %.120s has ended: change it (adcli update) and write the "
		       "keytab again",
		       a->client);
}

static void say_skew(const struct asked *a)
{
	const struct exchange *e = a->exchange;
	char whose[PEER_TEXT + 32];

	(void)snprintf(whose, sizeof whose, "that of the KDC of %.100s", a->realm);
	if (e->has_said && e->said.its_time_s)
		skew(e->said_at_s, e->said.its_time_s, whose, a->to, KERBEROS_WORDS);
	else
		(void)snprintf(
			a->to, KERBEROS_WORDS,
			"this host's clock and that of the KDC of %.100s differ by more than %d min: set both by "
			"NTP",
			a->realm, KERBEROS_SKEW_S / 60);
}

static void say_no_enctype(const struct asked *a)
{
	char enctypes[KVNOS_TEXT];

	(void)snprintf(
		a->to, KERBEROS_WORDS,
		"the KDC of %.80s and this host have no encryption type in common%s%.120s: the keytab has %.100s; "
		"msDS-SupportedEncryptionTypes of the account should be 24 (AES)",
		a->realm, a->target ? " for " : "", a->target ? a->target : "", enctypes_of(a->k, a->client, enctypes));
}

static void say_realm(const struct asked *a)
{
	(void)snprintf(a->to, KERBEROS_WORDS, "%.120s is not of the realm %.100s, or that realm is spelt otherwise",
		       a->target ? a->target : a->client, a->realm);
}

static void say_ticket_ended(const struct asked *a)
{
	(void)snprintf(a->to, KERBEROS_WORDS,
		       "the KDC of %.100s says that this host's ticket has ended: is its clock right?", a->realm);
}

static void say_policy(const struct asked *a)
{
	(void)snprintf(a->to, KERBEROS_WORDS, "the KDC of %.100s refuses %.120s a ticket%s%.120s by its own policy",
		       a->realm, a->client, a->target ? " for " : "", a->target ? a->target : "");
}

static void say_no_key(const struct asked *a)
{
	(void)snprintf(a->to, KERBEROS_WORDS, "the keytab has no key of %.120s that the KDC of %.100s takes", a->client,
		       a->realm);
}

static void say_forged(const struct asked *a)
{
	(void)snprintf(a->to, KERBEROS_WORDS,
		       "what came as the answer of the KDC of %.100s is not by its key: somebody else answers, or the "
		       "keytab is not of this realm's account",
		       a->realm);
}

static void say_endless(const struct asked *a)
{
	(void)snprintf(a->to, KERBEROS_WORDS, "the KDCs refer from realm to realm without an end, lastly to %.100s",
		       a->realm);
}

static const struct {
	krb5_error_code code;
	void (*say)(const struct asked *a);
} rows[] = {
	{ KRB5KDC_ERR_C_PRINCIPAL_UNKNOWN, say_client_unknown },
	{ KRB5KDC_ERR_S_PRINCIPAL_UNKNOWN, say_service_unknown },
	{ KRB5KDC_ERR_PREAUTH_FAILED, say_password },
	{ KRB5_PREAUTH_FAILED, say_password },
	{ KRB5KDC_ERR_CLIENT_REVOKED, say_revoked },
	{ KRB5KDC_ERR_KEY_EXP, say_expired },
	{ KRB5KDC_ERR_NAME_EXP, say_expired },
	{ KRB5KRB_AP_ERR_SKEW, say_skew },
	{ KRB5_KDCREP_SKEW, say_skew },
	{ KRB5KRB_AP_ERR_TKT_NYV, say_skew },
	{ KRB5KDC_ERR_NEVER_VALID, say_skew },
	{ KRB5KDC_ERR_ETYPE_NOSUPP, say_no_enctype },
	{ KRB5_CONFIG_ETYPE_NOSUPP, say_no_enctype },
	{ KRB5_GET_IN_TKT_LOOP, say_password },
	{ KRB5KDC_ERR_WRONG_REALM, say_realm },
	{ KRB5_REALM_UNKNOWN, say_realm },
	{ KRB5KRB_AP_ERR_TKT_EXPIRED, say_ticket_ended },
	{ KRB5KDC_ERR_POLICY, say_policy },
	{ KRB5_KT_NOTFOUND, say_no_key },
	{ KRB5_KT_KVNONOTFOUND, say_password },
	{ KRB5KRB_AP_ERR_BAD_INTEGRITY, say_forged },
	{ KRB5_KDCREP_MODIFIED, say_forged },
	{ -ELOOP, say_endless },
};

void words_of_ticket(const struct kerberos *k, const struct exchange *e, krb5_error_code code, const char *target,
		     char to[KERBEROS_WORDS])
{
	const char *client = keytab_told_client(&k->told);
	struct asked a = { .k = k, .exchange = e, .client = client ? client : "", .target = target, .to = to };
	char own[200] = "";

	a.realm = e->realm[0] ? e->realm : principal_realm(a.client);
	/* In an answer to the keytab's own proof a wrong check value means a wrong key. */
	if (code == KRB5KRB_AP_ERR_BAD_INTEGRITY && !target) {
		say_password(&a);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].code == code) {
			rows[i].say(&a);
			return;
		}
	(void)library_says(k->krb5, code, own, sizeof own);
	(void)snprintf(to, KERBEROS_WORDS, "the KDC of %.100s gives no ticket%s%.100s: %.160s", a.realm,
		       target ? " for " : "", target ? target : "", own[0] ? own : "it does not say why");
}

/* ---- the peer's token -------------------------------------------------------------------------------------------- */

/* A library whose clocks may differ by years: for how much they do. */
static long lenient_values(void *data, const char *const *names, char ***ret)
{
	static char wide[] = "900000000", *values[] = { wide, NULL };

	(void)data;
	if (!names[0] || !names[1] || strcmp(names[0], "libdefaults") != 0 || strcmp(names[1], "clockskew") != 0)
		return PROF_NO_RELATION;
	*ret = values;
	return 0;
}

static void lenient_free(void *data, char **values)
{
	(void)data, (void)values;
}

static long lenient_copy(void *data, void **ret)
{
	*ret = data;
	return 0;
}

/* What its authenticator says the time is, if a key of ours opens the ticket. */
static bool peer_time(const struct kerberos *k, const struct octets *token, int64_t *ret_s)
{
	struct profile_vtable v = {
		.minor_ver = 1, .get_values = lenient_values, .free_values = lenient_free, .copy = lenient_copy
	};
	struct _profile_t *profile = NULL;
	krb5_context krb5 = NULL;
	krb5_auth_context auth = NULL;
	krb5_authenticator *a = NULL;
	krb5_data request = { 0 };
	size_t len = 0;
	bool known = false;

	request.data = (char *)(uintptr_t)kerberos_token_request(token->at, token->len, &len);
	request.length = (unsigned)len;
	if (!request.data || profile_init_vtable(&v, NULL, &profile) != 0)
		return false;
	if (krb5_init_context_profile(profile, 0, &krb5) == 0 && krb5_auth_con_init(krb5, &auth) == 0 &&
	    krb5_auth_con_setflags(krb5, auth, 0) == 0 &&
	    krb5_rd_req(krb5, &auth, &request, NULL, k->keys, NULL, NULL) == 0 &&
	    krb5_auth_con_getauthenticator(krb5, auth, &a) == 0) {
		*ret_s = (uint32_t)a->ctime;
		known = true;
	}
	if (a)
		krb5_free_authenticator(krb5, a);
	if (auth)
		(void)krb5_auth_con_free(krb5, auth);
	if (krb5)
		krb5_free_context(krb5);
	profile_abandon(profile);
	return known;
}

static void say_wrong_key(const struct kerberos *k, const struct kerberos_wanted *w, char to[KERBEROS_WORDS])
{
	char kvnos[KVNOS_TEXT], enctypes[KVNOS_TEXT], one[KEYTAB_ENCTYPE_TEXT];
	const char *type = keytab_enctype_text(w->enctype, one);

	(void)kvnos_of(k, w->service, kvnos);
	(void)enctypes_of(k, kvnos[0] ? w->service : NULL, enctypes);
	if (!kvnos[0])
		(void)snprintf(
			to, KERBEROS_WORDS,
			"its ticket is for %.120s (key version %u, %s), which no key of this host's keytab opens: "
			"the keytab is of %.100s, or older than the machine's password",
			w->service, w->kvno, type, keytab_told_own(&k->told) ? keytab_told_own(&k->told) : "nobody");
	else if (!strstr(enctypes, type))
		(void)snprintf(
			to, KERBEROS_WORDS,
			"its ticket for %.120s is of encryption type %s, and this host's keytab has %.80s: set the "
			"account's msDS-SupportedEncryptionTypes to 24, or export that key too",
			w->service, type, enctypes);
	else
		(void)snprintf(to, KERBEROS_WORDS,
			       "its ticket for %.120s wants key version %u (%s), and this host's keytab has %.60s: the "
			       "machine's password was changed since; write the keytab again (adcli update)",
			       w->service, w->kvno, type, kvnos);
}

static bool is_one_of(OM_uint32 minor, const krb5_error_code *codes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (minor == (OM_uint32)codes[i])
			return true;
	return false;
}

static const krb5_error_code skewed[] = { KRB5KRB_AP_ERR_SKEW, KRB5KRB_AP_ERR_TKT_NYV };
static const krb5_error_code no_key[] = {
	KRB5_KT_NOTFOUND,       KRB5_KT_KVNONOTFOUND,  KRB5KRB_AP_ERR_BADKEYVER, KRB5KRB_AP_ERR_NOKEY,
	KRB5KRB_AP_WRONG_PRINC, KRB5KRB_AP_ERR_NOT_US, KRB5KRB_AP_ERR_MODIFIED,  KRB5KRB_AP_ERR_BAD_INTEGRITY,
	KRB5_WRONG_ETYPE,       KRB5_BAD_ENCTYPE,      KRB5KDC_ERR_ETYPE_NOSUPP
};

void words_of_accept(const struct kerberos *k, OM_uint32 major, OM_uint32 minor, const struct octets *token,
		     char to[KERBEROS_WORDS])
{
	struct kerberos_wanted wanted;
	char own[KERBEROS_WORDS];
	int64_t its_s;

	words_of_gss(major, minor, own);
	if (GSS_ROUTINE_ERROR(major) == GSS_S_BAD_BINDINGS)
		(void)snprintf(to, KERBEROS_WORDS, "its Kerberos token is bound to another exchange than this");
	else if (is_one_of(minor, skewed, ARRAY_LEN(skewed)) && peer_time(k, token, &its_s))
		skew(unix_now_s(), its_s, "the peer's", to, KERBEROS_WORDS);
	else if (is_one_of(minor, skewed, ARRAY_LEN(skewed)))
		(void)snprintf(to, KERBEROS_WORDS,
			       "this host's clock and the peer's differ by more than %d min: set both by NTP",
			       KERBEROS_SKEW_S / 60);
	else if (minor == (OM_uint32)KRB5KRB_AP_ERR_TKT_EXPIRED)
		(void)snprintf(
			to, KERBEROS_WORDS,
			"its ticket has ended: it must get a new one (does it reach its KDC?), or a clock is wrong");
	else if (!kerberos_token_wants(token->at, token->len, &wanted))
		(void)snprintf(to, KERBEROS_WORDS, "its Kerberos token means nothing: %.200s", own);
	else if (is_one_of(minor, no_key, ARRAY_LEN(no_key)))
		say_wrong_key(k, &wanted, to);
	else
		(void)snprintf(to, KERBEROS_WORDS, "its ticket for %.120s is not taken: %.200s", wanted.service, own);
}

/* KRB_AP_ERR_* of RFC 4120 7.5.9 that a peer may answer with. */
enum {
	AP_ERR_BAD_INTEGRITY = 31,
	AP_ERR_TKT_EXPIRED = 32,
	AP_ERR_NOT_US = 35,
	AP_ERR_SKEW = 37,
	AP_ERR_MODIFIED = 41,
	AP_ERR_BADKEYVER = 44,
	AP_ERR_NOKEY = 45
};

void words_of_init(OM_uint32 major, OM_uint32 minor, const struct octets *token, const char *peer,
		   char to[KERBEROS_WORDS])
{
	struct kerberos_said said;
	char own[KERBEROS_WORDS];

	words_of_gss(major, minor, own);
	if (!token->len || !kerberos_token_error(token->at, token->len, &said)) {
		(void)snprintf(to, KERBEROS_WORDS,
			       token->len ? "%.160s does not prove itself: %.180s" : "for %.160s: %.180s", peer, own);
		return;
	}
	switch (said.code) {
	case AP_ERR_SKEW:
		skew(unix_now_s(), said.its_time_s, "the peer's", to, KERBEROS_WORDS);
		break;
	case AP_ERR_BAD_INTEGRITY:
	case AP_ERR_NOT_US:
	case AP_ERR_MODIFIED:
	case AP_ERR_BADKEYVER:
	case AP_ERR_NOKEY:
		(void)snprintf(
			to, KERBEROS_WORDS,
			"%.160s cannot open this host's ticket: its keytab is older than its password; write the "
			"keytab there again (adcli update)",
			peer);
		break;
	case AP_ERR_TKT_EXPIRED:
		(void)snprintf(to, KERBEROS_WORDS, "%.160s says that this host's ticket has ended: compare the clocks",
			       peer);
		break;
	default:
		(void)snprintf(to, KERBEROS_WORDS, "%.160s refuses this host's ticket: Kerberos error %d, %.120s", peer,
			       said.code, own);
	}
}
