/* A request is refused or has what its row promises; a reply that is made again parses to the same. */
#include "tests/fuzz/fuzz.h"

#include "base/diag.h"
#include "control/frame.h"
#include "control/schema.h"

#include <stdlib.h>

static void check_promises(enum control_request what, const json_t *request)
{
	const struct control_row *row = &control_requests[what];

	for (size_t i = 0; i < CONTROL_MEMBERS_MOST && row->members[i].name; i++) {
		const json_t *value = json_object_get(request, row->members[i].name);

		if (!value ? row->members[i].required
			   : json_is_string(value) && json_string_length(value) > row->members[i].most)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *octets, size_t len)
{
	enum control_request what;
	json_t *request, *again = NULL;
	uint8_t *frame;
	size_t n = 0;
	struct diag d;

	if (len < FRAME_HEADER || frame_parse(octets + FRAME_HEADER, len - FRAME_HEADER, &request, &d) < 0)
		return 0;
	if (control_check(request, &what, &d) == 0)
		check_promises(what, request);
	frame = frame_make(json_incref(request), &n);
	if (frame &&
	    (frame_length(frame) != n - FRAME_HEADER ||
	     frame_parse(frame + FRAME_HEADER, n - FRAME_HEADER, &again, &d) < 0 || !json_equal(request, again)))
		abort();
	free(frame);
	json_decref(again);
	json_decref(request);
	return 0;
}
