/* daemon/parts/ticket.h - how it stands with this host's Kerberos: what the key holder told of its ticket, and what is
 * to be said of that and of the keytab. */
#ifndef DAEMON_PARTS_TICKET_H
#define DAEMON_PARTS_TICKET_H
#include "daemon/daemon.h"
#include <jansson.h>

ask_handler ticket_on_told;
/* The key holder has gone, and its tickets with it. */
void ticket_forget(struct daemon *d);
/* Does this host prove itself by Kerberos? */
bool ticket_used(const struct daemon *d);
/* For status: {principal, client, keytab, keytab_failure, ticket_until_ms, failure}. */
json_t *ticket_json(const struct daemon *d);

#endif
