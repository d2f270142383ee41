/* enforce/nft.h - the nft program, for whole rulesets: text in by a pipe, its words out. A process of its own, because
 * its library may not share an executable with libcrypto. */
#ifndef ENFORCE_NFT_H
#define ENFORCE_NFT_H
#include <stddef.h>

struct diag;

/* Run `nft -f -` (or, to try only, `nft -c -f -`) on the text, which is one transaction: all of it or nothing. */
int nft_load(const char *text, size_t len, struct diag *d);
int nft_try(const char *text, size_t len, struct diag *d);

/* To be called about every second while nft works, which a large ruleset takes minutes of on a slow machine, and when
 * a signal comes: for whoever has somebody to tell that this process does not hang. */
void nft_while_working(void (*call)(void));

#endif
