/* What cryptography alone allows: the set-ups of bench `ike`, both sides of each on one core (`limit`), and single
 * operations of bench `crypto`, ours against libcrypto's, packets among them. One JSON object a line. */
#include "base/algorithm.h"
#include "base/crypto.h"
#include "base/diag.h"
#include "base/gcm.h"
#include "base/scope.h"
#include "base/text.h"
#include "identity/credential.h"
#include "identity/handle.h"
#include "identity/pki.h"
#include "identity/signature.h"
#include "tests/unit/folder.h"
#include "tests/unit/own.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 7, ROUND_MS = 150, MOST = 1024 };

static char dir[] = "/tmp/cordon-bench-XXXXXX";
static struct own own; /* certificates of ECDSA P-384 and P-256, a pre-shared key */
static const struct octets message = { "the octets that are signed in IKE_AUTH", 38 };

static void end(void)
{
	if (folder_remove(dir) != 0)
		(void)fprintf(stderr, "bench: %s is left behind\n", dir);
}

static void must(int r, const struct diag *d)
{
	if (r >= 0)
		return;
	(void)fprintf(stderr, "bench: %s\n", d ? d->text : "failed");
	exit(1);
}

static double cpu_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- set-ups ---- */

static const char *const usages[] = { "1.3.6.1.5.5.8.2.2" };
static struct auth_method asks[] = {
	{ .kind = AUTH_CERTIFICATE, .issuer = "CN=bench", .both = { .ekus = usages, .eku_count = 1 } },
	{ .kind = AUTH_PSK, .psk_file = "/psk" }
};
enum { BY_P384, BY_P256, BY_PSK };
static struct auth_set sets[] = { { .name = "certificate", .methods = &asks[0], .count = 1 },
				  { .name = "certificate", .methods = &asks[0], .count = 1 },
				  { .name = "psk", .methods = &asks[1], .count = 1 } };

/* One side proves itself and the other checks. */
static void authenticate(size_t credential, const struct algorithm *prf)
{
	const struct credential *c = credential_get(own.store, credential);
	struct keyring_proof made;
	uint8_t address[4] = { 10, 0, 0, 1 };
	struct octets chain = { c->chain_count ? c->chain[0] : NULL, c->chain_count ? c->chain_lens[0] : 0 };
	struct credential_proof p = {
		.set = &sets[credential],
		.peer_hashes = CREDENTIAL_HASHES,
		.signed_octets = message,
		.id_type = credential == BY_PSK ? 1 : c->id_type,
		.id = credential == BY_PSK ? (struct octets){ address, 4 } : (struct octets){ c->id, c->id_len },
		.chain = &chain,
		.chain_count = c->chain_count,
		.now_s = (uint64_t)time(NULL),
	};
	struct peer peer;
	struct diag d;

	must(own_sign(&own, credential, prf, CREDENTIAL_HASHES, &message, &made, &d), &d);
	p.auth_method = made.method;
	p.auth = (struct octets){ made.auth, made.len };
	must(own_verify(&own, &p, prf, &peer, &d), &d);
}

static void set_up(const struct algorithm *group, size_t credential)
{
	const struct algorithm *prf = algorithm_by_name(ALG_PRF, "sha384", 6);
	uint8_t ours[MOST], theirs[MOST], secret[MOST], keymat[7 * 48];
	SCOPED(key_wipe) struct key a = { 0 };
	SCOPED(key_wipe) struct key b = { 0 };
	size_t n, m, len;
	struct diag d;

	must(crypto_ke_generate(group, &a, ours, sizeof ours, &n, &d), &d);
	must(crypto_ke_generate(group, &b, theirs, sizeof theirs, &m, &d), &d);
	for (int side = 0; side < 2; side++) {
		SCOPED(key_wipe) struct key seed = { 0 };
		struct octets shared;

		must(crypto_ke_derive(group, side ? &b : &a, side ? ours : theirs, side ? n : m, secret, sizeof secret,
				      &len, &d),
		     &d);
		shared = (struct octets){ secret, len };
		must(crypto_prf(prf, "nonces", 6, &shared, 1, &seed, &d), &d);
		must(crypto_prf_plus(prf, &seed, &message, 1, keymat, sizeof keymat, &d), &d);
		authenticate(credential, prf);
	}
}

