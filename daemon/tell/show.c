#include "daemon/tell/show.h"

#include "base/diag.h"
#include "base/log.h"
#include "base/mem.h"
#include "daemon/host/credentials.h"
#include "daemon/host/profiles.h"
#include "daemon/host/proofs.h"
#include "daemon/tell/firewall.h"
#include "daemon/tell/flows.h"
#include "daemon/tell/follow.h"
#include "daemon/force/exempt.h"
#include "daemon/parts/directory.h"
#include "daemon/parts/parts.h"
#include "daemon/parts/ticket.h"
#include "dataplane/sad.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNTERS_MOST = 65536 };

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

static json_t *addr_json(const struct addr *a)
{
	char buf[ADDR_TEXT];

	return a->family ? json_string(addr_text(a, buf)) : json_null();
}

/* What a peer called itself may be no UTF-8; then it is left out rather than the whole answer. */
static json_t *words(const char *text)
{
	json_t *j = text ? json_string(text) : NULL;

	return j ? j : json_null();
}

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static void put(json_t *o, const char *name, json_t *value)
{
	(void)json_object_set_new(o, name, value);
}

static json_t *spi_json(uint64_t spi, int digits)
{
	char text[24];

	(void)snprintf(text, sizeof text, "%0*" PRIx64, digits, spi);
	return json_string(text);
}

/* The engine's clock in Unix time. */
static uint64_t unix_ms(uint64_t at_ms)
{
	return unix_now_ms() - (engine_now_ms() - at_ms);
}

static json_t *seconds_until(uint64_t at_ms)
{
	uint64_t now = engine_now_ms();

	if (!at_ms || at_ms == UINT64_MAX)
		return json_null();
	return number(at_ms > now ? (at_ms - now) / 1000 : 0);
}

static const char *protection_of(const struct child_suite *s)
{
	return outcome_name(child_suite_encrypts(s) ? OUTCOME_ENCRYPTED : OUTCOME_AUTHENTICATED);
}

/* ---- everything that is asked of the parts, once ----------------------------------------------------------------- */

struct live {
	const struct engine_view *v;
	struct gate_counter *counters;
	size_t counter_count;
};

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static void live_read(struct daemon *d, const struct engine_view *v, struct live *l)
{
	static const struct engine_view nothing;
	struct diag why = { 0 };
	size_t n = least(gate_counters(d->gate, NULL, 0, &why), COUNTERS_MOST);

	flows_take(d, v);
	*l = (struct live){ .v = v ? v : &nothing, .counters = mem_new(n + 1, sizeof *l->counters) };
	l->counter_count = least(n, gate_counters(d->gate, l->counters, n, &why));
	if (*why.text)
		log_warning("counters: %s", why.text);
}

static void live_wipe(struct live *l)
{
	free(l->counters);
}

static int by_pair(const void *a, const void *b)
{
	const struct sa_usage *x = a, *y = b;

	return x->pair < y->pair ? -1 : x->pair > y->pair;
}

static const struct sa_usage *usage_of(const struct live *l, uint64_t pair)
{
	const struct sa_usage key = { .pair = pair };

	return l->v->usage_count ? bsearch(&key, l->v->usage, l->v->usage_count, sizeof key, by_pair) : NULL;
}

/* A failure is over once something works that came up after it; and what somebody says in a peer's name is not even one
 * while there is anything that works. */
static bool failure_stands(const struct live *l, const struct keying_failure *f)
{
	for (size_t i = 0; i < l->v->child_count; i++)
		if (addr_equal(&l->v->children[i].remote, &f->remote) &&
		    (f->stranger || l->v->children[i].up_at_ms >= f->at_ms))
			return false;
	return true;
}

/* Anybody may knock: that is worth a line, and no worry. */
static bool failure_matters(const struct keying_failure *f)
{
	return !f->stranger || (f->code != FAILURE_NO_RULE && f->code != FAILURE_MALFORMED &&
				f->code != FAILURE_UNSUPPORTED && f->code != FAILURE_NO_ANSWER);
}

/* ---- tables ------------------------------------------------------------------------------------------------------ */

/* Who is behind a NAT; see keying.h. */
static const char *nat_words(unsigned nat)
{
	static const char *const words_of[] = { "none", "here", "there", "both" };

	return words_of[nat & 3];
}

