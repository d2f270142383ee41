/* What this host can prove, and whom it trusts: from the parent, but read like anybody's. */
#include "tests/fuzz/fuzz.h"

#include "base/report.h"
#include "base/text.h"
#include "daemon/messages/proofs_wire.h"

#include <string.h>

static const char policy_text[] = "cordon: 1\n"
				  "authentication:\n"
				  "  a: [ { pre-shared-key: { file: /etc/a } } ]\n"
				  "  b: [ { pre-shared-key: { file: /etc/b } } ]\n";

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	static struct policy *policy;
	static struct report *report;
	struct wire_in in = wire_in(octets, len);
	struct received_proofs proofs = { 0 };

	if (!report) {
		report = report_new();
		(void)policy_parse(text_new("p", policy_text, sizeof policy_text - 1),
				   &(struct policy_load_options){ 0 }, report, &policy);
	}
	if (policy && proofs_decode(&in, policy, &proofs, NULL) == 0)
		received_proofs_wipe(&proofs);
	return 0;
}
