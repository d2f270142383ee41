#include "dataplane/esp/crew.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/table.h"
#include "dataplane/esp/crew_inside.h"
#include "dataplane/esp/plane.h"
#include "observe/event.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	STACK = 1024 * 1024,
	TOO_BIG_EACH_S = 500, /* ICMP errors that all are told; anybody can send them */
};

static struct crew *crew_of(struct sad *s)
{
	return (struct crew *)(void *)s;
}

static const struct crew *crew_in(const struct sad *s)
{
	return (const struct crew *)(const void *)s;
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

struct event_letter {
	struct letter letter;
	const struct member *from;
	struct sad_event event;
	struct plan *plan; /* keeps event.entry alive */
	struct diag why;
	char rule[EVENT_NAME]; /* that of its plan may be gone when this is read */
};

/* Each has kept to this limit already: a forger finds them all, and is told as if there were one. */
static void tell_drop(struct crew *c, const struct sad_event *e)
{
	const uint64_t key = table_hash_secret(&e->packet.remote, sizeof e->packet.remote, (uint64_t)e->drop);
	struct sad_event told = *e;

	if (limit_take_after(&c->drops_told, key, c->all.now_ms(c->all.context), e->left_out, &told.left_out))
		c->all.event(c->all.context, &told);
}

/* In the caller's thread. The halves of a pair may be with two: a tunnel's, or one whose peer was moved by a NAT. */
static void tell(struct crew *c, const struct member *from, const struct sad_event *e)
{
	if (e->kind == SAD_EXPIRE_HARD)
		crew_forget_pair(c, from, e->pair);
	if (e->kind == SAD_DROPPED)
		tell_drop(c, e);
	else
		c->all.event(c->all.context, e);
}

static void open_event(void *reader, struct letter *l)
{
	struct event_letter *e = (struct event_letter *)l;
	struct member *own = reader;

	if (own) {
		crew_rest(own);
		tell(own->crew, e->from, &e->event);
	}
	plan_free(e->plan);
	free(e);
}

static void heard(void *context, const struct sad_event *e)
{
	const struct member *m = context;
	struct event_letter *l;

	if (m->index == 0) {
		tell(m->crew, m, e);
		return;
	}
	l = mem_new(1, sizeof *l);
	*l = (struct event_letter){ .letter = { .open = open_event }, .from = m, .event = *e };
	if (e->why) {
		l->why = *e->why;
		l->event.why = &l->why;
	}
	if (e->rule) {
		(void)snprintf(l->rule, sizeof l->rule, "%s", e->rule);
		l->event.rule = l->rule;
	}
	if (e->entry)
		l->plan = plan_ref(m->sad->plan);
	(void)mailbox_post(&m->crew->members[0].box, &l->letter);
}

static uint64_t now_ms(void *context)
{
	const struct member *m = context;

	return m->crew->all.now_ms(m->crew->all.context);
}

/* ---- packets that are another's ---------------------------------------------------------------------------------- */

struct passed_letter {
	struct letter letter;
	uint8_t offload[OFFLOAD_HEADER];
	uint64_t since_ms;
	size_t len;
	uint8_t packet[];
};

static void open_passed(void *reader, struct letter *l)
{
	struct passed_letter *p = (struct passed_letter *)l;
	struct member *m = reader;

	if (m) {
		if (!m->at_packets)
			plane_enter(m->sad);
		m->at_packets = true;
		if (p->letter.kind == LETTER_IN)
			plane_receive(m->sad, p->packet, p->len);
		else
			plane_send_since(m->sad, p->offload, p->packet, p->len, p->since_ms);
	}
	free(p);
}

/* Packets that come one after the other are one call of the plane, which ends before it is asked anything else. */
void crew_rest(struct member *m)
{
	if (!m->at_packets)
		return;
	m->at_packets = false;
	plane_leave(m->sad);
}

static void read_box(struct member *m)
{
	mailbox_read(&m->box, m);
	crew_rest(m);
}

static bool is_behind(void *context)
{
	const struct member *m = context;

	return m->plans != atomic_load(&m->crew->plans);
}

static bool pass(void *context, unsigned to, const struct plane_passed *p)
{
	const struct member *m = context;
	struct passed_letter *l = mem_new(1, sizeof *l + p->len);

	*l = (struct passed_letter){ .letter = { .open = open_passed, .octets = sizeof *l + p->len },
				     .since_ms = p->since_ms,
				     .len = p->len };
	l->letter.kind = !p->offload ? LETTER_IN : p->unruled ? LETTER_UNRULED : LETTER_OUT;
	if (p->offload)
		memcpy(l->offload, p->offload, sizeof l->offload);
	memcpy(l->packet, p->packet, p->len);
	return mailbox_post(&m->crew->members[to].box, &l->letter);
}

/* ---- in any thread ----------------------------------------------------------------------------------------------- */

struct quote_letter {
	struct letter letter;
	struct addr remote;
	uint32_t mtu;
	size_t len;
	uint8_t quote[];
};

static void open_quote(void *reader, struct letter *l)
{
	struct quote_letter *q = (struct quote_letter *)l;
	struct member *m = reader;

	if (m)
		esp_encapsulated_too_big(m->sad, &q->remote, q->quote, q->len, q->mtu);
	free(q);
}

/* Whoever is not heard sends again, and is told again. */
static bool may_tell_too_big(struct crew *c)
{
	static const struct limit_rate rate = { TOO_BIG_EACH_S, TOO_BIG_EACH_S };
	bool may;

	(void)pthread_mutex_lock(&c->too_big_lock);
	may = limit_bucket_take(&c->too_big, &rate, c->all.now_ms(c->all.context));
	(void)pthread_mutex_unlock(&c->too_big_lock);
	return may;
}

void crew_too_big(struct sad *crew, const struct addr *remote, const uint8_t *quote, size_t len, uint32_t mtu)
{
	struct crew *c = crew_of(crew);

	if (!may_tell_too_big(c))
		return;
	for (unsigned i = 0; i < c->count; i++) {
		struct quote_letter *q = mem_new(1, sizeof *q + len);

		*q = (struct quote_letter){
			.letter = { .open = open_quote, .kind = LETTER_NEWS, .octets = sizeof *q + len },
			.remote = *remote,
			.mtu = mtu,
			.len = len
		};
		memcpy(q->quote, quote, len);
		(void)mailbox_post(&c->members[i].box, &q->letter);
	}
}

struct note_letter {
	struct letter letter;
	void (*read)(void *context, const void *octets, size_t len);
	void *context;
	size_t len;
	uint8_t octets[];
};

static void open_note(void *reader, struct letter *l)
{
	struct note_letter *n = (struct note_letter *)l;

	if (reader) {
		crew_rest(reader);
		n->read(n->context, n->octets, n->len);
	}
	free(n);
}

void crew_tell(struct sad *crew, void (*read)(void *context, const void *octets, size_t len), void *context,
	       const void *octets, size_t len)
{
	struct note_letter *n = mem_new(1, sizeof *n + len);

	*n = (struct note_letter){ .letter = { .open = open_note, .kind = LETTER_NEWS, .octets = sizeof *n + len },
				   .read = read,
				   .context = context,
				   .len = len };
	memcpy(n->octets, octets, len);
	(void)mailbox_post(&crew_of(crew)->members[0].box, &n->letter);
}

/* ---- a thread's life --------------------------------------------------------------------------------------------- */

/* Rounded up, so that it is not woken too early again and again. */
static int until(const struct member *m)
{
	uint64_t next = esp_deadline(m->sad), now = now_ms((void *)(uintptr_t)m);

	if (next == UINT64_MAX)
		return -1;
	return next <= now ? 0 : next - now > INT32_MAX ? INT32_MAX : (int)(next - now);
}

static void *work(void *context)
{
	struct member *m = context;
	char name[16];

	(void)snprintf(name, sizeof name, "worker-%u", m->index + 1);
	(void)pthread_setname_np(pthread_self(), name);
	while (!m->stops) {
		struct pollfd fds[] = { { .fd = m->box.fd, .events = POLLIN },
					{ .fd = esp_fd(m->sad), .events = POLLIN },
					{ .fd = m->polled[0], .events = POLLIN },
					{ .fd = m->polled[1], .events = POLLIN } };

		if (poll(fds, ARRAY_LEN(fds), until(m)) < 0)
			continue;
		if (fds[0].revents)
			read_box(m);
		if (fds[1].revents)
			esp_readable(m->sad);
		for (unsigned i = 0; i < 2; i++)
			if (fds[2 + i].revents)
				m->crew->datagrams(m->crew->datagrams_context, (struct sad *)(void *)m->crew, m->index,
						   i, m->sad);
		if (now_ms(m) >= esp_deadline(m->sad))
			esp_tick(m->sad);
	}
	return NULL;
}

/* Signals are for the caller's thread, but the one that says which system call of this one was forbidden. */
static int begin(struct member *m, struct diag *d)
{
	pthread_attr_t how;
	sigset_t all, before;
	int r;

	(void)sigfillset(&all);
	(void)sigdelset(&all, SIGSYS);
	(void)pthread_attr_init(&how);
	(void)pthread_attr_setstacksize(&how, STACK);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&m->thread, &how, work, m);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void)pthread_attr_destroy(&how);
	m->runs = r == 0;
	return r ? diag_errno(d, r, "begin a thread") : 0;
}

