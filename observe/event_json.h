/* observe/event_json.h - the JSON view of an event, as docs/json.md promises it to `cordon events --json`. */
#ifndef OBSERVE_EVENT_JSON_H
#define OBSERVE_EVENT_JSON_H
#include "observe/event.h"
#include <jansson.h>

/* A new object; number: its place in the ring. Members that do not apply are left out. */
json_t *event_json(const struct event *e, uint64_t number);

#endif
