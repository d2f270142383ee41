/* tests/replay/kdc.h - a double of Kerberos for the engines: it forges tickets for whoever asks, as a KDC would make
 * them, and keeps the two ends' contexts. What tests need of it: who holds which key is enforced, tokens can be long,
 * steps can fail. It protects nothing. */
#ifndef TESTS_REPLAY_KDC_H
#define TESTS_REPLAY_KDC_H
#include "keying/keying.h"

enum { KDC_CONTEXTS = 64, KDC_KEY = 32 };

struct kdc_context {
	uint64_t number; /* 0: free */
	bool initiator, complete;
	uint8_t key[KDC_KEY];
	char peer[PEER_TEXT];
};

/* One host's Kerberos. */
struct kdc_host {
	const char *principal; /* "host/a.example@EXAMPLE"; NULL: it has no keytab */
	size_t token_octets;   /* a ticket is at least so long: groups are in it */
	const char *cannot;    /* it gets no ticket, for this reason; NULL: it does */
	const char *rejects;   /* it takes nobody's ticket, for this reason */
	const char *warning;   /* what it says of the groups in tickets that it takes; NULL: nothing */
	uint64_t learnt_s;     /* when groups in tickets that it takes were learnt; 0: they have none */
	bool other_key;        /* its keytab is not what the KDC has */
	uint64_t good_ms;      /* of its tickets; 0: no end */
	struct kdc_context contexts[KDC_CONTEXTS];
	unsigned made, most, now; /* contexts: ever, at one time at most, at this time */
	unsigned accepts;         /* tickets that it has read */
};

/* The GSS jobs. Everything that a result needs is filled in. */
int kdc_work(struct kdc_host *h, uint8_t seed, const struct keying_job *job, struct keying_result *r, struct diag *d);

#endif
