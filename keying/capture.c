/* keying/capture.c - keys for a capture decoder, one line each, only where the configuration asks for it (debug, lab).
 * A line is "table: row", the row as tshark's -o uat:table:row takes it. */
#include "keying/v1/v1.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { HEX = 2 * KEY_MAX + 1 };

static const char *hex(const struct key *k, size_t from, char buf[HEX])
{
	static const char digits[] = "0123456789abcdef";
	size_t n = 0;

	for (size_t i = from; i < k->len; i++) {
		buf[n++] = digits[k->octets[i] >> 4];
		buf[n++] = digits[k->octets[i] & 15];
	}
	buf[n] = '\0';
	return buf;
}

/* What tshark calls the algorithms (packet-isakmp.c, packet-ipsec.c). NULL, or no row: it cannot decode them. */
static const struct capture_name {
	enum algorithm_kind kind;
	const char *ours, *ike, *esp;
} names[] = {
	{ ALG_ENCR, "aes128", "AES-CBC-128 [RFC3602]", "AES-CBC [RFC3602]" },
	{ ALG_ENCR, "aes192", "AES-CBC-192 [RFC3602]", "AES-CBC [RFC3602]" },
	{ ALG_ENCR, "aes256", "AES-CBC-256 [RFC3602]", "AES-CBC [RFC3602]" },
	{ ALG_ENCR, "aes128gcm", "AES-GCM-128 with 16 octet ICV [RFC5282]", "AES-GCM with 16 octet ICV [RFC4106]" },
	{ ALG_ENCR, "aes192gcm", "AES-GCM-192 with 16 octet ICV [RFC5282]", "AES-GCM with 16 octet ICV [RFC4106]" },
	{ ALG_ENCR, "aes256gcm", "AES-GCM-256 with 16 octet ICV [RFC5282]", "AES-GCM with 16 octet ICV [RFC4106]" },
	{ ALG_ENCR, "aes128gcm8", "AES-GCM-128 with 8 octet ICV [RFC5282]", "AES-GCM with 8 octet ICV [RFC4106]" },
	{ ALG_ENCR, "aes128gcm12", "AES-GCM-128 with 12 octet ICV [RFC5282]", "AES-GCM with 12 octet ICV [RFC4106]" },
	{ ALG_ENCR, "aes192gcm8", "AES-GCM-192 with 8 octet ICV [RFC5282]", "AES-GCM with 8 octet ICV [RFC4106]" },
	{ ALG_ENCR, "aes192gcm12", "AES-GCM-192 with 12 octet ICV [RFC5282]", "AES-GCM with 12 octet ICV [RFC4106]" },
	{ ALG_ENCR, "aes256gcm8", "AES-GCM-256 with 8 octet ICV [RFC5282]", "AES-GCM with 8 octet ICV [RFC4106]" },
	{ ALG_ENCR, "aes256gcm12", "AES-GCM-256 with 12 octet ICV [RFC5282]", "AES-GCM with 12 octet ICV [RFC4106]" },
	{ ALG_ENCR, "aes128ccm8", "AES-CCM-128 with 8 octet ICV [RFC5282]", NULL },
	{ ALG_ENCR, "aes128ccm12", "AES-CCM-128 with 12 octet ICV [RFC5282]", NULL },
	{ ALG_ENCR, "aes128ccm", "AES-CCM-128 with 16 octet ICV [RFC5282]", NULL },
	{ ALG_ENCR, "aes192ccm8", "AES-CCM-192 with 8 octet ICV [RFC5282]", NULL },
	{ ALG_ENCR, "aes192ccm12", "AES-CCM-192 with 12 octet ICV [RFC5282]", NULL },
	{ ALG_ENCR, "aes192ccm", "AES-CCM-192 with 16 octet ICV [RFC5282]", NULL },
	{ ALG_ENCR, "aes256ccm8", "AES-CCM-256 with 8 octet ICV [RFC5282]", NULL },
	{ ALG_ENCR, "aes256ccm12", "AES-CCM-256 with 12 octet ICV [RFC5282]", NULL },
	{ ALG_ENCR, "aes256ccm", "AES-CCM-256 with 16 octet ICV [RFC5282]", NULL },
	{ ALG_ENCR, "aes128ctr", "AES-CTR-128 [RFC5930]", "AES-CTR [RFC3686]" },
	{ ALG_ENCR, "aes192ctr", "AES-CTR-192 [RFC5930]", "AES-CTR [RFC3686]" },
	{ ALG_ENCR, "aes256ctr", "AES-CTR-256 [RFC5930]", "AES-CTR [RFC3686]" },
	{ ALG_ENCR, "3des", "3DES [RFC2451]", "TripleDES-CBC [RFC2451]" },
	{ ALG_ENCR, "null", "NULL [RFC2410]", "NULL" },
	{ ALG_INTEG, "md5", "HMAC_MD5_96 [RFC2403]", "HMAC-MD5-96 [RFC2403]" },
	{ ALG_INTEG, "sha1", "HMAC_SHA1_96 [RFC2404]", "HMAC-SHA-1-96 [RFC2404]" },
	{ ALG_INTEG, "sha256", "HMAC_SHA2_256_128 [RFC4868]", "HMAC-SHA-256-128 [RFC4868]" },
	{ ALG_INTEG, "sha384", "HMAC_SHA2_384_192 [RFC4868]", "HMAC-SHA-384-192 [RFC4868]" },
	{ ALG_INTEG, "sha512", "HMAC_SHA2_512_256 [RFC4868]", "HMAC-SHA-512-256 [RFC4868]" },
	{ ALG_INTEG, "aesxcbc", "ANY 96-bits of Authentication [No Checking]",
	  "ANY 96 bit authentication [no checking]" },
	{ ALG_INTEG, "aescmac", "ANY 96-bits of Authentication [No Checking]",
	  "ANY 96 bit authentication [no checking]" },
};

