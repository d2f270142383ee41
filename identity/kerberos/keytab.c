#include "identity/kerberos/keytab.h"

#include "base/crypto.h"
#include "base/diag.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/wire.h"
#include "identity/kerberos/principal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 0x0502, VERSION_NATIVE = 0x0501, COMPONENTS_MOST = 16, NAME_MOST = PEER_TEXT - 1 };

static const struct {
	int32_t number;
	const char *name;
	size_t key_len; /* 0: not used any more */
} enctypes[] = {
	{ 18, "aes256-cts", 32 },      { 17, "aes128-cts", 16 },   { 20, "aes256-sha384", 32 },
	{ 19, "aes128-sha256", 16 },   { 23, "rc4-hmac", 16 },     { 26, "camellia256-cts", 32 },
	{ 25, "camellia128-cts", 16 }, { 16, "des3-cbc-sha1", 0 }, { 3, "des-cbc-md5", 0 },
	{ 1, "des-cbc-crc", 0 },       { 24, "rc4-hmac-exp", 0 },
};

const char *keytab_enctype_text(int32_t enctype, char buf[KEYTAB_ENCTYPE_TEXT])
{
	for (size_t i = 0; i < ARRAY_LEN(enctypes); i++)
		if (enctypes[i].number == enctype)
			return enctypes[i].name;
	(void)snprintf(buf, KEYTAB_ENCTYPE_TEXT, "enctype %d", enctype);
	return buf;
}

static size_t key_len_of(int32_t enctype)
{
	for (size_t i = 0; i < ARRAY_LEN(enctypes); i++)
		if (enctypes[i].number == enctype)
			return enctypes[i].key_len;
	return 0;
}

bool keytab_enctype_usable(int32_t enctype)
{
	return key_len_of(enctype) > 0;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* A component with a backslash before what would end it (RFC 1964 2.1.1). Control characters are nobody's name. */
static bool add_component(struct str *out, const uint8_t *at, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (at[i] < ' ' || at[i] == 0x7f)
			return false;
		str_addf(out, at[i] == '/' || at[i] == '@' || at[i] == '\\' ? "\\%c" : "%c", at[i]);
	}
	return out->len <= NAME_MOST;
}

/* u16 octets, then so many. */
static bool read_component(struct wire_in *in, struct str *out)
{
	uint16_t n = wire_u16(in);
	const uint8_t *at = wire_octets(in, n);

	return at && add_component(out, at, n);
}

static bool read_name(struct wire_in *in, struct str *out)
{
	SCOPED(str_wipe) struct str realm = { 0 };
	uint16_t count = wire_u16(in);
	bool sound = count > 0 && count <= COMPONENTS_MOST && read_component(in, &realm) && realm.len;

	for (uint16_t i = 0; sound && i < count; i++) {
		if (i)
			str_add(out, "/");
		sound = read_component(in, out);
	}
	if (sound)
		str_addf(out, "@%s", str_text(&realm));
	return sound && out->len <= NAME_MOST;
}

static void entry_wipe(struct keytab_entry *e)
{
	free(e->principal);
	explicit_bzero(e, sizeof *e);
}

/* False: it means nothing; true with *ret_used clear: a kind that is not used. */
static bool read_entry(struct wire_in *in, struct keytab_entry *ret, bool *ret_used)
{
	SCOPED(str_wipe) struct str name = { 0 };
	const uint8_t *key;
	uint32_t wide;

	if (!read_name(in, &name))
		return false;
	ret->name_type = wire_u32(in);
	(void)wire_u32(in); /* when it was written */
	ret->kvno = wire_u8(in);
	ret->enctype = (int16_t)wire_u16(in);
	ret->key_len = wire_u16(in);
	if (!(key = wire_octets(in, ret->key_len)))
		return false;
	/* The octet is what a number of 32 bits, which newer writers add, was cut to. */
	if (in->left >= 4 && (wide = wire_u32(in)))
		ret->kvno = wide;
	*ret_used = key_len_of(ret->enctype) && key_len_of(ret->enctype) == ret->key_len;
	if (!*ret_used)
		return true;
	memcpy(ret->key, key, ret->key_len);
	ret->principal = mem_string(str_text(&name));
	return true;
}

