#include "daemon/process/children.h"

#include "base/diag.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/process/child.h"
#include "daemon/process/deaths.h"
#include "observe/event.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef CORDON_LIBEXEC
#define CORDON_LIBEXEC "/usr/libexec/cordon"
#endif

enum { PATH_TEXT = 4096 };

struct child {
	struct children *all;
	const struct child_part *part;
	uv_process_t process;
	uv_timer_t timer; /* to be ready; to be started again; to have ended */
	struct channel *channel;
	pid_t pid;
	bool ready, ending, timer_open;
	bool netlink; /* as it was started */
	unsigned restarts, in_a_row;
	struct deaths deaths;
	uint64_t since_ms, ready_ms, started_ms, next_ms; /* ready_ms 0: it was not since it was started */
	char path[PATH_TEXT];
	char why[CHILD_END_TEXT];   /* why we ended it; empty: we did not */
	char ended[CHILD_END_TEXT]; /* in words */
	char lacks[SANDBOX_TEXT];   /* likewise: what its cage does */
	bool misbehaved, was_forbidden;
	unsigned silent;                  /* pings without an answer */
	bool has_work;                    /* that may take long; it answers when it is done */
	unsigned work_pings;              /* answers until then */
	unsigned work_turns;              /* pings since it was given */
	uint64_t work_cpu_ms;             /* of its processor's time, when it was last looked at */
	uint32_t forbidden;               /* the system call */
	ask_handler *handlers[ASK_COUNT]; /* the part's, and our own */
};

struct children {
	struct children_config config;
	struct child child[ROLE_COUNT];
	uv_timer_t ping;
	bool closing;
	unsigned open_handles;
};

static uint64_t child_cpu_ms(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) < 0)
		return 0;
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static uint64_t unix_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

struct channel *children_channel(const struct children *c, enum role role)
{
	return c && c->child[role].ready && !c->child[role].ending ? c->child[role].channel : NULL;
}

struct channel *children_wait(struct children *c, enum role role, unsigned ms)
{
	struct child *k = c ? &c->child[role] : NULL;

	if (!k || !k->channel || k->ending)
		return NULL;
	return channel_wait(k->channel, &k->ready, ms) == 0 ? children_channel(c, role) : NULL;
}

bool children_netlink(const struct children *c, enum role role)
{
	return c && c->child[role].netlink;
}

size_t children_rows(const struct children *c, struct child_row *rows, size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; c && i < ROLE_COUNT; i++) {
		const struct child *k = &c->child[i];

		if (!k->part)
			continue;
		if (n < cap) {
			rows[n] = (struct child_row){ .role = (enum role)i,
						      .pid = k->pid,
						      .ready = k->ready,
						      .restarts = k->restarts,
						      .since_ms = k->since_ms,
						      .next_ms = k->next_ms };
			rows[n].again = deaths_again(&k->deaths, k->ready, k->since_ms, unix_ms(), &rows[n].well_ms);
			(void)snprintf(rows[n].lacks, sizeof rows[n].lacks, "%s", k->lacks);
			(void)snprintf(rows[n].ended, sizeof rows[n].ended, "%s", k->ended);
		}
		n++;
	}
	return n;
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */

static void free_when_done(struct children *c)
{
	if (c->closing && c->open_handles == 0)
		free(c);
}

static void handle_closed(uv_handle_t *h)
{
	struct child *k = h->data;

	k->all->open_handles--;
	free_when_done(k->all);
}

static void close_timer(struct child *k)
{
	if (!k->timer_open)
		return;
	k->timer_open = false;
	uv_close((uv_handle_t *)&k->timer, handle_closed);
}

static void end(struct child *k, const char *why)
{
	(void)snprintf(k->why, sizeof k->why, "%.*s", (int)sizeof k->why - 1, why);
	k->ending = true;
	if (k->pid)
		(void)kill(k->pid, SIGKILL);
}

void children_end(struct children *c, enum role role, const char *why)
{
	if (c)
		end(&c->child[role], why);
}