static const struct capture_name *name_of(const struct algorithm *a)
{
	static const struct capture_name none = { .ike = "NONE [RFC4306]", .esp = "NULL" }, strange;

	for (size_t i = 0; a && i < ARRAY_LEN(names); i++)
		if (names[i].kind == a->kind && strcmp(names[i].ours, a->name) == 0)
			return &names[i];
	return a ? &strange : &none;
}

void capture_ike(struct ike_sa *sa)
{
	const struct capture_name *encr = name_of(sa->suite.encr), *integ = name_of(sa->suite.integ);
	char ei[HEX], er[HEX], ai[HEX], ar[HEX];

	if (!sa->k->config.export_keys || !encr->ike || !integ->ike)
		return;
	struct keying_todo *t = todo_add(sa->k, KEYING_KEYS);
	(void)snprintf(t->text, sizeof t->text,
		       "ikev2_decryption_table: %016" PRIx64 ",%016" PRIx64 ",%s,%s,\"%s\",%s,%s,\"%s\"", sa->spi_i,
		       sa->spi_r, hex(&sa->making->keys.ei, 0, ei), hex(&sa->making->keys.er, 0, er), encr->ike,
		       hex(&sa->making->keys.ai, 0, ai), hex(&sa->making->keys.ar, 0, ar), integ->ike);
	explicit_bzero(ei, sizeof ei);
	explicit_bzero(er, sizeof er);
	explicit_bzero(ai, sizeof ai);
	explicit_bzero(ar, sizeof ar);
}

/* Of IKEv1 tshark wants the initiator's cookie, and makes of it and the key what it needs. */
void capture_main(struct ike_sa *sa)
{
	char key[HEX];

	if (!sa->k->config.export_keys)
		return;
	struct keying_todo *t = todo_add(sa->k, KEYING_KEYS);
	(void)snprintf(t->text, sizeof t->text, "ikev1_decryption_table: %016" PRIx64 ",%s", sa->spi_i,
		       hex(&sa->v1->keys.cipher, 0, key));
	explicit_bzero(key, sizeof key);
}

void capture_child(struct keying *k, const struct sa_spec *s)
{
	const struct capture_name *encr_name = name_of(s->suite.encr), *integ_name = name_of(s->suite.integ);
	char local[ADDR_TEXT], remote[ADDR_TEXT], encr[HEX], integ[HEX];
	const char *here = addr_text(&s->local, local), *there = addr_text(&s->remote, remote);

	/* AH hides nothing. */
	if (!k->config.export_keys || s->suite.protocol == PROTO_AH || !encr_name->esp || !integ_name->esp)
		return;
	struct keying_todo *t = todo_add(k, KEYING_KEYS);
	(void)snprintf(t->text, sizeof t->text,
		       "esp_sa: \"%s\",\"%s\",\"%s\",\"0x%08x\",\"%s\",\"%s%s\",\"%s\",\"%s%s\"",
		       s->local.family == 4 ? "IPv4" : "IPv6", s->inbound ? there : here, s->inbound ? here : there,
		       s->spi, encr_name->esp, s->encr_key.len ? "0x" : "", hex(&s->encr_key, 0, encr), integ_name->esp,
		       s->integ_key.len ? "0x" : "", hex(&s->integ_key, 0, integ));
	explicit_bzero(encr, sizeof encr);
	explicit_bzero(integ, sizeof integ);
}
