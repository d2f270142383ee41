/* keying/v1/message.h - IKEv1 on the wire (RFC 2408, 2407, 2409, 3947): its numbers, a message taken apart, and the
 * codecs. As in keying/ike.h decoding fills a struct whose pointers lead into the message, and does nothing else; each
 * payload's decoder and encoder share a file. The header, its struct and the writer are IKEv2's own. Inside keying/
 * only. */
#ifndef KEYING_V1_MESSAGE_H
#define KEYING_V1_MESSAGE_H
#include "keying/ike.h"

enum { V1_VERSION = 0x10 };

enum v1_exchange { V1_MAIN = 2, V1_AGGRESSIVE = 4, V1_INFORMATIONAL = 5, V1_QUICK = 32 };
enum { V1_FLAG_ENCRYPTED = 1, V1_FLAG_COMMIT = 2, V1_FLAG_AUTH_ONLY = 4 };

enum v1_payload {
	V1_PL_NONE = 0,
	V1_PL_SA = 1,
	V1_PL_KE = 4,
	V1_PL_ID,
	V1_PL_CERT,
	V1_PL_CERTREQ,
	V1_PL_HASH,
	V1_PL_SIG,
	V1_PL_NONCE,
	V1_PL_NOTIFY,
	V1_PL_DELETE,
	V1_PL_VENDOR,
	V1_PL_NAT_D = 20, /* RFC 3947 */
	V1_PL_NAT_OA = 21,
	V1_PL_GSS = 129,         /* draft-ietf-ipsec-isakmp-gss-auth-07 3.3.3 */
	V1_PL_NAT_D_DRAFT = 130, /* draft-ietf-ipsec-nat-t-ike-02 */
	V1_PL_NAT_OA_DRAFT = 131,
	V1_PL_FRAGMENT = 132, /* [MS-IKEE] 2.2.3; fragment.h */
};

/* Behind the last payload of an encrypted message; and of one in clear, which some make a multiple of four. */
enum { V1_PADDING_MOST = 16, V1_ALIGNMENT_MOST = 3 };

enum { V1_DOI_ISAKMP = 0, V1_DOI_IPSEC = 1 };
enum v1_protocol { V1_PROTO_ISAKMP = 1, V1_PROTO_AH = 2, V1_PROTO_ESP = 3 };

/* Authentication methods (phase 1 attribute 3). */
enum v1_method {
	V1_METHOD_PSK = 1,
	V1_METHOD_RSA = 3,
	V1_METHOD_ECDSA_256 = 9, /* RFC 4754 */
	V1_METHOD_ECDSA_384,
	V1_METHOD_ECDSA_521,
	V1_METHOD_GSS = 65001, /* Kerberos; XAUTH's too, told apart by vendor IDs */
};

/* Encapsulation modes (phase 2 attribute 4): those of UDP by RFC 3947 and by its draft. */
enum v1_encapsulation {
	V1_TUNNEL = 1,
	V1_TRANSPORT = 2,
	V1_UDP_TUNNEL = 3,
	V1_UDP_TRANSPORT = 4,
	V1_UDP_TUNNEL_DRAFT = 61443,
	V1_UDP_TRANSPORT_DRAFT = 61444,
};

enum v1_id_type {
	V1_ID_IPV4 = 1,
	V1_ID_FQDN,
	V1_ID_USER_FQDN,
	V1_ID_IPV4_SUBNET,
	V1_ID_IPV6,
	V1_ID_IPV6_SUBNET,
	V1_ID_IPV4_RANGE,
	V1_ID_IPV6_RANGE,
	V1_ID_DER_ASN1_DN,
	V1_ID_DER_ASN1_GN,
	V1_ID_KEY_ID,
};

enum { V1_CERT_PKCS7 = 1, V1_CERT_X509_SIGNATURE = 4 };