/* Where IKE and, behind a NAT, ESP go: an address and port that a NAT may have changed. */
static json_t *path_json(const struct keying_ike_row *k)
{
	char text[ADDR_TEXT], path[ADDR_TEXT + 8];

	(void)snprintf(path, sizeof path, k->outer.family == 6 ? "[%s]:%u" : "%s:%u", addr_text(&k->outer, text),
		       k->remote_port);
	return json_string(path);
}

/* Which of our own credentials the peer was shown; NULL: none yet, or it has gone since. */
static const char *shown(const struct daemon *d, const struct keying_ike_row *row)
{
	const struct credential_store *s = d->engine ? engine_store(d->engine) : NULL;
	size_t index;

	return s && row->established && credential_find(s, row->credential, &index) ? credential_get(s, index)->subject
										    : NULL;
}

static void main_mode_rows(struct daemon *d, const struct live *l, json_t *rows)
{
	for (size_t i = 0; i < l->v->ike_count; i++) {
		const struct keying_ike_row *k = &l->v->ike[i];
		json_t *o = json_object();
		char suite[SUITE_TEXT] = "";

		put(o, "local", addr_json(&k->local));
		put(o, "remote", addr_json(&k->remote));
		put(o, "state", json_string(k->established ? "established" : "negotiating"));
		put(o, "role", json_string(k->initiator ? "initiator" : "responder"));
		put(o, "identity", k->peer ? words(peer_kept_id(k->peer)) : json_null());
		put(o, "method", json_string(peer_method_name(peer_kept_method(k->peer))));
		put(o, "authentication", words(k->auth_set));
		put(o, "shown", words(shown(d, k)));
		put(o, "suite", k->suite.encr ? json_string(ike_suite_text(&k->suite, suite)) : json_null());
		put(o, "ppk", json_boolean(k->ppk));
		put(o, "version", number(k->version));
		put(o, "spi_i", spi_json(k->spi_i, 16));
		put(o, "spi_r", spi_json(k->spi_r, 16));
		put(o, "up_ms", k->established ? number(unix_ms(k->up_at_ms)) : json_null());
		put(o, "rekey_in_s", k->established ? seconds_until(k->rekey_at_ms) : json_null());
		put(o, "nat", k->nat ? json_string(nat_words(k->nat)) : json_null());
		put(o, "path", path_json(k));
		put(o, "encapsulation", json_string(k->nat || k->udp ? "udp" : "native"));
		put(o, "quick_modes", number(k->children));
		(void)json_array_append_new(rows, o);
	}
}

static json_t *range_json(const struct addr_range *r)
{
	char text[ADDR_RANGE_TEXT];

	return json_string(addr_range_text(r, text));
}

static void put_selector(json_t *o, const struct sa_selector *s)
{
	const struct addr_range local = sa_selector_locals(s), remote = sa_selector_remotes(s);

	put(o, "local", range_json(&local));
	put(o, "remote", range_json(&remote));
	put(o, "protocol", s->protocol == PROTOCOL_ANY ? json_null() : json_integer(s->protocol));
	put(o, "local_ports",
	    port_given(s->local_port) ? json_pack("[i,i]", s->local_port.lo, s->local_port.hi) : json_null());
	put(o, "remote_ports",
	    port_given(s->remote_port) ? json_pack("[i,i]", s->remote_port.lo, s->remote_port.hi) : json_null());
}

static const char *encapsulation_of(const struct keying_child_row *c)
{
	return c->udp ? "udp" : "native";
}

