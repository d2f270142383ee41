#include "daemon/host/proofs.h"
#include "daemon/process/sockets.h"

#include "base/diag.h"
#include "base/log.h"
#include "base/str.h"
#include "daemon/keys/filling.h"
#include "identity/keyring.h"
#include "identity/kerberos/keytab.h"
#include "identity/signature.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_TEXT = 4096 };

#define LACKING "nothing of this host satisfies '%s', so its rules let nothing through: %s"

/* The page's words and the engine's bits stand for the same. */
_Static_assert((int)HOST_KERBEROS_NAME_TERMINATED == (int)GSS_NAME_TERMINATED &&
		       (int)HOST_KERBEROS_NAME_OCTETS == (int)GSS_NAME_LATIN &&
		       (int)HOST_KERBEROS_TOKEN_BARE == (int)GSS_TOKEN_BARE &&
		       (int)HOST_KERBEROS_HASH_PREFIX == (int)GSS_HASH_PREFIX &&
		       (int)HOST_KERBEROS_HASH_OCTETS == (int)GSS_HASH_LATIN &&
		       (int)HOST_KERBEROS_HASH_UNNAMED == (int)GSS_HASH_UNNAMED,
	       "ikev1-kerberos");

struct names {
	const char **at;
	size_t count, cap;
};

static void names_add(struct names *n, const char *name)
{
	for (size_t i = 0; i < n->count; i++)
		if (strcmp(n->at[i], name) == 0)
			return;
	n->at = mem_grow(n->at, n->count, &n->cap, sizeof *n->at);
	n->at[n->count++] = name;
}

/* ---- what the plan asks for -------------------------------------------------------------------------------------- */

struct sets {
	const struct auth_set **at;
	size_t count, cap;
};

static void add_ppks(struct names *n, const struct key_exchange_set *set)
{
	for (size_t i = 0; i < set->ppk_count; i++)
		names_add(n, set->ppks[i].file);
}

/* Post-quantum pre-shared keys that the plan's rules name. */
static struct names ppks_of(const struct plan *plan)
{
	struct names n = { 0 };

	for (size_t i = 0; i < plan_lists(plan); i++) {
		struct plan_list l = plan_list(plan, (uint32_t)i);

		for (size_t j = 0; j < l.count; j++)
			if (rule_mode_protects(l.entries[j].rule->mode) && l.entries[j].rule->key_exchange)
				add_ppks(&n, l.entries[j].rule->key_exchange);
	}
	return n;
}

static void sets_add(struct sets *s, const struct auth_set *set)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->at[i] == set)
			return;
	s->at = mem_grow(s->at, s->count, &s->cap, sizeof *s->at);
	s->at[s->count++] = set;
}

static struct sets sets_of(const struct plan *plan)
{
	struct sets s = { 0 };

	for (size_t i = 0; i < plan_lists(plan); i++) {
		struct plan_list l = plan_list(plan, (uint32_t)i);

		for (size_t j = 0; j < l.count; j++)
			if (rule_mode_protects(l.entries[j].rule->mode) && l.entries[j].rule->auth)
				sets_add(&s, l.entries[j].rule->auth);
	}
	return s;
}

static void add_psks(const struct sets *sets, struct names *psks)
{
	for (size_t i = 0; i < sets->count; i++)
		for (size_t j = 0; j < sets->at[i]->count; j++)
			if (sets->at[i]->methods[j].kind == AUTH_PSK)
				names_add(psks, sets->at[i]->methods[j].psk_file);
}

/* ---- loading ----------------------------------------------------------------------------------------------------- */

/* A path that is relative to a page which lies in that folder begins with it already. */
static const char *under_root(const struct daemon *d, struct arena *a, const char *path)
{
	const char *root = d->options.root ? d->options.root : "";
	char full[PATH_TEXT];
	int n = snprintf(full, sizeof full, "%s%s", strncmp(path, root, strlen(root)) == 0 ? "" : root, path);

	return arena_string(a, full, n < 0 ? 0 : (size_t)n < sizeof full ? (size_t)n : sizeof full - 1);
}

static void tell_bad(void *context, const char *path, const char *why, bool kept)
{
	const struct daemon *d = context;
	struct event e = { .id = EVENT_CREDENTIALS_BAD };

	(void)snprintf(e.text, sizeof e.text, "%.80s cannot be used%s: %.220s", path,
		       kept ? ", what it held before stays in use" : "", why);
	observe(&d->observer, &e);
}

