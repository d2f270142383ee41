#include "dataplane/xfrm/policies.h"

#include "base/diag.h"
#include "base/mem.h"
#include "dataplane/xfrm/convert.h"
#include "dataplane/xfrm/xfrm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INDEX_STEP 8u /* the lowest three bits say the direction */

void policies_init(struct policies *p, struct asker *a)
{
	*p = (struct policies){ .asker = a, .generation = WANTED_GENERATIONS, .next_end = UINT64_MAX };
}

void policies_wipe(struct policies *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->all[i]);
	free(p->all);
	table_wipe(&p->by_key);
	table_wipe(&p->by_index);
	*p = (struct policies){ 0 };
}

/* ---- the list ---- */

static bool same_key(const void *value, const void *what)
{
	return policy_key_compare(&((const struct standing *)value)->key, what) == 0;
}

static struct standing *find(const struct policies *p, const struct policy_key *k)
{
	return table_find(&p->by_key, policy_key_hash(k), same_key, k);
}

static struct standing *enter(struct policies *p, const struct policy_key *k, uint32_t index)
{
	struct standing *s = mem_new(1, sizeof *s);

	s->key = *k;
	s->index = index;
	s->place = p->count;
	p->all = mem_grow(p->all, p->count, &p->cap, sizeof(struct standing *));
	p->all[p->count++] = s;
	table_add(&p->by_key, policy_key_hash(k), s);
	table_add(&p->by_index, index, s);
	return s;
}

static void leave(struct policies *p, struct standing *s)
{
	table_remove(&p->by_key, policy_key_hash(&s->key), s);
	table_remove(&p->by_index, s->index, s);
	p->all[s->place] = p->all[--p->count];
	p->all[s->place]->place = s->place;
	free(s);
}

static uint32_t new_index(struct policies *p, uint8_t dir)
{
	uint32_t index;

	do {
		index = XFRM_INDEX_OURS | (p->next & ~XFRM_INDEX_MASK) | dir;
		p->next += INDEX_STEP;
	} while (table_find(&p->by_index, index, NULL, NULL));
	return index;
}

/* ---- in the kernel ---- */

struct work {
	struct policies *p;
	struct ask_batch batch;
	struct standing *about[ASK_MANY];
	bool removing[ASK_MANY];
	int r; /* the first failure of what is not a removal */
	struct policy_key failed;
};

static void flush(struct work *w)
{
	unsigned count = w->batch.count;
	int errors[ASK_MANY];

	ask_send(&w->batch, errors);
	for (unsigned i = 0; i < count; i++) {
		struct standing *s = w->about[i];

		if (w->removing[i]) { /* it may have ended by itself */
			leave(w->p, s);
			continue;
		}
		if (errors[i] == 0) {
			s->known = true;
			continue;
		}
		if (w->r == 0) {
			w->r = errors[i];
			w->failed = s->key;
		}
		if (!s->known)
			leave(w->p, s);
		else
			s->does = s->before;
	}
}

static void begin(struct work *w, struct policies *p)
{
	w->p = p;
	w->r = 0;
	ask_begin(&w->batch, p->asker);
}

static void queue(struct work *w, struct standing *s, const void *message, size_t len, bool removing)
{
	if (!ask_has_room(&w->batch))
		flush(w);
	w->about[w->batch.count] = s;
	w->removing[w->batch.count] = removing;
	ask_add(&w->batch, message, len);
}

/* s->does says how it is to be. change: it stands there. */
static void write_one(struct work *w, struct standing *s, bool change)
{
	_Alignas(8) uint8_t m[MESSAGE_MOST];

	queue(w, s, m, message_policy(m, sizeof m, &s->key, &s->does, s->index, change), false);
}

static void remove_one(struct work *w, struct standing *s)
{
	_Alignas(8) uint8_t m[MESSAGE_MOST];

	queue(w, s, m, message_policy_remove(m, sizeof m, &s->key, s->index), true);
}

