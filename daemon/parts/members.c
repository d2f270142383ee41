#include "daemon/parts/members.h"

#include "base/diag.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/table.h"
#include "daemon/messages/members_wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct row {
	LIST_ENTRY(row) entry;
	struct addr local, remote;
	uint32_t said;            /* by which keying: they are counted */
	struct membership *is;    /* that it said; NULL: nobody */
	struct membership *older; /* what holds besides: said by one before it; NULL: nothing */
};

struct members {
	struct members_config config;
	struct plan *plan;
	uint64_t plan_number;
	uint32_t groups;
	bool asks;
	struct table by; /* both addresses */
	LIST_HEAD(, row) all;
	uint32_t keyings;
};

struct members *members_new(const struct members_config *c)
{
	struct members *m = mem_new(1, sizeof *m);

	m->config = *c;
	LIST_INIT(&m->all);
	return m;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static uint64_t hash_of(const struct addr *local, const struct addr *remote)
{
	return table_hash_secret(remote->octets, sizeof remote->octets,
				 table_hash_secret(local->octets, sizeof local->octets, 0));
}

static bool same_hosts(const void *value, const void *what)
{
	const struct row *a = value;
	const struct members_row *b = what;

	return addr_equal(&a->remote, &b->remote) && addr_equal(&a->local, &b->local);
}

static void row_free(struct members *m, struct row *r)
{
	table_remove(&m->by, hash_of(&r->local, &r->remote), r);
	LIST_REMOVE(r, entry);
	membership_free(r->is);
	membership_free(r->older);
	free(r);
}

static struct row *row_new(struct members *m, const struct members_row *of)
{
	struct row *r = mem_new(1, sizeof *r);

	r->local = of->local;
	r->remote = of->remote;
	r->said = m->keyings;
	table_add(&m->by, hash_of(&r->local, &r->remote), r);
	LIST_INSERT_HEAD(&m->all, r, entry);
	return r;
}

/* NULL: nobody. */
static struct membership *effective(const struct row *r)
{
	struct membership *all = r->is ? membership_copy(r->is) : r->older ? membership_copy(r->older) : NULL;

	if (r->is && r->older)
		membership_meet(all, r->older);
	return all;
}

static struct membership *unsure(uint32_t groups)
{
	struct membership *is = membership_new(groups);

