#include "dataplane/esp/sa.h"

#include "base/diag.h"
#include "base/mem.h"
#include "dataplane/esp/ip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int sa_table_init(struct sa_table *t, struct diag *d)
{
	*t = (struct sa_table){ 0 };
	return crypto_random(&t->seed, sizeof t->seed, d);
}

static void warm_up(struct sa *sa)
{
	struct sa_warm *w = sa->warm;
	struct sa *there;

	while ((there = w->ring[w->hand]) && there->used) {
		there->used = false;
		w->hand = (w->hand + 1) % SA_WARM_MOST;
	}
	if (there) {
		seal_cool(there->seal);
		there->is_warm = false;
	}
	w->ring[w->hand] = sa;
	sa->warm_at = w->hand;
	w->hand = (w->hand + 1) % SA_WARM_MOST;
	sa->is_warm = true;
}

void sa_use(struct sa *sa)
{
	if (!sa->is_warm)
		warm_up(sa);
	sa->used = true;
}

static void leave_ring(struct sa *sa)
{
	if (sa->is_warm)
		sa->warm->ring[sa->warm_at] = NULL;
}

static void sa_free(struct sa *sa)
{
	leave_ring(sa);
	early_free(sa->early);
	replay_wipe(&sa->replay);
	seal_free(sa->seal);
	free(sa);
}

void sa_table_wipe(struct sa_table *t)
{
	for (size_t i = 0; i < SA_BUCKETS; i++)
		while (t->found[i]) {
			struct sa *sa = t->found[i];

			t->found[i] = sa->next_found;
			sa_free(sa);
		}
	*t = (struct sa_table){ .seed = t->seed, .share = t->share };
}

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 29;
}

static size_t bucket_of_spi(const struct sa_table *t, uint32_t spi)
{
	return mix(t->seed, spi) % SA_BUCKETS;
}

static size_t bucket_of_pair(const struct sa_table *t, uint64_t pair)
{
	return mix(t->seed, pair) % SA_BUCKETS;
}

static size_t bucket_of_ends(const struct sa_table *t, const struct addr *local, const struct addr *remote)
{
	uint64_t words[4], h = t->seed;

	memcpy(words, local->octets, 16);
	memcpy(words + 2, remote->octets, 16);
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		h = mix(h, words[i]);
	return h % SA_BUCKETS;
}

/* Tunnels have networks for ends: they are found by the far address if it is a single one, else all in one place. */
static size_t bucket_of_tunnel(const struct sa_table *t, const struct addr *single)
{
	static const struct addr none;

	return bucket_of_ends(t, &none, single ? single : &none);
}

static size_t bucket_of(const struct sa_table *t, const struct sa_spec *s)
{
	if (s->inbound)
		return bucket_of_spi(t, s->spi);
	if (s->tunnel)
		return bucket_of_tunnel(t, s->selector.remote_last.family ? NULL : &s->selector.remote);
	return bucket_of_ends(t, &s->selector.local, &s->selector.remote);
}

static struct sa *find_spi(const struct sa_table *t, uint32_t spi)
{
	for (struct sa *sa = t->found[bucket_of_spi(t, spi)]; sa; sa = sa->next_found)
		if (sa->spec.inbound && sa->spec.spi == spi)
			return sa;
	return NULL;
}

struct sa *sa_find_in(const struct sa_table *t, uint32_t spi)
{
	struct sa *sa = find_spi(t, spi);

	return sa && sa->seal ? sa : NULL;
}

static void enter(struct sa_table *t, struct sa *sa)
{
	struct sa **found = &t->found[bucket_of(t, &sa->spec)];

	sa->next_found = *found;
	*found = sa;
	if (!sa->seal) {
		t->reserved++;
		return;
	}
	t->count++;
	sa->next_pair = t->pair[bucket_of_pair(t, sa->spec.pair)];
	t->pair[bucket_of_pair(t, sa->spec.pair)] = sa;
	if (sa->spec.inbound)
		return;
	sa->next_sent = t->sent[bucket_of_spi(t, sa->spec.spi)];
	t->sent[bucket_of_spi(t, sa->spec.spi)] = sa;
}