static bool does_equal(const struct policy_does *a, const struct policy_does *b)
{
	return a->priority == b->priority && a->block == b->block && a->protects == b->protects &&
	       a->lifetime_s == b->lifetime_s && a->template.protocol == b->template.protocol &&
	       a->template.mode == b->template.mode && a->template.family == b->template.family &&
	       a->template.reqid == b->template.reqid && addr_equal(&a->template.from, &b->template.from) &&
	       addr_equal(&a->template.to, &b->template.to);
}

static int why(const struct work *w, struct diag *d)
{
	static const char *const directions[] = { "in", "out", "fwd" };
	const struct xfrm_selector *s = &w->failed.selector;
	struct addr from = convert_addr_back(&s->saddr, s->family), to = convert_addr_back(&s->daddr, s->family);
	char a[ADDR_TEXT], b[ADDR_TEXT];

	if (w->r == 0)
		return 0;
	if (w->r == -EEXIST)
		return diag_fail(
			d, EEXIST,
			"another program has an IPsec policy for the same traffic (ip xfrm policy: src %s/%u dst "
			"%s/%u dir %s); remove it, or use data-plane: userspace",
			addr_text(&from, a), s->prefixlen_s, addr_text(&to, b), s->prefixlen_d,
			directions[w->failed.dir % 3]);
	return diag_errno(d, -w->r, "the kernel does not take the IPsec policy %s/%u to %s/%u %s", addr_text(&from, a),
			  s->prefixlen_s, addr_text(&to, b), s->prefixlen_d, directions[w->failed.dir % 3]);
}

/* ---- what stood there before us ---- */

static void adopt_one(void *context, const struct message_in *m)
{
	struct policies *p = context;
	struct standing *s;

	if (m->kind != MESSAGE_POLICY || (m->index & XFRM_INDEX_MASK) != XFRM_INDEX_OURS || find(p, &m->key))
		return;
	s = enter(p, &m->key, m->index);
	s->does = m->does;
	s->known = true;
	if (m->does.priority > WANTED_GENERATION && m->does.priority / WANTED_GENERATION < p->generation)
		p->generation = m->does.priority / WANTED_GENERATION;
}

int policies_adopt(struct policies *p, struct diag *d)
{
	_Alignas(8) uint8_t m[MESSAGE_MOST];
	int r;

	for (unsigned tries = 0; tries < 3; tries++) {
		struct asker *a = p->asker;

		policies_wipe(p);
		policies_init(p, a);
		r = ask_list(a, m, message_policy_list(m, sizeof m), adopt_one, p);
		if (r != -EINTR)
			break;
	}
	return r < 0 ? diag_errno(d, -r, "list the kernel's IPsec policies") : 0;
}

/* ---- one plan for another ---- */

/* Everything to the end of the numbers, the last first, so that their order is the same at every moment. */
static int last_first(const void *a, const void *b)
{
	const struct standing *x = *(struct standing *const *)a, *y = *(struct standing *const *)b;

	return x->does.priority < y->does.priority ? 1 : x->does.priority > y->does.priority ? -1 : 0;
}

static void move_back(struct policies *p, struct work *w)
{
	struct standing **rows = mem_copy(p->all, p->count * sizeof(struct standing *));
	size_t count = p->count;
	uint32_t by = (WANTED_GENERATIONS - p->generation) * (uint32_t)WANTED_GENERATION;

	qsort(rows, count, sizeof(struct standing *), last_first);
	for (size_t i = 0; i < count; i++) {
		if (rows[i]->does.priority < WANTED_GENERATION)
			continue;
		rows[i]->before = rows[i]->does;
		rows[i]->does.priority += by;
		write_one(w, rows[i], true);
	}
	flush(w);
	free(rows);
	p->generation = WANTED_GENERATIONS;
}

