/* keying/v1/v1.h - IKEv1 (RFC 2408, 2409): main mode, quick mode and what is told between, beside IKEv2 and of the same
 * kind: tables of states and events, jobs, things to do. Inside keying/ only.
 *
 *	v1.c           what comes in                 main.c         main mode's table
 *	main_offer.c   ... its initiator             main_answer.c  ... its responder
 *	proof.c        who is who                    gss.c          ... by Kerberos
 *	quick.c        quick mode's table            quick_offer.c  ... its initiator   quick_answer.c  ... its
 *responder notice.c       deletes, notices, "are you there"            renew.c         a new main mode in place of an
 *old one
 *
 * A main mode is a struct ike_sa with `v1`, a quick mode a struct child with `v1`: whoever only wants to know what two
 * hosts have between them (rows, wants, twins, lives, plans) sees no difference. What IKEv1 does otherwise:
 *
 * - Main mode is made of six messages and has no quick mode in it; any number of quick modes run beside each other.
 * - Who began repeats its message; who answers repeats its last answer when it is asked again. Of quick mode the
 *   responder repeats, too, since nobody would miss the third message.
 * - Quick modes outlive their main mode. They are carried over to the next one with the same peer.
 * - What is told (Delete, DPD) may get lost. To another Cordon or to Windows a Delete is repeated until it is answered
 *   ([MS-IKEE] 3.8). */
#ifndef KEYING_V1_V1_H
#define KEYING_V1_V1_H
#include "keying/child.h"
#include "keying/engine.h"
#include "keying/v1/keymat.h"
#include "keying/v1/message.h"
#include "keying/v1/proposal.h"

enum {
	V1_QUICKS_MOST = 512,     /* quick modes that the peer may begin under one main mode */
	V1_IDS_SENT = 64,         /* and of what we told */
	V1_IDS_SEEN = 32,         /* message IDs of what was told last: none is taken twice */
	V1_HALF_OPEN_SHARE = 4,   /* of half_open_most, IKEv1 gets so large a part: it has no cookies */
	V1_QUICK_KEEP_MS = 60000, /* the last message of quick mode may have to be repeated for so long */
	V1_SETTLE_MS = 200,       /* until a peer has its inbound half */
	V1_CONNECT_MS = 2000,     /* who sets the commit bit has so long to say CONNECTED */
	V1_REPEATS_MOST = 16,
	V1_SETS_MOST = 4, /* authentication sets that one proof may satisfy */
};

/* ---- main mode --------------------------------------------------------------------------------------------------- */

enum mm_state {
	MM_IDLE,
	MM_I_BEGIN,   /* the cookie is drawn */
	MM_I_SA_SENT, /* message 1 is out */
	MM_I_KEY,     /* nonce and key pair are made */
	MM_I_TOKEN,   /* Kerberos: our first token is made */
	MM_I_KE_SENT, /* message 3 is out */
	MM_I_DERIVE,  /* the shared secret is made */
	MM_I_SKEYID,  /* pre-shared key: SKEYID is made */
	MM_I_CONTEXT, /* Kerberos: the peer's token is read */
	MM_I_SIGN,    /* our proof is made */
	MM_I_ID_SENT, /* message 5 is out */
	MM_I_UNWRAP,  /* Kerberos: the peer's HASH is opened */
	MM_I_VERIFY,  /* the peer's proof is checked */
	MM_R_BEGIN,   /* responder: the cookie is drawn */
	MM_R_SA_SENT, /* message 2 is out */
	MM_R_ANSWER,  /* nonce, key pair and shared secret are made */
	MM_R_SKEYID,
	MM_R_TOKEN,   /* Kerberos: the peer's token is read, ours is made */
	MM_R_KE_SENT, /* message 4 is out */
	MM_R_MORE,    /* Kerberos: a further token is read */
	MM_R_UNWRAP,
	MM_R_VERIFY,
	MM_R_SIGN,
	MM_UP,
	MM_STATES
};

enum mm_event {
	MEV_START,
	MEV_JOB,
	MEV_COOKIE, /* Windows wants to see a cookie of its */
	MEV_SA,     /* message 1 or 2 */
	MEV_KE,     /* 3 or 4 */
	MEV_ID,     /* 5 or 6, and what follows */
	MEV_EVENTS
};

struct mm_input {
	const struct v1_msg *msg;
	const struct keying_result *result;
};
enum { MM_STAY = 1 }; /* done, and the state is as it was */
typedef int mm_action(struct ike_sa *sa, const struct mm_input *in, struct diag *d);

/* What only the making of a main mode needs. */
struct mm_making {
	struct owned sa_body;       /* of the initiator's SA payload: hashes cover it */
	struct owned ke[2];         /* the initiator's, the responder's */
	struct owned secret;        /* g^xy, until SKEYID is there */
	struct keying_job *proof;   /* responder: what is to be judged by each of the sets */
	struct v1_transform chosen; /* responder: the transform that it took */
	struct owned chosen_raw;
	uint8_t proposal;
	uint64_t cookie;                           /* initiator: that Windows wants to see ([MS-IKEE] 3.9) */
	const struct auth_set *sets[V1_SETS_MOST]; /* responder: who the peer may have to be */
	size_t set_count, set_at;
	struct keying_result *good; /* of the first of them that it satisfies */
	struct owned own_name;      /* initiator: our principal, as it was offered */
	struct mm_gss *gss;         /* NULL: no Kerberos */
};

