/* Two hosts' Kerberos in one program, and a KDC by sockets: what identity/kerberos/kerberos.h promises, against a real
 * KDC and without our processes. Each end has a clock of its own.
 *
 * kerberos_ends KDC INITIATOR.keytab ACCEPTOR.keytab TARGET [option...]
 *   ahead=S     the initiator's clock is so far ahead; behind=S
 *   late=S      after the first token the acceptor's clock goes on by so much
 *   udp         small requests go by datagram first
 *   bind=A,B    channel bindings of the two ends; -: none
 *   dead        no KDC answers
 *   swap=KEYTAB then once more, with this keytab at the acceptor
 *   again       then once more, with the KDC gone: by the ticket that there is
 *   twice       the acceptor gets the first token twice, in another context
 * Prints one line a round: "complete PEER good=S wrap=N token=N", or "failed initiator|acceptor: words". */
#include "base/diag.h"
#include "base/mem.h"
#include "base/text.h"
#include "identity/kerberos/kerberos.h"
#include "identity/kerberos/token.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* ---- clocks ------------------------------------------------------------------------------------------------------ */

static int64_t offset_s; /* of who is at work */

static int64_t real_now(long *ret_us)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	*ret_us = t.tv_nsec / 1000;
	return t.tv_sec + offset_s;
}

/* The libraries' too: a program's symbols come before theirs. */
int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	long us;

	(void)tz;
	tv->tv_sec = real_now(&us);
	tv->tv_usec = us;
	return 0;
}

time_t time(time_t *timer)
{
	long us;
	time_t now = real_now(&us);

	if (timer)
		*timer = now;
	return now;
}

/* ---- the ends ---------------------------------------------------------------------------------------------------- */

struct end {
	const char *name;
	struct kerberos *kerberos;
	int64_t offset_s;
	/* The last step's outcome. */
	bool done, complete;
	int error;
	char why[512], peer[PEER_TEXT];
	uint64_t good_ms, learnt_s;
	size_t sids;
	uint8_t token[65536];
	size_t token_len;
	/* What it wants of a KDC. */
	uint32_t number;
	uint8_t request[65536];
	size_t request_len;
	bool tcp;
};

static const char *kdc;
static bool use_udp, kdc_dead;
static unsigned by_udp, by_tcp;

static void ask(void *context, uint32_t number, const char *realm, const struct octets *request, bool tcp)
{
	struct end *e = context;

	(void)realm;
	e->number = number;
	memcpy(e->request, request->at, request->len);
	e->request_len = request->len;
	e->tcp = tcp;
}

static void stepped(void *context, uint64_t job, const struct kerberos_stepped *s)
{
	struct end *e = context;

	(void)job;
	e->done = true;
	e->error = s->error;
	e->complete = s->complete;
	e->good_ms = s->good_ms;
	(void)snprintf(e->why, sizeof e->why, "%s", s->why);
	(void)snprintf(e->peer, sizeof e->peer, "%s", s->peer ? s->peer->id : "");
	e->sids = s->peer ? sid_list_count(&s->peer->sids) : 0;
	e->learnt_s = s->peer ? s->peer->learnt_s : 0;
	if (s->token.len)
		memcpy(e->token, s->token.at, s->token.len);
	e->token_len = s->token.len;
}

static int connected(int type)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(88) };
	struct timeval patience = { .tv_sec = 5 };
	int fd = socket(AF_INET, type, 0);

	(void)inet_pton(AF_INET, kdc, &to.sin_addr);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

static size_t all_of(int fd, uint8_t *to, size_t n)
{
	size_t got = 0;
	ssize_t r;

	while (got < n && (r = read(fd, to + got, n - got)) > 0)
		got += (size_t)r;
	return got;
}