enum v1_notify {
	V1_N_INVALID_PAYLOAD_TYPE = 1,
	V1_N_DOI_NOT_SUPPORTED,
	V1_N_SITUATION_NOT_SUPPORTED,
	V1_N_INVALID_COOKIE,
	V1_N_INVALID_MAJOR_VERSION,
	V1_N_INVALID_MINOR_VERSION,
	V1_N_INVALID_EXCHANGE_TYPE,
	V1_N_INVALID_FLAGS,
	V1_N_INVALID_MESSAGE_ID,
	V1_N_INVALID_PROTOCOL_ID,
	V1_N_INVALID_SPI,
	V1_N_INVALID_TRANSFORM_ID,
	V1_N_ATTRIBUTES_NOT_SUPPORTED,
	V1_N_NO_PROPOSAL_CHOSEN,
	V1_N_BAD_PROPOSAL_SYNTAX,
	V1_N_PAYLOAD_MALFORMED,
	V1_N_INVALID_KEY_INFORMATION,
	V1_N_INVALID_ID_INFORMATION,
	V1_N_INVALID_CERT_ENCODING,
	V1_N_INVALID_CERTIFICATE,
	V1_N_CERT_TYPE_UNSUPPORTED,
	V1_N_INVALID_CERT_AUTHORITY,
	V1_N_INVALID_HASH_INFORMATION,
	V1_N_AUTHENTICATION_FAILED,
	V1_N_INVALID_SIGNATURE,
	V1_N_ADDRESS_NOTIFICATION,
	V1_N_NOTIFY_SA_LIFETIME,
	V1_N_CERTIFICATE_UNAVAILABLE,
	V1_N_UNSUPPORTED_EXCHANGE_TYPE,
	V1_N_UNEQUAL_PAYLOAD_LENGTHS,
	V1_N_ERRORS_END = 16384,
	V1_N_CONNECTED = 16384,
	V1_N_RESPONDER_LIFETIME = 24576,
	V1_N_REPLAY_STATUS,
	V1_N_INITIAL_CONTACT,
	V1_N_R_U_THERE = 36136, /* RFC 3706 */
	V1_N_R_U_THERE_ACK,
	V1_N_WINDOWS_STATUS = 40003, /* [MS-IKEE] 2.2.6: four octets of Windows error code */
	V1_N_WINDOWS_DOS_COOKIE,     /* eight octets of responder cookie */
	V1_N_WINDOWS_EXCHANGE_INFO,  /* four octets of V1_INFO_ flags */
};
enum { V1_INFO_ND_BOUNDARY = 1, V1_INFO_GUARANTEE_ENCRYPTION = 2 };

/* Vendor IDs; the table is in vendor.c. */
enum v1_vendor {
	V1_VENDOR_NAT_T_RFC,
	V1_VENDOR_NAT_T_02,  /* "draft-ietf-ipsec-nat-t-ike-02\n", what everybody sends */
	V1_VENDOR_NAT_T_02A, /* without the newline; only understood */
	V1_VENDOR_NAT_T_03,
	V1_VENDOR_DPD,
	V1_VENDOR_FRAGMENTATION, /* 16 octets, or with four of capabilities behind */
	V1_VENDOR_GSSAPI,
	V1_VENDOR_GSS_DRAFT,
	V1_VENDOR_WINDOWS, /* "MS NT5 ISAKMPOAKLEY", four octets of version behind */
	V1_VENDOR_INITIAL_CONTACT,
	V1_VENDOR_NLBS_PRESENT,
	V1_VENDOR_MAMIE_EXISTS,
	V1_VENDOR_CGA,
	V1_VENDOR_NEGOTIATION_DISCOVERY,
	V1_VENDOR_KEY_MODS,
	V1_VENDOR_XAUTH,  /* method 65001 is then not Kerberos, unless GSSAPI or WINDOWS is there too */
	V1_VENDOR_CORDON, /* answers Deletes ([MS-IKEE] 3.8) */
	V1_VENDORS,
};
const char *v1_vendor_name(enum v1_vendor v);

/* Which revision of NAT traversal two hosts speak: it rules payload numbers and encapsulation modes alike. */
enum v1_nat { V1_NAT_NONE, V1_NAT_DRAFT, V1_NAT_RFC };
/* What both have announced: RFC 3947 if it can be (bits of enum v1_vendor). */
enum v1_nat v1_nat_revision(uint32_t ours, uint32_t theirs);

/* Names for people; never NULL. */
const char *v1_exchange_name(uint8_t exchange);
const char *v1_notify_name(uint16_t type);
const char *v1_method_name(uint16_t method);
/* What Windows says in V1_N_WINDOWS_STATUS: "signature verification failed (0x3602)". */
enum { V1_WINDOWS_TEXT = 96 };
const char *v1_windows_error(uint32_t code, char buf[V1_WINDOWS_TEXT]);

