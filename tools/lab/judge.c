#include "tools/lab/judge.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/str.h"
#include "tools/lab/fragments.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How often a marker was seen, by direction: 0 as asked, 1 the answer. */
struct sight {
	uint16_t clear[2], readable[2];
};

struct probe {
	struct addr from, to;
	struct addr outer_from, outer_to; /* of the tunnel that it goes through; family 0: none */
	unsigned opened, returned;        /* clear packets of its flows */
	unsigned sealed_before;           /* from the asking end, when it began */
	bool service;
	struct sight attempts[JUDGE_ATTEMPTS_MOST];
};

struct pair {
	struct addr a, b;
	unsigned sealed[2]; /* from a, from b */
	bool ah;
};

/* A flow that was seen clear, or that a probe said it would open. */
struct flow {
	struct packet_flow key; /* from: who opened it */
	int probe;              /* -1: none of ours */
	bool judged;
	bool tunnelled; /* it goes through a tunnel, between gateways */
	bool leak[2];   /* a clear packet is wrong: as opened, back */
	int leaked[2];  /* number of its record, -1: none was seen, or too many others were */
	char why[256];
};

/* Clear packets of one flow, one way, that should not have been. */
struct leak {
	size_t flow, count;
	bool back, quotes;
	const char *host;
	uint64_t first_us;
};

struct judge {
	struct why *why;
	uint64_t run;
	char prefix[24]; /* that every marker begins with */
	size_t prefix_len;
	struct probe *probes;
	size_t probe_count, probe_cap;
	struct pair *pairs;
	size_t pair_count, pair_cap;
	struct flow *flows;
	size_t flow_count, flow_cap;
	uint32_t *index; /* of flows by hash; number + 1 */
	size_t packets, leaks, kept;
	struct fragments fragments;
	struct excuse {
		struct addr one, other; /* family 0: anybody */
	} * excuses;
	size_t excuse_count, excuse_cap;
	uint64_t first_us;
	struct leak leak[JUDGE_LEAKS_KEPT];
};

enum { INDEX = 2 * JUDGE_FLOWS_MOST };

const char *seen_name(enum seen s)
{
	static const char *const names[] = {
		[SEEN_CLEAR] = "clear",         [SEEN_AUTHENTICATED] = "authenticated",
		[SEEN_ENCRYPTED] = "encrypted", [SEEN_BLOCKED] = "blocked",
		[SEEN_MIXED] = "mixed",         [SEEN_ONE_WAY] = "one-way",
		[SEEN_NOWHERE] = "nowhere",     [SEEN_ERROR] = "error",
	};

	return names[s];
}

enum seen seen_of(enum outcome o)
{
	static const enum seen seen[] = {
		[OUTCOME_CLEAR] = SEEN_CLEAR,
		[OUTCOME_AUTHENTICATED] = SEEN_AUTHENTICATED,
		[OUTCOME_ENCRYPTED] = SEEN_ENCRYPTED,
		[OUTCOME_BLOCKED] = SEEN_BLOCKED,
	};

	return seen[o];
}

struct judge *judge_new(struct why *w, uint64_t run)
{
	struct judge *j = mem_new(1, sizeof *j);

	j->why = w;
	j->run = run;
	j->prefix_len = (size_t)snprintf(j->prefix, sizeof j->prefix, "lab %016" PRIx64 " ", run);
	j->index = mem_new(INDEX, sizeof *j->index);
	return j;
}

void judge_free(struct judge *j)
{
	if (!j)
		return;
	free(j->probes);
	free(j->pairs);
	free(j->flows);
	free(j->index);
	free(j->excuses);
	free(j);
}

void judge_marker(const struct judge *j, size_t probe, unsigned attempt, char ret[JUDGE_MARKER + 1])
{
	char text[64];

	(void)snprintf(text, sizeof text, "%s%06x %02x..", j->prefix, (unsigned)probe & 0xffffff, attempt & 0xff);
	memcpy(ret, text, JUDGE_MARKER);
	ret[JUDGE_MARKER] = '\0';
}

