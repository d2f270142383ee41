#include "tests/replay/world.h"

#include "base/crypto.h"
#include "base/diag.h"
#include "base/mem.h"
#include "base/report.h"
#include "base/str.h"
#include "base/text.h"
#include "keying/selector.h"
#include "tests/unit/unit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char world_policy[] = "cordon: 1\n"
			    "authentication:\n"
			    "  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n"
			    "key-exchange:\n"
			    "  default: { proposals: [aes256gcm-sha256-x25519, aes256-sha384-ecp384] }\n"
			    "connection-security:\n"
			    "  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: require,\n"
			    "      authentication: password }\n";

const char *world_policy_mode(const char *mode)
{
	static char text[1024];

	(void)snprintf(text, sizeof text,
		       "cordon: 1\nauthentication:\n  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n"
		       "key-exchange:\n  default: { proposals: [aes256gcm-sha256-x25519] }\n"
		       "connection-security:\n"
		       "  - { name: all, endpoint1: [10.0.0.1], endpoint2: [10.0.0.2], mode: %s, "
		       "authentication: password }\n",
		       mode);
	return text;
}

/* ---- workers ----------------------------------------------------------------------------------------------------- */

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

static void finish_job(struct world *w, unsigned host, struct keying_job *job)
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

unsigned world_drop(struct world *w, struct datagram *d)
{
	(void)w, (void)d;
	return 0;
}

/* ---- wire -------------------------------------------------------------------------------------------------------- */

static void enqueue(struct world *w, const struct datagram *d)
{
	uint64_t due_ms = d->due_ms;
	unsigned copies = w->wire ? w->wire(w, (struct datagram *)(uintptr_t)d) : 1;

	if (!d->esp && d->len >= 28 && getenv("CORDON_TEST_VERBOSE"))
		(void)fprintf(stderr,
			      "%6" PRIu64
			      " host %u sends exchange %u, message %u%s%s, SPI %02x%02x..%02x%02x, %zu octets%s%s\n",
			      w->now_ms, d->from, d->octets[18], d->octets[23], d->octets[19] & 0x20 ? " reply" : "",
			      d->octets[19] & 8 ? " (I)" : "", d->octets[0], d->octets[7], d->octets[8], d->octets[15],
			      d->len,
			      copies == 1 ? ""
			      : copies    ? ", twice"
					  : ", lost",
			      d->due_ms > due_ms ? ", late" : "");

	for (unsigned i = 0; i < copies; i++) {
		assert_true(w->queued < PACKETS_MOST);
		w->queue[w->queued] = mem_copy(d, sizeof *d);
		w->queue[w->queued++]->serial = ++w->serial;
	}
}

static void send_ike(struct world *w, unsigned from, const struct keying_todo *t)
{
	struct datagram *d = mem_new(1, sizeof *d);

	assert_true(t->len <= sizeof d->octets);
	d->due_ms = w->now_ms + w->latency_ms;
	d->from = from;
	d->source = t->local;
	d->destination = t->remote;
	d->local_port = t->local_port;
	d->remote_port = t->remote_port;
	d->len = t->len;
	memcpy(d->octets, t->octets, t->len);
	w->ike_sent[from]++;
	enqueue(w, d);
	free(d);
}

static bool has_inbound(const struct world_host *h, uint32_t spi)
{
	for (size_t i = 0; i < SAS_MOST; i++)
		if (h->sas[i].used && h->sas[i].inbound && h->sas[i].spi == spi)
			return true;
	return false;
}

static void send_esp(struct world *w, unsigned from, const struct world_sa *sa)
{
	struct datagram *d = mem_new(1, sizeof *d);

	d->due_ms = w->now_ms + w->latency_ms;
	d->from = from;
	d->esp = true;
	d->spi = sa->spi;
	d->source = w->hosts[from].addr;
	d->destination = sa->remote;
	d->local_port = sa->encap_local_port;
	d->remote_port = sa->encap_remote_port;
	w->hosts[from].last_out_ms = w->now_ms;
	w->hosts[from].esp_blind += !has_inbound(&w->hosts[1 - from], sa->spi);
	enqueue(w, d);
	free(d);
}