static void leave(struct sa_table *t, struct sa *sa)
{
	struct sa **at = &t->found[bucket_of(t, &sa->spec)];

	while (*at != sa)
		at = &(*at)->next_found;
	*at = sa->next_found;
	if (!sa->seal) {
		t->reserved--;
		return;
	}
	t->count--;
	at = &t->pair[bucket_of_pair(t, sa->spec.pair)];
	while (*at != sa)
		at = &(*at)->next_pair;
	*at = sa->next_pair;
	if (sa->spec.inbound)
		return;
	at = &t->sent[bucket_of_spi(t, sa->spec.spi)];
	while (*at != sa)
		at = &(*at)->next_sent;
	*at = sa->next_sent;
}

int sa_reserve(struct sa_table *t, const struct addr *local, const struct addr *remote, uint32_t *ret_spi,
	       struct diag *d)
{
	struct sa *sa;
	uint32_t spi;
	int r;

	if (t->reserved >= SA_RESERVED_MOST / (t->share.count ? t->share.count : 1))
		return diag_fail(d, ENOSPC, "%zu SPIs are reserved already", t->reserved);
	do {
		if ((r = crypto_random(&spi, sizeof spi, d)) < 0)
			return r;
	} while (spi < SA_SPI_LEAST || share_of_spi(spi, t->share.count) != t->share.index || find_spi(t, spi));
	sa = mem_new(1, sizeof *sa);
	sa->spec = (struct sa_spec){ .spi = spi, .inbound = true, .local = *local, .remote = *remote };
	enter(t, sa);
	*ret_spi = spi;
	return 0;
}

void sa_release(struct sa_table *t, uint32_t spi)
{
	struct sa *sa = find_spi(t, spi);

	if (!sa || sa->seal)
		return;
	leave(t, sa);
	sa_free(sa);
}

bool sa_keep_early(struct sa_table *t, uint32_t spi, const struct addr *source, const uint8_t *packet, size_t len)
{
	struct sa *sa = find_spi(t, spi);

	return sa && !sa->seal && addr_equal(&sa->spec.remote, source) &&
	       early_keep(&sa->early, &t->early, packet, len);
}

struct early *sa_take_early(struct sa_table *t, uint32_t spi)
{
	struct sa *sa = find_spi(t, spi);
	struct early *e = sa ? sa->early : NULL;

	if (e)
		sa->early = NULL;
	return e;
}

