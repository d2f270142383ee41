/* enforce/toucher.h - who was it? What netlink says of the program that changed our table, rules or routes. Inside
 * enforce/ only. */
#ifndef ENFORCE_TOUCHER_H
#define ENFORCE_TOUCHER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nlmsghdr;

enum { TOUCHER_WORDS = 64 };

/* The end of an nftables transaction names its program. False: this message is no such end. */
bool toucher_of_generation(const struct nlmsghdr *h, char buf[TOUCHER_WORDS]);
/* A change of routes has the number of a socket, which mostly is that of its process. "the kernel" for what happened by
 * itself, such as when an interface goes; "" if nothing is known. */
void toucher_of_socket(uint32_t port, char buf[TOUCHER_WORDS]);

#endif