static int add_entry(struct keytab *k, struct wire_in *in, const char *path, struct diag *d)
{
	struct keytab_entry e = { 0 };
	bool used = false;

	if (!read_entry(in, &e, &used)) {
		entry_wipe(&e);
		return diag_fail(d, ERR_SYNTAX, "keytab %s is damaged: entry %zu means nothing", path,
				 k->count + k->passed_over + 1);
	}
	if (!used) {
		k->passed_over++;
		return 0;
	}
	if (k->count == KEYTAB_ENTRIES_MOST) {
		entry_wipe(&e);
		return diag_fail(d, E2BIG, "keytab %s has more than %d keys", path, KEYTAB_ENTRIES_MOST);
	}
	if (k->count == k->cap) { /* grown by hand: what is moved away from is wiped */
		size_t cap = k->cap ? 2 * k->cap : 8;
		struct keytab_entry *to = mem_new(cap, sizeof *to);

		if (k->count) {
			memcpy(to, k->entries, k->count * sizeof *to);
			explicit_bzero(k->entries, k->count * sizeof *to);
		}
		free(k->entries);
		k->entries = to;
		k->cap = cap;
	}
	k->entries[k->count++] = e;
	explicit_bzero(&e, sizeof e);
	return 0;
}

int keytab_parse(const struct octets *file, const char *path, struct keytab **ret, struct diag *d)
{
	SCOPED(keytab_freep) struct keytab *k = mem_new(1, sizeof *k);
	struct wire_in in = wire_in(file->at, file->len);
	uint16_t version = wire_u16(&in);
	int r;

	if (file->len == 0)
		return diag_fail(d, ERR_SYNTAX,
				 "keytab %s is empty: join the host again (adcli join, samba-tool domain exportkeytab)",
				 path);
	if (in.failed || (version != VERSION && version != VERSION_NATIVE))
		return diag_fail(d, ERR_SYNTAX, "%s is no keytab: one begins with the octets 05 02", path);
	if (version == VERSION_NATIVE)
		return diag_fail(d, ERR_UNSUPPORTED,
				 "keytab %s is of the old format 5.1: read and write it with ktutil (rkt, wkt)", path);
	while (in.left) {
		int32_t size = (int32_t)wire_u32(&in);
		/* What was deleted is a hole of so many octets, which a file may end in. */
		size_t n = size < 0 ? (size_t)(-(int64_t)size) : (size_t)size;
		struct wire_in entry;

		if (size == 0 && !in.failed)
			break;
		if (size < 0 && n > in.left)
			break;
		entry = wire_sub(&in, n);
		if (entry.failed)
			return diag_fail(d, ERR_SYNTAX, "keytab %s is cut: entry %zu says %zu octets", path,
					 k->count + k->passed_over + 1, n);
		if (size > 0 && (r = add_entry(k, &entry, path, d)) < 0)
			return r;
	}
	if (k->count == 0)
		return diag_fail(d, ERR_SYNTAX,
				 k->passed_over
					 ? "keytab %s has no key of an encryption type that is still used (AES): set "
					   "the account's msDS-SupportedEncryptionTypes to 24 and export it again"
					 : "keytab %s holds no key",
				 path);
	*ret = TAKE(k);
	return 0;
}

void keytab_free(struct keytab *k)
{
	if (!k)
		return;
	for (size_t i = 0; i < k->count; i++)
		entry_wipe(&k->entries[i]);
	free(k->entries);
	free(k);
}

struct keytab *keytab_copy(const struct keytab *k)
{
	struct keytab *to = mem_new(1, sizeof *to);

	*to = (struct keytab){ .count = k->count, .cap = k->count, .passed_over = k->passed_over };
	to->entries = mem_new(k->count + 1, sizeof *to->entries);
	for (size_t i = 0; i < k->count; i++) {
		to->entries[i] = k->entries[i];
		to->entries[i].principal = mem_string(k->entries[i].principal);
	}
	return to;
}