/* What sad.h promises of a packet from elsewhere. */
static void tell_if_moved(struct world *w, unsigned host, const struct world_sa *sa, const struct datagram *d)
{
	struct sad_event e = { .kind = SAD_MOVED, .pair = sa->pair, .spi = sa->spi };

	if (!sa->nat || (addr_equal(&sa->remote, &d->source) && sa->encap_remote_port == d->local_port))
		return;
	e.packet.local = d->destination;
	e.packet.remote = d->source;
	e.packet.local_port = d->remote_port;
	e.packet.remote_port = d->local_port;
	keying_sad_event(w->hosts[host].keying, &e, w->now_ms);
}

static void receive_esp(struct world *w, unsigned host, const struct datagram *d)
{
	struct world_host *h = &w->hosts[host];
	uint32_t spi = d->spi;

	for (size_t i = 0; i < SAS_MOST; i++)
		if (h->sas[i].used && h->sas[i].inbound && h->sas[i].spi == spi) {
			h->esp_received++;
			h->last_in_ms = w->now_ms;
			tell_if_moved(w, host, &h->sas[i], d);
			if (h->sas[i].packets++ == 0)
				keying_sad_event(h->keying,
						 &(struct sad_event){ .kind = SAD_FIRST_IN, .pair = h->sas[i].pair },
						 w->now_ms);
			return;
		}
	h->esp_lost++;
	if (getenv("CORDON_TEST_VERBOSE"))
		(void)fprintf(stderr, "%6" PRIu64 " host %u has no SA %08x\n", w->now_ms, host, spi);
	struct sad_event e = { .kind = SAD_UNKNOWN_SPI, .spi = spi };
	e.packet.local = h->addr;
	e.packet.remote = d->source;
	e.packet.remote_port = d->local_port;
	keying_sad_event(h->keying, &e, w->now_ms);
}

/* ---- data plane -------------------------------------------------------------------------------------------------- */

static const struct world_sa *sender(const struct world_host *h, const char *rule, const struct plan_packet *k)
{
	const struct world_sa *best = NULL;

	for (size_t i = 0; i < SAS_MOST; i++) {
		const struct world_sa *sa = &h->sas[i];
		if (sa->used && !sa->inbound && strcmp(sa->rule, rule) == 0 && selector_holds(&sa->selector, k) &&
		    (!best || sa->order > best->order))
			best = sa;
	}
	return best;
}

static void install(struct world *w, unsigned host, const struct sa_spec *spec)
{
	struct world_host *h = &w->hosts[host];
	struct world_sa *sa = NULL;

	for (size_t i = 0; i < SAS_MOST && !sa; i++)
		if (!h->sas[i].used)
			sa = &h->sas[i];
	assert_non_null(sa);
	*sa = (struct world_sa){ .used = true,
				 .inbound = spec->inbound,
				 .spi = spec->spi,
				 .pair = spec->pair,
				 .order = ++h->installs,
				 .selector = spec->selector,
				 .remote = spec->remote,
				 .encap_local_port = spec->encap_local_port,
				 .encap_remote_port = spec->encap_remote_port,
				 .nat = spec->nat,
				 .suite = spec->suite,
				 .encr_key = spec->encr_key,
				 .integ_key = spec->integ_key };
	(void)snprintf(sa->rule, sizeof sa->rule, "%s", spec->rule->name);
	assert_true(spec->spi >= 256);
	if (spec->inbound)
		return;
	for (size_t i = 0; i < h->held_count;) { /* what waited goes now */
		if (sender(h, h->held[i].rule, &h->held[i].packet) != sa) {
			i++;
			continue;
		}
		send_esp(w, host, sa);
		h->held[i] = h->held[--h->held_count];
	}
}

void world_sad_event(struct world *w, unsigned host, const struct sad_event *e)
{
	keying_sad_event(w->hosts[host].keying, e, w->now_ms);
}