static void tell(const struct child *k, enum event_id id, const char *text)
{
	struct event e = { .id = id };

	(void)snprintf(e.text, sizeof e.text, "%s", text);
	observe(k->all->config.observer, &e);
}

static void closed_its_channel(uv_timer_t *t)
{
	end(t->data, "closed its channel");
}

static void went(struct child *k)
{
	bool was_ready = k->ready;

	k->ready = false;
	if (was_ready && k->part->went)
		k->part->went(k->part->context);
}

static void gone(struct channel *channel, const char *why)
{
	struct child *k = channel_owner(channel);

	k->channel = NULL;
	if (k->all->closing)
		return;
	went(k); /* before its channel's memory goes, long before it is dead */
	if (why) {
		k->misbehaved = true;
		end(k, why);
	} else if (k->pid) {
		(void)uv_timer_start(&k->timer, closed_its_channel, CHILD_LOST_MS, 0); /* most have died */
	}
}

static void start_again(uv_timer_t *t);

static void ended_words(struct child *k, int64_t status, int signal_number)
{
	char call[SANDBOX_CALL] = "which is not known";

	if (k->was_forbidden)
		sandbox_call_name(k->forbidden, call);
	if (signal_number == SIGSYS || k->was_forbidden)
		(void)snprintf(k->ended, sizeof k->ended, "made a system call that its cage forbids (%s): killed",
			       call);
	else if (*k->why)
		(void)snprintf(k->ended, sizeof k->ended, "%.*s: killed", CHILD_END_TEXT - 16, k->why);
	else if (signal_number)
		(void)snprintf(k->ended, sizeof k->ended, "signal %d (%s)", signal_number, strsignal(signal_number));
	else
		(void)snprintf(k->ended, sizeof k->ended, "exit code %d", (int)status);
	k->misbehaved |= k->was_forbidden || signal_number == SIGSYS;
	k->was_forbidden = false;
	*k->why = '\0';
}

static uint64_t back_off(struct child *k)
{
	uint64_t wait = CHILD_BACK_OFF_MS;

	if (k->ready_ms && unix_ms() - k->ready_ms >= CHILD_STEADY_MS)
		k->in_a_row = 0;
	k->ready_ms = 0;
	for (unsigned i = 0; i < k->in_a_row && wait < CHILD_BACK_OFF_MOST; i++)
		wait *= 2;
	k->in_a_row++;
	return wait < CHILD_BACK_OFF_MOST ? wait : CHILD_BACK_OFF_MOST;
}

static void stop_others(struct children *c);

/* While all are closing: this one is there no longer, or not waited for any more. */
static void is_done_with(struct child *k)
{
	k->pid = 0;
	uv_close((uv_handle_t *)&k->process, handle_closed);
	channel_close(TAKE(k->channel));
	close_timer(k);
	if (k->part->role == ROLE_KEYING)
		stop_others(k->all);
}

/* First it is killed. What the kernel is still busy with for it, as with a device or a table that goes, can take long
 * on a loaded machine, and our own end does not wait for that. */
static void did_not_end(uv_timer_t *t)
{
	struct child *k = t->data;

	if (!k->ending) {
		end(k, "did not end in time");
		return;
	}
	log_warning("the process %s (%ld) was killed and is still held by the kernel: it is not waited for",
		    role_name(k->part->role), (long)k->pid);
	is_done_with(k);
}

static void stop(struct child *k)
{
	channel_close(TAKE(k->channel));
	if (!k->pid) {
		close_timer(k);
	} else if (k->timer_open) {
		(void)uv_timer_stop(&k->timer);
		(void)uv_timer_start(&k->timer, did_not_end, CHILD_STOP_MS, CHILD_STOP_MS);
	}
}

static void stop_others(struct children *c)
{
	for (size_t i = 0; i < ROLE_COUNT; i++)
		if (c->child[i].part && i != ROLE_KEYING)
			stop(&c->child[i]);
}

