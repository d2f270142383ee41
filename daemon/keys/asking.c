#include "daemon/keys/asking.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/table.h"
#include "daemon/keys/messages.h"
#include "identity/credential.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

enum { LOOK_MS = 1000 };

struct asked {
	TAILQ_ENTRY(asked) next; /* the oldest first */
	uint64_t ticket, since_ms;
	const struct keying_job *job;
	keys_done *done;
	void *context;
};

struct keys_asking {
	uv_loop_t *loop;
	struct channel *channel;
	uint64_t last;
	struct table by_ticket;
	TAILQ_HEAD(, asked) all;
	uv_timer_t look;
};

struct keys_asking *keys_asking_new(uv_loop_t *loop)
{
	struct keys_asking *a = mem_new(1, sizeof *a);

	a->loop = loop;
	TAILQ_INIT(&a->all);
	a->look.data = a;
	(void)uv_timer_init(loop, &a->look);
	return a;
}

static void over(struct keys_asking *a, struct asked *k, const struct keys_outcome *o)
{
	keys_done *done = k->done;
	void *context = k->context;

	table_remove(&a->by_ticket, k->ticket, k);
	TAILQ_REMOVE(&a->all, k, next);
	free(k);
	done(context, o);
}

static void fail(struct keys_asking *a, struct asked *k, int code, const char *why)
{
	over(a, k, &(struct keys_outcome){ .error = -abs(code), .why = why });
}

static uint64_t patience_ms(const struct keying_job *j)
{
	return j->kind == JOB_GSS && j->gss_initiator ? KEYS_TICKET_MS : KEYS_ASKING_MS;
}

static struct asked *next_overdue(struct keys_asking *a)
{
	struct asked *k;

	TAILQ_FOREACH(k, &a->all, next)
		if (uv_now(a->loop) - k->since_ms >= patience_ms(k->job))
			return k;
	return NULL;
}

static void looked(uv_timer_t *t)
{
	struct keys_asking *a = t->data;
	struct asked *k;

	while ((k = next_overdue(a)))
		fail(a, k, EAGAIN,
		     a->channel ? "the process that holds this host's keys does not answer"
				: "the process that holds this host's keys is away, and is started again");
	if (TAILQ_EMPTY(&a->all))
		(void)uv_timer_stop(&a->look);
}

static void look_closed(uv_handle_t *h)
{
	struct keys_asking *a = h->data;

	table_wipe(&a->by_ticket);
	free(a);
}

void keys_asking_close(struct keys_asking *a)
{
	struct asked *k;

	if (!a)
		return;
	a->channel = NULL;
	while ((k = TAILQ_FIRST(&a->all)))
		fail(a, k, ECANCELED, "cordond stops");
	uv_close((uv_handle_t *)&a->look, look_closed);
}

/* ---- out --------------------------------------------------------------------------------------------------------- */

static void send_sign(struct keys_asking *a, const struct asked *k)
{
	const struct keying_job *j = k->job;

	struct keys_sign m = { .job = k->ticket,
			       .what = j->kind == JOB_SKEYID        ? KEYS_SIGN_SKEYID
				       : j->ikev1 && j->private.len ? KEYS_SIGN_KEYED
				       : j->ikev1                   ? KEYS_SIGN_HASH
								    : KEYS_SIGN_IKEV2,
			       .number = j->credential,
			       .prf = j->prf,
			       .peer_hashes = j->peer_hashes,
			       .key = j->private,
			       .octets = { j->octets.at, j->octets.len } };

	keys_put_sign(channel_begin(a->channel, ASK_KEYS_SIGN), &m);
	channel_end(a->channel);
	key_wipe(&m.key);
}

static int send_prove(struct keys_asking *a, const struct asked *k, struct diag *d)
{
	const struct keying_job *j = k->job;
	struct keys_prove m = { .job = k->ticket,
				.prf = j->prf,
				.auth = { j->auth.at, j->auth.len },
				.octets = { j->octets.at, j->octets.len } };
	int n = credential_psks_of(j->auth_set, m.numbers, d);

	if (n < 0)
		return n;
	if (m.auth.len > KEYING_AUTH_MOST)
		return diag_fail(d, ERR_SYNTAX, "a proof of %zu octets", m.auth.len);
	m.count = (size_t)n;
	keys_put_prove(channel_begin(a->channel, ASK_KEYS_PROVE), &m);
	channel_end(a->channel);
	return 0;
}