static void release(struct world_host *h, const struct keying_todo *t)
{
	for (size_t i = 0; i < h->held_count;) {
		if (!selector_same(&h->held[i].selector, &t->selector)) {
			i++;
			continue;
		}
		h->held[i] = h->held[--h->held_count];
		if (t->clear)
			h->released_clear++;
		else
			h->released_drop++;
	}
}

void world_packet(struct world *w, unsigned host, int16_t protocol, uint16_t local_port, uint16_t remote_port)
{
	struct world_host *h = &w->hosts[host];
	struct plan_packet k = { .local = h->addr,
				 .remote = h->peer.family ? h->peer : w->hosts[1 - host].addr,
				 .initiator = INITIATOR_LOCAL,
				 .protocol = protocol,
				 .local_port = local_port,
				 .remote_port = remote_port };
	const struct plan_entry *e = plan_lookup(h->plan, &k);

	assert_non_null(e);
	struct sa_selector s = sa_selector_of(e, &k.local, &k.remote);
	const struct world_sa *sa = sender(h, e->rule->name, &k);
	if (sa) {
		send_esp(w, host, sa);
		return;
	}
	assert_true(h->held_count < HELD_MOST);
	h->held[h->held_count].selector = s;
	h->held[h->held_count].packet = k;
	(void)snprintf(h->held[h->held_count++].rule, sizeof h->held[0].rule, "%s", e->rule->name);
	struct sad_event ev = { .kind = SAD_ACQUIRE, .selector = s, .packet = k, .entry = e };
	keying_sad_event(h->keying, &ev, w->now_ms);
}

/* ---- things to do ------------------------------------------------------------------------------------------------ */

/* Of the first group that the firewall asks about. */
static void note_member(struct world_host *h, uint64_t pair, const struct membership *is)
{
	for (size_t i = 0; i < SAS_MOST && is && is->count; i++)
		if (h->sas[i].used && h->sas[i].inbound && h->sas[i].pair == pair) {
			h->sas[i].asked = true;
			h->sas[i].member = membership_get(is, 0);
		}
}

static bool do_next(struct world *w, unsigned host)
{
	struct world_host *h = &w->hosts[host];
	struct keying_todo t;
	struct sad_event e = { .kind = SAD_DONE };
	static const struct diag failure = { .code = -1, .text = "it is full" };

	if (!keying_next(h->keying, &t))
		return false;
	switch (t.kind) {
	case KEYING_SEND:
		send_ike(w, host, &t);
		break;
	case KEYING_JOB:
		assert_true(w->job_count < 256);
		w->jobs[w->job_count].job = t.job;
		w->jobs[w->job_count].host = host;
		w->jobs[w->job_count++].due_ms = w->now_ms + w->job_ms;
		break;
	case KEYING_RESERVE_SPI:
		e.kind = w->sad_fails ? SAD_FAILED : SAD_SPI_RESERVED;
		e.why = &failure;
		e.request = t.request;
		e.spi = h->next_spi++;
		h->spis_reserved++;
		keying_sad_event(h->keying, &e, w->now_ms);
		break;
	case KEYING_RELEASE_SPI:
		h->spis_released++;
		break;
	case KEYING_INSTALL:
		install(w, host, t.spec);
		note_member(h, t.spec->pair, t.membership);
		e.request = t.request;
		keying_sad_event(h->keying, &e, w->now_ms);
		break;
	case KEYING_MEMBERSHIP:
		note_member(h, t.pair, t.membership);
		break;
	case KEYING_STOP_SENDING:
		for (size_t i = 0; i < SAS_MOST; i++)
			if (h->sas[i].used && h->sas[i].pair == t.pair) {
				h->sas[i].used = h->sas[i].inbound;
				h->sas[i].fading = true;
			}
		break;
	case KEYING_REMOVE:
		for (size_t i = 0; i < SAS_MOST; i++)
			if (h->sas[i].used && h->sas[i].pair == t.pair)
				h->sas[i].used = false;
		break;
	case KEYING_MOVE:
		for (size_t i = 0; i < SAS_MOST; i++)
			if (h->sas[i].used && h->sas[i].pair == t.pair) {
				h->sas[i].remote = t.remote;
				h->sas[i].encap_remote_port = t.remote_port;
			}
		break;
	case KEYING_KEEPALIVE:
		h->keepalives++;
		break;
	case KEYING_RELEASE_HELD:
		release(h, &t);
		break;
	case KEYING_FALLBACK:
		if (t.seconds)
			h->fallbacks++;
		else
			h->fallback_ends++;
		break;
	case KEYING_EVENT:
		h->events[t.event.id]++;
		h->last[t.event.id] = t.event;
		(void)snprintf(h->last_text[t.event.id], sizeof h->last_text[0], "%s", t.event.text);
		if (getenv("CORDON_TEST_VERBOSE"))
			(void)fprintf(stderr, "%6" PRIu64 " host %u %s: %s\n", w->now_ms, host, event_name(t.event.id),
				      t.event.text);
		break;
	case KEYING_KEYS:
		if (h->keys_lines < 32)
			(void)snprintf(h->keys[h->keys_lines], sizeof h->keys[0], "%s", t.text);
		h->keys_lines++;
		break;
	}
	return true;
}

