/* What a policy asks of certificates, of ours and of peers'; the paths that bundles lead on; and files that change. */
#include "identity/criteria.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/scope.h"
#include "base/str.h"
#include "base/text.h"
#include "identity/credential.h"
#include "identity/lineage.h"
#include "identity/name.h"
#include "identity/revocation.h"
#include "identity/signature.h"
#include "identity/usage.h"
#include "observe/failure.h"
#include "tests/unit/folder.h"
#include "tests/unit/made.h"
#include "tests/unit/own.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATH = 512 };

static char dir[256];
static EVP_PKEY *root_key, *middle_key, *key;
static X509 *root, *middle, *leaf;
static const struct octets message = { "what both sides sign", 20 };

static const char *path_of(const char *name)
{
	static char paths[8][PATH];
	static unsigned next;
	char *p = paths[next++ % 8];

	(void)snprintf(p, PATH, "%s/%s", dir, name);
	return p;
}

static int group_setup(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof dir, "%s/cordon-criteria-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(dir))
		return -1;
	root_key = made_key(PKI_ECDSA_P384);
	middle_key = made_key(PKI_ECDSA_P256);
	key = made_key(PKI_ECDSA_P256);
	root = made_certificate(&(struct made){ .subject = "CN=Root", .key = root_key, .authority = true });
	middle = made_certificate(&(struct made){
		.subject = "CN=Middle", .issuer = root, .issuer_key = root_key, .key = middle_key, .authority = true });
	leaf = made_certificate(&(struct made){ .subject = "CN=srv1,OU=Servers,O=Big Firm,DC=corp,DC=example",
						.issuer = middle,
						.issuer_key = middle_key,
						.key = key,
						.alternatives =
							"DNS:srv1.corp.example,email:srv1@corp.example,IP:10.0.0.1,"
							"otherName:1.3.6.1.4.1.311.20.2.3;UTF8:srv1@CORP",
						.ekus = { USAGE_IKE_INTERMEDIATE, USAGE_CLIENT_AUTH } });
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(root_key);
	EVP_PKEY_free(middle_key);
	EVP_PKEY_free(key);
	X509_free(root);
	X509_free(middle);
	X509_free(leaf);
	return folder_remove(dir);
}

static void thumbprint(const X509 *c, const EVP_MD *md, char to[65])
{
	uint8_t octets[EVP_MAX_MD_SIZE];
	unsigned n;

	assert_int_equal(X509_digest(c, md, octets, &n), 1);
	for (unsigned i = 0; i < n; i++)
		(void)snprintf(to + 2 * (size_t)i, 3, "%02x", octets[i]);
}

/* ---- criteria ---- */

static int satisfied(const struct auth_method *m, enum criteria_side side, const struct lineage *l, struct diag *d)
{
	struct chain c = { .path = sk_X509_new_null() };
	int r;

	(void)name_text(X509_get_subject_name(leaf), c.subject);
	assert_true(sk_X509_push(c.path, leaf) > 0 && sk_X509_push(c.path, middle) > 0 &&
		    sk_X509_push(c.path, root) > 0);
	r = criteria_satisfied(&c, m, side, l, "set", d);
	sk_X509_free(c.path);
	return r;
}

