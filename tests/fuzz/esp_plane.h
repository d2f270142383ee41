/* tests/fuzz/esp_plane.h - a plane with one SA of integrity only (so that what is sealed can be read) in each direction
 * and family, between the ends of tests/unit/packets.h; whoever includes it says what may come out. */
#ifndef TESTS_FUZZ_ESP_PLANE_H
#define TESTS_FUZZ_ESP_PLANE_H
#include "base/crypto.h"
#include "base/diag.h"
#include "dataplane/esp/plane.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/flat_plan.h"
#include "tests/unit/packets.h"

#include <stdlib.h>

#ifndef FUZZ_SUITE
#define FUZZ_SUITE "esp-sha256-null"
#endif

static struct child_suite suite;
static struct protection_set protection = { .name = "p", .suites = &suite, .count = 1 };
static const struct auth_set auth = { .name = "a" };
static const struct rule rule = { .name = "r", .mode = MODE_REQUIRE, .auth = &auth, .protection = &protection };
static const struct plan_entry entry = FLAT_ALL(&rule);
static struct plan plan = { &entry, 1, 1 };
static uint32_t spi_in;

static void look(void *context, struct packet_list *out);

static uint64_t fuzz_now_ms(void *context)
{
	static uint64_t now = 1000;

	(void)context;
	return now += 7;
}

static void fuzz_event(void *context, const struct sad_event *e)
{
	(void)context;
	if (e->kind == SAD_SPI_RESERVED)
		spi_in = e->spi;
}

static void fuzz_install(struct sad *s, unsigned family, bool inbound)
{
	const struct addr local = end_of(family, 1), remote = end_of(family, 2);
	struct sa_spec spec = flat_spec(&local, &remote, &suite, &rule);

	spec.spi = 4096;
	spec.inbound = inbound;
	spec.pair = family;
	if (inbound && sad_reserve_spi(s, &spec.local, &spec.remote, 0, NULL) == 0)
		spec.spi = spi_in;
	if (sad_install(s, &spec, 0, NULL) < 0)
		abort();
}

/* As new but for the time: a plane is large, and a fuzzer in a hurry. */
static void fuzz_reset(struct sad *s)
{
	size_t bucket = 0;

	for (struct sa *sa = sa_next(&s->sas, &bucket, NULL); sa; sa = sa_next(&s->sas, &bucket, sa)) {
		uint32_t bits = sa->replay.bits;

		replay_wipe(&sa->replay);
		if (bits)
			replay_init(&sa->replay, bits);
		sa->sequence = sa->octets = 0;
	}
	memset(&s->paths.rows, 0, sizeof s->paths.rows);
}

static struct sad *fuzz_plane(void)
{
	struct plane_config c = { .plan = &plan, .event = fuzz_event, .now_ms = fuzz_now_ms, .flush = look };
	struct sad *s;

	if (child_suite_parse(FUZZ_SUITE, strlen(FUZZ_SUITE), &suite, NULL) < 0 || plane_new(&c, &s, NULL) < 0)
		abort();
	return s;
}

#endif
