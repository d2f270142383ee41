#include "daemon/keys/keys.h"

#include "base/diag.h"
#include "base/mem.h"
#include "daemon/keys/gss.h"
#include "daemon/keys/messages.h"
#include "daemon/process/child.h"
#include "identity/signature.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Signatures on threads keep theirs while another takes its place; counted on the loop's thread. */
struct ring {
	struct keyring *keys;
	unsigned references;
};

struct keys {
	uv_loop_t *loop;
	struct ring *now;
	struct keyring *next;               /* being filled; NULL: nothing is */
	struct channel *askers[ROLE_COUNT]; /* NULL: away */
	unsigned turns[ROLE_COUNT];         /* the how manieth it is */
};

static struct ring *ring_new(struct keyring *k)
{
	struct ring *r = mem_new(1, sizeof *r);

	r->keys = k;
	r->references = 1;
	return r;
}

static void ring_release(struct ring *r)
{
	if (--r->references)
		return;
	keyring_free(r->keys);
	free(r);
}

struct keys *keys_new(void)
{
	struct keys *k = mem_new(1, sizeof *k);

	k->now = ring_new(keyring_new());
	return k;
}

void keys_came(void *context, struct channel *c)
{
	struct keys *k = context;

	k->askers[channel_peer(c)] = c;
	k->turns[channel_peer(c)]++;
	gss_came(c);
}

void keys_free(struct keys *k)
{
	gss_end();
	keyring_free(k->next);
	ring_release(k->now);
	free(k);
}

/* As many threads as there are processors; how many those are is a question to files. */
int keys_prepare(void *context, struct diag *d)
{
	char text[16];

	(void)context;
	(void)snprintf(text, sizeof text, "%u", uv_available_parallelism());
	(void)setenv("UV_THREADPOOL_SIZE", text, 0);
	return gss_prepare(d);
}

int keys_begin(void *context, uv_loop_t *loop, struct channel *parent, struct diag *d)
{
	struct keys *k = context;

	k->loop = loop;
	keys_came(k, parent);
	return gss_begin(loop, d);
}

void keys_went(void *context, enum role peer)
{
	struct keys *k = context;

	k->askers[peer] = NULL;
	gss_went(peer);
}

void keys_end(void *context)
{
	struct keys *k = context;

	gss_end();
	keyring_free(TAKE(k->next));
	ring_release(k->now);
	k->now = ring_new(keyring_new()); /* a signature on a thread may still come back */
}

/* ---- being filled ------------------------------------------------------------------------------------------------ */

static int begin(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct keys *k = context;

	(void)c, (void)body, (void)fds;
	keyring_free(k->next);
	k->next = keyring_new();
	return 0;
}

static void answer(struct channel *c, uint32_t ticket, int r, size_t fits, const struct keytab_told *told,
		   const struct diag *d)
{
	struct keys_answer a = { .ticket = ticket, .error = r < 0 ? r : 0, .fits = (uint8_t)fits };

	(void)snprintf(a.words, sizeof a.words, "%.*s", (int)sizeof a.words - 1, r < 0 ? d->text : "");
	if (told && r == 0)
		a.told = *told;
	keys_put_answer(channel_begin(c, ASK_KEYS_ANSWER), &a);
	channel_end(c);
}

static int load(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct keys *k = context;
	struct keytab_told told = { 0 };
	struct keys_load m;
	struct diag d = { 0 };
	size_t fits = 0;
	int r;

	if (keys_get_load(body, &m) < 0 || !k->next)
		return -EPROTO;
	r = keyring_load(k->next,
			 &(struct keyring_item){ .number = m.number,
						 .uses = m.uses,
						 .path = m.path,
						 .publics = m.publics,
						 .public_count = m.public_count,
						 .told = &told },
			 fds[0], &fits, &d);
	answer(c, m.ticket, r, fits, &told, &d);
	return 0;
}

