/* daemon/messages/directory_wire.h - what the parent wants to know of the directory, on its way to the process that
 * asks it, and the answers on their way back. The parent takes them for what an outsider might have written. */
#ifndef DAEMON_MESSAGES_DIRECTORY_WIRE_H
#define DAEMON_MESSAGES_DIRECTORY_WIRE_H
#include "base/addr.h"
#include "base/scope.h"
#include "identity/directory.h"

struct diag;

enum {
	DIRECTORY_SERVERS_MOST = 16,
	DIRECTORY_QUESTIONS_MOST = DIRECTORY_NAMES_MOST,
	DIRECTORY_TASK_WIRE_MOST = 4 << 20,
	DIRECTORY_REPLIES_WIRE_MOST = 8 << 20, /* 600 accounts of the most groups; whoever asks has fewer */
};

enum directory_question_kind {
	QUESTION_GROUP,       /* the SID of "CORP\trusted", "trusted@corp.example" or "trusted" */
	QUESTION_DNS_ACCOUNT, /* all SIDs of the computer that has this dNSHostName */
	QUESTION_UPN_ACCOUNT, /* all SIDs of the account that has this userPrincipalName */
	QUESTION_KINDS
};
struct directory_question {
	enum directory_question_kind kind;
	char text[DIRECTORY_NAME];
};

struct directory_task {
	char realm[DIRECTORY_NAME];                           /* "CORP.EXAMPLE" */
	char servers[DIRECTORY_SERVERS_MOST][DIRECTORY_NAME]; /* names or addresses; none: those that DNS names */
	size_t server_count;
	uint32_t credential;                  /* of the host's keytab, as the key holder knows it */
	struct directory_question *questions; /* its own */
	size_t question_count;
};
void directory_task_wipe(struct directory_task *t); /* for SCOPED */
void directory_task_put(struct wire_out *out, const struct directory_task *t);
int directory_task_get(struct wire_in *in, struct directory_task *ret, struct diag *d);

/* One for each question, in their order. */
struct directory_reply {
	enum directory_state state; /* FOUND or MISSING */
	struct sid sid;             /* of a group that was found */
	struct sid_list *sids;      /* of an account that was: its own; never NULL then */
};
struct directory_replies {
	struct directory_reply *replies;
	size_t count;
	struct addr local; /* our own, to which they came; family 0: not known */
};
void directory_replies_wipe(struct directory_replies *r); /* for SCOPED */
void directory_replies_put(struct wire_out *out, const struct directory_replies *r);
int directory_replies_get(struct wire_in *in, struct directory_replies *ret, struct diag *d);

#endif
