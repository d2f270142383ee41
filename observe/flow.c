#include "observe/flow.h"

#include "base/mem.h"
#include "base/table.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct remote;

struct kept {
	struct flow_row row; /* without the identity, which is the remote's */
	struct remote *remote;
	TAILQ_ENTRY(kept) entry;
	LIST_ENTRY(kept) of_remote;
};
TAILQ_HEAD(kept_list, kept);

/* Another host, also one that has proven itself and has no rows yet. */
struct remote {
	struct addr addr;
	char identity[EVENT_NAME];
	uint64_t last_ms[FLOW_OUTCOMES]; /* 0: never */
	LIST_HEAD(, kept) rows;
	TAILQ_ENTRY(remote) entry;
};
TAILQ_HEAD(remote_list, remote);

/* What of a pair's totals is in the rows already. */
struct pair {
	uint64_t number, packets_in, packets_out, octets_in, octets_out;
	unsigned pass;
};

struct flow_ledger {
	size_t most, count, remote_count, pair_count;
	struct table rows, remotes, pairs; /* rows by remote, rule and outcome */
	struct kept_list latest;           /* the latest first; so are the remotes */
	struct remote_list remotes_latest;
	uint64_t forgotten;
	unsigned pass;
};

const char *flow_outcome_name(enum flow_outcome o)
{
	static const char *const names[FLOW_OUTCOMES] = { [FLOW_ENCRYPTED] = "encrypted",
							  [FLOW_AUTHENTICATED] = "authenticated",
							  [FLOW_EXEMPT] = "clear",
							  [FLOW_CLEAR] = "clear",
							  [FLOW_BLOCKED] = "blocked" };

	return names[o];
}

struct flow_ledger *flow_ledger_new(size_t most)
{
	struct flow_ledger *l = mem_new(1, sizeof *l);

	assert(most > 0);
	l->most = most;
	TAILQ_INIT(&l->latest);
	TAILQ_INIT(&l->remotes_latest);
	return l;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static uint64_t remote_key(const struct addr *remote)
{
	return table_hash_secret(remote, sizeof *remote, 0);
}

static uint64_t row_key(const struct flow_row *r)
{
	return table_hash_secret(r->rule, strlen(r->rule), remote_key(&r->remote) + (uint64_t)r->outcome);
}

static bool same_row(const void *value, const void *what)
{
	const struct flow_row *a = &((const struct kept *)value)->row, *b = what;

	return a->outcome == b->outcome && addr_equal(&a->remote, &b->remote) && strcmp(a->rule, b->rule) == 0;
}

static bool same_remote(const void *value, const void *what)
{
	return addr_equal(&((const struct remote *)value)->addr, what);
}

static void drop_row(struct flow_ledger *l, struct kept *k)
{
	table_remove(&l->rows, row_key(&k->row), k);
	TAILQ_REMOVE(&l->latest, k, entry);
	LIST_REMOVE(k, of_remote);
	free(k);
	l->count--;
}

static void drop_remote(struct flow_ledger *l, struct remote *r)
{
	for (struct kept *k = LIST_FIRST(&r->rows), *next; k; k = next) {
		next = LIST_NEXT(k, of_remote);
		drop_row(l, k);
		l->forgotten++;
	}
	table_remove(&l->remotes, remote_key(&r->addr), r);
	TAILQ_REMOVE(&l->remotes_latest, r, entry);
	free(r);
	l->remote_count--;
}

static struct remote *remote_of(struct flow_ledger *l, const struct addr *a)
{
	struct remote *r = table_find(&l->remotes, remote_key(a), same_remote, a);

	if (r) {
		TAILQ_REMOVE(&l->remotes_latest, r, entry);
		TAILQ_INSERT_HEAD(&l->remotes_latest, r, entry);
		return r;
	}
	if (l->remote_count == l->most)
		drop_remote(l, TAILQ_LAST(&l->remotes_latest, remote_list));
	r = mem_new(1, sizeof *r);
	r->addr = *a;
	LIST_INIT(&r->rows);
	table_add(&l->remotes, remote_key(a), r);
	TAILQ_INSERT_HEAD(&l->remotes_latest, r, entry);
	l->remote_count++;
	return r;
}

static struct kept *row_of(struct flow_ledger *l, const struct flow_row *want, uint64_t now_ms)
{
	struct remote *r = remote_of(l, &want->remote);
	struct kept *k = table_find(&l->rows, row_key(want), same_row, want);

