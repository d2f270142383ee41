/* daemon/host/host.h - what only the machine itself knows: its addresses, and the servers that a policy's keywords
 * stand for when the policy does not name them. Read from the kernel by rtnetlink and from the files that resolvers and
 * DHCP clients leave; watched, because addresses come and go. */
#ifndef DAEMON_HOST_HOST_H
#define DAEMON_HOST_HOST_H
#include "base/scope.h"
#include "policy/host_config.h"
#include "policy/plan.h"
#include <stdbool.h>
#include <stddef.h>

struct diag;

enum { HOST_ADDRESSES_MOST = 4096, HOST_SERVERS_MOST = 64 };

/* Into which zone NetworkManager has put an interface, or why that is not known. */
struct zone_told {
	enum zone_kind {
		ZONE_UNASKED,
		ZONE_UNMANAGED, /* it has no connection there */
		ZONE_LOST,      /* the connection's file is not found, or not root's alone */
		ZONE_TWICE,     /* two files of the connection say different things */
		ZONE_ODD,       /* no name of a zone */
		ZONE_NONE,      /* the connection is in none */
		ZONE_NAMED
	} kind;
	char name[HOST_ZONE_TEXT + 1];
};

/* An own address and where it is. */
struct host_place {
	struct addr addr;
	char interface[16];
	unsigned index;
	bool carrier;
	uint32_t carriers_lost; /* how often so far: what is connected now may be another network than before */
	struct zone_told zone;
};

/* Time that goes on while the machine sleeps, and how much of it was slept: who wakes may be elsewhere. */
struct host_time {
	uint64_t boot_ms, slept_ms;
};
void host_time_now(struct host_time *ret);

/* Own addresses over which the directory has answered, having proven to be one of the domain's controllers, on the
 * link as it was then. */
enum { HOST_HOMES_MOST = 8, HOST_HOME_MS = 30 * 60 * 1000 /* an answer makes a home for so long */ };
struct host_homes {
	struct {
		struct host_place place;
		uint64_t until_ms, slept_ms;
	} all[HOST_HOMES_MOST];
	size_t count;
};

struct host_facts {
	struct host_address *own;
	size_t own_count, own_cap;
	struct addr servers[KEYWORDS][HOST_SERVERS_MOST];
	size_t server_counts[KEYWORDS];
	struct host_place *places; /* like `own` */
	size_t place_count, place_cap;
	struct plan_interface *interfaces; /* whose profile is known */
	size_t interface_count, interface_cap;
	unsigned profiles; /* PROFILE_ bits of the interfaces that have an address; 0: the host's page names none */
};

/* homes: NULL: none. root: prefix of the files that are read, NULL: none. */
int host_facts_read(const struct host_config *config, const struct host_homes *homes, const char *root,
		    struct host_facts **ret, struct diag *d);
void host_facts_free(struct host_facts *f);
SCOPE_FREEP(struct host_facts, host_facts)
bool host_facts_have(const struct host_facts *f, const struct addr *a);
/* The profile of an interface, a PROFILE_ bit; 0: the page names none. */
unsigned host_facts_profile(const struct host_facts *f, const char *interface);
/* Is each own address on the same link as before, that has not been away since? */
bool host_facts_same_links(const struct host_facts *a, const struct host_facts *b);
void host_facts_swap_places(struct host_facts *a, struct host_facts *b);
bool host_facts_equal(const struct host_facts *a, const struct host_facts *b);

/* The facts as plan_compile wants them, with the addresses that the policy gives the host called `name` although no
 * interface has them yet: their rules are then in force before their first packet. *ret points into *f and `more`. */
struct host_own {
	struct host_address *all;
};
void host_own_free(struct host_own *o);
void host_plan(const struct host_facts *f, const struct policy *p, const char *name, struct host_own *own,
	       struct plan_host *ret);

/* A descriptor that becomes readable when an address or a link changes; host_watch_drain empties it. */
int host_watch_open(int *ret_fd, struct diag *d);
void host_watch_drain(int fd);

#endif
