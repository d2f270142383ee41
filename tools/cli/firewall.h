/* tools/cli/firewall.h - the firewall's part of `cordon show`. */
#ifndef TOOLS_CLI_FIREWALL_H
#define TOOLS_CLI_FIREWALL_H
#include "tools/cli/columns.h"

#include <jansson.h>

#define FIREWALL_HEADING "RULE|ACTION|WAY|>LINE|ONLY|>PACKETS|>OCTETS"
#define FIREWALL_NONE "No firewall rule: no section of the policy rules this host, or it has no rules."

void firewall_columns(struct columns *c, const json_t *row);
/* The defaults, groups, and whoever may drop what a bypass lets in. */
void firewall_say(const json_t *firewall);

#endif
