/* identity/kerberos/inside.h - what kerberos.c, tickets.c and words.c share. */
#ifndef IDENTITY_KERBEROS_INSIDE_H
#define IDENTITY_KERBEROS_INSIDE_H
#include "base/diag.h"
#include "base/mem.h"
#include "base/table.h"
#include "identity/kerberos/kerberos.h"
#include "identity/kerberos/token.h"

#include <gssapi/gssapi_krb5.h>
#include <krb5/krb5.h>
#include <sys/queue.h>

enum { KERBEROS_WORDS = 384, KERBEROS_SKEW_S = 300 /* libkrb5's own, since there is no krb5.conf */ };

/* Messages to KDCs and back, for one ticket. */
struct exchange {
	uint32_t number; /* that is waited for; 0: none */
	unsigned steps;
	bool tcp;
	char realm[PEER_TEXT];
	struct kerberos_said said; /* the last error that a KDC gave */
	int64_t said_at_s;         /* when, by our clock */
	bool has_said;
};

/* A ticket with its life, of either kind. */
struct held {
	int64_t until_s, renew_s; /* 0: there is none */
	bool stale;               /* wanted anew, good enough if it can't be had */
	bool asking;
	uint64_t failed_ms; /* and nobody is asked again for a while; 0: it has not */
	char failure[KERBEROS_WORDS];
};

struct context;
TAILQ_HEAD(contexts, context);

/* For one service. */
struct ticket {
	TAILQ_ENTRY(ticket) entry; /* the last used first */
	char *target;
	struct held held;
	struct exchange exchange;
	krb5_tkt_creds_context asking; /* NULL: it waits for the ticket-granting ticket */
	krb5_ccache cache;             /* that one ticket */
	gss_cred_id_t credential;
	struct contexts waiting;
};

struct context {
	TAILQ_ENTRY(context) by_age, entry; /* entry: of those that wait for a ticket */
	uint64_t gss, job, since_ms;
	gss_ctx_id_t context;
	gss_name_t target;
	struct ticket *ticket; /* that it waits for; NULL: for none */
	uint8_t *binding;
	size_t binding_len;
	bool initiator, complete;
	char peer[PEER_TEXT];
};

struct kerberos {
	struct kerberos_means means;
	krb5_context krb5;
	struct keytab *keytab; /* NULL: none */
	struct keytab_told told;
	krb5_keytab keys;
	gss_cred_id_t acceptor;
	struct table contexts;
	struct contexts by_age;
	size_t context_count;
	uint32_t last; /* number of what a KDC is asked */
	/* The ticket-granting ticket. */
	struct held granting;
	struct exchange exchange;
	krb5_init_creds_context asking;
	krb5_ccache cache;
	TAILQ_HEAD(tickets, ticket) tickets;
	size_t ticket_count;
};

/* tickets.c. The ticket is there, or the context waits for it; in the end context_go or context_fail. */
void tickets_want(struct kerberos *k, struct context *c, const char *target, uint64_t now_ms);
void tickets_forget(struct kerberos *k); /* all; who waits fails */
void tickets_make_stale(struct kerberos *k);
void tickets_look(struct kerberos *k, uint64_t now_ms);
void context_leave(struct context *c); /* waits for nothing any more */

/* kerberos.c */
void context_go(struct kerberos *k, struct context *c, gss_cred_id_t credential);
void context_fail(struct kerberos *k, struct context *c, int error, const char *why);

/* words.c. What a KDC, or libkrb5 of its answer, says against a ticket; what the peer's token lacks. */
void words_of_ticket(const struct kerberos *k, const struct exchange *e, krb5_error_code code, const char *target,
		     char to[KERBEROS_WORDS]);
void words_of_accept(const struct kerberos *k, OM_uint32 major, OM_uint32 minor, const struct octets *token,
		     char to[KERBEROS_WORDS]);
void words_of_init(OM_uint32 major, OM_uint32 minor, const struct octets *token, const char *peer,
		   char to[KERBEROS_WORDS]);
void words_of_gss(OM_uint32 major, OM_uint32 minor, char to[KERBEROS_WORDS]);

int64_t unix_now_s(void);

#endif
