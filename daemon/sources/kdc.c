#include "daemon/sources/kdc.h"

#include "base/mem.h"
#include "daemon/sources/kdc_call.h"
#include "daemon/sources/resolve.h"
#include "identity/kerberos/token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

enum { SERVICE_UNAVAILABLE = 29 /* RFC 4120 7.5.9 */, HOSTS_MOST = 4, HOST_TEXT = 256 };

struct errand {
	LIST_ENTRY(errand) entry;
	uint32_t number;
	bool wanted; /* whoever asked is still there */
	char realm[KDC_REALM];
	uint8_t *request;
	size_t len;
	bool stream; /* not by datagram (any more) */
	struct addr kdcs[KDC_TRIED_MOST];
	size_t count, at;
	char hosts[HOSTS_MOST][HOST_TEXT]; /* that DNS has named, to be looked up */
	size_t host_count, host_at;
	unsigned resolving; /* answers that are to come; it is not freed before */
	struct kdc_call *call;
	uv_timer_t whole;
	bool over;
	char why[KDC_WORDS]; /* the first failure */
};

/* One for the process. */
static struct {
	uv_loop_t *loop;
	kdc_done *done;
	void *context;
	struct kdc_realms realms;
	LIST_HEAD(errands, errand) errands;
	unsigned count;
} kdc;

static void try_next(struct errand *e);

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void freed(struct errand *e)
{
	free(e->request);
	free(e);
}

static void closed(uv_handle_t *h)
{
	struct errand *e = h->data;

	h->data = NULL;
	if (e->resolving == 0)
		freed(e);
}

static void finish(struct errand *e, const struct octets *answer, const char *why)
{
	if (e->over)
		return;
	e->over = true;
	LIST_REMOVE(e, entry);
	kdc.count--;
	kdc_call_close(TAKE(e->call));
	if (e->wanted)
		kdc.done(kdc.context, e->number, answer, why);
	uv_close((uv_handle_t *)&e->whole, closed);
}

static void note(struct errand *e, const char *why)
{
	char at[ADDR_TEXT];

	if (e->why[0])
		return;
	(void)snprintf(e->why, sizeof e->why, "KDC %s of %.100s: %.120s", addr_text(&e->kdcs[e->at], at), e->realm,
		       why);
}

static void give_up(struct errand *e)
{
	char words[KDC_WORDS];

	if (e->why[0] && e->count > 1)
		(void)snprintf(words, sizeof words, "no KDC answers: %.200s (and %zu more). SAs that there are go on",
			       e->why, e->count - 1);
	else if (e->why[0])
		(void)snprintf(words, sizeof words, "no KDC answers: %.220s. SAs that there are go on", e->why);
	else
		(void)snprintf(
			words, sizeof words,
			"no KDC of %.100s is known: name it in host.yaml (kerberos), give a host the role kdc, or "
			"see that DNS has _kerberos._tcp.%.60s",
			e->realm, e->realm);
	finish(e, NULL, words);
}

static void whole_late(uv_timer_t *t)
{
	struct errand *e = t->data;

	if (e->call)
		note(e, "no answer in time");
	give_up(e);
}

/* ---- which KDCs -------------------------------------------------------------------------------------------------- */

/* Those that are told for the realm, else those that the policy names for whichever. */
static struct kdc_realm *realm_of(const char *name)
{
	struct kdc_realm *any = NULL;

	for (size_t i = 0; i < kdc.realms.count; i++) {
		struct kdc_realm *r = &kdc.realms.all[i];

		if (r->count && strcasecmp(r->name, name) == 0)
			return r;
		if (r->count && !r->name[0])
			any = r;
	}
	return any;
}

/* The one that answers is the first to be asked the next time. */
static void prefer(const struct errand *e)
{
	struct kdc_realm *r = realm_of(e->realm);

	for (size_t i = 1; r && i < r->count; i++)
		if (addr_equal(&r->kdcs[i], &e->kdcs[e->at])) {
			struct addr good = r->kdcs[i];

			memmove(&r->kdcs[1], &r->kdcs[0], i * sizeof good);
			r->kdcs[0] = good;
			return;
		}
}

/* An answer of a name server has come: is there still somebody to whom it matters? */
static bool still_wanted(struct errand *e)
{
	bool wanted = !e->over;

	e->resolving--;
	if (!wanted && !e->whole.data && e->resolving == 0)
		freed(e);
	return wanted;
}

