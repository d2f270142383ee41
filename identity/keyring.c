#include "identity/keyring.h"

#include "base/algorithm.h"
#include "base/diag.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/wire.h"
#include "identity/credential.h"
#include "identity/handle.h"
#include "identity/kerberos/keytab.h"
#include "identity/secret_file.h"
#include "identity/signature.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PADDED_MOST = 8 };

/* prf(psk, "Key Pad for IKEv2"), made once (RFC 7296 2.15). */
struct padded {
	const struct algorithm *prf;
	struct key key;
};

struct secret {
	uint32_t number;
	unsigned uses;
	struct signing_key key; /* KEYRING_SIGN */
	uint8_t octets[KEYRING_PSK_MOST];
	size_t len;
	struct padded padded[PADDED_MOST]; /* KEYRING_PROVE */
	size_t padded_count;
	struct keytab *keytab; /* KEYRING_KEYTAB */
};

struct keyring {
	struct secret **all;
	size_t count, cap;
};

struct keyring *keyring_new(void)
{
	return mem_new(1, sizeof(struct keyring));
}

static void secret_free(struct secret *s)
{
	if (!s)
		return;
	signing_key_wipe(&s->key);
	keytab_free(s->keytab);
	explicit_bzero(s, sizeof *s);
	free(s);
}
SCOPE_FREEP(struct secret, secret)

void keyring_free(struct keyring *k)
{
	if (!k)
		return;
	for (size_t i = 0; i < k->count; i++)
		secret_free(k->all[i]);
	free(k->all);
	free(k);
}

static struct secret *find(const struct keyring *k, uint32_t number, unsigned use)
{
	for (size_t i = 0; k && i < k->count; i++)
		if (k->all[i]->number == number && (k->all[i]->uses & use))
			return k->all[i];
	return NULL;
}

/* RSA takes a thousand times as long as what else is done here, the others about thirty times. */
bool keyring_is_slow(const struct keyring *k, uint32_t number)
{
	const struct secret *s = find(k, number, KEYRING_SIGN);

	return s && (EVP_PKEY_is_a(s->key.key, "RSA") || EVP_PKEY_is_a(s->key.key, "RSA-PSS"));
}

size_t keyring_count(const struct keyring *k)
{
	return k->count;
}

const struct keytab *keyring_keytab(const struct keyring *k)
{
	for (size_t i = 0; i < k->count; i++)
		if (k->all[i]->keytab)
			return k->all[i]->keytab;
	return NULL;
}

const char *keyring_what(unsigned uses)
{
	return uses & KEYRING_SIGN ? "private key" : uses & KEYRING_KEYTAB ? "keytab" : "pre-shared key";
}

/* ---- private keys ---- */

static int no_passphrase(char *buf, int size, int writing, void *asked)
{
	(void)buf, (void)size, (void)writing;
	*(bool *)asked = true;
	return -1;
}

static int private_key(const struct text *t, EVP_PKEY **ret, struct diag *d)
{
	SCOPED(bio_freep) BIO *in = BIO_new_mem_buf(t->octets, (int)t->len);
	bool asked = false;

	*ret = in ? PEM_read_bio_PrivateKey(in, NULL, no_passphrase, &asked) : NULL;
	ERR_clear_error();
	if (!*ret && asked)
		return diag_fail(
			d, ERR_UNSUPPORTED,
			"private key %s is locked by a passphrase, and nobody is there to type it: openssl pkey "
			"-in %s -out KEY writes it without",
			t->path, t->path);
	if (!*ret)
		return diag_fail(d, ERR_SYNTAX, "%s holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)",
				 t->path);
	return 0;
}

static bool belongs(EVP_PKEY *key, const struct octets *public)
{
	const unsigned char *at = public->at;
	SCOPED(pkey_freep) EVP_PKEY *other = d2i_PUBKEY(NULL, &at, (long)public->len);
	bool same = other && EVP_PKEY_eq(key, other) == 1;

	ERR_clear_error();
	return same;
}

static int sign_load(struct secret *s, const struct keyring_item *item, const struct text *t, size_t *ret_fits,
		     struct diag *d)
{
	SCOPED(pkey_freep) EVP_PKEY *key = NULL;
	char type[KEY_TYPE_TEXT];
	size_t at = 0;
	int r;

