/* control/frame.h - how JSON travels: four octets of length, most significant first, then that many octets of text. */
#ifndef CONTROL_FRAME_H
#define CONTROL_FRAME_H
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct diag;

enum { FRAME_HEADER = 4 };

/* The length that the header promises, 0 when it is over the bound (or empty, which is as wrong). */
size_t frame_length(const uint8_t header[FRAME_HEADER]);
/* Header and text in one piece of malloc'd memory; takes `value` over. NULL: it would be over the bound. */
uint8_t *frame_make(json_t *value, size_t *ret_len);
int frame_parse(const uint8_t *text, size_t len, json_t **ret, struct diag *d);

#endif
