/* policy/model.h - the inside of a struct policy, and what its loaders share while they make one. For this folder only.
 * Loaders report and go on; the policy is given out only if the report got no error. */
#ifndef POLICY_MODEL_H
#define POLICY_MODEL_H
#include "policy/names.h"
#include "policy/policy.h"
#include "policy/load/read.h"

#include <stdatomic.h>

struct policy {
	atomic_uint references;
	struct arena memory;
	char *path;
	bool imported;
	unsigned exemptions;
	enum nat_traversal nat_traversal;
	enum encapsulation encapsulation;
	struct rule *rules;
	size_t rule_count;
	struct rule *stand_ins; /* in place of rules, where the firewall asks for encryption */
	size_t stand_in_count;
	struct encryption_ask *asks; /* what the firewall asks of connection security */
	size_t ask_count;
	struct host *hosts;
	size_t host_count;
	struct address_set *zones;
	size_t zone_count;
	struct address_set **sets;
	size_t set_count, set_cap;
	struct auth_set *auth_sets;
	size_t auth_set_count;
	struct protection_set *protection_sets;
	size_t protection_set_count;
	struct key_exchange_set *key_exchange_sets;
	size_t key_exchange_set_count;
	struct group *groups;
	size_t group_count;
	struct firewall *firewalls;
	size_t firewall_count;
	struct policy_test *tests;
	size_t test_count;
	struct names names;                 /* hosts and zones */
	struct names traffic;               /* the policy's own lists: struct traffic_list */
	struct host_by_address *by_address; /* sorted */
	size_t by_address_count;
};

struct host_by_address {
	struct addr addr;
	const struct host *host;
};

/* A firewall rule that lets in what is encrypted: the traffic that it speaks of is to be negotiated so. */
struct encryption_ask {
	const struct firewall *section;
	const struct firewall_rule *rule;
	bool first; /* encrypted-on-demand: encryption first, and what else the set has behind it */
};

enum name_kind { NAME_ZONE, NAME_HOST };

/* A named list of services; built-in or the policy's own. */
struct traffic_list {
	const char *name;
	struct service *services;
	size_t count;
	uint32_t node; /* while loading */
	enum { LIST_UNREAD, LIST_READING, LIST_READ } state;
};

enum {
	SERVICES_MOST = 1024, /* of one rule or traffic list */
	ALL_SERVICES_MOST = 4000000,
	ELEMENTS_MOST = 4000000, /* of all zones together */
	NESTING_MOST = 32,       /* zones in zones, groups in groups, lists in lists */
};

struct load {
	struct reading rd;
	struct policy *p;
	struct names literals, groups, auth_sets, protection_sets, key_exchange_sets, rules;
	const struct auth_set *default_auth;
	const struct protection_set *default_protection;
	const struct key_exchange_set *default_key_exchange;
	uint64_t fallback_after_ms;
	uint32_t *zone_nodes; /* by zone or host: its value */
	uint8_t *zone_states;
	uint32_t *host_nodes;
	size_t elements, services; /* so far, against the bounds above */
};

/* load/addresses.c */
void load_names(struct load *l, uint32_t zones, uint32_t hosts); /* first: others refer to them */
void load_zones_and_hosts(struct load *l);
bool load_end(struct load *l, uint32_t node, const char *what, bool keywords, struct end *ret);
const struct host *load_host_named(struct load *l, uint32_t node, const char *what);
bool load_single_address(struct load *l, uint32_t node, const char *what, struct addr *ret);

/* load/traffic.c */
void load_traffic_lists(struct load *l, uint32_t node);
bool load_traffic(struct load *l, uint32_t node, struct service **ret, size_t *ret_count); /* `traffic: [...]` */
struct service_nodes {
	uint32_t protocol, port1, port2, traffic;
	const char *port1_name, *port2_name; /* as the section calls them */
};
bool load_services(struct load *l, const struct service_nodes *n, struct service **ret, size_t *ret_count);
const char *service_text(const struct service *s, char *buf, size_t n);

/* load/sets.c */
void load_auth_sets(struct load *l, uint32_t node);
void load_certificate_method(struct load *l, uint32_t node, struct auth_method *m); /* load/certificate.c */
void load_key_exchange_sets(struct load *l, uint32_t node);
void load_protection_sets(struct load *l, uint32_t node);
/* The value may be a key: it is refused, and not quoted. right: how it is written rightly. */
void load_refuse_key(struct load *l, uint32_t node, const char *right);
void load_ppks(struct load *l, uint32_t node, struct key_exchange_set *s); /* load/ppk.c */
/* The set that a node names; NULL and an error if there is none. */
const struct auth_set *load_auth_named(struct load *l, uint32_t node);
const struct protection_set *load_protection_named(struct load *l, uint32_t node);
const struct key_exchange_set *load_key_exchange_named(struct load *l, uint32_t node);

/* load/groups.c */
void load_groups(struct load *l, uint32_t node);
bool load_group_list(struct load *l, uint32_t node, const char *what, const struct group *const **ret,
		     size_t *ret_count);

/* load/rules.c, load/firewall.c, load/tests.c */
void load_rules(struct load *l, uint32_t node);
bool load_profiles(struct load *l, uint32_t node, unsigned *ret);
bool load_program(struct load *l, uint32_t node, const char **ret); /* a unit, or the path of a control group */
void load_firewalls(struct load *l, uint32_t node);
void load_tests(struct load *l, uint32_t node);
void load_reqids(struct policy *p);          /* load/reqids.c: when rules and their stand-ins are there */
void load_encryption_asks(struct policy *p); /* load/asks.c: when rules and firewalls are there */

/* A name of the user's that is not in a table: the error, and what may have been meant. `others` may be NULL. */
void load_unknown_name(struct load *l, uint32_t node, const char *what, const struct names *known,
		       const char *const *others, size_t other_count);
/* Register a user's name (a copy); an error and false if it is there already. */
bool load_register(struct load *l, struct names *names, uint32_t pair, const char *what, int kind, void *value,
		   const char **ret_name);
void policy_add_set(struct policy *p, struct address_set *s); /* gives it its number */

#endif
