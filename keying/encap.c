/* keying/encap.c - two Cordon hosts agree on ESP in UDP 4500 though no NAT asks for it. */
#include "keying/encap.h"
#include "keying/engine.h"

static bool wanted(const struct ike_sa *sa)
{
	const struct contact *c = contact_find(sa->k, &sa->local, &sa->remote);
	bool taken = sa->local.family == 6 ? sa->k->config.no_udp6 : sa->k->config.no_udp4;

	if (taken || (c && c->udp_blocked_ms > sa->k->now_ms))
		return false;
	switch (policy_encapsulation(plan_policy(sa->k->plan))) {
	case ENCAPSULATION_AUTO:
		return sa->k->config.userspace_plane;
	case ENCAPSULATION_NATIVE:
		break;
	case ENCAPSULATION_UDP:
		return true;
	}
	return false;
}

void encap_put_offer(struct ike_sa *sa, struct ike_writer *w)
{
	sa->nat.udp_offered = wanted(sa);
	if (sa->nat.udp_offered)
		ike_put_vendor_udp(w);
}

void encap_put_answer(const struct ike_sa *sa, struct ike_writer *w)
{
	if (sa->nat.udp_agreed)
		ike_put_vendor_udp(w);
}

void encap_decide(struct ike_sa *sa, const struct ike_msg *request)
{
	sa->nat.udp_agreed = request->wants_udp && !sa->nat.behind && wanted(sa);
}

void encap_decided(struct ike_sa *sa, const struct ike_msg *reply)
{
	sa->nat.udp_agreed = reply->wants_udp && !sa->nat.behind && sa->nat.udp_offered;
	if (!sa->nat.udp_agreed)
		return;
	/* What does not get through is to be found out by IKE_AUTH, not by the first packet of an application. */
	sa->local_port = sa->remote_port = IKE_NAT_PORT;
}

bool encap_stays(const struct ike_sa *sa, const struct policy *p)
{
	return !sa->nat.udp_agreed || policy_encapsulation(p) != ENCAPSULATION_NATIVE;
}

bool encap_is_udp(const struct child *c)
{
	return c->choice.suite.protocol == PROTO_ESP && (c->ike->nat.behind || c->ike->nat.udp_agreed);
}

static bool has_esp(const struct protection_set *set)
{
	for (size_t i = 0; i < set->count; i++)
		if (set->suites[i].protocol == PROTO_ESP)
			return true;
	return false;
}

/* A tunnel's rule is met by other addresses than these: it may be one of ESP. */
bool encap_concerns(const struct ike_sa *sa)
{
	struct plan_list list = plan_meet(sa->k->plan, &sa->contact->local, &sa->contact->remote);
	bool protects = false;

	for (size_t i = 0; sa->nat.udp_agreed && i < list.count; i++) {
		const struct rule *rule = list.entries[i].rule;

		if (!rule_mode_protects(rule->mode))
			continue;
		protects = true;
		if (has_esp(rule->protection))
			return true;
	}
	return sa->nat.udp_agreed && !protects;
}

bool encap_give_up(struct ike_sa *sa)
{
	struct keying *k = sa->k;
	struct contact *c = sa->contact;
	struct addr local = sa->local, remote = sa->remote;
	char there[ADDR_TEXT];

	if (!sa->initiator || !sa->nat.udp_agreed || sa->state >= IKE_ESTABLISHED || sa->replaces || !c ||
	    sa->request.id != 1 || sa->request.tries < ENCAP_PATIENCE)
		return false;
	c->udp_blocked_ms = k->now_ms + ENCAP_BLOCKED_MS;
	todo_event(
		k, EVENT_UDP_BLOCKED, &local, &remote, ike_rule_name(sa), NULL, 0,
		"%s answers on UDP 500 and agreed to ESP in UDP, but nothing comes back through UDP 4500: ESP goes by "
		"itself (protocol 50) for %d minutes. Let UDP 4500 through on the way, or write 'encapsulation: "
		"native' "
		"into the policy",
		addr_text(&remote, there), ENCAP_BLOCKED_MS / 60000);
	ike_drop(sa); /* what waits for it goes on waiting */
	if ((c = contact_find(k, &local, &remote)))
		want_drive_all(c);
	return true;
}
