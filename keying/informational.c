/* keying/informational.c - INFORMATIONAL requests: deletes, notices, "are you there" (RFC 7296 1.4, 1.5). */
#include "keying/engine.h"

enum { SPIS_MOST = 64 };

/* The peer's inbound SAs of a Delete: take our halves down, and list those in the reply that we had not asked to delete
 * ourselves (1.4.1). *early: the peer waits for a sign that we have what replaces one. */
static void delete_children(struct ike_sa *sa, const struct ike_delete *del, struct ike_writer *w, bool *early)
{
	struct wire_in in = wire_in(del->spis, (size_t)4 * del->count);
	uint32_t gone[SPIS_MOST];
	size_t n = 0;

	while (in.left >= 4) {
		uint32_t spi = wire_u32(&in);
		struct child *c = child_by_spi(sa, spi, false);
		if (!c && rekey_done(sa)) /* asked before the peer knew that it lives under the new one */
			c = child_by_spi(sa->replaced_by, spi, false);
		if (!c || (uint8_t)c->choice.suite.protocol != del->protocol)
			continue;
		if (c->state != CHILD_DELETING && n < SPIS_MOST)
			gone[n++] = c->spi_in;
		*early |= child_replaced_early(c);
		child_drop(c, child_up_for(sa->contact, &c->asked, c) ? NULL : "the peer deleted it");
	}
	if (n)
		ike_put_delete(w, del->protocol, gone, n);
}

void informational_request(struct ike_sa *sa, const struct ike_msg *m)
{
	const struct keying_credential *own = ike_credential(sa);
	const char *own_proof = !own || own->kind == AUTH_CERTIFICATE ? "a certificate"
				: own->kind == AUTH_PSK               ? "a pre-shared key"
								      : "Kerberos";
	bool the_end = false, early = false;
	struct ike_writer w;
	size_t sk;

	exchange_begin_message(sa, &w, INFORMATIONAL, true, &sk);
	for (size_t i = 0; i < m->delete_count; i++) {
		if (m->deletes[i].protocol == PROTO_IKE)
			the_end = true;
		else
			delete_children(sa, &m->deletes[i], &w, &early);
	}
	exchange_reply(sa, &w, sk);
	if (gspm_waits(sa)) {
		gspm_parted(sa, m);
		return;
	}
	if (early)
		exchange_queue(rekey_done(sa) ? sa->replaced_by : sa, TASK_LIVENESS, 0);
	if (m->delete_count && ike_find_notify(m, N_CORDON_NOT_MEMBER)) {
		char remote[ADDR_TEXT];
		contact_fault(sa->k, &sa->local, &sa->remote, ike_rule_name(sa), EVENT_QUICK_MODE_FAILED,
			      (struct fault){ FAILURE_NOT_MEMBER, SIDE_PEER, INFORMATIONAL, N_CORDON_NOT_MEMBER,
					      peer_kept_id(sa->peer) },
			      "%s ended quick mode: this host is not known there to be in a group that its rule "
			      "admits. Its `machines` and `groups` say who is",
			      addr_text(&sa->remote, remote));
	}
	unwanted_redirect(sa, m);
	reauth_told(sa, m);
	crash_take(sa, m);
	if (ike_find_notify(m, N_AUTHENTICATION_FAILED)) {
		char remote[ADDR_TEXT], words[REFUSAL_TEXT];
		ike_fault(sa, fault_of_notify(INFORMATIONAL, N_AUTHENTICATION_FAILED),
			  "%s refused our proof in IKE_AUTH, %s", addr_text(&sa->remote, remote),
			  refusal_words(INFORMATIONAL, N_AUTHENTICATION_FAILED, own_proof, words));
	} else if (the_end && sa->loser) {
		struct ike_sa *old = sa->replaces;
		ike_drop(sa);
		if (old && rekey_done(old) && old->replaced_by->initiator)
			ike_delete(old); /* which was kept for the peer's sake (2.8.2) */
	} else if (the_end && sa->replaced_by) {
		rekey_old_deleted(sa);
	} else if (the_end && sa->contact && reauth_superseded(sa)) {
		ike_drop(sa);
	} else if (the_end) {
		ike_down(sa, EVENT_MAIN_MODE_DOWN, "the peer deleted it");
	}
}
