/* tools/cli/first.h - a first policy and a first host's page, made from the networks that a machine is in. Pure: who
 * reads the networks and writes the files is init.c.
 *
 * Every interface that leads to other machines gives a zone. What is this host's own (containers, virtual machines) or
 * protected otherwise (VPNs) is left out, and the policy says so in a comment. Every rule is `request` or `exempt`. */
#ifndef TOOLS_CLI_FIRST_H
#define TOOLS_CLI_FIRST_H
#include "base/addr.h"
#include "base/scope.h"
#include "policy/policy.h"
#include <jansson.h>
#include <net/if.h>

struct networks;
struct str;

enum { FIRST_NAME = 72 };

struct first_zone {
	char name[FIRST_NAME], interface[IF_NAMESIZE];
	struct addr_range *prefixes;
	size_t count, cap;
};

struct first_host {
	char name[FIRST_NAME];
	struct host_address *addresses;
	size_t count, cap;
	unsigned roles; /* ROLE_ bits */
	bool gateway, admin;
};

enum first_reason { FIRST_CONTAINERS, FIRST_TUNNEL, FIRST_OWN_SERVICES, FIRST_ALONE, FIRST_REASONS };
const char *first_reason_name(enum first_reason r); /* "containers" */

struct first_left {
	char interface[IF_NAMESIZE];
	struct addr addr;
	uint8_t prefix;
	enum first_reason reason;
};

struct first_options {
	const char *issuer; /* the authority's name */
	bool issuer_found;  /* it was read from the authority's certificate on this host */
	const char *psk;    /* a pre-shared key's file instead; NULL: certificates */
};

struct first {
	struct first_options options; /* its text is the caller's */
	char name[FIRST_NAME];        /* of this host */
	struct first_zone *zones;
	size_t zone_count, zone_cap;
	struct first_host *hosts; /* this one first, if it has an address in a zone */
	size_t host_count, host_cap;
	struct first_left *left;
	size_t left_count, left_cap;
	bool own;      /* hosts[0] is this one */
	uint16_t port; /* of the ssh server that the administrator speaks to */
};

struct first *first_new(const struct networks *n, const struct first_options *o);
void first_free(struct first *f);
SCOPE_FREEP(struct first, first)

/* The policy, commented; path: where it will be, for its comments. */
void first_policy(const struct first *f, const char *path, struct str *out);
/* The host's page. */
void first_page(const struct first *f, struct str *out);
/* The networks, and those that were left out, a line each. */
void first_networks(const struct first *f, struct str *out);
json_t *first_json(const struct first *f);

/* Hosts that some rule of the policy exempts, and that can be reached from a zone. */
bool first_has_role(const struct first *f, unsigned role);
bool first_meets_zones(const struct first *f, const struct first_host *h);

#endif