void crew_free(struct sad *s)
{
	struct crew *c = crew_of(s);

	for (unsigned i = 1; i < c->count; i++)
		if (c->members[i].runs) {
			crew_stop(&c->members[i]);
			(void)pthread_join(c->members[i].thread, NULL);
		}
	for (unsigned i = 0; i < c->count; i++)
		if (c->members[i].sad)
			sad_free(c->members[i].sad);
	for (unsigned i = 0; i < c->count; i++)
		mailbox_wipe(&c->members[i].box);
	(void)pthread_mutex_destroy(&c->too_big_lock);
	free(c);
}

static int join(struct crew *c, const struct crew_config *config, unsigned i, struct diag *d)
{
	const struct crew_member *given = &config->members[i];
	struct esp_config plane = config->all;
	struct member *m = &c->members[i];
	int r;

	m->crew = c;
	m->index = i;
	memcpy(m->polled, given->polled, sizeof m->polled);
	plane.fds = given->fds;
	memcpy(plane.nat, given->nat, sizeof plane.nat);
	plane.event = heard;
	plane.now_ms = now_ms;
	plane.context = m;
	plane.share = (struct share){ .index = i, .count = config->count };
	plane.pass = pass;
	plane.is_behind = is_behind;
	if ((r = mailbox_init(&m->box, d)) < 0) {
		esp_fds_close(given->fds);
		return r;
	}
	return esp_new(&plane, &m->sad, d);
}