static void send_mix(struct keys_asking *a, const struct asked *k)
{
	struct keys_mix m = { .job = k->ticket,
			      .number = credential_psk_number(k->job->ppk_file),
			      .prf = k->job->prf,
			      .keys = k->job->mix };

	keys_put_mix(channel_begin(a->channel, ASK_KEYS_MIX), &m);
	channel_end(a->channel);
	explicit_bzero(&m, sizeof m);
}

static int send_gss(struct keys_asking *a, const struct asked *k, struct diag *d)
{
	const struct keying_job *j = k->job;
	struct keys_gss m = { .job = k->ticket,
			      .gss = j->gss,
			      .number = j->credential,
			      .initiator = j->gss_initiator,
			      .binding = { j->octets.at, j->octets.len },
			      .token = { j->token.at, j->token.len } };

	if (j->token.len > KEYING_TOKEN_MOST)
		return diag_fail(d, ERR_SYNTAX, "a Kerberos token of %zu octets, and %d is the most", j->token.len,
				 KEYING_TOKEN_MOST);
	if (j->gss_target && strlen(j->gss_target) >= sizeof m.target)
		return diag_fail(d, ERR_SYNTAX, "the peer calls itself by a principal of %zu octets",
				 strlen(j->gss_target));
	if (j->octets.len > KEYS_BINDING_MOST)
		return diag_fail(d, EINVAL, "channel bindings of %zu octets", j->octets.len);
	if (j->gss_target)
		memcpy(m.target, j->gss_target, strlen(j->gss_target));
	keys_put_gss(channel_begin(a->channel, ASK_KEYS_GSS), &m);
	channel_end(a->channel);
	return 0;
}

static int send_gss_use(struct keys_asking *a, const struct asked *k, struct diag *d)
{
	const struct keying_job *j = k->job;
	const struct keys_gss_use m = { .job = k->ticket,
					.gss = j->gss,
					.use = j->kind == JOB_GSS_KEY    ? KEYS_USE_KEY
					       : j->kind == JOB_GSS_WRAP ? KEYS_USE_WRAP
									 : KEYS_USE_UNWRAP,
					.len = j->secret_len,
					.octets = { j->octets.at, j->octets.len } };

	if (m.octets.len > KEYS_USE_MOST)
		return diag_fail(d, ERR_SYNTAX, "%zu octets under a Kerberos context, and %d is the most", m.octets.len,
				 KEYS_USE_MOST);
	keys_put_gss_use(channel_begin(a->channel, ASK_KEYS_GSS_USE), &m);
	channel_end(a->channel);
	return 0;
}

static int send_job(struct keys_asking *a, const struct asked *k, struct diag *d)
{
	if (k->job->octets.len > KEYS_OCTETS_MOST)
		return diag_fail(d, ERR_UNSUPPORTED, "a first message of %zu octets", k->job->octets.len);
	switch (k->job->kind) {
	case JOB_SIGN:
	case JOB_SKEYID:
		send_sign(a, k);
		return 0;
	case JOB_VERIFY:
		return send_prove(a, k, d);
	case JOB_PPK:
		send_mix(a, k);
		return 0;
	case JOB_GSS:
		return send_gss(a, k, d);
	case JOB_GSS_KEY:
	case JOB_GSS_WRAP:
	case JOB_GSS_UNWRAP:
		return send_gss_use(a, k, d);
	case JOB_GSS_END: /* see keys_ask */
	case JOB_BEGIN:
	case JOB_ANSWER:
	case JOB_DERIVE:
		break;
	}
	return diag_fail(d, EINVAL, "nothing that needs a secret");
}

/* Nothing comes back of it; of a holder that is away the context has gone already. */
static void end_context(struct keys_asking *a, const struct keying_job *job, keys_done *done, void *context)
{
	if (a->channel) {
		wire_put_u64(channel_begin(a->channel, ASK_KEYS_GSS_END), job->gss);
		channel_end(a->channel);
	}
	done(context, &(struct keys_outcome){ 0 });
}

void keys_ask(struct keys_asking *a, const struct keying_job *job, keys_done *done, void *context)
{
	struct asked *k = mem_new(1, sizeof *k);
	struct diag d = { 0 };
	int r;

	if (job->kind == JOB_GSS_END) {
		end_context(a, job, done, context);
		free(k);
		return;
	}
	*k = (struct asked){
		.ticket = ++a->last, .since_ms = uv_now(a->loop), .job = job, .done = done, .context = context
	};
	table_add(&a->by_ticket, k->ticket, k);
	TAILQ_INSERT_TAIL(&a->all, k, next);
	if (!uv_is_active((uv_handle_t *)&a->look))
		(void)uv_timer_start(&a->look, looked, LOOK_MS, LOOK_MS);
	if (a->channel && (r = send_job(a, k, &d)) < 0)
		fail(a, k, r, d.text);
}

