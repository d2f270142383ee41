/* daemon/process/memory_file.h - a message too long for a channel: octets in a sealed memory file (memfd) that goes
 * beside it. Who made it can change it no more; who reads it takes a copy first and trusts nothing in it. */
#ifndef DAEMON_PROCESS_MEMORY_FILE_H
#define DAEMON_PROCESS_MEMORY_FILE_H
#include "base/wire.h"

struct diag;
struct octets;
struct text;

/* What puts the octets; called again with more room as long as they do not fit. */
typedef void memory_file_put(struct wire_out *out, const void *what);

/* Returns the descriptor. -E2BIG: more than `most` octets. */
int memory_file_make(const char *name, size_t most, memory_file_put *put, const void *what, struct diag *d);
/* Of octets that are there already, one part behind the other. */
int memory_file_of(const char *name, const struct octets *parts, size_t count, struct diag *d);
/* fd stays the caller's. More than `most`, or a file that can still change: -ERR_SYNTAX. */
int memory_file_read(int fd, size_t most, struct text **ret, struct diag *d);
/* Of a file on disk, that the parent has opened: whoever writes it puts another in its place. */
int memory_file_read_disk(int fd, size_t most, struct text **ret, struct diag *d);

#endif
