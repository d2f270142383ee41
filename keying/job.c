/* keying/job.c - what the engine has asked for and who waits for the answer. An answer that nobody waits for any more
 * is dropped: the SA may have gone meanwhile. */
#include "keying/engine.h"
#include <stdlib.h>
#include <string.h>

struct keying_job *job_new(enum keying_job_kind kind)
{
	struct keying_job *job = mem_new(1, sizeof *job);

	job->kind = kind;
	return job;
}

struct keying_octets job_octets(struct keying_octets o)
{
	return (struct keying_octets){ o.len ? mem_copy(o.at, o.len) : NULL, o.len };
}

static void octets_free(struct keying_octets *o)
{
	free((void *)(uintptr_t)o->at); /* ours since job_octets */
}

void keying_job_free(struct keying_job *job)
{
	if (!job)
		return;
	free(job->ppk_file);
	octets_free(&job->peer_public);
	octets_free(&job->octets);
	octets_free(&job->auth);
	octets_free(&job->id);
	octets_free(&job->token);
	free(job->gss_target);
	for (size_t i = 0; i < job->chain_count; i++)
		octets_free(&job->chain[i]);
	if (job->policy)
		policy_free((struct policy *)(uintptr_t)job->policy); /* the reference that it held */
	explicit_bzero(job, sizeof *job);
	free(job);
}

void keying_result_wipe(struct keying_result *r)
{
	if (r->token.at)
		explicit_bzero((void *)(uintptr_t)r->token.at, r->token.len);
	octets_free(&r->token);
	explicit_bzero(r, sizeof *r);
}

static void remember(struct table *t, uint64_t number, struct waiting w)
{
	table_add(t, number, mem_copy(&w, sizeof w));
}

static bool take(struct table *t, uint64_t number, struct waiting *ret)
{
	struct waiting *w = table_find(t, number, NULL, NULL);

	if (!w)
		return false;
	*ret = *w;
	table_remove(t, number, w);
	free(w);
	return true;
}

uint64_t job_ask(struct keying *k, enum owner owner, uint64_t object, struct keying_job *job)
{
	uint64_t number = keying_number(k);

	job->number = number;
	remember(&k->jobs, number, (struct waiting){ .owner = owner, .object = object });
	todo_add(k, KEYING_JOB)->job = job;
	return number;
}

uint64_t request_ask(struct keying *k, uint64_t pair, enum sad_wait wait)
{
	uint64_t number = keying_number(k);

	remember(&k->requests, number, (struct waiting){ .owner = OWNER_CHILD, .object = pair, .wait = wait });
	return number;
}

bool job_take(struct keying *k, uint64_t number, struct waiting *ret)
{
	return take(&k->jobs, number, ret);
}

bool request_take(struct keying *k, uint64_t number, struct waiting *ret)
{
	return take(&k->requests, number, ret);
}