static const char **paths_under_root(const struct daemon *d, struct arena *a, const char *const *paths, size_t count)
{
	const char **to = arena_new(a, count + 1, sizeof *to);

	for (size_t i = 0; i < count; i++)
		to[i] = under_root(d, a, paths[i]);
	return to;
}

static int read_store(const struct daemon *d, const struct names *psks, const struct names *ppks,
		      const struct credential_holder *holder, credential_bad *bad, void *context, struct arena *a,
		      struct credential_store **ret, struct diag *why)
{
	const struct host_config *c = d->config;
	struct credential_files *files = arena_new(a, c->certificate_count + 1, sizeof *files);
	const struct credential_store *before = d->engine ? engine_store(d->engine) : NULL;
	struct credential_sources from = {
		.certificates = files,
		.certificate_count = c->certificate_count,
		.trust = paths_under_root(d, a, c->trust, c->trust_count),
		.trust_count = c->trust_count,
		.revocation_lists = paths_under_root(d, a, c->revocation_lists, c->revocation_list_count),
		.revocation_list_count = c->revocation_list_count,
		.psk_root = d->options.root,
		.psks = psks->at,
		.psk_count = psks->count,
		.ppks = ppks->at,
		.ppk_count = ppks->count,
		.keytab = c->keytab ? under_root(d, a, c->keytab) : NULL,
		.holder = holder,
		.lineage = d->lineage,
	};

	for (size_t i = 0; i < c->certificate_count; i++)
		files[i] = (struct credential_files){ under_root(d, a, c->certificates[i].certificate),
						      under_root(d, a, c->certificates[i].key) };
	return credential_store_load(&from, before, bad, context, ret, why);
}

static struct shared_store *load_store(const struct daemon *d, const struct names *psks, const struct names *ppks,
				       struct arena *a)
{
	struct credential_store *store = NULL;
	struct credential_holder holder;
	struct diag why = { 0 };

	keys_filling_begin(d->filling, &holder);
	if (read_store(d, psks, ppks, &holder, tell_bad, (void *)(uintptr_t)d, a, &store, &why) < 0) {
		log_error("%s", why.text);
		return NULL;
	}
	return shared_store_new(store);
}

/* ---- matching ---------------------------------------------------------------------------------------------------- */

/* By which method of the set; -1: none. What the first one misses is in `why`. */
static int rank_in(const struct credential_store *s, size_t index, const struct auth_set *set, struct diag *why)
{
	struct diag other;
	bool said = false;

	for (size_t i = 0; i < set->count; i++) {
		if (set->methods[i].kind != credential_get(s, index)->kind)
			continue;
		if (credential_satisfies(s, index, &set->methods[i], said ? &other : why))
			return (int)i;
		said = true;
	}
	if (!said)
		(void)snprintf(why->text, sizeof why->text, "%.200s is not what it asks for",
			       credential_get(s, index)->subject);
	return -1;
}

static void describe(const struct credential_store *s, size_t index, const struct sets *sets, uint64_t now_s,
		     struct arena *a, struct keying_credential *ret)
{
	const struct credential *c = credential_get(s, index);
	const struct auth_set **satisfies = arena_new(a, sets->count + 1, sizeof(struct auth_set *));
	uint8_t *ranks = arena_new(a, sets->count + 1, 1);
	struct diag why;
	int rank;

	*ret = (struct keying_credential){
		.number = c->number,
		.kind = c->kind,
		.psk_file = c->psk_file,
		.id_type = c->id_type,
		.id = c->id,
		.id_len = c->id_len,
		.chain = c->chain,
		.chain_lens = c->chain_lens,
		.chain_count = c->chain_count,
		.subject = c->kind != AUTH_PSK ? c->subject : NULL,
		.satisfies = satisfies,
		.ranks = ranks,
		.not_after_s = c->not_after_s,
		.authorities = c->authorities,
		.authority_count = c->authority_count,
		.hashes = c->hashes,
		.silent = c->silent,
		.signs_by = c->kind == AUTH_CERTIFICATE && c->key_type ? signature_v1_method(c->key_type) : 0,
	};
	if (c->retired || !credential_is_good(s, index, now_s, NULL))
		return;
	for (size_t i = 0; i < sets->count; i++)
		if ((rank = rank_in(s, index, sets->at[i], &why)) >= 0) {
			ranks[ret->satisfies_count] = (uint8_t)rank;
			satisfies[ret->satisfies_count++] = sets->at[i];
		}
}

