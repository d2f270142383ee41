#include "dataplane/xfrm/stat.h"

#include <string.h>
#include <unistd.h>

enum { TEXT_MOST = 4096 };

/* Documentation/networking/xfrm_proc.rst. Not there: XfrmInError, XfrmOutError and others of which it says "all the
 * rest"; they stand with what is nearest. */
static const struct {
	const char *name;
	enum sad_drop drop;
} rows[] = {
	{ "XfrmInError", DROP_MALFORMED },
	{ "XfrmInBufferError", DROP_MALFORMED },
	{ "XfrmInHdrError", DROP_MALFORMED },
	{ "XfrmInNoStates", DROP_UNKNOWN_SPI },
	{ "XfrmInStateProtoError", DROP_BAD_ICV },
	{ "XfrmInStateModeError", DROP_SELECTOR },
	{ "XfrmInStateSeqError", DROP_REPLAY },
	{ "XfrmInStateExpired", DROP_SEQUENCE_EXHAUSTED },
	{ "XfrmInStateMismatch", DROP_SELECTOR },
	{ "XfrmInStateInvalid", DROP_UNKNOWN_SPI },
	{ "XfrmInTmplMismatch", DROP_POLICY },
	{ "XfrmInNoPols", DROP_POLICY },
	{ "XfrmInPolBlock", DROP_POLICY },
	{ "XfrmInPolError", DROP_POLICY },
	{ "XfrmOutError", DROP_SEND },
	{ "XfrmOutBundleGenError", DROP_SEND },
	{ "XfrmOutBundleCheckError", DROP_SEND },
	{ "XfrmOutNoStates", DROP_NO_SA },
	{ "XfrmOutStateProtoError", DROP_SEND },
	{ "XfrmOutStateModeError", DROP_SEND },
	{ "XfrmOutStateSeqError", DROP_SEQUENCE_EXHAUSTED },
	{ "XfrmOutStateExpired", DROP_NO_SA },
	{ "XfrmOutPolBlock", DROP_POLICY },
	{ "XfrmOutPolDead", DROP_POLICY },
	{ "XfrmOutPolError", DROP_POLICY },
	{ "XfrmFwdHdrError", DROP_MALFORMED },
	{ "XfrmOutStateInvalid", DROP_NO_SA },
	{ "XfrmAcquireError", DROP_NEGOTIATION_FAILED },
};

static void parse_line(const char *line, size_t len, uint64_t ret[DROP_COUNT])
{
	size_t name = 0, at;
	uint64_t value = 0;

	while (name < len && line[name] != ' ' && line[name] != '\t')
		name++;
	for (at = name; at < len && (line[at] == ' ' || line[at] == '\t'); at++)
		;
	for (; at < len && line[at] >= '0' && line[at] <= '9'; at++)
		value = value * 10 + (uint64_t)(line[at] - '0');
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (strlen(rows[i].name) == name && memcmp(rows[i].name, line, name) == 0)
			ret[rows[i].drop] += value;
}

void stat_parse(const char *text, size_t len, uint64_t ret[DROP_COUNT])
{
	while (len) {
		const char *end = memchr(text, '\n', len);
		size_t line = end ? (size_t)(end - text) : len;

		parse_line(text, line, ret);
		text += line;
		len -= line;
		if (len) { /* the end of the line */
			text++;
			len--;
		}
	}
}

bool stat_read(int fd, uint64_t ret[DROP_COUNT])
{
	char text[TEXT_MOST];
	ssize_t n = fd >= 0 ? pread(fd, text, sizeof text, 0) : -1;

	if (n <= 0)
		return false;
	stat_parse(text, (size_t)n, ret);
	return true;
}
