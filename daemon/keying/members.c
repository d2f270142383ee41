#include "daemon/keying/members.h"

#include "base/mem.h"
#include "base/table.h"
#include "daemon/messages/members_wire.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* Two hosts that SAs are between. */
struct hosts {
	struct addr local, remote;
	LIST_HEAD(claim_list, claim) claims;
	size_t orphans;
	bool known; /* the parent has answered, or will, to what follows: */
	bool said_there, said_inherited;
	struct membership *said_is; /* NULL: nobody */
	uint64_t said;              /* the request that told it */
	bool changed;
	TAILQ_ENTRY(hosts) entry; /* of those that changed */
};

/* One SA, and whom it stands for. */
struct claim {
	LIST_ENTRY(claim) entry;
	struct hosts *hosts;
	struct membership *is;
};

/* An inbound half that waits. */
struct held {
	TAILQ_ENTRY(held) entry;
	struct hosts *hosts;
	struct plan *plan; /* the spec's rule is of it */
	struct sa_spec spec;
	uint64_t request;
	uint64_t after; /* the answer that it waits for */
};

#define NOT_ASKED UINT64_MAX

struct members {
	struct members_calls calls;
	struct plan *plan;
	uint64_t plan_number;
	bool asks;
	uint32_t groups;
	struct table claims, hosts; /* by an SA's pair; by both addresses */
	TAILQ_HEAD(hosts_list, hosts) changed;
	TAILQ_HEAD(held_list, held) held;
	uint64_t asked, answered; /* requests; the parent answers in order */
};

struct members *members_new(const struct members_calls *calls)
{
	struct members *m = mem_new(1, sizeof *m);

	m->calls = *calls;
	TAILQ_INIT(&m->changed);
	TAILQ_INIT(&m->held);
	return m;
}

/* ---- hosts ------------------------------------------------------------------------------------------------------- */

static bool same_hosts(const void *value, const void *what)
{
	const struct hosts *a = value, *b = what;

	return addr_equal(&a->remote, &b->remote) && addr_equal(&a->local, &b->local);
}

static uint64_t hosts_hash(const struct hosts *h)
{
	return table_hash_secret(h->remote.octets, sizeof h->remote.octets,
				 table_hash_secret(h->local.octets, sizeof h->local.octets, 0));
}

static struct hosts *hosts_of(struct members *m, const struct sa_selector *s)
{
	struct hosts key = { .local = s->local, .remote = s->remote };
	struct hosts *h = table_find(&m->hosts, hosts_hash(&key), same_hosts, &key);

	if (!h) {
		h = mem_copy(&key, sizeof key);
		LIST_INIT(&h->claims);
		table_add(&m->hosts, hosts_hash(h), h);
	}
	return h;
}

static void mark_changed(struct members *m, struct hosts *h)
{
	if (h->changed)
		return;
	h->changed = true;
	TAILQ_INSERT_TAIL(&m->changed, h, entry);
}

static void hosts_free(struct members *m, struct hosts *h)
{
	table_remove(&m->hosts, hosts_hash(h), h);
	if (h->changed)
		TAILQ_REMOVE(&m->changed, h, entry);
	membership_free(h->said_is);
	free(h);
}

/* What all its SAs together come to; NULL: there are none. */
static struct membership *together(const struct hosts *h)
{
	const struct claim *c = LIST_FIRST(&h->claims);
	struct membership *all = c ? membership_copy(c->is) : NULL;

	while (c && (c = LIST_NEXT(c, entry)))
		membership_meet(all, c->is);
	return all;
}

/* ---- SAs --------------------------------------------------------------------------------------------------------- */

static void held_drop(struct members *m, struct held *h)
{
	TAILQ_REMOVE(&m->held, h, entry);
	plan_free(h->plan);
	explicit_bzero(h, sizeof *h); /* keys */
	free(h);
}

static void claim_drop(struct members *m, uint64_t pair, struct claim *c)
{
	table_remove(&m->claims, pair, c);
	LIST_REMOVE(c, entry);
	membership_free(c->is);
	free(c);
}

bool members_hold(struct members *m, const struct sa_spec *spec, uint64_t request, const struct membership *is)
{
	struct claim *c;
	struct held *held;
	struct hosts *h;

	if (!m->asks || !is || is->count != m->groups || !spec->inbound)
		return false;
	h = hosts_of(m, &spec->selector);
	(void)members_gone(m, spec->pair);
	c = mem_new(1, sizeof *c);
	*c = (struct claim){ .hosts = h, .is = membership_copy(is) };
	LIST_INSERT_HEAD(&h->claims, c, entry);
	table_add(&m->claims, spec->pair, c);
	mark_changed(m, h);
	held = mem_new(1, sizeof *held);
	held->hosts = h;
	held->plan = plan_ref(m->plan);
	held->spec = *spec;
	held->request = request;
	held->after = NOT_ASKED;
	TAILQ_INSERT_TAIL(&m->held, held, entry);
	return true;
}

void members_set(struct members *m, uint64_t pair, const struct membership *is)
{
	struct claim *c = table_find(&m->claims, pair, NULL, NULL);

	if (!c || !is || is->count != m->groups)
		return;
	membership_free(c->is);
	c->is = membership_copy(is);
	mark_changed(m, c->hosts);
}

uint32_t members_gone(struct members *m, uint64_t pair)
{
	struct claim *c = table_find(&m->claims, pair, NULL, NULL);
	struct held *held;
	uint32_t spi = 0;

	if (!c)
		return 0;
	TAILQ_FOREACH(held, &m->held, entry)
		if (held->spec.pair == pair)
			break;
	if (held) {
		spi = held->spec.spi;
		held_drop(m, held);
	}
	mark_changed(m, c->hosts);
	claim_drop(m, pair, c);
	return spi;
}