static bool is_satisfied(const struct keying_credential *all, size_t n, const struct auth_set *set)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < all[i].satisfies_count; k++)
			if (all[i].satisfies[k] == set)
				return true;
	return false;
}

static bool asks_for_kind(const struct auth_set *set, enum auth_kind kind)
{
	for (size_t i = 0; i < set->count; i++)
		if (set->methods[i].kind == kind)
			return true;
	return false;
}

static bool has_keytab(const struct credential_store *s)
{
	for (size_t i = 0; s && i < credential_count(s); i++)
		if (credential_get(s, i)->kind == AUTH_KERBEROS)
			return true;
	return false;
}

/* One that is named and cannot be used is another case than none. */
static void add_keytab(const struct credential_store *s, const char *keytab, bool more, struct str *out)
{
	const char *failure = s ? credential_keytab_failure(s) : NULL;

	str_add(out, more ? "; " : "");
	if (!keytab)
		str_add(out, "it has no Kerberos keytab (host.yaml: keytab: /etc/krb5.keytab)");
	else if (failure)
		str_addf(out, "its keytab cannot be used: %s", failure);
	else
		str_addf(out, "its keytab %s has not been read yet", keytab);
}

void proofs_why_not(const struct credential_store *s, const char *keytab, const struct auth_set *set, uint64_t now_s,
		    struct str *out)
{
	struct diag why;
	size_t before = out->len;

	for (size_t i = 0; s && i < credential_count(s); i++) {
		if (credential_get(s, i)->retired || !asks_for_kind(set, credential_get(s, i)->kind))
			continue;
		if (credential_is_good(s, i, now_s, &why) && rank_in(s, i, set, &why) >= 0)
			continue;
		str_addf(out, "%s%s", out->len > before ? "; " : "", why.text);
	}
	if (asks_for_kind(set, AUTH_KERBEROS) && !has_keytab(s))
		add_keytab(s, keytab, out->len > before, out);
	if (out->len == before)
		str_add(out, asks_for_kind(set, AUTH_CERTIFICATE) ? "it has no certificate" : "it has no such key");
}

/* Sets that nothing proves, and why each certificate does not. */
static void find_lacks(const struct credential_store *s, const char *keytab, const struct sets *sets, uint64_t now_s,
		       struct arena *a, struct keying_config *c)
{
	struct keying_lack *lacks = arena_new(a, sets->count + 1, sizeof *lacks);

	for (size_t i = 0; i < sets->count; i++) {
		SCOPED(str_wipe) struct str words = { 0 };

		if (is_satisfied(c->credentials, c->credential_count, sets->at[i]))
			continue;
		proofs_why_not(s, keytab, sets->at[i], now_s, &words);
		lacks[c->lack_count++] =
			(struct keying_lack){ sets->at[i], arena_string(a, str_text(&words), words.len) };
	}
	c->lacks = lacks;
}

/* Which post-quantum pre-shared keys could be read. */
static void find_ppks(const struct credential_store *s, const struct names *wanted, struct arena *a,
		      struct keying_config *c)
{
	const char **held = arena_new(a, wanted->count + 1, sizeof *held);

	for (size_t i = 0; i < wanted->count; i++)
		for (size_t k = 0; k < credential_count(s); k++) {
			const struct credential *one = credential_get(s, k);

			if (one->kind != AUTH_PSK || strcmp(one->psk_file, wanted->at[i]) != 0)
				continue;
			held[c->ppk_count++] = arena_string(a, wanted->at[i], strlen(wanted->at[i]));
			break;
		}
	c->ppks = held;
}

