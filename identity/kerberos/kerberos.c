#include "identity/kerberos/kerberos.h"

#include "base/key.h"
#include "identity/kerberos/inside.h"
#include "identity/kerberos/pac.h"
#include "identity/kerberos/principal.h"

#include <errno.h>
#include <gssapi/gssapi_ext.h>
#include <profile.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	FLAGS = GSS_C_MUTUAL_FLAG | GSS_C_INTEG_FLAG | GSS_C_CONF_FLAG | GSS_C_SEQUENCE_FLAG,
	FLAGS_NEEDED = GSS_C_MUTUAL_FLAG | GSS_C_INTEG_FLAG,
	CHANNEL_BOUND = 2048, /* GSS_C_CHANNEL_BOUND_FLAG, which older headers lack */
	GOOD_LEAST_MS = 10000,
	BINDING_MOST = 256,
};

int64_t unix_now_s(void)
{
	return (int64_t)time(NULL);
}

static gss_OID mechanism(void)
{
	return (gss_OID)(uintptr_t)gss_mech_krb5;
}

/* ---- the library ------------------------------------------------------------------------------------------------- */

/* No file says what the library does: neither krb5.conf nor mechanisms that somebody has added; and no replay cache,
 * which would be a file. A prefix of "none:" is how newer libraries are told, the other variable is for older ones. */
int kerberos_prepare(struct diag *d)
{
	static const char *const settings[][2] = {
		{ "KRB5_CONFIG", "/nonexistent" },   { "GSS_MECH_CONFIG", "/nonexistent" },
		{ "KRB5RCACHENAME", "none:" },       { "KRB5RCACHETYPE", "none" },
		{ "KRB5CCNAME", "MEMORY:" },         { "KRB5_KTNAME", "MEMORY:" },
		{ "KRB5_CLIENT_KTNAME", "MEMORY:" },
	};
	gss_OID_set all = NULL;
	OM_uint32 minor;

	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		(void)setenv(settings[i][0], settings[i][1], 1);
	(void)unsetenv("KRB5_TRACE");
	if (gss_indicate_mechs(&minor, &all) != GSS_S_COMPLETE)
		return diag_fail(d, ERR_UNSUPPORTED, "the Kerberos library does not start");
	(void)gss_release_oid_set(&minor, &all);
	return 0;
}

/* A krb5.conf without a word in it. */
static int new_library(krb5_context *ret, struct diag *d)
{
	struct _profile_t *empty = NULL;
	krb5_error_code r;

	if (profile_init(NULL, &empty) != 0)
		return diag_fail(d, ERR_UNSUPPORTED, "the Kerberos library makes no profile");
	r = krb5_init_context_profile(empty, 0, ret);
	profile_abandon(empty);
	return r ? diag_fail(d, ERR_UNSUPPORTED, "the Kerberos library does not start: error %d", (int)r) : 0;
}

int kerberos_new(const struct kerberos_means *means, struct kerberos **ret, struct diag *d)
{
	SCOPED(kerberos_freep) struct kerberos *k = mem_new(1, sizeof *k);
	int r;

	k->means = *means;
	k->acceptor = GSS_C_NO_CREDENTIAL;
	TAILQ_INIT(&k->by_age);
	TAILQ_INIT(&k->tickets);
	if ((r = new_library(&k->krb5, d)) < 0)
		return r;
	*ret = TAKE(k);
	return 0;
}

static void forget_keys(struct kerberos *k)
{
	OM_uint32 minor;

	(void)gss_release_cred(&minor, &k->acceptor);
	if (k->keys)
		(void)krb5_kt_close(k->krb5, k->keys); /* the last one wipes it */
	k->keys = NULL;
	keytab_free(k->keytab);
	k->keytab = NULL;
	k->told = (struct keytab_told){ 0 };
}

void kerberos_free(struct kerberos *k)
{
	if (!k)
		return;
	k->means.stepped = NULL;
	tickets_forget(k);
	kerberos_end_range(k, 0, UINT64_MAX);
	table_wipe(&k->contexts);
	if (k->krb5) {
		forget_keys(k);
		krb5_free_context(k->krb5);
	}
	free(k);
}

