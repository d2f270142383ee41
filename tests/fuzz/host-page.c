/* Any octets as a host's own page: refused with words, or read. */
#include "tests/fuzz/fuzz.h"

#include "base/str.h"
#include "base/text.h"
#include "policy/host_config.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	SCOPED(report_freep) struct report *r = report_new();
	SCOPED(host_config_freep) struct host_config *c = NULL;
	SCOPED(str_wipe) struct str words = { 0 };

	if (host_config_parse(text_new("/etc/cordon/host.yaml", (const char *)octets, len), r, &c) < 0 &&
	    report_count(r, SEVERITY_ERROR) == 0)
		abort();
	report_text(r, false, &words);
	return 0;
}
