/* tools/cli/live.h - what the cordond that runs here knows of two addresses, one of which is its own. */
#ifndef TOOLS_CLI_LIVE_H
#define TOOLS_CLI_LIVE_H
#include "analysis/ends.h"
#include "base/addr.h"
#include "base/mem.h"
#include <jansson.h>

struct str;

/* Rows of docs/json.md, the caller's: that of `show peers` about the other one, and that of `show exemptions` about one
 * of the two. NULL: nobody answers, or it knows nothing. */
struct live_answer {
	json_t *peer, *exempted;
	unsigned own; /* which of the two is the daemon's own: 0 or 1; where there is a peer */
};
/* run_dir: of --run-dir; NULL: $CORDON_RUN_DIR, else /run/cordon. */
struct live_answer live_ask(const char *run_dir, const struct addr *a, const struct addr *b);
/* The file that the policy in force was read from, to be freed; NULL: nobody answers, or none is in force. */
char *live_policy(const char *run_dir);
/* The groups that the daemon knows the peer to be in, valid while the row and the memory are. false: it has not proven
 * who it is. */
bool live_groups(const json_t *row, struct arena *memory, struct known_groups *ret);
/* Of whom the daemon takes the peer for, and since when; nothing where it has not proven itself. */
void live_membership_words(const json_t *row, struct str *out);
void live_exempted_words(const json_t *row, struct str *out);
/* stopped: the firewall drops what was asked about all the same. As a sentence: "main mode failed 40 s ago
 * (usage-missing), ...". */
void live_words(const json_t *row, bool stopped, struct str *out);

#endif
