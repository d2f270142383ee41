#include "daemon/jobs.h"

#include "base/crypto.h"
#include "base/diag.h"
#include "base/mem.h"
#include "daemon/fetch.h"
#include "identity/keyring.h"
#include "identity/name.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct shared_store *shared_store_new(struct credential_store *store, struct keyring *ring)
{
	struct shared_store *s = mem_new(1, sizeof *s);

	s->store = store;
	s->ring = ring;
	s->references = 1;
	return s;
}

void shared_store_release(struct shared_store *s)
{
	if (!s || --s->references)
		return;
	credential_store_free(s->store);
	keyring_free(s->ring);
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

static int sign(const struct keying_job *j, const struct shared_store *store, struct keying_result *ret, struct diag *d)
{
	struct keyring_proof made;
	int r;

	if (!store)
		return diag_fail(d, ERR_AUTH, "the credential has gone from this host");
	r = keyring_sign(store->ring, j->credential, j->prf, j->peer_hashes,
			 &(struct octets){ j->octets.at, j->octets.len }, &made, d);
	if (r < 0)
		return r;
	ret->auth_method = made.method;
	ret->auth_len = made.len;
	memcpy(ret->auth, made.auth, made.len);
	return 0;
}

static int mix(const struct keying_job *j, const struct shared_store *store, struct keying_result *ret, struct diag *d)
{
	ret->mix = j->mix;
	if (!store)
		return diag_fail(d, ERR_AUTH, "this host has no keys");
	return keyring_mix(store->ring, credential_psk_number(j->ppk_file), j->prf,
			   (struct key *[]){ &ret->mix.d, &ret->mix.pi, &ret->mix.pr }, 3, d);
}

enum { SHARED_KEY = 2 }; /* RFC 7296 3.8 */

static int verify_shared(const struct credential_proof *p, const struct keying_job *j, const struct keyring *ring,
			 struct peer *ret, struct diag *d)
{
	uint32_t numbers[CREDENTIAL_PSKS_MOST];
	size_t lacks = 0;
	int n = credential_psks_of(p->set, numbers, d);

	if (n < 0)
		return n;
	return credential_psk_verdict(
		p, keyring_prove(ring, numbers, (size_t)n, j->prf, &p->signed_octets, &p->auth, &lacks, d), lacks, ret,
		d);
}

static int verify(const struct keying_job *j, const struct shared_store *store, struct revocation_lists *fetched,
		  struct revocation_verdict *unknown, struct keying_result *ret, struct diag *d)
{
	struct octets chain[KEYING_CHAIN_MOST];
	struct credential_proof proof = {
		.set = j->auth_set,
		.auth_method = j->auth_method,
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

	if (!store)
		return diag_fail(d, ERR_AUTH, "this host has no credentials and trusts nobody");
	if (j->auth_method == SHARED_KEY)
		return verify_shared(&proof, j, store->ring, &ret->peer, d);
	for (size_t i = 0; i < j->chain_count; i++)
		chain[i] = (struct octets){ j->chain[i].at, j->chain[i].len };
	r = credential_verify(store->store, &proof, &ret->peer, d);
	if (r >= 0 && ret->peer.not_after_s) /* what is verified has not ended yet */
		ret->good_ms = ret->peer.not_after_s > proof.now_s ? (ret->peer.not_after_s - proof.now_s) * 1000 : 1;
	return r;
}

static void claimed(const struct keying_job *j, struct keying_result *ret)
{
	const struct octets id = { j->id.at, j->id.len };
	char text[PEER_TEXT];

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
	case JOB_SIGN:
		r = sign(j, store, ret, &d);
		break;
	case JOB_PPK:
		r = mix(j, store, ret, &d);
		break;
	case JOB_VERIFY:
		r = verify(j, store, fetched, unknown, ret, &d);
		break;
	}
	if (r < 0)
		keying_result_wipe(ret);
	ret->number = j->number;
	ret->error = r;
	(void)snprintf(ret->why, sizeof ret->why, "%.*s", (int)sizeof ret->why - 1, d.text);
	if (j->kind == JOB_VERIFY)
		claimed(j, ret);
}

/* ---- on a thread ------------------------------------------------------------------------------------------------- */

struct work {
	uv_work_t request;
	struct job_means means; /* with a reference on the store */
	struct keying_job *job;
	job_done done;
	void *context;
	struct revocation_verdict *unknown; /* where lists could be had; NULL: that was tried, or is not needed */
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

/* Two HMACs or a few random octets take less than the way to a thread and back. */
static bool is_quick(const struct keying_job *j, const struct shared_store *store)
{
	size_t index;

	switch (j->kind) {
	case JOB_BEGIN:
		return !j->group;
	case JOB_SIGN:
		return store && credential_find(store->store, j->credential, &index) &&
		       credential_get(store->store, index)->kind == AUTH_PSK;
	case JOB_PPK:
		return true;
	case JOB_VERIFY:
		return j->auth_method == SHARED_KEY; /* no chain is looked at for it */
	case JOB_ANSWER:
	case JOB_DERIVE:
		break;
	}
	return false;
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
	if (is_quick(job, means->store)) {
		work_do(&w->request);
		work_done(&w->request, 0);
		return;
	}
	if (job->kind == JOB_VERIFY && means->fetcher)
		w->unknown = mem_new(1, sizeof *w->unknown);
	if (uv_queue_work(means->loop, &w->request, work_do, work_done) < 0)
		work_done(&w->request, -ECANCELED);
}
