/* Two hosts in one process, a kernel plane in each, and nobody but the test to make keys. Runs as root in a guest whose
 * kernel has IPsec; cases print a line each, and what leaves without protection is seen by a packet socket on the wire.
 * XFRM_PAIR_SHOW=1 tells what is heard and seen.
 *
 * usage: xfrm-pair [CASE] */
#include "tests/guest/xfrm_pair/cases.h"
#include "tests/guest/xfrm_pair/hosts.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "every-suite", every_suite },
	{ "nothing-clear", nothing_clear_without_an_sa },
	{ "several-wait", several_wait_at_one_policy },
	{ "asks-again", failing_asks_again },
	{ "falls-back", falls_back },
	{ "most-specific", the_most_specific_wins },
	{ "clear-in", clear_is_not_let_in },
	{ "expires", expires },
	{ "tunnels", tunnels },
	{ "rekey", rekeys_lose_nothing },
	{ "new-plan", a_new_plan },
	{ "many-hosts", many_hosts },
	{ "others", others_are_left_alone },
	{ "flushed", what_others_remove_comes_back },
	{ "unknown-spi", unknown_spis_are_heard },
};

int main(int argc, char **argv)
{
	struct diag d = { 0 };

	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	network_up();
	if (xfrm_probe(&d) < 0) {
		(void)printf("skipped: %s\n", d.text);
		return 77;
	}
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		unsigned before = failures;
		uint64_t began = now_ms(NULL);

		if (argc > 1 && strcmp(argv[1], cases[i].name) != 0)
			continue;
		doing = cases[i].name;
		cases[i].run();
		(void)printf("%s %s (%u ms)\n", failures > before ? "FAILED" : "ok", cases[i].name,
			     (unsigned)(now_ms(NULL) - began));
	}
	return failures ? 1 : 0;
}
