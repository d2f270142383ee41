#include "daemon/dataplane/plane_server.h"

#include "base/crypto.h"
#include "base/diag.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/messages/datagram_wire.h"
#include "daemon/dataplane/drop_reader.h"
#include "daemon/messages/plan_work.h"
#include "daemon/dataplane/plane_fds.h"
#include "daemon/messages/sad_wire.h"
#include "daemon/process/sockets.h"
#include "dataplane/esp/crew.h"
#include "dataplane/xfrm/xfrm.h"
#include "observe/event_wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* What the two planes have beside sad.h. */
struct plane_calls {
	int (*fd)(const struct sad *sad);
	void (*readable)(struct sad *sad);
	uint64_t (*deadline)(const struct sad *sad);
	void (*tick)(struct sad *sad);
	void (*ask_again)(struct sad *sad);
};
static const struct plane_calls userspace_calls = { esp_fd, esp_readable, esp_deadline, esp_tick, esp_ask_again };
static const struct plane_calls kernel_calls = { xfrm_fd, xfrm_readable, xfrm_deadline, xfrm_tick, xfrm_ask_again };

/* The plane while it runs. */
struct running {
	const struct plane_calls *calls;
	struct plane_server *server;
	struct sad *sad;
	struct sad *own;                      /* what packets of this thread go to: the same, or one of a crew */
	struct sockets *sockets[SHARES_MOST]; /* of each worker; the others' are their threads' */
	unsigned workers;
	uv_poll_t polls[SOCKETS_COUNT + 2]; /* the last ones: the plane's, and the crew's */
	uv_timer_t timer;
	uv_prepare_t turn; /* before the loop sleeps: when to wake it */
	unsigned open_handles;
};

struct plane_server {
	uv_loop_t *loop;
	struct channel *parent, *client; /* client: whoever drives keying; NULL: nobody */
	uint16_t generation;             /* counts the clients */
	struct esp_fds fds[SHARES_MOST]; /* what the plane takes when it begins */
	struct xfrm_fds xfrm;            /* the same for the kernel's */
	int nat[SHARES_MOST][2];         /* UDP 4500 */
	struct plan_made made;
	uint64_t plans, plans_taken; /* that came, and which of them `made` is */
	struct running *run;         /* NULL: there is no plane */
	struct drop_reader *drops;   /* NULL: what the table logs is not read */
	uint64_t looked_ms;
};

