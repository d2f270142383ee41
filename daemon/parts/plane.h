/* daemon/parts/plane.h - the parent's side of the data plane's process: it opens the devices and sockets, keeps copies
 * of all, and hands them on, so that device, routes and ports are there whatever becomes of the child, and the next one
 * goes on with them. What packets bring it never sees. */
#ifndef DAEMON_PARTS_PLANE_H
#define DAEMON_PARTS_PLANE_H
#include "base/scope.h"
#include "daemon/messages/plan_wire.h"
#include "daemon/process/channel.h"
#include "enforce/gate.h"

struct children;
struct diag;
struct plane;
struct sockets;

/* netlink: what the child's part (children.h) says of it. */
struct plane *plane_new(uv_loop_t *loop, const struct gate_config *gate, const struct sockets *sockets,
			struct children *const *children, const char *state_dir, bool *netlink);
void plane_close(struct plane *p); /* or NULL; memory goes with the loop's next turn */

/* Opens what the plane of this kind works on, so that whatever is missing is said before anything is changed. Nothing
 * flows yet; one of the other kind goes on. Once more is no error. workers: of the userspace plane (crew.h), 0: as many
 * as suit this machine; one where the kernel cannot deal packets out to several. */
int plane_open(struct plane *p, enum gate_plane kind, unsigned workers, struct diag *d);
/* How many the userspace plane has; 0: it is not open. *ret_why: why there is one though more were wanted, or NULL. */
unsigned plane_workers(const struct plane *p, const char **ret_why);
/* Was the userspace plane opened with another number than that one? */
bool plane_workers_wait(const struct plane *p, unsigned workers);
/* It comes to nothing: the other goes on. */
void plane_shut(struct plane *p, enum gate_plane kind);
/* The plan to be used from now on; a reference is taken. */
void plane_set_plan(struct plane *p, struct plan_file *plan);
/* Packets flow, as soon as there is a child, by the plane of this kind, which is open. The other ends: its SAs go, and
 * nothing of it stays in the kernel, nor of one that was killed. The ruleset in force is that of this kind. */
void plane_begin(struct plane *p, enum gate_plane kind);
/* SAs and devices go. */
void plane_end(struct plane *p);

/* The child is ready; it is gone. */
void plane_came(struct plane *p, struct channel *c);
void plane_went(struct plane *p);
/* It has said that packets flow, by the plane that it was told to begin last. */
void plane_begun(struct plane *p);
/* Nothing is to flow, or it does. Until then what the kernel's plane would hold for an SA is lost. */
bool plane_works(const struct plane *p);

#endif
