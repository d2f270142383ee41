/* keying/row.c - what `status` and `show` tell of the engine. */
#include "keying/engine.h"

size_t keying_ike_rows(const struct keying *k, struct keying_ike_row *rows, size_t cap)
{
	struct ike_sa *sa;
	const struct child *c;
	size_t n = 0;

	TAILQ_FOREACH(sa, &k->ikes, entry) {
		if (n < cap) {
			struct keying_ike_row *row = &rows[n];
			*row = (struct keying_ike_row){
				.local = sa->local,
				.remote = sa->remote,
				.spi_i = sa->spi_i,
				.spi_r = sa->spi_r,
				.version = sa->v1 ? 1 : 2,
				.initiator = sa->initiator,
				.established = sa->state == IKE_ESTABLISHED && !sa->gone,
				.nat = sa->nat.behind,
				.udp = sa->nat.udp_agreed,
				.outer = sa->nat.outer,
				.local_port = sa->local_port,
				.remote_port = sa->remote_port,
				.suite = sa->suite,
				.peer = sa->peer,
				.groups = member_groups(sa),
				.ppk = sa->ppk,
				.auth_set = sa->auth_set ? sa->auth_set->name : "",
				.credential = sa->credential,
				.up_at_ms = sa->up_ms,
				.rekey_at_ms = sa->rekey_ms,
			};
			LIST_FOREACH(c, &sa->children, entry)
				row->children += c->state == CHILD_UP;
		}
		n++;
	}
	return n;
}

size_t keying_child_rows(const struct keying *k, struct keying_child_row *rows, size_t cap)
{
	const struct ike_sa *sa;
	const struct child *c;
	size_t n = 0;

	TAILQ_FOREACH(sa, &k->ikes, entry)
		LIST_FOREACH(c, &sa->children, entry) {
			if (c->state != CHILD_UP && c->state != CHILD_DELETING)
				continue;
			if (n < cap)
				rows[n] = (struct keying_child_row){
					.pair = c->pair,
					.spi_in = c->spi_in,
					.spi_out = c->spi_out,
					.udp = encap_is_udp(c),
					.local = sa->local,
					.remote = sa->remote,
					.selector = c->selector,
					.rule = c->rule,
					.suite = c->choice.suite,
					.up_at_ms = c->up_ms,
					.peer = sa->peer,
					.rekey_at_ms = c->soft_ms,
				};
			n++;
		}
	return n;
}

/* From when on a packet makes us try again: the earliest of what waits. 0: nothing does. */
static uint64_t next_try(const struct contact *c)
{
	const struct want *w;
	uint64_t at = 0;

	LIST_FOREACH(w, &c->wants, entry)
		if ((w->failed || w->later) && (!at || w->retry_ms < at))
			at = w->retry_ms;
	return at;
}

static void add_failures(const struct contact *c, struct keying_failure *rows, size_t cap, size_t *n)
{
	for (; c; c = TAILQ_NEXT(c, entry)) {
		if (!c->failure)
			continue;
		if (*n < cap) {
			rows[*n] = c->failure->last;
			rows[*n].next_ms = next_try(c);
		}
		++*n;
	}
}

size_t keying_failures(const struct keying *k, struct keying_failure *rows, size_t cap)
{
	size_t n = 0;

	add_failures(TAILQ_FIRST(&k->busy), rows, cap, &n);
	add_failures(TAILQ_FIRST(&k->idle), rows, cap, &n);
	return n;
}