static bool hex(const char *text, size_t digits, unsigned *ret)
{
	unsigned n = 0;

	for (size_t i = 0; i < digits; i++) {
		static const char all[] = "0123456789abcdef";
		const char *at = text[i] ? strchr(all, text[i]) : NULL;

		if (!at)
			return false;
		n = n << 4 | (unsigned)(at - all);
	}
	*ret = n;
	return true;
}

bool judge_marker_read(const struct judge *j, const void *octets, size_t len, size_t *ret_probe, unsigned *ret_attempt)
{
	const char *at = len >= JUDGE_MARKER
				 ? memmem(octets, len - JUDGE_MARKER + j->prefix_len, j->prefix, j->prefix_len)
				 : NULL;
	unsigned probe, attempt;

	if (!at || !hex(at + j->prefix_len, 6, &probe) || !hex(at + j->prefix_len + 7, 2, &attempt) ||
	    probe >= j->probe_count || attempt >= JUDGE_ATTEMPTS_MOST)
		return false;
	*ret_probe = probe;
	*ret_attempt = attempt;
	return true;
}

static struct pair *pair_of(const struct judge *j, const struct addr *a, const struct addr *b);

/* What this one has sent to the other in ESP or AH. */
static unsigned sealed_from(const struct pair *p, const struct addr *from)
{
	return p ? p->sealed[!addr_equal(&p->a, from)] : 0;
}

void judge_probe(struct judge *j, size_t probe, const struct addr *from, const struct addr *to)
{
	while (j->probe_count <= probe) {
		j->probes = mem_grow(j->probes, j->probe_count, &j->probe_cap, sizeof *j->probes);
		j->probes[j->probe_count++] = (struct probe){ 0 };
	}
	j->probes[probe].from = *from;
	j->probes[probe].to = *to;
	j->probes[probe].sealed_before = sealed_from(pair_of(j, from, to), from);
}

void judge_service(struct judge *j, size_t probe)
{
	j->probes[probe].service = true;
}

/* ---- flows ----------------------------------------------------------------------------------------------------- */

static bool flow_equal(const struct packet_flow *a, const struct packet_flow *b)
{
	return a->protocol == b->protocol && a->from_port == b->from_port && a->to_port == b->to_port &&
	       a->icmp_type == b->icmp_type && a->icmp_code == b->icmp_code && addr_equal(&a->from, &b->from) &&
	       addr_equal(&a->to, &b->to);
}

static uint32_t mix(uint32_t h, const void *octets, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ ((const uint8_t *)octets)[i]) * 16777619u;
	return h;
}

static uint32_t flow_hash(const struct packet_flow *f)
{
	uint32_t h = 2166136261u;

	h = mix(h, f->from.octets, sizeof f->from.octets);
	h = mix(h, f->to.octets, sizeof f->to.octets);
	h = mix(h, &f->from_port, sizeof f->from_port);
	h = mix(h, &f->to_port, sizeof f->to_port);
	return mix(h, &f->protocol, sizeof f->protocol);
}

static struct flow *flow_find(const struct judge *j, const struct packet_flow *key)
{
	for (uint32_t at = flow_hash(key) % INDEX; j->index[at]; at = (at + 1) % INDEX)
		if (flow_equal(&j->flows[j->index[at] - 1].key, key))
			return &j->flows[j->index[at] - 1];
	return NULL;
}

/* NULL: there are too many. */
static struct flow *flow_add(struct judge *j, const struct packet_flow *key)
{
	uint32_t at = flow_hash(key) % INDEX;

