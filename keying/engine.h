/* keying/engine.h - what the engine remembers: hosts that we meet, what their packets wait for, IKE SAs, CHILD SAs; and
 * what its files ask of each other. Inside keying/ only; the way in is keying.h.
 *
 *	keying.c      events come in            ike.c     an IKE SA's states: one table of steps
 *	want.c        packets that wait         init.c    IKE_SA_INIT        auth.c    IKE_AUTH
 *	contact.c     two hosts, failures       child.c   a CHILD SA's states: one table of steps
 *	exchange.c    requests and replies      rekey.c   a new IKE SA in place of an old one
 *	fragment.c    messages in pieces        drops.c   what had no effect
 *	nat.c         addresses translated      encap.c   ESP in UDP all the same
 *	twin.c line.c two that should be one    choose.c  which of our credentials
 *	gspm/         Kerberos in IKE_AUTH      payload/  a decoder and encoder for each payload
 *	todo.c, job.c, timer.c, cookie.c, row.c           v1/       the same in IKEv1
 *
 * Who ends an object only marks it; keying_settle frees it when the event has been dealt with, so no caller on the way
 * back meets freed memory. */
#ifndef KEYING_ENGINE_H
#define KEYING_ENGINE_H
#include "base/crypto.h"
#include "base/diag.h"
#include "base/mem.h"
#include "keying/encap.h"
#include "keying/failure.h"
#include "keying/fragment.h"
#include "keying/gspm/gspm.h"
#include "keying/ike.h"
#include "keying/keymat.h"
#include "keying/line.h"
#include "keying/nat.h"
#include "keying/ppk.h"
#include "keying/proposal.h"
#include "keying/selector.h"
#include "keying/source.h"
#include "base/table.h"
#include "keying/unwanted.h"
#include <sys/queue.h>

struct ike_sa;
struct child;
struct mm;    /* what an IKE SA has beside, if it is a main mode of IKEv1 (v1/v1.h) */
struct quick; /* likewise a CHILD SA */
struct want;
struct task;

enum {
	HALF_OPEN_MS = 30000,  /* a stranger has so long to prove itself */
	HINT_EVERY_MS = 1000,  /* how often a hint of what we do not have is sent, or believed */
	HINT_MS = 1000,        /* an unprotected refusal is believed when nothing better comes so long */
	RESEND_MOST_MS = 8000, /* repetitions are at most so far apart: on a bad link their number counts */
	LINGER_MS = 1000,      /* what is to be deleted stays so long: packets are on their way */
	/* A main mode of IKEv1 takes over the quick modes of the one before; the peer does so in its own time, and what
	 * it has not taken over by then ends with the old one. */
	V1_LINGER_MS = 5000,
	SETTLE_MS = 1800, /* a responder sends when the peer shows that it has the reply, or so long after it */
	SETTLE_CARRIED_MS = 60000, /* ... while another SA carries the traffic meanwhile */
	RETRY_TEMPORARY_MS = 500,  /* TEMPORARY_FAILURE */
	BACKOFF_FIRST_MS = 1000,   /* after a failure; doubled, up to: */
	BACKOFF_MOST_MS = 60000,
	FORGET_MS = 120000,     /* failures are forgotten so long after the last */
	CHILDLESS_MS = 60000,   /* an IKE SA without CHILD SAs stays so long */
	INIT_TRIES_MOST = 5,    /* cookies and other groups */
	STRANGERS_MOST = 1024,  /* hosts of which only a failure is known */
	WANTS_MOST = 65536,     /* selectors that wait for a CHILD SA, all peers together */
	INITIATING_MOST = 4096, /* IKE SAs of ours that are being made */
	IKES_MOST = 16,         /* IKE SAs with one peer; the oldest goes first */
	CHILDREN_MOST = 1024,   /* CHILD SAs under one IKE SA */
	RIVAL_MS = 10000,       /* of two new IKE SAs, the one that goes is deleted by the peer; if not, by then */
	PROBES_MOST = 16,       /* negotiations per second because of ESP that we have no SA for */
	REPEAT_MS = 100,        /* a reply is repeated at most so often */
	TASKS_MOST = 256,       /* requests that wait on one IKE SA */
	REPLAY_WINDOW = 1024,
	DIGEST = 32,
};

/* Octets of our own, as many as there are: an established pair is to cost little. */
struct owned {
	uint8_t *at;
	size_t len;
};
void owned_set(struct owned *o, const void *at, size_t len);
void owned_wipe(struct owned *o);
static inline struct keying_octets owned_octets(const struct owned *o)
{
	return (struct keying_octets){ o->at, o->len };
}

/* ---- timer.c ----------------------------------------------------------------------------------------------------- */

struct timer {
	uint64_t at_ms;
	size_t slot; /* in the heap, from 1; 0: not set */
	void *owner;
	void (*fire)(void *owner);
};
struct timers {
	struct timer **heap;
	size_t count, cap;
};
void timer_set(struct timers *t, struct timer *one, uint64_t at_ms); /* UINT64_MAX: stop it */
void timer_stop(struct timers *t, struct timer *one);
struct timer *timer_due(struct timers *t, uint64_t now_ms); /* stopped already; NULL: none */
uint64_t timer_first(const struct timers *t);

