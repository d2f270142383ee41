/* keying/keying.h - IKE as a pure engine: events in, things to do out. No socket, clock, thread or random number of its
 * own: the time comes with every event, and whatever takes long or needs a secret (key exchange, signature, certificate
 * check, pre-shared key) is a job that it asks for and gets back as an event; so worker threads now and other processes
 * later change nothing here. daemon/ carries everything in and out; the replay tests do the same by hand.
 *
 * After each event, take things to do with keying_next until it says there are none, and set one timer for
 * keying_deadline. A message that is refused changes nothing. */
#ifndef KEYING_KEYING_H
#define KEYING_KEYING_H
#include "base/addr.h"
#include "base/algorithm.h"
#include "base/key.h"
#include "base/scope.h"
#include "dataplane/sad.h"
#include "identity/groups.h"
#include "identity/peer.h"
#include "observe/event.h"
#include "policy/plan.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keying;

/* How this host can prove itself; made by daemon/ from identity/. Public data only: the key stays with the jobs. */
struct keying_credential {
	uint32_t number; /* for jobs */
	enum auth_kind kind;
	const char *psk_file; /* AUTH_PSK: which one, as the policy names it */
	uint8_t id_type;      /* IKEv2 ID type (RFC 7296 3.5) and data that go with it */
	const uint8_t *id;
	size_t id_len;
	const uint8_t *const *chain; /* AUTH_CERTIFICATE: DER, end entity first, without the root */
	const size_t *chain_lens;
	size_t chain_count;
	const char *subject;                     /* for people; may be NULL */
	const struct auth_set *const *satisfies; /* sets of the policy that this one can prove */
	const uint8_t *ranks; /* by which of the set's methods, the preferred being 0; NULL: the first of them */
	size_t satisfies_count;
	/* By which one is chosen of several certificates. */
	uint64_t not_after_s;
	const uint8_t (*authorities)[20]; /* that it leads to, as CERTREQ names them */
	size_t authority_count;
	uint16_t hashes; /* bit n: hash n will do, if the peer announces any; silent: or if it announces none */
	bool silent;
	uint8_t signs_by; /* IKEv1's number for signatures of its key: 3 RSA, 9 to 11 ECDSA (RFC 4754); 0: none */
};

/* A set that nothing of this host proves, and why not, certificate by certificate. */
struct keying_lack {
	const struct auth_set *set;
	const char *why;
};

enum { KEYING_CRASH_SECRET = 32 };

/* Kerberos in IKEv1: what the sources leave open (docs/protocols/ikev1.md); bits of v1_kerberos, for what we send. */
enum keying_v1_kerberos {
	GSS_NAME_TERMINATED = 1, /* our name ends with a zero character */
	GSS_NAME_LATIN = 2,      /* it is of single octets, not UTF-16LE */
	GSS_TOKEN_BARE = 4,      /* our token has no Vendor Encoding octet in front */
	GSS_HASH_PREFIX = 8,     /* hashes cover that octet, too */
	GSS_HASH_LATIN = 16,     /* hashes cover names as single octets */
	GSS_HASH_UNNAMED = 32,   /* hashes cover no names */
};