/* ---- the keytab -------------------------------------------------------------------------------------------------- */

static krb5_error_code add_key(struct kerberos *k, const struct keytab_entry *from)
{
	krb5_keytab_entry e = { .vno = from->kvno,
				.key = { .enctype = from->enctype,
					 .length = (unsigned)from->key_len,
					 .contents = (krb5_octet *)(uintptr_t)from->key } };
	krb5_error_code r = krb5_parse_name(k->krb5, from->principal, &e.principal);

	if (r)
		return r;
	e.principal->type = (krb5_int32)from->name_type;
	r = krb5_kt_add_entry(k->krb5, k->keys, &e);
	krb5_free_principal(k->krb5, e.principal);
	return r;
}

static int fill(struct kerberos *k, const struct keytab *keytab, struct diag *d)
{
	static unsigned last;
	OM_uint32 major, minor;
	krb5_error_code r;
	char name[48], words[KERBEROS_WORDS];

	(void)snprintf(name, sizeof name, "MEMORY:cordon-%u", ++last);
	if ((r = krb5_kt_resolve(k->krb5, name, &k->keys)))
		return diag_fail(d, ERR_UNSUPPORTED, "the Kerberos library makes no keytab: error %d", (int)r);
	for (size_t i = 0; i < keytab->count; i++)
		if (add_key(k, &keytab->entries[i])) /* a kind that this library does not have any more */
			continue;
	major = gss_krb5_import_cred(&minor, NULL, NULL, k->keys, &k->acceptor);
	if (GSS_ERROR(major)) {
		words_of_gss(major, minor, words);
		return diag_fail(d, ERR_UNSUPPORTED, "the keytab cannot be used: %.300s", words);
	}
	k->keytab = keytab_copy(keytab);
	keytab_tell(keytab, &k->told);
	return 0;
}

int kerberos_set_keytab(struct kerberos *k, const struct keytab *keytab, struct diag *d)
{
	int r;

	if (keytab && k->keytab && keytab_equal(keytab, k->keytab)) {
		tickets_make_stale(k);
		return 0;
	}
	tickets_forget(k);
	forget_keys(k);
	if (!keytab)
		return 0;
	if ((r = fill(k, keytab, d)) < 0)
		forget_keys(k);
	return r;
}

/* ---- contexts ---------------------------------------------------------------------------------------------------- */

static struct context *context_find(const struct kerberos *k, uint64_t gss)
{
	return table_find(&k->contexts, gss, NULL, NULL);
}

static void context_free(struct kerberos *k, struct context *c)
{
	OM_uint32 minor;

	context_leave(c);
	table_remove(&k->contexts, c->gss, c);
	TAILQ_REMOVE(&k->by_age, c, by_age);
	k->context_count--;
	(void)gss_delete_sec_context(&minor, &c->context, GSS_C_NO_BUFFER); /* zeroes its keys */
	(void)gss_release_name(&minor, &c->target);
	free(c->binding);
	explicit_bzero(c, sizeof *c);
	free(c);
}

static struct context *context_new(struct kerberos *k, const struct kerberos_step *s)
{
	struct context *c = mem_new(1, sizeof *c);

	c->gss = s->gss;
	c->since_ms = s->now_ms;
	c->initiator = s->initiator;
	c->context = GSS_C_NO_CONTEXT;
	c->target = GSS_C_NO_NAME;
	if (s->binding.len) {
		c->binding = mem_copy(s->binding.at, s->binding.len);
		c->binding_len = s->binding.len;
	}
	table_add(&k->contexts, c->gss, c);
	TAILQ_INSERT_TAIL(&k->by_age, c, by_age);
	k->context_count++;
	return c;
}

void kerberos_end(struct kerberos *k, uint64_t gss)
{
	struct context *c = context_find(k, gss);

	if (c)
		context_free(k, c);
}

void kerberos_end_range(struct kerberos *k, uint64_t first, uint64_t last)
{
	struct context *c, *next;

	for (c = TAILQ_FIRST(&k->by_age); c; c = next) {
		next = TAILQ_NEXT(c, by_age);
		if (c->gss >= first && c->gss <= last)
			context_free(k, c);
	}
}