static size_t exchange(const struct end *e, uint8_t *to, size_t cap)
{
	int fd = connected(use_udp && !e->tcp && e->request_len < 1400 ? SOCK_DGRAM : SOCK_STREAM);
	uint8_t head[4] = { (uint8_t)(e->request_len >> 24), (uint8_t)(e->request_len >> 16),
			    (uint8_t)(e->request_len >> 8), (uint8_t)e->request_len };
	size_t n = 0;

	if (fd < 0)
		return 0;
	if (use_udp && !e->tcp && e->request_len < 1400) {
		ssize_t r;

		by_udp++;
		(void)!write(fd, e->request, e->request_len);
		r = read(fd, to, cap);
		n = r > 0 ? (size_t)r : 0;
	} else {
		by_tcp++;
		(void)!write(fd, head, 4);
		(void)!write(fd, e->request, e->request_len);
		if (all_of(fd, head, 4) == 4)
			n = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
		n = n <= cap ? all_of(fd, to, n) : 0;
	}
	(void)close(fd);
	return n;
}

static void step(struct end *e, const struct kerberos_step *s)
{
	static uint8_t answer[65536];

	e->done = false;
	e->number = 0;
	offset_s = e->offset_s;
	kerberos_step(e->kerberos, s);
	while (!e->done && e->number) {
		uint32_t number = e->number;
		size_t n = kdc_dead ? 0 : exchange(e, answer, sizeof answer);

		e->number = 0;
		if (n && !kerberos_is_answer(answer, n))
			printf("an answer that is none\n");
		if (n)
			kerberos_heard(e->kerberos, number, &(struct octets){ answer, n }, NULL, s->now_ms);
		else
			kerberos_heard(e->kerberos, number, NULL, "no KDC answers", s->now_ms);
	}
	if (!e->done) {
		printf("a step without an end\n");
		exit(EXIT_FAILURE);
	}
}

static bool same_keys(const struct end *i, const struct end *a, uint64_t gss)
{
	const struct octets seed = { "seed", 4 };
	uint8_t one[64], two[64];
	struct diag d;

	return kerberos_key(i->kerberos, gss, &seed, one, sizeof one, &d) == 0 &&
	       kerberos_key(a->kerberos, gss, &seed, two, sizeof two, &d) == 0 && memcmp(one, two, sizeof one) == 0;
}

/* There and, once opened, never again. */
static size_t wrapped(const struct end *i, const struct end *a, uint64_t gss)
{
	static uint8_t text[KERBEROS_TEXT_MOST], opened[KERBEROS_TEXT_MOST];
	const struct octets hash = { "twenty octets of hash", 20 };
	size_t len = 0, opened_len = 0;
	struct diag d;

	if (kerberos_wrap(i->kerberos, gss, &hash, true, text, &len, &d) < 0 ||
	    kerberos_unwrap(a->kerberos, gss, &(struct octets){ text, len }, opened, &opened_len, &d) < 0 ||
	    opened_len != 20 || memcmp(opened, hash.at, 20) != 0)
		return 0;
	if (kerberos_unwrap(a->kerberos, gss, &(struct octets){ text, len }, opened, &opened_len, &d) == 0)
		return 0;
	text[len - 1] ^= 1;
	return kerberos_unwrap(a->kerberos, gss, &(struct octets){ text, len }, opened, &opened_len, &d) < 0 ? len : 0;
}

struct options {
	const char *target, *binds[2];
	int64_t late_s;
	bool twice;
};

