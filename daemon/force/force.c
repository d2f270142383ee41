#include "daemon/force/force.h"

#include "base/diag.h"
#include "base/log.h"
#include "base/str.h"
#include "base/text.h"
#include "daemon/force/boot.h"
#include "daemon/tell/firewall.h"
#include "daemon/host/credentials.h"
#include "daemon/keys/filling.h"
#include "daemon/parts/directory.h"
#include "daemon/parts/parts.h"
#include "daemon/host/proofs.h"
#include "daemon/service.h"

#include <errno.h>
#include <stdio.h>

enum { RULES_WORDS = 96 };

void candidate_wipe(struct candidate *c)
{
	plan_file_free(c->file);
	plan_free(c->plan);
	policy_free(c->policy);
	report_free(c->report);
	*c = (struct candidate){ 0 };
}

enum { POLICY_FILE = 1 }; /* of a report: the first that was added */

/* The policy's text is in one report, and findings go to c's. */
static int compile(struct daemon *d, const struct policy *policy, const struct report *texts, struct candidate *c,
		   struct diag *why)
{
	SCOPED(host_own_free) struct host_own own = { 0 };
	struct plan_host host;
	int r;

	host_plan(d->facts, policy, d->name, &own, &host);
	if ((r = plan_compile(policy, &host, c->report, &c->plan)) < 0)
		return diag_fail(why, r, "the policy has errors");
	return plan_file_new(++d->plans, report_file(texts, POLICY_FILE), &host, &c->file, why);
}

/* A name that the page gives on purpose is to be one of the policy's; else addresses decide who this host is. */
static void warn_of_name(const struct daemon *d, const struct candidate *c)
{
	const char *name = d->config ? d->config->name : NULL;
	const struct host *all, *is = NULL;
	struct finding *f;

	if (!name || policy_hosts(c->policy, &all) == 0 || policy_host_by_name(c->policy, name))
		return;
	for (size_t i = 0; !is && i < d->facts->own_count; i++)
		is = policy_host_by_address(c->policy, &d->facts->own[i].addr);
	f = report_add(c->report, SEVERITY_WARNING, "name-unknown", (struct place){ 0 },
		       "host.yaml calls this host '%.60s', and the policy has no host of that name", name);
	if (is)
		finding_advise(f, "by its addresses it is taken for '%.60s': set name: to that", is->name);
	else
		finding_advise(f, "none of its addresses is a host's either: add it to hosts:, or set name: right");
}

int candidate_make(struct daemon *d, struct text *text, struct candidate *ret, struct diag *why)
{
	int r;

	*ret = (struct candidate){ .report = report_new() };
	if ((r = policy_parse(text, &(struct policy_load_options){ 0 }, ret->report, &ret->policy)) < 0)
		return diag_fail(why, r, "the policy has errors");
	warn_of_name(d, ret);
	return compile(d, ret->policy, ret->report, ret, why);
}

/* ---- ruleset, plane and keying ----------------------------------------------------------------------------------- */

/* What is made from now on is for this plane: the table, and what is kept for the next boot. */
static void use_plane(struct daemon *d, enum gate_plane plane)
{
	d->gate_config.plane = plane;
	gate_set_plane(d->gate, plane);
}

/* The plane and the sockets are made before the ruleset: what is missing on this machine is then found out while
 * nothing has been changed. A ruleset that is there already, ours of before, holds all the while. Where another plane
 * is at work, it goes when the ruleset of the new one is in force, which takes nothing from it. */
static int begin(struct daemon *d, struct plan *plan, struct plan_file *file, const struct proofs *proofs,
		 const struct plane_choice *choice, struct diag *why)
{
	struct engine_config config = { .loop = &d->loop,
					.sockets = d->sockets,
					.gate_config = &d->gate_config,
					.gate = d->gate,
					.observer = &d->observer,
					.keying = parts_channel(d, ROLE_KEYING),
					.export_fd = d->export_fd };
	const enum gate_plane before = d->gate_config.plane;
	struct engine *engine = NULL;
	int r;

	if ((r = plane_open(d->plane, choice->plane, d->config->workers, why)) < 0)
		return r;
	use_plane(d, choice->plane);
	if ((r = gate_apply(d->gate, plan, why)) < 0 || (r = gate_routes(d->gate, why)) < 0) {
		use_plane(d, before);
		if (!d->engine)
			plane_end(d->plane);
		else if (before != choice->plane)
			plane_shut(d->plane, choice->plane);
		return r;
	}
	if (!d->engine)
		engine_new(&config, plan, file, proofs, &engine);
	plane_set_plan(d->plane, file);
	plane_begin(d->plane, choice->plane);
	keys_filling_commit(d->filling);
	if (engine) {
		d->engine = engine;
		engine_start(engine);
	} else {
		engine_set_plan(d->engine, plan, file, proofs);
	}
	return 0;
}

static void say_plane(struct daemon *d, const struct plane_choice *choice, bool first)
{
	if (first || choice->plane != d->plane_is.plane)
		log_info("the data plane is %s: %s",
			 choice->plane == GATE_PLANE_KERNEL ? "the kernel's" : "in userspace", choice->why);
	d->plane_is = *choice;
}

static bool is_off(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char c = '1';

	if (fd < 0)
		return false; /* there is no such family here */
	(void)!read(fd, &c, 1);
	close(fd);
	return c == '0';
}

/* A gateway that does not forward is silence for whom it stands before. Whether it does is its administrator's choice.
 */