static uint64_t now_ms(void *context)
{
	struct timespec t;

	(void)context;
	/* Lifetimes go on while the machine sleeps. */
	(void)clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- pairs and requests ------------------------------------------------------------------------------------------ */

/* Each client counts its pairs and its requests from 1; those of clients before it must not be taken for its own. */
static uint64_t inside(const struct plane_server *s, uint64_t number)
{
	return number >> SAD_WIRE_OWN_BITS ? number : (uint64_t)s->generation << SAD_WIRE_OWN_BITS | number;
}

static bool is_own(const struct plane_server *s, uint64_t number)
{
	return number >> SAD_WIRE_OWN_BITS == s->generation;
}

static uint64_t outside(const struct plane_server *s, uint64_t number)
{
	return is_own(s, number) ? number & ((UINT64_C(1) << SAD_WIRE_OWN_BITS) - 1) : number;
}

/* ---- telling ----------------------------------------------------------------------------------------------------- */

/* Who asked is gone, and so is all that it would have done with the SPI. */
static void forget_answer(struct plane_server *s, const struct sad_event *e)
{
	if (e->kind == SAD_SPI_RESERVED && s->run)
		sad_release_spi(s->run->sad, e->spi);
}

static void tell_client(struct plane_server *s, const struct sad_event *e)
{
	struct sad_event told = *e;

	if (told.request && (!s->client || !is_own(s, told.request))) {
		forget_answer(s, e);
		return;
	}
	if (!s->client || !sad_event_may_go(e->kind, channel_backlog(s->client)))
		return;
	told.pair = outside(s, e->pair);
	told.request = outside(s, e->request);
	sad_event_encode(channel_begin(s->client, ASK_SAD_EVENT), &told);
	channel_end(s->client);
}

/* For the log; nobody acts on it, so it is what goes first when the parent is slow. */
static void tell_event(void *context, const struct event *e)
{
	struct plane_server *s = context;

	if (channel_backlog(s->parent) > CHANNEL_QUEUE_MOST / 4)
		return;
	event_encode(channel_begin(s->parent, ASK_EVENT), e);
	channel_end(s->parent);
}

static void tell_drop(struct plane_server *s, const struct sad_event *e)
{
	struct event told;

	sad_drop_tell(e, &told);
	tell_event(s, &told);
}

static void mended(void *context, bool good, const char *text)
{
	struct event e = { .id = EVENT_RULES_RESTORED };

	(void)snprintf(e.text, sizeof e.text, "%s", text);
	if (good)
		tell_event(context, &e);
	else
		log_error("%s", text);
}

static void heard(void *context, const struct sad_event *e)
{
	if (e->kind == SAD_DROPPED)
		tell_drop(context, e);
	else
		tell_client(context, e);
}

static void tell_failure(struct plane_server *s, uint64_t request, const struct diag *why)
{
	tell_client(s, &(struct sad_event){ .kind = SAD_FAILED, .request = request, .why = why });
}

static void say(struct channel *c, enum ask what)
{
	(void)channel_begin(c, what);
	channel_end(c);
}

/* ---- packets ----------------------------------------------------------------------------------------------------- */

static void plane_readable(uv_poll_t *p, int status, int events)
{
	const struct running *r = p->data;

	(void)events;
	if (status == 0)
		r->calls->readable(r->own);
}

static void ike_came(void *context, const struct datagram *g)
{
	const struct running *r = context;
	struct channel *client = r->server->client;

	if (!client || g->len > DATAGRAM_WIRE_OCTETS || channel_backlog(client) > CHANNEL_QUEUE_MOST / 4)
		return; /* lost, as on the network */
	datagram_encode(channel_begin(client, ASK_IKE_CAME), g);
	channel_end(client);
}

static void take_esp(struct sad *own, const struct datagram *g)
{
	esp_encapsulated(own, &(struct esp_datagram){ .local = g->local,
						      .remote = g->remote,
						      .local_port = g->local_port,
						      .remote_port = g->remote_port,
						      .tos = g->tos,
						      .ttl = g->ttl,
						      .octets = (uint8_t *)(uintptr_t)g->octets, /* sockets.h */
						      .len = g->len,
						      .segment = g->segment });
}

static void esp_came(void *context, const struct datagram *g)
{
	const struct running *r = context;

	if (r->calls != &userspace_calls)
		return; /* the kernel takes what is its own */
	take_esp(r->own, g);
}

/* What comes by UDP 4500 at once. With the kernel's plane that is IKE alone. */
static void begin_batch(const struct running *r)
{
	if (r->calls == &userspace_calls)
		esp_begin(r->own);
}

static void end_batch(const struct running *r)
{
	if (r->calls == &userspace_calls)
		esp_end(r->own);
}

static void batch_done(void *context)
{
	const struct running *r = context;

	end_batch(r);
	begin_batch(r);
}

static void too_big_came(void *context, const struct datagram *g, uint32_t mtu)
{
	const struct running *r = context;

	if (r->calls != &userspace_calls)
		return;
	if (r->workers > 1)
		crew_too_big(r->sad, &g->remote, g->octets, g->len, mtu);
	else
		esp_encapsulated_too_big(r->sad, &g->remote, g->octets, g->len, mtu);
}

static void socket_readable(uv_poll_t *p, int status, int events)
{
	struct running *r = p->data;

	(void)events;
	if (status != 0)
		return;
	begin_batch(r);
	sockets_readable(
		r->sockets[0], (size_t)(p - r->polls),
		&(struct sockets_handlers){
			.ike = ike_came, .esp = esp_came, .done = batch_done, .too_big = too_big_came, .context = r });
	end_batch(r);
}

static void crew_readable(uv_poll_t *p, int status, int events)
{
	const struct running *r = p->data;

	(void)events;
	if (status == 0)
		crew_read(r->sad);
}

static void timer_rang(uv_timer_t *t)
{
	const struct running *r = t->data;

	r->calls->tick(r->own);
}

static void turn_ends(uv_prepare_t *p)
{
	struct running *r = p->data;
	uint64_t next = r->calls->deadline(r->own), now;

	if (next == UINT64_MAX) {
		(void)uv_timer_stop(&r->timer);
		return;
	}
	now = now_ms(NULL);
	uv_update_time(r->server->loop);
	(void)uv_timer_start(&r->timer, timer_rang, next > now ? next - now : 0, 0);
}

static void handle_closed(uv_handle_t *h)
{
	struct running *r = h->data;

	if (--r->open_handles == 0)
		free(r);
}

static void poll_on(struct running *r, size_t i, int fd, uv_poll_cb seen)
{
	r->polls[i].data = r;
	if (fd < 0 || uv_poll_init(r->server->loop, &r->polls[i], fd) < 0) {
		r->polls[i].data = NULL;
		return;
	}
	r->open_handles++;
	(void)uv_poll_start(&r->polls[i], UV_READABLE, seen);
}

static void run(struct running *r, const struct plane_calls *calls, struct sad *sad)
{
	struct plane_server *s = r->server;

	r->calls = calls;
	r->sad = sad;
	r->own = r->workers > 1 ? crew_own(sad) : sad;
	r->timer.data = r->turn.data = r;
	(void)uv_timer_init(s->loop, &r->timer);
	(void)uv_prepare_init(s->loop, &r->turn);
	(void)uv_prepare_start(&r->turn, turn_ends);
	r->open_handles = 2;
	poll_on(r, SOCKETS_COUNT, calls->fd(r->own), plane_readable);
	if (r->workers > 1)
		poll_on(r, SOCKETS_COUNT + 1, crew_fd(sad), crew_readable);
	for (size_t i = 0; i < SOCKETS_COUNT; i++)
		poll_on(r, i, sockets_fds(r->sockets[0])[i], socket_readable);
}

static void stop(struct running *r)
{
	for (size_t i = 0; i < ARRAY_LEN(r->polls); i++)
		if (r->polls[i].data)
			uv_close((uv_handle_t *)&r->polls[i], handle_closed);
	uv_close((uv_handle_t *)&r->timer, handle_closed);
	uv_close((uv_handle_t *)&r->turn, handle_closed);
	sad_free(r->sad);
	for (unsigned i = 0; i < r->workers; i++)
		sockets_free(r->sockets[i]);
}

/* ---- from the parent --------------------------------------------------------------------------------------------- */

static struct plane_server *server(void *context)
{
	return *(struct plane_server **)context;
}

static int *place_of(struct plane_server *s, unsigned worker, unsigned which)
{
	return which < ESP_FD_COUNT ? &s->fds[worker].fd[which] : &s->nat[worker][which - PLANE_FD_NAT4];
}

int plane_on_fd(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct plane_server *s = server(context);
	uint8_t which = wire_u8(body);
	struct diag d = { 0 };
	int *place, fd = fds[0];

	(void)c;
	if (which >= PLANE_FD_COUNT)
		return -EPROTO;
	fds[0] = -1;
	if (which < PLANE_FD_LOG && which % PLANE_FD_EACH == ESP_FD_TUN && s->run) {
		if (s->run->calls != &userspace_calls || which / PLANE_FD_EACH >= s->run->workers)
			(void)close(fd);
		else if (s->run->workers > 1)
			crew_set_tun(s->run->sad, which / PLANE_FD_EACH, fd);
		else if (esp_set_tun(s->run->sad, fd, &d) < 0)
			log_error("%s", d.text);
		return 0;
	}
	if (which == PLANE_FD_LOG) {
		drop_reader_close(s->drops);
		s->drops = drop_reader_new(s->loop, fd, tell_event, s);
		if (s->drops)
			drop_reader_set_plan(s->drops, s->made.policy, s->made.plan);
		return 0;
	}
	place = which < PLANE_FD_LOG ? place_of(s, which / PLANE_FD_EACH, which % PLANE_FD_EACH)
				     : &s->xfrm.fd[which - PLANE_FD_XFRM];
	if (*place >= 0)
		(void)close(*place);
	*place = fd;
	return 0;
}

/* The ruleset of the new plan is in force: it stops what the kernel's policies of the old one would do wrong. */
static void say_trouble(const struct running *r)
{
	if (r->calls == &kernel_calls && *xfrm_trouble(r->sad))
		log_error("the kernel's policies are those of the plan before: %s", xfrm_trouble(r->sad));
}

static void take_plan(struct plane_server *s, uint64_t turn, struct plan_made *made)
{
	struct plan_made before = s->made;

	s->plans_taken = turn;
	s->made = *made;
	*made = (struct plan_made){ 0 };
	if (s->run) {
		sad_set_plan(s->run->sad, s->made.plan);
		say_trouble(s->run);
	}
	if (s->drops)
		drop_reader_set_plan(s->drops, s->made.policy, s->made.plan);
	plan_work_wipe(s->loop, &before); /* no SA has a rule of it any more */
}

struct plan_turn {
	struct plane_server *server;
	uint64_t turn;
};

/* What came later may have been there first: while nothing ran. */
static void plan_made(void *context, struct plan_made *made, const struct diag *why)
{
	struct plan_turn *t = context;
	struct plane_server *s = t->server;
	const bool stale = t->turn < s->plans_taken;

	if (!made) /* the ruleset of the new one stops what this one would do wrong */
		log_error("%s; the data plane keeps the one before", why->text);
	else if (stale)
		plan_work_wipe(s->loop, made);
	else
		take_plan(s, t->turn, made);
	free(t);
}

/* Packets go on while the plan of a large policy is made. */
int plane_on_plan(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct plane_server *s = server(context);
	const uint64_t turn = ++s->plans;
	struct plan_made made = { 0 };
	struct diag d = { 0 };

	(void)c;
	(void)body;
	if (s->run) {
		struct plan_turn *t = mem_new(1, sizeof *t);
		int fd = fds[0];

		*t = (struct plan_turn){ s, turn };
		fds[0] = -1;
		if (plan_work_start(s->loop, fd, plan_made, t, &d) == 0)
			return 0;
		free(t);
		log_error("%s", d.text);
		return -EIO;
	}
	if (plan_wire_open(fds[0], &made, &d) < 0) {
		log_error("%s", d.text);
		return -EPROTO;
	}
	take_plan(s, turn, &made);
	return 0;
}

/* Libcrypto does it then; who waits for speed is to know why there is less of it. */
static void tell_self_test(struct plane_server *s)
{
	struct event e = { .id = EVENT_SELF_TEST_FAILED };
	struct diag d = { 0 };

	if (!crypto_gcm_broken())
		return;
	(void)crypto_gcm(&d);
	(void)snprintf(e.text, sizeof e.text, "%s: libcrypto seals and opens the packets, which is slower", d.text);
	log_error("%s", e.text);
	tell_event(s, &e);
}

/* ---- several workers: in their threads --------------------------------------------------------------------------- */

struct worker {
	const struct running *run;
	struct sad *crew, *own;
};

/* IKE comes to the first socket, but the kernel may have joined one of its datagrams with ESP that came with it. */
struct strayed {
	struct datagram g;
	uint8_t octets[];
};

static void strayed_home(void *context, const void *octets, size_t len)
{
	struct datagram g;

	memcpy(&g, octets, sizeof g);
	g.octets = (const uint8_t *)octets + sizeof g;
	if (len == sizeof g + g.len)
		ike_came(context, &g);
}

static void worker_ike(void *context, const struct datagram *g)
{
	const struct worker *w = context;
	struct strayed *s = mem_new(1, sizeof *s + g->len);

	s->g = *g;
	memcpy(s->octets, g->octets, g->len);
	crew_tell(w->crew, strayed_home, (void *)(uintptr_t)w->run, s, sizeof *s + g->len);
	free(s);
}

static void worker_esp(void *context, const struct datagram *g)
{
	take_esp(((const struct worker *)context)->own, g);
}

static void worker_done(void *context)
{
	const struct worker *w = context;

	esp_end(w->own);
	esp_begin(w->own);
}

static void worker_too_big(void *context, const struct datagram *g, uint32_t mtu)
{
	const struct worker *w = context;

	crew_too_big(w->crew, &g->remote, g->octets, g->len, mtu);
}

static void worker_datagrams(void *context, struct sad *crew, unsigned member, unsigned which, struct sad *own)
{
	struct worker w = { .run = context, .crew = crew, .own = own };

	esp_begin(own);
	sockets_readable(w.run->sockets[member], SOCKETS_NAT4 + which,
			 &(struct sockets_handlers){ .ike = worker_ike,
						     .esp = worker_esp,
						     .done = worker_done,
						     .too_big = worker_too_big,
						     .context = &w });
	esp_end(own);
}

/* ---- the beginning ----------------------------------------------------------------------------------------------- */

static struct esp_config config_of(struct plane_server *s, uint32_t own_mark)
{
	return (struct esp_config){
		.own_mark = own_mark, .plan = s->made.plan, .event = heard, .now_ms = now_ms, .context = s
	};
}

static int make_userspace(struct plane_server *s, struct running *run, uint32_t own_mark, struct sad **ret,
			  struct diag *d)
{
	struct esp_config alone = config_of(s, own_mark);
	struct crew_config crew = {
		.all = alone, .count = run->workers, .datagrams = worker_datagrams, .datagrams_context = run
	};

	for (unsigned i = 0; i < run->workers; i++) {
		struct crew_member *m = &crew.members[i];

		esp_fds_discard(&s->fds[i]);
		*m = (struct crew_member){ .fds = &s->fds[i] };
		for (size_t k = 0; k < 2; k++) {
			m->nat[k] = sockets_fd(run->sockets[i], SOCKETS_NAT4 + k);
			m->polled[k] = sockets_fds(run->sockets[i])[SOCKETS_NAT4 + k];
		}
	}
	if (run->workers > 1)
		return crew_new(&crew, ret, d);
	alone.fds = &s->fds[0];
	memcpy(alone.nat, crew.members[0].nat, sizeof alone.nat);
	return esp_new(&alone, ret, d);
}

/* UDP 4500, of each worker. */
static int adopt(struct plane_server *s, struct running *r, struct diag *d)
{
	for (unsigned i = 0; i < r->workers; i++) {
		const int fds[SOCKETS_COUNT] = { -1, -1, s->nat[i][0], s->nat[i][1] };
		int failed = sockets_adopt(fds, &r->sockets[i], d);

		s->nat[i][0] = s->nat[i][1] = -1;
		if (failed < 0)
			return failed;
		sockets_discard(r->sockets[i]);
	}
	return 0;
}

static int make_kernel(struct plane_server *s, struct xfrm_clear_mark clear, uint32_t own_mark, struct sad **ret,
		       struct diag *d)
{
	return xfrm_new(&(struct xfrm_config){ .fds = &s->xfrm,
					       .clear = { clear },
					       .own_mark = own_mark,
					       .own_mask = clear.mask,
					       .plan = s->made.plan,
					       .event = heard,
					       .now_ms = now_ms,
					       .mended = mended,
					       .context = s },
			ret, d);
}

int plane_on_begin(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct plane_server *s = server(context);
	const bool kernel = wire_u8(body);
	const uint32_t own_mark = wire_u32(body), clear_value = wire_u32(body), clear_mask = wire_u32(body);
	const unsigned workers = kernel ? (void)wire_u8(body), 1u : wire_u8(body);
	struct running *r;
	struct sad *sad = NULL;
	struct diag d = { 0 };
	int failed;

	(void)c;
	(void)fds;
	if (s->run || !s->made.plan || workers < 1 || workers > SHARES_MOST)
		return -EPROTO;
	r = mem_new(1, sizeof *r);
	r->server = s;
	r->workers = workers;
	s->run = r;
	if ((failed = adopt(s, r, &d)) == 0)
		failed =
			kernel ? make_kernel(s, (struct xfrm_clear_mark){ clear_value, clear_mask }, own_mark, &sad, &d)
			       : make_userspace(s, r, own_mark, &sad, &d);
	if (failed < 0) {
		for (unsigned i = 0; i < workers; i++)
			sockets_free(r->sockets[i]);
		free(TAKE(s->run));
		log_error("%s", d.text);
		return -EIO; /* and the parent starts another one of us */
	}
	run(r, kernel ? &kernel_calls : &userspace_calls, sad);
	say(s->parent, ASK_PLANE_BEGUN);
	if (s->client)
		say(s->client, ASK_SAD_UP);
	if (!kernel)
		tell_self_test(s);
	return 0;
}

/* Protection is switched off, or the policy is gone. */
int plane_on_end(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct plane_server *s = server(context);

	(void)c;
	(void)body;
	(void)fds;
	if (!s->run)
		return -EPROTO;
	stop(TAKE(s->run));
	drop_reader_close(TAKE(s->drops));
	if (s->client)
		say(s->client, ASK_SAD_DOWN);
	return 0;
}

/* ---- from keying ------------------------------------------------------------------------------------------------- */

static void tell_orphans(struct plane_server *s)
{
	size_t n = sad_usage(s->run->sad, NULL, 0);
	struct sa_usage *rows = mem_new(n + 1, sizeof *rows);

	n = sad_usage(s->run->sad, rows, n);
	for (size_t i = 0; i < n; i++) {
		struct wire_out *out = channel_begin(s->client, ASK_SAD_ORPHAN);

		wire_put_u64(out, rows[i].pair);
		selector_encode(out, &rows[i].selector);
		channel_end(s->client);
	}
	free(rows);
}

/* It hears what there is, and again what the one before it was asked and did not answer. */
int plane_on_hello(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct plane_server *s = server(context);

	(void)body;
	(void)fds;
	s->client = c;
	if (++s->generation == 0)
		s->generation = 1;
	s->looked_ms = 0;
	if (!s->run)
		return 0;
	say(c, ASK_SAD_UP);
	tell_orphans(s);
	if (s->run->workers > 1)
		crew_ask_again(s->run->sad);
	else
		s->run->calls->ask_again(s->run->sad);
	return 0;
}

/* The plane, if it is there and the asker is whom it talks to. */
static struct sad *plane(const struct plane_server *s, const struct channel *c)
{
	return s->run && c == s->client ? s->run->sad : NULL;
}

static const char no_plane[] = "there is no data plane: protection is switched off";

int plane_on_reserve(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct plane_server *s = server(context);
	uint64_t request = inside(s, wire_u64(body));
	struct addr local = addr_decode(body), remote = addr_decode(body);
	struct sad *sad = plane(s, c);
	struct diag why = { 0 };
	int r;

	(void)fds;
	if (!wire_done(body) || !local.family || local.family != remote.family)
		return -EPROTO;
	r = sad ? sad_reserve_spi(sad, &local, &remote, request, &why) : diag_fail(&why, ENOTCONN, "%s", no_plane);
	if (r < 0)
		tell_failure(s, request, &why);
	return 0;
}

int plane_on_release(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct sad *sad = plane(server(context), c);

	(void)fds;
	if (sad)
		sad_release_spi(sad, wire_u32(body));
	return 0;
}

int plane_on_install(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct plane_server *s = server(context);
	SCOPED(spec_wipe) struct sa_spec spec = { 0 };
	uint64_t request = inside(s, wire_u64(body));
	struct sad *sad = plane(s, c);
	struct diag why = { 0 };
	int r;

	(void)fds;
	if (spec_decode(body, s->made.policy, &spec) < 0)
		return -EPROTO;
	spec.pair = inside(s, spec.pair);
	r = sad ? sad_install(sad, &spec, request, &why) : diag_fail(&why, ENOTCONN, "%s", no_plane);
	if (r < 0)
		tell_failure(s, request, &why);
	return 0;
}

int plane_on_remove(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct plane_server *s = server(context);
	uint64_t pair = wire_u64(body), request = inside(s, wire_u64(body));
	struct sad *sad = plane(s, c);
	struct diag why = { 0 };
	int r;

	(void)fds;
	r = sad ? sad_remove(sad, inside(s, pair), request, &why) : diag_fail(&why, ENOTCONN, "%s", no_plane);
	if (r < 0)
		tell_failure(s, request, &why);
	return 0;
}

int plane_on_stop(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct plane_server *s = server(context);
	struct sad *sad = plane(s, c);

	(void)fds;
	if (sad)
		sad_stop_sending(sad, inside(s, wire_u64(body)));
	return 0;
}

int plane_on_move(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct plane_server *s = server(context);
	uint64_t pair = wire_u64(body);
	struct addr remote = addr_decode(body);
	uint16_t port = wire_u16(body);
	struct sad *sad = plane(s, c);

	(void)fds;
	if (!wire_done(body) || !remote.family)
		return -EPROTO;
	if (sad)
		sad_move(sad, inside(s, pair), &remote, port);
	return 0;
}

int plane_on_held(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	bool clear = wire_u8(body);
	struct sa_selector selector = selector_decode(body);
	struct sad *sad = plane(server(context), c);

	(void)fds;
	if (!wire_done(body))
		return -EPROTO;
	if (sad)
		sad_release_held(sad, &selector, clear);
	return 0;
}

/* Of what has had packets since the last time. */
static void tell_usage(struct plane_server *s)
{
	size_t n = sad_usage(s->run->sad, NULL, 0), put = 0;
	struct sa_usage *rows = mem_new(n + 1, sizeof *rows);
	struct wire_out *out = NULL;

	n = sad_usage(s->run->sad, rows, n);
	for (size_t i = 0; i < n; i++) {
		struct sa_usage *u = &rows[i];

		if (!is_own(s, u->pair) || (u->last_in_ms < s->looked_ms && u->last_out_ms < s->looked_ms))
			continue;
		if (put == 0)
			out = channel_begin(s->client, ASK_SAD_USAGE);
		u->pair = outside(s, u->pair);
		usage_encode(out, u);
		if (++put == USAGE_WIRE_ROWS) {
			channel_end(s->client);
			put = 0;
		}
	}
	if (put)
		channel_end(s->client);
	free(rows);
	s->looked_ms = now_ms(NULL);
}

int plane_on_look(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct plane_server *s = server(context);
	const struct sad *sad = plane(s, c);
	struct wire_out *out;

	(void)body;
	(void)fds;
	if (sad)
		tell_usage(s);
	out = channel_begin(c, ASK_SAD_DROPS);
	for (int i = 0; i < DROP_COUNT; i++)
		wire_put_u64(out, sad ? sad_dropped(sad, (enum sad_drop)i) : 0);
	channel_end(c);
	return 0;
}

int plane_on_ike(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct plane_server *s = server(context);
	struct datagram g;

	(void)fds;
	if (datagram_decode(body, &g) < 0 || g.local_port != IKE_NAT_PORT)
		return -EPROTO;
	if (plane(s, c))
		sockets_send(s->run->sockets[0], &g);
	return 0;
}

int plane_on_keep_alive(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct plane_server *s = server(context);
	struct datagram g;

	(void)fds;
	if (datagram_decode(body, &g) < 0 || g.local_port != IKE_NAT_PORT || g.len)
		return -EPROTO;
	if (plane(s, c))
		sockets_keep_alive(s->run->sockets[0], &g.local, &g.remote, g.remote_port);
	return 0;
}

/* ---- from beginning to end --------------------------------------------------------------------------------------- */

void plane_server_went(struct plane_server *s)
{
	s->client = NULL;
}

void plane_server_end(struct plane_server *s)
{
	if (s->run)
		stop(TAKE(s->run));
}

struct plane_server *plane_server_new(uv_loop_t *loop, struct channel *parent)
{
	struct plane_server *s = mem_new(1, sizeof *s);

	s->loop = loop;
	s->parent = parent;
	for (unsigned i = 0; i < SHARES_MOST; i++) {
		s->fds[i] = esp_fds_none();
		s->nat[i][0] = s->nat[i][1] = -1;
	}
	s->xfrm = xfrm_fds_none();
	return s;
}
