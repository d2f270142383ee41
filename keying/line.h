/* keying/line.h - where a CHILD SA comes from: itself, the one that it replaced, the one before. When both ends renew
 * one SA at the same time there are two lines, and both ends must end the same one, however often either has been
 * renewed since: so it is decided where the lines part, by the nonces that were drawn there (RFC 7296 2.8.1). Inside
 * keying/ only. */
#ifndef KEYING_LINE_H
#define KEYING_LINE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINE_MOST = 8 }; /* generations that are remembered */

struct line;

/* A new generation after `before`; NULL: the first. */
struct line *line_new(struct line *before);
/* Beside another one: of the same generation, from the same parent. */
struct line *line_beside(struct line *l);
struct line *line_ref(struct line *l);
void line_free(struct line *l); /* drops one reference; NULL is fine */

/* Both nonces of its exchange, once they are known. */
void line_drawn(struct line *l, const void *nonce_i, size_t len_i, const void *nonce_r, size_t len_r);

/* Do the two stem from one SA (that is remembered)? */
bool line_related(const struct line *a, const struct line *b);
/* Of two that are one too many: does a's line stay? The one that was made with the lowest nonce goes; of an SA and one
 * that stems from it the younger stays. */
bool line_stays(const struct line *a, const struct line *b);

#endif
