#include "daemon/keys/messages.h"

#include "base/algorithm.h"

#include <errno.h>
#include <string.h>

enum { ERROR_MOST = 4095 };

/* ---- what several hold ---- */

static int done(const struct wire_in *in, bool sound)
{
	return wire_done(in) && sound ? 0 : -EPROTO;
}

static void put_octets(struct wire_out *out, const struct octets *o)
{
	wire_put_u16(out, (uint16_t)o->len);
	wire_put(out, o->at, o->len);
}

static struct octets get_octets(struct wire_in *in, size_t most, bool *sound)
{
	uint16_t n = wire_u16(in);
	const uint8_t *at = wire_octets(in, n);

	*sound &= n <= most;
	return (struct octets){ at, at ? n : 0 };
}

/* No NUL goes over, and none may come. */
static void put_path(struct wire_out *out, const char *path)
{
	put_octets(out, &(struct octets){ path, strnlen(path, KEYS_PATH - 1) });
}

static void get_path(struct wire_in *in, char ret[KEYS_PATH], bool *sound)
{
	struct octets o = get_octets(in, KEYS_PATH - 1, sound);

	if (*sound && o.len) {
		memcpy(ret, o.at, o.len);
		*sound = !memchr(ret, '\0', o.len);
	}
}

static bool is_control(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f;
}

/* Words end in a log or on a terminal: no control characters, whoever makes them. */
static void put_words(struct wire_out *out, const char words[KEYS_WORDS])
{
	size_t n = strnlen(words, KEYS_WORDS - 1);

	wire_put_u16(out, (uint16_t)n);
	for (size_t i = 0; i < n; i++)
		wire_put_u8(out, is_control(words[i]) ? '?' : (uint8_t)words[i]);
}

static void get_words(struct wire_in *in, char ret[KEYS_WORDS], bool *sound)
{
	struct octets o = get_octets(in, KEYS_WORDS - 1, sound);

	if (*sound && o.len)
		memcpy(ret, o.at, o.len);
	for (size_t i = 0; *sound && i < o.len; i++)
		*sound = !is_control(ret[i]);
}

static void put_prf(struct wire_out *out, const struct algorithm *prf)
{
	wire_put_u16(out, prf ? prf->ikev2 : 0);
}

static const struct algorithm *get_prf(struct wire_in *in, bool *sound)
{
	uint16_t id = wire_u16(in);
	const struct algorithm *prf = id ? algorithm_by_ikev2(ALG_PRF, id, 0) : NULL;

	*sound &= !id || prf;
	return prf;
}

static void put_key(struct wire_out *out, const struct key *k)
{
	wire_put_u8(out, (uint8_t)k->len);
	wire_put(out, k->octets, k->len);
}

static void get_key(struct wire_in *in, struct key *ret, bool *sound)
{
	uint8_t n = wire_u8(in);
	const uint8_t *at = wire_octets(in, n);

	*sound &= at && key_set(ret, at, n);
}

static void put_keys(struct wire_out *out, const struct keying_mix *m)
{
	put_key(out, &m->d);
	put_key(out, &m->pi);
	put_key(out, &m->pr);
}

static void get_keys(struct wire_in *in, struct keying_mix *ret, bool *sound)
{
	get_key(in, &ret->d, sound);
	get_key(in, &ret->pi, sound);
	get_key(in, &ret->pr, sound);
}

/* Negative numbers only, and those that diag.h and errno.h have. */
static void put_error(struct wire_out *out, int error)
{
	wire_put_u32(out, (uint32_t)-error);
}

static int get_error(struct wire_in *in, bool *sound)
{
	uint32_t v = wire_u32(in);

	*sound &= v <= ERROR_MOST;
	return v <= ERROR_MOST ? -(int)v : 0;
}

static bool uses_known(uint8_t uses)
{
	return uses == KEYRING_SIGN || uses == KEYRING_KEYTAB || (uses && !(uses & ~(KEYRING_PROVE | KEYRING_MIX)));
}

/* ---- parent to keys ---- */

void keys_put_load(struct wire_out *out, const struct keys_load *m)
{
	wire_put_u32(out, m->ticket);
	wire_put_u32(out, m->number);
	wire_put_u8(out, m->uses);
	wire_put_u8(out, (uint8_t)m->public_count);
	put_path(out, m->path);
	for (size_t i = 0; i < m->public_count; i++)
		put_octets(out, &m->publics[i]);
}

