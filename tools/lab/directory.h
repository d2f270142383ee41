/* tools/lab/directory.h - a real Active Directory for the lab: Samba as domain controller on the host with role kdc, in
 * a cell of its own (cell.h), with an account and a keytab for each machine and the groups that the policy names. All
 * of it is made for this lab and goes with it. Inside tools/lab/ only. */
#ifndef TOOLS_LAB_DIRECTORY_H
#define TOOLS_LAB_DIRECTORY_H
#include "base/scope.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct diag;
struct directory;
struct domain;
struct host;
struct network;

struct directory_options {
	const struct domain *domain; /* outlives the directory */
	const struct network *network;
	const char *folder;         /* of the lab */
	const char *keep;           /* Samba's log goes there; NULL: into the lab's folder */
	uint32_t ticket_lifetime_s; /* that machines ask for; 0: as long as they get */
	/* While it works the lab lives: called again and again, ends the work by a negative value. */
	int (*turn)(void *context, int timeout_ms, struct diag *d);
	void *context;
};

/* Folders, passwords and the files of hosts. Starts nothing. */
int directory_new(const struct directory_options *o, struct directory **ret, struct diag *d);
/* Ends what runs, at once. */
void directory_free(struct directory *y);
SCOPE_FREEP(struct directory, directory)

/* The domain is made, filled, and answers. Some seconds; less where CORDON_LAB_CACHE names a folder that has it. */
int directory_make(struct directory *y, struct diag *d);
/* The controller goes off, as if its plug was drawn, and comes back with what it knew. */
void directory_stop(struct directory *y);
int directory_start(struct directory *y, struct diag *d);
bool directory_runs(const struct directory *y);
/* It has ended by itself (SIGCHLD): -ECHILD and words. */
int directory_reap(struct directory *y, struct diag *d);

/* Into the group, out of it; and away with the group. As an administrator would, while it runs or not. */
int directory_member(struct directory *y, const char *group, const struct host *h, bool add, struct diag *d);
int directory_delete_group(struct directory *y, const char *group, struct diag *d);

/* Samba's own page, for its tools on the controller. */
const char *directory_smb_conf(const struct directory *y);
/* krb5.conf, hosts and resolv.conf for whoever is in the domain lie here. */
const char *directory_etc(const struct directory *y);
/* Put the host's keytab and a copy of those files below `root`, the folder that stands for its /. */
extern const char directory_keytab[]; /* as the host's page calls it */
int directory_equip(const struct directory *y, size_t host, const char *root, struct diag *d);
/* A file for a program on such a host: NULL if it has no account. */
const char *directory_keytab_of(const struct directory *y, size_t host);

#endif
