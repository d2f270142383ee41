/* tools/cli/live.h - what the cordond that runs here knows of two addresses, one of which is its own. */
#ifndef TOOLS_CLI_LIVE_H
#define TOOLS_CLI_LIVE_H
#include "base/addr.h"
#include <jansson.h>

struct str;

/* The row of `show peers` (docs/json.md) about the other one, the caller's; NULL: nobody answers, or it knows nothing.
 */
json_t *live_peer(const struct addr *a, const struct addr *b);
/* As a sentence: "main mode failed 40 s ago (usage-missing), ...". */
void live_words(const json_t *row, struct str *out);

#endif
