/* tests/guest/xfrm_pair/check.h - what a case holds to be true, and the end where nothing can be said any more. */
#ifndef TESTS_GUEST_XFRM_PAIR_CHECK_H
#define TESTS_GUEST_XFRM_PAIR_CHECK_H
#include <stdbool.h>
#include <stdint.h>

/* What is being done, for the line that tells of a failure; and how many there were. */
extern const char *doing;
extern unsigned failures;

#define CHECK(what, ...) check(what, #what, __LINE__)
bool check(bool good, const char *what, int line);
_Noreturn void die(const char *what); /* errno tells why */
void shell(const char *command);      /* or die */
uint64_t now_ms(void *context);

#endif
