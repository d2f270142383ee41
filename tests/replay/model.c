/* The convergence of collisions as a model that is run: the two real engines, a wire that decides the fate of each
 * datagram, and every sequence of such decisions within a bound, depth first. The engines are deterministic, so a
 * sequence is replayed from the start and the next one differs from it in its last decision that has another choice.
 *
 * What must hold in every run: nobody ever sends under an SA that the other does not have inbound, no packet is lost,
 * and in the end both have one IKE SA and one CHILD SA, the same, with the same keys. */
#include "tests/replay/world.h"
#include "tests/unit/unit.h"

#include "base/scope.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DECISIONS_MOST = 64, PAIR_MS = 2000 };

/* What becomes of one datagram. Late: behind what is sent meanwhile; very late: behind its own repetition too. */
enum fate { ON_TIME, LOST, TWICE, LATE, VERY_LATE, FATES };

/* Two ways to be exhaustive: every fate for each of the first `full` datagrams; or at most `faults` fates that are not
 * ON_TIME among the first `reach`. */
struct bound {
	unsigned full, reach, faults;
};

struct path {
	struct bound bound;
	uint8_t taken[DECISIONS_MOST], choices[DECISIONS_MOST];
	unsigned depth, seen, faults;
	uint64_t esp_late_ms;
	bool deciding;
};

static unsigned decide(struct path *p)
{
	unsigned n = p->seen++, choices = 1;

	if (n < p->bound.full || (n < p->bound.reach && p->faults < p->bound.faults))
		choices = FATES;
	if (n >= DECISIONS_MOST)
		return ON_TIME;
	if (n >= p->depth) {
		p->taken[n] = ON_TIME;
		p->depth = n + 1;
	}
	p->choices[n] = (uint8_t)choices;
	p->faults += p->taken[n] != ON_TIME;
	return p->taken[n];
}

/* The next sequence; false: there was none. */
static bool next_path(struct path *p)
{
	while (p->depth && p->taken[p->depth - 1] + 1 >= p->choices[p->depth - 1])
		p->depth--;
	if (!p->depth)
		return false;
	p->taken[p->depth - 1]++;
	return true;
}

static unsigned wire(struct world *w, struct datagram *d)
{
	struct path *p = w->context;

	if (d->esp) {
		d->due_ms += p->esp_late_ms;
		return 1;
	}
	if (!p->deciding)
		return 1;
	switch (decide(p)) {
	case LOST:
		return 0;
	case TWICE:
		return 2;
	case LATE:
		d->due_ms += 40;
		return 1;
	case VERY_LATE:
		d->due_ms += 800;
		return 1;
	default:
		return 1;
	}
}

/* ---- what collides ----------------------------------------------------------------------------------------------- */

static void child_event(struct world *w, unsigned host, enum sad_event_kind kind)
{
	struct keying_child_row row;

	if (keying_child_rows(w->hosts[host].keying, &row, 1) == 0)
		return;
	world_sad_event(w, host, &(struct sad_event){ .kind = kind, .spi = row.spi_out, .pair = row.pair });
}

static void packet(struct world *w, unsigned host)
{
	world_packet(w, host, 6, 1, 1);
}
static void rekey_child(struct world *w, unsigned host)
{
	child_event(w, host, SAD_EXPIRE_SOFT);
}
static void delete_child(struct world *w, unsigned host)
{
	child_event(w, host, SAD_EXPIRE_HARD);
}
static void rekey_ike(struct world *w, unsigned host)
{
	(void)keying_renew(w->hosts[host].keying, KEYING_RENEW_IKE, NULL, w->now_ms);
}
static void prove(struct world *w, unsigned host)
{
	(void)keying_renew(w->hosts[host].keying, KEYING_RENEW_PROOF, NULL, w->now_ms);
}
static void delete_ike(struct world *w, unsigned host)
{
	(void)keying_renew(w->hosts[host].keying, KEYING_RENEW_DELETE, NULL, w->now_ms);
}

static const struct collision {
	const char *name;
	bool begun; /* an IKE SA and a CHILD SA are up before it */
	void (*act[HOSTS])(struct world *w, unsigned host);
} collisions[] = {
	{ "simultaneous initiation", false, { packet, packet } },
	{ "CHILD rekey x CHILD rekey", true, { rekey_child, rekey_child } },
	{ "IKE rekey x IKE rekey", true, { rekey_ike, rekey_ike } },
	{ "CHILD rekey x IKE rekey", true, { rekey_child, rekey_ike } },
	{ "CHILD delete x CHILD rekey", true, { delete_child, rekey_child } },
	{ "CHILD delete x CHILD delete", true, { delete_child, delete_child } },
	{ "CHILD delete x IKE rekey", true, { delete_child, rekey_ike } },
	{ "IKE delete x IKE rekey", true, { delete_ike, rekey_ike } },
	{ "IKE delete x CHILD rekey", true, { delete_ike, rekey_child } },
	{ "IKE delete x IKE delete", true, { delete_ike, delete_ike } },
	{ "new proof x new proof", true, { prove, prove } },
	{ "new proof x IKE rekey", true, { prove, rekey_ike } },
	{ "new proof x CHILD rekey", true, { prove, rekey_child } },
	{ "new proof x IKE delete", true, { prove, delete_ike } },
	{ "restart x restart", true, { world_restart, world_restart } },
};

