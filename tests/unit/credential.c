/* A network's authority, its hosts, and everybody who should not get in. */
#include "tests/unit/folder.h"
#include "tests/unit/own.h"
#include "tests/unit/unit.h"

#include "base/algorithm.h"
#include "base/diag.h"
#include "observe/event.h"
#include "base/mem.h"
#include "base/text.h"
#include "identity/credential.h"
#include "identity/issue.h"
#include "identity/name.h"
#include "identity/pki.h"
#include "identity/signature.h"
#include "identity/usage.h"

#include <openssl/pem.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATH = 256, PATH_TWICE = 512 };
#define DAY ((int64_t)86400)

static char dir[PATH];
static struct own srv1;                /* trusts the network's authority, and has a pre-shared key */
static struct credential_store *store; /* its */
static const struct octets message = { "what both sides sign", 20 };

static const char *path_of(const char *name)
{
	static char paths[8][PATH_TWICE];
	static unsigned next;
	char *p = paths[next++ % 8];

	(void)snprintf(p, PATH_TWICE, "%s/%s", dir, name);
	return p;
}

static void file_write(const char *name, const char *text, mode_t mode)
{
	assert_int_equal(text_replace(path_of(name), text, strlen(text), mode, NULL), 0);
}

static void pem_write(const char *name, X509 *c)
{
	FILE *f = fopen(path_of(name), "w");

	assert_non_null(f);
	assert_int_equal(PEM_write_X509(f, c), 1);
	assert_int_equal(fclose(f), 0);
}

static void issue_host(const char *name)
{
	struct addr a = addr_v4(10, 77, 1, 21);
	struct pki_request r = { .name = name, .addresses = &a, .address_count = 1, .key = PKI_ECDSA_P384, .days = 30 };
	struct pki_issued out;
	struct diag d;

	if (pki_issue(path_of("pki"), &r, dir, &out, &d) < 0)
		fail_msg("%s", d.text);
}

static int store_of(const char *host, const char *trust, const char *psk, struct own *ret, struct diag *d)
{
	char certificate[PATH_TWICE], key[PATH_TWICE], trust_path[PATH_TWICE];
	struct credential_files files = { certificate, key };
	const char *trusts = trust_path;

	(void)snprintf(certificate, sizeof certificate, "%s/%s.pem", dir, host ? host : "");
	(void)snprintf(key, sizeof key, "%s/%s.key", dir, host ? host : "");
	(void)snprintf(trust_path, sizeof trust_path, "%s/%s", dir, trust ? trust : "");
	return own_load(&(struct credential_sources){ .certificates = &files,
						      .certificate_count = host != NULL,
						      .trust = &trusts,
						      .trust_count = trust != NULL,
						      .psk_root = dir,
						      .psks = &psk,
						      .psk_count = psk != NULL },
			NULL, NULL, NULL, ret, d);
}

static int group_setup(void **state)
{
	struct diag d = { 0 };

	(void)state;
	(void)snprintf(dir, sizeof dir, "%s/cordon-credential-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(dir) || pki_init(path_of("pki"), "CN=GAS Root CA,O=Example", PKI_ECDSA_P384, 3650, &d) < 0)
		return -1;
	issue_host("srv1");
	file_write("psk", "correct horse battery staple\n", 0600);
	if (store_of("srv1", "pki/ca.pem", "/psk", &srv1, &d) < 0)
		return -1;
	store = srv1.store;
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	own_free(&srv1);
	return folder_remove(dir);
}

/* ---- peers made to measure ---- */

#define USAGE(...) \
	{ \
		.ekus = (const char *const[]){ __VA_ARGS__ }, \
		.eku_count = sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *) \
	}

static const char *const ike_intermediate[] = { USAGE_IKE_INTERMEDIATE };
static struct auth_method asks_machine = { .kind = AUTH_CERTIFICATE,
					   .issuer = "CN=GAS Root CA,O=Example",
					   .both = { .ekus = ike_intermediate, .eku_count = 1 },
					   .revocation = REVOCATION_CHECK };
static struct auth_set machine = { .name = "machine-certificate", .methods = &asks_machine, .count = 1 };

static X509 *pem_read(const char *name)
{
	FILE *f = fopen(path_of(name), "r");
	X509 *c;

	assert_non_null(f);
	c = PEM_read_X509(f, NULL, NULL, NULL);
	assert_int_equal(fclose(f), 0);
	assert_non_null(c);
	return c;
}

static EVP_PKEY *key_read(const char *name)
{
	FILE *f = fopen(path_of(name), "r");
	EVP_PKEY *k;

	assert_non_null(f);
	k = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	assert_int_equal(fclose(f), 0);
	assert_non_null(k);
	return k;
}