static int check_spec(const struct sa_table *t, const struct sa_spec *s, struct diag *d)
{
	const struct sa *reserved = s->inbound ? find_spi(t, s->spi) : NULL;

	bool ah = s->suite.protocol == PROTO_AH;

	if (ah ? !s->suite.integ : !s->suite.encr)
		return diag_fail(d, EINVAL, "the SA names no algorithm");
	if (ah && s->encap_local_port)
		return diag_fail(d, ERR_UNSUPPORTED,
				 "AH covers the addresses of the packet: it cannot pass a NAT, nor go inside UDP. Use "
				 "ESP for this peer");
	if (!ah && !s->suite.encr->aead && !s->suite.integ)
		return diag_fail(d, ERR_UNSUPPORTED, "ESP with %s and no integrity check", s->suite.encr->name);
	if (s->spi < SA_SPI_LEAST)
		return diag_fail(d, EINVAL, "SPI %u: the first %d are not for SAs", s->spi, SA_SPI_LEAST);
	if ((s->local.family != 4 && s->local.family != 6) || s->local.family != s->remote.family)
		return diag_fail(d, EINVAL, "the SA's addresses are not of one family");
	if (s->selector.local.family != s->selector.remote.family)
		return diag_fail(d, EINVAL, "the selector's addresses are not of one family");
	if (!s->tunnel && (s->selector.local_last.family || s->selector.remote_last.family))
		return diag_fail(d, EINVAL, "transport mode: between single addresses");
	if (!s->tunnel &&
	    (!addr_equal(&s->local, &s->selector.local) || (!s->nat && !addr_equal(&s->remote, &s->selector.remote))))
		return diag_fail(d, EINVAL, "transport mode: the selector's addresses must be the SA's own");
	if (!s->rule)
		return diag_fail(d, EINVAL, "the SA names no rule");
	if (s->tunnel != s->rule->tunnel)
		return diag_fail(d, EINVAL, "rule '%s' and the SA are not of one mode", s->rule->name);
	if (!s->encap_local_port != !s->encap_remote_port)
		return diag_fail(d, EINVAL, "UDP encapsulation needs both ports");
	if (s->nat && !s->encap_local_port)
		return diag_fail(d, EINVAL, "ESP passes a NAT inside UDP only");
	if (s->inbound && (!reserved || reserved->seal))
		return diag_fail(d, EINVAL, "SPI %08x: %s", s->spi, reserved ? "in use" : "was not reserved");
	if (s->inbound && (s->replay_window < REPLAY_LEAST || s->replay_window > REPLAY_MOST))
		return diag_fail(d, EINVAL, "replay window of %u packets: it must be %d to %d", s->replay_window,
				 REPLAY_LEAST, REPLAY_MOST);
	return 0;
}

int sa_install(struct sa_table *t, const struct sa_spec *spec, struct sa **ret, struct diag *d)
{
	const struct algorithm *encr = spec->suite.encr, *integ = spec->suite.integ;
	struct seal *seal;
	struct sa *sa;
	int r;

	if ((r = check_spec(t, spec, d)) < 0 ||
	    (r = seal_new(encr, &spec->encr_key, encr && encr->aead ? NULL : integ, &spec->integ_key, &seal, d)) < 0)
		return r;
	if (spec->inbound)
		sa_release(t, spec->spi);
	sa = mem_new(1, sizeof *sa);
	sa->spec = *spec;
	key_wipe(&sa->spec.encr_key);
	key_wipe(&sa->spec.integ_key);
	sa->seal = seal;
	sa->iv = encr ? encr->iv : integ->iv;
	sa->icv = encr && encr->aead ? encr->icv : integ->icv;
	if (encr)
		sa->align = encr->block > 4 ? encr->block : 4;
	else
		sa->align = spec->local.family == 6 ? 8 : 4;
	sa->warm = &t->warm;
	if (spec->inbound)
		replay_init(&sa->replay, spec->replay_window);
	enter(t, sa);
	*ret = sa;
	return 0;
}

int sa_number(struct sa *sa, uint64_t *ret, struct diag *d)
{
	if (sa->sequence == (sa->spec.esn ? UINT64_MAX : UINT32_MAX))
		return diag_fail(d, EOVERFLOW, "SPI %08x: the sequence numbers are used up", sa->spec.spi);
	*ret = ++sa->sequence;
	return 0;
}

size_t sa_remove_pair(struct sa_table *t, uint64_t pair)
{
	struct sa *sa = t->pair[bucket_of_pair(t, pair)];
	size_t removed = 0;

	while (sa) {
		struct sa *next = sa->next_pair;

		if (sa->spec.pair == pair) {
			leave(t, sa);
			sa_free(sa);
			removed++;
		}
		sa = next;
	}
	return removed;
}

bool sa_remove_out(struct sa_table *t, uint64_t pair)
{
	struct sa *sa = sa_find_pair(t, pair, false);

	if (!sa)
		return false;
	leave(t, sa);
	sa_free(sa);
	return true;
}

struct sa *sa_find_pair(const struct sa_table *t, uint64_t pair, bool inbound)
{
	for (struct sa *sa = t->pair[bucket_of_pair(t, pair)]; sa; sa = sa->next_pair)
		if (sa->spec.pair == pair && sa->spec.inbound == inbound)
			return sa;
	return NULL;
}

