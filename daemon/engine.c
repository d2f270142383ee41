#include "daemon/engine.h"

#include "base/diag.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FALLBACKS_KNOWN = 1024 };

/* Two hosts with SAs. */
struct secured {
	struct addr local, remote;
};

struct engine {
	struct engine_config config;
	struct driver *driver;
	struct shared_store *store;
	struct engine_fallback fallbacks[FALLBACKS_KNOWN]; /* for status only; the ruleset has its own set */
	size_t fallback_count;
	struct table secured; /* by the remote address */
};

uint64_t engine_now_ms(void)
{
	return driver_now_ms();
}

const struct credential_store *engine_store(const struct engine *e)
{
	return e->store ? e->store->store : NULL;
}

const struct shared_store *engine_shared_store(const struct engine *e)
{
	return e->store;
}

size_t engine_fallbacks(const struct engine *e, const struct engine_fallback **ret)
{
	*ret = e->fallbacks;
	return e->fallback_count;
}

/* ---- doors ------------------------------------------------------------------------------------------------------- */

static void note_fallback(struct engine *e, const struct addr *local, const struct addr *remote, uint32_t seconds)
{
	uint64_t now = engine_now_ms();
	size_t n = 0;

	for (size_t i = 0; i < e->fallback_count; i++) {
		struct engine_fallback f = e->fallbacks[i];

		if (f.until_ms > now && !(addr_equal(&f.local, local) && addr_equal(&f.remote, remote)))
			e->fallbacks[n++] = f;
	}
	if (seconds && n < FALLBACKS_KNOWN)
		e->fallbacks[n++] = (struct engine_fallback){ *local, *remote, now + (uint64_t)seconds * 1000 };
	e->fallback_count = n;
}

static void fall_back(void *context, const struct addr *local, const struct addr *remote, uint32_t seconds)
{
	struct engine *e = context;
	struct diag d = { 0 };
	int r = seconds ? gate_fallback_add(e->config.gate, local, remote, seconds, &d)
			: gate_fallback_remove(e->config.gate, local, remote, &d);

	note_fallback(e, local, remote, seconds);
	if (r < 0 && r != -ENOENT)
		log_warning("peers without IKE: %s", d.text);
}

static uint64_t remote_hash(const struct addr *remote)
{
	return table_hash(remote->octets, sizeof remote->octets, 0);
}

static bool same_hosts(const void *value, const void *what)
{
	const struct secured *a = value, *b = what;

	return addr_equal(&a->remote, &b->remote) && addr_equal(&a->local, &b->local);
}

static bool same_remote(const void *value, const void *what)
{
	const struct secured *a = value;

	return addr_equal(&a->remote, what);
}

static void note_secured(struct engine *e, const struct addr *local, const struct addr *remote, bool up)
{
	struct secured hosts = { *local, *remote };
	struct secured *s = table_find(&e->secured, remote_hash(remote), same_hosts, &hosts);

	if (up && !s) {
		table_add(&e->secured, remote_hash(remote), mem_copy(&hosts, sizeof hosts));
	} else if (!up && s) {
		table_remove(&e->secured, remote_hash(remote), s);
		free(s);
	}
}

static void secure(void *context, const struct addr *local, const struct addr *remote, bool up)
{
	struct engine *e = context;
	struct diag d = { 0 };
	int r = up ? gate_secured_add(e->config.gate, local, remote, &d)
		   : gate_secured_remove(e->config.gate, local, remote, &d);

	note_secured(e, local, remote, up);
	if (r < 0)
		log_warning("secured peers: %s", d.text);
}

static void keys(void *context, const char *line)
{
	const struct engine *e = context;

	if (e->config.export_fd >= 0 && dprintf(e->config.export_fd, "%s\n", line) < 0)
		log_warning("keys could not be exported: %s", strerror(errno));
}

bool engine_has_peer(const struct engine *e, const struct addr *remote)
{
	return table_find(&e->secured, remote_hash(remote), same_remote, remote) != NULL;
}

/* ---- from beginning to end --------------------------------------------------------------------------------------- */

static void engine_free(struct engine *e)
{
	uint64_t key;
	void *s;

	while ((s = table_any(&e->secured, &key))) {
		table_remove(&e->secured, key, s);
		free(s);
	}
	table_wipe(&e->secured);
	shared_store_release(e->store);
	free(e);
}