/* A proof, and all that it points to. */
struct forged {
	struct credential_proof proof;
	struct octets chain[16];
	uint8_t auth[2048], id[1024];
	unsigned char *der[16];
};

static void forged_wipe(struct forged *f)
{
	for (size_t i = 0; i < ARRAY_LEN(f->der); i++)
		OPENSSL_free(f->der[i]);
}

static void chain_add(struct forged *f, X509 *c)
{
	int n = i2d_X509(c, &f->der[f->proof.chain_count]);

	assert_true(n > 0);
	f->chain[f->proof.chain_count] = (struct octets){ f->der[f->proof.chain_count], (size_t)n };
	f->proof.chain_count++;
}

static void forge(struct forged *f, X509 *leaf, EVP_PKEY *key)
{
	SCOPED(signing_key_wipe) struct signing_key k = { 0 };
	unsigned char *id = f->id;
	size_t len;

	memset(f, 0, sizeof *f);
	f->proof = (struct credential_proof){ .set = &machine,
					      .peer_hashes = CREDENTIAL_HASHES,
					      .signed_octets = message,
					      .id_type = ID_DER_DN,
					      .chain = f->chain,
					      .remote = addr_v4(10, 77, 1, 66),
					      .now_s = (uint64_t)time(NULL) };
	chain_add(f, leaf);
	assert_int_equal(signing_key_init(&k, key, NULL), 0);
	assert_int_equal(signature_make(&k, CREDENTIAL_HASHES, &message, &f->proof.auth_method, f->auth, sizeof f->auth,
					&len, NULL),
			 0);
	f->proof.auth = (struct octets){ f->auth, len };
	f->proof.id = (struct octets){ f->id, (size_t)i2d_X509_NAME(X509_get_subject_name(leaf), &id) };
}

/* What a host's certificate is, unless a row says otherwise. */
struct forgery {
	const char *what, *error; /* error NULL: accepted */
	const char *eku;          /* NULL: ike-intermediate; "": no extension */
	const char *digest;
	enum { BY_ROOT, BY_OTHER_ROOT, BY_SELF, BY_INTERMEDIATE, BY_HOST, BY_LIMITED } issuer;
	int from_days, to_days; /* from now; 0, 0: yesterday to tomorrow */
	enum pki_key key;
	int rsa_bits;
	bool without_intermediate;
	bool other_key; /* signs with a key that is not the certificate's */
};

static X509_NAME *dn(const char *text)
{
	X509_NAME *n = NULL;

	assert_int_equal(name_parse(text, &n, NULL), 0);
	return n;
}

static X509 *certify(const char *subject, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key, bool authority,
		     const char *eku, const struct forgery *row)
{
	SCOPED(x509_name_freep) X509_NAME *name = dn(subject);
	static const char *const dns[] = { "srv7", "srv7.example" };
	struct addr a = addr_v4(10, 77, 1, 27);
	int64_t now = time(NULL);
	int from = row && (row->from_days || row->to_days) ? row->from_days : -1;
	int to = row && (row->from_days || row->to_days) ? row->to_days : 1;
	struct issue what = { .subject = name,
			      .issuer = issuer,
			      .issuer_key = issuer_key,
			      .key = key,
			      .authority = authority,
			      .path_length = -1,
			      .dns = dns,
			      .dns_count = authority ? 0 : 2,
			      .addresses = &a,
			      .address_count = authority ? 0 : 1,
			      .ekus = &eku,
			      .eku_count = eku && *eku,
			      .not_before_s = now + from * DAY,
			      .not_after_s = now + to * DAY,
			      .digest = row ? row->digest : NULL };
	X509 *c = NULL;
	struct diag d = { 0 };

	if (issue_certificate(&what, &c, &d) < 0)
		fail_msg("%s", d.text);
	return c;
}

static EVP_PKEY *key_new(enum pki_key type)
{
	EVP_PKEY *k = NULL;

	assert_int_equal(issue_key(type, &k, NULL), 0);
	return k;
}

