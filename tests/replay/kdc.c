#include "tests/replay/kdc.h"

#include "base/crypto.h"
#include "base/diag.h"
#include "base/mem.h"
#include "base/wire.h"
#include "observe/event.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TICKET = 1, ANSWER = 2, ERROR = 3, TOKEN_ROOM = KEYING_TOKEN_MOST };

static struct kdc_context *find(struct kdc_host *h, uint64_t number)
{
	for (size_t i = 0; i < KDC_CONTEXTS; i++)
		if (h->contexts[i].number == number)
			return &h->contexts[i];
	return NULL;
}

static int digest(const char *what, const void *key, const char *name, uint8_t ret[KDC_KEY], struct diag *d)
{
	uint8_t out[DIGEST_MAX];
	size_t len;
	int r = crypto_digest("SHA256",
			      (struct octets[]){ { what, strlen(what) }, { key, KDC_KEY }, { name, strlen(name) } }, 3,
			      out, &len, d);

	if (r == 0)
		memcpy(ret, out, KDC_KEY);
	return r;
}

static const uint8_t nobodys[KDC_KEY];

static int seal_of(const uint8_t key[KDC_KEY], const char *client, const char *server, uint8_t ret[KDC_KEY],
		   struct diag *d)
{
	uint8_t service[KDC_KEY] = { 0 };
	int r = digest("service", nobodys, server, service, d);

	for (size_t i = 0; i < KDC_KEY; i++)
		service[i] ^= key[i];
	return r < 0 ? r : digest("ticket", service, client, ret, d);
}

static void give(struct keying_result *r, const uint8_t *octets, size_t len)
{
	r->token = (struct keying_octets){ mem_copy(octets, len), len };
}

static int begin(struct kdc_host *h, uint8_t seed, struct kdc_context *c, const struct keying_job *job,
		 struct keying_result *r, struct diag *d)
{
	uint8_t *buf = mem_new(1, TOKEN_ROOM), seal[KDC_KEY];
	struct wire_out out = wire_out(buf, TOKEN_ROOM);
	char fresh[64];
	int e;

	(void)snprintf(fresh, sizeof fresh, "%u %u", seed, h->made);
	(void)snprintf(c->peer, sizeof c->peer, "%s", job->gss_target);
	if ((e = digest("session", nobodys, fresh, c->key, d)) == 0 &&
	    (e = seal_of(c->key, h->principal, c->peer, seal, d)) == 0) {
		wire_put_u8(&out, TICKET);
		wire_put_text(&out, h->principal, PEER_TEXT);
		wire_put_text(&out, c->peer, PEER_TEXT);
		wire_put(&out, c->key, KDC_KEY);
		wire_put(&out, seal, KDC_KEY);
		wire_put_u8(&out, (uint8_t)job->octets.len);
		wire_put(&out, job->octets.at, job->octets.len);
		if (out.len < h->token_octets)
			(void)wire_put_space(&out, h->token_octets - out.len);
		assert_false(out.failed);
		give(r, buf, out.len);
	}
	free(buf);
	return e;
}

static int finish(struct kdc_context *c, const struct keying_job *job, struct keying_result *r, struct diag *d)
{
	uint8_t want[KDC_KEY];
	int e = digest("answer", c->key, "", want, d);

	if (e < 0)
		return e;
	if (job->token.len && job->token.at[0] == ERROR)
		return diag_fail(d, failure_error(FAILURE_NOT_ACCEPTED), "the peer's Kerberos says: %.*s",
				 (int)job->token.len - 1, (const char *)job->token.at + 1);
	if (job->token.len != 1 + KDC_KEY || job->token.at[0] != ANSWER ||
	    memcmp(job->token.at + 1, want, KDC_KEY) != 0)
		return diag_fail(d, failure_error(FAILURE_NOT_ACCEPTED), "the peer did not prove that it has its key");
	c->complete = r->complete = true;
	return 0;
}

static int accept_ticket(struct kdc_host *h, struct kdc_context *c, const struct keying_job *job,
			 struct keying_result *r, struct diag *d)
{
	struct wire_in in = wire_in(job->token.at, job->token.len);
	uint8_t seal[KDC_KEY], want[KDC_KEY], answer[1 + KDC_KEY] = { ANSWER };
	char server[PEER_TEXT];
	uint8_t kind = wire_u8(&in);
	int e;