static void exited(uv_process_t *process, int64_t status, int signal_number)
{
	struct child *k = process->data;
	char text[EVENT_TEXT];
	uint64_t wait;

	if (k->all->closing) {
		is_done_with(k);
		return;
	}
	k->pid = 0;
	uv_close((uv_handle_t *)process, handle_closed);
	if (k->channel)
		channel_hear_last(k->channel);
	channel_close(TAKE(k->channel));
	ended_words(k, status, signal_number);
	wait = back_off(k);
	went(k);
	k->since_ms = unix_ms();
	deaths_add(&k->deaths, k->since_ms);
	k->next_ms = k->since_ms + wait;
	(void)snprintf(text, sizeof text, "the process %s has ended: %s. It is started again in %.1f s",
		       role_name(k->part->role), k->ended, (double)wait / 1000);
	tell(k, k->misbehaved ? EVENT_PROCESS_MISBEHAVED : EVENT_PROCESS_ENDED, text);
	k->misbehaved = false;
	(void)uv_timer_start(&k->timer, start_again, wait, 0);
}

/* ---- beginnings -------------------------------------------------------------------------------------------------- */

static void not_ready(uv_timer_t *t)
{
	end(t->data, "was not ready in time");
}

/* We may have been at work ourselves all the time, and what it has said is still to be heard. */
static void perhaps_not_ready(uv_timer_t *t)
{
	(void)uv_timer_start(t, not_ready, CHILD_HEAR_MS, 0);
}

