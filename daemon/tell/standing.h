/* daemon/tell/standing.h - why a firewall rule is not in force on this host, in words. */
#ifndef DAEMON_TELL_STANDING_H
#define DAEMON_TELL_STANDING_H
#include "daemon/host/host.h"
#include "policy/policy.h"

enum { STANDING_TEXT = 400 };

struct standing {
	const struct host_facts *facts;
	bool disabled;
	bool tells_programs; /* this kernel and nft can */
	bool has_program;    /* that of the rule */
	bool (*exists)(const char *interface);
};

/* "" if it is in force, and ret_interface names what it waits for, NULL: no interface. */
const char *standing_why(const struct standing *s, const struct firewall_rule *r, const char **ret_interface,
			 char buf[STANDING_TEXT]);

#endif