static void put(struct work *w, const struct wanted *want, bool fresh)
{
	struct policies *p = w->p;
	struct standing *s = find(p, &want->key);
	struct policy_does does = want->does;
	bool change = s;

	if (!want->above)
		does.priority += p->generation * (uint32_t)WANTED_GENERATION;
	if (!s)
		s = enter(p, &want->key, new_index(p, want->key.dir));
	s->fresh = fresh;
	if (s->known && does_equal(&s->does, &does)) {
		s->before = s->does;
		return;
	}
	s->before = s->does;
	s->does = does;
	write_one(w, s, change);
}

/* What is new goes again, and what has changed is as it was. */
static void undo(struct policies *p, uint32_t generation)
{
	struct work w;

	begin(&w, p);
	for (size_t i = p->count; i-- > 0;) {
		struct standing *s = p->all[i];

		if (!s->fresh)
			continue;
		s->fresh = false;
		if (s->before.priority == 0)
			remove_one(&w, s);
		else if (!does_equal(&s->does, &s->before)) {
			s->does = s->before;
			write_one(&w, s, true);
		}
	}
	flush(&w);
	p->generation = generation;
}

static void forget_fresh(struct policies *p)
{
	for (size_t i = 0; i < p->count; i++) {
		p->all[i]->fresh = false;
		p->all[i]->before = (struct policy_does){ 0 };
	}
}

static void remove_stale(struct policies *p)
{
	struct standing **stale = mem_new(p->count + 1, sizeof(struct standing *));
	size_t count = 0;
	struct work w;

	for (size_t i = 0; i < p->count; i++)
		if (!p->all[i]->fresh)
			stale[count++] = p->all[i];
	begin(&w, p);
	for (size_t i = 0; i < count; i++)
		remove_one(&w, stale[i]);
	flush(&w);
	free(stale);
}

int policies_replace(struct policies *p, const struct wanted_list *l, struct diag *d)
{
	uint32_t generation = p->generation;
	struct work w;

	begin(&w, p);
	forget_fresh(p);
	if (p->generation <= 1) {
		move_back(p, &w);
		generation = p->generation;
	}
	p->generation--;
	for (size_t i = 0; i < l->count && w.r == 0; i++)
		put(&w, &l->rows[i], true);
	flush(&w);
	if (w.r < 0) {
		undo(p, generation);
		return why(&w, d);
	}
	remove_stale(p);
	forget_fresh(p);
	return 0;
}

int policies_remove_all(struct policies *p, struct diag *d)
{
	int r = policies_adopt(p, d);

	if (r < 0)
		return r;
	forget_fresh(p);
	remove_stale(p);
	return 0;
}

/* ---- what somebody else has done ---- */

static void note_there(void *context, const struct message_in *m)
{
	struct policies *p = context;
	struct standing *s = m->kind == MESSAGE_POLICY ? table_find(&p->by_index, m->index, NULL, NULL) : NULL;

	if (!s || policy_key_compare(&s->key, &m->key) != 0)
		return;
	s->there = does_equal(&s->does, &m->does);
	s->changed = !s->there;
}

int policies_mend(struct policies *p, uint64_t now_ms, size_t *ret_count, struct diag *d)
{
	_Alignas(8) uint8_t m[MESSAGE_MOST];
	int r = -EINTR;
	struct work w;

	for (unsigned tries = 0; r == -EINTR && tries < 3; tries++) {
		for (size_t i = 0; i < p->count; i++)
			p->all[i]->there = p->all[i]->changed = false;
		r = ask_list(p->asker, m, message_policy_list(m, sizeof m), note_there, p);
	}
	if (r < 0)
		return diag_errno(d, -r, "list the kernel's IPsec policies");
	begin(&w, p);
	for (size_t i = 0; i < p->count; i++) {
		struct standing *s = p->all[i];

		if (s->there || !s->known || (s->until_ms && s->until_ms <= now_ms))
			continue;
		s->before = s->does;
		write_one(&w, s, s->changed);
		(*ret_count)++;
	}
	flush(&w);
	return why(&w, d);
}

/* ---- in front ---- */

