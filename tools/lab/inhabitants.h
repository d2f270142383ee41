/* tools/lab/inhabitants.h - whoever runs in the lab's namespaces when it ends: what `cordon lab exec` began and left in
 * the background. Nobody else can be there, since only the lab has ways into them. */
#ifndef TOOLS_LAB_INHABITANTS_H
#define TOOLS_LAB_INHABITANTS_H
#include <stddef.h>

enum { INHABITANTS_TERM_MS = 500, INHABITANTS_KILL_MS = 1500 };

/* Asks all that are in these network namespaces to end (SIGTERM), and ends who has not after INHABITANTS_TERM_MS.
 * Descriptors below 0, and the namespace that the caller is in, are left out. Returns how many were found. */
size_t inhabitants_end(const int *spaces, size_t count);

#endif