struct mm {
	enum mm_state state;
	uint16_t method;                             /* enum v1_method */
	uint32_t vendors, windows_version;           /* the peer's */
	uint32_t life_s;                             /* that was agreed on; 0: nothing was said */
	const struct auth_set *proved[V1_SETS_MOST]; /* responder: sets that its proof satisfies, beside auth_set */
	struct v1_keys keys;
	bool keyed;
	struct v1_iv iv;          /* main mode's last block */
	enum v1_nat nat;          /* the revision of NAT traversal that both speak */
	struct mm_making *making; /* NULL: it is up */
	uint32_t seen[V1_IDS_SEEN], sent[V1_IDS_SENT];
	size_t seen_at, sent_at;
	uint32_t quick_ids[V1_QUICKS_MOST]; /* that the peer has begun */
	size_t quick_count;
	uint32_t dpd_send, dpd_seen; /* sequence numbers of RFC 3706: of our next question, the peer's last */
	bool dpd_asked;
	struct v1_reassembly *pieces; /* of a message of main mode; NULL: none */
	uint32_t answered_id;         /* of the peer's Delete that we answered last */
	uint32_t notice_id;           /* message ID of the Delete that waits for an answer; 0: none does */
	uint64_t number;              /* of our message IDs: how many we have drawn */
};

bool mm_can(const struct rule *rule); /* may it be negotiated by IKEv1, and has IKEv1 numbers for it? */
struct ike_sa *mm_initiate(struct contact *c, const struct rule *rule); /* NULL: told why */
int mm_step(struct ike_sa *sa, enum mm_event ev, const struct v1_msg *m, const struct keying_result *r, struct diag *d);
void mm_job_done(struct ike_sa *sa, const struct keying_result *r);
void mm_fail(struct ike_sa *sa, int error, const char *why);
void mm_unanswered(struct ike_sa *sa); /* our message was repeated often enough */
const char *mm_state_name(enum mm_state s);
extern const size_t mm_row_count;

/* For the actions, and those who speak under a main mode. */
void mm_begin(struct ike_sa *sa, struct ike_writer *w, enum v1_exchange exchange, uint32_t id);
/* Our message of main mode: kept to be repeated; repeats: by us (initiator), else when the peer asks again. */
int mm_send(struct ike_sa *sa, struct ike_writer *w, bool repeats, struct diag *d);
int mm_send_sealed(struct ike_sa *sa, struct ike_writer *w, bool repeats, struct diag *d);
bool mm_proved(const struct ike_sa *sa, const struct auth_set *set); /* the peer's proof satisfies that set */
/* A new plan: of each set that was proved, the one of the same name, if it asks for the same; else NULL. */
void mm_review(struct ike_sa *sa, const struct auth_set *(*now)(const void *context, const struct auth_set *old),
	       const void *context);