void keys_asking_channel(struct keys_asking *a, struct channel *c)
{
	struct asked *k = TAILQ_FIRST(&a->all), *next;
	struct diag d = { 0 };
	int r;

	a->channel = c;
	for (; c && k; k = next) {
		next = TAILQ_NEXT(k, next);
		if ((r = send_job(a, k, &d)) < 0)
			fail(a, k, r, d.text);
	}
}

/* ---- back -------------------------------------------------------------------------------------------------------- */

/* Nobody waits for it any more: that is no fault. An answer of another kind is one. */
static int take(struct keys_asking *a, uint64_t ticket, enum keying_job_kind kind, const struct keys_outcome *o)
{
	struct asked *k = table_find(&a->by_ticket, ticket, NULL, NULL);

	if (k && k->job->kind != kind)
		return -EPROTO;
	if (k)
		over(a, k, o);
	return 0;
}

static int heard_signed(struct keys_asking *a, struct wire_in *body)
{
	struct keys_signed m;
	int r = -EPROTO;

	if (keys_get_signed(body, &m) == 0) {
		const struct asked *k = table_find(&a->by_ticket, m.job, NULL, NULL);
		r = take(a, m.job, k && k->job->kind == JOB_SKEYID ? JOB_SKEYID : JOB_SIGN,
			 &(struct keys_outcome){ .proof = &m.proof });
	}
	explicit_bzero(&m, sizeof m);
	return r;
}

static int heard_proven(struct keys_asking *a, struct wire_in *body)
{
	uint64_t ticket = wire_u64(body);

	return wire_done(body) ? take(a, ticket, JOB_VERIFY, &(struct keys_outcome){ 0 }) : -EPROTO;
}

static int heard_mixed(struct keys_asking *a, struct wire_in *body)
{
	struct keying_mix mix;
	uint64_t ticket;
	int r = keys_get_mixed(body, &ticket, &mix);

	if (r == 0)
		r = take(a, ticket, JOB_PPK, &(struct keys_outcome){ .mix = &mix });
	explicit_bzero(&mix, sizeof mix);
	return r;
}

static int heard_refused(struct keys_asking *a, struct wire_in *body)
{
	struct keys_refused m;
	struct asked *k;

	if (keys_get_refused(body, &m) < 0)
		return -EPROTO;
	if ((k = table_find(&a->by_ticket, m.job, NULL, NULL)))
		over(a, k, &(struct keys_outcome){ .error = m.error, .why = m.words, .lacks = m.lacks });
	return 0;
}

static int heard_stepped(struct keys_asking *a, struct wire_in *body)
{
	struct keys_stepped m;

	if (keys_get_stepped(body, &m) < 0)
		return -EPROTO;
	return take(a, m.job, JOB_GSS, &(struct keys_outcome){ .error = m.error, .why = m.words, .step = &m });
}

static int heard_text(struct keys_asking *a, struct wire_in *body)
{
	struct keys_gss_text m;
	struct asked *k;

	if (keys_get_gss_text(body, &m) < 0)
		return -EPROTO;
	k = table_find(&a->by_ticket, m.job, NULL, NULL);
	if (!k)
		return 0;
	if (k->job->kind == JOB_GSS_KEY ? m.octets.len != k->job->secret_len
					: k->job->kind != JOB_GSS_WRAP && k->job->kind != JOB_GSS_UNWRAP)
		return -EPROTO;
	over(a, k, &(struct keys_outcome){ .octets = m.octets });
	return 0;
}

int keys_asking_heard(struct keys_asking *a, enum ask what, struct wire_in *body)
{
	switch (what) {
	case ASK_KEYS_SIGNED:
		return heard_signed(a, body);
	case ASK_KEYS_PROVEN:
		return heard_proven(a, body);
	case ASK_KEYS_MIXED:
		return heard_mixed(a, body);
	case ASK_KEYS_REFUSED:
		return heard_refused(a, body);
	case ASK_KEYS_GSS_STEPPED:
		return heard_stepped(a, body);
	case ASK_KEYS_GSS_TEXT:
		return heard_text(a, body);
	default:
		return -EPROTO;
	}
}
