/* tests/replay/world.h - two hosts, each an IKE engine with a clock, a data plane and workers that are played by the
 * test: every datagram, job and installed SA is an entry in a list, so loss, delay, repetition and order are what the
 * test says. Pre-shared keys, and a double of Kerberos: certificates are identity's matter. */
#ifndef TESTS_REPLAY_WORLD_H
#define TESTS_REPLAY_WORLD_H
#include "keying/keying.h"
#include "tests/replay/kdc.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HOSTS = 2, PACKETS_MOST = 4096, SAS_MOST = 64, HELD_MOST = 1024, DATAGRAM_MOST = 4096 };

struct world_sa {
	bool used, inbound;
	bool fading; /* it only takes in what was on its way */
	uint32_t spi;
	uint64_t pair;
	unsigned packets; /* that came in */
	unsigned order;   /* the newest outbound SA of a selector sends */
	struct sa_selector selector;
	struct addr remote; /* outer */
	uint16_t encap_local_port, encap_remote_port;
	bool nat;
	struct child_suite suite;
	struct key encr_key, integ_key;
	char rule[64];
	bool asked; /* who is behind it was said; inbound only */
	enum member member;
};

struct world_host {
	struct keying *keying;
	struct plan *plan;
	struct addr addr, peer; /* peer: where its packets go, if not to the other host's address */
	struct keying_config config;
	struct keying_credential credential; /* the pre-shared key */
	const struct auth_set *satisfies[4];
	struct keying_credential credentials[2]; /* and with it Kerberos, where the policy names that */
	const struct auth_set *by_kerberos[4];
	uint8_t ranks[2][4];
	struct kdc_host kdc;
	const char *psk;
	const char *ppks[8]; /* files of post-quantum pre-shared keys; those that the policy names */
	const char *ppk;     /* what stands in all of them */
	uint64_t random;     /* a generator's state: the same in every run */
	uint8_t nonce_lead;  /* first octet of its nonces, if not 0 */
	uint32_t next_spi;
	unsigned installs;
	struct world_sa sas[SAS_MOST];
	struct {
		struct sa_selector selector;
		struct plan_packet packet;
		char rule[64];
	} held[HELD_MOST];
	size_t held_count;
	uint64_t acquired_ms;
	/* what it did */
	unsigned events[EVENT_COUNT];
	char last_text[EVENT_COUNT][EVENT_TEXT];
	struct event last[EVENT_COUNT];
	unsigned released_clear, released_drop, fallbacks, fallback_ends, keys_lines, spis_reserved, spis_released;
	unsigned esp_received, esp_lost, keepalives;
	unsigned esp_blind; /* sent under an SA that the other did not have at that moment */
	char keys[32][1024];
	uint64_t last_in_ms, last_out_ms;
};

struct datagram {
	uint64_t due_ms, serial;
	unsigned from;
	bool esp;
	uint32_t spi;                    /* esp */
	struct addr source, destination; /* a NAT on the wire may change them and the ports */
	uint16_t local_port, remote_port;
	size_t len;
	uint8_t octets[DATAGRAM_MOST];
};

struct world {
	uint64_t now_ms, latency_ms, job_ms;
	struct world_host hosts[HOSTS];
	struct policy *policy;
	struct report *report;
	struct datagram *queue[PACKETS_MOST];
	size_t queued;
	struct { /* jobs under way */
		struct keying_job *job;
		unsigned host;
		uint64_t due_ms;
	} jobs[256];
	size_t job_count;
	uint64_t serial;
	unsigned ike_sent[HOSTS];
	/* What becomes of a datagram when it is sent: how many copies arrive; it may change the octets. NULL: one. */
	unsigned (*wire)(struct world *w, struct datagram *d);
	void *context;
	bool sad_fails;
	uint64_t good_ms;  /* proofs are good for so long; 0: without end */
	bool certificates; /* proofs count as if by certificates, whose digest is world_certificate in every octet */
	bool quick_keys;   /* key exchanges that cost nothing and protect nothing: for very many runs */
};

/* Both hosts (10.0.0.1 and 10.0.0.2) under one policy; `rules` is what stands under connection-security. */
struct world *world_new(const char *policy);
/* Different policies at the two ends. */
struct world *world_new_two(const char *policy0, const char *policy1);
/* The hosts are 2001:db8::1 and 2001:db8::2. */
struct world *world_new_ipv6(const char *policy);
/* Are all worlds of IPv6 (CORDON_TEST_IPV6 is set)? Then every 10.0.0.N, and 192.0.2.N, of a policy is 2001:db8::N, and
 * 2001:db8:2::N; world_addr says which it is. */
bool world_is_ipv6(void);
/* If CORDON_TEST_KERBEROS is set every pre-shared key of a policy is Kerberos instead. */
struct addr world_addr(uint8_t a, uint8_t b, uint8_t c, uint8_t n); /* 10.0.0.n or 192.0.2.n */
void world_free(struct world *w);
/* Play until nothing is on its way and no deadline before until_ms is left; the clock then stands at until_ms. */
void world_run(struct world *w, uint64_t until_ms);
/* The process ends and begins anew, with what a state folder keeps. */
void world_restart(struct world *w, unsigned host);
/* A packet of the host's: sent under the newest outbound SA, or held and asked for. */
void world_packet(struct world *w, unsigned host, int16_t protocol, uint16_t local_port, uint16_t remote_port);
void world_sad_event(struct world *w, unsigned host, const struct sad_event *e);
/* The host is gone, and another one with this address is in its place, which knows nothing. */
void world_replace(struct world *w, unsigned host, const char *policy, const struct addr *addr);
/* Now the host has this keytab; NULL: none. */
void world_set_principal(struct world *w, unsigned host, const char *principal);
void world_set_plan(struct world *w, unsigned host, const char *policy);
/* Deliver octets as if the other host had sent them. */
void world_inject(struct world *w, unsigned to, const void *octets, size_t len);

unsigned world_drop(struct world *w, struct datagram *d); /* a wire that is cut */
enum { world_certificate = 0xce };

size_t world_ikes(const struct world *w, unsigned host);     /* established */
size_t world_children(const struct world *w, unsigned host); /* up */
size_t world_sas(const struct world *w, unsigned host, bool inbound);
/* Both ends have one IKE SA and n CHILD SAs, with the same SPIs and keys, and nothing else. */
void world_expect_one(struct world *w, size_t children);

extern const char world_policy[]; /* one rule between the two, require, a pre-shared key */
const char *world_policy_mode(const char *mode);
/* With one SA of each kind, three seconds old. */
struct world *world_established(const char *policy);

#endif