static void each_criterion_asks_for_what_it_says(void **state)
{
#define NAMED(t, n) .both = {.name_type = (t), .name = (n) }
#define USED(...) \
	.both = { .ekus = (const char *const[]){ __VA_ARGS__ }, \
		  .eku_count = sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *) }
	const struct {
		struct auth_method m;
		const char *error;
	} rows[] = {
		{ { .issuer = "CN=Root" }, NULL },
		{ { .issuer = "CN=Root", .issuer_type = ISSUER_ROOT }, NULL },
		{ { .issuer = "CN=Root", .issuer_type = ISSUER_INTERMEDIATE },
		  "asks for the intermediate authority CN=Root" },
		{ { .issuer = "CN=Middle", .issuer_type = ISSUER_INTERMEDIATE }, NULL },
		{ { .issuer = "CN=Middle", .issuer_type = ISSUER_ROOT }, "asks for the root CN=Middle" },
		{ { NAMED(NAME_DNS, "SRV1.corp.example") }, NULL },
		{ { NAMED(NAME_DNS, "srv2.corp.example") }, "has no DNS name srv2.corp.example, which 'set' asks for" },
		{ { NAMED(NAME_DNS, "srv1@corp.example") }, "has no DNS name" },
		{ { NAMED(NAME_EMAIL, "srv1@corp.example") }, NULL },
		{ { NAMED(NAME_EMAIL, "srv1.corp.example") }, "has no e-mail address" },
		{ { NAMED(NAME_UPN, "srv1@corp") }, NULL },
		{ { NAMED(NAME_UPN, "srv1@corp.example") }, "has no user principal name" },
		{ { NAMED(NAME_CN, "srv1") }, NULL },
		{ { NAMED(NAME_CN, "Servers") }, "has no CN" },
		{ { NAMED(NAME_OU, "servers") }, NULL },
		{ { NAMED(NAME_O, "Big Firm") }, NULL },
		{ { NAMED(NAME_O, "Big") }, "has no O" },
		{ { NAMED(NAME_DC, "corp") }, NULL },
		{ { NAMED(NAME_DC, "example") }, NULL },
		{ { NAMED(NAME_DC, "com") }, "has no DC" },
		{ { USED(USAGE_IKE_INTERMEDIATE) }, NULL },
		{ { USED(USAGE_IKE_INTERMEDIATE, USAGE_CLIENT_AUTH) }, NULL },
		{ { USED(USAGE_IKE_INTERMEDIATE, USAGE_SERVER_AUTH) }, "'set' asks for serverAuth" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (int side = CRITERIA_OWN; side <= CRITERIA_PEER; side++) {
			struct diag d = { 0 };
			int r = satisfied(&rows[i].m, (enum criteria_side)side, NULL, &d);

			if ((r == 0) != !rows[i].error || (rows[i].error && !strstr(d.text, rows[i].error)))
				fail_msg("row %zu: %d %s", i, r, d.text);
		}
	}
}

static void selection_and_validation_are_for_one_side_each(void **state)
{
	const struct certificate_criteria no = { .name_type = NAME_CN, .name = "nobody" };
	const struct auth_method own = { .own = no }, peer = { .peer = no };
	struct diag d;

	(void)state;
	assert_true(satisfied(&own, CRITERIA_OWN, NULL, &d) < 0 && satisfied(&own, CRITERIA_PEER, NULL, &d) == 0);
	assert_true(satisfied(&peer, CRITERIA_PEER, NULL, &d) < 0 && satisfied(&peer, CRITERIA_OWN, NULL, &d) == 0);
}

/* Also after the program was started anew, and from an authority to the next. */
static void thumbprints_follow_renewals_if_they_are_told_to(void **state)
{
	SCOPED(lineage_freep) struct lineage *l = lineage_new();
	SCOPED(lineage_freep) struct lineage *later = lineage_new();
	SCOPED(str_wipe) struct str text = { 0 };
	SCOPED(x509_freep)
	X509 *before = made_certificate(
		     &(struct made){ .subject = "CN=srv1,OU=Servers,O=Big Firm,DC=corp,DC=example", .key = key }),
	     *stranger = made_certificate(&(struct made){ .subject = "CN=srv2", .key = key });
	char sha1[65], sha256[65], theirs[65];
	struct auth_method m = { .own = { .thumbprint = sha1 } };
	struct diag d;

	(void)state;
	thumbprint(leaf, EVP_sha1(), sha1);
	thumbprint(leaf, EVP_sha256(), sha256);
	assert_int_equal(satisfied(&m, CRITERIA_OWN, l, &d), 0);
	m.own.thumbprint = sha256;
	assert_int_equal(satisfied(&m, CRITERIA_OWN, l, &d), 0);

	thumbprint(before, EVP_sha1(), sha1);
	m.own.thumbprint = sha1;
	m.own.follow_renewal = true;
	assert_true(satisfied(&m, CRITERIA_OWN, l, &d) < 0);
	assert_non_null(strstr(d.text, "nor is it known to have followed that one"));
	assert_true(lineage_note(l, before));
	assert_false(lineage_note(l, before));
	assert_true(lineage_note(l, stranger));
	assert_int_equal(satisfied(&m, CRITERIA_OWN, l, &d), 0);
	thumbprint(stranger, EVP_sha256(), theirs);
	m.own.thumbprint = theirs;
	assert_true(satisfied(&m, CRITERIA_OWN, l, &d) < 0);
	m.own.thumbprint = sha1;
	m.own.follow_renewal = false;
	assert_true(satisfied(&m, CRITERIA_OWN, l, &d) < 0);

	lineage_write(l, &text);
	lineage_read(later, "nonsense\n\n0123 4567 89ab\n");
	assert_false(lineage_follows(later, sha1, leaf));
	lineage_read(later, str_text(&text));
	assert_true(lineage_follows(later, sha1, leaf));
	for (unsigned i = 0; i < LINEAGE_MOST; i++) { /* the oldest are forgotten */
		char line[200];

		(void)snprintf(line, sizeof line, "%040x %064x %064x\n", i, i, i);
		lineage_read(later, line);
	}
	assert_false(lineage_follows(later, sha1, leaf));
}

