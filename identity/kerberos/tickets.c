/* Tickets, by libkrb5's steps: each gives the octets for a KDC and takes its answer. First the ticket-granting ticket
 * (AS exchange, by the keytab), with it a ticket for each service (TGS exchange, through other realms where the KDC
 * refers to them). A ticket is got anew in the last quarter of its life, or its last hour; while no KDC answers, the
 * one that there is does. */
#include "identity/kerberos/inside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RENEW_MOST_S = 3600 };

static void ask_service(struct kerberos *k, struct ticket *t, uint64_t now_ms);

/* ---- lives ------------------------------------------------------------------------------------------------------- */

static bool is_good(const struct held *h)
{
	return h->until_s > unix_now_s();
}

static bool is_fresh(const struct held *h)
{
	return is_good(h) && !h->stale && unix_now_s() < h->renew_s;
}

static void hold(struct held *h, const krb5_creds *creds)
{
	int64_t now_s = unix_now_s(), until_s = (uint32_t)creds->times.endtime, last;

	last = (until_s - now_s) / 4;
	h->until_s = until_s;
	h->renew_s = until_s - (last > RENEW_MOST_S ? RENEW_MOST_S : last);
	h->stale = h->asking = false;
	h->failed_ms = 0;
	h->failure[0] = '\0';
}

static bool failed_lately(const struct held *h, uint64_t now_ms)
{
	return h->failed_ms && now_ms - h->failed_ms < (is_good(h) ? KERBEROS_SPARE_MS : KERBEROS_FAILED_MS);
}

static void note_failure(struct held *h, const char *why, uint64_t now_ms)
{
	char copy[KERBEROS_WORDS];

	(void)snprintf(copy, sizeof copy, "%s", why);
	memcpy(h->failure, copy, sizeof copy);
	h->asking = false;
	h->failed_ms = now_ms ? now_ms : 1;
}

/* ---- contexts that wait ------------------------------------------------------------------------------------------ */

void context_leave(struct context *c)
{
	if (!c->ticket)
		return;
	TAILQ_REMOVE(&c->ticket->waiting, c, entry);
	c->ticket = NULL;
}

static void serve(struct kerberos *k, struct ticket *t)
{
	struct context *c;

	while ((c = TAILQ_FIRST(&t->waiting))) {
		context_leave(c);
		context_go(k, c, t->credential);
	}
}

static void disappoint(struct kerberos *k, struct ticket *t, int error, const char *why)
{
	struct context *c;
	char copy[KERBEROS_WORDS];

	(void)snprintf(copy, sizeof copy, "%s", why);
	while ((c = TAILQ_FIRST(&t->waiting))) {
		context_leave(c);
		context_fail(k, c, error, copy);
	}
}

/* ---- tickets ----------------------------------------------------------------------------------------------------- */

static void stop_asking(struct kerberos *k, struct ticket *t)
{
	if (t->asking)
		krb5_tkt_creds_free(k->krb5, t->asking);
	t->asking = NULL;
	t->exchange.number = 0;
	t->held.asking = false;
}

static void drop_held(struct kerberos *k, struct ticket *t)
{
	OM_uint32 minor;

	(void)gss_release_cred(&minor, &t->credential);
	if (t->cache)
		(void)krb5_cc_destroy(k->krb5, t->cache);
	t->cache = NULL;
	t->held.until_s = 0;
}

static void ticket_free(struct kerberos *k, struct ticket *t)
{
	stop_asking(k, t);
	drop_held(k, t);
	TAILQ_REMOVE(&k->tickets, t, entry);
	k->ticket_count--;
	free(t->target);
	free(t);
}

static struct ticket *oldest_idle(const struct kerberos *k)
{
	struct ticket *t;

	TAILQ_FOREACH_REVERSE(t, &k->tickets, tickets, entry)
	if (!t->held.asking && TAILQ_EMPTY(&t->waiting))
		return t;
	return NULL;
}

static struct ticket *ticket_of(struct kerberos *k, const char *target)
{
	struct ticket *t;

	TAILQ_FOREACH(t, &k->tickets, entry)
		if (strcmp(t->target, target) == 0)
			break;
	if (t) {
		TAILQ_REMOVE(&k->tickets, t, entry);
		TAILQ_INSERT_HEAD(&k->tickets, t, entry);
		return t;
	}
	if (k->ticket_count >= KERBEROS_TICKETS_MOST) {
		if (!(t = oldest_idle(k)))
			return NULL;
		ticket_free(k, t);
	}
	t = mem_new(1, sizeof *t);
	t->target = mem_string(target);
	t->credential = GSS_C_NO_CREDENTIAL;
	TAILQ_INIT(&t->waiting);
	TAILQ_INSERT_HEAD(&k->tickets, t, entry);
	k->ticket_count++;
	return t;
}

