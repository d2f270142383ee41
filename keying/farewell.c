/* keying/farewell.c - ends that cannot wait for an answer: the host goes, or an address of its goes. One datagram tells
 * each peer, under a number of its own even when another request is out: the peer takes it if it has that one. */
#include "keying/v1/v1.h"
#include <stdio.h>

static bool may_tell(const struct ike_sa *sa)
{
	return sa->out.keys &&
	       (sa->state == IKE_ESTABLISHED || sa->state == IKE_I_AUTH_SENT || sa->state == IKE_I_VERIFY);
}

/* Port 4500 is the data plane's, which may be going, too. Where no NAT asks for it the other does as well. */
static void use_own_port(struct ike_sa *sa)
{
	if (sa->nat.udp_agreed)
		sa->local_port = sa->remote_port = IKE_PORT;
}

static void tell(struct ike_sa *sa)
{
	struct owned message = { 0 };
	struct ike_writer w;
	size_t sk;

	use_own_port(sa);
	if (sa->v1)
		notice_farewell(sa);
	if (sa->v1 || !may_tell(sa))
		return;
	exchange_begin_message(sa, &w, INFORMATIONAL, false, &sk);
	ike_put_delete_ike(&w);
	if (exchange_end_message(sa, &w, sk, NULL) < 0)
		return;
	sa->send_id++;
	owned_set(&message, w.out.buf, w.out.len);
	todo_send_ike(sa, &message);
	owned_wipe(&message);
}

static void end(struct ike_sa *sa, const char *why)
{
	bool was_up = sa->state == IKE_ESTABLISHED && !sa->loser && !rekey_done(sa);

	tell(sa);
	if (was_up)
		ike_down(sa, EVENT_MAIN_MODE_DOWN, "%s", why);
	else
		ike_drop(sa);
}

/* The one that goes may take others with it: of its rekey, or of its contact. So the walk begins anew each time. */
static struct ike_sa *one_of(const struct keying *k, const struct addr *local)
{
	struct ike_sa *sa;

	TAILQ_FOREACH(sa, &k->ikes, entry)
		if (addr_equal(&sa->local, local))
			return sa;
	return NULL;
}

static struct want *want_of(const struct keying *k, const struct addr *local)
{
	struct contact *c;

	TAILQ_FOREACH(c, &k->busy, entry)
		if (addr_equal(&c->local, local) && !LIST_EMPTY(&c->wants))
			return LIST_FIRST(&c->wants);
	return NULL;
}

void keying_address_gone(struct keying *k, const struct addr *local, uint64_t now_ms)
{
	char text[ADDR_TEXT], why[ADDR_TEXT + 48];
	struct ike_sa *sa;
	struct want *w;

	keying_tick(k, now_ms);
	(void)snprintf(why, sizeof why, "this host no longer has the address %s", addr_text(local, text));
	while ((w = want_of(k, local))) {
		todo_add(k, KEYING_RELEASE_HELD)->selector = w->selector;
		want_free(w);
	}
	while ((sa = one_of(k, local)))
		end(sa, why);
	keying_settle(k);
}

void keying_close(struct keying *k, uint64_t now_ms)
{
	struct ike_sa *sa, *next;

	keying_tick(k, now_ms);
	k->closing = true;
	for (sa = TAILQ_FIRST(&k->ikes); sa; sa = next) {
		next = TAILQ_NEXT(sa, entry);
		use_own_port(sa);
		if (sa->request.out && sa->state != IKE_DELETING)
			tell(sa); /* whatever becomes of it */
		ike_delete(sa);
	}
	keying_settle(k);
}
