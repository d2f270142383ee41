/* daemon/host/keyfile.h - files of groups and keys as GLib writes them ("[connection]", "zone=home"), which is how
 * NetworkManager keeps its connections. Reads in place, and nothing but what is asked for: for zones.c. */
#ifndef DAEMON_HOST_KEYFILE_H
#define DAEMON_HOST_KEYFILE_H
#include <stdbool.h>
#include <stddef.h>

/* A piece of the file. */
struct keyfile_span {
	const char *at;
	size_t len;
};

/* What follows "key=" on the last line of its kind in this group, without the blanks before it; escapes stay as they
 * are. false: no such line. */
bool keyfile_find(struct keyfile_span file, const char *group, const char *key, struct keyfile_span *ret);
/* Copy it as a word; false: it does not fit, or has a NUL in it. */
bool keyfile_copy(struct keyfile_span value, char *ret, size_t size);

#endif