static void say_not_forwarding(const struct plan *plan)
{
	static const struct {
		const char *name, *path;
		uint8_t family;
	} rows[] = { { "net.ipv4.ip_forward", "/proc/sys/net/ipv4/ip_forward", 4 },
		     { "net.ipv6.conf.all.forwarding", "/proc/sys/net/ipv6/conf/all/forwarding", 6 } };
	const struct addr_range *behind;
	size_t n = plan_behind(plan, &behind);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t k = 0;

		while (k < n && behind[k].lo.family != rows[i].family)
			k++;
		if (k < n && is_off(rows[i].path))
			log_warning(
				"this host is the gateway of a tunnel and does not forward: %s is 0. Set it to 1, or "
				"what stands behind it reaches nobody",
				rows[i].name);
	}
}

/* "200 rules, 1 firewall rule", as cordon status and cordon check count them. */
static const char *rules_words(const struct plan *plan, char buf[RULES_WORDS])
{
	const struct rule *rules;
	size_t n = policy_rules(plan_policy(plan), &rules), firewall = policy_firewall_rule_count(plan_policy(plan));
	int len = snprintf(buf, RULES_WORDS, "%zu rule%s", n, n == 1 ? "" : "s");

	if (firewall && len > 0)
		(void)snprintf(buf + len, RULES_WORDS - (size_t)len, ", %zu firewall rule%s", firewall,
			       firewall == 1 ? "" : "s");
	return buf;
}

/* Who has many rules wants to know what they cost, and that it was not something else. */
static void say_slow(const struct plan *plan, uint64_t since_ms)
{
	enum { SLOW_MS = 2000 };
	const uint64_t took_ms = engine_now_ms() - since_ms;
	char words[RULES_WORDS];

	if (took_ms >= SLOW_MS)
		log_info("it took %.1f s to put %s in force", (double)took_ms / 1000, rules_words(plan, words));
}

/* Nothing is answered meanwhile; then it shall be known what for. */
static void say_many(const struct plan *plan)
{
	enum { MANY = 3000 };
	const struct rule *rules;
	char words[RULES_WORDS];

	if (policy_rules(plan_policy(plan), &rules) + policy_firewall_rule_count(plan_policy(plan)) > MANY)
		log_info("putting %s in force", rules_words(plan, words));
}

static int put_plan(struct daemon *d, struct plan *plan, struct plan_file *file, struct diag *why)
{
	SCOPED(proofs_wipe) struct loaded_proofs loaded = { 0 };
	const bool first = !d->engine;
	const uint64_t since_ms = engine_now_ms();
	struct plane_choice choice;
	int r;

	if (d->state->disabled)
		return 0;
	if ((r = plane_choose(d->config->data_plane, plan, &choice, why)) < 0)
		return r;
	proofs_load(d, plan, &loaded);
	loaded.proofs.keying.userspace_plane = choice.plane == GATE_PLANE_TUN;
	proofs_say(&loaded);
	say_not_forwarding(plan);
	say_many(plan);
	if (first || choice.plane != d->gate_config.plane) {
		r = begin(d, plan, file, &loaded.proofs, &choice, why);
	} else if ((r = gate_apply(d->gate, plan, why)) == 0) {
		plane_set_plan(d->plane, file);
		keys_filling_commit(d->filling);
		engine_set_plan(d->engine, plan, file, &loaded.proofs);
	}
	if (r == 0) {
		say_plane(d, &choice, first);
		boot_keep(d, plan);
		say_slow(plan, since_ms);
	}
	return r;
}

static void replace(struct daemon *d, struct candidate *c)
{
	plan_file_free(d->plan_file);
	plan_free(d->plan);
	policy_free(d->policy);
	report_free(d->report);
	d->plan_file = TAKE(c->file);
	d->plan = TAKE(c->plan);
	d->policy = TAKE(c->policy);
	d->report = TAKE(c->report);
	firewall_look_at_others(d);
}

int force_candidate(struct daemon *d, struct candidate *c, struct diag *why)
{
	int r = put_plan(d, c->plan, c->file, why);

	if (r < 0)
		return r;
	replace(d, c);
	credentials_loaded(d);
	directory_loaded(d);
	service_say(d);
	return 0;
}

/* Open first, then tell the peers: whoever breaks the glass wants traffic to flow whatever else happens. */
static int let_go(struct daemon *d, struct diag *why)
{
	int r = gate_disable(d->gate, why);

	if (r < 0)
		return r;
	engine_close(d->engine);
	d->engine = NULL;
	plane_end(d->plane);
	return 0;
}

int force_nothing(struct daemon *d, struct diag *why)
{
	struct candidate none = { 0 };
	int r = let_go(d, why);

	if (r < 0)
		return r;
	replace(d, &none);
	directory_loaded(d);
	boot_keep(d, NULL);
	service_say(d);
	return 0;
}

int force_disable(struct daemon *d, struct diag *why)
{
	int r = let_go(d, why);

	service_say(d);
	return r;
}

int force_enable(struct daemon *d, struct diag *why)
{
	int r = d->plan && !d->engine ? put_plan(d, d->plan, d->plan_file, why) : 0;

	if (r == 0)
		credentials_loaded(d);
	directory_loaded(d);
	service_say(d);
	return r;
}

int force_again(struct daemon *d, struct diag *why)
{
	SCOPED(candidate_wipe) struct candidate c = { 0 };
	int r;

	if (!d->policy)
		return 0;
	/* The report keeps what was found before; new findings for new addresses go to one of their own. */
	c.report = report_new();
	if ((r = compile(d, d->policy, d->report, &c, why)) < 0 || (r = put_plan(d, c.plan, c.file, why)) < 0)
		return r;
	plan_file_free(d->plan_file);
	d->plan_file = TAKE(c.file);
	plan_free(d->plan);
	d->plan = TAKE(c.plan);
	credentials_loaded(d);
	directory_loaded(d);
	return 0;
}
