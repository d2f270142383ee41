#include "tests/guest/xfrm_pair/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *doing;
unsigned failures;

bool check(bool good, const char *what, int line)
{
	if (!good) {
		(void)printf("  FAILED %s: line %d: %s\n", doing, line, what);
		failures++;
	}
	return good;
}

void die(const char *what)
{
	(void)printf("FAILED %s: %s\n", what, strerror(errno));
	exit(1);
}

void shell(const char *command)
{
	if (system(command) != 0)
		die(command);
}

uint64_t now_ms(void *context)
{
	struct timespec t;

	(void)context;
	(void)clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}
