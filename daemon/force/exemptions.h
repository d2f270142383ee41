/* daemon/force/exemptions.h - the list of temporary exemptions, and the file that keeps it while this boot lasts: a
 * daemon that is started again goes on with it, a machine that is started again does not. Knows no gate and no policy
 * (exempt.h does). */
#ifndef DAEMON_FORCE_EXEMPTIONS_H
#define DAEMON_FORCE_EXEMPTIONS_H
#include "base/addr.h"
#include "base/scope.h"
#include "daemon/force/state.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct diag;

enum {
	EXEMPTIONS_MOST = 64,
	EXEMPTION_ADDRESSES_MOST = 64, /* of one host or zone */
	EXEMPTION_HOST = 128,
	EXEMPTION_REASON = 256,
	EXEMPTION_SHORTEST_S = 10,
};

struct exempted_host {
	char host[EXEMPTION_HOST]; /* as it was asked for: an address, or a name of the policy */
	struct addr addresses[EXEMPTION_ADDRESSES_MOST];
	size_t address_count;
	char reason[EXEMPTION_REASON + 1], by[40];
	uint64_t begun_wall_ms, until_wall_ms; /* to be shown */
	uint64_t until_boot_ms;                /* decides */
};

struct exemptions {
	char *path;
	struct exempted_host rows[EXEMPTIONS_MOST];
	size_t count;
};

/* What the file in that folder says of this boot. *ret_lost: exemptions of an earlier boot, which have ended. A file
 * that cannot be read is as none, and a reason in *why: an exemption less is safe. */
int exemptions_open(const char *folder, const struct state_clock *now, struct exemptions **ret, size_t *ret_lost,
		    struct diag *why);
void exemptions_free(struct exemptions *e);
SCOPE_FREEP(struct exemptions, exemptions)

struct exempted_host *exemptions_find(struct exemptions *e, const char *host);
/* Enter it, in place of the one of the same host. NULL: there are EXEMPTIONS_MOST. */
struct exempted_host *exemptions_put(struct exemptions *e, const struct exempted_host *x);
void exemptions_remove(struct exemptions *e, struct exempted_host *x);
int exemptions_save(const struct exemptions *e, const struct state_clock *now, struct diag *why);

/* The longest of all for this address; 0: none. */
uint64_t exemptions_until_ms(const struct exemptions *e, const struct addr *a);
/* The first that is over, or NULL. */
struct exempted_host *exemptions_over(struct exemptions *e, const struct state_clock *now);
/* When the next is over, by the boot clock; UINT64_MAX: none. */
uint64_t exemptions_next_ms(const struct exemptions *e);

#endif