static void peers_are_judged_by_their_certificates(void **state)
{
	static const struct forgery rows[] = {
		{ .what = "as it should be" },
		{ .what = "P-256", .key = PKI_ECDSA_P256 },
		{ .what = "Ed25519", .key = PKI_ED25519 },
		{ .what = "RSA", .key = PKI_RSA_3072 },
		{ .what = "by an intermediate", .issuer = BY_INTERMEDIATE },
		{ .what = "expired",
		  .error = "CN=srv7: the certificate expired on 20",
		  .from_days = -9,
		  .to_days = -2 },
		{ .what = "not yet",
		  .error = "CN=srv7: the certificate is valid from 20",
		  .from_days = 2,
		  .to_days = 9 },
		{ .what = "usage",
		  .error = "CN=srv7 has extended key usage serverAuth only; 'machine-certificate' asks for "
			   "ike-intermediate",
		  .eku = USAGE_SERVER_AUTH },
		{ .what = "any usage", .error = "has extended key usage any only", .eku = USAGE_ANY },
		{ .what = "no usage",
		  .error = "CN=srv7 has no extended key usage; 'machine-certificate' asks for ike-intermediate",
		  .eku = "" },
		{ .what = "stranger's authority",
		  .error = "CN=srv7 was issued by CN=Evil Root CA, which is not trusted",
		  .issuer = BY_OTHER_ROOT },
		{ .what = "self-signed", .error = "CN=srv7 is self-signed and not trusted here", .issuer = BY_SELF },
		{ .what = "intermediate not sent",
		  .error = "CN=srv7 was issued by CN=GAS Issuing CA, which is not trusted",
		  .issuer = BY_INTERMEDIATE,
		  .without_intermediate = true },
		{ .what = "by a host's certificate",
		  .error = "stands as an authority, but may not",
		  .issuer = BY_HOST },
		{ .what = "by an authority for other things",
		  .error = "CN=srv7: its authority CN=GAS Web CA may not issue for ike-intermediate",
		  .issuer = BY_LIMITED },
		{ .what = "certificate signed with SHA-1", .error = "hash that is too weak", .digest = "SHA1" },
		{ .what = "somebody else's certificate",
		  .error = "does not hold the key of its certificate",
		  .other_key = true },
		{ .what = "short RSA key", .error = "CN=srv7 has an RSA key of 1024 bits", .rsa_bits = 1024 },
	};
	SCOPED(x509_freep) X509 *root = pem_read("pki/ca.pem");
	SCOPED(pkey_freep) EVP_PKEY *root_key = key_read("pki/ca.key");
	SCOPED(pkey_freep) EVP_PKEY *middle_key = key_new(PKI_ECDSA_P384);
	SCOPED(x509_freep) X509 *middle = certify("CN=GAS Issuing CA", middle_key, root, root_key, true, NULL, NULL);
	SCOPED(x509_freep)
	X509 *limited = certify("CN=GAS Web CA", middle_key, root, root_key, true, USAGE_SERVER_AUTH, NULL);
	SCOPED(x509_freep)
	X509 *host = certify("CN=srv6", middle_key, root, root_key, false, USAGE_IKE_INTERMEDIATE, NULL);
	SCOPED(x509_freep) X509 *evil = certify("CN=Evil Root CA", middle_key, NULL, middle_key, true, NULL, NULL);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct forgery *row = &rows[i];
		SCOPED(pkey_freep)
		EVP_PKEY *key =
			row->rsa_bits ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)row->rsa_bits) : key_new(row->key);
		SCOPED(pkey_freep) EVP_PKEY *other = key_new(PKI_ECDSA_P384);
		X509 *issuers[] = { root, evil, NULL, middle, host, limited };
		X509 *issuer = issuers[row->issuer];
		EVP_PKEY *issuer_key = row->issuer == BY_ROOT ? root_key : row->issuer == BY_SELF ? key : middle_key;
		SCOPED(x509_freep)
		X509 *leaf = certify("CN=srv7", key, issuer, issuer_key, false,
				     row->eku ? row->eku : USAGE_IKE_INTERMEDIATE, row);
		SCOPED(forged_wipe) struct forged f = { 0 };
		struct peer peer = { 0 };
		struct diag d = { 0 };
		int r;

		forge(&f, leaf, row->other_key ? other : key);
		if (issuer && row->issuer != BY_ROOT && row->issuer != BY_OTHER_ROOT && !row->without_intermediate)
			chain_add(&f, issuer);
		r = credential_verify(store, &f.proof, &peer, &d);
		if ((r == 0) != !row->error || (row->error && !strstr(d.text, row->error)))
			fail_msg("%s: %d %s", row->what, r, d.text);
		assert_int_equal(peer.method, r == 0 ? PEER_CERTIFICATE : PEER_UNPROVEN);
		if (r < 0)
			continue;
		assert_string_equal(peer.id, "CN=srv7");
		assert_int_equal(peer.name_count, 3);
		assert_string_equal(peer.names[1], "srv7.example");
		assert_string_equal(peer.names[2], "10.77.1.27");
		assert_true(peer.not_after_s > (uint64_t)time(NULL));
	}
}

