/* base/algorithm.h - every algorithm that a policy can name, in one table: our name, the numbers of IKEv1 (RFC 2407,
 * 2409), IKEv2 (IANA ikev2-parameters) and XFRM, libcrypto's name, and the sizes. Names and numbers only; what is done
 * with them lives elsewhere. Sizes are octets unless the name says bits. */
#ifndef BASE_ALGORITHM_H
#define BASE_ALGORITHM_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* IKEv2 transform types (RFC 7296 3.3.2). */
enum algorithm_kind { ALG_ENCR = 1, ALG_PRF = 2, ALG_INTEG = 3, ALG_GROUP = 4 };

struct algorithm {
	const char *name; /* as in a proposal: "aes256gcm", "sha384", "ecp384", "null" */
	enum algorithm_kind kind;
	uint16_t ikev2;         /* transform ID */
	uint16_t key_bits;      /* IKEv2 key length attribute; 0: none is sent */
	uint16_t ikev1;         /* phase 1 number, 0: none */
	uint16_t ikev1_esp;     /* phase 2: ESP transform, or authentication attribute for integrity */
	const char *xfrm;       /* kernel name, NULL: not in the kernel */
	const char *openssl;    /* cipher, digest or group name, NULL: not in libcrypto */
	uint16_t key;           /* key octets, without salt; for a PRF its preferred length */
	uint8_t salt;           /* AEAD: octets of salt behind the key in KEYMAT */
	uint8_t iv;             /* explicit IV in each packet */
	uint8_t block;          /* cipher block, 1 for stream modes */
	uint8_t icv;            /* check value on the wire (AEAD and integrity) */
	uint16_t public_octets; /* group: KE data length */
	uint16_t secret_octets; /* group: shared secret length */
	bool aead;
	bool legacy; /* needs `legacy: allow` */
};

extern const struct algorithm algorithms[];
extern const size_t algorithms_count;

/* NULL if there is none. */
const struct algorithm *algorithm_by_name(enum algorithm_kind kind, const char *name, size_t n);
const struct algorithm *algorithm_by_ikev2(enum algorithm_kind kind, uint16_t id, uint16_t key_bits);
/* The row of a phase 1 number, or of a phase 2 one (ESP transform, authentication algorithm, group). */
const struct algorithm *algorithm_by_ikev1(enum algorithm_kind kind, uint16_t id, uint16_t key_bits);
const struct algorithm *algorithm_by_ikev1_quick(enum algorithm_kind kind, uint16_t id, uint16_t key_bits);
/* AH names its transform, too, not only the authentication algorithm (RFC 2407 4.4.3). 0: none. */
uint8_t algorithm_ikev1_ah(const struct algorithm *integ);

/* One suite of a main mode (IKE SA) proposal: "aes256-sha384-ecp384", "aes256gcm-sha256-x25519". */
struct ike_suite {
	const struct algorithm *encr, *integ /* NULL with AEAD */, *prf, *group;
};

enum ipsec_protocol { PROTO_ESP = 3, PROTO_AH = 2 }; /* IKEv2 protocol IDs */

/* One suite of a quick mode (CHILD SA) proposal: "esp-aes256gcm", "esp-aes256-sha256", "esp-sha256-null" (integrity
 * only), "ah-sha256"; each may end in a group for perfect forward secrecy: "esp-aes256gcm-ecp384". */
struct child_suite {
	enum ipsec_protocol protocol;
	const struct algorithm *encr;  /* NULL for AH */
	const struct algorithm *integ; /* NULL with AEAD */
	const struct algorithm *group; /* NULL: no new key exchange */
};

struct diag;
/* What the text names, or an error that says which part is unknown and lists what is known. */
int ike_suite_parse(const char *text, size_t n, struct ike_suite *ret, struct diag *d);
int child_suite_parse(const char *text, size_t n, struct child_suite *ret, struct diag *d);

enum { SUITE_TEXT = 64 };
const char *ike_suite_text(const struct ike_suite *s, char buf[SUITE_TEXT]);
const char *child_suite_text(const struct child_suite *s, char buf[SUITE_TEXT]);
bool ike_suite_equal(const struct ike_suite *a, const struct ike_suite *b);
bool child_suite_equal(const struct child_suite *a, const struct child_suite *b); /* the group does not count */
bool ike_suite_legacy(const struct ike_suite *s);
bool child_suite_legacy(const struct child_suite *s);
/* Has IKEv1 numbers for all of it (no AEAD and no x25519 in main mode, no ChaCha20 in either)? */
bool ike_suite_ikev1(const struct ike_suite *s);
bool child_suite_ikev1(const struct child_suite *s);
/* Does it hide the data? false: integrity only. */
bool child_suite_encrypts(const struct child_suite *s);

#endif
