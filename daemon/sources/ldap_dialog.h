/* daemon/sources/ldap_dialog.h - one conversation with a domain controller: who it is, Kerberos by SASL (RFC 4752) with
 * everything sealed from then on, the questions one after the other, good-bye. Pure: no socket, no clock, no key. What
 * it wants done it says by its doors, and is told what came of it by the functions below; at most one thing is wanted
 * of the guard at a time. */
#ifndef DAEMON_SOURCES_LDAP_DIALOG_H
#define DAEMON_SOURCES_LDAP_DIALOG_H
#include "base/crypto.h"
#include "base/diag.h"
#include "daemon/messages/directory_wire.h"

struct ldap_dialog;

enum { LDAP_SEALED_MOST = 4096 /* octets that are sealed, or were, at once */, LDAP_TARGET = 320 };

struct ldap_doors {
	void *context;
	void (*send)(void *context, const void *octets, size_t n);
	/* The guard: a GSS-API context with the server. Answered by ldap_dialog_stepped or _guarded, not from in here.
	 */
	void (*step)(void *context, const char *target, struct octets token); /* target: of the first; else NULL */
	void (*wrap)(void *context, struct octets text, bool seal);           /* else it is signed only */
	void (*unwrap)(void *context, struct octets text);
	/* The end. replies: whose it is from now on; NULL: it failed, and why. Nothing is called after it. */
	void (*done)(void *context, struct directory_replies *replies, const struct diag *why);
};

/* The task stays the caller's and there. Sends its first question. */
struct ldap_dialog *ldap_dialog_new(const struct directory_task *task, const struct ldap_doors *doors);
void ldap_dialog_free(struct ldap_dialog *g);
SCOPE_FREEP(struct ldap_dialog, ldap_dialog)

void ldap_dialog_received(struct ldap_dialog *g, const void *octets, size_t n);
/* why: NULL, or why there is no token. */
void ldap_dialog_stepped(struct ldap_dialog *g, struct octets token, bool complete, const struct diag *why);
void ldap_dialog_guarded(struct ldap_dialog *g, struct octets text, const struct diag *why);

#endif
