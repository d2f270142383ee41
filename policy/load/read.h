/* policy/load/read.h - values of the language read from YAML nodes: words, numbers, durations, choices, mappings of
 * known keys. Each says in the report what is wrong and returns false; the caller goes on, so that one run finds
 * several mistakes. For the loaders of policy/ only. */
#ifndef POLICY_LOAD_READ_H
#define POLICY_LOAD_READ_H
#include "base/mem.h"
#include "policy/load/yaml.h"

struct reading {
	const struct yaml *y;
	struct report *r;
	struct arena *memory; /* what the values are copied into */
};

/* An error at a node; the first form of every finding here. */
struct finding *read_error(const struct reading *rd, const char *code, uint32_t node, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

struct map_key {
	const char *name;
	bool required;
};

/* A mapping of known keys: ret[i] is the value of keys[i], 0 if it is not there. `what` names it in errors ("a rule").
 * An unknown or repeated key is an error; so is a missing one that is required. */
bool read_map(const struct reading *rd, uint32_t node, const char *what, const struct map_key *keys, size_t n,
	      uint32_t *ret);

/* The children of a list, or a lone value as a list of one: for (i = item_first(..); i; i = item_next(..)). */
uint32_t item_first(const struct reading *rd, uint32_t node);
uint32_t item_next(const struct reading *rd, uint32_t node, uint32_t item);
size_t item_count(const struct reading *rd, uint32_t node);

/* Pairs of a mapping whose keys are the user's names. pair is the key's node; the value is its next. */
bool read_pairs(const struct reading *rd, uint32_t node, const char *what);
uint32_t pair_first(const struct reading *rd, uint32_t node);
uint32_t pair_next(const struct reading *rd, uint32_t pair);
uint32_t pair_value(const struct reading *rd, uint32_t pair);

bool node_is_map(const struct reading *rd, uint32_t node);
/* A scalar with this text, written plain? */
bool node_is(const struct reading *rd, uint32_t node, const char *text);

/* A word, not empty, in place. */
bool read_word(const struct reading *rd, uint32_t node, const char *what, const char **ret, size_t *ret_len);
bool read_string(const struct reading *rd, uint32_t node, const char *what, const char **ret); /* a copy */
/* Printable, without spaces and without any of these: what may stand in a ruleset as it is. Not empty. */
bool text_plain(const char *text, const char *forbidden);
bool read_interface(const struct reading *rd, uint32_t node, const char **ret); /* the name of one */
bool read_bool(const struct reading *rd, uint32_t node, const char *what, bool *ret);
bool read_number(const struct reading *rd, uint32_t node, const char *what, uint64_t most, uint64_t *ret);
/* "90s", "2h", "500ms" or 0. */
bool read_duration_ms(const struct reading *rd, uint32_t node, const char *what, uint64_t *ret);
/* The same where a word may stand instead; or_else tells it to who wrote neither: ", or never". */
bool read_duration_ms_or(const struct reading *rd, uint32_t node, const char *what, const char *or_else, uint64_t *ret);
bool read_octets(const struct reading *rd, uint32_t node, const char *what, uint64_t *ret); /* "100GB" */

struct choice {
	const char *name;
	unsigned value;
};
bool read_choice(const struct reading *rd, uint32_t node, const char *what, const struct choice *choices, size_t n,
		 unsigned *ret);
/* One or a list of them, joined by "or". */
bool read_choices(const struct reading *rd, uint32_t node, const char *what, const struct choice *choices, size_t n,
		  unsigned *ret);

#endif
