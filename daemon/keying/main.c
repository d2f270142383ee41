/* The program `cordond-keying`: the IKE engine in a process of its own. It has the IKE sockets and the peers' messages,
 * and neither a private key nor a right: secrets are the key holder's, packets the data plane's, rules the parent's. */
#include "base/addr_wire.h"
#include "base/diag.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/keying/accounts.h"
#include "daemon/keying/driver.h"
#include "daemon/keying/lists.h"
#include "daemon/keying/rows.h"
#include "daemon/keys/asking.h"
#include "daemon/messages/plan_wire.h"
#include "base/text.h"
#include "daemon/process/child.h"
#include "daemon/process/memory_file.h"
#include "identity/directory.h"
#include "daemon/messages/proofs_wire.h"
#include "daemon/keying/sad_remote.h"
#include "daemon/process/sockets.h"
#include "observe/event_wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EVENT_BACKLOG_MOST = 4 << 20 }; /* the parent is slow: what is merely told is left out */

struct process {
	uv_loop_t *loop;
	struct channel *parent, *plane;
	int fds[SOCKETS_COUNT];
	struct sockets *sockets;
	struct observer observer;
	struct keys_asking *asking;
	struct revocation_lists *fetched;
	struct plan_made plan;
	struct driver *driver; /* NULL: there is no plan */
	struct text *names;    /* what the directory said last, as it came; NULL: nothing */
	unsigned events_left_out;
};

/* ---- what is told ------------------------------------------------------------------------------------------------ */

static void tell_event(void *context, const struct event *e)
{
	struct process *p = context;
	struct event told = *e;

	if (channel_backlog(p->parent) > EVENT_BACKLOG_MOST) {
		p->events_left_out++;
		return;
	}
	told.left_out += p->events_left_out;
	p->events_left_out = 0;
	event_encode(channel_begin(p->parent, ASK_EVENT), &told);
	channel_end(p->parent);
}

static void tell_fallback(void *context, const struct addr *local, const struct addr *remote, uint32_t seconds)
{
	struct process *p = context;
	struct wire_out *out = channel_begin(p->parent, ASK_KEYING_FALLBACK);

	addr_encode(out, local);
	addr_encode(out, remote);
	wire_put_u32(out, seconds);
	channel_end(p->parent);
}

static void tell_secured(void *context, const struct addr *local, const struct addr *remote, bool up)
{
	struct process *p = context;
	struct wire_out *out = channel_begin(p->parent, ASK_KEYING_SECURED);

	addr_encode(out, local);
	addr_encode(out, remote);
	wire_put_u8(out, up);
	channel_end(p->parent);
}

static struct wire_out *members_begin(void *context)
{
	const struct process *p = context;

	return channel_begin(p->parent, ASK_KEYING_MEMBERS);
}

static void members_end(void *context)
{
	const struct process *p = context;

	channel_end(p->parent);
}

static void tell_keys(void *context, const char *line)
{
	struct process *p = context;

	wire_put(channel_begin(p->parent, ASK_KEYING_KEYS), line, strnlen(line, KEYING_KEYS_MOST));
	channel_end(p->parent);
}

/* ---- what the parent asks ---------------------------------------------------------------------------------------- */

static int on_socket(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct process *p = context;
	uint8_t i = wire_u8(body);

	(void)c;
	if (i >= SOCKETS_COUNT || p->sockets || p->fds[i] >= 0)
		return -EPROTO;
	p->fds[i] = fds[0];
	fds[0] = -1;
	return 0;
}

/* What the directory says of the policy's groups: kept for a driver that begins later. */
static int tell_names(struct process *p)
{
	struct wire_in in = wire_in(p->names->octets, p->names->len);
	struct directory_names *names = directory_names_get(&in);

	if (!names)
		return -EPROTO;
	if (p->driver)
		driver_set_names(p->driver, names);
	else
		directory_names_free(names);
	return 0;
}

static int begin(struct process *p, const struct plan_made *made, const struct proofs *proofs, struct diag *d)
{
	int r;

	if (!p->sockets && (r = sockets_adopt(p->fds, &p->sockets, d)) < 0)
		return r;
	if ((r = driver_new(&(struct driver_config){ .loop = p->loop,
						     .sockets = p->sockets,
						     .observer = &p->observer,
						     .doors = { .fallback = tell_fallback,
								.secured = tell_secured,
								.members_begin = members_begin,
								.members_end = members_end,
								.keys = tell_keys,
								.context = p },
						     .asking = p->asking,
						     .fetcher = lists_fetcher(),
						     .fetched = p->fetched },
			    made->number, made->plan, proofs, &p->driver, d)) < 0)
		return r;
	if (p->names)
		(void)tell_names(p);
	driver_start(p->driver);
	if (p->plane)
		driver_plane_came(p->driver, p->plane);
	return 0;
}

