#include "daemon/parts/plane_choice.h"

#include "base/diag.h"
#include "dataplane/xfrm/xfrm.h"

#include <errno.h>
#include <stdio.h>

const char *plane_kind_name(enum gate_plane plane)
{
	return plane == GATE_PLANE_KERNEL ? "kernel" : "userspace";
}

static int choose(struct plane_choice *ret, enum gate_plane plane, const char *why)
{
	ret->plane = plane;
	(void)snprintf(ret->why, sizeof ret->why, "%.*s", PLANE_WHY - 1, why);
	return 0;
}

/* A module that was loaded meanwhile counts, so a kernel that cannot is asked again. */
static bool could;

static int kernel_can(const struct plan *plan, struct diag *why)
{
	int r = could ? 0 : xfrm_probe(why);

	could |= r == 0;

	return r < 0 || !plan ? r : xfrm_fits(plan, why);
}

int plane_choose(enum data_plane wanted, const struct plan *plan, struct plane_choice *ret, struct diag *why)
{
	struct diag cannot = { 0 };
	int r = wanted == DATA_PLANE_USERSPACE ? 0 : kernel_can(plan, &cannot);

	switch (wanted) {
	case DATA_PLANE_USERSPACE:
		return choose(ret, GATE_PLANE_TUN, "this host's page says so");
	case DATA_PLANE_KERNEL:
		if (r < 0)
			return diag_fail(why, r,
					 "data-plane: kernel is not possible here: %s. Nothing is changed; say auto or "
					 "userspace%s",
					 cannot.text,
					 could ? ""
					       : ", or give the kernel what it lacks: the modules xfrm_user, esp4 and "
						 "esp6 (CONFIG_XFRM_USER, CONFIG_INET_ESP, CONFIG_INET6_ESP)");
		return choose(ret, GATE_PLANE_KERNEL, "this host's page says so");
	case DATA_PLANE_AUTO:
		break;
	}
	return r < 0 ? choose(ret, GATE_PLANE_TUN, cannot.text) : choose(ret, GATE_PLANE_KERNEL, "the kernel has ESP");
}
