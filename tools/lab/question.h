/* tools/lab/question.h - what a probe asks where a real service listens: something that the service answers, with the
 * marker in it. Pure. Inside tools/lab/ only. */
#ifndef TOOLS_LAB_QUESTION_H
#define TOOLS_LAB_QUESTION_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { QUESTION_MOST = 256 };

/* Can such a service be asked? Over TCP any can: that it takes the connection is an answer. */
bool question_can_ask(int16_t protocol, uint16_t port);
/* For a TCP service that nothing is known of it is the marker alone. Returns its length. */
size_t question_write(int16_t protocol, uint16_t port, const char *marker, uint8_t out[QUESTION_MOST]);

#endif