/* ---- one message, taken apart ------------------------------------------------------------------------------------ */

enum {
	V1_PROPOSALS_MOST = 24, /* more are read, but not kept */
	V1_TRANSFORMS_MOST = 96,
	V1_GSS_NAME_MOST = 1024,
	V1_NONCE_LEAST = 8,
	V1_NONCE_MOST = 256,
	V1_NAT_D_MOST = 8,
	V1_SPI_MOST = 16,
	V1_COOKIE = 8,
	V1_TOKEN_MOST = 49152,
};

/* One transform with what its attributes say; 0 (or no octets): the attribute was not there. */
struct v1_transform {
	uint8_t number, id; /* id: 1 (KEY_IKE) in main mode, else AH's or ESP's transform */
	bool strange;       /* has an attribute that we do not know, or one twice: not to be chosen */
	bool esn;
	uint16_t encr, hash, method, prf; /* main mode */
	uint16_t group, key_bits;
	uint16_t encapsulation, integ; /* quick mode; integ: authentication algorithm */
	uint32_t life_s, life_kb;      /* more than fits is the most that fits */
	struct keying_octets gss_name; /* as it was on the wire: UTF-16LE mostly */
	/* Its attributes as they were on the wire: an answer repeats them. When writing, they go as they are if there
	 * are any (but for gss_name, which takes the place of the one in them); else they are made of the fields. */
	struct keying_octets raw;
};

/* Proposals of one number belong together (AH and ESP at once). */
struct v1_proposal {
	uint8_t number, protocol, spi_len;
	uint32_t spi;        /* when spi_len is 4 */
	size_t first, count; /* of offer's transforms */
};

struct v1_offer {
	struct v1_proposal proposals[V1_PROPOSALS_MOST];
	size_t count;
	struct v1_transform transforms[V1_TRANSFORMS_MOST];
	size_t transform_count;
};

struct v1_id {
	uint8_t type, protocol;
	uint16_t port;
	bool ranged; /* an address, a subnet or a range: range says which */
	struct addr_range range;
	struct keying_octets data, body; /* body: as hashes cover it */
};

struct v1_notification {
	uint32_t doi;
	uint8_t protocol;
	uint16_t type;
	struct keying_octets spi; /* 0 to 16 octets */
	struct keying_octets data;
};

struct v1_delete {
	uint32_t doi;
	uint8_t protocol, spi_len; /* 16 for main mode, 4 else */
	uint16_t count;
	const uint8_t *spis;
};

struct v1_msg {
	struct ike_header h;
	struct keying_octets raw; /* as it came; not the decoders' */
	bool has_sa;
	struct v1_offer offer;
	struct keying_octets sa_body; /* as HASH_I and HASH_R cover it */
	struct keying_octets ke, nonce;
	struct v1_id ids[2]; /* main mode: one; quick mode: initiator's, responder's */
	size_t id_count;
	struct keying_octets certs[KEYING_CHAIN_MOST]; /* also those out of a PKCS#7 bag */
	size_t cert_count;
	uint16_t cert_others;                             /* bit n: there was one in encoding n, which we do not take */
	struct keying_octets certreqs[IKE_CERTREQS_MOST]; /* DER names of authorities; empty: any */
	size_t certreq_count;
	struct keying_octets hash, sig;
	struct keying_octets after_hash; /* the payloads behind HASH, without padding: what it covers */
	struct keying_octets token;      /* GSS */
	uint8_t token_prefix;            /* its Vendor Encoding octet */
	bool has_token;
	struct v1_notification notifies[IKE_NOTIFIES_MOST];
	size_t notify_count;
	struct v1_delete deletes[IKE_DELETES_MOST];
	size_t delete_count;
	struct keying_octets nat_d[V1_NAT_D_MOST]; /* the first is the destination's, then sources */
	size_t nat_d_count;
	struct addr nat_oa[2]; /* as the initiator, as the responder calls itself; one alone is the sender's */
	size_t nat_oa_count;
	uint32_t vendors;         /* bits of enum v1_vendor */
	uint32_t windows_version; /* of V1_VENDOR_WINDOWS: 9 is Windows 8 and later */
};

