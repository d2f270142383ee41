#include "enforce/identities.h"

#include "base/diag.h"
#include "base/mem.h"
#include "enforce/identity_sets.h"
#include "enforce/set_changes.h"
#include "enforce/table.h"
#include "identity/groups.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the list ---------------------------------------------------------------------------------------------------- */

static uint64_t hash_of(const struct addr *local, const struct addr *remote)
{
	return table_hash_secret(remote->octets, sizeof remote->octets,
				 table_hash_secret(local->octets, sizeof local->octets, 0));
}

static bool same_hosts(const void *value, const void *what)
{
	const struct identity_row *a = value;
	const struct gate_identity *b = what;

	return addr_equal(&a->remote, &b->remote) && addr_equal(&a->local, &b->local);
}

static struct identity_row *find(const struct identities *i, const struct gate_identity *hosts)
{
	return table_find(&i->by, hash_of(&hosts->local, &hosts->remote), same_hosts, hosts);
}

static void enter(struct identities *i, const struct addr *local, const struct addr *remote, struct membership *is)
{
	struct identity_row *row = mem_new(1, sizeof *row);

	*row = (struct identity_row){ *local, *remote, is, i->count };
	i->rows = mem_grow(i->rows, i->count, &i->cap, sizeof(struct identity_row *));
	i->rows[i->count++] = row;
	table_add(&i->by, hash_of(local, remote), row);
}

static void leave(struct identities *i, struct identity_row *row)
{
	table_remove(&i->by, hash_of(&row->local, &row->remote), row);
	i->rows[row->at] = i->rows[--i->count];
	i->rows[row->at]->at = row->at;
	membership_free(row->is);
	free(row);
}

void identities_wipe(struct identities *i)
{
	for (size_t k = 0; k < i->count; k++) {
		membership_free(i->rows[k]->is);
		free(i->rows[k]);
	}
	free(i->rows);
	table_wipe(&i->by);
	*i = (struct identities){ 0 };
}

void identities_renumbered(const struct identities *i, const struct plan *new, const struct plan *old,
			   struct identities *ret)
{
	const struct plan_group *groups;
	uint32_t n = (uint32_t)plan_groups(new, &groups), *from;

	*ret = (struct identities){ 0 };
	if (!plan_asks_who(new) || !old)
		return;
	from = groups_renumber(new, old);
	for (size_t k = 0; k < i->count; k++)
		enter(ret, &i->rows[k]->local, &i->rows[k]->remote, membership_renumbered(i->rows[k]->is, from, n));
	free(from);
}

/* ---- the kernel's sets ------------------------------------------------------------------------------------------- */

static bool in_set(const struct membership *is, enum identity_set set, size_t group)
{
	return is && identity_set_has(is, set, group);
}

struct changing {
	struct set_changes *changes;
	const struct gate_identity *to;
	const struct membership *was;
	bool all; /* whatever it was, as after a failure */
};

static void change_one(const struct changing *c, enum identity_set set, size_t group, bool adds)
{
	bool was = in_set(c->was, set, group), is = in_set(c->to->is, set, group);
	char name[IDENTITY_SET_NAME];

	if (is != adds || (is == was && !c->all))
		return;
	(void)identity_set_name(set, group, c->to->local.family, name);
	if (adds)
		set_changes_add(c->changes, name, &c->to->remote, &c->to->local);
	else
		set_changes_remove(c->changes, name, &c->to->remote, &c->to->local);
}

/* What shuts first, so that nothing is open between two transactions. */
static void change_row(const struct changing *c, const struct plan *plan)
{
	static const struct {
		enum identity_set set;
		bool adds;
	} order[] = { { IDENTITY_SURE, false },  { IDENTITY_PROVEN, false }, { IDENTITY_MAY, true },
		      { IDENTITY_PROVEN, true }, { IDENTITY_SURE, true },    { IDENTITY_MAY, false } };
	const struct plan_group *groups;
	size_t n = plan_groups(plan, &groups);

	for (size_t o = 0; o < ARRAY_LEN(order); o++) {
		if (order[o].set == IDENTITY_PROVEN) {
			change_one(c, IDENTITY_PROVEN, 0, order[o].adds);
			continue;
		}
		for (size_t i = 0; i < n; i++)
			if (order[o].set == IDENTITY_SURE ? groups[i].sure : groups[i].maybe)
				change_one(c, order[o].set, i, order[o].adds);
	}
}

static int change_kernel(const struct identities *i, struct netlink *nft, const struct plan *plan,
			 const struct gate_identity *changes, size_t count, bool all)
{
	static struct set_changes c; /* one thread, and too large for a stack */

	set_changes_begin(&c, nft, all);
	for (size_t k = 0; k < count; k++) {
		const struct identity_row *row = find(i, &changes[k]);

		change_row(&(struct changing){ &c, &changes[k], row ? row->is : NULL, all }, plan);
	}
	return set_changes_end(&c);
}

static void change_list(struct identities *i, const struct gate_identity *to)
{
	struct identity_row *row = find(i, to);

	if (row && !to->is) {
		leave(i, row);
	} else if (row) {
		membership_free(row->is);
		row->is = membership_copy(to->is);
	} else if (to->is) {
		enter(i, &to->local, &to->remote, membership_copy(to->is));
	}
}