/* A forged certificate that says it is by our authority. */
static void a_signature_by_another_authority_of_the_same_name_is_refused(void **state)
{
	SCOPED(pkey_freep) EVP_PKEY *evil_key = key_new(PKI_ECDSA_P384);
	SCOPED(pkey_freep) EVP_PKEY *key = key_new(PKI_ECDSA_P384);
	SCOPED(x509_freep) X509 *evil = certify("CN=GAS Root CA,O=Example", evil_key, NULL, evil_key, true, NULL, NULL);
	SCOPED(x509_freep) X509 *leaf = certify("CN=srv7", key, evil, evil_key, false, USAGE_IKE_INTERMEDIATE, NULL);
	SCOPED(forged_wipe) struct forged f = { 0 };
	struct peer peer;
	struct diag d;

	(void)state;
	forge(&f, leaf, key);
	assert_int_equal(credential_verify(store, &f.proof, &peer, &d), -failure_error(FAILURE_CERTIFICATE_UNTRUSTED));
	chain_add(&f, evil);
	assert_int_equal(credential_verify(store, &f.proof, &peer, &d), -failure_error(FAILURE_CERTIFICATE_UNTRUSTED));
}

static void what_a_policy_asks_for_decides(void **state)
{
	const struct {
		struct auth_method m;
		const char *error;
	} rows[] = {
		{ { .kind = AUTH_CERTIFICATE }, NULL },
		{ { .kind = AUTH_CERTIFICATE, .issuer = "O=Example,CN=GAS Root CA" }, NULL },
		{ { .kind = AUTH_CERTIFICATE, .issuer = "CN=GAS Issuing CA" }, NULL },
		{ { .kind = AUTH_CERTIFICATE, .issuer = "CN=GAS Root CA" },
		  "CN=srv7 was issued under CN=GAS Root CA,O=Example; 'machine-certificate' asks for CN=GAS Root CA" },
		{ { .kind = AUTH_CERTIFICATE, .issuer = "CN=srv7" }, "asks for CN=srv7" },
		{ { .kind = AUTH_CERTIFICATE, .issuer = "GAS" }, "is no distinguished name" },
		{ { .kind = AUTH_CERTIFICATE, .both = USAGE(USAGE_CLIENT_AUTH) }, "asks for clientAuth" },
		{ { .kind = AUTH_CERTIFICATE, .revocation = REVOCATION_REQUIRE },
		  "whether the certificate is revoked" },
		{ { .kind = AUTH_PSK, .psk_file = "/psk" }, "'machine-certificate' asks for a pre-shared key" },
		{ { .kind = AUTH_KERBEROS, .realm = "X" }, "asks for Kerberos" },
	};
	SCOPED(x509_freep) X509 *root = pem_read("pki/ca.pem");
	SCOPED(pkey_freep) EVP_PKEY *root_key = key_read("pki/ca.key");
	SCOPED(pkey_freep) EVP_PKEY *key = key_new(PKI_ECDSA_P384);
	SCOPED(x509_freep) X509 *middle = certify("CN=GAS Issuing CA", key, root, root_key, true, NULL, NULL);
	SCOPED(x509_freep) X509 *leaf = certify("CN=srv7", key, middle, key, false, USAGE_IKE_INTERMEDIATE, NULL);
	SCOPED(forged_wipe) struct forged f = { 0 };

	(void)state;
	forge(&f, leaf, key);
	chain_add(&f, middle);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct auth_method methods[2] = { rows[i].m, asks_machine };
		struct auth_set set = { .name = "machine-certificate", .methods = methods, .count = 1 };
		struct peer peer;
		struct diag d = { 0 };
		int r;

		f.proof.set = &set;
		r = credential_verify(store, &f.proof, &peer, &d);
		if ((r == 0) != !rows[i].error || (rows[i].error && !strstr(d.text, rows[i].error)))
			fail_msg("row %zu: %d %s", i, r, d.text);
		set.count = 2; /* any method of the set will do */
		assert_int_equal(credential_verify(store, &f.proof, &peer, &d), 0);
	}
}

