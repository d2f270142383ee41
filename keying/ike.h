/* keying/ike.h - IKEv2 on the wire (RFC 7296 3): its numbers, a message taken apart, and the codecs. Each payload's
 * decoder and encoder share a file; all reading and writing goes through the bounded cursors. Decoding fills a struct
 * whose pointers lead into the message, and does nothing else. Inside keying/ only. */
#ifndef KEYING_IKE_H
#define KEYING_IKE_H
#include "base/addr.h"
#include "base/algorithm.h"
#include "base/key.h"
#include "base/wire.h"
#include "keying/keying.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct diag;
struct seal;

enum {
	IKE_PORT = 500,
	IKE_NAT_PORT = 4500,
	IKE_VERSION = 0x20,
	IKE_HEADER = 28,
	IKE_MESSAGE_MOST = 65536, /* as one, whole or reassembled; a datagram is never longer */
};

enum ike_exchange { IKE_SA_INIT = 34, IKE_AUTH = 35, CREATE_CHILD_SA = 36, INFORMATIONAL = 37 };
enum { IKE_FLAG_INITIATOR = 0x08, IKE_FLAG_RESPONSE = 0x20 };

enum ike_payload {
	PL_NONE = 0,
	PL_SA = 33,
	PL_KE,
	PL_IDI,
	PL_IDR,
	PL_CERT,
	PL_CERTREQ,
	PL_AUTH,
	PL_NONCE,
	PL_NOTIFY,
	PL_DELETE,
	PL_VENDOR,
	PL_TSI,
	PL_TSR,
	PL_SK,
	PL_CP,
	PL_EAP,      /* the last that RFC 7296 defines: a critical one of these is never "unknown" (2.5) */
	PL_GSPM,     /* RFC 6467 */
	PL_SKF = 53, /* RFC 7383 */
};

enum ike_notify {
	N_UNSUPPORTED_CRITICAL_PAYLOAD = 1,
	N_INVALID_IKE_SPI = 4,
	N_INVALID_MAJOR_VERSION = 5,
	N_INVALID_SYNTAX = 7,
	N_INVALID_MESSAGE_ID = 9,
	N_INVALID_SPI = 11,
	N_NO_PROPOSAL_CHOSEN = 14,
	N_INVALID_KE_PAYLOAD = 17,
	N_AUTHENTICATION_FAILED = 24,
	N_SINGLE_PAIR_REQUIRED = 34,
	N_NO_ADDITIONAL_SAS = 35,
	N_INTERNAL_ADDRESS_FAILURE = 36,
	N_FAILED_CP_REQUIRED = 37,
	N_TS_UNACCEPTABLE = 38,
	N_INVALID_SELECTORS = 39,
	N_TEMPORARY_FAILURE = 43,
	N_CHILD_SA_NOT_FOUND = 44,
	N_WINDOWS_STATUS = 12345, /* private: what Windows tells of a failure */
	N_ERRORS_END = 16384,     /* below: errors; from here on: status */
	N_INITIAL_CONTACT = 16384,
	N_SET_WINDOW_SIZE = 16385,
	N_ADDITIONAL_TS_POSSIBLE = 16386,
	N_NAT_DETECTION_SOURCE_IP = 16388,
	N_NAT_DETECTION_DESTINATION_IP = 16389,
	N_COOKIE = 16390,
	N_USE_TRANSPORT_MODE = 16391,
	N_REKEY_SA = 16393,
	N_ANOTHER_AUTH_FOLLOWS = 16405,      /* RFC 4739 */
	N_REDIRECT = 16407,                  /* RFC 5685 */
	N_CHILDLESS_IKEV2_SUPPORTED = 16418, /* RFC 6023 */
	N_FRAGMENTATION_SUPPORTED = 16430,
	N_AUTH_LIFETIME = 16403,
	N_QCD_TOKEN = 16419,
	N_SECURE_PASSWORD_METHODS = 16424, /* RFC 6467 */
	N_SIGNATURE_HASH_ALGORITHMS = 16431,
	N_USE_PPK = 16435, /* RFC 8784 */
	N_PPK_IDENTITY = 16436,
	N_NO_PPK_AUTH = 16437,
	N_CORDON_NOT_MEMBER = 48411, /* private, between Cordons: beside TS_UNACCEPTABLE or a Delete, the reason */
};