	if (j->flow_count == JUDGE_FLOWS_MOST)
		return NULL;
	while (j->index[at])
		at = (at + 1) % INDEX;
	j->flows = mem_grow(j->flows, j->flow_count, &j->flow_cap, sizeof *j->flows);
	j->flows[j->flow_count] = (struct flow){ .key = *key, .probe = -1, .leaked = { -1, -1 } };
	j->index[at] = (uint32_t)++j->flow_count;
	return &j->flows[j->flow_count - 1];
}

static void judge_the_flow(struct judge *j, struct flow *f);

void judge_flow(struct judge *j, size_t probe, const struct packet_flow *f)
{
	struct flow *flow = flow_find(j, f);

	if (!flow)
		flow = flow_add(j, f);
	if (!flow)
		return;
	flow->probe = (int)probe;
	judge_the_flow(j, flow); /* a tunnel's ends are where it is looked for */
}

/* The flow of a packet; *ret_back: the packet goes against it. */
static struct flow *flow_of(struct judge *j, const struct packet *p, bool *ret_back)
{
	struct packet_flow back = p->flow;
	struct flow *f = flow_find(j, &p->flow);

	*ret_back = p->role == PACKET_ANSWERS;
	if (f || p->role != PACKET_ROLE_UNKNOWN)
		return f ? f : flow_add(j, &p->flow);
	if (back.icmp_type < 0) {
		back.from = p->flow.to;
		back.to = p->flow.from;
		back.from_port = p->flow.to_port;
		back.to_port = p->flow.from_port;
		if ((f = flow_find(j, &back))) {
			*ret_back = true;
			return f;
		}
	}
	return flow_add(j, &p->flow);
}

/* ---- what should be protected ---------------------------------------------------------------------------------- */

/* Is a clear packet from this side wrong? What nobody protects is not; where traffic is blocked, only an end whose own
 * rule lets nothing out is at fault: an outsider may knock. */
static bool side_leaks(const struct why_verdict *v, unsigned side)
{
	enum outcome meant = v->cause == WHY_FIREWALL ? v->meeting.verdict : v->verdict;
	enum stance s = v->sides[side].stance;

	if (v->tunnel.rule && meant > OUTCOME_CLEAR && meant < OUTCOME_BLOCKED) /* its gateways answer for it */
		return v->guaranteed != OUTCOME_CLEAR;
	if (!v->sides[side].agent || meant == OUTCOME_CLEAR)
		return false;
	if (meant == OUTCOME_BLOCKED)
		return s == STANCE_REQUIRE || s == STANCE_BLOCK;
	return v->guaranteed != OUTCOME_CLEAR;
}

void judge_excuse(struct judge *j, const struct addr *one, const struct addr *other)
{
	j->excuses = mem_grow(j->excuses, j->excuse_count, &j->excuse_cap, sizeof *j->excuses);
	j->excuses[j->excuse_count++] = (struct excuse){ *one, other ? *other : (struct addr){ 0 } };
}

static bool is_excused(const struct judge *j, const struct addr *a, const struct addr *b)
{
	for (size_t i = 0; i < j->excuse_count; i++) {
		const struct excuse *e = &j->excuses[i];

		if ((addr_equal(&e->one, a) && (!e->other.family || addr_equal(&e->other, b))) ||
		    (addr_equal(&e->one, b) && (!e->other.family || addr_equal(&e->other, a))))
			return true;
	}
	return false;
}