static void quick_mode_rows(struct daemon *d, const struct live *l, json_t *rows)
{
	(void)d;
	for (size_t i = 0; i < l->v->child_count; i++) {
		const struct keying_child_row *c = &l->v->children[i];
		const struct sa_usage *u = usage_of(l, c->pair);
		json_t *o = json_object();
		char suite[SUITE_TEXT];

		put_selector(o, &c->selector);
		put(o, "tunnel",
		    c->rule && c->rule->tunnel
			    ? json_pack("{s:o,s:o}", "local", addr_json(&c->local), "remote", addr_json(&c->remote))
			    : json_null());
		put(o, "identity", words(peer_kept_id(c->peer)));
		put(o, "rule", c->rule ? words(c->rule->name) : json_null());
		put(o, "protection", json_string(protection_of(&c->suite)));
		put(o, "suite", json_string(child_suite_text(&c->suite, suite)));
		put(o, "encapsulation", json_string(encapsulation_of(c)));
		put(o, "spi_in", spi_json(c->spi_in, 8));
		put(o, "spi_out", spi_json(c->spi_out, 8));
		put(o, "packets_in", number(u ? u->packets_in : 0));
		put(o, "packets_out", number(u ? u->packets_out : 0));
		put(o, "octets_in", number(u ? u->octets_in : 0));
		put(o, "octets_out", number(u ? u->octets_out : 0));
		put(o, "up_ms", number(unix_ms(c->up_at_ms)));
		put(o, "rekey_in_s", seconds_until(c->rekey_at_ms));
		(void)json_array_append_new(rows, o);
	}
}

/* What is known of each rule, by its index: gathered in one pass, since there may be many of everything. */
struct rule_facts {
	bool here;
	size_t children;
	json_t *counters;
};

static struct rule_facts *gather_rules(const struct daemon *d, const struct live *l, const struct rule *rules, size_t n)
{
	struct rule_facts *all = mem_new(n + 1, sizeof *all);

	for (size_t i = 0; i < n; i++)
		all[i].counters = json_object();
	for (size_t i = 0; i < plan_lists(d->plan); i++) {
		struct plan_list list = plan_list(d->plan, (uint32_t)i);

		for (size_t j = 0; j < list.count; j++)
			all[rule_as_written(list.entries[j].rule)->index].here = true;
	}
	for (size_t i = 0; i < l->counter_count; i++) {
		const struct gate_counter *c = &l->counters[i];

		if (c->rule && c->rule->index < n && &rules[c->rule->index] == c->rule)
			put(all[c->rule->index].counters, c->name,
			    json_pack("{s:I,s:I}", "packets", (json_int_t)c->packets, "octets", (json_int_t)c->octets));
	}
	for (size_t i = 0; i < l->v->child_count; i++) {
		const struct rule *r = l->v->children[i].rule ? rule_as_written(l->v->children[i].rule) : NULL;

		if (r && r->index < n && &rules[r->index] == r)
			all[r->index].children++;
	}
	return all;
}

static void rule_rows(struct daemon *d, const struct live *l, json_t *rows)
{
	const struct rule *rules = NULL;
	size_t n = d->policy ? policy_rules(d->policy, &rules) : 0;
	struct rule_facts *facts = n ? gather_rules(d, l, rules, n) : NULL;

	for (size_t i = 0; i < n; i++) {
		const struct rule *r = &rules[i];
		json_t *o = json_object(), *suites = json_array();
		char suite[SUITE_TEXT];

		for (size_t k = 0; r->protection && k < r->protection->count; k++)
			(void)json_array_append_new(suites,
						    json_string(child_suite_text(&r->protection->suites[k], suite)));
		put(o, "name", words(r->name));
		put(o, "mode", json_string(rule_mode_name(r->mode)));
		put(o, "line", number(r->place.line));
		put(o, "here", json_boolean(facts[i].here));
		put(o, "authentication", r->auth ? words(r->auth->name) : json_null());
		put(o, "proposals", suites);
		put(o, "quick_modes", number(facts[i].children));
		put(o, "counters", facts[i].counters);
		(void)json_array_append_new(rows, o);
	}
	free(facts);
}

/* One row for each address that we have anything to do with; found again by the address. */
static json_t *peer_row(struct daemon *d, json_t *by_address, const struct addr *a)
{
	char text[ADDR_TEXT];
	const struct host *h = d->policy ? policy_host_by_address(d->policy, a) : NULL;
	json_t *o = json_object_get(by_address, addr_text(a, text));

	if (o)
		return o;
	if (!h && d->policy)
		h = policy_host_behind(d->policy, a);
	o = json_object();
	put(o, "remote", json_string(text));
	put(o, "host", h ? words(h->name) : json_null());
	put(o, "identity", json_null());
	put(o, "outcome", json_null());
	put(o, "main_modes", number(0));
	put(o, "quick_modes", number(0));
	put(o, "octets_in", number(0));
	put(o, "octets_out", number(0));
	put(o, "encapsulation", json_null());
	put(o, "method", json_null());
	put(o, "groups", json_array());
	put(o, "groups_not_known", json_array());
	put(o, "sids", json_array());
	put(o, "sids_cut", json_false());
	put(o, "membership_ms", json_null());
	put(o, "negotiating", number(0));
	put(o, "failure", json_null());
	put(o, "failed_ms", json_null());
	put(o, "failed", json_null());
	put(by_address, text, o);
	return o;
}