static void do_all(struct world *w)
{
	bool more = true;

	while (more) {
		more = false;
		for (unsigned host = 0; host < HOSTS; host++)
			while (do_next(w, host))
				more = true;
		for (size_t i = 0; i < w->job_count; i++) {
			if (w->jobs[i].due_ms > w->now_ms)
				continue;
			struct keying_job *job = w->jobs[i].job;
			unsigned host = w->jobs[i].host;
			for (size_t j = i + 1; j < w->job_count; j++)
				w->jobs[j - 1] = w->jobs[j];
			w->job_count--;
			finish_job(w, host, job);
			more = true;
			break;
		}
	}
}

static bool deliver_one(struct world *w)
{
	size_t best = w->queued;

	for (size_t i = 0; i < w->queued; i++)
		if (w->queue[i]->due_ms <= w->now_ms &&
		    (best == w->queued || w->queue[i]->due_ms < w->queue[best]->due_ms ||
		     (w->queue[i]->due_ms == w->queue[best]->due_ms && w->queue[i]->serial < w->queue[best]->serial)))
			best = i;
	if (best == w->queued)
		return false;
	struct datagram *d = w->queue[best];
	w->queue[best] = w->queue[--w->queued];
	unsigned to = 1 - d->from;
	if (d->esp)
		receive_esp(w, to, d);
	else
		keying_message(w->hosts[to].keying, &d->destination, d->remote_port, &d->source, d->local_port,
			       d->octets, d->len, w->now_ms);
	free(d);
	return true;
}

static uint64_t next_time(const struct world *w)
{
	uint64_t at = UINT64_MAX;

	for (size_t i = 0; i < w->queued; i++)
		if (w->queue[i]->due_ms < at)
			at = w->queue[i]->due_ms;
	for (size_t i = 0; i < w->job_count; i++)
		if (w->jobs[i].due_ms < at)
			at = w->jobs[i].due_ms;
	for (unsigned host = 0; host < HOSTS; host++)
		if (keying_deadline(w->hosts[host].keying) < at)
			at = keying_deadline(w->hosts[host].keying);
	return at;
}

void world_run(struct world *w, uint64_t until_ms)
{
	for (unsigned spins = 0;; spins++) {
		assert_true(spins < 1000000);
		do_all(w);
		if (deliver_one(w))
			continue;
		uint64_t at = next_time(w);
		if (at > until_ms)
			break;
		if (at > w->now_ms)
			w->now_ms = at;
		for (unsigned host = 0; host < HOSTS; host++)
			if (keying_deadline(w->hosts[host].keying) <= w->now_ms)
				keying_timer(w->hosts[host].keying, w->now_ms);
	}
	w->now_ms = until_ms;
}

void world_inject(struct world *w, unsigned to, const void *octets, size_t len)
{
	keying_message(w->hosts[to].keying, &w->hosts[to].addr, 500, &w->hosts[1 - to].addr, 500, octets, len,
		       w->now_ms);
}