struct keying_config {
	const struct keying_credential *credentials; /* copied */
	size_t credential_count;
	const struct keying_lack *lacks; /* copied */
	size_t lack_count;
	const char *const *ppks; /* post-quantum pre-shared keys that this host holds, by file; copied */
	size_t ppk_count;
	const uint8_t (*authorities)[20]; /* SHA-1 of trusted CAs' SubjectPublicKeyInfo, for CERTREQ */
	size_t authority_count;
	uint32_t liveness_ms;         /* nothing came in for so long while we sent: ask. Default 30000 */
	uint32_t retransmit_first_ms; /* default 500; then doubled, to 8 s */
	uint32_t retransmit_tries;    /* default 12: a dozen, as RFC 7296 2.4 asks for */
	uint32_t hold_ms;             /* packets of `require` wait at most so long. Default 5000 */
	uint32_t fallback_s;          /* how long a peer without IKE is remembered. Default 60 */
	uint32_t nat_keepalive_ms;    /* nothing went out for so long, from behind a NAT. Default 20000; 0: never */
	uint32_t half_open_cookie;    /* half-open SAs from which on we ask for cookies. Default 64 */
	uint32_t half_open_most;      /* then new ones are dropped. Default 4096 */
	uint32_t fragment_octets; /* longer IP packets are sent as IKE fragments (RFC 7383). Default 1280; 0: never */
	uint8_t crash_secret[KEYING_CRASH_SECRET]; /* of this host, kept over restarts (RFC 6290); all 0: no tokens */
	uint32_t v1_kerberos;                      /* GSS_ bits. Default 0 */
	bool userspace_plane;  /* ESP in UDP is faster on it: `encapsulation: auto` wants it. Default true */
	bool no_udp4, no_udp6; /* somebody else has UDP 4500: ESP in UDP is never agreed on. Default false */
	bool export_keys;      /* debug, lab only: KEYING_KEYS things to do appear */
};
extern const struct keying_config keying_default;

/* ---- jobs: what takes long or needs a secret --------------------------------------------------------------------- */

enum keying_job_kind {
	JOB_BEGIN,  /* initiator: nonce, SPI, key pair of `group` */
	JOB_ANSWER, /* responder: the same and at once the shared secret with `peer_public` */
	JOB_DERIVE, /* initiator: the shared secret of `private` and `peer_public` */
	JOB_SIGN,   /* AUTH payload of credential `credential` over `octets` */
	JOB_PPK,    /* mix `mix` with the post-quantum pre-shared key in ppk_file (RFC 8784) */
	JOB_SKEYID, /* IKEv1: prf(the pre-shared key of `credential`, `octets`, which are the two nonces): `secret` */
	JOB_VERIFY, /* is `auth` the peer's over `octets`, and does it satisfy `auth_set`? */
	/* Kerberos. A GSS-API context lives with the key holder, under a number that the engine chooses; it ends with
	 * JOB_GSS_END, with the engine, or of age. Steps of one context are asked for one after another. */
	JOB_GSS,        /* one step: the peer's token in, ours out; when complete: who the peer is */
	JOB_GSS_KEY,    /* gss_pseudo_random of a complete context over `octets`: `secret_len` octets */
	JOB_GSS_WRAP,   /* gss_wrap of `octets`, with confidentiality where the context has it */
	JOB_GSS_UNWRAP, /* gss_unwrap of `octets` */
	JOB_GSS_END,    /* the context is forgotten; its result says nothing */
};

enum {
	KEYING_NONCE = 32,
	KEYING_SECRET_MOST = 1024,
	KEYING_AUTH_MOST = 2048,
	KEYING_CHAIN_MOST = 8,
	KEYING_TOKEN_MOST = 49152, /* a ticket of 1,500 groups has 20 kB */
	KEYING_GSS_WRAP_MOST = 1024,
	KEYING_GSS_TARGET = 320, /* with its NUL */
};

struct keying_octets {
	const uint8_t *at;
	size_t len;
};

/* The keys of an IKE SA that a post-quantum pre-shared key is mixed into. */
struct keying_mix {
	struct key d, pi, pr;
};