static void judge_the_flow(struct judge *j, struct flow *f)
{
	const struct policy *policy = why_policy(j->why);
	struct why_point point = {
		.from = ends_who(policy, &f->key.from),
		.to = ends_who(policy, &f->key.to),
		.protocol = f->key.protocol,
		.port = f->key.to_port,
		.icmp_type = f->key.icmp_type,
		.icmp_code = f->key.icmp_code,
	};
	struct why_verdict v;

	if (f->judged)
		return;
	f->judged = true;
	if (f->key.icmp_type >= 0)
		point.port = 0;
	if (is_excused(j, &f->key.from, &f->key.to))
		return;
	if (!point.from.host || !point.to.host || why_judge(j->why, &point, &v, NULL) < 0)
		return;
	for (unsigned side = 0; side < 2; side++)
		f->leak[side] = side_leaks(&v, side);
	f->tunnelled = v.tunnel.rule && v.tunnel.meeting.verdict != OUTCOME_CLEAR;
	if (f->tunnelled && f->probe >= 0) {
		j->probes[f->probe].outer_from = v.tunnel.ends[0].addr;
		j->probes[f->probe].outer_to = v.tunnel.ends[1].addr;
	}
	(void)snprintf(f->why, sizeof f->why, "%s%s%s says %s", v.rule ? "'" : "", v.rule ? v.rule->name : "the policy",
		       v.rule ? "'" : "", outcome_name(v.verdict));
}

static void flow_words(const struct packet_flow *f, struct str *out)
{
	char from[ADDR_TEXT], to[ADDR_TEXT];

	(void)addr_text(&f->from, from);
	(void)addr_text(&f->to, to);
	if (f->icmp_type >= 0)
		str_addf(out, "%s %d/%d %s -> %s", f->protocol == PACKET_ICMPV6 ? "icmpv6" : "icmp", f->icmp_type,
			 f->icmp_code, from, to);
	else if (f->protocol == PACKET_TCP || f->protocol == PACKET_UDP)
		str_addf(out, "%s %s port %u -> %s port %u", f->protocol == PACKET_TCP ? "tcp" : "udp", from,
			 f->from_port, to, f->to_port);
	else
		str_addf(out, "protocol %d %s -> %s", f->protocol, from, to);
}

static void note_leak(struct judge *j, const struct packet *p, struct flow *f, bool back, const char *host, uint64_t us)
{
	j->leaks++;
	if (f->leaked[back] < 0) {
		if (j->kept == JUDGE_LEAKS_KEPT)
			return;
		f->leaked[back] = (int)j->kept;
		j->leak[j->kept++] = (struct leak){
			.flow = (size_t)(f - j->flows), .back = back, .quotes = p->quotes, .host = host, .first_us = us
		};
	}
	j->leak[f->leaked[back]].count++;
}

/* false: it says nothing of what is outside. */
static bool judge_clear(struct judge *j, const struct packet *p, const char *host, bool behind, uint64_t us)
{
	bool back;
	struct flow *f = flow_of(j, p, &back);

	if (!f) {
		j->leaks++; /* more flows than we can follow: not a thing to be silent about */
		return true;
	}
	judge_the_flow(j, f);
	if (behind && f->tunnelled)
		return false;
	if (f->probe >= 0 && !p->quotes)
		(*(back ? &j->probes[f->probe].returned : &j->probes[f->probe].opened))++;
	if (f->leak[back])
		note_leak(j, p, f, back, host, us);
	return true;
}

/* ---- pairs and markers ----------------------------------------------------------------------------------------- */

static struct pair *pair_of(const struct judge *j, const struct addr *a, const struct addr *b)
{
	for (size_t i = 0; i < j->pair_count; i++) {
		struct pair *p = &j->pairs[i];

		if ((addr_equal(&p->a, a) && addr_equal(&p->b, b)) || (addr_equal(&p->a, b) && addr_equal(&p->b, a)))
			return p;
	}
	return NULL;
}

static void count_sealed(struct judge *j, const struct packet *p)
{
	struct pair *pair = pair_of(j, &p->from, &p->to);

	if (!pair) {
		j->pairs = mem_grow(j->pairs, j->pair_count, &j->pair_cap, sizeof *j->pairs);
		pair = &j->pairs[j->pair_count++];
		*pair = (struct pair){ .a = p->from, .b = p->to };
	}
	pair->sealed[!addr_equal(&pair->a, &p->from)]++;
	if (p->sealed_by == PACKET_AH)
		pair->ah = true;
}

