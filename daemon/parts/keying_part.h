/* daemon/parts/keying_part.h - the parent's side of keying's process: it gets the IKE sockets, of which the parent
 * keeps duplicates, so that the ports are never free, and what it asks for is decoded here. For parts.c. */
#ifndef DAEMON_PARTS_KEYING_PART_H
#define DAEMON_PARTS_KEYING_PART_H
#include "daemon/process/channel.h"

void keying_came(void *daemon, struct channel *c);
void keying_went(void *daemon);

ask_handler keying_on_fallback, keying_on_secured, keying_on_members, keying_on_keys, keying_on_rekeyed, keying_on_rows;
#define KEYING_HANDLERS \
	[ASK_KEYING_FALLBACK] = keying_on_fallback, [ASK_KEYING_SECURED] = keying_on_secured, \
	[ASK_KEYING_MEMBERS] = keying_on_members, [ASK_KEYING_KEYS] = keying_on_keys, \
	[ASK_KEYING_REKEYED] = keying_on_rekeyed, [ASK_KEYING_ROWS] = keying_on_rows

#endif
