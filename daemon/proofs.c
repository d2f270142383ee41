#include "daemon/proofs.h"

#include "base/diag.h"
#include "base/log.h"
#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_TEXT = 4096 };

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

/* ---- loading ----------------------------------------------------------------------------------------------------- */

/* A path that is relative to a page which lies in that folder begins with it already. */
static const char *under_root(const struct daemon *d, struct arena *a, const char *path)
{
	const char *root = d->options.root ? d->options.root : "";
	char full[PATH_TEXT];
	int n = snprintf(full, sizeof full, "%s%s", strncmp(path, root, strlen(root)) == 0 ? "" : root, path);

	return arena_string(a, full, n < 0 ? 0 : (size_t)n < sizeof full ? (size_t)n : sizeof full - 1);
}

static bool loads(const struct credential_files *certificate, const char *trust, const char *root, const char *psk)
{
	SCOPED(credential_store_freep) struct credential_store *s = NULL;
	struct diag why = { 0 };

	if (credential_store_load(certificate, certificate ? 1 : 0, &trust, trust ? 1 : 0, root, &psk, psk ? 1 : 0, &s,
				  &why) == 0)
		return true;
	log_warning("%s", why.text);
	return false;
}

/* Each part alone first, so that one bad file does not take the good ones with it. */
static struct credential_store *load_store(const struct daemon *d, const struct names *psks, struct arena *a)
{
	const struct host_config *c = d->config;
	struct credential_files *certificates = arena_new(a, c->certificate_count + 1, sizeof *certificates);
	const char **trust = arena_new(a, c->trust_count + 1, sizeof *trust);
	const char **keys = arena_new(a, psks->count + 1, sizeof *keys);
	size_t certificate_count = 0, trust_count = 0, key_count = 0;
	struct credential_store *store = NULL;
	struct diag why = { 0 };

	for (size_t i = 0; i < c->certificate_count; i++) {
		struct credential_files f = { under_root(d, a, c->certificates[i].certificate),
					      under_root(d, a, c->certificates[i].key) };

		if (loads(&f, NULL, NULL, NULL))
			certificates[certificate_count++] = f;
	}
	for (size_t i = 0; i < c->trust_count; i++) {
		const char *path = under_root(d, a, c->trust[i]);

		if (loads(NULL, path, NULL, NULL))
			trust[trust_count++] = path;
	}
	for (size_t i = 0; i < psks->count; i++)
		if (loads(NULL, NULL, d->options.root, psks->at[i]))
			keys[key_count++] = psks->at[i];
	if (credential_store_load(certificates, certificate_count, trust, trust_count, d->options.root, keys, key_count,
				  &store, &why) < 0)
		log_warning("%s", why.text);
	return store;
}

/* ---- matching ---------------------------------------------------------------------------------------------------- */

static bool proves(const struct credential_store *s, size_t number, const struct auth_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		if (credential_satisfies(s, number, &set->methods[i], NULL))
			return true;
	return false;
}

static void describe(const struct credential_store *s, size_t number, const struct sets *sets, struct arena *a,
		     struct keying_credential *ret)
{
	const struct credential *c = credential_get(s, number);
	const struct auth_set **satisfies = arena_new(a, sets->count + 1, sizeof(struct auth_set *));

	*ret = (struct keying_credential){
		.number = (uint32_t)number,
		.kind = c->kind,
		.psk_file = c->psk_file,
		.id_type = c->id_type,
		.id = c->id,
		.id_len = c->id_len,
		.chain = c->chain,
		.chain_lens = c->chain_lens,
		.chain_count = c->chain_count,
		.subject = c->kind == AUTH_CERTIFICATE ? c->subject : NULL,
		.satisfies = satisfies,
	};
	for (size_t i = 0; i < sets->count; i++)
		if (proves(s, number, sets->at[i]))
			satisfies[ret->satisfies_count++] = sets->at[i];
}

void proofs_load(const struct daemon *d, const struct plan *plan, struct loaded_proofs *ret)
{
	struct sets sets = sets_of(plan);
	struct names psks = { 0 };
	struct credential_store *store;

	*ret = (struct loaded_proofs){ .proofs.keying = keying_default };
	ret->proofs.keying.export_keys = d->export_fd >= 0;
	for (size_t i = 0; i < sets.count; i++)
		for (size_t j = 0; j < sets.at[i]->count; j++)
			if (sets.at[i]->methods[j].kind == AUTH_PSK)
				names_add(&psks, sets.at[i]->methods[j].psk_file);
	if ((store = load_store(d, &psks, &ret->memory))) {
		size_t n = credential_count(store);
		struct keying_credential *all = arena_new(&ret->memory, n + 1, sizeof *all);

		for (size_t i = 0; i < n; i++)
			describe(store, i, &sets, &ret->memory, &all[i]);
		ret->proofs.keying.credentials = all;
		ret->proofs.keying.credential_count = n;
		ret->proofs.keying.authority_count = credential_authorities(store, &ret->proofs.keying.authorities);
		ret->proofs.store = shared_store_new(store);
	}
	free(psks.at);
	free(sets.at);
}

void proofs_wipe(struct loaded_proofs *p)
{
	shared_store_release(p->proofs.store);
	arena_wipe(&p->memory);
	*p = (struct loaded_proofs){ 0 };
}

void proofs_lacking(const struct plan *plan, const struct proofs *p, struct str *out)
{
	struct sets sets = sets_of(plan);

	for (size_t i = 0; i < sets.count; i++) {
		bool found = false;

		for (size_t c = 0; c < p->keying.credential_count; c++)
			for (size_t k = 0; k < p->keying.credentials[c].satisfies_count; k++)
				found |= p->keying.credentials[c].satisfies[k] == sets.at[i];
		if (!found)
			str_addf(out,
				 "no certificate or key of this host satisfies '%s': its rules let nothing through\n",
				 sets.at[i]->name);
	}
	free(sets.at);
}