/* ---- what peers send ---- */

static void pem_add(const char *name, X509 *c, const char *mode)
{
	FILE *f = fopen(path_of(name), mode);

	assert_true(f && PEM_write_X509(f, c) == 1 && fclose(f) == 0);
}

static void key_put(const char *name, EVP_PKEY *k)
{
	FILE *f = fopen(path_of(name), "w");

	assert_true(f && PEM_write_PrivateKey(f, k, NULL, NULL, 0, NULL, NULL) == 1 && fclose(f) == 0);
	assert_int_equal(chmod(path_of(name), 0600), 0);
}

static struct credential_store *trusting(X509 *anchor)
{
	const char *trust = path_of("trust.pem");
	struct credential_store *s = NULL;
	struct diag d = { 0 };

	pem_add("trust.pem", anchor, "w");
	if (credential_store_load(&(struct credential_sources){ .trust = &trust, .trust_count = 1 }, NULL, NULL, NULL,
				  &s, &d) < 0)
		fail_msg("%s", d.text);
	return s;
}

struct sent {
	struct credential_proof proof;
	struct octets chain[8];
	unsigned char *der[8];
	uint8_t auth[512], id[512];
};

static void sent_wipe(struct sent *s)
{
	for (size_t i = 0; i < ARRAY_LEN(s->der); i++)
		OPENSSL_free(s->der[i]);
}

static void add(struct sent *s, X509 *c)
{
	size_t n = s->proof.chain_count++;
	int len = i2d_X509(c, &s->der[n]);

	assert_true(len > 0);
	s->chain[n] = (struct octets){ s->der[n], (size_t)len };
}

static void send(struct sent *s, const struct auth_set *set, X509 *c, EVP_PKEY *k)
{
	SCOPED(signing_key_wipe) struct signing_key signer = { 0 };
	unsigned char *id = s->id;
	size_t len;

	*s = (struct sent){ 0 };
	s->proof = (struct credential_proof){ .set = set,
					      .peer_hashes = CREDENTIAL_HASHES,
					      .signed_octets = message,
					      .id_type = ID_DER_DN,
					      .chain = s->chain,
					      .remote = addr_v4(10, 0, 0, 9),
					      .now_s = (uint64_t)time(NULL) };
	assert_int_equal(signing_key_init(&signer, k, NULL), 0);
	assert_int_equal(signature_make(&signer, CREDENTIAL_HASHES, &message, &s->proof.auth_method, s->auth,
					sizeof s->auth, &len, NULL),
			 0);
	s->proof.auth = (struct octets){ s->auth, len };
	s->proof.id = (struct octets){ s->id, (size_t)i2d_X509_NAME(X509_get_subject_name(c), &id) };
	add(s, c);
}

static struct auth_method any_certificate = { .kind = AUTH_CERTIFICATE };
static const struct auth_set any = { .name = "machine", .methods = &any_certificate, .count = 1 };

