/* tests/replay/world_work.c - jobs of the engines: what takes long or needs a secret. */
#include "tests/replay/world_inside.h"

#include "base/crypto.h"
#include "base/diag.h"
#include "base/mem.h"
#include "base/text.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t next_random(struct world_host *h)
{
	h->random += UINT64_C(0x9e3779b97f4a7c15);
	uint64_t z = h->random;
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static int psk_auth(const struct world_host *h, const struct keying_job *job, struct key *ret, struct diag *d)
{
	static const char pad[] = "Key Pad for IKEv2";
	struct octets text = { pad, sizeof pad - 1 }, octets = { job->octets.at, job->octets.len };
	struct key inner = { 0 };
	int r = crypto_prf(job->prf, h->psk, strlen(h->psk), &text, 1, &inner, d);

	return r < 0 ? r : crypto_prf(job->prf, inner.octets, inner.len, &octets, 1, ret, d);
}

/* IKEv1: SKEYID, or what stands for a signature. */
static int v1_proof(const struct world_host *h, const struct keying_job *job, struct key *ret, struct diag *d)
{
	struct octets octets = { job->octets.at, job->octets.len };
	struct key hash = { 0 };

	if (job->private.len) { /* the hash is to be made of what it covers */
		int e = crypto_prf(job->prf, job->private.octets, job->private.len, &octets, 1, &hash, d);
		if (e < 0)
			return e;
		octets = (struct octets){ hash.octets, hash.len };
	}
	return crypto_prf(job->kind == JOB_SKEYID ? job->prf : algorithm_by_name(ALG_PRF, "sha256", 6), h->psk,
			  strlen(h->psk), &octets, 1, ret, d);
}

/* Both ends know both public halves, and so does everybody. */
static int quick_generate(struct world_host *h, const struct algorithm *group, struct keying_result *r)
{
	r->public_len = group->public_octets;
	for (size_t i = 0; i < r->public_len; i++)
		r->public[i] = (uint8_t)next_random(h);
	r->private.len = 32;
	memcpy(r->private.octets, r->public, r->private.len);
	return 0;
}

static int quick_derive(const struct key *private, struct keying_octets public, struct keying_result *r)
{
	r->secret_len = private->len;
	for (size_t i = 0; i < private->len; i++)
		r->secret[i] = private->octets[i] ^ public.at[i];
	return 0;
}

static int generate(struct world *w, struct world_host *h, const struct algorithm *group, struct keying_result *r,
		    struct diag *d)
{
	return w->quick_keys ? quick_generate(h, group, r)
			     : crypto_ke_generate(group, &r->private, r->public, sizeof r->public, &r->public_len, d);
}

static int derive(struct world *w, const struct keying_job *job, const struct key *private, struct keying_result *r,
		  struct diag *d)
{
	return w->quick_keys ? quick_derive(private, job->peer_public, r)
			     : crypto_ke_derive(job->group, private, job->peer_public.at, job->peer_public.len,
						r->secret, sizeof r->secret, &r->secret_len, d);
}

static int work(struct world *w, struct world_host *h, const struct keying_job *job, struct keying_result *r,
		struct diag *d)
{
	struct key auth = { 0 };
	int e;

	switch (job->kind) {
	case JOB_BEGIN:
	case JOB_ANSWER:
		for (size_t i = 0; i < sizeof r->nonce; i++)
			r->nonce[i] = (uint8_t)next_random(h);
		if (h->nonce_lead)
			r->nonce[0] = h->nonce_lead;
		r->spi = next_random(h) | 1;
		if (!job->group)
			return 0;
		e = generate(w, h, job->group, r, d);
		if (e < 0 || job->kind == JOB_BEGIN)
			return e;
		return derive(w, job, &r->private, r, d);
	case JOB_DERIVE:
		return derive(w, job, &job->private, r, d);
	case JOB_SKEYID:
		if ((e = v1_proof(h, job, &auth, d)) < 0)
			return e;
		r->secret_len = auth.len;
		memcpy(r->secret, auth.octets, auth.len);
		return 0;
	case JOB_SIGN:
		if ((e = job->ikev1 ? v1_proof(h, job, &auth, d) : psk_auth(h, job, &auth, d)) < 0)
			return e;
		r->auth_method = job->ikev1 ? h->credential.signs_by : 2;
		r->auth_len = auth.len;
		memcpy(r->auth, auth.octets, auth.len);
		return 0;
	case JOB_PPK:
		r->mix = job->mix;
		for (unsigned i = 0; i < 3; i++) {
			struct key *k = i == 0 ? &r->mix.d : i == 1 ? &r->mix.pi : &r->mix.pr;
			struct octets seed[] = { { k->octets, k->len }, { "\1", 1 } };
			struct key mixed = { 0 };
			if ((e = crypto_prf(job->prf, h->ppk, strlen(h->ppk), seed, 2, &mixed, d)) < 0)
				return e;
			*k = mixed;
		}
		return 0;
	case JOB_VERIFY:
		(void)addr_text(&job->remote, r->claimed);
		if (job->ikev1 && job->auth_method == 2) /* the hash itself, as it has to be */
			e = key_set(&auth, job->octets.at, job->octets.len) ? 0 : -1;
		else
			e = job->ikev1 ? v1_proof(h, job, &auth, d) : psk_auth(h, job, &auth, d);
		if (e < 0)
			return e;
		if ((job->auth_method != 2 && !(job->ikev1 && job->auth_method == h->credential.signs_by)) ||
		    job->auth.len != auth.len || !octets_equal(job->auth.at, auth.octets, auth.len))
			return diag_fail(d, failure_error(FAILURE_WRONG_KEY), "its pre-shared key is not ours");
		r->peer.method = w->certificates ? PEER_CERTIFICATE : PEER_PSK;
		memset(r->peer.certificate, world_certificate, sizeof r->peer.certificate);
		struct addr id = { .family = job->id.len == 4 ? 4 : 6 };
		memcpy(id.octets, job->id.at, job->id.len <= sizeof id.octets ? job->id.len : 0);
		(void)addr_text(&id, r->peer.id);
		return 0;
	case JOB_GSS:
	case JOB_GSS_KEY:
	case JOB_GSS_END:
	case JOB_GSS_WRAP:
	case JOB_GSS_UNWRAP:
		return kdc_work(&h->kdc, (uint8_t)(h == &w->hosts[1]), job, r, d);
	}
	return -1;
}

void world_finish_job(struct world *w, unsigned host, struct keying_job *job)
{
	struct keying_result *r = mem_new(1, sizeof *r);
	struct diag d = { 0 };

	r->number = job->number;
	r->good_ms = w->good_ms;
	r->error = work(w, &w->hosts[host], job, r, &d);
	(void)snprintf(r->why, sizeof r->why, "%.380s", d.text);
	keying_job_free(job);
	keying_job_done(w->hosts[host].keying, r, w->now_ms);
	keying_result_wipe(r);
	free(r);
}