/* What is known of who it is: the policy's groups that it is in, the SIDs of its account, and since when. */
static void put_membership(const struct daemon *d, json_t *o, const struct keying_ike_row *k)
{
	const struct group *groups = NULL;
	size_t n = d->policy ? policy_groups(d->policy, &groups) : 0;
	uint64_t learnt_s = peer_kept_learnt_s(k->peer);
	json_t *in = json_array(), *may = json_array(), *sids = json_array();
	struct sid_walk w = { 0 };
	struct sid_list list;
	struct sid sid;
	char text[SID_TEXT];

	for (size_t i = 0; k->groups && k->groups->count == n && i < n; i++) {
		enum member is = membership_get(k->groups, i);

		if (is != MEMBER_NO)
			(void)json_array_append_new(is == MEMBER_YES ? in : may, words(groups[i].name));
	}
	peer_kept_sids(k->peer, &list);
	while (sid_list_next(&list, &w, &sid))
		(void)json_array_append_new(sids, json_string(sid_text(&sid, text)));
	put(o, "groups", in);
	put(o, "groups_not_known", may);
	put(o, "sids", sids);
	put(o, "sids_cut", json_boolean(list.cut));
	put(o, "membership_ms", learnt_s ? number(learnt_s * 1000) : number(unix_ms(k->up_at_ms)));
}

static void add_to(json_t *o, const char *name, uint64_t n)
{
	put(o, name, number((uint64_t)json_integer_value(json_object_get(o, name)) + n));
}

static void count_child(json_t *o, const struct keying_child_row *c, const struct sa_usage *u)
{
	const char *so_far = json_string_value(json_object_get(o, "outcome"));
	const char *in_what = json_string_value(json_object_get(o, "encapsulation"));
	const char *mine = protection_of(&c->suite);

	/* The weakest counts: nobody shall believe in more than all of it has. */
	if (!so_far || strcmp(mine, outcome_name(OUTCOME_AUTHENTICATED)) == 0)
		put(o, "outcome", json_string(mine));
	if (in_what && strcmp(in_what, encapsulation_of(c)) != 0)
		put(o, "encapsulation", json_string("both"));
	else
		put(o, "encapsulation", json_string(encapsulation_of(c)));
	add_to(o, "quick_modes", 1);
	add_to(o, "octets_in", u ? u->octets_in : 0);
	add_to(o, "octets_out", u ? u->octets_out : 0);
}

static json_t *or_null(const char *text)
{
	return text && *text ? words(text) : json_null();
}

static void put_failure(json_t *o, const struct keying_failure *f)
{
	json_t *failed = json_object();

	put(failed, "code", json_string(failure_name(f->code)));
	put(failed, "brief", json_string(failure_brief(f->code)));
	put(failed, "refused_by", json_string(failure_side_name(f->by)));
	put(failed, "step", or_null(f->step));
	put(failed, "notify", or_null(f->notify));
	put(failed, "local", addr_json(&f->local));
	put(failed, "rule", or_null(f->rule));
	put(failed, "identity", or_null(f->peer));
	put(failed, "times", number(f->times));
	put(failed, "left_out", number(f->left_out));
	put(failed, "next_try_ms", f->next_ms ? number(unix_ms(f->next_ms)) : json_null());
	put(failed, "matters", json_boolean(failure_matters(f)));
	put(o, "failed", failed);
	put(o, "failure", words(f->text));
	put(o, "failed_ms", number(unix_ms(f->at_ms)));
}

/* Of several failures with one address, that of another local address, the last one. */
static bool is_later(const json_t *o, const struct keying_failure *f)
{
	return (json_int_t)unix_ms(f->at_ms) >= json_integer_value(json_object_get(o, "failed_ms"));
}

