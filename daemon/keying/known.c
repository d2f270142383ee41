#include "daemon/keying/known.h"

#include "base/diag.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { KNOWN_MOST = 65536 };

struct one {
	uint8_t certificate[PEER_DIGEST];
	char *set;
	size_t count;
	struct octets chain[KEYING_CHAIN_MOST];
	bool used;
	/* of the judging */
	const struct auth_set *auth;
	char *why; /* NULL: it is good */
};

struct known {
	uv_loop_t *loop;
	struct one **all;
	size_t count, cap;
	uv_work_t request;
	struct known_review review;
	struct policy *policy; /* of the review */
	struct one **judged;
	size_t judged_count;
	bool busy, closing;
};

static void chain_drop(struct one *o)
{
	while (o->count)
		free((void *)(uintptr_t)o->chain[--o->count].at);
}

static void chain_take(struct one *o, const struct keying_job *job)
{
	chain_drop(o);
	for (; o->count < job->chain_count; o->count++)
		o->chain[o->count] = (struct octets){ mem_copy(job->chain[o->count].at, job->chain[o->count].len),
						      job->chain[o->count].len };
}

static void one_free(struct one *o)
{
	chain_drop(o);
	free(o->set);
	free(o->why);
	free(o);
}

struct known *known_new(uv_loop_t *loop)
{
	struct known *k = mem_new(1, sizeof *k);

	k->loop = loop;
	k->request.data = k;
	return k;
}

static void known_free(struct known *k)
{
	for (size_t i = 0; i < k->count; i++)
		one_free(k->all[i]);
	free(k->all);
	free(k);
}

void known_close(struct known *k)
{
	if (!k)
		return;
	k->closing = true;
	if (!k->busy)
		known_free(k);
}

void known_note(struct known *k, const struct keying_job *job, const struct peer *peer)
{
	struct one *o;

	if (peer->method != PEER_CERTIFICATE || k->closing)
		return;
	for (size_t i = 0; i < k->count; i++)
		if (memcmp(k->all[i]->certificate, peer->certificate, PEER_DIGEST) == 0 &&
		    strcmp(k->all[i]->set, job->auth_set->name) == 0) {
			k->all[i]->used = true;
			if (!k->busy) /* its authority may have a new certificate; the judge reads what he was given */
				chain_take(k->all[i], job);
			return;
		}
	if (k->count == KNOWN_MOST)
		return; /* not judged again before it proves itself anew */
	o = mem_new(1, sizeof *o);
	memcpy(o->certificate, peer->certificate, PEER_DIGEST);
	o->set = mem_string(job->auth_set->name);
	o->used = true;
	chain_take(o, job);
	k->all = mem_grow(k->all, k->count, &k->cap, sizeof *k->all);
	k->all[k->count++] = o;
}

/* ---- which are in use -------------------------------------------------------------------------------------------- */

static int by_certificate(const void *a, const void *b)
{
	const struct one *const *x = a, *const *y = b;

	return memcmp((*x)->certificate, (*y)->certificate, PEER_DIGEST);
}

static void mark(struct known *k, const uint8_t *certificate)
{
	struct one key = { .used = true }, *wanted = &key, **found;

	memcpy(key.certificate, certificate, PEER_DIGEST);
	found = bsearch(&wanted, k->all, k->count, sizeof *k->all, by_certificate);
	if (!found)
		return;
	while (found > k->all && by_certificate(found - 1, &wanted) == 0)
		found--;
	for (; found < k->all + k->count && by_certificate(found, &wanted) == 0; found++)
		(*found)->used = true;
}

/* Those without an IKE SA are forgotten. */
static void sweep(struct known *k, const struct keying *keying)
{
	size_t n = keying_ike_rows(keying, NULL, 0), kept = 0;
	struct keying_ike_row *rows = mem_new(n + 1, sizeof *rows);
	const uint8_t *certificate;

	n = keying_ike_rows(keying, rows, n);
	if (k->count > 1)
		qsort(k->all, k->count, sizeof *k->all, by_certificate);
	for (size_t i = 0; i < k->count; i++)
		k->all[i]->used = false;
	for (size_t i = 0; i < n; i++)
		if ((certificate = peer_kept_certificate(rows[i].peer)))
			mark(k, certificate);
	free(rows);
	for (size_t i = 0; i < k->count; i++) {
		if (k->all[i]->used)
			k->all[kept++] = k->all[i];
		else
			one_free(k->all[i]);
	}
	k->count = kept;
}

/* ---- judging ----------------------------------------------------------------------------------------------------- */

static void judge(uv_work_t *request)
{
	const struct known *k = request->data;
	uint64_t now_s = (uint64_t)time(NULL);

	for (size_t i = 0; i < k->judged_count; i++) {
		struct one *o = k->judged[i];
		struct credential_proof p = { .set = o->auth,
					      .chain = o->chain,
					      .chain_count = o->count,
					      .fetched = k->review.fetched,
					      .now_s = now_s };
		struct diag d = { 0 };

		if (o->auth && credential_review(k->review.store->store, &p, &d) < 0)
			o->why = mem_string(d.text);
	}
}

static void judged(uv_work_t *request, int status)
{
	struct known *k = request->data;

	(void)status;
	k->busy = false;
	for (size_t i = 0; i < k->judged_count; i++) {
		struct one *o = k->judged[i];

		if (o->why && !k->closing)
			k->review.bad(k->review.context, o->certificate, o->why);
		free(o->why);
		o->why = NULL;
		o->auth = NULL;
	}
	free(k->judged);
	k->judged = NULL;
	shared_store_release(k->review.store);
	policy_free(k->policy);
	if (k->closing)
		known_free(k);
}

static const struct auth_set *set_named(const struct policy *p, const char *name)
{
	const struct auth_set *sets;
	size_t n = policy_auth_sets(p, &sets);

	for (size_t i = 0; i < n; i++)
		if (strcmp(sets[i].name, name) == 0)
			return &sets[i];
	return NULL;
}

bool known_judge(struct known *k, const struct known_review *r)
{
	if (k->busy)
		return false;
	if (k->count)
		sweep(k, r->keying);
	if (k->count == 0)
		return true;
	k->review = *r;
	k->policy = policy_ref(r->policy);
	k->review.store->references++;
	k->judged = mem_copy(k->all, k->count * sizeof(struct one *));
	k->judged_count = k->count;
	for (size_t i = 0; i < k->count; i++)
		k->all[i]->auth = set_named(r->policy, k->all[i]->set);
	k->busy = true;
	if (uv_queue_work(k->loop, &k->request, judge, judged) < 0)
		judged(&k->request, -1);
	return true;
}