/* One authority certified by two others, of which we trust one; old roots, hosts, garbage beside it; in any order. */
static void bundles_lead_to_whom_we_trust_whatever_else_is_in_them(void **state)
{
	EVP_PKEY *old_key = made_key(PKI_ECDSA_P256);
	X509 *old = made_certificate(&(struct made){ .subject = "CN=Old Root", .key = old_key, .authority = true });
	X509 *cross = made_certificate(&(struct made){
		.subject = "CN=Middle", .issuer = old, .issuer_key = old_key, .key = middle_key, .authority = true });
	X509 *bundles[][5] = {
		{ middle },
		{ cross, middle },
		{ middle, cross },
		{ cross, old, middle },
		{ old, cross, middle, root },
		{ cross, cross, cross, middle },
		{ root, middle },
		{ leaf, old, middle },
	};
	static const uint8_t garbage[] = { 0x30, 0x82, 0xff, 0xff, 1, 2, 3 };

	(void)state;
	for (int trusts_old = 0; trusts_old < 2; trusts_old++) {
		SCOPED(credential_store_freep) struct credential_store *s = trusting(trusts_old ? old : root);

		for (size_t i = 0; i < ARRAY_LEN(bundles); i++) {
			SCOPED(sent_wipe) struct sent sent;
			struct peer peer = { 0 };
			struct diag d = { 0 };
			bool has_cross = false;

			send(&sent, &any, leaf, key);
			for (size_t k = 0; k < 5 && bundles[i][k]; k++) {
				add(&sent, bundles[i][k]);
				has_cross |= bundles[i][k] == cross;
			}
			sent.chain[sent.proof.chain_count++] = (struct octets){ garbage, sizeof garbage };
			if ((credential_verify(s, &sent.proof, &peer, &d) == 0) != (!trusts_old || has_cross))
				fail_msg("bundle %zu, old %d: %s", i, trusts_old, d.text);
		}
	}
	X509_free(old);
	X509_free(cross);
	EVP_PKEY_free(old_key);
}

static void forms_that_are_not_taken_are_refused_in_words(void **state)
{
	static const struct {
		uint16_t encodings;
		enum failure_code code;
		const char *words;
	} rows[] = {
		{ 0, FAILURE_CERTIFICATE_MISSING, "the peer sent no certificate" },
		{ 1 << 1, FAILURE_CERTIFICATE_MISSING, "as a PKCS#7 bundle" },
		{ 1 << 12, FAILURE_HASH_AND_URL, "never fetched" },
		{ 1 << 13, FAILURE_HASH_AND_URL, "never fetched" },
		{ 1 << 15, FAILURE_CERTIFICATE_MISSING, "raw public key" },
		{ 1 << 7, FAILURE_CERTIFICATE_MISSING, "a form that is not taken" },
	};
	SCOPED(credential_store_freep) struct credential_store *s = trusting(root);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		SCOPED(sent_wipe) struct sent sent;
		struct peer peer;
		struct diag d = { 0 };

		send(&sent, &any, leaf, key);
		sent.proof.chain_count = 0;
		sent.proof.other_encodings = rows[i].encodings;
		assert_int_equal(credential_verify(s, &sent.proof, &peer, &d), -failure_error(rows[i].code));
		if (!strstr(d.text, rows[i].words))
			fail_msg("row %zu: %s", i, d.text);
	}
}