	if ((r = private_key(t, &key, d)) < 0)
		return r;
	while (at < item->public_count && !belongs(key, &item->publics[at]))
		at++;
	if (at == 0 && item->public_count &&
	    ((r = signature_key_check(key, item->path, type, d)) < 0 || (r = signing_key_init(&s->key, key, d)) < 0))
		return r;
	*ret_fits = at;
	return 0;
}

/* ---- pre-shared keys ---- */

/* A PRF that libcrypto does not give here is not negotiated either. */
static void pad(struct secret *s)
{
	const struct octets words = { "Key Pad for IKEv2", 17 };

	for (size_t i = 0; i < algorithms_count && s->padded_count < PADDED_MOST; i++) {
		struct padded *p = &s->padded[s->padded_count];

		if (algorithms[i].kind != ALG_PRF || !algorithms[i].openssl)
			continue;
		p->prf = &algorithms[i];
		if (crypto_prf(p->prf, s->octets, s->len, &words, 1, &p->key, NULL) == 0)
			s->padded_count++;
	}
}

/* The file is the key, but for one line ending, which editors add. */
static int shared_load(struct secret *s, const struct text *t, struct diag *d)
{
	size_t len = t->len;

	if (len && t->octets[len - 1] == '\n')
		len--;
	if (len && t->octets[len - 1] == '\r')
		len--;
	if (len == 0)
		return diag_fail(d, ERR_SYNTAX, "pre-shared key %s is empty; openssl rand -base64 32 makes a good one",
				 t->path);
	if (len > KEYRING_PSK_MOST)
		return diag_fail(d, ERR_SYNTAX, "pre-shared key %s is over %d octets", t->path, KEYRING_PSK_MOST);
	if (memchr(t->octets, '\n', len))
		return diag_fail(d, ERR_SYNTAX, "pre-shared key %s has more than one line; a file holds one key",
				 t->path);
	memcpy(s->octets, t->octets, len);
	s->len = len;
	if (s->uses & KEYRING_PROVE)
		pad(s);
	return 0;
}

static int keytab_load(struct secret *s, const struct keyring_item *item, const struct text *t, struct diag *d)
{
	int r = keytab_parse(&(struct octets){ t->octets, t->len }, item->path, &s->keytab, d);

	if (r == 0 && item->told)
		keytab_tell(s->keytab, item->told);
	return r;
}

/* ---- filling ---- */

static size_t most_of(unsigned uses)
{
	return uses & KEYRING_SIGN     ? (size_t)SECRET_FILE_MOST
	       : uses & KEYRING_KEYTAB ? (size_t)KEYTAB_FILE_MOST
				       : KEYRING_PSK_MOST + 2;
}

static int room(const struct keyring *k, struct diag *d)
{
	return k->count < KEYRING_SECRETS_MOST
		       ? 0
		       : diag_fail(d, E2BIG, "more than %d private and pre-shared keys", KEYRING_SECRETS_MOST);
}

static void add(struct keyring *k, struct secret *s)
{
	k->all = mem_grow(k->all, k->count, &k->cap, sizeof(struct secret *));
	k->all[k->count++] = s;
}

int keyring_load(struct keyring *k, const struct keyring_item *item, int fd, size_t *ret_fits, struct diag *d)
{
	SCOPED(text_freep) struct text *t = NULL;
	SCOPED(secret_freep) struct secret *s = mem_new(1, sizeof *s);
	bool sign = item->uses & KEYRING_SIGN;
	size_t fits = 0;
	int r;

	s->number = item->number;
	s->uses = item->uses;
	if ((r = room(k, d)) < 0 ||
	    (r = secret_file_read(fd, item->path, keyring_what(item->uses), most_of(item->uses), &t, d)) < 0 ||
	    (r = sign                          ? sign_load(s, item, t, &fits, d)
		 : item->uses & KEYRING_KEYTAB ? keytab_load(s, item, t, d)
					       : shared_load(s, t, d)) < 0)
		return r;
	if (fits == 0 && (!sign || item->public_count))
		add(k, TAKE(s));
	*ret_fits = fits;
	return 0;
}

