#include "dataplane/esp/plane.h"

#include "base/mem.h"
#include "base/table.h"

#include <stdlib.h>
#include <string.h>

void plane_limit_drops(struct limit *l)
{
	l->each = (struct limit_rate){ PLANE_DROPS_EACH_S, 2 };
	l->all = (struct limit_rate){ PLANE_DROPS_ALL_S, 2 * PLANE_DROPS_ALL_S };
}

int plane_new(const struct plane_config *c, struct sad **ret, struct diag *d)
{
	struct sad *s = mem_new(1, sizeof *s);
	int r;

	s->head.ops = &plane_ops;
	s->config = *c;
	s->generation = 1;
	s->paths.ask = c->path_mtu;
	s->paths.context = c->io;
	if ((r = sa_table_init(&s->sas, d)) < 0 || (r = crypto_random(&s->flow_seed, sizeof s->flow_seed, d)) < 0 ||
	    (r = crypto_random(&s->fragment_id, sizeof s->fragment_id, d)) < 0) {
		free(s);
		return r;
	}
	s->sas.share = c->share;
	s->held.shares = c->share.count;
	plane_limit_drops(&s->drops_told);
	s->plan = c->plan ? plan_ref(c->plan) : NULL;
	s->now = s->ticked_ms = c->now_ms(c->context);
	*ret = s;
	return 0;
}

void plane_free(struct sad *s)
{
	if (s->config.close)
		s->config.close(s->config.io);
	for (size_t i = 0; i < s->event_count; i++)
		plan_free(s->events[i].plan);
	free(s->events);
	sa_table_wipe(&s->sas);
	held_wipe(&s->held);
	list_wipe(&s->out);
	plan_free(s->plan);
	explicit_bzero(s, sizeof *s); /* the scratch held clear text */
	free(s);
}

void plane_enter(struct sad *s)
{
	if (s->depth++ == 0)
		s->now = s->config.now_ms(s->config.context);
}

void plane_flush(struct sad *s)
{
	if (s->out.count)
		s->config.flush(s->config.io, &s->out);
	list_clear(&s->out);
}

void plane_relieve(struct sad *s)
{
	s->out.more_follows = true;
	plane_flush(s);
	s->out.more_follows = false;
}

/* The callback may come back with requests, which may add events. */
void plane_leave(struct sad *s)
{
	if (s->depth > 1) {
		if (list_is_long(&s->out))
			plane_relieve(s);
		s->depth--;
		return;
	}
	plane_flush(s);
	for (size_t i = 0; i < s->event_count; i++) {
		struct plane_event e = s->events[i];

		s->events[i].plan = NULL;
		if (e.event.kind == SAD_FAILED)
			e.event.why = &e.why;
		s->config.event(s->config.context, &e.event);
		plan_free(e.plan);
		plane_flush(s);
	}
	s->event_count = 0;
	s->depth--;
}

void plane_tell(struct sad *s, const struct sad_event *e, const struct diag *why)
{
	struct plane_event *row;

	s->events = mem_grow(s->events, s->event_count, &s->event_cap, sizeof *s->events);
	row = &s->events[s->event_count++];
	*row = (struct plane_event){ .event = *e };
	if (e->entry)
		row->plan = plan_ref(s->plan);
	if (why)
		row->why = *why;
}

void plane_drop(struct sad *s, enum sad_drop why)
{
	s->drops[why]++;
}

void plane_pass(struct sad *s, unsigned to, const struct plane_passed *p)
{
	if (!s->config.pass(s->config.context, to, p))
		plane_drop(s, DROP_HELD_OVERFLOW);
}

void plane_drop_in(struct sad *s, enum sad_drop why, const struct ip_packet *outer, uint32_t spi, const struct sa *sa)
{
	struct sad_event e = {
		.kind = SAD_DROPPED,
		.drop = why,
		.spi = spi,
		.pair = sa ? sa->spec.pair : 0,
		.rule = sa ? sa->spec.rule->name : NULL,
		.packet = { .local = outer->destination, .remote = outer->source, .protocol = outer->next },
	};

	plane_drop(s, why);
	if (limit_take(&s->drops_told, table_hash_secret(&outer->source, sizeof outer->source, (uint64_t)why), s->now,
		       &e.left_out))
		plane_tell(s, &e, NULL);
}

/* Short ones are cheaper copied than written in two parts. */
enum { COPY_MOST = 256 };