static void an_address_is_an_identity_only_where_the_policy_says_so(void **state)
{
	static const uint8_t here[] = { 10, 0, 0, 9 }, elsewhere[] = { 10, 0, 0, 8 };
	SCOPED(credential_store_freep) struct credential_store *s = trusting(root);
	SCOPED(sent_wipe) struct sent sent;
	struct auth_method m = any_certificate;
	const struct auth_set set = { .name = "machine", .methods = &m, .count = 1 };
	struct peer peer;
	struct diag d = { 0 };

	(void)state;
	send(&sent, &set, leaf, key);
	add(&sent, middle);
	sent.proof.id_type = ID_IPV4;
	sent.proof.id = (struct octets){ here, sizeof here };
	assert_int_equal(credential_verify(s, &sent.proof, &peer, &d), -failure_error(FAILURE_IDENTITY));
	assert_non_null(strstr(d.text, "leftid=%fromcert"));
	m.address_identity = true;
	assert_int_equal(credential_verify(s, &sent.proof, &peer, &d), 0);
	assert_non_null(strstr(peer.id, "CN=srv1"));
	sent.proof.id.at = elsewhere;
	assert_int_equal(credential_verify(s, &sent.proof, &peer, &d), -failure_error(FAILURE_IDENTITY));
	sent.proof.id_type = ID_FQDN;
	sent.proof.id = (struct octets){ "srv2.corp.example", 17 };
	assert_int_equal(credential_verify(s, &sent.proof, &peer, &d), -failure_error(FAILURE_IDENTITY));
}

/* Where lists are is told only when everything else is right, the peer's signature last. */
static void nobody_is_asked_for_a_stranger(void **state)
{
	SCOPED(credential_store_freep) struct credential_store *s = trusting(root);
	SCOPED(x509_freep)
	X509 *named = made_certificate(&(struct made){ .subject = "CN=srv3",
						       .issuer = root,
						       .issuer_key = root_key,
						       .key = key,
						       .points = "URI:http://crl.example/root.crl" });
	SCOPED(revocation_lists_freep) struct revocation_lists *fetched = revocation_lists_new();
	SCOPED(sent_wipe) struct sent sent;
	struct revocation_verdict *v = mem_new(1, sizeof *v);
	struct auth_method m = { .kind = AUTH_CERTIFICATE, .revocation = REVOCATION_CHECK };
	const struct auth_set set = { .name = "machine", .methods = &m, .count = 1 };
	struct peer peer;
	struct diag d = { 0 };
	unsigned char *der;
	size_t len;

	(void)state;
	send(&sent, &set, named, key);
	sent.proof.ret_unknown = v;
	sent.proof.fetched = fetched;
	sent.auth[sent.proof.auth.len - 1] ^= 1;
	assert_int_equal(credential_verify(s, &sent.proof, &peer, &d), -failure_error(FAILURE_SIGNATURE));
	assert_int_equal(v->url_count, 0);
	sent.auth[sent.proof.auth.len - 1] ^= 1;
	for (unsigned asks = REVOCATION_CHECK; asks <= REVOCATION_REQUIRE; asks++) {
		m.revocation = (enum revocation)asks;
		sent.proof.ret_unknown = v;
		assert_int_equal(credential_verify(s, &sent.proof, &peer, &d), -EAGAIN);
		assert_int_equal(v->url_count, 1);
		assert_string_equal(v->urls[0], "http://crl.example/root.crl");
		sent.proof.ret_unknown = NULL; /* it was tried in vain */
		assert_int_equal(credential_verify(s, &sent.proof, &peer, &d),
				 asks == REVOCATION_CHECK ? 0 : -failure_error(FAILURE_REVOCATION_UNKNOWN));
		assert_int_equal(credential_review(s, &sent.proof, &d), 0); /* an SA would stay */
	}
	sent.proof.ret_unknown = v;
	m.revocation = REVOCATION_OFF;
	assert_int_equal(credential_verify(s, &sent.proof, &peer, &d), 0);
	m.revocation = REVOCATION_CHECK;
	der = made_list(&(struct made_list){ .issuer = root, .key = root_key, .revoked = { named } }, &len);
	assert_int_equal(revocation_lists_put(fetched, "x", der, len, NULL, &d), 0);
	OPENSSL_free(der);
	assert_int_equal(credential_verify(s, &sent.proof, &peer, &d), -failure_error(FAILURE_CERTIFICATE_REVOKED));
	assert_true(credential_review(s, &sent.proof, &d) < 0);
	m.revocation = REVOCATION_OFF;
	assert_int_equal(credential_review(s, &sent.proof, &d), 0);
	m.peer = (struct certificate_criteria){ .name_type = NAME_CN, .name = "srv4" };
	assert_true(credential_review(s, &sent.proof, &d) < 0);
	free(v);
}

