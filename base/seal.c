/* Sealing and opening of packets: a cipher and its integrity, keyed once. ESP and IKE's SK payload both use it. */
#include "base/crypto.h"

#include "base/algorithm.h"
#include "base/diag.h"
#include "base/gcm.h"
#include "base/mac.h"
#include "base/mem.h"

#include <limits.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum mode {
	MODE_NULL,
	MODE_CBC,  /* RFC 3602, 2451 */
	MODE_CTR,  /* RFC 3686: nonce is salt, IV and a block counter that begins with 1 */
	MODE_AEAD, /* RFC 4106, 7634: nonce is salt and IV */
	MODE_CCM,  /* RFC 4309: the same, but libcrypto wants to know the lengths before the octets */
	MODE_GMAC, /* RFC 4543: everything is authenticated, nothing encrypted */
};

enum {
	NONCE_MAX = 16,
	SALT_MAX = 4,
	ICV_MAX = 32,
	ID_GCM_8 = 18,
	ID_GCM_16 = 20,
	ID_CCM_8 = 14,
	ID_CCM_16 = 16,
	ID_GMAC = 21
};

struct seal {
	const struct algorithm *encr, *integ; /* encr: NULL for none; integ: NULL with an AEAD */
	enum mode mode;
	/* One context a direction, made at the first packet of that direction: an SA has but one. */
	EVP_CIPHER_CTX *close, *open;
	struct gcm *gcm; /* both directions, where libcrypto is not the fastest */
	uint8_t *key;    /* of encr, without salt */
	uint8_t salt[SALT_MAX];
	struct mac *mac; /* NULL: no separate integrity */
};

static enum mode mode_of(const struct algorithm *encr)
{
	if (!encr || !encr->openssl)
		return MODE_NULL;
	if (encr->aead && (encr->ikev2 == ID_GMAC || encr->kind == ALG_INTEG))
		return MODE_GMAC;
	if (encr->aead)
		return encr->ikev2 >= ID_CCM_8 && encr->ikev2 <= ID_CCM_16 ? MODE_CCM : MODE_AEAD;
	return encr->block > 1 ? MODE_CBC : MODE_CTR;
}

static void cipher_freep(EVP_CIPHER **c)
{
	EVP_CIPHER_free(*c);
}

/* CCM keys itself for one length of nonce and check value. */
static bool sizes_set(const struct seal *s, EVP_CIPHER_CTX *c)
{
	return s->mode != MODE_CCM ||
	       (EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_IVLEN, s->encr->salt + s->encr->iv, NULL) == 1 &&
		EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, s->encr->icv, NULL) == 1);
}

static EVP_CIPHER_CTX *context(struct seal *s, bool closing, struct diag *d)
{
	EVP_CIPHER_CTX **at = closing ? &s->close : &s->open, *c = *at;
	SCOPED(cipher_freep) EVP_CIPHER *cipher = NULL;

	if (c)
		return c;
	cipher = EVP_CIPHER_fetch(NULL, s->encr->openssl, NULL);
	c = EVP_CIPHER_CTX_new();
	if (!cipher || !c || EVP_CipherInit_ex2(c, cipher, NULL, NULL, closing, NULL) != 1 ||
	    EVP_CIPHER_CTX_set_padding(c, 0) != 1 || !sizes_set(s, c) ||
	    EVP_CipherInit_ex2(c, NULL, s->key, NULL, closing, NULL) != 1) {
		EVP_CIPHER_CTX_free(c);
		(void)diag_fail(d, ERR_UNSUPPORTED, "this libcrypto has no %s", s->encr->openssl);
		return NULL;
	}
	*at = c;
	return c;
}