static void claimed_identities_must_be_in_the_certificate(void **state)
{
	static const struct {
		const char *id;
		size_t len;
		uint8_t type;
		bool ok;
	} rows[] = {
		{ "\x0a\x4d\x01\x1b", 4, ID_IPV4, true },
		{ "\x0a\x4d\x01\x1c", 4, ID_IPV4, false },
		{ "\x0a\x4d\x01", 3, ID_IPV4, false },
		{ "\x0a\x4d\x01\x1b", 4, ID_IPV6, false },
		{ "srv7", 4, ID_FQDN, true },
		{ "SRV7.example", 12, ID_FQDN, true },
		{ "srv8", 4, ID_FQDN, false },
		{ "srv7\0x", 6, ID_FQDN, false },
		{ "", 0, ID_FQDN, false },
		{ "srv7", 4, ID_RFC822, false },
		{ "srv7", 4, ID_KEY_ID, false },
		{ "garbage", 7, ID_DER_DN, false },
		{ "\x30\x00", 2, ID_DER_DN, false },
		{ "", 0, ID_DER_DN, false },
		{ "", 0, 0, false },
		{ "\xff", 1, 255, false },
	};
	SCOPED(x509_freep) X509 *root = pem_read("pki/ca.pem");
	SCOPED(pkey_freep) EVP_PKEY *root_key = key_read("pki/ca.key");
	SCOPED(pkey_freep) EVP_PKEY *key = key_new(PKI_ECDSA_P256);
	SCOPED(x509_freep) X509 *leaf = certify("CN=srv7", key, root, root_key, false, USAGE_IKE_INTERMEDIATE, NULL);
	SCOPED(forged_wipe) struct forged f = { 0 };

	(void)state;
	forge(&f, leaf, key);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct peer peer;
		struct diag d = { 0 };

		f.proof.id_type = rows[i].type;
		f.proof.id = (struct octets){ rows[i].id, rows[i].len };
		if ((credential_verify(store, &f.proof, &peer, &d) == 0) != rows[i].ok)
			fail_msg("row %zu: %s", i, d.text);
	}
}

static void malformed_and_huge_chains_are_refused(void **state)
{
	SCOPED(x509_freep) X509 *root = pem_read("pki/ca.pem");
	SCOPED(pkey_freep) EVP_PKEY *root_key = key_read("pki/ca.key");
	SCOPED(pkey_freep) EVP_PKEY *key = key_new(PKI_ECDSA_P256);
	SCOPED(x509_freep) X509 *leaf = certify("CN=srv7", key, root, root_key, false, USAGE_IKE_INTERMEDIATE, NULL);
	SCOPED(forged_wipe) struct forged f = { 0 };
	struct peer peer;
	struct diag d = { 0 };
	uint8_t *big = mem_new(1, 100000);
	struct octets sent;

	(void)state;
	forge(&f, leaf, key);
	sent = f.chain[0];
	f.proof.chain_count = 0;
	assert_true(credential_verify(store, &f.proof, &peer, &d) < 0);
	assert_non_null(strstr(d.text, "sent no certificate"));
	f.proof.chain_count = 1;
	for (size_t n = 0; n < sent.len; n++) { /* cut at every place */
		uint8_t *copy = mem_copy(sent.at, n);

		f.chain[0] = (struct octets){ copy, n };
		assert_true(credential_verify(store, &f.proof, &peer, &d) < 0);
		free(copy);
	}
	memcpy(big, sent.at, sent.len); /* octets behind */
	f.chain[0] = (struct octets){ big, sent.len + 1 };
	assert_true(credential_verify(store, &f.proof, &peer, &d) < 0);
	f.chain[0] = (struct octets){ big, 100000 };
	assert_true(credential_verify(store, &f.proof, &peer, &d) < 0);
	assert_non_null(strstr(d.text, "are the most"));
	for (size_t n = 0; n < sent.len; n++) { /* a changed octet anywhere */
		memcpy(big, sent.at, sent.len);
		big[n] ^= 0x11;
		f.chain[0] = (struct octets){ big, sent.len };
		if (credential_verify(store, &f.proof, &peer, &d) == 0)
			fail_msg("octet %zu", n);
	}
	f.chain[0] = sent;
	for (size_t i = 1; i < ARRAY_LEN(f.chain); i++)
		f.chain[i] = sent;
	f.proof.chain_count = 8; /* repeated, but not too many */
	assert_int_equal(credential_verify(store, &f.proof, &peer, &d), 0);
	f.proof.chain_count = 9;
	assert_true(credential_verify(store, &f.proof, &peer, &d) < 0);
	assert_non_null(strstr(d.text, "the peer sent 9 certificates; 8 are the most"));
	free(big);
}

