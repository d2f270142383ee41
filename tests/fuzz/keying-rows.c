/* What keying tells of itself: whatever comes, what is taken can be shown. */
#include "tests/fuzz/fuzz.h"

#include "daemon/messages/keying_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	struct wire_in in = wire_in(octets, len);
	struct keying_rows rows = { 0 };
	char text[SUITE_TEXT];

	if (keying_rows_decode(&in, 1, NULL, &rows, NULL) < 0)
		return 0;
	for (size_t i = 0; i < rows.ike_count; i++)
		if (rows.ike[i].suite.encr)
			(void)ike_suite_text(&rows.ike[i].suite, text);
	for (size_t i = 0; i < rows.child_count; i++)
		(void)child_suite_text(&rows.children[i].suite, text);
	for (size_t i = 0; i < rows.failure_count; i++)
		(void)failure_brief(rows.failures[i].code);
	keying_rows_wipe(&rows);
	return 0;
}
