/* tests/conformance/door_esp.h - what the doors of one userspace plane and of several have in common. */
#ifndef TESTS_CONFORMANCE_DOOR_ESP_H
#define TESTS_CONFORMANCE_DOOR_ESP_H
#include "tests/conformance/world.h"

bool door_esp_seed(struct sad *plane, uint32_t spi, uint64_t number);
void door_esp_begin_udp(struct world *w, int fd, uint8_t family);
/* To the plane of this thread. */
void door_esp_read_udp(const struct world *w, struct sad *own, int fd);

#endif