static int check(const struct plan *plan, const struct gate_identity *changes, size_t count, struct diag *d)
{
	const struct plan_group *groups;
	size_t n = plan ? plan_groups(plan, &groups) : 0;

	for (size_t k = 0; k < count; k++) {
		const struct gate_identity *to = &changes[k];

		if (!to->local.family || to->local.family != to->remote.family || (to->is && to->is->count != n))
			return diag_fail(d, EINVAL,
					 "an identity is of two addresses, and of the groups that are asked about");
	}
	return 0;
}

static bool comes_again(const struct gate_identity *of, const struct gate_identity *changes, size_t count)
{
	for (size_t k = 0; k < count; k++)
		if (addr_equal(&of->remote, &changes[k].remote) && addr_equal(&of->local, &changes[k].local))
			return true;
	return false;
}

/* Those of the changes for which there is room; who goes makes some, and always goes. Returns how many. */
static size_t those_that_fit(const struct identities *i, const struct gate_identity *changes, size_t count,
			     struct gate_identity *ret)
{
	size_t room = GATE_IDENTITIES_MOST - i->count, n = 0;

	if (room < count)
		for (size_t k = 0; k < count; k++)
			room += !changes[k].is && find(i, &changes[k]) &&
				!comes_again(&changes[k], &changes[k + 1], count - k - 1);
	for (size_t k = 0; k < count; k++) {
		bool adds = changes[k].is && !find(i, &changes[k]);

		if (adds && !room)
			continue;
		room -= adds;
		ret[n++] = changes[k];
	}
	return n;
}

int identities_change(struct identities *i, struct netlink *nft, const struct plan *plan,
		      const struct gate_identity *changes, size_t count, struct diag *d)
{
	struct gate_identity *fitting;
	size_t n;
	int r = check(plan, changes, count, d);

	if (r < 0 || !plan || !plan_asks_who(plan))
		return r;
	fitting = mem_new(count + 1, sizeof *fitting);
	n = those_that_fit(i, changes, count, fitting);
	r = change_kernel(i, nft, plan, fitting, n, false);
	if (r < 0) /* the sets were not as we knew them */
		r = change_kernel(i, nft, plan, fitting, n, true);
	for (size_t k = 0; k < n; k++)
		change_list(i, &fitting[k]);
	free(fitting);
	if (r < 0)
		return diag_errno(d, -r, "change the sets of the firewall's groups");
	return n == count ? 0
			  : diag_fail(d, ENOSPC, "the firewall knows who is behind %d pairs of addresses already",
				      GATE_IDENTITIES_MOST);
}

/* ---- are they as they should be? --------------------------------------------------------------------------------- */

static uint64_t element_sum(const char *set, const uint8_t *key, size_t n)
{
	return table_hash(key, n, table_hash(set, strlen(set), 1)) | 1;
}

struct summing {
	const struct identities *list;
	struct netlink *nft;
	uint64_t sum;
	int failed;
};

static void each_set(const struct plan *plan, struct summing *s,
		     void (*each)(struct summing *s, enum identity_set set, size_t group, int family))
{
	const struct plan_group *groups;
	size_t n = plan_groups(plan, &groups);

	for (int family = 4; plan_asks_who(plan) && family <= 6; family += 2) {
		each(s, IDENTITY_PROVEN, 0, family);
		for (size_t i = 0; i < n; i++) {
			if (groups[i].sure)
				each(s, IDENTITY_SURE, i, family);
			if (groups[i].maybe)
				each(s, IDENTITY_MAY, i, family);
		}
	}
}

static void sum_listed(struct summing *s, enum identity_set set, size_t group, int family)
{
	char name[IDENTITY_SET_NAME];

	(void)identity_set_name(set, group, family, name);
	for (size_t k = 0; k < s->list->count; k++) {
		const struct identity_row *row = s->list->rows[k];
		uint8_t key[32];
		size_t n = addr_octets(&row->local);

		if (row->local.family != family || !in_set(row->is, set, group))
			continue;
		memcpy(key, row->remote.octets, n);
		memcpy(key + n, row->local.octets, n);
		s->sum += element_sum(name, key, 2 * n);
	}
}

static void sum_element(void *context, const char *set, const uint8_t *key, size_t n)
{
	*(uint64_t *)context += element_sum(set, key, n);
}

static void sum_in_force(struct summing *s, enum identity_set set, size_t group, int family)
{
	char name[IDENTITY_SET_NAME];
	uint64_t before = s->sum;
	int r, tries = 0;

	do {
		s->sum = before;
		r = table_elements(s->nft, identity_set_name(set, group, family, name), sum_element, &s->sum);
	} while (r == -EINTR && ++tries < 5);
	if (r < 0)
		s->failed = r;
}

uint64_t identities_sum(const struct identities *i, const struct plan *plan)
{
	struct summing s = { .list = i };

	each_set(plan, &s, sum_listed);
	return s.sum;
}

int identities_sum_in_force(struct netlink *nft, const struct plan *plan, uint64_t *ret, struct diag *d)
{
	struct summing s = { .nft = nft };

	each_set(plan, &s, sum_in_force);
	if (s.failed == -ENOENT) /* a set is gone: as good as another sum */
		s.sum++;
	else if (s.failed)
		return diag_errno(d, -s.failed, "read the sets of the firewall's groups");
	*ret = s.sum;
	return 0;
}
