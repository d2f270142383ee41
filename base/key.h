/* base/key.h - a secret as a value with one owner: it moves, is never shared or printed, and is cleared by scope. */
#ifndef BASE_KEY_H
#define BASE_KEY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEY_MAX = 96 }; /* octets: HMAC-SHA-512 takes 64, AES-256-GCM 36, a P-521 secret 66, two P-384 halves 96 */

struct key {
	size_t len;
	uint8_t octets[KEY_MAX];
};

void key_wipe(struct key *k);

/* Afterwards only *to holds the secret. */
void key_move(struct key *to, struct key *from);

/* false, and *k wiped, when n is over KEY_MAX. */
bool key_set(struct key *k, const void *octets, size_t n);

/* Same octets? In constant time for keys of one length. */
bool key_equal(const struct key *a, const struct key *b);

/* The same for octets that are not keys: check values, cookies. */
bool octets_equal(const void *a, const void *b, size_t n);

#endif
