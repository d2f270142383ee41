/* daemon/parts/plane_choice.h - who does ESP: the kernel, or our own process. What the host's page says, what the
 * running kernel can, and whether the policy's rules fit into its selectors. */
#ifndef DAEMON_PARTS_PLANE_CHOICE_H
#define DAEMON_PARTS_PLANE_CHOICE_H
#include "enforce/gate.h"
#include "policy/host_config.h"
#include "policy/plan.h"

struct diag;

enum { PLANE_WHY = 200 };
struct plane_choice {
	enum gate_plane plane;
	char why[PLANE_WHY]; /* "this host's page says so" */
};

/* plan NULL: not known yet. Negative: the page wants what cannot be; `why` says what is missing. */
int plane_choose(enum data_plane wanted, const struct plan *plan, struct plane_choice *ret, struct diag *why);
/* "kernel", "userspace" */
const char *plane_kind_name(enum gate_plane plane);

#endif