void members_orphan(struct members *m, const struct sa_selector *s, bool there)
{
	struct hosts *h;

	if (s->local_last.family || s->remote_last.family)
		return; /* nobody alone is behind it */
	h = hosts_of(m, s);
	if (!there && !h->orphans)
		return;
	h->orphans = there ? h->orphans + 1 : h->orphans - 1;
	mark_changed(m, h);
}

/* An SA of before that nobody has judged yet under this plan, or that it did not ask about. */
static void unsure(void *context, void *value)
{
	const struct members *m = context;
	struct claim *c = value;
	struct membership *is = membership_new(m->groups);

	for (size_t i = 0; i < m->groups; i++)
		membership_put(is, i, MEMBER_MAYBE);
	membership_free(c->is);
	c->is = is;
}

static void tell_anew(void *context, void *value)
{
	struct hosts *h = value;

	h->known = false;
	mark_changed(context, h);
}

void members_plan(struct members *m, uint64_t number, const struct plan *plan)
{
	const struct plan_group *groups;
	struct plan *before = m->plan;

	m->plan = plan_ref(plan);
	plan_free(before);
	m->plan_number = number;
	m->asks = plan_asks_who(plan);
	m->groups = (uint32_t)plan_groups(plan, &groups);
	table_each(&m->claims, unsure, m);
	table_each(&m->hosts, tell_anew, m);
}

/* ---- the parent -------------------------------------------------------------------------------------------------- */

static void put_row(const struct members *m, struct wire_out **out, const struct members_row *r)
{
	if (*out && (*out)->len + MEMBERS_ROW_MOST > MEMBERS_MOST) {
		m->calls.end(m->calls.context);
		*out = NULL;
	}
	if (!*out) {
		*out = m->calls.begin(m->calls.context);
		members_head_put(*out, &(struct members_head){ m->plan_number, m->asked, m->groups });
	}
	members_row_put(*out, r);
}

/* False: the parent knows it already. */
static bool is_news(const struct hosts *h, const struct membership *is)
{
	if (!h->known)
		return is || h->said || h->orphans || h->said_inherited;
	return (is != NULL) != h->said_there || (h->orphans > 0) != h->said_inherited ||
	       (is && !membership_equal(is, h->said_is));
}

static void tell(struct members *m, struct hosts *h, struct wire_out **out)
{
	struct membership *is = together(h);

	if (!m->asks || !is_news(h, is)) {
		membership_free(is);
		return;
	}
	if (!*out || (*out)->len + MEMBERS_ROW_MOST > MEMBERS_MOST)
		m->asked++;
	put_row(m, out, &(struct members_row){ h->local, h->remote, is != NULL, h->orphans > 0, is });
	membership_free(h->said_is);
	h->said_is = is;
	h->said_there = is != NULL;
	h->said_inherited = h->orphans > 0;
	h->said = m->asked;
	h->known = true;
}

/* Those whose answer is there. One that is installed may bring others to an end. */
static struct held *first_answered(const struct members *m)
{
	struct held *held;

	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was dropped is not in the queue any more */
	for (held = TAILQ_FIRST(&m->held); held && held->after > m->answered; held = TAILQ_NEXT(held, entry))
		;
	return held;
}

static void release(struct members *m)
{
	for (struct held *held; (held = first_answered(m));) {
		struct sa_spec spec = held->spec;
		struct plan *plan = plan_ref(held->plan);
		uint64_t request = held->request;

		held_drop(m, held);
		m->calls.install(m->calls.context, &spec, request);
		explicit_bzero(&spec, sizeof spec);
		plan_free(plan);
	}
}

void members_flush(struct members *m)
{
	struct wire_out *out = NULL;
	struct hosts *h;
	struct held *held;

	if (TAILQ_EMPTY(&m->changed))
		return;
	TAILQ_FOREACH(h, &m->changed, entry)
		tell(m, h, &out);
	if (out)
		m->calls.end(m->calls.context);
	TAILQ_FOREACH(held, &m->held, entry)
		if (held->hosts->changed)
			held->after = m->asks ? held->hosts->said : 0;
	while ((h = TAILQ_FIRST(&m->changed))) {
		TAILQ_REMOVE(&m->changed, h, entry);
		h->changed = false;
		if (LIST_EMPTY(&h->claims) && !h->orphans)
			hosts_free(m, h);
	}
	release(m);
}

static void doubt(void *context, void *value)
{
	struct hosts *h = value;

	if (h->said == *(const uint64_t *)context)
		h->known = false;
}

void members_answered(struct members *m, uint64_t request, bool done)
{
	struct held *held, *next;

	if (request > m->asked || request <= m->answered)
		return; /* nobody asked */
	if (!done) {
		table_each(&m->hosts, doubt, &request);
		for (held = TAILQ_FIRST(&m->held); held; held = next) {
			next = TAILQ_NEXT(held, entry);
			if (held->after != request)
				continue;
			uint64_t failed = held->request;

			held_drop(m, held);
			m->calls.failed(m->calls.context, failed);
		}
	}
	m->answered = request;
	release(m);
}

void members_free(struct members *m)
{
	struct held *held, *next;
	struct claim *c;
	struct hosts *h;
	uint64_t key;

	if (!m)
		return;
	for (held = TAILQ_FIRST(&m->held); held; held = next) {
		next = TAILQ_NEXT(held, entry);
		held_drop(m, held);
	}
	while ((c = table_any(&m->claims, &key)))
		claim_drop(m, key, c);
	while ((h = table_any(&m->hosts, &key)))
		hosts_free(m, h);
	table_wipe(&m->claims);
	table_wipe(&m->hosts);
	plan_free(m->plan);
	free(m);
}
