/* tools/lab/member.h - the programs of the twin: on each host that runs IPsec, one cordond with its own page,
 * certificates, pre-shared keys and folders; on the others nothing. All secrets are made for this lab and go with it.
 */
#ifndef TOOLS_LAB_MEMBER_H
#define TOOLS_LAB_MEMBER_H
#include "base/scope.h"
#include "policy/policy.h"
#include <stdbool.h>
#include <sys/types.h>

struct diag;
struct domain;
struct members;
struct network;

struct members_options {
	const struct policy *policy;
	const char *policy_path;     /* absolute */
	const char *folder;          /* of the lab */
	const char *keep;            /* logs and keys go there; NULL: logs into the lab's folder, keys nowhere */
	const char *cordond;         /* the program */
	bool own_policies;           /* each host has a copy of the policy, that can be replaced */
	const struct domain *domain; /* who is in it gets a page that says so */
};

/* Folders, certificates and keys of every host. Starts nothing. */
int members_new(const struct members_options *o, const struct network *n, struct members **ret, struct diag *d);
/* Ends what still runs, at once. */
void members_free(struct members *m);
SCOPE_FREEP(struct members, members)

size_t members_certificates(const struct members *m);
/* The folder that stands for a host's /; NULL: no cordond runs there. */
const char *member_root(const struct members *m, size_t host);
/* Where a host's cordond has its control socket; NULL: none runs there. */
const char *member_run_dir(const struct members *m, size_t host);

int members_start(struct members *m, struct diag *d);
/* Readable when some cordond said that it is ready; then members_hear. */
int members_ready_fd(const struct members *m);
void members_hear(struct members *m);
size_t members_waited_for(const struct members *m); /* that are not ready yet */
/* "dc1, srv1" of those, for a message. */
const char *members_first_waited_for(const struct members *m);

/* A child has ended (SIGCHLD). -ECHILD and words if it was one of ours and was not told to. */
int members_reap(struct members *m, struct diag *d);
/* kill -9, and start it again: then it is waited for. The latter does nothing where it runs. */
void member_kill(struct members *m, size_t host);
int member_start(struct members *m, size_t host, struct diag *d);
/* Its Kerberos tickets live in a process of cordond's, which is ended and comes back without them. */
int member_forget_tickets(struct members *m, size_t host, struct diag *d);
/* With own_policies: the file that the host's cordond takes its policy from. */
int member_replace_policy(struct members *m, size_t host, const char *file, struct diag *d);

/* Tell all to end, and wait. -ECHILD and words if one ended badly: a crash, a sanitizer's finding. */
int members_stop(struct members *m, struct diag *d);
/* Print the end of a host's log that a message of members_reap or members_stop was about. */
void members_print_log(const struct members *m);

#endif
