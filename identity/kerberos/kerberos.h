/* identity/kerberos/kerberos.h - Kerberos by GSS-API (RFC 4121): this host's keytab at work. Contexts, by the numbers
 * that whoever asks for them has chosen, each a few steps long; and the tickets that their initiators need. It has no
 * socket and no file: what goes to a KDC and comes back is carried by its owner (struct kerberos_means), so that it
 * runs where there is no network, and in a test.
 *
 * libkrb5's own ways to files and sockets are not taken: keys are in a MEMORY keytab, tickets in MEMORY caches that
 * hold just the one that is asked for, names have their realm, and kerberos_prepare sets what of the environment
 * libkrb5 looks at. Replay cache: none (docs/decisions/kerberos.md says why).
 * One thread. */
#ifndef IDENTITY_KERBEROS_KERBEROS_H
#define IDENTITY_KERBEROS_KERBEROS_H
#include "base/crypto.h"
#include "base/scope.h"
#include "identity/kerberos/keytab.h"
#include "identity/peer.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct diag;
struct kerberos;

enum {
	KERBEROS_CONTEXTS_MOST = 4096,
	KERBEROS_CONTEXT_MS = 120000, /* a context is forgotten then, complete or not */
	KERBEROS_TICKETS_MOST = 1024, /* the one that was not used for longest goes */
	KERBEROS_STEPS_MOST = 32,     /* messages to KDCs for one ticket */
	KERBEROS_TOKEN_MOST = 49152,
	KERBEROS_FAILED_MS = 3000,   /* so long after a failure no KDC is asked for the same ticket */
	KERBEROS_SPARE_MS = 30000,   /* the same where a former ticket still does */
	KERBEROS_PATIENCE_MS = 2000, /* then the former one is used while the KDC is still being asked */
	KERBEROS_LOOK_MS = 1000,
};

struct kerberos_stepped {
	int error;       /* 0 or negative */
	const char *why; /* words; of success: a warning, or "" */
	bool complete;   /* peer is known, for good_ms */
	uint64_t good_ms;
	struct octets token;     /* for the peer; also of some failures */
	const struct peer *peer; /* complete */
};

struct kerberos_means {
	/* Send to a KDC of the realm; tcp: not by datagram. Its answer is given to kerberos_heard, with the number. */
	void (*ask)(void *context, uint32_t number, const char *realm, const struct octets *request, bool tcp);
	/* A step is done; what it points to is valid until this returns. */
	void (*stepped)(void *context, uint64_t job, const struct kerberos_stepped *s);
	void *context;
};

/* Once for the process, before any other: before its cage, if it has one. */
int kerberos_prepare(struct diag *d);

int kerberos_new(const struct kerberos_means *means, struct kerberos **ret, struct diag *d);
void kerberos_free(struct kerberos *k); /* wipes; or NULL. Nothing is told any more */
SCOPE_FREEP(struct kerberos, kerberos)

/* From now on this one; copied; NULL: none. If it is another than before, contexts that are under way begin no new
 * ticket with the former and end by age. In any case tickets are got anew when they are next needed, as far as a KDC
 * answers: groups and keys may be others. */
int kerberos_set_keytab(struct kerberos *k, const struct keytab *keytab, struct diag *d);

struct kerberos_step {
	uint64_t job; /* told back */
	uint64_t gss; /* the context */
	bool initiator;
	const char *target;           /* an initiator's first step: whom to; else NULL */
	struct octets binding, token; /* binding: channel bindings, or empty */
	uint64_t now_ms;
};
/* stepped is called once for it: from in here, or when the ticket has come. */
void kerberos_step(struct kerberos *k, const struct kerberos_step *s);
/* Of a complete context. -ENOENT: there is none. */
int kerberos_key(struct kerberos *k, uint64_t gss, const struct octets *seed, uint8_t *ret, size_t len, struct diag *d);
enum { KERBEROS_TEXT_MOST = 4096 };
/* seal: so that nobody can read it, where the context can do that; else signed. */
int kerberos_wrap(struct kerberos *k, uint64_t gss, const struct octets *text, bool seal,
		  uint8_t ret[KERBEROS_TEXT_MOST], size_t *ret_len, struct diag *d);
int kerberos_unwrap(struct kerberos *k, uint64_t gss, const struct octets *text, uint8_t ret[KERBEROS_TEXT_MOST],
		    size_t *ret_len, struct diag *d);
void kerberos_end(struct kerberos *k, uint64_t gss);
/* Those with numbers from first to last; what they wait for is not told. */
void kerberos_end_range(struct kerberos *k, uint64_t first, uint64_t last);

/* The KDC's answer; NULL: none came, and why. A number that is not waited for is passed over. */
void kerberos_heard(struct kerberos *k, uint32_t number, const struct octets *answer, const char *why, uint64_t now_ms);
/* Now and then, KERBEROS_LOOK_MS apart: contexts that are old, or have waited long enough. */
void kerberos_look(struct kerberos *k, uint64_t now_ms);

/* For status. */
struct kerberos_ticket {
	char client[PEER_TEXT];
	uint64_t until_s;  /* of the ticket-granting ticket; 0: there is none */
	char failure[384]; /* why there is none, or no new one; "": nothing failed */
};
void kerberos_ticket(const struct kerberos *k, struct kerberos_ticket *ret);

#endif
