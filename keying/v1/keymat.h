/* keying/v1/keymat.h - the keys, hashes and messages under them of IKEv1 (RFC 2409 5, appendix B; RFC 3947 3.2). What a
 * pre-shared key makes comes as SKEYID from a job. Inside keying/ only. */
#ifndef KEYING_V1_KEYMAT_H
#define KEYING_V1_KEYMAT_H
#include "base/algorithm.h"
#include "base/key.h"
#include "keying/keymat.h"
#include "keying/v1/message.h"

struct diag;

/* Of a suite IKEv1 uses encr, prf (its hash, too) and group; ike_suite_ikev1 says whether all have
 * numbers there. */

enum { V1_BLOCK_MOST = 16, V1_TOKENS_MOST = 8 };

struct v1_keys {
	struct key id, d, a; /* SKEYID, SKEYID_d, SKEYID_a */
	struct key cipher;   /* of SKEYID_e, as long as the cipher wants (appendix B) */
};
void v1_keys_wipe(struct v1_keys *k);

/* The last block of what was sent or received; the next message begins with it. */
struct v1_iv {
	uint8_t octets[V1_BLOCK_MOST];
};

/* What main mode's keys and hashes are made of, as it was on the wire. */
struct v1_main {
	const struct ike_suite *suite;
	struct keying_octets secret; /* g^xy */
	struct keying_octets nonce_i, nonce_r, ke_i, ke_r;
	uint64_t cookie_i, cookie_r;
	struct keying_octets sa_body; /* of the initiator's SA payload */
	/* Of HASH_I and HASH_R: the signature method's where that names a hash (RFC 2409 5.1); NULL: the suite's. */
	const struct algorithm *hash_prf;
};

/* SKEYID of signatures and of GSS-API: prf(Ni_b | Nr_b, g^xy). */
int v1_skeyid(const struct v1_main *m, struct key *ret, struct diag *d);
/* SKEYID of a pre-shared key: prf(psk, Ni_b | Nr_b), for who holds the key (a job). */
int v1_skeyid_psk(const struct algorithm *prf, const void *psk, size_t psk_len, struct keying_octets nonce_i,
		  struct keying_octets nonce_r, struct key *ret, struct diag *d);
/* All that follows from SKEYID. */
int v1_keys_make(const struct v1_main *m, const struct key *skeyid, struct v1_keys *ret, struct diag *d);

/* Main mode's first IV: hash(g^xi | g^xr). And that of another message: hash(last block of main mode | message ID). */
int v1_iv_main(const struct v1_main *m, struct v1_iv *ret, struct diag *d);
int v1_iv_message(const struct ike_suite *suite, const struct v1_iv *last, uint32_t id, struct v1_iv *ret,
		  struct diag *d);

/* HASH_I (of_initiator) and HASH_R: prf(SKEYID, g^x of the sender | the other's | CKY likewise | SAi_b | ID_b). With
 * GSS-API the sender's name and tokens follow (draft-ietf-ipsec-isakmp-gss-auth-07 3.2). */
struct v1_proof {
	bool of_initiator;
	struct keying_octets id_body;
	struct keying_octets gss_name; /* empty: none */
	struct keying_octets tokens[V1_TOKENS_MOST];
	size_t token_count;
};
/* What they cover, in a row: for who makes the hash itself. */
void v1_covered_main(const struct v1_main *m, const struct v1_proof *proof, struct wire_out *out);
int v1_hash_main(const struct v1_main *m, const struct key *skeyid, const struct v1_proof *proof, struct key *ret,
		 struct diag *d);

/* HASH(1), HASH(2), HASH(3) of quick mode. covered: the payloads behind HASH. Of an informational message (and of
 * CONNECTED) it is HASH(1). */
int v1_hash_quick_1(const struct algorithm *prf, const struct key *a, uint32_t id, struct keying_octets covered,
		    struct key *ret, struct diag *d);
int v1_hash_quick_2(const struct algorithm *prf, const struct key *a, uint32_t id, struct keying_octets nonce_i,
		    struct keying_octets covered, struct key *ret, struct diag *d);
int v1_hash_quick_3(const struct algorithm *prf, const struct key *a, uint32_t id, struct keying_octets nonce_i,
		    struct keying_octets nonce_r, struct key *ret, struct diag *d);
/* The answer to a reliable delete: prf(SKEYID_a, Ni_b | M-ID | Nr | Delete) ([MS-IKEE] 3.8). */
int v1_hash_delete_2(const struct algorithm *prf, const struct key *a, uint32_t id, struct keying_octets nonce_i,
		     struct keying_octets covered, struct key *ret, struct diag *d);

/* The keys of the two SAs of a quick mode (5.5). secret: of its own key exchange, empty: none (no PFS). spi_i: that the
 * initiator chose, under which the responder sends. */
struct v1_quick {
	const struct child_suite *suite;
	struct keying_octets secret, nonce_i, nonce_r;
	uint32_t spi_i, spi_r;
};
int v1_keymat_quick(const struct algorithm *prf, const struct key *skeyid_d, const struct v1_quick *q,
		    struct child_keys *ret, struct diag *d);

/* NAT-D: hash(CKY-I | CKY-R | address | port). Returns the length in *ret_len. */
int v1_nat_hash(const struct algorithm *prf, uint64_t cookie_i, uint64_t cookie_r, const struct addr *a, uint16_t port,
		uint8_t ret[64], size_t *ret_len, struct diag *d);

/* Pad and encrypt what is behind the header, set the flag and the length: the message is then whole. *iv moves on. */
int v1_seal(struct ike_writer *w, const struct ike_suite *suite, const struct key *cipher, struct v1_iv *iv,
	    struct diag *d);
/* Decrypt a message in place behind its header. -ERR_SYNTAX: no whole number of blocks. Nothing says yet that the key
 * was right: *iv moves on, so give a copy and keep it when the message has proven good. */
int v1_open(uint8_t *message, size_t len, const struct ike_suite *suite, const struct key *cipher, struct v1_iv *iv,
	    struct diag *d);

#endif