enum { TRANSFORM_ESN = 5, ATTRIBUTE_KEY_LENGTH = 14 };
enum { PROTO_NONE = 0, PROTO_IKE = 1 }; /* beside enum ipsec_protocol */
enum { ID_IPV4_ADDR = 1, ID_FQDN = 2, ID_IPV6_ADDR = 5, ID_DER_ASN1_DN = 9 };
enum { CERT_X509_SIGNATURE = 4, CERT_HASH_AND_URL = 12, CERT_HASH_AND_URL_OF_BUNDLE };
enum { TS_IPV4_ADDR_RANGE = 7, TS_IPV6_ADDR_RANGE = 8 };

/* Names for people; never NULL ("payload 99"-like texts are made by the caller: unknown ones give "unknown"). */
const char *ike_exchange_name(uint8_t exchange);
const char *ike_notify_name(uint16_t type);

struct ike_header {
	uint64_t spi_i, spi_r;
	uint8_t next, version, exchange, flags;
	uint32_t id, length;
};

/* ---- one message, taken apart ------------------------------------------------------------------------------------ */

enum {
	IKE_PROPOSALS_MOST = 24, /* more are read, but not kept */
	IKE_TRANSFORMS_MOST = 40,
	IKE_NOTIFIES_MOST = 32,
	IKE_DELETES_MOST = 16,
	IKE_CERTREQS_MOST = 16,
	IKE_SELECTORS_MOST = 32,
	IKE_NONCE_LEAST = 16,
	IKE_NONCE_MOST = 256,
	IKE_COOKIE_MOST = 64,
};

struct ike_transform {
	uint8_t type;
	bool strange; /* has an attribute that we do not know: not to be chosen (RFC 7296 3.3.6) */
	uint16_t id, key_bits;
};

struct ike_proposal {
	uint8_t number, protocol, spi_len; /* 0, 4 or 8 */
	uint64_t spi;
	struct ike_transform transforms[IKE_TRANSFORMS_MOST];
	size_t count;
};

struct ike_offer {
	struct ike_proposal proposals[IKE_PROPOSALS_MOST];
	size_t count;
};

struct ike_id {
	uint8_t type;
	struct keying_octets data, body; /* body: as AUTH covers it, with type and reserved octets */
};

struct ike_notification {
	uint16_t type;
	uint8_t protocol, spi_len;
	uint64_t spi;
	struct keying_octets data;
};

struct ike_delete {
	uint8_t protocol;
	uint16_t count;
	const uint8_t *spis; /* 4 octets each; none for the IKE SA */
};

/* A range on the wire; protocol 0: any. lo > hi ports: OPAQUE. */
struct ike_ts {
	uint8_t protocol;
	uint16_t port_lo, port_hi;
	struct addr_range range;
};
struct ike_ts_list {
	struct ike_ts at[IKE_SELECTORS_MOST];
	size_t count;
};

/* What Kerberos puts into a GSPM payload; what is not there has no octets. */
struct ike_gspm {
	struct keying_octets body; /* the whole, as both ends digest it */
	bool kerberos;             /* the mechanism is named */
	struct keying_octets principal, token_i, token_r;
};

struct ike_msg {
	struct ike_header h;
	struct keying_octets raw; /* as it came; not the decoders' */
	bool has_sa, has_ke, has_auth, has_ts_i, has_ts_r, has_id_i, has_id_r;
	struct ike_offer offer;
	uint16_t ke_group;
	struct keying_octets ke, nonce;
	struct ike_id id_i, id_r;
	struct keying_octets certs[KEYING_CHAIN_MOST];
	size_t cert_count;
	uint16_t cert_others;                             /* bit n: there was one in encoding n, which we do not take */
	struct keying_octets certreqs[IKE_CERTREQS_MOST]; /* the names of authorities, 20 octets each */
	size_t certreq_count;
	bool wants_udp;             /* our own vendor ID: ESP in UDP 4500 without a NAT (encap.h) */
	bool asks_address, has_eap; /* a CP payload wants an internal address; an EAP payload */
	bool has_gspm;
	struct ike_gspm gspm;
	uint8_t auth_method;
	struct keying_octets auth;
	struct ike_notification notifies[IKE_NOTIFIES_MOST];
	size_t notify_count;
	struct ike_delete deletes[IKE_DELETES_MOST];
	size_t delete_count;
	struct ike_ts_list ts_i, ts_r;
	uint8_t critical; /* the payload type that made decoding end with ERR_CRITICAL */
};