/* Everything a job needs, by value or owned by the job: the engine may forget the SA meanwhile. */
struct keying_job {
	uint64_t number;
	enum keying_job_kind kind;
	const struct algorithm *group; /* NULL in BEGIN/ANSWER: nonce and SPI only (CHILD SA without key exchange) */
	struct key private;
	struct keying_octets peer_public;
	/* SIGN, VERIFY */
	uint32_t credential;
	const struct algorithm *prf; /* PSK: prf(prf(psk, "Key Pad for IKEv2"), octets) */
	struct keying_octets octets; /* what is signed (RFC 7296 2.15) */
	struct keying_mix mix;       /* PPK, with prf */
	char *ppk_file;
	uint16_t peer_hashes; /* SIGN, VERIFY: bit n: the peer takes hash n (RFC 7427 4); 0: it did not say */
	/* SIGN, VERIFY: `octets` are HASH_I or HASH_R; by pre-shared key, auth must be the same. SIGN with `private`:
	 * they are what the hash covers, and that is SKEYID; the hash is by `prf`. */
	bool ikev1;
	/* VERIFY */
	const struct auth_set *auth_set; /* lives as long as the policy; the job holds a reference on it */
	const struct policy *policy;
	uint8_t auth_method; /* RFC 7296 3.8 */
	struct keying_octets auth;
	uint8_t id_type;
	struct keying_octets id;
	struct keying_octets chain[KEYING_CHAIN_MOST];
	size_t chain_count;
	uint16_t other_encodings; /* bit n: it also sent a certificate in encoding n (RFC 7296 3.6) */
	struct addr remote;
	/* GSS*, with auth_set and policy at JOB_GSS: the peer's realm must be one of a Kerberos method's; NULL: any.
	 * There `octets` are the channel bindings, at every step; empty: none */
	uint64_t gss;
	bool gss_initiator; /* GSS: the same at each step of a context; the initiator's first has no token */
	char *gss_target;   /* GSS, initiator's first: the peer's principal, "host/dc1.corp.example@CORP.EXAMPLE" */
	struct keying_octets token; /* GSS: at most KEYING_TOKEN_MOST */
	uint16_t secret_len;        /* GSS_KEY: at most KEYING_SECRET_MOST */
};

struct keying_result {
	uint64_t number;
	int error; /* 0, or negative with words in why; the kind of failure: -ERR_AUTH, -ERR_CRYPTO, ... */
	char why[384];
	char claimed[128]; /* VERIFY: who the peer says it is, whatever the outcome */
	uint8_t nonce[KEYING_NONCE];
	uint64_t spi;
	struct key private;
	uint8_t public[KEYING_SECRET_MOST];
	size_t public_len;
	uint8_t secret[KEYING_SECRET_MOST]; /* and GSS_KEY's; wiped by keying_result_wipe */
	size_t secret_len;
	struct keying_mix mix; /* PPK */
	uint8_t auth_method;   /* SIGN */
	uint8_t auth[KEYING_AUTH_MOST];
	size_t auth_len;
	struct peer peer; /* VERIFY, GSS: of an initiator with its groups, as far as its ticket has them */
	uint64_t good_ms; /* VERIFY, GSS: the proof is good for so long from now (its certificate, its ticket ends);
			     0: no end */
	/* GSS: empty: nothing to send; with an error: still to be sent, if the exchange has a place for it.
	 * GSS_WRAP, GSS_UNWRAP: what came of it. Freed by keying_result_wipe. */
	struct keying_octets token;
	bool complete; /* GSS: peer and good_ms are told */
};
void keying_job_free(struct keying_job *job); /* wipes */
SCOPE_FREEP(struct keying_job, keying_job)
void keying_result_wipe(struct keying_result *r);

/* ---- things to do -------------------------------------------------------------------------------------------------
 */

enum keying_todo_kind {
	KEYING_SEND,         /* datagram */
	KEYING_JOB,          /* job: the taker owns it and calls keying_job_done in any case */
	KEYING_RESERVE_SPI,  /* selector.local, .remote; request */
	KEYING_RELEASE_SPI,  /* spi */
	KEYING_INSTALL,      /* spec, request */
	KEYING_MEMBERSHIP,   /* pair, membership: what is known of who is behind it has changed */
	KEYING_STOP_SENDING, /* pair: the outbound half goes at once, REMOVE follows */
	KEYING_REMOVE,       /* pair */
	KEYING_RELEASE_HELD, /* selector, clear */
	KEYING_MOVE,         /* pair, remote, remote_port: a NAT has moved the peer */
	KEYING_KEEPALIVE,    /* local, remote and ports: one octet of 0xff (RFC 3948 2.3) */
	KEYING_FALLBACK,     /* selector.local, .remote; seconds (0: forget it, the peer has IKE) */
	KEYING_EVENT,        /* event */
	KEYING_KEYS,         /* text: one line of keys for a capture decoder; only with export_keys */
};

