/* daemon/dataplane/plane_kind.h - the planes there are, as a table of what is different about each. All else they have
 * in sad.h. Of each call's planes `sad` is the whole, and `own` what packets of the loop's thread go to. */
#ifndef DAEMON_DATAPLANE_PLANE_KIND_H
#define DAEMON_DATAPLANE_PLANE_KIND_H
#include "dataplane/sad.h"
#include "dataplane/xfrm/xfrm.h"

struct diag;
struct plane_running;

struct plane_marks {
	uint32_t own;
	struct xfrm_clear_mark clear; /* of the kernel's plane */
};

struct plane_kind {
	bool seals; /* by AES-GCM of this process */
	int (*make)(struct plane_running *r, const struct plane_marks *m, struct sad **ret, struct diag *d);
	struct sad *(*own)(struct sad *sad);
	/* When the loop is to call. */
	int (*fd)(const struct sad *own);
	void (*readable)(struct sad *own);
	uint64_t (*deadline)(const struct sad *own);
	void (*tick)(struct sad *own);
	int (*news_fd)(const struct sad *sad); /* of other threads; -1: there are none */
	void (*news)(struct sad *sad);
	/* What has come to one of the sockets of UDP 4500 in the loop's thread. */
	void (*read_udp)(struct plane_running *r, size_t socket);
	/* What the parent and keying have it do. */
	void (*set_tun)(struct sad *sad, unsigned worker, int fd); /* takes fd */
	void (*set_plan)(struct sad *sad, struct plan *plan);
	void (*ask_again)(struct sad *sad);
	void (*leave)(struct sad *sad); /* before the end for good: what would outlive it goes; NULL: nothing does */
};

extern const struct plane_kind plane_alone, plane_crew; /* the userspace plane: in one thread, in several */
extern const struct plane_kind plane_kernel;

#endif