static void peer_rows(struct daemon *d, const struct live *l, json_t *rows)
{
	const struct engine_fallback *fallbacks = NULL;
	size_t n = d->engine ? engine_fallbacks(d->engine, &fallbacks) : 0;
	uint64_t now = engine_now_ms();
	json_t *all = json_object(), *row;
	const char *address;

	for (size_t i = 0; i < l->v->ike_count; i++) {
		json_t *o = peer_row(d, all, &l->v->ike[i].remote);

		if (l->v->ike[i].established) {
			put(o, "identity", words(peer_kept_id(l->v->ike[i].peer)));
			put(o, "method", json_string(peer_method_name(peer_kept_method(l->v->ike[i].peer))));
			put_membership(d, o, &l->v->ike[i]);
			add_to(o, "main_modes", 1);
		} else {
			add_to(o, "negotiating", 1);
		}
	}
	for (size_t i = 0; i < l->v->child_count; i++)
		count_child(peer_row(d, all, &l->v->children[i].remote), &l->v->children[i],
			    usage_of(l, l->v->children[i].pair));
	for (size_t i = 0; i < n; i++)
		if (fallbacks[i].until_ms > now) {
			json_t *o = peer_row(d, all, &fallbacks[i].remote);

			if (json_is_null(json_object_get(o, "outcome")))
				put(o, "outcome", json_string(outcome_name(OUTCOME_CLEAR)));
		}
	for (size_t i = 0; i < l->v->failure_count; i++)
		if (failure_stands(l, &l->v->failures[i])) {
			json_t *o = peer_row(d, all, &l->v->failures[i].remote);

			if (is_later(o, &l->v->failures[i]))
				put_failure(o, &l->v->failures[i]);
		}
	json_object_foreach(all, address, row)
	{
		(void)json_array_append(rows, row);
	}
	json_decref(all);
}

static void drop_rows(struct daemon *d, const struct live *l, json_t *rows)
{
	for (int i = 0; d->engine && i < DROP_COUNT; i++) {
		uint64_t n = l->v->plane_dropped[i];

		(void)json_array_append_new(rows, json_pack("{s:s,s:s,s:n,s:s,s:s,s:I}", "where", "plane", "name",
							    sad_drops[i].name, "rule", "unit", sad_drops[i].unit,
							    "meaning", sad_drops[i].meaning, "count", (json_int_t)n));
	}
	for (int i = 0; d->engine && i < KEYING_DROP_COUNT; i++) {
		uint64_t n = l->v->keying_dropped[i];

		(void)json_array_append_new(rows,
					    json_pack("{s:s,s:s,s:n,s:s,s:s,s:I}", "where", "keying", "name",
						      keying_drops[i].name, "rule", "unit", keying_drops[i].unit,
						      "meaning", keying_drops[i].meaning, "count", (json_int_t)n));
	}
	for (size_t i = 0; i < l->counter_count; i++) {
		json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:I,s:I}", "where", "ruleset", "name", l->counters[i].name,
				      "unit", "packets", "meaning", l->counters[i].meaning, "count",
				      (json_int_t)l->counters[i].packets, "octets", (json_int_t)l->counters[i].octets);

		put(o, "rule",
		    l->counters[i].rule       ? words(l->counters[i].rule->name)
		    : l->counters[i].firewall ? words(l->counters[i].firewall->name)
					      : json_null());
		(void)json_array_append_new(rows, o);
	}
}

static void credential_rows(struct daemon *d, const struct live *l, json_t *rows)
{
	credentials_rows(d, l->v, rows);
}

static void list_rows(struct daemon *d, const struct live *l, json_t *rows)
{
	credentials_list_rows(d, l->v, rows);
}

static void exemption_rows(struct daemon *d, const struct live *l, json_t *rows)
{
	(void)l;
	exempt_rows(d, rows);
}

static json_t *exemptions(const struct daemon *d)
{
	json_t *rows = json_array();

	exempt_rows(d, rows);
	return rows;
}

static void flow_table(struct daemon *d, const struct live *l, json_t *rows)
{
	(void)l;
	flows_rows(d, rows);
}