void kerberos_look(struct kerberos *k, uint64_t now_ms)
{
	struct context *c;

	tickets_look(k, now_ms);
	while ((c = TAILQ_FIRST(&k->by_age)) && now_ms - c->since_ms >= KERBEROS_CONTEXT_MS) {
		if (c->ticket)
			context_fail(k, c, ETIMEDOUT, "no KDC answered in time");
		else
			context_free(k, c);
	}
}

/* ---- a step's end ------------------------------------------------------------------------------------------------ */

static void tell(struct kerberos *k, uint64_t job, const struct kerberos_stepped *s)
{
	if (k->means.stepped)
		k->means.stepped(k->means.context, job, s);
}

static void fail(struct kerberos *k, uint64_t job, int error, const char *why)
{
	tell(k, job, &(struct kerberos_stepped){ .error = -abs(error), .why = why });
}

void context_fail(struct kerberos *k, struct context *c, int error, const char *why)
{
	uint64_t job = c->job;

	context_free(k, c);
	fail(k, job, error, why);
}

static struct octets octets_of(const gss_buffer_desc *b)
{
	return (struct octets){ b->value, b->length };
}

/* The octets of this name's attribute, if they are what the key that opened the ticket has signed. */
static bool logon_info(gss_name_t name, gss_buffer_desc *ret)
{
	gss_buffer_desc attribute = { 21, (void *)(uintptr_t) "urn:mspac:logon-info" }, shown = { 0 };
	int authenticated = 0, complete = 0, more = -1;
	OM_uint32 minor, major;

	attribute.length = strlen(attribute.value);
	major = gss_get_name_attribute(&minor, name, &attribute, &authenticated, &complete, ret, &shown, &more);
	(void)gss_release_buffer(&minor, &shown);
	return major == GSS_S_COMPLETE && authenticated && complete;
}

/* A ticket without groups, or with groups that mean nothing, is of somebody in no group. */
/* false: the ticket says nothing of groups that can be read, so any may be its. */
static bool take_groups(gss_name_t name, struct peer *peer, char warning[KERBEROS_WORDS])
{
	gss_buffer_desc value = { 0 };
	struct diag d = { 0 };
	OM_uint32 minor;
	bool said = logon_info(name, &value);

	if (said && pac_logon_info_decode(octets_of(&value), &peer->sids, &d) < 0) {
		said = false;
		peer->sids = (struct sid_list){ 0 };
		(void)snprintf(warning, KERBEROS_WORDS, "its ticket's groups count for nothing: %.300s", d.text);
	}
	(void)gss_release_buffer(&minor, &value);
	return said;
}

static int take_name(gss_name_t name, char ret[PEER_TEXT])
{
	gss_buffer_desc text = { 0 };
	OM_uint32 minor;
	size_t n;
	int r = -EINVAL;

	if (gss_display_name(&minor, name, &text, NULL) == GSS_S_COMPLETE && text.length < PEER_TEXT) {
		n = text.length;
		memcpy(ret, text.value, n);
		ret[n] = '\0';
		r = strlen(ret) == n && n ? 0 : -EINVAL;
		for (size_t i = 0; i < n; i++)
			if ((unsigned char)ret[i] < ' ' || ret[i] == 0x7f)
				ret[i] = '?';
	}
	(void)gss_release_buffer(&minor, &text);
	return r;
}

static uint64_t good_ms(const struct context *c, OM_uint32 lifetime_s)
{
	/* An acceptor's library adds the skew that it allows. */
	uint64_t grace_s = c->initiator ? 0 : KERBEROS_SKEW_S;
	uint64_t ms;

	if (lifetime_s == GSS_C_INDEFINITE)
		return 0;
	ms = lifetime_s > grace_s ? (lifetime_s - grace_s) * 1000 : 0;
	return ms < GOOD_LEAST_MS ? GOOD_LEAST_MS : ms;
}