/* ---- one run ----------------------------------------------------------------------------------------------------- */

static void traffic(struct world *w, uint64_t until_ms, uint64_t every_ms)
{
	while (w->now_ms < until_ms) {
		packet(w, 0);
		packet(w, 1);
		world_run(w, w->now_ms + every_ms);
	}
}

static void expect_same_ike(struct world *w)
{
	struct keying_ike_row rows[HOSTS][4];

	for (unsigned host = 0; host < HOSTS; host++)
		assert_int_equal(keying_ike_rows(w->hosts[host].keying, rows[host], 4), 1);
	assert_true(rows[0][0].spi_i == rows[1][0].spi_i && rows[0][0].spi_r == rows[1][0].spi_r);
}

static const char letters[] = "-xdlL"; /* of the fates */

static void say(const struct collision *c, const struct path *p, unsigned variant)
{
	(void)fprintf(stderr, "%s, variant %u, fates ", c->name, variant);
	for (unsigned i = 0; i < p->depth; i++)
		(void)fputc(letters[p->taken[i]], stderr);
	(void)fputc('\n', stderr);
}

enum { VARIANTS = 8 }; /* whose nonces are lower; who is first; whether ESP is slower than IKE */

static void run(const struct collision *c, struct path *p, unsigned variant)
{
	struct world *w = world_new(world_policy);
	bool restarts = c->act[0] == world_restart;

	p->seen = p->faults = 0;
	p->deciding = false;
	p->esp_late_ms = variant & 4 ? 300 : 0;
	w->quick_keys = true;
	w->wire = wire;
	w->context = p;
	w->hosts[0].nonce_lead = variant & 1 ? 0x80 : 0x40;
	w->hosts[1].nonce_lead = variant & 1 ? 0x40 : 0x80;
	if (c->begun) {
		packet(w, 0);
		world_run(w, 2500);
		packet(w, 1);
		world_run(w, 3000);
		world_expect_one(w, 1);
	}
	p->deciding = true;
	c->act[0](w, 0);
	if (variant & 2)
		world_run(w, w->now_ms + 2);
	c->act[1](w, 1);
	uint64_t begun = w->now_ms;
	traffic(w, begun + 200, 10);
	traffic(w, begun + 3000, 50);
	traffic(w, begun + 12000, 300);
	world_run(w, begun + 40000);
	p->deciding = false;
	unsigned lost = w->hosts[0].esp_lost + w->hosts[1].esp_lost,
		 blind = w->hosts[0].esp_blind + w->hosts[1].esp_blind;
	if (world_ikes(w, 0) != 1 || world_ikes(w, 1) != 1 || world_children(w, 0) != 1 || world_children(w, 1) != 1 ||
	    keying_ike_rows(w->hosts[0].keying, NULL, 0) != 1 || keying_ike_rows(w->hosts[1].keying, NULL, 0) != 1 ||
	    (!restarts && (lost || blind))) {
		say(c, p, variant);
		(void)fprintf(stderr, "lost %u, blind %u\n", lost, blind);
	}
	world_expect_one(w, 1);
	expect_same_ike(w);
	if (!restarts)
		assert_int_equal(lost + blind, 0);
	assert_int_equal(w->hosts[0].released_drop + w->hosts[1].released_drop, 0);
	world_free(w);
}

/* Every pair of the three choices is in this half. */
static const bool in_half[VARIANTS] = { [0] = true, [3] = true, [5] = true, [6] = true };

static unsigned long explore(const struct collision *c, struct bound bound, bool more)
{
	unsigned long runs = 0;

	for (unsigned variant = 0; variant < VARIANTS; variant++) {
		struct path p = { .bound = bound };
		if (!more && !in_half[variant])
			continue;
		do {
			run(c, &p, variant);
			runs++;
		} while (next_path(&p));
	}
	return runs;
}

/* One run again, as say() has written it: CORDON_TEST_FATES="3:---x-----x" of the collision that CORDON_TEST_ONLY
 * names. */
static void again(const struct collision *c, const char *fates)
{
	struct path p = { .bound = { .full = DECISIONS_MOST } };
	const char *at = strchr(fates, ':');

	assert_non_null(at);
	for (at++; *at && p.depth < DECISIONS_MOST; at++) {
		const char *letter = strchr(letters, *at);

		assert_non_null(letter);
		p.taken[p.depth++] = (uint8_t)(letter - letters);
	}
	run(c, &p, (unsigned)strtoul(fates, NULL, 10));
}

static void every_collision_converges_without_loss(void **state)
{
	const char *fates = getenv("CORDON_TEST_FATES");
	bool more = getenv("CORDON_TEST_LONG");
	const char *only = getenv("CORDON_TEST_ONLY");
	struct bound full = { .full = more ? 6 : 2 }, faults = { .reach = more ? 14 : 8, .faults = more ? 2 : 1 };
	unsigned long all = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(collisions); i++) {
		if (only && !strstr(collisions[i].name, only))
			continue;
		if (fates) {
			again(&collisions[i], fates);
			continue;
		}
		unsigned long runs = explore(&collisions[i], full, more) + explore(&collisions[i], faults, more);
		(void)printf("%-30s %8lu runs\n", collisions[i].name, runs);
		(void)fflush(stdout);
		all += runs;
	}
	(void)printf("%-30s %8lu runs\n", "all", all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_collision_converges_without_loss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