static void take_store(struct engine *e, const struct proofs *proofs)
{
	struct shared_store *before = e->store;

	e->store = proofs->store;
	if (e->store)
		e->store->references++;
	shared_store_release(before);
}

int engine_new(const struct engine_config *c, struct plan *plan, const struct proofs *proofs, struct engine **ret,
	       struct diag *d)
{
	struct engine *e = mem_new(1, sizeof *e);
	int r;

	e->config = *c;
	r = driver_new(&(struct driver_config){ .loop = c->loop,
						.sockets = c->sockets,
						.gate_config = c->gate_config,
						.observer = c->observer,
						.doors = { fall_back, secure, keys, e },
						.asking = c->asking,
						.fetcher = c->fetcher,
						.fetched = c->fetched },
		       plan, proofs, &e->driver, d);
	if (r < 0) {
		engine_free(e);
		return r;
	}
	take_store(e, proofs);
	*ret = e;
	return 0;
}

void engine_start(struct engine *e)
{
	driver_start(e->driver);
	driver_judge(e->driver);
}

void engine_plane_came(struct engine *e, struct channel *c)
{
	if (c)
		driver_plane_came(e->driver, c);
}

void engine_plane_went(struct engine *e)
{
	driver_plane_went(e->driver);
}

void engine_address_gone(struct engine *e, const struct addr *a)
{
	driver_address_gone(e->driver, a);
}

void engine_set_plan(struct engine *e, struct plan *plan, const struct proofs *proofs)
{
	take_store(e, proofs);
	driver_set_plan(e->driver, plan, proofs);
}

void engine_set_proofs(struct engine *e, const struct proofs *proofs)
{
	take_store(e, proofs);
	driver_set_proofs(e->driver, proofs);
}

void engine_judge(struct engine *e)
{
	driver_judge(e->driver);
}

void engine_close(struct engine *e)
{
	if (!e)
		return;
	driver_close(e->driver);
	engine_free(e);
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

void engine_rekey(struct engine *e, const struct addr *peers, size_t count, bool main_mode,
		  void (*begun)(void *context, size_t n), void *context)
{
	size_t n = count ? 0 : driver_rekey(e->driver, NULL, main_mode);

	for (size_t i = 0; i < count; i++)
		n += driver_rekey(e->driver, &peers[i], main_mode);
	begun(context, n);
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static int by_pair(const void *a, const void *b)
{
	const struct sa_usage *x = a, *y = b;

	return x->pair < y->pair ? -1 : x->pair > y->pair;
}

struct look {
	void (*seen)(void *context, const struct engine_view *v);
	void *context;
};

static void view(struct driver *d, void *context)
{
	struct look *l = context;
	const struct keying *k = driver_keying(d);
	const struct sad *s = driver_sad(d);
	struct engine_view v = { 0 };
	size_t n = keying_ike_rows(k, NULL, 0);
	struct keying_ike_row *ike = mem_new(n + 1, sizeof *ike);

	v.ike_count = least(n, keying_ike_rows(k, ike, n));
	n = keying_child_rows(k, NULL, 0);
	struct keying_child_row *children = mem_new(n + 1, sizeof *children);
	v.child_count = least(n, keying_child_rows(k, children, n));
	n = keying_failures(k, NULL, 0);
	struct keying_failure *failures = mem_new(n + 1, sizeof *failures);
	v.failure_count = least(n, keying_failures(k, failures, n));
	n = sad_usage(s, NULL, 0);
	struct sa_usage *usage = mem_new(n + 1, sizeof *usage);
	v.usage_count = least(n, sad_usage(s, usage, n));
	qsort(usage, v.usage_count, sizeof *usage, by_pair);
	v.ike = ike;
	v.children = children;
	v.failures = failures;
	v.usage = usage;
	for (int i = 0; i < KEYING_DROP_COUNT; i++)
		v.keying_dropped[i] = keying_dropped(k, (enum keying_drop)i);
	for (int i = 0; i < DROP_COUNT; i++)
		v.plane_dropped[i] = sad_dropped(s, (enum sad_drop)i);
	l->seen(l->context, &v);
	free(ike);
	free(children);
	free(failures);
	free(usage);
	free(l);
}

void engine_look(struct engine *e, void (*seen)(void *context, const struct engine_view *v), void *context)
{
	struct look l = { seen, context };

	driver_look(e->driver, view, mem_copy(&l, sizeof l));
}
