#include "daemon/host/credentials.h"

#include "base/diag.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/text.h"
#include "daemon/host/expiry.h"
#include "daemon/keys/filling.h"
#include "daemon/keys/messages.h"
#include "daemon/host/proofs.h"
#include "daemon/host/watch.h"
#include "daemon/parts/kdcs.h"
#include "identity/kerberos/keytab.h"
#include "identity/revocation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_TEXT = 4096, LOOK_MS = 60000 };

struct credentials {
	struct daemon *d;
	struct watch *watch;
	struct expiry expiry;
	uv_timer_t look;
	uint64_t good; /* which of our own certificates can be used now */
};

static struct credential_store *store_of(const struct daemon *d)
{
	return d->engine ? (struct credential_store *)(uintptr_t)engine_store(d->engine) : NULL;
}

/* ---- our own ----------------------------------------------------------------------------------------------------- */

static uint64_t good_now(const struct daemon *d)
{
	const struct credential_store *s = store_of(d);
	uint64_t bits = 1;

	for (size_t i = 0; s && i < credential_count(s); i++)
		bits = bits * 31 + credential_is_good(s, i, unix_now_ms() / 1000, NULL);
	return bits;
}

static void tell_ends(struct credentials *c)
{
	const struct credential_store *s = store_of(c->d);
	size_t n = s ? credential_ends(s, NULL, 0) : 0;
	struct credential_end *ends = mem_new(n + 1, sizeof *ends);
	char text[EXPIRY_TEXT];

	if (s)
		n = credential_ends(s, ends, n);
	for (size_t i = 0; i < n; i++)
		if (expiry_tell(&c->expiry, &ends[i], unix_now_ms() / 1000, text))
			daemon_event(c->d, EVENT_CERTIFICATE_EXPIRES, "%s", text);
	free(ends);
}

static void note_lineage(const struct daemon *d)
{
	const struct credential_store *s = store_of(d);
	SCOPED(str_wipe) struct str out = { 0 };
	char path[PATH_TEXT];
	struct diag why;

	if (!s || !credential_note_lineage(s, d->lineage))
		return;
	lineage_write(d->lineage, &out);
	if (snprintf(path, sizeof path, "%s/renewals", d->options.state_dir) < (int)sizeof path &&
	    text_replace(path, str_text(&out), out.len, 0644, &why) < 0)
		log_warning("%s", why.text);
}

static void watch_files(struct credentials *c)
{
	struct arena memory = { 0 };
	const char *const *paths;
	size_t n = proofs_files(c->d, c->d->plan, &memory, &paths);

	watch_set(c->watch, paths, n);
	arena_wipe(&memory);
}

void credentials_loaded(struct daemon *d)
{
	struct credentials *c = d->credentials;

	if (!c || !d->engine)
		return;
	c->good = good_now(d);
	note_lineage(d);
	watch_files(c);
	kdcs_tell(d, NULL);
	tell_ends(c);
}

static void load(struct daemon *d)
{
	SCOPED(proofs_wipe) struct loaded_proofs loaded = { 0 };

	proofs_load(d, d->plan, &loaded);
	proofs_say(&loaded);
	keys_filling_commit(d->filling);
	engine_set_proofs(d->engine, &loaded.proofs);
	credentials_loaded(d);
}

static const char *plural(size_t n, const char *one, const char *many)
{
	return n == 1 ? one : many;
}

void credentials_tell(struct daemon *d)
{
	const struct credential_store *s = store_of(d);
	const uint8_t(*authorities)[CREDENTIAL_HASH];
	size_t own[3] = { 0 }, trusted, lists;

	if (!s)
		return;
	for (size_t i = 0; i < credential_count(s); i++)
		own[credential_get(s, i)->kind == AUTH_PSK        ? 1
		    : credential_get(s, i)->kind == AUTH_KERBEROS ? 2
								  : 0] += !credential_get(s, i)->retired;
	trusted = credential_authorities(s, &authorities);
	lists = revocation_lists_count(credential_lists(s));
	daemon_event(d, EVENT_CREDENTIALS_CHANGED,
		     "read again: %zu own certificate%s, %zu pre-shared key%s, %zu keytab%s, %zu trusted authorit%s, "
		     "%zu revocation list%s",
		     own[0], plural(own[0], "", "s"), own[1], plural(own[1], "", "s"), own[2], plural(own[2], "", "s"),
		     trusted, plural(trusted, "y", "ies"), lists, plural(lists, "", "s"));
}

void credentials_reload(struct daemon *d)
{
	if (!d->engine || !d->plan)
		return;
	load(d);
	credentials_tell(d);
}

void credentials_stale(void *context)
{
	credentials_reload(context);
}

static void files_changed(void *context)
{
	struct credentials *c = context;

	credentials_reload(c->d);
}

