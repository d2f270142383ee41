/* daemon/keying/rows.h - keying's side of keying_wire.h: what is asked of the engine and of sad.h. */
#ifndef DAEMON_KEYING_ROWS_H
#define DAEMON_KEYING_ROWS_H
#include "daemon/messages/keying_wire.h"

/* k, s NULL: there is no plan, and so there are no rows but those of lists. They are good until the engine's next
 * event. */
void keying_rows_collect(const struct keying *k, const struct sad *s, const struct revocation_lists *lists,
			 struct keying_rows *ret);

#endif