static struct sa *find_out(const struct sa_table *t, size_t bucket, const struct rule *rule,
			   const struct plan_packet *flow)
{
	for (struct sa *sa = t->found[bucket]; sa; sa = sa->next_found)
		if (!sa->spec.inbound && !sa->going && sa->spec.rule == rule &&
		    sa_selector_has(&sa->spec.selector, flow))
			return sa;
	return NULL;
}

struct sa *sa_find_out(const struct sa_table *t, const struct rule *rule, const struct plan_packet *flow)
{
	struct sa *sa;

	if (!rule->tunnel)
		return find_out(t, bucket_of_ends(t, &flow->local, &flow->remote), rule, flow);
	sa = find_out(t, bucket_of_tunnel(t, &flow->remote), rule, flow);
	return sa ? sa : find_out(t, bucket_of_tunnel(t, NULL), rule, flow);
}

struct sa *sa_find_sent(const struct sa_table *t, const struct addr *local, const struct addr *remote, uint32_t spi)
{
	for (struct sa *sa = t->sent[bucket_of_spi(t, spi)]; sa; sa = sa->next_sent)
		if (sa->spec.spi == spi && (!local || addr_equal(&sa->spec.local, local)) &&
		    addr_equal(&sa->spec.remote, remote))
			return sa;
	return NULL;
}

struct sa *sa_next(const struct sa_table *t, size_t *bucket, const struct sa *after)
{
	struct sa *sa = after ? after->next_found : t->found[*bucket];

	for (;;) {
		while (sa && !sa->seal)
			sa = sa->next_found;
		if (sa || *bucket == SA_BUCKETS - 1)
			return sa;
		sa = t->found[++*bucket];
	}
}

static bool range_has(struct port_range r, uint16_t port)
{
	return r.lo <= port && port <= r.hi;
}

bool sa_selector_has(const struct sa_selector *s, const struct plan_packet *flow)
{
	const struct addr_range local = sa_selector_locals(s), remote = sa_selector_remotes(s);

	if (!addr_range_has(&local, &flow->local) || !addr_range_has(&remote, &flow->remote))
		return false;
	if (s->protocol == PROTOCOL_ANY)
		return true;
	return s->protocol == flow->protocol && range_has(s->local_port, flow->local_port) &&
	       range_has(s->remote_port, flow->remote_port);
}

static bool range_covers(struct port_range wide, struct port_range narrow)
{
	return wide.lo <= narrow.lo && wide.hi >= narrow.hi;
}

bool sa_selector_covers(const struct sa_selector *wide, const struct sa_selector *narrow)
{
	const struct addr_range locals = sa_selector_locals(wide), remotes = sa_selector_remotes(wide);
	const struct addr_range local = sa_selector_locals(narrow), remote = sa_selector_remotes(narrow);

	return addr_range_has(&locals, &local.lo) && addr_range_has(&locals, &local.hi) &&
	       addr_range_has(&remotes, &remote.lo) && addr_range_has(&remotes, &remote.hi) &&
	       (wide->protocol == PROTOCOL_ANY || wide->protocol == narrow->protocol) &&
	       range_covers(wide->local_port, narrow->local_port) &&
	       range_covers(wide->remote_port, narrow->remote_port);
}

bool sa_selector_equal(const struct sa_selector *a, const struct sa_selector *b)
{
	return addr_equal(&a->local, &b->local) && addr_equal(&a->remote, &b->remote) &&
	       addr_equal(&a->local_last, &b->local_last) && addr_equal(&a->remote_last, &b->remote_last) &&
	       a->protocol == b->protocol && a->local_port.lo == b->local_port.lo &&
	       a->local_port.hi == b->local_port.hi && a->remote_port.lo == b->remote_port.lo &&
	       a->remote_port.hi == b->remote_port.hi;
}
