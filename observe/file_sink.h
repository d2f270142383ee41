/* observe/file_sink.h - lines into a file that is replaced when it has grown: events.json, events.json.1 and so on. A
 * thread of its own writes, so that a disk that hangs holds up nobody: what does not fit the queue is left out and
 * counted, and so is what a full disk does not take. */
#ifndef OBSERVE_FILE_SINK_H
#define OBSERVE_FILE_SINK_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct diag;
struct file_sink;

enum {
	FILE_SINK_QUEUE = 1 << 20, /* octets that wait to be written */
	FILE_SINK_LINE_MOST = 16384,
	FILE_SINK_RETRY_MS = 1000, /* a file that could not be written is tried again */
	FILE_SINK_CLOSE_MS = 1000, /* how long an end waits for what is queued */
	FILE_SINK_COUNT_MOST = 100,
};

struct file_sink_config {
	const char *path;
	uint64_t size;  /* octets; one line more does not make it longer */
	unsigned count; /* of older files that are kept; 0: none */
	unsigned mode;  /* 0640 */
	gid_t group;    /* who else may read it; -1: nobody */
};

/* The folder is made if need be. Begins even if the file cannot be written now: that may change, and is in the counts.
 */
int file_sink_new(const struct file_sink_config *c, struct file_sink **ret, struct diag *d);
/* What is queued is still written if that goes soon; NULL: nothing. */
void file_sink_free(struct file_sink *s);
/* A line without its end; never waits. false: it was left out. */
bool file_sink_put(struct file_sink *s, const char *line, size_t len);
/* Lines left out since the start; why (of FILE_SINK_WHY octets): in words, the last time. */
enum { FILE_SINK_WHY = 160 };
uint64_t file_sink_lost(struct file_sink *s, char *why);

#endif