/* What both ends must have agreed on, or it does not do. */
static const char *lacks(const struct context *c, gss_OID used, OM_uint32 flags)
{
	if (used &&
	    (used->length != mechanism()->length || memcmp(used->elements, mechanism()->elements, used->length) != 0))
		return "its GSS-API token is of another mechanism than Kerberos";
	if ((flags & FLAGS_NEEDED) != FLAGS_NEEDED)
		return "its Kerberos context lacks mutual authentication or integrity";
	if (!c->initiator && c->binding_len && !(flags & CHANNEL_BOUND))
		return "its Kerberos token is not bound to this exchange";
	return NULL;
}

static struct gss_channel_bindings_struct bindings_of(const struct context *c)
{
	return (struct gss_channel_bindings_struct){ .application_data = { c->binding_len, c->binding } };
}

/* ---- initiator --------------------------------------------------------------------------------------------------- */

static void init_step(struct kerberos *k, struct context *c, gss_cred_id_t credential, const struct octets *token)
{
	struct gss_channel_bindings_struct bindings = bindings_of(c);
	gss_buffer_desc in = { token->len, (void *)(uintptr_t)token->at }, out = { 0 };
	OM_uint32 major, minor, flags = 0, lifetime_s = 0;
	struct kerberos_stepped s = { .why = "" };
	char words[KERBEROS_WORDS] = "";
	struct peer *peer = NULL;
	uint64_t job = c->job;

	major = gss_init_sec_context(&minor, credential, &c->context, c->target, mechanism(), FLAGS, 0,
				     c->binding_len ? &bindings : GSS_C_NO_CHANNEL_BINDINGS,
				     token->len ? &in : GSS_C_NO_BUFFER, NULL, &out, &flags, &lifetime_s);
	s.token = octets_of(&out);
	if (GSS_ERROR(major)) {
		words_of_init(major, minor, token, c->peer, words);
		s.error = -ERR_AUTH;
	} else if (!(major & GSS_S_CONTINUE_NEEDED)) {
		const char *missing = lacks(c, NULL, flags);

		(void)snprintf(words, sizeof words, "%s", missing ? missing : "");
		s.error = missing ? -ERR_AUTH : 0;
		c->complete = s.complete = !missing;
	} else if (out.length > KERBEROS_TOKEN_MOST) {
		s.error = -E2BIG;
		(void)snprintf(words, sizeof words,
			       "this host's ticket makes a token of %zu octets, and %d is the most: its account is in "
			       "too many groups",
			       out.length, KERBEROS_TOKEN_MOST);
		s.token = (struct octets){ 0 };
	}
	s.why = words;
	if (s.complete) {
		peer = mem_new(1, sizeof *peer);
		peer->method = PEER_KERBEROS;
		memcpy(peer->id, c->peer, sizeof peer->id);
		s.good_ms = good_ms(c, lifetime_s);
		s.peer = peer;
	}
	if (s.error)
		context_free(k, c);
	tell(k, job, &s);
	free(peer);
	if (out.value)
		explicit_bzero(out.value, out.length);
	(void)gss_release_buffer(&minor, &out);
}

void context_go(struct kerberos *k, struct context *c, gss_cred_id_t credential)
{
	init_step(k, c, credential, &(struct octets){ NULL, 0 });
}

static void begin_initiator(struct kerberos *k, const struct kerberos_step *s)
{
	gss_buffer_desc name = { 0 };
	struct context *c;
	OM_uint32 minor;

	if (!s->target || !*principal_realm(s->target) || strlen(s->target) >= PEER_TEXT) {
		fail(k, s->job, ERR_SYNTAX,
		     "the peer calls itself by no principal with a realm, as host/name@REALM is one");
		return;
	}
	c = context_new(k, s);
	c->job = s->job;
	memcpy(c->peer, s->target, strlen(s->target) + 1);
	name = (gss_buffer_desc){ strlen(s->target), (void *)(uintptr_t)s->target };
	/* A principal, not host@name: that would be looked for in DNS. */
	if (GSS_ERROR(gss_import_name(&minor, &name, (gss_OID)(uintptr_t)GSS_KRB5_NT_PRINCIPAL_NAME, &c->target))) {
		context_fail(k, c, ERR_SYNTAX, "the peer calls itself by something that is no principal");
		return;
	}
	tickets_want(k, c, s->target, s->now_ms);
}

