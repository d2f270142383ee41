/* The named sets that rules refer to: authentication, key exchange (main mode) and protection (quick mode). */
#include "base/diag.h"
#include "policy/model.h"

#include <string.h>

#define PSK_RIGHT "pre-shared-key: { file: /etc/cordon/psk }"

enum { SUITES_MOST = 32, METHODS_MOST = 32 };

static const struct choice allow[] = { { "allow", 1 }, { "refuse", 0 } };

/* A key written into the policy would be read by everyone who may read the policy. Nothing of it is repeated here: the
 * place has no length, so the report does not quote the line. */
void load_refuse_key(struct load *l, uint32_t node, const char *right)
{
	struct place place = yaml_place(l->rd.y, node);

	place.length = 0;
	report_hide_line(l->rd.r, place.file, place.line);
	finding_advise(
		report_add(l->rd.r, SEVERITY_ERROR, "inline-key", place,
			   "a pre-shared key must not stand in the policy itself"),
		"a policy is copied to every host and read by many; put the key into a file that only root reads\n"
		"and name the file: %s\n"
		"what has any other name than these is taken for the key, even if it is only misspelt",
		right);
}

static void read_psk(struct load *l, uint32_t node, struct auth_method *m)
{
	static const struct map_key keys[] = { { "file", true } };
	uint32_t v[1];

	m->kind = AUTH_PSK;
	if (!node_is_map(&l->rd, node)) {
		load_refuse_key(l, node, PSK_RIGHT);
		return;
	}
	for (uint32_t i = pair_first(&l->rd, node); i; i = pair_next(&l->rd, i)) {
		if (!node_is(&l->rd, i, "file")) { /* whatever it is called, it may be the key */
			load_refuse_key(l, pair_value(&l->rd, i), PSK_RIGHT);
			return;
		}
	}
	if (read_map(&l->rd, node, "pre-shared-key", keys, 1, v) && read_string(&l->rd, v[0], "file", &m->psk_file) &&
	    m->psk_file[0] != '/')
		read_error(&l->rd, "bad-value", v[0], "the file of a pre-shared key is an absolute path");
}

static void read_kerberos(struct load *l, uint32_t node, struct auth_method *m)
{
	static const struct map_key keys[] = { { "realm", true } };
	uint32_t v[1];

	m->kind = AUTH_KERBEROS;
	if (read_map(&l->rd, node, "kerberos", keys, 1, v))
		(void)read_string(&l->rd, v[0], "realm", &m->realm);
}