static void ticket_failed(struct kerberos *k, struct ticket *t, const char *why, uint64_t now_ms)
{
	stop_asking(k, t);
	note_failure(&t->held, why, now_ms);
	if (is_good(&t->held))
		serve(k, t);
	else
		disappoint(k, t, EAGAIN, t->held.failure);
}

/* ---- the exchange with a KDC ------------------------------------------------------------------------------------- */

static int send_on(struct kerberos *k, struct exchange *e, const krb5_data *request, const krb5_data *realm)
{
	if (++e->steps > KERBEROS_STEPS_MOST || realm->length == 0 || realm->length >= sizeof e->realm)
		return -ELOOP;
	memcpy(e->realm, realm->data, realm->length);
	e->realm[realm->length] = '\0';
	if (++k->last == 0)
		k->last = 1;
	e->number = k->last;
	k->means.ask(k->means.context, e->number, e->realm, &(struct octets){ request->data, request->length }, e->tcp);
	return 0;
}

static void note_answer(struct exchange *e, const struct octets *answer)
{
	struct kerberos_said said;

	if (!kerberos_token_error(answer->at, answer->len, &said))
		return;
	e->said = said;
	e->said_at_s = unix_now_s();
	e->has_said = true;
}

static krb5_data data_of(const struct octets *o)
{
	return (krb5_data){ .length = o ? (unsigned)o->len : 0, .data = o ? (char *)(uintptr_t)o->at : NULL };
}

/* ---- the ticket-granting ticket ---------------------------------------------------------------------------------- */

static void granting_stop(struct kerberos *k)
{
	if (k->asking)
		krb5_init_creds_free(k->krb5, k->asking);
	k->asking = NULL;
	k->exchange.number = 0;
	k->granting.asking = false;
}

static void granting_drop(struct kerberos *k)
{
	if (k->cache)
		(void)krb5_cc_destroy(k->krb5, k->cache);
	k->cache = NULL;
	k->granting.until_s = 0;
}

/* Each service that waited for it goes on, with the one that there is. */
static void granting_over(struct kerberos *k, uint64_t now_ms)
{
	struct ticket *t, *next;

	for (t = TAILQ_FIRST(&k->tickets); t; t = next) {
		next = TAILQ_NEXT(t, entry);
		if (!t->held.asking || t->asking)
			continue;
		if (is_good(&k->granting))
			ask_service(k, t, now_ms);
		else
			ticket_failed(k, t, k->granting.failure, now_ms);
	}
}

static void granting_failed(struct kerberos *k, const char *why, uint64_t now_ms)
{
	granting_stop(k);
	note_failure(&k->granting, why, now_ms);
	granting_over(k, now_ms);
}

static krb5_error_code granting_keep(struct kerberos *k)
{
	krb5_ccache cache = NULL;
	krb5_creds creds = { 0 };
	krb5_error_code r;

	if ((r = krb5_init_creds_get_creds(k->krb5, k->asking, &creds)))
		return r;
	if ((r = krb5_cc_new_unique(k->krb5, "MEMORY", NULL, &cache)) == 0 &&
	    (r = krb5_cc_initialize(k->krb5, cache, creds.client)) == 0 &&
	    (r = krb5_cc_store_cred(k->krb5, cache, &creds)) == 0) {
		granting_drop(k);
		k->cache = TAKE(cache);
		hold(&k->granting, &creds);
	}
	if (cache)
		(void)krb5_cc_destroy(k->krb5, cache);
	krb5_free_cred_contents(k->krb5, &creds);
	return r;
}