int keyring_keep(struct keyring *k, const struct keyring *before, uint32_t number, unsigned uses, struct diag *d)
{
	const struct secret *old = find(before, number, uses);
	SCOPED(secret_freep) struct secret *s = mem_new(1, sizeof *s);
	int r;

	if (!old)
		return diag_fail(d, ENOENT, "the key holder has no such key any more");
	if ((r = room(k, d)) < 0)
		return r;
	*s = *old;
	s->uses = uses;
	if (s->key.key)
		(void)EVP_PKEY_up_ref(s->key.key);
	if (s->keytab)
		s->keytab = keytab_copy(s->keytab);
	if (uses & KEYRING_PROVE && !s->padded_count)
		pad(s);
	add(k, TAKE(s));
	return 0;
}

/* ---- using ---- */

enum {
	IKE_HEADER = 28,
	IKE_SA_INIT = 34,
	NONCE_LEAST = 16,
	NONCE_MOST = 256,
	PRF_LEAST = 16,
	PRF_MOST = 64,
	OWN_NONCE = 32,
	NONCE_V1_LEAST = 8,
	COVERED_LEAST = 2 * 32 + 2 * 8 + 32 /* two public values, two cookies, an SA of one transform and a name */
};

bool keyring_may_sign(const struct octets *octets)
{
	struct wire_in in = wire_in(octets->at, octets->len);
	uint8_t version, exchange;
	uint32_t id, len;

	(void)wire_octets(&in, 17); /* SPIs, next payload */
	version = wire_u8(&in);
	exchange = wire_u8(&in);
	(void)wire_u8(&in);
	id = wire_u32(&in);
	len = wire_u32(&in);
	if (in.failed || version >> 4 != 2 || exchange != IKE_SA_INIT || id != 0 || len < IKE_HEADER ||
	    len > octets->len)
		return false;
	return octets->len - len >= NONCE_LEAST + PRF_LEAST && octets->len - len <= NONCE_MOST + PRF_MOST;
}

static bool is_prf_output(size_t len)
{
	return len == 16 || len == 20 || len == 32 || len == 48 || len == 64;
}

bool keyring_may_sign_hash(const struct octets *hash)
{
	return is_prf_output(hash->len);
}

/* A cipher's MAC is not one way for who has the key, so it is no hash here; nor are those whose collisions are known.
 */
bool keyring_may_sign_keyed(const struct algorithm *prf, size_t key_len, const struct octets *octets)
{
	static const char *const names[] = { "sha256", "sha384", "sha512" };
	bool known = false;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		known |= prf && prf == algorithm_by_name(ALG_PRF, names[i], strlen(names[i]));
	return known && is_prf_output(key_len) && octets->len >= COVERED_LEAST;
}

bool keyring_may_make_skeyid(const struct octets *nonces)
{
	return nonces->len >= OWN_NONCE + NONCE_V1_LEAST && nonces->len <= 2 * NONCE_MOST;
}

static const struct secret *wanted(const struct keyring *k, uint32_t number, unsigned use, struct diag *d)
{
	const struct secret *s = find(k, number, use);

	if (!s)
		(void)diag_fail(d, ENOENT, "the credential has gone from this host");
	return s;
}

/* prf(prf(psk, "Key Pad for IKEv2"), octets): RFC 7296 2.15. */
static int shared_proof(const struct secret *s, const struct algorithm *prf, const struct octets *octets,
			struct key *ret, struct diag *d)
{
	for (size_t i = 0; i < s->padded_count; i++)
		if (s->padded[i].prf == prf)
			return crypto_prf(prf, s->padded[i].key.octets, s->padded[i].key.len, octets, 1, ret, d);
	return diag_fail(d, ERR_CRYPTO, "a pre-shared key needs the PRF");
}

int keyring_sign(const struct keyring *k, uint32_t number, const struct algorithm *prf, uint16_t peer_hashes,
		 const struct octets *octets, struct keyring_proof *ret, struct diag *d)
{
	const struct secret *s = wanted(k, number, KEYRING_SIGN | KEYRING_PROVE, d);
	SCOPED(key_wipe) struct key proof = { 0 };
	int r;

	if (!s)
		return -ENOENT;
	if (s->uses & KEYRING_SIGN)
		return signature_make(&s->key, peer_hashes, octets, &ret->method, ret->auth, sizeof ret->auth,
				      &ret->len, d);
	if ((r = shared_proof(s, prf, octets, &proof, d)) < 0)
		return r;
	memcpy(ret->auth, proof.octets, proof.len);
	ret->len = proof.len;
	ret->method = AUTH_SHARED_KEY;
	return 0;
}

