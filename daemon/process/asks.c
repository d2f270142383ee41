#include "daemon/process/asks.h"

#include "base/scope.h"
#include "daemon/datagram_wire.h"
#include "daemon/keys/messages.h"
#include "daemon/sad_wire.h"
#include "observe/event_wire.h"

enum {
	PARENT = ROLE_BIT(ROLE_PARENT),
	KEYING = ROLE_BIT(ROLE_KEYING),
	KEYS = ROLE_BIT(ROLE_KEYS),
	DATAPLANE = ROLE_BIT(ROLE_DATAPLANE),
	SOURCES = ROLE_BIT(ROLE_SOURCES),
	DRIVER = PARENT | KEYING, /* of keying: the parent, until it has moved out */
	CHILDREN = KEYING | KEYS | DATAPLANE | SOURCES,
};

const struct ask_row asks[ASK_COUNT] = {
	/*               name     from      to        least most fds state */
	[ASK_READY] = { "ready", CHILDREN, PARENT, 0, 0, 0, CHANNEL_NEW },
	[ASK_PEER] = { "peer", PARENT, CHILDREN, 1, 1, 1, CHANNEL_ANY },
	[ASK_EVENT] = { "event", KEYING | DATAPLANE | SOURCES, PARENT, 1, EVENT_WIRE_MOST, 0, CHANNEL_READY },
	[ASK_FORBIDDEN] = { "forbidden", CHILDREN, PARENT, 4, 4, 0, CHANNEL_ANY },

	[ASK_PLANE_FD] = { "plane-fd", PARENT, DATAPLANE, 1, 1, 1, CHANNEL_READY },
	[ASK_PLANE_PLAN] = { "plane-plan", PARENT, DATAPLANE, 0, 0, 1, CHANNEL_READY },
	[ASK_PLANE_BEGIN] = { "plane-begin", PARENT, DATAPLANE, 4, 4, 0, CHANNEL_READY },
	[ASK_PLANE_END] = { "plane-end", PARENT, DATAPLANE, 0, 0, 0, CHANNEL_READY },

	[ASK_SAD_HELLO] = { "sad-hello", DRIVER, DATAPLANE, 0, 0, 0, CHANNEL_READY },
	[ASK_SAD_RESERVE] = { "sad-reserve", DRIVER, DATAPLANE, 18, 8 + 2 * ADDR_WIRE_MOST, 0, CHANNEL_READY },
	[ASK_SAD_RELEASE] = { "sad-release", DRIVER, DATAPLANE, 4, 4, 0, CHANNEL_READY },
	[ASK_SAD_INSTALL] = { "sad-install", DRIVER, DATAPLANE, SPEC_WIRE_LEAST, 8 + SPEC_WIRE_MOST, 0, CHANNEL_READY },
	[ASK_SAD_REMOVE] = { "sad-remove", DRIVER, DATAPLANE, 16, 16, 0, CHANNEL_READY },
	[ASK_SAD_STOP] = { "sad-stop", DRIVER, DATAPLANE, 8, 8, 0, CHANNEL_READY },
	[ASK_SAD_MOVE] = { "sad-move", DRIVER, DATAPLANE, 15, 10 + ADDR_WIRE_MOST, 0, CHANNEL_READY },
	[ASK_SAD_HELD] = { "sad-held", DRIVER, DATAPLANE, 1 + SELECTOR_WIRE_LEAST, 1 + SELECTOR_WIRE_MOST, 0,
			   CHANNEL_READY },
	[ASK_SAD_LOOK] = { "sad-look", DRIVER, DATAPLANE, 0, 0, 0, CHANNEL_READY },
	[ASK_IKE_SEND] = { "ike-send", DRIVER, DATAPLANE, 14, DATAGRAM_WIRE_MOST, 0, CHANNEL_READY },
	[ASK_IKE_KEEP_ALIVE] = { "ike-keep-alive", DRIVER, DATAPLANE, 14, DATAGRAM_WIRE_HEAD, 0, CHANNEL_READY },

	[ASK_SAD_UP] = { "sad-up", DATAPLANE, DRIVER, 0, 0, 0, CHANNEL_READY },
	[ASK_SAD_DOWN] = { "sad-down", DATAPLANE, DRIVER, 0, 0, 0, CHANNEL_READY },
	[ASK_SAD_EVENT] = { "sad-event", DATAPLANE, DRIVER, SAD_EVENT_WIRE_LEAST, SAD_EVENT_WIRE_MOST, 0,
			    CHANNEL_READY },
	[ASK_SAD_ORPHAN] = { "sad-orphan", DATAPLANE, DRIVER, ORPHAN_WIRE_LEAST, ORPHAN_WIRE_MOST, 0, CHANNEL_READY },
	[ASK_SAD_USAGE] = { "sad-usage", DATAPLANE, DRIVER, USAGE_WIRE, USAGE_WIRE *USAGE_WIRE_ROWS, 0, CHANNEL_READY },
	[ASK_SAD_DROPS] = { "sad-drops", DATAPLANE, DRIVER, 8 * DROP_COUNT, 8 * DROP_COUNT, 0, CHANNEL_READY },
	[ASK_IKE_CAME] = { "ike-came", DATAPLANE, DRIVER, 14, DATAGRAM_WIRE_MOST, 0, CHANNEL_READY },

	[ASK_KEYS_BEGIN] = { "keys-begin", PARENT, KEYS, 0, 0, 0, CHANNEL_READY },
	[ASK_KEYS_LOAD] = { "keys-load", PARENT, KEYS, KEYS_LOAD_LEAST, KEYS_LOAD_MOST, 1, CHANNEL_READY },
	[ASK_KEYS_KEEP] = { "keys-keep", PARENT, KEYS, KEYS_KEEP_LEN, KEYS_KEEP_LEN, 0, CHANNEL_READY },
	[ASK_KEYS_SWAP] = { "keys-swap", PARENT, KEYS, KEYS_SWAP_LEN, KEYS_SWAP_LEN, 0, CHANNEL_READY },
	[ASK_KEYS_ANSWER] = { "keys-answer", KEYS, PARENT, KEYS_ANSWER_LEAST, KEYS_ANSWER_MOST, 0, CHANNEL_READY },
	[ASK_KEYS_SIGN] = { "keys-sign", DRIVER, KEYS, KEYS_SIGN_LEAST, KEYS_SIGN_MOST, 0, CHANNEL_READY },
	[ASK_KEYS_PROVE] = { "keys-prove", DRIVER, KEYS, KEYS_PROVE_LEAST, KEYS_PROVE_OCTETS_MOST, 0, CHANNEL_READY },
	[ASK_KEYS_MIX] = { "keys-mix", DRIVER, KEYS, KEYS_MIX_LEAST, KEYS_MIX_MOST, 0, CHANNEL_READY },
	[ASK_KEYS_SIGNED] = { "keys-signed", KEYS, DRIVER, KEYS_SIGNED_LEAST, KEYS_SIGNED_MOST, 0, CHANNEL_READY },
	[ASK_KEYS_PROVEN] = { "keys-proven", KEYS, DRIVER, KEYS_PROVEN_LEN, KEYS_PROVEN_LEN, 0, CHANNEL_READY },
	[ASK_KEYS_MIXED] = { "keys-mixed", KEYS, DRIVER, KEYS_MIXED_LEAST, KEYS_MIXED_MOST, 0, CHANNEL_READY },
	[ASK_KEYS_REFUSED] = { "keys-refused", KEYS, DRIVER, KEYS_REFUSED_LEAST, KEYS_REFUSED_MOST, 0, CHANNEL_READY },
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