static void look_for_markers(struct judge *j, const struct packet *p)
{
	size_t number;
	unsigned attempt;

	if (!judge_marker_read(j, p->payload, p->payload_len, &number, &attempt))
		return;
	/* The quoted part of an ICMP error is no use of the flow: judge_clear has judged it. */
	if (p->quotes)
		return;
	struct probe *probe = &j->probes[number];
	struct sight *s = &probe->attempts[attempt];
	unsigned way = !addr_equal(&p->from, &probe->from);
	uint16_t *count = p->kind == PACKET_SEALED ? &s->readable[way] : &s->clear[way];

	if (*count < UINT16_MAX)
		(*count)++;
}

void judge_packet(struct judge *j, const struct packet *read, const char *host, bool behind, uint64_t time_us)
{
	struct packet piece = *read;
	const struct packet *p = &piece;

	fragments_join(&j->fragments, &piece);
	if (j->packets++ == 0)
		j->first_us = time_us;
	if (!p->payload)
		return;
	if (p->kind == PACKET_SEALED)
		count_sealed(j, p);
	else if (p->kind == PACKET_CLEAR && !judge_clear(j, p, host, behind, time_us))
		return;
	look_for_markers(j, p);
}

/* design: clear: the bare marker is on the wire and it was answered; authenticated: answered, and readable inside AH or
 * ESP; encrypted: answered, and nowhere on the wire while ESP of that pair is; blocked: no answer. */
struct judge_sight judge_sight(const struct judge *j, size_t probe, int answered, bool heard)
{
	const struct probe *p = &j->probes[probe];
	const struct pair *pair =
		p->outer_from.family ? pair_of(j, &p->outer_from, &p->outer_to) : pair_of(j, &p->from, &p->to);
	struct judge_sight r = {
		.opened = p->opened,
		.sealed = pair ? pair->sealed[0] + pair->sealed[1] : 0,
		.went = p->outer_from.family ? 0 : sealed_from(pair, &p->from) - p->sealed_before,
		.ah = pair && pair->ah,
	};

	if (answered < 0) {
		r.seen = heard ? SEEN_ONE_WAY : SEEN_BLOCKED;
		return r;
	}
	struct sight seen = p->attempts[answered];
	const struct sight *s = &seen;

	/* Its words hold no marker that we could count on. */
	if (p->service && seen.clear[0])
		seen.clear[1] = p->returned > 0;
	if (p->service && seen.readable[0])
		seen.readable[1] = pair && pair->sealed[0] && pair->sealed[1];
	if (p->service && seen.readable[0])
		seen.clear[1] = 0;
	if (s->clear[0] && s->clear[1] && !s->readable[0] && !s->readable[1])
		r.seen = SEEN_CLEAR;
	else if (s->clear[0] || s->clear[1])
		r.seen = SEEN_MIXED;
	else if (s->readable[0] && s->readable[1])
		r.seen = SEEN_AUTHENTICATED;
	else if (s->readable[0] || s->readable[1])
		r.seen = SEEN_MIXED;
	else
		r.seen = pair && pair->sealed[0] && pair->sealed[1] ? SEEN_ENCRYPTED : SEEN_NOWHERE;
	return r;
}

size_t judge_leaks(const struct judge *j)
{
	return j->leaks;
}

bool judge_leak_words(const struct judge *j, size_t i, struct str *out)
{
	const struct leak *l = &j->leak[i];
	const struct flow *f;

	if (i >= j->kept)
		return false;
	f = &j->flows[l->flow];
	str_addf(out, "%s sent %zu in clear, first at %.3f s: %s of ", l->host, l->count,
		 (double)(l->first_us - j->first_us) / 1e6,
		 l->quotes ? "ICMP errors about packets"
		 : l->back ? "answers"
			   : "packets");
	flow_words(&f->key, out);
	str_addf(out, ", although %s", f->why);
	return true;
}

size_t judge_packets(const struct judge *j)
{
	return j->packets;
}
