#include "dataplane/sad.h"

#include "observe/event.h"

#include <stdio.h>

#define DROP(id, name, meaning) [id] = { name, "packets", meaning }

/* Every packet that the plane does not pass on adds one to exactly one of these. */
const struct sad_drop_row sad_drops[DROP_COUNT] = {
	DROP(DROP_NO_SA, "no-sa", "A packet whose SA went while it was under way, or too many peers to wait for"),
	DROP(DROP_HELD_OVERFLOW, "held-overflow", "Waiting for an SA, but too many packets waited already"),
	DROP(DROP_HELD_TIMEOUT, "held-timeout", "Waited for an SA until it was too old to be of use"),
	DROP(DROP_NEGOTIATION_FAILED, "negotiation-failed", "Waited for an SA that could not be negotiated"),
	DROP(DROP_UNKNOWN_SPI, "unknown-spi", "ESP or AH came with an SPI that no SA has"),
	DROP(DROP_BAD_ICV, "bad-icv", "ESP or AH whose check value is wrong: damaged, forged or under another key"),
	DROP(DROP_REPLAY, "replay", "ESP or AH seen before, or older than the replay window"),
	DROP(DROP_MALFORMED, "malformed", "Not a well-formed packet: lengths, padding or headers do not fit"),
	DROP(DROP_FRAGMENT, "fragment",
	     "A fragment was to be sealed, or came sealed; transport mode takes whole packets only"),
	DROP(DROP_SELECTOR, "selector", "Came under an SA whose addresses, protocol or ports are others"),
	DROP(DROP_POLICY, "policy",
	     "Came under an SA that its rule does not allow, or was sent and no rule protects it"),
	DROP(DROP_TOO_BIG, "too-big", "Too big for the path and not to be fragmented; the sender was told"),
	DROP(DROP_SEQUENCE_EXHAUSTED, "sequence-exhausted", "The SA had used up its sequence numbers or octets"),
	DROP(DROP_SEND, "send", "The kernel did not take the packet"),
};

static enum event_id event_of(enum sad_drop why)
{
	switch (why) {
	case DROP_BAD_ICV:
		return EVENT_INTEGRITY_FAILED;
	case DROP_REPLAY:
		return EVENT_REPLAYED;
	case DROP_UNKNOWN_SPI:
		return EVENT_UNKNOWN_SPI;
	default:
		return EVENT_SA_DROP;
	}
}

void sad_drop_tell(const struct sad_event *e, struct event *ret)
{
	const struct sad_drop_row *row = &sad_drops[e->drop];

	*ret = (struct event){
		.id = event_of(e->drop),
		.local = e->packet.local,
		.remote = e->packet.remote,
		.spi = e->spi,
		.direction = EVENT_IN,
		.left_out = e->left_out,
	};
	(void)snprintf(ret->rule, sizeof ret->rule, "%s", e->rule ? e->rule : "");
	(void)snprintf(ret->reason, sizeof ret->reason, "%s", row->name);
	(void)snprintf(ret->text, sizeof ret->text, "%s (SPI %08x)", row->meaning, e->spi);
}