static void read_method(struct load *l, uint32_t node, struct auth_method *m)
{
	static const struct map_key keys[] = {
		[AUTH_PSK] = { "pre-shared-key", false },
		[AUTH_CERTIFICATE] = { "certificate", false },
		[AUTH_KERBEROS] = { "kerberos", false },
	};
	static void (*const readers[])(struct load *, uint32_t, struct auth_method *) = {
		[AUTH_PSK] = read_psk,
		[AUTH_CERTIFICATE] = load_certificate_method,
		[AUTH_KERBEROS] = read_kerberos,
	};
	uint32_t v[ARRAY_LEN(keys)];
	unsigned count = 0;

	m->place = yaml_place(l->rd.y, node);
	if (!read_map(&l->rd, node, "an authentication method", keys, ARRAY_LEN(keys), v)) {
		if (!node_is_map(&l->rd, node))
			return;
		/* What nobody knows may be a key by another name. */
		for (uint32_t i = pair_first(&l->rd, node); i; i = pair_next(&l->rd, i)) {
			report_hide_line(l->rd.r, m->place.file, yaml_at(l->rd.y, i)->line);
			report_hide_line(l->rd.r, m->place.file, yaml_at(l->rd.y, pair_value(&l->rd, i))->line);
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (!v[i])
			continue;
		count++;
		readers[i](l, v[i], m);
	}
	if (count != 1)
		read_error(&l->rd, "bad-value", node,
			   "an authentication method is one of certificate, pre-shared-key or kerberos; several make a "
			   "list");
}

/* The user's sets of one kind: registered by name, each read by `each`. */
static size_t read_sets(struct load *l, uint32_t node, const char *what, struct names *names, void *array, size_t size,
			const char **(*name_of)(void *), void (*each)(struct load *, uint32_t, void *, struct place))
{
	size_t n = 0;

	for (uint32_t i = pair_first(&l->rd, node); i; i = pair_next(&l->rd, i)) {
		void *set = (char *)array + n * size;

		if (!load_register(l, names, i, what, 0, set, name_of(set)))
			continue;
		each(l, pair_value(&l->rd, i), set, yaml_place(l->rd.y, i));
		n++;
	}
	return n;
}

static const char **auth_name(void *set)
{
	return &((struct auth_set *)set)->name;
}

static void read_auth_set(struct load *l, uint32_t node, void *set, struct place place)
{
	struct auth_set *s = set;
	size_t most = item_count(&l->rd, node);

	s->place = place;
	if (most == 0 || most > METHODS_MOST) {
		read_error(&l->rd, "wrong-type", node, "an authentication set is a list of 1 to %d methods",
			   METHODS_MOST);
		return;
	}
	s->methods = arena_new(&l->p->memory, most, sizeof *s->methods);
	for (uint32_t i = item_first(&l->rd, node); i; i = item_next(&l->rd, node, i))
		read_method(l, i, &s->methods[s->count++]);
}

static size_t set_count(struct load *l, uint32_t node, const char *section)
{
	return node && read_pairs(&l->rd, node, section) ? yaml_at(l->rd.y, node)->count : 0;
}

static void *named(const struct names *names, const char *name)
{
	const struct name *n = names_find(names, name, strlen(name));

	return n ? n->value : NULL;
}

void load_auth_sets(struct load *l, uint32_t node)
{
	size_t n = set_count(l, node, "authentication:");

	l->p->auth_sets = arena_new(&l->p->memory, n, sizeof *l->p->auth_sets);
	if (n)
		l->p->auth_set_count = read_sets(l, node, "authentication set", &l->auth_sets, l->p->auth_sets,
						 sizeof *l->p->auth_sets, auth_name, read_auth_set);
	l->default_auth = named(&l->auth_sets, "default");
}

static bool read_seconds_or(struct load *l, uint32_t node, const char *what, const char *or_else, uint32_t *ret)
{
	uint64_t ms;

	if (!read_duration_ms_or(&l->rd, node, what, or_else, &ms))
		return false;
	if (ms < 1000 || ms / 1000 > UINT32_MAX) {
		read_error(&l->rd, "bad-value", node, "%s is at least 1s and at most 136 years%s", what, or_else);
		return false;
	}
	*ret = (uint32_t)(ms / 1000);
	return true;
}

static bool read_seconds(struct load *l, uint32_t node, const char *what, uint32_t *ret)
{
	return read_seconds_or(l, node, what, "", ret);
}

static bool read_seconds_or_never(struct load *l, uint32_t node, const char *what, uint32_t *ret)
{
	if (!node_is(&l->rd, node, "never"))
		return read_seconds_or(l, node, what, ", or never", ret);
	*ret = 0;
	return true;
}

static bool read_legacy(struct load *l, uint32_t node)
{
	unsigned value = 0;

	return node && read_choice(&l->rd, node, "legacy", allow, ARRAY_LEN(allow), &value) && value;
}

static void legacy_error(struct load *l, uint32_t node, const char *text, size_t len)
{
	struct finding *f =
		read_error(&l->rd, "legacy", node, "'%.*s' uses an algorithm that is no longer safe", (int)len, text);

	finding_advise(f, "choose another, or say so on purpose: legacy: allow");
}

static bool proposals_fit(struct load *l, uint32_t node)
{
	if (!node_is_map(&l->rd, node) && item_count(&l->rd, node) >= 1 && item_count(&l->rd, node) <= SUITES_MOST)
		return true;
	read_error(&l->rd, "wrong-type", node, "proposals is a list of 1 to %d proposals, the best first", SUITES_MOST);
	return false;
}

static const char **key_exchange_name(void *set)
{
	return &((struct key_exchange_set *)set)->name;
}

static void ike_defaults(struct load *l, struct key_exchange_set *s)
{
	static const char *const texts[] = { "aes256-sha384-ecp384", "aes256gcm-sha256-x25519" };

	s->suites = arena_new(&l->p->memory, ARRAY_LEN(texts), sizeof *s->suites);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (ike_suite_parse(texts[i], strlen(texts[i]), &s->suites[s->count], NULL) == 0)
			s->count++;
	s->lifetime_s = 8 * 3600;
}

static void read_key_exchange_set(struct load *l, uint32_t node, void *set, struct place place)
{
	enum { PROPOSALS, LIFETIME, REAUTHENTICATE, LEGACY, PPK, KEYS };
	static const struct map_key keys[KEYS] = {
		[PROPOSALS] = { "proposals", false },
		[LIFETIME] = { "lifetime", false },
		[REAUTHENTICATE] = { "reauthenticate", false },
		[LEGACY] = { "legacy", false },
		[PPK] = { "ppk", false },
	};
	struct key_exchange_set *s = set;
	uint32_t v[KEYS];

	s->place = place;
	if (!read_map(&l->rd, node, "a key-exchange set", keys, KEYS, v) && !node_is_map(&l->rd, node))
		return;
	ike_defaults(l, s);
	s->legacy = read_legacy(l, v[LEGACY]);
	if (v[LIFETIME])
		(void)read_seconds(l, v[LIFETIME], "lifetime", &s->lifetime_s);
	if (v[REAUTHENTICATE])
		(void)read_seconds_or_never(l, v[REAUTHENTICATE], "reauthenticate", &s->reauthenticate_s);
	if (v[PPK])
		load_ppks(l, v[PPK], s);
	if (!v[PROPOSALS] || !proposals_fit(l, v[PROPOSALS]))
		return;
	s->suites = arena_new(&l->p->memory, item_count(&l->rd, v[PROPOSALS]), sizeof *s->suites);
	s->count = 0;
	for (uint32_t i = item_first(&l->rd, v[PROPOSALS]); i; i = item_next(&l->rd, v[PROPOSALS], i)) {
		struct diag d = { 0 };
		const char *text;
		size_t len;

		if (!read_word(&l->rd, i, "a proposal", &text, &len))
			continue;
		if (ike_suite_parse(text, len, &s->suites[s->count], &d) < 0)
			read_error(&l->rd, "bad-proposal", i, "%s", d.text);
		else if (ike_suite_legacy(&s->suites[s->count]) && !s->legacy)
			legacy_error(l, i, text, len);
		else
			s->count++;
	}
}

void load_key_exchange_sets(struct load *l, uint32_t node)
{
	size_t n = set_count(l, node, "key-exchange:");
	struct policy *p = l->p;

	p->key_exchange_sets = arena_new(&p->memory, n + 1, sizeof *p->key_exchange_sets);
	if (n)
		p->key_exchange_set_count =
			read_sets(l, node, "key-exchange set", &l->key_exchange_sets, p->key_exchange_sets,
				  sizeof *p->key_exchange_sets, key_exchange_name, read_key_exchange_set);
	if (!(l->default_key_exchange = named(&l->key_exchange_sets, "default"))) {
		struct key_exchange_set *s = &p->key_exchange_sets[p->key_exchange_set_count++];
		bool is_new;

		s->name = "default";
		ike_defaults(l, s);
		l->default_key_exchange = s;
		(void)names_add(&l->key_exchange_sets, s->name, strlen(s->name), 0, s, s->place, &is_new);
	}
}

static const char **protection_name(void *set)
{
	return &((struct protection_set *)set)->name;
}

static void child_defaults(struct load *l, struct protection_set *s)
{
	static const char *const texts[] = { "esp-aes256gcm", "esp-aes128gcm" };

	s->suites = arena_new(&l->p->memory, ARRAY_LEN(texts), sizeof *s->suites);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (child_suite_parse(texts[i], strlen(texts[i]), &s->suites[s->count], NULL) == 0)
			s->count++;
	s->lifetime_s = 3600;
	s->lifetime_octets = 100000000000;
	s->idle_s = 300;
}

/* `lifetime: 1h`, or `lifetime: { time: 1h, data: 100GB }`. */
static void read_protection_lifetime(struct load *l, uint32_t node, struct protection_set *s)
{
	static const struct map_key keys[] = { { "time", false }, { "data", false } };
	uint32_t v[ARRAY_LEN(keys)];

	if (!node_is_map(&l->rd, node)) {
		(void)read_seconds(l, node, "lifetime", &s->lifetime_s);
		return;
	}
	(void)read_map(&l->rd, node, "lifetime", keys, ARRAY_LEN(keys), v);
	if (v[0])
		(void)read_seconds(l, v[0], "lifetime", &s->lifetime_s);
	if (v[1] && read_octets(&l->rd, v[1], "data", &s->lifetime_octets) && s->lifetime_octets &&
	    s->lifetime_octets < 1000000)
		read_error(&l->rd, "bad-value", v[1], "a lifetime by data is at least 1MB, or 0 for none");
}

static void read_child_proposal(struct load *l, uint32_t node, uint32_t require, struct protection_set *s)
{
	struct child_suite *suite = &s->suites[s->count];
	struct diag d = { 0 };
	const char *text;
	size_t len;

	if (!read_word(&l->rd, node, "a proposal", &text, &len))
		return;
	if (child_suite_parse(text, len, suite, &d) < 0) {
		read_error(&l->rd, "bad-proposal", node, "%s", d.text);
		return;
	}
	if (s->require_encryption && !child_suite_encrypts(suite)) {
		struct finding *f = read_error(&l->rd, "not-encrypting", node,
					       "'%.*s' does not encrypt, and this set says require-encryption: true",
					       (int)len, text);

		finding_advise(f, "take it out, or say require-encryption: false (line %u)",
			       yaml_at(l->rd.y, require)->line);
		return;
	}
	if (child_suite_legacy(suite) && !s->legacy) {
		legacy_error(l, node, text, len);
		return;
	}
	s->count++;
}

static void read_protection_set(struct load *l, uint32_t node, void *set, struct place place)
{
	enum { REQUIRE, PROPOSALS, LIFETIME, IDLE, LEGACY, KEYS };
	static const struct map_key keys[KEYS] = {
		[REQUIRE] = { "require-encryption", false },
		[PROPOSALS] = { "proposals", false },
		[LIFETIME] = { "lifetime", false },
		[IDLE] = { "idle-timeout", false },
		[LEGACY] = { "legacy", false },
	};
	struct protection_set *s = set;
	uint32_t v[KEYS];

	s->place = place;
	if (!read_map(&l->rd, node, "a protection set", keys, KEYS, v) && !node_is_map(&l->rd, node))
		return;
	child_defaults(l, s);
	s->legacy = read_legacy(l, v[LEGACY]);
	if (v[REQUIRE])
		(void)read_bool(&l->rd, v[REQUIRE], "require-encryption", &s->require_encryption);
	if (v[LIFETIME])
		read_protection_lifetime(l, v[LIFETIME], s);
	if (v[IDLE])
		(void)read_seconds_or_never(l, v[IDLE], "idle-timeout", &s->idle_s);
	if (!v[PROPOSALS] || !proposals_fit(l, v[PROPOSALS]))
		return;
	s->suites = arena_new(&l->p->memory, item_count(&l->rd, v[PROPOSALS]), sizeof *s->suites);
	s->count = 0;
	for (uint32_t i = item_first(&l->rd, v[PROPOSALS]); i; i = item_next(&l->rd, v[PROPOSALS], i))
		read_child_proposal(l, i, v[REQUIRE], s);
}

void load_protection_sets(struct load *l, uint32_t node)
{
	size_t n = set_count(l, node, "protection:");
	struct policy *p = l->p;

	p->protection_sets = arena_new(&p->memory, n + 1, sizeof *p->protection_sets);
	if (n)
		p->protection_set_count = read_sets(l, node, "protection set", &l->protection_sets, p->protection_sets,
						    sizeof *p->protection_sets, protection_name, read_protection_set);
	if (!(l->default_protection = named(&l->protection_sets, "default"))) {
		struct protection_set *s = &p->protection_sets[p->protection_set_count++];
		bool is_new;

		s->name = "default";
		child_defaults(l, s);
		l->default_protection = s;
		(void)names_add(&l->protection_sets, s->name, strlen(s->name), 0, s, s->place, &is_new);
	}
}

static const void *set_named(struct load *l, uint32_t node, const char *key, const char *what,
			     const struct names *names)
{
	const char *text;
	size_t len;
	const struct name *n;

	if (!read_word(&l->rd, node, key, &text, &len))
		return NULL;
	if (!(n = names_find(names, text, len)))
		load_unknown_name(l, node, what, names, NULL, 0);
	return n ? n->value : NULL;
}

const struct auth_set *load_auth_named(struct load *l, uint32_t node)
{
	return set_named(l, node, "authentication", "no authentication set is called", &l->auth_sets);
}

const struct protection_set *load_protection_named(struct load *l, uint32_t node)
{
	return set_named(l, node, "protection", "no protection set is called", &l->protection_sets);
}

const struct key_exchange_set *load_key_exchange_named(struct load *l, uint32_t node)
{
	return set_named(l, node, "key-exchange", "no key-exchange set is called", &l->key_exchange_sets);
}
