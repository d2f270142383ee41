/* policy/compile/compile.h - what the parts of the compiler share while they make one host's plan. For those parts
 * only: compile.c begins and ends, uses.c finds what concerns an address, sweep.c cuts the other addresses into
 * regions, merge.c makes the list of each, asks.c adds what the firewall asks. */
#ifndef POLICY_COMPILE_COMPILE_H
#define POLICY_COMPILE_COMPILE_H
#include "policy/compile/bits.h"
#include "policy/model.h"
#include "policy/plan_inside.h"

struct diag;

/* A service of a rule, taken one way round, whose local end holds the address being compiled. */
struct use {
	addr_count local_size;
	uint64_t key; /* everything behind the sizes in the order of entries */
	uint32_t rule, service;
	uint32_t seen; /* number of the last list that has it */
	uint32_t twin; /* the use that matches the same, taken the other way round; itself if there is none */
	bool local_is_end1;
	/* Of tunnel rules. within: the other end is the local one; where that comes first, the two are behind one
	 * gateway and the rule does not speak of them; twin is then the use that it stops. elsewhere: this host is no
	 * end of it, and a less specific tunnel does not speak of the two either. */
	bool within, elsewhere;
};

/* Uses whose other end names a set. */
struct set_uses {
	uint32_t *uses; /* in the order of entries */
	uint32_t count;
};

/* A set and a size of its elements. */
struct pair {
	uint32_t set;
	uint32_t active; /* elements of this size that hold where the sweep stands */
	addr_count size;
	unsigned __int128 mark; /* for the sum that names what is active */
};

struct event {
	addr_count at;
	uint32_t pair;
	int8_t step; /* +1 begins, -1 ends before `at` */
};

struct signature {
	unsigned __int128 sum;
	uint32_t list;
	bool used;
};

struct cursor {
	uint32_t pair, at;
};

/* A firewall rule's wish that can concern the address: because it is ruled, or is the far end of one that is. */
struct asked {
	const struct encryption_ask *ask;
	bool ours, theirs;
};

struct compiler {
	const struct policy *p;
	const struct plan_host *host;
	struct report *report;
	struct plan *plan;
	unsigned profiles;
	struct address_set keywords[KEYWORDS]; /* resolved; numbers follow those of the policy's sets */
	const struct address_set **sets;
	size_t set_count;
	struct arena memory;
	struct names conflicts; /* pairs of rules already reported */
	size_t conflict_count;
	bool failed;
	/* for one local address, or a piece of what lies behind the host */
	uint8_t family;
	bool behind;
	struct addr local;
	addr_count *local_sizes; /* by set: its smallest element that holds the address; 0: none */
	struct use *uses;
	size_t use_count, use_cap;
	struct set_uses *by_set;
	uint32_t *use_numbers;
	struct pair *pairs;
	size_t pair_count;
	struct event *events;
	size_t event_count, event_cap;
	struct bits active;
	struct signature *signatures;
	size_t signature_count, signature_cap;
	uint32_t list_number;
	struct cursor *heap;
	size_t heap_count, heap_cap;
	struct plan_entry *list; /* being merged */
	size_t list_count, list_cap;
	struct asked *asks;
	size_t ask_count, ask_cap;
	struct plan_entry *split; /* the list, with what is asked of it */
	size_t split_count, split_cap;
	struct addr_range *borders; /* inside and outside of each, something else is asked */
	size_t border_count, border_cap;
	/* lists of all local addresses, by content */
	struct {
		uint32_t *slots;
		size_t cap;
	} interned;
};

/* compile.c */
/* Rules that concern this address, as the regions of local `at`. */
int compiler_compile_at(struct compiler *c, size_t at, const struct addr *local, struct diag *d);
const struct address_set *compiler_item_set(const struct compiler *c, const struct end_item *i);

/* means.c */
/* Last: takes the keywords' elements. */
void compiler_keep_facts(struct compiler *c);

/* tunnel.c */
/* Is this host the tunnel's end before endpoint 1 (or 2), by one of its addresses? */
bool compiler_is_gateway(const struct compiler *c, const struct rule *r, bool end1);
/* The same for what it sends itself from this address; or that end is any, and each machine there its own. */
bool compiler_tunnels_itself(const struct compiler *c, const struct rule *r, bool end1, const struct addr *local);
/* Can the rule decide about what is forwarded? Tunnels, exemptions and blocks can. */
bool compiler_decides_behind(const struct compiler *c, const struct rule *r);
void compiler_find_tunnels(struct compiler *c);
int compiler_compile_behind(struct compiler *c, struct diag *d);

/* groups.c: which firewall sections rule this host, and whom they ask about. Keywords are resolved before. */
int compiler_find_groups(struct compiler *c, struct diag *d);

/* uses.c: for the sets' sizes at this address, the uses of rules, and which sets stand at their other ends. */
int compiler_collect_uses(struct compiler *c, const struct addr *local, struct diag *d);

/* asks.c: what the firewall asks of this address's rules; then of the list in hand, which begins there. */
void compiler_find_asks(struct compiler *c);
void compiler_ask(struct compiler *c, addr_count at);

/* sweep.c: the regions of the local address with this number. */
int compiler_sweep(struct compiler *c, size_t local, struct diag *d);

/* merge.c: the order of two uses that pairs give, and the list of what is active, which `sum` names. */
int compiler_compare_at(const struct compiler *c, const struct pair *p, uint32_t at, const struct pair *q, uint32_t to);
uint32_t compiler_list_of_active(struct compiler *c, unsigned __int128 sum, addr_count at);

#endif