struct keying_todo {
	enum keying_todo_kind kind;
	struct addr local, remote; /* SEND, KEEPALIVE */
	uint16_t local_port, remote_port;
	const uint8_t *octets; /* SEND: valid until the next call of the engine */
	size_t len;
	struct keying_job *job;
	uint64_t request, pair;
	uint32_t spi, seconds;
	struct sa_selector selector;
	struct sa_spec *spec; /* valid until the next call; then wiped */
	/* INSTALL of an inbound half: who is behind it, to be told before it is installed; valid as the spec is. NULL:
	 * the plan's firewall does not ask, or nobody alone is: a tunnel between networks. */
	const struct membership *membership;
	bool clear;
	struct event event;
	char text[1024]; /* KEYS */
};

int keying_new(const struct keying_config *c, struct plan *plan, struct keying **ret, struct diag *d);
void keying_free(struct keying *k); /* wipes; tells nobody */
SCOPE_FREEP(struct keying, keying)

/* Events. now_ms never goes back. */
void keying_message(struct keying *k, const struct addr *local, uint16_t local_port, const struct addr *remote,
		    uint16_t remote_port, const uint8_t *octets, size_t len, uint64_t now_ms);
/* From the data plane: acquire, expiry, SPI reserved, done, failed. */
void keying_sad_event(struct keying *k, const struct sad_event *e, uint64_t now_ms);
void keying_job_done(struct keying *k, const struct keying_result *r, uint64_t now_ms);
void keying_timer(struct keying *k, uint64_t now_ms);
/* When a pair's packets last came in and went out (sad_usage), told every few seconds: a peer that is silent while we
 * send is asked whether it lives. If nobody tells, every silent peer is asked. */
void keying_usage(struct keying *k, uint64_t pair, uint64_t last_in_ms, uint64_t last_out_ms, uint64_t now_ms);
/* A new plan and what we can prove under it: SAs that no rule wants any more are deleted. */
void keying_set_plan(struct keying *k, const struct keying_config *c, struct plan *plan, uint64_t now_ms);
/* The plan is the same, our credentials are others: no SA ends, and what had failed is tried again. */
void keying_set_credentials(struct keying *k, const struct keying_config *c, uint64_t now_ms);
/* What the directory says of the policy's group names, taken over: who is in a group is judged again, and SAs of peers
 * that may no longer (`machines` of a rule) end. NULL: nothing is known. */
void keying_set_names(struct keying *k, struct directory_names *names, uint64_t now_ms);
/* The certificate with this digest is no longer good, for the reason that `why` says: SAs of peers that proved
 * themselves by it end. Returns how many IKE SAs. */
size_t keying_distrust(struct keying *k, const uint8_t certificate[PEER_DIGEST], const char *why, uint64_t now_ms);
/* Now, whatever their lives: the SAs with the peer (NULL: all). Returns how many begin. */
enum keying_renewal { KEYING_RENEW_CHILD, KEYING_RENEW_IKE, KEYING_RENEW_PROOF, KEYING_RENEW_DELETE };
size_t keying_renew(struct keying *k, enum keying_renewal what, const struct addr *peer, uint64_t now_ms);
/* The host has lost this address: its SAs end at once; the peers are told if a datagram still gets out. */
void keying_address_gone(struct keying *k, const struct addr *local, uint64_t now_ms);
/* Tell every peer that we go (delete), as far as one datagram each does it. */
void keying_close(struct keying *k, uint64_t now_ms);