/* ---- one remote host, seen from one local address ---------------------------------------------------------------- */

struct contact {
	struct keying *k;
	struct addr local, remote;
	LIST_HEAD(ike_list, ike_sa) ikes; /* proven, or ours; not what strangers have begun */
	LIST_HEAD(want_list, want) wants;
	struct failure_record *failure; /* NULL: none */
	uint16_t nat_port;       /* where its ESP in UDP came from, of which we know nothing: begin there, once */
	bool childless;          /* it takes no CHILD SA in IKE_AUTH */
	uint64_t no_kerberos_ms; /* until then something else of the set proves us */
	bool fell_back;          /* request modes talk to it in clear */
	bool idle;               /* on the list of those that may be forgotten */
	uint64_t udp_blocked_ms; /* until then: nothing of it came through UDP 4500 (encap.c) */
	uint64_t without_v2_ms;  /* until then: it has no IKEv2 (v1/module.c) */
	TAILQ_ENTRY(contact) entry;
};

/* Packets that wait for a CHILD SA, or one that we want for another reason. It goes when the CHILD SA is there. */
struct want {
	struct contact *contact;
	LIST_ENTRY(want) entry;
	struct sa_selector selector;
	const struct rule *rule;
	struct plan_packet packet; /* the last that asked; local.family 0: none has */
	bool names_packet;         /* the peer has narrowed what we asked for: the packet is named in front (2.9) */
	bool packet_only;          /* the peer takes no more (SINGLE_PAIR_REQUIRED) */
	bool failed;               /* until retry_ms nothing is tried */
	bool fell_back;            /* a request mode: its packets go in clear meanwhile */
	unsigned failures;         /* in a row */
	uint64_t release_ms;       /* packets are held at most until then; UINT64_MAX: none are */
	uint64_t retry_ms;         /* failed: from then on; trying after TEMPORARY_FAILURE: then */
	bool later;                /* wait for retry_ms, then try again */
	bool carried;              /* an SA that nobody can renew still carries it */
	struct timer timer;
};

/* ---- CHILD SA ---------------------------------------------------------------------------------------------------- */

enum child_state {
	CHILD_IDLE,
	CHILD_NONCE,   /* initiator: nonce, maybe a key pair, are made */
	CHILD_SPI,     /* the data plane reserves an SPI */
	CHILD_QUEUED,  /* the request waits for its turn */
	CHILD_OFFERED, /* the request is out */
	CHILD_DERIVE,  /* the shared secret is made */
	CHILD_FIRST,   /* the same in IKE_AUTH, which has the nonces already */
	CHILD_FIRST_SPI,
	CHILD_FIRST_OFFERED, /* until the peer is proven */
	CHILD_R_IDLE,        /* responder */
	CHILD_R_NONCE,
	CHILD_R_FIRST, /* in IKE_AUTH */
	CHILD_R_SPI,
	CHILD_R_INBOUND, /* the inbound SA is being installed; then the reply goes */
	CHILD_INBOUND,   /* initiator: the inbound SA is being installed */
	CHILD_CONNECT,   /* IKEv1, initiator: the peer wants to say when it is ready */
	CHILD_SETTLE,    /* responder: the peer may not have the reply yet, and would not know what we send */
	CHILD_OUTBOUND,  /* the outbound SA is being installed */
	CHILD_UP,
	CHILD_DELETING, /* our Delete is queued or out */
	CHILD_DEAD,
};

struct child {
	struct ike_sa *ike;
	struct quick *v1;        /* NULL: IKEv2 */
	LIST_ENTRY(child) entry; /* of the IKE SA; when dead: of the engine's dead */
	uint64_t pair;
	enum child_state state;
	bool initiator;                     /* of its exchange */
	bool first;                         /* negotiated in IKE_AUTH */
	bool doomed;                        /* the peer deleted it, or we do, when the other half of a step is done */
	struct sa_selector selector, asked; /* in force, maybe narrower; the whole that its rule wants */
	struct plan_packet packet;          /* initiator: that it is made for */
	bool names_packet;                  /* initiator: in front of its selectors */
	bool not_member;                    /* initiator: why we delete it: the peer is in no group of the rule's */
	uint16_t refused;                   /* initiator: the error that the peer answered with */
	bool more_possible;                 /* responder: the peer asked for more than one CHILD SA holds */
	const struct rule *rule;
	struct proposal_child_choice choice; /* suite, the peer's SPI, ESN */
	bool chosen;
	uint32_t spi_in, spi_out;
	bool sends;     /* outbound is installed */
	bool installed; /* at least one direction */
	struct owned nonce_i, nonce_r;
	const struct algorithm *group; /* of our KE; NULL: none */
	struct owned private;          /* until the secret is asked for */
	struct owned public, secret;
	unsigned tries;
	bool made;               /* initiator: the peer has installed it */
	struct child_keys *keys; /* until both directions are installed; then NULL */
	struct line *line;       /* where it comes from */
	uint64_t replaces;       /* pair of the CHILD SA that this one rekeys; 0: none */
	bool replaced;           /* a newer one is up */
	uint64_t job;
	uint64_t up_ms, soft_ms, hard_ms, settle_ms, linger_ms; /* UINT64_MAX: not */
	struct timer timer;
};