static void round_of(struct end *i, struct end *a, const struct options *o, uint64_t gss, uint64_t now_ms)
{
	struct kerberos_step s = { .job = 1, .gss = gss, .initiator = true, .target = o->target, .now_ms = now_ms };
	struct kerberos_step t = { .job = 1, .gss = gss, .now_ms = now_ms };
	size_t token;

	if (o->binds[0] && strcmp(o->binds[0], "-") != 0)
		s.binding = (struct octets){ o->binds[0], strlen(o->binds[0]) };
	if (o->binds[1])
		t.binding = (struct octets){ o->binds[1], strlen(o->binds[1]) };
	step(i, &s);
	if (i->error) {
		printf("failed initiator: %s\n", i->why);
		return;
	}
	token = i->token_len;
	a->offset_s += o->late_s;
	t.token = (struct octets){ i->token, i->token_len };
	step(a, &t);
	if (a->error) {
		printf("failed acceptor: %s\n", a->why);
		if (!a->token_len)
			return;
		s.target = NULL;
		s.token = (struct octets){ a->token, a->token_len };
		step(i, &s);
		printf("told initiator: %s\n", i->why);
		return;
	}
	s.target = NULL;
	s.token = (struct octets){ a->token, a->token_len };
	step(i, &s);
	if (!i->complete || !a->complete || !same_keys(i, a, gss)) {
		printf("failed: %s / %s\n", i->why, a->why);
		return;
	}
	printf("complete %s of %s good=%llu/%llu wrap=%zu token=%zu sids=%zu learnt=%llu %s\n", a->peer, i->peer,
	       (unsigned long long)i->good_ms / 1000, (unsigned long long)a->good_ms / 1000, wrapped(i, a, gss), token,
	       a->sids, (unsigned long long)a->learnt_s, a->why);
	if (o->twice) {
		struct kerberos_step again = { .job = 2, .gss = gss + 1000, .now_ms = now_ms };

		again.token = t.token;
		step(a, &again);
		printf("the first token again: %s %s\n", a->error ? "failed" : "taken", a->why);
	}
}

static void give_keytab(struct end *e, const char *path)
{
	SCOPED(text_freep) struct text *t = NULL;
	SCOPED(keytab_freep) struct keytab *k = NULL;
	struct diag d = { 0 };

	if (text_read(path, KEYTAB_FILE_MOST, &t, &d) < 0 ||
	    keytab_parse(&(struct octets){ t->octets, t->len }, path, &k, &d) < 0 ||
	    kerberos_set_keytab(e->kerberos, k, &d) < 0)
		printf("%s: %s\n", e->name, d.text);
}

int main(int argc, char **argv)
{
	static struct end ends[2] = { { .name = "initiator" }, { .name = "acceptor" } };
	struct options o = { 0 };
	const char *swap = NULL;
	bool again = false;
	struct diag d;

	if (argc < 5 || kerberos_prepare(&d) < 0)
		return EXIT_FAILURE;
	kdc = argv[1];
	for (unsigned i = 0; i < 2; i++) {
		const struct kerberos_means means = { ask, stepped, &ends[i] };

		if (kerberos_new(&means, &ends[i].kerberos, &d) < 0)
			return EXIT_FAILURE;
		give_keytab(&ends[i], argv[2 + i]);
	}
	o.target = argv[4];
	for (int i = 5; i < argc; i++) {
		if (strncmp(argv[i], "ahead=", 6) == 0)
			ends[0].offset_s = strtol(argv[i] + 6, NULL, 10);
		else if (strncmp(argv[i], "behind=", 7) == 0)
			ends[0].offset_s = -strtol(argv[i] + 7, NULL, 10);
		else if (strncmp(argv[i], "late=", 5) == 0)
			o.late_s = strtol(argv[i] + 5, NULL, 10);
		else if (strncmp(argv[i], "bind=", 5) == 0) {
			o.binds[0] = strtok(argv[i] + 5, ",");
			o.binds[1] = strtok(NULL, ",");
		} else if (strncmp(argv[i], "swap=", 5) == 0)
			swap = argv[i] + 5;
		use_udp |= strcmp(argv[i], "udp") == 0;
		kdc_dead |= strcmp(argv[i], "dead") == 0;
		again |= strcmp(argv[i], "again") == 0;
		o.twice |= strcmp(argv[i], "twice") == 0;
	}
	round_of(&ends[0], &ends[1], &o, 1, 1000);
	if (swap) {
		give_keytab(&ends[1], swap);
		round_of(&ends[0], &ends[1], &o, 2, 1000);
	}
	if (again) {
		kdc_dead = true;
		round_of(&ends[0], &ends[1], &o, 3, 1000);
		give_keytab(&ends[0], argv[2]); /* the same once more: a new ticket is wanted, the old one does */
		round_of(&ends[0], &ends[1], &o, 4, 1000);
	}
	if (use_udp)
		printf("udp %u tcp %u\n", by_udp, by_tcp);
	for (unsigned i = 0; i < 2; i++)
		kerberos_free(ends[i].kerberos);
	return EXIT_SUCCESS;
}