static const struct algorithm *group(const char *name)
{
	return algorithm_by_name(ALG_GROUP, name, strlen(name));
}

static void psk_x25519(void)
{
	set_up(group("x25519"), BY_PSK);
}

static void psk_ecp384(void)
{
	set_up(group("ecp384"), BY_PSK);
}

static void ecdsa_ecp384(void)
{
	set_up(group("ecp384"), BY_P384);
}

static void ecdsa_x25519(void)
{
	set_up(group("x25519"), BY_P256);
}

/* ---- operations ---- */

static void exchange_ours(const char *name)
{
	static const char *made;
	static struct key private;
	static uint8_t public[MOST];
	static size_t len;
	uint8_t mine[MOST], secret[MOST];
	size_t n;
	struct key k;
	struct diag d;

	if (made != name) { /* the other side, once */
		must(crypto_ke_generate(group(name), &private, public, sizeof public, &len, &d), &d);
		made = name;
	}
	must(crypto_ke_generate(group(name), &k, mine, sizeof mine, &n, &d), &d);
	must(crypto_ke_derive(group(name), &k, public, len, secret, sizeof secret, &n, &d), &d);
	key_wipe(&k);
}

static void exchange_openssl(const char *type, const char *curve)
{
	static const char *made;
	static EVP_PKEY *other;
	SCOPED(pkey_freep) EVP_PKEY *mine = NULL;
	SCOPED(pkey_ctx_freep) EVP_PKEY_CTX *c = NULL;
	uint8_t secret[MOST];
	size_t n = sizeof secret;

	if (made != type) {
		EVP_PKEY_free(other);
		other = EVP_PKEY_Q_keygen(NULL, NULL, type, curve);
		made = type;
	}
	mine = EVP_PKEY_Q_keygen(NULL, NULL, type, curve);
	c = EVP_PKEY_CTX_new(mine, NULL);
	must(EVP_PKEY_derive_init(c) == 1 && EVP_PKEY_derive_set_peer(c, other) == 1 &&
			     EVP_PKEY_derive(c, secret, &n) == 1
		     ? 0
		     : -1,
	     NULL);
}

static void ke_ecp384_ours(void)
{
	exchange_ours("ecp384");
}

static void ke_ecp384_openssl(void)
{
	exchange_openssl("EC", "P-384");
}

static void ke_x25519_ours(void)
{
	exchange_ours("x25519");
}

static void ke_x25519_openssl(void)
{
	exchange_openssl("X25519", NULL);
}

static EVP_PKEY *p384;
static struct signing_key p384_ours;
static uint8_t signature[256];
static size_t signature_len;
static uint8_t method;

static void sign_ours(void)
{
	struct diag d;

	must(signature_make(&p384_ours, CREDENTIAL_HASHES, &message, &method, signature, sizeof signature,
			    &signature_len, &d),
	     &d);
}

static void verify_ours(void)
{
	struct octets auth = { signature, signature_len };
	struct diag d;

	must(signature_check(p384, CREDENTIAL_HASHES, method, &auth, &message, &d), &d);
}

static uint8_t der[256];
static size_t der_len;

static void sign_openssl(void)
{
	SCOPED(md_ctx_freep) EVP_MD_CTX *c = EVP_MD_CTX_new();

	der_len = sizeof der;
	must(EVP_DigestSignInit_ex(c, NULL, "SHA384", NULL, NULL, p384, NULL) == 1 &&
			     EVP_DigestSign(c, der, &der_len, message.at, message.len) == 1
		     ? 0
		     : -1,
	     NULL);
}

static void verify_openssl(void)
{
	SCOPED(md_ctx_freep) EVP_MD_CTX *c = EVP_MD_CTX_new();

	must(EVP_DigestVerifyInit_ex(c, NULL, "SHA384", NULL, NULL, p384, NULL) == 1 &&
			     EVP_DigestVerify(c, der, der_len, message.at, message.len) == 1
		     ? 0
		     : -1,
	     NULL);
}

/* ---- packets ---- */

enum { BATCH = 256, PACKET_MOST = 1500 };

