#include "daemon/keying/jobs.h"

#include "base/crypto.h"
#include "base/diag.h"
#include "base/mem.h"
#include "daemon/keying/accounts.h"
#include "daemon/keying/fetch.h"
#include "daemon/keys/asking.h"
#include "daemon/keys/messages.h"
#include "identity/name.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SHARED_KEY = 2 }; /* RFC 7296 3.8 */

struct shared_store *shared_store_new(struct credential_store *store)
{
	struct shared_store *s = mem_new(1, sizeof *s);

	s->store = store;
	s->references = 1;
	return s;
}

void shared_store_release(struct shared_store *s)
{
	if (!s || --s->references)
		return;
	credential_store_free(s->store);
	free(s);
}

/* ---- the work ---------------------------------------------------------------------------------------------------- */

static int fresh_spi(uint64_t *ret, struct diag *d)
{
	int r = 0;

	*ret = 0;
	while (r == 0 && *ret == 0) /* zero means "not known yet" on the wire (RFC 7296 3.1) */
		r = crypto_random(ret, sizeof *ret, d);
	return r;
}

static int begin(const struct keying_job *j, struct keying_result *ret, struct diag *d)
{
	int r;

	if ((r = crypto_random(ret->nonce, sizeof ret->nonce, d)) < 0 || (r = fresh_spi(&ret->spi, d)) < 0)
		return r;
	if (!j->group)
		return 0;
	return crypto_ke_generate(j->group, &ret->private, ret->public, sizeof ret->public, &ret->public_len, d);
}

static int derive(const struct keying_job *j, const struct key *private, struct keying_result *ret, struct diag *d)
{
	return crypto_ke_derive(j->group, private, j->peer_public.at, j->peer_public.len, ret->secret,
				sizeof ret->secret, &ret->secret_len, d);
}

static int answer(const struct keying_job *j, struct keying_result *ret, struct diag *d)
{
	int r = begin(j, ret, d);

	if (r == 0 && j->group)
		r = derive(j, &ret->private, ret, d);
	key_wipe(&ret->private); /* nobody asks for it again */
	return r;
}

static int verify(const struct keying_job *j, const struct shared_store *store, struct revocation_lists *fetched,
		  struct revocation_verdict *unknown, struct keying_result *ret, struct diag *d)
{
	struct octets chain[KEYING_CHAIN_MOST];
	struct credential_proof proof = {
		.set = j->auth_set,
		.auth_method = j->auth_method,
		.ikev1 = j->ikev1,
		.peer_hashes = j->peer_hashes,
		.auth = { j->auth.at, j->auth.len },
		.signed_octets = { j->octets.at, j->octets.len },
		.id_type = j->id_type,
		.id = { j->id.at, j->id.len },
		.chain = chain,
		.chain_count = j->chain_count,
		.other_encodings = j->other_encodings,
		.remote = j->remote,
		.now_s = (uint64_t)time(NULL),
		.fetched = fetched,
		.ret_unknown = unknown,
	};
	int r;

	if (j->ikev1 && j->auth_method == SHARED_KEY) { /* the key is in SKEYID, and so in what the hash has to be */
		bool same = j->auth.len == j->octets.len && octets_equal(j->auth.at, j->octets.at, j->auth.len);
		return credential_psk_verdict(&proof, same ? 0 : -EKEYREJECTED, 0, &ret->peer, d);
	}
	if (!store)
		return diag_fail(d, ERR_AUTH, "this host has no credentials and trusts nobody");
	for (size_t i = 0; i < j->chain_count; i++)
		chain[i] = (struct octets){ j->chain[i].at, j->chain[i].len };
	r = credential_verify(store->store, &proof, &ret->peer, d);
	if (r >= 0 && ret->peer.not_after_s) /* what is verified has not ended yet */
		ret->good_ms = ret->peer.not_after_s > proof.now_s ? (ret->peer.not_after_s - proof.now_s) * 1000 : 1;
	return r;
}