/* The kinds of message: each has its table of payloads. */
enum ike_message_kind {
	MSG_INIT_REQUEST,
	MSG_INIT_REPLY,
	MSG_AUTH_REQUEST,
	MSG_AUTH_REPLY,
	MSG_CHILD_REQUEST,
	MSG_CHILD_REPLY,
	MSG_INFORMATIONAL,
	MSG_GSPM_REQUEST, /* IKE_AUTH after its first request, where Kerberos proves (RFC 6467) */
	MSG_GSPM_REPLY,   /* IKE_AUTH before its last reply */
	MSG_GSPM_END,     /* and that one */
	MSG_KINDS
};

/* The header and nothing more. -ERR_UNSUPPORTED: another major version (the header is filled in all the same). */
int ike_decode_header(struct wire_in *in, struct ike_header *ret, struct diag *d);
int ike_decode_header_of(struct wire_in *in, uint8_t version, struct ike_header *ret, struct diag *d);
/* The payloads, the first of type `first`. -ERR_SYNTAX, or -ERR_CRITICAL with m->critical. */
int ike_decode_payloads(struct wire_in *in, enum ike_message_kind kind, uint8_t first, struct ike_msg *m,
			struct diag *d);

int ike_decode_sa(struct wire_in *in, struct ike_msg *m, struct diag *d);
int ike_decode_ke(struct wire_in *in, struct ike_msg *m, struct diag *d);
int ike_decode_nonce(struct wire_in *in, struct ike_msg *m, struct diag *d);
int ike_decode_id_i(struct wire_in *in, struct ike_msg *m, struct diag *d);
int ike_decode_id_r(struct wire_in *in, struct ike_msg *m, struct diag *d);
int ike_decode_cert(struct wire_in *in, struct ike_msg *m, struct diag *d);
int ike_decode_certreq(struct wire_in *in, struct ike_msg *m, struct diag *d);
int ike_decode_cp(struct wire_in *in, struct ike_msg *m, struct diag *d);
int ike_decode_eap(struct wire_in *in, struct ike_msg *m, struct diag *d);
int ike_decode_gspm(struct wire_in *in, struct ike_msg *m, struct diag *d);
int ike_decode_auth(struct wire_in *in, struct ike_msg *m, struct diag *d);
int ike_decode_notify(struct wire_in *in, struct ike_msg *m, struct diag *d);
int ike_decode_vendor(struct wire_in *in, struct ike_msg *m, struct diag *d);
int ike_decode_delete(struct wire_in *in, struct ike_msg *m, struct diag *d);
int ike_decode_ts_i(struct wire_in *in, struct ike_msg *m, struct diag *d);
int ike_decode_ts_r(struct wire_in *in, struct ike_msg *m, struct diag *d);

/* NULL if the message does not carry it. */
const struct ike_notification *ike_find_notify(const struct ike_msg *m, uint16_t type);
/* The first error notification, or NULL. */
const struct ike_notification *ike_find_error(const struct ike_msg *m);

/* ---- writing ----------------------------------------------------------------------------------------------------- */

struct ike_writer {
	struct wire_out out;
	size_t next_at; /* where the type of the payload to come goes */
};

void ike_write_begin(struct ike_writer *w, void *buf, size_t cap, const struct ike_header *h);
void ike_write_end(struct ike_writer *w); /* fills in the length */
size_t ike_payload_begin(struct ike_writer *w, enum ike_payload type);
void ike_payload_end(struct ike_writer *w, size_t at);

void ike_put_sa(struct ike_writer *w, const struct ike_offer *offer);
void ike_put_ke(struct ike_writer *w, uint16_t group, const void *data, size_t len);
void ike_put_nonce(struct ike_writer *w, const void *nonce, size_t len);
void ike_put_id(struct ike_writer *w, enum ike_payload type, uint8_t id_type, const void *id, size_t len);
void ike_put_cert(struct ike_writer *w, const void *der, size_t len);
/* The first ones only, because a message must fit: what a peer shows is checked all the same, so the names are a hint.
 */