struct sealing {
	const char *cipher;
	size_t len;
	bool opens, fast; /* fast: whatever is the fastest here; else libcrypto */
};

/* The same text sealed again and again is what it is: no figure depends on it. To open, what was sealed is copied
 * back, which both have to pay for. */
static void seal_batch(const struct sealing *g)
{
	static const struct sealing *made;
	static struct seal *s;
	static uint8_t sealed[PACKET_MOST], text[PACKET_MOST], icv[16];
	static const uint8_t iv[8], aad[8];
	struct sealed p = { .iv = iv, .text = text, .text_len = g->len, .aad = { aad, sizeof aad }, .icv = icv };
	struct diag d;

	if (made != g) {
		const struct algorithm *a = algorithm_by_name(ALG_ENCR, g->cipher, strlen(g->cipher));
		struct key key = { .len = (size_t)a->key + a->salt };

		seal_free(s);
		gcm_allow(g->fast);
		must(seal_new(a, &key, NULL, NULL, &s, &d), &d);
		must(seal_close(s, &p, &d), &d);
		memcpy(sealed, text, g->len);
		made = g;
	}
	for (unsigned i = 0; i < BATCH; i++) {
		if (g->opens)
			memcpy(text, sealed, g->len);
		must(g->opens ? seal_open(s, &p, &d) : seal_close(s, &p, &d), &d);
	}
	gcm_allow(true);
}

/* ---- measuring ---- */

static const struct row {
	const char *bench, *name, *who;
	bool per_second; /* else microseconds each, or Gbit/s of `seals` */
	void (*once)(void);
	struct sealing seals;
} rows[] = {
	{ "ike", "psk-x25519", "limit", true, psk_x25519, { 0 } },
	{ "ike", "psk-ecp384", "limit", true, psk_ecp384, { 0 } },
	{ "ike", "ecdsa-ecp384", "limit", true, ecdsa_ecp384, { 0 } },
	{ "ike", "ecdsa-x25519", "limit", true, ecdsa_x25519, { 0 } },
	{ "crypto", "ke-ecp384", "cordon", false, ke_ecp384_ours, { 0 } },
	{ "crypto", "ke-ecp384", "openssl", false, ke_ecp384_openssl, { 0 } },
	{ "crypto", "ke-x25519", "cordon", false, ke_x25519_ours, { 0 } },
	{ "crypto", "ke-x25519", "openssl", false, ke_x25519_openssl, { 0 } },
	{ "crypto", "sign-p384", "cordon", false, sign_ours, { 0 } },
	{ "crypto", "sign-p384", "openssl", false, sign_openssl, { 0 } },
	{ "crypto", "verify-p384", "cordon", false, verify_ours, { 0 } },
	{ "crypto", "verify-p384", "openssl", false, verify_openssl, { 0 } },
	{ "crypto", "seal-aes128gcm-64", "cordon", false, NULL, { "aes128gcm", 64, false, true } },
	{ "crypto", "seal-aes128gcm-64", "openssl", false, NULL, { "aes128gcm", 64, false, false } },
	{ "crypto", "seal-aes256gcm-64", "cordon", false, NULL, { "aes256gcm", 64, false, true } },
	{ "crypto", "seal-aes256gcm-64", "openssl", false, NULL, { "aes256gcm", 64, false, false } },
	{ "crypto", "open-aes256gcm-64", "cordon", false, NULL, { "aes256gcm", 64, true, true } },
	{ "crypto", "open-aes256gcm-64", "openssl", false, NULL, { "aes256gcm", 64, true, false } },
	{ "crypto", "seal-aes128gcm-1420", "cordon", false, NULL, { "aes128gcm", 1420, false, true } },
	{ "crypto", "seal-aes128gcm-1420", "openssl", false, NULL, { "aes128gcm", 1420, false, false } },
	{ "crypto", "seal-aes256gcm-1420", "cordon", false, NULL, { "aes256gcm", 1420, false, true } },
	{ "crypto", "seal-aes256gcm-1420", "openssl", false, NULL, { "aes256gcm", 1420, false, false } },
	{ "crypto", "open-aes256gcm-1420", "cordon", false, NULL, { "aes256gcm", 1420, true, true } },
	{ "crypto", "open-aes256gcm-1420", "openssl", false, NULL, { "aes256gcm", 1420, true, false } },
};