enum child_event { CEV_START, CEV_JOB, CEV_SPI, CEV_TURN, CEV_REPLY, CEV_REQUEST, CEV_DONE, CEV_SETTLED, CEV_PROVEN };

/* ---- IKE SA ------------------------------------------------------------------------------------------------------ */

enum ike_state {
	IKE_IDLE,
	IKE_V1_MAKING, /* a main mode of IKEv1: how far it is stands in v1 */
	IKE_I_BEGIN,   /* nonce, SPI and key pair are made */
	IKE_I_INIT_SENT,
	IKE_I_DERIVE,      /* the shared secret is made */
	IKE_I_PPK,         /* a post-quantum pre-shared key is mixed in */
	IKE_I_SIGN,        /* our proof is made */
	IKE_I_SIGN_PLAIN,  /* and another, for a peer without that key */
	IKE_I_SPI,         /* the first CHILD SA's SPI is reserved */
	IKE_I_GSS_ASKED,   /* Kerberos: by which principal are tickets for the peer asked? */
	IKE_I_GSS_TICKET,  /* our ticket for it is made */
	IKE_I_GSS_SHOWN,   /* and shown */
	IKE_I_GSS_REFUSED, /* why it refused ours is read */
	IKE_I_GSS_OURS,    /* its answer to ours is read */
	IKE_I_GSS_OUR_KEY,
	IKE_I_GSS_THEIRS, /* its ticket for us is read */
	IKE_I_GSS_THEIR_KEY,
	IKE_I_AUTH_SENT,
	IKE_V1_PROVING,  /* the peer may have it up */
	IKE_I_VERIFY,    /* the peer's proof is checked */
	IKE_R_ANSWER,    /* responder: nonce, SPI, key pair and shared secret are made */
	IKE_R_INIT_SENT, /* answered; the peer has to prove itself */
	IKE_R_PPK,
	IKE_R_GSS_NAMED,  /* Kerberos: we have said by which principal tickets for us are asked */
	IKE_R_GSS_THEIRS, /* the peer's ticket is read */
	IKE_R_GSS_THEIR_KEY,
	IKE_R_GSS_TICKET, /* our ticket for the peer is made */
	IKE_R_GSS_SHOWN,  /* and shown */
	IKE_R_GSS_OURS,   /* its answer to ours is read */
	IKE_R_GSS_OUR_KEY,
	IKE_R_VERIFY,
	IKE_R_SIGN,
	IKE_R_CHILD,   /* the first CHILD SA's inbound half is made */
	IKE_NEW_BEGIN, /* a rekey: the new IKE SA, at its initiator */
	IKE_NEW_QUEUED,
	IKE_NEW_SENT,
	IKE_NEW_DERIVE,
	IKE_NEW_ANSWER, /* ... and at its responder */
	IKE_NEW_KEYED,  /* both ends renew the old one: which of the two new ones stays is not known yet */
	IKE_ESTABLISHED,
	IKE_DELETING, /* our Delete is out; CHILD SAs still receive */
	IKE_DEAD,
};

enum ike_event {
	EV_START,
	EV_JOB,
	EV_COOKIE,
	EV_OTHER_GROUP,
	EV_REFUSED,
	EV_INIT_REPLY,
	EV_INIT_REQUEST,
	EV_AUTH_REQUEST,
	EV_AUTH_REPLY,
	EV_GSPM_REPLY,
	EV_PROVEN,
	EV_CHILD_SPI,   /* the first CHILD SA has its SPI */
	EV_CHILD_READY, /* the first CHILD SA receives, or has been refused: the reply can go */
};

/* A refusal of the first CHILD SA while the IKE SA lives: what the reply says instead. */
struct refusal {
	uint16_t notify; /* 0: none */
	uint16_t group;  /* of INVALID_KE_PAYLOAD */
	bool not_member; /* the peer is in no group that the rule admits */
};

/* Our request that is out: at most one (window 1). */
struct request {
	bool out;
	struct owned octets;
	uint32_t id;
	unsigned tries;
	uint64_t resend_ms, sent_ms;
	struct task *task; /* NULL: IKE_SA_INIT or IKE_AUTH */
};

/* What only the making of an IKE SA needs. */
struct ike_making {
	char *choice; /* why our credential, when there were several; NULL: there were not */
	struct key private;
	struct ike_keys
		keys; /* but SK_d: pi and pr until both have proven themselves, the others until in and out are keyed */
	uint8_t cookie[IKE_COOKIE_MOST];
	size_t cookie_len;
	char hint[EVENT_TEXT]; /* what an unprotected reply said; what a refused first CHILD SA lacks */
	struct fault hint_fault;
	struct ppk_making *ppk;   /* NULL: there is none in it */
	struct gspm_making *gspm; /* NULL: Kerberos is not agreed upon */
	enum gspm_use kerberos;
	bool childless;          /* IKE_AUTH makes no CHILD SA (RFC 6023) */
	bool childless_possible; /* initiator: the peer has said that it takes that */
};

