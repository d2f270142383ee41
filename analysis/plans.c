#include "analysis/plans.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum {
	ADDRESS_PLANS = 16,       /* of addresses that are no host's */
	RULES_IN_PLANS = 5000000, /* rules over all plans that are kept */
};

struct slot {
	struct plan *plan;
	bool tried; /* and if plan is NULL, in conflict */
};

struct plans {
	const struct policy *policy;
	struct report *report;
	unsigned profiles;
	const struct host *hosts;
	size_t host_count;
	struct slot *slots; /* one for each host, then ADDRESS_PLANS */
	struct addr addresses[ADDRESS_PLANS];
	size_t next_address;
	size_t *kept; /* a ring of slots that hold a plan, oldest first */
	size_t kept_most, kept_count, kept_first;
	struct finding *seen; /* what has been reported, by code and place */
	size_t seen_count, seen_cap;
};

struct plans *plans_new(const struct policy *policy, struct report *r)
{
	struct plans *p = mem_new(1, sizeof *p);
	const struct rule *rules;

	p->policy = policy;
	p->report = r;
	p->host_count = policy_hosts(policy, &p->hosts);
	p->slots = mem_new(p->host_count + ADDRESS_PLANS, sizeof *p->slots);
	p->kept_most = RULES_IN_PLANS / (policy_rules(policy, &rules) + 1) + 4;
	if (p->kept_most > p->host_count + ADDRESS_PLANS)
		p->kept_most = p->host_count + ADDRESS_PLANS;
	p->kept = mem_new(p->kept_most, sizeof *p->kept);
	return p;
}

void plans_free(struct plans *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < p->host_count + ADDRESS_PLANS; i++)
		plan_free(p->slots[i].plan);
	free(p->slots);
	free(p->kept);
	free(p->seen);
	free(p);
}

void plans_profiles(struct plans *p, unsigned profiles)
{
	p->profiles = profiles;
}

static bool reported(struct plans *p, const struct finding *f)
{
	for (size_t i = 0; i < p->seen_count; i++)
		if (p->seen[i].code == f->code && memcmp(&p->seen[i].place, &f->place, sizeof f->place) == 0)
			return true;
	p->seen = mem_grow(p->seen, p->seen_count, &p->seen_cap, sizeof *p->seen);
	p->seen[p->seen_count++] = (struct finding){ .code = f->code, .place = f->place };
	return false;
}

/* The same two rules are in conflict on every host that they concern; say it once. */
static void hand_on(struct plans *p, const struct report *from)
{
	const struct finding *const *all;
	size_t n = report_findings(from, &all);

	for (size_t i = 0; p->report && i < n; i++) {
		struct finding *f;

		if (reported(p, all[i]))
			continue;
		f = report_add(p->report, all[i]->severity, all[i]->code, all[i]->place, "%s", all[i]->message);
		if (all[i]->advice)
			finding_advise(f, "%s", all[i]->advice);
	}
}

static size_t slot_of(struct plans *p, const struct ends_who *who)
{
	size_t slot;

	if (who->host)
		return (size_t)(who->host - p->hosts);
	for (size_t i = 0; i < ADDRESS_PLANS; i++)
		if (addr_equal(&p->addresses[i], &who->addr))
			return p->host_count + i;
	p->addresses[p->next_address] = who->addr;
	slot = p->host_count + p->next_address;
	p->next_address = (p->next_address + 1) % ADDRESS_PLANS;
	p->slots[slot].tried = false;
	plan_free(TAKE(p->slots[slot].plan));
	return slot;
}

/* Remember that the slot holds a plan; the one that was made longest ago gives way. */
static void keep(struct plans *p, size_t slot)
{
	if (p->kept_count == p->kept_most) {
		struct slot *oldest = &p->slots[p->kept[p->kept_first]];

		plan_free(TAKE(oldest->plan));
		oldest->tried = false;
		p->kept_first = (p->kept_first + 1) % p->kept_most;
		p->kept_count--;
	}
	p->kept[(p->kept_first + p->kept_count++) % p->kept_most] = slot;
}

const struct plan *plans_get(struct plans *p, const struct ends_who *who)
{
	size_t slot = slot_of(p, who);
	struct slot *s = &p->slots[slot];
	struct host_address bare = { who->addr, who->prefix };
	struct plan_host host = { .own = &bare, .own_count = 1, .profiles = p->profiles, .contests = true };

	if (s->tried)
		return s->plan;
	if (who->host) {
		host.name = who->host->name;
		host.own = who->host->addresses;
		host.own_count = who->host->address_count;
	}
	SCOPED(report_freep) struct report *r = report_new();
	struct plan *plan = NULL;

	if (plan_compile(p->policy, &host, r, &plan) < 0)
		plan = NULL;
	hand_on(p, r);
	keep(p, slot);
	s->tried = true;
	s->plan = plan;
	return plan;
}