static void pre_shared_keys_prove_by_their_octets(void **state)
{
	const struct algorithm *prf = algorithm_by_name(ALG_PRF, "sha256", 6);
	struct auth_method m = { .kind = AUTH_PSK, .psk_file = "/psk" };
	struct auth_set set = { .name = "password", .methods = &m, .count = 1 };
	struct keyring_proof made = { 0 };
	uint8_t id[4] = { 10, 77, 1, 21 };
	struct credential_proof p = {
		.set = &set, .signed_octets = message, .id_type = ID_IPV4, .id = { id, 4 }, .now_s = 1
	};
	SCOPED(own_free) struct own other = { 0 };
	struct peer peer = { 0 };
	struct diag d = { 0 };

	(void)state;
	assert_int_equal(credential_count(store), 2);
	assert_int_equal(own_sign(&srv1, 1, prf, 0, &message, &made, &d), 0);
	assert_int_equal(made.method, 2);
	p.auth_method = made.method;
	p.auth = (struct octets){ made.auth, made.len };
	assert_int_equal(own_verify(&srv1, &p, prf, &peer, &d), 0);
	assert_int_equal(peer.method, PEER_PSK);
	assert_string_equal(peer.id, "10.77.1.21");

	p.auth.len--;
	assert_true(own_verify(&srv1, &p, prf, &peer, &d) < 0);
	p.auth.len = 0;
	assert_true(own_verify(&srv1, &p, prf, &peer, &d) < 0);
	p.auth.len = made.len;
	made.auth[3] ^= 1;
	assert_true(own_verify(&srv1, &p, prf, &peer, &d) < 0);
	assert_non_null(strstr(d.text, "another pre-shared key than 'password' asks for"));
	made.auth[3] ^= 1;
	m.psk_file = "/elsewhere";
	assert_true(own_verify(&srv1, &p, prf, &peer, &d) < 0);
	m.psk_file = "/psk";
	p.set = &machine;
	assert_true(own_verify(&srv1, &p, prf, &peer, &d) < 0);
	assert_non_null(strstr(d.text, "'machine-certificate' asks for a certificate"));
	p.set = &set;

	/* one line ending does not belong to the key; another octet does */
	file_write("psk2", "correct horse battery staple", 0600);
	assert_int_equal(store_of(NULL, NULL, "/psk2", &other, &d), 0);
	m.psk_file = "/psk2";
	assert_int_equal(own_verify(&other, &p, prf, &peer, &d), 0);
	own_free(&other);
	file_write("psk2", "correct horse battery staple \n", 0600);
	assert_int_equal(store_of(NULL, NULL, "/psk2", &other, &d), 0);
	assert_true(own_verify(&other, &p, prf, &peer, &d) < 0);
}

static void own_credentials_say_what_they_can_prove(void **state)
{
	const struct credential *c = credential_get(store, 0);
	const uint8_t(*authorities)[20];
	struct auth_method m = asks_machine;
	struct diag d = { 0 };

	(void)state;
	assert_string_equal(c->subject, "CN=srv1");
	assert_string_equal(c->key_type, "ecdsa-p384");
	assert_int_equal(c->id_type, ID_DER_DN);
	assert_int_equal(c->chain_count, 1);
	assert_int_equal(credential_authorities(store, &authorities), 1);
	assert_true(credential_satisfies(store, 0, &m, &d));
	assert_false(credential_satisfies(store, 1, &m, &d));
	m.both = (struct certificate_criteria)USAGE("1.3.6.1.5.5.7.3.9");
	assert_false(credential_satisfies(store, 0, &m, &d));
	assert_non_null(strstr(d.text, "the policy asks for OCSPSigning"));
	m = asks_machine;
	m.issuer = "CN=Other";
	assert_false(credential_satisfies(store, 0, &m, &d));
	m = (struct auth_method){ .kind = AUTH_PSK, .psk_file = "/psk" };
	assert_true(credential_satisfies(store, 1, &m, &d));
	assert_false(credential_satisfies(store, 0, &m, &d));
	m.psk_file = "/other";
	assert_false(credential_satisfies(store, 1, &m, &d));
}

/* Host and intermediate in one file, the root not; whether or not this host trusts the root itself. */
static void a_chain_is_sent_without_its_root(void **state)
{
	SCOPED(x509_freep) X509 *root = pem_read("pki/ca.pem");
	SCOPED(pkey_freep) EVP_PKEY *root_key = key_read("pki/ca.key");
	SCOPED(pkey_freep) EVP_PKEY *key = key_read("srv1.key");
	SCOPED(x509_freep) X509 *middle = certify("CN=GAS Issuing CA", key, root, root_key, true, NULL, NULL);
	SCOPED(x509_freep) X509 *leaf = certify("CN=srv1", key, middle, key, false, USAGE_IKE_INTERMEDIATE, NULL);
	FILE *f = fopen(path_of("chain.pem"), "w");

	(void)state;
	assert_true(f && PEM_write_X509(f, leaf) == 1 && PEM_write_X509(f, middle) == 1 &&
		    PEM_write_X509(f, root) == 1 && fclose(f) == 0);
	assert_int_equal(link(path_of("srv1.key"), path_of("chain.key")), 0);
	for (int trusts = 0; trusts < 2; trusts++) {
		SCOPED(own_free) struct own s = { 0 };
		struct auth_method m = asks_machine;
		struct diag d = { 0 };

		if (store_of("chain", trusts ? "pki/ca.pem" : NULL, NULL, &s, &d) < 0)
			fail_msg("%s", d.text);
		assert_int_equal(credential_get(s.store, 0)->chain_count, 2);
		assert_true(credential_satisfies(s.store, 0, &m, &d));
		m.issuer = "cn=gas issuing ca";
		assert_true(credential_satisfies(s.store, 0, &m, &d));
		m.issuer = "CN=srv1";
		assert_false(credential_satisfies(s.store, 0, &m, &d));
	}
}