static bool drop_one(struct standing *s)
{
	return s->front && (s->uses == 0 || --s->uses == 0) && s->until_ms == 0;
}

void policies_drop_front(struct policies *p, const struct wanted_list *l)
{
	struct work w;

	begin(&w, p);
	for (size_t i = 0; i < l->count; i++) {
		struct standing *s = find(p, &l->rows[i].key);

		if (s && drop_one(s))
			remove_one(&w, s);
	}
	flush(&w);
}

int policies_add_front(struct policies *p, const struct wanted_list *l, uint64_t until_ms, struct diag *d)
{
	struct work w;

	begin(&w, p);
	for (size_t i = 0; i < l->count; i++) {
		struct standing *s;

		put(&w, &l->rows[i], false);
		if (!(s = find(p, &l->rows[i].key)))
			continue;
		s->front = true;
		if (until_ms) {
			s->until_ms = until_ms;
			if (until_ms < p->next_end)
				p->next_end = until_ms;
		} else
			s->uses++;
	}
	flush(&w);
	if (w.r < 0)
		policies_drop_front(p, l);
	return why(&w, d);
}

static bool is_between(const struct standing *s, const struct addr *local, const struct addr *remote)
{
	const struct xfrm_selector *sel = &s->key.selector;
	struct addr from = convert_addr_back(&sel->saddr, sel->family),
		    to = convert_addr_back(&sel->daddr, sel->family);

	if (!local || !remote)
		return true;
	return s->key.dir == XFRM_POLICY_OUT ? addr_equal(&from, local) && addr_equal(&to, remote)
					     : addr_equal(&from, remote) && addr_equal(&to, local);
}

void policies_end_clear(struct policies *p, uint64_t now_ms, const struct addr *local, const struct addr *remote)
{
	struct standing **over;
	size_t count = 0;
	struct work w;

	if (p->next_end == UINT64_MAX)
		return;
	over = mem_new(p->count + 1, sizeof(struct standing *));

	for (size_t i = 0; i < p->count; i++)
		if (p->all[i]->until_ms && p->all[i]->until_ms <= now_ms && is_between(p->all[i], local, remote))
			over[count++] = p->all[i];
	begin(&w, p);
	for (size_t i = 0; i < count; i++)
		remove_one(&w, over[i]);
	flush(&w);
	free(over);
	p->next_end = UINT64_MAX;
	for (size_t i = 0; i < p->count; i++)
		if (p->all[i]->until_ms && p->all[i]->until_ms < p->next_end)
			p->next_end = p->all[i]->until_ms;
}

static bool holds(const xfrm_address_t *prefix, unsigned kernel_family, unsigned bits, const struct addr_range *r)
{
	struct addr a = convert_addr_back(prefix, kernel_family);
	struct addr_range all;

	if (a.family != r->lo.family)
		return false;
	all = addr_prefix_range(&a, bits);
	return addr_range_has(&all, &r->lo) && addr_range_has(&all, &r->hi);
}

unsigned policies_depth(const struct policies *p, const struct sa_selector *s)
{
	struct addr_range locals = sa_selector_locals(s), remotes = sa_selector_remotes(s);
	unsigned depth = 0;

	for (size_t i = 0; i < p->count; i++) {
		const struct standing *row = p->all[i];
		const struct xfrm_selector *sel = &row->key.selector;

		if (row->key.dir == XFRM_POLICY_OUT && row->key.mark.m == 0 && sel->prefixlen_d > depth &&
		    holds(&sel->saddr, sel->family, sel->prefixlen_s, &locals) &&
		    holds(&sel->daddr, sel->family, sel->prefixlen_d, &remotes))
			depth = sel->prefixlen_d;
	}
	return depth;
}

void policies_touch(struct policies *p, uint32_t index)
{
	struct standing *s = table_find(&p->by_index, index, NULL, NULL);
	struct work w;

	if (!s || !s->known)
		return;
	begin(&w, p);
	s->before = s->does;
	write_one(&w, s, true);
	flush(&w);
}
