#include "keying/engine.h"

#define DROP(id, name, meaning) [id] = { name, "messages", meaning }

/* Every IKE message that has no effect adds one to exactly one of these. */
const struct keying_drop_row keying_drops[KEYING_DROP_COUNT] = {
	DROP(KEYING_DROP_MALFORMED, "ike-malformed", "Not a well-formed IKE message: lengths or payloads do not fit"),
	DROP(KEYING_DROP_VERSION, "ike-version",
	     "Another major version of IKE than 1 and 2, or IKEv1 where it is not spoken"),
	DROP(KEYING_DROP_UNKNOWN_SPI, "ike-unknown-spi", "Speaks of an IKE SA that we do not have"),
	DROP(KEYING_DROP_ADDRESS, "ike-address", "Speaks of an IKE SA, but comes from another address than its peer's"),
	DROP(KEYING_DROP_DIRECTION, "ike-direction",
	     "Claims to come from the end that is ours, or the SA has no keys yet"),
	DROP(KEYING_DROP_BAD_ICV, "ike-bad-icv", "The check value is wrong: damaged, forged or under another key"),
	DROP(KEYING_DROP_MESSAGE_ID, "ike-message-id",
	     "A request out of the window, or a reply that no request of ours waits for"),
	DROP(KEYING_DROP_EXCHANGE, "ike-exchange", "An exchange that the IKE SA does not take in its state"),
	DROP(KEYING_DROP_REPEATED, "ike-repeated",
	     "A repeated request, while it is still being worked on, or too soon after its reply was repeated"),
	DROP(KEYING_DROP_FRAGMENT, "ike-fragment",
	     "A fragment that was there already, of a set that is out of date, too many, or not agreed upon"),
	DROP(KEYING_DROP_FRAGMENT_LOST, "ike-fragment-lost",
	     "Fragments whose message did not become whole in time, or had to make room"),
	DROP(KEYING_DROP_INIT_REPLY, "ike-init-reply",
	     "A reply to IKE_SA_INIT that nobody waits for, or that does not fit what was asked"),
	DROP(KEYING_DROP_HALF_OPEN, "ike-half-open",
	     "IKE_SA_INIT while too many IKE SAs are half-open, or we are going"),
	DROP(KEYING_DROP_COOKIE, "ike-cookie", "IKE_SA_INIT without the cookie that we ask for under load"),
	DROP(KEYING_DROP_AGGRESSIVE, "ike-aggressive",
	     "IKEv1's aggressive mode, which shows names and lets pre-shared keys be guessed: never taken"),
	DROP(KEYING_DROP_RATE, "ike-rate", "IKE_SA_INIT from an address that sends too many"),
};

uint64_t keying_dropped(const struct keying *k, enum keying_drop why)
{
	return k->dropped[why];
}
