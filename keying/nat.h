/* keying/nat.h - a NAT between us and the peer (RFC 7296 2.23): which end is behind it, whether the policy allows that,
 * where the peer's packets come from now, and whose they are when several hosts share one address. Inside keying/ only.
 *
 * Rules are decided by the addresses that this host sees: the local one, and the one that the peer's packets came from
 * when it began. What the peer calls itself in its traffic selectors decides nothing; it tells apart hosts that share
 * an address. The data plane gives what comes the addresses of the SA's selector, whatever the outer ones are. */
#ifndef KEYING_NAT_H
#define KEYING_NAT_H
#include "base/addr.h"
#include "keying/ike.h"
#include "policy/policy.h"
#include <stdbool.h>
#include <stdint.h>

struct child;
struct contact;
struct diag;
struct ike_sa;
struct keying;
struct sa_selector;

enum { NAT_HERE = 1, NAT_THERE = 2 }; /* we are behind it; the peer is */

/* Part of an IKE SA; what renews it inherits it. */
struct nat {
	unsigned behind;       /* NAT_ bits; 0: there is none */
	bool began;            /* we began: the peer is the server */
	struct addr outer;     /* where the peer's packets come from: its address, unless a NAT has moved it since */
	struct addr original;  /* what the peer calls itself in its traffic selectors; family 0: not told yet */
	bool udp_offered;      /* no NAT: we began, and said that we want ESP in UDP all the same (encap.h) */
	bool udp_agreed;       /* no NAT: both ends have said so */
	uint64_t sent_ms;      /* when an IKE message last went */
	uint64_t keepalive_ms; /* when to look whether the NAT needs a packet to remember us; UINT64_MAX: not */
};

/* Where the message in hand came from, and to which port. */
struct nat_from {
	struct addr remote;
	uint16_t local_port, remote_port;
};

int nat_hash(uint64_t spi_i, uint64_t spi_r, const struct addr *a, uint16_t port, uint8_t ret[20], struct diag *d);
void nat_put(struct ike_sa *sa, struct ike_writer *w);
/* NAT_ bits: the addresses that were changed on the way, as an IKE_SA_INIT message tells. */
unsigned nat_find(const struct ike_sa *sa, const struct ike_msg *m);
bool nat_allowed(const struct policy *p, bool began, unsigned behind);
/* Why not, in words: who is behind it, what the policy says, what would allow it. */
enum { NAT_WHY = 320 };
const char *nat_why_not(const struct policy *p, const struct ike_sa *sa, unsigned behind, char buf[NAT_WHY]);
const char *nat_where(unsigned behind); /* "this host is behind it" */
/* It is so, and allowed: who began sends from port 4500 on. */
void nat_enter(struct ike_sa *sa, unsigned behind);

/* May a message of this IKE SA come from there? */
bool nat_may_come(const struct ike_sa *sa, const struct addr *local, const struct addr *remote);
/* An authentic and new message has come from sa->k->from: follow the peer there if it has moved (2.23). False: the
 * rules do not let it move there; the IKE SA is being deleted, and the message is not to be answered. */
bool nat_heard(struct ike_sa *sa);
/* The data plane says that authentic ESP of this CHILD SA came from there. */
void nat_esp_came(struct child *c, const struct addr *remote, uint16_t port);

/* The peer's selectors name addresses as it sees them: put those that we see in their place (2.23.1). Of a tunnel they
 * are what is inside, and stay. */
void nat_substitute(const struct ike_sa *sa, const struct ike_ts_list *from, bool local, bool tunnel,
		    struct ike_ts_list *ret);
/* Note what the peer calls itself. */
void nat_note_original(struct ike_sa *sa, const struct ike_msg *m);
/* AH covers the addresses, and does not go through a NAT: its proposals are taken out of an offer, and what is left is
 * numbered anew if it is ours. Returns the offer itself where there is no NAT, else *scratch. */
const struct ike_offer *nat_without_ah(const struct ike_sa *sa, const struct ike_offer *offer, bool ours,
				       struct ike_offer *scratch);
/* The first suite that we offer. */
const struct child_suite *nat_first_suite(const struct ike_sa *sa, const struct protection_set *set);
/* Negative, with words: there is a NAT, and the set has AH only. */
int nat_check_protection(const struct ike_sa *sa, const struct protection_set *set, struct diag *d);
/* Another host behind the same address has a CHILD SA for some of this traffic: packets of ours for the one would reach
 * the other. In words. To be asked when sa's peer has proven itself. */
bool nat_shared(const struct ike_sa *sa, const struct sa_selector *s, struct diag *d);
/* Two peers at one address: which is meant is not known to who wants to begin something. */
bool nat_ambiguous(const struct contact *c);
bool nat_same_peer(const struct ike_sa *a, const struct ike_sa *b);

/* Keep-alives: from behind a NAT, when nothing else went out (RFC 3948 4). */
void nat_keepalive_start(struct ike_sa *sa);
void nat_keepalive_due(struct ike_sa *sa);

#endif
