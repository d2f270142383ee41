#include "daemon/parts/engine.h"

#include "base/addr_wire.h"
#include "base/diag.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/parts/engine_doors.h"
#include "daemon/process/children.h"
#include "daemon/messages/keying_wire.h"
#include "daemon/messages/plan_wire.h"
#include "daemon/process/channel.h"
#include "daemon/messages/proofs_wire.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	LOOK_MS = 3000, /* who does not answer by then is left out */
	REKEY_MS = 3000,
};

/* Somebody waits for what keying says. */
struct asking {
	struct asking *next;
	uint32_t request; /* 0: not sent yet; it goes when the one before is answered */
	void (*seen)(void *context, const struct engine_view *v);
	void (*begun)(void *context, size_t n);
	void *context;
};

struct engine {
	struct engine_config config;
	struct shared_store *store;
	struct plan *plan;
	struct plan_file *file; /* for a keying that begins anew */
	int proofs;
	struct doors *doors;
	struct channel *keying; /* NULL: it is away */
	bool started;
	uv_timer_t patience;
	struct asking *looks, *rekeys;
	uint32_t requests, looking; /* looking: the request that is on its way; 0: none */
};

uint64_t engine_now_ms(void)
{
	struct timespec t;

	/* As keying and the data plane have it. */
	(void)clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

const struct credential_store *engine_store(const struct engine *e)
{
	return e->store ? e->store->store : NULL;
}

struct doors *engine_doors(const struct engine *e)
{
	return e->doors;
}

size_t engine_fallbacks(const struct engine *e, const struct engine_fallback **ret)
{
	return doors_fallbacks(e->doors, ret);
}

bool engine_has_peer(const struct engine *e, const struct addr *remote)
{
	return doors_has_peer(e->doors, remote);
}

/* ---- what it is told --------------------------------------------------------------------------------------------- */

static void send_plan(struct engine *e)
{
	if (!e->keying || !e->started || e->proofs < 0)
		return;
	(void)channel_begin(e->keying, ASK_KEYING_PLAN);
	channel_end_fds(e->keying, (const int[]){ plan_file_fd(e->file), e->proofs }, 2);
	children_gave_work(e->keying);
}

static void take_store(struct engine *e, const struct proofs *proofs)
{
	struct shared_store *before = e->store;
	struct diag d = { 0 };

	e->store = proofs->store;
	if (e->store)
		e->store->references++;
	shared_store_release(before);
	if (e->proofs >= 0)
		(void)close(e->proofs);
	if ((e->proofs = proofs_seal(proofs, plan_policy(e->plan), &d)) < 0)
		log_error("what this host can prove cannot be handed on: %s", d.text);
}

static void drop_plan(struct engine *e)
{
	plan_free(TAKE(e->plan));
	plan_file_free(TAKE(e->file));
}

static void take_plan(struct engine *e, struct plan *plan, struct plan_file *file)
{
	drop_plan(e);
	e->plan = plan_ref(plan);
	e->file = plan_file_ref(file);
	doors_set_plan(e->doors, plan_file_number(file), plan);
}

void engine_address_gone(struct engine *e, const struct addr *a)
{
	if (!e->keying)
		return; /* a new one begins without it */
	addr_encode(channel_begin(e->keying, ASK_KEYING_ADDRESS_GONE), a);
	channel_end(e->keying);
}

void engine_set_plan(struct engine *e, struct plan *plan, struct plan_file *file, const struct proofs *proofs)
{
	take_plan(e, plan, file);
	take_store(e, proofs);
	send_plan(e);
}

void engine_set_proofs(struct engine *e, const struct proofs *proofs)
{
	take_store(e, proofs);
	if (!e->keying || !e->started || e->proofs < 0)
		return;
	(void)channel_begin(e->keying, ASK_KEYING_PROOFS);
	channel_end_fds(e->keying, &e->proofs, 1);
}

/* ---- what it is asked -------------------------------------------------------------------------------------------- */

static void lost_patience(uv_timer_t *t);

/* One look at a time is on its way; all who have asked before it went have its answer. */
static void send_look(struct engine *e)
{
	if (e->looking || !e->looks || !e->keying)
		return;
	e->looking = ++e->requests;
	for (struct asking *a = e->looks; a; a = a->next)
		a->request = e->looking;
	wire_put_u32(channel_begin(e->keying, ASK_KEYING_LOOK), e->looking);
	channel_end(e->keying);
	(void)uv_timer_start(&e->patience, lost_patience, LOOK_MS, 0);
}

/* Those of the request; 0: all. */
static void answer_looks(struct engine *e, uint32_t request, const struct engine_view *v)
{
	struct asking *due = NULL, **last = &due;

	for (struct asking **p = &e->looks; *p;) {
		struct asking *a = *p;

		if (request && a->request != request) {
			p = &a->next;
			continue;
		}
		*p = a->next;
		a->next = NULL;
		*last = a;
		last = &a->next;
	}
	while (due) {
		struct asking *a = due;

		due = a->next;
		a->seen(a->context, v);
		free(a);
	}
}

static void answer_rekeys(struct engine *e, uint32_t request, size_t n)
{
	for (struct asking **p = &e->rekeys; *p;) {
		struct asking *a = *p;

		if (request && a->request != request) {
			p = &a->next;
			continue;
		}
		*p = a->next;
		a->begun(a->context, n);
		free(a);
	}
}

static void answer_nothing(struct engine *e)
{
	struct engine_view v = { .keying_away = true };

	e->looking = 0;
	(void)uv_timer_stop(&e->patience);
	answer_looks(e, 0, &v);
	answer_rekeys(e, 0, 0);
}

static void lost_patience(uv_timer_t *t)
{
	answer_nothing(t->data);
}

void engine_rekey(struct engine *e, const struct addr *peers, size_t count, enum keying_renewal what,
		  void (*begun)(void *context, size_t n), void *context)
{
	struct asking *a;
	struct wire_out *out;

	if (!e->keying) {
		begun(context, 0);
		return;
	}
	a = mem_new(1, sizeof *a);
	*a = (struct asking){ .next = e->rekeys, .request = ++e->requests, .begun = begun, .context = context };
	e->rekeys = a;
	count = count < KEYING_REKEY_PEERS ? count : KEYING_REKEY_PEERS;
	out = channel_begin(e->keying, ASK_KEYING_REKEY);
	wire_put_u32(out, a->request);
	wire_put_u8(out, (uint8_t)what);
	wire_put_u16(out, (uint16_t)count);
	for (size_t i = 0; i < count; i++)
		addr_encode(out, &peers[i]);
	channel_end(e->keying);
	if (!uv_is_active((uv_handle_t *)&e->patience))
		(void)uv_timer_start(&e->patience, lost_patience, REKEY_MS, 0);
}

void engine_look(struct engine *e, void (*seen)(void *context, const struct engine_view *v), void *context)
{
	struct asking *a;

	if (!e->keying || !e->started) {
		seen(context, &(struct engine_view){ .keying_away = true });
		return;
	}
	a = mem_new(1, sizeof *a);
	*a = (struct asking){ .next = e->looks, .seen = seen, .context = context };
	e->looks = a;
	send_look(e);
}

int engine_rows_came(struct engine *e, uint32_t request, int fd)
{
	SCOPED(keying_rows_wipe) struct keying_rows rows = { 0 };
	struct engine_view v = { 0 };
	struct diag d = { 0 };
	int r;

	if (request != e->looking)
		return 0; /* it was waited for no longer */
	if ((r = keying_rows_read(fd, plan_file_number(e->file), plan_policy(e->plan), &rows, &d)) < 0) {
		log_error("%s", d.text);
		return r;
	}
	v.ike = rows.ike;
	v.ike_count = rows.ike_count;
	v.children = rows.children;
	v.child_count = rows.child_count;
	v.failures = rows.failures;
	v.failure_count = rows.failure_count;
	v.lists = rows.lists;
	v.list_count = rows.list_count;
	v.usage = rows.usage;
	v.usage_count = rows.usage_count;
	memcpy(v.keying_dropped, rows.dropped, sizeof v.keying_dropped);
	memcpy(v.plane_dropped, rows.plane_dropped, sizeof v.plane_dropped);
	e->looking = 0;
	if (!e->rekeys) /* who renews waits, too */
		(void)uv_timer_stop(&e->patience);
	answer_looks(e, request, &v);
	send_look(e);
	return 0;
}

void engine_rekeyed(struct engine *e, uint32_t request, size_t n)
{
	answer_rekeys(e, request, n);
}

/* ---- from beginning to end --------------------------------------------------------------------------------------- */

void engine_keying_came(struct engine *e, struct channel *c)
{
	e->keying = c;
	doors_keying_came(e->doors);
	send_plan(e);
}

void engine_keying_went(struct engine *e)
{
	e->keying = NULL;
	answer_nothing(e);
}

void engine_new(const struct engine_config *c, struct plan *plan, struct plan_file *file, const struct proofs *proofs,
		struct engine **ret)
{
	struct engine *e = mem_new(1, sizeof *e);

	e->config = *c;
	e->proofs = -1;
	e->doors = doors_new(c);
	e->keying = c->keying;
	e->patience.data = e;
	(void)uv_timer_init(c->loop, &e->patience);
	take_plan(e, plan, file);
	take_store(e, proofs);
	*ret = e;
}

void engine_start(struct engine *e)
{
	e->started = true;
	send_plan(e);
}

static void engine_free(uv_handle_t *h)
{
	free(h->data);
}

void engine_close(struct engine *e)
{
	if (!e)
		return;
	if (e->keying && e->started) {
		(void)channel_begin(e->keying, ASK_KEYING_CLOSE);
		channel_end(e->keying);
	}
	answer_nothing(e);
	doors_free(e->doors);
	drop_plan(e);
	if (e->proofs >= 0)
		(void)close(e->proofs);
	shared_store_release(e->store);
	uv_close((uv_handle_t *)&e->patience, engine_free);
}