/* Who the peer says it is is told whatever came of it. */
static void close_result(const struct keying_job *j, int r, const char *why, struct keying_result *ret)
{
	const struct octets id = { j->id.at, j->id.len };
	char text[PEER_TEXT];

	char claimed[sizeof ret->claimed];

	memcpy(claimed, ret->claimed, sizeof claimed);
	if (r < 0)
		keying_result_wipe(ret);
	memcpy(ret->claimed, claimed, sizeof claimed);
	ret->number = j->number;
	ret->error = r;
	(void)snprintf(ret->why, sizeof ret->why, "%.*s", (int)sizeof ret->why - 1, why);
	if (j->kind == JOB_VERIFY)
		(void)snprintf(ret->claimed, sizeof ret->claimed, "%.*s", (int)sizeof ret->claimed - 1,
			       name_identity_text(j->id_type, &id, text));
}

void job_do(const struct keying_job *j, const struct shared_store *store, struct revocation_lists *fetched,
	    struct revocation_verdict *unknown, struct keying_result *ret)
{
	struct diag d = { 0 };
	int r = -EINVAL;

	memset(ret, 0, sizeof *ret);
	switch (j->kind) {
	case JOB_BEGIN:
		r = begin(j, ret, &d);
		break;
	case JOB_ANSWER:
		r = answer(j, ret, &d);
		break;
	case JOB_DERIVE:
		r = derive(j, &j->private, ret, &d);
		break;
	case JOB_VERIFY:
		r = verify(j, store, fetched, unknown, ret, &d);
		break;
	case JOB_SIGN:
	case JOB_SKEYID:
	case JOB_PPK:
	case JOB_GSS:
	case JOB_GSS_KEY:
	case JOB_GSS_WRAP:
	case JOB_GSS_UNWRAP:
	case JOB_GSS_END:
		break; /* asked of the key holder */
	}
	close_result(j, r, d.text, ret);
}

/* ---- on a thread ------------------------------------------------------------------------------------------------- */

enum { ACCOUNT_GOOD_MS = 4 * 3600 * 1000, ACCOUNT_UNKNOWN_MS = 10 * 60 * 1000 };

struct work {
	uv_work_t request;
	struct job_means means; /* with a reference on the store */
	struct keying_job *job;
	job_done done;
	void *context;
	struct revocation_verdict *unknown; /* where lists could be had; NULL: that was tried, or is not needed */
	bool account_asked;
	struct keying_result result;
};

static void work_do(uv_work_t *request)
{
	struct work *w = request->data;

	job_do(w->job, w->means.store, w->means.fetched, w->unknown, &w->result);
}

static void work_done(uv_work_t *request, int status);

static void work_again(void *context)
{
	struct work *w = context;

	free(w->unknown);
	w->unknown = NULL;
	if (uv_queue_work(w->means.loop, &w->request, work_do, work_done) < 0)
		work_done(&w->request, -ECANCELED);
}

/* The proof holds for as long as what the account is in may have changed unseen; less, if that is not known yet. */
static void account_learnt(void *context, uint64_t learnt_s, const struct sid_list *sids)
{
	struct work *w = context;
	uint64_t most = learnt_s ? ACCOUNT_GOOD_MS : ACCOUNT_UNKNOWN_MS;

	w->result.peer.sids = *sids;
	w->result.peer.learnt_s = learnt_s;
	if (!w->result.good_ms || w->result.good_ms > most)
		w->result.good_ms = most;
	work_done(&w->request, 0);
}

static bool asks_account(struct work *w)
{
	if (w->account_asked || w->job->kind != JOB_VERIFY || w->result.error || !w->result.peer.account[0])
		return false;
	w->account_asked = true;
	accounts_ask(w->result.peer.account, w->result.peer.account_is_upn, account_learnt, w);
	return true;
}

static void work_done(uv_work_t *request, int status)
{
	struct work *w = request->data;

	if (status == 0 && w->unknown && w->result.error == -EAGAIN) {
		if (*w->means.fetcher)
			fetcher_ask(*w->means.fetcher, (const char(*)[REVOCATION_URL_MOST])w->unknown->urls,
				    w->unknown->url_count, work_again, w);
		else
			work_again(w);
		return;
	}
	if (status == 0 && asks_account(w))
		return;
	if (status < 0) {
		w->result.number = w->job->number;
		w->result.error = -ECANCELED;
	}
	w->done(w->context, w->job, &w->result);
	keying_result_wipe(&w->result);
	keying_job_free(w->job);
	shared_store_release(w->means.store);
	free(w->unknown);
	free(w);
}

void jobs_prepare(void)
{
	char text[16];

	(void)snprintf(text, sizeof text, "%u", uv_available_parallelism());
	(void)setenv("UV_THREADPOOL_SIZE", text, 0);
}