static void firewall_table(struct daemon *d, const struct live *l, json_t *rows)
{
	firewall_rows(d, l->counters, l->counter_count, rows);
}

static const struct {
	const char *name, *also; /* what IKEv2 people say */
	void (*rows)(struct daemon *d, const struct live *l, json_t *rows);
} tables[] = {
	{ "main-mode", "ike-sa", main_mode_rows },
	{ "quick-mode", "child-sa", quick_mode_rows },
	{ "rules", "rule", rule_rows },
	{ "peers", "peer", peer_rows },
	{ "drops", "drop", drop_rows },
	{ "credentials", "credential", credential_rows },
	{ "revocation-lists", "revocation-list", list_rows },
	{ "exemptions", "exemption", exemption_rows },
	{ "flows", "flow", flow_table },
	{ "firewall", "firewall-rules", firewall_table },
};

bool show_has(const char *what)
{
	for (size_t i = 0; i < ARRAY_LEN(tables); i++)
		if (strcmp(tables[i].name, what) == 0 || strcmp(tables[i].also, what) == 0)
			return true;
	return false;
}

json_t *show_table(struct daemon *d, const struct engine_view *v, const char *what)
{
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		SCOPED(live_wipe) struct live l = { 0 };
		json_t *rows, *reply;

		if (strcmp(tables[i].name, what) != 0 && strcmp(tables[i].also, what) != 0)
			continue;
		rows = json_array();
		live_read(d, v, &l);
		tables[i].rows(d, &l, rows);
		reply = json_pack("{s:b,s:s,s:b,s:o,s:o}", "ok", 1, "what", tables[i].name, "away", l.v->keying_away,
				  "rows", rows, "exemptions", exemptions(d));
		if (tables[i].rows == firewall_table)
			put(reply, "firewall", firewall_frame(d, l.counters, l.counter_count));
		return reply;
	}
	return NULL;
}

json_t *show_state(struct daemon *d, const struct engine_view *v)
{
	SCOPED(live_wipe) struct live l = { 0 };
	json_t *o = json_pack("{s:b}", "ok", 1);

	live_read(d, v, &l);
	put(o, "disabled", json_boolean(d->state->disabled));
	put(o, "version", number(d->state->current));
	put(o, "away", json_boolean(l.v->keying_away));
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		json_t *rows = json_array();

		tables[i].rows(d, &l, rows);
		put(o, tables[i].name, rows);
	}
	return o;
}

/* ---- status ------------------------------------------------------------------------------------------------------ */

static json_t *pending_json(const struct daemon *d)
{
	struct state_clock now;

	if (!d->state->pending.version)
		return json_null();
	state_clock_now(&now);
	return json_pack("{s:I,s:I,s:I}", "version", (json_int_t)d->state->pending.version, "previous",
			 (json_int_t)d->state->pending.previous, "left_s",
			 (json_int_t)(state_pending_left_ms(d->state, &now) + 999) / 1000);
}

static json_t *version_json(const struct daemon *d, uint32_t version)
{
	struct state_version v;
	json_t *o = json_object();

	put(o, "version", number(version));
	if (state_version_read(d->state, version, &v, NULL) < 0)
		return o;
	put(o, "previous", v.previous ? number(v.previous) : json_null());
	put(o, "applied_ms", number(v.at_ms));
	put(o, "by", words(v.by));
	put(o, "path", words(v.path));
	return o;
}

unsigned show_rules_here(const struct daemon *d)
{
	const struct rule *rules = NULL;
	size_t n = d->policy && d->plan ? policy_rules(d->policy, &rules) : 0;
	bool *seen = mem_new(n + 1, sizeof *seen);
	unsigned here = 0;

	for (size_t i = 0; n && i < plan_lists(d->plan); i++) {
		struct plan_list list = plan_list(d->plan, (uint32_t)i);

		for (size_t j = 0; j < list.count; j++) {
			bool *mine = &seen[rule_as_written(list.entries[j].rule)->index];

			here += *mine ? 0u : 1u;
			*mine = true;
		}
	}
	free(seen);
	return here;
}

static size_t established(const struct live *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->v->ike_count; i++)
		n += l->v->ike[i].established;
	return n;
}

