/* tools/lab/neighbours.h - the kernel's table of neighbours, which all namespaces of a machine share. When it is full,
 * packets to new neighbours are dropped without a word to anyone, and a lab sees nothing but silence. */
#ifndef TOOLS_LAB_NEIGHBOURS_H
#define TOOLS_LAB_NEIGHBOURS_H
#include <stdint.h>

/* How often it was full since the machine started. */
uint64_t neighbours_overflows(void);

#endif
