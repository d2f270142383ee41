#include "daemon/process/asks.h"

#include "base/scope.h"
#include "observe/event_wire.h"

enum {
	PARENT = ROLE_BIT(ROLE_PARENT),
	KEYING = ROLE_BIT(ROLE_KEYING),
	KEYS = ROLE_BIT(ROLE_KEYS),
	DATAPLANE = ROLE_BIT(ROLE_DATAPLANE),
	SOURCES = ROLE_BIT(ROLE_SOURCES),
	CHILDREN = KEYING | KEYS | DATAPLANE | SOURCES,
};

const struct ask_row asks[ASK_COUNT] = {
	/*               name     from      to        least most fds state */
	[ASK_READY] = { "ready", CHILDREN, PARENT, 0, 0, 0, CHANNEL_NEW },
	[ASK_PEER] = { "peer", PARENT, CHILDREN, 1, 1, 1, CHANNEL_ANY },
	[ASK_EVENT] = { "event", KEYING | DATAPLANE | SOURCES, PARENT, 1, EVENT_WIRE_MOST, 0, CHANNEL_READY },
	[ASK_FORBIDDEN] = { "forbidden", CHILDREN, PARENT, 4, 4, 0, CHANNEL_ANY },
};

const struct ask_pair ask_pairs[] = {
	{ ROLE_KEYING, ROLE_DATAPLANE },
	{ ROLE_KEYING, ROLE_KEYS },
	{ ROLE_KEYING, ROLE_SOURCES },
};
const size_t ask_pair_count = ARRAY_LEN(ask_pairs);

const char *role_name(enum role r)
{
	static const char *const names[ROLE_COUNT] = { [ROLE_PARENT] = "cordond",
						       [ROLE_KEYING] = "keying",
						       [ROLE_KEYS] = "keys",
						       [ROLE_DATAPLANE] = "dataplane",
						       [ROLE_SOURCES] = "sources" };

	return r < ROLE_COUNT ? names[r] : "nobody";
}
