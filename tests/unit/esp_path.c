/* What is known of the ways to peers: many peers at work at once do not make each other ask again. */
#include "tests/unit/unit.h"

#include "dataplane/esp/path.h"

#include <stdlib.h>

enum { PEERS = 10000 };

static uint32_t answer(void *context, const struct addr *local, const struct addr *remote)
{
	(void)local;
	(void)remote;
	++*(unsigned *)context;
	return 1400;
}

static void ten_thousand_peers_hardly_ask_again(void **state)
{
	unsigned asked = 0;
	struct paths *p = calloc(1, sizeof *p);
	const struct addr local = addr_v4(10, 0, 0, 1);

	(void)state;
	assert_non_null(p);
	p->ask = answer;
	p->context = &asked;
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < PEERS; i++) {
			const struct addr remote = addr_v4(10, 1, (uint8_t)(i >> 8), (uint8_t)i);

			assert_int_equal(path_mtu(p, &local, &remote, 1000 + round), 1400);
		}
		assert_in_range(asked, round ? 0 : PEERS, round ? PEERS / 10 : PEERS);
		asked = 0;
	}
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ten_thousand_peers_hardly_ask_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
