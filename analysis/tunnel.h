/* analysis/tunnel.h - the tunnels that traffic between two addresses goes through: who stands for each side, the
 * machine itself or the gateway that it is behind, and what becomes of the traffic between them. Each is judged by its
 * own plan. For why.c. */
#ifndef ANALYSIS_TUNNEL_H
#define ANALYSIS_TUNNEL_H
#include "analysis/why.h"

/* The distinct addresses that tunnel rules name as their ends; free() it. */
struct addr *tunnel_gateways(const struct policy *p, size_t *ret_count);

/* own: what won at the two machines themselves. false: no tunnel has to do with it. */
bool tunnel_judge(struct why *w, const struct addr *gateways, size_t count, const struct why_point *k,
		  const struct why_side own[2], struct why_tunnel *ret);

#endif