static int on_plan(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct process *p = context;
	SCOPED(plan_made_wipe) struct plan_made made = { 0 };
	SCOPED(received_proofs_wipe) struct received_proofs proofs = { 0 };
	struct diag d = { 0 };
	int r;

	(void)c, (void)body;
	if ((r = plan_wire_open(fds[0], &made, &d)) == 0 &&
	    (r = proofs_receive(fds[1], made.policy, &proofs, &d)) == 0) {
		if (p->driver)
			driver_set_plan(p->driver, made.number, made.plan, &proofs.proofs);
		else
			r = begin(p, &made, &proofs.proofs, &d);
	}
	if (r < 0) {
		log_error("%s", d.text);
		return r;
	}
	plan_made_wipe(&p->plan);
	p->plan = made;
	made = (struct plan_made){ 0 };
	return 0;
}

static int on_proofs(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct process *p = context;
	SCOPED(received_proofs_wipe) struct received_proofs proofs = { 0 };
	struct diag d = { 0 };
	int r;

	(void)c, (void)body;
	if (!p->driver)
		return -EPROTO;
	if ((r = proofs_receive(fds[0], p->plan.policy, &proofs, &d)) < 0) {
		log_error("%s", d.text);
		return r;
	}
	driver_set_proofs(p->driver, &proofs.proofs);
	return 0;
}

static int on_names(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct process *p = context;
	struct diag d;

	(void)c, (void)body;
	text_free(TAKE(p->names));
	if (memory_file_read(fds[0], DIRECTORY_NAMES_WIRE_MOST, &p->names, &d) < 0)
		return -EPROTO;
	return tell_names(p);
}

static int on_close(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct process *p = context;

	(void)c, (void)body, (void)fds;
	driver_close(TAKE(p->driver));
	plan_made_wipe(&p->plan);
	return 0;
}

static int on_address_gone(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct process *p = context;
	struct addr a = addr_decode(body);

	(void)c, (void)fds;
	if (!wire_done(body) || !a.family)
		return -EPROTO;
	if (p->driver)
		driver_address_gone(p->driver, &a);
	return 0;
}

static int on_members_done(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	const struct process *p = context;
	uint64_t request = wire_u64(body);
	uint8_t done = wire_u8(body);

	(void)c, (void)fds;
	if (!wire_done(body) || done > 1)
		return -EPROTO;
	if (p->driver)
		driver_members_answered(p->driver, request, done);
	return 0;
}

static int on_rekey(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct process *p = context;
	uint32_t request = wire_u32(body);
	uint8_t what = wire_u8(body);
	size_t count = wire_u16(body), n = 0;
	struct wire_out *out;

	(void)fds;
	if (what > KEYING_RENEW_PROOF)
		return -EPROTO;
	for (size_t i = 0; i < count && !body->failed; i++) {
		struct addr a = addr_decode(body);

		if (p->driver && a.family)
			n += driver_rekey(p->driver, &a, (enum keying_renewal)what);
	}
	if (!wire_done(body))
		return -EPROTO;
	if (count == 0 && p->driver)
		n = driver_rekey(p->driver, NULL, (enum keying_renewal)what);
	out = channel_begin(c, ASK_KEYING_REKEYED);
	wire_put_u32(out, request);
	wire_put_u32(out, (uint32_t)n);
	channel_end(c);
	return 0;
}

struct look {
	struct process *p;
	uint32_t request;
};

/* Without an answer the parent waits no longer than it wants to. */
static void tell_rows(const struct look *l, const struct driver *e)
{
	SCOPED(keying_rows_wipe) struct keying_rows rows = { 0 };
	struct channel *to = l->p->parent;
	struct diag d = { 0 };
	int fd;

	keying_rows_collect(e ? driver_keying(e) : NULL, e ? driver_sad(e) : NULL, l->p->fetched, &rows);
	if ((fd = keying_rows_seal(&rows, l->p->plan.number, &d)) < 0) {
		log_error("%s", d.text);
		return;
	}
	wire_put_u32(channel_begin(to, ASK_KEYING_ROWS), l->request);
	channel_end_fds(to, &fd, 1);
	(void)close(fd);
}

static void plane_seen(struct driver *e, void *context)
{
	struct look *l = context;

	tell_rows(l, e);
	free(l);
}

