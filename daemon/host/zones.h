/* daemon/host/zones.h - into which zone NetworkManager has put each interface. It keeps for each device that it manages
 * the connection in use (/run/NetworkManager/devices/INDEX), and the connections in files, of which we read two keys.
 * For host.c; docs/decisions/zones.md says why files.
 *
 * The files are root's. Whatever is not (or could be written by others, or is no regular file, or is huge, or reached
 * by a symbolic link) counts as not there: no zone is told then, and an interface without one is in no profile of a
 * zone's. */
#ifndef DAEMON_HOST_ZONES_H
#define DAEMON_HOST_ZONES_H
#include "daemon/host/host.h"
#include "daemon/host/keyfile.h"

/* Fill in the zones of all places. root: prefix of the files that are read, NULL: none. */
void zones_read(const char *root, struct host_facts *f);

/* Folders in which something changes when a zone does, without the prefix. */
enum { ZONE_FOLDERS = 5 };
extern const char *const zone_folders[ZONE_FOLDERS];

/* The formats, for themselves. A device's file names its connection; false: none that could be one. */
enum { ZONE_UUID_TEXT = 40 };
bool zone_device_parse(struct keyfile_span file, char ret_uuid[ZONE_UUID_TEXT]);
/* A connection's file names itself and its zone: ZONE_NONE, ZONE_ODD or ZONE_NAMED; false: it does not say whose it is.
 */
bool zone_connection_parse(struct keyfile_span file, char ret_uuid[ZONE_UUID_TEXT], struct zone_told *ret);

#endif