int keys_get_load(struct wire_in *in, struct keys_load *ret)
{
	bool sound = true;

	*ret = (struct keys_load){ 0 };
	ret->ticket = wire_u32(in);
	ret->number = wire_u32(in);
	ret->uses = wire_u8(in);
	ret->public_count = wire_u8(in);
	get_path(in, ret->path, &sound);
	if (ret->public_count > KEYRING_PUBLICS_MOST)
		return -EPROTO;
	for (size_t i = 0; i < ret->public_count; i++)
		ret->publics[i] = get_octets(in, KEYS_PUBLIC_MOST, &sound);
	return done(in, sound && uses_known(ret->uses) && !(ret->uses & KEYRING_SIGN) == !ret->public_count);
}

void keys_put_keep(struct wire_out *out, const struct keys_keep *m)
{
	wire_put_u32(out, m->ticket);
	wire_put_u32(out, m->number);
	wire_put_u8(out, m->uses);
}

int keys_get_keep(struct wire_in *in, struct keys_keep *ret)
{
	*ret = (struct keys_keep){ 0 };
	ret->ticket = wire_u32(in);
	ret->number = wire_u32(in);
	ret->uses = wire_u8(in);
	return done(in, uses_known(ret->uses));
}

static void put_told(struct wire_out *out, const struct keytab_told *t)
{
	wire_put_u8(out, (uint8_t)t->count);
	for (size_t i = 0; i < t->count; i++) {
		const struct keytab_principal *p = &t->all[i];

		wire_put_text(out, p->name, sizeof p->name);
		wire_put_u8(out, (uint8_t)p->kvno_count);
		for (size_t n = 0; n < p->kvno_count; n++)
			wire_put_u32(out, p->kvnos[n]);
		wire_put_u8(out, (uint8_t)p->enctype_count);
		for (size_t n = 0; n < p->enctype_count; n++)
			wire_put_u32(out, (uint32_t)p->enctypes[n]);
	}
}

static size_t get_count(struct wire_in *in, size_t most, bool *sound)
{
	uint8_t n = wire_u8(in);

	*sound &= n <= most;
	return *sound ? n : 0;
}

static void get_told(struct wire_in *in, struct keytab_told *ret, bool *sound)
{
	ret->count = get_count(in, KEYTAB_PRINCIPALS_MOST, sound);
	for (size_t i = 0; i < ret->count; i++) {
		struct keytab_principal *p = &ret->all[i];

		wire_text(in, p->name, sizeof p->name);
		for (size_t n = 0; p->name[n]; n++)
			*sound &= !is_control(p->name[n]);
		*sound &= p->name[0] != '\0';
		p->kvno_count = get_count(in, KEYTAB_KVNOS_MOST, sound);
		for (size_t n = 0; n < p->kvno_count; n++)
			p->kvnos[n] = wire_u32(in);
		p->enctype_count = get_count(in, KEYTAB_ENCTYPES_MOST, sound);
		for (size_t n = 0; n < p->enctype_count; n++)
			p->enctypes[n] = (int32_t)wire_u32(in);
	}
}

void keys_put_answer(struct wire_out *out, const struct keys_answer *m)
{
	wire_put_u32(out, m->ticket);
	put_error(out, m->error);
	wire_put_u8(out, m->fits);
	put_words(out, m->words);
	put_told(out, &m->told);
}

int keys_get_answer(struct wire_in *in, struct keys_answer *ret)
{
	bool sound = true;

	*ret = (struct keys_answer){ 0 };
	ret->ticket = wire_u32(in);
	ret->error = get_error(in, &sound);
	ret->fits = wire_u8(in);
	get_words(in, ret->words, &sound);
	get_told(in, &ret->told, &sound);
	return done(in, sound);
}

void keys_put_ticket(struct wire_out *out, const struct keys_ticket *m)
{
	wire_put_u64(out, m->until_s);
	put_words(out, m->client);
	put_words(out, m->failure);
}

int keys_get_ticket(struct wire_in *in, struct keys_ticket *ret)
{
	bool sound = true;

	*ret = (struct keys_ticket){ .until_s = wire_u64(in) };
	get_words(in, ret->client, &sound);
	get_words(in, ret->failure, &sound);
	return done(in, sound && ret->until_s <= UINT32_MAX);
}

/* ---- keying to keys ---- */

