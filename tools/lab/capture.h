/* tools/lab/capture.h - a capture on every host's wire. Every frame is handed on once, as its sender put it there, and
 * in the order of their time stamps; the files that are kept have both directions. */
#ifndef TOOLS_LAB_CAPTURE_H
#define TOOLS_LAB_CAPTURE_H
#include "base/scope.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct capture;
struct diag;
struct host;
struct judge;
struct network;
struct pollfd;

/* keep: folder for HOST.pcap files, NULL: none. judge may be NULL: only files are written. All outlive the capture. */
int capture_new(const struct network *n, const struct host *hosts, const char *keep, struct judge *judge,
		struct capture **ret, struct diag *d);
void capture_free(struct capture *c); /* closes the files */
SCOPE_FREEP(struct capture, capture)

/* Fill in what poll is to wait for: one row a host. */
void capture_poll(const struct capture *c, struct pollfd *rows);
/* Take everything that has arrived; the judge gets it ORDER_HOLD_MS later, in order. */
void capture_drain(struct capture *c, uint64_t now_ms);
/* The judge gets all that has arrived, since nothing more will be read. */
void capture_finish(struct capture *c);
/* Something waits to be handed on: drain again soon. */
bool capture_holds(const struct capture *c);
/* Frames that the kernel had no room for: with any, no verdict can be trusted. */
size_t capture_lost(const struct capture *c);

#endif
