/* tools/cli/exempt.h - how exemptions for a time are told, by whichever command. */
#ifndef TOOLS_CLI_EXEMPT_H
#define TOOLS_CLI_EXEMPT_H
#include "tools/cli/ask.h"

struct columns;

#define EXEMPT_HEADING "HOST|>LEFT|BY|REASON"
#define EXEMPT_NONE "Nobody is exempted for a time."
enum { EXEMPT_WHO = 256 };

/* Of one row of `show exemptions` (docs/json.md). */
const char *exempt_who(const json_t *row, char buf[EXEMPT_WHO]); /* "srv7 (10.77.1.27)" */
const char *exempt_left(uint64_t s, char buf[AGO_TEXT]);         /* "1 h 12 min" */
void exempt_columns(struct columns *c, const json_t *row);

#endif