static int keep(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct keys *k = context;
	struct keys_keep m;
	struct diag d = { 0 };

	(void)fds;
	if (keys_get_keep(body, &m) < 0 || !k->next)
		return -EPROTO;
	answer(c, m.ticket, keyring_keep(k->next, k->now->keys, m.number, m.uses, &d), 0, NULL, &d);
	return 0;
}

static int swap(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct keys *k = context;
	uint32_t ticket = wire_u32(body);

	(void)fds;
	if (!wire_done(body) || !k->next)
		return -EPROTO;
	ring_release(k->now);
	k->now = ring_new(TAKE(k->next));
	gss_set_keytab(keyring_keytab(k->now->keys));
	answer(c, ticket, 0, 0, NULL, NULL);
	return 0;
}

/* ---- being asked ------------------------------------------------------------------------------------------------- */

static void refuse(struct channel *c, uint64_t job, int r, size_t lacks, const struct diag *d)
{
	struct keys_refused m = { .job = job, .error = r, .lacks = (uint8_t)lacks };

	(void)snprintf(m.words, sizeof m.words, "%.*s", (int)sizeof m.words - 1, d->text);
	keys_put_refused(channel_begin(c, ASK_KEYS_REFUSED), &m);
	channel_end(c);
}

static void reply_signed(struct channel *c, const struct keys_signed *m, int r, const struct diag *d)
{
	if (r < 0) {
		refuse(c, m->job, r, 0, d);
		return;
	}
	keys_put_signed(channel_begin(c, ASK_KEYS_SIGNED), m);
	channel_end(c);
}

struct work {
	uv_work_t request;
	struct keys *keys;
	struct ring *ring;
	enum role asker;
	unsigned turn; /* whoever has come in its place did not ask */
	struct keys_sign ask;
	struct keys_signed reply;
	int r;
	struct diag d;
	uint8_t octets[];
};

/* What a PRF makes of a pre-shared key comes back where a signature would. */
static int skeyid(const struct keyring *k, const struct keys_sign *m, struct keyring_proof *ret, struct diag *d)
{
	SCOPED(key_wipe) struct key made = { 0 };
	int r = m->prf ? keyring_skeyid(k, m->number, m->prf, &m->octets, &made, d)
		       : diag_fail(d, ERR_SYNTAX, "SKEYID needs the PRF");

	if (r < 0)
		return r;
	ret->method = 0;
	ret->len = made.len;
	memcpy(ret->auth, made.octets, made.len);
	return 0;
}

static int sign_what(const struct keyring *k, const struct keys_sign *m, struct keyring_proof *ret, struct diag *d)
{
	switch (m->what) {
	case KEYS_SIGN_HASH:
		return keyring_sign_hash(k, m->number, &m->octets, ret, d);
	case KEYS_SIGN_KEYED:
		return keyring_sign_keyed(k, m->number, m->prf, &m->key, &m->octets, ret, d);
	case KEYS_SIGN_SKEYID:
		return skeyid(k, m, ret, d);
	default:
		return keyring_sign(k, m->number, m->prf, m->peer_hashes, &m->octets, ret, d);
	}
}

static bool may_sign(const struct keys_sign *m)
{
	return m->what == KEYS_SIGN_HASH     ? keyring_may_sign_hash(&m->octets)
	       : m->what == KEYS_SIGN_KEYED  ? keyring_may_sign_keyed(m->prf, m->key.len, &m->octets)
	       : m->what == KEYS_SIGN_SKEYID ? keyring_may_make_skeyid(&m->octets)
					     : keyring_may_sign(&m->octets);
}

static void work_do(uv_work_t *request)
{
	struct work *w = request->data;

	w->r = sign_what(w->ring->keys, &w->ask, &w->reply.proof, &w->d);
	key_wipe(&w->ask.key);
}

static void work_done(uv_work_t *request, int status)
{
	struct work *w = request->data;
	struct channel *c = w->keys->askers[w->asker];

	if (status < 0)
		w->r = diag_fail(&w->d, status, "the key holder has no thread to sign on");
	if (c && w->turn == w->keys->turns[w->asker])
		reply_signed(c, &w->reply, w->r, &w->d);
	ring_release(w->ring);
	free(w);
}