void proofs_load(const struct daemon *d, const struct plan *plan, struct loaded_proofs *ret)
{
	struct sets sets = sets_of(plan);
	struct names psks = { 0 }, ppks = ppks_of(plan);
	struct shared_store *shared;
	const struct credential_store *store = NULL;
	uint64_t now_s = unix_now_ms() / 1000;
	struct keying_config *c = &ret->proofs.keying;

	*ret = (struct loaded_proofs){ .proofs.keying = keying_default };
	c->export_keys = d->export_fd >= 0;
	memcpy(c->crash_secret, d->crash_secret, sizeof c->crash_secret);
	c->nat_keepalive_ms = d->config->nat_keepalive_ms;
	c->v1_kerberos = d->config->ikev1_kerberos; /* bit by bit the same */
	c->userspace_plane = d->gate_config.plane == GATE_PLANE_TUN;
	c->no_udp4 = sockets_fd(d->sockets, SOCKETS_NAT4) < 0;
	c->no_udp6 = sockets_fd(d->sockets, SOCKETS_NAT6) < 0;
	add_psks(&sets, &psks);
	if ((shared = load_store(d, &psks, &ppks, &ret->memory))) {
		size_t n = credential_count(shared->store);
		struct keying_credential *all = arena_new(&ret->memory, n + 1, sizeof *all);

		store = shared->store;
		for (size_t i = 0; i < n; i++)
			describe(store, i, &sets, now_s, &ret->memory, &all[i]);
		c->credentials = all;
		c->credential_count = n;
		c->authority_count = credential_authorities(store, &c->authorities);
		find_ppks(store, &ppks, &ret->memory, c);
		ret->proofs.store = shared;
	}
	find_lacks(store, d->config->keytab, &sets, now_s, &ret->memory, c);
	proofs_strange_keytab(d, store, &ret->strange);
	free(psks.at);
	free(ppks.at);
	free(sets.at);
}

size_t proofs_files(const struct daemon *d, const struct plan *plan, struct arena *a, const char *const **ret)
{
	const struct host_config *c = d->config;
	struct sets sets = sets_of(plan);
	struct names psks = { 0 }, ppks = ppks_of(plan);
	const char **all;
	size_t n = 0;

	add_psks(&sets, &psks);
	for (size_t i = 0; i < ppks.count; i++)
		names_add(&psks, ppks.at[i]);
	all = arena_new(a, 2 * c->certificate_count + c->trust_count + c->revocation_list_count + psks.count + 2,
			sizeof *all);
	for (size_t i = 0; i < c->certificate_count; i++) {
		all[n++] = under_root(d, a, c->certificates[i].certificate);
		all[n++] = under_root(d, a, c->certificates[i].key);
	}
	for (size_t i = 0; i < c->trust_count; i++)
		all[n++] = under_root(d, a, c->trust[i]);
	for (size_t i = 0; i < c->revocation_list_count; i++)
		all[n++] = under_root(d, a, c->revocation_lists[i]);
	for (size_t i = 0; i < psks.count; i++)
		all[n++] = under_root(d, a, psks.at[i]);
	if (c->keytab)
		all[n++] = under_root(d, a, c->keytab);
	free(ppks.at);
	free(psks.at);
	free(sets.at);
	*ret = all;
	return n;
}

static bool store_satisfies(const struct credential_store *s, const struct auth_set *set, uint64_t now_s)
{
	struct diag why;

	for (size_t i = 0; s && i < credential_count(s); i++)
		if (!credential_get(s, i)->retired && credential_is_good(s, i, now_s, NULL) &&
		    rank_in(s, i, set, &why) >= 0)
			return true;
	return false;
}

/* ---- checking
 * --------------------------------------------------------------------------------------------------------- */

/* What `cordond --check` came upon. */
struct checked {
	size_t bad, unseen; /* unseen: the caller may not read it, which says nothing of cordond */
};

static void say_bad(void *context, const char *path, const char *why, bool kept)
{
	struct checked *c = context;

	(void)kept;
	if (geteuid() != 0 && strstr(why, strerror(EACCES))) {
		(void)fprintf(stderr, "note: %s was not looked at, you may not read it; ask as root: %s\n", path, why);
		c->unseen++;
		return;
	}
	(void)fprintf(stderr, "warning: %s cannot be used: %s\n", path, why);
	c->bad++;
}

/* "host/b@R", "host/b@R and B$@R", "host/b@R, B$@R and 3 more" */
static void keys_of(const struct keytab_told *t, const char *own, struct str *out)
{
	const char *second = NULL;

	for (size_t i = 0; i < t->count && !second; i++)
		if (strcmp(t->all[i].name, own) != 0)
			second = t->all[i].name;
	str_add(out, own);
	if (t->count > 1 && second)
		str_addf(out, t->count > 2 ? ", %s" : " and %s", second);
	if (t->count > 2)
		str_addf(out, " and %zu more", t->count - 2);
}