	if (k) {
		TAILQ_REMOVE(&l->latest, k, entry);
		TAILQ_INSERT_HEAD(&l->latest, k, entry);
		return k;
	}
	if (l->count == l->most) {
		drop_row(l, TAILQ_LAST(&l->latest, kept_list));
		l->forgotten++;
	}
	k = mem_new(1, sizeof *k);
	k->remote = r;
	k->row.remote = want->remote;
	k->row.outcome = want->outcome;
	(void)snprintf(k->row.rule, sizeof k->row.rule, "%s", want->rule);
	k->row.first_ms = now_ms;
	table_add(&l->rows, row_key(&k->row), k);
	LIST_INSERT_HEAD(&r->rows, k, of_remote);
	TAILQ_INSERT_HEAD(&l->latest, k, entry);
	l->count++;
	return k;
}

static void set_identity(struct remote *r, const char *identity)
{
	if (*identity)
		(void)snprintf(r->identity, sizeof r->identity, "%s", identity);
}

void flow_note(struct flow_ledger *l, const struct flow_row *add, uint64_t now_ms)
{
	struct kept *k;

	if (!add->remote.family)
		return;
	k = row_of(l, add, now_ms);
	set_identity(k->remote, add->identity);
	k->remote->last_ms[add->outcome] = now_ms;
	k->row.packets_in += add->packets_in;
	k->row.packets_out += add->packets_out;
	k->row.octets_in += add->octets_in;
	k->row.octets_out += add->octets_out;
	k->row.last_ms = now_ms;
}

const char *flow_identity(const struct flow_ledger *l, const struct addr *remote)
{
	const struct remote *r = table_find(&l->remotes, remote_key(remote), same_remote, remote);

	return r ? r->identity : "";
}

/* ---- SAs --------------------------------------------------------------------------------------------------------- */

static bool same_number(const void *value, const void *what)
{
	return ((const struct pair *)value)->number == *(const uint64_t *)what;
}

void flow_pass_begin(struct flow_ledger *l)
{
	l->pass++;
}

/* Totals that are less than before are of another SA with that number. */
static uint64_t since(uint64_t total, uint64_t before, bool anew)
{
	return anew ? total : total - before;
}

void flow_pass_pair(struct flow_ledger *l, uint64_t pair, const struct flow_row *total, uint64_t now_ms)
{
	struct pair *p = table_find(&l->pairs, pair, same_number, &pair);
	struct flow_row add = *total;
	bool anew;

	if (!p) {
		if (l->pair_count == FLOW_PAIRS_MOST)
			return;
		p = mem_new(1, sizeof *p);
		p->number = pair;
		table_add(&l->pairs, pair, p);
		l->pair_count++;
	}
	anew = total->packets_in < p->packets_in || total->packets_out < p->packets_out ||
	       total->octets_in < p->octets_in || total->octets_out < p->octets_out;
	add.packets_in = since(total->packets_in, p->packets_in, anew);
	add.packets_out = since(total->packets_out, p->packets_out, anew);
	add.octets_in = since(total->octets_in, p->octets_in, anew);
	add.octets_out = since(total->octets_out, p->octets_out, anew);
	*p = (struct pair){ pair, total->packets_in, total->packets_out, total->octets_in, total->octets_out, l->pass };
	if (add.packets_in || add.packets_out)
		flow_note(l, &add, now_ms);
}

struct stale {
	struct pair **list;
	size_t count, cap;
	unsigned pass;
};

static void find_stale(void *context, void *value)
{
	struct stale *s = context;
	struct pair *p = value;

	if (p->pass == s->pass)
		return;
	s->list = mem_grow(s->list, s->count, &s->cap, sizeof(struct pair *));
	s->list[s->count++] = p;
}

void flow_pass_end(struct flow_ledger *l)
{
	struct stale s = { .pass = l->pass };

	table_each(&l->pairs, find_stale, &s);
	for (size_t i = 0; i < s.count; i++) {
		table_remove(&l->pairs, s.list[i]->number, s.list[i]);
		free(s.list[i]);
		l->pair_count--;
	}
	free(s.list);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

void flow_event(struct flow_ledger *l, const struct event *e, uint64_t now_ms)
{
	struct flow_row add = { .remote = e->remote };
	uint64_t times = 1 + (uint64_t)e->left_out;

	(void)snprintf(add.rule, sizeof add.rule, "%s", e->rule);
	switch (e->id) {
	case EVENT_MAIN_MODE_UP:
		if (e->remote.family)
			set_identity(remote_of(l, &e->remote), e->peer);
		return;
	case EVENT_PACKET_DROPPED:
		add.outcome = FLOW_BLOCKED;
		break;
	case EVENT_CONNECTION_CLEAR:
		add.outcome = strcmp(e->reason, "exempt") == 0 ? FLOW_EXEMPT : FLOW_CLEAR;
		break;
	case EVENT_FALLBACK:
		add.outcome = FLOW_CLEAR;
		times = 0;
		break;
	default:
		return;
	}
	if (e->direction == EVENT_OUT)
		add.packets_out = times;
	else
		add.packets_in = times;
	flow_note(l, &add, now_ms);
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

size_t flow_rows(const struct flow_ledger *l, struct flow_row *rows, size_t cap)
{
	const struct kept *k;
	size_t n = 0;

	TAILQ_FOREACH(k, &l->latest, entry) {
		if (n == cap)
			break;
		rows[n] = k->row;
		(void)snprintf(rows[n].identity, sizeof rows[n].identity, "%s", k->remote->identity);
		n++;
	}
	return l->count;
}

uint64_t flow_forgotten(const struct flow_ledger *l)
{
	return l->forgotten;
}

void flow_peers(const struct flow_ledger *l, uint64_t since_ms, size_t ret[FLOW_OUTCOMES])
{
	const struct remote *r;

	memset(ret, 0, FLOW_OUTCOMES * sizeof *ret);
	TAILQ_FOREACH(r, &l->remotes_latest, entry)
		for (unsigned o = 0; o < FLOW_OUTCOMES; o++)
			ret[o] += r->last_ms[o] && r->last_ms[o] >= since_ms;
}

void flow_ledger_free(struct flow_ledger *l)
{
	struct remote *r;

	if (!l)
		return;
	l->pass++;
	flow_pass_end(l);
	while ((r = TAILQ_FIRST(&l->remotes_latest)))
		drop_remote(l, r);
	table_wipe(&l->rows);
	table_wipe(&l->remotes);
	table_wipe(&l->pairs);
	free(l);
}