bool keytab_equal(const struct keytab *a, const struct keytab *b)
{
	bool same = a->count == b->count;

	for (size_t i = 0; same && i < a->count; i++) {
		const struct keytab_entry *x = &a->entries[i], *y = &b->entries[i];

		same = x->kvno == y->kvno && x->enctype == y->enctype && x->key_len == y->key_len &&
		       strcmp(x->principal, y->principal) == 0 && octets_equal(x->key, y->key, x->key_len);
	}
	return same;
}

/* ---- telling ----------------------------------------------------------------------------------------------------- */

static struct keytab_principal *told_of(struct keytab_told *t, const char *name)
{
	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->all[i].name, name) == 0)
			return &t->all[i];
	if (t->count == KEYTAB_PRINCIPALS_MOST || strlen(name) >= PEER_TEXT)
		return NULL;
	memcpy(t->all[t->count].name, name, strlen(name) + 1);
	return &t->all[t->count++];
}

static void tell_kvno(struct keytab_principal *p, uint32_t kvno)
{
	size_t at = 0;

	while (at < p->kvno_count && p->kvnos[at] > kvno)
		at++;
	if (at == KEYTAB_KVNOS_MOST || (at < p->kvno_count && p->kvnos[at] == kvno))
		return;
	if (p->kvno_count < KEYTAB_KVNOS_MOST)
		p->kvno_count++;
	memmove(&p->kvnos[at + 1], &p->kvnos[at], (p->kvno_count - at - 1) * sizeof p->kvnos[0]);
	p->kvnos[at] = kvno;
}

static void tell_enctype(struct keytab_principal *p, int32_t enctype)
{
	for (size_t i = 0; i < p->enctype_count; i++)
		if (p->enctypes[i] == enctype)
			return;
	if (p->enctype_count < KEYTAB_ENCTYPES_MOST)
		p->enctypes[p->enctype_count++] = enctype;
}

void keytab_tell(const struct keytab *k, struct keytab_told *ret)
{
	*ret = (struct keytab_told){ 0 };
	for (size_t i = 0; i < k->count; i++) {
		struct keytab_principal *p = told_of(ret, k->entries[i].principal);

		if (!p)
			continue;
		tell_kvno(p, k->entries[i].kvno);
		tell_enctype(p, k->entries[i].enctype);
	}
}

static bool has_full_name(const char *principal)
{
	const char *dot = strchr(principal, '.');

	return principal_is_host(principal) && dot && dot < principal_realm(principal);
}

static const char *first(const struct keytab_told *t, bool (*is)(const char *principal))
{
	for (size_t i = 0; i < t->count; i++)
		if (is(t->all[i].name))
			return t->all[i].name;
	return NULL;
}

const char *keytab_told_own(const struct keytab_told *t)
{
	const char *own = first(t, has_full_name);

	if (!own)
		own = first(t, principal_is_host);
	if (!own)
		own = first(t, principal_is_machine);
	return own || t->count == 0 ? own : t->all[0].name;
}

const char *keytab_told_client(const struct keytab_told *t)
{
	const char *machine = first(t, principal_is_machine);

	return machine ? machine : keytab_told_own(t);
}

bool keytab_told_is_of(const struct keytab_told *t, const char *machine)
{
	for (size_t i = 0; i < t->count; i++)
		if (principal_is_of(t->all[i].name, machine))
			return true;
	return false;
}

bool keytab_told_weak(const struct keytab_told *t)
{
	enum { RC4_HMAC = 23 };

	for (size_t i = 0; i < t->count; i++)
		for (size_t n = 0; n < t->all[i].enctype_count; n++)
			if (t->all[i].enctypes[n] != RC4_HMAC)
				return false;
	return t->count > 0;
}

bool keytab_told_equal(const struct keytab_told *a, const struct keytab_told *b)
{
	bool same = a->count == b->count;

	for (size_t i = 0; same && i < a->count; i++) {
		const struct keytab_principal *x = &a->all[i], *y = &b->all[i];

		same = strcmp(x->name, y->name) == 0 && x->kvno_count == y->kvno_count &&
		       x->enctype_count == y->enctype_count &&
		       memcmp(x->kvnos, y->kvnos, x->kvno_count * sizeof x->kvnos[0]) == 0 &&
		       memcmp(x->enctypes, y->enctypes, x->enctype_count * sizeof x->enctypes[0]) == 0;
	}
	return same;
}