/* ---- asked of the key holder ------------------------------------------------------------------------------------- */

static bool needs_secret(const struct keying_job *j)
{
	switch (j->kind) {
	case JOB_BEGIN:
	case JOB_ANSWER:
	case JOB_DERIVE:
		return false;
	case JOB_VERIFY:
		return j->auth_method == SHARED_KEY && !j->ikev1;
	case JOB_SIGN:
	case JOB_SKEYID:
	case JOB_PPK:
	case JOB_GSS:
	case JOB_GSS_KEY:
	case JOB_GSS_WRAP:
	case JOB_GSS_UNWRAP:
	case JOB_GSS_END:
		break;
	}
	return true;
}

static int verdict(const struct keying_job *j, const struct keys_outcome *o, struct keying_result *ret, struct diag *d)
{
	const struct credential_proof p = { .set = j->auth_set, .id_type = j->id_type, .id = { j->id.at, j->id.len } };

	return credential_psk_verdict(&p, o->error, o->lacks, &ret->peer, d);
}

/* A context whose peer is not one that the set takes proves nothing. */
static int stepped(const struct keying_job *j, const struct keys_stepped *s, struct keying_result *ret, struct diag *d)
{
	if (!s->complete)
		return 0;
	(void)snprintf(ret->claimed, sizeof ret->claimed, "%.*s", (int)sizeof ret->claimed - 1, s->peer.id);
	ret->complete = true;
	ret->good_ms = s->good_ms;
	ret->peer = s->peer;
	return j->auth_set ? credential_kerberos_verdict(j->auth_set, &ret->peer, d) : 0;
}

/* What may go to the peer although the step failed. */
static void keep_token(struct keying_result *ret, const struct octets *o)
{
	if (o->len)
		ret->token = (struct keying_octets){ mem_copy(o->at, o->len), o->len };
}

static void holder_said(void *context, const struct keys_outcome *o)
{
	struct work *w = context;
	struct keying_result *ret = &w->result;
	struct diag d = { 0 };
	int r = o->error;

	if (r < 0)
		(void)diag_fail(&d, r, "%s", o->why);
	if (w->job->kind == JOB_VERIFY)
		r = verdict(w->job, o, ret, &d);
	if (w->job->kind == JOB_GSS && r == 0 && o->step)
		r = stepped(w->job, o->step, ret, &d);
	if (r == 0 && o->mix)
		ret->mix = *o->mix;
	if (r == 0 && w->job->kind == JOB_GSS_KEY && o->octets.len <= sizeof ret->secret) {
		memcpy(ret->secret, o->octets.at, o->octets.len);
		ret->secret_len = o->octets.len;
	} else if (r == 0) {
		keep_token(ret, &o->octets);
	}
	if (r == 0 && o->proof && w->job->kind == JOB_SKEYID && o->proof->len <= sizeof ret->secret) {
		ret->secret_len = o->proof->len;
		memcpy(ret->secret, o->proof->auth, o->proof->len);
	} else if (r == 0 && o->proof) {
		ret->auth_method = o->proof->method;
		ret->auth_len = o->proof->len;
		memcpy(ret->auth, o->proof->auth, o->proof->len);
	}
	close_result(w->job, r, r == 0 && o->step ? o->step->words : d.text, ret);
	if (o->step)
		keep_token(ret, &o->step->token);
	work_done(&w->request, 0);
}

/* A few random octets take less than the way to a thread and back. */
static bool is_quick(const struct keying_job *j)
{
	return j->kind == JOB_BEGIN && !j->group;
}

void job_start(const struct job_means *means, struct keying_job *job, job_done done, void *context)
{
	struct work *w = mem_new(1, sizeof *w);

	w->request.data = w;
	w->means = *means;
	w->job = job;
	w->done = done;
	w->context = context;
	if (means->store)
		means->store->references++;
	if (needs_secret(job)) {
		keys_ask(means->asking, job, holder_said, w);
		return;
	}
	if (is_quick(job)) {
		work_do(&w->request);
		work_done(&w->request, 0);
		return;
	}
	if (job->kind == JOB_VERIFY && means->fetcher)
		w->unknown = mem_new(1, sizeof *w->unknown);
	if (uv_queue_work(means->loop, &w->request, work_do, work_done) < 0)
		work_done(&w->request, -ECANCELED);
}