static void pair(struct child *a, struct child *b)
{
	struct diag d = { 0 };
	int fds[2];

	if (channel_pair(fds, &d) < 0) {
		log_error("%s between %s and %s", d.text, role_name(a->part->role), role_name(b->part->role));
		return;
	}
	wire_put_u8(channel_begin(a->channel, ASK_PEER), (uint8_t)b->part->role);
	channel_end_fds(a->channel, &fds[0], 1);
	wire_put_u8(channel_begin(b->channel, ASK_PEER), (uint8_t)a->part->role);
	channel_end_fds(b->channel, &fds[1], 1);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

int children_ready(void *context, struct channel *channel, struct wire_in *body, int *fds)
{
	struct child *k = channel_owner(channel);
	struct children *c = k->all;
	char text[EVENT_TEXT];

	(void)context;
	(void)body;
	(void)fds;
	channel_set_state(channel, CHANNEL_READY);
	k->ready = true;
	k->ready_ms = k->since_ms = unix_ms();
	(void)uv_timer_stop(&k->timer);
	if (!sandbox_look(k->pid, k->part->role, k->netlink, k->lacks))
		log_warning("the cage of the process %s lacks: %s", role_name(k->part->role), k->lacks);
	if (k->restarts) {
		(void)snprintf(text, sizeof text, "the process %s works again", role_name(k->part->role));
		tell(k, EVENT_PROCESS_STARTED, text);
	}
	k->part->came(k->part->context, channel);
	for (size_t i = 0; i < ask_pair_count; i++) {
		struct child *a = &c->child[ask_pairs[i].a], *b = &c->child[ask_pairs[i].b];

		if ((a == k || b == k) && a->ready && b->ready)
			pair(a, b);
	}
	return 0;
}

static int forbidden(void *context, struct channel *channel, struct wire_in *body, int *fds)
{
	struct child *k = channel_owner(channel);

	(void)context;
	(void)fds;
	k->forbidden = wire_u32(body);
	k->was_forbidden = true;
	return 0;
}

static bool talk(enum role a, enum role b)
{
	for (size_t i = 0; i < ask_pair_count; i++)
		if ((ask_pairs[i].a == a && ask_pairs[i].b == b) || (ask_pairs[i].a == b && ask_pairs[i].b == a))
			return true;
	return false;
}

/* Whoever is right, they work together no more; the one that is accused begins anew. Not by the word of sources: that
 * one hears strangers, and could keep keying from its work for ever. Then it is sources that begins anew, which ends
 * what was between them as well. */
static int accused(void *context, struct channel *channel, struct wire_in *body, int *fds)
{
	struct child *k = channel_owner(channel), *other;
	uint8_t role = wire_u8(body);
	char words[ASK_WHY_MOST + 1] = "", why[CHILD_END_TEXT];

	(void)context;
	(void)fds;
	wire_copy(body, words, body->left);
	if (!talk(k->part->role, (enum role)role))
		return -EPROTO;
	for (char *c = words; *c; c++)
		if (!isprint((unsigned char)*c))
			*c = '?';
	if (k->part->role == ROLE_SOURCES) {
		k->misbehaved = true;
		(void)snprintf(why, sizeof why, "quarrels with %s, which %.80s", role_name((enum role)role), words);
		end(k, why);
		return 0;
	}
	other = &k->all->child[role];
	if (!other->pid || !other->ready)
		return 0;
	other->misbehaved = true;
	(void)snprintf(why, sizeof why, "%.80s, says %s", words, role_name(k->part->role));
	end(other, why);
	return 0;
}

static int pong(void *context, struct channel *channel, struct wire_in *body, int *fds)
{
	struct child *k = channel_owner(channel);

	(void)context;
	(void)body;
	(void)fds;
	k->silent = 0;
	if (k->has_work && k->work_pings) /* it may be the answer to one before the work */
		k->has_work = --k->work_pings > 0;
	return 0;
}

void children_gave_work(struct channel *channel)
{
	struct child *k = channel ? channel_owner(channel) : NULL;

	if (!k)
		return;
	k->has_work = true;
	k->work_pings = k->silent + 1;
	k->work_turns = 0;
	k->work_cpu_ms = 0;
}

/* Who makes a plan of a hundred thousand rules hears nothing meanwhile, for as long as the machine takes. Who works
 * gets processor time; who hangs does not. */
static bool still_works(struct child *k)
{
	uint64_t before = k->work_cpu_ms;

	if (!k->has_work || ++k->work_turns > CHILD_WORK_MOST)
		return false;
	k->work_cpu_ms = child_cpu_ms(k->pid);
	return k->work_cpu_ms >= before + CHILD_WORK_LEAST_MS;
}

uint64_t children_cpu_ms(const struct children *c)
{
	uint64_t ms = 0;

	for (size_t i = 0; i < ROLE_COUNT; i++)
		if (c->child[i].pid)
			ms += child_cpu_ms(c->child[i].pid);
	return ms;
}

/* Counted, not timed: while the machine sleeps nobody answers. */
static void ping(uv_timer_t *t)
{
	struct children *c = t->data;

	for (size_t i = 0; i < ROLE_COUNT; i++) {
		struct child *k = &c->child[i];

		if (!k->ready || !k->channel)
			continue;
		if (k->silent >= CHILD_SILENT_MOST && !still_works(k)) {
			end(k, "does not answer");
			continue;
		}
		k->silent++;
		(void)channel_begin(k->channel, ASK_PING);
		channel_end(k->channel);
	}
}

static void set_handlers(struct child *k)
{
	memcpy(k->handlers, k->part->handlers, sizeof k->handlers);
	k->handlers[ASK_READY] = children_ready;
	k->handlers[ASK_FORBIDDEN] = forbidden;
	k->handlers[ASK_PONG] = pong;
	k->handlers[ASK_ACCUSE] = accused;
}

static int start(struct child *k, struct diag *d)
{
	uv_stdio_container_t io[4] = { { .flags = UV_IGNORE },
				       { .flags = UV_INHERIT_FD, .data.fd = 2 },
				       { .flags = UV_INHERIT_FD, .data.fd = 2 },
				       { .flags = UV_INHERIT_FD } };
	char netlink[] = CHILD_NETLINK;
	char *arguments[] = { k->path, (char *)(uintptr_t)k->all->config.run_dir, k->part->netlink ? netlink : NULL,
			      NULL };
	uv_process_options_t options = {
		.file = k->path, .args = arguments, .exit_cb = exited, .stdio = io, .stdio_count = 4
	};
	int fds[2], r;

	if ((r = channel_pair(fds, d)) < 0)
		return r;
	io[3].data.fd = fds[1];
	k->process.data = k;
	r = uv_spawn(k->all->config.loop, &k->process, &options);
	(void)close(fds[1]);
	k->all->open_handles++;
	if (r < 0) {
		(void)close(fds[0]);
		uv_close((uv_handle_t *)&k->process, handle_closed);
		return diag_fail(d, r, "start %s: %s", k->path, uv_strerror(r));
	}
	k->pid = k->process.pid;
	k->netlink = k->part->netlink;
	k->ending = false;
	k->started_ms = unix_ms();
	k->silent = 0;
	k->has_work = false;
	k->next_ms = 0;
	r = channel_new(&(struct channel_config){ .loop = k->all->config.loop,
						  .fd = fds[0],
						  .self = ROLE_PARENT,
						  .peer = k->part->role,
						  .handlers = k->handlers,
						  .context = k->part->context,
						  .owner = k,
						  .rate = CHILD_RATE,
						  .gone = gone },
			&k->channel, d);
	if (r < 0)
		end(k, d->text);
	else
		(void)uv_timer_start(&k->timer, perhaps_not_ready, CHILD_READY_MS, 0);
	return 0;
}

static void start_again(uv_timer_t *t)
{
	struct child *k = t->data;
	struct diag d = { 0 };

	k->restarts++;
	if (start(k, &d) == 0)
		return;
	log_error("%s", d.text);
	k->next_ms = unix_ms() + CHILD_BACK_OFF_MOST;
	(void)uv_timer_start(&k->timer, start_again, CHILD_BACK_OFF_MOST, 0);
}

/* In a build tree they lie beside us, installed in a folder of their own. */
static int find_program(struct child *k, struct diag *d)
{
	const char *name = role_name(k->part->role);
	char own[PATH_TEXT];
	ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);

	own[n < 0 ? 0 : n] = '\0';
	if (strrchr(own, '/')) {
		*strrchr(own, '/') = '\0';
		if (snprintf(k->path, sizeof k->path, "%s/cordond-%s", own, name) < (int)sizeof k->path &&
		    access(k->path, X_OK) == 0)
			return 0;
	}
	(void)snprintf(k->path, sizeof k->path, "%s/cordond-%s", CORDON_LIBEXEC, name);
	if (access(k->path, X_OK) < 0)
		return diag_fail(d, errno, "the program %s is not there (%s): install Cordon again", k->path,
				 strerror(errno));
	return 0;
}