static json_t *policy_json(const struct daemon *d)
{
	const struct rule *rules;
	json_t *o;

	if (!d->policy)
		return json_null();
	o = version_json(d, d->state->current);
	put(o, "rules", number(policy_rules(d->policy, &rules)));
	put(o, "firewall_rules", number(policy_firewall_rule_count(d->policy)));
	put(o, "rules_here", number(show_rules_here(d)));
	put(o, "pending", pending_json(d));
	return o;
}

static json_t *disabled_json(const struct daemon *d)
{
	SCOPED(text_freep) struct text *t = NULL;
	char path[4096];

	if (!d->state->disabled)
		return json_null();
	(void)snprintf(path, sizeof path, "%s/disabled", d->state->folder);
	(void)text_read(path, 4096, &t, NULL);
	return json_pack("{s:o}", "reason", t && t->len ? words(t->octets) : json_null());
}

static json_t *peers_json(json_t *rows)
{
	json_int_t encrypted = 0, authenticated = 0, clear = 0, failing = 0;
	json_t *o;
	size_t i;

	json_array_foreach(rows, i, o)
	{
		const char *outcome = json_string_value(json_object_get(o, "outcome"));

		failing += json_is_true(json_object_get(json_object_get(o, "failed"), "matters"));
		if (outcome) {
			encrypted += strcmp(outcome, outcome_name(OUTCOME_ENCRYPTED)) == 0;
			authenticated += strcmp(outcome, outcome_name(OUTCOME_AUTHENTICATED)) == 0;
			clear += strcmp(outcome, outcome_name(OUTCOME_CLEAR)) == 0;
		}
	}
	return json_pack("{s:I,s:I,s:I,s:I}", "encrypted", encrypted, "authenticated", authenticated, "clear", clear,
			 "failing", failing);
}

static json_t *failures_json(json_t *rows)
{
	json_t *all = json_array(), *o;
	size_t i;

	json_array_foreach(rows, i, o)
	{
		if (json_is_true(json_object_get(json_object_get(o, "failed"), "matters")))
			(void)json_array_append(all, o);
	}
	return all;
}

static json_t *certificates_json(const struct daemon *d)
{
	const struct credential_store *s = d->engine ? engine_store(d->engine) : NULL;
	json_t *all = json_array();

	for (size_t i = 0; s && i < credential_count(s); i++) {
		const struct credential *c = credential_get(s, i);

		if (c->kind != AUTH_CERTIFICATE || c->retired)
			continue;
		(void)json_array_append_new(all, json_pack("{s:o,s:s,s:I}", "subject", words(c->subject), "key_type",
							   c->key_type ? c->key_type : "", "not_after_ms",
							   (json_int_t)c->not_after_s * 1000));
	}
	return all;
}

static void add_unproven(void *context, const struct auth_set *set, const char *why)
{
	(void)json_array_append_new(context, json_pack("{s:o,s:o}", "set", words(set->name), "why", words(why)));
}

/* Without its process the userspace plane carries nothing; and who dies again and again will do so once more. */
static bool parts_work(const struct daemon *d)
{
	struct child_row rows[ROLE_COUNT];
	size_t n = children_rows(d->children, rows, ROLE_COUNT);

	for (size_t i = 0; i < n; i++) {
		const struct child_row *c = &rows[i];

		if (!c->ready && c->role == ROLE_DATAPLANE && d->plane_is.plane == GATE_PLANE_TUN)
			return false;
		if (c->again)
			return false;
	}
	return true;
}

/* Rules whose set nothing of this host proves let nothing through, and a group that the directory does not know lets
 * nobody in: before anybody tries as well as after. */
static const char *state_word(const struct daemon *d, const json_t *peers, const json_t *unproven,
			      const json_t *directory)
{
	if (d->state->disabled)
		return "disabled";
	if (!d->policy)
		return "no-policy";
	return json_integer_value(json_object_get(peers, "failing")) || json_array_size(unproven) ||
			       json_array_size(json_object_get(directory, "missing")) || !parts_work(d)
		       ? "failing"
		       : "protected";
}