static int on_look(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct process *p = context;
	struct look l = { p, wire_u32(body) };

	(void)c, (void)fds;
	if (p->driver)
		driver_look(p->driver, plane_seen, mem_copy(&l, sizeof l));
	else
		tell_rows(&l, NULL);
	return 0;
}

/* ---- the other children ------------------------------------------------------------------------------------------ */

static void came(void *context, struct channel *c)
{
	struct process *p = context;

	switch (channel_peer(c)) {
	case ROLE_DATAPLANE:
		p->plane = c;
		if (p->driver)
			driver_plane_came(p->driver, c);
		break;
	case ROLE_KEYS:
		keys_asking_channel(p->asking, c);
		break;
	case ROLE_SOURCES:
		lists_sources(c);
		break;
	default:
		break;
	}
}

static void went(void *context, enum role peer)
{
	struct process *p = context;

	switch (peer) {
	case ROLE_DATAPLANE:
		p->plane = NULL;
		if (p->driver)
			driver_plane_went(p->driver);
		break;
	case ROLE_KEYS:
		keys_asking_channel(p->asking, NULL);
		break;
	case ROLE_SOURCES:
		lists_sources(NULL);
		break;
	default:
		break;
	}
}

#define ON_KEYS(name, ask) \
	static int name(void *context, struct channel *c, struct wire_in *body, int *fds) \
	{ \
		const struct process *p = context; \
\
		(void)c, (void)fds; \
		return keys_asking_heard(p->asking, ask, body); \
	}
ON_KEYS(on_keys_signed, ASK_KEYS_SIGNED)
ON_KEYS(on_keys_proven, ASK_KEYS_PROVEN)
ON_KEYS(on_keys_mixed, ASK_KEYS_MIXED)
ON_KEYS(on_keys_stepped, ASK_KEYS_GSS_STEPPED)
ON_KEYS(on_keys_text, ASK_KEYS_GSS_TEXT)
ON_KEYS(on_keys_refused, ASK_KEYS_REFUSED)

/* ---- the process ------------------------------------------------------------------------------------------------- */

static void lists_changed(void *context)
{
	struct process *p = context;

	if (p->driver)
		driver_judge(p->driver);
}

static int started(void *context, uv_loop_t *loop, struct channel *parent, struct diag *d)
{
	struct process *p = context;

	(void)d;
	p->loop = loop;
	p->parent = parent;
	p->observer = (struct observer){ tell_event, p };
	for (size_t i = 0; i < SOCKETS_COUNT; i++)
		p->fds[i] = -1;
	p->asking = keys_asking_new(loop);
	p->fetched = revocation_lists_new();
	accounts_begin(loop, parent);
	lists_begin(loop, parent, p->fetched, &p->observer, lists_changed, p);
	return 0;
}

/* What libcrypto reads and how many processors there are is found out before the cage is closed. */
static int prepare(void *context, struct diag *d)
{
	(void)context, (void)d;
	jobs_prepare();
	return 0;
}

static ask_handler *const handlers[ASK_COUNT] = {
	[ASK_PEER] = child_peer,
	[ASK_KEYING_SOCKET] = on_socket,
	[ASK_KEYING_PLAN] = on_plan,
	[ASK_KEYING_PROOFS] = on_proofs,
	[ASK_KEYING_NAMES] = on_names,
	[ASK_ACCOUNT_SAID] = accounts_on_said,
	[ASK_KEYING_CLOSE] = on_close,
	[ASK_KEYING_ADDRESS_GONE] = on_address_gone,
	[ASK_KEYING_REKEY] = on_rekey,
	[ASK_KEYING_MEMBERS_DONE] = on_members_done,
	[ASK_KEYING_LOOK] = on_look,
	[ASK_KEYS_SIGNED] = on_keys_signed,
	[ASK_KEYS_PROVEN] = on_keys_proven,
	[ASK_KEYS_MIXED] = on_keys_mixed,
	[ASK_KEYS_GSS_STEPPED] = on_keys_stepped,
	[ASK_KEYS_GSS_TEXT] = on_keys_text,
	[ASK_KEYS_REFUSED] = on_keys_refused,
	SAD_REMOTE_HANDLERS,
	LISTS_HANDLERS,
};

int main(int argc, char **argv)
{
	static struct process process;
	static const struct child_program program = { .role = ROLE_KEYING,
						      .name = "cordond-keying",
						      .handlers = handlers,
						      .context = &process,
						      .prepare = prepare,
						      .begin = started,
						      .came = came,
						      .went = went };

	return child_run(&program, argc, argv);
}