struct ike_sa {
	struct keying *k;
	struct contact *contact; /* NULL: a stranger has begun it */
	LIST_ENTRY(ike_sa) of_contact;
	TAILQ_ENTRY(ike_sa) entry, of_half_open;
	uint64_t number;
	struct mm *v1; /* NULL: IKEv2 */
	enum ike_state state;
	bool initiator;
	bool gone;                 /* IKEv1: the peer has deleted it, and its quick modes live on */
	bool half_open;            /* counted as such */
	bool initiating;           /* likewise */
	struct addr local, remote; /* as the rules know them */
	uint16_t local_port, remote_port;
	struct nat nat;
	uint64_t spi_i, spi_r;
	const struct auth_set *auth_set;       /* NULL: not known yet */
	const struct key_exchange_set *ke_set; /* likewise */
	struct ike_suite suite;

	/* while it is made; wiped when it is up */
	struct owned nonce_i, nonce_r;
	const struct algorithm *group;
	struct ike_making *making; /* NULL when it is up */
	struct owned public;
	unsigned tries;
	struct owned init_request, init_reply; /* as they were on the wire: AUTH covers them */
	uint64_t init_key;                     /* responder: where half_open has it */
	struct owned peer_id, peer_id_body;
	uint8_t peer_id_type;
	uint8_t auth_method; /* our proof */
	struct owned auth;
	uint32_t credential;
	uint16_t peer_hashes;
	struct refusal refusal;
	uint64_t give_up_ms;
	bool initial_contact; /* the peer said so in IKE_AUTH */
	bool ppk;             /* a post-quantum pre-shared key is in its keys, or in those that it comes from */
	bool redirected;      /* the peer wanted to send us elsewhere, and that was told */
	struct child *first;  /* the CHILD SA of IKE_AUTH; NULL: none */
	char *first_rule;     /* for words when there is none */

	struct key sk_d;
	struct ike_crypt in, out;
	uint32_t send_id, receive_id; /* of our next request, of the peer's */
	struct request request;
	TAILQ_HEAD(task_queue, task) tasks;
	size_t task_count;
	uint8_t last_digest[DIGEST]; /* the peer's last request, and our reply to it */
	struct owned last_reply;
	bool answering;                   /* no reply to the last request yet */
	unsigned repeats;                 /* of the reply to IKE_SA_INIT */
	uint64_t repeated_ms;             /* when the last reply was repeated */
	bool fragments;                   /* both ends take fragments (RFC 7383) */
	uint16_t path_octets;             /* of an IP packet that may get through; 0: as configured */
	struct reassembly *reassembly[2]; /* of the peer's request, of its reply; NULL: none */
	LIST_HEAD(child_list, child) children;
	struct peer_kept *peer;    /* NULL: not proven */
	struct membership *groups; /* of all of the policy, once somebody has asked; NULL: not yet */

	uint64_t job;
	uint64_t created_ms, up_ms, rekey_ms, expire_ms, heard_ms, childless_ms, twin_ms;
	uint64_t check_ms;    /* when to look whether the peer is silent */
	uint64_t sent_esp_ms; /* when we last sent under a CHILD SA; UINT64_MAX: nobody tells us */
	unsigned twin_tries;
	struct ike_sa *replaces, *replaced_by; /* rekey: the old one, the new one */
	uint64_t proven_ms;                    /* when it was: the first of those that renewed each other was up */
	uint64_t proven_until_ms;              /* who the peer is must be proven again by then; UINT64_MAX: never */
	uint64_t reauth_ms;                    /* when we do so */
	uint64_t reauthenticates;              /* number of the IKE SA that it was begun to replace; 0: none */
	struct owned crash_token;              /* the peer's (RFC 6290) */
	bool token_due;                        /* ours goes with the next request */
	struct ike_sa *rival;                  /* both ends renewed it at once: the other new one */
	bool unwanted;                         /* by the new plan */
	bool loser;                            /* a twin stays instead: nothing new begins here */
	struct timer timer;
};

/* ---- requests that wait (exchange.c) ----------------------------------------------------------------------------- */

enum task_kind {
	TASK_CREATE_CHILD, /* pair: also a rekey */
	TASK_REKEY_IKE,    /* ike: the new one */
	TASK_DELETE_CHILD, /* pair */
	TASK_DELETE_IKE,
	TASK_LIVENESS,
	TASK_NOT_PROVEN, /* AUTHENTICATION_FAILED, then the end */
	TASK_KINDS
};

struct task {
	enum task_kind kind;
	uint64_t object; /* pair, or number of an IKE SA */
	TAILQ_ENTRY(task) entry;
};

/* ---- the engine -------------------------------------------------------------------------------------------------- */

struct todo_item {
	struct keying_todo todo;
	struct owned octets;           /* SEND */
	struct sa_spec *spec;          /* INSTALL */
	struct membership *membership; /* INSTALL, MEMBERSHIP */
	TAILQ_ENTRY(todo_item) entry;
};

struct cookie_secret {
	uint8_t octets[KEYING_NONCE];
	bool have;
};

/* Which rows of the two tables of steps were taken, a bit each: the tests ask whether all are. */
struct keying_rows {
	uint64_t ike, child, main, quick;
};
extern const size_t ike_row_count, child_row_count;