/* ---- acceptor ---------------------------------------------------------------------------------------------------- */

static void accept_done(struct context *c, gss_name_t name, OM_uint32 lifetime_s, struct peer *peer,
			struct kerberos_stepped *s, char words[KERBEROS_WORDS])
{
	krb5_timestamp learnt = 0;
	OM_uint32 minor;

	if (take_name(name, peer->id) < 0) {
		s->error = -ERR_AUTH;
		(void)snprintf(words, KERBEROS_WORDS, "its principal's name is too long");
		return;
	}
	peer->method = PEER_KERBEROS;
	/* Groups are as they were when it logged on, which may be hours ago. */
	if (take_groups(name, peer, words) &&
	    gsskrb5_extract_authtime_from_sec_context(&minor, c->context, &learnt) == GSS_S_COMPLETE)
		peer->learnt_s = (uint32_t)learnt;
	s->good_ms = good_ms(c, lifetime_s);
	s->complete = c->complete = true;
	s->peer = peer;
}

static void accept_step(struct kerberos *k, struct context *c, const struct octets *token)
{
	struct gss_channel_bindings_struct bindings = bindings_of(c);
	gss_buffer_desc in = { token->len, (void *)(uintptr_t)token->at }, out = { 0 };
	OM_uint32 major, minor, flags = 0, lifetime_s = 0;
	struct kerberos_stepped s = { 0 };
	struct peer *peer = mem_new(1, sizeof *peer);
	gss_name_t name = GSS_C_NO_NAME;
	gss_OID used = GSS_C_NO_OID;
	char words[KERBEROS_WORDS] = "";
	uint64_t job = c->job;
	const char *missing;

	major = gss_accept_sec_context(&minor, &c->context, k->acceptor, &in,
				       c->binding_len ? &bindings : GSS_C_NO_CHANNEL_BINDINGS, &name, &used, &out,
				       &flags, &lifetime_s, NULL);
	s.token = octets_of(&out);
	if (GSS_ERROR(major)) {
		words_of_accept(k, major, minor, token, words);
		s.error = -ERR_AUTH;
	} else if (!(major & GSS_S_CONTINUE_NEEDED) && (missing = lacks(c, used, flags))) {
		(void)snprintf(words, sizeof words, "%s", missing);
		s.error = -ERR_AUTH;
	} else if (!(major & GSS_S_CONTINUE_NEEDED)) {
		accept_done(c, name, lifetime_s, peer, &s, words);
	}
	s.why = words;
	if (s.error)
		context_free(k, c);
	tell(k, job, &s);
	free(peer);
	(void)gss_release_name(&minor, &name);
	(void)gss_release_buffer(&minor, &out);
}

/* ---- steps ------------------------------------------------------------------------------------------------------- */

static void begin_context(struct kerberos *k, const struct kerberos_step *s)
{
	struct context *c;

	if (!k->keytab) {
		fail(k, s->job, ENOENT,
		     "this host has no Kerberos keytab: name it in host.yaml (keytab: /etc/krb5.keytab)");
	} else if (k->context_count >= KERBEROS_CONTEXTS_MOST) {
		fail(k, s->job, EBUSY, "too many Kerberos contexts are under way");
	} else if (s->binding.len > BINDING_MOST || s->token.len > KERBEROS_TOKEN_MOST) {
		fail(k, s->job, EINVAL, "a Kerberos token that is too long");
	} else if (s->initiator) {
		begin_initiator(k, s);
	} else {
		c = context_new(k, s);
		c->job = s->job;
		accept_step(k, c, &s->token);
	}
}