static void granting_step(struct kerberos *k, const struct octets *answer, uint64_t now_ms)
{
	krb5_data in = data_of(answer), out = { 0 }, realm = { 0 };
	unsigned flags = 0;
	krb5_error_code r = krb5_init_creds_step(k->krb5, k->asking, &in, &out, &realm, &flags);
	char words[KERBEROS_WORDS];

	if (r == KRB5KRB_ERR_RESPONSE_TOO_BIG) { /* the same again, not by datagram */
		k->exchange.tcp = true;
		flags = KRB5_INIT_CREDS_STEP_FLAG_CONTINUE;
		r = 0;
	}
	if (r == 0 && flags & KRB5_INIT_CREDS_STEP_FLAG_CONTINUE)
		r = send_on(k, &k->exchange, &out, &realm);
	else if (r == 0 && (r = granting_keep(k)) == 0) {
		granting_stop(k);
		granting_over(k, now_ms);
	}
	krb5_free_data_contents(k->krb5, &out);
	krb5_free_data_contents(k->krb5, &realm);
	if (r) {
		words_of_ticket(k, &k->exchange, r, NULL, words);
		granting_failed(k, words, now_ms);
	}
}

static void ask_granting(struct kerberos *k, uint64_t now_ms)
{
	const char *client = keytab_told_client(&k->told);
	krb5_principal principal = NULL;
	krb5_error_code r;
	char words[KERBEROS_WORDS];

	if (k->granting.asking)
		return;
	k->granting.asking = true;
	k->exchange = (struct exchange){ 0 };
	if ((r = krb5_parse_name(k->krb5, client, &principal)) == 0 &&
	    (r = krb5_init_creds_init(k->krb5, principal, NULL, NULL, 0, NULL, &k->asking)) == 0)
		r = krb5_init_creds_set_keytab(k->krb5, k->asking, k->keys);
	krb5_free_principal(k->krb5, principal);
	if (r) {
		words_of_ticket(k, &k->exchange, r, NULL, words);
		granting_failed(k, words, now_ms);
		return;
	}
	granting_step(k, NULL, now_ms);
}

/* ---- a service's ticket ------------------------------------------------------------------------------------------ */

/* In a cache of its own, under the name that it was asked for by, so that GSS-API finds it and looks no further. */
static krb5_error_code service_keep(struct kerberos *k, struct ticket *t)
{
	krb5_ccache cache = NULL;
	krb5_creds creds = { 0 };
	krb5_principal asked_for = NULL;
	gss_cred_id_t credential = GSS_C_NO_CREDENTIAL;
	OM_uint32 major, minor;
	krb5_error_code r;

	if ((r = krb5_tkt_creds_get_creds(k->krb5, t->asking, &creds)))
		return r;
	if ((r = krb5_parse_name(k->krb5, t->target, &asked_for)) == 0) {
		krb5_free_principal(k->krb5, creds.server);
		creds.server = asked_for;
	}
	if (r == 0 && (r = krb5_cc_new_unique(k->krb5, "MEMORY", NULL, &cache)) == 0 &&
	    (r = krb5_cc_initialize(k->krb5, cache, creds.client)) == 0 &&
	    (r = krb5_cc_store_cred(k->krb5, cache, &creds)) == 0) {
		major = gss_krb5_import_cred(&minor, cache, NULL, NULL, &credential);
		if (GSS_ERROR(major))
			r = minor ? (krb5_error_code)minor : EINVAL;
	}
	if (r == 0) {
		drop_held(k, t);
		t->cache = TAKE(cache);
		t->credential = credential;
		hold(&t->held, &creds);
	}
	if (cache)
		(void)krb5_cc_destroy(k->krb5, cache);
	krb5_free_cred_contents(k->krb5, &creds);
	return r;
}

static void service_step(struct kerberos *k, struct ticket *t, const struct octets *answer, uint64_t now_ms)
{
	krb5_data in = data_of(answer), out = { 0 }, realm = { 0 };
	unsigned flags = 0;
	krb5_error_code r = krb5_tkt_creds_step(k->krb5, t->asking, &in, &out, &realm, &flags);
	char words[KERBEROS_WORDS];

	if (r == KRB5KRB_ERR_RESPONSE_TOO_BIG) {
		t->exchange.tcp = true;
		flags = KRB5_TKT_CREDS_STEP_FLAG_CONTINUE;
		r = 0;
	}
	if (r == 0 && flags & KRB5_TKT_CREDS_STEP_FLAG_CONTINUE)
		r = send_on(k, &t->exchange, &out, &realm);
	else if (r == 0 && (r = service_keep(k, t)) == 0) {
		stop_asking(k, t);
		serve(k, t);
	}
	krb5_free_data_contents(k->krb5, &out);
	krb5_free_data_contents(k->krb5, &realm);
	if (r) {
		words_of_ticket(k, &t->exchange, r, t->target, words);
		ticket_failed(k, t, words, now_ms);
	}
}