static void bad_files_are_refused_in_words(void **state)
{
	static const struct {
		const char *host, *trust, *psk, *error;
	} rows[] = {
		{ "srv1", "srv1.pem", NULL, "CN=srv1 is not an authority" },
		{ "srv1", "psk", NULL, "holds no certificate in PEM form" },
		{ "srv1", "nowhere", NULL, "No such file" },
		{ "mixed", "pki/ca.pem", NULL, "does not belong to the certificate" },
		{ "open", "pki/ca.pem", NULL, "is open to other users (mode 0644): chmod 600" },
		{ "damaged", "pki/ca.pem", NULL, "certificate 1 of the file is damaged" },
		{ "nokey", "pki/ca.pem", NULL, "holds no private key in PEM form" },
		{ "locked", "pki/ca.pem", NULL, "locked by a passphrase" },
		{ "backwards", "pki/ca.pem", NULL, "is number 2; put it first" },
		{ NULL, NULL, "/empty", "is empty" },
		{ NULL, NULL, "/lines", "more than one line" },
		{ NULL, NULL, "/readable", "is open to other users (mode 0604)" },
		{ NULL, NULL, "/nowhere", "No such file" },
	};
	static const char damaged[] = "-----BEGIN CERTIFICATE-----\nMIIBAAAA\n-----END CERTIFICATE-----\n";
	SCOPED(x509_freep) X509 *leaf = pem_read("srv1.pem");
	SCOPED(x509_freep) X509 *root = pem_read("pki/ca.pem");
	SCOPED(pkey_freep) EVP_PKEY *key = key_read("srv1.key");
	SCOPED(pkey_freep) EVP_PKEY *root_key = key_read("pki/ca.key");
	char passphrase[] = "secret";
	FILE *f;

	(void)state;
	pem_write("mixed.pem", leaf);
	pem_write("open.pem", leaf);
	pem_write("nokey.pem", leaf);
	pem_write("locked.pem", leaf);
	file_write("damaged.pem", damaged, 0644);
	file_write("damaged.key", damaged, 0600);
	file_write("nokey.key", damaged, 0600);
	f = fopen(path_of("backwards.pem"), "w");
	assert_true(f && PEM_write_X509(f, root) == 1 && PEM_write_X509(f, leaf) == 1 && fclose(f) == 0);
	for (size_t i = 0; i < 4; i++) {
		const char *names[] = { "mixed.key", "open.key", "backwards.key", "locked.key" };

		f = fopen(path_of(names[i]), "w");
		assert_true(f && PEM_write_PrivateKey(f, i == 0 ? root_key : key, i == 3 ? EVP_aes_128_cbc() : NULL,
						      NULL, 0, NULL, i == 3 ? passphrase : NULL) == 1);
		assert_int_equal(fclose(f), 0);
		assert_int_equal(chmod(path_of(names[i]), i == 1 ? 0644 : 0600), 0);
	}
	file_write("empty", "\n", 0600);
	file_write("lines", "one\ntwo\n", 0600);
	file_write("readable", "one\n", 0604);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		SCOPED(own_free) struct own s = { 0 };
		struct diag d = { 0 };

		if (store_of(rows[i].host, rows[i].trust, rows[i].psk, &s, &d) == 0 || s.store ||
		    !strstr(d.text, rows[i].error))
			fail_msg("row %zu: %s", i, d.text);
	}
}