void proofs_strange_keytab(const struct daemon *d, const struct credential_store *s, struct str *out)
{
	char system[256] = "";

	(void)gethostname(system, sizeof system - 1);
	for (size_t i = 0; s && i < credential_count(s); i++) {
		const struct credential *c = credential_get(s, i);
		const char *name = d->name ? d->name : system;

		if (c->kind != AUTH_KERBEROS || !*name || !c->keytab->count || keytab_told_is_of(c->keytab, name) ||
		    keytab_told_is_of(c->keytab, system))
			continue;
		str_addf(out, "%s has a key of ", c->path);
		keys_of(c->keytab, c->subject, out);
		str_addf(out,
			 ", and none of this host: it should have one of host/%s or %s$ (name: in host.yaml, or the "
			 "system's host name)",
			 name, name);
	}
}

/* In the words of the start: what of the policy is not proven. Of what could not be seen nothing is said. */
static size_t check_sets(const struct daemon *d, const struct credential_store *s, const struct sets *sets)
{
	uint64_t now_s = unix_now_ms() / 1000;
	size_t bad = 0;

	for (size_t i = 0; i < sets->count; i++) {
		SCOPED(str_wipe) struct str why = { 0 };

		if (store_satisfies(s, sets->at[i], now_s))
			continue;
		proofs_why_not(s, d->config->keytab, sets->at[i], now_s, &why);
		(void)fprintf(stderr, "warning: " LACKING "\n", sets->at[i]->name, str_text(&why));
		bad++;
	}
	return bad;
}

size_t proofs_check(const struct daemon *d, const struct plan *plan)
{
	struct sets sets = sets_of(plan);
	struct names psks = { 0 }, ppks = ppks_of(plan);
	SCOPED(keyring_freep) struct keyring *ring = keyring_new();
	struct keyring_loading loading = { .ring = ring };
	struct credential_store *store = NULL;
	struct credential_holder holder;
	struct arena memory = { 0 };
	struct diag why = { 0 };
	struct checked told = { 0 };
	SCOPED(str_wipe) struct str strange = { 0 };

	add_psks(&sets, &psks);
	keyring_holder(&loading, &holder);
	if (read_store(d, &psks, &ppks, &holder, say_bad, &told, &memory, &store, &why) < 0) {
		(void)fprintf(stderr, "warning: %s\n", why.text);
		told.bad++;
	}
	proofs_strange_keytab(d, store, &strange);
	if (strange.len) {
		(void)fprintf(stderr, "warning: %s\n", str_text(&strange));
		told.bad++;
	}
	if (!told.unseen)
		told.bad += check_sets(d, store, &sets);
	credential_store_free(store);
	free(sets.at);
	free(psks.at);
	free(ppks.at);
	arena_wipe(&memory);
	return told.bad;
}

bool proofs_each(const struct daemon *d, void (*each)(void *context, const struct auth_set *set, const char *why),
		 void *context)
{
	struct sets sets = d->plan ? sets_of(d->plan) : (struct sets){ 0 };
	const struct credential_store *s = d->engine ? engine_store(d->engine) : NULL;
	uint64_t now_s = unix_now_ms() / 1000;
	bool kerberos = false;

	for (size_t i = 0; i < sets.count && d->engine; i++) {
		SCOPED(str_wipe) struct str words = { 0 };

		kerberos = kerberos || asks_for_kind(sets.at[i], AUTH_KERBEROS);
		if (store_satisfies(s, sets.at[i], now_s))
			continue;
		proofs_why_not(s, d->config->keytab, sets.at[i], now_s, &words);
		each(context, sets.at[i], str_text(&words));
	}
	free(sets.at);
	return kerberos;
}

void proofs_wipe(struct loaded_proofs *p)
{
	shared_store_release(p->proofs.store);
	arena_wipe(&p->memory);
	str_wipe(&p->strange);
	*p = (struct loaded_proofs){ 0 };
}

/* One line for each authentication set that a rule of the plan asks for and nothing of this host proves. */
static void add_lacking(const struct proofs *p, struct str *out)
{
	for (size_t i = 0; i < p->keying.lack_count; i++)
		str_addf(out, LACKING "\n", p->keying.lacks[i].set->name, p->keying.lacks[i].why);
}

void proofs_say(const struct loaded_proofs *loaded)
{
	const struct proofs *p = &loaded->proofs;
	SCOPED(str_wipe) struct str lacking = { 0 };

	add_lacking(p, &lacking);
	if (lacking.len)
		log_warning("%.*s", (int)lacking.len - 1, lacking.text);
	if (loaded->strange.len)
		log_warning("%s", loaded->strange.text);
}