static void sign_on_thread(struct keys *k, struct channel *c, const struct keys_sign *m)
{
	struct work *w = mem_new(1, sizeof *w + m->octets.len);

	w->request.data = w;
	w->keys = k;
	w->ring = k->now;
	w->ring->references++;
	w->asker = channel_peer(c);
	w->turn = k->turns[w->asker];
	w->ask = *m;
	w->reply.job = m->job;
	memcpy(w->octets, m->octets.at, m->octets.len);
	w->ask.octets.at = w->octets;
	if (uv_queue_work(k->loop, &w->request, work_do, work_done) < 0)
		work_done(&w->request, -ECANCELED);
}

/* Who asks for a signature over anything else than what IKE signs is not the keying that we know. */
static int sign(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	struct keys *k = context;
	struct keys_signed reply;
	struct keys_sign m;
	struct diag d = { 0 };

	(void)fds;
	if (keys_get_sign(body, &m) < 0 || !may_sign(&m))
		return -EPROTO;
	if (keyring_is_slow(k->now->keys, m.number)) {
		sign_on_thread(k, c, &m);
		key_wipe(&m.key);
		return 0;
	}
	reply.job = m.job;
	reply_signed(c, &reply, sign_what(k->now->keys, &m, &reply.proof, &d), &d);
	explicit_bzero(&reply, sizeof reply);
	key_wipe(&m.key);
	return 0;
}

static int prove(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	const struct keys *k = context;
	struct keys_prove m;
	struct diag d = { 0 };
	size_t lacks = 0;
	int r;

	(void)fds;
	if (keys_get_prove(body, &m) < 0)
		return -EPROTO;
	if (!m.prf || !keyring_may_sign(&m.octets))
		r = diag_fail(&d, ERR_SYNTAX, "what the peer proves is not what IKE signs");
	else
		r = keyring_prove(k->now->keys, m.numbers, m.count, m.prf, &m.octets, &m.auth, &lacks, &d);
	if (r < 0) {
		refuse(c, m.job, r, lacks, &d);
		return 0;
	}
	wire_put_u64(channel_begin(c, ASK_KEYS_PROVEN), m.job);
	channel_end(c);
	return 0;
}

static int mix(void *context, struct channel *c, struct wire_in *body, int *fds)
{
	const struct keys *k = context;
	struct keys_mix m;
	struct diag d = { 0 };
	int r = keys_get_mix(body, &m);

	(void)fds;
	if (r == 0) {
		r = keyring_mix(k->now->keys, m.number, m.prf, (struct key *[]){ &m.keys.d, &m.keys.pi, &m.keys.pr }, 3,
				&d);
		if (r < 0) {
			refuse(c, m.job, r, 0, &d);
			r = 0;
		} else {
			keys_put_mixed(channel_begin(c, ASK_KEYS_MIXED), m.job, &m.keys);
			channel_end(c);
		}
	}
	explicit_bzero(&m, sizeof m);
	return r;
}

ask_handler *const keys_handlers[ASK_COUNT] = {
	[ASK_PEER] = child_peer,
	[ASK_KDC_ANSWER] = gss_on_kdc_answer,
	[ASK_KDC_FAILED] = gss_on_kdc_failed,
	[ASK_KEYS_BEGIN] = begin,
	[ASK_KEYS_LOAD] = load,
	[ASK_KEYS_KEEP] = keep,
	[ASK_KEYS_GSS] = gss_on_step,
	[ASK_KEYS_GSS_USE] = gss_on_use,
	[ASK_KEYS_GSS_END] = gss_on_end,
	[ASK_KEYS_SWAP] = swap,
	[ASK_KEYS_SIGN] = sign,
	[ASK_KEYS_PROVE] = prove,
	[ASK_KEYS_MIX] = mix,
};
