#include "control/frame.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/wire.h"
#include "control/schema.h"

#include <stdlib.h>

size_t frame_length(const uint8_t header[FRAME_HEADER])
{
	struct wire_in in = wire_in(header, FRAME_HEADER);
	size_t n = wire_u32(&in);

	return n > CONTROL_FRAME_MOST ? 0 : n;
}

uint8_t *frame_make(json_t *value, size_t *ret_len)
{
	size_t n = json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
	uint8_t *frame = NULL;
	struct wire_out out;

	if (n > 0 && n <= CONTROL_FRAME_MOST) {
		frame = mem_new(FRAME_HEADER + n, 1);
		out = wire_out(frame, FRAME_HEADER);
		wire_put_u32(&out, (uint32_t)n);
		(void)json_dumpb(value, (char *)frame + FRAME_HEADER, n, JSON_COMPACT | JSON_ENCODE_ANY);
		*ret_len = FRAME_HEADER + n;
	}
	json_decref(value);
	return frame;
}

int frame_parse(const uint8_t *text, size_t len, json_t **ret, struct diag *d)
{
	json_error_t error;
	json_t *value = json_loadb((const char *)text, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);

	if (!value)
		return diag_fail(d, ERR_SYNTAX, "not JSON: %s", error.text);
	*ret = value;
	return 0;
}
