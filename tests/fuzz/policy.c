/* Any octets as a policy: refused with words, or loaded, compiled for a host of each family, and asked. */
#include "tests/fuzz/fuzz.h"

#include "base/str.h"
#include "base/text.h"
#include "policy/plan.h"

#include <stdlib.h>

static void ask(const struct plan *plan)
{
	const struct addr *locals;
	size_t n = plan_locals(plan, &locals);

	for (size_t i = 0; i < n; i++) {
		const struct plan_region *regions;
		size_t count = plan_regions(plan, i, &regions);

		for (size_t k = 0; k < count; k++) {
			struct plan_packet packet = {
				.local = locals[i],
				.remote = k % 2 ? regions[k].remote.lo : regions[k].remote.hi,
				.initiator = 1 + k % 2,
				.protocol = k % 3 ? 6 : 17,
				.local_port = 40000,
				.remote_port = 53,
			};
			struct plan_list l = plan_meet(plan, &packet.local, &packet.remote);

			if (l.count == 0) /* a region is there because some rule speaks of it */
				abort();
			(void)plan_lookup(plan, &packet);
			(void)plan_lookup_protecting(plan, &packet);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	SCOPED(report_freep) struct report *r = report_new();
	SCOPED(policy_freep) struct policy *p = NULL;
	SCOPED(str_wipe) struct str words = { 0 };
	const struct policy_load_options o = { .imported = len % 2 };
	struct host_address own[] = { { addr_v4(10, 77, 1, 10), 24 }, { .prefix = 64 } };
	struct plan_host host = { .own = own, .own_count = 2, .contests = len % 3 == 0 };
	SCOPED(plan_freep) struct plan *plan = NULL;

	own[1].addr.family = 6;
	own[1].addr.octets[0] = 0x20;
	own[1].addr.octets[1] = 0x01;
	if (policy_parse(text_new("fuzz.yaml", (const char *)octets, len), &o, r, &p) < 0) {
		if (report_count(r, SEVERITY_ERROR) == 0)
			abort();
	} else if (plan_compile(p, &host, r, &plan) == 0) {
		ask(plan);
	}
	report_text(r, true, &words);
	return 0;
}