bool keying_next(struct keying *k, struct keying_todo *ret);
uint64_t keying_deadline(const struct keying *k); /* ms; UINT64_MAX: none */

/* ---- for status ---------------------------------------------------------------------------------------------------
 */

struct keying_ike_row { /* main mode */
	struct addr local, remote;
	uint64_t spi_i, spi_r;
	unsigned version; /* of IKE: 2, or 1 */
	bool initiator, established;
	unsigned nat;      /* 1: we are behind a NAT, 2: the peer is, 3: both */
	bool udp;          /* no NAT, and both ends agreed on ESP in UDP */
	struct addr outer; /* where the peer's packets come from */
	uint16_t local_port, remote_port;
	struct ike_suite suite;
	const struct peer_kept *peer;    /* the engine's, until its next event; NULL: not proven */
	const struct membership *groups; /* likewise: of all groups of the policy (membership_of_all) */
	const char *auth_set;
	uint32_t credential; /* of ours that was shown */
	bool ppk;            /* a post-quantum pre-shared key is in its keys */
	uint64_t up_at_ms, rekey_at_ms;
	size_t children;
};
struct keying_child_row {          /* quick mode */
	struct addr local, remote; /* of the IKE SA; of a tunnel the selector has others */
	uint64_t pair;
	uint32_t spi_in, spi_out;
	bool udp; /* ESP in UDP */
	struct sa_selector selector;
	const struct rule *rule;
	struct child_suite suite;
	const struct peer_kept *peer; /* likewise */
	uint64_t up_at_ms, rekey_at_ms;
};
struct keying_failure { /* the last one for each peer */
	struct addr local, remote;
	uint64_t at_ms;
	uint64_t next_ms; /* from then on a packet makes us try again; 0: we do not try, or it is under way */
	enum failure_code code;
	enum failure_side by;
	const char *step;   /* "IKE_AUTH"; NULL: before the first message */
	const char *notify; /* what the peer sent, by name; NULL: nothing */
	unsigned times;     /* how often the two hosts have failed since it last worked */
	unsigned left_out;  /* of them, since the last event: not told */
	bool stranger;      /* nothing shows that the message came from that address */
	char rule[128];
	char peer[128];        /* who it says it is; empty: it has not said so */
	char text[EVENT_TEXT]; /* which side refused, in which step, why, in words */
};
size_t keying_ike_rows(const struct keying *k, struct keying_ike_row *rows, size_t cap); /* number there are */
size_t keying_child_rows(const struct keying *k, struct keying_child_row *rows, size_t cap);
size_t keying_failures(const struct keying *k, struct keying_failure *rows, size_t cap);

/* Messages that had no effect, by reason: one table row each (drops.c). */
enum keying_drop {
	KEYING_DROP_MALFORMED,
	KEYING_DROP_VERSION,
	KEYING_DROP_UNKNOWN_SPI,
	KEYING_DROP_ADDRESS,
	KEYING_DROP_DIRECTION,
	KEYING_DROP_BAD_ICV,
	KEYING_DROP_MESSAGE_ID,
	KEYING_DROP_EXCHANGE,
	KEYING_DROP_REPEATED,
	KEYING_DROP_FRAGMENT,
	KEYING_DROP_FRAGMENT_LOST,
	KEYING_DROP_INIT_REPLY,
	KEYING_DROP_HALF_OPEN,
	KEYING_DROP_COOKIE,
	KEYING_DROP_RATE,
	KEYING_DROP_AGGRESSIVE,
	KEYING_DROP_COUNT
};
struct keying_drop_row {
	const char *name, *unit, *meaning;
};
extern const struct keying_drop_row keying_drops[KEYING_DROP_COUNT];
uint64_t keying_dropped(const struct keying *k, enum keying_drop why);

#endif