/* ---- birth and death --------------------------------------------------------------------------------------------- */

bool world_is_ipv6(void)
{
	return getenv("CORDON_TEST_IPV6") != NULL;
}

struct addr world_addr(uint8_t a, uint8_t b, uint8_t c, uint8_t n)
{
	struct addr six = { 6, { 0x20, 1, 0xd, 0xb8, 0, a == 10 ? 0 : 2, [15] = n } };

	return world_is_ipv6() ? six : addr_v4(a, b, c, n);
}

/* The policy's addresses in the other family, quoted as YAML wants them. */
static void to_ipv6(const char *text, struct str *out)
{
	static const struct {
		const char *four, *six;
	} prefixes[] = { { "10.0.0.", "2001:db8::" }, { "192.0.2.", "2001:db8:2::" } };

	while (*text) {
		size_t i = 0, digits;

		while (i < ARRAY_LEN(prefixes) && strncmp(text, prefixes[i].four, strlen(prefixes[i].four)) != 0)
			i++;
		if (i == ARRAY_LEN(prefixes)) {
			str_add_n(out, text++, 1);
			continue;
		}
		text += strlen(prefixes[i].four);
		digits = strspn(text, "0123456789");
		if (text[digits] == '/') {
			str_addf(out, "\"%s/64\"", prefixes[i].six);
			text += digits + 1;
			text += strspn(text, "0123456789");
		} else {
			str_addf(out, "\"%s%lx\"", prefixes[i].six, strtoul(text, NULL, 10));
			text += digits;
		}
	}
}

/* Every pre-shared key of the policy becomes Kerberos. */
static void to_kerberos(const char *text, struct str *out)
{
	static const char psk[] = "pre-shared-key: { file: /etc/cordon/psk }";
	const char *at;

	for (; (at = strstr(text, psk)); text = at + strlen(psk)) {
		str_add_n(out, text, (size_t)(at - text));
		str_addf(out, "kerberos: { realm: EXAMPLE }");
	}
	str_addf(out, "%s", text);
}

static struct policy *parse(struct world *w, const char *text)
{
	SCOPED(str_wipe) struct str six = { 0 }, kerberos = { 0 };
	struct policy *p = NULL;

	if (getenv("CORDON_TEST_KERBEROS")) {
		to_kerberos(text, &kerberos);
		text = str_text(&kerberos);
	}

	if (world_is_ipv6()) {
		to_ipv6(text, &six);
		text = str_text(&six);
	}

	if (policy_parse(text_new("test.yaml", text, strlen(text)), NULL, w->report, &p) < 0) {
		struct str out = { 0 };
		report_text(w->report, false, &out);
		fail_msg("%s", str_text(&out));
	}
	return p;
}

static struct plan *compile(struct world *w, const struct policy *p, const struct addr *own)
{
	struct host_address address = { .addr = *own, .prefix = own->family == 4 ? 24 : 64 };
	struct plan_host host = { .own = &address, .own_count = 1 };
	struct plan *plan = NULL;

	assert_int_equal(plan_compile(p, &host, w->report, &plan), 0);
	return plan;
}

static void kerberos_of(struct world_host *h, const struct auth_set *sets, size_t n)
{
	struct keying_credential *c = &h->credentials[1];

	*c = (struct keying_credential){ .number = 1,
					 .kind = AUTH_KERBEROS,
					 .subject = h->kdc.principal,
					 .satisfies = h->by_kerberos,
					 .ranks = h->ranks[1] };
	for (size_t i = 0; h->kdc.principal && i < n; i++)
		for (size_t m = 0; m < sets[i].count && c->satisfies_count < ARRAY_LEN(h->by_kerberos); m++)
			if (sets[i].methods[m].kind == AUTH_KERBEROS) {
				h->ranks[1][c->satisfies_count] = (uint8_t)m;
				h->by_kerberos[c->satisfies_count++] = &sets[i];
				break;
			}
}