int seal_new(const struct algorithm *encr, const struct key *encr_key, const struct algorithm *integ,
	     const struct key *integ_key, struct seal **ret, struct diag *d)
{
	SCOPED(seal_freep) struct seal *s = mem_new(1, sizeof *s);
	const struct key *key = encr_key;

	if (!encr && integ && integ->aead) { /* AH with GMAC: the same machine, fed with another key */
		encr = integ;
		key = integ_key;
		integ = NULL;
	}
	s->encr = encr;
	s->mode = mode_of(encr);
	if (encr && encr->aead)
		integ = NULL;
	else if (!integ)
		return diag_fail(d, ERR_CRYPTO, "%s without integrity protects nothing", encr ? encr->name : "null");
	if (s->mode != MODE_NULL) {
		if (!key || key->len != (size_t)encr->key + encr->salt)
			return diag_fail(d, ERR_CRYPTO, "%s takes a key of %u octets", encr->name,
					 encr->key + encr->salt);
		s->key = mem_copy(key->octets, encr->key);
		memcpy(s->salt, key->octets + encr->key, encr->salt);
	}
	if (integ) {
		if (!integ_key || integ_key->len != integ->key)
			return diag_fail(d, ERR_CRYPTO, "%s takes a key of %u octets", integ->name, integ->key);
		s->mac = mem_new(1, sizeof *s->mac);
		if (integ->icv > ICV_MAX || !mac_init(s->mac, integ->openssl, integ_key->octets, integ_key->len))
			return diag_fail(d, ERR_UNSUPPORTED, "%s is no integrity algorithm", integ->name);
		s->integ = integ;
	}
	*ret = TAKE(s);
	return 0;
}

void seal_cool(struct seal *s)
{
	EVP_CIPHER_CTX_free(s->close); /* both cleanse their key schedules */
	EVP_CIPHER_CTX_free(s->open);
	s->close = s->open = NULL;
	gcm_free(s->gcm);
	s->gcm = NULL;
}

void seal_free(struct seal *s)
{
	if (!s)
		return;
	seal_cool(s);
	if (s->key)
		explicit_bzero(s->key, s->encr->key);
	free(s->key);
	if (s->mac)
		mac_wipe(s->mac);
	free(s->mac);
	explicit_bzero(s, sizeof *s);
	free(s);
}

static void nonce_make(const struct seal *s, const uint8_t *iv, uint8_t nonce[NONCE_MAX])
{
	memset(nonce, 0, NONCE_MAX);
	memcpy(nonce, s->salt, s->encr->salt);
	memcpy(nonce + s->encr->salt, iv, s->encr->iv);
	if (s->mode == MODE_CTR)
		nonce[NONCE_MAX - 1] = 1;
}

static bool run(EVP_CIPHER_CTX *c, uint8_t *to, const void *from, size_t n)
{
	int done = 0;

	return n == 0 || (EVP_CipherUpdate(c, to, &done, from, (int)n) == 1 && (size_t)done == n);
}

/* CCM makes and checks its value in this one call, so that it is made even for no text. */
static bool run_ccm(EVP_CIPHER_CTX *c, uint8_t *text, size_t n)
{
	uint8_t nothing = 0;
	int done = 0;

	return EVP_CipherUpdate(c, n ? text : &nothing, &done, n ? text : &nothing, (int)n) == 1 && (size_t)done == n;
}

static bool is_gcm(const struct seal *s)
{
	return s->mode == MODE_AEAD && s->encr->ikev2 >= ID_GCM_8 && s->encr->ikev2 <= ID_GCM_16;
}

/* Keyed at the first packet, like the others. A seal that libcrypto has begun stays with it. */
static bool has_gcm(struct seal *s)
{
	if (!s->gcm && is_gcm(s) && !s->close && !s->open)
		s->gcm = gcm_new(s->key, s->encr->key);
	return s->gcm;
}