	for (size_t i = 0; i < groups; i++)
		membership_put(is, i, MEMBER_MAYBE);
	return is;
}

/* What the row comes to by what was said. */
static void take(struct members *m, struct row *r, const struct members_row *said)
{
	if (r->said != m->keyings) {
		struct membership *before = effective(r);

		membership_free(r->older);
		r->older = before;
		r->said = m->keyings;
	}
	if (!said->inherited)
		membership_free(TAKE(r->older));
	membership_free(r->is);
	r->is = said->there ? membership_copy(said->is) : NULL;
}

/* ---- what keying says -------------------------------------------------------------------------------------------- */

struct batch {
	struct gate_identity changes[MEMBERS_AT_ONCE];
	struct membership *is[MEMBERS_AT_ONCE];
	size_t count;
	int failed;
};

static void batch_run(struct members *m, struct batch *b, struct diag *d)
{
	int r = b->count ? gate_identify(m->config.gate, b->changes, b->count, d) : 0;

	for (size_t i = 0; i < b->count; i++)
		membership_free(b->is[i]);
	b->count = 0;
	if (r < 0 && !b->failed)
		b->failed = r;
}

static void batch_add(struct members *m, struct batch *b, const struct row *r, struct diag *d)
{
	if (b->count == MEMBERS_AT_ONCE)
		batch_run(m, b, d);
	b->is[b->count] = effective(r);
	b->changes[b->count] = (struct gate_identity){ r->local, r->remote, b->is[b->count] };
	b->count++;
}

static void change(struct members *m, const struct members_row *said, struct batch *b, struct diag *d)
{
	struct row *r = table_find(&m->by, hash_of(&said->local, &said->remote), same_hosts, said);

	if (!r && !said->there)
		return;
	if (!r &&
	    (m->by.count >= GATE_IDENTITIES_MOST || !m->config.may(m->config.context, &said->local, &said->remote))) {
		b->failed = diag_fail(d, EPERM, "keying speaks of two hosts that no rule protects, or of too many");
		return;
	}
	if (!r)
		r = row_new(m, said);
	take(m, r, said);
	batch_add(m, b, r, d);
	if (!r->is && !r->older)
		row_free(m, r);
}

int members_told(struct members *m, struct wire_in *body, uint64_t *ret_request, bool *ret_done, struct diag *d)
{
	SCOPED(membership_freep) struct membership *is = NULL, *nobody = NULL;
	static struct batch b; /* one thread, and large */
	struct members_head head;

	members_head_get(body, &head);
	is = membership_new(head.groups);
	nobody = unsure(m->groups);
	b.count = 0;
	b.failed = 0;
	while (body->left && !body->failed) {
		struct members_row said;

		members_row_get(body, is, &said);
		if (body->failed)
			break;
		/* Of another plan the numbers mean other groups; what it says under this one follows. */
		if (said.there && (head.plan != m->plan_number || head.groups != m->groups))
			said.is = nobody;
		if (m->asks)
			change(m, &said, &b, d);
	}
	batch_run(m, &b, d);
	if (!wire_done(body))
		return -EPROTO;
	*ret_request = head.request;
	*ret_done = b.failed == 0;
	return 0;
}

static size_t add_groups(const struct members *m, const struct membership *is, bool excepted, const char *words,
			 char *to, size_t cap)
{
	const struct plan_group *groups;
	size_t n = plan_groups(m->plan, &groups), len = 0;

	for (size_t i = 0; i < n && i < is->count && len < cap; i++) {
		enum member one = membership_get(is, i);

		if (excepted ? groups[i].maybe && one != MEMBER_NO : groups[i].sure && one != MEMBER_YES)
			len += (size_t)snprintf(to + len, cap - len, "%s%s", len ? ", " : words, groups[i].group->name);
	}
	return len < cap ? len : cap - 1;
}

bool members_lack(const struct members *m, const struct addr *local, const struct addr *remote, char *ret, size_t cap)
{
	const struct row *r = table_find(&m->by, hash_of(local, remote), same_hosts,
					 &(struct members_row){ .local = *local, .remote = *remote });
	SCOPED(membership_freep) struct membership *is = r ? effective(r) : NULL;
	size_t len = 0;

	*ret = '\0';
	if (!is)
		return false;
	len = add_groups(m, is, false, "is not known to be in: ", ret, cap);
	len += add_groups(m, is, true,
			  len ? ", and is, or may be, in what is excepted: " : "is, or may be, in what is excepted: ",
			  ret + len, cap - len);
	return len > 0;
}

/* ---- other plans, other keyings ---------------------------------------------------------------------------------- */

static void renumber(struct membership **is, const uint32_t *from, uint32_t groups)
{
	struct membership *old = *is;

	if (!old)
		return;
	*is = membership_renumbered(old, from, groups);
	membership_free(old);
}

/* As the gate has done with the same plan. */
void members_set_plan(struct members *m, uint64_t number, struct plan *plan)
{
	struct plan *before = m->plan;
	const struct plan_group *groups;
	struct row *r;

	m->plan = plan_ref(plan);
	m->plan_number = number;
	m->groups = (uint32_t)plan_groups(plan, &groups);
	m->asks = plan_asks_who(plan);
	if (before && m->asks) {
		uint32_t *from = groups_renumber(plan, before);

		LIST_FOREACH(r, &m->all, entry) {
			renumber(&r->is, from, m->groups);
			renumber(&r->older, from, m->groups);
		}
		free(from);
	}
	while (!m->asks && (r = LIST_FIRST(&m->all)))
		row_free(m, r);
	plan_free(before);
}

void members_keying_came(struct members *m)
{
	m->keyings++;
}

void members_forget_stale(struct members *m)
{
	static struct batch b;
	struct row *r, *next;
	struct diag d = { 0 };

	b.count = 0;
	b.failed = 0;
	for (r = LIST_FIRST(&m->all); r; r = next) {
		next = LIST_NEXT(r, entry);
		if (r->said == m->keyings)
			continue;
		membership_free(TAKE(r->is));
		membership_free(TAKE(r->older));
		batch_add(m, &b, r, &d);
		row_free(m, r);
	}
	batch_run(m, &b, &d);
	if (b.failed)
		log_warning("who is behind which addresses: %s", d.text);
}

void members_free(struct members *m)
{
	struct row *r;

	if (!m)
		return;
	gate_forget_identities(m->config.gate);
	while ((r = LIST_FIRST(&m->all)))
		row_free(m, r);
	table_wipe(&m->by);
	plan_free(m->plan);
	free(m);
}
