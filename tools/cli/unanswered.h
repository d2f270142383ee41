/* tools/cli/unanswered.h - what holds on this host where no cordond answers: are rules of Cordon in force? */
#ifndef TOOLS_CLI_UNANSWERED_H
#define TOOLS_CLI_UNANSWERED_H

enum unanswered { UNANSWERED_RULES, UNANSWERED_NONE, UNANSWERED_NOT_KNOWN };

/* The kernel tells root only. */
enum unanswered unanswered_look(void);
const char *unanswered_words(enum unanswered is);
/* To stderr, behind what control_ask or control_connect said; nothing if that error is another one. */
void unanswered_say(int error);

#endif
