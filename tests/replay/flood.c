/* Main modes that are begun and never finished, from ever new addresses: first by somebody who forges addresses and
 * hears nothing, then by somebody who hears, and returns the cookies. The engine's memory must stay as it was after the
 * first few thousand. flood [COUNT [--json]]: so many of each kind. */
#include "base/crypto.h"
#include "base/diag.h"
#include "base/mem.h"
#include "base/report.h"
#include "base/text.h"
#include "keying/engine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { WARM = 20000, A_MILLISECOND = 100 /* requests in it */, GROWTH_MOST = 4 << 20, PER_SA_MOST = 8192 };

/* The address sanitizer keeps what was freed: under it memory says nothing. */
#if defined(__SANITIZE_ADDRESS__)
enum { MEMORY_SAYS = 0 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { MEMORY_SAYS = 0 };
#else
enum { MEMORY_SAYS = 1 };
#endif
#else
enum { MEMORY_SAYS = 1 };
#endif

static const char policy_text[] =
	"cordon: 1\nauthentication:\n  password: [ { pre-shared-key: { file: /etc/cordon/psk } } ]\n"
	"key-exchange:\n  default: { proposals: [aes256gcm-sha256-x25519] }\n"
	"connection-security:\n"
	"  - { name: all, endpoint1: [10.0.0.1], endpoint2: [any], mode: require, authentication: password }\n";

struct flood {
	struct keying *k;
	uint64_t now_ms, spi;
	uint8_t cookie[IKE_COOKIE_MOST];
	size_t cookie_len;
	uint64_t sent, cookies, answered, jobs;
};

static void give_up(const char *what)
{
	fprintf(stderr, "flood: %s\n", what);
	exit(1);
}

static size_t resident(void)
{
	unsigned long size = 0, pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (!f || fscanf(f, "%lu %lu", &size, &pages) != 2)
		give_up("/proc/self/statm cannot be read");
	(void)fclose(f);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static struct keying *engine(void)
{
	struct report *report = report_new();
	struct host_address own = { .addr = addr_v4(10, 0, 0, 1), .prefix = 8 };
	struct plan_host host = { .own = &own, .own_count = 1 };
	struct policy *policy = NULL;
	struct plan *plan = NULL;
	struct keying *k = NULL;
	struct diag d = { 0 };

	if (policy_parse(text_new("flood.yaml", policy_text, strlen(policy_text)), NULL, report, &policy) < 0 ||
	    plan_compile(policy, &host, report, &plan) < 0 || keying_new(&keying_default, plan, &k, &d) < 0)
		give_up("no engine");
	plan_free(plan);
	policy_free(policy);
	report_free(report);
	return k;
}

/* Worthless keys: what public-key work costs is not what is asked here. */
static void do_job(struct flood *f, struct keying_job *job)
{
	static struct keying_result r;

	memset(&r, 0, sizeof r);
	r.number = job->number;
	r.spi = ++f->spi;
	memcpy(r.nonce, &f->spi, sizeof f->spi);
	r.public_len = r.secret_len = 32;
	f->jobs += job->kind == JOB_ANSWER;
	keying_job_free(job);
	keying_job_done(f->k, &r, f->now_ms);
}

static void heard(struct flood *f, const struct keying_todo *t)
{
	struct wire_in in = wire_in(t->octets, t->len);
	struct ike_msg m = { 0 };

	f->sent++;
	if (ike_decode_header(&in, &m.h, NULL) < 0 || ike_decode_payloads(&in, MSG_INIT_REPLY, m.h.next, &m, NULL) < 0)
		give_up("an answer makes no sense");
	const struct ike_notification *n = ike_find_notify(&m, N_COOKIE);
	if (!n) {
		f->answered++;
		return;
	}
	f->cookies++;
	f->cookie_len = n->data.len;
	memcpy(f->cookie, n->data.at, n->data.len);
}

static void work(struct flood *f)
{
	struct keying_todo t;

	if (keying_deadline(f->k) <= f->now_ms)
		keying_timer(f->k, f->now_ms);
	while (keying_next(f->k, &t))
		if (t.kind == KEYING_SEND)
			heard(f, &t);
		else if (t.kind == KEYING_JOB)
			do_job(f, t.job);
}

static void begin(struct flood *f, uint32_t number)
{
	struct addr remote = addr_v4(11, (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number);
	const struct addr local = addr_v4(10, 0, 0, 1);
	struct ike_header h = { .spi_i = (uint64_t)number + 1, .exchange = IKE_SA_INIT, .flags = IKE_FLAG_INITIATOR };
	struct ike_offer offer = { .count = 1 };
	struct ike_proposal *p = &offer.proposals[0];
	uint8_t buf[1024], public[32] = { 9 }, nonce[32] = { 0 };
	struct ike_writer w;

	*p = (struct ike_proposal){ .number = 1, .protocol = PROTO_IKE, .count = 3 };
	p->transforms[0] = (struct ike_transform){ .type = ALG_ENCR, .id = 20, .key_bits = 256 };
	p->transforms[1] = (struct ike_transform){ .type = ALG_PRF, .id = 5 };
	p->transforms[2] = (struct ike_transform){ .type = ALG_GROUP, .id = 31 };
	ike_write_begin(&w, buf, sizeof buf, &h);
	if (f->cookie_len)
		ike_put_notify(&w, N_COOKIE, f->cookie, f->cookie_len);
	ike_put_sa(&w, &offer);
	ike_put_ke(&w, 31, public, sizeof public);
	ike_put_nonce(&w, nonce, sizeof nonce);
	ike_write_end(&w);
	f->cookie_len = 0;
	keying_message(f->k, &local, IKE_PORT, &remote, IKE_PORT, buf, w.out.len, f->now_ms);
	work(f);
}

static double seconds(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void run(struct flood *f, const char *name, bool returns_cookies, uint32_t count, bool json)
{
	size_t warm = 0, start = resident();
	double cpu = seconds();

	for (uint32_t i = 0; i < count; i++) {
		begin(f, i);
		if (returns_cookies && f->cookie_len)
			begin(f, i);
		f->cookie_len = 0;
		if (i % A_MILLISECOND == 0)
			f->now_ms++;
		if (f->k->half_open_count > f->k->config.half_open_most)
			give_up("more half-open SAs than allowed");
		if (i == WARM)
			warm = resident();
	}
	size_t end = resident(), grown = end > warm ? end - warm : 0;
	cpu = seconds() - cpu;
	if (json) {
		printf("{\"bench\":\"flood\",\"case\":\"%s\",\"who\":\"cordon\",\"unit\":\"1/s\",\"min\":%.0f,"
		       "\"median\":%.0f,\"max\":%.0f}\n",
		       name, count / cpu, count / cpu, count / cpu);
		printf("{\"bench\":\"flood\",\"case\":\"%s-growth\",\"who\":\"cordon\",\"unit\":\"kB\",\"min\":%zu,"
		       "\"median\":%zu,\"max\":%zu}\n",
		       name, grown / 1024, grown / 1024, grown / 1024);
	} else {
		printf("%s: %u requests, %.0f in a second of CPU; %" PRIu64 " answers, %" PRIu64 " cookies, %" PRIu64
		       " key exchanges; %zu half-open; resident %zu kB, after the first %d %zu kB, at the end %zu kB\n",
		       name, count, count / cpu, f->answered, f->cookies, f->jobs, f->k->half_open_count, start / 1024,
		       WARM, warm / 1024, end / 1024);
	}
	if (MEMORY_SAYS && grown > GROWTH_MOST)
		give_up("memory grows with the flood");
	if (MEMORY_SAYS && returns_cookies && f->k->half_open_count > 1000 &&
	    (warm > start ? warm - start : 0) / f->k->half_open_count > PER_SA_MOST)
		give_up("a half-open SA takes more than it should");
}

int main(int argc, char **argv)
{
	uint32_t count = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 100000;
	bool json = argc > 2 && strcmp(argv[2], "--json") == 0;
	struct flood f = { .k = engine(), .now_ms = 1000 };

	if (count <= WARM)
		give_up("a flood is more than that");
	run(&f, "forged", false, count, json);
	f.now_ms += HALF_OPEN_MS + 1;
	work(&f);
	if (f.k->half_open_count)
		give_up("half-open SAs are not given up");
	f.answered = f.cookies = f.jobs = 0;
	run(&f, "returned", true, count, json);
	keying_free(f.k);
	return 0;
}
