/* daemon/parts/members.h - who is behind which addresses, as keying says (members_wire.h), and what of it the gate's
 * sets are to have. Each row is looked at with the parent's own plan: two hosts that no rule protects have no SA. What
 * a keying process said that has ended holds as well as long as SAs of its are in force; what nobody says again is
 * forgotten by and by. */
#ifndef DAEMON_PARTS_MEMBERS_H
#define DAEMON_PARTS_MEMBERS_H
#include "base/wire.h"
#include "enforce/gate.h"
#include "identity/groups.h"

struct diag;
struct members;

enum { MEMBERS_AT_ONCE = 256 };

struct members_config {
	struct gate *gate;
	/* May there be an SA between these two? If not, it is told. */
	bool (*may)(void *context, const struct addr *local, const struct addr *remote);
	void *context;
};

struct members *members_new(const struct members_config *c);
/* Also takes what it knows out of the gate. */
void members_free(struct members *m);
/* number: as keying's messages call it. */
void members_set_plan(struct members *m, uint64_t number, struct plan *plan);

/* A message. *ret_request: whom to answer; *ret_done: the sets are as it says. Negative: not well-formed. */
int members_told(struct members *m, struct wire_in *body, uint64_t *ret_request, bool *ret_done, struct diag *d);
/* Whoever is behind these addresses has proven who that is, and yet a rule that asks about groups does not take it: "is
 * not known to be in: staff, servers". false: nobody has proven that, or every such rule takes it. */
bool members_lack(const struct members *m, const struct addr *local, const struct addr *remote, char *ret, size_t cap);
/* A new keying has begun; SAs of the one before it are gone by now. */
void members_keying_came(struct members *m);
void members_forget_stale(struct members *m);

#endif
