/* daemon/keys/messages.h - what goes between the key holder and those who talk to it: the parent fills it, keying asks
 * it. Which may ask what is in process/asks.c; here is the form of each body. Decoders fill a struct and do nothing
 * else; pointers in it are into the message. */
#ifndef DAEMON_KEYS_MESSAGES_H
#define DAEMON_KEYS_MESSAGES_H
#include "base/wire.h"
#include "identity/keyring.h"
#include "identity/kerberos/keytab.h"
#include "identity/peer_wire.h"
#include "keying/keying.h"
#include <stdint.h>

enum {
	KEYS_PATH = 4096, /* with its NUL */
	KEYS_PUBLIC_MOST = 2200,
	KEYS_WORDS = 384,
	KEYS_OCTETS_MOST = 16000, /* what is signed */
	KEYS_PROVE_MOST = 32,     /* pre-shared keys that one proof may be of */
	KEYS_TOLD_MOST = 2 + PEER_TEXT + 2 + 4 * (KEYTAB_KVNOS_MOST + KEYTAB_ENCTYPES_MOST), /* of one principal */
	KEYS_ANSWER_LEAST = 12,
	KEYS_ANSWER_MOST = KEYS_ANSWER_LEAST + KEYS_WORDS + KEYTAB_PRINCIPALS_MOST * KEYS_TOLD_MOST,
	KEYS_LOAD_LEAST = 12,
	KEYS_LOAD_MOST = KEYS_LOAD_LEAST + KEYS_PATH + KEYRING_PUBLICS_MOST * (2 + KEYS_PUBLIC_MOST),
	KEYS_KEEP_LEN = 9,
	KEYS_SWAP_LEN = 4,
	KEYS_SIGN_LEAST = 17,
	KEYS_SIGN_MOST = KEYS_SIGN_LEAST + 1 + KEY_MAX + KEYS_OCTETS_MOST,
	KEYS_PROVE_LEAST = 13,
	KEYS_PROVE_OCTETS_MOST = KEYS_PROVE_LEAST + 4 * KEYS_PROVE_MOST + KEYING_AUTH_MOST + KEYS_OCTETS_MOST,
	KEYS_MIX_LEAST = 14 + 3,
	KEYS_MIX_MOST = KEYS_MIX_LEAST + 3 * KEY_MAX,
	KEYS_SIGNED_LEAST = 9,
	KEYS_SIGNED_MOST = KEYS_SIGNED_LEAST + KEYING_AUTH_MOST,
	KEYS_PROVEN_LEN = 8,
	KEYS_MIXED_LEAST = 8 + 3,
	KEYS_MIXED_MOST = KEYS_MIXED_LEAST + 3 * KEY_MAX,
	KEYS_REFUSED_LEAST = 15,
	KEYS_TICKET_LEAST = 12,
	KEYS_TICKET_MOST = KEYS_TICKET_LEAST + 2 * KEYS_WORDS,
	KEYS_REFUSED_MOST = KEYS_REFUSED_LEAST + KEYS_WORDS,
	KEYS_BINDING_MOST = 256, /* channel bindings */
	KEYS_GSS_LEAST = 25,
	KEYS_GSS_MOST = KEYS_GSS_LEAST + KEYING_GSS_TARGET + KEYS_BINDING_MOST + KEYING_TOKEN_MOST,
	KEYS_USE_MOST = 4096, /* octets that a key is made of, that are wrapped, or that were wrapped */
	KEYS_GSS_USE_LEAST = 19,
	KEYS_GSS_USE_OCTETS_MOST = KEYS_GSS_USE_LEAST + KEYS_USE_MOST,
	KEYS_GSS_END_LEN = 8,
	KEYS_STEPPED_LEAST = 23 + PEER_WIRE_LEAST,
	/* Who completes a context has little to answer; who begins one knows no peer yet. */
	KEYS_LAST_TOKEN_MOST = 40000,
	KEYS_STEPPED_MOST = KEYS_STEPPED_LEAST + KEYS_WORDS + PEER_WIRE_MOST + KEYS_LAST_TOKEN_MOST,
	KEYS_GSS_TEXT_LEAST = 8,
	KEYS_GSS_TEXT_MOST = KEYS_GSS_TEXT_LEAST + KEYS_USE_MOST,
};

/* ---- parent to keys ---- */

struct keys_load { /* with the file's descriptor */
	uint32_t ticket, number;
	uint8_t uses;
	char path[KEYS_PATH];
	struct octets publics[KEYRING_PUBLICS_MOST];
	size_t public_count;
};
void keys_put_load(struct wire_out *out, const struct keys_load *m);
int keys_get_load(struct wire_in *in, struct keys_load *ret);

struct keys_keep {
	uint32_t ticket, number;
	uint8_t uses;
};
void keys_put_keep(struct wire_out *out, const struct keys_keep *m);
int keys_get_keep(struct wire_in *in, struct keys_keep *ret);