static double figures[ARRAY_LEN(rows)][ROUNDS], spent[ARRAY_LEN(rows)];

static double measure(const struct row *r, double *cpu)
{
	double begun = cpu_s(), taken;
	unsigned n = 0;

	do {
		if (r->seals.cipher)
			seal_batch(&r->seals);
		else
			r->once();
		n++;
		taken = cpu_s() - begun;
	} while (taken * 1000 < ROUND_MS);
	*cpu += taken;
	if (r->seals.cipher)
		return (double)n * BATCH * (double)r->seals.len * 8 / taken / 1e9;
	return r->per_second ? n / taken : taken / n * 1e6;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void prepare(void)
{
	struct pki_request r[] = { { .name = "host", .key = PKI_ECDSA_P384, .days = 1 },
				   { .name = "other", .key = PKI_ECDSA_P256, .days = 1 } };
	struct pki_issued issued[2];
	struct credential_files files[] = { { issued[0].certificate, issued[0].key },
					    { issued[1].certificate, issued[1].key } };
	const char *psk = "/psk", *trust;
	char ca[64], psk_path[64];
	struct diag d;

	if (!mkdtemp(dir))
		must(-1, NULL);
	(void)atexit(end);
	(void)snprintf(ca, sizeof ca, "%s/ca.pem", dir);
	(void)snprintf(psk_path, sizeof psk_path, "%s/psk", dir);
	trust = ca;
	must(pki_init(dir, "CN=bench", PKI_ECDSA_P384, 2, &d), &d);
	for (size_t i = 0; i < ARRAY_LEN(r); i++)
		must(pki_issue(dir, &r[i], dir, &issued[i], &d), &d);
	must(text_replace(psk_path, "correct horse battery staple", 28, 0600, &d), &d);
	must(own_load(&(struct credential_sources){ .certificates = files,
						    .certificate_count = 2,
						    .trust = &trust,
						    .trust_count = 1,
						    .psk_root = dir,
						    .psks = &psk,
						    .psk_count = 1 },
		      NULL, NULL, NULL, &own, &d),
	     &d);
	p384 = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
	must(signing_key_init(&p384_ours, p384, &d), &d);
}

/* Names of benches, or all. */
static bool wanted(const struct row *r, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], r->bench) == 0)
			return true;
	return argc < 2;
}

int main(int argc, char **argv)
{
	prepare();
	for (int round = -1; round < ROUNDS; round++) /* all by turns; the first round warms up */
		for (size_t i = 0; i < ARRAY_LEN(rows); i++)
			if (wanted(&rows[i], argc, argv))
				figures[i][round < 0 ? 0 : round] = measure(&rows[i], &spent[i]);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!wanted(&rows[i], argc, argv))
			continue;
		qsort(figures[i], ROUNDS, sizeof figures[i][0], ascending);
		(void)printf("{\"bench\":\"%s\",\"case\":\"%s\",\"who\":\"%s\",\"unit\":\"%s\",\"min\":%.2f,"
			     "\"median\":%.2f,\"max\":%.2f,\"cpu_s\":%.2f}\n",
			     rows[i].bench, rows[i].name, rows[i].who,
			     rows[i].seals.cipher ? "Gbit/s"
			     : rows[i].per_second ? "set-ups/s"
						  : "us",
			     figures[i][0], figures[i][ROUNDS / 2], figures[i][ROUNDS - 1], spent[i]);
		if (rows[i].per_second) /* the same as what one set-up costs, both ends together */
			(void)printf("{\"bench\":\"%s\",\"case\":\"%s-cpu\",\"who\":\"%s\",\"unit\":\"ms\","
				     "\"min\":%.3f,\"median\":%.3f,\"max\":%.3f,\"cpu_s\":%.2f}\n",
				     rows[i].bench, rows[i].name, rows[i].who, 1000 / figures[i][ROUNDS - 1],
				     1000 / figures[i][ROUNDS / 2], 1000 / figures[i][0], spent[i]);
	}
	signing_key_wipe(&p384_ours);
	EVP_PKEY_free(p384);
	own_free(&own);
	return 0;
}