static void revoked_certificates_are_refused(void **state)
{
	SCOPED(x509_freep) X509 *root = pem_read("pki/ca.pem");
	SCOPED(x509_freep) X509 *leaf = pem_read("srv1.pem");
	SCOPED(pkey_freep) EVP_PKEY *root_key = key_read("pki/ca.key");
	SCOPED(pkey_freep) EVP_PKEY *key = key_read("srv1.key");
	struct auth_method m = asks_machine;
	struct auth_set set = { .name = "machine-certificate", .methods = &m, .count = 1 };

	(void)state;
	for (int revoked = 0; revoked < 2; revoked++) {
		SCOPED(crl_freep) X509_CRL *crl = X509_CRL_new();
		SCOPED(own_free) struct own s = { 0 };
		SCOPED(forged_wipe) struct forged f = { 0 };
		ASN1_TIME *from = ASN1_TIME_adj(NULL, time(NULL), -1, 0), *to = ASN1_TIME_adj(NULL, time(NULL), 1, 0);
		struct peer peer;
		struct diag d = { 0 };
		FILE *file;

		assert_int_equal(X509_CRL_set_version(crl, 1), 1);
		assert_int_equal(X509_CRL_set_issuer_name(crl, X509_get_subject_name(root)), 1);
		assert_true(X509_CRL_set1_lastUpdate(crl, from) == 1 && X509_CRL_set1_nextUpdate(crl, to) == 1);
		if (revoked) {
			X509_REVOKED *r = X509_REVOKED_new();

			assert_true(X509_REVOKED_set_serialNumber(r, X509_get_serialNumber(leaf)) == 1 &&
				    X509_REVOKED_set_revocationDate(r, from) == 1 &&
				    X509_CRL_add0_revoked(crl, r) == 1);
		}
		assert_true(X509_CRL_sign(crl, root_key, EVP_sha384()) > 0);
		ASN1_TIME_free(from);
		ASN1_TIME_free(to);
		file = fopen(path_of("trust.pem"), "w");
		assert_true(file && PEM_write_X509(file, root) == 1 && PEM_write_X509_CRL(file, crl) == 1 &&
			    fclose(file) == 0);
		assert_int_equal(store_of("srv1", "trust.pem", NULL, &s, &d), 0);
		forge(&f, leaf, key);
		f.proof.set = &set;
		m.revocation = REVOCATION_OFF;
		assert_int_equal(credential_verify(s.store, &f.proof, &peer, &d), 0);
		for (unsigned asks = REVOCATION_CHECK; asks <= REVOCATION_REQUIRE; asks++) {
			m.revocation = (enum revocation)asks;
			if ((credential_verify(s.store, &f.proof, &peer, &d) == 0) == (revoked == 1))
				fail_msg("revoked %d, asks %u: %s", revoked, asks, d.text);
		}
		if (revoked)
			assert_non_null(strstr(d.text, "CN=srv1: the certificate has been revoked"));
	}
}

static void *prove_and_verify(void *unused)
{
	SCOPED(forged_wipe) struct forged f = { 0 };
	const struct credential *c = credential_get(store, 0);

	(void)unused;
	f.proof = (struct credential_proof){ .set = &machine,
					     .peer_hashes = CREDENTIAL_HASHES,
					     .signed_octets = message,
					     .id_type = c->id_type,
					     .id = { c->id, c->id_len },
					     .chain = f.chain,
					     .chain_count = 1,
					     .now_s = (uint64_t)time(NULL) };
	f.chain[0] = (struct octets){ c->chain[0], c->chain_lens[0] };
	for (int i = 0; i < 50; i++) {
		struct peer peer;
		struct keyring_proof made;

		if (own_sign(&srv1, 0, NULL, i % 2 ? CREDENTIAL_HASHES : 0, &message, &made, NULL) < 0)
			return NULL;
		f.proof.auth_method = made.method;
		f.proof.auth = (struct octets){ made.auth, made.len };
		if (credential_verify(store, &f.proof, &peer, NULL) < 0)
			return NULL;
	}
	return &store;
}

static void threads_share_a_store(void **state)
{
	pthread_t threads[8];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, prove_and_verify, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		void *done = NULL;

		assert_int_equal(pthread_join(threads[i], &done), 0);
		assert_non_null(done);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(peers_are_judged_by_their_certificates),
		cmocka_unit_test(a_signature_by_another_authority_of_the_same_name_is_refused),
		cmocka_unit_test(what_a_policy_asks_for_decides),
		cmocka_unit_test(claimed_identities_must_be_in_the_certificate),
		cmocka_unit_test(malformed_and_huge_chains_are_refused),
		cmocka_unit_test(pre_shared_keys_prove_by_their_octets),
		cmocka_unit_test(own_credentials_say_what_they_can_prove),
		cmocka_unit_test(a_chain_is_sent_without_its_root),
		cmocka_unit_test(bad_files_are_refused_in_words),
		cmocka_unit_test(revoked_certificates_are_refused),
		cmocka_unit_test(threads_share_a_store),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