/* ---- files that change ---- */

struct told {
	unsigned bad, kept;
	char text[512];
};

static void tell(void *context, const char *path, const char *why, bool kept)
{
	struct told *t = context;

	t->bad++;
	t->kept += kept;
	(void)snprintf(t->text, sizeof t->text, "%s: %s", path, why);
}

static void put(const char *name, const char *text)
{
	assert_int_equal(text_replace(path_of(name), text, strlen(text), 0600, NULL), 0);
}

static void bad_files_leave_what_was_loaded_before(void **state)
{
	char names[6][PATH];
	struct credential_files files = { names[0], names[1] };
	const char *trust = names[2], *lists = names[3], *psk = "/psk";
	struct credential_sources from = { .certificates = &files,
					   .certificate_count = 1,
					   .trust = &trust,
					   .trust_count = 1,
					   .revocation_lists = &lists,
					   .revocation_list_count = 1,
					   .psk_root = dir,
					   .psks = &psk,
					   .psk_count = 1 };
	SCOPED(own_free) struct own first = { 0 };
	SCOPED(own_free) struct own second = { 0 };
	SCOPED(own_free) struct own third = { 0 };
	SCOPED(pkey_freep) EVP_PKEY *new_key = made_key(PKI_ECDSA_P256);
	SCOPED(x509_freep)
	X509 *renewed = made_certificate(
		&(struct made){ .subject = "CN=srv1", .issuer = middle, .issuer_key = middle_key, .key = new_key });
	const uint8_t(*authorities)[CREDENTIAL_HASH];
	struct told told = { 0 };
	struct diag d = { 0 };
	struct keyring_proof made;
	uint32_t number;
	size_t len, at;
	unsigned char *der;

	(void)state;
	(void)snprintf(names[0], PATH, "%s", path_of("own.pem"));
	(void)snprintf(names[1], PATH, "%s", path_of("own.key"));
	(void)snprintf(names[2], PATH, "%s", path_of("anchors.pem"));
	(void)snprintf(names[3], PATH, "%s", path_of("lists"));
	pem_add("own.pem", leaf, "w");
	pem_add("own.pem", middle, "a");
	key_put("own.key", key);
	pem_add("anchors.pem", root, "w");
	put("psk", "secret\n");
	assert_int_equal(mkdir(names[3], 0700), 0);
	der = made_list(&(struct made_list){ .issuer = root, .key = root_key }, &len);
	assert_int_equal(text_replace(path_of("lists/root.crl"), der, len, 0600, NULL), 0);
	OPENSSL_free(der);
	if (own_load(&from, NULL, tell, &told, &first, &d) < 0 || told.bad)
		fail_msg("%s %s", d.text, told.text);
	number = credential_get(first.store, 0)->number;
	assert_int_equal(revocation_lists_count(credential_lists(first.store)), 1);

	/* all of them bad at once */
	put("own.pem", "-----BEGIN CERTIFICATE-----\nMIIB");
	put("anchors.pem", "");
	put("psk", "");
	put("lists/root.crl", "x");
	if (own_load(&from, &first, tell, &told, &second, &d) < 0)
		fail_msg("%s", d.text);
	assert_int_equal(told.bad, 4);
	assert_int_equal(told.kept, 4);
	assert_int_equal(credential_count(second.store), 2);
	assert_int_equal(credential_get(second.store, 0)->number, number);
	assert_int_equal(credential_authorities(second.store, &authorities), 1);
	assert_int_equal(revocation_lists_count(credential_lists(second.store)), 1);
	assert_int_equal(own_sign(&second, 0, NULL, CREDENTIAL_HASHES, &message, &made, &d), 0);
	own_free(&first); /* nothing of it is needed any more */

	/* a new one: the old one stays for what has begun with it */
	told = (struct told){ 0 };
	pem_add("own.pem", renewed, "w");
	if (own_load(&from, &second, tell, &told, &third, &d) < 0)
		fail_msg("%s", d.text);
	assert_int_equal(told.bad, 4); /* the key does not fit yet */
	assert_non_null(strstr(credential_get(third.store, 0)->subject, "CN=srv1,OU=Servers"));
	own_free(&third);
	key_put("own.key", new_key);
	if (own_load(&from, &second, tell, &told, &third, &d) < 0)
		fail_msg("%s", d.text);
	assert_string_equal(credential_get(third.store, 0)->subject, "CN=srv1");
	assert_true(credential_find(third.store, number, &at));
	assert_true(credential_get(third.store, at)->retired);
	assert_false(credential_get(third.store, 0)->retired);
	assert_int_equal(own_sign(&third, at, NULL, CREDENTIAL_HASHES, &message, &made, &d), 0);
	own_free(&second);
	if (own_load(&from, &third, tell, &told, &first, &d) < 0)
		fail_msg("%s", d.text);
	assert_false(credential_find(first.store, number, &at)); /* not for ever */

	/* a folder's file that is gone is no longer there */
	assert_int_equal(unlink(path_of("lists/root.crl")), 0);
	if (own_load(&from, &first, tell, &told, &second, &d) < 0)
		fail_msg("%s", d.text);
	assert_int_equal(revocation_lists_count(credential_lists(second.store)), 0);
	/* without anybody to tell, the first bad one is a failure */
	own_free(&third);
	assert_true(own_load(&from, &second, NULL, NULL, &third, &d) < 0);
	assert_null(third.store);
}