struct keying {
	struct keying_config config;
	struct arena *memory; /* of the config's copies */
	struct plan *plan;
	struct directory_names *names; /* NULL: nothing is known of any */
	uint64_t now_ms;
	bool closing;
	struct nat_from from; /* the message in hand */

	TAILQ_HEAD(todo_queue, todo_item) todos;
	struct todo_item *taken; /* what keying_next gave last */

	uint64_t last_number; /* jobs, requests, pairs, IKE SAs */
	struct table jobs, requests, children, numbers, spis, half_open, contacts;
	TAILQ_HEAD(ikes_list, ike_sa) ikes;
	LIST_HEAD(dead_child_list, child) dead_children;
	TAILQ_HEAD(dead_ike_list, ike_sa) dead_ikes;
	TAILQ_HEAD(contact_queue, contact) busy, idle;
	LIST_HEAD(fade_list, fade) fading;
	size_t idle_count, half_open_count, half_open_v1, initiating_count, want_count;
	struct source sources[SOURCES];
	TAILQ_HEAD(half_open_queue, ike_sa) half_opens; /* oldest first */
	uint64_t strangers_ms;                          /* since when strangers_told are counted */
	unsigned strangers_told, strangers_left_out;
	struct timers timers;

	struct cookie_secret secrets[2]; /* newest first */
	uint8_t cookie_version;
	uint64_t cookie_ms, cookie_job;
	uint64_t hints_ms; /* since when INVALID_IKE_SPIs that were sent are counted */
	unsigned hints;
	uint64_t shown_ms; /* since when tokens that were shown are counted */
	unsigned shown;
	uint64_t hint_ms; /* when INVALID_MAJOR_VERSION was last sent */
	uint64_t probe_ms;
	unsigned probes;

	struct module_met *met; /* peers that have IKEv2; NULL: none */
	size_t v1_pieces;       /* octets of IKEv1 messages in pieces */
	uint16_t v1_fragment;   /* the last number of a message in pieces */
	struct reassembly_pool pools[POOLS];
	uint64_t dropped[KEYING_DROP_COUNT];
	struct keying_rows rows;
	uint8_t in[IKE_MESSAGE_MOST], out[IKE_MESSAGE_MOST];
	uint8_t *sealed; /* the datagrams of the last message that went in fragments; NULL: none did */
};

/* todo.c: things to do */
struct keying_todo *todo_add(struct keying *k, enum keying_todo_kind kind);
struct keying_todo *todo_last(struct keying *k); /* that was added */
void todo_send(struct keying *k, const struct addr *local, uint16_t local_port, const struct addr *remote,
	       uint16_t remote_port, const void *octets, size_t len);
void todo_send_ike(struct ike_sa *sa, const struct owned *message); /* all its datagrams */
/* The same, to where the message in hand came from: an answer that was given before (RFC 7296 2.11). */
void todo_send_back(struct ike_sa *sa, const struct owned *message);
/* spec is moved: keys in *spec are wiped. */
void todo_install(struct keying *k, struct sa_spec *spec, uint64_t request);
void todo_event(struct keying *k, enum event_id id, const struct addr *local, const struct addr *remote,
		const char *rule, const char *peer, uint32_t spi, const char *fmt, ...)
	__attribute__((format(printf, 8, 9)));
void todo_free(struct todo_item *t);
void words_copy(char *to, size_t cap, const char *from); /* cut to fit */

/* job.c: who waits for which answer */
enum owner { OWNER_IKE, OWNER_CHILD, OWNER_COOKIE };
struct waiting {
	enum owner owner;
	uint64_t object;
	enum sad_wait { WAIT_SPI, WAIT_INBOUND, WAIT_OUTBOUND, WAIT_REMOVE } wait; /* requests to the data plane */
};
/* The job's octets become the job's own; returns its number. */
uint64_t job_ask(struct keying *k, enum owner owner, uint64_t object, struct keying_job *job);
struct keying_job *job_new(enum keying_job_kind kind);
struct keying_octets job_octets(struct keying_octets o); /* a copy for a job to own */
uint64_t request_ask(struct keying *k, uint64_t pair, enum sad_wait wait);
/* Take the waiting one out of its table; false: nobody waits (any more). */
bool job_take(struct keying *k, uint64_t number, struct waiting *ret);
bool request_take(struct keying *k, uint64_t number, struct waiting *ret);

/* member.c: whom a rule admits, and who is behind an SA */
/* Is the peer, proven from that address, one that the rule takes? If not, words. */
bool member_may(const struct keying *k, const struct peer_kept *peer, const struct addr *remote,
		const struct rule *rule, struct diag *d);
/* For the todo that was added last: who is behind an SA of that selector. */
void member_tell(struct keying *k, const struct peer_kept *kept, const struct addr *remote,
		 const struct sa_selector *selector);
/* The peer has proven itself by a ticket: is something of its groups known? warning: what is wrong with them, or "". */
void member_look_at_ticket(struct ike_sa *sa, const char *warning);
const struct membership *member_groups(struct ike_sa *sa); /* NULL: not proven */
void member_review(struct keying *k);                      /* of all SAs, again */