/* Its answer to each of them, and to the swap. */
struct keys_answer {
	uint32_t ticket;
	int error; /* 0 or negative */
	uint8_t fits;
	char words[KEYS_WORDS];
	struct keytab_told told; /* of a keytab */
};
void keys_put_answer(struct wire_out *out, const struct keys_answer *m);
int keys_get_answer(struct wire_in *in, struct keys_answer *ret);

/* How it stands with this host's ticket-granting ticket; whenever that has changed. */
struct keys_ticket {
	uint64_t until_s; /* 0: there is none */
	char client[KEYS_WORDS];
	char failure[KEYS_WORDS]; /* why there is none, or no new one; "": nothing failed */
};
void keys_put_ticket(struct wire_out *out, const struct keys_ticket *m);
int keys_get_ticket(struct wire_in *in, struct keys_ticket *ret);

/* ---- keying to keys, and back ---- */

enum keys_sign_what {
	KEYS_SIGN_IKEV2,  /* what IKE_AUTH signs */
	KEYS_SIGN_HASH,   /* IKEv1: HASH_I or HASH_R, by RSA */
	KEYS_SIGN_KEYED,  /* IKEv1: prf(key, octets), which is HASH_I or HASH_R, by ECDSA */
	KEYS_SIGN_SKEYID, /* IKEv1: both nonces; what comes back is SKEYID */
	KEYS_SIGN_WHATS
};
struct keys_sign {
	uint64_t job;
	enum keys_sign_what what;
	uint32_t number;
	const struct algorithm *prf; /* NULL: none was given */
	uint16_t peer_hashes;
	struct key key; /* KEYED; wiped by whoever has it */
	struct octets octets;
};
void keys_put_sign(struct wire_out *out, const struct keys_sign *m);
int keys_get_sign(struct wire_in *in, struct keys_sign *ret);

struct keys_prove {
	uint64_t job;
	const struct algorithm *prf;
	uint32_t numbers[KEYS_PROVE_MOST];
	size_t count;
	struct octets auth, octets;
};
void keys_put_prove(struct wire_out *out, const struct keys_prove *m);
int keys_get_prove(struct wire_in *in, struct keys_prove *ret);

struct keys_mix { /* wiped by whoever has it */
	uint64_t job;
	uint32_t number;
	const struct algorithm *prf;
	struct keying_mix keys;
};
void keys_put_mix(struct wire_out *out, const struct keys_mix *m);
int keys_get_mix(struct wire_in *in, struct keys_mix *ret);

struct keys_signed {
	uint64_t job;
	struct keyring_proof proof;
};
void keys_put_signed(struct wire_out *out, const struct keys_signed *m);
int keys_get_signed(struct wire_in *in, struct keys_signed *ret);

void keys_put_mixed(struct wire_out *out, uint64_t job, const struct keying_mix *keys);
int keys_get_mixed(struct wire_in *in, uint64_t *ret_job, struct keying_mix *ret);

struct keys_refused {
	uint64_t job;
	int error;
	uint8_t lacks;
	char words[KEYS_WORDS];
};
void keys_put_refused(struct wire_out *out, const struct keys_refused *m);
int keys_get_refused(struct wire_in *in, struct keys_refused *ret);

/* ---- Kerberos: keying to keys, and back ---- */

struct keys_gss {
	uint64_t job, gss;
	uint32_t number; /* of the credential; an acceptor's: any key of the keytab is used */
	bool initiator;
	char target[KEYING_GSS_TARGET]; /* empty: not the first step */
	struct octets binding,
		token; /* binding: channel bindings (RFC 5554 needs both ends to have them); empty: none */
};
void keys_put_gss(struct wire_out *out, const struct keys_gss *m);
int keys_get_gss(struct wire_in *in, struct keys_gss *ret);

enum keys_use { KEYS_USE_KEY, KEYS_USE_WRAP, KEYS_USE_UNWRAP, KEYS_USE_SIGN /* wrapped, not sealed */, KEYS_USES };
struct keys_gss_use {
	uint64_t job, gss;
	uint8_t use;
	uint16_t len; /* KEY: octets of it that are wanted */
	struct octets octets;
};
void keys_put_gss_use(struct wire_out *out, const struct keys_gss_use *m);
int keys_get_gss_use(struct wire_in *in, struct keys_gss_use *ret);

struct keys_stepped {
	uint64_t job;
	int error; /* 0, or negative with words */
	bool complete;
	uint64_t good_ms;
	char words[KEYS_WORDS]; /* of success: a warning */
	struct peer peer;       /* complete */
	struct octets token;
};
void keys_put_stepped(struct wire_out *out, const struct keys_stepped *m);
int keys_get_stepped(struct wire_in *in, struct keys_stepped *ret);

struct keys_gss_text {
	uint64_t job;
	struct octets octets;
};
void keys_put_gss_text(struct wire_out *out, const struct keys_gss_text *m);
int keys_get_gss_text(struct wire_in *in, struct keys_gss_text *ret);

#endif