	wire_text(&in, c->peer, sizeof c->peer);
	wire_text(&in, server, sizeof server);
	wire_copy(&in, c->key, KDC_KEY);
	wire_copy(&in, seal, KDC_KEY);
	size_t bound_len = wire_u8(&in);
	const uint8_t *bound = wire_octets(&in, bound_len);
	if (in.failed || kind != TICKET)
		return diag_fail(d, ERR_SYNTAX, "its token is no Kerberos token");
	if ((e = seal_of(c->key, c->peer, h->principal, want, d)) < 0)
		return e;
	if (h->other_key || memcmp(seal, want, KDC_KEY) != 0)
		return diag_fail(d, failure_error(FAILURE_NOT_ACCEPTED), "its ticket is not for this host's key");
	if (bound_len != job->octets.len || (bound_len && memcmp(bound, job->octets.at, bound_len) != 0))
		return diag_fail(d, failure_error(FAILURE_NOT_ACCEPTED), "its token is bound to another exchange");
	if ((e = digest("answer", c->key, "", answer + 1, d)) < 0)
		return e;
	give(r, answer, sizeof answer);
	c->complete = r->complete = true;
	return 0;
}

static int step(struct kdc_host *h, uint8_t seed, const struct keying_job *job, struct keying_result *r, struct diag *d)
{
	struct kdc_context *c = find(h, job->gss);
	bool anew = !c;
	int e;

	assert_true(job->gss != 0);
	assert_non_null(job->auth_set);
	if (!h->principal)
		return diag_fail(d, failure_error(FAILURE_NO_CREDENTIAL), "this host has no keytab");
	if (anew) {
		c = find(h, 0);
		assert_non_null(c);
		*c = (struct kdc_context){ .number = job->gss, .initiator = job->gss_initiator };
		h->made++;
		h->now++;
		h->most = h->now > h->most ? h->now : h->most;
	}
	assert_true(c->initiator == job->gss_initiator && !c->complete);
	assert_true(!anew || job->gss_initiator == (job->gss_target != NULL));
	if (c->initiator && anew && h->cannot)
		return diag_fail(d, failure_error(FAILURE_NO_CREDENTIAL), "%s", h->cannot);
	h->accepts += !c->initiator;
	if (!c->initiator && h->rejects) {
		uint8_t error[256] = { ERROR };

		memcpy(error + 1, h->rejects, strlen(h->rejects));
		give(r, error, 1 + strlen(h->rejects));
		return diag_fail(d, failure_error(FAILURE_NOT_ACCEPTED), "%s", h->rejects);
	}
	e = !c->initiator ? accept_ticket(h, c, job, r, d) : anew ? begin(h, seed, c, job, r, d) : finish(c, job, r, d);
	if (e < 0 || !c->complete)
		return e;
	r->peer.method = PEER_KERBEROS;
	(void)snprintf(r->peer.id, sizeof r->peer.id, "%s", c->peer);
	r->good_ms = h->good_ms;
	if (!c->initiator) {
		r->peer.learnt_s = h->learnt_s;
		(void)snprintf(d->text, sizeof d->text, "%s", h->warning ? h->warning : "");
	}
	return 0;
}

/* What was wrapped stands in it, with a check value of the context behind. */
static int wrap(const struct kdc_context *c, const struct keying_job *job, struct keying_result *r, struct diag *d)
{
	bool open = job->kind == JOB_GSS_UNWRAP;
	size_t n = job->octets.len;
	uint8_t check[DIGEST_MAX], all[256];
	size_t len;

	if (n + KDC_KEY > sizeof all || (open && n < KDC_KEY))
		return diag_fail(d, ERR_SYNTAX, "%zu octets to be wrapped", n);
	n -= open ? KDC_KEY : 0;
	int e = crypto_digest("SHA256", (struct octets[]){ { "wrap", 4 }, { c->key, KDC_KEY }, { job->octets.at, n } },
			      3, check, &len, d);
	if (e < 0)
		return e;
	if (open && memcmp(job->octets.at + n, check, KDC_KEY) != 0)
		return diag_fail(d, failure_error(FAILURE_NOT_ACCEPTED), "it is not wrapped by this context");
	memcpy(all, job->octets.at, n);
	memcpy(all + n, check, KDC_KEY);
	give(r, all, open ? n : n + KDC_KEY);
	return 0;
}

int kdc_work(struct kdc_host *h, uint8_t seed, const struct keying_job *job, struct keying_result *r, struct diag *d)
{
	struct kdc_context *c = find(h, job->gss);
	uint8_t out[DIGEST_MAX];
	size_t len;
	int e;

	switch (job->kind) {
	case JOB_GSS:
		return step(h, seed, job, r, d);
	case JOB_GSS_KEY:
		assert_true(c && c->complete && job->secret_len == 32);
		e = crypto_digest("SHA256",
				  (struct octets[]){ { c->key, KDC_KEY }, { job->octets.at, job->octets.len } }, 2, out,
				  &len, d);
		if (e == 0)
			memcpy(r->secret, out, r->secret_len = 32);
		return e;
	case JOB_GSS_END:
		if (c) {
			c->number = 0;
			h->now--;
		}
		return 0;
	case JOB_GSS_WRAP:
	case JOB_GSS_UNWRAP:
		assert_true(c && c->complete);
		return wrap(c, job, r, d);
	default:
		return -1;
	}
}
