/* daemon/force/change.h - changing the policy so that nobody is locked out: apply, on probation if wanted, confirm,
 * roll back, and what has to be done about it after a crash. What is in force and what the state folder says agree at
 * every moment at which the process can die: the folder is written first, and is what a restart goes by. */
#ifndef DAEMON_FORCE_CHANGE_H
#define DAEMON_FORCE_CHANGE_H
#include "daemon/daemon.h"
#include "daemon/force/force.h"

struct change {
	struct text *text; /* taken over */
	const char *path, *by;
	uint32_t confirm_s; /* 0: at once and for good */
	bool force;
	const char *ssh; /* the caller's SSH_CONNECTION, NULL: none */
};

/* How the caller's own connection fares under the new policy. */
struct ssh_fate {
	bool known;
	struct addr peer;
	enum outcome outcome; /* what the rule asks for */
	bool cut;             /* it would be dropped, or it cannot be known that it would not */
	char rule[128];
};
struct ssh_fate ssh_fate(const struct daemon *d, const struct plan *plan, const char *ssh);

struct change_result {
	uint32_t version;
	struct ssh_fate ssh;
	bool refused_ssh;
};

/* On failure *c holds the report of what is wrong with the policy, if that is what is wrong. */
int change_apply(struct daemon *d, struct change *change, struct candidate *c, struct change_result *ret,
		 struct diag *why);
int change_confirm(struct daemon *d, const char *by, uint32_t *ret_version, struct diag *why);
/* version 0: the one before. */
int change_rollback(struct daemon *d, uint32_t version, const char *by, uint32_t *ret_version, struct diag *why);
int change_disable(struct daemon *d, const char *by, const char *reason, struct diag *why);
int change_enable(struct daemon *d, const char *by, struct diag *why);
/* Look at the source: has it changed since it was last taken, apply it. *ret_changed says whether. */
int change_refresh(struct daemon *d, const char *by, bool *ret_changed, struct diag *why);
/* All that this host reads: its page, then the source, then certificates and keys. The first that is wrong is told by
 * *why and leaves what there was; the others are read nevertheless. */
int change_reload(struct daemon *d, const char *by, bool *ret_changed, struct diag *why);

/* At start: what was pending too long is taken back, a changed source is taken, the policy is put in force. */
int change_start(struct daemon *d, struct diag *why);

#endif