enum { CERTREQ_INIT_MOST = 32, CERTREQ_AUTH_MOST = 256 };
void ike_put_certreq(struct ike_writer *w, const uint8_t (*authorities)[20], size_t n, size_t most);
void ike_put_auth(struct ike_writer *w, uint8_t method, const void *data, size_t len);
/* Returns its body, where it was written. */
struct keying_octets ike_put_gspm(struct ike_writer *w, const struct ike_gspm *g);
void ike_put_notify(struct ike_writer *w, uint16_t type, const void *data, size_t len);
/* About the IKE SA, and saying so: QCD_TOKEN. */
void ike_put_notify_of_ike(struct ike_writer *w, uint16_t type, const void *data, size_t len);
/* About one CHILD SA: REKEY_SA, CHILD_SA_NOT_FOUND. */
void ike_put_notify_spi(struct ike_writer *w, uint16_t type, uint8_t protocol, uint32_t spi);
void ike_put_vendor_udp(struct ike_writer *w); /* ESP in UDP 4500 without a NAT */
void ike_put_delete_ike(struct ike_writer *w);
void ike_put_delete(struct ike_writer *w, uint8_t protocol, const uint32_t *spis, size_t n);
void ike_put_ts(struct ike_writer *w, enum ike_payload type, const struct ike_ts *ts);
void ike_put_ts_list(struct ike_writer *w, enum ike_payload type, const struct ike_ts *list, size_t n);

/* ---- the Encrypted payload (sk.c) -------------------------------------------------------------------------------- */

/* One direction of an IKE SA. */
struct ike_crypt {
	const struct algorithm *encr, *integ, *prf;
	uint8_t *keys;  /* of encr (key and salt), then of integ; NULL: not keyed yet. A cipher is made of them for each
			   message: messages are few, SAs many, and a keyed cipher is large */
	uint64_t count; /* messages sealed: never one IV twice */
};

int ike_crypt_new(const struct ike_suite *suite, const struct key *encr, const struct key *integ, struct ike_crypt *ret,
		  struct diag *d);
void ike_crypt_wipe(struct ike_crypt *c);

/* Everything put between the two is encrypted; after ike_sk_end the message is whole. */
size_t ike_sk_begin(struct ike_writer *w, const struct ike_crypt *c);
int ike_sk_end(struct ike_writer *w, size_t at, struct ike_crypt *c, struct diag *d);
/* The same of fragment `number` of `total` (RFC 7383 2.5). */
size_t ike_skf_begin(struct ike_writer *w, const struct ike_crypt *c, uint16_t number, uint16_t total);
int ike_skf_end(struct ike_writer *w, size_t at, struct ike_crypt *c, struct diag *d);
/* How long a message with so much content is, whole; how much content a fragment of so many octets holds. */
size_t ike_sk_octets(const struct ike_crypt *c, size_t content);
size_t ike_skf_room(const struct ike_crypt *c, size_t octets);

/* The Encrypted payload of a message, or the Encrypted Fragment payload; always the last (3.14). */
struct ike_envelope {
	size_t at;
	uint8_t first;          /* type of the first payload in it */
	uint16_t number, total; /* of a fragment; 0: the message is whole */
	size_t octets;          /* of all the datagram */
};
/* -ERR_SYNTAX: there is none, or its lengths or its numbers are wrong. Nothing is verified yet. */
int ike_envelope_find(const uint8_t *message, size_t len, struct ike_envelope *ret, struct diag *d);
/* Check and decrypt a message in place. *ret_content: what was in the envelope.
 * -ERR_SYNTAX: its lengths are wrong; -ERR_CRYPTO: the check value is. */
int ike_envelope_open(struct ike_crypt *c, uint8_t *message, size_t len, const struct ike_envelope *e,
		      struct wire_in *ret_content, struct diag *d);
/* Both, for a message that must be whole. *ret_inner: the payloads inside, the first of type *ret_first. */
int ike_sk_open(struct ike_crypt *c, uint8_t *message, size_t len, struct wire_in *ret_inner, uint8_t *ret_first,
		struct diag *d);

#endif
