/* daemon/tell/firewall.h - the policy's firewall as this host has it: its rules, what they let through and stopped, and
 * whoever else may drop what they let in. */
#ifndef DAEMON_TELL_FIREWALL_H
#define DAEMON_TELL_FIREWALL_H
#include "daemon/daemon.h"

#include <jansson.h>

/* A row for each rule of the sections that rule this host. */
void firewall_rows(struct daemon *d, const struct gate_counter *counters, size_t count, json_t *rows);
/* The defaults, the groups and how many are known to be in each, and who may overrule; null: no section rules this
 * host. */
json_t *firewall_frame(struct daemon *d, const struct gate_counter *counters, size_t count);
/* Tables of others that may drop what a bypass lets in; empty without a bypass. */
json_t *firewall_overruled(struct daemon *d);
/* An event for each such table that was not there before. After a policy is in force, and when others change theirs. */
void firewall_look_at_others(struct daemon *d);

/* Rules that are not in force, for want of an interface, a profile or a program: the first few. */
json_t *firewall_waits(const struct daemon *d);
/* Interfaces that the host's page names, and that are not there. */
json_t *firewall_interfaces_missing(const struct daemon *d);

#endif