void keys_put_sign(struct wire_out *out, const struct keys_sign *m)
{
	wire_put_u64(out, m->job);
	wire_put_u8(out, (uint8_t)m->what);
	wire_put_u32(out, m->number);
	put_prf(out, m->prf);
	wire_put_u16(out, m->peer_hashes);
	if (m->what == KEYS_SIGN_KEYED)
		put_key(out, &m->key);
	wire_put(out, m->octets.at, m->octets.len);
}

int keys_get_sign(struct wire_in *in, struct keys_sign *ret)
{
	bool sound = true;

	*ret = (struct keys_sign){ 0 };
	ret->job = wire_u64(in);
	ret->what = (enum keys_sign_what)wire_u8(in);
	ret->number = wire_u32(in);
	ret->prf = get_prf(in, &sound);
	ret->peer_hashes = wire_u16(in);
	if (ret->what == KEYS_SIGN_KEYED)
		get_key(in, &ret->key, &sound);
	ret->octets.len = in->left;
	ret->octets.at = wire_octets(in, in->left);
	return done(in, sound && ret->what < KEYS_SIGN_WHATS && ret->octets.len <= KEYS_OCTETS_MOST);
}

void keys_put_prove(struct wire_out *out, const struct keys_prove *m)
{
	wire_put_u64(out, m->job);
	put_prf(out, m->prf);
	wire_put_u8(out, (uint8_t)m->count);
	for (size_t i = 0; i < m->count; i++)
		wire_put_u32(out, m->numbers[i]);
	put_octets(out, &m->auth);
	wire_put(out, m->octets.at, m->octets.len);
}

int keys_get_prove(struct wire_in *in, struct keys_prove *ret)
{
	bool sound = true;

	*ret = (struct keys_prove){ 0 };
	ret->job = wire_u64(in);
	ret->prf = get_prf(in, &sound);
	ret->count = wire_u8(in);
	if (ret->count > KEYS_PROVE_MOST)
		return -EPROTO;
	for (size_t i = 0; i < ret->count; i++)
		ret->numbers[i] = wire_u32(in);
	ret->auth = get_octets(in, KEYING_AUTH_MOST, &sound);
	ret->octets.len = in->left;
	ret->octets.at = wire_octets(in, in->left);
	return done(in, sound && ret->octets.len <= KEYS_OCTETS_MOST);
}

void keys_put_mix(struct wire_out *out, const struct keys_mix *m)
{
	wire_put_u64(out, m->job);
	wire_put_u32(out, m->number);
	put_prf(out, m->prf);
	put_keys(out, &m->keys);
}

int keys_get_mix(struct wire_in *in, struct keys_mix *ret)
{
	bool sound = true;

	*ret = (struct keys_mix){ 0 };
	ret->job = wire_u64(in);
	ret->number = wire_u32(in);
	ret->prf = get_prf(in, &sound);
	get_keys(in, &ret->keys, &sound);
	return done(in, sound && ret->prf);
}

/* ---- and back ---- */

void keys_put_signed(struct wire_out *out, const struct keys_signed *m)
{
	wire_put_u64(out, m->job);
	wire_put_u8(out, m->proof.method);
	wire_put(out, m->proof.auth, m->proof.len);
}

int keys_get_signed(struct wire_in *in, struct keys_signed *ret)
{
	const uint8_t *at;

	ret->job = wire_u64(in);
	ret->proof.method = wire_u8(in);
	ret->proof.len = in->left;
	if (in->left > sizeof ret->proof.auth || !(at = wire_octets(in, in->left)))
		return -EPROTO;
	memcpy(ret->proof.auth, at, ret->proof.len);
	return done(in, true);
}

void keys_put_mixed(struct wire_out *out, uint64_t job, const struct keying_mix *keys)
{
	wire_put_u64(out, job);
	put_keys(out, keys);
}

int keys_get_mixed(struct wire_in *in, uint64_t *ret_job, struct keying_mix *ret)
{
	bool sound = true;

	*ret_job = wire_u64(in);
	*ret = (struct keying_mix){ 0 };
	get_keys(in, ret, &sound);
	return done(in, sound);
}

void keys_put_refused(struct wire_out *out, const struct keys_refused *m)
{
	wire_put_u64(out, m->job);
	put_error(out, m->error);
	wire_put_u8(out, m->lacks);
	put_words(out, m->words);
}