static void next_host(struct errand *e);

static void host_found(void *context, const struct addr *addresses, size_t count, const char *why)
{
	struct errand *e = context;

	(void)why;
	if (!still_wanted(e))
		return;
	for (size_t i = 0; i < count && e->count < KDC_TRIED_MOST; i++)
		e->kdcs[e->count++] = addresses[i];
	next_host(e);
}

static void next_host(struct errand *e)
{
	if (e->host_at < e->host_count && e->count < KDC_TRIED_MOST) {
		e->resolving++;
		resolve(e->hosts[e->host_at++], host_found, e);
	} else {
		try_next(e);
	}
}

static void hosts_found(void *context, const char *const *hosts, size_t count, const char *why)
{
	struct errand *e = context;

	(void)why;
	if (!still_wanted(e))
		return;
	for (size_t i = 0; i < count && e->host_count < HOSTS_MOST; i++)
		if (strlen(hosts[i]) < HOST_TEXT)
			memcpy(e->hosts[e->host_count++], hosts[i], strlen(hosts[i]) + 1);
	next_host(e);
}

static void look_up(struct errand *e)
{
	char name[KDC_REALM + 16];

	(void)snprintf(name, sizeof name, "_kerberos._tcp.%s", e->realm);
	e->resolving++;
	resolve_service(name, hosts_found, e);
}

/* ---- one after another ------------------------------------------------------------------------------------------- */

/* "Ask another one": a KDC whose database is away. */
static bool sends_away(const struct octets *answer)
{
	struct kerberos_said said;

	return kerberos_token_error(answer->at, answer->len, &said) && said.code == SERVICE_UNAVAILABLE;
}

static void called(void *context, const struct octets *answer, const char *why)
{
	struct errand *e = context;
	bool was_datagram = !e->stream && e->len <= KDC_DATAGRAM_MOST;

	e->call = NULL;
	if (answer && !kerberos_is_answer(answer->at, answer->len)) {
		answer = NULL;
		why = "what it answers is no Kerberos message";
	} else if (answer && sends_away(answer)) {
		answer = NULL;
		why = "its service is not available";
		was_datagram = false;
	}
	if (answer) {
		prefer(e);
		finish(e, answer, NULL);
		return;
	}
	/* Where datagrams are lost, TCP may pass. */
	if (was_datagram) {
		e->stream = true;
		try_next(e);
		return;
	}
	note(e, why);
	e->at++;
	try_next(e);
}

static void try_next(struct errand *e)
{
	bool stream = e->stream || e->len > KDC_DATAGRAM_MOST;

	if (e->at >= e->count) {
		give_up(e);
		return;
	}
	e->call = kdc_call_new(kdc.loop, &e->kdcs[e->at], stream, &(struct octets){ e->request, e->len },
			       stream ? KDC_STREAM_MS : KDC_DATAGRAM_MS, called, e);
}

void kdc_ask(const struct kdc_ask *m)
{
	const struct kdc_realm *r = realm_of(m->realm);
	struct errand *e;

	if (kdc.count >= KDC_AT_ONCE) {
		kdc.done(kdc.context, m->number, NULL, "too much is asked of KDCs at once");
		return;
	}
	e = mem_new(1, sizeof *e);
	e->number = m->number;
	e->wanted = true;
	e->stream = m->tcp;
	memcpy(e->realm, m->realm, sizeof e->realm);
	e->request = mem_copy(m->request.at, m->request.len);
	e->len = m->request.len;
	e->whole.data = e;
	(void)uv_timer_init(kdc.loop, &e->whole);
	(void)uv_timer_start(&e->whole, whole_late, KDC_TIME_MS, 0);
	LIST_INSERT_HEAD(&kdc.errands, e, entry);
	kdc.count++;
	if (!r) {
		look_up(e);
		return;
	}
	for (; e->count < r->count && e->count < KDC_TRIED_MOST; e->count++)
		e->kdcs[e->count] = r->kdcs[e->count];
	try_next(e);
}

void kdc_realms(const struct kdc_realms *r)
{
	kdc.realms = *r;
}

void kdc_forget(void)
{
	struct errand *e;

	LIST_FOREACH(e, &kdc.errands, entry)
		e->wanted = false;
}

void kdc_start(uv_loop_t *loop, kdc_done *done, void *context)
{
	kdc.loop = loop;
	kdc.done = done;
	kdc.context = context;
	LIST_INIT(&kdc.errands);
}