static void ask_service(struct kerberos *k, struct ticket *t, uint64_t now_ms)
{
	krb5_creds wanted = { 0 };
	krb5_error_code r;
	char words[KERBEROS_WORDS];

	t->held.asking = true;
	t->exchange = (struct exchange){ 0 };
	if ((r = krb5_cc_get_principal(k->krb5, k->cache, &wanted.client)) == 0 &&
	    (r = krb5_parse_name(k->krb5, t->target, &wanted.server)) == 0)
		r = krb5_tkt_creds_init(k->krb5, k->cache, &wanted, KRB5_GC_NO_STORE, &t->asking);
	krb5_free_principal(k->krb5, wanted.client);
	krb5_free_principal(k->krb5, wanted.server);
	if (r) {
		words_of_ticket(k, &t->exchange, r, t->target, words);
		ticket_failed(k, t, words, now_ms);
		return;
	}
	service_step(k, t, NULL, now_ms);
}

/* ---- what the others call ---------------------------------------------------------------------------------------- */

void tickets_want(struct kerberos *k, struct context *c, const char *target, uint64_t now_ms)
{
	struct ticket *t = ticket_of(k, target);

	if (!t) {
		context_fail(k, c, EBUSY, "tickets for too many services are asked for at once");
		return;
	}
	if (is_fresh(&t->held) || (is_good(&t->held) && failed_lately(&t->held, now_ms))) {
		context_go(k, c, t->credential);
		return;
	}
	if (failed_lately(&t->held, now_ms) && !t->held.asking) {
		context_fail(k, c, EAGAIN, t->held.failure);
		return;
	}
	c->ticket = t;
	TAILQ_INSERT_TAIL(&t->waiting, c, entry);
	if (t->held.asking)
		return;
	t->held.asking = true;
	if (is_fresh(&k->granting))
		ask_service(k, t, now_ms);
	else if (failed_lately(&k->granting, now_ms) && !k->granting.asking)
		granting_over(k, now_ms);
	else
		ask_granting(k, now_ms);
}

void kerberos_heard(struct kerberos *k, uint32_t number, const struct octets *answer, const char *why, uint64_t now_ms)
{
	struct ticket *t;

	if (number && k->exchange.number == number) {
		k->exchange.number = 0;
		if (!answer) {
			granting_failed(k, why, now_ms);
			return;
		}
		note_answer(&k->exchange, answer);
		granting_step(k, answer, now_ms);
		return;
	}
	TAILQ_FOREACH(t, &k->tickets, entry)
		if (number && t->exchange.number == number)
			break;
	if (!t)
		return;
	t->exchange.number = 0;
	if (!answer) {
		ticket_failed(k, t, why, now_ms);
		return;
	}
	note_answer(&t->exchange, answer);
	service_step(k, t, answer, now_ms);
}

void tickets_look(struct kerberos *k, uint64_t now_ms)
{
	struct ticket *t;

	TAILQ_FOREACH(t, &k->tickets, entry) {
		const struct context *first = TAILQ_FIRST(&t->waiting);

		if (first && is_good(&t->held) && now_ms - first->since_ms >= KERBEROS_PATIENCE_MS)
			serve(k, t);
	}
}

void tickets_make_stale(struct kerberos *k)
{
	struct ticket *t;

	k->granting.stale = true;
	k->granting.failed_ms = 0;
	TAILQ_FOREACH(t, &k->tickets, entry) {
		t->held.stale = true;
		t->held.failed_ms = 0;
	}
}

void tickets_forget(struct kerberos *k)
{
	struct ticket *t, *next;

	if (k->krb5) {
		granting_stop(k);
		granting_drop(k);
	}
	k->granting = (struct held){ 0 };
	for (t = TAILQ_FIRST(&k->tickets); t; t = next) {
		next = TAILQ_NEXT(t, entry);
		stop_asking(k, t);
		disappoint(k, t, EAGAIN, "this host's keytab is another now");
		ticket_free(k, t);
	}
}

void kerberos_ticket(const struct kerberos *k, struct kerberos_ticket *ret)
{
	const char *client = k->keytab ? keytab_told_client(&k->told) : NULL;

	*ret = (struct kerberos_ticket){ .until_s = is_good(&k->granting) ? (uint64_t)k->granting.until_s : 0 };
	(void)snprintf(ret->client, sizeof ret->client, "%s", client ? client : "");
	(void)snprintf(ret->failure, sizeof ret->failure, "%.*s", (int)sizeof ret->failure - 1, k->granting.failure);
}
