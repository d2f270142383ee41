/* tools/lab/offload.h - segmentation offloads of an interface, off: on a wire with them one "packet" of 14 kB stands
 * for ten, and checksums are left for later. */
#ifndef TOOLS_LAB_OFFLOAD_H
#define TOOLS_LAB_OFFLOAD_H

struct diag;

int offload_off(int space, const char *interface, struct diag *d);

#endif
