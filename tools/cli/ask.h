/* tools/cli/ask.h - what the commands that speak with cordond have in common. */
#ifndef TOOLS_CLI_ASK_H
#define TOOLS_CLI_ASK_H
#include "control/client.h"
#include "tools/cli/arguments.h"
#include "tools/cli/command.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Where cordond answers: --run-dir, else $CORDON_RUN_DIR, else /run/cordon. */
struct ask {
	const char *run_dir;
	bool json;
};
#define ASK_OPTIONS(ask) \
	{ "--json", &(ask).json, NULL }, \
	{ \
		"--run-dir", NULL, &(ask).run_dir \
	}
#define ASK_HELP \
	"  --json         the answer as JSON (docs/json.md)\n" \
	"  --run-dir DIR  where cordond answers (default /run/cordon)\n"

/* Ask, taking the request over. A reply that says no is printed (as JSON too, if wanted). Returns EXIT_OK with *ret
 * set, or EXIT_FAILED when everything has been said. With --json, prints the reply and leaves *ret NULL. */
int ask_daemon(const struct ask *a, json_t *request, json_t **ret);
/* Print what the daemon refused, and return EXIT_FAILED. */
int ask_refused(const struct ask *a, const json_t *reply);

/* The whole of a command that takes no words but the options above: asks, and has a good reply told. */
int ask_plainly(const struct command *c, int argc, char **argv, enum control_request what,
		void (*tell)(const json_t *reply));

/* Pieces of a reply; "" and 0 where there is nothing. */
const char *ask_text(const json_t *o, const char *name);
uint64_t ask_number(const json_t *o, const char *name);

uint64_t ask_now_ms(void); /* Unix time */
/* "26 days", "41 min", "3 s" */
enum { AGO_TEXT = 32 };
const char *ask_span(uint64_t seconds, char buf[AGO_TEXT]);
/* "90s", "2m", "1h", at most 168h; plain numbers are seconds. */
bool ask_parse_span(const char *text, uint64_t *ret_s);
/* "1.2 GB", "340 kB" */
const char *ask_octets(uint64_t n, char buf[AGO_TEXT]);
/* Local time: "09:02:11" today, else with the date. */
const char *ask_time(uint64_t unix_ms, char buf[AGO_TEXT]);

#endif