static void own_certificates_are_good_as_long_as_their_path_is(void **state)
{
	SCOPED(x509_freep)
	X509 *brief = made_certificate(&(struct made){ .subject = "CN=Brief",
						       .issuer = root,
						       .issuer_key = root_key,
						       .key = middle_key,
						       .authority = true,
						       .from_days = -2,
						       .to_days = 1 });
	SCOPED(x509_freep)
	X509 *own = made_certificate(&(struct made){ .subject = "CN=own",
						     .issuer = brief,
						     .issuer_key = middle_key,
						     .key = key,
						     .from_days = -1,
						     .to_days = 5 });
	char names[2][PATH];
	struct credential_files files = { names[0], names[1] };
	struct credential_sources from = { .certificates = &files, .certificate_count = 1 };
	SCOPED(credential_store_freep) struct credential_store *s = NULL;
	struct credential_end ends[4];
	uint64_t now = (uint64_t)time(NULL);
	struct diag d = { 0 };

	(void)state;
	(void)snprintf(names[0], PATH, "%s", path_of("brief.pem"));
	(void)snprintf(names[1], PATH, "%s", path_of("brief.key"));
	pem_add("brief.pem", own, "w");
	pem_add("brief.pem", brief, "a");
	key_put("brief.key", key);
	if (credential_store_load(&from, NULL, NULL, NULL, &s, &d) < 0)
		fail_msg("%s", d.text);
	assert_true(credential_is_good(s, 0, now, &d));
	assert_false(credential_is_good(s, 0, now + 2 * 86400, &d));
	assert_non_null(strstr(d.text, "CN=Brief expired on 20"));
	assert_false(credential_is_good(s, 0, now - 3 * 86400 / 2, &d));
	assert_non_null(strstr(d.text, "CN=own is valid from 20"));
	assert_int_equal(credential_ends(s, ends, 4), 2);
	assert_false(ends[0].authority);
	assert_true(ends[1].authority);
	assert_string_equal(ends[1].subject, "CN=Brief");
	assert_string_equal(ends[1].of, "CN=own");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_criterion_asks_for_what_it_says),
		cmocka_unit_test(selection_and_validation_are_for_one_side_each),
		cmocka_unit_test(thumbprints_follow_renewals_if_they_are_told_to),
		cmocka_unit_test(bundles_lead_to_whom_we_trust_whatever_else_is_in_them),
		cmocka_unit_test(forms_that_are_not_taken_are_refused_in_words),
		cmocka_unit_test(an_address_is_an_identity_only_where_the_policy_says_so),
		cmocka_unit_test(nobody_is_asked_for_a_stranger),
		cmocka_unit_test(bad_files_leave_what_was_loaded_before),
		cmocka_unit_test(own_certificates_are_good_as_long_as_their_path_is),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
