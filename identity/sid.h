/* identity/sid.h - security identifiers (MS-DTYP 2.4.2): what a directory calls accounts and groups by, and a bounded
 * list of them as a ticket names them. Values: copy them freely. Pure. */
#ifndef IDENTITY_SID_H
#define IDENTITY_SID_H
#include "base/wire.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct diag;

enum {
	SID_SUBS_MOST = 15,
	SID_TEXT = 4 + 14 + SID_SUBS_MOST * 11 + 1, /* "S-1-0xffffffffffff-4294967295-..." with its end */
	SID_LIST_MOST = 12288,
};

struct sid {
	uint64_t authority; /* 48 bits */
	uint8_t count;      /* of sub, at least 1; the last is the relative identifier (RID) */
	uint32_t sub[SID_SUBS_MOST];
};

/* "S-1-5-21-...": the whole of the n characters. */
int sid_parse(const char *text, size_t n, struct sid *ret, struct diag *d);
const char *sid_text(const struct sid *s, char ret[SID_TEXT]);
bool sid_equal(const struct sid *a, const struct sid *b);
/* The same domain's other member; false where the prefix has no room for one more. */
bool sid_of_rid(const struct sid *domain, uint32_t rid, struct sid *ret);
/* One that a host gives to whom it has seen, or that names no one (BUILTIN, Everyone, integrity levels): what others
 * say of such a one is not believed (MS-PAC 4.1.2.2, always filtered). */
bool sid_is_own(const struct sid *s);
/* As objectSid and tickets have it (MS-DTYP 2.4.2.2): revision, count, authority, sub-authorities in little-endian. */
int sid_decode(const void *octets, size_t n, struct sid *ret, struct diag *d);

/* In messages between our own processes. One that is not well-formed fails the cursor. */
void sid_put(struct wire_out *out, const struct sid *s);
void sid_get(struct wire_in *in, struct sid *ret);

/* A set of SIDs in little room: SIDs that differ in their last number only share what is before it, so 1,500 groups of
 * one domain take 6 kB. All zero is the empty list. Only the functions here look into the octets: of each prefix u8
 * count of its sub-authorities, 6 octets authority, those, u16 how many RIDs, and they. */
struct sid_list {
	uint16_t len;
	bool cut; /* not all fitted: whoever is in an `except` list must be taken to be in it */
	uint8_t octets[SID_LIST_MOST];
};

/* True: it is in the list now; false: it did not fit, and the list says that it is cut. */
bool sid_list_add(struct sid_list *l, const struct sid *s);
bool sid_list_has(const struct sid_list *l, const struct sid *s);
size_t sid_list_count(const struct sid_list *l);

/* struct sid_walk w = { 0 }; while (sid_list_next(l, &w, &sid)) ...  The order is by prefix, each in the order added.
 */
struct sid_walk {
	size_t at;
	uint16_t left; /* RIDs of the prefix that is in `prefix` */
	struct sid prefix;
};
bool sid_list_next(const struct sid_list *l, struct sid_walk *w, struct sid *ret);

/* In messages between our own processes. One that is not well-formed fails the cursor. */
enum { SID_LIST_WIRE_MOST = 3 + SID_LIST_MOST };
void sid_list_put(struct wire_out *out, const struct sid_list *l);
void sid_list_get(struct wire_in *in, struct sid_list *ret);

#endif
