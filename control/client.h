/* control/client.h - asking cordond, for cordon and any other program. Blocking. */
#ifndef CONTROL_CLIENT_H
#define CONTROL_CLIENT_H
#include "base/scope.h"
#include "control/schema.h"
#include <stdbool.h>

struct diag;
struct control_link;

/* -ENOENT and -ECONNREFUSED: nothing answers there; -EACCES: the caller may not. Words in d for all. */
int control_connect(const char *run_dir, struct control_link **ret, struct diag *d);
void control_link_free(struct control_link *l);
SCOPE_FREEP(struct control_link, control_link)

int control_send(struct control_link *l, const json_t *request, struct diag *d);
/* Is there something to receive, or becomes so in that time? */
bool control_answers(struct control_link *l, unsigned wait_ms);
/* wait_s 0: for ever. */
int control_receive(struct control_link *l, unsigned wait_s, json_t **ret, struct diag *d);
enum { CONTROL_ANSWER_S = 120 }; /* a policy of 100,000 rules takes its time */
/* Connect, send and receive; the reply may still say that what was asked for could not be done. */
int control_ask(const char *run_dir, const json_t *request, json_t **ret, struct diag *d);

#endif