int crew_new(const struct crew_config *config, struct sad **ret, struct diag *d)
{
	struct crew *c = mem_new(1, sizeof *c);
	int r = 0;

	c->head.ops = &crew_ops;
	c->all = config->all;
	c->count = config->count;
	c->datagrams = config->datagrams;
	c->datagrams_context = config->datagrams_context;
	plane_limit_drops(&c->drops_told);
	(void)pthread_mutex_init(&c->too_big_lock, NULL);
	for (unsigned i = 0; i < c->count; i++)
		c->members[i].box.fd = -1;
	for (unsigned i = 0; i < c->count; i++) {
		int failed = join(c, config, i, r < 0 ? NULL : d);

		if (r == 0)
			r = failed;
	}
	for (unsigned i = 1; i < c->count && r == 0; i++)
		r = begin(&c->members[i], d);
	if (r < 0) {
		crew_free((struct sad *)(void *)c);
		return r;
	}
	*ret = (struct sad *)(void *)c;
	return 0;
}

struct sad *crew_own(const struct sad *crew)
{
	return crew_in(crew)->members[0].sad;
}

int crew_fd(const struct sad *crew)
{
	return crew_in(crew)->members[0].box.fd;
}

void crew_read(struct sad *crew)
{
	read_box(&crew_of(crew)->members[0]);
}