void plane_to_tun(struct sad *s, const struct ip_packet *ip, const uint8_t *packet, size_t len)
{
	bool plain = !ip->fragment && ip->upper == ip->head;
	size_t head = len;

	if (s->stays && len > COPY_MOST && plain && ip->protocol == IP_TCP && len > ip->upper + 20)
		head = ip->upper + (packet[ip->upper + 12] >> 4) * 4u;
	else if (s->stays && len > COPY_MOST && plain && ip->protocol == IP_UDP)
		head = ip->upper + UDP_HEADER;
	list_add_opened(&s->out, packet, head < len ? head : len, len, plain ? ip->upper : 0, ip->protocol);
}

/* ---- the flow cache ---- */

static size_t flow_row(const struct sad *s, const struct plan_packet *k)
{
	uint64_t words[4], h = s->flow_seed;

	memcpy(words, k->local.octets, 16);
	memcpy(words + 2, k->remote.octets, 16);
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		h = (h ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 31;
	}
	h = (h ^ ((uint64_t)(uint16_t)k->protocol << 32 | (uint32_t)k->local_port << 16 | k->remote_port)) *
	    UINT64_C(0xbf58476d1ce4e5b9);
	return (h ^ h >> 32) % PLANE_FLOWS;
}

bool flow_key_equal(const struct plan_packet *a, const struct plan_packet *b)
{
	return a->protocol == b->protocol && a->local_port == b->local_port && a->remote_port == b->remote_port &&
	       addr_equal(&a->local, &b->local) && addr_equal(&a->remote, &b->remote);
}

unsigned plane_owner(const struct plan_entry *e, const struct addr *local, const struct addr *remote, unsigned count)
{
	struct addr near, far;

	if (!e->rule->tunnel)
		return share_of_addresses(local, remote, count);
	return plan_tunnel_ends(e, local, remote, &near, &far) ? share_of_addresses(&near, &far, count) : 0;
}

struct flow *flow_of(struct sad *s, const struct plan_packet *key)
{
	struct flow *f = &s->flows[flow_row(s, key)];

	if (f->generation == s->generation && flow_key_equal(&f->key, key))
		return f;
	f->key = *key;
	f->generation = s->generation;
	f->entry = s->plan ? plan_lookup_protecting(s->plan, key) : NULL;
	f->out = NULL;
	f->out_known = false;
	f->owner = f->entry ? plane_owner(f->entry, &key->local, &key->remote, s->config.share.count) : 0;
	return f;
}

struct sa *flow_out(struct sad *s, struct flow *f)
{
	if (!f->out_known) {
		f->out = f->entry ? sa_find_out(&s->sas, f->entry->rule, &f->key) : NULL;
		f->out_known = true;
	}
	return f->out;
}

/* Every SA or plan that comes or goes makes all rows stale at once. */
void flows_forget(struct sad *s)
{
	s->generation++;
}

/* ---- expiry ---- */

enum { SEQUENCE_SOFT = 0xc0000000 }; /* of 2^32: time enough to rekey */

static uint64_t limit_of(uint64_t octets)
{
	return octets ? octets : UINT64_MAX;
}

bool plane_used_up(const struct sa *sa)
{
	return sa->octets >= limit_of(sa->spec.hard_octets) || sa->sequence == (sa->spec.esn ? UINT64_MAX : UINT32_MAX);
}

/* Asked after each packet, told once: the event is not made before it is told. */
__attribute__((noinline, cold)) static void tell_soft(struct sad *s, struct sa *sa)
{
	struct sad_event e = { .kind = SAD_EXPIRE_SOFT, .pair = sa->spec.pair, .spi = sa->spec.spi };
	struct sa *other;

	sa->soft_told = true;
	other = sa_find_pair(&s->sas, sa->spec.pair, !sa->spec.inbound);
	if (other)
		other->soft_told = true;
	plane_tell(s, &e, NULL);
}

void plane_expire_soft(struct sad *s, struct sa *sa)
{
	if (!sa->soft_told &&
	    (sa->octets >= limit_of(sa->spec.soft_octets) || (!sa->spec.esn && sa->sequence >= SEQUENCE_SOFT)))
		tell_soft(s, sa);
}

void plane_expire(struct sad *s, struct sa *sa)
{
	struct sad_event e = { .kind = SAD_EXPIRE_HARD, .pair = sa->spec.pair, .spi = sa->spec.spi };

	(void)sa_remove_pair(&s->sas, e.pair);
	flows_forget(s);
	plane_tell(s, &e, NULL);
}

/* ---- time ---- */

uint64_t plane_deadline(const struct sad *s)
{
	return s->held.queues ? s->ticked_ms + PLANE_TICK_MS : UINT64_MAX;
}

void plane_tick(struct sad *s)
{
	s->ticked_ms = s->now;
	s->drops[DROP_HELD_TIMEOUT] += held_expire(&s->held, s->now);
	plane_ask_again(s);
}