static void credential_of(struct world_host *h, const struct policy *p)
{
	const struct auth_set *sets;
	size_t n = policy_auth_sets(p, &sets);

	h->credential = (struct keying_credential){ .number = 0, .kind = AUTH_PSK, .satisfies = h->satisfies };
	for (size_t i = 0; i < n && i < ARRAY_LEN(h->satisfies); i++)
		for (size_t m = 0; m < sets[i].count; m++)
			if (sets[i].methods[m].kind == AUTH_PSK) {
				h->credential.psk_file = sets[i].methods[m].psk_file;
				h->ranks[0][h->credential.satisfies_count] = (uint8_t)m;
				h->satisfies[h->credential.satisfies_count++] = &sets[i];
				break;
			}
	h->credential.ranks = h->ranks[0];
	kerberos_of(h, sets, n);
	const struct key_exchange_set *ke;
	size_t count = policy_key_exchange_sets(p, &ke);
	h->config.ppk_count = 0;
	for (size_t i = 0; i < count; i++)
		for (size_t m = 0; m < ke[i].ppk_count && h->config.ppk_count < ARRAY_LEN(h->ppks); m++)
			h->ppks[h->config.ppk_count++] = ke[i].ppks[m].file;
	h->config.ppks = h->ppks;
	h->credentials[0] = h->credential;
	h->config.credentials = h->credentials[1].satisfies_count ? h->credentials : &h->credential;
	h->config.credential_count = h->credentials[1].satisfies_count ? 2 : 1;
}

void world_set_principal(struct world *w, unsigned host, const char *principal)
{
	struct world_host *h = &w->hosts[host];

	h->kdc.principal = principal;
	credential_of(h, plan_policy(h->plan));
	keying_set_credentials(h->keying, &h->config, w->now_ms);
}

static void host_begin(struct world *w, struct world_host *h, const char *policy, const struct addr *addr)
{
	struct policy *p = parse(w, policy);
	struct diag d = { 0 };

	h->addr = *addr;
	h->plan = compile(w, p, &h->addr);
	h->config = keying_default;
	credential_of(h, p);
	policy_free(p); /* the plan has it */
	if (keying_new(&h->config, h->plan, &h->keying, &d) < 0)
		fail_msg("%s", d.text);
}

static struct world *new_at(const char *policy0, const char *policy1, const struct addr addrs[HOSTS])
{
	struct world *w = mem_new(1, sizeof *w);
	const char *texts[HOSTS] = { policy0, policy1 };

	w->report = report_new();
	w->latency_ms = 1;
	w->now_ms = 1000;
	for (unsigned i = 0; i < HOSTS; i++) {
		struct world_host *h = &w->hosts[i];
		h->psk = "a secret between us";
		h->ppk = "another one, of 256 bits";
		h->random = 17 + i;
		h->next_spi = 0x1000 * (i + 1);
		h->kdc.principal = i ? "host/b.example@EXAMPLE" : "host/a.example@EXAMPLE";
		host_begin(w, h, texts[i], &addrs[i]);
	}
	return w;
}

struct world *world_new_two(const char *policy0, const char *policy1)
{
	return new_at(policy0, policy1, (struct addr[HOSTS]){ world_addr(10, 0, 0, 1), world_addr(10, 0, 0, 2) });
}

struct world *world_new_ipv6(const char *policy)
{
	return new_at(policy, policy,
		      (struct addr[HOSTS]){ { 6, { 0x20, 1, 0xd, 0xb8, [15] = 1 } },
					    { 6, { 0x20, 1, 0xd, 0xb8, [15] = 2 } } });
}

struct world *world_new(const char *policy)
{
	return world_new_two(policy, policy);
}

void world_replace(struct world *w, unsigned host, const char *policy, const struct addr *addr)
{
	struct world_host *h = &w->hosts[host];

	keying_free(h->keying);
	plan_free(h->plan);
	for (size_t i = 0; i < w->job_count;) {
		if (w->jobs[i].host != host) {
			i++;
			continue;
		}
		keying_job_free(w->jobs[i].job);
		w->jobs[i] = w->jobs[--w->job_count];
	}
	memset(h->sas, 0, sizeof h->sas);
	memset(&h->credential, 0, sizeof h->credential);
	h->held_count = 0;
	host_begin(w, h, policy, addr);
}