/* Everything but separate integrity. With an AEAD closing writes the check value and opening reads it. */
static int cipher(struct seal *s, const struct sealed *p, bool closing, struct diag *d)
{
	uint8_t nonce[NONCE_MAX], rest[NONCE_MAX];
	EVP_CIPHER_CTX *c;
	int none = 0;
	bool ok;

	if (s->mode == MODE_NULL)
		return 0;
	if (p->text_len > INT_MAX || p->aad.len > INT_MAX || p->covered.len > INT_MAX ||
	    (p->text_len & (s->encr->block - 1u)) != 0) /* a power of two */
		return diag_fail(d, ERR_CRYPTO, "%zu octets are no whole number of %s blocks", p->text_len,
				 s->encr->name);
	nonce_make(s, p->iv, nonce);
	if (has_gcm(s)) {
		if (closing)
			gcm_close(s->gcm, nonce, &p->aad, p->from ? p->from : p->text, p->text, p->text_len, p->icv,
				  s->encr->icv);
		else if (!gcm_open(s->gcm, nonce, &p->aad, p->text, p->text_len, p->icv, s->encr->icv))
			return diag_fail(d, ERR_CRYPTO, "%s: wrong check value", s->encr->name);
		return 0;
	}
	if (!(c = context(s, closing, d)))
		return -ERR_UNSUPPORTED;
	ok = EVP_CipherInit_ex2(c, NULL, NULL, nonce, closing, NULL) == 1;
	if (ok && s->encr->aead && !closing)
		ok = EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, s->encr->icv, p->icv) == 1;
	if (s->mode == MODE_CCM)
		ok = ok && EVP_CipherUpdate(c, NULL, &none, NULL, (int)p->text_len) == 1 &&
		     run(c, NULL, p->aad.at, p->aad.len) && run_ccm(c, p->text, p->text_len);
	else if (s->mode == MODE_GMAC && s->encr->kind == ALG_INTEG)
		ok = ok && run(c, NULL, p->covered.at, p->covered.len) && run(c, NULL, p->behind.at, p->behind.len);
	else if (s->mode == MODE_GMAC)
		ok = ok && run(c, NULL, p->aad.at, p->aad.len) && run(c, NULL, p->iv, s->encr->iv) &&
		     run(c, NULL, p->text, p->text_len);
	else if (s->mode == MODE_AEAD)
		ok = ok && run(c, NULL, p->aad.at, p->aad.len) && run(c, p->text, p->text, p->text_len);
	else
		ok = ok && run(c, p->text, p->text, p->text_len);
	if (ok && s->encr->aead && (s->mode != MODE_CCM || closing))
		ok = EVP_CipherFinal_ex(c, rest, &none) == 1 &&
		     (!closing || EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, s->encr->icv, p->icv) == 1);
	if (ok)
		return 0;
	if (s->mode == MODE_AEAD ||
	    s->mode == MODE_CCM) /* what was decrypted before the check failed is nobody's business */
		explicit_bzero(p->text, p->text_len);
	return diag_fail(d, ERR_CRYPTO, closing ? "%s failed" : "%s: wrong check value", s->encr->name);
}

static void check_value(struct seal *s, const struct sealed *p, uint8_t *ret)
{
	mac_add(s->mac, p->covered.at, p->covered.len);
	mac_add(s->mac, p->behind.at, p->behind.len);
	mac_end(s->mac, ret, s->integ->icv);
}

int seal_close(struct seal *s, const struct sealed *packet, struct diag *d)
{
	int r;

	if (packet->from && !has_gcm(s)) /* the others work in place */
		memcpy(packet->text, packet->from, packet->text_len);
	r = cipher(s, packet, true, d);
	if (r == 0 && s->mac)
		check_value(s, packet, packet->icv);
	return r;
}

int seal_open(struct seal *s, const struct sealed *packet, struct diag *d)
{
	uint8_t icv[ICV_MAX];

	if (s->mac) {
		check_value(s, packet, icv);
		if (!octets_equal(icv, packet->icv, s->integ->icv))
			return diag_fail(d, ERR_CRYPTO, "%s: wrong check value", s->integ->name);
	}
	return cipher(s, packet, false, d);
}