void kerberos_step(struct kerberos *k, const struct kerberos_step *s)
{
	struct context *c = context_find(k, s->gss);

	if (!c && (s->target || !s->initiator)) {
		begin_context(k, s);
	} else if (!c) {
		fail(k, s->job, EAGAIN, "the Kerberos exchange was forgotten: the process that held it began anew");
	} else if (c->ticket || c->complete || c->initiator != s->initiator || s->target) {
		fail(k, s->job, EINVAL, "a step that the Kerberos context does not have");
	} else {
		c->job = s->job;
		if (c->initiator)
			init_step(k, c, GSS_C_NO_CREDENTIAL, &s->token);
		else
			accept_step(k, c, &s->token);
	}
}

/* ---- a complete context ------------------------------------------------------------------------------------------ */

static struct context *complete_context(const struct kerberos *k, uint64_t gss, struct diag *d)
{
	struct context *c = context_find(k, gss);

	if (c && c->complete)
		return c;
	(void)diag_fail(d, ENOENT, "the Kerberos context has gone");
	return NULL;
}

static int fail_gss(OM_uint32 major, OM_uint32 minor, struct diag *d)
{
	char words[KERBEROS_WORDS];

	words_of_gss(major, minor, words);
	return diag_fail(d, ERR_CRYPTO, "%s", words);
}

static void buffer_wipe(gss_buffer_desc *b)
{
	OM_uint32 minor;

	if (b->value)
		explicit_bzero(b->value, b->length);
	(void)gss_release_buffer(&minor, b);
}

int kerberos_key(struct kerberos *k, uint64_t gss, const struct octets *seed, uint8_t *ret, size_t len, struct diag *d)
{
	struct context *c = complete_context(k, gss, d);
	gss_buffer_desc in = { seed->len, (void *)(uintptr_t)seed->at };
	SCOPED(buffer_wipe) gss_buffer_desc out = { 0 };
	OM_uint32 major, minor;

	if (!c)
		return -ENOENT;
	major = gss_pseudo_random(&minor, c->context, GSS_C_PRF_KEY_FULL, &in, (ssize_t)len, &out);
	if (GSS_ERROR(major))
		return fail_gss(major, minor, d);
	if (out.length != len)
		return diag_fail(d, ERR_CRYPTO, "the Kerberos library makes a key of another length");
	memcpy(ret, out.value, len);
	return 0;
}

static int keep_text(const gss_buffer_desc *from, uint8_t ret[KERBEROS_TEXT_MOST], size_t *ret_len, struct diag *d)
{
	if (from->length > KERBEROS_TEXT_MOST)
		return diag_fail(d, E2BIG, "%zu octets under a Kerberos context", from->length);
	if (from->length)
		memcpy(ret, from->value, from->length);
	*ret_len = from->length;
	return 0;
}

int kerberos_wrap(struct kerberos *k, uint64_t gss, const struct octets *text, bool seal,
		  uint8_t ret[KERBEROS_TEXT_MOST], size_t *ret_len, struct diag *d)
{
	struct context *c = complete_context(k, gss, d);
	gss_buffer_desc in = { text->len, (void *)(uintptr_t)text->at };
	SCOPED(buffer_wipe) gss_buffer_desc out = { 0 };
	OM_uint32 major, minor;
	int sealed = 0;

	if (!c)
		return -ENOENT;
	major = gss_wrap(&minor, c->context, seal, GSS_C_QOP_DEFAULT, &in, &sealed, &out);
	return GSS_ERROR(major) ? fail_gss(major, minor, d) : keep_text(&out, ret, ret_len, d);
}

int kerberos_unwrap(struct kerberos *k, uint64_t gss, const struct octets *text, uint8_t ret[KERBEROS_TEXT_MOST],
		    size_t *ret_len, struct diag *d)
{
	struct context *c = complete_context(k, gss, d);
	gss_buffer_desc in = { text->len, (void *)(uintptr_t)text->at };
	SCOPED(buffer_wipe) gss_buffer_desc out = { 0 };
	OM_uint32 major, minor;
	int sealed = 0;
	gss_qop_t qop = 0;

	if (!c)
		return -ENOENT;
	major = gss_unwrap(&minor, c->context, &in, &out, &sealed, &qop);
	/* Twice, or out of turn, is success with a bit set. */
	if (major != GSS_S_COMPLETE)
		return fail_gss(major, minor, d);
	return keep_text(&out, ret, ret_len, d);
}