void mm_describe(const struct ike_sa *sa, struct v1_main *ret);
void mm_forget_making(struct ike_sa *sa);
void mm_free(struct mm *v1);
void mm_up(struct ike_sa *sa, const struct keying_result *proven);
void mm_put_vendors(const struct ike_sa *sa, struct ike_writer *w);
void mm_take_vendors(struct ike_sa *sa, const struct v1_msg *m);
void mm_hint(struct ike_sa *sa, struct fault f, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
uint32_t mm_message_id(struct ike_sa *sa); /* a new one */
bool mm_may_repeat(struct ike_sa *sa);
struct fault mm_fault_of(uint8_t exchange, const struct v1_notification *n);
enum { MM_REFUSAL = 512 };
const char *mm_refusal_words(uint8_t exchange, const struct v1_notification *n, const char *ours, char buf[MM_REFUSAL]);

/* main_offer.c, main_answer.c */
mm_action main_token, main_context, main_answer_token;
mm_action main_begin, main_offer, main_offer_again, main_take, main_send_key, main_take_key, main_derived, main_keyed;
mm_action main_draw, main_choose, main_answer_key, main_answered, main_answer_keyed;
bool main_request(struct keying *k, const struct ike_header *h, const struct nat_from *from, const struct addr *local,
		  const uint8_t *octets, size_t len);
int main_key(struct ike_sa *sa, const struct key *skeyid, struct diag *d);
int main_key_by(struct ike_sa *sa, const struct keying_result *r, struct diag *d); /* SKEYID came of a job */
int main_ask_skeyid(struct ike_sa *sa, struct diag *d);
/* The shared secret is there. The keys are made and `then` is done, at once or, from the state named, when the holder
 * of the pre-shared key has made SKEYID, or Kerberos its step. */
int main_secret(struct ike_sa *sa, enum mm_state skeyid, enum mm_state token,
		int (*then)(struct ike_sa *sa, struct diag *d), struct diag *d);
size_t main_methods(const struct keying *k, const struct auth_set *set, uint16_t ret[V1_METHODS_MOST]);
bool main_choose_credential(struct ike_sa *sa);
/* In clear, as what is said before there are keys: about main mode. */
void main_refuse(struct ike_sa *sa, uint16_t notify);

/* proof.c: messages 5 and 6 */
int proof_ask(struct ike_sa *sa, struct diag *d); /* our own is to be made: sends it, or leaves that to a job */
mm_action proof_made, proof_came, proof_checked, proof_asked, proof_judged, proof_answer, proof_unwrapped;

/* ---- quick mode -------------------------------------------------------------------------------------------------- */

struct quick {
	uint32_t id;
	uint64_t under;  /* number of the main mode that it was negotiated under: it may live under another one since */
	struct v1_iv iv; /* what the next message of either end begins with */
	struct owned sent;  /* our last message */
	struct owned asked; /* responder: what the request's selectors are, to be given back */
	size_t asked_first; /* octets of the first of the two */
	uint8_t last_digest[DIGEST];
	unsigned tries, repeats;
	uint64_t resend_ms, forget_ms; /* UINT64_MAX: not */
	uint64_t repeated_ms;
	bool waits;  /* our message is out, and an answer is due */
	bool commit; /* the peer wants us to wait for CONNECTED; responder: we want it to */
	uint32_t life_s;
	uint64_t life_octets;
	struct v1_transform chosen; /* responder */
	struct owned chosen_raw;
	uint8_t proposal;
};

struct quick_input {
	const struct v1_msg *msg;
	const struct keying_result *result;
};
typedef int quick_action(struct child *c, const struct quick_input *in, struct diag *d);
int quick_step(struct child *c, enum child_event ev, const struct v1_msg *m, const struct keying_result *r,
	       struct diag *d);
extern const size_t quick_row_count;

struct quick *quick_new(struct child *c);
void quick_free(struct quick *q);
void quick_start(struct child *c); /* an initiator's; instead of child_step(CEV_START) */
void quick_came(struct ike_sa *sa, const struct ike_header *h, const uint8_t *octets, size_t len,
		const uint8_t *digest);
uint64_t quick_deadline(const struct child *c);
bool quick_due(struct child *c);                                     /* its timer; false: it has ended */
void quick_refuse(struct ike_sa *sa, uint32_t spi, uint16_t notify); /* spi: of the peer's proposal */
void quick_connected(struct child *c);
uint64_t quick_life_ms(const struct child *c, uint64_t ours_ms);
/* The two ID payloads of a selector, the initiator's first. */
bool quick_put_selectors(const struct child *c, struct ike_writer *w);
void quick_selector_ts(const struct v1_id *id, struct ike_ts *ret);
int quick_send(struct child *c, struct ike_writer *w, bool waits, struct diag *d);

quick_action quick_offer, quick_take, quick_key, quick_end, quick_ask_answer, quick_answer;
struct child *quick_asked(struct ike_sa *sa, const struct v1_msg *m, uint16_t *ret_notify, struct diag *d);

/* ---- what is told, and main modes that follow each other --------------------------------------------------------- */

struct v1_dpd { /* RFC 3706 5.3 */
	uint16_t type;
	uint32_t number;
};
void notice_came(struct ike_sa *sa, const struct ike_header *h, const uint8_t *octets, size_t len);
void notice_clear(struct ike_sa *sa, const struct ike_header *h, const uint8_t *octets, size_t len);
/* Send what is put, protected, once. */
void notice_send(struct ike_sa *sa, void (*put)(struct ike_sa *sa, struct ike_writer *w, void *context), void *context);
void notice_pump(struct ike_sa *sa); /* instead of exchange_pump */
void notice_farewell(struct ike_sa *sa);
void notice_delete_child(struct ike_sa *sa, const struct child *c); /* said once */
uint32_t notice_lifetime(const struct v1_notification *n); /* RESPONDER-LIFETIME: seconds, 0: it does not say */
bool notice_resend(struct ike_sa *sa);                     /* what waits for an answer; false: tried often enough */

void renew_start(struct ike_sa *old); /* a main mode from scratch */
/* The quick modes that are up. fresh_too: also those whose third message the peer may not have yet, which comes again
 * under the main mode that they were made under. */
void renew_move(struct ike_sa *from, struct ike_sa *to, bool fresh_too);
struct ike_sa *renew_successor(const struct ike_sa *old); /* NULL: there is none */
void renew_up(struct ike_sa *new);
void renew_rescue(struct ike_sa *old); /* it goes: what is up under it lives on under another one, if there is one */
void renew_deleted(struct ike_sa *sa); /* the peer has deleted it */

/* v1.c: false: nothing of ours, and no rule between the two hosts is to be negotiated by IKEv1. */
bool v1_message(struct keying *k, const struct addr *local, const uint8_t *octets, size_t len);

#endif