/* contact.c */
struct contact *contact_find(struct keying *k, const struct addr *local, const struct addr *remote);
struct contact *contact_get(struct keying *k, const struct addr *local, const struct addr *remote);
void contact_review(struct contact *c); /* busy or idle? */
void contact_free(struct contact *c);
/* Note it, and tell it, but not again and again. */
void contact_fault(struct keying *k, const struct addr *local, const struct addr *remote, const char *rule,
		   enum event_id id, struct fault f, const char *fmt, ...) __attribute__((format(printf, 7, 8)));
/* The same of a host that asks and has not proven itself; too many in a second are not told. */
void contact_fault_stranger(struct keying *k, const struct addr *local, const struct addr *remote, const char *rule,
			    struct fault f, const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* Likewise, for a failure on this side that has no code of its own. */
void contact_failed(struct keying *k, const struct addr *local, const struct addr *remote, const char *rule,
		    enum event_id id, const char *fmt, ...) __attribute__((format(printf, 6, 7)));
void contact_refused(struct keying *k, const struct addr *local, const struct addr *remote, const char *rule,
		     const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void contact_works(struct contact *c); /* a CHILD SA is up */
/* The IKE SA that carries children of this rule: an established one, or one of ours that is being made; NULL: none. */
struct ike_sa *contact_ike(struct contact *c, const struct rule *rule);

/* want.c */
void want_acquire(struct contact *c, const struct sa_selector *s, const struct rule *rule, const struct sad_event *e);
/* NULL: there are too many. */
struct want *want_get(struct contact *c, const struct sa_selector *s, const struct rule *rule);
struct want *want_find(struct contact *c, const struct sa_selector *s);
void want_drive(struct want *w);
void want_drive_all(struct contact *c);
void want_fail(struct want *w);
void want_later(struct want *w);                               /* TEMPORARY_FAILURE */
void want_fail_all(struct keying *k, const struct ike_sa *of); /* what waited for this IKE SA */
void want_met(struct child *up);
/* Is it in place of an SA that still carries the traffic, so that no packet of ours waits for it? */
bool want_is_carried(const struct child *c);
bool want_ask_packet_only(const struct child *refused); /* false: it did already, or no packet is known */
void want_free(struct want *w);

/* ike.c */
struct ike_sa *ike_new(struct keying *k, bool initiator, const struct addr *local, uint16_t local_port,
		       const struct addr *remote, uint16_t remote_port);
void ike_join(struct ike_sa *sa, struct contact *c);
/* The table. Returns 0, or negative with words: then the SA is as it was, except that the caller may end it. */
int ike_step(struct ike_sa *sa, enum ike_event ev, const struct ike_msg *m, const struct keying_result *r,
	     struct diag *d);
bool ike_usable(const struct ike_sa *sa); /* established, and new CHILD SAs may begin here */
const char *ike_state_name(enum ike_state s);
/* The end, without a word to the peer: its CHILD SAs go. event 0..: why in words; fmt NULL: silently. */
void ike_drop(struct ike_sa *sa);
void ike_fault(struct ike_sa *sa, struct fault f, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void ike_fail(struct ike_sa *sa, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
uint8_t ike_exchange_of(const struct ike_sa *sa); /* the step that it is in */
void ike_down(struct ike_sa *sa, enum event_id id, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void ike_delete(struct ike_sa *sa);  /* with a Delete */
void ike_deleted(struct ike_sa *sa); /* the peer knows, or does not have it any more */
void ike_established(struct ike_sa *sa);
void ike_forget_older(struct ike_sa *sa); /* the peer has started afresh: what it had with us before is gone */
void ike_lost(struct ike_sa *sa);         /* the other new one stays; whoever began this one deletes it */
void ike_set_spi(struct ike_sa *sa);      /* into the table, by the SPI that we gave */
uint64_t ike_own_spi(const struct ike_sa *sa);
void ike_arm(struct ike_sa *sa);
void ike_free(struct ike_sa *sa);
const char *ike_rule_name(const struct ike_sa *sa);
void ike_name_rule(struct ike_sa *sa, const char *rule); /* for words when there is no first CHILD SA */
const struct keying_credential *ike_credential(const struct ike_sa *sa);
int ike_key(struct ike_sa *sa, struct keying_octets secret, const struct ike_sa *old, struct diag *d);

/* init.c, auth.c: the actions of the table */
struct step_input {
	const struct ike_msg *msg;
	const struct keying_result *result;
};
enum { STEP_STAY = 1 }; /* done, and the state is as it was */
typedef int ike_action(struct ike_sa *sa, const struct step_input *in, struct diag *d);
ike_action init_begin, init_send, init_cookie, init_other_group, init_refused, init_reply, init_answer, init_respond;
ike_action auth_sign, auth_mixed, auth_plain, auth_peer_mixed, auth_reserve, auth_send, auth_refused, auth_verify,
	auth_established;
ike_action auth_request, auth_answer, auth_child, auth_respond, auth_proven;
ike_action gspm_take_name, gspm_send_ticket, gspm_refused, gspm_explained, gspm_take_tokens, gspm_ours_up,
	gspm_accept_peer, gspm_peer_up, gspm_send_proof;
ike_action gspm_take_ticket, gspm_peer_shown, gspm_ask_ticket, gspm_send_tokens, gspm_take_proof, gspm_check_proof;
ike_action rekey_begun, rekey_derived, rekey_answered;
void init_message(struct keying *k, const struct ike_header *h, const struct addr *local, uint16_t local_port,
		  const struct addr *remote, uint16_t remote_port, const uint8_t *octets, size_t len);
bool init_initiate(struct contact *c, struct want *w);
/* Does the rule ask for one? Then that was told: neither version has it. */
bool init_second_auth(struct contact *c, const struct rule *rule);
struct ike_sa *init_for(struct contact *c, const struct sa_selector *s, const struct rule *rule); /* NULL: told why */

/* auth.c, for gspm/: parts of what proves somebody, whatever the method */
void auth_put_own_id(const struct ike_sa *sa, struct ike_writer *w);
struct keying_octets auth_own_id_body(const struct ike_sa *sa, uint8_t *buf, size_t cap); /* as AUTH covers it */
void auth_put_proof_alone(struct ike_sa *sa, struct ike_writer *w); /* AUTH, and what comes with it */
void auth_put_contact(struct ike_sa *sa, struct ike_writer *w);     /* INITIAL_CONTACT, our token */
void auth_take_contact(struct ike_sa *sa, const struct ike_msg *m);
void auth_keep_peer(struct ike_sa *sa, const struct peer *p);
void auth_begin_child(struct ike_sa *sa);                                  /* responder, when both are proven */
void auth_refuse(struct ike_sa *sa, struct fault f, const char *why);      /* responder */
void auth_not_proven(struct ike_sa *sa, struct fault f, const char *why);  /* initiator */
void auth_refused_as(struct ike_sa *sa, uint16_t notify, const char *why); /* why NULL: it does not say */
void auth_part(struct ike_sa *sa); /* its end, when why has been told: the peer hears of it */

/* exchange.c: requests and replies under protection */
enum season { SEASON_TAKEN, SEASON_PASSED_OVER, SEASON_REFUSED };
enum season exchange_season(enum ike_state state, uint8_t exchange, bool is_reply);
void exchange_message(struct ike_sa *sa, const struct ike_header *h, const uint8_t *octets, size_t len,
		      const uint8_t digest[DIGEST]);
void exchange_queue(struct ike_sa *sa, enum task_kind kind, uint64_t object);
bool exchange_queued(const struct ike_sa *sa, enum task_kind kind, uint64_t object); /* or out */
void exchange_pump(struct ike_sa *sa);
void exchange_send_request(struct ike_sa *sa, struct ike_writer *w, struct task *t);
void exchange_done(struct ike_sa *sa);   /* the reply came */
bool exchange_resend(struct ike_sa *sa); /* false: tried often enough */
void exchange_hurry(struct ike_sa *sa);  /* a part of the reply came: the peer is there, ask for the rest soon */
void exchange_begin_message(struct ike_sa *sa, struct ike_writer *w, enum ike_exchange exchange, bool reply,
			    size_t *ret_sk);
int exchange_end_message(struct ike_sa *sa, struct ike_writer *w, size_t sk, struct diag *d);
/* A reply to the request that is being answered: with these payloads, or one notification. */
void exchange_reply(struct ike_sa *sa, struct ike_writer *w, size_t sk);
void exchange_reply_notify(struct ike_sa *sa, enum ike_exchange exchange, uint16_t notify, const void *data,
			   size_t len);
void exchange_clear(struct ike_sa *sa);

/* informational.c */
void informational_request(struct ike_sa *sa, const struct ike_msg *m);
void informational_put_deletes(struct ike_sa *sa, struct ike_writer *w, uint64_t pair);

/* child.c */
struct child *child_new(struct ike_sa *ike, bool initiator, const struct sa_selector *s, const struct rule *rule);
void child_start_like(struct ike_sa *ike, const struct child *like, uint64_t replaces);
void child_start_for(struct ike_sa *ike, const struct want *w);
int child_step(struct child *c, enum child_event ev, const struct ike_msg *m, const struct keying_result *r,
	       struct diag *d);
void child_request(struct ike_sa *ike, const struct ike_msg *m); /* CREATE_CHILD_SA for a CHILD SA */
void child_reply(struct child *c, const struct ike_msg *m);
bool child_still_wanted(struct child *c);
void child_put_offer(struct child *c, struct ike_writer *w);
/* What a request brought, and the job that makes our half of it; v1/ as well. */
void child_ask_exchange(struct child *c, struct keying_octets nonce, struct keying_octets ke);
void child_put_answer(struct child *c, struct ike_writer *w);
/* Under one IKE SA; d says how many there are. v1/ as well. */
bool child_has_room(const struct ike_sa *ike, struct diag *d);
/* What a request asks for; old: that it rekeys. On refusal *ret_refusal says what the reply says; words in d. */
struct child *child_asked(struct ike_sa *ike, const struct ike_msg *m, const struct child *old,
			  struct refusal *ret_refusal, struct diag *d);
void child_put_refusal(const struct refusal *why, struct ike_writer *w);
int child_answered(struct child *c, const struct ike_msg *m, struct diag *d);
struct fault child_fault_of(const struct ike_msg *m, const struct diag *d); /* when the reply was no success */
void child_fault(struct child *c, struct fault f, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void child_not_member(struct child *c, const char *why); /* the peer is in no group that the rule admits */
void child_fail(struct child *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void child_delete(struct child *c);                   /* with a Delete */
bool child_replaced_early(const struct child *old);   /* by ours, and the peer deletes it before we do */
void child_settled(struct child *c);                  /* the peer has our reply: send */
void child_peer_spoke(struct ike_sa *ike, bool anew); /* a request: a new one, or the last one again */
void child_stop_sending(struct child *c);
void child_drop(struct child *c, const char *why); /* why NULL: silently */
void child_rekey(struct child *c);
void child_arm(struct child *c);
void child_free(struct child *c);
struct child *child_by_pair(struct keying *k, uint64_t pair);
struct child *child_by_spi(struct ike_sa *ike, uint32_t spi, bool ours);
struct child *child_up_for(struct contact *c, const struct sa_selector *s, const struct child *but);

/* crash.c: quick crash detection */
void crash_put(const struct ike_sa *sa, struct ike_writer *w); /* our token for this SA */
void crash_take(struct ike_sa *sa, const struct ike_msg *m);   /* the peer's */
void crash_show(struct keying *k, const struct ike_header *h, const struct addr *remote, struct ike_writer *w);
bool crash_shown(struct ike_sa *sa, const struct ike_msg *m); /* the peer has lost it, and shows that it is the peer */

/* reauth.c: an IKE SA from scratch in place of one whose proof grows old */
void reauth_proven(struct ike_sa *sa, uint64_t good_ms);           /* by a proof that is good so long; 0: no end */
void reauth_told(struct ike_sa *sa, const struct ike_msg *m);      /* AUTH_LIFETIME */
void reauth_put(const struct ike_sa *sa, struct ike_writer *w);    /* the same to the peer */
void reauth_inherit(struct ike_sa *new, const struct ike_sa *old); /* a rekey proves nothing */
void reauth_moved(const struct ike_sa *old, const struct ike_sa *new);
bool reauth_superseded(const struct ike_sa *old);                  /* by one that was proven later */
bool reauth_newer(const struct ike_sa *a, const struct ike_sa *b); /* begun when the other was up already */
void reauth_start(struct ike_sa *old);
void reauth_up(struct ike_sa *new);

/* life.c: when an SA is renewed, and how the last of it goes */
/* Of a life of so many milliseconds, how long until it is renewed: who began it first, the other end later, each with
 * a spread (0..999) of its own; early enough for messages to be repeated even when lives are short. */
uint64_t life_soft_ms(uint64_t life_ms, bool first, unsigned spread);
/* Its last packet was then: has it been idle for too long? */
void life_idle(struct child *c, uint64_t last_ms);
/* Our half stops sending now; what the peer sent before it knew still comes in for a while. */
void life_fade(struct keying *k, uint64_t pair);
void life_forget_fading(struct keying *k);

/* rekey.c */
void rekey_start(struct ike_sa *old);
void rekey_put_offer(struct ike_sa *sa, struct ike_writer *w);
void rekey_reply(struct ike_sa *sa, const struct ike_msg *m);
void rekey_request(struct ike_sa *old, const struct ike_msg *m);
void rekey_failed(struct ike_sa *new);                         /* a job failed */
bool rekey_done(const struct ike_sa *old);                     /* its CHILD SAs live under another one now */
bool rekey_may_answer(const struct ike_sa *old);               /* no rekey, or one that the peer's may meet */
void rekey_heard(struct ike_sa *new, const struct ike_msg *m); /* the peer speaks under one that is not decided */
void rekey_old_deleted(struct ike_sa *old);                    /* the peer deletes the old one */
void rekey_unlink(struct ike_sa *sa);                          /* it goes */

/* twin.c: both ends began at the same time */
bool twin_stays(const struct owned *a_i, const struct owned *a_r, const struct owned *b_i, const struct owned *b_r);
void twin_ike_up(struct ike_sa *sa);
void twin_review(struct ike_sa *sa); /* its timer */
bool twin_child_sends(const struct child *c);
void twin_child_up(struct child *c);

/* cookie.c */
bool cookie_wanted(const struct keying *k);
void cookie_refresh(struct keying *k);
int cookie_make(struct keying *k, const struct addr *remote, uint64_t spi_i, struct keying_octets nonce,
		uint8_t ret[IKE_COOKIE_MOST], size_t *ret_len, struct diag *d);
bool cookie_good(struct keying *k, const struct addr *remote, uint64_t spi_i, struct keying_octets nonce,
		 struct keying_octets cookie);
void cookie_job_done(struct keying *k, const struct keying_result *r);

/* capture.c: keys for a capture decoder, with export_keys only */
void capture_ike(struct ike_sa *sa);
void capture_main(struct ike_sa *sa); /* by IKEv1 */
void capture_child(struct keying *k, const struct sa_spec *spec);

/* keying.c */
void keying_tick(struct keying *k, uint64_t now_ms);
void keying_settle(struct keying *k);
/* Of what we do not have: not too often, and counted if so. */
bool keying_may_hint(struct keying *k);
uint64_t keying_number(struct keying *k);
struct ike_sa *keying_ike_by_number(struct keying *k, uint64_t number);

#endif