/* Only where they are not all said by the host's page alone. */
static json_t *profiles_json(const struct daemon *d)
{
	static const char *const names[] = {
		[PROFILE_DOMAIN] = "domain", [PROFILE_PRIVATE] = "private", [PROFILE_PUBLIC] = "public"
	};
	json_t *all = json_array();

	for (size_t i = 0; d->config && host_profiles_vary(d->config) && i < d->facts->interface_count; i++) {
		const struct plan_interface *one = &d->facts->interfaces[i];
		struct host_profile p = host_profile_of(d->facts, d->config, &d->homes, one->name);
		bool zoned = p.zone && p.zone->kind == ZONE_NAMED;
		char why[PROFILE_WHY_TEXT];

		if (strcmp(one->name, "lo") != 0 && one->profile < ARRAY_LEN(names) && names[one->profile])
			(void)json_array_append_new(all, json_pack("{s:s,s:s,s:s,s:o,s:s}", "interface", one->name,
								   "profile", names[one->profile], "by",
								   profile_source_name(p.by), "zone",
								   zoned ? json_string(p.zone->name) : json_null(),
								   "why", host_profile_why(&p, why)));
	}
	return all;
}

static json_t *plane_json(const struct daemon *d)
{
	const char *alone = NULL;
	unsigned workers = d->plane ? plane_workers(d->plane, &alone) : 0;

	return json_pack("{s:s,s:s,s:i,s:o}", "kind", plane_kind_name(d->plane_is.plane), "why", d->plane_is.why,
			 "workers", (int)workers, "alone", alone ? json_string(alone) : json_null());
}

json_t *show_status(struct daemon *d, const struct engine_view *v)
{
	SCOPED(live_wipe) struct live l = { 0 };
	json_t *rows = json_array(), *o = json_pack("{s:b}", "ok", 1), *peers, *unproven = json_array();
	json_t *directory = directory_json(d);
	bool kerberos = proofs_each(d, add_unproven, unproven);
	uint64_t dropped = 0;

	live_read(d, v, &l);
	peer_rows(d, &l, rows);
	peers = peers_json(rows);
	for (int i = 0; d->engine && i < DROP_COUNT; i++)
		dropped += l.v->plane_dropped[i];
	put(o, "state", json_string(state_word(d, peers, unproven, directory)));
	put(o, "host", words(d->name));
	put(o, "program_version", json_string(CORDON_VERSION));
	put(o, "started_ms", number(d->started_ms));
	put(o, "disabled", disabled_json(d));
	put(o, "policy", policy_json(d));
	put(o, "peers", peers);
	put(o, "last_hour", flows_json(d));
	put(o, "events", follow_counts(d));
	put(o, "keying",
	    json_pack("{s:b,s:I,s:I,s:I,s:o}", "away", l.v->keying_away, "main_mode", (json_int_t)established(&l),
		      "negotiating", (json_int_t)(l.v->ike_count - established(&l)), "quick_mode",
		      (json_int_t)l.v->child_count, "failures", failures_json(rows)));
	put(o, "plane", plane_json(d));
	put(o, "plane_dropped", number(dropped));
	put(o, "second_barrier", json_boolean(gate_guarded(d->gate)));
	put(o, "processes", parts_json(d));
	put(o, "certificates", certificates_json(d));
	put(o, "expires", credentials_expiry(d));
	put(o, "exemptions", exemptions(d));
	put(o, "unproven", unproven);
	put(o, "kerberos", kerberos ? ticket_json(d) : json_null());
	put(o, "directory", directory);
	put(o, "bypass_overruled_by", firewall_overruled(d));
	put(o, "firewall_waits", firewall_waits(d));
	put(o, "interfaces_missing", firewall_interfaces_missing(d));
	put(o, "profiles", profiles_json(d));
	json_decref(rows);
	return o;
}

json_t *show_history(struct daemon *d)
{
	json_t *rows = json_array();

	for (uint32_t v = d->state->newest; v > 0 && v + STATE_HISTORY_MOST > d->state->newest; v--) {
		struct state_version seen;
		json_t *o;

		if (state_version_read(d->state, v, &seen, NULL) < 0)
			continue;
		o = version_json(d, v);
		put(o, "current", json_boolean(v == d->state->current));
		put(o, "pending", json_boolean(v == d->state->pending.version));
		(void)json_array_append_new(rows, o);
	}
	return json_pack("{s:b,s:o}", "ok", 1, "rows", rows);
}