/* Now and then: what has become valid or has ended. */
static void looked(uv_timer_t *t)
{
	struct credentials *c = t->data;
	struct daemon *d = c->d;

	if (!d->engine || !d->plan)
		return;
	if (good_now(d) != c->good)
		load(d);
	tell_ends(c);
}

/* ---- from beginning to end --------------------------------------------------------------------------------------- */

void credentials_new(struct daemon *d)
{
	struct credentials *c = mem_new(1, sizeof *c);

	c->d = d;
	c->watch = watch_new(&d->loop, files_changed, c);
	c->look.data = c;
	(void)uv_timer_init(&d->loop, &c->look);
	(void)uv_timer_start(&c->look, looked, LOOK_MS, LOOK_MS);
	d->credentials = c;
}

static void look_closed(uv_handle_t *h)
{
	struct credentials *c = h->data;

	expiry_wipe(&c->expiry);
	free(c);
}

void credentials_close(struct daemon *d)
{
	struct credentials *c = d->credentials;

	if (!c)
		return;
	d->credentials = NULL;
	watch_close(c->watch);
	uv_close((uv_handle_t *)&c->look, look_closed);
}

/* ---- for people -------------------------------------------------------------------------------------------------- */

static json_t *words(const char *text)
{
	json_t *j = text ? json_string(text) : NULL;

	return j ? j : json_null();
}

static void put(json_t *o, const char *name, json_t *value)
{
	(void)json_object_set_new(o, name, value);
}

/* Which sets of the policy it satisfies, and what it lacks for the others of its kind. */
static void put_sets(const struct daemon *d, const struct credential_store *s, size_t index, json_t *o)
{
	json_t *satisfies = json_array(), *lacks = json_object();
	const struct auth_set *sets = NULL;
	size_t n = d->policy ? policy_auth_sets(d->policy, &sets) : 0;
	struct diag why;

	if (!credential_is_good(s, index, unix_now_ms() / 1000, &why))
		put(o, "unusable", words(why.text));
	else
		put(o, "unusable", json_null());
	for (size_t i = 0; i < n; i++) {
		bool kind = false, fits = false;

		for (size_t k = 0; k < sets[i].count && !fits; k++) {
			if (sets[i].methods[k].kind != credential_get(s, index)->kind)
				continue;
			fits = credential_satisfies(s, index, &sets[i].methods[k], &why);
			if (!fits && !kind)
				put(lacks, sets[i].name, words(why.text));
			kind = true;
		}
		if (!fits)
			continue;
		(void)json_array_append_new(satisfies, words(sets[i].name));
		(void)json_object_del(lacks, sets[i].name);
	}
	put(o, "satisfies", satisfies);
	put(o, "lacks", lacks);
}

static size_t uses(const struct engine_view *v, uint32_t credential)
{
	size_t used = 0;

	for (size_t i = 0; i < v->ike_count; i++)
		used += v->ike[i].established && v->ike[i].credential == credential;
	return used;
}

static const char *kind_words(enum auth_kind kind)
{
	return kind == AUTH_CERTIFICATE ? "certificate" : kind == AUTH_KERBEROS ? "kerberos" : "pre-shared-key";
}

/* Which principals a keytab has keys of, in which versions and of which kinds; null for the others. */
static void put_keytab(const struct credential *c, json_t *o)
{
	json_t *all = c->keytab ? json_array() : json_null();
	char text[KEYTAB_ENCTYPE_TEXT];

	for (size_t i = 0; c->keytab && i < c->keytab->count; i++) {
		const struct keytab_principal *p = &c->keytab->all[i];
		json_t *one = json_object(), *kvnos = json_array(), *types = json_array();

		for (size_t n = 0; n < p->kvno_count; n++)
			(void)json_array_append_new(kvnos, json_integer(p->kvnos[n]));
		for (size_t n = 0; n < p->enctype_count; n++)
			(void)json_array_append_new(types, words(keytab_enctype_text(p->enctypes[n], text)));
		put(one, "principal", words(p->name));
		put(one, "key_versions", kvnos);
		put(one, "encryption_types", types);
		(void)json_array_append_new(all, one);
	}
	put(o, "keytab", all);
}

static void add_warning(json_t *all, const struct str *text)
{
	if (text->len)
		(void)json_array_append_new(all, words(str_text(text)));
}

/* Of a keytab: its keys have no end, as certificates do, but may be another's, too weak, or older than the password
 * that the KDC has; and its file may be one that cannot be used any more. */