int keys_get_refused(struct wire_in *in, struct keys_refused *ret)
{
	bool sound = true;

	*ret = (struct keys_refused){ 0 };
	ret->job = wire_u64(in);
	ret->error = get_error(in, &sound);
	ret->lacks = wire_u8(in);
	get_words(in, ret->words, &sound);
	return done(in, sound && ret->error < 0);
}

/* ---- Kerberos ---- */

enum { GSS_INITIATOR = 1, STEPPED_COMPLETE = 1 };

static struct octets rest(struct wire_in *in)
{
	size_t n = in->left;
	const uint8_t *at = wire_octets(in, n);

	return (struct octets){ at, at ? n : 0 };
}

void keys_put_gss(struct wire_out *out, const struct keys_gss *m)
{
	wire_put_u64(out, m->job);
	wire_put_u64(out, m->gss);
	wire_put_u32(out, m->number);
	wire_put_u8(out, m->initiator ? GSS_INITIATOR : 0);
	wire_put_text(out, m->target, sizeof m->target);
	put_octets(out, &m->binding);
	wire_put(out, m->token.at, m->token.len);
}

int keys_get_gss(struct wire_in *in, struct keys_gss *ret)
{
	bool sound = true;
	uint8_t flags;

	*ret = (struct keys_gss){ 0 };
	ret->job = wire_u64(in);
	ret->gss = wire_u64(in);
	ret->number = wire_u32(in);
	flags = wire_u8(in);
	ret->initiator = flags & GSS_INITIATOR;
	wire_text(in, ret->target, sizeof ret->target);
	ret->binding = get_octets(in, KEYS_BINDING_MOST, &sound);
	ret->token = rest(in);
	return done(in, sound && flags <= GSS_INITIATOR && ret->token.len <= KEYING_TOKEN_MOST);
}

void keys_put_gss_use(struct wire_out *out, const struct keys_gss_use *m)
{
	wire_put_u64(out, m->job);
	wire_put_u64(out, m->gss);
	wire_put_u8(out, m->use);
	wire_put_u16(out, m->len);
	wire_put(out, m->octets.at, m->octets.len);
}

int keys_get_gss_use(struct wire_in *in, struct keys_gss_use *ret)
{
	*ret = (struct keys_gss_use){ 0 };
	ret->job = wire_u64(in);
	ret->gss = wire_u64(in);
	ret->use = wire_u8(in);
	ret->len = wire_u16(in);
	ret->octets = rest(in);
	return done(in, ret->use < KEYS_USES && ret->octets.len <= KEYS_USE_MOST && ret->len <= KEYING_SECRET_MOST);
}

void keys_put_stepped(struct wire_out *out, const struct keys_stepped *m)
{
	wire_put_u64(out, m->job);
	put_error(out, m->error);
	wire_put_u8(out, m->complete ? STEPPED_COMPLETE : 0);
	wire_put_u64(out, m->good_ms);
	put_words(out, m->words);
	peer_put(out, &m->peer);
	wire_put(out, m->token.at, m->token.len);
}

/* Who has failed has not proven anything, and nobody completes a context with a stranger. */
int keys_get_stepped(struct wire_in *in, struct keys_stepped *ret)
{
	bool sound = true;
	uint8_t flags;

	*ret = (struct keys_stepped){ 0 };
	ret->job = wire_u64(in);
	ret->error = get_error(in, &sound);
	flags = wire_u8(in);
	ret->complete = flags & STEPPED_COMPLETE;
	ret->good_ms = wire_u64(in);
	get_words(in, ret->words, &sound);
	peer_get(in, &ret->peer);
	for (size_t i = 0; ret->peer.id[i]; i++)
		sound &= !is_control(ret->peer.id[i]);
	ret->token = rest(in);
	return done(in, sound && flags <= STEPPED_COMPLETE && !(ret->complete && ret->error) &&
				ret->complete == (ret->peer.method == PEER_KERBEROS && ret->peer.id[0]) &&
				ret->token.len <= KEYING_TOKEN_MOST);
}

void keys_put_gss_text(struct wire_out *out, const struct keys_gss_text *m)
{
	wire_put_u64(out, m->job);
	wire_put(out, m->octets.at, m->octets.len);
}

int keys_get_gss_text(struct wire_in *in, struct keys_gss_text *ret)
{
	*ret = (struct keys_gss_text){ .job = wire_u64(in) };
	ret->octets = rest(in);
	return done(in, ret->octets.len <= KEYS_USE_MOST);
}