/* The kinds of message: each has its table of payloads. */
enum v1_message_kind {
	V1_MSG_MAIN_SA,    /* messages 1 and 2 */
	V1_MSG_MAIN_KE,    /* 3 and 4 */
	V1_MSG_MAIN_ID,    /* 5 and 6 */
	V1_MSG_MAIN_TOKEN, /* 7 and on: GSS tokens or HASH */
	V1_MSG_QUICK_SA,   /* 1 and 2 */
	V1_MSG_QUICK_END,  /* 3, and CONNECTED */
	V1_MSG_INFORMATIONAL,
	V1_MSG_KINDS
};

/* The header and nothing more. -ERR_UNSUPPORTED: another major version (the header is filled in all the same). */
int v1_decode_header(struct wire_in *in, struct ike_header *ret, struct diag *d);
/* The payloads of m->h's message, the first of type m->h.next. Padding may follow. -ERR_SYNTAX: so it is, too, when the
 * key was wrong. */
int v1_decode_payloads(struct wire_in *in, enum v1_message_kind kind, struct v1_msg *m, struct diag *d);

/* NULL if the message does not carry it. */
const struct v1_notification *v1_find_notify(const struct v1_msg *m, uint16_t type);
/* The first error notification (Windows' status is one), or NULL. */
const struct v1_notification *v1_find_error(const struct v1_msg *m);

/* The code in V1_N_WINDOWS_STATUS: the last four octets, since Windows puts a message ID in front of some. */
bool v1_windows_status(const struct v1_notification *n, uint32_t *ret);

/* The certificates of a PKCS#7 bag (SignedData without signers). Returns how many, or negative. */
int v1_bag_open(struct keying_octets bag, struct keying_octets *ret, size_t cap, struct diag *d);

/* ---- writing ----------------------------------------------------------------------------------------------------- */

void v1_write_begin(struct ike_writer *w, void *buf, size_t cap, const struct ike_header *h); /* then ike_write_end */
void v1_put_sa(struct ike_writer *w, const struct v1_offer *offer);
void v1_put_ke(struct ike_writer *w, struct keying_octets value);
void v1_put_nonce(struct ike_writer *w, struct keying_octets nonce);
/* The body of an ID payload, for hashes and for v1_put_id. Returns its length; 0: it does not fit. */
size_t v1_id_body(uint8_t type, uint8_t protocol, uint16_t port, struct keying_octets data, uint8_t *ret, size_t cap);
/* The same of addresses: a single one, a subnet if it is one, else a range. */
size_t v1_id_body_range(const struct addr_range *r, uint8_t protocol, uint16_t port, uint8_t *ret, size_t cap);
void v1_put_id(struct ike_writer *w, struct keying_octets body);
void v1_put_cert(struct ike_writer *w, struct keying_octets der);
void v1_put_cert_bag(struct ike_writer *w, const struct keying_octets *chain, size_t n);
void v1_put_certreq(struct ike_writer *w, struct keying_octets name); /* DER, may be empty */
void v1_put_hash(struct ike_writer *w, struct keying_octets hash);
void v1_put_sig(struct ike_writer *w, struct keying_octets sig);
void v1_put_token(struct ike_writer *w, uint8_t prefix, struct keying_octets token);
void v1_put_vendor(struct ike_writer *w, enum v1_vendor v);
void v1_put_notify(struct ike_writer *w, const struct v1_notification *n);
/* About main mode: the SPI is the two cookies. */
void v1_put_notify_main(struct ike_writer *w, uint16_t type, uint64_t cookie_i, uint64_t cookie_r, const void *data,
			size_t len);
void v1_put_delete_main(struct ike_writer *w, uint64_t cookie_i, uint64_t cookie_r);
void v1_put_delete(struct ike_writer *w, uint8_t protocol, const uint32_t *spis, size_t n);
void v1_put_nat_d(struct ike_writer *w, enum v1_nat revision, struct keying_octets hash);
void v1_put_nat_oa(struct ike_writer *w, enum v1_nat revision, const struct addr *a);
/* A HASH payload of so many octets to be filled in when what is behind it is there (RFC 2409 5.5): returns where they
 * are. v1_hash_covers: all that has been put behind it since; v1_hash_set fills it in. */
size_t v1_put_hash_space(struct ike_writer *w, size_t len);
struct keying_octets v1_hash_covers(const struct ike_writer *w, size_t at, size_t len);
void v1_hash_set(struct ike_writer *w, size_t at, struct keying_octets hash);

#endif
