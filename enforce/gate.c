#include "enforce/gate.h"

const struct gate_config gate_default = {
	.mark_mask = 0x0f000000,
	.mark_protect = 0x01000000,
	.mark_own = 0x02000000,
	.mark_from_tun = 0x03000000,
	.mark_way = 0x0c000000,
	.ct_secured = 0x01000000,
	.route_table = 100,
	.rule_priority = 100,
	.tun = "cordon0",
	.nflog_group = 100,
	.mtu = 1500,
};
