#include "tools/lab/neighbours.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { COLUMNS_MOST = 32 };

/* A line of names, then one of hexadecimal numbers for each processor. */
static uint64_t overflows_of(const char *path)
{
	char line[1024], *save, *word;
	FILE *f = fopen(path, "re");
	uint64_t sum = 0;
	int column = -1;

	if (!f)
		return 0;
	for (bool head = true; fgets(line, sizeof line, f); head = false) {
		int at = 0;

		for (word = strtok_r(line, " \n", &save); word && at < COLUMNS_MOST; at++) {
			unsigned long long n;

			if (head && strcmp(word, "table_fulls") == 0)
				column = at;
			if (!head && at == column && sscanf(word, "%llx", &n) == 1)
				sum += n;
			word = strtok_r(NULL, " \n", &save);
		}
	}
	(void)fclose(f);
	return sum;
}

uint64_t neighbours_overflows(void)
{
	return overflows_of("/proc/net/stat/arp_cache") + overflows_of("/proc/net/stat/ndisc_cache");
}
