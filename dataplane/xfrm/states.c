#include "dataplane/xfrm/states.h"

#include "base/crypto.h"
#include "base/diag.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { WINDOW_LEAST = 64, WINDOW_MOST = 4096 };

uint64_t state_id_hash(const struct state_id *id)
{
	return table_hash_secret(id->to.octets, sizeof id->to.octets, (uint64_t)id->protocol << 32 | id->spi);
}

static bool same_id(const void *value, const void *what)
{
	const struct state *st = value;
	const struct state_id *id = what;
	struct state_id own = state_id_of(&st->spec);

	return own.spi == id->spi && own.protocol == id->protocol && addr_equal(&own.to, &id->to);
}

static bool same_pair(const void *value, const void *what)
{
	return ((const struct state *)value)->spec.inbound == *(const bool *)what;
}

static void list(struct states *s, struct state *st)
{
	s->all = mem_grow(s->all, s->count, &s->cap, sizeof(struct state *));
	st->place = s->count;
	s->all[s->count++] = st;
}

int states_reserve(struct states *s, const struct addr *local, const struct addr *remote, uint32_t *ret_spi,
		   struct diag *d)
{
	struct state *st;
	uint32_t spi;
	int r;

	if (s->reserved >= STATES_RESERVED_MOST)
		return diag_fail(d, ENOSPC, "%zu SPIs are reserved already", s->reserved);
	do {
		if ((r = crypto_random(&spi, sizeof spi, d)) < 0)
			return r;
	} while (spi < STATES_SPI_LEAST || table_find(&s->by_spi, spi, NULL, NULL));
	st = mem_new(1, sizeof *st);
	st->spec = (struct sa_spec){ .spi = spi, .inbound = true, .local = *local, .remote = *remote };
	st->reserved = true;
	st->poll_ms = UINT64_MAX;
	list(s, st);
	s->reserved++;
	table_add(&s->by_spi, spi, st);
	*ret_spi = spi;
	return 0;
}

struct state *states_reserved(const struct states *s, uint32_t spi)
{
	struct state *st = table_find(&s->by_spi, spi, NULL, NULL);

	return st && st->reserved ? st : NULL;
}

struct state *states_inbound(const struct states *s, uint32_t spi)
{
	struct state *st = table_find(&s->by_spi, spi, NULL, NULL);

	return st && !st->reserved ? st : NULL;
}

struct state *states_enter(struct states *s, const struct sa_spec *spec)
{
	struct state *promise = spec->inbound ? states_reserved(s, spec->spi) : NULL;
	struct state *st = mem_new(1, sizeof *st);
	struct state_id id;

	if (promise)
		states_leave(s, promise);
	st->spec = *spec;
	key_wipe(&st->spec.encr_key);
	key_wipe(&st->spec.integ_key);
	st->poll_ms = UINT64_MAX;
	id = state_id_of(&st->spec);
	list(s, st);
	if (spec->inbound)
		table_add(&s->by_spi, spec->spi, st);
	table_add(&s->by_id, state_id_hash(&id), st);
	table_add(&s->by_pair, spec->pair, st);
	return st;
}

void states_leave(struct states *s, struct state *st)
{
	struct state_id id = state_id_of(&st->spec);

	if (st->spec.inbound)
		table_remove(&s->by_spi, st->spec.spi, st);
	if (st->reserved)
		s->reserved--;
	else {
		table_remove(&s->by_id, state_id_hash(&id), st);
		table_remove(&s->by_pair, st->spec.pair, st);
	}
	s->all[st->place] = s->all[--s->count];
	s->all[st->place]->place = st->place;
	free(st);
}

struct state *states_of_id(const struct states *s, const struct state_id *id)
{
	return table_find(&s->by_id, state_id_hash(id), same_id, id);
}

struct state *states_of_pair(const struct states *s, uint64_t pair, bool inbound)
{
	return table_find(&s->by_pair, pair, same_pair, &inbound);
}

void states_wipe(struct states *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->all[i]);
	free(s->all);
	table_wipe(&s->by_spi);
	table_wipe(&s->by_id);
	table_wipe(&s->by_pair);
	*s = (struct states){ 0 };
}

static int check_addresses(const struct sa_spec *s, struct diag *d)
{
	if ((s->local.family != 4 && s->local.family != 6) || s->local.family != s->remote.family)
		return diag_fail(d, EINVAL, "the SA's addresses are not of one family");
	if (s->selector.local.family != s->selector.remote.family)
		return diag_fail(d, EINVAL, "the selector's addresses are not of one family");
	if (s->tunnel)
		return 0;
	if (s->selector.local_last.family || s->selector.remote_last.family)
		return diag_fail(d, EINVAL, "transport mode: between single addresses");
	if (!addr_equal(&s->local, &s->selector.local) || !addr_equal(&s->remote, &s->selector.remote))
		return diag_fail(d, s->encap_local_port ? ERR_UNSUPPORTED : EINVAL,
				 "transport mode: the selector's addresses must be the SA's own");
	return 0;
}

int states_check(const struct states *s, const struct sa_spec *spec, struct diag *d)
{
	struct state_id id = state_id_of(spec);
	int r;

	if ((r = check_addresses(spec, d)) < 0)
		return r;
	if (spec->spi < STATES_SPI_LEAST)
		return diag_fail(d, EINVAL, "SPI %u: the first %d are not for SAs", spec->spi, STATES_SPI_LEAST);
	if (!spec->rule)
		return diag_fail(d, EINVAL, "the SA names no rule");
	if (spec->tunnel != spec->rule->tunnel)
		return diag_fail(d, EINVAL, "rule '%s' and the SA are not of one mode", spec->rule->name);
	if (!spec->encap_local_port != !spec->encap_remote_port)
		return diag_fail(d, EINVAL, "UDP encapsulation needs both ports");
	if (states_of_id(s, &id))
		return diag_fail(d, EINVAL, "SPI %08x: in use", spec->spi);
	if (spec->inbound && !states_reserved(s, spec->spi))
		return diag_fail(d, EINVAL, "SPI %08x: was not reserved", spec->spi);
	if (spec->inbound && (spec->replay_window < WINDOW_LEAST || spec->replay_window > WINDOW_MOST))
		return diag_fail(d, EINVAL, "replay window of %u packets: it must be %d to %d", spec->replay_window,
				 WINDOW_LEAST, WINDOW_MOST);
	return message_state_check(spec, d);
}
