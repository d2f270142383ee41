/* identity/directory.h - what the directory last said of the names that a policy has for its groups: name -> SID, or
 * that there is no such group, or nothing yet. A value that is made by whoever asks the directory and read by whoever
 * judges a peer (identity/groups). Pure. */
#ifndef IDENTITY_DIRECTORY_H
#define IDENTITY_DIRECTORY_H
#include "base/scope.h"
#include "identity/sid.h"

enum { DIRECTORY_NAME = 256 /* with its NUL */, DIRECTORY_NAMES_MOST = 10000 };

enum directory_state {
	DIRECTORY_NOT_LEARNT, /* nobody could ask yet: nobody is a member for sure, everybody may be */
	DIRECTORY_FOUND,
	DIRECTORY_MISSING, /* there is no such group: likewise */
	DIRECTORY_STATES
};

struct directory_name {
	char text[DIRECTORY_NAME]; /* as the policy has it: "CORP\trusted", "trusted@corp.example", "trusted" */
	enum directory_state state;
	struct sid sid;    /* FOUND */
	uint64_t learnt_s; /* when the directory said so, Unix time; 0: it has not */
};

/* One for each text, whatever its case; in that order. */
struct directory_names;

struct directory_names *directory_names_new(void);
void directory_names_free(struct directory_names *n);
SCOPE_FREEP(struct directory_names, directory_names)
/* Found or made (NOT_LEARNT), valid until the next is added. NULL: the text is empty or too long, or there are too
 * many.
 */
struct directory_name *directory_names_add(struct directory_names *n, const char *text);
/* NULL: it is not among them; also where n is NULL. */
const struct directory_name *directory_names_find(const struct directory_names *n, const char *text);
size_t directory_names_count(const struct directory_names *n);
const struct directory_name *directory_names_at(const struct directory_names *n, size_t i);

/* In messages between our own processes, and on disk. */
enum {
	DIRECTORY_NAME_WIRE_MOST = 2 + DIRECTORY_NAME + 1 + 7 + 4 * SID_SUBS_MOST + 8,
	DIRECTORY_NAMES_WIRE_MOST = 4 + DIRECTORY_NAMES_MOST * DIRECTORY_NAME_WIRE_MOST,
};
void directory_names_put(struct wire_out *out, const struct directory_names *n);
/* NULL: what came is not well-formed, and the cursor has failed. */
struct directory_names *directory_names_get(struct wire_in *in);

#endif