void world_set_plan(struct world *w, unsigned host, const char *policy)
{
	struct world_host *h = &w->hosts[host];
	struct policy *p = parse(w, policy);
	struct plan *plan = compile(w, p, &h->addr);

	credential_of(h, p);
	keying_set_plan(h->keying, &h->config, plan, w->now_ms);
	plan_free(h->plan);
	h->plan = plan;
	policy_free(p);
}

void world_restart(struct world *w, unsigned host)
{
	struct world_host *h = &w->hosts[host];
	struct diag d = { 0 };

	keying_free(h->keying);
	for (size_t i = 0; i < SAS_MOST; i++)
		h->sas[i].used = false;
	h->held_count = 0;
	for (size_t i = 0; i < w->job_count;) {
		if (w->jobs[i].host != host) {
			i++;
			continue;
		}
		keying_job_free(w->jobs[i].job);
		w->jobs[i] = w->jobs[--w->job_count];
	}
	if (keying_new(&h->config, h->plan, &h->keying, &d) < 0)
		fail_msg("%s", d.text);
}

void world_free(struct world *w)
{
	for (unsigned i = 0; i < HOSTS; i++) {
		keying_free(w->hosts[i].keying);
		plan_free(w->hosts[i].plan);
	}
	for (size_t i = 0; i < w->job_count; i++)
		keying_job_free(w->jobs[i].job);
	for (size_t i = 0; i < w->queued; i++)
		free(w->queue[i]);
	report_free(w->report);
	free(w);
}

/* ---- what is the case -------------------------------------------------------------------------------------------- */

size_t world_ikes(const struct world *w, unsigned host)
{
	struct keying_ike_row *rows = mem_new(256, sizeof *rows);
	size_t n = keying_ike_rows(w->hosts[host].keying, rows, 256), up = 0;

	for (size_t i = 0; i < n && i < 256; i++)
		up += rows[i].established;
	free(rows);
	return up;
}

size_t world_children(const struct world *w, unsigned host)
{
	return keying_child_rows(w->hosts[host].keying, NULL, 0);
}

size_t world_sas(const struct world *w, unsigned host, bool inbound)
{
	size_t n = 0;

	for (size_t i = 0; i < SAS_MOST; i++)
		n += w->hosts[host].sas[i].used && !w->hosts[host].sas[i].fading &&
		     w->hosts[host].sas[i].inbound == inbound;
	return n;
}

static const struct world_sa *find_sa(const struct world_host *h, bool inbound, uint32_t spi)
{
	for (size_t i = 0; i < SAS_MOST; i++)
		if (h->sas[i].used && h->sas[i].inbound == inbound && h->sas[i].spi == spi)
			return &h->sas[i];
	return NULL;
}

void world_expect_one(struct world *w, size_t children)
{
	for (unsigned host = 0; host < HOSTS; host++) {
		struct world_host *h = &w->hosts[host], *other = &w->hosts[1 - host];
		if (world_ikes(w, host) != 1 || world_children(w, host) != children ||
		    world_sas(w, host, true) != children || world_sas(w, host, false) != children)
			fail_msg("host %u has %zu IKE SAs, %zu CHILD SAs, %zu in, %zu out", host, world_ikes(w, host),
				 world_children(w, host), world_sas(w, host, true), world_sas(w, host, false));
		for (size_t i = 0; i < SAS_MOST; i++) {
			const struct world_sa *sa = &h->sas[i];
			if (!sa->used || sa->fading)
				continue;
			const struct world_sa *peer = find_sa(other, !sa->inbound, sa->spi);
			if (!peer || !key_equal(&peer->encr_key, &sa->encr_key) ||
			    !key_equal(&peer->integ_key, &sa->integ_key) ||
			    peer->encr_key.len + peer->integ_key.len == 0)
				fail_msg("host %u: SA %08x has no other end", host, sa->spi);
		}
		if (h->held_count)
			fail_msg("host %u still holds %zu packets", host, h->held_count);
	}
}