int keyring_sign_hash(const struct keyring *k, uint32_t number, const struct octets *hash, struct keyring_proof *ret,
		      struct diag *d)
{
	const struct secret *s = wanted(k, number, KEYRING_SIGN, d);

	if (!s)
		return -ENOENT;
	if (!signature_v1_takes_hashes(&s->key))
		return diag_fail(d, ERR_UNSUPPORTED, "this kind of key signs no hash that was made elsewhere");
	return signature_make_v1(&s->key, hash, &ret->method, ret->auth, sizeof ret->auth, &ret->len, d);
}

int keyring_sign_keyed(const struct keyring *k, uint32_t number, const struct algorithm *prf, const struct key *key,
		       const struct octets *octets, struct keyring_proof *ret, struct diag *d)
{
	const struct secret *s = wanted(k, number, KEYRING_SIGN, d);
	SCOPED(key_wipe) struct key hash = { 0 };
	int r;

	if (!s)
		return -ENOENT;
	if (!keyring_may_sign_keyed(prf, key->len, octets))
		return diag_fail(d, ERR_SYNTAX, "this is no hash of IKEv1's to sign by ECDSA");
	if ((r = crypto_prf(prf, key->octets, key->len, octets, 1, &hash, d)) < 0)
		return r;
	return signature_make_v1(&s->key, &(struct octets){ hash.octets, hash.len }, &ret->method, ret->auth,
				 sizeof ret->auth, &ret->len, d);
}

int keyring_skeyid(const struct keyring *k, uint32_t number, const struct algorithm *prf, const struct octets *nonces,
		   struct key *ret, struct diag *d)
{
	const struct secret *s = wanted(k, number, KEYRING_PROVE, d);

	return s ? crypto_prf(prf, s->octets, s->len, nonces, 1, ret, d) : -ENOENT;
}

int keyring_prove(const struct keyring *k, const uint32_t *numbers, size_t n, const struct algorithm *prf,
		  const struct octets *octets, const struct octets *auth, size_t *ret_lacks, struct diag *d)
{
	int r;

	for (size_t i = 0; i < n; i++) {
		SCOPED(key_wipe) struct key want = { 0 };
		const struct secret *s = wanted(k, numbers[i], KEYRING_PROVE, d);

		if (!s) {
			*ret_lacks = i;
			return -ENOENT;
		}
		if ((r = shared_proof(s, prf, octets, &want, d)) < 0)
			return r;
		if (auth->len == want.len && octets_equal(auth->at, want.octets, want.len))
			return 0;
	}
	return diag_fail(d, EKEYREJECTED, "another pre-shared key");
}

int keyring_mix(const struct keyring *k, uint32_t number, const struct algorithm *prf, struct key *const *keys,
		size_t n, struct diag *d)
{
	const struct secret *s = wanted(k, number, KEYRING_MIX, d);
	int r;

	if (!s)
		return -ENOENT;
	for (size_t i = 0; i < n; i++) {
		SCOPED(key_wipe) struct key mixed = { 0 };
		struct octets seed[] = { { keys[i]->octets, keys[i]->len }, { "\1", 1 } };

		/* All PRFs of IKEv2 have keys as long as their output, so the first block of prf+ is all of it. */
		if ((r = crypto_prf(prf, s->octets, s->len, seed, ARRAY_LEN(seed), &mixed, d)) < 0)
			return r;
		if (mixed.len != keys[i]->len)
			return diag_fail(d, ERR_UNSUPPORTED, "prf %s does not go with a post-quantum pre-shared key",
					 prf->name);
		key_move(keys[i], &mixed);
	}
	return 0;
}

/* ---- held by the same program ---- */

static int local_load(void *context, const struct keyring_item *item, size_t *ret_fits, struct diag *d)
{
	const struct keyring_loading *l = context;
	int fd = secret_file_open(item->path, keyring_what(item->uses), d), r;

	if (fd < 0)
		return fd;
	r = keyring_load(l->ring, item, fd, ret_fits, d);
	(void)close(fd);
	return r;
}

static int local_keep(void *context, uint32_t number, unsigned uses, struct diag *d)
{
	const struct keyring_loading *l = context;

	return keyring_keep(l->ring, l->before, number, uses, d);
}

void keyring_holder(struct keyring_loading *l, struct credential_holder *ret)
{
	*ret = (struct credential_holder){ .load = local_load, .keep = local_keep, .context = l };
}