int children_new(const struct children_config *config, struct children **ret, struct diag *d)
{
	struct children *c = mem_new(1, sizeof *c);
	int r = 0;

	c->config = *config;
	c->ping.data = c;
	(void)uv_timer_init(config->loop, &c->ping);
	(void)uv_timer_start(&c->ping, ping, CHILD_PING_MS, CHILD_PING_MS);
	c->open_handles++;
	r = sandbox_folder(config->run_dir, d);
	for (size_t i = 0; i < config->part_count && r == 0; i++) {
		struct child *k = &c->child[config->parts[i].role];

		k->all = c;
		k->part = &config->parts[i];
		set_handlers(k);
		k->since_ms = unix_ms();
		(void)uv_timer_init(config->loop, &k->timer);
		k->timer.data = k;
		k->timer_open = true;
		c->open_handles++;
		if ((r = find_program(k, d)) == 0)
			r = start(k, d);
	}
	if (r < 0) {
		children_close(c);
		return r;
	}
	*ret = c;
	return 0;
}

static void ping_closed(uv_handle_t *h)
{
	struct children *c = h->data;

	c->open_handles--;
	free_when_done(c);
}

/* Keying ends first: what it has to tell peers may go by the data plane. Nobody hears what they say meanwhile. */
void children_close(struct children *c)
{
	if (!c || c->closing)
		return;
	c->closing = true;
	uv_close((uv_handle_t *)&c->ping, ping_closed);
	for (size_t i = 0; i < ROLE_COUNT; i++) {
		struct child *k = &c->child[i];

		k->ready = false;
		memset(k->handlers, 0, sizeof k->handlers);
		if (k->part && k->timer_open)
			(void)uv_timer_stop(&k->timer); /* nobody is started again */
	}
	if (c->child[ROLE_KEYING].part)
		stop(&c->child[ROLE_KEYING]);
	if (!c->child[ROLE_KEYING].pid)
		stop_others(c);
	free_when_done(c);
}
