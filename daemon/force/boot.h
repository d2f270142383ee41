/* daemon/force/boot.h - the rules while there is no cordond: before the network is up, and when it cannot start. The
 * ruleset in force is kept in the state folder as nft text, for the addresses that the host had; what comes with
 * another address is judged by the ruleset itself (enforce/newcomer.c): closed to whom a rule protects, open to the
 * rest. */
#ifndef DAEMON_FORCE_BOOT_H
#define DAEMON_FORCE_BOOT_H
#include "daemon/daemon.h"

/* The file's name in the state folder. `nft -f` takes it, should there be no cordond that works. */
#define BOOT_RULES "boot.nft"

/* The plan has come into force, or (NULL) none is. What cannot be written is said, and changes nothing. */
void boot_keep(struct daemon *d, const struct plan *plan);

/* Load what is kept of the version that a start would go by; where it is of another, or there is none, compile that
 * version. A table that is there already is left alone, and while protection is disabled nothing is loaded. Wants
 * d->options, and for compiling d->config (NULL: it cannot). Sockets, TUN and the network are not needed. */
int boot_load(struct daemon *d, struct diag *why);

#endif