static void put_warnings(const struct daemon *d, const struct credential_store *s, const struct credential *c,
			 json_t *o)
{
	SCOPED(str_wipe) struct str file = { 0 }, strange = { 0 }, weak = { 0 }, ticket = { 0 };
	const char *failure = credential_keytab_failure(s);
	json_t *all = json_array();

	put(o, "warnings", all);
	if (!c->keytab)
		return;
	if (failure)
		str_addf(&file, "the keytab cannot be used as it is now, what it held before stays in use: %s",
			 failure);
	proofs_strange_keytab(d, s, &strange);
	if (keytab_told_weak(c->keytab))
		str_addf(&weak,
			 "the keys of %s are of RC4 alone, which current controllers refuse: give the account AES keys "
			 "(msDS-SupportedEncryptionTypes: 24) and export the keytab again",
			 c->path);
	if (d->ticket && *d->ticket->failure)
		str_addf(&ticket, "no %sticket can be had with %s: %s",
			 d->ticket->until_s > unix_now_ms() / 1000 ? "new " : "", c->path, d->ticket->failure);
	add_warning(all, &file);
	add_warning(all, &strange);
	add_warning(all, &weak);
	add_warning(all, &ticket);
}

/* One that is named and cannot be used is told, too: else it looks as if nothing were named. */
static void add_bad_keytab(const struct daemon *d, const struct credential_store *s, json_t *rows)
{
	const char *failure = credential_keytab_failure(s);

	for (size_t i = 0; i < credential_count(s); i++)
		if (credential_get(s, i)->kind == AUTH_KERBEROS)
			return; /* what it held before is in use */
	if (failure && d->config->keytab)
		(void)json_array_append_new(
			rows, json_pack("{s:s,s:n,s:n,s:s,s:s,s:n,s:n,s:b,s:i,s:[],s:[],s:o,s:[],s:{}}", "kind",
					"kerberos", "subject", "issuer", "file", d->config->keytab, "key_type",
					"kerberos", "not_before_ms", "not_after_ms", "replaced", 0, "main_modes", 0,
					"keytab", "warnings", "unusable", words(failure), "satisfies", "lacks"));
}

void credentials_rows(struct daemon *d, const struct engine_view *v, json_t *rows)
{
	const struct credential_store *s = store_of(d);

	for (size_t i = 0; s && i < credential_count(s); i++) {
		const struct credential *c = credential_get(s, i);
		json_t *o = json_object();

		put(o, "kind", json_string(kind_words(c->kind)));
		put(o, "subject", words(c->subject));
		put(o, "issuer", c->issuer ? words(c->issuer) : json_null());
		put(o, "file", words(c->path));
		put(o, "key_type", words(c->key_type));
		put(o, "not_before_ms",
		    c->not_before_s ? json_integer((json_int_t)c->not_before_s * 1000) : json_null());
		put(o, "not_after_ms", c->not_after_s ? json_integer((json_int_t)c->not_after_s * 1000) : json_null());
		put(o, "replaced", json_boolean(c->retired));
		put(o, "main_modes", json_integer((json_int_t)uses(v, c->number)));
		put_keytab(c, o);
		put_warnings(d, s, c, o);
		put_sets(d, s, i, o);
		(void)json_array_append_new(rows, o);
	}
	if (s)
		add_bad_keytab(d, s, rows);
}

static void list_row(const struct revocation_row *row, json_t *rows)
{
	(void)json_array_append_new(rows,
				    json_pack("{s:o,s:o,s:I,s:o,s:I}", "issuer", words(row->issuer), "source",
					      words(row->source), "from_ms", (json_int_t)row->from_s * 1000, "until_ms",
					      row->next_s ? json_integer((json_int_t)row->next_s * 1000) : json_null(),
					      "revoked", (json_int_t)row->revoked));
}

void credentials_list_rows(struct daemon *d, const struct engine_view *v, json_t *rows)
{
	struct credential_store *s = store_of(d);
	struct revocation_row *row = mem_new(1, sizeof *row);

	for (size_t n = 0; s && revocation_lists_row(credential_lists(s), n, row); n++)
		list_row(row, rows);
	for (size_t n = 0; n < v->list_count; n++)
		list_row(&v->lists[n], rows);
	free(row);
}

json_t *credentials_expiry(const struct daemon *d)
{
	const struct credential_store *s = store_of(d);
	size_t n = s ? credential_ends(s, NULL, 0) : 0;
	struct credential_end *ends = mem_new(n + 1, sizeof *ends), *first = ends;
	json_t *o = json_null();

	if (s)
		n = credential_ends(s, ends, n);
	for (size_t i = 0; i < n; i++)
		if (ends[i].not_after_s < first->not_after_s)
			first = &ends[i];
	if (n)
		o = json_pack("{s:o,s:o,s:b,s:I}", "subject", words(first->subject), "of", words(first->of),
			      "authority", first->authority, "not_after_ms", (json_int_t)first->not_after_s * 1000);
	free(ends);
	return o;
}
